package cpu

import "unsafe"

const (
	largePage = 1 << 21 // bytes
	mostSlab  = 1 << 18 // bytes of the largest memory that shares a large page
)

// slab is a large page from which small memory is cut. A small net then lies
// side by side in physical memory too: spread over small pages, as many of them
// as chance has it would compete for the same lines of the second-level cache.
type slab struct {
	rest []float32
}

// floats returns n zeros that start at a cache line.
func (s *slab) floats(n int) []float32 {
	const perLine, page = cacheLine / wordBytes, largePage / wordBytes
	room := ceilDiv(n, perLine) * perLine
	if room*wordBytes > mostSlab {
		return alignedFloats(n)
	}
	if room > len(s.rest) {
		memory := make([]float32, 2*page)
		skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(memory)))%largePage) / wordBytes
		s.rest = memory[skip : skip+page]
		adviseLargePage(s.rest)
	}
	taken := s.rest[:n:n]
	s.rest = s.rest[room:]
	return taken
}
