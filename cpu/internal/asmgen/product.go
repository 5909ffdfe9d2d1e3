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
func (v vector) products() {
	rows := 6
	if v.wide() {
		rows = 14
	}
	for _, columns := range []int{1, 2} {
		for r := 1; r <= rows; r++ {
			v.product(r, columns)
		}
		v.packRows(columns)
	}
}

// product writes the micro-kernel of a tile of that many rows and vectors.
func (v vector) product(rows, columns int) {
	v.function(fmt.Sprintf("multiply%dx%d", rows, columns*v.lanes),
		"func(kc int, s []float32, outer, inner int, panel, c []float32, ld int, add bool)",
		fmt.Sprintf("%%s computes a tile of %d×%d: see tileFunc.", rows, columns*v.lanes))
	kc, outer, inner, panel := argument("kc"), argument("outer"), argument("inner"), base("panel")
	SHLQ(Imm(2), outer)
	SHLQ(Imm(2), inner)
	bases := v.rowGroups("s", outer, rows)
	sums := make([][]reg.VecVirtual, rows)
	for i := range sums {
		for range columns {
			sums[i] = append(sums[i], v.zero())
		}
	}
	panels := make([]reg.VecVirtual, columns)
	for j := range panels {
		panels[j] = v.new()
	}

	Label("term")
	for j, p := range panels {
		VMOVUPS(Mem{Base: panel, Disp: j * v.bytes()}, p)
	}
	for i := range sums {
		a := v.spread(inGroup(bases, outer, i))
		for j, p := range panels {
			VFMADD231PS(p, a, sums[i][j])
		}
	}
	for _, b := range bases {
		ADDQ(inner, b)
	}
	ADDQ(Imm(uint64(columns*v.bytes())), panel)
	DECQ(kc)
	JNZ(LabelRef("term"))
	v.storeTile(sums)
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

// storeTile stores the sums, or adds them, to c.
func (v vector) storeTile(sums [][]reg.VecVirtual) {
	ld := argument("ld")
	SHLQ(Imm(2), ld)
	row := base("c")
	adding := GP8()
	Load(Param("add"), adding)
	TESTB(adding, adding)
	JZ(LabelRef("store"))
	target := GP64()
	MOVQ(row, target)
	for i := range sums {
		for j, s := range sums[i] {
			VADDPS(Mem{Base: target, Disp: j * v.bytes()}, s, s)
		}
		ADDQ(ld, target)
	}
	Label("store")
	for i := range sums {
		for j, s := range sums[i] {
			VMOVUPS(s, Mem{Base: row, Disp: j * v.bytes()})
		}
		ADDQ(ld, row)
	}
	end()
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
