package cpu

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

// codeLane is a thread's scratch memory for a row of codes or draws.
type codeLane struct {
	noise  noiseLane
	values [2][]float32
}

// codeCall is a SampleCode in progress; its items are rows.
type codeCall struct {
	device.SampleCodeArgs
	kernels             *kernels
	lanes               []codeLane
	params, noise, code []float32
	divergence          []float32 // may be nil
	rowNumbers          []uint32
	step                uint32
	key                 philox.Key
}

// SampleCode draws h ~ q(h|x̃) and computes its divergence from the prior.
func (d *Device) SampleCode(a device.SampleCodeArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).SampleCode) {
		return
	}
	d.code = codeCall{
		SampleCodeArgs: a, kernels: d.kernels, lanes: d.code.lanes, params: floatsOf(a.Params), noise: floatsOf(a.Noise), code: floatsOf(a.Code),
		divergence: floatsOf(a.Divergence), rowNumbers: wordsOf(a.Index), step: stepOf(a.Clock), key: philox.KeyOf(a.Seed),
	}
	d.pool.run(&d.code, a.Code.Rows, d.perLane(a.Code.Columns*codeCost))
}

func (c *codeCall) run(lane, lo, hi int) {
	n, width := c.Code.Columns, c.SampleCodeArgs.Params.Columns
	for i := lo; i < hi; i++ {
		row := codeRow{
			codeCall: c, scratch: &c.lanes[lane], a: c.params[i*width : (i+1)*width], e: c.noise[i*n : (i+1)*n], h: c.code[i*n : (i+1)*n],
			at: philox.Coordinates{Stream: c.Stream, Index: c.Stage, Replicate: uint32(i % c.Replicates), Row: c.rowNumbers[i], Step: c.step},
		}
		divergence := row.sample()
		if c.divergence != nil {
			c.divergence[i] = float32(divergence)
		}
	}
}

// codeRow is the code h of one example, with parameters a and noise e.
type codeRow struct {
	*codeCall
	scratch *codeLane
	a, e, h []float32
	at      philox.Coordinates
}

func (r *codeRow) sample() (divergence float64) {
	if r.Kind == device.CodeGaussian {
		return r.gaussian()
	}
	n := len(r.h)
	words := drawWords(r.kernels, r.scratch.noise.decisions, n, r.at, r.key)
	r.scratch.noise.decisions = words
	for j := range r.e {
		r.e[j] = philox.Uniform(words[j])
	}
	p, logNormaliser := r.scratch.take(0, n), r.scratch.take(1, n)
	r.kernels.activate[device.Sigmoid](p, r.a)
	r.kernels.activate[device.Softplus](logNormaliser, r.a)
	for j, a := range r.a { // p·ln p + (1-p)·ln(1-p) = p·a - softplus(a)
		divergence += math.Ln2 + float64(p[j])*float64(a) - float64(logNormaliser[j])
	}
	if r.Kind == device.CodeConcrete {
		r.concrete()
		return divergence
	}
	for j, u := range r.e {
		r.h[j] = indicator(u, p[j])
	}
	return divergence
}

// concrete: h is the logistic function of (a + ln u - ln(1-u))/τ.
func (r *codeRow) concrete() {
	for j, u := range r.e {
		logit := float64(r.a[j]) + math.Log(float64(u)/(1-float64(u)))
		r.h[j] = float32(logit / float64(r.Temperature))
	}
	r.kernels.activate[device.Sigmoid](r.h, r.h)
}

// gaussian: h = μ + exp(s/2)·z.
func (r *codeRow) gaussian() (divergence float64) {
	n := len(r.h)
	mu, s := r.a[:n], r.a[n:]
	copy(r.e, r.scratch.noise.standardNormals(r.kernels, n, r.at, r.key))
	sigma := r.scratch.take(0, n)
	r.kernels.scale(sigma, 0.5, s)
	r.kernels.exp(sigma, sigma)
	for j, z := range r.e {
		r.h[j] = mu[j] + float32(sigma[j]*z)
	}
	if r.Sampled {
		for j, h := range r.h {
			divergence += float64(h)*float64(h) - float64(r.e[j])*float64(r.e[j]) - float64(s[j])
		}
		return divergence / 2
	}
	for j, m := range mu {
		divergence += float64(m)*float64(m) + float64(sigma[j])*float64(sigma[j]) - float64(s[j]) - 1
	}
	return divergence / 2
}

// take returns n numbers of scratch.
func (s *codeLane) take(which, n int) []float32 {
	s.values[which] = grown(s.values[which], n)
	return s.values[which][:n]
}

// codeBackwardCall is a SampleCodeBackward in progress; its items are rows.
type codeBackwardCall struct {
	device.SampleCodeBackwardArgs
	kernels             *kernels
	lanes               []codeLane
	params, noise, code []float32
	dCode, dParams      []float32
	weights             []float32 // may be nil
}

// SampleCodeBackward computes the gradients of SampleCode.
func (d *Device) SampleCodeBackward(a device.SampleCodeBackwardArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).SampleCodeBackward) {
		return
	}
	d.codeBackward = codeBackwardCall{
		SampleCodeBackwardArgs: a, kernels: d.kernels, lanes: d.code.lanes, params: floatsOf(a.Params), noise: floatsOf(a.Noise),
		code: floatsOf(a.Code), dCode: floatsOf(a.DCode), dParams: floatsOf(a.DParams), weights: floatsOf(a.Weights),
	}
	d.pool.run(&d.codeBackward, a.Code.Rows, d.perLane(a.Code.Columns*codeCost))
}

func (c *codeBackwardCall) run(lane, lo, hi int) {
	n, width := c.Code.Columns, c.Params.Columns
	for i := lo; i < hi; i++ {
		row := codeGradient{
			kernels: c.kernels, scratch: &c.lanes[lane], scale: c.Scale, tau: c.Temperature, a: c.params[i*width : (i+1)*width], d: c.dParams[i*width : (i+1)*width],
			e: c.noise[i*n : (i+1)*n], h: c.code[i*n : (i+1)*n], dh: c.dCode[i*n : (i+1)*n],
		}
		if c.weights != nil {
			row.scale *= c.weights[i]
		}
		switch {
		case c.Kind == device.CodeGaussian && c.Sampled:
			row.gaussianSampled()
		case c.Kind == device.CodeGaussian:
			row.gaussian()
		case c.Kind == device.CodeBernoulli:
			row.bernoulli()
		default:
			row.concrete()
		}
	}
}

// codeGradient is one example's gradient d by its parameters a; d may be a. The
// scale is that of the divergence.
type codeGradient struct {
	kernels     *kernels
	scratch     *codeLane
	a, e, h, dh []float32
	d           []float32
	scale, tau  float32
}

// sigmas are exp(s/2).
func (r *codeGradient) sigmas() []float32 {
	n := len(r.h)
	sigma := r.scratch.take(0, n)
	r.kernels.scale(sigma, 0.5, r.a[n:])
	r.kernels.exp(sigma, sigma)
	return sigma
}

// gaussian: by μ, dh + scale·μ; by s, ½(dh·exp(s/2)·z + scale·(exp(s) - 1)).
func (r *codeGradient) gaussian() {
	n := len(r.h)
	for j, sigma := range r.sigmas() {
		r.d[j] = r.dh[j] + r.scale*r.a[j]
		r.d[n+j] = 0.5 * (r.dh[j]*(sigma*r.e[j]) + r.scale*((sigma-1)*(sigma+1)))
	}
}

// gaussianSampled: with g = dh + scale·h, by μ, g; by s, ½(g·exp(s/2)·z - scale).
func (r *codeGradient) gaussianSampled() {
	n := len(r.h)
	for j, sigma := range r.sigmas() {
		g := r.dh[j] + r.scale*r.h[j]
		r.d[j] = g
		r.d[n+j] = 0.5 * (g*(sigma*r.e[j]) - r.scale)
	}
}

// bernoulli: p·(1-p)·(dh + scale·a).
func (r *codeGradient) bernoulli() {
	p := r.logistic()
	for j, v := range p {
		r.d[j] = v * (1 - v) * (r.dh[j] + r.scale*r.a[j])
	}
}

// concrete: dh·h·(1-h)/τ + scale·p·(1-p)·a.
func (r *codeGradient) concrete() {
	p := r.logistic()
	for j, v := range p {
		h := r.h[j]
		r.d[j] = r.dh[j]*(h*(1-h)/r.tau) + r.scale*(v*(1-v)*r.a[j])
	}
}

// logistic is p of each unit.
func (r *codeGradient) logistic() []float32 {
	p := r.scratch.take(0, len(r.h))
	r.kernels.activate[device.Sigmoid](p, r.a)
	return p
}

// importanceCall is an Importance in progress; its items are examples.
type importanceCall struct {
	replicates             int
	terms, bounds, weights []float32 // weights may be nil
}

// Importance computes the importance-weighted bound and its weights.
func (d *Device) Importance(a device.ImportanceArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Importance) {
		return
	}
	d.importance = importanceCall{a.Replicates, floatsOf(a.Terms), floatsOf(a.Bounds), floatsOf(a.Weights)}
	d.pool.run(&d.importance, a.Bounds.Len(), d.perLane(a.Replicates*codeCost))
}

func (c *importanceCall) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		terms := c.terms[i*c.replicates : (i+1)*c.replicates]
		least := terms[0]
		for _, v := range terms[1:] {
			least = min(least, v)
		}
		var sum float64
		for _, v := range terms {
			sum += math.Exp(float64(least) - float64(v))
		}
		c.bounds[i] = float32(float64(least) - math.Log(sum/float64(c.replicates)))
		if c.weights == nil {
			continue
		}
		weights := c.weights[i*c.replicates : (i+1)*c.replicates]
		for k, v := range terms {
			weights[k] = float32(math.Exp(float64(least)-float64(v)) / sum)
		}
	}
}

// scaleRowsCall is a ScaleRows in progress; its items are rows.
type scaleRowsCall struct {
	kernels     *kernels
	scale, x, y []float32
	columns     int
}

// ScaleRows multiplies each row by a number of its own.
func (d *Device) ScaleRows(a device.ScaleRowsArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).ScaleRows) {
		return
	}
	d.scaleRows = scaleRowsCall{d.kernels, floatsOf(a.Scale), floatsOf(a.X), floatsOf(a.Y), a.X.Columns}
	d.pool.run(&d.scaleRows, a.X.Rows, d.perLane(a.X.Columns))
}

func (c *scaleRowsCall) run(_, lo, hi int) {
	n := c.columns
	for i := lo; i < hi; i++ {
		c.kernels.scale(c.y[i*n:(i+1)*n], c.scale[i], c.x[i*n:(i+1)*n])
	}
}
