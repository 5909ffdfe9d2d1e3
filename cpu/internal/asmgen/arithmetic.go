package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The methods below put the result of an operation into a fresh register. The
// left operand is a register, the right one a register or memory.

func (v vector) add(a reg.VecVirtual, b Op) reg.VecVirtual { r := v.new(); VADDPS(b, a, r); return r }
func (v vector) sub(a reg.VecVirtual, b Op) reg.VecVirtual { r := v.new(); VSUBPS(b, a, r); return r }
func (v vector) mul(a reg.VecVirtual, b Op) reg.VecVirtual { r := v.new(); VMULPS(b, a, r); return r }
func (v vector) div(a reg.VecVirtual, b Op) reg.VecVirtual { r := v.new(); VDIVPS(b, a, r); return r }
func (v vector) sqrt(a Op) reg.VecVirtual                  { r := v.new(); VSQRTPS(a, r); return r }

// max is the larger one of x and c, and NaN if x is.
func (v vector) max(x reg.VecVirtual, c Mem) reg.VecVirtual {
	r := v.load(c)
	VMAXPS(x, r, r)
	return r
}

// min is the smaller one of x and c, and NaN if x is.
func (v vector) min(x reg.VecVirtual, c Mem) reg.VecVirtual {
	r := v.load(c)
	VMINPS(x, r, r)
	return r
}

// larger is the larger one of two numbers, and NaN if x is.
func (v vector) larger(x, y reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	VMAXPS(x, y, r)
	return r
}

// fma is a·b + c in one rounding.
func (v vector) fma(a reg.VecVirtual, b Op, c reg.VecVirtual) reg.VecVirtual {
	r := v.copy(c)
	VFMADD231PS(b, a, r)
	return r
}

// fnma is c - a·b in one rounding.
func (v vector) fnma(a reg.VecVirtual, b Op, c reg.VecVirtual) reg.VecVirtual {
	r := v.copy(c)
	VFNMADD231PS(b, a, r)
	return r
}

func (v vector) copy(a reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	VMOVAPS(a, r)
	return r
}

// and, or and xor work on bits.
func (v vector) and(a reg.VecVirtual, b Op) reg.VecVirtual { r := v.new(); VANDPS(b, a, r); return r }
func (v vector) or(a reg.VecVirtual, b Op) reg.VecVirtual  { r := v.new(); VORPS(b, a, r); return r }
func (v vector) xor(a reg.VecVirtual, b Op) reg.VecVirtual { r := v.new(); VXORPS(b, a, r); return r }

// polynomial is Σ c[i]·xⁱ.
func (v vector) polynomial(x reg.VecVirtual, c ...float64) reg.VecVirtual {
	p := v.load(constant(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		VFMADD213PS(constant(c[i]), x, p)
	}
	return p
}

// round is the nearest integer as a float32.
func (v vector) round(x reg.VecVirtual) reg.VecVirtual {
	const nearestQuietly = 8
	r := v.new()
	if v.wide() {
		VRNDSCALEPS(Imm(nearestQuietly), x, r)
	} else {
		VROUNDPS(Imm(nearestQuietly), x, r)
	}
	return r
}

// Predicates of VCMPPS.
const (
	less      = 1
	unordered = 3
	notEqual  = 4
	greater   = 14
)

// compare is the mask of the lanes where a stands in the relation to b.
func (v vector) compare(predicate uint64, a reg.VecVirtual, b Op) mask {
	if v.wide() {
		k := K()
		VCMPPS(Imm(predicate), b, a, k)
		return mask{Register: k}
	}
	r := v.new()
	VCMPPS(Imm(predicate), b, a, r)
	return mask{Register: r}
}

// negative is the mask of the lanes whose sign bit is set.
func (v vector) negative(x reg.VecVirtual) mask {
	if v.wide() {
		k := K()
		VPMOVD2M(x, k)
		return mask{Register: k}
	}
	return mask{Register: x}
}

// pick is a in the lanes of the mask and b in the others.
func (v vector) pick(m mask, a, b reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	if v.wide() {
		VBLENDMPS(a, b, m.Register, r)
	} else {
		VBLENDVPS(m.Register, a, b, r)
	}
	return r
}

// keepIf is x in the lanes of the mask, all of whose bits are set, and 0 in
// the others.
func (v vector) keepIf(m mask, x reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	if v.wide() {
		VMOVAPS_Z(x, m.Register, r)
	} else {
		VANDPS(m.Register, x, r)
	}
	return r
}

// keepUnless is 0 in the lanes of the mask and x in the others.
func (v vector) keepUnless(m mask, x reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	if v.wide() {
		not := K()
		KNOTW(m.Register, not)
		VMOVAPS_Z(x, not, r)
	} else {
		VANDNPS(x, m.Register, r)
	}
	return r
}
