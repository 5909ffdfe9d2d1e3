//go:build cuda

package gpu_test

import (
	"fmt"
	"slices"
	"testing"

	"gpudae/cuda/cudatest"
	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/gpu"
	"gpudae/kernels"
	"gpudae/model"
	"gpudae/optim"
	"gpudae/train"
)

// TestRecordedStepsAreTheirOperations: a run whose steps are planned launches leaves the
// parameters of one that makes each operation by itself, bit for bit unless the gradient is
// clipped by its norm, and the same losses and norms up to the order of additions: through minibatches
// of two sizes, epochs, validation between them, moving averages and skipped steps.
func TestRecordedStepsAreTheirOperations(t *testing.T) {
	plain := func(*train.Config) {}
	for _, c := range append(smallCases(),
		smallCase{"tied", model.Config{Hidden: []int{12}, Corruption: "masking:0.3", Likelihood: "bernoulli", Tied: true}, someDigits, plain, false},
		smallCase{"layer norm, dropout", model.Config{Hidden: []int{12, 5}, Corruption: "swap:0.3", Likelihood: "gaussian", Norm: "layer", Dropout: 0.1}, wave(70, 9), plain, false},
		smallCase{"stochastic code, walkback", model.Config{Hidden: []int{12, 5}, Corruption: "gaussian:0.3", Likelihood: "gaussian", CodeDistribution: "gaussian", Walkback: 2}, wave(70, 9), plain, false},
		smallCase{"noise levels", model.Config{Hidden: []int{12, 5}, Likelihood: "gaussian", Objective: model.ObjectiveDSM, Score: model.Score{Noise: "geometric:min=0.01,max=10"}}, wave(70, 9), plain, false},
		smallCase{"many rows", model.Config{Hidden: []int{5}, Corruption: "uniform:0.3", Likelihood: "gaussian-learned", Replicates: 300}, wave(50, 5), plain, false},
	) {
		t.Run(c.name, func(t *testing.T) {
			one := open(t, gpu.Options{Blocking: true})
			defer one.Close()
			want := c.run(t, one)
			dev := open(t, gpu.Options{Graphs: true})
			defer dev.Close()
			got := c.run(t, dev)
			c.compare(t, got, want, "one by one")
		})
	}
}

// TestStepsOfBigProductsAreThoseOfOthers: a run in which products read copies of their factors, each made once after a
// change, leaves the bits of one in which they round what they read, and so does one that makes each operation by itself, with
// wgmma too: on the software driver's model all tensor cores add alike.
func TestStepsOfBigProductsAreThoseOfOthers(t *testing.T) {
	c := smallCase{model: model.Config{Hidden: []int{176, 160}, Activation: "gelu", Corruption: "masking:0.3", Likelihood: "gaussian"},
		table: wave(200, 160), change: func(c *train.Config) { c.Batch, c.Epochs = 170, 1 }} // too short for their sums to be shared
	run := func(options gpu.Options) *train.Result {
		options.Class, options.Graphs = kernels.BFloat16, true
		dev := open(t, options)
		defer dev.Close()
		return c.run(t, dev)
	}
	want := run(gpu.Options{})
	big := kernels.Big{Extent: 16, Multiplications: kernels.MostStrict + 1}
	for capability, engine := range map[int]kernels.Engine{80: kernels.MMA, 90: kernels.WGMMA} {
		cudatest.Set(t, "SOFTDRIVER_CAPABILITY", capability)
		for _, options := range []gpu.Options{{Big: big}, {Big: big, Blocking: true}} {
			before := cudatest.Ran(t, engine.Kernel(kernels.BackwardNN).String())
			got := run(options)
			if i := firstDifference(got.Params, want.Params); i >= 0 {
				t.Errorf("parameter %d is %g by %s, and %g without copies", i, got.Params[i], engine, want.Params[i])
			}
			if cudatest.Ran(t, engine.Kernel(kernels.BackwardNN).String()) == before {
				t.Errorf("no product was computed by %s", engine)
			}
		}
	}
}

// TestCopiesAreCurrent: a run whose steps read copies that the end of the step before has left, of weights, and the beginning, of the minibatch,
// ends with the bits of one that makes a copy before each product: through epochs, validation by averaged weights, steps that are left out, rows
// that no quad of parameters divides, and minibatches of two sizes.
func TestCopiesAreCurrent(t *testing.T) {
	for _, c := range []smallCase{
		{"averages", model.Config{Hidden: []int{29, 18}, Corruption: "gaussian:0.2", Likelihood: "gaussian"}, wave(150, 37), func(c *train.Config) { c.EMA = 0.9 }, false},
		{"rows of quads", model.Config{Hidden: []int{20}, Activation: "gelu", Corruption: "masking:0.3", Likelihood: "bernoulli"}, someDigits, func(*train.Config) {}, false},
		{"clean", model.Config{Hidden: []int{23}, Likelihood: "gaussian"}, wave(110, 18), func(*train.Config) {}, false},
		{"tied", model.Config{Hidden: []int{23}, Corruption: "uniform:0.1", Likelihood: "gaussian", Tied: true}, wave(110, 21), func(*train.Config) {}, false},
		{"spikes", model.Config{Hidden: []int{19}, Corruption: "masking:0.3", Likelihood: "gaussian"}, wave(250, 17), func(c *train.Config) { c.SkipSpikes, c.Batch, c.Epochs, c.LR = 1.05, 16, 3, 1e-5 }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, capability := range []int{80, 90} {
				cudatest.Set(t, "SOFTDRIVER_CAPABILITY", capability)
				options := gpu.Options{Class: kernels.BFloat16, Big: kernels.Big{Extent: 16}, Blocking: true}
				one := open(t, options)
				defer one.Close()
				want := c.run(t, one)
				options.Blocking, options.Graphs = false, true
				dev := open(t, options)
				defer dev.Close()
				before := cudatest.Ran(t, kernels.Narrow.String())
				got := c.run(t, dev)
				if i := firstDifference(got.Params, want.Params); i >= 0 {
					t.Errorf("on %d parameter %d is %g, and %g where each product's factors are copied before it", capability, i, got.Params[i], want.Params[i])
				}
				if got, most := cudatest.Ran(t, kernels.Narrow.String())-before, int(want.Steps); got >= most {
					t.Errorf("on %d there were %d launches for copies in %d steps", capability, got, want.Steps)
				}
			}
		})
	}
}

// TestSharedSumsChangeNoBit: where sums of products are shared among blocks, a run whose steps are
// planned launches, on a machine of few multiprocessors and on one of many, leaves the parameters of one
// that makes each operation by itself, and the reference's losses. The cut products are a layer with its
// likelihood and weights' gradients, and a layer and its input's gradient.
func TestSharedSumsChangeNoBit(t *testing.T) {
	for _, c := range []struct {
		batch, in, hidden            int
		first, second, input, weight bool // which sums are shared: of both layers, and of gradients of the second
	}{
		{500, 50, 200, false, true, false, true},
		{120, 400, 100, true, false, true, false},
	} {
		t.Run(fmt.Sprint(c.in, c.hidden), func(t *testing.T) {
			layer := func(m, n, k int) bool { return kernels.Choose(kernels.Float32, m, n, k, 4).Depth > 0 }
			b := kernels.Backward{Rows: c.batch, In: c.hidden, Out: c.in, DX: true, DW: true, DBias: true}.Choose(kernels.Float32, 4)
			if layer(c.batch, c.hidden, c.in) != c.first || layer(c.batch, c.in, c.hidden) != c.second || b.Depth > 0 != c.input || b.WeightDepth > 0 != c.weight {
				t.Fatalf("other sums are shared, of gradients as %+v", b)
			}
			run := smallCase{model: model.Config{Hidden: []int{c.hidden}, Corruption: "masking:0.3", Likelihood: "gaussian"}, table: wave(c.batch*9/8, c.in),
				change: func(config *train.Config) { config.Batch, config.Epochs, config.LR = c.batch, 2, 0.001 }}
			one := open(t, gpu.Options{Blocking: true})
			defer one.Close()
			want := run.run(t, one)
			for _, multiprocessors := range []int{4, 132} {
				cudatest.Set(t, "SOFTDRIVER_MULTIPROCESSORS", multiprocessors)
				dev := open(t, gpu.Options{Graphs: true})
				defer dev.Close()
				run.compare(t, run.run(t, dev), want, "one by one")
			}
			for i, row := range run.run(t, reference.New()).History {
				near(t, fmt.Sprintf("the reference's loss of epoch %d", i+1), want.History[i].TrainLoss, row.TrainLoss)
			}
		})
	}
}

// TestCopiesWithoutRoom: where copies have no room, products round what they read, recorded or not.
func TestCopiesWithoutRoom(t *testing.T) {
	const n, megabyte = 800, 1 << 20 // matrices of 2.4 MiB, copies of 1.2
	cudatest.Set(t, "SOFTDRIVER_MEMORY", 11*megabyte+ofSums+int(cudatest.Read(t).BytesAllocated))
	for _, recorded := range []bool{false, true} {
		dev := open(t, gpu.Options{Class: kernels.BFloat16, Big: kernels.Big{Extent: 16}})
		var views [3]device.View
		for i := range views {
			memory, err := dev.Alloc(device.Float, n*n)
			must(t, err)
			views[i] = device.MatrixOf(memory, 0, n, n)
		}
		product := func() { dev.Dense(device.DenseArgs{X: views[0], W: views[1], Y: views[2]}) }
		before := cudatest.Ran(t, kernels.Narrow.String())
		if recorded {
			program, err := dev.Record(product)
			must(t, err)
			must(t, program())
		} else {
			product()
		}
		must(t, dev.Sync())
		if got := cudatest.Ran(t, kernels.Narrow.String()); got != before {
			t.Errorf("recorded %t: %d copies were made", recorded, got-before)
		}
		must(t, dev.Close())
	}
}

// TestRecordedStepsReadRowsOfTheHost: a run on a data set that stays in the host's memory, rows
// and donors, leaves the parameters of one whose data set is on the device, and its steps copy
// nothing.
func TestRecordedStepsReadRowsOfTheHost(t *testing.T) {
	c := smallCase{model: model.Config{Hidden: []int{5}, Corruption: "swap:0.3", Likelihood: "gaussian"}, table: wave(15000, 40),
		change: func(c *train.Config) { c.Batch, c.Epochs = 1500, 1 }}
	dev := open(t, gpu.Options{Graphs: true})
	want := c.run(t, dev)
	must(t, dev.Close())
	cudatest.Set(t, "SOFTDRIVER_MEMORY", 9<<18+ofSums)
	without := open(t, gpu.Options{Graphs: true})
	defer without.Close()
	before := cudatest.Read(t).ToDevice
	got := c.run(t, without)
	table := c.table(t)
	if size := table.Size(); without.Info().Mapped != size || cudatest.Read(t).ToDevice-before > size/4 {
		t.Errorf("of a table of %d bytes %d are in the host's memory, and %d were copied to the device", size, without.Info().Mapped, cudatest.Read(t).ToDevice-before)
	}
	if i := firstDifference(got.Params, want.Params); i >= 0 {
		t.Errorf("parameter %d is %g, and %g with the table on the device", i, got.Params[i], want.Params[i])
	}
}

// TestStepIsEndedBeforeAnythingElse: steps that wait until there are eight, and the end of a step, which waits for the next step to begin,
// come before whatever else is asked for.
func TestStepIsEndedBeforeAnythingElse(t *testing.T) {
	dev := open(t, gpu.Options{Graphs: true})
	defer dev.Close()
	first, second := newStep(t, dev), newStep(t, dev)
	stepOf := func(s *wholeStep) uint64 {
		words := make([]uint32, device.ClockWords)
		must(t, dev.DownloadWords(words, s.clock))
		return device.ClockFromWords(words).Step
	}
	doubled, err := dev.Record(func() { dev.Combine(device.CombineArgs{Alpha: 2, A: first.spare, Dst: first.spare}) })
	must(t, err)
	done := uint64(0)
	for name, after := range map[string]func() error{
		"an operation":     func() error { dev.Combine(device.CombineArgs{Alpha: 1, A: first.params, Dst: first.spare}); return nil },
		"a copy":           func() error { return dev.Upload(first.spare, make([]float32, first.spare.Len())) },
		"another graph":    func() error { return doubled() },
		"another step":     func() error { return second.program() },
		"a recording":      func() error { _, err := dev.Record(func() {}); return err },
		"a wait":           dev.Sync,
		"nothing but that": func() error { return nil },
	} {
		before := cudatest.Read(t)
		const steps = 1 + 8 + 2
		for range steps {
			must(t, first.program())
		}
		done += steps
		if queued := cudatest.Read(t).Since(before); queued.GraphLaunches != 2 || queued.Launches != 0 {
			t.Errorf("%d steps made %+v, of which two wait", steps, queued)
		}
		must(t, after())
		if got := stepOf(first); got != done {
			t.Errorf("after %s the clock stands at step %d, want %d", name, got, done)
		}
	}
	if got := stepOf(second); got != 1 {
		t.Errorf("the other step's clock stands at %d, want 1", got)
	}
	alone := newStep(t, dev)
	for range done {
		must(t, alone.program())
		must(t, dev.Sync())
	}
	got, want := make([]float32, first.params.Len()), make([]float32, first.params.Len())
	must(t, dev.Download(got, first.params))
	must(t, dev.Download(want, alone.params))
	if i := firstDifference(got, want); i >= 0 {
		t.Errorf("parameter %d is %g, and %g where the host waits after each step", i, got[i], want[i])
	}
}

// TestStepTakesTwoLaunchesALayer: a step among others is a launch for each layer and each
// layer's gradients, and one in which it begins and the one before it ends.
func TestStepTakesTwoLaunchesALayer(t *testing.T) {
	dev := open(t, gpu.Options{Graphs: true})
	defer dev.Close()
	s := newStep(t, dev)
	must(t, s.program())
	must(t, s.program())
	want := []string{"advance_f32 8×1", "dense_nt_32 8×6", "dense_nt_32 8×5", "dense_backward_nn_32 3×1", "dense_backward_nn_32 2×1"}
	if got := dev.Recorded(); !slices.Equal(got, want) {
		t.Errorf("a step launches %q, want %q", got, want)
	}
}

// wholeStep is the recorded step of a net of two layers.
type wholeStep struct {
	program       device.Program
	params, spare device.View
	clock         device.Words
}

func newStep(t *testing.T, dev *gpu.Device) *wholeStep {
	t.Helper()
	const batch, steps = 8, 100
	data, err := dev.Load(t.Context(), wave(batch, 5)(t))
	must(t, err)
	dae, err := model.New(model.Config{Features: 5, Hidden: []int{6}, Corruption: "masking:0.2+gaussian:0.1", Likelihood: "gaussian"})
	must(t, err)
	net, err := model.Bind(dev, dae, model.Binding{Examples: batch, Training: true})
	must(t, err)
	must(t, net.SetParameters(dae.InitialParameters(1), dae.InitialBuffers()))
	rule, err := optim.ParseRule("adam")
	must(t, err)
	state, err := optim.NewState(dev, rule, dae.ParameterCount(), 0)
	must(t, err)
	words, err := dev.Alloc(device.Word, device.ClockWords)
	must(t, err)
	n := dae.ParameterCount()
	floats, err := dev.Alloc(device.Float, 3*steps+n)
	must(t, err)
	rates := make([]float32, steps)
	for i := range rates {
		rates[i] = 0.01
	}
	must(t, dev.Upload(device.MatrixOf(floats, 0, 1, steps), rates))
	s := &wholeStep{params: net.Params, spare: device.MatrixOf(floats, 3*steps, 1, n), clock: device.WordsOf(words, 0, device.ClockWords)}
	s.program, err = dev.Record(func() {
		net.Gradient(model.Source{Data: data, Part: device.Rows{Hi: batch}, Shuffle: true, Seed: 1, Clock: s.clock}, batch)
		state.Apply(dev, optim.Step{Params: net.Params, Grads: net.Grads, GradSq: net.GradSq(), Loss: net.MeanLoss(), Rates: device.MatrixOf(floats, 0, 1, steps), Clock: s.clock})
		dev.Tick(device.TickArgs{Clock: s.clock, Values: net.Values, Log: device.MatrixOf(floats, steps, steps, 2)}) // 0 examples: the same minibatch again
	})
	must(t, err)
	return s
}
