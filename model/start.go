package model

import (
	"context"
	"fmt"
	"math"

	"gpudae/device"
)

// Moments are those of each column of some rows, in float64. In a table of mixed
// columns they are those of the values that are not absent.
type Moments struct {
	Rows     int
	Mean     []float64 // [features]
	Variance []float64 // [features], divided by the number of values

	Counts      []int   // [features] values that are not absent; nil: Rows of each
	Frequencies [][]int // [features] of each code of a categorical column; nil without such columns
}

// count is the number of values of a column.
func (m Moments) count(j int) int {
	if m.Counts == nil {
		return m.Rows
	}
	return m.Counts[j]
}

// mode is the most frequent code of a categorical column, the first of equals.
func (m Moments) mode(j int) int {
	best := 0
	for k, n := range m.Frequencies[j] {
		if n > m.Frequencies[j][best] {
			best = k
		}
	}
	return best
}

// Moments are those of a part of a table as the model sees it: with its absent
// values, and with the frequencies of its categories. It ends early with the
// context's error.
func (d *DAE) Moments(ctx context.Context, t device.Table, part device.Rows) (Moments, error) {
	if !d.resolved.tabular() {
		return ColumnMoments(ctx, t, part)
	}
	m := Moments{Rows: part.Len(), Mean: make([]float64, t.Columns), Variance: make([]float64, t.Columns),
		Counts: make([]int, t.Columns), Frequencies: make([][]int, t.Columns)}
	first := make([]float64, t.Columns) // see ColumnMoments
	for j, c := range d.resolved.Columns {
		if c.Categories > 0 {
			m.Frequencies[j] = make([]int, c.Categories)
		}
	}
	err := eachRow(ctx, t, part, func(row int) {
		for j := range t.Columns {
			x := float64(t.At(row*t.Columns + j))
			if x != x {
				continue
			}
			if m.Counts[j] == 0 {
				first[j] = x
			}
			m.Counts[j]++
			if m.Frequencies[j] != nil {
				m.Frequencies[j][int(x)]++
			}
			m.Mean[j] += x - first[j]
			m.Variance[j] += square(x - first[j])
		}
	})
	for j, n := range m.Counts {
		if n > 0 {
			mean := m.Mean[j] / float64(n)
			m.Variance[j] = max(m.Variance[j]/float64(n)-mean*mean, 0)
			m.Mean[j] = first[j] + mean
		}
	}
	return m, err
}

// eachRow visits the numbers of the rows of a part in its order. It ends early
// with the context's error.
func eachRow(ctx context.Context, t device.Table, part device.Rows, visit func(row int)) error {
	const rowsAtATime = 4096 // between two looks at the context
	permutation := part.Permutation(t.Rows)
	for position := part.Lo; position < part.Hi; position++ {
		if (position-part.Lo)%rowsAtATime == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row := position
		if part.Split {
			row = int(permutation.At(uint32(position)))
		}
		visit(row)
	}
	return nil
}

// ColumnMoments computes the moments of a part of a table: of all its rows,
// since a pass over them costs less than an epoch. It ends early with the
// context's error.
func ColumnMoments(ctx context.Context, t device.Table, part device.Rows) (Moments, error) {
	n, columns := part.Len(), t.Columns
	m := Moments{Rows: n, Mean: make([]float64, columns), Variance: make([]float64, columns)}
	if n == 0 {
		return m, nil
	}
	// Deviations from the first row keep the difference of squares exact enough
	// for columns far from 0 (Chan, Golub and LeVeque 1983, section 1).
	first := -1
	err := eachRow(ctx, t, part, func(row int) {
		row *= columns
		if first < 0 {
			first = row
		}
		for j := range columns {
			d := float64(t.At(row+j)) - float64(t.At(first+j))
			m.Mean[j] += d
			m.Variance[j] += d * d
		}
	})
	if err != nil {
		return Moments{}, err
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
// for n rows with the mean m of a column, or for its n values that are not
// absent under mixed, whose head of the mask starts at the nominal rates; for
// score matching it is the constant
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
	if d.resolved.tabular() {
		d.startColumns(bias, m)
		return
	}
	for j := range features {
		if l := d.resolved.levels; l != nil {
			bias[j] = float32(l.start() * m.Mean[j])
			continue
		}
		d.resolved.likelihood.setBias(bias[j:], features, float64(m.Rows), m.Mean[j], m.Variance[j])
	}
}

// startColumns sets the output's bias to the marginals of a table's columns.
func (d *DAE) startColumns(bias []float32, m Moments) {
	floor := float64(d.resolved.likelihood.floor())
	for j, c := range d.tableColumns() {
		b := bias[c.Param:]
		switch c.Family {
		case device.FamilyGaussian:
			b[0] = float32(m.Mean[j])
		case device.FamilyGaussianLearned:
			Likelihood{Kind: device.GaussianLearned, Sigma: floor}.setBias(b, 1, 0, m.Mean[j], m.Variance[j])
		case device.FamilyBernoulli:
			Likelihood{Kind: device.Bernoulli}.setBias(b, 1, float64(m.count(j)), m.Mean[j], 0)
		case device.FamilyCategorical:
			for k, n := range m.Frequencies[j] {
				b[k] = float32(math.Log(float64(n) + pseudoCount))
			}
		}
	}
	if d.resolved.MaskHead == 0 {
		return
	}
	rates := d.NominalRates()
	for j := range m.Mean {
		const nearly = 1e-3 // of certain, which has no logit
		p := min(max(rates[j%len(rates)], nearly), 1-nearly)
		bias[d.resolved.paramWidth()+j] = float32(math.Log(p / (1 - p)))
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
