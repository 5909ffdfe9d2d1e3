package baseline

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// Linear is the affine reconstruction r(x̃) = W x̃ + b.
type Linear struct {
	W    *mat.Dense // [D, D]
	Bias []float64  // [D] b
}

// Reconstruct computes W x̃ + b for every row.
func (l Linear) Reconstruct(ctx context.Context, corrupted Rows) (Rows, error) {
	d := len(l.Bias)
	if corrupted.Features != d {
		return Rows{}, fmt.Errorf("reconstruct %d features by a linear map of %d", corrupted.Features, d)
	}
	out := Rows{Values: make([]float32, len(corrupted.Values)), Features: d}
	x, y := make([]float64, block*d), make([]float64, block*d)
	err := eachBlock(ctx, corrupted.Len(), func(from, to int) {
		n := to - from
		for i, v := range corrupted.Values[from*d : to*d] {
			x[i] = float64(v)
			y[i] = l.Bias[i%d]
		}
		blas64.Gemm(blas.NoTrans, blas.Trans, 1, general(x, n, d), l.W.RawMatrix(), 1, general(y, n, d))
		for i, v := range y[:n*d] {
			out.Values[from*d+i] = float32(v)
		}
	})
	return out, err
}

// affine is the map x̃ ↦ target + W(x̃ - source), in the form W x̃ + b.
func affine(w *mat.Dense, target, source []float64) Linear {
	bias := make([]float64, len(target))
	shifted := mat.NewVecDense(len(bias), nil)
	shifted.MulVec(w, mat.NewVecDense(len(source), source))
	for j := range bias {
		bias[j] = target[j] - shifted.AtVec(j)
	}
	return Linear{W: w, Bias: bias}
}
