package device

import "math"

// Cell is how a column of Records is stored.
type Cell uint8

const (
	// CellBit: one bit, never absent; the bit is the value's number k.
	CellBit Cell = iota
	// CellUint8: code 0 is absent, code k+1 the value of number k.
	CellUint8
	// CellUint16: as CellUint8, little-endian.
	CellUint16
	// CellFloat32: the value itself, little-endian; NaN is absent.
	CellFloat32
	cells
)

var cellNames = [cells]string{"bit", "uint8", "uint16", "float32"}

// String returns the name of the type of cells.
func (c Cell) String() string { return cellNames[c] }

// Cells returns every type of cell.
func Cells() []Cell { return kinds(cells) }

// Codes is the number of values that a cell can hold, 0 for CellFloat32.
func (c Cell) Codes() int { return [cells]int{2, 1<<8 - 1, 1<<16 - 1, 0}[c] }

// bits is the size of a cell.
func (c Cell) bits() int { return [cells]int{1, 8, 16, 32}[c] }

// Column places a column in a record. A Float32 lies at a multiple of 4 bytes,
// a Uint16 at a multiple of 2.
type Column struct {
	Cell   Cell
	Offset int       // of its first byte in the record; for CellBit of its bit, bit b being bit b%8 of byte b/8
	Values []float32 // of a coded column: what number k stands for; nil: k itself. A number beyond it is absent
}

// Records are the rows of a table of mixed columns in narrow types, row-major:
// row i is Bytes[i*Stride : (i+1)*Stride], little-endian. An absent cell is NaN
// once it is widened. Stride is a multiple of 4 where a column is a Float32, and
// of 2 where one is a Uint16. Bytes may be a file mapped into memory.
type Records struct {
	Stride  int
	Columns []Column
	Bytes   []byte
}

// Check panics if the records cannot be so many rows.
func (r *Records) Check(rows, columns int) {
	if len(r.Columns) != columns || r.Stride < 0 || rows < 0 || len(r.Bytes) != rows*r.Stride {
		panicf("%d×%d from records of %d columns, %d bytes each, in %d bytes", rows, columns, len(r.Columns), r.Stride, len(r.Bytes))
	}
	for j, c := range r.Columns {
		size, first := c.Cell.bits(), 8*c.Offset
		if c.Cell == CellBit {
			first = c.Offset
		}
		if first < 0 || first+size > 8*r.Stride || first%size != 0 || size > 8 && 8*r.Stride%size != 0 || len(c.Values) > c.Cell.Codes() {
			panicf("column %d of records of %d bytes: a %s at %d with %d values", j, r.Stride, c.Cell, c.Offset, len(c.Values))
		}
	}
}

// At returns the value of a cell, NaN where it is absent.
func (r *Records) At(row, column int) float32 {
	c := &r.Columns[column]
	record := r.Bytes[row*r.Stride : (row+1)*r.Stride]
	number := 0
	switch c.Cell {
	case CellBit:
		number = int(record[c.Offset/8] >> (c.Offset % 8) & 1)
	case CellUint8:
		number = int(record[c.Offset]) - 1
	case CellUint16:
		number = int(record[c.Offset]) + int(record[c.Offset+1])<<8 - 1
	case CellFloat32:
		b := record[c.Offset : c.Offset+4]
		return math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
	}
	switch {
	case number < 0 || c.Values != nil && number >= len(c.Values):
		return float32(math.NaN())
	case c.Values != nil:
		return c.Values[number]
	default:
		return float32(number)
	}
}
