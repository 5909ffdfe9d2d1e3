package cpu

import (
	"gpudae/device"
	"gpudae/device/philox"
)

// diffuseCall is a Diffuse in progress; its items are rows.
type diffuseCall struct {
	device.DiffuseArgs
	kernels         *kernels
	lanes           []noiseLane
	sigma, from, to []float32
	level           []uint32
	rowNumbers      []uint32
	step            uint32
	key             philox.Key
}

// Diffuse draws a noise level for each row, and then x̃ ~ N(x, σ²I).
func (d *Device) Diffuse(a device.DiffuseArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Diffuse) {
		return
	}
	d.diffuse = diffuseCall{
		DiffuseArgs: a, kernels: d.kernels, lanes: d.corrupt.lanes, sigma: floatsOf(a.Sigma), from: floatsOf(a.From), to: floatsOf(a.To),
		level: wordsOf(a.Level), rowNumbers: wordsOf(a.Index), step: stepOf(a.Clock), key: philox.KeyOf(a.Seed),
	}
	d.pool.run(&d.diffuse, a.From.Rows, d.perLane(a.From.Columns*corruptCost))
}

func (c *diffuseCall) run(lane, lo, hi int) {
	n := c.From.Columns
	for i := lo; i < hi; i++ {
		at := philox.Coordinates{Stream: c.Stream, Index: c.Stage, Replicate: uint32(i % c.Replicates), Row: c.rowNumbers[i], Step: c.step}
		ofLevel := at
		ofLevel.Draw = 1
		level := philox.Below(philox.Block(ofLevel.Counter(), c.key)[0], uint32(len(c.sigma)))
		c.level[i] = level
		c.kernels.addNoise(c.to[i*n:(i+1)*n], c.from[i*n:(i+1)*n], c.lanes[lane].standardNormals(c.kernels, n, at, c.key), c.sigma[level])
	}
}

// stepOf is what a draw takes of a clock: the low word of its step, 0 where
// there is none.
func stepOf(clock device.Words) uint32 {
	if clock.IsZero() {
		return 0
	}
	return wordsOf(clock)[0]
}

// standardNormals returns at least n standard normal draws, those of the blocks
// from at on.
func (s *noiseLane) standardNormals(k *kernels, n int, at philox.Coordinates, key philox.Key) []float32 {
	n = multiple(n, wordsMultiple)
	s.decisions = drawWords(k, s.decisions, n, at, key)
	s.normals = grown(s.normals, n)
	if n > 0 {
		k.normals(s.normals[:n], s.decisions)
	}
	return s.normals
}

// conditionCall is a Condition in progress; its items are rows.
type conditionCall struct {
	kernels          *kernels
	level            []uint32
	scale, embedding []float32
	x, out           []float32
	columns, extra   int // of x, and of an embedding
}

// Condition computes [Scale_l·X | Embedding_l].
func (d *Device) Condition(a device.ConditionArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Condition) {
		return
	}
	d.condition = conditionCall{
		kernels: d.kernels, level: wordsOf(a.Level), scale: floatsOf(a.Scale), embedding: floatsOf(a.Embedding),
		x: floatsOf(a.X), out: floatsOf(a.Out), columns: a.X.Columns, extra: a.Embedding.Columns,
	}
	d.pool.run(&d.condition, a.X.Rows, d.perLane(a.Out.Columns))
}

func (c *conditionCall) run(_, lo, hi int) {
	n, width := c.columns, c.columns+c.extra
	for i := lo; i < hi; i++ {
		level, out := int(c.level[i]), c.out[i*width:(i+1)*width]
		c.kernels.scale(out[:n], c.scale[level], c.x[i*n:(i+1)*n])
		if c.extra > 0 {
			copy(out[n:], c.embedding[level*c.extra:(level+1)*c.extra])
		}
	}
}

// blendCall is a Blend in progress; its items are rows.
type blendCall struct {
	kernels     *kernels
	level       []uint32
	alpha, beta []float32
	x, y, out   []float32 // x may be nil
	columns     int       // of x and out
	stride      int       // of y
}

// Blend computes α·X + β·Y with coefficients of the row's level.
func (d *Device) Blend(a device.BlendArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Blend) {
		return
	}
	d.blend = blendCall{
		kernels: d.kernels, level: wordsOf(a.Level), alpha: floatsOf(a.Alpha), beta: floatsOf(a.Beta),
		x: floatsOf(a.X), y: floatsOf(a.Y), out: floatsOf(a.Out), columns: a.Out.Columns, stride: a.Y.Columns,
	}
	d.pool.run(&d.blend, a.Out.Rows, d.perLane(2*a.Out.Columns))
}

func (c *blendCall) run(_, lo, hi int) {
	n := c.columns
	for i := lo; i < hi; i++ {
		level, out, y := c.level[i], c.out[i*n:(i+1)*n], c.y[i*c.stride:i*c.stride+n]
		if c.x == nil {
			c.kernels.scale(out, c.beta[level], y)
			continue
		}
		c.kernels.blend(out, c.alpha[level], c.x[i*n:(i+1)*n], c.beta[level], y)
	}
}

// blend computes out = α·x + β·y, each operation rounded; out may be x or y. The
// kernel combine is quicker, and fuses.
func (k *kernels) blend(out []float32, alpha float32, x []float32, beta float32, y []float32) {
	switch {
	case len(out) == 0:
	case &out[0] != &y[0]:
		k.scale(out, alpha, x)
		k.addNoise(out, out, y, beta)
	case &out[0] != &x[0]:
		k.scale(out, beta, y)
		k.addNoise(out, out, x, alpha)
	default:
		for j, v := range out {
			out[j] = float32(alpha*v) + float32(beta*v)
		}
	}
}

// scoreCall is a ScoreMatch in progress; its items are rows.
type scoreCall struct {
	kernels          *kernels
	level            []uint32
	weight, outScale []float32
	denoised, target []float32
	losses, df       []float32 // df may be nil
	columns          int
	scale            float32
}

// ScoreMatch computes the loss of denoising score matching and its gradient.
func (d *Device) ScoreMatch(a device.ScoreMatchArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).ScoreMatch) {
		return
	}
	d.score = scoreCall{
		kernels: d.kernels, level: wordsOf(a.Level), weight: floatsOf(a.Weight), outScale: floatsOf(a.OutScale),
		denoised: floatsOf(a.Denoised), target: floatsOf(a.Target), losses: floatsOf(a.Losses), df: floatsOf(a.DF),
		columns: a.Target.Columns, scale: a.Scale,
	}
	d.pool.run(&d.score, a.Target.Rows, d.perLane(a.Target.Columns*activateCost))
}

func (c *scoreCall) run(_, lo, hi int) {
	n := c.columns
	for i := lo; i < hi; i++ {
		weight := c.weight[c.level[i]]
		var df []float32
		if c.df != nil {
			df = c.df[i*n : (i+1)*n]
		}
		// The Gaussian loss of precision 1 and no constant is ½(D - x)².
		half := c.kernels.gaussian(c.denoised[i*n:(i+1)*n], c.target[i*n:(i+1)*n], nil, df, 1, 1, c.scale*weight*c.outScale[c.level[i]], 1, 0)
		c.losses[i] = float32(float64(weight) * half)
	}
}
