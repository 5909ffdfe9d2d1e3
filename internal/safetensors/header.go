package safetensors

import (
	"encoding/binary"
	"io"
)

// Place says where a tensor lies in a file.
type Place struct {
	Name   string
	Type   string // "F32", "U8", ...
	Shape  []int
	Offset int64 // of the first byte, from the start of the file
	Length int64 // bytes
}

// Places reads the header of a file of size bytes, which r gives from the start,
// and returns its tensors in the order of their bytes; all of it is checked as
// in Read. Nothing after the header is read.
func Places(r io.Reader, size int64, path string) ([]Place, error) {
	_, entries, start, err := readLayout(r, size)
	if err != nil {
		return nil, pathed(err, path)
	}
	places := make([]Place, len(entries))
	for i, e := range entries {
		places[i] = Place{e.name, e.Type, e.Shape, start + int64(e.Offsets[0]), int64(e.Offsets[1] - e.Offsets[0])}
	}
	return places, nil
}

// readLayout reads and checks the header; the tensors start at byte start.
func readLayout(r io.Reader, size int64) (metadata map[string]string, entries []namedEntry, start int64, err error) {
	if size < lengthSize {
		return nil, nil, 0, problemf("", "is %d bytes long, too short for a safetensors file", size)
	}
	var length [lengthSize]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, nil, 0, err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeaderLength || n > uint64(size-lengthSize) {
		return nil, nil, 0, problemf("", "declares a header of %d bytes, but the file has %d (not a safetensors file, or a truncated one)", n, size)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, nil, 0, err
	}
	if metadata, entries, err = parseHeader(header); err != nil {
		return nil, nil, 0, err
	}
	start = lengthSize + int64(n)
	return metadata, entries, start, checkLayout(entries, size-start)
}
