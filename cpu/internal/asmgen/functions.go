package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	signBit   = 0x80000000
	allButIt  = 0x7FFFFFFF
	one       = 1.0
	leakSlope = 0.01
)

// The polynomials are minimax approximations (Remez's exchange in 40 digits,
// coefficients rounded to float32); the errors that the tests allow are stated
// in package cpu.

// expReduced returns n = round(x/ln 2) and exp(r) - 1 for r = x - n·ln 2,
// |r| ≤ ½ ln 2, as r + r²·q(r); q's relative error is 2.4e-10 of exp(r) - 1.
func (v vector) expReduced(x reg.VecVirtual) (n, p reg.VecVirtual) {
	n = v.round(v.mul(x, constant(math.Log2E)))
	r := v.fnma(n, constant(0.693359375), x) // ln 2 in two parts, the first exact in products
	VFNMADD231PS(constant(-2.12194440e-4), n, r)
	q := v.polynomial(r, 0.5, 0.1666666567, 0.04166636243, 0.008333389647, 0.001394062769, 0.0001984590053)
	return n, v.fma(v.mul(r, r), q, r)
}

// exp is the exponential: 0 below -104, infinite above 89.
func (v vector) exp(x reg.VecVirtual) reg.VecVirtual {
	n, p := v.expReduced(v.min(v.max(x, constant(-104)), constant(89)))
	return v.timesPowerOfTwo(v.add(p, constant(one)), n)
}

// timesPowerOfTwo is x·2ⁿ for an integer n in [-150, 128], x near 1; without
// AVX-512 in two factors, each of which is a normal number.
func (v vector) timesPowerOfTwo(x, n reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	if v.wide() {
		VSCALEFPS(n, x, r)
		return r
	}
	integer, half, rest := v.new(), v.new(), v.new()
	VCVTPS2DQ(n, integer)
	VPSRAD(Imm(1), integer, half)
	VPSUBD(half, integer, rest)
	VMULPS(v.powerOfTwo(half), x, r)
	VMULPS(v.powerOfTwo(rest), r, r)
	return r
}

// powerOfTwo is 2ⁿ of integers in [-126, 127].
func (v vector) powerOfTwo(n reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	VPADDD(bits(127), n, r)
	VPSLLD(Imm(23), r, r)
	return r
}

// expm1 is exp(x) - 1 for x ≤ 0, without cancellation.
func (v vector) expm1(x reg.VecVirtual) reg.VecVirtual {
	n, p := v.expReduced(v.max(x, constant(-80)))
	integer := v.new()
	VCVTPS2DQ(n, integer)
	power := v.powerOfTwo(integer)
	return v.fma(p, power, v.sub(power, constant(one)))
}

// log is the logarithm of a positive normal number m·2ⁿ, ½√2 ≤ m < √2: with
// f = m - 1, f - f²/2 + f³·p(f) + n·ln 2, p from Cephes' logf (S. Moshier).
func (v vector) log(x reg.VecVirtual) reg.VecVirtual {
	m, n := v.significand(x)
	f := v.sub(m, constant(one))
	square := v.mul(f, f)
	p := v.polynomial(f, 3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1,
		-1.2420140846e-1, 1.1676998740e-1, -1.1514610310e-1, 7.0376836292e-2)
	small := v.fma(n, constant(-2.12194440e-4), v.mul(v.mul(p, f), square))
	small = v.fnma(square, constant(0.5), small)
	return v.fma(n, constant(0.693359375), v.add(f, small))
}

// significand splits a positive normal number into m·2ⁿ with ½√2 ≤ m < √2.
func (v vector) significand(x reg.VecVirtual) (m, n reg.VecVirtual) {
	exponent := v.new()
	VPSRLD(Imm(23), x, exponent)
	VPSUBD(bits(126), exponent, exponent)
	m = v.or(v.and(x, bits(0x007FFFFF)), bits(0x3F000000))
	small := v.compare(less, m, constant(0.70710678))
	n = v.new()
	VCVTDQ2PS(exponent, n)
	return v.add(m, v.keepIf(small, m)), v.sub(n, v.keepIf(small, v.load(constant(one))))
}

// minusAbs is -|x|.
func (v vector) minusAbs(x reg.VecVirtual) reg.VecVirtual { return v.or(x, bits(signBit)) }

// halves are 1/(1+e) and e/(1+e): of e = exp(-|x|), the logistic functions of
// |x| and of -|x|.
func (v vector) halves(e reg.VecVirtual) (ofAbs, ofMinusAbs reg.VecVirtual) {
	ofAbs = v.div(v.load(constant(one)), v.add(e, constant(one)))
	return ofAbs, v.mul(e, ofAbs)
}

// sigmoidFrom is 1/(1 + exp(-x)) from e = exp(-|x|).
func (v vector) sigmoidFrom(x, e reg.VecVirtual) reg.VecVirtual {
	large, small := v.halves(e)
	return v.pick(v.negative(x), small, large)
}

func (v vector) sigmoid(x reg.VecVirtual) reg.VecVirtual {
	return v.sigmoidFrom(x, v.exp(v.minusAbs(x)))
}

// softplusFrom is ln(1 + exp x) = max(x, 0) + ln(1 + e) from e = exp(-|x|),
// where ln(1 + e) = 2 artanh t, t = e/(2 + e) ≤ 1/3, artanh t = t + t³·q(t²).
func (v vector) softplusFrom(x, e reg.VecVirtual) reg.VecVirtual {
	t := v.div(e, v.add(e, constant(2)))
	square := v.mul(t, t)
	q := v.polynomial(square, 0.3333333731, 0.199994415, 0.1430837959, 0.1071444526, 0.1214834005)
	artanh := v.fma(v.mul(t, square), q, t)
	return v.fma(artanh, constant(2), v.max(x, constant(0)))
}

func (v vector) softplus(x reg.VecVirtual) reg.VecVirtual {
	return v.softplusFrom(x, v.exp(v.minusAbs(x)))
}

// tanh is -m/(2 + m), m = exp(-2|x|) - 1, with the sign of x.
func (v vector) tanh(x reg.VecVirtual) reg.VecVirtual {
	m := v.expm1(v.mul(v.minusAbs(x), constant(2)))
	size := v.div(m, v.add(m, constant(2)))
	return v.or(v.and(x, bits(signBit)), v.and(size, bits(allButIt)))
}

// normal returns Φ(x) and exp(-x²/2). For t = |x|, 1 - Φ(t) = exp(-t²/2)·m(t)
// with m a polynomial in 1/(1 + 0.35·t), relative error 2.7e-8; the part of t²
// that is lost to rounding is put back into the exponential.
func (v vector) normal(x reg.VecVirtual) (cdf, e reg.VecVirtual) {
	t := v.min(v.and(x, bits(allButIt)), constant(1e9)) // beyond it the square has no rounding error that is finite
	square := v.mul(t, t)
	lost := v.copy(square)
	VFMSUB231PS(t, t, lost)
	e = v.exp(v.mul(square, constant(-0.5)))
	e = v.fma(v.mul(lost, constant(-0.5)), e, e)
	w := v.div(v.load(constant(one)), v.fma(t, constant(0.35), v.load(constant(one))))
	m := v.polynomial(w, -1.886927294e-06, 0.1396628618, 0.1394774765, 0.1218099296, 0.09927704185,
		-0.01059394795, 0.1430989951, -0.2429415286, 0.1382563263, -0.02804526873)
	tail := v.mul(e, m)
	return v.pick(v.negative(x), tail, v.sub(v.load(constant(one)), tail)), e
}
