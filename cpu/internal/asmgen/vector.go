package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vector is an instruction set: the registers of a kernel and how many float32
// one of them holds.
type vector struct {
	name  string
	lanes int
}

// wide reports whether the vectors are those of AVX-512, which has mask registers.
func (v vector) wide() bool { return v.lanes == 16 }

// bytes is the size of a vector.
func (v vector) bytes() int { return 4 * v.lanes }

// function starts a kernel; its name is completed by the instruction set's.
func (v vector) function(name, signature, doc string) {
	TEXT(name+v.name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(fmt.Sprintf(doc, name+v.name))
}

// end returns from a kernel.
func end() {
	VZEROUPPER()
	RET()
}

// flushing is the control word of the caller of a kernel that takes subnormal numbers,
// and results that would be ones, for zeros.
type flushing Mem

// flushSubnormals starts such a kernel. Some processors take a hundred cycles or more for an
// instruction that meets a subnormal number, and an optimiser's moments become subnormal where
// a gradient stays away: they decay so far and, multiplied by β > ½, no further.
func flushSubnormals() flushing {
	const flushResults, factorsAreZeros = 1 << 15, 1 << 6
	callers, own := AllocLocal(8), GP32()
	STMXCSR(callers)
	MOVL(callers, own)
	ORL(U32(flushResults|factorsAreZeros), own)
	MOVL(own, callers.Offset(4))
	LDMXCSR(callers.Offset(4))
	return flushing(callers)
}

// end returns from the kernel.
func (f flushing) end() {
	LDMXCSR(Mem(f))
	end()
}

// new returns a fresh register.
func (v vector) new() reg.VecVirtual {
	if v.wide() {
		return ZMM()
	}
	return YMM()
}

// zero returns a register of zeros.
func (v vector) zero() reg.VecVirtual {
	z := v.new()
	v.clear(z)
	return z
}

// clear fills a register with zeros.
func (v vector) clear(r reg.Register) {
	if v.wide() {
		VPXORD(r, r, r)
	} else {
		VXORPS(r, r, r)
	}
}

// constants are the tables already written, by name.
var constants = map[string]Mem{}

// bits is a vector whose lanes all hold these bits, in memory.
func bits(b uint32) Mem {
	name := fmt.Sprintf("lanes%08x", b)
	m, found := constants[name]
	if !found {
		m = GLOBL(name, RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(b))
		}
		constants[name] = m
	}
	return m
}

// constant is a vector whose lanes all hold x, in memory.
func constant(x float64) Mem { return bits(math.Float32bits(float32(x))) }

// load copies a vector from memory to a fresh register.
func (v vector) load(m Mem) reg.VecVirtual {
	r := v.new()
	VMOVUPS(m, r)
	return r
}

// spread fills a fresh register with the float32 at m.
func (v vector) spread(m Mem) reg.VecVirtual {
	r := v.new()
	VBROADCASTSS(m, r)
	return r
}

// mask selects lanes: a mask register with AVX-512, the sign bits of a vector
// with AVX2. One made by firstLanes knows their number.
type mask struct {
	reg.Register
	count reg.GPVirtual
}

// firstLanes returns the mask of the first n lanes, 0 ≤ n ≤ v.lanes.
func (v vector) firstLanes(n reg.GPVirtual) mask {
	if v.wide() {
		ones, k := GP32(), K()
		MOVL(I32(-1), ones)
		BZHIL(n.As32(), ones, ones)
		KMOVW(ones, k)
		return mask{k, n}
	}
	const name = "firstLanes"
	table, found := constants[name]
	if !found {
		table = GLOBL(name, RODATA|NOPTR)
		for i := range 16 {
			b := uint32(0)
			if i < 8 {
				b = math.MaxUint32
			}
			DATA(4*i, U32(b))
		}
		constants[name] = table
	}
	at := GP64()
	LEAQ(table.Offset(32), at)
	offset := GP64()
	MOVQ(n, offset)
	NEGQ(offset)
	return mask{v.load(Mem{Base: at, Index: offset, Scale: 4}), n}
}

// loadFirst copies the lanes of a mask from memory, and zeros to the others.
func (v vector) loadFirst(m Mem, lanes mask) reg.VecVirtual {
	r := v.new()
	if v.wide() {
		VMOVUPS_Z(m, lanes.Register, r)
	} else {
		VMASKMOVPS(m, lanes.Register, r)
	}
	return r
}

// storeFirst copies the lanes of a mask made by firstLanes to memory. Without
// AVX-512 it does so in fours, twos and ones: a masked store takes dozens of
// cycles on some processors.
func (v vector) storeFirst(r reg.VecVirtual, m Mem, lanes mask) {
	if v.wide() {
		VMOVUPS(r, lanes.Register, m)
		return
	}
	at, rest := GP64(), XMM()
	LEAQ(m, at)
	VMOVAPS(r.AsX(), rest)
	whole, two, last, end := label("whole"), label("two"), label("last"), label("end")
	TESTQ(U32(8), lanes.count)
	JNZ(LabelRef(whole))
	TESTQ(U32(4), lanes.count)
	JZ(LabelRef(two))
	VMOVUPS(rest, Mem{Base: at})
	VEXTRACTF128(Imm(1), r, rest)
	ADDQ(Imm(16), at)
	Label(two)
	TESTQ(U32(2), lanes.count)
	JZ(LabelRef(last))
	VMOVLPS(rest, Mem{Base: at})
	VPERMILPS(Imm(0x0E), rest, rest)
	ADDQ(Imm(8), at)
	Label(last)
	TESTQ(U32(1), lanes.count)
	JZ(LabelRef(end))
	VMOVSS(rest, Mem{Base: at})
	JMP(LabelRef(end))
	Label(whole)
	VMOVUPS(r, Mem{Base: at})
	Label(end)
}

// labels counts the labels made so far.
var labels int

// label is a label that is used once.
func label(name string) string {
	labels++
	return fmt.Sprint(name, labels)
}

// argument loads an integer parameter.
func argument(name string) reg.GPVirtual {
	r := GP64()
	Load(Param(name), r)
	return r
}

// strideOf loads a parameter that counts elements as a number of bytes.
func strideOf(name string) reg.GPVirtual {
	r := argument(name)
	SHLQ(Imm(2), r)
	return r
}

// base loads the address of a slice's first element.
func base(name string) reg.GPVirtual {
	r := GP64()
	Load(Param(name).Base(), r)
	return r
}
