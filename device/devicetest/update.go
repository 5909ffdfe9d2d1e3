package devicetest

import (
	"math"
	"slices"

	"gpudae/device"
)

func updateChecks() []check {
	return append(each("Update", device.Optimizers(), checkUpdate),
		append(each("UpdateSkipsNonFiniteSteps", device.Optimizers(), checkUpdateSkips),
			each("UpdateSkipsSpikes", device.Optimizers(), checkUpdateSkipsSpikes)...)...)
}

// updateCase is what one trial of Update varies.
type updateCase struct {
	kind        device.Optimizer
	n, decayed  int
	step        uint64
	clip        float32
	weightDecay float32
	nesterov    bool
	ema, loss   bool
	fresh       bool // moments start at zero
}

func checkUpdate(r *rig, k device.Optimizer) {
	for i, n := range []int{1, 7, 64, 1000, 4099} {
		for variant := range 16 {
			r.updateTrial(updateCase{
				kind: k, n: n, decayed: [...]int{0, n / 2, n}[(i+variant)%3], step: [...]uint64{0, 1, 1000, 1 << 33}[variant%4],
				clip: [...]float32{0, 0.5, 1e9}[variant%3], weightDecay: [...]float32{0, 0.1}[variant/2%2],
				nesterov: variant&1 > 0, ema: variant&4 > 0, loss: variant&8 > 0, fresh: variant%4 == 0,
			})
		}
	}
}

func (r *rig) updateTrial(c updateCase) {
	t := r.trial("update %+v", c)
	o := t.updateOperands(c)
	t.run(o.call)
	b := o.bounds(c)
	t.within(o.params, func(i int) float64 { return b[i].theta })
	if o.first != nil {
		t.within(o.first, func(i int) float64 { return b[i].m })
	}
	if o.second != nil {
		t.within(o.second, func(i int) float64 { return b[i].v })
	}
	if o.ema != nil {
		t.within(o.ema, func(i int) float64 {
			return 4*u*(math.Abs(float64(o.ema.before[i]))+math.Abs(o.params.want()[i])) + b[i].theta
		})
	}
}

// updateOperands are the operands of an Update.
type updateOperands struct {
	args               device.UpdateArgs // without views
	params, grads      *operand
	first, second, ema *operand
	rates, gradSq      *operand
	loss, spikes       *operand
	clock              *wordOperand

	rate, shrink             float64 // η, and the clipping factor
	correction1, correction2 float64 // 1/(1-βᵗ), or 1 for the kinds that do not correct
}

func (t *trial) updateOperands(c updateCase) *updateOperands {
	r, n := t.rig, c.n
	clock := device.Clock{Step: c.step, Index: r.rng.Uint32N(5)}
	o := &updateOperands{
		args: device.UpdateArgs{Kind: c.kind, Nesterov: c.nesterov, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8,
			WeightDecay: c.weightDecay, Decayed: c.decayed, Clip: c.clip, Decay: 0.99},
		params: t.inout("params", 1, n, r.normals(n, 1)),
		grads:  t.in("grads", 1, n, r.normals(n, 1)),
		rates:  t.in("rates", 1, 5, r.uniforms(5, 0.001, 0.1)),
		clock:  t.inWords("clock", clock.Words()),
	}
	sum := 0.0
	for _, g := range o.grads.before {
		sum += float64(g) * float64(g)
	}
	o.gradSq = t.in("GradSq", 1, 1, []float32{float32(sum)})
	if c.loss {
		o.loss = t.in("loss", 1, 1, r.normals(1, 1))
	}
	if c.kind.UsesFirstMoment() {
		o.first = t.inout("first moment", 1, n, r.normals(n, 1))
	}
	if c.kind.UsesSecondMoment() {
		o.second = t.inout("second moment", 1, n, r.uniforms(n, 0.01, 2))
	}
	if c.fresh {
		t.zero(o.first)
		t.zero(o.second)
	}
	if c.ema {
		o.ema = t.inout("EMA", 1, n, r.normals(n, 1))
	}
	o.rate, o.shrink, o.correction1, o.correction2 = float64(o.rates.before[clock.Index]), 1, 1, 1
	if c.clip > 0 {
		o.shrink = min(1, float64(c.clip)/math.Sqrt(float64(o.gradSq.before[0])))
	}
	if c.kind == device.Adam || c.kind == device.AdamW {
		o.correction1 = 1 / (1 - math.Pow(float64(o.args.Beta1), float64(c.step)+1))
		o.correction2 = 1 / (1 - math.Pow(float64(o.args.Beta2), float64(c.step)+1))
	}
	return o
}

// zero clears an operand that is not absent.
func (t *trial) zero(o *operand) {
	if o != nil {
		clear(o.before)
	}
}

func (o *updateOperands) call(s side) {
	a := o.args
	a.Rates, a.Clock, a.GradSq, a.Loss, a.Spikes = s.v(o.rates), s.w(o.clock), s.v(o.gradSq), s.v(o.loss), s.v(o.spikes)
	a.Params, a.Grads, a.First, a.Second, a.EMA = s.v(o.params), s.v(o.grads), s.v(o.first), s.v(o.second), s.v(o.ema)
	s.Update(a)
}

// updateBound is the error allowed of a parameter and its moments.
type updateBound struct{ theta, m, v float64 }

func (o *updateOperands) bounds(c updateCase) []updateBound {
	all := make([]updateBound, c.n)
	for i := range all {
		all[i] = o.bound(c, i)
	}
	return all
}

// bound follows the error of parameter i from the gradient through the moments
// to the step. A capital is a sum of magnitudes, a delta its error. The
// corrections 1 - βᵗ are allowed the error of an elementary function: computed
// as written in float32 they have few correct digits at small t, so a device
// takes them in float64 or by expm1.
func (o *updateOperands) bound(c updateCase, i int) updateBound {
	theta, decay := math.Abs(float64(o.params.before[i])), 0.0
	if i < c.decayed {
		decay = float64(c.weightDecay)
	}
	g := math.Abs(float64(o.grads.before[i])) * o.shrink
	if c.kind != device.AdamW {
		g += decay * theta
	}
	deltaG := 8 * u * g
	m, deltaM := o.firstBound(c, i, g, deltaG)
	deltaV := o.secondBound(c, i, g, deltaG)

	step, deltaStep := g, deltaG // what the rate multiplies
	switch {
	case c.kind == device.SGD && c.nesterov:
		step, deltaStep = g+m, deltaG+deltaM+4*u*(g+m)
	case c.kind.UsesFirstMoment():
		step, deltaStep = m*o.correction1, deltaM*o.correction1+elementary*m*o.correction1
	}
	if c.kind.UsesSecondMoment() {
		v := o.second.want()[i]
		root := math.Sqrt(v*o.correction2) + float64(o.args.Epsilon)
		deltaStep = (deltaStep + step*(deltaV/(2*v)+elementary)) / root
		step /= root
	}
	return updateBound{
		theta: o.rate*deltaStep + 4*u*(theta+o.rate*step+o.rate*decay*theta),
		m:     deltaM, v: deltaV,
	}
}

// firstBound is the magnitude and the error of the new m.
func (o *updateOperands) firstBound(c updateCase, i int, g, deltaG float64) (m, delta float64) {
	if o.first == nil {
		return 0, 0
	}
	share := 1.0
	if c.kind != device.SGD {
		share = 1 - float64(o.args.Beta1)
	}
	m = float64(o.args.Beta1)*math.Abs(float64(o.first.before[i])) + share*g
	return m, 4*u*m + share*deltaG
}

// secondBound is the error of the new v.
func (o *updateOperands) secondBound(c updateCase, i int, g, deltaG float64) float64 {
	if o.second == nil {
		return 0
	}
	old, share := 1.0, 1.0
	if c.kind != device.Adagrad {
		old, share = float64(o.args.Beta2), 1-float64(o.args.Beta2)
	}
	v := old*float64(o.second.before[i]) + share*g*g
	return 4*u*v + share*2*g*deltaG
}

// checkUpdateSkips: a step whose loss or gradient is not finite changes
// nothing.
func checkUpdateSkips(r *rig, k device.Optimizer) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, bad := range []struct{ gradSq, loss float32 }{{nan, 1}, {inf, 1}, {1, nan}, {1, inf}, {1, -inf}, {inf, nan}} {
		t := r.trial("update %s with GradSq %g and loss %g", k, bad.gradSq, bad.loss)
		o := t.updateOperands(updateCase{kind: k, n: 37, decayed: 20, weightDecay: 0.1, clip: 1, ema: true, loss: true})
		o.gradSq.before[0], o.loss.before[0] = bad.gradSq, bad.loss
		if bad.gradSq != 1 {
			o.grads.before = slices.Clone(o.grads.before)
			o.grads.before[3] = bad.gradSq
		}
		t.run(o.call)
		for _, x := range []*operand{o.params, o.first, o.second, o.ema} {
			if x != nil && firstDifference(x.before, x.got) >= 0 {
				r.report("%s: the %s changed", t.label, x.name)
			}
		}
	}
}

// checkUpdateSkipsSpikes: a loss beyond the limit changes nothing, one at it or
// among the first is applied.
func checkUpdateSkipsSpikes(r *rig, k device.Optimizer) {
	settled := device.Spikes{Count: device.SpikeSettle, Mean: 2, Variance: 4}
	for _, c := range []struct {
		spikes  device.Spikes
		loss    float32
		skipped bool
	}{
		{settled, 8, false}, {settled, math.Nextafter32(8, 9), true}, {settled, 1e30, true}, {settled, -1e30, false},
		{device.Spikes{Count: device.SpikeSettle - 1, Mean: 2, Variance: 4}, 1e30, false},
		{device.Spikes{Count: device.SpikeWindow, Mean: -1}, 0, true},
	} {
		t := r.trial("update %s with the loss %g after %+v", k, c.loss, c.spikes)
		o := t.updateOperands(updateCase{kind: k, n: 37, decayed: 20, weightDecay: 0.1, clip: 1, ema: true, loss: true})
		o.loss.before[0], o.args.SpikeLimit = c.loss, 3
		o.spikes = t.in("spikes", 1, device.SpikeValues, c.spikes.Values())
		t.run(o.call)
		for _, x := range []*operand{o.params, o.first, o.second, o.ema} {
			if x != nil && (firstDifference(x.before, x.got) < 0) != c.skipped {
				r.report("%s: whether the %s changed is %t, want %t", t.label, x.name, c.skipped, !c.skipped)
			}
		}
	}
}
