// Package safetensors reads and writes the safetensors format of named arrays
// (https://huggingface.co/docs/safetensors):
//
//	8 bytes     N, the length of the header, little-endian
//	N bytes     JSON object: name → {"dtype", "shape", "data_offsets": [begin, end]},
//	            and "__metadata__" → object of strings; padded with spaces
//	the rest    the arrays, row-major and little-endian, in order and without gaps
//
// The reader is strict, since a model file may come from anywhere: every length
// is checked against the file's size before memory is allocated, and whatever
// the format does not allow is refused. The writer is deterministic: equal
// content gives equal bytes.
//
// The package must not know what the arrays mean.
package safetensors

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// Element is a type of array element.
type Element interface {
	uint8 | uint32 | int32 | uint64 | int64 | float32 | float64
}

// Tensor is an array: values in row-major order. The zero Tensor is invalid.
type Tensor struct {
	shape  []int
	values any // []T with T an Element
}

// New returns the tensor of that shape that shares values. An empty shape is a
// scalar. It panics if the values do not fill the shape.
func New[T Element](shape []int, values []T) Tensor {
	if n, ok := product(shape); !ok || n != len(values) {
		panic(fmt.Sprintf("safetensors: %d values for shape %v", len(values), shape))
	}
	return Tensor{append([]int{}, shape...), values}
}

// Shape returns the sizes of the dimensions.
func (t Tensor) Shape() []int { return slices.Clone(t.shape) }

// Type returns the element type as the format calls it: "F32", "U8", ...
func (t Tensor) Type() string { return typeOf(t.values).name }

// File is the content of a file.
type File struct {
	Metadata map[string]string // "__metadata__"; may be nil
	Tensors  map[string]Tensor
}

// Error is content that cannot be accepted.
type Error struct {
	Path    string // of the file
	Tensor  string // name, or empty if the file as a whole is at fault
	Problem string
}

// Error says where and what.
func (e *Error) Error() string {
	if e.Tensor == "" {
		return e.Path + ": " + e.Problem
	}
	return fmt.Sprintf("%s: tensor %q: %s", e.Path, e.Tensor, e.Problem)
}

// Values returns the values of a tensor of the file f, which was read from path
// (for the message only). The tensor must exist, have elements of type T and,
// if a shape is given, that shape; otherwise Values fails with *Error. The
// slice is shared with f.
func Values[T Element](f *File, path, name string, shape ...int) ([]T, error) {
	t, ok := f.Tensors[name]
	if !ok {
		return nil, &Error{path, name, "is missing"}
	}
	values, ok := t.values.([]T)
	if !ok {
		return nil, &Error{path, name, fmt.Sprintf("holds %s, not %s", t.Type(), typeOf([]T(nil)).name)}
	}
	if len(shape) > 0 && !slices.Equal(shape, t.shape) {
		return nil, &Error{path, name, fmt.Sprintf("has the shape %v, not %v", t.shape, shape)}
	}
	return values, nil
}

// product multiplies the sizes of a shape; it reports failure for a negative
// size and for a product beyond the range of int.
func product(shape []int) (n int, ok bool) {
	n = 1
	for _, size := range shape {
		hi, lo := bits.Mul64(uint64(n), uint64(size))
		if size < 0 || hi != 0 || lo > math.MaxInt {
			return 0, false
		}
		n = int(lo)
	}
	return n, true
}
