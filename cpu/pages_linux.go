package cpu

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// adviseLargePage asks for a large page, which memory of that size and
// alignment may be. It is advice: a system that has none left loses only speed.
func adviseLargePage(memory []float32) {
	_ = unix.Madvise(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)*wordBytes), unix.MADV_HUGEPAGE)
}
