package data

import (
	"fmt"
	"math"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

// A group of rows, which the writer holds in memory, ends at so many values or
// bytes of text.
const (
	parquetGroupValues = 1 << 21
	parquetGroupText   = 1 << 24
)

// orderedColumns is a schema whose columns keep their order; that of the library
// sorts them by name.
type orderedColumns struct {
	parquet.Group
	names []string
}

// Fields implements parquet.Node.
func (o orderedColumns) Fields() []parquet.Field {
	byName := map[string]parquet.Field{}
	for _, f := range o.Group.Fields() {
		byName[f.Name()] = f
	}
	fields := make([]parquet.Field, len(o.names))
	for i, name := range o.names {
		fields[i] = byName[name]
	}
	return fields
}

// add appends a column.
func (o *orderedColumns) add(name string, node parquet.Node) error {
	if name == "" || o.Group[name] != nil {
		return &Error{Column: len(o.names) + 1, ColumnName: name, Problem: "Parquet needs a name for each column, all different", Remedy: "rename the column"}
	}
	o.Group[name] = parquet.Compressed(node, &parquet.Snappy)
	o.names = append(o.names, name)
	return nil
}

// parquetTable writes rows, which it collects in row.
type parquetTable struct {
	file  *parquet.GenericWriter[any]
	width int
	row   parquet.Row
	text  int // bytes in the group of rows
}

func newParquetTable(out *output, o orderedColumns) *parquetTable {
	width := len(o.names)
	return &parquetTable{width: width, row: make(parquet.Row, 0, width),
		file: parquet.NewGenericWriter[any](out, parquet.NewSchema("schema", o), parquet.CreatedBy("gpudae", "", ""),
			parquet.MaxRowsPerRowGroup(int64(max(1, parquetGroupValues/width))))}
}

// put adds a cell to the row, at its definition level, and writes the row when it
// is complete.
func (p *parquetTable) put(v parquet.Value, level int) error {
	p.row = append(p.row, v.Level(0, level, len(p.row)))
	if len(p.row) < p.width {
		return nil
	}
	if _, err := p.file.WriteRows([]parquet.Row{p.row}); err != nil {
		return fmt.Errorf("writing Parquet: %w", err)
	}
	p.row = p.row[:0]
	if p.text > parquetGroupText {
		p.text = 0
		if err := p.file.Flush(); err != nil {
			return fmt.Errorf("writing Parquet: %w", err)
		}
	}
	return nil
}

func (p *parquetTable) end(int) error { return p.file.Close() }

// parquetNumbers is a table of an array: of uint8, or of float32 where NaN is null.
type parquetNumbers struct{ *parquetTable }

func parquetArray(out *output, a ArrayInfo) (arrayFormat, error) {
	node := parquet.Optional(parquet.Leaf(parquet.FloatType))
	if a.Element == Uint8 {
		node = parquet.Uint(8)
	}
	o := orderedColumns{Group: parquet.Group{}}
	for c := range a.features() {
		name := strconv.Itoa(c)
		if a.Columns != nil {
			name = a.Columns[c]
		}
		if err := o.add(name, node); err != nil {
			return nil, err
		}
	}
	return parquetNumbers{newParquetTable(out, o)}, nil
}

func (p parquetNumbers) append(values any) error {
	floats, _ := values.([]float32)
	bytes, _ := values.([]uint8)
	for _, v := range bytes {
		if err := p.put(parquet.Int32Value(int32(v)), 0); err != nil {
			return err
		}
	}
	for _, v := range floats {
		value, level := parquet.FloatValue(v), 1
		if math.IsNaN(float64(v)) {
			value, level = parquet.NullValue(), 0
		}
		if err := p.put(value, level); err != nil {
			return err
		}
	}
	return nil
}

// parquetCells is a table of cells of any type.
type parquetCells struct {
	*parquetTable
	columns []FrameColumn
}

func parquetFrameOf(out *output, columns []FrameColumn) (frameFormat, error) {
	o := orderedColumns{Group: parquet.Group{}}
	for _, c := range columns {
		if err := o.add(c.Name, parquet.Optional(parquetNode(c))); err != nil {
			return nil, err
		}
	}
	return parquetCells{newParquetTable(out, o), columns}, nil
}

func parquetNode(c FrameColumn) parquet.Node {
	switch c.Type {
	case Number:
		if c.Single {
			return parquet.Leaf(parquet.FloatType)
		}
		return parquet.Leaf(parquet.DoubleType)
	case Integer:
		return parquet.Int(64)
	case Boolean:
		return parquet.Leaf(parquet.BooleanType)
	case Time:
		if c.Dates {
			return parquet.Date()
		}
		return parquet.Timestamp(parquet.Nanosecond)
	}
	return parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
}

func (p parquetCells) append(cells *Cells) error {
	for i := range cells.Rows {
		for c := range cells.Columns {
			v := &cells.Columns[c]
			value, level := parquet.NullValue(), 0
			if !v.IsAbsent(i) && !(v.Numbers != nil && math.IsNaN(v.Numbers[i])) {
				value, level = p.value(v, c, i), 1
			}
			if v.Text != nil {
				p.text += len(v.Text[i])
			}
			if err := p.put(value, level); err != nil {
				return err
			}
		}
	}
	return nil
}

// value is a cell that is there.
func (p parquetCells) value(v *Values, column, row int) parquet.Value {
	switch {
	case v.Numbers != nil && p.columns[column].Single:
		return parquet.FloatValue(float32(v.Numbers[row]))
	case v.Numbers != nil:
		return parquet.DoubleValue(v.Numbers[row])
	case v.Integers != nil:
		return parquet.Int64Value(v.Integers[row])
	case v.Booleans != nil:
		return parquet.BooleanValue(v.Booleans[row])
	case v.Times != nil && p.columns[column].Dates:
		return parquet.Int32Value(int32(floorDiv(v.Times[row], nanosecondsADay)))
	case v.Times != nil:
		return parquet.Int64Value(v.Times[row])
	}
	return parquet.ByteArrayValue([]byte(v.Text[row]))
}

// nanosecondsADay is the length of a day.
const nanosecondsADay = 24 * 60 * 60 * 1_000_000_000

// floorDiv divides by b > 0 and rounds down.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
