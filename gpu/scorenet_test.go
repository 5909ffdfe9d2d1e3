//go:build cuda

package gpu_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
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

// scoreCases are runs of score nets that a cluster of blocks holds.
func scoreCases() []smallCase {
	score := func(noise string, hidden ...int) model.Config {
		return model.Config{Hidden: hidden, Objective: model.ObjectiveDSM, Score: model.Score{Noise: noise}}
	}
	with := func(c model.Config, change func(c *model.Config)) model.Config {
		change(&c)
		return c
	}
	batch := func(n int) func(*train.Config) { return func(c *train.Config) { c.Batch, c.Val = n, 0 } }
	return []smallCase{
		{"one level", score("single:0.3", 128), wave(512, 2), batch(512), false},
		{"levels, embedding, odd rows", score("geometric:0.05,1,6", 40), wave(200, 3), batch(83), false},
		{"levels, no embedding, tanh", with(score("geometric:0.05,1,3", 24, 17), func(c *model.Config) { c.Score.Embedding, c.Activation = "none", "tanh" }), wave(230, 7), batch(96), false},
		{"few rows, gelu, adamw, average", with(score("single:0.5", 20), func(c *model.Config) { c.Activation = "gelu" }), wave(24, 5),
			func(c *train.Config) { c.Batch, c.Val, c.Optimizer, c.EMA = 5, 0, "adamw:decay=0.01", 0.9 }, false},
		{"replicates, bytes, sgd", with(score("single:0.2", 33), func(c *model.Config) { c.Replicates = 3 }), someDigits,
			func(c *train.Config) { c.Batch, c.Optimizer = 30, "sgd:nesterov" }, false},
		{"clipped, silu", with(score("geometric:0.1,2,4", 16), func(c *model.Config) { c.Activation = "silu" }), wave(100, 4),
			func(c *train.Config) { c.Batch, c.Clip = 40, 0.1 }, true},
		{"spikes", score("single:0.3", 12), wave(150, 9), func(c *train.Config) { c.SkipSpikes, c.Batch, c.Epochs, c.LR = 1.05, 16, 5, 1e-5 }, false},
	}
}

// scoreClasses are the classes with a kernel of score nets.
var scoreClasses = []netClass{
	{kernels.Float32, kernels.ScoreNetBF16x3, 1e-4, 1e-5},
	{kernels.BFloat16, kernels.ScoreNetBF16, 1e-2, 1e-2},
}

// TestScoreNetFollowsTheReference: in each class the loss curves are the reference's.
func TestScoreNetFollowsTheReference(t *testing.T) {
	followTheReference(t, scoreCases(), scoreClasses)
}

// TestScoreNetHasTheGradient: what one step of plain gradient descent adds to the parameters is
// the gradient, by the norm as near to that of the graph's strict products as the class promises of
// a product, for each layer. Noise that were another would be far off.
func TestScoreNetHasTheGradient(t *testing.T) {
	for _, c := range scoreCases() {
		if c.model.Activation == "" { // at 0 rounding decides which slope a unit has
			c.model.Activation = "elu"
		}
		change := c.change
		step := func(class kernels.Class, rate float64) []float32 {
			c.change = func(t *train.Config) {
				change(t)
				t.Optimizer, t.LR, t.Epochs, t.Val, t.Clip, t.EMA, t.SkipSpikes = "sgd:momentum=0", rate, 1, 0, 0, 0, 0
			}
			table := c.table(t)
			config := train.DefaultConfig()
			c.change(&config)
			table.Rows = min(table.Rows, config.Batch)
			table.Float32, table.Uint8 = table.Float32[:min(len(table.Float32), table.Rows*table.Columns)], table.Uint8[:min(len(table.Uint8), table.Rows*table.Columns)]
			one := c
			one.table = func(*testing.T) device.Table { return table }
			dev := open(t, gpu.Options{Class: class})
			defer dev.Close()
			params := one.run(t, dev).Params
			if how := dev.RecordedAs(); strings.HasPrefix(how, "one kernel") != (class != kernels.Strict) {
				t.Fatal(how)
			}
			return params
		}
		start, want := step(kernels.Strict, 1e-30), step(kernels.Strict, 100)
		for _, class := range scoreClasses {
			class.hasGradient(t, c.name, 2*len(c.model.Hidden), start, want, step(class.class, 100))
		}
	}
}

// scoreRun is a score net of those widths with noise levels, each with an embedding of so many columns, trained
// by plain gradient descent from parameters, zero where absent.
type scoreRun struct {
	widths               []int
	levels, extra, batch int
	params               []float32
	rate                 float32
}

// dae is the model: all but the first and the last of its widths are hidden layers of the encoder.
func (r *scoreRun) dae(t *testing.T) *model.DAE {
	t.Helper()
	last := len(r.widths) - 1
	c := model.Config{Features: r.widths[0], Hidden: r.widths[1:last], DecoderHidden: model.DecoderBare, Activation: "tanh",
		Objective: model.ObjectiveDSM, Score: model.Score{Noise: fmt.Sprintf("geometric:0.1,1,%d", r.levels), Embedding: "none"}}
	if r.levels == 1 {
		c.Score.Noise = "single:0.3"
	}
	if r.extra > 0 {
		c.Score.Embedding = fmt.Sprintf("positional:width=%d", r.extra)
	}
	dae, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return dae
}

// train takes steps on a device, each with another minibatch, and returns parameters, and loss and norm of each step.
func (r *scoreRun) train(t *testing.T, dev device.Device, steps int) (params, log []float32) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dae := r.dae(t)
	count := dae.ParameterCount()
	net, err := model.Bind(dev, dae, model.Binding{Examples: r.batch, Training: true})
	must(err)
	start := r.params
	if start == nil {
		start = make([]float32, count)
	}
	must(net.SetParameters(start, dae.InitialBuffers()))
	data, err := dev.Load(t.Context(), wave(r.batch*steps, r.widths[0])(t))
	must(err)
	rule, err := optim.ParseRule("sgd:momentum=0")
	must(err)
	state, err := optim.NewState(dev, rule, count, 0)
	must(err)
	words, err := dev.Alloc(device.Word, device.ClockWords)
	must(err)
	floats, err := dev.Alloc(device.Float, 3*steps)
	must(err)
	clock, rates, kept := device.WordsOf(words, 0, device.ClockWords), device.MatrixOf(floats, 0, 1, steps), device.MatrixOf(floats, steps, steps, 2)
	must(dev.UploadWords(clock, make([]uint32, device.ClockWords)))
	must(dev.Upload(rates, slices.Repeat([]float32{r.rate}, steps)))
	program, err := dev.Record(func() {
		net.Gradient(model.Source{Data: data, Part: device.Rows{Hi: r.batch * steps}, Shuffle: true, Seed: 3, Clock: clock}, r.batch)
		state.Apply(dev, optim.Step{Params: net.Params, Grads: net.Grads, GradSq: net.GradSq(), Loss: net.MeanLoss(), Rates: rates, Clock: clock})
		dev.Tick(device.TickArgs{Clock: clock, Rows: r.batch, Values: net.Values, Log: kept})
	})
	must(err)
	for range steps {
		must(program())
	}
	params, log = make([]float32, count), make([]float32, 2*steps)
	must(dev.Download(params, net.Params))
	must(dev.Download(log, kept))
	return params, log
}

// TestScoreNetOfAnyWidths: nets whose decoder is one layer, with minibatches of a cluster's most and
// of odd numbers of rows, have the reference's losses, norms and, by one step of gradient descent, gradients.
func TestScoreNetOfAnyWidths(t *testing.T) {
	for _, r := range []scoreRun{
		{widths: []int{2, 128, 128, 2}, levels: 1, batch: 512},
		{widths: []int{2, 128, 128, 2}, levels: 10, extra: 6, batch: 96},
		{widths: []int{2, 128, 128, 128, 2}, levels: 4, extra: 16, batch: 300}, // in passes
		{widths: []int{5, 17, 64, 33, 5}, levels: 3, extra: 12, batch: 131},
		{widths: []int{1, 3, 1}, levels: 2, batch: 3},
	} {
		name := fmt.Sprint(r.widths, r.batch)
		r.params = r.dae(t).InitialParameters(7)
		const steps = 3
		_, log := r.train(t, reference.New(), steps)
		r.rate = 100
		want, _ := r.train(t, reference.New(), 1)
		for _, class := range scoreClasses {
			dev := open(t, gpu.Options{Class: class.class})
			r.rate = 0
			_, got := r.train(t, dev, steps)
			if how := dev.RecordedAs(); !strings.HasPrefix(how, "one kernel for many steps, "+class.kernel.String()+" in ") {
				t.Fatalf("%s: %s", name, how)
			}
			for i := range log {
				within(t, fmt.Sprintf("%s, %s: loss or squared norm %d", name, class.class, i), float64(got[i]), float64(log[i]), class.loss*float64(1+3*(i%2)))
			}
			r.rate = 100
			params, _ := r.train(t, dev, 1)
			class.hasGradient(t, name, len(r.widths)-1, r.params, want, params)
			if err := dev.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestScoreNetHasTheNoise: a net whose parameters are 0 has a loss of noise alone, of one number where
// there is one example of one feature: it is the graph's bit for bit, step by step.
func TestScoreNetHasTheNoise(t *testing.T) {
	r := scoreRun{widths: []int{1, 3, 1}, levels: 7, extra: 2, batch: 1}
	const steps = 200
	graph, dev := open(t, gpu.Options{Graphs: true}), open(t, gpu.Options{})
	defer graph.Close()
	defer dev.Close()
	_, want := r.train(t, graph, steps)
	_, got := r.train(t, dev, steps)
	if how := dev.RecordedAs(); !strings.HasPrefix(how, "one kernel") {
		t.Fatal(how)
	}
	different := map[float32]bool{}
	for i := range steps {
		if different[want[2*i]] = true; math.Float32bits(got[2*i]) != math.Float32bits(want[2*i]) {
			t.Fatalf("step %d: the loss is %g, the graph's %g", i, got[2*i], want[2*i])
		}
	}
	if len(different) < steps*9/10 {
		t.Errorf("%d steps have %d different losses", steps, len(different))
	}
}

// TestScoreNetTakesOneLaunch: a hundred steps are one launch, in which the host neither waits nor
// copies.
func TestScoreNetTakesOneLaunch(t *testing.T) {
	c := scoreCases()[0]
	c.model.Hidden, c.table = []int{4}, wave(2000, 2)
	c.change = func(c *train.Config) { c.Batch, c.Val, c.Epochs = 20, 0, 1 }
	c.takesOneLaunch(t, kernels.ScoreNetBF16x3, 100)
}

// TestScoreNetInAnyOrder: whatever the order of threads and blocks, a run ends at the same weights.
func TestScoreNetInAnyOrder(t *testing.T) {
	c := scoreCases()[1]
	c.inAnyOrder(t, kernels.Float32, 20)
}

// TestScoreNetWantsClusters: without them, or without products of the class, a score net is a
// graph that says why.
func TestScoreNetWantsClusters(t *testing.T) {
	c := scoreCases()[0]
	for want, options := range map[string]struct {
		capability int
		class      kernels.Class
	}{
		"that takes compute capability 9.0": {80, kernels.Float32},
		"there are no products of strict":   {90, kernels.Strict},
	} {
		cudatest.Set(t, "SOFTDRIVER_CAPABILITY", options.capability)
		dev := open(t, gpu.Options{Class: options.class})
		c.run(t, dev)
		if how := dev.RecordedAs(); !strings.HasPrefix(how, "graph of ") || !strings.Contains(how, want) {
			t.Errorf("%q does not say %q", how, want)
		}
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
