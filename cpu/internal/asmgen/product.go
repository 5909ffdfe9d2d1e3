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
// A kernel does a row of tiles. It asks for the cache lines of a tile's sums a row at a
// time, between runs of terms, since a burst of them would leave no room for the lines of
// the panel, and for lines that its caller names between the terms. Whatever is no
// multiplication may take its port: so where S lies in rows and V in packed panels, four
// terms are written out, reached by displacements.
func (v vector) products() {
	rows := 6
	if v.wide() {
		rows = 14
	}
	for _, columns := range []int{1, 2} {
		for r := 1; r <= rows; r++ {
			v.rowOfTiles("multiply", r, columns, func(a, b, sum reg.VecPhysical) { VFMADD231PS(b, a, sum) })
			if v.wide() {
				v.rowOfTiles("multiplyPairs", r, columns, addPairs)
			}
		}
		v.packRows(columns)
	}
}

// rowOfTiles writes the micro-kernel of a row of tiles of that many rows and vectors; term
// adds the product of its first two operands to the third.
func (v vector) rowOfTiles(name string, rows, columns int, term func(a, b, sum reg.VecPhysical)) {
	v.function(fmt.Sprintf("%s%dx%d", name, rows, columns*v.lanes),
		"func(tiles, kc int, s []float32, outer, inner int, panel []float32, across, down int, c []float32, ld int, add bool, every int, next []float32, step, jump int)",
		fmt.Sprintf("%%s computes a row of tiles of %d×%d: see tilesFunc.", rows, columns*v.lanes))
	mode := flushSubnormals()
	t := v.newTile(rows, columns)
	outer, inner, down, step := strideOf("outer"), strideOf("inner"), strideOf("down"), argument("step")

	Label("tile")
	row, left := base("c"), argument("kc")
	at := place{panel: base("panel"), bases: v.rowGroups("s", outer, rows), outer: outer, add: term}
	next := base("next")
	t.clear()
	Label("run")
	run := t.beginRun(row, left)
	fours := GP64()
	t.wholeFours(fours, run, inner, down)
	Label("fours")
	t.fourTerms(at, next, step)
	DECQ(fours)
	JNZ(LabelRef("fours"))
	TESTQ(run, run)
	JZ(LabelRef("ran"))
	JMP(LabelRef("term"))
	Label("singly")
	askForRun(next, step)
	Label("term")
	t.term(at, 0)
	for _, b := range at.bases {
		ADDQ(inner, b)
	}
	ADDQ(down, at.panel)
	DECQ(run)
	JNZ(LabelRef("term"))
	Label("ran")
	TESTQ(left, left)
	JNZ(LabelRef("run"))

	row = base("c")
	beside := GP64()
	LEAQ(Mem{Base: row, Disp: t.width()}, beside)
	Store(beside, Param("c").Base())
	t.store(row, strideOf("ld"))
	moveOn("panel", strideOf("across"))
	moveOn("next", argument("jump"))
	tiles := argument("tiles")
	DECQ(tiles)
	Store(tiles, Param("tiles"))
	JNZ(LabelRef("tile"))
	mode.end()
}

// moveOn adds so many bytes to the address of a slice, where it was passed.
func moveOn(slice string, by reg.GPVirtual) {
	at := base(slice)
	ADDQ(by, at)
	Store(at, Param(slice).Base())
}

// tile is the registers of a micro-kernel: the sums of rows of vectors, a
// vector of the panel for each of them, and a scalar.
type tile struct {
	vector
	sums   [][]reg.VecPhysical
	panels []reg.VecPhysical
	scalar reg.VecPhysical
}

// width is the size of a row of a tile.
func (t tile) width() int { return len(t.panels) * t.bytes() }

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

// place is where a micro-kernel has come: the next terms of V and of every third row of
// S, and what adds the product of two registers to a third.
type place struct {
	panel, outer reg.GPVirtual
	bases        []reg.GPVirtual
	add          func(a, b, sum reg.VecPhysical)
}

// beginRun asks for the lines of a row of sums, the next of which it is then, and takes
// the terms of a run from those that are left.
func (t tile) beginRun(row, left reg.GPVirtual) (run reg.GPVirtual) {
	PREFETCHT0(Mem{Base: row})
	PREFETCHT0(Mem{Base: row, Disp: t.width() - 4})
	ADDQ(strideOf("ld"), row)
	run = argument("every")
	CMPQ(left, run)
	CMOVQLT(left, run)
	SUBQ(run, left)
	return run
}

// askedOfRun is the number of lines that a run of single terms asks for: see tilesFunc.
const askedOfRun = 8

// askForRun asks for the lines of a run of single terms, which are as many as their burst leaves
// room for.
func askForRun(next, step reg.GPVirtual) {
	for range askedOfRun / 2 {
		PREFETCHT1(Mem{Base: next})
		PREFETCHT1(Mem{Base: next, Index: step, Scale: 1})
		LEAQ(Mem{Base: next, Index: step, Scale: 2}, next)
	}
}

// wholeFours takes the fours from a run of terms, none and on to single terms if the
// strides are not those of rows and packed panels.
func (t tile) wholeFours(fours, run, inner, down reg.GPVirtual) {
	CMPQ(inner, Imm(4))
	JNE(LabelRef("singly"))
	CMPQ(down, U32(uint32(t.width())))
	JNE(LabelRef("singly"))
	MOVQ(run, fours)
	ANDQ(Imm(3), run)
	SHRQ(Imm(2), fours)
	JZ(LabelRef("term"))
}

// fourTerms adds four terms and asks for four lines.
func (t tile) fourTerms(at place, next, step reg.GPVirtual) {
	for ahead := range 4 {
		if ahead%2 == 0 {
			PREFETCHT1(Mem{Base: next})
			PREFETCHT1(Mem{Base: next, Index: step, Scale: 1})
			LEAQ(Mem{Base: next, Index: step, Scale: 2}, next)
		}
		t.term(at, ahead)
	}
	for _, b := range at.bases {
		ADDQ(Imm(4*4), b)
	}
	ADDQ(U32(uint32(4*t.width())), at.panel)
}

// term multiplies the vectors of a panel by the scalars of S, both so many terms
// ahead, and adds.
func (t tile) term(at place, ahead int) {
	for j, p := range t.panels {
		VMOVUPS(Mem{Base: at.panel, Disp: ahead*t.width() + j*t.bytes()}, p)
	}
	for i, row := range t.sums {
		VBROADCASTSS(inGroup(at.bases, at.outer, i).Offset(4*ahead), t.scalar)
		for j, p := range t.panels {
			at.add(t.scalar, p, row[j])
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

// packRows writes the packing of full panels whose columns lie side by side in memory.
func (v vector) packRows(columns int) {
	v.function(fmt.Sprintf("packRows%d", columns*v.lanes), "func(count int, panels []float32, across int, from []float32, stride, kc int)",
		fmt.Sprintf("%%s copies panels of %d elements of each of kc rows: see packRowsFunc.", columns*v.lanes))
	v.sideBySide(columns, 1, 4, "kc", func(source, distant, target, _ reg.GPVirtual) {
		for line := 0; line < columns*v.bytes(); line += 64 {
			PREFETCHT0(Mem{Base: distant, Disp: line})
		}
		var row []reg.VecVirtual
		for j := range columns {
			row = append(row, v.load(Mem{Base: source, Disp: j * v.bytes()}))
		}
		for j, r := range row {
			VMOVUPS(r, Mem{Base: target, Disp: j * v.bytes()})
		}
	})
	end()
}

// sideBySide writes the loop of packing: as often as the parameter times says, it takes the next rows, so many
// together, and fills a row of each panel from them. pack does so for one panel; distant are rows some way ahead,
// which it asks for.
func (v vector) sideBySide(columns, together, ahead int, times string, pack func(source, distant, target, stride reg.GPVirtual)) {
	panels, across, from, stride, left := base("panels"), strideOf("across"), base("from"), strideOf("stride"), argument(times)
	later := GP64()
	LEAQ(Mem{Base: from, Index: stride, Scale: uint8(ahead)}, later)
	Label("row")
	count, source, target, distant := argument("count"), GP64(), GP64(), GP64()
	MOVQ(from, source)
	MOVQ(later, distant)
	MOVQ(panels, target)
	Label("panel")
	pack(source, distant, target, stride)
	width := U32(uint32(columns * v.bytes()))
	ADDQ(width, source)
	ADDQ(width, distant)
	ADDQ(across, target)
	DECQ(count)
	JNZ(LabelRef("panel"))
	LEAQ(Mem{Base: from, Index: stride, Scale: uint8(together)}, from)
	LEAQ(Mem{Base: later, Index: stride, Scale: uint8(together)}, later)
	ADDQ(width, panels)
	DECQ(left)
	JNZ(LabelRef("row"))
}
