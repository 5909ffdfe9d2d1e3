package safetensors

import (
	"encoding/binary"
	"io"
	"strings"
)

// elementType is a row of the table of types.
type elementType struct {
	name  string // in the header
	size  int    // bytes
	holds func(values any) bool
	read  func(r io.Reader, n int) (values any, err error)
	write func(w io.Writer, values any) error
}

// types is the table of types. The format's others (half precision, booleans)
// are not needed and refused.
var types = [...]elementType{
	row[uint8]("U8", 1),
	row[int32]("I32", 4), row[uint32]("U32", 4), row[float32]("F32", 4),
	row[int64]("I64", 8), row[uint64]("U64", 8), row[float64]("F64", 8),
}

// chunk is the number of elements converted at a time.
const chunk = 1 << 14

func row[T Element](name string, size int) elementType {
	return elementType{
		name:  name,
		size:  size,
		holds: func(values any) bool { _, ok := values.([]T); return ok },
		read: func(r io.Reader, n int) (any, error) {
			values := make([]T, n)
			return values, readValues(r, values, size)
		},
		write: func(w io.Writer, values any) error { return writeValues(w, values.([]T), size) },
	}
}

func readValues[T Element](r io.Reader, values []T, size int) error {
	buffer := make([]byte, size*min(chunk, len(values)))
	for len(values) > 0 {
		n := min(chunk, len(values))
		if _, err := io.ReadFull(r, buffer[:n*size]); err != nil {
			return err
		}
		if _, err := binary.Decode(buffer[:n*size], binary.LittleEndian, values[:n]); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

func writeValues[T Element](w io.Writer, values []T, size int) error {
	buffer := make([]byte, 0, size*min(chunk, len(values)))
	for len(values) > 0 {
		n := min(chunk, len(values))
		block, err := binary.Append(buffer, binary.LittleEndian, values[:n])
		if err != nil {
			return err
		}
		if _, err := w.Write(block); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// typeOf returns the row of a slice of elements; values has been made by New.
func typeOf(values any) elementType {
	for _, t := range types {
		if t.holds(values) {
			return t
		}
	}
	panic("safetensors: a tensor that New did not make")
}

// typeNamed returns the row of a name of the format.
func typeNamed(name string) (elementType, bool) {
	for _, t := range types {
		if t.name == name {
			return t, true
		}
	}
	return elementType{}, false
}

// typeNames lists the names of the table, for messages.
func typeNames() string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.name
	}
	return strings.Join(names, ", ")
}
