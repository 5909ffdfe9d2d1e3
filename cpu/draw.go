package cpu

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

// drawCall is a Draw in progress; its items are rows.
type drawCall struct {
	device.DrawArgs
	kernels     *kernels
	lanes       []codeLane
	params, out []float32
	offsets     []uint32             // of the fields; nil: every column is its own
	columns     []device.TableColumn // Mixed; its memory is used again
	rowNumbers  []uint32
	step        uint32
	key         philox.Key
}

// Draw draws x ~ p(x|h).
func (d *Device) Draw(a device.DrawArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Draw) {
		return
	}
	d.draw = drawCall{
		DrawArgs: a, kernels: d.kernels, lanes: d.code.lanes, params: floatsOf(a.Params), out: floatsOf(a.Out), offsets: offsetsOf(a.Fields),
		columns: tableColumns(d.draw.columns, a.Table), rowNumbers: wordsOf(a.Index), step: stepOf(a.Clock), key: philox.KeyOf(a.Seed),
	}
	d.pool.run(&d.draw, a.Out.Rows, d.perLane(a.Params.Columns*codeCost))
}

func (c *drawCall) run(lane, lo, hi int) {
	n, width := c.Out.Columns, c.Params.Columns
	for i := lo; i < hi; i++ {
		row := drawRow{
			drawCall: c, scratch: &c.lanes[lane], a: c.params[i*width : (i+1)*width], x: c.out[i*n : (i+1)*n],
			at: philox.Coordinates{Stream: c.Stream, Index: c.Stage, Replicate: uint32(i % c.Replicates), Row: c.rowNumbers[i], Step: c.step},
		}
		row.draw()
	}
}

// drawRow is one example x with parameters a; x may be a.
type drawRow struct {
	*drawCall
	scratch *codeLane
	a, x    []float32
	at      philox.Coordinates
}

func (r *drawRow) draw() {
	switch r.Kind {
	case device.Bernoulli:
		r.bernoulli()
	case device.Gaussian:
		r.kernels.addNoise(r.x, r.a, r.normals(), r.Sigma)
	case device.GaussianLearned:
		r.gaussianLearned()
	case device.Categorical:
		r.categorical()
	case device.Poisson:
		r.poisson()
	case device.Mixed:
		r.mixed()
	}
}

func (r *drawRow) normals() []float32 {
	return r.scratch.noise.standardNormals(r.kernels, len(r.x), r.at, r.key)
}

// words are those of the units, of which there are n.
func (r *drawRow) words(n int) []uint32 {
	r.scratch.noise.decisions = drawWords(r.kernels, r.scratch.noise.decisions, n, r.at, r.key)
	return r.scratch.noise.decisions
}

// bernoulli: 1 if u < p.
func (r *drawRow) bernoulli() {
	p, words := r.scratch.take(0, len(r.x)), r.words(len(r.x))
	r.kernels.activate[device.Sigmoid](p, r.a)
	for j, v := range p {
		r.x[j] = indicator(philox.Uniform(words[j]), v)
	}
}

// indicator is 1 if u < p and 0 otherwise, by the sign of u - p: a branch would be
// mispredicted as often as not.
func indicator(u, p float32) float32 {
	return math.Float32frombits(math.Float32bits(u-p) >> 31 * math.Float32bits(1))
}

// gaussianLearned: μ + √v·z, v = exp(s) + σ².
func (r *drawRow) gaussianLearned() {
	n := len(r.x)
	v, z, floor := r.scratch.take(0, n), r.normals(), r.Sigma*r.Sigma
	r.kernels.exp(v, r.a[n:])
	for j := range r.x {
		r.x[j] = r.a[j] + float32(root(v[j]+floor)*z[j])
	}
}

// categorical: the first column of a field whose cumulative probability exceeds u.
func (r *drawRow) categorical() {
	fields := fieldCount(r.offsets, len(r.x))
	e, words := r.scratch.take(0, len(r.x)), r.words(fields)
	expOfDistances(r.kernels, e, r.a, r.offsets)
	clear(r.x)
	for f := range fields {
		lo, hi := bounds(r.offsets, f)
		limit := float64(philox.Uniform(words[f])) * sumFloat64(e[lo:hi])
		column, cumulative := lo, float64(e[lo])
		for column < hi-1 && !(cumulative > limit) {
			column++
			cumulative += float64(e[column])
		}
		r.x[column] = 1
	}
}

// poisson: N ~ Poisson(exp a).
func (r *drawRow) poisson() {
	rate, at := r.scratch.take(0, len(r.x)), r.at
	r.kernels.exp(rate, r.a)
	at.Draw = 1
	words := drawWords(r.kernels, r.scratch.noise.decisions, 4*len(r.x), at, r.key)
	r.scratch.noise.decisions = words
	for j, v := range rate {
		r.x[j] = poissonAt(v, j, words, r.at, r.key)
	}
}

// poissonAt is philox.Poisson at the block of column j, given the words of the
// blocks of all columns at Draw 1, which are enough for a small λ.
func poissonAt(lambda float32, j int, words []uint32, at philox.Coordinates, key philox.Key) float32 {
	if lambda <= philox.PoissonOfWordLimit {
		return philox.PoissonOfWord(lambda, words[4*j])
	}
	at.Block = uint32(j)
	return philox.Poisson(lambda, at, key)
}
