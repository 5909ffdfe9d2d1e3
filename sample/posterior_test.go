package sample

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gpudae/model"
)

func mustPosterior(t testing.TB, d Denoiser, x []float32, sigma float64, probes int) (mean, variance []float32) {
	t.Helper()
	mean, variance = make([]float32, len(x)), make([]float32, len(x))
	if err := Posterior(context.Background(), d, mean, variance, x, sigma, probes, 0, 5); err != nil {
		t.Fatal(err)
	}
	return mean, variance
}

// TestPosteriorIsThatOfBayes: the two orders of Tweedie's formula give the mean
// and the variance of draws from the prior that are weighted by p(x|x₀).
func TestPosteriorIsThatOfBayes(t *testing.T) {
	const draws, sigma = 200000, 0.7
	m := plane()
	prior := m.draw(draws, 7)
	random := rand.New(rand.NewPCG(8, 0))
	x := m.draw(4, 9)
	for k := range x {
		x[k] += float32(sigma * random.NormFloat64())
	}
	mean, variance := mustPosterior(t, m, x, sigma, 0)
	for i := 0; i < len(x); i += 2 {
		var total, squares float64
		var first, second [2]float64
		for k := 0; k < len(prior); k += 2 {
			dx, dy := float64(prior[k]-x[i]), float64(prior[k+1]-x[i+1])
			w := math.Exp(-(dx*dx + dy*dy) / (2 * sigma * sigma))
			total += w
			squares += w * w
			for j := range first {
				first[j] += w * float64(prior[k+j])
				second[j] += w * float64(prior[k+j]) * float64(prior[k+j])
			}
		}
		effective := total * total / squares
		for j := range first {
			wantMean := first[j] / total
			want := second[j]/total - wantMean*wantMean
			if within := 4.5 * math.Sqrt(want/effective); math.Abs(float64(mean[i+j])-wantMean) > within {
				t.Errorf("mean %d is %.4f, want %.4f ± %.4f", i+j, mean[i+j], wantMean, within)
			}
			// Half a variance more for tails that are heavier than a Gaussian's.
			if within := 4.5 * 1.5 * want * math.Sqrt(2/effective); math.Abs(float64(variance[i+j])-want) > within || within > 0.1*want {
				t.Errorf("variance %d is %.4f, want %.4f ± %.4f", i+j, variance[i+j], want, within)
			}
		}
	}
}

// TestPosteriorOfAGaussian: of a linear network it is Σ - Σ(Σ+σ²I)⁻¹Σ.
func TestPosteriorOfAGaussian(t *testing.T) {
	const sigma = 0.5
	covariance := matrix2{0.8, 0.3, 0.3, 0.4}
	w, b := wiener(covariance, [2]float64{1, -1}, sigma)
	want := covariance.plus(-1, w.times(covariance))
	for name, dev := range devices(t) {
		net := affine(t, dev, "gaussian:0.5", "gaussian", w[:], b[:], 3)
		mean, variance := mustPosterior(t, net, []float32{0, 0, 1, 2, -3, 1, 5, 5}, sigma, 0)
		for k, v := range variance {
			if math.Abs(float64(v)-want[3*(k%2)]) > 1e-6 {
				t.Errorf("%s: variance %d is %.7f, want %.7f", name, k, v, want[3*(k%2)])
			}
		}
		if x, y := w.apply(1, 2); math.Abs(float64(mean[2])-x-b[0]) > 1e-6 || math.Abs(float64(mean[3])-y-b[1]) > 1e-6 {
			t.Errorf("%s: mean %v, want %v", name, mean[2:4], []float64{x + b[0], y + b[1]})
		}
	}
}

// TestProbesEstimateTheDiagonal: without bias, and with an error that falls as
// one over the root of their number.
func TestProbesEstimateTheDiagonal(t *testing.T) {
	const rows, sigma = 400, 0.6
	m := space(6)
	x := slices.Repeat(m.draw(1, 4), rows)
	_, exact := mustPosterior(t, m, x[:6], sigma, 0)
	errors := map[int]float64{}
	for _, probes := range []int{4, 64} {
		_, variance := mustPosterior(t, m, x, sigma, probes)
		for j, want := range exact {
			var mean, square float64
			for k := j; k < len(x); k += 6 {
				mean += float64(variance[k]) / rows
				square += math.Pow(float64(variance[k]-want), 2) / rows
			}
			errors[probes] += square
			if within := 4.5*math.Sqrt(square/rows) + 1e-6; math.Abs(mean-float64(want)) > within {
				t.Errorf("%d probes: variance %d is %.4f in the mean, want %.4f ± %.4f", probes, j, mean, want, within)
			}
		}
	}
	if ratio := math.Sqrt(errors[4] / errors[64]); !(ratio > 3 && ratio < 5.5) {
		t.Errorf("16 times the probes lower the error by %.2f, want 4", ratio)
	}
}

// TestPosteriorTakesScoreModels, which are denoisers at any σ.
func TestPosteriorTakesScoreModels(t *testing.T) {
	dae := newDAE(t, model.Config{Features: 2, Hidden: []int{4}, Activation: "tanh", Objective: model.ObjectiveDSM, Score: model.Score{Noise: "geometric:max=3"}})
	net, err := model.Bind(newCPU(t, 1), dae, model.Binding{Examples: 2})
	if err != nil {
		t.Fatal(err)
	}
	// With weights of 0 it takes the data for N(0, σ_data²), σ_data = 1.
	const sigma = 0.8
	mean, variance := mustPosterior(t, net, []float32{1, 2, 3, -1, 0, 5}, sigma, 0)
	shrunk := 1 / (1 + sigma*sigma)
	for k, x := range []float64{1, 2, 3, -1, 0, 5} {
		if math.Abs(float64(mean[k])-shrunk*x) > 1e-6 || math.Abs(float64(variance[k])-sigma*sigma*shrunk) > 1e-6 {
			t.Errorf("posterior of %g: mean %g and variance %g, want %g and %g", x, mean[k], variance[k], shrunk*x, sigma*sigma*shrunk)
		}
	}
}
