package cpu

import (
	"math"

	"gpudae/device"
)

// halfLogTwoPi is ½ ln 2π.
const halfLogTwoPi = 0.918938533204672741780329736406

// likelihoodCall is a Likelihood in progress; its items are rows.
type likelihoodCall struct {
	device.LikelihoodArgs
	kernels              *kernels
	params, target, mask []float32
	losses, gradient     []float32
	offsets              []uint32 // of the fields; nil: every column is its own
}

// Relative cost of a feature's loss, for rowsPerLane.
const likelihoodCost = 16

// Likelihood computes -log p(x|h) of each example and its gradient.
func (d *Device) Likelihood(a device.LikelihoodArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	d.loss = likelihoodCall{
		LikelihoodArgs: a, kernels: d.kernels, params: floatsOf(a.Params), target: floatsOf(a.Target), mask: floatsOf(a.Mask),
		losses: floatsOf(a.Losses), gradient: floatsOf(a.DParams), offsets: offsetsOf(a.Fields),
	}
	d.pool.run(&d.loss, a.Target.Rows, rowsPerLane(a.Target.Columns, likelihoodCost))
}

func offsetsOf(f device.Fields) []uint32 {
	if f.IsZero() {
		return nil
	}
	return wordsOf(f.Offsets)
}

// bounds returns the columns of field f.
func bounds(offsets []uint32, f int) (lo, hi int) {
	if offsets == nil {
		return f, f + 1
	}
	return int(offsets[f]), int(offsets[f+1])
}

// fieldCount is the number of fields of that many columns.
func fieldCount(offsets []uint32, columns int) int {
	if offsets == nil {
		return columns
	}
	return len(offsets) - 1
}

func (c *likelihoodCall) run(_, lo, hi int) {
	n, width := c.Target.Columns, c.Params.Columns
	for i := lo; i < hi; i++ {
		row := lossRow{
			likelihoodCall: c, a: c.params[i*width : (i+1)*width], x: c.target[i*n : (i+1)*n],
		}
		if c.gradient != nil {
			row.d = c.gradient[i*width : (i+1)*width]
		}
		if c.mask != nil {
			row.m = c.mask[i*n : (i+1)*n]
		}
		c.losses[i] = float32(row.loss())
	}
}

// lossRow is one example: parameters a, clean x, mask m or nil, gradient d or nil.
type lossRow struct {
	*likelihoodCall
	a, x, m, d []float32
}

func (r *lossRow) loss() float64 {
	switch r.Kind {
	case device.Bernoulli:
		return r.kernels.bernoulli(r.a, r.x, r.m, r.d, r.Destroyed, r.Untouched, r.Scale)
	case device.Gaussian:
		return r.gaussian()
	case device.GaussianLearned:
		return r.gaussianLearned()
	case device.Categorical:
		return r.categorical()
	default:
		return r.poisson()
	}
}

// weight is the emphasis on column j.
func (r *lossRow) weight(j int) float32 { return weightOf(r.m, j, r.Destroyed, r.Untouched) }

// derive stores Scale·w·g as the gradient by parameter j.
func (r *lossRow) derive(j int, w, g float32) {
	if r.d != nil {
		r.d[j] = r.Scale * w * g
	}
}

// gaussian: ½((x-μ)/σ)² + ln σ + ½ ln 2π.
func (r *lossRow) gaussian() float64 {
	sigma := float64(r.Sigma)
	constant := math.Log(sigma) + halfLogTwoPi
	return r.kernels.gaussian(r.a, r.x, r.m, r.d, r.Destroyed, r.Untouched, r.Scale, float32(1/(sigma*sigma)), float32(constant))
}

// gaussianLearned: ½(ln v + (x-μ)²/v + ln 2π), v = exp(s) + σ².
func (r *lossRow) gaussianLearned() (sum float64) {
	n := len(r.x)
	floor := float64(r.Sigma) * float64(r.Sigma)
	for j, x := range r.x {
		w, e := r.weight(j), float64(r.a[j])-float64(x)
		variance := math.Exp(float64(r.a[n+j]))
		v := variance + floor
		sum += float64(w) * (0.5*(math.Log(v)+e*e/v) + halfLogTwoPi)
		r.derive(j, w, float32(e/v))
		r.derive(n+j, w, float32(0.5*variance*(1-e*e/v)/v))
	}
	return sum
}

// categorical: (Σx)·logsumexp(a) - Σ x·a over each field.
func (r *lossRow) categorical() (sum float64) {
	for f := range fieldCount(r.offsets, len(r.x)) {
		lo, hi := bounds(r.offsets, f)
		w, normaliser := r.weight(lo), logSumExp(r.a[lo:hi])
		var total, loss float64
		for j := lo; j < hi; j++ {
			total += float64(r.x[j])
			loss += float64(r.x[j]) * (normaliser - float64(r.a[j]))
		}
		sum += float64(w) * loss
		for j := lo; j < hi && r.d != nil; j++ {
			r.derive(j, w, float32(total*math.Exp(float64(r.a[j])-normaliser)-float64(r.x[j])))
		}
	}
	return sum
}

// poisson: exp(a) - x·a + ln Γ(x+1).
func (r *lossRow) poisson() (sum float64) {
	for j, x := range r.x {
		a, w := r.a[j], r.weight(j)
		rate := math.Exp(float64(a))
		logFactorial, _ := math.Lgamma(float64(x) + 1)
		sum += float64(w) * (rate - float64(x)*float64(a) + logFactorial)
		r.derive(j, w, float32(rate-float64(x)))
	}
	return sum
}

// logSumExp is ln Σ exp(a), computed without overflow.
func logSumExp(a []float32) float64 {
	largest := a[0]
	for _, v := range a[1:] {
		largest = max(largest, v)
	}
	var sum float64
	for _, v := range a {
		sum += math.Exp(float64(v) - float64(largest))
	}
	return float64(largest) + math.Log(sum)
}

// meanCall is a Mean in progress; its items are rows.
type meanCall struct {
	kernels        *kernels
	kind           device.Likelihood
	columns, width int
	params, out    []float32
	offsets        []uint32
}

// Mean computes the reconstruction E[x|h] from the decoder's output.
func (d *Device) Mean(a device.MeanArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	d.mean = meanCall{
		kernels: d.kernels, kind: a.Kind, columns: a.Out.Columns, width: a.Params.Columns,
		params: floatsOf(a.Params), out: floatsOf(a.Out), offsets: offsetsOf(a.Fields),
	}
	d.pool.run(&d.mean, a.Out.Rows, rowsPerLane(a.Out.Columns, activateCost))
}

func (c *meanCall) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		out, a := c.out[i*c.columns:(i+1)*c.columns], c.params[i*c.width:(i+1)*c.width]
		switch c.kind {
		case device.Bernoulli:
			c.kernels.activate[device.Sigmoid](out, a)
		case device.Gaussian, device.GaussianLearned:
			copy(out, a)
		case device.Categorical:
			c.softmax(out, a)
		case device.Poisson:
			for j, v := range a {
				out[j] = exp(v)
			}
		}
	}
}

func (c *meanCall) softmax(out, a []float32) {
	for f := range fieldCount(c.offsets, c.columns) {
		lo, hi := bounds(c.offsets, f)
		normaliser := logSumExp(a[lo:hi])
		for j := lo; j < hi; j++ {
			out[j] = float32(math.Exp(float64(a[j]) - normaliser))
		}
	}
}
