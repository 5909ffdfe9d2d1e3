// Package data reads data sets, scales them, and writes arrays to files.
//
// A data set is a matrix of numbers: a row is an example, a column a feature.
// Open finds it by name (the built-in sets) or by path, recognises its format by
// its first bytes, and checks all of it once, so that what reaches a model is
// finite and has the shape that it claims. Data are kept in the type in which
// they are stored: an 8-bit image stays 8 bits to a pixel, with the factor that
// brings it to [0, 1].
//
// Two scales appear. The model scale is that of Info.Min and Info.Max: stored
// values times Info.Scale. A Scaler goes on from there, column by column, and
// its result is what a model is trained on.
//
// A Dataset is read by ranges of rows. What a file does not let us address (the
// numbers of a text, a compressed array, a pipe) waits in a temporary file where it
// is too much for memory.
//
// A Frame is a table with cells of any type, and is read in order; FrameWriter and
// ArrayWriter write in order. None of them holds more than a block of rows.
//
// The package must not know models, devices or the command line.
package data

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	"gorgonia.org/tensor"
)

// Dataset is a matrix of examples. It is safe for use by one goroutine at a time.
type Dataset interface {
	// Info describes the data set.
	Info() Info
	// Read returns rows from, ..., from+n-1 as a new tensor [n, Info.Features] of
	// the type Info.Element, 1 ≤ n. It fails with *Error or the context's error.
	Read(ctx context.Context, from, n int) (*tensor.Dense, error)
	// Labels returns the class of each row, or nil where none is known.
	Labels() *Labels
	// Close releases the file.
	Close() error
}

// Element is the type in which a data set is stored.
type Element string

// The elements.
const (
	Uint8   Element = "uint8"
	Float32 Element = "float32" // also for files of other types, which are narrowed when read
	Records Element = "records" // of a table of mixed columns, which no Dataset reads: its schema says what they are
)

// Info describes a data set; it is the schema that a model remembers.
type Info struct {
	Name     string   `json:"name"`              // of a built-in set, with its arguments; otherwise the file's name without its folder
	Path     string   `json:"path,omitempty"`    // of the file; empty for a built-in set
	Format   string   `json:"format"`            // "idx", "npy", "npz", "csv", "parquet", "arrow", "safetensors", "images", "built-in" or "generated"
	Rows     int      `json:"rows"`              // examples
	Features int      `json:"features"`          // numbers in an example, the product of Shape
	Shape    []int    `json:"shape"`             // of one example, e.g. [28, 28]
	Columns  []string `json:"columns,omitempty"` // names of the features; nil if they have none
	Element  Element  `json:"element"`           // stored type
	Scale    float32  `json:"scale"`             // model value = Scale · stored value; 1 for Float32
	Min      float32  `json:"min"`               // smallest and largest value of all,
	Max      float32  `json:"max"`               // in model scale
	Classes  []string `json:"classes,omitempty"` // names of the classes, where labels are known
	SHA256   string   `json:"sha256"`            // of the bytes of the file (of a generated set: of its float32 values, little-endian)
	Licence  string   `json:"licence,omitempty"` // of a built-in set: terms and attribution in a line
}

// UnmarshalJSON reads what encoding/json wrote, and checks that it describes a
// data set, since it may come with a model from anywhere.
func (i *Info) UnmarshalJSON(text []byte) error {
	type plain Info // without this method
	var p plain
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	features := 1
	for _, size := range p.Shape {
		if size < 1 || features > math.MaxInt32/size {
			return fmt.Errorf("data set %q: shape %v", p.Name, p.Shape)
		}
		features *= size
	}
	switch {
	case len(p.Shape) == 0 || features != p.Features:
		return fmt.Errorf("data set %q: shape %v of %d features", p.Name, p.Shape, p.Features)
	case p.Rows < 1:
		return fmt.Errorf("data set %q: %d rows", p.Name, p.Rows)
	case p.Columns != nil && len(p.Columns) != features:
		return fmt.Errorf("data set %q: %d names of %d features", p.Name, len(p.Columns), features)
	case p.Element != Uint8 && p.Element != Float32 && p.Element != Records:
		return fmt.Errorf("data set %q: element %q", p.Name, p.Element)
	case !(p.Scale > 0) || !finite(float64(p.Scale)):
		return fmt.Errorf("data set %q: scale %v", p.Name, p.Scale)
	}
	*i = Info(p)
	return nil
}

// Labels are classes, which no model of this program is trained on: they are
// kept for pictures and for judging codes.
type Labels struct {
	Class []int32  // of each row: an index into Names
	Names []string // of the classes, sorted; as numbers if all of them are
}

// Accepts checks that data described by got can be given to a model that was
// trained on data described by i: as many features, under the same names where
// both have names. It fails with *Error.
func (i Info) Accepts(got Info) error {
	if got.Features != i.Features {
		return &Error{Path: got.source(), Problem: fmt.Sprintf("has %d features in an example, but the model was trained on %d", got.Features, i.Features),
			Remedy: "give it data like " + i.Name}
	}
	if i.Columns == nil || got.Columns == nil {
		return nil
	}
	for c, name := range i.Columns {
		if got.Columns[c] == name {
			continue
		}
		e := &Error{Path: got.source(), Column: c + 1, ColumnName: got.Columns[c],
			Problem: fmt.Sprintf("the model was trained on %q here", name), Remedy: "rename the column"}
		if slices.Contains(got.Columns, name) {
			e.Remedy = "put the columns in the order of the training data"
		}
		return e
	}
	return nil
}

// source is what messages call the data set.
func (i Info) source() string {
	if i.Path != "" {
		return i.Path
	}
	return i.Name
}

// Float32s returns the values of a float32 tensor in row-major order, shared
// where the tensor is contiguous. It panics on another type.
func Float32s(x *tensor.Dense) []float32 { return values[float32](x) }

// Uint8s is Float32s for uint8.
func Uint8s(x *tensor.Dense) []uint8 { return values[uint8](x) }

func values[T float32 | uint8](x *tensor.Dense) []T {
	if x.RequiresIterator() || !x.DataOrder().IsRowMajor() {
		x = x.Materialize().(*tensor.Dense)
	}
	v, ok := x.Data().([]T)
	runtime.KeepAlive(x) // Data makes its slice from a uintptr
	if !ok {
		panic(fmt.Sprintf("data: tensor of %s, not %T", x.Dtype(), *new(T)))
	}
	return v
}

// matrix returns the tensor [rows, columns] that shares values.
func matrix[T float32 | uint8](values []T, rows, columns int) *tensor.Dense {
	return tensor.New(tensor.WithShape(rows, columns), tensor.WithBacking(values))
}

// Widen returns x, which is uint8 or float32, in model scale: float32(scale)·x,
// rounded once, for uint8; x itself for float32.
func Widen(x *tensor.Dense, scale float32) *tensor.Dense {
	if x.Dtype() != tensor.Uint8 {
		return x
	}
	narrow := Uint8s(x)
	wide := make([]float32, len(narrow))
	for i, v := range narrow {
		wide[i] = scale * float32(v)
	}
	return tensor.New(tensor.WithShape(x.Shape().Clone()...), tensor.WithBacking(wide))
}

// Narrow is the inverse of Widen for images: round(x/scale), clipped to 0..255,
// of the shape of x, which is float32.
func Narrow(x *tensor.Dense, scale float32) *tensor.Dense {
	wide := Float32s(x)
	narrow := make([]uint8, len(wide))
	for i, v := range wide {
		narrow[i] = uint8(min(max(v/scale+0.5, 0), 255))
	}
	return tensor.New(tensor.WithShape(x.Shape().Clone()...), tensor.WithBacking(narrow))
}

// Floats reads rows from, ..., from+n-1 in model scale: [n, Features] of float32.
func Floats(ctx context.Context, d Dataset, from, n int) (*tensor.Dense, error) {
	x, err := d.Read(ctx, from, n)
	if err != nil {
		return nil, err
	}
	return Widen(x, d.Info().Scale), nil
}

// Scaled is Floats as the scaler maps them. Its errors name the file and the row in it.
func Scaled(ctx context.Context, d Dataset, s *Scaler, from, n int) (*tensor.Dense, error) {
	x, err := Floats(ctx, d, from, n)
	if err != nil {
		return nil, err
	}
	x, err = s.Apply(x)
	return x, Located(err, d.Info().source(), from)
}

// blockElements is the number of elements that passes over a data set hold at a time.
const blockElements = 1 << 18

// eachBlock calls visit with the data set's rows, a block at a time, in order.
func eachBlock(ctx context.Context, d Dataset, visit func(from int, block *tensor.Dense) error) error {
	info := d.Info()
	size := max(1, blockElements/info.Features)
	for from := 0; from < info.Rows; from += size {
		block, err := d.Read(ctx, from, min(size, info.Rows-from))
		if err != nil {
			return err
		}
		if err := visit(from, block); err != nil {
			return err
		}
	}
	return nil
}

// checkRange checks the arguments of Read.
func checkRange(ctx context.Context, info Info, from, n int) error {
	if from < 0 || n < 1 || from > info.Rows-n {
		return &Error{Path: info.source(), Problem: fmt.Sprintf("has no rows %d to %d: it has %d", from+1, from+n, info.Rows)}
	}
	return ctx.Err()
}

// Matrix is a whole data set on the host, in the type in which a device is to
// hold it: exactly one of Uint8 and Float32 is set, row-major. A value is
// Scale·Uint8, or Float32 as it stands (Scale is then 1).
type Matrix struct {
	Rows, Columns int
	Uint8         []uint8
	Float32       []float32
	Scale         float32
}

// Table reads the whole data set and applies the scaler (nil: none). A uint8
// data set that needs no scaler stays uint8.
func Table(ctx context.Context, d Dataset, s *Scaler) (Matrix, error) {
	info := d.Info()
	m := Matrix{Rows: info.Rows, Columns: info.Features, Scale: 1}
	scaled := s != nil && s.Kind != ScaleNone
	if info.Element == Uint8 && !scaled {
		m.Scale = info.Scale
		m.Uint8 = make([]uint8, info.Rows*info.Features)
		if a, ok := d.(*arrayDataset); ok && !a.fortran {
			if err := a.readBytes(ctx, m.Uint8); err != nil {
				return Matrix{}, err
			}
			return m, nil
		}
	} else {
		m.Float32 = make([]float32, info.Rows*info.Features)
	}
	err := eachBlock(ctx, d, func(from int, block *tensor.Dense) error {
		at := from * info.Features
		if m.Uint8 != nil {
			copy(m.Uint8[at:], Uint8s(block))
			return nil
		}
		wide := Widen(block, info.Scale)
		if scaled {
			var err error
			if wide, err = s.Apply(wide); err != nil {
				return Located(err, info.source(), from)
			}
		}
		copy(m.Float32[at:], Float32s(wide))
		return nil
	})
	if err != nil {
		return Matrix{}, err
	}
	return m, nil
}

// Located completes an *Error about a block of rows by the name of its source
// and the number of rows before it.
func Located(err error, path string, before int) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		e.Path = path
		if e.Row > 0 {
			e.Row += before
		}
	}
	return err
}
