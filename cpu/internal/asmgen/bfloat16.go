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

// Instructions of AVX512-BF16, which the assembler does not know, by their encodings: EVEX.512.0F38.W0,
// a mandatory prefix and an opcode (Intel 64 and IA-32 Architectures Software Developer's Manual,
// volume 2, VDPBF16PS and VCVTNE2PS2BF16).
const (
	opcodeAddPairs = 0x52 // of prefixF3
	opcodeRound    = 0x72 // of prefixF2
)

// addPairs writes VDPBF16PS, sum += a₀b₀ + a₁b₁ in each lane.
func addPairs(a, b, sum reg.VecPhysical) { emit(evex(prefixF3, opcodeAddPairs, sum, a, b)) }

// evex is the encoding of an instruction of three registers of 512 bits: to in ModRM.reg, from in
// vvvv and second in ModRM.rm.
func evex(prefix, opcode uint8, to, from, second reg.VecPhysical) []uint8 {
	const escape, map0F38, length512, registers = 0x62, 2, 2, 3
	x, y, z := uint8(to.PhysicalIndex()), uint8(from.PhysicalIndex()), uint8(second.PhysicalIndex())
	not := func(n uint8, bit int) uint8 { return ^n >> bit & 1 }
	return []uint8{
		escape,
		not(x, 3)<<7 | not(z, 4)<<6 | not(z, 3)<<5 | not(x, 4)<<4 | map0F38,
		^y&15<<3 | 1<<2 | prefix,
		length512<<5 | not(y, 4)<<3,
		opcode,
		registers<<6 | x&7<<3 | z&7,
	}
}

// rounded are the lanes of lower and then those of upper rounded to bfloat16, to nearest, ties to even;
// subnormal numbers become zeros.
func (v vector) rounded(lower, upper reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	VMOVAPS(lower, reg.Z30)
	VMOVAPS(upper, reg.Z31)
	emit(evex(prefixF2, opcodeRound, reg.Z30, reg.Z31, reg.Z30))
	VMOVAPS(reg.Z30, r)
	return r
}

// pairs writes the kernels that round float32 to pairs of bfloat16.
func (v vector) pairs() {
	v.function("pairsInRow", "func(pairs, x []float32)", "%s rounds a multiple of 16 elements, neighbours to a pair.")
	pairs, x, n := base("pairs"), base("x"), length("x")
	Label("row")
	CMPQ(n, Imm(uint64(2*v.lanes)))
	JLT(LabelRef("half"))
	PREFETCHT0(Mem{Base: x, Disp: 1 << 10})
	PREFETCHT0(Mem{Base: x, Disp: 1<<10 + v.bytes()})
	VMOVUPS(v.rounded(v.load(Mem{Base: x}), v.load(Mem{Base: x, Disp: v.bytes()})), Mem{Base: pairs})
	ADDQ(U32(uint32(2*v.bytes())), x)
	ADDQ(Imm(uint64(v.bytes())), pairs)
	SUBQ(Imm(uint64(2*v.lanes)), n)
	JMP(LabelRef("row"))
	Label("half")
	TESTQ(n, n)
	JZ(LabelRef("all"))
	last := v.load(Mem{Base: x})
	VMOVUPS(v.rounded(last, last).AsY(), Mem{Base: pairs})
	Label("all")
	end()

	order := v.pairOrder()
	v.function("pairsOfRows", "func(pairs, x, y []float32)", "%s rounds the elements of two rows, those of a column to a pair.")
	pairs, x, n = base("pairs"), base("x"), length("pairs")
	y := base("y")
	inOrder := v.load(order)
	v.elements(n, func(at position) {
		at.put(v.paired(at.element(x), at.element(y), inOrder), pairs)
	})
	end()

	v.packPairs(1, order)
	v.packPairs(2, order)
}

// paired rounds the lanes of two registers to pairs.
func (v vector) paired(first, second, order reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	VPERMW(v.rounded(first, second), order, r)
	return r
}

// pairOrder are the places of 16 bits of two halves such that those of the halves come in turn.
func (v vector) pairOrder() Mem {
	m := GLOBL("pairOrder"+v.name, RODATA|NOPTR)
	for i := range v.lanes {
		DATA(4*i, U32(uint32(i|(i+v.lanes)<<16)))
	}
	return m
}

// packPairs writes the packing of full panels of pairs of a matrix of float32 whose
// columns lie side by side in memory.
func (v vector) packPairs(columns int, order Mem) {
	v.function(fmt.Sprintf("packPairs%d", columns*v.lanes), "func(count int, panels []float32, across int, from []float32, stride, terms int)",
		fmt.Sprintf("%%s rounds elements of 2·terms rows to panels of %d pairs, those of two rows to pairs: see packPairsFunc.", columns*v.lanes))
	inOrder := v.load(order)
	v.sideBySide(columns, 2, 8, "terms", func(source, distant, target, stride reg.GPVirtual) {
		for j := range columns {
			first, second := Mem{Base: source, Disp: j * v.bytes()}, Mem{Base: source, Index: stride, Scale: 1, Disp: j * v.bytes()}
			PREFETCHT0(Mem{Base: distant, Disp: j * v.bytes()})
			PREFETCHT0(Mem{Base: distant, Index: stride, Scale: 1, Disp: j * v.bytes()})
			VMOVUPS(v.paired(v.load(first), v.load(second), inOrder), Mem{Base: target, Disp: j * v.bytes()})
		}
	})
	end()
}
