package model

import (
	"context"
	"fmt"
	"math"

	"gpudae/device"
)

// Moments are those of each column of some rows, in float64.
type Moments struct {
	Rows     int
	Mean     []float64 // [features]
	Variance []float64 // [features], divided by Rows
}

// ColumnMoments computes the moments of a part of a table: of all its rows,
// since a pass over them costs less than an epoch. It ends early with the
// context's error.
func ColumnMoments(ctx context.Context, t device.Table, part device.Rows) (Moments, error) {
	const rowsAtATime = 4096 // between two looks at the context
	n, columns := part.Len(), t.Columns
	m := Moments{n, make([]float64, columns), make([]float64, columns)}
	if n == 0 {
		return m, nil
	}
	permutation := part.Permutation(t.Rows)
	rowAt := func(position int) int {
		if part.Split {
			return int(permutation.At(uint32(position)))
		}
		return position
	}
	// Deviations from the first row keep the difference of squares exact enough
	// for columns far from 0 (Chan, Golub and LeVeque 1983, section 1).
	first := rowAt(part.Lo) * columns
	for position := part.Lo; position < part.Hi; position++ {
		if (position-part.Lo)%rowsAtATime == 0 && ctx.Err() != nil {
			return Moments{}, ctx.Err()
		}
		row := rowAt(position) * columns
		for j := range columns {
			d := float64(t.At(row+j)) - float64(t.At(first+j))
			m.Mean[j] += d
			m.Variance[j] += d * d
		}
	}
	for j := range columns {
		mean := m.Mean[j] / float64(n)
		m.Variance[j] = max(m.Variance[j]/float64(n)-mean*mean, 0)
		m.Mean[j] = float64(t.At(first+j)) + mean
	}
	return m, nil
}

// pseudoCount is Jeffreys' prior of a rate or a probability: half an event that
// was not seen keeps the logarithm of a mean of 0 finite.
const pseudoCount = 0.5

// StartAtMeans sets the output layer, in an arena of parameters, so that every
// reconstruction is the constant that suits the training rows best: its bias is
// the link of their means and, unless the weights are tied or Config.Init names
// a rule for them, its weights are 0, as for the last layer of a branch in Zhang
// et al. 2019 (Fixup). A run then starts at the loss of the mean, whatever the
// size of the data: exp(W·h) of weights drawn at random would start Poisson
// counts far beyond it.
//
//	bernoulli         ln((n·m + ½)/(n·(1-m) + ½))
//	gaussian          m
//	gaussian-learned  m, and ln(v - floor²), v = max(variance, 2·floor²)
//	categorical       ln(n·m + ½), up to a constant of the field
//	poisson           ln((n·m + ½)/n)
//
// for n rows with the mean m of a column; for score matching it is the constant
// F that has the least loss.
func (d *DAE) StartAtMeans(params []float32, m Moments) {
	features := d.resolved.Features
	if len(params) != d.ParameterCount() || len(m.Mean) != features || len(m.Variance) != features || m.Rows < 1 {
		panic(fmt.Sprintf("model: start of a model of %d parameters and %d features in %d, from %d means of %d rows",
			d.ParameterCount(), features, len(params), len(m.Mean), m.Rows))
	}
	last := len(d.layers) - 1
	if d.resolved.init.auto && !d.resolved.Tied {
		fill(slice(params, d.parameters[d.slots[last].weight]), 0)
	}
	bias := slice(params, d.parameters[d.slots[last].bias])
	for j := range features {
		if l := d.resolved.levels; l != nil {
			bias[j] = float32(l.start() * m.Mean[j])
			continue
		}
		d.resolved.likelihood.setBias(bias[j:], features, float64(m.Rows), m.Mean[j], m.Variance[j])
	}
}

// setBias sets bias[0], and for gaussian-learned bias[features], from the
// moments of n values of a feature.
func (l Likelihood) setBias(bias []float32, features int, n, mean, variance float64) {
	switch l.Kind {
	case device.Bernoulli:
		bias[0] = float32(math.Log(n*mean+pseudoCount) - math.Log(n*(1-mean)+pseudoCount))
	case device.Gaussian:
		bias[0] = float32(mean)
	case device.GaussianLearned:
		floor := l.Sigma * l.Sigma
		bias[0] = float32(mean)
		bias[features] = float32(math.Log(max(variance, 2*floor) - floor))
	case device.Categorical:
		bias[0] = float32(math.Log(n*mean + pseudoCount))
	case device.Poisson:
		bias[0] = float32(math.Log((n*mean + pseudoCount) / n))
	}
}
