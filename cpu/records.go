package cpu

import (
	"encoding/binary"
	"math"

	"gpudae/device"
)

// records are a data set's rows in narrow types, as device.Records describes
// them, and how they are read.
type records struct {
	stride  int
	bytes   []byte
	columns []cellColumn
	runs    []cellRun // of all columns, in their order
}

// cellColumn reads one column.
type cellColumn struct {
	cell   device.Cell
	shift  uint8     // of the bit in its byte
	offset int       // of the first byte
	values []float32 // by code; nil: code k+1 is k. Uint8: all codes; Uint16: up to the last that is not absent
}

// cellRun is a run of columns that are read in one way.
type cellRun struct {
	first, end int
	bits       bool // plain bits, side by side
	bit        int  // the first one
}

// absent is what a cell that is not there is widened to.
var absent = float32(math.NaN())

// bitsOf are the bits of a byte as numbers.
var bitsOf = func() (table [256][8]float32) {
	for value := range table {
		for bit := range table[value] {
			table[value][bit] = float32(value >> bit & 1)
		}
	}
	return table
}()

// newRecords prepares to read a table's records.
func newRecords(r *device.Records) *records {
	s := &records{stride: r.Stride, bytes: r.Bytes}
	plain := plainCodes()
	for j, c := range r.Columns {
		column := cellColumn{cell: c.Cell, offset: c.Offset}
		switch c.Cell {
		case device.CellBit:
			column.shift, column.offset = uint8(c.Offset%8), c.Offset/8
			column.values = []float32{0, 1}
			if c.Values != nil {
				column.values = []float32{absent, absent}
				copy(column.values, c.Values)
			}
		case device.CellUint8:
			column.values = plain
			if c.Values != nil {
				column.values = codesOf(c.Values, 1<<8)
			}
		case device.CellUint16:
			if c.Values != nil {
				column.values = codesOf(c.Values, len(c.Values)+1)
			}
		}
		s.columns = append(s.columns, column)
		s.addToRuns(j, &c)
	}
	return s
}

// plainCodes are the values of uint8 codes that stand for themselves.
func plainCodes() []float32 {
	var values [1<<8 - 1]float32
	for k := range values {
		values[k] = float32(k)
	}
	return codesOf(values[:], 1<<8)
}

// codesOf lists what each of so many codes stands for.
func codesOf(values []float32, codes int) []float32 {
	table := make([]float32, codes)
	fill(table, absent)
	copy(table[1:], values)
	return table
}

// addToRuns appends column j to the last run or begins another.
func (s *records) addToRuns(j int, c *device.Column) {
	bits := c.Cell == device.CellBit && c.Values == nil
	if n := len(s.runs); n > 0 {
		last := &s.runs[n-1]
		if last.bits == bits && (!bits || c.Offset == last.bit+j-last.first) {
			last.end++
			return
		}
	}
	s.runs = append(s.runs, cellRun{first: j, end: j + 1, bits: bits, bit: c.Offset})
}

// record returns the bytes of a row.
func (s *records) record(row int) []byte { return s.bytes[row*s.stride : (row+1)*s.stride] }

// at returns the value of one cell.
func (s *records) at(row, column int) float32 { return s.columns[column].read(s.record(row)) }

// read returns the column's value in a record.
func (c *cellColumn) read(record []byte) float32 {
	switch c.cell {
	case device.CellBit:
		return c.values[record[c.offset]>>c.shift&1]
	case device.CellUint8:
		return c.values[record[c.offset]]
	case device.CellUint16:
		code := int(binary.LittleEndian.Uint16(record[c.offset:]))
		switch {
		case code < len(c.values):
			return c.values[code]
		case code == 0 || c.values != nil:
			return absent
		default:
			return float32(code - 1)
		}
	default:
		return math.Float32frombits(binary.LittleEndian.Uint32(record[c.offset:]))
	}
}

// copyRow widens a row to dst.
func (s *records) copyRow(dst []float32, row int) {
	record := s.record(row)
	for i := range s.runs {
		run := &s.runs[i]
		if run.bits {
			copyBits(dst[run.first:run.end], record, run.bit)
			continue
		}
		for j := run.first; j < run.end; j++ {
			dst[j] = s.columns[j].read(record)
		}
	}
}

// copyBits widens bits from the one of that number on, those of a byte at once
// where it is used whole.
func copyBits(dst []float32, record []byte, bit int) {
	for len(dst) > 0 {
		from, n := bit%8, min(8-bit%8, len(dst))
		copy(dst[:n], bitsOf[record[bit/8]][from:])
		dst, bit = dst[n:], bit+n
	}
}
