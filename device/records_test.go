package device_test

import (
	"encoding/binary"
	"math"
	"testing"

	"gpudae/device"
)

// records of two rows: a bit, a uint8 with a dictionary, a uint16 of codes, a
// float32, and a bit with a dictionary.
func someRecords() device.Records {
	r := device.Records{Stride: 12, Columns: []device.Column{
		{Cell: device.CellBit, Offset: 9},
		{Cell: device.CellUint8, Offset: 3, Values: []float32{-1.5, 2.25}},
		{Cell: device.CellUint16, Offset: 10},
		{Cell: device.CellFloat32, Offset: 4},
		{Cell: device.CellBit, Offset: 7, Values: []float32{-1, 1}},
	}, Bytes: make([]byte, 24)}
	first, second := r.Bytes[:12], r.Bytes[12:]
	first[1], second[1] = 1<<1, 0xFF&^(1<<1)
	first[0], second[0] = 1<<7, 0
	first[3], second[3] = 2, 0
	binary.LittleEndian.PutUint16(first[10:], 65535)
	binary.LittleEndian.PutUint32(first[4:], math.Float32bits(0.1))
	binary.LittleEndian.PutUint32(second[4:], math.Float32bits(float32(math.NaN())))
	return r
}

func TestRecordsAt(t *testing.T) {
	r := someRecords()
	nan := float32(math.NaN())
	want := []float32{1, 2.25, 65534, 0.1, 1, 0, nan, nan, nan, -1}
	table := device.Table{Rows: 2, Columns: 5, Records: &r}
	table.Check()
	for i, x := range want {
		if got := table.At(i); got != x && !(got != got && x != x) {
			t.Errorf("element %d is %v, want %v", i, got, x)
		}
	}
	r.Bytes[3] = 3
	if got := r.At(0, 1); got == got {
		t.Errorf("the third of two values is %v, want NaN", got)
	}
	if table.Size() != 24 {
		t.Errorf("size %d, want 24", table.Size())
	}
}

func TestRecordsCheck(t *testing.T) {
	for what, spoil := range map[string]func(*device.Records){
		"another number of columns": func(r *device.Records) { r.Columns = r.Columns[:4] },
		"bytes too few":             func(r *device.Records) { r.Bytes = r.Bytes[:23] },
		"a bit past the end":        func(r *device.Records) { r.Columns[0].Offset = 96 },
		"a code before the start":   func(r *device.Records) { r.Columns[1].Offset = -1 },
		"a uint16 at an odd byte":   func(r *device.Records) { r.Columns[2].Offset = 9 },
		"a float32 past the end":    func(r *device.Records) { r.Columns[3].Offset = 12 },
		"a float32 at two":          func(r *device.Records) { r.Columns[3].Offset = 2 },
		"three values of a bit":     func(r *device.Records) { r.Columns[4].Values = make([]float32, 3) },
		"an odd stride":             func(r *device.Records) { r.Stride, r.Bytes = 13, make([]byte, 26) },
		"values of a float32":       func(r *device.Records) { r.Columns[3].Values = make([]float32, 1) },
	} {
		r := someRecords()
		spoil(&r)
		expectPanic(t, "records with "+what, func() { r.Check(2, 5) }, "records")
	}
	r := someRecords()
	both := device.Table{Rows: 2, Columns: 5, Records: &r, Float32: make([]float32, 10)}
	expectPanic(t, "a table stored twice", both.Check, "load 2×5")
}
