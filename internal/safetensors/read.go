package safetensors

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"unicode/utf8"
)

const lengthSize = 8 // bytes of the header's length

// ReadFile reads the file named path. It fails with *Error if the content is
// not what the format allows, otherwise with an error of package os.
func ReadFile(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{Path: path, Problem: "is not a regular file"}
	}
	return Read(file, info.Size(), path)
}

// Read reads size bytes of r; path stands in messages.
func Read(r io.Reader, size int64, path string) (*File, error) {
	f, err := read(r, size)
	if err != nil {
		return nil, pathed(err, path)
	}
	return f, nil
}

// pathed completes an error by the name of the file.
func pathed(err error, path string) error {
	var problem *Error
	switch {
	case errors.As(err, &problem):
		problem.Path = path
		return problem
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Path: path, Problem: "ends early"}
	}
	return fmt.Errorf("reading %s: %w", path, err)
}

// problemf makes an Error about a tensor, or about the file if tensor is empty.
func problemf(tensor, format string, args ...any) *Error {
	return &Error{Tensor: tensor, Problem: fmt.Sprintf(format, args...)}
}

func read(r io.Reader, size int64) (*File, error) {
	metadata, entries, _, err := readLayout(r, size)
	if err != nil {
		return nil, err
	}
	f := &File{Metadata: metadata, Tensors: make(map[string]Tensor, len(entries))}
	for _, e := range entries {
		count, _ := product(e.Shape)
		values, err := e.element.read(r, count)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", e.name, err)
		}
		f.Tensors[e.name] = Tensor{e.Shape, values}
	}
	return f, nil
}

// namedEntry is an entry of the header, checked for itself.
type namedEntry struct {
	entry
	name    string
	element elementType
}

// checkLayout sorts the entries by offset and checks that they fill the data of
// that many bytes without gap or overlap.
func checkLayout(entries []namedEntry, data int64) error {
	slices.SortFunc(entries, func(a, b namedEntry) int {
		return cmp.Or(cmp.Compare(a.Offsets[0], b.Offsets[0]), cmp.Compare(a.Offsets[1], b.Offsets[1]), cmp.Compare(a.name, b.name))
	})
	end := 0
	for _, e := range entries {
		if e.Offsets[0] != end {
			return problemf(e.name, "starts at byte %d of the data, where the one before ends at %d", e.Offsets[0], end)
		}
		end = e.Offsets[1]
		if int64(end) > data {
			return problemf(e.name, "ends at byte %d of the data, which has %d (a truncated file)", end, data)
		}
	}
	if int64(end) != data {
		return problemf("", "has %d bytes after the last tensor", data-int64(end))
	}
	return nil
}

// parseHeader reads the JSON header. It goes through the tokens, since decoding
// into a map would let the last of several equal keys win unseen.
func parseHeader(header []byte) (metadata map[string]string, entries []namedEntry, err error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, problemf("", "has a header that does not start with {")
	}
	if !utf8.Valid(header) {
		return nil, nil, problemf("", "has a header that is not UTF-8")
	}
	p := parser{json.NewDecoder(bytes.NewReader(header))}
	p.UseNumber()
	err = p.object("", func(name string) error {
		if name == metadataKey {
			metadata, err = p.metadata()
			return err
		}
		e, err := p.entry(name)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if rest := bytes.TrimRight(header[p.InputOffset():], " "); len(rest) > 0 {
		return nil, nil, problemf("", "has %d bytes after the header's object", len(rest))
	}
	return metadata, entries, nil
}

// parser reads the header's tokens.
type parser struct{ *json.Decoder }

// next returns the next token.
func (p parser) next() (json.Token, error) {
	token, err := p.Token()
	if err != nil {
		return nil, problemf("", "has a header that is not JSON: %v", err)
	}
	return token, nil
}

// object reads an object, calling member with each key to read its value.
func (p parser) object(tensor string, member func(key string) error) error {
	token, err := p.next()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return problemf(tensor, "is described by %v, not by an object", token)
	}
	seen := map[string]bool{}
	for {
		token, err := p.next()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok { // the object's end: the decoder lets nothing else pass
			return nil
		}
		if seen[key] {
			return problemf(tensor, "has the key %q twice", key)
		}
		seen[key] = true
		if err := member(key); err != nil {
			return err
		}
	}
}

func (p parser) metadata() (map[string]string, error) {
	metadata := map[string]string{}
	err := p.object(metadataKey, func(key string) error {
		value, err := p.text(metadataKey)
		metadata[key] = value
		return err
	})
	return metadata, err
}

// entry reads and checks the description of one tensor.
func (p parser) entry(name string) (namedEntry, error) {
	e := namedEntry{name: name}
	var offsets []int
	err := p.object(name, func(key string) (err error) {
		switch key {
		case "dtype":
			e.Type, err = p.text(name)
		case "shape":
			e.Shape, err = p.sizes(name)
		case "data_offsets":
			offsets, err = p.sizes(name)
		default:
			err = problemf(name, "has the unknown key %q", key)
		}
		return err
	})
	if err != nil {
		return e, err
	}
	if e.Type == "" || e.Shape == nil || len(offsets) != 2 {
		return e, problemf(name, "needs dtype, shape and two data_offsets")
	}
	var ok bool
	if e.element, ok = typeNamed(e.Type); !ok {
		return e, problemf(name, "has the type %q; known are %s", e.Type, typeNames())
	}
	e.Offsets = [2]int(offsets)
	count, ok := product(append([]int{e.element.size}, e.Shape...))
	if !ok {
		return e, problemf(name, "has the shape %v, too large for any file", e.Shape)
	}
	if length := offsets[1] - offsets[0]; length != count { // neither is negative
		return e, problemf(name, "has %d bytes of data, but %s of shape %v takes %d", length, e.Type, e.Shape, count)
	}
	return e, nil
}

func (p parser) text(tensor string) (string, error) {
	token, err := p.next()
	if err != nil {
		return "", err
	}
	text, ok := token.(string)
	if !ok {
		return "", problemf(tensor, "has %v where a string is due", token)
	}
	return text, nil
}

// sizes reads an array of numbers 0, 1, 2, ...
func (p parser) sizes(tensor string) ([]int, error) {
	token, err := p.next()
	if err != nil {
		return nil, err
	}
	if token != json.Delim('[') {
		return nil, problemf(tensor, "has %v where an array is due", token)
	}
	sizes := []int{}
	for p.More() {
		token, err := p.next()
		if err != nil {
			return nil, err
		}
		number, _ := token.(json.Number)
		size, err := strconv.ParseUint(string(number), 10, strconv.IntSize-1)
		if err != nil {
			return nil, problemf(tensor, "has %v where a size is due", token)
		}
		sizes = append(sizes, int(size))
	}
	_, err = p.next() // the array's end
	return sizes, err
}
