//go:build cuda

package gpu_test

import (
	"fmt"
	"math"
	"testing"

	"gpudae/cuda/cudatest"
	"gpudae/device"
	"gpudae/gpu"
	"gpudae/kernels"
	"gpudae/model"
	"gpudae/optim"
)

// trained is a net whose recorded step is made some times, and what that leaves.
type trained struct {
	dev     *gpu.Device
	net     *model.Net
	state   *optim.State
	program device.Program
	log     device.View
}

// training is a net, its data and its optimiser.
type training struct {
	config model.Config
	batch  int
	table  device.Table
	rule   string
	ema    float64
	params []float32 // nil: the initial ones
}

const trainedSteps = 2 // the first step begins apart, the second where that ends

func (c training) on(t *testing.T, options gpu.Options) *trained {
	t.Helper()
	options.Graphs = true
	s := &trained{dev: open(t, options)}
	t.Cleanup(func() { s.dev.Close() })
	data, err := s.dev.Load(t.Context(), c.table)
	must(t, err)
	c.config.Features = c.table.Columns
	dae, err := model.New(c.config)
	must(t, err)
	s.net, err = model.Bind(s.dev, dae, model.Binding{Examples: c.batch, Training: true})
	must(t, err)
	if c.params == nil {
		c.params = dae.InitialParameters(1)
	}
	must(t, s.net.SetParameters(c.params, dae.InitialBuffers()))
	rule, err := optim.ParseRule(c.rule)
	must(t, err)
	s.state, err = optim.NewState(s.dev, rule, dae.ParameterCount(), c.ema)
	must(t, err)
	s.state.Reset(s.dev, s.net.Params)
	words, err := s.dev.Alloc(device.Word, device.ClockWords)
	must(t, err)
	floats, err := s.dev.Alloc(device.Float, 3*trainedSteps)
	must(t, err)
	rates, clock := device.MatrixOf(floats, 0, 1, trainedSteps), device.WordsOf(words, 0, device.ClockWords)
	s.log = device.MatrixOf(floats, trainedSteps, trainedSteps, 2)
	must(t, s.dev.Upload(rates, []float32{0.002, 0.001}))
	s.program, err = s.dev.Record(func() {
		s.net.Gradient(model.Source{Data: data, Part: device.Rows{Hi: c.table.Rows}, Shuffle: true, Seed: 1, Clock: clock}, c.batch)
		s.state.Apply(s.dev, optim.Step{Params: s.net.Params, Grads: s.net.Grads, GradSq: s.net.GradSq(), Loss: s.net.MeanLoss(),
			Rates: rates, Clock: clock, Decayed: dae.DecayedCount()})
		s.dev.Tick(device.TickArgs{Clock: clock, Values: s.net.Values, Log: s.log}) // 0 examples: the same minibatch again
	})
	must(t, err)
	return s
}

func (s *trained) steps(t *testing.T, n int) {
	t.Helper()
	for range n {
		must(t, s.program())
	}
	must(t, s.dev.Sync())
}

// read is what lies in a view; nothing where that is absent.
func (s *trained) read(t *testing.T, v device.View) []float32 {
	t.Helper()
	if v.IsZero() {
		return nil
	}
	x := make([]float32, v.Len())
	must(t, s.dev.Download(x, v))
	return x
}

// is compares bits with those of another device.
func (s *trained) is(t *testing.T, want *trained) {
	t.Helper()
	for name, of := range map[string]func(*trained) device.View{
		"parameter":     func(s *trained) device.View { return s.net.Params },
		"first moment":  func(s *trained) device.View { return s.state.First },
		"second moment": func(s *trained) device.View { return s.state.Second },
		"average":       func(s *trained) device.View { return s.state.EMA },
	} {
		got, want := s.read(t, of(s)), want.read(t, of(want))
		if i := firstDifference(got, want); i >= 0 {
			t.Errorf("%s %d is %g, and %g by one operation after the other", name, i, got[i], want[i])
		}
	}
}

// TestUpdatesAreMadeWithTheGradient: a step without clipping leaves no gradient, and the parameters, moments and averages of
// operations one by one, bit for bit: for each optimiser with weight decay, in each class, for shapes that no quad and no tile divides, with
// sums of the gradients of weights, of inputs, and of neither shared, at two orders of threads and blocks.
func TestUpdatesAreMadeWithTheGradient(t *testing.T) {
	rules := []string{"adam:decay=0.02", "adamw:decay=0.1", "sgd:nesterov,decay=0.01", "rmsprop:decay=0.01", "adagrad"}
	for i, c := range []struct {
		in, hidden, batch int
	}{{50, 203, 500}, {397, 101, 120}, {33, 7, 9}} {
		for j, class := range kernels.Classes() {
			rule := rules[(4*i+j)%len(rules)]
			t.Run(fmt.Sprintf("%d-%d, %s, %s", c.in, c.hidden, class, rule), func(t *testing.T) {
				run := training{config: model.Config{Hidden: []int{c.hidden}, Activation: "gelu", Corruption: "masking:0.2", Likelihood: "gaussian"},
					batch: c.batch, table: wave(c.batch, c.in)(t), rule: rule, ema: float64((i+j)%2) * 0.9}
				want := run.on(t, gpu.Options{Class: class, Blocking: true})
				want.steps(t, trainedSteps)
				for _, seed := range []int{0, 1} {
					cudatest.Set(t, "SOFTDRIVER_SEED", seed)
					got := run.on(t, gpu.Options{Class: class})
					got.steps(t, trainedSteps)
					got.is(t, want)
					for k, g := range got.read(t, got.net.Grads) {
						if g != 0 {
							t.Fatalf("element %d of the gradient was stored", k)
						}
					}
					losses, norms := got.read(t, got.log), want.read(t, want.log)
					for k := range losses {
						near(t, fmt.Sprintf("value %d of the log", k), float64(losses[k]), float64(norms[k]))
					}
				}
			})
		}
	}
}

// TestUpdatesOfWeightsThatAreRead: blocks that update weights wait for those of the same launch that read them, and the latter's
// sums are shared; it is short enough for the access checker.
func TestUpdatesOfWeightsThatAreRead(t *testing.T) {
	const in, hidden, batch = 1400, 130, 24
	if c := (kernels.Backward{Rows: batch, In: hidden, Out: in, DX: true, DW: true, DBias: true}).Choose(kernels.Float32, 4); c.Depth == 0 {
		t.Fatalf("no sums are shared: %+v", c)
	}
	run := training{config: model.Config{Hidden: []int{hidden}, Corruption: "masking:0.2", Likelihood: "gaussian"}, batch: batch, table: wave(batch, in)(t), rule: "adam", ema: 0.9}
	want, got := run.on(t, gpu.Options{Blocking: true}), run.on(t, gpu.Options{})
	want.steps(t, trainedSteps)
	got.steps(t, trainedSteps)
	got.is(t, want)
}

// TestUpdatesOfAnElementThatIsNotFinite: where the gradient of some parameters overflows and the loss does not, those keep
// their values, the others are updated, and the norm in the log says that the step was none.
func TestUpdatesOfAnElementThatIsNotFinite(t *testing.T) {
	const in, hidden, batch, column = 6, 5, 8, 2
	table := wave(batch, in)(t)
	for i := range batch {
		table.Float32[i*in+column] = 3e38 / batch
	}
	config := model.Config{Features: in, Hidden: []int{hidden}, Activation: "tanh", CodeActivation: "tanh", Likelihood: "bernoulli"}
	dae, err := model.New(config)
	must(t, err)
	params := dae.InitialParameters(1)
	for h := range hidden {
		params[h*in+column] = 0 // so that the code is finite
	}
	run := training{config: config, batch: batch, table: table, rule: "sgd:momentum=0", params: params}
	one := run.on(t, gpu.Options{Blocking: true})
	one.steps(t, 1)
	gradient, before := one.read(t, one.net.Grads), params
	for i, x := range one.read(t, one.net.Params) {
		if x != before[i] {
			t.Fatalf("operations one by one have made a step whose norm is not finite: parameter %d", i)
		}
	}
	got := run.on(t, gpu.Options{})
	got.steps(t, 1)
	left, updated := 0, 0
	for i, x := range got.read(t, got.net.Params) {
		want := before[i] - float32(0.002)*gradient[i]
		if g := float64(gradient[i]); math.IsInf(g, 0) || math.IsNaN(g) {
			want = before[i]
			left++
		} else if want != before[i] {
			updated++
		}
		if math.Float32bits(x) != math.Float32bits(want) {
			t.Errorf("parameter %d with the gradient %g is %g, want %g", i, gradient[i], x, want)
		}
	}
	log := got.read(t, got.log)
	if left == 0 || updated == 0 || !finite(log[0]) || finite(log[1]) {
		t.Errorf("%d parameters are left and %d updated, loss %g, squared norm %g", left, updated, log[0], log[1])
	}
}

// TestUpdatesWithoutAFiniteLoss: of a step whose loss is not finite nothing is kept but the log.
func TestUpdatesWithoutAFiniteLoss(t *testing.T) {
	table := wave(8, 6)(t)
	table.Float32[13] = 3e38 // whose square is not finite
	run := training{config: model.Config{Hidden: []int{5}, Likelihood: "gaussian"}, batch: 8, table: table, rule: "adam", ema: 0.9}
	got, before := run.on(t, gpu.Options{}), run.on(t, gpu.Options{})
	got.steps(t, 2)
	got.is(t, before)
	if log := got.read(t, got.log); finite(log[0]) {
		t.Errorf("the loss is %g", log[0])
	}
}

func finite(x float32) bool { return x-x == 0 }
