//go:build !unix

package table

import (
	"fmt"
	"io"
	"os"
)

// mapShards reads files one after the other into memory.
func mapShards(paths []string, sizes []int) (bytes []byte, unmap func() error, err error) {
	total := 0
	for _, size := range sizes {
		total += size
	}
	bytes = make([]byte, 0, total)
	for i, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		bytes = bytes[:len(bytes)+sizes[i]]
		_, err = io.ReadFull(file, bytes[len(bytes)-sizes[i]:])
		file.Close()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: reading it: %w", path, err)
		}
	}
	return bytes, func() error { return nil }, nil
}
