package main

import (
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// likelihoods writes the losses of single features: -log p summed over a row,
// and its gradient.
func (v vector) likelihoods() {
	v.function("bernoulli", "func(a, x, mask, d []float32, destroyed, untouched, scale float32) float64",
		"%s sums softplus(a) - x·a: see lossFunc.")
	parameter, target := base("a"), base("x")
	v.loss("d", func(at position) (reg.VecVirtual, []reg.VecVirtual) {
		a, x := at.element(parameter), at.element(target)
		e := v.exp(v.minusAbs(a))
		return v.fnma(x, a, v.softplusFrom(a, e)), []reg.VecVirtual{v.sub(v.sigmoidFrom(a, e), x)}
	})

	v.function("gaussian", "func(a, x, mask, d []float32, destroyed, untouched, scale, precision, constant float32) float64",
		"%s sums ½(x-a)²·precision + constant: see lossFunc.")
	parameter, target = base("a"), base("x")
	v.loss("d", func(at position) (reg.VecVirtual, []reg.VecVirtual) {
		e := v.sub(at.element(parameter), at.element(target))
		gradient := v.mul(e, v.scalar("precision"))
		return v.fma(v.mul(e, constant(0.5)), gradient, v.scalar("constant")), []reg.VecVirtual{gradient}
	})

	v.function("poisson", "func(a, x, mask, d []float32, destroyed, untouched, scale float32) float64",
		"%s sums exp(a) - x·a: see lossFunc.")
	parameter, target = base("a"), base("x")
	v.loss("d", func(at position) (reg.VecVirtual, []reg.VecVirtual) {
		a, x := at.element(parameter), at.element(target)
		rate := v.exp(a)
		return v.fnma(x, a, rate), []reg.VecVirtual{v.sub(rate, x)}
	})

	v.gaussianLearned()
}

// mostLogVariance bounds s where exp(s) is taken. Beyond, ln v is s, and 1/v in two factors.
const mostLogVariance = 87

// gaussianLearned writes the loss ½(ln v + e²/v) + constant with e = a - x and
// v = exp(s) + floor, whose gradients are e/v and ½·exp(s)/v·(1 - e²/v).
func (v vector) gaussianLearned() {
	v.function("gaussianLearned",
		"func(a, s, x, mask, d, ds []float32, destroyed, untouched, scale, floor, constant float32) float64",
		"%s sums ½(ln v + (x-a)²/v) + constant, v = exp(s) + floor: see lossFunc.")
	mean, logVariance, target := base("a"), base("s"), base("x")
	v.loss("d, ds", func(at position) (reg.VecVirtual, []reg.VecVirtual) {
		e := v.sub(at.element(mean), at.element(target))
		s := at.element(logVariance)
		bounded := v.min(s, constant(mostLogVariance))
		learned := v.exp(bounded)
		variance := v.add(learned, v.scalar("floor"))
		slope := v.mul(v.div(e, variance), v.exp(v.min(v.sub(v.load(constant(mostLogVariance)), s), constant(0))))
		square := v.mul(e, slope)
		loss := v.fma(v.add(square, v.larger(s, v.log(variance))), constant(0.5), v.scalar("constant"))
		share := v.mul(v.div(learned, variance), constant(0.5))
		return loss, []reg.VecVirtual{slope, v.fnma(share, square, share)}
	})
}

// loss writes the loop around a feature's loss and derivatives: the emphasis,
// the sum, and the gradients, in the slices named, if they are wanted.
func (v vector) loss(slices string, feature func(at position) (loss reg.VecVirtual, gradients []reg.VecVirtual)) {
	emphasis, n := base("mask"), length("x")
	var into []reg.GPVirtual
	for name := range strings.SplitSeq(slices, ", ") {
		into = append(into, base(name))
	}
	t := v.newTotal()
	v.elements(n, func(at position) {
		loss, gradients := feature(at)
		weight := v.load(constant(one))
		plain, summed := label("plain"), label("summed")
		TESTQ(emphasis, emphasis)
		JZ(LabelRef(plain))
		destroyed := v.compare(notEqual, at.element(emphasis), v.zero())
		VMOVAPS(v.pick(destroyed, v.scalar("destroyed"), v.scalar("untouched")), weight)
		Label(plain)
		t.add(at.within(v.mul(loss, weight)))
		TESTQ(into[0], into[0])
		JZ(LabelRef(summed))
		factor := v.mul(weight, v.scalar("scale"))
		for i, g := range gradients {
			at.put(v.mul(g, factor), into[i])
		}
		Label(summed)
	})
	t.result(0)
	end()
}
