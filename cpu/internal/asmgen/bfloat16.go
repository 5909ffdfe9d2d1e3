package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products of pairs: a lane of 32 bits holds two bfloat16 (the upper half of a
// float32), neighbours in k, and one instruction adds both products to a
// float32. Packing, tiles and strides are those of float32, with half as many
// terms.

// addPairs writes VDPBF16PS, sum += a₀b₀ + a₁b₁ in each lane, which the
// assembler does not know: EVEX.512.F3.0F38.W0 52 /r (Intel 64 and IA-32
// Architectures Software Developer's Manual, volume 2, VDPBF16PS).
func addPairs(a, b, sum reg.VecPhysical) {
	const escape, map0F38, length512, opcode, registers = 0x62, 2, 2, 0x52, 3
	x, y, z := uint8(sum.PhysicalIndex()), uint8(a.PhysicalIndex()), uint8(b.PhysicalIndex())
	not := func(n uint8, bit int) uint8 { return ^n >> bit & 1 }
	emit([]uint8{
		escape,
		not(x, 3)<<7 | not(z, 4)<<6 | not(z, 3)<<5 | not(x, 4)<<4 | map0F38,
		^y&15<<3 | 1<<2 | prefixF3,
		length512<<5 | not(y, 4)<<3,
		opcode,
		registers<<6 | x&7<<3 | z&7,
	})
}

// bfloat16 rounds x to nearest, ties to even, and leaves the 16 bits in the
// lower half of each lane. NaN stays NaN.
func (v vector) bfloat16(x reg.VecVirtual) reg.VecVirtual {
	const quietNaN = 0x7FC0
	last, r := v.new(), v.new()
	VPSRLD(Imm(16), x, last)
	VPANDD(bits(1), last, last)
	VPADDD(bits(0x7FFF), last, last)
	VPADDD(x, last, last)
	VPSRLD(Imm(16), last, r)
	return v.pick(v.compare(unordered, x, x), v.load(bits(quietNaN)), r)
}

// pairs writes the kernels that round float32 to pairs of bfloat16.
func (v vector) pairs() {
	v.function("pairsInRow", "func(pairs, x []float32)", "%s rounds a multiple of 16 elements, neighbours to a pair.")
	pairs, x, n := base("pairs"), base("x"), length("x")
	Label("row")
	TESTQ(n, n)
	JZ(LabelRef("rounded"))
	VPMOVDW(v.bfloat16(v.load(Mem{Base: x})), Mem{Base: pairs})
	ADDQ(Imm(uint64(v.bytes())), x)
	ADDQ(Imm(uint64(v.bytes()/2)), pairs)
	SUBQ(Imm(uint64(v.lanes)), n)
	JMP(LabelRef("row"))
	Label("rounded")
	end()

	v.function("pairsOfRows", "func(pairs, x, y []float32)", "%s rounds the elements of two rows, those of a column to a pair.")
	pairs, x, n = base("pairs"), base("x"), length("pairs")
	y := base("y")
	v.elements(n, func(at position) {
		upper := v.bfloat16(at.element(y))
		VPSLLD(Imm(16), upper, upper)
		at.put(v.or(upper, v.bfloat16(at.element(x))), pairs)
	})
	end()

	v.packPairs(1)
	v.packPairs(2)
}

// packPairs writes the packing of full panels of pairs of a matrix of float32 whose
// columns lie side by side in memory, and asks for rows before it is their turn.
func (v vector) packPairs(columns int) {
	const ahead = 8 // rows
	v.function(fmt.Sprintf("packPairs%d", columns*v.lanes), "func(count int, panels []float32, across int, from []float32, stride, terms int)",
		fmt.Sprintf("%%s rounds elements of 2·terms rows to panels of %d pairs, those of two rows to pairs: see packPairsFunc.", columns*v.lanes))
	panels, across, from, stride, terms := base("panels"), strideOf("across"), base("from"), strideOf("stride"), argument("terms")
	later := GP64()
	LEAQ(Mem{Base: from, Index: stride, Scale: ahead}, later)
	Label("term")
	count, source, distant, target := argument("count"), GP64(), GP64(), GP64()
	MOVQ(from, source)
	MOVQ(later, distant)
	MOVQ(panels, target)
	Label("panel")
	for j := range columns {
		lower, upper := Mem{Base: source, Disp: j * v.bytes()}, Mem{Base: source, Index: stride, Scale: 1, Disp: j * v.bytes()}
		PREFETCHT0(Mem{Base: distant, Disp: j * v.bytes()})
		PREFETCHT0(Mem{Base: distant, Index: stride, Scale: 1, Disp: j * v.bytes()})
		shifted := v.bfloat16(v.load(upper))
		VPSLLD(Imm(16), shifted, shifted)
		VMOVUPS(v.or(shifted, v.bfloat16(v.load(lower))), Mem{Base: target, Disp: j * v.bytes()})
	}
	width := U32(uint32(columns * v.bytes()))
	ADDQ(width, source)
	ADDQ(width, distant)
	ADDQ(across, target)
	DECQ(count)
	JNZ(LabelRef("panel"))
	LEAQ(Mem{Base: from, Index: stride, Scale: 2}, from)
	LEAQ(Mem{Base: later, Index: stride, Scale: 2}, later)
	ADDQ(width, panels)
	DECQ(terms)
	JNZ(LabelRef("term"))
	end()
}
