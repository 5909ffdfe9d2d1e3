package baseline

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// EM says when the iterations of expectation and maximisation end.
type EM struct {
	Iterations int     // at most so many; 0 for DefaultIterations
	Tolerance  float64 // end when an iteration gains less, in nats an example; 0 for DefaultTolerance
}

// The defaults of EM.
const (
	DefaultIterations = 5000
	DefaultTolerance  = 1e-7
)

func (o EM) withDefaults() EM {
	if o.Iterations <= 0 {
		o.Iterations = DefaultIterations
	}
	if o.Tolerance <= 0 {
		o.Tolerance = DefaultTolerance
	}
	return o
}

// Trace is what the iterations did. They never lower the likelihood.
type Trace struct {
	LogLikelihood []float64 // mean over the training rows before the first iteration and after each
	Converged     bool      // the last iteration gained less than the tolerance
}

// Iterations is the number of iterations that were done.
func (t Trace) Iterations() int { return max(len(t.LogLikelihood)-1, 0) }

// run repeats the two steps until they gain too little: expect returns the log
// likelihood of the parameters and what changes them.
func (o EM) run(ctx context.Context, expect func() (value float64, maximize func() error, err error)) (Trace, error) {
	var t Trace
	for {
		if err := ctx.Err(); err != nil {
			return t, err
		}
		value, maximize, err := expect()
		if err != nil {
			return t, err
		}
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return t, fmt.Errorf("the log likelihood is %g after %d iterations", value, len(t.LogLikelihood))
		}
		t.LogLikelihood = append(t.LogLikelihood, value)
		done := t.Iterations()
		if done > 0 && value-t.LogLikelihood[done-1] < o.Tolerance {
			t.Converged = true
			return t, nil
		}
		if done >= o.Iterations {
			return t, nil
		}
		if err := maximize(); err != nil {
			return t, err
		}
	}
}

// noiseFloor is the least part of a column's variance that factor analysis may
// call noise. The likelihood has suprema at noise of zero (Heywood cases), and
// without a bound EM creeps towards them for ever.
const noiseFloor = 1e-6

// FitFA fits factor analysis with q factors, the model in which each column has
// noise of its own, by expectation maximisation (Rubin and Thayer 1982; Bishop
// 2006, eq. 12.66 to 12.70). It does not depend on the scale of the columns. It
// starts at the principal components of the standardised columns.
//
// Noise is at least 10⁻⁶ of the column's variance. A column that never varies
// has no loadings, and noise of 10⁻⁶ of the mean variance of those that do: its
// contribution to a log likelihood is a convention.
func FitFA(ctx context.Context, rows Rows, q int, o EM) (LatentGaussian, Trace, error) {
	s, err := newScatter(ctx, rows, q)
	if err != nil {
		return LatentGaussian{}, Trace{}, fmt.Errorf("factor analysis: %w", err)
	}
	if s.trace() == 0 {
		return LatentGaussian{}, Trace{}, fmt.Errorf("factor analysis: %w", degenerate(q, 0))
	}
	s.standardize()
	loadings, err := s.principal(q)
	if err != nil {
		return LatentGaussian{}, Trace{}, fmt.Errorf("factor analysis: %w", err)
	}
	f := &factorEM{scatter: s, q: q, loadings: loadings, noise: make([]float64, s.d)}
	for j := range f.noise {
		w := loadings[j*q : (j+1)*q]
		f.noise[j] = max(s.variances[j]-dot(w, w), noiseFloor)
	}
	f.update = func(noise, free []float64) {
		for j, v := range free {
			noise[j] = max(v, noiseFloor)
		}
	}
	return f.fit(ctx, o, "factor analysis")
}

// FitPPCAByEM fits probabilistic PCA by expectation maximisation (Tipping and
// Bishop 1999, eq. 29 and 30; Bishop 2006, eq. 12.54 to 12.57), from random
// loadings. Its maximum is the closed form's; it neither forms nor decomposes a
// covariance matrix where there are more than 1,024 features.
func FitPPCAByEM(ctx context.Context, rows Rows, q int, o EM) (LatentGaussian, Trace, error) {
	const what = "probabilistic PCA by EM"
	s, err := newScatter(ctx, rows, q)
	if err != nil {
		return LatentGaussian{}, Trace{}, fmt.Errorf("%s: %w", what, err)
	}
	mean := s.trace() / float64(s.d)
	f := &factorEM{scatter: s, q: q, loadings: randomLoadings(s.d, q, math.Sqrt(mean/float64(q))), noise: slices.Repeat([]float64{mean}, s.d)}
	f.update = func(noise, free []float64) {
		var sum float64
		for _, v := range free {
			sum += v
		}
		for j := range noise {
			noise[j] = sum / float64(len(free))
		}
	}
	floor := emRounding * mean
	f.check = func() error {
		if !(f.noise[0] > floor) {
			return degenerate(q, min(q, rows.Len()-1))
		}
		return nil
	}
	return f.fit(ctx, o, what)
}

// emRounding is the part of the mean variance below which EM's estimate of σ²,
// a difference, is rounding error.
const emRounding = 1e-12

// randomLoadings are the same at every call.
func randomLoadings(d, q int, deviation float64) []float64 {
	random := rand.New(rand.NewPCG(1, 2))
	w := make([]float64, d*q)
	for i := range w {
		w[i] = deviation * random.NormFloat64()
	}
	return w
}

// scatter is what EM must know of the rows: S in the form of products, in units
// of a scale for each column.
type scatter struct {
	d         int
	mean      []float64 // of the rows as they are
	scale     []float64 // of each column
	variances []float64 // [D] the diagonal of S
	times     func(b *mat.Dense) (*mat.Dense, error)
}

// newScatter measures rows that q components are to be fitted to.
func newScatter(ctx context.Context, rows Rows, q int) (*scatter, error) {
	if err := checkComponents(rows, q); err != nil {
		return nil, err
	}
	s := &scatter{d: rows.Features, scale: slices.Repeat([]float64{1}, rows.Features)}
	var unscaled func(b *mat.Dense) (*mat.Dense, error)
	if rows.Features > ExactFeatures {
		var err error
		if s.mean, s.variances, err = meanAndVariances(ctx, rows); err != nil {
			return nil, err
		}
		unscaled = func(b *mat.Dense) (*mat.Dense, error) { return covarianceTimes(ctx, rows, s.mean, b) }
	} else {
		m, err := EstimateMoments(ctx, rows)
		if err != nil {
			return nil, err
		}
		s.mean, s.variances = m.Mean, make([]float64, s.d)
		for j := range s.variances {
			s.variances[j] = m.Covariance.At(j, j)
		}
		unscaled = func(b *mat.Dense) (*mat.Dense, error) {
			_, width := b.Dims()
			product := mat.NewDense(s.d, width, nil)
			blas64.Symm(blas.Left, 1, m.Covariance.RawSymmetric(), b.RawMatrix(), 0, product.RawMatrix())
			return product, ctx.Err()
		}
	}
	for j, v := range s.variances {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("column %d has values that are no numbers or too large", j+1)
		}
		s.variances[j] = max(v, 0)
	}
	s.times = func(b *mat.Dense) (*mat.Dense, error) {
		var scaled mat.Dense
		scaled.Apply(s.perScale, b)
		product, err := unscaled(&scaled)
		if err == nil {
			product.Apply(s.perScale, product)
		}
		return product, err
	}
	return s, nil
}

func (s *scatter) perScale(column, _ int, v float64) float64 { return v / s.scale[column] }

func (s *scatter) trace() float64 {
	var t float64
	for _, v := range s.variances {
		t += v
	}
	return t
}

// standardize makes standard deviations the units. A column without variance
// has the root of the mean variance of the others.
func (s *scatter) standardize() {
	varying := 0
	for _, v := range s.variances {
		if v > 0 {
			varying++
		}
	}
	mean := s.trace() / float64(varying)
	for j, v := range s.variances {
		if v > 0 {
			s.scale[j], s.variances[j] = math.Sqrt(v), 1
		} else {
			s.scale[j], s.variances[j] = math.Sqrt(mean), 0
		}
	}
}

// principal are the loadings U_q (Λ_q - σ²I)^½ of the first components of S.
func (s *scatter) principal(q int) ([]float64, error) {
	values, vectors, err := leading(s.times, s.d, q)
	if err != nil {
		return nil, err
	}
	left := s.trace()
	for _, v := range values[:q] {
		left -= v
	}
	w := make([]float64, s.d*q)
	for j := range s.d {
		for k := range q {
			w[j*q+k] = vectors.At(j, k) * math.Sqrt(max(values[k]-left/float64(s.d-q), 0))
		}
	}
	return w, nil
}

// factorEM is one fit: x ~ N(0, WWᵀ + Ψ) to S.
type factorEM struct {
	*scatter
	q        int
	loadings []float64 // [D, q] W
	noise    []float64 // [D] Ψ

	update func(noise, free []float64) // sets Ψ, given what it would be without constraints
	check  func() error                // of Ψ, after each iteration; may be nil
}

// fit iterates, and returns the model in the units of the rows.
func (f *factorEM) fit(ctx context.Context, o EM, what string) (LatentGaussian, Trace, error) {
	trace, err := o.withDefaults().run(ctx, f.expect)
	if err != nil {
		return LatentGaussian{}, trace, fmt.Errorf("%s: %w", what, err)
	}
	g := LatentGaussian{Mean: f.mean, Loadings: make([]float64, len(f.loadings)), Noise: make([]float64, f.d)}
	var units float64
	for j, scale := range f.scale {
		units += math.Log(scale)
		g.Noise[j] = scale * scale * f.noise[j]
		for k := range f.q {
			g.Loadings[j*f.q+k] = scale * f.loadings[j*f.q+k]
		}
	}
	for i := range trace.LogLikelihood {
		trace.LogLikelihood[i] -= units
	}
	if g, err = g.canonical(); err != nil {
		return LatentGaussian{}, trace, fmt.Errorf("%s: %w", what, err)
	}
	return g, trace, nil
}

// expect begins an iteration. With B = C⁻¹W = Ψ⁻¹W M⁻¹ and T = SB,
//
//	E:  E[z|x] = Bᵀ(x-μ),  mean of E[zzᵀ|x] = G = M⁻¹ + BᵀT
//	M:  Ψ ← diag(S - T G⁻¹Tᵀ), constrained by update,  W ← T G⁻¹ G^½.
//
// The factor G^½, any root, is that of parameter expansion (Liu, Rubin and Wu
// 1998, section 3): the code is allowed a covariance of its own for the length
// of a step. The likelihood still never falls, and where there is little noise
// the length of W, which plain EM hardly moves, is right at once.
//
// It returns the mean log likelihood under W and Ψ,
// -½(D ln 2π + ln|C| + tr C⁻¹S), C⁻¹S = Ψ⁻¹(S - W Tᵀ), and the M step.
func (f *factorEM) expect() (float64, func() error, error) {
	if f.check != nil {
		if err := f.check(); err != nil {
			return 0, nil, err
		}
	}
	g := LatentGaussian{Mean: make([]float64, f.d), Loadings: f.loadings, Noise: f.noise}
	c, err := g.factorize()
	if err != nil {
		return 0, nil, err
	}
	b := mat.NewDense(f.d, f.q, nil)
	b.Apply(func(j, k int, _ float64) float64 { return c.loadings[j*f.q+k] / c.root[j] }, b)
	c.timesInverse(b.RawMatrix())
	t, err := f.times(b)
	if err != nil {
		return 0, nil, err
	}
	value := 2 * c.constant
	for j := range f.d {
		value -= (f.variances[j] - dot(f.loadings[j*f.q:(j+1)*f.q], t.RawRowView(j))) / f.noise[j]
	}
	return value / 2, func() error { return f.maximize(c, b, t) }, nil
}

// maximize is the M step.
func (f *factorEM) maximize(c *factorized, b, t *mat.Dense) error {
	second, err := f.secondMoment(c, b, t)
	if err != nil {
		return err
	}
	f.loadings = slices.Clone(t.RawMatrix().Data)
	root := upperOf(second) // G = UᵀU, so T G⁻¹Uᵀ = T U⁻¹
	blas64.Trsm(blas.Right, blas.NoTrans, 1, root, general(f.loadings, f.d, f.q))
	free := make([]float64, f.d)
	for j := range f.d {
		w := f.loadings[j*f.q : (j+1)*f.q]
		free[j] = f.variances[j] - dot(w, w)
	}
	f.update(f.noise, free)
	return nil
}

// secondMoment factorizes G = M⁻¹ + BᵀT.
func (f *factorEM) secondMoment(c *factorized, b, t *mat.Dense) (*mat.Cholesky, error) {
	inverse := mat.NewDense(f.q, f.q, c.codeCovariance())
	var product mat.Dense
	product.Mul(b.T(), t)
	g := mat.NewSymDense(f.q, nil)
	for k := range f.q {
		for l := k; l < f.q; l++ {
			g.SetSym(k, l, (inverse.At(k, l)+inverse.At(l, k)+product.At(k, l)+product.At(l, k))/2)
		}
	}
	var cholesky mat.Cholesky
	if !cholesky.Factorize(g) {
		return nil, fmt.Errorf("the second moment of the code is not positive definite")
	}
	return &cholesky, nil
}
