package model

import (
	"math"
	"testing"

	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/device/reference"
)

func TestCodeDistributionsAreRead(t *testing.T) {
	for text, want := range map[string]CodeDistribution{
		"":                         {},
		"none":                     {},
		"gaussian":                 {Stochastic: true, Kind: device.CodeGaussian},
		"bernoulli":                {Stochastic: true, Kind: device.CodeBernoulli},
		"concrete":                 {Stochastic: true, Kind: device.CodeConcrete, Temperature: 2. / 3},
		"concrete:0.5":             {Stochastic: true, Kind: device.CodeConcrete, Temperature: 0.5},
		"concrete:temperature=0.1": {Stochastic: true, Kind: device.CodeConcrete, Temperature: 0.1},
	} {
		got, err := ParseCodeDistribution(text)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := ParseCodeDistribution(got.String()); err != nil || again != want {
			t.Errorf("%q, written %q, is %+v, %v", text, got, again, err)
		}
	}
	table := CodeDistributions()
	if len(table) != len(device.Codes())+1 {
		t.Fatalf("%d rows for %d kinds", len(table), len(device.Codes()))
	}
	for i, k := range device.Codes() {
		if row := table[i+1]; row.Name != k.String() || row.Formula == "" || row.Source == "" {
			t.Errorf("row %+v for %s", row, k)
		}
	}
}

// sampledCode are the parameters of q and the codes that Evaluate drew.
func sampledCode(t *testing.T, n *Net, rows int) (params, code []float32) {
	t.Helper()
	dev := n.dev
	src := sourceOf(t, dev, uniform(1, rows*5), 5, device.Clock{})
	m := func() *minibatch {
		if err := dev.UploadWords(n.clock, device.Clock{}.Words()); err != nil {
			t.Fatal(err)
		}
		return n.draw(src, rows, 1, 0)
	}()
	n.encode(m)
	return download(t, dev, n.codeParams(m)), download(t, dev, n.codeOf(m))
}

// TestMeanOfACode: Encode is the mean of the distribution that Evaluate draws
// from, Denoise the reconstruction from it, and Decode takes it there.
func TestMeanOfACode(t *testing.T) {
	const rows, units = 7, 3
	for name, dev := range devices(t) {
		for _, hidden := range [][]int{{6}, nil} {
			for _, distribution := range []string{"none", "gaussian", "bernoulli", "concrete"} {
				config := codeConfig(distribution)
				config.Hidden, config.Corruption = hidden, "none"
				n := bound(t, dev, config, rows)
				x := rowsOf(uniform(1, rows*5), 5)
				code, err := n.Encode(t.Context(), x)
				if err != nil {
					t.Fatal(err)
				}
				mean := code.Data().([]float32)
				if n.dae.CodeWidth() != units || len(mean) != rows*units {
					t.Fatalf("%s: a code of %d units, of %d numbers", distribution, n.dae.CodeWidth(), len(mean))
				}
				if distribution != "none" {
					params, drawn := sampledCode(t, n, rows)
					width := n.dae.resolved.codes.width(units)
					for i, got := range mean {
						want := float64(params[i/units*width+i%units])
						if distribution != "gaussian" {
							want = logistic(want)
						}
						if math.Abs(float64(got)-want) > 1e-6 {
							t.Errorf("%s, %s: the mean of unit %d is %v, want %v", name, distribution, i%units, got, want)
						}
					}
					if close32(mean, drawn, 1e-3) {
						t.Errorf("%s, %s: the draw is the mean", name, distribution)
					}
				}
				denoised, err := n.Denoise(t.Context(), x)
				if err != nil {
					t.Fatal(err)
				}
				decoded, err := n.Decode(t.Context(), code)
				if err != nil || !close32(decoded.Data().([]float32), denoised.Data().([]float32), 1e-6) {
					t.Errorf("%s, %s: decoding the code gives %v, denoising %v: %v", name, distribution, decoded, denoised, err)
				}
				means := make([]float32, rows*5)
				if err := n.Emit(means, mean); err != nil || !close32(means, denoised.Data().([]float32), 1e-6) {
					t.Errorf("%s, %s: emitting from the code gives %v, denoising %v: %v", name, distribution, means, denoised, err)
				}
			}
		}
	}
}

// TestEvaluationOfCodesRepeats: whatever the minibatch, and after training.
func TestEvaluationOfCodesRepeats(t *testing.T) {
	for name, dev := range devices(t) {
		for _, distribution := range []string{"gaussian", "bernoulli", "concrete"} {
			src := sourceOf(t, dev, uniform(1, 40*5), 5, device.Clock{})
			src.Part = device.Rows{Lo: 2, Hi: 39, Split: true, Seed: 1}
			var want Evaluation
			var wantBound float64
			for _, examples := range []int{4, 9, 40} {
				config := codeConfig(distribution)
				config.Beta, config.BetaWarmup, config.Walkback = pointer(2), 10, 2
				n := bound(t, dev, config, examples)
				for range 2 {
					got, err := n.Evaluate(t.Context(), src)
					if err != nil {
						t.Fatal(err)
					}
					if want.N == 0 {
						want = got
					}
					if got != want || math.Abs(got.Loss-got.NLL-2*got.KL) > 1e-12*got.Loss || !(got.KL > 0) {
						t.Errorf("%s, %s: minibatches of %d give %+v, the first gave %+v", name, distribution, examples, got, want)
					}
					n.Gradient(src, examples/2)
				}
				if distribution != "gaussian" {
					continue
				}
				got, err := n.ImportanceBound(t.Context(), src, 4)
				if err != nil {
					t.Fatal(err)
				}
				if wantBound == 0 {
					wantBound = got
				}
				if got != wantBound {
					t.Errorf("%s: minibatches of %d give a bound of %v, the first gave %v", name, examples, got, wantBound)
				}
			}
		}
	}
}

// TestBoundsNeedSamples of Gaussian codes.
func TestBoundsNeedSamples(t *testing.T) {
	dev := reference.New()
	src := sourceOf(t, dev, uniform(1, 40), 5, device.Clock{})
	for distribution, samples := range map[string]int{"none": 2, "bernoulli": 2, "gaussian": 5} {
		if bound, err := bound(t, dev, codeConfig(distribution), 4).ImportanceBound(t.Context(), src, samples); err == nil {
			t.Errorf("%d samples of a code %s give %v", samples, distribution, bound)
		}
	}
}

// TestWarmUp: the loss at a step is NLL + β·min(1, step/W)·KL, counted by
// Gradient on from SetStep.
func TestWarmUp(t *testing.T) {
	const examples, warmup, beta = 6, 4, 3
	for name, dev := range devices(t) {
		config := codeConfig("gaussian")
		src := sourceOf(t, dev, uniform(1, examples*5), 5, device.Clock{})
		lossAt := func(n *Net) float64 {
			n.Gradient(src, examples)
			return float64(download(t, dev, n.MeanLoss())[0])
		}
		config.Beta = pointer(0)
		nll := lossAt(bound(t, dev, config, examples))
		config.Beta = pointer(beta)
		full := lossAt(bound(t, dev, config, examples))
		config.BetaWarmup = warmup
		n := bound(t, dev, config, examples)
		check := func(step int) {
			want := nll + (full-nll)*min(1, float64(step)/warmup)
			if got := lossAt(n); math.Abs(got-want) > 1e-5*full {
				t.Errorf("%s: the loss of step %d is %v, want %v", name, step, got, want)
			}
		}
		for step := range 6 {
			check(step)
		}
		for _, step := range []int{2, 1 << 40} {
			if err := n.SetStep(uint64(step)); err != nil {
				t.Fatal(err)
			}
			check(step)
		}
	}
}

// TestPriorCodes have the moments of the prior, whatever the first row.
func TestPriorCodes(t *testing.T) {
	const rows, units = 20000, 3
	for distribution, want := range map[string][2]float64{"gaussian": {0, 1}, "bernoulli": {0.5, 0.25}, "concrete": {0.5, 0.25}} {
		d := mustNew(t, codeConfig(distribution))
		h := make([]float32, rows*units)
		at := philox.Coordinates{Stream: philox.StreamDraw, Index: 9}
		if err := d.PriorCodes(h, 0, at, 5); err != nil {
			t.Fatal(err)
		}
		for unit := range units {
			var sum, square float64
			for i := unit; i < len(h); i += units {
				sum += float64(h[i]) / rows
				square += float64(h[i]) * float64(h[i]) / rows
			}
			if math.Abs(sum-want[0]) > 0.03 || math.Abs(square-sum*sum-want[1]) > 0.04 {
				t.Errorf("%s, unit %d: mean %.3f and variance %.3f, want %v", distribution, unit, sum, square-sum*sum, want)
			}
		}
		later := make([]float32, 2*units)
		if err := d.PriorCodes(later, 7, at, 5); err != nil || !equal32(later, h[7*units:9*units]) {
			t.Errorf("%s: from row 7 on %v, before %v: %v", distribution, later, h[7*units:9*units], err)
		}
	}
	if err := mustNew(t, codeConfig("none")).PriorCodes(make([]float32, 3), 0, philox.Coordinates{}, 1); err == nil {
		t.Error("a deterministic code has a prior")
	}
}

// TestDerivativeThroughAMeanCode agrees with finite differences of D(x; σ).
func TestDerivativeThroughAMeanCode(t *testing.T) {
	const rows = 3
	for _, distribution := range []string{"gaussian", "bernoulli", "concrete"} {
		for _, hidden := range [][]int{{6}, nil} {
			dev := reference.New()
			config := codeConfig(distribution)
			config.Hidden, config.Corruption = hidden, "gaussian:0.5"
			n := perturbed(t, dev, config, rows)
			x, v, got := uniform(1, rows*5), uniform(2, rows*5), make([]float32, rows*5)
			if err := n.PullBackAt(t.Context(), got, x, v, 0.5); err != nil {
				t.Fatal(err)
			}
			for i := range x {
				slope := 0.0
				for _, sign := range []float64{1, -1} {
					const h = 1e-2
					moved, d := append([]float32(nil), x...), make([]float32, len(x))
					moved[i] += float32(sign * h)
					if err := n.DenoiseAt(t.Context(), d, moved, 0.5); err != nil {
						t.Fatal(err)
					}
					for j, r := range d {
						slope += sign * float64(r) * float64(v[j]) / (2 * h)
					}
				}
				if math.Abs(slope-float64(got[i])) > 2e-4 {
					t.Errorf("%s: the derivative by x[%d] is %v, by differences %v", distribution, i, got[i], slope)
				}
			}
		}
	}
}

// TestInferenceTakesOneRowAnExample: replicates, samples and links take memory in
// training alone.
func TestInferenceTakesOneRowAnExample(t *testing.T) {
	config := codeConfig("gaussian")
	plain := mustNew(t, config)
	for name, change := range map[string]func(*Config){
		"replicates": func(c *Config) { c.Replicates = 4 },
		"importance": func(c *Config) { c.Importance = 4 },
		"walkback":   func(c *Config) { c.Walkback = 4 },
	} {
		c := config
		change(&c)
		d := mustNew(t, c)
		if got, want := d.Bytes(Binding{Examples: 10}), plain.Bytes(Binding{Examples: 10}); got != want {
			t.Errorf("%s: %d bytes to infer, without %d", name, got, want)
		}
		if got, want := d.Bytes(Binding{Examples: 10, Training: true}), plain.Bytes(Binding{Examples: 40, Training: true}); got != want {
			t.Errorf("%s: %d bytes to train 10 examples, 40 without take %d", name, got, want)
		}
		n, err := Bind(reference.New(), d, Binding{Examples: 10})
		if err != nil || n.Rows() != 10 {
			t.Errorf("%s: %v, %v", name, n, err)
		}
	}
}
