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
// observations): exact for Gaussian data, and it holds D_g at y for any, but for
// the ridge of leastRidge. It takes one PullBackAt a given feature.
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
		solveRidge(matrix, right)
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

// leastRidge is the least that is added to the diagonal of J_gg, relative to the
// greatest of its diagonal.
const leastRidge = 1e-3

// solveRidge replaces b [n] by (A + λI)⁻¹b, A [n, n] being symmetric, with a λ
// that is twice what makes it positive definite or more: a learned Jacobian need
// not be, and how far it is from that tells how uncertain it is.
func solveRidge(a, b []float64) {
	n, most := len(b), 0.0
	for k := range n {
		most = max(most, math.Abs(a[k*n+k]))
	}
	factor := make([]float64, n*n)
	ridge := max(leastRidge*most, math.SmallestNonzeroFloat32)
	for !cholesky(factor, a, ridge) {
		ridge *= 4
	}
	for k := range n {
		for i := range k {
			b[k] -= factor[k*n+i] * b[i]
		}
		b[k] /= factor[k*n+k]
	}
	for k := n - 1; k >= 0; k-- {
		for i := k + 1; i < n; i++ {
			b[k] -= factor[i*n+k] * b[i]
		}
		b[k] /= factor[k*n+k]
	}
}

// cholesky writes the lower factor of A + λI and reports whether its pivots are
// λ/2 or more. Not finite numbers give a factor that is not finite.
func cholesky(factor, a []float64, ridge float64) bool {
	n := int(math.Sqrt(float64(len(a))))
	for k := range n {
		for l := range k + 1 {
			sum := a[k*n+l]
			for i := range l {
				sum -= factor[k*n+i] * factor[l*n+i]
			}
			if l < k {
				factor[k*n+l] = sum / factor[l*n+l]
				continue
			}
			if sum+ridge < ridge/2 {
				return false
			}
			factor[k*n+k] = math.Sqrt(sum + ridge)
		}
	}
	return true
}
