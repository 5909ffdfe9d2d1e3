package data

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	parquetformat "github.com/parquet-go/parquet-go/format"
	"gorgonia.org/tensor"
)

// The Parquet format holds tables by columns. Columns of integers, floating
// point, booleans and decimals of up to 18 digits are features; null is a
// missing value. Columns of anything else are refused, unless they are the
// labels. Pages are decoded by parquet-go as rows are asked for, after
// parquetpages.go has looked at their headers.

const parquetMagic = "PAR1"

func isParquet(head []byte) bool { return strings.HasPrefix(string(head), parquetMagic) }

// parquetDataset reads rows of a Parquet file. It holds a page of each column.
type parquetDataset struct {
	info    Info
	labels  *Labels
	columns []*parquetColumn // features
	path    string
	missing bool
	close   func() error
}

func openParquet(ctx context.Context, in *input, o Options) (_ Dataset, err error) {
	defer recovered(&err, in.path)
	if in.file == nil {
		return nil, &Error{Path: in.path, Problem: "is a compressed Parquet file", Remedy: "decompress it first: Parquet is compressed already"}
	}
	f, err := openParquetFile(in)
	if err != nil {
		return nil, err
	}
	d := &parquetDataset{path: in.path, missing: o.Missing, close: in.Close}
	d.info = Info{Name: filepath.Base(in.path), Path: in.path, Format: "parquet", Rows: int(f.NumRows()), Element: Float32, Scale: 1, SHA256: in.sha256}
	label := -1
	if o.LabelColumn != "" {
		if label, err = parquetLabel(f, in.path, o.LabelColumn); err != nil && !o.LabelOptional {
			return nil, err
		}
	}
	for c, column := range f.Root().Columns() {
		if c == label {
			continue
		}
		p, err := newParquetColumn(f, column, c)
		if err != nil {
			return nil, parquetError(in.path, c, column.Name(), err)
		}
		d.columns = append(d.columns, p)
		d.info.Columns = append(d.info.Columns, column.Name())
	}
	if d.info.Features = len(d.columns); d.info.Features == 0 {
		return nil, &Error{Path: in.path, Problem: "there is no column of numbers"}
	}
	d.info.Shape = []int{d.info.Features}
	if err := d.info.setExtremes(ctx, d); err != nil {
		return nil, err
	}
	if d.labels, err = parquetLabels(ctx, f, d, label, o); err != nil {
		return nil, err
	}
	d.info.Classes = d.labels.classNames()
	return d, nil
}

// openParquetFile reads the footer and checks what it declares.
func openParquetFile(in *input) (*parquet.File, error) {
	var end [8]byte
	if in.size < int64(len(end)+len(parquetMagic)) {
		return nil, &Error{Path: in.path, Problem: "ends early", Remedy: remedyRewrite}
	}
	if _, err := in.file.ReadAt(end[:], in.size-int64(len(end))); err != nil {
		return nil, in.readError(err)
	}
	if string(end[4:]) != parquetMagic || int64(binary.LittleEndian.Uint32(end[:])) > in.size-12 {
		return nil, &Error{Path: in.path, Problem: "is a truncated Parquet file: it does not end with its footer", Remedy: remedyRewrite}
	}
	f, err := parquet.OpenFile(in.file, in.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, parquetError(in.path, -1, "", err)
	}
	switch rows := f.NumRows(); {
	case rows > maxRows:
		return nil, &Error{Path: in.path, Problem: fmt.Sprintf("has more than the %d rows that are supported", maxRows), Remedy: "split the file"}
	case rows < 1:
		return nil, &Error{Path: in.path, Problem: "has no rows", Remedy: remedyRewrite}
	}
	return f, checkPages(f, in)
}

// recovered turns a panic of the decoder, whose checks of damaged files are not
// complete, into an error.
func recovered(err *error, path string) {
	if p := recover(); p != nil {
		*err = &Error{Path: path, Problem: fmt.Sprintf("is a damaged Parquet file: %v", p), Remedy: remedyRewrite}
	}
}

// parquetError says what is wrong with a column (from 0), or with the file if
// it is negative; it leaves an *Error and that of a cancelled context alone.
func parquetError(path string, column int, name string, err error) error {
	var e *Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &e):
		e.Path, e.Column, e.ColumnName = path, column+1, name
		return e
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Path: path, Column: column + 1, ColumnName: name, Problem: "ends early", Remedy: remedyRewrite, Err: err}
	}
	return &Error{Path: path, Column: column + 1, ColumnName: name, Problem: "is a damaged Parquet file: " + err.Error(), Remedy: remedyRewrite, Err: err}
}

func (d *parquetDataset) Info() Info      { return d.info }
func (d *parquetDataset) Labels() *Labels { return d.labels }

func (d *parquetDataset) Close() error {
	for _, c := range d.columns {
		c.release()
	}
	return d.close()
}

func (d *parquetDataset) Read(ctx context.Context, from, n int) (x *tensor.Dense, err error) {
	if err := checkRange(ctx, d.info, from, n); err != nil {
		return nil, err
	}
	defer recovered(&err, d.path)
	values := make([]float32, n*d.info.Features)
	for f, c := range d.columns {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := c.each(from, n, func(row int, v parquet.Value) error {
			if v.IsNull() {
				if !d.missing {
					return &Error{Row: row + 1, Problem: "the value is missing (null)", Remedy: "fill in or remove missing values"}
				}
				values[(row-from)*d.info.Features+f] = float32(math.NaN())
				return nil
			}
			values[(row-from)*d.info.Features+f] = c.float(v)
			return nil
		})
		if err != nil {
			return nil, parquetError(d.path, c.number, d.info.Columns[f], err)
		}
	}
	if err := checkFinite(values, d.info, from, d.missing); err != nil {
		return nil, err
	}
	return matrix(values, n, d.info.Features), nil
}

// parquetLabel finds the column of classes by name or by number from 1.
func parquetLabel(f *parquet.File, path, name string) (int, error) {
	columns := f.Root().Columns()
	if c := slices.IndexFunc(columns, func(c *parquet.Column) bool { return c.Name() == name }); c >= 0 {
		return c, nil
	}
	number, err := strconv.Atoi(name)
	if err != nil || number < 1 || number > len(columns) {
		return -1, &Error{Path: path, ColumnName: name, Problem: "there is no such column for the labels", Remedy: "use the name of a column, or a number from 1"}
	}
	return number - 1, nil
}

// parquetLabels reads the classes of a column of any type, or of another file.
func parquetLabels(ctx context.Context, f *parquet.File, d *parquetDataset, label int, o Options) (*Labels, error) {
	if label < 0 {
		return readLabels(ctx, o.Labels, d.info.Rows)
	}
	if o.Labels != "" {
		return nil, &Error{Path: d.path, ColumnName: o.LabelColumn, Problem: "there are labels in the file " + o.Labels + " too", Remedy: "name one of the two"}
	}
	column := f.Root().Columns()[label]
	if !column.Leaf() || column.Repeated() {
		return nil, parquetError(d.path, label, column.Name(), nested())
	}
	c := &parquetColumn{chunks: chunksOf(f, column.Index()), number: label}
	defer c.release()
	classes := make([]string, 0, min(d.info.Rows, blockElements))
	for from := 0; from < d.info.Rows; from += blockElements {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := c.each(from, min(blockElements, d.info.Rows-from), func(_ int, v parquet.Value) error {
			if v.IsNull() {
				v = parquet.ByteArrayValue(nil) // as the empty cell of a text
			}
			classes = append(classes, v.String())
			return nil
		})
		if err != nil {
			return nil, parquetError(d.path, label, column.Name(), err)
		}
	}
	return NewLabels(classes), nil
}

func nested() *Error {
	return &Error{Problem: "holds lists or records, not one value for each row", Remedy: "remove the column or write its parts as columns"}
}

// parquetFloat chooses how values of a column become float32, each rounded once
// (a decimal after its division in float64).
func parquetFloat(column *parquet.Column) (func(parquet.Value) float32, error) {
	if !column.Leaf() || column.Repeated() {
		return nil, nested()
	}
	t := column.Type()
	kind := t.Kind()
	refuse := func(what string) error {
		return &Error{Problem: "holds " + what + ", not numbers", Remedy: "remove the column or code its values as numbers"}
	}
	if kind == parquet.ByteArray || kind == parquet.FixedLenByteArray || kind == parquet.Int96 {
		what := "text or bytes"
		if l := t.LogicalType(); l != nil && l.Value != nil && l.String() != "STRING" {
			what = l.String() + " of bytes"
		}
		return nil, refuse(what)
	}
	if l := t.LogicalType(); l != nil {
		switch logical := l.Value.(type) {
		case nil:
		case *parquetformat.IntType:
			if !logical.IsSigned {
				return unsignedFloat(kind), nil
			}
		case *parquetformat.DecimalType:
			return decimalFloat(kind, logical.Scale), nil
		default:
			return nil, refuse(l.String())
		}
	} else if c := t.ConvertedType(); c != nil && *c >= deprecated.Date && *c <= deprecated.TimestampMicros {
		return nil, refuse("times")
	}
	switch kind {
	case parquet.Boolean:
		return func(v parquet.Value) float32 {
			if v.Boolean() {
				return 1
			}
			return 0
		}, nil
	case parquet.Int32:
		return func(v parquet.Value) float32 { return float32(v.Int32()) }, nil
	case parquet.Int64:
		return func(v parquet.Value) float32 { return float32(v.Int64()) }, nil
	case parquet.Float:
		return parquet.Value.Float, nil
	}
	return func(v parquet.Value) float32 { return float32(v.Double()) }, nil
}

func unsignedFloat(kind parquet.Kind) func(parquet.Value) float32 {
	if kind == parquet.Int32 {
		return func(v parquet.Value) float32 { return float32(v.Uint32()) }
	}
	return func(v parquet.Value) float32 { return float32(v.Uint64()) }
}

func decimalFloat(kind parquet.Kind, scale int32) func(parquet.Value) float32 {
	unit := math.Pow10(int(scale))
	if kind == parquet.Int32 {
		return func(v parquet.Value) float32 { return float32(float64(v.Int32()) / unit) }
	}
	return func(v parquet.Value) float32 { return float32(float64(v.Int64()) / unit) }
}
