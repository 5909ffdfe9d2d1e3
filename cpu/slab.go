package cpu

import "fmt"

const (
	largePage = 1 << 21 // bytes
	mostSlab  = 1 << 18 // bytes of the largest memory that shares a large page
)

// slab is a run of large pages from which small memory is cut. A small net
// then lies side by side in physical memory too: spread over small pages, as
// many of them as chance has it would compete for the same lines of the
// second-level cache. The pages are the device's until it is closed.
type slab struct {
	rest     []float32
	mappings [][]byte
}

// floats returns n zeros that start at a cache line.
func (s *slab) floats(n int) []float32 {
	const perLine = cacheLine / wordBytes
	room := ceilDiv(n, perLine) * perLine
	if room*wordBytes > mostSlab {
		return alignedFloats(n)
	}
	if room > len(s.rest) {
		page, mapping := mapLargePage()
		if mapping == nil {
			return alignedFloats(n)
		}
		s.rest, s.mappings = page, append(s.mappings, mapping)
	}
	taken := s.rest[:n:n]
	s.rest = s.rest[room:]
	return taken
}

// close gives the pages back.
func (s *slab) close() error {
	for _, mapping := range s.mappings {
		if err := unmap(mapping); err != nil {
			return fmt.Errorf("cpu: give memory back: %w", err)
		}
	}
	*s = slab{}
	return nil
}
