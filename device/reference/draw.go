package reference

import (
	"math"
	"slices"

	"gpudae/device"
	"gpudae/device/philox"
)

// Draw implements device.Device.
func (d *Device) Draw(a device.DrawArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	params, out, index, step := d.matrix(a.Params), d.matrix(a.Out), d.words(a.Index), uint32(d.clock(a.Clock).Step)
	units := d.units(distribution{a.Kind, a.Fields, a.Table, a.Sigma, a.Floor}, out.columns)
	for i := range out.rows {
		c := cell{key: philox.KeyOf(a.Seed),
			at: philox.Coordinates{Stream: a.Stream, Index: a.Stage, Replicate: uint32(i % a.Replicates), Row: index[i], Step: step}}
		for n, u := range units {
			c.column = n
			x := u.family.draw(pick(params.row(i), u.params), u.sigma, c)
			for k, j := range u.features {
				out.row(i)[j] = x[k]
			}
		}
	}
}

// drawBernoulli: 1 if u < p.
func drawBernoulli(a []float64, _ float64, c cell) []float64 {
	if c.uniform() < sigmoid(a[0]) {
		return []float64{1}
	}
	return []float64{0}
}

// drawGaussian: μ + σ·z in float32, as it is defined.
func drawGaussian(mu []float64, sigma float64, c cell) []float64 {
	c.x, c.amount = float32(mu[0]), float32(sigma)
	x, _ := gaussian(c)
	return []float64{float64(x)}
}

// drawGaussianLearned: μ + √v·z, a = [μ, s], v = exp(s) + σ².
func drawGaussianLearned(a []float64, sigma float64, c cell) []float64 {
	return []float64{a[0] + math.Sqrt(math.Exp(a[1])+sigma*sigma)*float64(c.normal())}
}

// drawCategorical: one column of the field, by inversion of its cumulative
// probabilities.
func drawCategorical(a []float64, _ float64, c cell) []float64 {
	x, cumulative, u := make([]float64, len(a)), 0.0, c.uniform()
	for k, p := range softmax(a) {
		if cumulative += p; cumulative > u || k == len(a)-1 {
			x[k] = 1
			break
		}
	}
	return x
}

// drawCode: the number of the column that drawCategorical sets.
func drawCode(a []float64, _ float64, c cell) []float64 {
	return []float64{float64(slices.Index(drawCategorical(a, 0, c), 1))}
}

// drawPoisson: N ~ Poisson(exp a).
func drawPoisson(a []float64, _ float64, c cell) []float64 {
	at := c.at
	at.Block = uint32(c.column)
	return []float64{float64(philox.Poisson(float32(math.Exp(a[0])), at, c.key))}
}

// uniform is the draw of the unit at the cell's column.
func (c cell) uniform() float64 { return float64(philox.Uniform(c.word(c.column, 0))) }
