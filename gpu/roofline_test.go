//go:build cuda

package gpu_test

import (
	"fmt"
	"slices"
	"testing"

	"gpudae/device"
	"gpudae/gpu"
	"gpudae/internal/roofline"
	"gpudae/kernels"
	"gpudae/model"
	"gpudae/optim"
)

// TestCounterKnowsTheLaunches: what package roofline counts of a step is what this
// package launches, kernel by kernel, shape by shape and block by block, for models of every kind.
func TestCounterKnowsTheLaunches(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	compareLaunches(t, dev, kernels.Float32, kernels.BigProducts())
}

// TestCounterKnowsTheCopies: nor does it miss those that copy factors of big products.
func TestCounterKnowsTheCopies(t *testing.T) {
	big := kernels.Big{Extent: 64}
	dev := open(t, gpu.Options{Class: kernels.BFloat16, Big: big})
	defer dev.Close()
	compareLaunches(t, dev, kernels.BFloat16, big)
}

func compareLaunches(t *testing.T, dev *gpu.Device, class kernels.Class, big kernels.Big) {
	t.Helper()
	counter := roofline.NewCounterOf(roofline.GPU{Name: "as this one", Capability: dev.Capability(), Multiprocessors: dev.Multiprocessors()}, class, big)
	for _, c := range []model.Config{
		{Corruption: "masking:0.3", Likelihood: "bernoulli", Tied: true},
		{Corruption: "swap:0.2+gaussian:0.1", Likelihood: "gaussian-learned", Norm: "layer", Dropout: 0.2},
		{Corruption: "salt-and-pepper:0.3+speckle:0.2", Likelihood: "poisson", Norm: "batch", Activation: "gelu"},
		{Corruption: "uniform:0.1+poisson:20", Likelihood: "gaussian:1", Replicates: 3},
		{Corruption: "span:0.3,length=4", Likelihood: "categorical", Fields: []int{3, 5, 56}},
		{Likelihood: "gaussian", Objective: model.ObjectiveDSM, Score: model.Score{Noise: "geometric:min=0.01,max=10"}},
		{Corruption: "masking:0.3", Likelihood: "bernoulli", CodeDistribution: "gaussian", Importance: 3},
		{Corruption: "gaussian:0.2", Likelihood: "gaussian:0.5", CodeDistribution: "concrete:0.5", Walkback: 2},
		{Corruption: "masking:0.3", Likelihood: "bernoulli", Hidden: []int{400, 64}}, // on tensor cores, with shared sums
	} {
		c.Features = 64
		if c.Hidden == nil {
			c.Hidden = []int{300, 24}
		}
		t.Run(fmt.Sprintf("%s %s %s %s", c.Corruption, c.Likelihood, c.Objective, c.CodeDistribution), func(t *testing.T) {
			runStep(t, dev, c)
			runStep(t, counter, c)
			var want []string
			for _, l := range counter.Launches() {
				want = append(want, fmt.Sprintf("%s %d×%d", l.Kernel, l.Rows, l.Columns))
			}
			if got := dev.Recorded(); !slices.Equal(got, want) {
				t.Errorf("a step launches\n%q\nand is counted as\n%q", got, want)
			}
			if err := dev.Sync(); err != nil { // which forgets them
				t.Fatal(err)
			}
		})
	}
}

// runStep records a step of a model and runs it.
func runStep(t *testing.T, dev device.Device, config model.Config) {
	t.Helper()
	const batch = 200
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dae, err := model.New(config)
	must(err)
	net, err := model.Bind(dev, dae, model.Binding{Examples: batch, Training: true})
	must(err)
	must(net.SetParameters(dae.InitialParameters(1), dae.InitialBuffers()))
	table := digits(t, 500)
	resident, err := dev.Load(t.Context(), table)
	must(err)
	rule, err := optim.ParseRule("adam")
	must(err)
	state, err := optim.NewState(dev, rule, dae.ParameterCount(), 0.9)
	must(err)
	state.Reset(dev, net.Params)
	words, err := dev.Alloc(device.Word, device.ClockWords)
	must(err)
	rates, err := dev.Alloc(device.Float, 1)
	must(err)
	low, high := model.ColumnExtremes(table)
	src := model.Source{Data: resident, Part: device.Rows{Hi: 500}, Shuffle: true, Clock: device.WordsOf(words, 0, device.ClockWords)}
	src.Range, err = model.NewRange(dev, low, high)
	must(err)
	must(dev.UploadWords(src.Clock, device.Clock{}.Words()))
	program, err := dev.Record(func() {
		net.Gradient(src, batch)
		state.Apply(dev, optim.Step{Params: net.Params, Grads: net.Grads, GradSq: net.GradSq(), Loss: net.MeanLoss(),
			Rates: device.MatrixOf(rates, 0, 1, 1), Clock: src.Clock, Decayed: dae.DecayedCount()})
		dev.Tick(device.TickArgs{Clock: src.Clock, Rows: batch})
	})
	must(err)
	must(program())
	must(program()) // which begins where the first has not ended
}
