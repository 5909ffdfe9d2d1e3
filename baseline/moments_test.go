package baseline

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// randomRows draws rows of correlated features around an offset.
func randomRows(seed uint64, n, d int, offset float64) Rows {
	random := rand.New(rand.NewPCG(seed, 0))
	mix := make([]float64, d*d)
	for i := range mix {
		mix[i] = random.NormFloat64()
	}
	rows := Rows{Values: make([]float32, n*d), Features: d}
	z := make([]float64, d)
	for i := range n {
		for k := range z {
			z[k] = random.NormFloat64()
		}
		for j := range d {
			v := offset * float64(j+1)
			for k := range z {
				v += mix[j*d+k] * z[k]
			}
			rows.Row(i)[j] = float32(v)
		}
	}
	return rows
}

func estimate(t *testing.T, rows Rows) Moments {
	t.Helper()
	m, err := EstimateMoments(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %.12g, want %.12g ± %g", what, got, want, tolerance)
	}
}

func nearMatrix(t *testing.T, what string, got, want mat.Matrix, tolerance float64) {
	t.Helper()
	rows, columns := want.Dims()
	if r, c := got.Dims(); r != rows || c != columns {
		t.Fatalf("%s is %d×%d, want %d×%d", what, r, c, rows, columns)
	}
	var difference mat.Dense
	difference.Sub(got, want)
	if worst := mat.Max(absolute(&difference)); !(worst <= tolerance) {
		t.Errorf("%s is off by %g (allowed %g):\n%.6v\nwant\n%.6v", what, worst, tolerance, mat.Formatted(got), mat.Formatted(want))
	}
}

func absolute(m *mat.Dense) *mat.Dense {
	var a mat.Dense
	a.Apply(func(_, _ int, v float64) float64 { return math.Abs(v) }, m)
	return &a
}

func nearVector(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	nearMatrix(t, what, mat.NewVecDense(len(got), got), mat.NewVecDense(len(want), want), tolerance)
}

// The rows are more than a block, and far from zero compared with their spread.
func TestMomentsAgreeWithTwoPasses(t *testing.T) {
	rows := randomRows(1, block+37, 5, 1000)
	n, d := rows.Len(), rows.Features
	mean, covariance := make([]float64, d), mat.NewSymDense(d, nil)
	for i := range n {
		for j, v := range rows.Row(i) {
			mean[j] += float64(v) / float64(n)
		}
	}
	for i := range n {
		row := rows.Row(i)
		for a := range d {
			for b := a; b < d; b++ {
				covariance.SetSym(a, b, covariance.At(a, b)+(float64(row[a])-mean[a])*(float64(row[b])-mean[b])/float64(n))
			}
		}
	}
	m := estimate(t, rows)
	nearVector(t, "mean", m.Mean, mean, 1e-9)
	nearMatrix(t, "covariance", m.Covariance, covariance, 1e-10)
}

func TestEigenOfKnownMatrix(t *testing.T) {
	// Eigenvalues 3 and 1 with eigenvectors (1, 1)/√2 and (1, -1)/√2, and a 2.
	s := mat.NewSymDense(3, []float64{2, 1, 0, 1, 2, 0, 0, 0, 2})
	values, vectors, err := eigen(s)
	if err != nil {
		t.Fatal(err)
	}
	h := math.Sqrt(0.5)
	nearVector(t, "eigenvalues", values, []float64{3, 2, 1}, 1e-14)
	nearMatrix(t, "eigenvectors", vectors, mat.NewDense(3, 3, []float64{h, 0, h, h, 0, -h, 0, 1, 0}), 1e-14)
}

func TestEigenRefusesNaN(t *testing.T) {
	if _, _, err := eigen(mat.NewSymDense(2, []float64{1, math.NaN(), 0, 1})); err == nil {
		t.Error("no error for a matrix with a NaN")
	}
}

// The four conditions of Penrose (1955) characterise the pseudo-inverse.
func TestPseudoInverseSatisfiesPenrose(t *testing.T) {
	half := mat.NewDense(4, 2, []float64{1, 2, 0, 1, -1, 3, 2, 2})
	singular := mat.NewSymDense(4, nil)
	singular.SymOuterK(1, half)
	p, err := pseudoInverse(singular)
	if err != nil {
		t.Fatal(err)
	}
	var sp, ps, sps, psp mat.Dense
	sp.Mul(singular, p)
	ps.Mul(p, singular)
	sps.Mul(&sp, singular)
	psp.Mul(&ps, p)
	nearMatrix(t, "S·P·S", &sps, singular, 1e-12)
	nearMatrix(t, "P·S·P", &psp, p, 1e-12)
	nearMatrix(t, "(S·P)ᵀ", sp.T(), &sp, 1e-12)
	nearMatrix(t, "(P·S)ᵀ", ps.T(), &ps, 1e-12)
}

func TestThinIsEvenlySpaced(t *testing.T) {
	rows := Rows{Values: []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, Features: 1}
	got := rows.Thin(4).Values
	for i, want := range []float32{0, 2, 5, 7} {
		if got[i] != want {
			t.Fatalf("thinned rows %v", got)
		}
	}
	if rows.Thin(10).Len() != 10 || rows.Thin(0).Len() != 10 {
		t.Error("rows were left out below the limit")
	}
}

func TestUnusableRowsAreErrors(t *testing.T) {
	ctx := context.Background()
	good := randomRows(1, 3, 2, 0)
	for name, rows := range map[string]Rows{
		"none":     {Features: 2},
		"ragged":   {Values: make([]float32, 3), Features: 2},
		"no width": {Values: make([]float32, 3)},
	} {
		if _, err := EstimateMoments(ctx, rows); err == nil {
			t.Errorf("moments of %s rows", name)
		}
		if _, err := FitPCA(ctx, rows, 1); err == nil {
			t.Errorf("components of %s rows", name)
		}
		if _, err := EstimateJoint(ctx, good, rows); err == nil {
			t.Errorf("joint moments with %s rows", name)
		}
		if _, err := MSE(ctx, good, rows); err == nil {
			t.Errorf("MSE with %s rows", name)
		}
	}
}

func TestCancelledContextIsReported(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	rows := randomRows(1, 10, 2, 0)
	m := estimate(t, rows)
	pca, err := PCAOf(m, 1)
	if err != nil {
		t.Fatal(err)
	}
	likelihood := Likelihood{Name: "gaussian", Sigma: 1}
	wide := Rows{Values: make([]float32, 2*(ExactFeatures+1)), Features: ExactFeatures + 1}
	for name, run := range map[string]func() error{
		"moments":    func() error { _, err := EstimateMoments(ctx, rows); return err },
		"joint":      func() error { _, err := EstimateJoint(ctx, rows, rows); return err },
		"components": func() error { _, err := FitPCA(ctx, wide, 1); return err },
		"encode":     func() error { _, err := pca.Encode(ctx, rows); return err },
		"pca":        func() error { _, err := pca.Reconstruct(ctx, rows); return err },
		"mean":       func() error { _, err := Mean(m.Mean).Reconstruct(ctx, rows); return err },
		"mse":        func() error { _, err := MSE(ctx, rows, rows); return err },
		"nll":        func() error { _, err := likelihood.NLL(ctx, Noise{Variances: []float64{1, 1}}, rows, rows); return err },
		"compare": func() error {
			_, err := Compare(ctx, Problem{Train: rows, Clean: rows, Corrupted: rows, Likelihood: likelihood})
			return err
		},
	} {
		if err := run(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v after the context ended", name, err)
		}
	}
}
