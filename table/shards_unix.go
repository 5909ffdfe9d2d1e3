//go:build unix

package table

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapShards maps files, all but the last of which are whole pages long, one
// after the other into memory, for reading.
func mapShards(paths []string, sizes []int) (bytes []byte, unmap func() error, err error) {
	total := 0
	for _, size := range sizes {
		total += size
	}
	if total == 0 {
		return nil, func() error { return nil }, nil
	}
	whole, err := unix.MmapPtr(-1, 0, nil, uintptr(total), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, nil, fmt.Errorf("reserving %d bytes of addresses: %w", total, err)
	}
	unmap = func() error { return unix.MunmapPtr(whole, uintptr(total)) }
	at := 0
	for i, path := range paths {
		if err := mapAt(path, unsafe.Add(whole, at), sizes[i]); err != nil {
			unmap()
			return nil, nil, fmt.Errorf("%s: mapping it into memory: %w", path, err)
		}
		at += sizes[i]
	}
	return unsafe.Slice((*byte)(whole), total), unmap, nil
}

func mapAt(path string, place unsafe.Pointer, size int) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = unix.MmapPtr(int(file.Fd()), 0, place, uintptr(size), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED)
	return err
}
