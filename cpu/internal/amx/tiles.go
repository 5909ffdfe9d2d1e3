// Package amx is the part of AMX that package cpu uses, in plain Go: the tile
// registers, the instructions of AMX-TILE and AMX-BF16 on them, and their machine
// code. Tests compare the vector code with it, and command emulate runs them by it
// on processors without AMX. It follows the operations in Intel 64 and IA-32
// Architectures Software Developer's Manual, volume 2.
//
// Contract. What an instruction may not do is an error that says so and changes
// nothing. A register that is not configured may not be used. Instructions that are
// begun again after a fault (start_row) are not: a fault ends them.
package amx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// What palette 1 has.
const (
	Registers  = 8
	MostRows   = 16
	MostBytes  = 64 // of a row
	ConfigSize = 64 // bytes of what LDTILECFG reads
)

// ErrUndefined is an instruction that the processor refuses: #UD, or #GP of a
// configuration.
var ErrUndefined = errors.New("amx: undefined")

// Tiles are the registers of a thread.
type Tiles struct {
	configured bool
	registers  [Registers]register
}

// register is a tile: its rows beyond the number configured, and its bytes beyond
// those of a row, are zero.
type register struct {
	rows, bytes int // 0: not configured
	data        [MostRows][MostBytes]byte
}

// Configure is LDTILECFG: all tiles become zero.
func (t *Tiles) Configure(config [ConfigSize]byte) error {
	const palette, startRow, widths, heights = 0, 1, 16, 48
	var next Tiles
	switch config[palette] {
	case 0:
		*t = next
		return nil
	case 1:
	default:
		return fmt.Errorf("%w: palette %d", ErrUndefined, config[palette])
	}
	for i, b := range config {
		if b != 0 && (i > startRow && i < widths || i >= widths+2*Registers && i < heights || i >= heights+Registers) {
			return fmt.Errorf("%w: byte %d of a configuration is reserved", ErrUndefined, i)
		}
	}
	if config[startRow] != 0 {
		return fmt.Errorf("%w here: start_row %d", ErrUndefined, config[startRow])
	}
	next.configured = true
	for i := range next.registers {
		r := &next.registers[i]
		r.bytes, r.rows = int(binary.LittleEndian.Uint16(config[widths+2*i:])), int(config[heights+i])
		if r.bytes > MostBytes || r.rows > MostRows || (r.bytes == 0) != (r.rows == 0) {
			return fmt.Errorf("%w: tile %d of %d rows of %d bytes", ErrUndefined, i, r.rows, r.bytes)
		}
	}
	*t = next
	return nil
}

// Release is TILERELEASE.
func (t *Tiles) Release() { *t = Tiles{} }

// usable is a register that an instruction may name.
func (t *Tiles) usable(i int) (*register, error) {
	if !t.configured {
		return nil, fmt.Errorf("%w: no tiles are configured", ErrUndefined)
	}
	r := &t.registers[i]
	if r.rows == 0 || r.bytes%4 != 0 {
		return nil, fmt.Errorf("%w: tile %d has %d rows of %d bytes", ErrUndefined, i, r.rows, r.bytes)
	}
	return r, nil
}

// Zero is TILEZERO.
func (t *Tiles) Zero(i int) error {
	r, err := t.usable(i)
	if err != nil {
		return err
	}
	r.data = [MostRows][MostBytes]byte{}
	return nil
}

// Memory is what instructions read and write: rows that begin stride bytes apart, the
// first at an address.
type Memory interface {
	Read(rows [][]byte, first, stride uint64) error
	Write(rows [][]byte, first, stride uint64) error
}

// used are a register's rows as configured.
func (r *register) used() [][]byte {
	rows := make([][]byte, r.rows)
	for i := range rows {
		rows[i] = r.data[i][:r.bytes]
	}
	return rows
}

// Load is TILELOADD.
func (t *Tiles) Load(i int, from Memory, first, stride uint64) error {
	r, err := t.usable(i)
	if err != nil {
		return err
	}
	loaded := register{rows: r.rows, bytes: r.bytes}
	if err := from.Read(loaded.used(), first, stride); err != nil {
		return fmt.Errorf("amx: load: %w", err)
	}
	*r = loaded
	return nil
}

// Store is TILESTORED.
func (t *Tiles) Store(i int, to Memory, first, stride uint64) error {
	r, err := t.usable(i)
	if err != nil {
		return err
	}
	if err := to.Write(r.used(), first, stride); err != nil {
		return fmt.Errorf("amx: store: %w", err)
	}
	return nil
}

// DotBFloat16 is TDPBF16PS: sum [m, n] += a [m, k] · b [k, n], of pairs of bfloat16 in
// a and b.
func (t *Tiles) DotBFloat16(sum, a, b int) error {
	if sum == a || sum == b || a == b {
		return fmt.Errorf("%w: a product of tiles %d, %d and %d", ErrUndefined, sum, a, b)
	}
	var r [3]*register
	for i, name := range []int{sum, a, b} {
		var err error
		if r[i], err = t.usable(name); err != nil {
			return err
		}
	}
	c, left, right := r[0], r[1], r[2]
	if c.rows != left.rows || c.bytes != right.bytes || left.bytes != 4*right.rows {
		return fmt.Errorf("%w: a product of %d×%d and %d×%d bytes in %d×%d", ErrUndefined, left.rows, left.bytes, right.rows, right.bytes, c.rows, c.bytes)
	}
	const most = MostBytes / 4
	var row [most]uint32
	var columns [most][MostRows]uint32
	for k := range right.rows {
		for j := range right.bytes / 4 {
			columns[j][k] = element(right, k, j)
		}
	}
	for i := range c.rows {
		for k := range right.rows {
			row[k] = element(left, i, k)
		}
		for j := range c.bytes / 4 {
			dot := Dot(math.Float32frombits(element(c, i, j)), row[:right.rows], columns[j][:right.rows])
			binary.LittleEndian.PutUint32(c.data[i][4*j:], math.Float32bits(dot))
		}
	}
	return nil
}

// element is one of 32 bits.
func element(r *register, row, column int) uint32 {
	return binary.LittleEndian.Uint32(r.data[row][4*column:])
}
