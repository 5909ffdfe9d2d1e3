package model

import (
	"context"
	"math"

	"gpudae/device"
)

// Deviation is the σ_data of score models, the root mean square of the columns'
// deviations from their means (Karras et al. 2022, appendix B.6), but 1 where
// nothing varies.
func (m Moments) Deviation() float64 {
	sum := 0.0
	for _, v := range m.Variance {
		sum += v / float64(len(m.Variance))
	}
	if sum == 0 {
		return 1
	}
	return math.Sqrt(sum)
}

// Bounds of what GreatestDistance looks at: differences of numbers, and rows.
const (
	distanceWork = 200_000_000
	distanceRows = 4096
)

// GreatestDistance is the greatest Euclidean distance between two examples of a
// part, among as many, spaced evenly, as are compared in about a second. As the
// greatest noise it lets a sampler go from any example to any other (Song and
// Ermon 2020, technique 1). It ends early with the context's error.
func GreatestDistance(ctx context.Context, t device.Table, part device.Rows) (float64, error) {
	rows := int(math.Sqrt(2 * distanceWork / float64(max(t.Columns, 1))))
	rows = min(max(rows, 2), distanceRows, part.Len())
	values := make([]float32, 0, rows*t.Columns)
	permutation := part.Permutation(t.Rows)
	for i := range rows {
		row := part.Lo + int(int64(i)*int64(part.Len())/int64(rows))
		if part.Split {
			row = int(permutation.At(uint32(row)))
		}
		for j := range t.Columns {
			values = append(values, t.At(row*t.Columns+j))
		}
	}
	greatest := 0.0
	for i := range rows {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		x := values[i*t.Columns : (i+1)*t.Columns]
		for k := range i {
			greatest = max(greatest, squaredDistance(x, values[k*t.Columns:(k+1)*t.Columns]))
		}
	}
	return math.Sqrt(greatest), nil
}

func squaredDistance(x, y []float32) float64 {
	sum := 0.0
	for j, v := range x {
		d := float64(v) - float64(y[j])
		sum += d * d
	}
	return sum
}
