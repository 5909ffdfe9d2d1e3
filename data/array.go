package data

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gorgonia.org/tensor"
)

// maxRows is the largest number of rows: the random number generator counts
// rows in 31 bits.
const maxRows = math.MaxInt32

// number is a type of array element that a file may hold.
type number interface {
	int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64 | float32 | float64
}

// kind is a row of the table of element types.
type kind struct {
	name  string // in messages, as NumPy calls it
	numpy string // type code without byte order
	idx   byte   // type code, 0 if the format lacks it
	size  int    // bytes
	// floats widens or narrows len(to) elements to float32, rounding to nearest.
	floats func(to []float32, from []byte, order binary.ByteOrder)
	// doubles is floats in float64.
	doubles func(to []float64, from []byte, order binary.ByteOrder)
	// integers is nil for a type that cannot hold labels.
	integers func(to []int64, from []byte, order binary.ByteOrder)
}

// kinds is the table of element types.
var kinds = [...]kind{
	integerKind[uint8]("uint8", "u1", 0x08, 1),
	integerKind[uint8]("bool", "b1", 0, 1), // a boolean is a byte, 0 or 1
	integerKind[int8]("int8", "i1", 0x09, 1),
	integerKind[int16]("int16", "i2", 0x0B, 2),
	integerKind[uint16]("uint16", "u2", 0, 2),
	integerKind[int32]("int32", "i4", 0x0C, 4),
	integerKind[uint32]("uint32", "u4", 0, 4),
	integerKind[int64]("int64", "i8", 0, 8),
	integerKind[uint64]("uint64", "u8", 0, 8),
	{name: "float32", numpy: "f4", idx: 0x0D, size: 4, floats: convert[float32, float32], doubles: convert[float32, float64]},
	{name: "float64", numpy: "f8", idx: 0x0E, size: 8, floats: convert[float64, float32], doubles: convert[float64, float64]},
}

func integerKind[T number](name, numpy string, idx byte, size int) kind {
	return kind{name, numpy, idx, size, convert[T, float32], convert[T, float64], convert[T, int64]}
}

// convert decodes len(to) elements of type From.
func convert[From, To number](to []To, from []byte, order binary.ByteOrder) {
	decoded := make([]From, len(to))
	if _, err := binary.Decode(from, order, decoded); err != nil {
		panic(err) // the caller has measured from
	}
	for i, v := range decoded {
		to[i] = To(v)
	}
}

// isByte reports whether elements are kept as uint8.
func (k *kind) isByte() bool { return k.numpy == "u1" || k.numpy == "b1" }

// scale is the factor from stored values to model scale, by default.
func (k *kind) scale() float32 {
	if k.numpy == "u1" {
		return 1.0 / 255
	}
	return 1
}

// array is an array in a file.
type array struct {
	kind    *kind
	order   binary.ByteOrder
	shape   []int // [rows, ...]
	fortran bool  // the first index runs fastest
	bytes   io.ReaderAt
}

// String describes the array in messages: "60000×28×28 uint8".
func (a *array) String() string {
	sizes := make([]string, len(a.shape))
	for i, size := range a.shape {
		sizes[i] = strconv.Itoa(size)
	}
	return strings.Join(sizes, "×") + " " + a.kind.name
}

// length checks the shape and returns the number of bytes of the elements.
func (a *array) length(path string) (int64, error) {
	refuse := func(problem string) (int64, error) {
		return 0, &Error{Path: path, Problem: "declares " + a.String() + ", " + problem, Remedy: remedyRewrite}
	}
	n := uint64(a.kind.size)
	for _, size := range a.shape {
		hi, lo := bits.Mul64(n, uint64(size))
		if size < 0 || hi != 0 || lo > math.MaxInt64 {
			return refuse("more than any file holds")
		}
		n = lo
	}
	switch {
	case len(a.shape) == 0:
		return 0, &Error{Path: path, Problem: "holds a single number, not an array", Remedy: "save an array [examples, features]"}
	case n == 0:
		return refuse("which is empty")
	case a.shape[0] > maxRows:
		return refuse(fmt.Sprintf("more than the %d rows that are supported", maxRows))
	}
	return int64(n), nil
}

// locate finds the elements, which start where the stream stands, at offset.
func (a *array) locate(in *input, offset int64) error {
	length, err := a.length(in.path)
	if err != nil {
		return err
	}
	a.bytes, err = in.payload(offset, length, a.String())
	return err
}

// arrayDataset reads rows of an array. It holds no values itself.
type arrayDataset struct {
	*array
	info    Info
	labels  *Labels
	missing bool // whether NaN is a missing value
	close   func() error
}

// newArrayDataset describes the array and checks every value of it.
func newArrayDataset(ctx context.Context, a *array, in *input, format string, o Options) (Dataset, error) {
	info := Info{Name: filepath.Base(in.path), Path: in.path, Format: format, Rows: a.shape[0],
		Shape: slices.Clone(a.shape[1:]), Element: Float32, Scale: 1, SHA256: in.sha256}
	if len(info.Shape) == 0 {
		info.Shape = []int{1}
	}
	info.Features = product(info.Shape)
	if a.kind.isByte() {
		info.Element, info.Scale = Uint8, a.kind.scale()
		if o.Scale != 0 {
			info.Scale = o.Scale
		}
	}
	d := &arrayDataset{array: a, info: info, missing: o.Missing, close: in.Close}
	if err := d.info.setExtremes(ctx, d); err != nil {
		return nil, err
	}
	if o.LabelColumn != "" && !o.LabelOptional {
		return nil, &Error{Path: in.path, ColumnName: o.LabelColumn, Problem: "there is no column of labels in " + format, Remedy: "give a file of labels"}
	}
	var err error
	if d.labels, err = readLabels(ctx, o.Labels, info.Rows); err != nil {
		return nil, err
	}
	d.info.Classes = d.labels.classNames()
	return d, nil
}

// product multiplies the sizes of a shape that has been checked.
func product(shape []int) int {
	n := 1
	for _, size := range shape {
		n *= size
	}
	return n
}

// errExtreme ends the search for extremes: a byte cannot be less or greater.
var errExtreme = errors.New("both extremes found")

// setExtremes sets Min and Max; reading every row of d also checks its values,
// unless they are bytes, all of which will do.
func (i *Info) setExtremes(ctx context.Context, d Dataset) error {
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	err := eachBlock(ctx, d, func(_ int, block *tensor.Dense) error {
		if i.Element == Uint8 {
			b := Uint8s(block)
			low, high = min(low, float32(slices.Min(b))), max(high, float32(slices.Max(b)))
			if low == 0 && high == math.MaxUint8 {
				return errExtreme
			}
			return nil
		}
		b := Float32s(block)
		for _, v := range b {
			if v == v {
				low, high = min(low, v), max(high, v)
			}
		}
		return nil
	})
	if err == errExtreme {
		err = nil
	}
	if err == nil && low > high {
		return &Error{Path: i.source(), Problem: "has no values: all of them are missing"}
	}
	i.Min, i.Max = low*i.Scale, high*i.Scale
	return err
}

func (d *arrayDataset) Info() Info      { return d.info }
func (d *arrayDataset) Labels() *Labels { return d.labels }
func (d *arrayDataset) Close() error    { return d.close() }

func (d *arrayDataset) Read(ctx context.Context, from, n int) (*tensor.Dense, error) {
	if err := checkRange(ctx, d.info, from, n); err != nil {
		return nil, err
	}
	raw, err := d.raw(ctx, from, n)
	if err != nil {
		return nil, err
	}
	if d.info.Element == Uint8 {
		return matrix(raw, n, d.info.Features), nil
	}
	values := make([]float32, n*d.info.Features)
	d.kind.floats(values, raw, d.order)
	if err := checkFinite(values, d.info, from, d.missing); err != nil {
		return nil, err
	}
	return matrix(values, n, d.info.Features), nil
}

// raw returns the bytes of n rows, row-major whatever the order of the file.
func (d *arrayDataset) raw(ctx context.Context, from, n int) ([]byte, error) {
	size, features := d.kind.size, d.info.Features
	raw := make([]byte, n*features*size)
	if !d.fortran {
		return raw, d.readAt(ctx, raw, from*features*size)
	}
	column := make([]byte, n*size)
	for f := range features {
		if err := d.readAt(ctx, column, (d.fortranColumn(f)*d.info.Rows+from)*size); err != nil {
			return nil, err
		}
		for i := range n {
			copy(raw[(i*features+f)*size:], column[i*size:(i+1)*size])
		}
	}
	return raw, nil
}

// readBytes reads all of an array of bytes, row-major, to where it is wanted.
func (d *arrayDataset) readBytes(ctx context.Context, to []uint8) error {
	for from := 0; from < len(to); from += blockElements {
		if err := d.readAt(ctx, to[from:min(from+blockElements, len(to))], from); err != nil {
			return err
		}
	}
	return nil
}

// fortranColumn maps a feature, numbered with the last index running fastest,
// to its number with the first running fastest.
func (d *arrayDataset) fortranColumn(feature int) int {
	column, stride := 0, d.info.Features
	for axis := len(d.info.Shape) - 1; axis >= 0; axis-- {
		size := d.info.Shape[axis]
		stride /= size
		column += feature % size * stride
		feature /= size
	}
	return column
}

func (d *arrayDataset) readAt(ctx context.Context, to []byte, offset int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := d.bytes.ReadAt(to, int64(offset)); err != nil {
		return (&input{path: d.info.Path}).readError(err)
	}
	return nil
}

// checkFinite refuses infinity, and NaN unless values may be missing, in rows of
// a file, the first of which is row number from.
func checkFinite(values []float32, info Info, from int, missing bool) error {
	for i, v := range values {
		if finite(float64(v)) || missing && v != v {
			continue
		}
		e := &Error{Path: info.source(), Row: from + i/info.Features + 1, Column: i%info.Features + 1,
			Problem: "the value is infinite or beyond the range of float32", Remedy: "rescale the data or remove the row"}
		if v != v {
			e.Problem, e.Remedy = "the value is NaN", "fill in or remove missing values"
		}
		if info.Columns != nil {
			e.ColumnName = info.Columns[e.Column-1]
		}
		return e
	}
	return nil
}
