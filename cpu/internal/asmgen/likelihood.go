package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// likelihoods writes the losses that are common enough: -log p summed over a
// row, and its gradient.
func (v vector) likelihoods() {
	v.function("bernoulli", "func(a, x, mask, d []float32, destroyed, untouched, scale float32) float64",
		"%s sums softplus(a) - x·a: see lossFunc.")
	v.loss(func(a, x reg.VecVirtual) (loss, gradient reg.VecVirtual) {
		e := v.exp(v.minusAbs(a))
		return v.fnma(x, a, v.softplusFrom(a, e)), v.sub(v.sigmoidFrom(a, e), x)
	})

	v.function("gaussian", "func(a, x, mask, d []float32, destroyed, untouched, scale, precision, constant float32) float64",
		"%s sums ½(x-a)²·precision + constant: see lossFunc.")
	v.loss(func(a, x reg.VecVirtual) (loss, gradient reg.VecVirtual) {
		e := v.sub(a, x)
		gradient = v.mul(e, v.scalar("precision"))
		return v.fma(v.mul(e, constant(0.5)), gradient, v.scalar("constant")), gradient
	})
}

// loss writes the loop around a feature's loss and derivative: the emphasis,
// the sum, and the gradient if d is wanted.
func (v vector) loss(feature func(a, x reg.VecVirtual) (loss, gradient reg.VecVirtual)) {
	a, x, emphasis, d, n := base("a"), base("x"), base("mask"), base("d"), length("x")
	t := v.newTotal()
	v.elements(n, func(at position) {
		loss, gradient := feature(at.element(a), at.element(x))
		weight := v.load(constant(one))
		plain, summed := label("plain"), label("summed")
		TESTQ(emphasis, emphasis)
		JZ(LabelRef(plain))
		destroyed := v.compare(notEqual, at.element(emphasis), v.zero())
		chosen := v.pick(destroyed, v.scalar("destroyed"), v.scalar("untouched"))
		VMOVAPS(chosen, weight)
		Label(plain)
		t.add(at.within(v.mul(loss, weight)))
		TESTQ(d, d)
		JZ(LabelRef(summed))
		at.put(v.mul(gradient, v.mul(weight, v.scalar("scale"))), d)
		Label(summed)
	})
	t.result()
	end()
}
