package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gpudae/cpu"
	"gpudae/device"
)

// recorded returns the program of body.
func recorded(t testing.TB, dev device.Device, body func()) device.Program {
	t.Helper()
	program, err := dev.Record(body)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func run(t testing.TB, program device.Program, times int) {
	t.Helper()
	for range times {
		if err := program(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecordedSteps compares training steps with the same operations one by one: parameters,
// averages and moments bit for bit, where clipping does not use the norm, whose sum has another order. Without
// clipping the weights' gradients are not stored. The batches are such that gradients come by rows of tiles, of k in
// two blocks, from panels too large to be read for each row, from one panel of zeros left out, and in bfloat16.
func TestRecordedSteps(t *testing.T) {
	t.Parallel()
	devices := map[string]func(threads int) *cpu.Device{}
	for _, name := range cpu.KernelNames() {
		devices[name] = func(threads int) *cpu.Device { return openWith(t, threads, name) }
	}
	for _, name := range cpu.BFloat16Names() {
		devices[name] = func(threads int) *cpu.Device { return openBFloat16(t, threads, name) }
	}
	for name, open := range devices {
		for i, k := range variants() {
			size := sizes{rows: 1200, features: 101, hidden: 133, batch: []int{45, 1100, 33, 600}[i%4]}
			if size.batch > 45 && name == "generic" {
				size.batch = 45
			}
			// ReLU's zeros are left out, and their gradients stored.
			stores := size.batch > 45 || k.act == device.ReLU
			compareSteps(t, name, open, size, k, stores)
			if k.act == device.ReLU || k.corruption == device.CorruptMasking {
				for _, narrow := range []sizes{{400, 300, 64, 45}, {400, 64, 64, 40}, {400, 300, 64, 300}} {
					if narrow.batch <= 45 || name != "generic" {
						compareSteps(t, name, open, narrow, k, true)
					}
				}
			}
		}
	}
}

// compareSteps compares recorded steps with the same operations one by one, by devices of so many threads.
func compareSteps(t *testing.T, name string, open func(threads int) *cpu.Device, size sizes, k kinds, stores bool) {
	const hardly = 1e30
	t.Run(fmt.Sprint(name, " ", size, " ", k), func(t *testing.T) {
		for _, clip := range []float32{0, hardly} {
			want := newNetwork(t, open(1), size, k)
			want.clip = clip
			run(t, func() error { want.step(); return nil }, 3)
			for _, threads := range threadCounts() {
				got := newNetwork(t, open(threads), size, k)
				got.clip = clip
				run(t, recorded(t, got.dev, got.step), 3)
				compareNetworks(t, fmt.Sprint(threads, " threads, clip ", clip, ": "), got, want)
				dw, _, _, _, _, _, _, _ := got.layers(got.grads)
				stored := slices.ContainsFunc(download(t, got.dev, dw), func(g float32) bool { return g != 0 })
				if stored && clip == 0 && !stores {
					t.Error("the gradient of weights was stored")
				}
			}
		}
	})
}

// compareNetworks compares the bits of what training changes, and the norms.
func compareNetworks(t *testing.T, what string, got, want *network) {
	t.Helper()
	for _, v := range []struct {
		name      string
		got, want device.View
	}{
		{"parameters", got.params, want.params}, {"average", got.average, want.average},
		{"first moments", got.first, want.first}, {"second moments", got.second, want.second},
	} {
		sameBits(t, what+v.name, download(t, got.dev, v.got), download(t, want.dev, v.want))
	}
	values, expected := download(t, got.dev, got.values), download(t, want.dev, want.values)
	if values[0] != expected[0] || !(math.Abs(float64(values[1]-expected[1])) <= 1e-6*float64(expected[1])) {
		t.Errorf("%sloss and squared norm are %v, want %v", what, values, expected)
	}
}

// TestThreadsDoNotChangeRecordedSteps is TestThreadsDoNotChangeResults with clipping by a norm that is
// added up where the gradients are made.
func TestThreadsDoNotChangeRecordedSteps(t *testing.T) {
	t.Parallel()
	for _, kernels := range cpu.KernelNames() {
		for _, features := range []int{101, 640} {
			size := sizes{rows: 100, features: features, hidden: 133, batch: 45}
			for _, k := range variants()[:2] {
				var want []float32
				for _, threads := range []int{1, 2, 3, 7} {
					n := newNetwork(t, openWith(t, threads, kernels), size, k)
					run(t, recorded(t, n.dev, n.step), 3)
					got := n.state(t)
					if want == nil {
						want = got
					}
					sameBits(t, fmt.Sprint(kernels, " ", threads, " threads ", k), got, want)
				}
			}
		}
	}
}

// twoLayers are the operands of programs of two layers side by side, 70-90, and an update of their weights.
type twoLayers struct {
	dev                                       *cpu.Device
	x, da, dx, y                              device.View
	params, grads, first, second, loss, norms device.View
	update                                    device.UpdateArgs
}

const twoLayersIn, twoLayersOut, twoLayersBatch = 70, 90, 40

func newTwoLayers(t *testing.T, dev *cpu.Device) *twoLayers {
	t.Helper()
	const in, out, batch, count = twoLayersIn, twoLayersOut, twoLayersBatch, 2 * twoLayersIn * twoLayersOut
	p := &twoLayers{dev: dev}
	random := rand.New(rand.NewPCG(1, 2))
	matrix := func(rows, columns int) device.View {
		return upload(t, p.dev, rows, columns, randomMatrix(random, rows, columns))
	}
	p.x, p.da, p.dx, p.y = matrix(batch, in), matrix(2*batch, out), matrix(batch, in), matrix(batch, out)
	p.params, p.grads = matrix(1, count), upload(t, p.dev, 1, count, make([]float32, count))
	p.first, p.second = upload(t, p.dev, 1, count, make([]float32, count)), upload(t, p.dev, 1, count, make([]float32, count))
	p.loss, p.norms = upload(t, p.dev, 1, 1, []float32{1}), upload(t, p.dev, 1, 1, []float32{0})
	clock, err := p.dev.Alloc(device.Word, device.ClockWords)
	if err != nil {
		t.Fatal(err)
	}
	p.update = device.UpdateArgs{
		Kind: device.Adam, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.1, Decayed: count * 3 / 4, Rates: upload(t, p.dev, 1, 2, []float32{1e-2, 1e-2}),
		Clock: device.WordsOf(clock, 0, device.ClockWords), GradSq: p.norms, Loss: p.loss, Params: p.params, Grads: p.grads, First: p.first, Second: p.second,
	}
	return p
}

// weights are those of layer i in an arena.
func (p *twoLayers) weights(arena device.View, i int) device.View {
	return device.MatrixOf(arena.Memory, i*twoLayersIn*twoLayersOut, twoLayersOut, twoLayersIn)
}

// backward makes the gradient of layer i.
func (p *twoLayers) backward(i int) device.DenseBackwardArgs {
	da := device.MatrixOf(p.da.Memory, i*twoLayersBatch*twoLayersOut, twoLayersBatch, twoLayersOut)
	return device.DenseBackwardArgs{DA: da, X: p.x, W: p.weights(p.params, i), DX: p.dx, DW: p.weights(p.grads, i)}
}

func (p *twoLayers) finish() {
	p.dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: p.grads, Out: p.norms})
	p.dev.Update(p.update)
}

// all is everything that a program may change.
func (p *twoLayers) all(t *testing.T) []float32 {
	t.Helper()
	var all []float32
	for _, v := range []device.View{p.params, p.first, p.second, p.dx, p.y, p.loss} {
		all = append(all, download(t, p.dev, v)...)
	}
	return all
}

// oneNumber is memory that a test may write a number to.
func (p *twoLayers) oneNumber() device.View { return p.y.Top(1).Reshape(p.y.Columns, 1).Top(1) }

// TestRecordedAsIssued: what a recorded program does early makes no difference where operations look at what it changes.
func TestRecordedAsIssued(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]func(p *twoLayers){
		"plain": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(p.backward(1))
			p.finish()
		},
		"weights are read afterwards": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(p.backward(1))
			p.dev.Dense(device.DenseArgs{X: p.x, W: p.weights(p.params, 0), Y: p.y})
			p.finish()
		},
		"weights are shared": func(p *twoLayers) {
			second := p.backward(1)
			second.W = p.weights(p.params, 0)
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(second)
			p.finish()
		},
		"gradients are added": func(p *twoLayers) {
			second := p.backward(1)
			second.DW, second.Accumulate = p.weights(p.grads, 0), true
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(second)
			p.finish()
		},
		"a gradient is read afterwards": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(p.backward(1))
			p.dev.Combine(device.CombineArgs{Alpha: 2, A: p.weights(p.grads, 1), Dst: p.weights(p.grads, 1)})
			p.finish()
		},
		"moments are read between": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.Combine(device.CombineArgs{Alpha: 1, A: p.weights(p.first, 0).Top(1), Dst: p.x.Top(1)})
			p.dev.DenseBackward(p.backward(1))
			p.finish()
		},
		"the loss comes late": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(p.backward(1))
			p.dev.Reduce(device.ReduceArgs{Kind: device.Sum, X: p.x, Out: p.loss})
			p.dev.Combine(device.CombineArgs{Alpha: 0.5, A: p.loss, Dst: p.loss})
			p.finish()
		},
		"the loss is of a gradient": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(p.backward(1))
			p.dev.Reduce(device.ReduceArgs{Kind: device.Sum, X: p.dx, Out: p.loss})
			p.finish()
		},
		"the norm is of a part": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(p.backward(1))
			p.dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: p.weights(p.grads, 0), Out: p.norms})
			p.dev.Update(p.update)
		},
		"the clock is set between": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.Tick(device.TickArgs{Clock: p.update.Clock})
			p.dev.DenseBackward(p.backward(1))
			p.finish()
		},
		"the loss comes late and no layer updates itself": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(p.backward(1))
			p.dev.Combine(device.CombineArgs{Alpha: 0.5, A: p.loss, Dst: p.loss})
			p.dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: p.params, Out: p.oneNumber()})
			p.finish()
		},
		"a gradient is read behind the update": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(p.backward(1))
			p.finish()
			p.dev.Reduce(device.ReduceArgs{Kind: device.Sum, X: p.weights(p.grads, 1), Out: p.oneNumber()})
		},
		"a layer has no units": func(p *twoLayers) {
			empty := p.backward(1)
			empty.DX, empty.DBias, empty.DA = device.View{}, device.View{}, device.MatrixOf(p.da.Memory, 0, p.x.Rows, 0)
			empty.W, empty.DW = device.MatrixOf(p.params.Memory, p.params.Len(), 0, p.x.Columns), device.MatrixOf(p.grads.Memory, p.grads.Len(), 0, p.x.Columns)
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(p.backward(1))
			p.dev.DenseBackward(empty)
			p.finish()
		},
		"two updates": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.DenseBackward(p.backward(1))
			p.finish()
			p.dev.DenseBackward(p.backward(1))
			p.finish()
		},
		"no update": func(p *twoLayers) {
			p.dev.DenseBackward(p.backward(0))
			p.dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: p.grads, Out: p.norms})
		},
	} {
		t.Run(name, func(t *testing.T) {
			want, got := newTwoLayers(t, open(t, 2)), newTwoLayers(t, open(t, 2))
			body(want)
			run(t, recorded(t, got.dev, func() { body(got) }), 1)
			sameBits(t, "what it leaves", got.all(t), want.all(t))
			norm, expected := download(t, got.dev, got.norms)[0], download(t, want.dev, want.norms)[0]
			if !(math.Abs(float64(norm-expected)) <= 1e-6*float64(expected)) {
				t.Errorf("the squared norm is %g, want %g", norm, expected)
			}
		})
	}
}

// TestRecordedStepsThatDiverge: a loss that is not finite leaves everything as it was; of a gradient that is not, or has no
// square in float32, parameters and moments stay, and those of the other layer change.
func TestRecordedStepsThatDiverge(t *testing.T) {
	t.Parallel()
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, kernels := range cpu.KernelNames() {
		for _, c := range []struct {
			loss, element float32 // of a unit's gradient; 0: all are as they were
			unit          int
			last          bool // only the unit's last weight has it
		}{
			{nan, 0, 0, false}, {inf, 0, 0, false}, {1, inf, 5, false}, {1, nan, 5, false}, {1, 1e20, 5, false},
			{1, 1e20, twoLayersOut - 1, true},
		} {
			t.Run(fmt.Sprintf("%s %+v", kernels, c), func(t *testing.T) {
				p := newTwoLayers(t, openWith(t, 2, kernels))
				set := func(v device.View, at int, values ...float32) {
					if err := p.dev.Upload(device.MatrixOf(v.Memory, at, 1, len(values)), values); err != nil {
						t.Fatal(err)
					}
				}
				set(p.loss, 0, c.loss)
				if c.element != 0 {
					set(p.da, 3*twoLayersOut+c.unit, c.element)
				}
				if c.last {
					set(p.x, 3*twoLayersIn, append(make([]float32, twoLayersIn-1), 1)...)
				}
				before := download(t, p.dev, p.params)
				run(t, recorded(t, p.dev, func() {
					p.dev.DenseBackward(p.backward(0))
					p.dev.DenseBackward(p.backward(1))
					p.finish()
				}), 1)
				after, moments := download(t, p.dev, p.params), download(t, p.dev, p.second)
				changed := func(i int) bool { return after[i] != before[i] || moments[i] != 0 }
				for i := range before {
					unit, column := i/twoLayersIn, i%twoLayersIn
					switch {
					case c.element == 0 && changed(i):
						t.Fatalf("parameter %d changed", i)
					case c.element != 0 && unit == c.unit && (!c.last || column == twoLayersIn-1) && changed(i):
						t.Fatalf("parameter %d has such a gradient and changed", i)
					case c.element != 0 && unit >= twoLayersOut && !changed(i):
						t.Fatalf("parameter %d of the other layer did not change", i)
					}
				}
				if norm := download(t, p.dev, p.norms)[0]; c.element != 0 && norm-norm == 0 {
					t.Errorf("the squared norm is %g", norm)
				}
			})
		}
	}
}
