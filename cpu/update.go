package cpu

import (
	"math"

	"gpudae/device"
)

// ruleScalars are the constants of an update rule in the step at hand.
type ruleScalars = [10]float32

// What the elements of ruleScalars are.
const (
	scalarClip    = iota // factor of the gradient
	scalarDecay          // λ of what is added to the gradient
	scalarShrink         // 1 - ηλ, AdamW's factor of the parameter
	scalarBeta1          // β₁
	scalarGain1          // 1 - β₁
	scalarBeta2          // β₂, 1 for Adagrad
	scalarGain2          // 1 - β₂, 1 for Adagrad
	scalarRate           // η, for Adam η/(1 - β₁ᵗ)
	scalarUnbias2        // 1/(1 - β₂ᵗ)
	scalarEpsilon        // ε
)

// updateCall is an Update in progress; its items are parameters, from the first on.
type updateCall struct {
	first                   int
	kernels                 *kernels
	kind                    device.Optimizer
	nesterov                bool
	scalars, plain          ruleScalars // with weight decay and without
	decayed                 int
	keep                    float32 // d of the moving average
	params, grads           []float32
	moment, second, average []float32
}

// updateBlock is the number of parameters that are updated before their moving
// average is, so that it finds them in the cache.
const updateBlock = 4096

// Update applies an optimiser to all parameters in one pass over their memory.
func (d *Device) Update(a device.UpdateArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Update) {
		return
	}
	if !finite(floatsOf(a.GradSq)[0]) || !allowed(&a) {
		return
	}
	d.update = d.updateBy(&a)
	d.pool.run(&d.update, a.Params.Len(), d.perLane(updateCost))
}

// allowed reports whether the step's loss lets it be applied.
func allowed(a *device.UpdateArgs) bool {
	if a.Loss.IsZero() {
		return true
	}
	loss, spikes := floatsOf(a.Loss)[0], floatsOf(a.Spikes)
	return finite(loss) && (spikes == nil || !device.SpikesFromValues(spikes).Exceeds(loss, a.SpikeLimit))
}

// updateBy is the update of the step at hand. Without clipping it does not look at GradSq.
func (d *Device) updateBy(a *device.UpdateArgs) updateCall {
	clock := device.ClockFromWords(wordsOf(a.Clock))
	t := clock.Step + 1
	c := updateCall{
		kernels: d.kernels, kind: a.Kind, nesterov: a.Nesterov, decayed: a.Decayed,
		scalars: scalarsOf(a, t, floatsOf(a.Rates)[clock.Index], floatsOf(a.GradSq)[0]),
		keep:    min(a.Decay, float32((1+float64(t))/(10+float64(t)))),
		params:  floatsOf(a.Params), grads: floatsOf(a.Grads),
		moment: floatsOf(a.First), second: floatsOf(a.Second), average: floatsOf(a.EMA),
	}
	c.plain = c.scalars
	c.plain[scalarDecay], c.plain[scalarShrink] = 0, 1
	return c
}

// scalarsOf computes the constants of step t.
func scalarsOf(a *device.UpdateArgs, t uint64, rate, gradSq float32) ruleScalars {
	c := ruleScalars{
		scalarClip: 1, scalarDecay: a.WeightDecay, scalarShrink: 1, scalarBeta1: a.Beta1, scalarGain1: 1 - a.Beta1,
		scalarBeta2: a.Beta2, scalarGain2: 1 - a.Beta2, scalarRate: rate, scalarEpsilon: a.Epsilon,
	}
	if norm := root(gradSq); a.Clip > 0 && norm > a.Clip {
		c[scalarClip] = a.Clip / norm
	}
	switch a.Kind {
	case device.AdamW:
		c[scalarDecay], c[scalarShrink] = 0, 1-rate*a.WeightDecay
		fallthrough
	case device.Adam:
		c[scalarRate] = float32(float64(rate) / unbiased(a.Beta1, t))
		c[scalarUnbias2] = float32(1 / unbiased(a.Beta2, t))
	case device.Adagrad:
		c[scalarBeta2], c[scalarGain2] = 1, 1
	}
	return c
}

// unbiased is 1 - βᵗ.
func unbiased(beta float32, t uint64) float64 {
	return -math.Expm1(float64(t) * math.Log(float64(beta)))
}

func (c *updateCall) run(_, lo, hi int) {
	lo, hi = c.first+lo, c.first+hi
	c.apply(lo, hi, c.grads[lo:hi])
}

// apply updates the parameters lo to hi by their gradient.
func (c *updateCall) apply(lo, hi int, g []float32) {
	border := min(max(c.decayed, lo), hi)
	c.blocks(lo, border, g[:border-lo], &c.scalars)
	c.blocks(border, hi, g[border-lo:], &c.plain)
}

// blocks updates the parameters lo to hi, and their moving average.
func (c *updateCall) blocks(lo, hi int, g []float32, scalars *ruleScalars) {
	for ; lo < hi; lo += updateBlock {
		end := min(lo+updateBlock, hi)
		c.rule(lo, end, g, scalars)
		g = g[end-lo:]
		if c.average != nil {
			average := c.average[lo:end]
			c.kernels.combine(average, c.keep, average, 1-c.keep, c.params[lo:end])
		}
	}
}

func (c *updateCall) rule(lo, hi int, g []float32, scalars *ruleScalars) {
	theta := c.params[lo:hi]
	g = g[:hi-lo]
	switch c.kind {
	case device.SGD:
		if c.nesterov {
			c.kernels.nesterov(theta, g, c.moment[lo:hi], scalars)
		} else {
			c.kernels.sgd(theta, g, c.moment[lo:hi], scalars)
		}
	case device.Adam, device.AdamW:
		c.kernels.adam(theta, g, c.moment[lo:hi], c.second[lo:hi], scalars)
	case device.RMSprop, device.Adagrad:
		c.kernels.rmsprop(theta, g, c.second[lo:hi], scalars)
	}
}

// root is the square root, which the compiler turns into one instruction.
func root(x float32) float32 { return float32(math.Sqrt(float64(x))) }
