package main

import (
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The scalars of an update rule, in the order of package cpu.
const (
	clip = iota
	decay
	shrink
	beta1
	gain1
	beta2
	gain2
	rate
	unbias2
	epsilon
)

// updating is an update rule at work: where its slices lie, and its scalars.
type updating struct {
	position
	theta, g, m, v reg.GPVirtual // of moments, those that the rule keeps
	c              map[int]reg.VecVirtual
}

// updates writes the update rules; their formulas are those of package cpu.
func (v vector) updates() {
	v.update("sgd", "m", func(u updating) {
		theta, gradient := u.decayed()
		u.put(u.fnma(u.c[rate], u.first(gradient), theta), u.theta)
	})
	v.update("nesterov", "m", func(u updating) {
		theta, gradient := u.decayed()
		u.put(u.fnma(u.c[rate], u.fma(u.c[beta1], u.first(gradient), gradient), theta), u.theta)
	})
	v.update("adam", "m, v", func(u updating) {
		theta, gradient := u.decayed()
		first := u.first(u.mul(gradient, u.c[gain1]))
		root := u.add(u.sqrt(u.mul(u.second(gradient), u.c[unbias2])), u.c[epsilon])
		step := u.div(u.mul(first, u.c[rate]), root)
		VFMSUB132PS(u.c[shrink], step, theta) // θ·shrink - step
		u.put(theta, u.theta)
	})
	v.update("rmsprop", "v", func(u updating) {
		theta, gradient := u.decayed()
		root := u.add(u.sqrt(u.second(gradient)), u.c[epsilon])
		u.put(u.sub(theta, u.div(u.mul(gradient, u.c[rate]), root)), u.theta)
	})
}

// update writes one rule with those moments.
func (v vector) update(name, moments string, body func(u updating)) {
	v.function(name, "func(theta, g, "+moments+" []float32, c *[10]float32)", "%s updates parameters: see rule.")
	mode := flushSubnormals()
	u := updating{theta: base("theta"), g: base("g"), c: map[int]reg.VecVirtual{}}
	if strings.Contains(moments, "m") {
		u.m = base("m")
	}
	if strings.Contains(moments, "v") {
		u.v = base("v")
	}
	scalars := argument("c")
	for i := range epsilon + 1 {
		u.c[i] = v.spread(Mem{Base: scalars, Disp: 4 * i})
	}
	v.elements(length("theta"), func(at position) {
		u.position = at
		u.ask()
		body(u)
	})
	mode.end()
}

// ask asks for what is read half a page later: it crosses to the next page in time, which
// the processor by itself does not.
func (u updating) ask() {
	const later = 2048 // bytes
	if u.tail != nil {
		return
	}
	for _, slice := range []reg.GPVirtual{u.theta, u.g, u.m, u.v} {
		if slice != nil {
			PREFETCHT0(u.of(slice).Offset(later))
		}
	}
}

// decayed returns θ and clip·g + λθ.
func (u updating) decayed() (theta, gradient reg.VecVirtual) {
	theta = u.element(u.theta)
	return theta, u.fma(u.element(u.g), u.c[clip], u.mul(theta, u.c[decay]))
}

// first moves the first moment, m ← β₁m + addend, and returns it.
func (u updating) first(addend reg.VecVirtual) reg.VecVirtual {
	m := u.fma(u.c[beta1], u.element(u.m), addend)
	u.put(m, u.m)
	return m
}

// second moves the second moment, v ← β₂v + gain·g², and returns it.
func (u updating) second(gradient reg.VecVirtual) reg.VecVirtual {
	second := u.fma(u.c[beta2], u.element(u.v), u.mul(u.mul(gradient, gradient), u.c[gain2]))
	u.put(second, u.v)
	return second
}
