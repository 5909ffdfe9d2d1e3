package data

import (
	"context"
	"io"
	"path/filepath"
	"strconv"
)

// arrayFrame gives the rows of a numeric array as cells: whole numbers as integers,
// the rest as numbers, where NaN is absent.
type arrayFrame struct {
	*arrayDataset
	info FrameInfo
	next int
}

// openArrayFrame opens the array that a format's reader finds.
func openArrayFrame(find func(context.Context, *input, Options) (*array, *input, error), format string) func(context.Context, *input, Options) (Frame, error) {
	return func(ctx context.Context, in *input, o Options) (Frame, error) {
		a, member, err := find(ctx, in, o)
		if err != nil {
			return nil, err
		}
		info := Info{Path: in.path, Rows: a.shape[0], Shape: a.shape[1:], Scale: 1}
		info.Features = product(info.Shape)
		f := &arrayFrame{arrayDataset: &arrayDataset{array: a, info: info, close: member.Close}}
		f.info = FrameInfo{Name: filepath.Base(in.path), Path: in.path, Format: format, Rows: info.Rows, SHA256: in.sha256}
		if o.Name != "" {
			f.info.Name, f.info.Path = o.Name, ""
		}
		for c := range info.Features {
			f.info.Columns = append(f.info.Columns, FrameColumn{Name: strconv.Itoa(c), Type: a.kind.cellType(), Single: a.kind.numpy == "f4"})
		}
		return f, nil
	}
}

// cellType is that of the elements.
func (k *kind) cellType() CellType {
	switch {
	case k.numpy == "b1":
		return Boolean
	case k.integers == nil || k.numpy == "u8": // which goes beyond int64
		return Number
	}
	return Integer
}

func (f *arrayFrame) Info() FrameInfo { return f.info }
func (f *arrayFrame) Rewind() error   { f.next = 0; return nil }
func (f *arrayFrame) Close() error    { return f.close() }

func (f *arrayFrame) Next(ctx context.Context, max int) (*Cells, error) {
	width := f.arrayDataset.info.Features
	n := min(max, f.info.Rows-f.next, 1+blockElements/width)
	if n == 0 {
		return nil, io.EOF
	}
	raw, err := f.raw(ctx, f.next, n)
	if err != nil {
		return nil, err
	}
	f.next += n
	cells := &Cells{Rows: n, Columns: make([]Values, width)}
	if f.kind.cellType() == Number {
		values := make([]float64, n*width)
		f.kind.doubles(values, raw, f.order)
		for c := range cells.Columns {
			cells.Columns[c] = numbersOf(column(values, c, n))
		}
		return cells, nil
	}
	values := make([]int64, n*width)
	f.kind.integers(values, raw, f.order)
	for c := range cells.Columns {
		cells.Columns[c].Integers = column(values, c, n)
		if f.kind.cellType() == Boolean {
			cells.Columns[c] = Values{Booleans: booleansOf(cells.Columns[c].Integers)}
		}
	}
	return cells, nil
}

// column copies a column of row-major values.
func column[T any](values []T, c, rows int) []T {
	of := make([]T, rows)
	for i := range of {
		of[i] = values[i*(len(values)/rows)+c]
	}
	return of
}

// numbersOf are cells of numbers, of which NaN are absent.
func numbersOf(values []float64) Values {
	v := Values{Numbers: values}
	for i, number := range values {
		if number != number {
			v.absent(i)
		}
	}
	return v
}

func booleansOf(values []int64) []bool {
	booleans := make([]bool, len(values))
	for i, value := range values {
		booleans[i] = value != 0
	}
	return booleans
}

// absent makes the cell of a row, among those that are there, absent.
func (v *Values) absent(row int) {
	if v.Absent == nil {
		v.Absent = make([]bool, v.Len())
	}
	v.Absent[row] = true
	if v.Numbers != nil {
		v.Numbers[row] = 0
	}
}
