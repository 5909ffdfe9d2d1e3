package reference

import (
	"math"

	"gpudae/device"
)

// Normalize implements device.Device.
func (d *Device) Normalize(a device.NormalizeArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	x, gain, bias, y := d.matrix(a.X), d.matrix(a.Gain), d.matrix(a.Bias), d.matrix(a.Y)
	mean, invStd := d.matrix(a.Mean), d.matrix(a.InvStd)
	runningMean, runningVar := d.matrix(a.RunningMean), d.matrix(a.RunningVar)
	for _, group := range groups(a.Kind, x) {
		m, variance := moments(x.data, group.elements)
		if a.Kind == device.BatchNorm {
			r := group.statistic
			if a.Training {
				runningMean.data[r] = moved(runningMean.data[r], m, float64(a.Momentum))
				runningVar.data[r] = moved(runningVar.data[r], unbiased(variance, x.rows), float64(a.Momentum))
			} else {
				m, variance = runningMean.data[r], runningVar.data[r]
			}
		}
		s := 1 / math.Sqrt(variance+float64(a.Epsilon))
		mean.data[group.statistic], invStd.data[group.statistic] = m, s
		for _, e := range group.elements {
			j := e % x.columns
			y.data[e] = gain.data[j]*(x.data[e]-m)*s + bias.data[j]
		}
	}
}

// NormalizeBackward implements device.Device.
func (d *Device) NormalizeBackward(a device.NormalizeBackwardArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	x, gain, dy, dx := d.matrix(a.X), d.matrix(a.Gain), d.matrix(a.DY), d.matrix(a.DX)
	mean, invStd := d.matrix(a.Mean), d.matrix(a.InvStd)
	dGain, dBias := d.matrix(a.DGain), d.matrix(a.DBias)
	clear(dGain.data)
	clear(dBias.data)
	for _, group := range groups(a.Kind, x) {
		m, s := mean.data[group.statistic], invStd.data[group.statistic]
		normal := func(e int) float64 { return (x.data[e] - m) * s }
		averageG, averageGX := 0.0, 0.0
		for _, e := range group.elements {
			j := e % x.columns
			dGain.data[j] += dy.data[e] * normal(e)
			dBias.data[j] += dy.data[e]
			averageG += dy.data[e] * gain.data[j] / float64(len(group.elements))
			averageGX += dy.data[e] * gain.data[j] * normal(e) / float64(len(group.elements))
		}
		for _, e := range group.elements {
			g := dy.data[e] * gain.data[e%x.columns]
			dx.data[e] = s * (g - averageG - normal(e)*averageGX)
		}
	}
}

// group is a set of elements that share a mean and a variance.
type group struct {
	statistic int   // index of the mean and the variance
	elements  []int // offsets in x
}

// groups are the rows for LayerNorm and the columns for BatchNorm.
func groups(k device.Normalization, x matrix) []group {
	count, members := x.rows, x.columns
	if k == device.BatchNorm {
		count, members = x.columns, x.rows
	}
	all := make([]group, count)
	for g := range all {
		all[g].statistic = g
		for e := range members {
			row, column := g, e
			if k == device.BatchNorm {
				row, column = e, g
			}
			all[g].elements = append(all[g].elements, row*x.columns+column)
		}
	}
	return all
}

// moments returns the mean and the biased variance of some elements.
func moments(x []float64, elements []int) (mean, variance float64) {
	n := float64(len(elements))
	for _, e := range elements {
		mean += x[e] / n
	}
	for _, e := range elements {
		variance += (x[e] - mean) * (x[e] - mean) / n
	}
	return mean, variance
}

// unbiased rescales the biased variance of n numbers; one number's stays.
func unbiased(variance float64, n int) float64 {
	if n == 1 {
		return variance
	}
	return variance * float64(n) / float64(n-1)
}

func moved(running, statistic, momentum float64) float64 {
	return kept((1-momentum)*running + momentum*statistic)
}
