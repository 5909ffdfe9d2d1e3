package baseline

import (
	"fmt"

	"gonum.org/v1/gonum/mat"
)

// Wiener is the best denoiser of rank q at most under gaussian noise of standard
// deviation σ (Wiener 1949; q is clipped to the features),
//
//	W = U_q diag(λ/(λ+σ²)) U_qᵀ,  b = (I - W)μ,
//
// λ and U being the eigenvalues and eigenvectors of Σ. With q = D it is
// Σ(Σ+σ²I)⁻¹, and what a linear denoising auto-encoder converges to.
func Wiener(m Moments, sigma float64, q int) (Linear, error) {
	values, vectors, err := eigen(m.Covariance)
	if err != nil {
		return Linear{}, fmt.Errorf("wiener filter: %w", err)
	}
	noise := sigma * sigma
	gains := make([]float64, len(values))
	for k, v := range values {
		if k < q && v > 0 {
			gains[k] = v / (v + noise)
		}
	}
	return affine(spectral(gains, vectors), m.Mean, m.Mean), nil
}

// WienerMSE is the expected MSE of Wiener's filter,
//
//	(1/D)·( Σ_{k≤q} σ²λ_k/(λ_k+σ²) + Σ_{k>q} λ_k ).
func WienerMSE(m Moments, sigma float64, q int) (float64, error) {
	values, _, err := eigen(m.Covariance)
	if err != nil {
		return 0, fmt.Errorf("error of the wiener filter: %w", err)
	}
	noise := sigma * sigma
	var total float64
	for k, v := range values {
		switch v = max(v, 0); {
		case k >= q:
			total += v
		case v > 0:
			total += noise * v / (v + noise)
		}
	}
	return total / float64(len(values)), nil
}

// Marginalized is the marginalised linear denoising auto-encoder under masking
// with probability p of each column (Chen, Xu, Weinberger and Sha 2012, eq. 4 to
// 6), the limit of infinitely many corrupted copies of each example. With the
// scatter S = E[(x,1)(x,1)ᵀ] and the survival vector s = (1-p, ..., 1-p, 1),
//
//	[W b] = P Q⁻¹,  P_ij = S_ij s_j,  Q_ij = S_ij s_i s_j (i ≠ j),  Q_ii = S_ii s_i,
//
// of which the row for the constant is left out. The pseudo-inverse stands in
// where a column is always zero.
func Marginalized(m Moments, p float64) (Linear, error) {
	d := m.Features()
	scatter := func(i, j int) float64 {
		switch {
		case i == d && j == d:
			return 1
		case i == d:
			return m.Mean[j]
		case j == d:
			return m.Mean[i]
		}
		return m.Covariance.At(i, j) + m.Mean[i]*m.Mean[j]
	}
	survival := func(i int) float64 {
		if i == d {
			return 1
		}
		return 1 - p
	}
	target, input := mat.NewDense(d, d+1, nil), mat.NewSymDense(d+1, nil)
	for i := range d + 1 {
		for j := range d + 1 {
			if i < d {
				target.Set(i, j, scatter(i, j)*survival(j))
			}
			if i < j {
				input.SetSym(i, j, scatter(i, j)*survival(i)*survival(j))
			}
		}
		input.SetSym(i, i, scatter(i, i)*survival(i))
	}
	inverse, err := pseudoInverse(input)
	if err != nil {
		return Linear{}, fmt.Errorf("marginalised denoiser: %w", err)
	}
	var both mat.Dense
	both.Mul(target, inverse)
	return Linear{W: mat.DenseCopyOf(both.Slice(0, d, 0, d)), Bias: mat.Col(nil, d, &both)}, nil
}
