package data

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
	"math/big"
	"math/bits"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	parquetformat "github.com/parquet-go/parquet-go/format"
)

// parquetFrame reads the rows of a Parquet file as cells. It holds a page of each
// column.
type parquetFrame struct {
	info    FrameInfo
	columns []*parquetCellColumn
	next    int
	close   func() error
}

// parquetCellColumn reads a column as cells.
type parquetCellColumn struct {
	*parquetColumn
	parquetCell
}

// parquetCell says what the values of a column are as cells.
type parquetCell struct {
	column FrameColumn
	// put makes the value, which is not null, the cell of a row among those that are
	// there; false: it cannot be a cell of that type.
	put func(to *Values, row int, v parquet.Value) bool
	bad string // what is wrong where put says false
}

func openParquetFrame(_ context.Context, in *input, o Options) (_ Frame, err error) {
	defer recovered(&err, in.path)
	if in.file == nil {
		return nil, &Error{Path: in.path, Problem: "is a compressed Parquet file", Remedy: "decompress it first: Parquet is compressed already"}
	}
	file, err := openParquetFile(in)
	if err != nil {
		return nil, err
	}
	f := &parquetFrame{close: in.Close}
	f.info = FrameInfo{Name: filepath.Base(in.path), Path: in.path, Format: "parquet", Named: true, Rows: int(file.NumRows()), SHA256: in.sha256}
	if o.Name != "" {
		f.info.Name, f.info.Path = o.Name, ""
	}
	for c, column := range file.Root().Columns() {
		cell, err := parquetCellOf(column)
		if err != nil {
			return nil, parquetError(in.path, c, column.Name(), err)
		}
		cell.column.Name = column.Name()
		f.columns = append(f.columns, &parquetCellColumn{&parquetColumn{number: c, chunks: chunksOf(file, column.Index())}, cell})
		f.info.Columns = append(f.info.Columns, cell.column)
	}
	return f, nil
}

func (f *parquetFrame) Info() FrameInfo { return f.info }
func (f *parquetFrame) Rewind() error   { f.next = 0; return nil }

func (f *parquetFrame) Close() error {
	for _, c := range f.columns {
		c.release()
	}
	return f.close()
}

func (f *parquetFrame) Next(ctx context.Context, max int) (_ *Cells, err error) {
	defer recovered(&err, f.info.Path)
	n := min(max, f.info.Rows-f.next, 1+blockElements/len(f.columns))
	if n == 0 {
		return nil, io.EOF
	}
	cells := &Cells{Rows: n, Columns: make([]Values, len(f.columns))}
	for i, c := range f.columns {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if cells.Columns[i], err = c.read(f.next, n); err != nil {
			return nil, parquetError(f.info.Path, c.number, c.column.Name, err)
		}
	}
	f.next += n
	return cells, nil
}

// read returns rows from, ..., from+n-1.
func (c *parquetCellColumn) read(from, n int) (Values, error) {
	to := makeValues(c.column.Type, n)
	err := c.each(from, n, func(row int, v parquet.Value) error {
		if v.IsNull() {
			to.absent(row - from)
			return nil
		}
		if !c.put(&to, row-from, v) {
			return &Error{Row: row + 1, Problem: c.bad, Remedy: "correct the value or remove the column"}
		}
		return nil
	})
	return to, err
}

// makeValues makes n cells.
func makeValues(t CellType, n int) Values {
	switch t {
	case Number:
		return Values{Numbers: make([]float64, n)}
	case Integer:
		return Values{Integers: make([]int64, n)}
	case Boolean:
		return Values{Booleans: make([]bool, n)}
	case Time:
		return Values{Times: make([]int64, n)}
	}
	return Values{Text: make([]string, n)}
}

// parquetCellOf chooses how the values of a column become cells.
func parquetCellOf(column *parquet.Column) (parquetCell, error) {
	if !column.Leaf() || column.Repeated() {
		return parquetCell{}, nested()
	}
	t := column.Type()
	if l := t.LogicalType(); l != nil && l.Value != nil {
		return parquetLogical(t.Kind(), l)
	}
	if c := t.ConvertedType(); c != nil && t.Kind() == parquet.Int64 {
		switch *c {
		case deprecated.TimestampMillis:
			return timeCell(time.Millisecond), nil
		case deprecated.TimestampMicros:
			return timeCell(time.Microsecond), nil
		}
	}
	switch t.Kind() {
	case parquet.Boolean:
		return parquetCell{FrameColumn{Type: Boolean}, func(to *Values, row int, v parquet.Value) bool { to.Booleans[row] = v.Boolean(); return true }, ""}, nil
	case parquet.Int32:
		return integerCell(func(v parquet.Value) int64 { return int64(v.Int32()) }), nil
	case parquet.Int64:
		return integerCell(parquet.Value.Int64), nil
	case parquet.Int96:
		return timeOf(func(v parquet.Value) (int64, bool) { return int96Time(v.Int96()) }), nil
	case parquet.Float:
		return numberCell(true, func(v parquet.Value) float64 { return float64(v.Float()) }), nil
	case parquet.Double:
		return numberCell(false, parquet.Value.Double), nil
	case parquet.ByteArray:
		return textCell(), nil
	}
	return parquetCell{}, refusedCells("bytes")
}

// parquetLogical is parquetCellOf for values that are more than their bits.
func parquetLogical(kind parquet.Kind, l *parquetformat.LogicalType) (parquetCell, error) {
	switch logical := l.Value.(type) {
	case *parquetformat.StringType, *parquetformat.EnumType, *parquetformat.JsonType:
		return textCell(), nil
	case *parquetformat.IntType:
		switch {
		case logical.IsSigned && kind == parquet.Int32:
			return integerCell(func(v parquet.Value) int64 { return int64(v.Int32()) }), nil
		case logical.IsSigned:
			return integerCell(parquet.Value.Int64), nil
		case kind == parquet.Int32:
			return integerCell(func(v parquet.Value) int64 { return int64(v.Uint32()) }), nil
		}
		return numberCell(false, func(v parquet.Value) float64 { return float64(v.Uint64()) }), nil
	case *parquetformat.DecimalType:
		return decimalCell(kind, logical.Scale), nil
	case *parquetformat.DateType:
		cell := timeOf(func(v parquet.Value) (int64, bool) {
			return int64(v.Int32()) * nanosecondsADay, abs(v.Int32()) < math.MaxInt64/nanosecondsADay
		})
		cell.column.Dates = true
		return cell, nil
	case *parquetformat.TimestampType:
		if logical.Unit.Value == nil {
			return parquetCell{}, refusedCells("times of no unit")
		}
		return timeCell(logical.Unit.Value.Duration()), nil
	case *parquetformat.UUIDType:
		return parquetCell{FrameColumn{Type: Text}, func(to *Values, row int, v parquet.Value) bool {
			h := hex.EncodeToString(v.ByteArray())
			if len(h) != 32 {
				return false
			}
			to.Text[row] = h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
			return true
		}, "is no UUID"}, nil
	case *parquetformat.NullType:
		return numberCell(false, func(parquet.Value) float64 { return math.NaN() }), nil
	}
	return parquetCell{}, refusedCells(l.String())
}

func refusedCells(what string) *Error {
	return &Error{Problem: "holds " + what + ", which no cell can be", Remedy: "remove the column, or write it as text, numbers or times"}
}

func abs(v int32) int64 { return max(int64(v), -int64(v)) }

func integerCell(of func(parquet.Value) int64) parquetCell {
	return parquetCell{FrameColumn{Type: Integer}, func(to *Values, row int, v parquet.Value) bool { to.Integers[row] = of(v); return true }, ""}
}

// numberCell takes NaN for absent.
func numberCell(single bool, of func(parquet.Value) float64) parquetCell {
	return parquetCell{FrameColumn{Type: Number, Single: single}, func(to *Values, row int, v parquet.Value) bool {
		if to.Numbers[row] = of(v); to.Numbers[row] != to.Numbers[row] {
			to.absent(row)
		}
		return true
	}, ""}
}

// textCell is text or bytes that are UTF-8. Values that come again, as those of a
// dictionary do, share their memory.
func textCell() parquetCell {
	const most = 4096
	seen := map[string]string{}
	return parquetCell{FrameColumn{Type: Text}, func(to *Values, row int, v parquet.Value) bool {
		bytes := v.ByteArray()
		text, ok := seen[string(bytes)]
		if !ok {
			if !utf8.Valid(bytes) {
				return false
			}
			text = string(bytes)
			if len(seen) == most {
				clear(seen)
			}
			seen[text] = text
		}
		to.Text[row] = text
		return true
	}, "the text is not UTF-8"}
}

// timeOf takes nanoseconds, and whether they are in range.
func timeOf(of func(parquet.Value) (int64, bool)) parquetCell {
	return parquetCell{FrameColumn{Type: Time}, func(to *Values, row int, v parquet.Value) (ok bool) {
		to.Times[row], ok = of(v)
		return ok
	}, timeOutOfRange}
}

const timeOutOfRange = "the time is not within the years 1678 to 2261, which count in nanoseconds"

func timeCell(unit time.Duration) parquetCell {
	return timeOf(func(v parquet.Value) (int64, bool) { return scaledTime(v.Int64(), int64(unit)) })
}

// scaledTime is count·unit, and whether that is in range.
func scaledTime(count, unit int64) (int64, bool) {
	high, low := bits.Mul64(uint64(max(count, -count)), uint64(unit))
	return count * unit, count != math.MinInt64 && high == 0 && low <= math.MaxInt64
}

// int96Time is nanoseconds of a day and a Julian day, as Impala and Spark wrote.
func int96Time(v deprecated.Int96) (int64, bool) {
	const julian1970 = 2440588
	nanoseconds := int64(uint64(v[0]) | uint64(v[1])<<32)
	day, ok := scaledTime(int64(v[2])-julian1970, nanosecondsADay)
	return day + nanoseconds, ok && nanoseconds >= 0 && nanoseconds < nanosecondsADay && day < math.MaxInt64-nanosecondsADay
}

// decimalCell is a whole number over 10^scale.
func decimalCell(kind parquet.Kind, scale int32) parquetCell {
	unit := math.Pow10(int(scale))
	switch kind {
	case parquet.Int32:
		return numberCell(false, func(v parquet.Value) float64 { return float64(v.Int32()) / unit })
	case parquet.Int64:
		return numberCell(false, func(v parquet.Value) float64 { return float64(v.Int64()) / unit })
	}
	return numberCell(false, func(v parquet.Value) float64 { return twosComplement(v.ByteArray()) / unit })
}

// twosComplement is a number in two's complement.
func twosComplement(b []byte) float64 {
	if len(b) <= 8 {
		var wide [8]byte
		if len(b) > 0 && b[0] >= 0x80 {
			binary.BigEndian.PutUint64(wide[:], math.MaxUint64)
		}
		copy(wide[8-len(b):], b)
		return float64(int64(binary.BigEndian.Uint64(wide[:])))
	}
	v := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	f, _ := new(big.Float).SetInt(v).Float64()
	return f
}
