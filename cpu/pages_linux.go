package cpu

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapLargePage returns the floats of one large page, if the system has one to
// give, and the mapping that holds it, which unmap returns; nil if there is none.
func mapLargePage() (page []float32, mapping []byte) {
	mapping, err := unix.Mmap(-1, 0, 2*largePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil
	}
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(mapping))) % largePage
	whole := mapping[skip : skip+largePage]
	_ = unix.Madvise(whole, unix.MADV_HUGEPAGE) // advice: without one, only speed is lost
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(whole))), largePage/wordBytes), mapping
}

// unmap gives a mapping back.
func unmap(mapping []byte) error { return unix.Munmap(mapping) }
