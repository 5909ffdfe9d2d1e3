package model

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/device/reference"
)

// perturbed is a net whose parameters have all left their initial values.
func perturbed(t testing.TB, dev *reference.Device, c Config, rows int) *Net {
	t.Helper()
	net := bound(t, dev, c, rows)
	random := rand.New(rand.NewPCG(3, 4))
	params := reference.Float64s(net.Params)
	for i := range params {
		params[i] += 0.3 * random.NormFloat64()
	}
	return net
}

func TestDenoiseAtItsOwnNoiseIsTheReconstruction(t *testing.T) {
	const rows, features, chunk = 7, 3, 3
	x := uniform(1, rows*features)
	for name, dev := range devices(t) {
		net := bound(t, dev, Config{Features: features, Hidden: []int{5}, Activation: "gelu", Likelihood: "gaussian", Init: "glorot-uniform",
			Corruption: "gaussian:0.3+none+gaussian:0.4"}, chunk)
		want, err := net.Denoise(context.Background(), tensor.New(tensor.WithShape(rows, features), tensor.WithBacking(x)))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(x))
		if err := net.DenoiseAt(context.Background(), got, x, 0.5); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !equal32(got, want.Data().([]float32)) {
			t.Errorf("%s: D(x; σ) = %v, want r(x) = %v", name, got, want.Data())
		}
		if levels := net.DAE().NoiseLevels(); len(levels) != 1 || levels[0] != 0.5 {
			t.Errorf("noise levels %v, want 0.5", levels)
		}
	}
}

func TestNoiseThatIsNotKnown(t *testing.T) {
	for _, c := range []struct {
		corruption string
		sigma      float64
		want       string
	}{
		{"gaussian:0.5", 0.25, "σ = 0.25: the model knows that of its training alone, σ = 0.5"},
		{"gaussian:0.5", 0, "σ = 0: it must be positive"},
		{"gaussian:0.5", math.NaN(), "it must be positive"},
		{"gaussian:0.5", math.Inf(1), "it must be positive"},
		{"gaussian:0.5+masking:0.1", 0.5, "under gaussian:0.5+masking:0.1, not under Gaussian noise alone"},
		{"none", 0.5, "under none, not"},
	} {
		dev := reference.New()
		net := bound(t, dev, Config{Features: 2, Hidden: []int{3}, Likelihood: "gaussian", Corruption: c.corruption}, 1)
		x := []float32{1, 2}
		for _, err := range []error{net.DenoiseAt(context.Background(), x, x, c.sigma), net.PullBackAt(context.Background(), x, x, x, c.sigma)} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s at %v: %v, want %q", c.corruption, c.sigma, err, c.want)
			}
		}
	}
}

// TestPullBackAgreesWithFiniteDifferences compares Jᵀv with central differences
// of r in float64, over everything that a layer may have.
func TestPullBackAgreesWithFiniteDifferences(t *testing.T) {
	base := Config{Features: 4, Hidden: []int{6, 5}, Activation: "tanh", Likelihood: "gaussian", Corruption: "gaussian:0.5"}
	cases := map[string]Config{}
	add := func(name string, change func(*Config)) {
		c := base
		change(&c)
		cases[name] = c
	}
	for _, act := range Activations() {
		for _, tied := range []bool{false, true} {
			for _, norm := range []string{"none", "layer"} {
				add(fmt.Sprintf("%s/tied=%t/norm=%s", act.Name, tied, norm), func(c *Config) { c.Activation, c.Tied, c.Norm = act.Name, tied, norm })
			}
		}
	}
	add("dropout", func(c *Config) { c.Dropout = 0.4 })
	add("code", func(c *Config) { c.Code, c.Norm, c.Dropout = 3, "layer", 0.2 })
	add("bernoulli", func(c *Config) { c.Likelihood = "bernoulli" })
	add("gaussian-learned", func(c *Config) { c.Likelihood = "gaussian-learned" })
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			const rows = 3
			net := perturbed(t, reference.New(), c, rows)
			checkPullBack(t, net, rows, 0.5)
		})
	}
}

// checkPullBack compares PullBackAt with differences of what DenoiseAt computes.
func checkPullBack(t *testing.T, net *Net, rows int, sigma float64) {
	t.Helper()
	const step = 1e-5
	features := net.Features()
	x, v, got := uniform(5, rows*features), uniform(6, rows*features), make([]float32, rows*features)
	if err := net.PullBackAt(context.Background(), got, x, v, sigma); err != nil {
		t.Fatal(err)
	}
	at := make([]float64, len(x))
	for i := range x {
		at[i] = float64(x[i])
	}
	denoised := func() []float64 {
		copy(reference.Float64s(net.corrupted), at)
		net.reconstruct(net.probeOf(rows))
		return append([]float64(nil), reference.Float64s(net.reconstruction)[:rows*features]...)
	}
	for k := range x {
		at[k] = float64(x[k]) + step
		above := denoised()
		at[k] = float64(x[k]) - step
		below := denoised()
		at[k] = float64(x[k])
		want := 0.0
		for i := range above {
			want += float64(v[i]) * (above[i] - below[i]) / (2 * step)
		}
		if math.Abs(float64(got[k])-want) > 1e-5*max(math.Abs(want), 0.1) {
			t.Errorf("(Jᵀv)[%d] = %.9g, by differences %.9g", k, got[k], want)
		}
	}
}

func TestPullBackRefusesWhatItCannotDifferentiate(t *testing.T) {
	for _, c := range []Config{{Norm: "batch", Likelihood: "gaussian"}, {Likelihood: "poisson"}} {
		c.Features, c.Hidden, c.Corruption = 2, []int{3}, "gaussian:0.5"
		net := bound(t, reference.New(), c, 1)
		x := []float32{1, 2}
		if err := net.PullBackAt(context.Background(), x, x, x, 0.5); err == nil || !strings.Contains(err.Error(), "no derivative") {
			t.Errorf("norm %s, likelihood %s: %v", c.Norm, c.Likelihood, err)
		}
	}
}

func TestDenoiserAllocatesNothing(t *testing.T) {
	const rows, features = 20, 3
	ctx, x := context.Background(), uniform(1, rows*features)
	net := bound(t, devices(t)["cpu"], Config{Features: features, Hidden: []int{5}, Norm: "layer", Likelihood: "gaussian", Corruption: "gaussian:0.5"}, 8)
	dst := make([]float32, len(x))
	calls := func() {
		if err := net.DenoiseAt(ctx, dst, x, 0.5); err != nil {
			t.Fatal(err)
		}
		if err := net.PullBackAt(ctx, dst, x, x, 0.5); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(10, calls); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}
