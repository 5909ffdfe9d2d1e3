package reference

import (
	"encoding/binary"
	"fmt"
	"math"

	"gpudae/device"
)

// memory holds float64 numbers or words, by its kind.
type memory struct {
	owner  *Device
	kind   device.Type
	floats []float64
	words  []uint32
}

// Type implements device.Memory.
func (m *memory) Type() device.Type { return m.kind }

// Len implements device.Memory.
func (m *memory) Len() int { return len(m.floats) + len(m.words) }

// matrix is a view as a slice, row-major. An absent view has no data.
type matrix struct {
	rows, columns int
	data          []float64
}

func (m matrix) row(i int) []float64 { return m.data[i*m.columns : (i+1)*m.columns] }

func (m matrix) at(i, j int) float64 { return m.data[i*m.columns+j] }

func (m matrix) transpose() matrix {
	t := matrix{rows: m.columns, columns: m.rows, data: make([]float64, len(m.data))}
	for i := range m.rows {
		for j := range m.columns {
			t.row(j)[i] = m.at(i, j)
		}
	}
	return t
}

// Float64s returns the elements of a view of a reference device's memory, in
// full precision and live: writing to the slice writes to the device.
func Float64s(v device.View) []float64 {
	m, ok := v.Memory.(*memory)
	if !ok || m.kind != device.Float {
		panic(fmt.Sprintf("reference: view of %T, which is not float memory of a reference device", v.Memory))
	}
	return m.floats[v.Offset : v.Offset+v.Len() : v.Offset+v.Len()]
}

func (d *Device) matrix(v device.View) matrix {
	if v.IsZero() {
		return matrix{}
	}
	data := Float64s(v)
	if v.Memory.(*memory).owner != d {
		panic("reference: view of another device's memory")
	}
	return matrix{rows: v.Rows, columns: v.Columns, data: data}
}

func (d *Device) words(w device.Words) []uint32 {
	if w.IsZero() {
		return nil
	}
	m, ok := w.Memory.(*memory)
	if !ok || m.kind != device.Word || m.owner != d {
		panic(fmt.Sprintf("reference: words of %T, which is not word memory of this device", w.Memory))
	}
	return m.words[w.Offset : w.Offset+w.Len : w.Offset+w.Len]
}

// clock reads a clock; an absent one stands at zero.
func (d *Device) clock(w device.Words) device.Clock {
	if w.IsZero() {
		return device.Clock{}
	}
	return device.ClockFromWords(d.words(w))
}

// table is a resident data set.
type table struct {
	owner *Device
	device.Table
}

// Shape implements device.Dataset.
func (t *table) Shape() (rows, columns int) { return t.Rows, t.Columns }

// value is an element, widened to float32 as device.Table says.
func (t *table) value(row, column int) float32 {
	if t.Records != nil {
		return recordValue(t.Records, row, column)
	}
	at := row*t.Columns + column
	if t.Uint8 != nil {
		return t.Scale * float32(t.Uint8[at])
	}
	return t.Float32[at]
}

// recordValue reads a cell of a record, from the documentation of device.Records.
func recordValue(r *device.Records, row, column int) float32 {
	c := r.Columns[column]
	record := r.Bytes[row*r.Stride:]
	var number int
	switch c.Cell {
	case device.CellFloat32:
		return math.Float32frombits(binary.LittleEndian.Uint32(record[c.Offset:]))
	case device.CellBit:
		number = int(record[c.Offset/8]) / (1 << (c.Offset % 8)) % 2
	case device.CellUint8:
		number = int(record[c.Offset]) - 1
	case device.CellUint16:
		number = int(binary.LittleEndian.Uint16(record[c.Offset:])) - 1
	}
	switch {
	case number == -1 || c.Values != nil && number >= len(c.Values):
		return absent
	case c.Values == nil:
		return float32(number)
	}
	return c.Values[number]
}

// absent is the value of a cell that is not there.
var absent = float32(math.NaN())

func (d *Device) table(s device.Dataset) *table {
	t, ok := s.(*table)
	if !ok || t.owner != d {
		panic(fmt.Sprintf("reference: data set %T is not of this device", s))
	}
	return t
}
