package data

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The NPY format (numpy.lib.format, versions 1.0 to 3.0):
//
//	6 bytes     \x93NUMPY
//	2 bytes     version
//	2 bytes     N, the length of the header, little-endian (4 bytes from version 2 on)
//	N bytes     a Python dictionary literal with descr, fortran_order and shape
//	the rest    the elements
//
// The header is parsed here, since the reader of npyio trusts it (a header
// without its newline makes it panic) and reads whole arrays only.

const (
	npyMagic         = "\x93NUMPY"
	npyHeaderLongest = 1 << 20 // NumPy itself writes about 100 bytes for numbers
)

func isNPY(head []byte) bool { return strings.HasPrefix(string(head), npyMagic) }

func openNPY(ctx context.Context, in *input, o Options) (Dataset, error) {
	a, err := readNPY(in)
	if err != nil {
		return nil, err
	}
	return newArrayDataset(ctx, a, in, "npy", o)
}

// readNPY reads the header.
func readNPY(in *input) (*array, error) {
	var start [len(npyMagic) + 2]byte
	if _, err := io.ReadFull(in.stream, start[:]); err != nil {
		return nil, in.readError(err)
	}
	if !isNPY(start[:]) {
		return nil, &Error{Path: in.path, Problem: fmt.Sprintf("does not start like an NPY file (\\x93NUMPY) but with % x", start[:len(npyMagic)]),
			Remedy: "give it the suffix of its real format"}
	}
	width := 4
	switch version := start[len(npyMagic)]; version {
	case 1:
		width = 2
	case 2, 3:
	default:
		return nil, &Error{Path: in.path, Problem: fmt.Sprintf("is NPY of the unknown version %d", version), Remedy: "save it with numpy.save"}
	}
	var length [4]byte
	if _, err := io.ReadFull(in.stream, length[:width]); err != nil {
		return nil, in.readError(err)
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n > npyHeaderLongest {
		return nil, &Error{Path: in.path, Problem: fmt.Sprintf("declares an NPY header of %d bytes", n), Remedy: remedyRewrite}
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(in.stream, header); err != nil {
		return nil, in.readError(err)
	}
	a, err := parseNPYHeader(string(header))
	if err != nil {
		return nil, &Error{Path: in.path, Problem: err.Error(), Remedy: "save an array of numbers with numpy.save, x.astype('float32')"}
	}
	return a, a.locate(in, int64(len(start)+width+len(header)))
}

// parseNPYHeader reads the dictionary.
func parseNPYHeader(text string) (*array, error) {
	p := literal{rest: text}
	a := &array{}
	seen := map[string]bool{}
	if !p.take("{") {
		return nil, fmt.Errorf("has an NPY header that is no dictionary")
	}
	for !p.take("}") {
		key, err := p.text()
		if err != nil {
			return nil, err
		}
		if seen[key] || !p.take(":") {
			return nil, fmt.Errorf("has a damaged NPY header at key %q", key)
		}
		seen[key] = true
		switch key {
		case "descr":
			err = p.descr(a)
		case "fortran_order":
			a.fortran, err = p.boolean()
		case "shape":
			a.shape, err = p.tuple()
		default:
			err = fmt.Errorf("has an NPY header with the unknown key %q", key)
		}
		if err != nil {
			return nil, err
		}
		if !p.take(",") && !p.at("}") {
			return nil, fmt.Errorf("has a damaged NPY header after %q", key)
		}
	}
	if strings.TrimSpace(p.rest) != "" {
		return nil, fmt.Errorf("has an NPY header that goes on after its dictionary")
	}
	if len(seen) != 3 {
		return nil, fmt.Errorf("has an NPY header without all of descr, fortran_order and shape")
	}
	return a, nil
}

// literal reads Python literals from the front of rest.
type literal struct{ rest string }

// at reports whether the token comes next.
func (p *literal) at(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\n")
	return strings.HasPrefix(p.rest, token)
}

// take removes the token if it comes next.
func (p *literal) take(token string) bool {
	if !p.at(token) {
		return false
	}
	p.rest = p.rest[len(token):]
	return true
}

// text reads a string without escapes, which no key or type needs.
func (p *literal) text() (string, error) {
	for _, quote := range []string{"'", `"`} {
		if p.take(quote) {
			text, rest, ok := strings.Cut(p.rest, quote)
			if !ok {
				break
			}
			p.rest = rest
			return text, nil
		}
	}
	return "", fmt.Errorf("has an NPY header with something else where a string is due")
}

func (p *literal) boolean() (bool, error) {
	switch {
	case p.take("True"):
		return true, nil
	case p.take("False"):
		return false, nil
	}
	return false, fmt.Errorf("has an NPY header whose fortran_order is neither True nor False")
}

// tuple reads a tuple of sizes; Python 2 wrote them with an L.
func (p *literal) tuple() ([]int, error) {
	if !p.take("(") {
		return nil, fmt.Errorf("has an NPY header whose shape is no tuple")
	}
	sizes := []int{}
	for !p.take(")") {
		end := strings.IndexAny(p.rest, ",)")
		if end < 0 {
			return nil, fmt.Errorf("has an NPY header whose shape does not end")
		}
		digits := strings.TrimSuffix(strings.TrimSpace(p.rest[:end]), "L")
		size, err := strconv.ParseUint(digits, 10, strconv.IntSize-1)
		if err != nil {
			return nil, fmt.Errorf("has an NPY header with the size %q", digits)
		}
		sizes = append(sizes, int(size))
		p.rest = p.rest[end:]
		p.take(",")
	}
	return sizes, nil
}

// descr reads the element type.
func (p *literal) descr(a *array) error {
	if p.at("[") {
		return fmt.Errorf("holds records, not numbers of one type")
	}
	text, err := p.text()
	if err != nil {
		return err
	}
	a.order = binary.LittleEndian
	code := strings.TrimLeft(text, "<>|=")
	if strings.HasPrefix(text, ">") {
		a.order = binary.BigEndian
	}
	for i := range kinds {
		if kinds[i].numpy == code && len(text) <= len(code)+1 {
			a.kind = &kinds[i]
			return nil
		}
	}
	if strings.HasPrefix(code, "O") {
		return fmt.Errorf("holds Python objects, not numbers")
	}
	return fmt.Errorf("holds elements of type %q, not numbers of a known type", text)
}
