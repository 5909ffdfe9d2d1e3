package baseline

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// someLatent is a model with noise of another size in each column.
func someLatent(d, q int) LatentGaussian {
	random := rand.New(rand.NewPCG(5, uint64(d)))
	g := LatentGaussian{Mean: make([]float64, d), Loadings: make([]float64, d*q), Noise: make([]float64, d)}
	for j := range d {
		g.Mean[j] = float64(j) - 1
		g.Noise[j] = 0.1 + random.Float64()
		for k := range q {
			g.Loadings[j*q+k] = random.NormFloat64()
		}
	}
	return g
}

// quantized rounds rows to multiples of 2⁻⁸, so that small steps from them are exact.
func quantized(rows Rows) Rows {
	out := Rows{Values: make([]float32, len(rows.Values)), Features: rows.Features}
	for i, v := range rows.Values {
		out.Values[i] = float32(math.Round(float64(v)*256) / 256)
	}
	return out
}

// denseLogDensity is ln N(x; μ, C) by the Cholesky factor of C.
func denseLogDensity(t *testing.T, x, mean []float64, c *mat.SymDense) float64 {
	t.Helper()
	var factor mat.Cholesky
	if !factor.Factorize(c) {
		t.Fatal("C is not positive definite")
	}
	r := mat.NewVecDense(len(x), nil)
	r.SubVec(mat.NewVecDense(len(x), slices.Clone(x)), mat.NewVecDense(len(x), mean))
	var solved mat.VecDense
	if err := factor.SolveVecTo(&solved, r); err != nil {
		t.Fatal(err)
	}
	return -(float64(len(x))*math.Log(2*math.Pi) + factor.LogDet() + mat.Dot(r, &solved)) / 2
}

func logLikelihood(t *testing.T, g LatentGaussian, x Rows) []float64 {
	t.Helper()
	v, err := g.LogLikelihood(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func meanLogLikelihood(t *testing.T, g LatentGaussian, x Rows) float64 {
	t.Helper()
	v, err := g.MeanLogLikelihood(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestLogLikelihoodIsThatOfTheDenseGaussian(t *testing.T) {
	for _, q := range []int{0, 1, 3, 6, 9} {
		g := someLatent(7, q)
		rows := randomRows(3, 700, 7, 0.3)
		c := g.Covariance()
		for i, got := range logLikelihood(t, g, rows) {
			near(t, "log likelihood", got, denseLogDensity(t, widen(rows.Row(i)), g.Mean, c), 1e-10*math.Abs(got))
		}
	}
}

// With Ψ 10⁻¹² of WWᵀ the usual form of Woodbury's identity has lost four digits
// more than this one.
func TestLogLikelihoodWithLittleNoise(t *testing.T) {
	g := LatentGaussian{Mean: make([]float64, 3), Loadings: []float64{1e3, 0, 0, 1e3, 0, 0}, Noise: []float64{1e-6, 1e-6, 1e-6}}
	rows := Rows{Values: []float32{1000, -2000, 0.001}, Features: 3}
	third := float64(rows.Values[2])
	want := -(3*math.Log(2*math.Pi) + 2*math.Log(1e6+1e-6) + math.Log(1e-6) + (1e6+4e6)/(1e6+1e-6) + third*third/1e-6) / 2
	near(t, "log likelihood", logLikelihood(t, g, rows)[0], want, 1e-9)
}

func TestScoreIsTheGradientOfTheLogLikelihood(t *testing.T) {
	const step = 1.0 / 16
	d := 6
	g := someLatent(d, 2)
	rows := quantized(randomRows(4, 5, d, 0.2))
	score, err := g.Score(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	var inverse mat.Dense
	if err := inverse.Inverse(g.Covariance()); err != nil {
		t.Fatal(err)
	}
	for j := range d {
		up, down := quantized(rows), quantized(rows)
		for i := range rows.Len() {
			up.Row(i)[j] += step
			down.Row(i)[j] -= step
		}
		above, below := logLikelihood(t, g, up), logLikelihood(t, g, down)
		for i := range rows.Len() {
			got := float64(score.Row(i)[j])
			// The log likelihood is quadratic, so central differences are exact.
			near(t, "score", got, (above[i]-below[i])/(2*step), 1e-6*max(1, math.Abs(got)))
			var want float64
			for k := range d {
				want -= inverse.At(j, k) * (float64(rows.Row(i)[k]) - g.Mean[k])
			}
			near(t, "score", got, want, 1e-6*max(1, math.Abs(got)))
		}
	}
}

// The posterior mean under the model's own noise is μ + W E[z|x].
func TestReconstructionIsThatOfTheCode(t *testing.T) {
	d, q := 6, 2
	g := someLatent(d, q)
	rows := randomRows(8, 20, d, 0.2)
	codes, err := g.Encode(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	got, err := g.Reconstruct(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows.Len() {
		for j := range d {
			near(t, "reconstruction", float64(got.Row(i)[j]), g.Mean[j]+dot(g.Loadings[j*q:(j+1)*q], widen(codes.Row(i))), 1e-5)
		}
	}
}

func TestDenoiseIsTheWienerFilter(t *testing.T) {
	rows := randomRows(9, 400, 5, 0.5)
	singular := Rows{Features: 7}
	for i := range rows.Len() { // a constant column, and one that is twice another
		singular.Values = append(append(singular.Values, rows.Row(i)...), 3, 2*rows.Row(i)[0])
	}
	for name, table := range map[string]Rows{"regular": rows, "singular": singular} {
		m := estimate(t, table)
		g, err := GaussianOf(m)
		if err != nil {
			t.Fatal(err)
		}
		nearMatrix(t, name+" C", g.Covariance(), m.Covariance, 1e-12)
		for _, sigma := range []float64{0.05, 1} {
			filter, err := Wiener(m, sigma, table.Features)
			if err != nil {
				t.Fatal(err)
			}
			want, err := filter.Reconstruct(t.Context(), table)
			if err != nil {
				t.Fatal(err)
			}
			got, err := g.Denoise(t.Context(), table, sigma)
			if err != nil {
				t.Fatal(err)
			}
			nearVector(t, name+" reconstruction", widen(got.Values), widen(want.Values), 2e-5)
		}
		_, err = g.LogLikelihood(t.Context(), table)
		if singular := name == "singular"; errors.Is(err, ErrNoDensity) != singular {
			t.Errorf("log likelihood of the %s gaussian: %v", name, err)
		}
		if _, err := g.Smoothed(0.1).LogLikelihood(t.Context(), table); err != nil {
			t.Errorf("smoothed %s gaussian: %v", name, err)
		}
	}
}

// Tweedie's formula, of which Denoise is one side, with the score of x̃.
func TestDenoiseFollowsTheScore(t *testing.T) {
	g, sigma := someLatent(5, 2), 0.7
	rows := randomRows(10, 30, 5, 0.1)
	score, err := g.Smoothed(sigma).Score(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	got, err := g.Denoise(t.Context(), rows, sigma)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got.Values {
		near(t, "E[x|x̃]", float64(v), float64(rows.Values[i])+sigma*sigma*float64(score.Values[i]), 1e-5)
	}
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if _, err := g.Denoise(t.Context(), rows, bad); err == nil {
			t.Errorf("denoised noise of σ = %g", bad)
		}
	}
}

// Rows with missing values are conditioned on by the formulas for blocks of C.
func TestMissingValuesAreMarginalized(t *testing.T) {
	nan := float32(math.NaN())
	g := someLatent(4, 2)
	c := g.Covariance()
	rows := Rows{Values: []float32{
		1, 0.5, -1, 2,
		1, nan, -1, nan,
		nan, nan, nan, nan,
	}, Features: 4}
	got := logLikelihood(t, g, rows)
	there := []int{0, 2}
	part := mat.NewSymDense(2, []float64{c.At(0, 0), c.At(0, 2), c.At(0, 2), c.At(2, 2)})
	mean := []float64{g.Mean[0], g.Mean[2]}
	near(t, "complete row", got[0], denseLogDensity(t, widen(rows.Row(0)), g.Mean, c), 1e-10)
	near(t, "half a row", got[1], denseLogDensity(t, []float64{1, -1}, mean, part), 1e-10)
	near(t, "empty row", got[2], 0, 0)

	filled, err := g.Reconstruct(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	var weights mat.VecDense
	if err := weights.SolveVec(part, mat.NewVecDense(2, []float64{1 - mean[0], -1 - mean[1]})); err != nil {
		t.Fatal(err)
	}
	for _, j := range []int{1, 3} {
		want := g.Mean[j] + c.At(j, there[0])*weights.AtVec(0) + c.At(j, there[1])*weights.AtVec(1)
		near(t, "filled in", float64(filled.Row(1)[j]), want, 1e-6)
		near(t, "filled in from nothing", float64(filled.Row(2)[j]), g.Mean[j], 1e-6)
	}
	if _, err := g.Score(t.Context(), rows); err == nil {
		t.Error("the score of a row with missing values")
	}
	codes, err := g.Encode(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	nearVector(t, "code of an empty row", widen(codes.Row(2)), []float64{0, 0}, 0)
}

// normals is a source of standard normal numbers by counter.
func normals(example, k int) float64 {
	return rand.New(rand.NewPCG(uint64(example), uint64(k))).NormFloat64()
}

func TestSamplesHaveTheMomentsOfTheModel(t *testing.T) {
	const n = 40_000
	g := someLatent(4, 2)
	sample, err := g.Sample(t.Context(), n, normals)
	if err != nil {
		t.Fatal(err)
	}
	m, c := estimate(t, sample), g.Covariance()
	for i := range g.Mean {
		near(t, "mean", m.Mean[i], g.Mean[i], 5*math.Sqrt(c.At(i, i)/n))
		for j := range g.Mean {
			deviation := math.Sqrt((c.At(i, i)*c.At(j, j) + c.At(i, j)*c.At(i, j)) / n)
			near(t, "covariance", m.Covariance.At(i, j), c.At(i, j), 5*deviation)
		}
	}
	few, err := g.Sample(t.Context(), 10, normals)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(few.Values, sample.Values[:len(few.Values)]) {
		t.Error("an example depends on how many are drawn")
	}
}

func TestLatentGaussianRefusesOtherFeatures(t *testing.T) {
	g := someLatent(3, 1)
	rows := randomRows(1, 4, 5, 0)
	_, likelihood := g.LogLikelihood(t.Context(), rows)
	_, code := g.Encode(t.Context(), rows)
	_, score := g.Score(t.Context(), rows)
	_, own := g.Reconstruct(t.Context(), rows)
	_, denoised := g.Denoise(t.Context(), rows, 1)
	for i, err := range []error{likelihood, code, score, own, denoised} {
		if err == nil {
			t.Errorf("method %d took five features for three", i)
		}
	}
}
