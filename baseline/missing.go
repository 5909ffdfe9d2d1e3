package baseline

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// FitPPCAMissing fits probabilistic PCA to rows in which NaN stands for a missing
// value, by maximising the likelihood of the values that are there (values
// missing at random: Rubin 1976; the algorithm is that of Ilin and Raiko 2010,
// section 3.3, with the parameter expansion of FitPPCAByEM). With nothing missing its iterations are those of FitPPCAByEM. A
// row without any value says nothing; a column without any is an error.
func FitPPCAMissing(ctx context.Context, rows Rows, q int, o EM) (LatentGaussian, Trace, error) {
	const what = "probabilistic PCA with missing values"
	f, err := newMissingEM(rows, q)
	if err != nil {
		return LatentGaussian{}, Trace{}, fmt.Errorf("%s: %w", what, err)
	}
	trace, err := o.withDefaults().run(ctx, func() (float64, func() error, error) { return f.expect(ctx) })
	if err != nil {
		return LatentGaussian{}, trace, fmt.Errorf("%s: %w", what, err)
	}
	g, err := f.model.canonical()
	if err != nil {
		return LatentGaussian{}, trace, fmt.Errorf("%s: %w", what, err)
	}
	return g, trace, nil
}

// missingEM is one fit.
type missingEM struct {
	rows    Rows
	q       int
	model   LatentGaussian
	centre  []float64 // [D] means of what is there: values are counted from here
	squares []float64 // [D] sums of (x-centre)² of what is there
	values  int       // that are there
	floor   float64   // of σ²
}

func newMissingEM(rows Rows, q int) (*missingEM, error) {
	if err := checkComponents(rows, q); err != nil {
		return nil, err
	}
	d := rows.Features
	f := &missingEM{rows: rows, q: q, centre: make([]float64, d), squares: make([]float64, d)}
	counts := make([]int, d)
	for i, v := range rows.Values {
		if missing(v) {
			continue
		}
		if math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("row %d, column %d is %g", i/d+1, i%d+1, v)
		}
		f.centre[i%d] += float64(v)
		counts[i%d]++
	}
	for j, n := range counts {
		if n == 0 {
			return nil, fmt.Errorf("column %d has no values", j+1)
		}
		f.centre[j] /= float64(n)
		f.values += n
	}
	for i, v := range rows.Values {
		if !missing(v) {
			c := float64(v) - f.centre[i%d]
			f.squares[i%d] += c * c
		}
	}
	var mean float64
	for j, n := range counts {
		mean += f.squares[j] / float64(n) / float64(d)
	}
	f.floor = emRounding * mean
	f.model = LatentGaussian{Mean: slices.Clone(f.centre), Noise: slices.Repeat([]float64{mean}, d),
		Loadings: randomLoadings(d, q, math.Sqrt(mean/float64(q)))}
	return f, nil
}

// codeSums are sums over rows of E[aaᵀ|x] and E[a|x]xⱼ with a = (z, 1) and xⱼ
// counted from the centre: what the regression of the columns on the code needs.
// Matrices are [q+1, q+1], of which the upper triangle is filled.
type codeSums struct {
	second [][]float64 // of E[aaᵀ|x], for each column over incomplete rows where it is there
	first  [][]float64 // of E[a|x]xⱼ, for each column over all rows where it is there
	whole  []float64   // of E[aaᵀ|x] over complete rows
	all    []float64   // of E[aaᵀ|x] over all rows with a value
}

func newCodeSums(d, width int) *codeSums {
	s := &codeSums{whole: make([]float64, width*width), all: make([]float64, width*width)}
	for range d {
		s.second = append(s.second, make([]float64, width*width))
		s.first = append(s.first, make([]float64, width))
	}
	return s
}

// expect is the E step.
func (f *missingEM) expect(ctx context.Context) (float64, func() error, error) {
	if !(f.model.Noise[0] > f.floor) {
		return 0, nil, degenerate(f.q, f.q)
	}
	whole, err := f.model.factorize()
	if err != nil {
		return 0, nil, err
	}
	covariance := whole.codeCovariance()
	sums := newCodeSums(f.rows.Features, f.q+1)
	var total float64
	var failed error
	err = eachBlock(ctx, f.rows.Len(), func(from, to int) {
		for i := from; i < to && failed == nil; i++ {
			var value float64
			value, failed = f.add(sums, f.rows.Row(i), whole, covariance)
			total += value
		}
	})
	if err == nil {
		err = failed
	}
	return total / float64(f.rows.Len()), func() error { return f.maximize(sums) }, err
}

// add adds a row to the sums and returns its log likelihood. whole and
// covariance are those of a complete row.
func (f *missingEM) add(sums *codeSums, row []float32, whole *factorized, covariance []float64) (float64, error) {
	var there []int
	var x []float32
	for j, v := range row {
		if !missing(v) {
			there, x = append(there, j), append(x, v)
		}
	}
	if len(there) == 0 {
		return 0, nil
	}
	c := whole
	if len(there) < len(row) {
		var err error
		if c, err = f.model.columns(there).factorize(); err != nil {
			return 0, err
		}
		covariance = c.codeCovariance()
	}
	y, a := make([]float64, len(there)), make([]float64, f.q+1)
	c.solve(x, y, a[:f.q])
	square := dot(y, y) + dot(a, a)
	a[f.q] = 1
	second := f.secondMoment(a, covariance)
	addTo(sums.all, 1, second)
	if c == whole {
		addTo(sums.whole, 1, second)
	}
	for i, j := range there {
		if c != whole {
			addTo(sums.second[j], 1, second)
		}
		addTo(sums.first[j], float64(x[i])-f.centre[j], a)
	}
	return c.constant - square/2, nil
}

// secondMoment is E[aaᵀ|x] for the mean of a and the covariance of z.
func (f *missingEM) secondMoment(a, covariance []float64) []float64 {
	width := f.q + 1
	second := make([]float64, width*width)
	for k := range width {
		for l := k; l < width; l++ {
			second[k*width+l] = a[k] * a[l]
			if l < f.q {
				second[k*width+l] += covariance[k*f.q+l]
			}
		}
	}
	return second
}

// addTo computes sum ← sum + factor·v.
func addTo(sum []float64, factor float64, v []float64) {
	for i := range v {
		sum[i] += factor * v[i]
	}
}

// maximize is the M step: each column's loadings and mean by regression on
// (z, 1), σ² as the mean of what is left of the squares, and then the code's
// mean and covariance, which parameter expansion lets be any, are made 0 and I.
func (f *missingEM) maximize(sums *codeSums) error {
	mean, root, err := f.expansion(sums.all)
	if err != nil {
		return err
	}
	var left float64
	for j, first := range sums.first {
		addTo(sums.second[j], 1, sums.whole)
		var cholesky mat.Cholesky
		if !cholesky.Factorize(mat.NewSymDense(f.q+1, sums.second[j])) {
			return fmt.Errorf("the second moment of the code over column %d is not positive definite", j+1)
		}
		var solution mat.VecDense
		if err := cholesky.SolveVecTo(&solution, mat.NewVecDense(f.q+1, first)); err != nil {
			return fmt.Errorf("the loadings of column %d: %w", j+1, err)
		}
		a := solution.RawVector().Data
		left += f.squares[j] - dot(a, first)
		w := f.model.Loadings[j*f.q : (j+1)*f.q]
		copy(w, a)
		f.model.Mean[j] = f.centre[j] + a[f.q] + dot(w, mean)
		blas64.Trmv(blas.NoTrans, root, blas64.Vector{N: f.q, Inc: 1, Data: w})
	}
	for j := range f.model.Noise {
		f.model.Noise[j] = left / float64(f.values)
	}
	return nil
}

// expansion is the mean of the code and U, where UᵀU is its covariance.
func (f *missingEM) expansion(all []float64) (mean []float64, root blas64.Triangular, err error) {
	width := f.q + 1
	n := all[width*width-1]
	covariance := mat.NewSymDense(f.q, nil)
	for k := range f.q {
		mean = append(mean, all[k*width+f.q]/n)
	}
	for k := range f.q {
		for l := k; l < f.q; l++ {
			covariance.SetSym(k, l, all[k*width+l]/n-mean[k]*mean[l])
		}
	}
	var cholesky mat.Cholesky
	if !cholesky.Factorize(covariance) {
		return nil, root, fmt.Errorf("the covariance of the code is not positive definite")
	}
	return mean, upperOf(&cholesky), nil
}
