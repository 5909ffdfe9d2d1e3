package baseline

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// LatentGaussian is the linear relative of a denoising auto-encoder, a Gaussian
// with a code of q units (Bishop 2006, sections 12.2 and 12.2.4):
//
//	x = μ + W z + ε,  z ~ N(0, I_q),  ε ~ N(0, Ψ),  Ψ diagonal,  so x ~ N(μ, C),  C = WWᵀ + Ψ.
//
// With Ψ = σ²I it is probabilistic PCA, with any Ψ factor analysis, and with
// Ψ = λ_D I and q = D-1 it is N(μ, Σ) itself, whose denoiser is the Wiener filter.
//
// C is never formed. With V = Ψ^-½ W, M = I + VᵀV (q×q, Cholesky) and
// y = Ψ^-½ (x-μ), Woodbury's identity gives
//
//	z = E[z|x] = M⁻¹Vᵀy,  e = y - Vz,  C⁻¹(x-μ) = Ψ^-½ e,
//	(x-μ)ᵀC⁻¹(x-μ) = |e|² + |z|²,  ln|C| = ln|M| + Σ ln Ψⱼ,
//
// where the sum of squares, being a minimum over z, feels the rounding of z only
// in second order, however small Ψ is beside WWᵀ.
//
// A NaN stands for a value that is missing. LogLikelihood, Encode, Reconstruct
// and Denoise condition on what is there; Score refuses such a row.
type LatentGaussian struct {
	Mean     []float64 `json:"mean"`     // [D] μ
	Loadings []float64 `json:"loadings"` // [D, q] W, row-major
	Noise    []float64 `json:"noise"`    // [D] the diagonal of Ψ; 0 where there is no noise, and then no density
}

// ErrNoDensity is what a model without noise answers when its density is asked
// for: C is singular, or as good as singular.
var ErrNoDensity = errors.New("the covariance is singular, so there is no density")

// Features is D.
func (g LatentGaussian) Features() int { return len(g.Mean) }

// Components is q, the width of the code.
func (g LatentGaussian) Components() int {
	if len(g.Mean) == 0 {
		return 0
	}
	return len(g.Loadings) / len(g.Mean)
}

// Covariance is C = WWᵀ + Ψ.
func (g LatentGaussian) Covariance() *mat.SymDense {
	d, q := g.Features(), g.Components()
	c := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			c.SetSym(i, j, dot(g.Loadings[i*q:(i+1)*q], g.Loadings[j*q:(j+1)*q]))
		}
		c.SetSym(i, i, c.At(i, i)+g.Noise[i])
	}
	return c
}

// Smoothed is the distribution of x̃ = x + σz, z ~ N(0, I): Ψ becomes Ψ + σ²I.
func (g LatentGaussian) Smoothed(sigma float64) LatentGaussian {
	noise := make([]float64, len(g.Noise))
	for j, v := range g.Noise {
		noise[j] = v + sigma*sigma
	}
	g.Noise = noise
	return g
}

// LogLikelihood is ln N(x; μ, C) of each row, in nats; of a row with missing
// values, the density of those that are there. It fails with ErrNoDensity.
func (g LatentGaussian) LogLikelihood(ctx context.Context, x Rows) ([]float64, error) {
	out := make([]float64, x.Len())
	err := g.infer(ctx, "log likelihood", x, func(i int, p posterior) {
		out[i] = p.logDensity
	})
	return out, err
}

// MeanLogLikelihood is the mean of LogLikelihood over the rows.
func (g LatentGaussian) MeanLogLikelihood(ctx context.Context, x Rows) (float64, error) {
	each, err := g.LogLikelihood(ctx, x)
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, v := range each {
		sum += v
	}
	return sum / float64(len(each)), nil
}

// Encode computes the codes E[z|x] = M⁻¹Vᵀ Ψ^-½ (x-μ), as rows of q features.
func (g LatentGaussian) Encode(ctx context.Context, x Rows) (Rows, error) {
	q := g.Components()
	out := Rows{Values: make([]float32, x.Len()*q), Features: q}
	err := g.infer(ctx, "encode", x, func(i int, p posterior) {
		for k, v := range p.code {
			out.Values[i*q+k] = float32(v)
		}
	})
	return out, err
}

// Reconstruct takes Ψ for the noise that is to be removed: it computes
// E[μ + Wz | x] = x - ΨC⁻¹(x-μ), and E[x|what is there] where x is missing.
func (g LatentGaussian) Reconstruct(ctx context.Context, corrupted Rows) (Rows, error) {
	return g.denoise(ctx, corrupted, func(column int) float64 { return g.Noise[column] })
}

// Denoise takes x̃ for x + σz with x ~ N(μ, C), and computes
//
//	E[x|x̃] = x̃ + σ²∇ ln N(x̃; μ, C+σ²I) = x̃ - σ²(C+σ²I)⁻¹(x̃-μ)
//
// (Miyasawa 1961), which is the Wiener filter of C. C itself may be singular.
func (g LatentGaussian) Denoise(ctx context.Context, corrupted Rows, sigma float64) (Rows, error) {
	if !(sigma > 0) || math.IsInf(sigma, 0) {
		return Rows{}, fmt.Errorf("denoise: noise of σ = %g; it must be positive", sigma)
	}
	return g.Smoothed(sigma).denoise(ctx, corrupted, func(int) float64 { return sigma * sigma })
}

// denoise removes noise of the given variances, which are a part of Ψ.
func (g LatentGaussian) denoise(ctx context.Context, corrupted Rows, variance func(column int) float64) (Rows, error) {
	d, q := g.Features(), g.Components()
	out := Rows{Values: make([]float32, len(corrupted.Values)), Features: d}
	err := g.infer(ctx, "denoise", corrupted, func(i int, p posterior) {
		from, to := corrupted.Row(i), out.Row(i)
		for j := range to {
			if missing(from[j]) {
				to[j] = float32(g.Mean[j] + dot(g.Loadings[j*q:(j+1)*q], p.code))
			} else {
				to[j] = float32(float64(from[j]) + variance(j)*p.score[j])
			}
		}
	})
	return out, err
}

// Score computes ∇ ln N(x; μ, C) = -C⁻¹(x-μ) of each row.
func (g LatentGaussian) Score(ctx context.Context, x Rows) (Rows, error) {
	d := g.Features()
	out := Rows{Values: make([]float32, len(x.Values)), Features: d}
	for i, v := range x.Values {
		if missing(v) {
			return Rows{}, fmt.Errorf("score: row %d, column %d is missing", i/d+1, i%d+1)
		}
	}
	err := g.infer(ctx, "score", x, func(i int, p posterior) {
		for j, v := range p.score {
			out.Values[i*d+j] = float32(v)
		}
	})
	return out, err
}

// Sample draws n examples μ + Wz + Ψ^½u. normal(i, k) is the k-th standard normal
// number of example i, a function of these two alone if examples are to be
// the same however many are drawn: 0 ≤ k < q for z, q ≤ k < q+D for u.
func (g LatentGaussian) Sample(ctx context.Context, n int, normal func(example, k int) float64) (Rows, error) {
	d, q := g.Features(), g.Components()
	out := Rows{Values: make([]float32, n*d), Features: d}
	z := make([]float64, q)
	err := eachBlock(ctx, n, func(from, to int) {
		for i := from; i < to; i++ {
			for k := range z {
				z[k] = normal(i, k)
			}
			for j := range d {
				out.Values[i*d+j] = float32(g.Mean[j] + dot(g.Loadings[j*q:(j+1)*q], z) + math.Sqrt(g.Noise[j])*normal(i, q+j))
			}
		}
	})
	return out, err
}

// posterior is what is known of one row.
type posterior struct {
	code       []float64 // [q] E[z|x]
	score      []float64 // [D] -C⁻¹(x-μ), 0 where x is missing
	logDensity float64   // of what is there
}

// infer calls visit for each row in order, with slices that visit must not keep.
func (g LatentGaussian) infer(ctx context.Context, what string, x Rows, visit func(i int, p posterior)) error {
	d := g.Features()
	if x.Features != d {
		return fmt.Errorf("%s: %d features under a model of %d", what, x.Features, d)
	}
	whole, err := g.factorize()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	y, z := make([]float64, block*d), make([]float64, block*whole.q)
	var incomplete error
	err = eachBlock(ctx, x.Len(), func(from, to int) {
		n := to - from
		whole.solve(x.Values[from*d:to*d], y[:n*d], z[:n*whole.q])
		for i := range n {
			row, score, code := x.Row(from+i), y[i*d:(i+1)*d], z[i*whole.q:(i+1)*whole.q]
			if p, err := g.given(row, whole, score, code); err != nil {
				incomplete = err
			} else {
				visit(from+i, p)
			}
		}
	})
	if err == nil {
		err = incomplete
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// given turns e and z of a row into its posterior; a row with missing values is
// solved by itself.
func (g LatentGaussian) given(row []float32, whole *factorized, e, z []float64) (posterior, error) {
	there := make([]int, 0, len(row))
	for j, v := range row {
		if !missing(v) {
			there = append(there, j)
		}
	}
	if len(there) == len(row) {
		return whole.posterior(e, z), nil
	}
	part, err := g.columns(there).factorize()
	if err != nil {
		return posterior{}, err
	}
	x := make([]float32, len(there))
	for i, j := range there {
		x[i] = row[j]
	}
	y := make([]float64, len(there))
	part.solve(x, y, z)
	p := part.posterior(y, z)
	clear(e)
	for i, j := range there {
		e[j] = p.score[i]
	}
	p.score = e
	return p, nil
}

// columns is the marginal distribution of some columns.
func (g LatentGaussian) columns(list []int) LatentGaussian {
	q := g.Components()
	var part LatentGaussian
	for _, j := range list {
		part.Mean = append(part.Mean, g.Mean[j])
		part.Noise = append(part.Noise, g.Noise[j])
		part.Loadings = append(part.Loadings, g.Loadings[j*q:(j+1)*q]...)
	}
	return part
}

// factorized is a LatentGaussian ready to be conditioned on rows.
type factorized struct {
	d, q     int
	mean     []float64
	root     []float64         // [d] Ψ^½
	loadings []float64         // [d, q] V = Ψ^-½ W
	upper    blas64.Triangular // [q, q] U with M = UᵀU
	constant float64           // -½(d ln 2π + ln|C|)
}

// smallestNoise is the standard deviation under which a column has no noise:
// its square, inverted, would leave the range of numbers.
const smallestNoise = 1e-150

// factorize computes M and its factor.
func (g LatentGaussian) factorize() (*factorized, error) {
	f := &factorized{d: g.Features(), q: g.Components(), mean: g.Mean}
	f.root, f.loadings = make([]float64, f.d), make([]float64, f.d*f.q)
	logDeterminant := 0.0
	for j, v := range g.Noise {
		f.root[j] = math.Sqrt(v)
		if !(f.root[j] > smallestNoise) {
			return nil, fmt.Errorf("column %d has no noise of its own: %w", j+1, ErrNoDensity)
		}
		logDeterminant += math.Log(v)
		for k := range f.q {
			f.loadings[j*f.q+k] = g.Loadings[j*f.q+k] / f.root[j]
		}
	}
	if f.q > 0 && f.d > 0 {
		m := blas64.Symmetric{N: f.q, Stride: f.q, Data: make([]float64, f.q*f.q), Uplo: blas.Upper}
		for k := range f.q {
			m.Data[k*f.q+k] = 1
		}
		blas64.Syrk(blas.Trans, 1, general(f.loadings, f.d, f.q), 1, m)
		var cholesky mat.Cholesky
		if !cholesky.Factorize(mat.NewSymDense(f.q, m.Data)) {
			return nil, fmt.Errorf("the precision of the code is not positive definite: %w", ErrNoDensity)
		}
		logDeterminant += cholesky.LogDet()
		f.upper = upperOf(&cholesky)
	}
	f.constant = -(float64(f.d)*math.Log(2*math.Pi) + logDeterminant) / 2
	return f, nil
}

// upperOf is the factor U of a matrix UᵀU.
func upperOf(cholesky *mat.Cholesky) blas64.Triangular {
	var upper mat.TriDense
	cholesky.UTo(&upper)
	return upper.RawTriangular()
}

// solve computes for n rows y ← e [n, d] and z [n, q].
func (f *factorized) solve(x []float32, y, z []float64) {
	n := len(y)
	if f.d == 0 {
		clear(z)
		return
	}
	n /= f.d
	for i, v := range x {
		y[i] = (float64(v) - f.mean[i%f.d]) / f.root[i%f.d]
	}
	if f.q == 0 {
		return
	}
	rows, codes, loadings := general(y, n, f.d), general(z, n, f.q), general(f.loadings, f.d, f.q)
	blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, rows, loadings, 0, codes)
	f.timesInverse(codes)
	blas64.Gemm(blas.NoTrans, blas.Trans, -1, codes, loadings, 1, rows)
}

// timesInverse computes b ← b M⁻¹ for b of q columns.
func (f *factorized) timesInverse(b blas64.General) {
	blas64.Trsm(blas.Right, blas.NoTrans, 1, f.upper, b)
	blas64.Trsm(blas.Right, blas.Trans, 1, f.upper, b)
}

// codeCovariance is Cov(z|x) = M⁻¹, [q, q].
func (f *factorized) codeCovariance() []float64 {
	inverse := make([]float64, f.q*f.q)
	for k := range f.q {
		inverse[k*f.q+k] = 1
	}
	f.timesInverse(general(inverse, f.q, f.q))
	return inverse
}

// posterior turns e of a row into its score, in place.
func (f *factorized) posterior(e, z []float64) posterior {
	square := dot(e, e) + dot(z, z)
	for j := range e {
		e[j] /= -f.root[j]
	}
	return posterior{code: z, score: e, logDensity: f.constant - square/2}
}

// canonical rotates the code so that WᵀΨ⁻¹W is diagonal and falling, which
// leaves the distribution as it is and makes W unique up to signs; the largest
// entry of each column of W is made positive. Where Ψ has zeros, WᵀW is
// made diagonal.
func (g LatentGaussian) canonical() (LatentGaussian, error) {
	d, q := g.Features(), g.Components()
	if q == 0 {
		return g, nil
	}
	w := mat.NewDense(d, q, g.Loadings)
	var scaled mat.Dense
	scaled.Apply(func(j, _ int, v float64) float64 {
		if g.Noise[j] > 0 {
			return v / math.Sqrt(g.Noise[j])
		}
		return v
	}, w)
	var gram mat.SymDense
	gram.SymOuterK(1, scaled.T())
	_, rotation, err := eigen(&gram)
	if err != nil {
		return g, err
	}
	var turned mat.Dense
	turned.Mul(w, rotation)
	orient(&turned)
	g.Loadings = turned.RawMatrix().Data
	return g, nil
}

func missing(v float32) bool { return v != v }

func dot(a, b []float64) float64 {
	var sum float64
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
