package table

import "golang.org/x/sys/unix"

// slab is memory that grows without being copied, outside of the collected
// heap, which would let as much garbage pile up as it holds. Its bytes are zero.
type slab struct{ bytes []byte }

// reserve makes it at least so many bytes long.
func (s *slab) reserve(n int) error {
	if n <= len(s.bytes) {
		return nil
	}
	var err error
	if s.bytes == nil {
		s.bytes, err = unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		return err
	}
	s.bytes, err = unix.Mremap(s.bytes, n, unix.MREMAP_MAYMOVE)
	return err
}

// free gives the memory back.
func (s *slab) free() error {
	if s.bytes == nil {
		return nil
	}
	bytes := s.bytes
	s.bytes = nil
	return unix.Munmap(bytes)
}
