package sample

import (
	"context"
	"errors"
	"math"
	"testing"

	"gpudae/model"
)

// The Gaussian of these tests, and the noise that its denoisers were made for.
var (
	oracleMean       = [2]float64{0.5, -1}
	oracleCovariance = matrix2{1, 0.6, 0.6, 0.8}
)

const oracleNoise = 0.5

// TestScoreOfAGaussian: the Wiener filter gives -(Σ+σ²I)⁻¹(x-μ), the score of
// the smoothed Gaussian, everywhere.
func TestScoreOfAGaussian(t *testing.T) {
	w, b := wiener(oracleCovariance, oracleMean, oracleNoise)
	precision := oracleCovariance.plus(oracleNoise*oracleNoise, identity2).inverse()
	points := []float32{0.5, -1, 0, 0, 3, 2, -4, 1.5, 0.25, -7}
	for name, dev := range devices(t) {
		net := affine(t, dev, "gaussian:0.5", "gaussian:1", w[:], b[:], 3)
		got, err := Score(context.Background(), net, dense(points, 2), oracleNoise)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(points); i += 2 {
			x, y := precision.apply(float64(points[i])-oracleMean[0], float64(points[i+1])-oracleMean[1])
			for j, want := range []float64{-x, -y} {
				// r is rounded to float32, the filter's sums included
				if s := got.Data().([]float32)[i+j]; math.Abs(float64(s)-want) > 2e-5 {
					t.Errorf("%s: the score at %v is %v in component %d, want %v", name, points[i:i+2], s, j, want)
				}
			}
		}
	}
}

func TestScoreNeedsNoise(t *testing.T) {
	net := affine(t, newCPU(t, 1), "gaussian:0.5", "gaussian:1", identity2[:], []float64{0, 0}, 1)
	if _, err := Score(context.Background(), net, dense([]float32{1, 2}, 2), 0); err == nil {
		t.Error("a score at σ = 0")
	}
}

func TestNoiseOf(t *testing.T) {
	for spec, want := range map[string]float64{
		"gaussian:0.5": 0.5, "gaussian:0.3+none+gaussian:0.4": 0.5,
		"none": 0, "masking:0.2": 0, "gaussian:0.5+masking:0.1": 0, "uniform:0.1": 0, "gaussian:0": 0,
	} {
		c, err := model.ParseCorruption(spec)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := NoiseOf(c)
		if ok != (want > 0) || ok && math.Abs(got-want) > 1e-12 {
			t.Errorf("the noise of %s is %v, %t", spec, got, ok)
		}
	}
}

// TestWalkbackIsTheAutoregression that a linear model's chain is:
// x' = W(x + σz) + b + τz', whose stationary covariance solves
// C = WCWᵀ + σ²WWᵀ + τ²I.
func TestWalkbackIsTheAutoregression(t *testing.T) {
	const spread = 0.3
	w, b := wiener(oracleCovariance, oracleMean, oracleNoise)
	noise := w.times(w.transposed()).plus(spread*spread/oracleNoise/oracleNoise, identity2)
	for i := range noise {
		noise[i] *= oracleNoise * oracleNoise
	}
	c := stationary(w, noise)
	net := affine(t, newCPU(t, 2), "gaussian:0.5", "gaussian:0.3", w[:], b[:], 1000)
	states := mustRun(t, Walkback, Chains{Net: net, Source: model.Source{Seed: 1}, Start: make([]float32, 2*4000), Steps: 45})
	checkGaussian(t, states, oracleMean, c)
	// a chain that has not arrived is told from its limit
	early := mustRun(t, Walkback, Chains{Net: net, Source: model.Source{Seed: 1}, Start: make([]float32, 2*compared), Steps: 2})
	for name, p := range compareSamples(t, early, gaussianDraws(compared, oracleMean, c), 2) {
		if p > 0.01 {
			t.Errorf("the %s does not tell a chain's second step from its limit, P = %.3f", name, p)
		}
	}
	// another spread of p(x|h) is another chain, here the one of the likelihood
	wide := affine(t, newCPU(t, 2), "gaussian:0.5", "gaussian:1", w[:], b[:], 1000)
	other := mustRun(t, Walkback, Chains{Net: wide, Source: model.Source{Seed: 1}, Start: make([]float32, 2*4000), Steps: 45, Spread: spread})
	for i := range other {
		if other[i] != states[i] {
			t.Fatalf("a spread of %v in place of the likelihood's gives another chain", spread)
		}
	}
}

// TestWalkbackHasTheDataDistribution (Bengio et al. 2013, theorem 1): where
// p(x|h) is the true p(x|x̃), here N(Wx̃+b, Σ-WΣ) of a diagonal Σ learned by its
// variances, the chain is stationary at the distribution of the data.
func TestWalkbackHasTheDataDistribution(t *testing.T) {
	const floor = 0.01
	data := matrix2{1.5, 0, 0, 0.2}
	w, b := wiener(data, oracleMean, oracleNoise)
	posterior := data.plus(-1, w.times(data))
	weights := append(w[:], 0, 0, 0, 0)
	biases := append(b[:], math.Log(posterior[0]-floor*floor), math.Log(posterior[3]-floor*floor))
	net := affine(t, newCPU(t, 2), "gaussian:0.5", "gaussian-learned:0.01", weights, biases, 2000)
	states := mustRun(t, Walkback, Chains{Net: net, Source: model.Source{Seed: 2}, Start: make([]float32, 2*4000), Steps: 45})
	checkGaussian(t, states, oracleMean, data)
}

// langevinStep is ε of the tests of Langevin dynamics; dataVariances those of
// the Gaussian without noise.
const langevinStep = 0.6

var dataVariances = matrix2{1, 0, 0, 0.3}

func langevinChains(t *testing.T, chains, steps int) Chains {
	w, b := wiener(dataVariances, oracleMean, oracleNoise)
	net := affine(t, newCPU(t, 2), "gaussian:0.5", "gaussian:1", w[:], b[:], 2000)
	return Chains{Net: net, Source: model.Source{Seed: 3}, Start: make([]float32, 2*chains),
		Steps: steps, Noise: oracleNoise, StepSize: langevinStep}
}

// TestLangevinOfAGaussian: with the exact score of N(μ, S) the discretised
// dynamics is stationary at covariance S(I - εS⁻¹/4)⁻¹.
func TestLangevinOfAGaussian(t *testing.T) {
	smooth := dataVariances.plus(oracleNoise*oracleNoise, identity2)
	want := smooth.times(identity2.plus(-langevinStep/4, smooth.inverse()).inverse())
	checkGaussian(t, mustRun(t, Langevin, langevinChains(t, 4000, 50)), oracleMean, want)
}

// TestDiagnosisOfAnAutoregression: a component along which S is s forgets as
// the autoregression of factor a = 1 - ε/2s does, whose states are worth
// (1-a)/(1+a) independent draws each.
func TestDiagnosisOfAnAutoregression(t *testing.T) {
	const chains, skip, steps = 200, 50, 1000
	trace := NewTrace(chains, 2, skip, steps, 0)
	c := langevinChains(t, chains, skip+steps)
	c.Observe = trace.Observe
	mustRun(t, Langevin, c)

	d := trace.Diagnose() // by the component that is slower: the first
	factor := 1 - langevinStep/(2*(dataVariances[0]+oracleNoise*oracleNoise))
	// the standard error of a correlation is at most √(τ/draws) = 0.006
	for lag, got := range d.Autocorrelation {
		if want := math.Pow(factor, float64(lag+1)); math.Abs(got-want) > 0.03 {
			t.Errorf("autocorrelation %.3f at lag %d, want %.3f", got, lag+1, want)
		}
	}
	if want := chains * steps * (1 - factor) / (1 + factor); math.Abs(d.ESS/want-1) > 0.1 {
		t.Errorf("effective sample size %.0f, want %.0f", d.ESS, want)
	}
	// the means of the chains' halves differ by what is left of their variance
	const half = steps / 2
	share := 1.0 / half
	for lag := 1; lag < half; lag++ {
		share += 2 * (1 - float64(lag)/half) * math.Pow(factor, float64(lag)) / half
	}
	if want := 1 / math.Sqrt(1-share); math.Abs(d.RHat-want) > 0.002 {
		t.Errorf("R̂ %.4f, want %.4f", d.RHat, want)
	}
}

// TestWalkbackDiverges where the reconstruction moves away from the data.
func TestWalkbackDiverges(t *testing.T) {
	net := affine(t, newCPU(t, 1), "gaussian:0.5", "gaussian:0.1", []float64{3, 0, 0, 3}, []float64{0, 0}, 4)
	_, err := Walkback(context.Background(), Chains{Net: net, Start: []float32{0, 0, 1, 1}, Steps: 1000})
	var diverged *DivergedError
	if !errors.As(err, &diverged) || diverged.Step < 10 {
		t.Errorf("error %v", err)
	}
}

// TestLangevinDiverges beyond the step size at which it is stable, and says so.
func TestLangevinDiverges(t *testing.T) {
	w, b := wiener(oracleCovariance, oracleMean, oracleNoise)
	net := affine(t, newCPU(t, 1), "gaussian:0.5", "gaussian:1", w[:], b[:], 4)
	_, err := Langevin(context.Background(), Chains{Net: net, Start: []float32{0, 0, 1, 1}, Steps: 1000, Noise: oracleNoise, StepSize: 20})
	var diverged *DivergedError
	if !errors.As(err, &diverged) || diverged.Step < 1 {
		t.Errorf("error %v", err)
	}
}
