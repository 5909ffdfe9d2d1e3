package data

import (
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	arrowarray "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"
)

// A record batch, which the writer holds in memory, ends at so many values or bytes
// of text.
const (
	arrowBatchValues = 1 << 20
	arrowBatchText   = 1 << 24
)

// arrowTable writes rows as an Arrow IPC file.
type arrowTable struct {
	file    *ipc.FileWriter
	builder *arrowarray.RecordBuilder
	rows    int // in the batch
	most    int
	text    int // bytes in the batch
}

func newArrowTable(out *output, fields []arrow.Field) (*arrowTable, error) {
	schema := arrow.NewSchema(fields, nil)
	mem := arrowmemory.NewGoAllocator()
	file, err := ipc.NewFileWriter(out, ipc.WithSchema(schema), ipc.WithAllocator(mem))
	if err != nil {
		return nil, fmt.Errorf("writing Arrow: %w", err)
	}
	return &arrowTable{file: file, builder: arrowarray.NewRecordBuilder(mem, schema), most: max(1, arrowBatchValues/len(fields))}, nil
}

// added writes the batch when it is full.
func (t *arrowTable) added(rows, text int) error {
	t.rows, t.text = t.rows+rows, t.text+text
	if t.rows < t.most && t.text < arrowBatchText {
		return nil
	}
	return t.flush()
}

func (t *arrowTable) flush() error {
	batch := t.builder.NewRecordBatch()
	defer batch.Release()
	t.rows, t.text = 0, 0
	if err := t.file.Write(batch); err != nil {
		return fmt.Errorf("writing Arrow: %w", err)
	}
	return nil
}

func (t *arrowTable) end(int) error {
	if t.rows > 0 {
		if err := t.flush(); err != nil {
			return err
		}
	}
	if err := t.file.Close(); err != nil {
		return fmt.Errorf("writing Arrow: %w", err)
	}
	return nil
}

// arrowNumbers is a table of an array: of uint8, or of float32 where NaN is null.
type arrowNumbers struct{ *arrowTable }

func arrowArray(out *output, a ArrayInfo) (arrayFormat, error) {
	var fields []arrow.Field
	for c := range a.features() {
		field := arrow.Field{Name: strconv.Itoa(c), Type: arrow.PrimitiveTypes.Float32, Nullable: true}
		if a.Columns != nil {
			field.Name = a.Columns[c]
		}
		if a.Element == Uint8 {
			field.Type, field.Nullable = arrow.PrimitiveTypes.Uint8, false
		}
		fields = append(fields, field)
	}
	table, err := newArrowTable(out, fields)
	return arrowNumbers{table}, err
}

func (t arrowNumbers) append(values any) error {
	floats, _ := values.([]float32)
	bytes, _ := values.([]uint8)
	columns := t.builder.Fields()
	for i, v := range bytes {
		columns[i%len(columns)].(*arrowarray.Uint8Builder).Append(v)
	}
	for i, v := range floats {
		if column := columns[i%len(columns)].(*arrowarray.Float32Builder); math.IsNaN(float64(v)) {
			column.AppendNull()
		} else {
			column.Append(v)
		}
	}
	return t.added((len(bytes)+len(floats))/len(columns), 0)
}

// arrowCells is a table of cells of any type.
type arrowCells struct {
	*arrowTable
	columns []FrameColumn
}

func arrowFrameOf(out *output, columns []FrameColumn) (frameFormat, error) {
	var fields []arrow.Field
	for _, c := range columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: arrowType(c), Nullable: true})
	}
	table, err := newArrowTable(out, fields)
	return arrowCells{table, columns}, err
}

func arrowType(c FrameColumn) arrow.DataType {
	switch {
	case c.Type == Number && c.Single:
		return arrow.PrimitiveTypes.Float32
	case c.Type == Number:
		return arrow.PrimitiveTypes.Float64
	case c.Type == Integer:
		return arrow.PrimitiveTypes.Int64
	case c.Type == Boolean:
		return arrow.FixedWidthTypes.Boolean
	case c.Type == Time && c.Dates:
		return arrow.FixedWidthTypes.Date32
	case c.Type == Time:
		return arrow.FixedWidthTypes.Timestamp_ns
	}
	return arrow.BinaryTypes.String
}

func (t arrowCells) append(cells *Cells) error {
	text := 0
	for c, builder := range t.builder.Fields() {
		v := &cells.Columns[c]
		for i := range cells.Rows {
			if v.IsAbsent(i) || v.Numbers != nil && math.IsNaN(v.Numbers[i]) {
				builder.AppendNull()
				continue
			}
			switch builder := builder.(type) {
			case *arrowarray.Float32Builder:
				builder.Append(float32(v.Numbers[i]))
			case *arrowarray.Float64Builder:
				builder.Append(v.Numbers[i])
			case *arrowarray.Int64Builder:
				builder.Append(v.Integers[i])
			case *arrowarray.BooleanBuilder:
				builder.Append(v.Booleans[i])
			case *arrowarray.Date32Builder:
				builder.Append(arrow.Date32(floorDiv(v.Times[i], nanosecondsADay)))
			case *arrowarray.TimestampBuilder:
				builder.Append(arrow.Timestamp(v.Times[i]))
			case *arrowarray.StringBuilder:
				builder.Append(v.Text[i])
				text += len(v.Text[i])
			}
		}
	}
	return t.added(cells.Rows, text)
}
