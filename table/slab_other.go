//go:build !linux

package table

// slab is memory that grows. Its bytes are zero.
type slab struct{ bytes []byte }

// reserve makes it at least so many bytes long.
func (s *slab) reserve(n int) error {
	if n > len(s.bytes) {
		s.bytes = append(s.bytes, make([]byte, n-len(s.bytes))...)
	}
	return nil
}

// free gives the memory back.
func (s *slab) free() error {
	s.bytes = nil
	return nil
}
