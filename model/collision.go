package model

import (
	"context"
	"encoding/binary"
	"math"

	"gpudae/device"
)

// collisionRows bounds the rows, spaced evenly, that Collisions looks at.
const collisionRows = 100_000

// Collisions are the probabilities, by field, that another row of the part has
// the value of a row in which it is not absent: of n values in N rows, those of
// value v being n_v, Σ_v n_v·(n_v - 1)/(n·(N - 1)). A swap at the rate p changes
// p·(1 - c) of the values. The fields are widths of groups of columns, nil if each column is one.
// Of many rows it looks at some, spaced evenly, which makes it an unbiased
// estimate. It ends early with the context's error.
func Collisions(ctx context.Context, t device.Table, part device.Rows, fields []int) ([]float64, error) {
	if len(fields) == 0 {
		fields = make([]int, t.Columns)
		for j := range fields {
			fields[j] = 1
		}
	}
	rows := min(part.Len(), collisionRows)
	permutation := part.Permutation(t.Rows)
	collisions := make([]float64, len(fields))
	first := 0
	for f, width := range fields {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		count, present := map[string]int{}, 0
		key := make([]byte, 0, 4*width)
		for i := range rows {
			row := part.Lo + int(int64(i)*int64(part.Len())/int64(rows))
			if part.Split {
				row = int(permutation.At(uint32(row)))
			}
			key = key[:0]
			missing := false
			for j := first; j < first+width; j++ {
				x := t.At(row*t.Columns + j)
				missing = missing || absent(x)
				key = binary.LittleEndian.AppendUint32(key, math.Float32bits(x+0)) // +0 makes one of -0 and 0
			}
			if !missing {
				count[string(key)]++
				present++
			}
		}
		for _, n := range count {
			collisions[f] += float64(n) * float64(n-1)
		}
		collisions[f] /= max(float64(present)*float64(rows-1), 1)
		first += width
	}
	return collisions, nil
}

// leastBalanced bounds the weight of a column whose values hardly differ.
const leastBalanced = 0.05

// BalancedWeights are weights of a table's columns that let what each could gain
// count the same: the inverse of the entropy of its marginal distribution in
// nats, or of numbers of ½·variance/σ² (½ where the variance is learned), what a
// perfect reconstruction saves; at least 0.05 nats. Their mean is 1. m are the
// moments of the training rows.
func (d *DAE) BalancedWeights(m Moments) []float64 {
	weights := make([]float64, d.resolved.Features)
	sum := 0.0
	for j, c := range d.tableColumns() {
		gain := 0.5
		switch c.Family {
		case device.FamilyGaussian:
			gain = 0.5 * m.Variance[j] / square(float64(d.resolved.likelihood.sigma()))
		case device.FamilyBernoulli:
			gain = entropy(m.Mean[j]) + entropy(1-m.Mean[j])
		case device.FamilyCategorical:
			gain = 0
			for _, n := range m.Frequencies[j] {
				gain += entropy(float64(n) / max(float64(m.count(j)), 1))
			}
		}
		weights[j] = 1 / max(gain, leastBalanced)
		sum += weights[j]
	}
	for j := range weights {
		weights[j] *= float64(len(weights)) / sum
	}
	return weights
}

// entropy is -p·ln p.
func entropy(p float64) float64 {
	if p <= 0 {
		return 0
	}
	return -p * math.Log(p)
}
