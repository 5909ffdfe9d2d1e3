package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// activation is a nonlinearity: its value at a, and its derivative from what
// package device says it is taken from.
type activation struct {
	name       string
	value      func(v vector, a reg.VecVirtual) reg.VecVirtual
	derivative func(v vector, from reg.VecVirtual) reg.VecVirtual
}

var activations = []activation{
	{"relu",
		func(v vector, a reg.VecVirtual) reg.VecVirtual { return v.max(a, constant(0)) },
		func(v vector, y reg.VecVirtual) reg.VecVirtual {
			return v.keepIf(v.compare(greater, y, v.zero()), v.load(constant(one)))
		}},
	{"leakyReLU",
		func(v vector, a reg.VecVirtual) reg.VecVirtual {
			return v.fma(v.min(a, constant(0)), constant(leakSlope), v.max(a, constant(0)))
		},
		func(v vector, y reg.VecVirtual) reg.VecVirtual {
			return v.pick(v.compare(greater, y, v.zero()), v.load(constant(one)), v.load(constant(leakSlope)))
		}},
	{"elu",
		func(v vector, a reg.VecVirtual) reg.VecVirtual {
			return v.add(v.expm1(v.min(a, constant(0))), v.max(a, constant(0)))
		},
		func(v vector, y reg.VecVirtual) reg.VecVirtual { return v.add(v.min(y, constant(0)), constant(one)) }},
	{"gelu",
		func(v vector, a reg.VecVirtual) reg.VecVirtual {
			cdf, _ := v.normal(a)
			return v.mul(a, cdf)
		},
		func(v vector, a reg.VecVirtual) reg.VecVirtual {
			cdf, e := v.normal(a)
			return v.fma(v.mul(a, e), constant(1/math.Sqrt(2*math.Pi)), cdf)
		}},
	{"silu",
		func(v vector, a reg.VecVirtual) reg.VecVirtual { return v.mul(a, v.sigmoid(a)) },
		func(v vector, a reg.VecVirtual) reg.VecVirtual {
			large, small := v.halves(v.exp(v.minusAbs(a)))
			s := v.pick(v.negative(a), small, large)
			return v.fma(v.mul(large, small), a, s) // σ·(1-σ) without cancellation
		}},
	{"sigmoid", vector.sigmoid,
		func(v vector, y reg.VecVirtual) reg.VecVirtual { return v.fnma(y, y, y) }},
	{"tanh", vector.tanh,
		func(v vector, y reg.VecVirtual) reg.VecVirtual {
			return v.mul(v.sub(v.load(constant(one)), y), v.add(y, constant(one)))
		}},
	{"softplus", vector.softplus,
		func(v vector, y reg.VecVirtual) reg.VecVirtual {
			return v.xor(v.expm1(v.xor(y, bits(signBit))), bits(signBit)) // σ(a) = 1 - exp(-softplus a)
		}},
}

// activations writes the kernels of every nonlinearity but the identity.
func (v vector) activations() {
	for _, a := range activations {
		v.function(a.name, "func(y, x []float32)", "%s computes y = act(x); y may be x.")
		y, x, n := base("y"), base("x"), length("y")
		v.elements(n, func(at position) { at.put(a.value(v, at.element(x)), y) })
		end()

		v.function(a.name+"Backward", "func(dx, dy, from []float32)", "%s computes dx = dy ⊙ act'(from); dx may be dy.")
		dx, dy, from, m := base("dx"), base("dy"), base("from"), length("dx")
		v.elements(m, func(at position) {
			at.put(v.mul(a.derivative(v, at.element(from)), at.element(dy)), dx)
		})
		end()
	}
}

// exponential writes the kernel of exp alone.
func (v vector) exponential() {
	v.function("exp", "func(y, x []float32)", "%s computes y = exp(x); y may be x.")
	y, x, n := base("y"), base("x"), length("y")
	v.elements(n, func(at position) { at.put(v.exp(at.element(x)), y) })
	end()
}

// sums writes the kernels of linear combinations.
func (v vector) sums() {
	v.function("add", "func(y, x []float32)", "%s computes y += x.")
	y, x, n := base("y"), base("x"), length("y")
	v.elements(n, func(at position) { at.put(v.add(at.element(y), at.element(x)), y) })
	end()

	v.function("addRows", "func(y []float32, stride, rows int, x []float32, least float32)",
		"%s computes max(y+x, least) of rows of y that begin stride elements apart.")
	y, x, n = base("y"), base("x"), length("x")
	stride, least := strideOf("stride"), v.scalar("least")
	v.elements(n, func(at position) {
		addend, row, rows, next := at.element(x), GP64(), argument("rows"), label("row")
		MOVQ(y, row)
		Label(next)
		sum := v.add(addend, at.element(row))
		VMAXPS(sum, least, sum) // NaN if the sum is
		at.put(sum, row)
		ADDQ(stride, row)
		DECQ(rows)
		JNZ(LabelRef(next))
	})
	end()

	v.function("scale", "func(dst []float32, alpha float32, a []float32)", "%s computes dst = alpha·a.")
	dst, alpha, a, n := base("dst"), v.scalar("alpha"), base("a"), length("dst")
	v.elements(n, func(at position) { at.put(v.mul(at.element(a), alpha), dst) })
	end()

	v.function("combine", "func(dst []float32, alpha float32, a []float32, beta float32, b []float32)", "%s computes dst = alpha·a + beta·b.")
	dst, alpha, a, n = base("dst"), v.scalar("alpha"), base("a"), length("dst")
	beta, b := v.scalar("beta"), base("b")
	v.elements(n, func(at position) {
		at.put(v.fma(at.element(a), alpha, v.mul(at.element(b), beta)), dst)
	})
	end()
}
