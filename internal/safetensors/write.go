package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"gpudae/internal/atomicfile"
)

// Limits of the format.
const (
	metadataKey     = "__metadata__"
	alignment       = 8                 // of the arrays' first byte
	maxHeaderLength = 100 * 1000 * 1000 // as in the reference implementation
)

// WriteFile writes the file named path whole or not at all.
func WriteFile(path string, f *File) error {
	return atomicfile.Write(path, func(w io.Writer) error { return Write(w, f) })
}

// Write puts out f. As in the reference implementation the arrays are sorted by
// falling element size, then by name, so that each is aligned to its elements;
// the header is padded so that the first starts at a multiple of 8 bytes.
func Write(w io.Writer, f *File) error {
	names := slices.SortedFunc(maps.Keys(f.Tensors), func(a, b string) int {
		sizeA, sizeB := typeOf(f.Tensors[a].values).size, typeOf(f.Tensors[b].values).size
		return cmp.Or(cmp.Compare(sizeB, sizeA), strings.Compare(a, b))
	})
	header, err := encodeHeader(f, names)
	if err != nil {
		return fmt.Errorf("encoding the safetensors header: %w", err)
	}
	if len(header) > maxHeaderLength {
		return fmt.Errorf("the safetensors header of %d bytes is over the format's limit of %d", len(header), maxHeaderLength)
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))); err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, name := range names {
		values := f.Tensors[name].values
		if err := typeOf(values).write(w, values); err != nil {
			return fmt.Errorf("writing tensor %q: %w", name, err)
		}
	}
	return nil
}

// entry is a tensor's description in the header.
type entry struct {
	Type    string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"` // from the end of the header
}

// encodeHeader describes the named tensors in that order.
func encodeHeader(f *File, names []string) ([]byte, error) {
	var header bytes.Buffer
	encoder := json.NewEncoder(&header)
	encoder.SetEscapeHTML(false)
	put := func(key string, value any) error {
		if !utf8.ValidString(key) {
			return fmt.Errorf("the name %q is not UTF-8", key)
		}
		header.WriteByte(separator(&header))
		if err := encoder.Encode(key); err != nil {
			return err
		}
		header.Bytes()[header.Len()-1] = ':' // in place of the encoder's newline
		if err := encoder.Encode(value); err != nil {
			return err
		}
		header.Truncate(header.Len() - 1)
		return nil
	}
	for key, value := range f.Metadata {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return nil, fmt.Errorf("the metadata %q is not UTF-8", key)
		}
	}
	if len(f.Metadata) > 0 {
		if err := put(metadataKey, f.Metadata); err != nil { // encoding/json sorts the keys
			return nil, err
		}
	}
	offset := 0
	for _, name := range names {
		if name == metadataKey {
			return nil, fmt.Errorf("no tensor may be called %s", metadataKey)
		}
		tensor := f.Tensors[name]
		n, _ := product(tensor.shape)
		end := offset + n*typeOf(tensor.values).size
		if err := put(name, entry{tensor.Type(), tensor.Shape(), [2]int{offset, end}}); err != nil {
			return nil, err
		}
		offset = end
	}
	if header.Len() == 0 {
		header.WriteByte('{')
	}
	header.WriteByte('}')
	for header.Len()%alignment != 0 {
		header.WriteByte(' ')
	}
	return header.Bytes(), nil
}

// separator opens the object, or separates its members.
func separator(header *bytes.Buffer) byte {
	if header.Len() == 0 {
		return '{'
	}
	return ','
}
