package baseline

import (
	"context"
	"fmt"
	"math"
)

// FitPPCA fits probabilistic PCA with q components to rows by its closed form,
// from the components that FitPCA finds.
func FitPPCA(ctx context.Context, rows Rows, q int) (LatentGaussian, error) {
	if err := checkComponents(rows, q); err != nil {
		return LatentGaussian{}, fmt.Errorf("probabilistic PCA: %w", err)
	}
	pca, err := FitPCA(ctx, rows, q)
	if err != nil {
		return LatentGaussian{}, fmt.Errorf("probabilistic PCA: %w", err)
	}
	return PPCAOf(pca, q)
}

// PPCAOf is the maximum of the likelihood of probabilistic PCA (Tipping and
// Bishop 1999, eq. 7 and 8, with R = I),
//
//	W = U_q (Λ_q - σ²I)^½,  σ² = (tr Σ - Σ_{k≤q} λ_k)/(D-q),
//
// at which the mean log likelihood of the rows is
//
//	-½( D ln 2π + Σ_{k≤q} ln λ_k + (D-q) ln σ² + D ).
//
// p are the first q components. Where they leave no variance, σ² would be zero
// and the likelihood infinite, which is an error.
func PPCAOf(p PCA, q int) (LatentGaussian, error) {
	d, kept := len(p.Mean), len(p.Variances)
	if err := checkRange(q, d); err != nil {
		return LatentGaussian{}, fmt.Errorf("probabilistic PCA: %w", err)
	}
	left := p.Total
	for _, v := range p.Variances {
		left -= v
	}
	if kept < q || !(left > rounding(d)*p.Total) {
		return LatentGaussian{}, fmt.Errorf("probabilistic PCA: %w", degenerate(q, kept))
	}
	g := LatentGaussian{Mean: p.Mean, Loadings: make([]float64, d*q), Noise: make([]float64, d)}
	noise := left / float64(d-q)
	for j := range d {
		g.Noise[j] = noise
		for k, v := range p.Variances {
			g.Loadings[j*q+k] = p.Components.At(j, k) * math.Sqrt(max(v-noise, 0))
		}
	}
	return g, nil
}

// GaussianOf is N(μ, Σ): probabilistic PCA with q = D-1 and σ² = λ_D, the least
// eigenvalue, so that C = Σ and Denoise is the Wiener filter. Where Σ is
// singular Ψ is 0, and only Denoise and what is Smoothed have an answer.
func GaussianOf(m Moments) (LatentGaussian, error) {
	values, vectors, err := eigen(m.Covariance)
	if err != nil {
		return LatentGaussian{}, fmt.Errorf("gaussian of given moments: %w", err)
	}
	d := m.Features()
	q := d - 1
	noise := values[d-1]
	if noise <= rounding(d)*values[0] {
		noise, q = 0, d
	}
	g := LatentGaussian{Mean: m.Mean, Loadings: make([]float64, d*q), Noise: make([]float64, d)}
	for j := range d {
		g.Noise[j] = noise
		for k := range q {
			g.Loadings[j*q+k] = vectors.At(j, k) * math.Sqrt(max(values[k]-noise, 0))
		}
	}
	return g, nil
}

// rounding is the part of the largest eigenvalue of a D×D matrix below which an
// eigenvalue is rounding error.
func rounding(d int) float64 { return float64(d) * 0x1p-52 }

// checkComponents checks q against the rows.
func checkComponents(rows Rows, q int) error {
	if err := rows.check("training"); err != nil {
		return err
	}
	return checkRange(q, rows.Features)
}

// checkRange checks q against the number of features.
func checkRange(q, features int) error {
	if features < 2 {
		return &ComponentsError{Components: q, Problem: "a single feature leaves no room for components"}
	}
	if q < 1 || q >= features {
		return &ComponentsError{Components: q, Problem: fmt.Sprintf("%d features leave room for 1 to %d components", features, features-1)}
	}
	return nil
}

// ComponentsError says that a model cannot have so many components.
type ComponentsError struct {
	Components int
	Problem    string
}

// Error implements error.
func (e *ComponentsError) Error() string {
	return fmt.Sprintf("%d components: %s", e.Components, e.Problem)
}

// degenerate is the error for q components that explain everything.
func degenerate(q, directions int) error {
	return &ComponentsError{Components: q, Problem: fmt.Sprintf("the rows vary in %d directions only, which leaves no variance to the noise and makes the likelihood infinite",
		directions)}
}
