//go:build cuda

package gpu_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gpudae/cuda/cudatest"
	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/gpu"
	"gpudae/kernels"
	"gpudae/model"
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
		{"spikes", score("single:0.3", 12), wave(150, 9), func(c *train.Config) { c.SkipSpikes, c.Batch, c.Epochs, c.LR = 0.8, 16, 5, 1e-5 }, false},
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

// plainScore is a score net of those widths, which need not be an auto-encoder's, with noise
// levels, each with an embedding of so many columns, and its step, operation by operation.
type plainScore struct {
	widths               []int
	levels, extra, batch int
	params               []float32 // zero where absent
	rate                 float32
}

// train takes steps on a device, each with another minibatch, and returns parameters, and loss and norm of each step.
func (p *plainScore) train(t *testing.T, dev device.Device, steps int) (params, log []float32) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	alloc := func(rows, columns int) device.View {
		memory, err := dev.Alloc(device.Float, rows*columns)
		must(err)
		return device.MatrixOf(memory, 0, rows, columns)
	}
	filled := func(rows, columns int, value func(i int) float32) device.View {
		view, host := alloc(rows, columns), make([]float32, rows*columns)
		for i := range host {
			host[i] = value(i)
		}
		must(dev.Upload(view, host))
		return view
	}
	words := func(n int) device.Words {
		memory, err := dev.Alloc(device.Word, n)
		must(err)
		return device.WordsOf(memory, 0, n)
	}
	features, count := p.widths[0], 0
	for i, out := range p.widths[1:] {
		in := p.widths[i]
		if i == 0 {
			in += p.extra
		}
		count += (in + 1) * out
	}
	data, err := dev.Load(t.Context(), wave(p.batch*steps, features)(t))
	must(err)
	table := func(base float32) device.View {
		return filled(1, p.levels, func(i int) float32 { return base + float32(i)/float32(p.levels) })
	}
	sigma, scale, skip, out, weight := table(0.1), table(0.7), table(0.5), table(0.3), table(2)
	var embedding device.View
	if p.extra > 0 {
		embedding = filled(p.levels, p.extra, func(i int) float32 { return float32(math.Cos(float64(i))) })
	}
	level, index, clock := words(p.batch), words(device.IndexWords(p.batch)), words(device.ClockWords)
	must(dev.UploadWords(clock, make([]uint32, device.ClockWords)))
	arena := filled(1, count, func(i int) float32 {
		if p.params == nil {
			return 0
		}
		return p.params[i]
	})
	grads, first, second := alloc(1, count), filled(1, count, func(int) float32 { return 0 }), filled(1, count, func(int) float32 { return 0 })
	clean, noisy, input, denoised := alloc(p.batch, features), alloc(p.batch, features), alloc(p.batch, features+p.extra), alloc(p.batch, features)
	losses, values, kept, rates := alloc(p.batch, 1), alloc(1, 2), alloc(steps, 2), filled(1, steps, func(int) float32 { return p.rate })
	loss, norm := device.MatrixOf(values.Memory, 0, 1, 1), device.MatrixOf(values.Memory, 1, 1, 1)
	type layer struct {
		w, dw, b, db, x, y, dx device.View
		act                    device.Activation
	}
	var layers []layer
	x, at := input, 0
	for i, out := range p.widths[1:] {
		in := x.Columns
		l := layer{w: device.MatrixOf(arena.Memory, at, out, in), dw: device.MatrixOf(grads.Memory, at, out, in), b: device.MatrixOf(arena.Memory, at+in*out, 1, out),
			db: device.MatrixOf(grads.Memory, at+in*out, 1, out), x: x, y: alloc(p.batch, out), dx: alloc(p.batch, in), act: device.Tanh}
		if i == len(p.widths)-2 {
			l.act = device.Identity
		}
		at += (in + 1) * out
		layers, x = append(layers, l), l.y
	}
	step := func() {
		dev.Gather(device.GatherArgs{Data: data, Part: device.Rows{Hi: p.batch * steps}, Shuffle: true, Seed: 3, Replicates: 1, Clock: clock, X: clean, Index: index})
		dev.Diffuse(device.DiffuseArgs{Sigma: sigma, From: clean, To: noisy, Level: level, Seed: 5, Replicates: 1, Index: index, Clock: clock})
		dev.Condition(device.ConditionArgs{Level: level, Scale: scale, Embedding: embedding, X: noisy, Out: input})
		for _, l := range layers {
			dev.Dense(device.DenseArgs{X: l.x, W: l.w, Bias: l.b, Act: l.act, Y: l.y})
		}
		x := layers[len(layers)-1].y
		dev.Blend(device.BlendArgs{Level: level, Alpha: skip, Beta: out, X: noisy, Y: x, Out: denoised})
		dev.ScoreMatch(device.ScoreMatchArgs{Level: level, Weight: weight, OutScale: out, Denoised: denoised, Target: clean, Losses: losses, DF: x, Scale: 1 / float32(p.batch)})
		da := x
		for i := len(layers) - 1; i >= 0; i-- {
			l := layers[i]
			a := device.DenseBackwardArgs{DA: da, X: l.x, W: l.w, DW: l.dw, DBias: l.db}
			if i > 0 {
				a.DX, a.InAct = l.dx, device.Tanh
			}
			dev.DenseBackward(a)
			da = a.DX
		}
		dev.Reduce(device.ReduceArgs{Kind: device.Sum, X: device.MatrixOf(losses.Memory, 0, 1, p.batch), Out: loss})
		dev.Combine(device.CombineArgs{Alpha: 1 / float32(p.batch), A: loss, Dst: loss})
		dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: grads, Out: norm})
		dev.Update(device.UpdateArgs{Kind: device.SGD, Rates: rates, Clock: clock, GradSq: norm, Loss: loss, Params: arena, Grads: grads, First: first, Second: second})
		dev.Tick(device.TickArgs{Clock: clock, Rows: p.batch, Values: values, Log: kept})
	}
	program, err := dev.Record(step)
	must(err)
	for range steps {
		must(program())
	}
	params, log = make([]float32, count), make([]float32, 2*steps)
	must(dev.Download(params, arena))
	must(dev.Download(log, kept))
	return params, log
}

// TestScoreNetOfAnyWidths: nets that are no auto-encoders, with minibatches of a cluster's most and
// of odd numbers of rows, have the reference's losses, norms and, by one step of gradient descent, gradients.
func TestScoreNetOfAnyWidths(t *testing.T) {
	for _, p := range []plainScore{
		{widths: []int{2, 128, 128, 2}, levels: 1, batch: 512},
		{widths: []int{2, 128, 128, 2}, levels: 10, extra: 6, batch: 96},
		{widths: []int{2, 128, 128, 128, 2}, levels: 4, extra: 16, batch: 300}, // in passes
		{widths: []int{5, 17, 64, 33, 5}, levels: 3, extra: 12, batch: 131},
		{widths: []int{1, 3, 1}, levels: 2, batch: 3},
	} {
		name := fmt.Sprint(p.widths, p.batch)
		in := p.widths[0] + p.extra
		for _, out := range p.widths[1:] {
			for range (in + 1) * out {
				p.params = append(p.params, float32(math.Sin(float64(len(p.params)*len(p.params)%877)))/float32(math.Sqrt(float64(in))))
			}
			in = out
		}
		const steps = 3
		_, log := p.train(t, reference.New(), steps)
		p.rate = 100
		want, _ := p.train(t, reference.New(), 1)
		for _, class := range scoreClasses {
			dev := open(t, gpu.Options{Class: class.class})
			p.rate = 0
			_, got := p.train(t, dev, steps)
			if how := dev.RecordedAs(); !strings.HasPrefix(how, "one kernel for many steps, "+class.kernel.String()+" in ") {
				t.Fatalf("%s: %s", name, how)
			}
			for i := range log {
				within(t, fmt.Sprintf("%s, %s: loss or squared norm %d", name, class.class, i), float64(got[i]), float64(log[i]), class.loss*float64(1+3*(i%2)))
			}
			p.rate = 100
			params, _ := p.train(t, dev, 1)
			class.hasGradient(t, name, len(p.widths)-1, p.params, want, params)
			if err := dev.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestScoreNetHasTheNoise: a net whose parameters are 0 has a loss of noise alone, of one number where
// there is one example of one feature: it is the graph's bit for bit, step by step.
func TestScoreNetHasTheNoise(t *testing.T) {
	p := plainScore{widths: []int{1, 3, 1}, levels: 7, extra: 2, batch: 1}
	const steps = 200
	graph, dev := open(t, gpu.Options{Graphs: true}), open(t, gpu.Options{})
	defer graph.Close()
	defer dev.Close()
	_, want := p.train(t, graph, steps)
	_, got := p.train(t, dev, steps)
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
