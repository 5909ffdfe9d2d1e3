package data

import (
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

// parquetGroupValues is the number of values in a group of rows, which the
// writer holds in memory.
const parquetGroupValues = 1 << 22

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

// parquetSchema describes the columns: of uint8, or of float32 where NaN is null.
func parquetSchema(s source) (orderedColumns, error) {
	node := parquet.Optional(parquet.Leaf(parquet.FloatType))
	if s.uint8 {
		node = parquet.Uint(8)
	}
	o := orderedColumns{parquet.Group{}, s.columns}
	if o.names == nil {
		for c := range s.width() {
			o.names = append(o.names, strconv.Itoa(c))
		}
	}
	for c, name := range o.names {
		if name == "" || o.Group[name] != nil {
			return o, &Error{Column: c + 1, ColumnName: name, Problem: "Parquet needs a name for each column, all different", Remedy: "rename the column"}
		}
		o.Group[name] = parquet.Compressed(node, &parquet.Snappy)
	}
	return o, nil
}

// writeParquet writes a table of rows.
func writeParquet(w io.Writer, s source) error {
	schema, err := parquetSchema(s)
	if err != nil {
		return err
	}
	width := s.width()
	file := parquet.NewWriter(w, parquet.NewSchema("schema", schema), parquet.CreatedBy("gpudae", "", ""),
		parquet.MaxRowsPerRowGroup(int64(max(1, parquetGroupValues/width))))
	row := make(parquet.Row, 0, width)
	err = s.each(func(values any) error {
		floats, _ := values.([]float32)
		bytes, _ := values.([]uint8)
		for i := range len(floats) + len(bytes) {
			c := len(row)
			switch {
			case floats == nil:
				row = append(row, parquet.Int32Value(int32(bytes[i])).Level(0, 0, c))
			case math.IsNaN(float64(floats[i])):
				row = append(row, parquet.NullValue().Level(0, 0, c))
			default:
				row = append(row, parquet.FloatValue(floats[i]).Level(0, 1, c))
			}
			if len(row) < width {
				continue
			}
			if _, err := file.WriteRows([]parquet.Row{row}); err != nil {
				return fmt.Errorf("writing Parquet: %w", err)
			}
			row = row[:0]
		}
		return nil
	})
	if err != nil {
		return err
	}
	return file.Close()
}
