package figure

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Potential is the function on a grid of GridPoints whose gradient is nearest to
// a field in the least squares, such as log p to a score: over the edges between
// neighbours a and b it minimises
//
//	Σ w_ab (φ_b - φ_a - (v_a + v_b)/2·(x_b - x_a))²,
//
// with w_ab the mean of the weights of a and b, nil for 1, which must be positive;
// this is the discrete Helmholtz decomposition (Bhatia et al. 2013). A learned
// field is in general no gradient, and integrals of it depend on their path; φ
// takes all paths together, and rest is the share of the weighted sum of the
// field's squared rises that it leaves unexplained, 0 for a gradient. φ has the
// mean 0. The field must be finite.
func Potential(ctx context.Context, at, field []float32, weights []float64, columns int) (phi []float64, rest float64, err error) {
	grid, err := newLattice(at, at, columns)
	if err != nil || len(field) != len(at) || weights != nil && len(weights) != len(at)/2 {
		return nil, 0, fmt.Errorf("potential: %d positions, %d numbers of a field and %d weights for rows of %d points", len(at), len(field), len(weights), columns)
	}
	grid.vectors = points(field)
	l := weighted{grid, weights}
	for i, v := range l.vectors {
		if math.IsNaN(v.x+v.y) || math.IsInf(v.x+v.y, 0) {
			return nil, 0, fmt.Errorf("potential: the field at (%g, %g) is (%g, %g)", at[2*i], at[2*i+1], v.x, v.y)
		}
	}
	target := make([]float64, len(l.vectors))
	var total float64
	l.eachEdge(func(a, b int, rise, weight float64) {
		target[a] -= weight * rise
		target[b] += weight * rise
		total += weight * rise * rise
	})
	if phi, err = l.solve(ctx, target); err != nil {
		return nil, 0, fmt.Errorf("potential: %w", err)
	}
	l.eachEdge(func(a, b int, rise, weight float64) {
		d := phi[b] - phi[a] - rise
		rest += weight * d * d
	})
	if total > 0 {
		rest /= total
	}
	return phi, rest, nil
}

// weighted is a field with the weights of its points.
type weighted struct {
	lattice
	weights []float64
}

// eachEdge visits neighbours, with what the field says that φ rises between them
// and the edge's weight.
func (l weighted) eachEdge(visit func(a, b int, rise, weight float64)) {
	weight := func(a, b int) float64 {
		if l.weights == nil {
			return 1
		}
		return (l.weights[a] + l.weights[b]) / 2
	}
	for i, v := range l.vectors {
		if i%l.columns+1 < l.columns {
			visit(i, i+1, l.cell*(v.x+l.vectors[i+1].x)/2, weight(i, i+1))
		}
		if up := i + l.columns; up < len(l.vectors) {
			visit(i, up, l.cell*(v.y+l.vectors[up].y)/2, weight(i, up))
		}
	}
}

// solve finds φ of mean 0 with Laplacian·φ = target, whose sum is 0, by conjugate
// gradients (Hestenes and Stiefel 1952) preconditioned by the diagonal.
func (l weighted) solve(ctx context.Context, target []float64) ([]float64, error) {
	const accuracy = 1e-14 // of the squared residual
	n := len(target)
	diagonal := make([]float64, n)
	l.eachEdge(func(a, b int, _, weight float64) {
		diagonal[a] += weight
		diagonal[b] += weight
	})
	scaled := func(v []float64) []float64 {
		out := make([]float64, n)
		for i := range v {
			out[i] = v[i] / diagonal[i]
		}
		return out
	}
	phi, image := make([]float64, n), make([]float64, n)
	residual := slices.Clone(target)
	direction := scaled(residual)
	square := inner(residual, direction)
	end := accuracy * square
	for iteration := 0; square > end && iteration < 10*n; iteration++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		clear(image)
		l.eachEdge(func(a, b int, _, weight float64) {
			d := weight * (direction[b] - direction[a])
			image[a] -= d
			image[b] += d
		})
		step := square / inner(direction, image)
		for i := range phi {
			phi[i] += step * direction[i]
			residual[i] -= step * image[i]
		}
		before, next := square, scaled(residual)
		square = inner(residual, next)
		for i := range direction {
			direction[i] = next[i] + square/before*direction[i]
		}
	}
	var mean float64
	for _, v := range phi {
		mean += v / float64(n)
	}
	for i := range phi {
		phi[i] -= mean
	}
	return phi, nil
}

func inner(a, b []float64) float64 {
	var sum float64
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
