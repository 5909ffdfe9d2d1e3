package data

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	arrowarray "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"
)

// Arrow IPC, as a file (Feather 2) or a stream. A file is a stream between its magic
// bytes and a footer, and is read as one: what the footer says is not needed.
// Record batches are decoded one at a time.

const arrowMagic = "ARROW1"

// arrowContinuation starts each message of a stream.
const arrowContinuation = "\xFF\xFF\xFF\xFF"

// isArrow takes a file, or a stream whose first message has a length that it may have.
func isArrow(head []byte) bool {
	stream := len(head) >= 8 && strings.HasPrefix(string(head), arrowContinuation)
	return strings.HasPrefix(string(head), arrowMagic+"\x00\x00") || stream && binary.LittleEndian.Uint32(head[4:]) <= arrowDescription
}

// A message of a stream is at most as long as the file; its description is at most
// arrowDescription bytes. What is decompressed grows by inflateRatio, or to
// arrowAlways bytes in any case.
const (
	arrowDescription = 1 << 26
	arrowAlways      = 1 << 26
)

// arrowFrame reads the rows of record batches.
type arrowFrame struct {
	in      *input
	info    FrameInfo
	reader  *ipc.Reader
	columns []arrowCell
	batch   arrow.RecordBatch // nil before the first
	next    int               // row of the batch
	rows    int               // before the batch
}

// arrowCell appends rows from, ..., to-1 of a column of that type; it says which
// row cannot be a cell, or -1.
type arrowCell struct {
	column FrameColumn
	read   func(a arrow.Array, from, to int) (v Values, bad int)
	what   string // is wrong with it
}

func openArrowFrame(_ context.Context, in *input, o Options) (Frame, error) {
	if in.file == nil {
		return nil, &Error{Path: in.path, Problem: "is a compressed Arrow file", Remedy: "decompress it first: Arrow compresses its buffers itself"}
	}
	f := &arrowFrame{in: in, info: FrameInfo{Name: filepath.Base(in.path), Path: in.path, Format: "arrow", Named: true, Rows: -1, SHA256: in.sha256}}
	if o.Name != "" {
		f.info.Name, f.info.Path = o.Name, ""
	}
	if err := f.start(); err != nil {
		return nil, err
	}
	for c, field := range f.reader.Schema().Fields() {
		cell, err := arrowCellOf(field.Type)
		if err != nil {
			err.Path, err.Column, err.ColumnName = in.path, c+1, field.Name
			return nil, err
		}
		cell.column.Name = field.Name
		f.columns = append(f.columns, cell)
		f.info.Columns = append(f.info.Columns, cell.column)
	}
	if len(f.columns) == 0 {
		return nil, &Error{Path: in.path, Problem: "has no columns", Remedy: remedyRewrite}
	}
	return f, nil
}

// start reads the schema.
func (f *arrowFrame) start() (err error) {
	defer f.recovered(&err)
	head, _ := f.in.stream.Peek(len(arrowMagic) + 2)
	if bytes.HasPrefix(head, []byte(arrowMagic)) {
		f.in.stream.Discard(len(head))
		end := make([]byte, len(arrowMagic))
		if _, err := f.in.file.ReadAt(end, max(0, f.in.size-int64(len(end)))); err != nil && err != io.EOF {
			return f.in.readError(err)
		}
		if string(end) != arrowMagic || f.in.size <= int64(len(head)+len(end)) {
			return &Error{Path: f.in.path, Problem: "is a truncated Arrow file: it does not end with its footer", Remedy: remedyRewrite}
		}
	}
	limit := &limitedAllocator{Allocator: arrowmemory.NewGoAllocator(), most: int(max(arrowAlways, min(inflateRatio*f.in.size, math.MaxInt32*inflateRatio)))}
	messages := ipc.NewMessageReader(&arrowMessages{from: f.in.stream, size: f.in.size}, ipc.WithAllocator(limit), ipc.WithMetadataSizeLimit(min(arrowDescription, f.in.size)), ipc.WithBodySizeLimit(f.in.size))
	f.reader, err = ipc.NewReaderFromMessageReader(messages, ipc.WithAllocator(limit))
	return f.failure(err)
}

// limitedAllocator panics with an *Error where a damaged file asks for more memory
// than any real data take.
type limitedAllocator struct {
	arrowmemory.Allocator
	most int
}

func (l *limitedAllocator) check(size int) {
	if size < 0 || size > l.most {
		panic(&Error{Problem: fmt.Sprintf("asks for a buffer of %d bytes, more than the limit of %d for a file of its size", size, l.most), Remedy: "write it again without compression if it is what you expect"})
	}
}

func (l *limitedAllocator) Allocate(size int) []byte {
	l.check(size)
	return l.Allocator.Allocate(size)
}

func (l *limitedAllocator) Reallocate(size int, b []byte) []byte {
	l.check(size)
	return l.Allocator.Reallocate(size, b)
}

// recovered turns a panic of the decoder into an error.
func (f *arrowFrame) recovered(err *error) {
	switch p := recover().(type) {
	case nil:
	case *Error:
		p.Path = f.in.path
		*err = p
	default:
		*err = &Error{Path: f.in.path, Problem: fmt.Sprintf("is a damaged Arrow file: %v", p), Remedy: remedyRewrite}
	}
}

// failure is an error of the decoder.
func (f *arrowFrame) failure(err error) error {
	var ours *Error
	switch {
	case errors.As(err, &ours):
		ours.Path = f.in.path
		return ours
	case err == nil, err == io.EOF, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Path: f.in.path, Problem: "ends early", Remedy: remedyRewrite, Err: err}
	}
	return &Error{Path: f.in.path, Problem: "is a damaged Arrow file: " + err.Error(), Remedy: remedyRewrite, Err: err}
}

func (f *arrowFrame) Info() FrameInfo { return f.info }
func (f *arrowFrame) Close() error    { return f.in.Close() }

func (f *arrowFrame) Rewind() error {
	if err := f.in.rewind(); err != nil {
		return err
	}
	f.batch, f.next, f.rows = nil, 0, 0
	return f.start()
}

func (f *arrowFrame) Next(ctx context.Context, max int) (_ *Cells, err error) {
	defer f.recovered(&err)
	if err := f.turn(ctx); err != nil {
		return nil, err
	}
	from := f.next
	f.next = min(int(f.batch.NumRows()), from+max)
	cells := &Cells{Rows: f.next - from, Columns: make([]Values, len(f.columns))}
	for c, column := range f.columns {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, bad := column.read(f.batch.Column(c), from, f.next)
		if bad >= 0 {
			return nil, &Error{Path: f.in.path, Row: f.rows + bad + 1, Column: c + 1, ColumnName: column.column.Name, Problem: column.what, Remedy: "correct the value or remove the column"}
		}
		if v.Len() != cells.Rows {
			return nil, &Error{Path: f.in.path, Column: c + 1, ColumnName: column.column.Name, Problem: "is a damaged Arrow file: a column is shorter than its batch", Remedy: remedyRewrite}
		}
		cells.Columns[c] = v
	}
	return cells, nil
}

// turn goes to the next batch with rows, after the last of this one.
func (f *arrowFrame) turn(ctx context.Context) error {
	for f.batch == nil || f.next == int(f.batch.NumRows()) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.batch != nil {
			f.rows += f.next
		}
		batch, err := f.reader.Read()
		if err == io.EOF {
			f.info.Rows, f.batch, f.next = f.rows, nil, 0
			return err
		}
		if err != nil {
			return f.failure(err)
		}
		if batch.NumRows() < 0 || int(batch.NumCols()) != len(f.columns) || f.rows > maxRows-int(min(batch.NumRows(), maxRows)) {
			return &Error{Path: f.in.path, Problem: fmt.Sprintf("has a batch of %d rows and %d columns", batch.NumRows(), batch.NumCols()), Remedy: remedyRewrite}
		}
		f.batch, f.next = batch, 0
	}
	return nil
}

// arrowCellOf chooses how the values of a column become cells.
func arrowCellOf(t arrow.DataType) (arrowCell, *Error) {
	switch t := t.(type) {
	case *arrow.BooleanType:
		return arrowCell{FrameColumn{Type: Boolean}, readArrow(Boolean, func(a *arrowarray.Boolean, i int, v *Values, row int) bool { v.Booleans[row] = a.Value(i); return true }), ""}, nil
	case *arrow.Int8Type:
		return arrowInteger[int8, *arrowarray.Int8](), nil
	case *arrow.Int16Type:
		return arrowInteger[int16, *arrowarray.Int16](), nil
	case *arrow.Int32Type:
		return arrowInteger[int32, *arrowarray.Int32](), nil
	case *arrow.Int64Type:
		return arrowInteger[int64, *arrowarray.Int64](), nil
	case *arrow.Uint8Type:
		return arrowInteger[uint8, *arrowarray.Uint8](), nil
	case *arrow.Uint16Type:
		return arrowInteger[uint16, *arrowarray.Uint16](), nil
	case *arrow.Uint32Type:
		return arrowInteger[uint32, *arrowarray.Uint32](), nil
	case *arrow.Uint64Type:
		return arrowNumber(false, func(a *arrowarray.Uint64, i int) float64 { return float64(a.Value(i)) }), nil
	case *arrow.Float16Type:
		return arrowNumber(true, func(a *arrowarray.Float16, i int) float64 { return float64(a.Value(i).Float32()) }), nil
	case *arrow.Float32Type:
		return arrowNumber(true, func(a *arrowarray.Float32, i int) float64 { return float64(a.Value(i)) }), nil
	case *arrow.Float64Type:
		return arrowNumber(false, func(a *arrowarray.Float64, i int) float64 { return a.Value(i) }), nil
	case *arrow.Decimal128Type:
		return arrowNumber(false, func(a *arrowarray.Decimal128, i int) float64 { return a.Value(i).ToFloat64(t.Scale) }), nil
	case *arrow.Decimal256Type:
		return arrowNumber(false, func(a *arrowarray.Decimal256, i int) float64 { return a.Value(i).ToFloat64(t.Scale) }), nil
	case *arrow.NullType:
		return arrowNumber(false, func(*arrowarray.Null, int) float64 { return math.NaN() }), nil
	case *arrow.StringType:
		return arrowText(func(a *arrowarray.String, i int) string { return a.Value(i) }), nil
	case *arrow.LargeStringType:
		return arrowText(func(a *arrowarray.LargeString, i int) string { return a.Value(i) }), nil
	case *arrow.StringViewType:
		return arrowText(func(a *arrowarray.StringView, i int) string { return strings.Clone(a.Value(i)) }), nil
	case *arrow.BinaryType:
		return arrowText(func(a *arrowarray.Binary, i int) string { return string(a.Value(i)) }), nil
	case *arrow.LargeBinaryType:
		return arrowText(func(a *arrowarray.LargeBinary, i int) string { return string(a.Value(i)) }), nil
	case *arrow.Date32Type:
		return arrowTime(true, nanosecondsADay, func(a *arrowarray.Date32, i int) int64 { return int64(a.Value(i)) }), nil
	case *arrow.Date64Type:
		return arrowTime(true, 1_000_000, func(a *arrowarray.Date64, i int) int64 { return int64(a.Value(i)) }), nil
	case *arrow.TimestampType:
		return arrowTime(false, int64(t.Unit.Multiplier()), func(a *arrowarray.Timestamp, i int) int64 { return int64(a.Value(i)) }), nil
	case *arrow.DictionaryType:
		return arrowDictionary(t)
	case arrow.NestedType:
		return arrowCell{}, nested()
	}
	return arrowCell{}, refusedCells(t.String())
}

// readArrow reads values one by one. put reports whether a value can be a cell.
func readArrow[A arrow.Array](t CellType, put func(a A, i int, v *Values, row int) bool) func(arrow.Array, int, int) (Values, int) {
	return func(a arrow.Array, from, to int) (Values, int) {
		v, typed := makeValues(t, to-from), a.(A)
		for i := from; i < to; i++ {
			if a.IsNull(i) {
				v.absent(i - from)
			} else if !put(typed, i, &v, i-from) {
				return v, i
			}
		}
		return v, -1
	}
}

// arrowIntegers is an array of whole numbers.
type arrowIntegers[T number] interface {
	arrow.Array
	Value(int) T
}

func arrowInteger[T number, A arrowIntegers[T]]() arrowCell {
	return arrowCell{FrameColumn{Type: Integer}, readArrow(Integer, func(a A, i int, v *Values, row int) bool {
		v.Integers[row] = int64(a.Value(i))
		return true
	}), ""}
}

// arrowNumber takes NaN for absent.
func arrowNumber[A arrow.Array](single bool, of func(A, int) float64) arrowCell {
	return arrowCell{FrameColumn{Type: Number, Single: single}, readArrow(Number, func(a A, i int, v *Values, row int) bool {
		if v.Numbers[row] = of(a, i); v.Numbers[row] != v.Numbers[row] {
			v.absent(row)
		}
		return true
	}), ""}
}

func arrowText[A arrow.Array](of func(A, int) string) arrowCell {
	return arrowCell{FrameColumn{Type: Text}, readArrow(Text, func(a A, i int, v *Values, row int) bool {
		v.Text[row] = of(a, i)
		return utf8.ValidString(v.Text[row])
	}), "the text is not UTF-8"}
}

func arrowTime[A arrow.Array](dates bool, unit int64, of func(A, int) int64) arrowCell {
	return arrowCell{FrameColumn{Type: Time, Dates: dates}, readArrow(Time, func(a A, i int, v *Values, row int) (ok bool) {
		v.Times[row], ok = scaledTime(of(a, i), unit)
		return ok
	}), timeOutOfRange}
}

// arrowDictionary reads the values that are used where they lie.
func arrowDictionary(t *arrow.DictionaryType) (arrowCell, *Error) {
	cell, err := arrowCellOf(t.ValueType)
	if err != nil {
		return cell, err
	}
	read := cell.read
	cell.read = func(a arrow.Array, from, to int) (Values, int) {
		d := a.(*arrowarray.Dictionary)
		v, known := makeValues(cell.column.Type, to-from), map[int]Values{}
		for i := from; i < to; i++ {
			if d.IsNull(i) {
				v.absent(i - from)
				continue
			}
			code := d.GetValueIndex(i)
			one, ok := known[code]
			if !ok {
				var bad int
				if one, bad = read(d.Dictionary(), code, code+1); bad >= 0 {
					return v, i
				}
				known[code] = one
			}
			v.set(i-from, &one)
		}
		return v, -1
	}
	return cell, nil
}

// set makes the only cell of one, of the same type, the cell of a row.
func (v *Values) set(row int, one *Values) {
	switch {
	case one.IsAbsent(0):
		v.absent(row)
	case v.Text != nil:
		v.Text[row] = one.Text[0]
	case v.Numbers != nil:
		v.Numbers[row] = one.Numbers[0]
	case v.Integers != nil:
		v.Integers[row] = one.Integers[0]
	case v.Booleans != nil:
		v.Booleans[row] = one.Booleans[0]
	default:
		v.Times[row] = one.Times[0]
	}
}
