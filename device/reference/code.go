package reference

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

// SampleCode implements device.Device. The noise is that of float32: it is
// defined so.
func (d *Device) SampleCode(a device.SampleCodeArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	params, noise, code, divergence := d.matrix(a.Params), d.matrix(a.Noise), d.matrix(a.Code), d.matrix(a.Divergence)
	index, step, units := d.words(a.Index), uint32(d.clock(a.Clock).Step), code.columns
	for i := range code.rows {
		c := cell{key: philox.KeyOf(a.Seed),
			at: philox.Coordinates{Stream: a.Stream, Index: a.Stage, Replicate: uint32(i % a.Replicates), Row: index[i], Step: step}}
		sum := 0.0
		for j := range units {
			c.column = j
			q := posteriorOf(a.Kind, float64(a.Temperature), params.row(i), j, units)
			e := float64(philox.Uniform(c.word(j, 0)))
			if a.Kind == device.CodeGaussian {
				e = float64(c.normal())
			}
			h := q.draw(e)
			noise.row(i)[j], code.row(i)[j] = e, h
			if a.Sampled {
				sum += q.logRatio(e, h)
			} else {
				sum += q.divergence()
			}
		}
		if divergence.data != nil {
			divergence.data[i] = sum
		}
	}
}

// SampleCodeBackward implements device.Device.
func (d *Device) SampleCodeBackward(a device.SampleCodeBackwardArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	params, noise, code, dCode := d.matrix(a.Params), d.matrix(a.Noise), d.matrix(a.Code), d.matrix(a.DCode)
	weights, dParams, units := d.matrix(a.Weights), d.matrix(a.DParams), code.columns
	for i := range code.rows {
		scale := float64(a.Scale)
		if weights.data != nil {
			scale *= weights.data[i]
		}
		for j := range units {
			q := posteriorOf(a.Kind, float64(a.Temperature), params.row(i), j, units)
			dh, ofDivergence := dCode.at(i, j), q.divergenceGradient()
			if a.Sampled {
				// ½(h² - z² - s): h by h, and s by itself.
				dh += scale * code.at(i, j)
				ofDivergence = []float64{0, -0.5}
			}
			for k, slope := range q.slopes(noise.at(i, j), code.at(i, j)) {
				dParams.row(i)[k*units+j] = slope*dh + scale*ofDivergence[k]
			}
		}
	}
}

// posterior is q(h|x̃) of one unit of a code: a is the mean or the logit, s the
// log variance of a Gaussian unit.
type posterior struct {
	kind device.Code
	a, s float64
	tau  float64
}

func posteriorOf(k device.Code, tau float64, row []float64, unit, units int) posterior {
	q := posterior{kind: k, a: row[unit], tau: tau}
	if k == device.CodeGaussian {
		q.s = row[units+unit]
	}
	return q
}

// draw is h as a function of noise.
func (q posterior) draw(noise float64) float64 {
	switch q.kind {
	case device.CodeGaussian:
		return q.a + math.Exp(q.s/2)*noise
	case device.CodeBernoulli:
		if noise < sigmoid(q.a) {
			return 1
		}
		return 0
	default:
		return sigmoid((q.a + math.Log(noise) - math.Log(1-noise)) / q.tau)
	}
}

// slopes are ∂h/∂a and, of a Gaussian unit, ∂h/∂s.
func (q posterior) slopes(noise, h float64) []float64 {
	switch q.kind {
	case device.CodeGaussian:
		return []float64{1, math.Exp(q.s/2) * noise / 2}
	case device.CodeBernoulli: // straight through
		return []float64{sigmoid(q.a) * sigmoid(-q.a)}
	default:
		return []float64{h * (1 - h) / q.tau}
	}
}

// divergence is KL(q‖p).
func (q posterior) divergence() float64 {
	if q.kind == device.CodeGaussian {
		return (q.a*q.a + math.Expm1(q.s) - q.s) / 2
	}
	// ln p = -softplus(-a), ln(1-p) = -softplus(a)
	return math.Ln2 - sigmoid(q.a)*softplus(-q.a) - sigmoid(-q.a)*softplus(q.a)
}

// divergenceGradient is the derivative of divergence by a and, of a Gaussian
// unit, by s.
func (q posterior) divergenceGradient() []float64 {
	if q.kind == device.CodeGaussian {
		return []float64{q.a, math.Expm1(q.s) / 2}
	}
	return []float64{sigmoid(q.a) * sigmoid(-q.a) * q.a}
}

// logRatio is ln q(h) - ln p(h) of a Gaussian unit, whose two constants cancel.
func (q posterior) logRatio(z, h float64) float64 { return (h*h - z*z - q.s) / 2 }

// Importance implements device.Device.
func (d *Device) Importance(a device.ImportanceArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	terms, bounds, weights := d.matrix(a.Terms).data, d.matrix(a.Bounds).data, d.matrix(a.Weights).data
	for i := range bounds {
		ratios := make([]float64, a.Replicates) // ln of p/q
		for k := range ratios {
			ratios[k] = -terms[i*a.Replicates+k]
		}
		bounds[i] = math.Log(float64(a.Replicates)) - logSumExp(ratios)
		if weights != nil {
			copy(weights[i*a.Replicates:], softmax(ratios))
		}
	}
}

// ScaleRows implements device.Device.
func (d *Device) ScaleRows(a device.ScaleRowsArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	scale, x, y := d.matrix(a.Scale), d.matrix(a.X), d.matrix(a.Y)
	for i := range x.rows {
		for j := range x.columns {
			y.row(i)[j] = scale.data[i] * x.at(i, j)
		}
	}
}
