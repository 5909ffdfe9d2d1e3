package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// total is a running sum in float64: two registers, one for each half of a
// vector of float32.
type total struct {
	vector
	halves [2]reg.VecVirtual
}

func (v vector) newTotal() total { return total{v, [2]reg.VecVirtual{v.zero(), v.zero()}} }

// doubles widens the halves of x to float64, exactly.
func (v vector) doubles(x reg.VecVirtual) [2]reg.VecVirtual {
	low, high := v.new(), v.new()
	if v.wide() {
		VCVTPS2PD(x.AsY(), low)
		upper := YMM()
		VEXTRACTF32X8(Imm(1), x, upper)
		VCVTPS2PD(upper, high)
	} else {
		VCVTPS2PD(x.AsX(), low)
		upper := XMM()
		VEXTRACTF128(Imm(1), x, upper)
		VCVTPS2PD(upper, high)
	}
	return [2]reg.VecVirtual{low, high}
}

// add adds the lanes of x.
func (t total) add(x reg.VecVirtual) {
	for i, half := range t.doubles(x) {
		VADDPD(half, t.halves[i], t.halves[i])
	}
}

// addSquares adds the squares of the lanes of x.
func (t total) addSquares(x reg.VecVirtual) {
	for i, half := range t.doubles(x) {
		VFMADD231PD(half, half, t.halves[i])
	}
}

// result stores the sum of all lanes, added in pairs, as a result of the function.
func (t total) result(index int) {
	sum := t.halves[0]
	VADDPD(t.halves[1], sum, sum)
	if t.wide() {
		upper := YMM()
		VEXTRACTF64X4(Imm(1), sum, upper)
		VADDPD(upper, sum.AsY(), sum.AsY())
	}
	upper := XMM()
	VEXTRACTF128(Imm(1), sum.AsY(), upper)
	VADDPD(upper, sum.AsX(), sum.AsX())
	VPERMILPD(Imm(1), sum.AsX(), upper)
	VADDSD(upper, sum.AsX(), sum.AsX())
	Store(sum.AsX(), ReturnIndex(index))
}

// reductions writes the sums of a slice.
func (v vector) reductions() {
	v.function("sum", "func(x []float32) float64", "%s is Σ x.")
	x, n, t := base("x"), length("x"), v.newTotal()
	v.elements(n, func(at position) { t.add(at.element(x)) })
	t.result(0)
	end()

	v.function("sumSquares", "func(x []float32) float64", "%s is Σ x², of squares in float32.")
	mode := flushSubnormals()
	x, n, t = base("x"), length("x"), v.newTotal()
	v.groupsOfSquares(x, n, t)
	v.elements(n, func(at position) {
		e := at.element(x)
		t.add(v.mul(e, e))
	})
	t.result(0)
	mode.end()

	v.function("sumSquaredDifferences", "func(x, y []float32) float64", "%s is Σ (x-y)², the differences rounded to float32.")
	x, n, t = base("x"), length("x"), v.newTotal()
	y := base("y")
	v.elements(n, func(at position) { t.addSquares(v.sub(at.element(x), at.element(y))) })
	t.result(0)
	end()
}

// squaresTogether is the number of vectors whose squares are added in float32 before they are
// widened, which takes longer than to square them: the sum is off by as many roundings
// at most, and by far less than one on average. Squares below 2⁻¹²⁶ do not count, and those that
// float32 does not hold are infinite.
const squaresTogether = 4

// groupsOfSquares adds the squares of some vectors at a time. It leaves n and x at what remains.
func (v vector) groupsOfSquares(x, n reg.GPVirtual, t total) {
	Label("group")
	CMPQ(n, Imm(uint64(squaresTogether*v.lanes)))
	JLT(LabelRef("single"))
	squares := v.new()
	for i := range squaresTogether {
		e := v.load(Mem{Base: x, Disp: i * v.bytes()})
		if i == 0 {
			VMULPS(e, e, squares)
		} else {
			VFMADD231PS(e, e, squares)
		}
	}
	t.add(squares)
	ADDQ(U32(squaresTogether*uint32(v.bytes())), x)
	SUBQ(Imm(uint64(squaresTogether*v.lanes)), n)
	JMP(LabelRef("group"))
	Label("single")
}

// columnSums writes the sums of columns: a vector of columns at a time, down
// all rows.
func (v vector) columnSums() {
	v.function("columnSums", "func(sums, x []float32, stride, rows int)", "%s sums rows of x that begin stride elements apart.")
	sums, x, stride, n := base("sums"), base("x"), strideOf("stride"), length("sums")
	v.elements(n, func(at position) {
		sum, row, rows, next := v.zero(), GP64(), argument("rows"), label("row")
		MOVQ(x, row)
		Label(next)
		VADDPS(at.element(row), sum, sum)
		ADDQ(stride, row)
		DECQ(rows)
		JNZ(LabelRef(next))
		at.put(sum, sums)
	})
	end()
}

// widen writes the kernel that turns bytes into float32.
func (v vector) widen() {
	v.function("widen", "func(dst []float32, src []uint8, scale float32)", "%s computes dst = scale·src for a multiple of 16 elements.")
	dst, src, n, scale := base("dst"), base("src"), length("dst"), v.scalar("scale")
	index := GP64()
	XORQ(index, index)
	Label("loop")
	CMPQ(index, n)
	JGE(LabelRef("done"))
	r := v.new()
	VPMOVZXBD(Mem{Base: src, Index: index, Scale: 1}, r)
	VCVTDQ2PS(r, r)
	VMULPS(scale, r, r)
	VMOVUPS(r, Mem{Base: dst, Index: index, Scale: 4})
	ADDQ(Imm(uint64(v.lanes)), index)
	JMP(LabelRef("loop"))
	Label("done")
	end()
}

// prefetch writes the kernel that asks for memory: for so much of it that the
// processor foresees the rest.
func (v vector) prefetch() {
	const line, most = 64, 512
	v.function("prefetch", "func(memory []uint8)", "%s asks for the first cache lines of memory that is read soon.")
	from, n := base("memory"), length("memory")
	for offset := 0; offset < most; offset += line {
		CMPQ(n, U32(uint32(offset)))
		JLE(LabelRef("done"))
		PREFETCHT0(Mem{Base: from, Disp: offset})
	}
	Label("done")
	RET()
}

// prefetchRows writes the kernel that asks for one cache line of each of some rows.
func (v vector) prefetchRows() {
	v.function("prefetchRows", "func(x []float32, stride, rows int)", "%s asks for the lines at which rows that begin stride elements apart begin.")
	row, stride, rows := base("x"), strideOf("stride"), argument("rows")
	Label("row")
	PREFETCHT0(Mem{Base: row})
	ADDQ(stride, row)
	DECQ(rows)
	JNZ(LabelRef("row"))
	RET()
}
