package cpu

import (
	"math"

	"gpudae/device"
)

// normalizeCall is a Normalize or NormalizeBackward in progress; its items are
// rows (LayerNorm), or columns: of BatchNorm, and of the sums over the rows of
// LayerNorm's backward pass.
type normalizeCall struct {
	kernels       *kernels
	kind          device.Normalization
	stage         normalizeStage
	training      bool
	epsilon       float32
	momentum      float32
	rows, columns int
	x, gain, bias []float32
	mean, invStd  []float32
	runningMean   []float32
	runningVar    []float32
	y             []float32
	dy, dx        []float32
	dGain, dBias  []float32
	lanes         [][]float32 // scratch: two numbers a column
}

// normalizeStage is a part of the work that needs the whole of the part before.
type normalizeStage uint8

const (
	normalizeForward    normalizeStage = iota
	normalizeSums                      // DGain and DBias
	normalizeInputStage                // DX
)

// Normalize computes layer or batch normalisation.
func (d *Device) Normalize(a device.NormalizeArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Normalize) {
		return
	}
	d.normalize = normalizeCall{
		kernels: d.kernels, kind: a.Kind, stage: normalizeForward, training: a.Training, epsilon: a.Epsilon, momentum: a.Momentum,
		rows: a.X.Rows, columns: a.X.Columns, x: floatsOf(a.X), gain: floatsOf(a.Gain), bias: floatsOf(a.Bias),
		mean: floatsOf(a.Mean), invStd: floatsOf(a.InvStd), runningMean: floatsOf(a.RunningMean), runningVar: floatsOf(a.RunningVar),
		y: floatsOf(a.Y), lanes: d.normalize.lanes,
	}
	if a.Kind == device.LayerNorm {
		d.pool.run(&d.normalize, a.X.Rows, d.perLane(a.X.Columns*normalizeCost))
	} else {
		d.pool.run(&d.normalize, a.X.Columns, d.perLane(a.X.Rows*normalizeCost))
	}
}

// NormalizeBackward computes the gradients of Normalize in training mode.
func (d *Device) NormalizeBackward(a device.NormalizeBackwardArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).NormalizeBackward) {
		return
	}
	d.normalize = normalizeCall{
		kernels: d.kernels, kind: a.Kind, stage: normalizeSums, rows: a.X.Rows, columns: a.X.Columns, x: floatsOf(a.X), gain: floatsOf(a.Gain),
		mean: floatsOf(a.Mean), invStd: floatsOf(a.InvStd), dy: floatsOf(a.DY), dx: floatsOf(a.DX),
		dGain: floatsOf(a.DGain), dBias: floatsOf(a.DBias), lanes: d.normalize.lanes,
	}
	d.pool.run(&d.normalize, a.X.Columns, d.perLane(a.X.Rows*normalizeCost))
	if a.Kind == device.LayerNorm {
		d.normalize.stage = normalizeInputStage
		d.pool.run(&d.normalize, a.X.Rows, d.perLane(a.X.Columns*normalizeCost))
	}
}

func (c *normalizeCall) run(lane, lo, hi int) {
	if c.stage == normalizeForward && c.kind == device.LayerNorm {
		c.layerForward(lo, hi)
		return
	}
	if c.stage == normalizeInputStage {
		c.layerInputGradient(lo, hi)
		return
	}
	c.lanes[lane] = grown(c.lanes[lane], 2*(hi-lo))
	a, b := c.lanes[lane][:hi-lo], c.lanes[lane][hi-lo:2*(hi-lo)]
	if c.stage == normalizeForward {
		c.batchForward(a, lo, hi)
		return
	}
	c.sums(lo, hi)
	if c.kind == device.BatchNorm {
		c.batchInputGradient(a, b, lo, hi)
	}
}

// row returns row i of a matrix of the operation's shape, columns lo to hi.
func (c *normalizeCall) row(m []float32, i, lo, hi int) []float32 {
	return m[i*c.columns+lo : i*c.columns+hi]
}

func (c *normalizeCall) layerForward(lo, hi int) {
	n := float64(c.columns)
	for i := lo; i < hi; i++ {
		x, y := c.row(c.x, i, 0, c.columns), c.row(c.y, i, 0, c.columns)
		mean := c.kernels.sum(x) / n
		m := float32(mean)
		rounding := mean - float64(m)
		s := c.inverseRoot(c.kernels.deviations(x, m)/n - rounding*rounding)
		c.mean[i], c.invStd[i] = m, s
		c.kernels.normalizeRow(y, x, c.gain, c.bias, m, s)
	}
}

// inverseRoot is 1/√(variance + ε).
func (c *normalizeCall) inverseRoot(variance float64) float32 {
	return float32(1 / math.Sqrt(variance+float64(c.epsilon)))
}

// batchForward normalises the columns lo to hi; variance is scratch.
func (c *normalizeCall) batchForward(variance []float32, lo, hi int) {
	mean, invStd := c.mean[lo:hi], c.invStd[lo:hi]
	if c.training && c.rows > 0 {
		c.kernels.columnMoments(mean, variance, c.x[lo:], c.columns, c.rows, float64(c.rows))
		c.moveRunning(mean, variance, lo)
	} else {
		copy(mean, c.runningMean[lo:hi])
		copy(variance, c.runningVar[lo:hi])
	}
	for j, v := range variance {
		wide := float64(v)
		if c.training && wide > math.MaxFloat32 {
			wide = c.wideVariance(lo+j, mean[j])
		}
		invStd[j] = c.inverseRoot(wide)
	}
	for i := range c.rows {
		c.kernels.normalizeColumns(c.row(c.y, i, lo, hi), c.row(c.x, i, lo, hi), c.gain[lo:hi], c.bias[lo:hi], mean, invStd)
	}
}

// wideVariance is the variance of a column that float32 does not hold.
func (c *normalizeCall) wideVariance(column int, mean float32) (variance float64) {
	for i := range c.rows {
		e := float64(c.x[i*c.columns+column]) - float64(mean)
		variance += e * e / float64(c.rows)
	}
	return variance
}

// moveRunning moves the running statistics of the columns from lo on towards
// the batch's, the variance unbiased unless there is a single row.
func (c *normalizeCall) moveRunning(mean, variance []float32, lo int) {
	momentum := float64(c.momentum)
	unbiased := float64(c.rows) / float64(max(1, c.rows-1))
	for j := range mean {
		m, v := &c.runningMean[lo+j], &c.runningVar[lo+j]
		*m = float32((1-momentum)*float64(*m) + momentum*float64(mean[j]))
		*v = float32((1-momentum)*float64(*v) + momentum*unbiased*float64(variance[j]))
	}
}

// sums computes DGain and DBias of columns.
func (c *normalizeCall) sums(lo, hi int) {
	dGain, dBias := c.dGain[lo:hi], c.dBias[lo:hi]
	switch {
	case c.rows == 0:
		clear(dGain)
		clear(dBias)
	case c.kind == device.LayerNorm:
		c.kernels.normalSumsOfRows(dGain, dBias, c.x[lo:], c.dy[lo:], c.mean, c.invStd, c.columns, c.rows)
	default:
		c.kernels.normalSumsOfColumns(dGain, dBias, c.x[lo:], c.dy[lo:], c.mean[lo:hi], c.invStd[lo:hi], c.columns, c.rows)
	}
}

// batchInputGradient computes DX from the sums over the batch of DY ⊙ x̂ and
// DY, of which shift and slope receive the means.
func (c *normalizeCall) batchInputGradient(shift, slope []float32, lo, hi int) {
	n := float32(c.rows)
	for j := range shift {
		shift[j], slope[j] = c.dBias[lo+j]/n, c.dGain[lo+j]/n
	}
	gain, mean, invStd := c.gain[lo:hi], c.mean[lo:hi], c.invStd[lo:hi]
	for i := range c.rows {
		c.kernels.normalColumnGradient(c.row(c.dx, i, lo, hi), c.row(c.x, i, lo, hi), c.row(c.dy, i, lo, hi), gain, mean, invStd, shift, slope)
	}
}

func (c *normalizeCall) layerInputGradient(lo, hi int) {
	n := float64(c.columns)
	for i := lo; i < hi; i++ {
		x, dy, dx := c.row(c.x, i, 0, c.columns), c.row(c.dy, i, 0, c.columns), c.row(c.dx, i, 0, c.columns)
		m, s := c.mean[i], c.invStd[i]
		sum, sumNormal := c.kernels.normalRowSums(x, dy, c.gain, m, s)
		c.kernels.normalRowGradient(dx, x, dy, c.gain, m, s, float32(sum/n), float32(sumNormal/n))
	}
}
