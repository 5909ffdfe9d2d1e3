package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transposition writes the kernel that transposes up to v.lanes rows, a square
// of v.lanes columns at a time.
func (v vector) transposition() {
	v.function("transpose", "func(dst []float32, dstStride int, src []float32, srcStride, rows, columns, keep int, add bool)",
		"%s transposes a few rows: see transposeFunc.")
	dst, dstStride, src, srcStride := base("dst"), strideOf("dstStride"), base("src"), strideOf("srcStride")
	columns := argument("columns")

	if !v.wide() {
		v.wholeSquares(dst, dstStride, src, srcStride, columns)
	}
	Label("square")
	count := GP64() // columns in this square
	limit := GP64()
	MOVQ(columns, count)
	MOVQ(I32(int32(v.lanes)), limit)
	CMPQ(count, limit)
	CMOVQGT(limit, count)
	square := v.transposed(v.loadSquare(src, srcStride, v.firstLanes(count)))
	keep := v.firstLanes(argument("keep"))
	adding := GP8()
	Load(Param("add"), adding)
	TESTB(adding, adding)
	JZ(LabelRef("store"))
	target := GP64()
	MOVQ(dst, target)
	for q, r := range square {
		CMPQ(count, Imm(uint64(q)))
		JLE(LabelRef("store"))
		VADDPS(v.loadFirst(Mem{Base: target}, keep), r, r)
		ADDQ(dstStride, target)
	}
	Label("store")
	for q, r := range square {
		CMPQ(count, Imm(uint64(q)))
		JLE(LabelRef("next"))
		v.storeFirst(r, Mem{Base: dst}, keep)
		ADDQ(dstStride, dst)
	}
	Label("next")
	ADDQ(Imm(uint64(v.bytes())), src)
	SUBQ(count, columns)
	JNZ(LabelRef("square"))
	end()
}

// wholeSquares writes the loop over squares of v.lanes rows, all of whose
// elements are kept and not added: without masks, which take longer than the
// transposition. What is left of columns goes on to the loop that follows it.
func (v vector) wholeSquares(dst, dstStride, src, srcStride, columns reg.GPVirtual) {
	for _, parameter := range []string{"rows", "keep"} {
		n := argument(parameter)
		CMPQ(n, Imm(uint64(v.lanes)))
		JNE(LabelRef("square"))
	}
	adding := GP8()
	Load(Param("add"), adding)
	TESTB(adding, adding)
	JNZ(LabelRef("square"))
	Label("whole")
	CMPQ(columns, Imm(uint64(v.lanes)))
	JLT(LabelRef("rest"))
	row := GP64()
	MOVQ(src, row)
	var square []reg.VecVirtual
	for range v.lanes {
		square = append(square, v.load(Mem{Base: row}))
		ADDQ(srcStride, row)
	}
	for _, r := range v.transposed(square) {
		VMOVUPS(r, Mem{Base: dst})
		ADDQ(dstStride, dst)
	}
	ADDQ(Imm(uint64(v.bytes())), src)
	SUBQ(Imm(uint64(v.lanes)), columns)
	JMP(LabelRef("whole"))
	Label("rest")
	TESTQ(columns, columns)
	JNZ(LabelRef("square"))
	end()
}

// loadSquare loads the given lanes of the rows; those after the last repeat it.
func (v vector) loadSquare(src, stride reg.GPVirtual, lanes mask) []reg.VecVirtual {
	rows, row, step, none := argument("rows"), GP64(), GP64(), GP64()
	MOVQ(src, row)
	MOVQ(stride, step)
	XORQ(none, none)
	var square []reg.VecVirtual
	for i := range v.lanes {
		if i > 0 {
			CMPQ(rows, Imm(uint64(i)))
			CMOVQLE(none, step)
			ADDQ(step, row)
		}
		square = append(square, v.loadFirst(Mem{Base: row}, lanes))
	}
	return square
}

// transposed returns the columns of a square of registers.
func (v vector) transposed(rows []reg.VecVirtual) []reg.VecVirtual {
	groups := make([][4]reg.VecVirtual, 0, v.lanes/4) // [group of four rows][column modulo 4]
	for g := 0; g < v.lanes; g += 4 {
		groups = append(groups, v.transposedFours(rows[g], rows[g+1], rows[g+2], rows[g+3]))
	}
	columns := make([]reg.VecVirtual, v.lanes)
	for c := range 4 {
		if v.wide() {
			a0, a1 := v.evenOdd(groups[0][c], groups[1][c])
			b0, b1 := v.evenOdd(groups[2][c], groups[3][c])
			columns[c], columns[c+8] = v.evenOdd(a0, b0)
			columns[c+4], columns[c+12] = v.evenOdd(a1, b1)
			continue
		}
		columns[c], columns[c+4] = v.new(), v.new()
		VPERM2F128(Imm(0x20), groups[1][c], groups[0][c], columns[c])
		VPERM2F128(Imm(0x31), groups[1][c], groups[0][c], columns[c+4])
	}
	return columns
}

// evenOdd returns the even quarters of a and b, and the odd ones.
func (v vector) evenOdd(a, b reg.VecVirtual) (even, odd reg.VecVirtual) {
	even, odd = v.new(), v.new()
	VSHUFF32X4(Imm(0x88), b, a, even)
	VSHUFF32X4(Imm(0xDD), b, a, odd)
	return even, odd
}

// transposedFours transposes the squares of four in each 128-bit part.
func (v vector) transposedFours(a, b, c, d reg.VecVirtual) [4]reg.VecVirtual {
	low0, high0, low1, high1 := v.new(), v.new(), v.new(), v.new()
	VUNPCKLPS(b, a, low0)
	VUNPCKHPS(b, a, high0)
	VUNPCKLPS(d, c, low1)
	VUNPCKHPS(d, c, high1)
	var columns [4]reg.VecVirtual
	for i := range columns {
		columns[i] = v.new()
	}
	VUNPCKLPD(low1, low0, columns[0])
	VUNPCKHPD(low1, low0, columns[1])
	VUNPCKLPD(high1, high0, columns[2])
	VUNPCKHPD(high1, high0, columns[3])
	return columns
}
