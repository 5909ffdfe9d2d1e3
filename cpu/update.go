package cpu

import (
	"math"

	"gpudae/device"
)

// updateCall is an Update in progress; its items are parameters.
type updateCall struct {
	rule                   rule
	decayed                int
	params, grads          []float32
	first, second, average []float32
}

// rule holds what the update of one parameter needs besides its own state.
type rule struct {
	kind                  device.Optimizer
	nesterov              bool
	beta1, beta2, epsilon float32
	rate                  float32 // η
	clip                  float32 // factor of the gradient
	decay                 float32 // λ added to the gradient
	shrink                float32 // 1 - ηλ, AdamW's factor of the parameter
	unbias1, unbias2      float32 // 1/(1-β₁ᵗ), 1/(1-β₂ᵗ)
	keep                  float32 // d of the moving average
}

// Relative cost of updating a parameter.
const updateCost = 4

// Update applies an optimiser to all parameters in one pass over their memory.
func (d *Device) Update(a device.UpdateArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	gradSq := floatsOf(a.GradSq)[0]
	if !finite(gradSq) || !a.Loss.IsZero() && !finite(floatsOf(a.Loss)[0]) {
		return
	}
	clock := device.ClockFromWords(wordsOf(a.Clock))
	d.update = updateCall{
		rule: newRule(&a, clock.Step+1, floatsOf(a.Rates)[clock.Index], gradSq), decayed: a.Decayed,
		params: floatsOf(a.Params), grads: floatsOf(a.Grads),
		first: floatsOf(a.First), second: floatsOf(a.Second), average: floatsOf(a.EMA),
	}
	d.pool.run(&d.update, a.Params.Len(), elementsPerLane/updateCost)
}

func newRule(a *device.UpdateArgs, t uint64, rate, gradSq float32) rule {
	r := rule{
		kind: a.Kind, nesterov: a.Nesterov, beta1: a.Beta1, beta2: a.Beta2, epsilon: a.Epsilon,
		rate: rate, clip: 1, decay: a.WeightDecay, shrink: 1,
		unbias1: unbias(a.Beta1, t), unbias2: unbias(a.Beta2, t),
		keep: min(a.Decay, float32((1+float64(t))/(10+float64(t)))),
	}
	if norm := float32(math.Sqrt(float64(gradSq))); a.Clip > 0 && norm > a.Clip {
		r.clip = a.Clip / norm
	}
	if a.Kind == device.AdamW {
		r.decay, r.shrink = 0, 1-rate*a.WeightDecay
	}
	return r
}

// unbias is 1/(1 - βᵗ).
func unbias(beta float32, t uint64) float32 {
	return float32(-1 / math.Expm1(float64(t)*math.Log(float64(beta))))
}

func (c *updateCall) run(_, lo, hi int) {
	border := min(max(c.decayed, lo), hi)
	c.rule.apply(c, lo, border)
	plain := c.rule
	plain.decay, plain.shrink = 0, 1
	plain.apply(c, border, hi)
}

// apply updates the parameters lo to hi.
func (r rule) apply(c *updateCall, lo, hi int) {
	if lo == hi {
		return
	}
	theta, g := c.params[lo:hi], c.grads[lo:hi]
	switch r.kind {
	case device.SGD:
		r.sgd(theta, g, c.first[lo:hi])
	case device.Adam, device.AdamW:
		r.adam(theta, g, c.first[lo:hi], c.second[lo:hi])
	case device.RMSprop:
		r.rmsprop(theta, g, c.second[lo:hi])
	case device.Adagrad:
		r.adagrad(theta, g, c.second[lo:hi])
	}
	if c.average != nil {
		average := c.average[lo:hi]
		for i := range average {
			average[i] = r.keep*average[i] + (1-r.keep)*theta[i]
		}
	}
}

func (r *rule) sgd(theta, g, m []float32) {
	g, m = g[:len(theta)], m[:len(theta)]
	for i, p := range theta {
		gradient := r.clip*g[i] + r.decay*p
		moment := r.beta1*m[i] + gradient
		m[i] = moment
		if r.nesterov {
			moment = gradient + r.beta1*moment
		}
		theta[i] = p - r.rate*moment
	}
}

func (r *rule) adam(theta, g, m, v []float32) {
	g, m, v = g[:len(theta)], m[:len(theta)], v[:len(theta)]
	for i, p := range theta {
		gradient := r.clip*g[i] + r.decay*p
		m[i] = r.beta1*m[i] + (1-r.beta1)*gradient
		v[i] = r.beta2*v[i] + (1-r.beta2)*gradient*gradient
		theta[i] = p*r.shrink - r.rate*(m[i]*r.unbias1)/(root(v[i]*r.unbias2)+r.epsilon)
	}
}

func (r *rule) rmsprop(theta, g, v []float32) {
	g, v = g[:len(theta)], v[:len(theta)]
	for i, p := range theta {
		gradient := r.clip*g[i] + r.decay*p
		v[i] = r.beta2*v[i] + (1-r.beta2)*gradient*gradient
		theta[i] = p - r.rate*gradient/(root(v[i])+r.epsilon)
	}
}

func (r *rule) adagrad(theta, g, v []float32) {
	g, v = g[:len(theta)], v[:len(theta)]
	for i, p := range theta {
		gradient := r.clip*g[i] + r.decay*p
		v[i] += gradient * gradient
		theta[i] = p - r.rate*gradient/(root(v[i])+r.epsilon)
	}
}

// root is the square root, which the compiler turns into one instruction.
func root(x float32) float32 { return float32(math.Sqrt(float64(x))) }
