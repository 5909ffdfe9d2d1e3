package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// products writes the micro-kernels of matrix products, one for each number of
// rows of a tile, in two widths.
//
// With AVX-512 14 rows of two vectors take 28 of the 32 registers, with AVX2 6
// rows of two take 12 of 16; a broadcast and the vectors of the panel take the
// rest. In each term a row costs a broadcasting load and two fused
// multiply-adds, so the loads keep pace with the arithmetic. A narrow tile of
// one vector serves products of few columns.
//
// The tiles of AVX2 are a fifth of the others, so that what comes before and
// after the terms counts: a kernel does a row of them, and asks for the cache
// lines of a tile's sums before it begins with its terms.
func (v vector) products() {
	rows := 6
	if v.wide() {
		rows = 14
	}
	for _, columns := range []int{1, 2} {
		for r := 1; r <= rows; r++ {
			if !v.wide() {
				v.rowOfTiles(r, columns)
				continue
			}
			v.product("multiply", r, columns, func(a, b, sum reg.VecPhysical) { VFMADD231PS(b, a, sum) })
			v.product("multiplyPairs", r, columns, addPairs)
		}
		v.packRows(columns)
	}
}

// product writes the micro-kernel of a tile of that many rows and vectors; term
// adds the product of its first two operands to the third.
func (v vector) product(name string, rows, columns int, term func(a, b, sum reg.VecPhysical)) {
	v.function(fmt.Sprintf("%s%dx%d", name, rows, columns*v.lanes),
		"func(kc int, s []float32, outer, inner int, panel, c []float32, ld int, add bool)",
		fmt.Sprintf("%%s computes a tile of %d×%d: see tileFunc.", rows, columns*v.lanes))
	kc, outer, inner, panel := argument("kc"), argument("outer"), argument("inner"), base("panel")
	SHLQ(Imm(2), outer)
	SHLQ(Imm(2), inner)
	bases := v.rowGroups("s", outer, rows)
	t := v.newTile(rows, columns)
	t.clear()
	Label("term")
	t.term(panel, bases, outer, term)
	for _, b := range bases {
		ADDQ(inner, b)
	}
	ADDQ(Imm(uint64(columns*v.bytes())), panel)
	DECQ(kc)
	JNZ(LabelRef("term"))
	row, ld := base("c"), argument("ld")
	SHLQ(Imm(2), ld)
	t.store(row, ld)
	end()
}

// rowOfTiles writes the micro-kernel of a row of tiles of that many rows and vectors.
func (v vector) rowOfTiles(rows, columns int) {
	v.function(fmt.Sprintf("multiply%dx%d", rows, columns*v.lanes),
		"func(tiles, kc int, s []float32, outer, inner int, panel []float32, across, down int, c []float32, ld int, add bool)",
		fmt.Sprintf("%%s computes a row of tiles of %d×%d: see tilesFunc.", rows, columns*v.lanes))
	tiles, outer, inner, across, down, ld := argument("tiles"), argument("outer"), argument("inner"), argument("across"), argument("down"), argument("ld")
	for _, stride := range []reg.GPVirtual{outer, inner, across, down, ld} {
		SHLQ(Imm(2), stride)
	}
	panel, c := base("panel"), base("c")
	t := v.newTile(rows, columns)

	Label("tile")
	row := GP64()
	MOVQ(c, row)
	t.fetch(row, ld)
	terms, kc, bases := GP64(), argument("kc"), v.rowGroups("s", outer, rows)
	MOVQ(panel, terms)
	t.clear()
	Label("term")
	t.term(terms, bases, outer, func(a, b, sum reg.VecPhysical) { VFMADD231PS(b, a, sum) })
	for _, b := range bases {
		ADDQ(inner, b)
	}
	ADDQ(down, terms)
	DECQ(kc)
	JNZ(LabelRef("term"))
	MOVQ(c, row)
	t.store(row, ld)
	ADDQ(Imm(uint64(columns*v.bytes())), c)
	ADDQ(across, panel)
	DECQ(tiles)
	JNZ(LabelRef("tile"))
	end()
}

// tile is the registers of a micro-kernel: the sums of rows of vectors, a
// vector of the panel for each of them, and a scalar.
type tile struct {
	vector
	sums   [][]reg.VecPhysical
	panels []reg.VecPhysical
	scalar reg.VecPhysical
}

func (v vector) newTile(rows, columns int) tile {
	free := v.registers()
	next := func() reg.VecPhysical {
		r := free[0]
		free = free[1:]
		return r
	}
	t := tile{vector: v}
	for range rows {
		var row []reg.VecPhysical
		for range columns {
			row = append(row, next())
		}
		t.sums = append(t.sums, row)
	}
	for range columns {
		t.panels = append(t.panels, next())
	}
	t.scalar = next()
	return t
}

// clear sets the sums to zero.
func (t tile) clear() {
	for _, row := range t.sums {
		for _, sum := range row {
			t.vector.clear(sum)
		}
	}
}

// fetch asks for the cache lines of the rows that the sums go to, the first of
// which is lost.
func (t tile) fetch(row, ld reg.GPVirtual) {
	for i, sums := range t.sums {
		if i > 0 {
			ADDQ(ld, row)
		}
		PREFETCHT0(Mem{Base: row})
		PREFETCHT0(Mem{Base: row, Disp: len(sums)*t.bytes() - 4})
	}
}

// term multiplies the vectors at panel by the scalars at bases and adds.
func (t tile) term(panel reg.GPVirtual, bases []reg.GPVirtual, outer reg.GPVirtual, add func(a, b, sum reg.VecPhysical)) {
	for j, p := range t.panels {
		VMOVUPS(Mem{Base: panel, Disp: j * t.bytes()}, p)
	}
	for i, row := range t.sums {
		VBROADCASTSS(inGroup(bases, outer, i), t.scalar)
		for j, p := range t.panels {
			add(t.scalar, p, row[j])
		}
	}
}

// registers are the vector registers, by their names in the machine.
func (v vector) registers() []reg.VecPhysical {
	if v.wide() {
		return []reg.VecPhysical{
			reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
			reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
		}
	}
	return []reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	}
}

// rowGroups returns the addresses of every third row from a slice's start on;
// the rows between are reached by the addressing modes 1·stride and 2·stride.
func (v vector) rowGroups(slice string, stride reg.GPVirtual, rows int) []reg.GPVirtual {
	groups := []reg.GPVirtual{base(slice)}
	for i := 3; i < rows; i += 3 {
		next := GP64()
		LEAQ(Mem{Base: groups[len(groups)-1], Index: stride, Scale: 2}, next)
		ADDQ(stride, next)
		groups = append(groups, next)
	}
	return groups
}

// inGroup is the address of row i of the groups.
func inGroup(groups []reg.GPVirtual, stride reg.GPVirtual, i int) Mem {
	m := Mem{Base: groups[i/3]}
	if i%3 > 0 {
		m.Index, m.Scale = stride, uint8(i%3)
	}
	return m
}

// store stores the sums in rows that begin ld bytes apart, or adds them; the
// first row is lost.
func (t tile) store(row, ld reg.GPVirtual) {
	adding := GP8()
	Load(Param("add"), adding)
	TESTB(adding, adding)
	JZ(LabelRef("store"))
	target := GP64()
	MOVQ(row, target)
	for i := range t.sums {
		for j, s := range t.sums[i] {
			VADDPS(Mem{Base: target, Disp: j * t.bytes()}, s, s)
		}
		ADDQ(ld, target)
	}
	Label("store")
	for i := range t.sums {
		for j, s := range t.sums[i] {
			VMOVUPS(s, Mem{Base: row, Disp: j * t.bytes()})
		}
		ADDQ(ld, row)
	}
}

// packRows writes the packing of a full panel whose columns lie side by side
// in memory.
func (v vector) packRows(columns int) {
	v.function(fmt.Sprintf("packRows%d", columns*v.lanes), "func(panel, from []float32, stride, kc int)",
		fmt.Sprintf("%%s copies %d elements from each of kc rows: see packRows.", columns*v.lanes))
	to, from, stride, kc := base("panel"), base("from"), argument("stride"), argument("kc")
	SHLQ(Imm(2), stride)
	Label("row")
	var row []reg.VecVirtual
	for j := range columns {
		row = append(row, v.load(Mem{Base: from, Disp: j * v.bytes()}))
	}
	for j, r := range row {
		VMOVUPS(r, Mem{Base: to, Disp: j * v.bytes()})
	}
	ADDQ(stride, from)
	ADDQ(U32(uint32(columns*v.bytes())), to)
	DECQ(kc)
	JNZ(LabelRef("row"))
	end()
}
