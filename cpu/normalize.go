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
	lanes         [][]float64 // scratch: two running sums a column
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
	if d.err != nil {
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
	if d.err != nil {
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
	if len(c.lanes[lane]) < 2*(hi-lo) {
		c.lanes[lane] = make([]float64, 2*(hi-lo))
	}
	a, b := c.lanes[lane][:hi-lo], c.lanes[lane][hi-lo:2*(hi-lo)]
	if c.stage == normalizeForward {
		c.batchForward(a, b, lo, hi)
		return
	}
	c.sums(a, b, lo, hi)
	if c.kind == device.BatchNorm {
		c.batchInputGradient(a, b, lo, hi)
	}
}

// row returns row i of a matrix of the operation's shape, columns lo to hi.
func (c *normalizeCall) row(m []float32, i, lo, hi int) []float32 {
	return m[i*c.columns+lo : i*c.columns+hi]
}

func (c *normalizeCall) layerForward(lo, hi int) {
	for i := lo; i < hi; i++ {
		x, y := c.row(c.x, i, 0, c.columns), c.row(c.y, i, 0, c.columns)
		mean := c.kernels.sum(x) / float64(c.columns)
		var squares float64
		for _, v := range x {
			e := float64(v) - mean
			squares += e * e
		}
		m, s := float32(mean), c.inverseRoot(squares/float64(c.columns))
		c.mean[i], c.invStd[i] = m, s
		for j, v := range x {
			y[j] = c.gain[j]*((v-m)*s) + c.bias[j]
		}
	}
}

// inverseRoot is 1/√(variance + ε).
func (c *normalizeCall) inverseRoot(variance float64) float32 {
	return float32(1 / math.Sqrt(variance+float64(c.epsilon)))
}

// batchForward normalises the columns lo to hi; mean and squares are scratch.
func (c *normalizeCall) batchForward(mean, squares []float64, lo, hi int) {
	if c.training {
		c.moments(mean, squares, lo, hi)
		c.moveRunning(mean, squares, lo)
	}
	for j := lo; j < hi; j++ {
		if c.training {
			c.mean[j], c.invStd[j] = float32(mean[j-lo]), c.inverseRoot(squares[j-lo]/float64(c.rows))
		} else {
			c.mean[j], c.invStd[j] = c.runningMean[j], c.inverseRoot(float64(c.runningVar[j]))
		}
	}
	gain, bias, m, s := c.gain[lo:hi], c.bias[lo:hi], c.mean[lo:hi], c.invStd[lo:hi]
	for i := range c.rows {
		x, y := c.row(c.x, i, lo, hi), c.row(c.y, i, lo, hi)
		for j, v := range x {
			y[j] = gain[j]*((v-m[j])*s[j]) + bias[j]
		}
	}
}

// moments computes the means and the sums of squared deviations of columns.
func (c *normalizeCall) moments(mean, squares []float64, lo, hi int) {
	clear(mean)
	clear(squares)
	for i := range c.rows {
		for j, v := range c.row(c.x, i, lo, hi) {
			mean[j] += float64(v)
		}
	}
	for j := range mean {
		mean[j] /= float64(c.rows)
	}
	for i := range c.rows {
		for j, v := range c.row(c.x, i, lo, hi) {
			e := float64(v) - mean[j]
			squares[j] += e * e
		}
	}
}

// moveRunning moves the running statistics of the columns from lo on towards
// the batch's, the variance unbiased unless there is a single row.
func (c *normalizeCall) moveRunning(mean, squares []float64, lo int) {
	momentum := float64(c.momentum)
	freedom := float64(max(1, c.rows-1))
	for j := range mean {
		m, v := &c.runningMean[lo+j], &c.runningVar[lo+j]
		*m = float32((1-momentum)*float64(*m) + momentum*mean[j])
		*v = float32((1-momentum)*float64(*v) + momentum*squares[j]/freedom)
	}
}

// sums computes DGain and DBias of columns, and leaves them in float64 in gain
// and bias.
func (c *normalizeCall) sums(gain, bias []float64, lo, hi int) {
	clear(gain)
	clear(bias)
	for i := range c.rows {
		x, dy := c.row(c.x, i, lo, hi), c.row(c.dy, i, lo, hi)
		for j, v := range x {
			m, s := c.statistics(i, lo+j)
			gain[j] += float64(dy[j]) * float64((v-m)*s)
			bias[j] += float64(dy[j])
		}
	}
	for j := range gain {
		c.dGain[lo+j], c.dBias[lo+j] = float32(gain[j]), float32(bias[j])
	}
}

// statistics returns the mean and the inverse deviation of element (i, j).
func (c *normalizeCall) statistics(i, j int) (mean, invStd float32) {
	if c.kind == device.LayerNorm {
		return c.mean[i], c.invStd[i]
	}
	return c.mean[j], c.invStd[j]
}

// batchInputGradient computes DX from the sums over the batch of DY ⊙ x̂ and DY.
func (c *normalizeCall) batchInputGradient(gainSum, biasSum []float64, lo, hi int) {
	n := float64(c.rows)
	for i := range c.rows {
		x, dy, dx := c.row(c.x, i, lo, hi), c.row(c.dy, i, lo, hi), c.row(c.dx, i, lo, hi)
		for j, v := range x {
			normal := float64((v - c.mean[lo+j]) * c.invStd[lo+j])
			g := float64(dy[j]) - biasSum[j]/n - normal*gainSum[j]/n
			dx[j] = float32(float64(c.invStd[lo+j]) * float64(c.gain[lo+j]) * g)
		}
	}
}

func (c *normalizeCall) layerInputGradient(lo, hi int) {
	n := float64(c.columns)
	for i := lo; i < hi; i++ {
		x, dy, dx := c.row(c.x, i, 0, c.columns), c.row(c.dy, i, 0, c.columns), c.row(c.dx, i, 0, c.columns)
		m, s := c.mean[i], c.invStd[i]
		var sum, sumNormal float64
		for j, v := range x {
			g := float64(dy[j]) * float64(c.gain[j])
			sum += g
			sumNormal += g * float64((v-m)*s)
		}
		for j, v := range x {
			g := float64(dy[j])*float64(c.gain[j]) - sum/n - float64((v-m)*s)*sumNormal/n
			dx[j] = float32(float64(s) * g)
		}
	}
}
