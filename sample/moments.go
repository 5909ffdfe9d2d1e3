package sample

import (
	"context"
	"fmt"
	"math"
)

// projection corrects D(x; σ) for given features by the first two moments of
// p(x₀|x), which are D and, by Tweedie's formula of the second order, σ²J. With
// p(x₀|x) = N(D, σ²J) the mean given that the features g are y is
//
//	D + J_·g·J_gg⁻¹·(y - D_g)
//
// (Boys, Girolami, Pidstrigach, Reich, Mosca and Akyildiz 2024, with exact
// observations): exact for Gaussian data, and it holds D_g at y for any. It
// takes one PullBackAt a given feature.
type projection struct {
	given *Given
	index []int // of the given features
	unit  []float32
	rows  [][]float32 // J[index[k], ·] of each row
}

func newProjection(g *Given) *projection {
	p := &projection{given: g}
	for j, known := range g.Known {
		if known {
			p.index = append(p.index, j)
		}
	}
	p.rows = make([][]float32, len(p.index))
	return p
}

// apply corrects denoised, which is D(x; σ) of the chains from first on.
func (p *projection) apply(ctx context.Context, d Denoiser, denoised, x []float32, sigma float64, first int) error {
	features := len(p.given.Known)
	if len(p.unit) < len(x) {
		p.unit = make([]float32, len(x))
		for k := range p.rows {
			p.rows[k] = make([]float32, len(x))
		}
	}
	for k, j := range p.index {
		unit := p.unit[:len(x)]
		clear(unit)
		for at := j; at < len(x); at += features {
			unit[at] = 1
		}
		if err := d.PullBackAt(ctx, p.rows[k][:len(x)], x, unit, sigma); err != nil {
			return fmt.Errorf("conditioning: %w", err)
		}
	}
	n := len(p.index)
	matrix, right := make([]float64, n*n), make([]float64, n)
	for row := 0; row < len(x); row += features {
		for k, j := range p.index {
			right[k] = float64(p.given.value(first+row/features, j)) - float64(denoised[row+j])
			for l, i := range p.index {
				matrix[k*n+l] = (float64(p.rows[k][row+i]) + float64(p.rows[l][row+j])) / 2
			}
		}
		solvePositive(matrix, right)
		for j := range features {
			sum := float64(denoised[row+j])
			for k := range p.index {
				sum += float64(p.rows[k][row+j]) * right[k]
			}
			denoised[row+j] = float32(sum)
		}
	}
	return nil
}

// leastPivot bounds the pivots of J_gg, relative to the greatest of its diagonal:
// a learned Jacobian need not be positive definite.
const leastPivot = 1e-3

// solvePositive replaces b [n] by A⁻¹b, A [n, n] being symmetric, by Cholesky's
// factors with pivots held above leastPivot. A is overwritten.
func solvePositive(a, b []float64) {
	n, most := len(b), 0.0
	for k := range n {
		most = max(most, a[k*n+k])
	}
	floor := max(leastPivot*most, math.SmallestNonzeroFloat32)
	for k := range n {
		for l := range k + 1 {
			sum := a[k*n+l]
			for i := range l {
				sum -= a[k*n+i] * a[l*n+i]
			}
			if l == k {
				a[k*n+k] = math.Sqrt(max(sum, floor))
			} else {
				a[k*n+l] = sum / a[l*n+l]
			}
		}
	}
	for k := range n {
		for i := range k {
			b[k] -= a[k*n+i] * b[i]
		}
		b[k] /= a[k*n+k]
	}
	for k := n - 1; k >= 0; k-- {
		for i := k + 1; i < n; i++ {
			b[k] -= a[i*n+k] * b[i]
		}
		b[k] /= a[k*n+k]
	}
}
