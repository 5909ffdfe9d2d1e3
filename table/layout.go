package table

import (
	"encoding/binary"
	"math"

	"gpudae/device"
)

// cellOf is the narrowest cell that holds what was seen of a column.
func cellOf(c *Column) device.Cell {
	switch {
	case c.Kind == Binary && c.Fit.Absent == 0:
		return device.CellBit
	case c.Kind == Binary:
		return device.CellUint8
	case c.Kind == Categorical:
		return cellFor(len(c.Fit.Categories) + 1)
	case c.Fit.Estimated:
		return device.CellFloat32
	}
	return cellFor(c.Fit.Distinct)
}

// cellFor is the narrowest cell of so many values beside the absent one.
func cellFor(values int) device.Cell {
	for _, cell := range []device.Cell{device.CellUint8, device.CellUint16} {
		if values <= cell.Codes() {
			return cell
		}
	}
	return device.CellFloat32
}

// place lays columns out in a record: the wide ones first, so that all lie at
// multiples of their size, and bits last.
func place(cells []device.Cell) (columns []device.Column, stride int) {
	columns = make([]device.Column, len(cells))
	align := 1
	for _, size := range []struct {
		cell  device.Cell
		bytes int
	}{{device.CellFloat32, 4}, {device.CellUint16, 2}, {device.CellUint8, 1}} {
		for j, cell := range cells {
			if cell == size.cell {
				columns[j] = device.Column{Cell: cell, Offset: stride}
				stride += size.bytes
				align = max(align, size.bytes)
			}
		}
	}
	bit := 8 * stride
	for j, cell := range cells {
		if cell == device.CellBit {
			columns[j] = device.Column{Cell: cell, Offset: bit}
			bit++
		}
	}
	stride = (bit + 7) / 8
	return columns, (stride + align - 1) / align * align
}

// RowBytes is the size of a row of a Store of the data that the schema was
// fitted to. It panics if the schema is not fitted.
func (s *Schema) RowBytes() int {
	var cells []device.Cell
	for _, i := range s.Used() {
		cells = append(cells, cellOf(&s.Columns[i]))
	}
	_, stride := place(cells)
	return stride
}

// packer turns the values of one column into the contents of its cells, block by
// block, and numbers the different values of a column of numbers in the order in
// which they come.
type packer struct {
	cell    device.Cell // as it was planned
	needed  device.Cell // that what came so far wants: cell or a wider one
	numbers bool        // whether numbers are coded
	index   index       // of their bits

	z         []float32 // of a block
	contents  []uint32  // of a block: bits, codes, or the bits of a float32
	low, high float32   // of all values present; NaN if none is
}

func newPacker(c *Column, cell device.Cell) *packer {
	return &packer{cell: cell, needed: cell, numbers: c.Kind.scaled(), low: absent, high: absent}
}

// pack fills contents from z.
func (p *packer) pack() {
	for i, z := range p.z {
		p.contents[i] = p.content(z)
		if z < p.low || p.low != p.low {
			p.low = z
		}
		if z > p.high || p.high != p.high {
			p.high = z
		}
	}
}

func (p *packer) content(z float32) uint32 {
	switch {
	case p.needed == device.CellFloat32:
		return math.Float32bits(z)
	case z != z && p.cell == device.CellBit:
		p.needed = max(p.needed, device.CellUint8)
		return 0
	case z != z:
		return 0
	case !p.numbers && p.cell == device.CellBit:
		return uint32(z)
	case !p.numbers:
		return uint32(z) + 1
	}
	n := p.index.add(uint64(math.Float32bits(z + 0)))
	if n >= p.needed.Codes() {
		p.needed = cellFor(n + 1)
		if p.needed == device.CellFloat32 {
			p.index = index{}
		}
	}
	return uint32(n + 1)
}

// values is the dictionary of a coded column of numbers.
func (p *packer) values() []float32 {
	if !p.numbers || p.cell == device.CellFloat32 {
		return nil
	}
	values := make([]float32, len(p.index.keys))
	for n, key := range p.index.keys {
		values[n] = math.Float32frombits(uint32(key))
	}
	return values
}

// write puts contents[from:to] in their places in records of a block.
func write(records []byte, stride int, c *device.Column, contents []uint32, from, to int) {
	switch c.Cell {
	case device.CellFloat32:
		for i, at := from, from*stride+c.Offset; i < to; i, at = i+1, at+stride {
			binary.LittleEndian.PutUint32(records[at:], contents[i])
		}
	case device.CellUint16:
		for i, at := from, from*stride+c.Offset; i < to; i, at = i+1, at+stride {
			binary.LittleEndian.PutUint16(records[at:], uint16(contents[i]))
		}
	case device.CellUint8:
		for i, at := from, from*stride+c.Offset; i < to; i, at = i+1, at+stride {
			records[at] = byte(contents[i])
		}
	case device.CellBit:
		for i, at := from, from*stride+c.Offset/8; i < to; i, at = i+1, at+stride {
			records[at] |= byte(contents[i]) << (c.Offset % 8)
		}
	}
}
