package baseline

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// fit is what a fitting function returns.
type fit struct {
	LatentGaussian
	Trace
}

func must(t *testing.T) func(g LatentGaussian, trace Trace, err error) fit {
	t.Helper()
	return func(g LatentGaussian, trace Trace, err error) fit {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return fit{g, trace}
	}
}

// checkTrace checks that EM never lowered the likelihood, and ended at the
// model's, which is measured on the rows themselves.
func checkTrace(t *testing.T, f fit, rows Rows) {
	t.Helper()
	for i := 1; i < len(f.Trace.LogLikelihood); i++ {
		if before, after := f.Trace.LogLikelihood[i-1], f.Trace.LogLikelihood[i]; after < before-1e-10*math.Abs(before) {
			t.Errorf("iteration %d lowered the log likelihood by %g", i, before-after)
		}
	}
	last := f.Trace.LogLikelihood[f.Iterations()]
	near(t, "log likelihood of the trace", last, meanLogLikelihood(t, f.LatentGaussian, rows), 1e-8*math.Abs(last))
}

func ppca(t *testing.T, rows Rows, q int) LatentGaussian {
	t.Helper()
	g, err := FitPPCA(t.Context(), rows, q)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestLogLikelihoodOfPPCAIsItsClosedForm(t *testing.T) {
	const d = 9
	rows := randomRows(11, 300, d, 0.4)
	values, _, err := eigen(estimate(t, rows).Covariance)
	if err != nil {
		t.Fatal(err)
	}
	for q := 1; q < d; q++ {
		var left, logs float64
		for k, v := range values {
			if k < q {
				logs += math.Log(v)
			} else {
				left += v / float64(d-q)
			}
		}
		want := -(d*math.Log(2*math.Pi) + logs + float64(d-q)*math.Log(left) + d) / 2
		near(t, "log likelihood", meanLogLikelihood(t, ppca(t, rows, q), rows), want, 1e-9)
	}
}

func TestPPCAWithAllButOneComponentIsTheGaussian(t *testing.T) {
	rows := randomRows(12, 200, 6, 0.1)
	m := estimate(t, rows)
	nearMatrix(t, "C", ppca(t, rows, 5).Covariance(), m.Covariance, 1e-10)
}

func TestEMFindsTheClosedFormOfPPCA(t *testing.T) {
	rows := randomRows(13, 250, 8, 0.2)
	for _, q := range []int{1, 3, 7} {
		closed := ppca(t, rows, q)
		f := must(t)(FitPPCAByEM(t.Context(), rows, q, EM{Iterations: 20_000, Tolerance: 1e-13}))
		checkTrace(t, f, rows)
		if !f.Converged || f.Iterations() < 10 {
			t.Errorf("q = %d: %d iterations, converged: %v", q, f.Iterations(), f.Converged)
		}
		near(t, "σ²", f.Noise[0], closed.Noise[0], 1e-5*closed.Noise[0])
		nearMatrix(t, "C", f.Covariance(), closed.Covariance(), 1e-4)
		nearVector(t, "loadings, rotated to be canonical", f.Loadings, closed.Loadings, 1e-3)
		near(t, "log likelihood", f.Trace.LogLikelihood[f.Iterations()], meanLogLikelihood(t, closed, rows), 1e-9)
	}
}

// More features than the covariance matrix is formed for, and fewer rows.
func TestPPCAOfManyFeatures(t *testing.T) {
	const d, q = ExactFeatures + 10, 2
	random := rand.New(rand.NewPCG(21, 0))
	rows := Rows{Features: d}
	for range 40 {
		a, b := random.NormFloat64(), random.NormFloat64()
		for j := range d {
			rows.Values = append(rows.Values, float32(a*math.Sin(float64(j))+b*math.Cos(float64(j)/3)+0.3*random.NormFloat64()))
		}
	}
	closed := ppca(t, rows, q)
	f := must(t)(FitPPCAByEM(t.Context(), rows, q, EM{Tolerance: 1e-6}))
	checkTrace(t, f, rows)
	near(t, "log likelihood", f.Trace.LogLikelihood[f.Iterations()], meanLogLikelihood(t, closed, rows), 1e-4)
	factors := must(t)(FitFA(t.Context(), rows, q, EM{Iterations: 20}))
	checkTrace(t, factors, rows)
}

func TestMissingNothingIsEM(t *testing.T) {
	rows := randomRows(14, 60, 5, 0.3)
	o := EM{Iterations: 7, Tolerance: 1e-300}
	whole := must(t)(FitPPCAByEM(t.Context(), rows, 2, o))
	f := must(t)(FitPPCAMissing(t.Context(), rows, 2, o))
	nearVector(t, "log likelihood", f.Trace.LogLikelihood, whole.Trace.LogLikelihood, 1e-9)
	nearVector(t, "mean", f.Mean, whole.Mean, 1e-9)
	nearVector(t, "loadings", f.Loadings, whole.Loadings, 1e-9)
	nearVector(t, "noise", f.Noise, whole.Noise, 1e-9)
}

// withHoles removes values at random.
func withHoles(rows Rows, rate float64) Rows {
	random := rand.New(rand.NewPCG(31, 0))
	out := Rows{Values: slices.Clone(rows.Values), Features: rows.Features}
	for i := range out.Values {
		if random.Float64() < rate {
			out.Values[i] = float32(math.NaN())
		}
	}
	return out
}

func TestMissingValuesCostLessThanMeanImputation(t *testing.T) {
	truth := someLatent(8, 2)
	rows, err := truth.Sample(t.Context(), 900, normals)
	if err != nil {
		t.Fatal(err)
	}
	train := Rows{Values: rows.Values[:8*600], Features: 8}
	held := Rows{Values: rows.Values[8*600:], Features: 8}
	holes := withHoles(train, 0.2)
	f := must(t)(FitPPCAMissing(t.Context(), holes, 2, EM{}))
	checkTrace(t, f, holes)
	if !f.Converged {
		t.Errorf("not converged after %d iterations", f.Iterations())
	}

	imputed := Rows{Values: slices.Clone(holes.Values), Features: 8}
	for i, v := range imputed.Values {
		if missing(v) {
			var sum, n float64
			for k := i % 8; k < len(holes.Values); k += 8 {
				if !missing(holes.Values[k]) {
					sum, n = sum+float64(holes.Values[k]), n+1
				}
			}
			imputed.Values[i] = float32(sum / n)
		}
	}
	complete := meanLogLikelihood(t, ppca(t, train, 2), held)
	marginal := meanLogLikelihood(t, f.LatentGaussian, held)
	filled := meanLogLikelihood(t, ppca(t, imputed, 2), held)
	if !(marginal > filled+0.1 && marginal > complete-0.05) {
		t.Errorf("held-out log likelihood: %.3f with nothing missing, %.3f with a fifth missing, %.3f with means in its place", complete, marginal, filled)
	}
	reconstruction, err := f.Reconstruct(t.Context(), holes)
	if err != nil {
		t.Fatal(err)
	}
	var ours, means float64
	for i, v := range holes.Values {
		if missing(v) {
			ours += math.Pow(float64(reconstruction.Values[i]-train.Values[i]), 2)
			means += math.Pow(float64(imputed.Values[i]-train.Values[i]), 2)
		}
	}
	if !(ours < 0.7*means) {
		t.Errorf("squared error of the values filled in: %.1f, of means %.1f", ours, means)
	}
}

func TestFactorAnalysisRecoversAModel(t *testing.T) {
	const n, d, q = 20_000, 8, 2
	truth, err := someLatent(d, q).canonical()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := truth.Sample(t.Context(), n, normals)
	if err != nil {
		t.Fatal(err)
	}
	f := must(t)(FitFA(t.Context(), rows, q, EM{Tolerance: 1e-10}))
	checkTrace(t, f, rows)
	if !f.Converged {
		t.Errorf("not converged after %d iterations", f.Iterations())
	}
	for j := range d {
		near(t, "noise", f.Noise[j], truth.Noise[j], 0.05)
	}
	nearVector(t, "loadings", f.Loadings, truth.Loadings, 0.06)
	// A maximum lies above the truth, by half the number of its parameters over n in expectation.
	best, likely := meanLogLikelihood(t, f.LatentGaussian, rows), meanLogLikelihood(t, truth, rows)
	if !(best > likely && best < likely+0.005) {
		t.Errorf("log likelihood %.5f, that of the truth %.5f", best, likely)
	}
	if isotropic := meanLogLikelihood(t, ppca(t, rows, q), rows); !(best > isotropic+0.05) {
		t.Errorf("log likelihood %.5f, that of probabilistic PCA %.5f", best, isotropic)
	}
}

// At a maximum without a column at its floor, diag C = diag Σ (Bishop 2006,
// exercise 12.22 and eq. 12.70 at a fixed point).
func TestFactorAnalysisMatchesTheVariances(t *testing.T) {
	rows := randomRows(16, 500, 6, 0.2)
	f := must(t)(FitFA(t.Context(), rows, 2, EM{Tolerance: 1e-13, Iterations: 50_000}))
	m := estimate(t, rows)
	for j := range 6 {
		near(t, "variance", f.Covariance().At(j, j), m.Covariance.At(j, j), 1e-4*m.Covariance.At(j, j))
	}
}

func TestFactorAnalysisDoesNotDependOnScale(t *testing.T) {
	rows := randomRows(17, 300, 5, 0.2)
	scales := []float32{1024, 1, 1. / 4096, 2, 64} // powers of two, so that nothing is rounded
	scaled := Rows{Values: slices.Clone(rows.Values), Features: 5}
	var units float64
	for i := range scaled.Values {
		scaled.Values[i] *= scales[i%5]
	}
	for _, s := range scales {
		units += math.Log(float64(s))
	}
	o := EM{Iterations: 50}
	a, b := must(t)(FitFA(t.Context(), rows, 2, o)), must(t)(FitFA(t.Context(), scaled, 2, o))
	for j, s := range scales {
		near(t, "noise", b.Noise[j]/float64(s*s), a.Noise[j], 1e-9)
	}
	near(t, "log likelihood", b.Trace.LogLikelihood[50], a.Trace.LogLikelihood[50]-units, 1e-9)
}

func TestConstantColumns(t *testing.T) {
	rows := randomRows(18, 200, 4, 0.2)
	wide := Rows{Features: 5}
	for i := range rows.Len() {
		wide.Values = append(append(wide.Values, rows.Row(i)...), 0.7)
	}
	f := must(t)(FitFA(t.Context(), wide, 2, EM{}))
	checkTrace(t, f, wide)
	m := estimate(t, rows)
	near(t, "noise of the constant column", f.Noise[4], noiseFloor*m.trace()/4, 1e-12)
	nearVector(t, "its loadings", f.Loadings[8:], []float64{0, 0}, 0)
	g := ppca(t, wide, 2)
	nearVector(t, "loadings of the constant column", g.Loadings[8:], []float64{0, 0}, 1e-12)
}

func TestModelsThatCannotBeFitted(t *testing.T) {
	constant := Rows{Values: slices.Repeat([]float32{1, 2, 3}, 10), Features: 3}
	plane := randomRows(19, 50, 2, 0)
	flat := Rows{Features: 4} // varies in two directions
	for i := range plane.Len() {
		a, b := plane.Row(i)[0], plane.Row(i)[1]
		flat.Values = append(flat.Values, a, b, a+b, a-b)
	}
	few := randomRows(20, 3, 6, 0)
	good := randomRows(20, 30, 6, 0)
	nan := withHoles(good, 0.2)
	noColumn := Rows{Values: slices.Clone(good.Values), Features: 6}
	for i := 2; i < len(noColumn.Values); i += 6 {
		noColumn.Values[i] = float32(math.NaN())
	}
	for _, c := range []struct {
		name       string
		rows       Rows
		q          int
		components bool // the error is about q
		fits       string
	}{
		{"constant rows", constant, 1, true, "closed em fa missing"},
		{"two directions", flat, 2, true, "closed em missing"},
		{"three rows", few, 2, true, "closed em missing"},
		{"no components", good, 0, true, "closed em fa missing"},
		{"too many components", good, 6, true, "closed em fa missing"},
		{"missing values", nan, 2, false, "closed em fa"},
		{"a column without values", noColumn, 2, false, "missing"},
		{"no rows", Rows{Features: 6}, 2, false, "closed em fa missing"},
	} {
		for name, fit := range map[string]func(context.Context) error{
			"closed": func(ctx context.Context) error { _, err := FitPPCA(ctx, c.rows, c.q); return err },
			"em": func(ctx context.Context) error {
				_, _, err := FitPPCAByEM(ctx, c.rows, c.q, EM{Tolerance: 1e-12})
				return err
			},
			"fa": func(ctx context.Context) error { _, _, err := FitFA(ctx, c.rows, c.q, EM{}); return err },
			"missing": func(ctx context.Context) error {
				_, _, err := FitPPCAMissing(ctx, c.rows, c.q, EM{Tolerance: 1e-12})
				return err
			},
		} {
			if !slices.Contains(strings.Fields(c.fits), name) {
				continue
			}
			err := fit(t.Context())
			var about *ComponentsError
			if err == nil || errors.As(err, &about) != c.components {
				t.Errorf("%s, %s: %v", c.name, name, err)
			}
		}
	}
}

func TestEMHeedsItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rows := randomRows(22, 30, 4, 0)
	_, _, em := FitPPCAByEM(ctx, rows, 2, EM{})
	_, _, fa := FitFA(ctx, rows, 2, EM{})
	_, _, holes := FitPPCAMissing(ctx, rows, 2, EM{})
	for _, err := range []error{em, fa, holes} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
}

// The canonical rotation leaves C alone.
func TestCanonicalRotation(t *testing.T) {
	g := someLatent(6, 3)
	turned, err := g.canonical()
	if err != nil {
		t.Fatal(err)
	}
	nearMatrix(t, "C", turned.Covariance(), g.Covariance(), 1e-12)
	w := mat.NewDense(6, 3, slices.Clone(turned.Loadings))
	for j := range 6 {
		for k := range 3 {
			w.Set(j, k, w.At(j, k)/math.Sqrt(g.Noise[j]))
		}
	}
	var gram mat.Dense
	gram.Mul(w.T(), w)
	for k := range 3 {
		for l := range k {
			near(t, "WᵀΨ⁻¹W off the diagonal", gram.At(k, l), 0, 1e-10)
		}
	}
}
