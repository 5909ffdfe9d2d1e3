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
			v.product("multiply", r, columns, func(a, b, sum reg.VecPhysical) { VFMADD231PS(b, a, sum) })
			if v.wide() {
				v.product("multiplyPairs", r, columns, addPairs)
			}
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
	free := v.registers()
	next := func() reg.VecPhysical {
		r := free[0]
		free = free[1:]
		return r
	}
	sums := make([][]reg.VecPhysical, rows)
	for i := range sums {
		for range columns {
			sum := next()
			v.clear(sum)
			sums[i] = append(sums[i], sum)
		}
	}
	panels := make([]reg.VecPhysical, columns)
	for j := range panels {
		panels[j] = next()
	}
	a := next()

	Label("term")
	for j, p := range panels {
		VMOVUPS(Mem{Base: panel, Disp: j * v.bytes()}, p)
	}
	for i := range sums {
		VBROADCASTSS(inGroup(bases, outer, i), a)
		for j, p := range panels {
			term(a, p, sums[i][j])
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

// storeTile stores the sums, or adds them, to c.
func (v vector) storeTile(sums [][]reg.VecPhysical) {
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
