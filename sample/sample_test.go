package sample

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/model"
)

// noisyModels are a configuration for every likelihood and every corruption.
func noisyModels() []model.Config {
	base := model.Config{Features: 6, Hidden: []int{5}, Activation: "tanh"}
	with := func(corruption, likelihood string) model.Config {
		c := base
		c.Corruption, c.Likelihood = corruption, likelihood
		return c
	}
	fielded := with("swap:0.3+masking:0.2", "categorical")
	fielded.Fields = []int{2, 4}
	return []model.Config{with("salt-and-pepper:0.3", "bernoulli"), with("gaussian:0.5+speckle:0.1", "gaussian:0.3"),
		with("uniform:0.5", "gaussian-learned"), fielded, with("poisson:2", "poisson"), with("swap:0.4", "gaussian:0.3")}
}

// sourceFor has data and a range for any corruption.
func sourceFor(t *testing.T, dev device.Device, features int) model.Source {
	t.Helper()
	table := device.Table{Rows: 10, Columns: features, Float32: make([]float32, 10*features)}
	for i := range table.Float32 {
		table.Float32[i] = philox.Uniform(uint32(i) * 0x9E3779B9)
	}
	data, err := dev.Load(context.Background(), table)
	if err != nil {
		t.Fatal(err)
	}
	low, high := model.ColumnExtremes(table)
	span, err := model.NewRange(dev, low, high)
	if err != nil {
		t.Fatal(err)
	}
	return model.Source{Seed: 9, Data: data, Part: device.Rows{Lo: 2, Hi: 9}, Range: span}
}

func netOf(t *testing.T, dev device.Device, c model.Config, examples int) *model.Net {
	t.Helper()
	d := newDAE(t, c)
	net, err := model.Bind(dev, d, model.Binding{Examples: examples})
	if err != nil {
		t.Fatal(err)
	}
	if err := net.SetParameters(d.InitialParameters(3), d.InitialBuffers()); err != nil {
		t.Fatal(err)
	}
	return net
}

// TestChainsRepeat: the bits of every sampler are the same on any number of
// threads and at any size of minibatches, for every corruption and likelihood;
// another seed gives others, and the start is left as it was.
func TestChainsRepeat(t *testing.T) {
	for _, c := range noisyModels() {
		for _, method := range Samplers() {
			var want []float32
			run := func(threads, examples int, seed uint64) []float32 {
				dev := newCPU(t, threads)
				net, src := netOf(t, dev, c, examples), sourceFor(t, dev, c.Features)
				src.Seed = seed
				start := StartFromNoise(net.DAE(), make([]float32, 6), []float32{1, 1, 1, 1, 1, 1}, 7, 1)
				kept := slices.Clone(start)
				states := mustRun(t, method.Run, Chains{Net: net, Source: src, Start: start, Steps: 5, Noise: 1, StepSize: 0.1})
				if !slices.Equal(start, kept) {
					t.Errorf("%s of %s changes its start", method.Name, c.Corruption)
				}
				return states
			}
			want = run(1, 7, 9)
			for _, other := range [][2]int{{2, 7}, {3, 7}, {1, 3}, {2, 1}} {
				if got := run(other[0], other[1], 9); !slices.Equal(got, want) {
					t.Errorf("%s of %s with %s differs on %d threads, %d chains at a time", method.Name, c.Corruption, c.Likelihood, other[0], other[1])
				}
			}
			if slices.Equal(run(1, 7, 10), want) {
				t.Errorf("%s of %s does not depend on the seed", method.Name, c.Corruption)
			}
		}
	}
}

// TestChainsAreDifferent: chains and steps draw noise of their own.
func TestChainsAreDifferent(t *testing.T) {
	for _, method := range Samplers() {
		var seen [][]float32
		net := affine(t, newCPU(t, 1), "gaussian:0.5", "gaussian:0.3", []float64{0, 0, 0, 0}, []float64{0, 0}, 2)
		mustRun(t, method.Run, Chains{Net: net, Start: make([]float32, 8), Steps: 3, Noise: 1, StepSize: 2, Observe: func(_, _ int, x []float32) error {
			for row := range slices.Chunk(x, 2) {
				for _, other := range seen {
					if slices.Equal(other, row) {
						t.Errorf("%s is twice at %v", method.Name, row)
					}
				}
				seen = append(seen, slices.Clone(row))
			}
			return nil
		}})
		if len(seen) != 4*3 {
			t.Errorf("%s shows %d states, want 12", method.Name, len(seen))
		}
	}
}

// TestSamplersRefuse what makes no sense, stop when told to, and pass on errors.
func TestSamplersRefuse(t *testing.T) {
	net := affine(t, newCPU(t, 1), "gaussian:0.5", "bernoulli", identity2[:], []float64{0, 0}, 2)
	sound := Chains{Net: net, Start: make([]float32, 4), Steps: 2, Noise: 1, StepSize: 0.1}
	for what, change := range map[string]func(*Chains){
		"no chains":                  func(c *Chains) { c.Start = nil },
		"half a chain":               func(c *Chains) { c.Start = make([]float32, 3) },
		"a negative number of steps": func(c *Chains) { c.Steps = -1 },
	} {
		for _, method := range Samplers() {
			c := sound
			change(&c)
			if _, err := method.Run(context.Background(), c); err == nil {
				t.Errorf("%s runs with %s", method.Name, what)
			}
		}
	}
	for what, run := range map[string]func() error{
		"walkback with a spread of bernoulli": func() error { c := sound; c.Spread = 1; _, err := Walkback(context.Background(), c); return err },
		"langevin without noise":              func() error { c := sound; c.Noise = 0; _, err := Langevin(context.Background(), c); return err },
		"langevin without a step":             func() error { c := sound; c.StepSize = 0; _, err := Langevin(context.Background(), c); return err },
	} {
		if run() == nil {
			t.Errorf("%s runs", what)
		}
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	failure := errors.New("seen enough")
	for _, method := range Samplers() {
		if _, err := method.Run(stopped, sound); !errors.Is(err, context.Canceled) {
			t.Errorf("%s under a context that has ended: %v", method.Name, err)
		}
		c := sound
		c.Observe = func(int, int, []float32) error { return failure }
		if _, err := method.Run(context.Background(), c); !errors.Is(err, failure) {
			t.Errorf("%s passes on %v", method.Name, err)
		}
	}
}

// TestStartFromNoise lies between the extremes, or in one category of each field.
func TestStartFromNoise(t *testing.T) {
	low, high := []float32{-2, 5}, []float32{1, 5}
	plain := newDAE(t, model.Config{Features: 2, Hidden: []int{2}, Likelihood: "gaussian:1"})
	states := StartFromNoise(plain, low, high, 1000, 1)
	sum := 0.0
	for i, v := range states {
		if v < low[i%2] || v > high[i%2] {
			t.Fatalf("%v outside of column %d", v, i%2)
		}
		if i%2 == 0 {
			sum += float64(v) / 1000
		}
	}
	if within := 4.5 * 3 / math.Sqrt(12*1000); math.Abs(sum+0.5) > within {
		t.Errorf("mean %.3f of a uniform start, want -0.5 ± %.3f", sum, within)
	}
	fielded := newDAE(t, model.Config{Features: 5, Fields: []int{2, 3}, Hidden: []int{2}, Likelihood: "categorical"})
	counts := make([]int, 5)
	for row := range slices.Chunk(StartFromNoise(fielded, make([]float32, 5), make([]float32, 5), 1000, 1), 5) {
		if row[0]+row[1] != 1 || row[2]+row[3]+row[4] != 1 {
			t.Fatalf("%v is not one category of each field", row)
		}
		for j, v := range row {
			counts[j] += int(v)
		}
	}
	checkOdds(t, counts[:2], []float64{0.5, 0.5})
	checkOdds(t, counts[2:], []float64{1. / 3, 1. / 3, 1. / 3})
}
