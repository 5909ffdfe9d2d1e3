package cpu_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/philox"
)

// network is a small training loop written on a device: gather, corrupt, a
// hidden layer with normalisation and dropout, a decoder, the loss, the way
// back and the update. It touches every operation but those of evaluation.
type network struct {
	dev      device.Device
	data     device.Dataset
	sizes    sizes
	kinds    kinds
	clip     float32
	clock    device.Words
	index    device.Words
	x, noisy device.View
	mask     device.View
	pre, h   device.View
	out      device.View
	normal   device.View
	stats    [2]device.View
	losses   device.View
	values   device.View
	params   device.View
	grads    device.View
	first    device.View
	second   device.View
	average  device.View
	rates    device.View
	da, dh   device.View
}

type sizes struct{ rows, features, hidden, batch int }

// kinds are the variants that a network uses.
type kinds struct {
	corruption    device.Corruption
	act           device.Activation
	normalization device.Normalization
	likelihood    device.Likelihood
	optimizer     device.Optimizer
}

func newNetwork(t testing.TB, dev device.Device, s sizes, k kinds) *network {
	t.Helper()
	n := &network{dev: dev, sizes: s, kinds: k, clip: 1}
	random := rand.New(rand.NewPCG(1, 2))
	pixels := make([]uint8, s.rows*s.features)
	for i := range pixels {
		if random.IntN(5) == 0 { // as dense as MNIST
			pixels[i] = uint8(random.IntN(256))
		}
	}
	data, err := dev.Load(context.Background(), device.Table{Rows: s.rows, Columns: s.features, Uint8: pixels, Scale: 1.0 / 255})
	if err != nil {
		t.Fatal(err)
	}
	n.data = data
	matrix := func(rows, columns int) device.View {
		m, err := dev.Alloc(device.Float, rows*columns)
		if err != nil {
			t.Fatal(err)
		}
		return device.MatrixOf(m, 0, rows, columns)
	}
	words := func(count int) device.Words {
		m, err := dev.Alloc(device.Word, count)
		if err != nil {
			t.Fatal(err)
		}
		return device.WordsOf(m, 0, count)
	}
	n.clock, n.index = words(device.ClockWords), words(device.IndexWords(s.batch))
	n.x, n.noisy, n.mask = matrix(s.batch, s.features), matrix(s.batch, s.features), matrix(s.batch, s.features)
	n.pre, n.h, n.normal = matrix(s.batch, s.hidden), matrix(s.batch, s.hidden), matrix(s.batch, s.hidden)
	n.dh, n.out = matrix(s.batch, s.hidden), matrix(s.batch, k.likelihood.Width(s.features))
	n.da = matrix(s.batch, n.out.Columns)
	n.losses, n.values, n.rates = matrix(s.batch, 1), matrix(1, 2), matrix(1, 1000)
	group := s.batch
	if k.normalization == device.BatchNorm {
		group = s.hidden
	}
	n.stats = [2]device.View{matrix(1, group), matrix(1, group)}
	count := s.hidden*(s.features+1) + n.out.Columns*(s.hidden+1) + 4*s.hidden
	n.params, n.grads, n.first, n.second, n.average = matrix(1, count), matrix(1, count), matrix(1, count), matrix(1, count), matrix(1, count)
	initial := make([]float32, count)
	for i := range initial {
		initial[i] = float32(random.NormFloat64() * 0.1)
	}
	if err := dev.Upload(n.params, initial); err != nil {
		t.Fatal(err)
	}
	rates := make([]float32, n.rates.Len())
	for i := range rates {
		rates[i] = 1e-3
	}
	if err := dev.Upload(n.rates, rates); err != nil {
		t.Fatal(err)
	}
	return n
}

// layers cuts an arena into weights and biases.
func (n *network) layers(arena device.View) (w1, b1, gain, bias, w2, b2, running1, running2 device.View) {
	at := 0
	next := func(rows, columns int) device.View {
		v := device.MatrixOf(arena.Memory, at, rows, columns)
		at += rows * columns
		return v
	}
	w1, w2 = next(n.sizes.hidden, n.sizes.features), next(n.out.Columns, n.sizes.hidden)
	b1, gain, bias, b2 = next(1, n.sizes.hidden), next(1, n.sizes.hidden), next(1, n.sizes.hidden), next(1, n.out.Columns)
	return w1, b1, gain, bias, w2, b2, next(1, n.sizes.hidden), next(1, n.sizes.hidden)
}

func (n *network) step() {
	dev, k := n.dev, n.kinds
	part := device.Rows{Lo: 3, Hi: n.sizes.rows, Split: true, Seed: 7}
	dev.Gather(device.GatherArgs{
		Data: n.data, Part: part, Shuffle: true, Seed: 7, Replicates: 1, Clock: n.clock, X: n.x, Index: n.index,
	})
	dev.Corrupt(device.CorruptArgs{
		Kind: k.corruption, Rate: philox.Threshold(0.25), Length: 3, Amount: 0.25, From: n.x, To: n.noisy, Mask: n.mask, Low: n.x.Top(1), High: n.x.Top(1),
		Seed: 7, Replicates: 1, Index: n.index, Clock: n.clock, Data: n.data, Part: part,
	})
	w1, b1, gain, bias, w2, b2, mean, variance := n.layers(n.params)
	dw1, db1, dGain, dBias, dw2, db2, _, _ := n.layers(n.grads)
	dev.Dense(device.DenseArgs{X: n.noisy, W: w1, Bias: b1, Act: k.act, Pre: n.pre, Y: n.h})
	dev.Normalize(device.NormalizeArgs{
		Kind: k.normalization, Training: true, Epsilon: 1e-5, Momentum: 0.1, X: n.h, Gain: gain, Bias: bias,
		RunningMean: mean, RunningVar: variance, Mean: n.stats[0], InvStd: n.stats[1], Y: n.normal,
	})
	drop := device.DropoutArgs{
		Rate: philox.Threshold(0.1), Keep: 1 / 0.9, Seed: 7, Replicates: 1, Index: n.index, Clock: n.clock, X: n.normal, Y: n.normal,
	}
	dev.Dropout(drop)
	dev.Dense(device.DenseArgs{X: n.normal, W: w2, Bias: b2, Y: n.out})
	dev.Likelihood(device.LikelihoodArgs{
		Kind: k.likelihood, Sigma: 1, Params: n.out, Target: n.x, Mask: n.mask, Destroyed: 1, Untouched: 0.5,
		Losses: n.losses, DParams: n.da, Scale: 1 / float32(n.sizes.batch),
	})
	dev.DenseBackward(device.DenseBackwardArgs{DA: n.da, X: n.normal, W: w2, DX: n.dh, DW: dw2, DBias: db2})
	drop.X, drop.Y = n.dh, n.dh
	dev.Dropout(drop)
	dev.NormalizeBackward(device.NormalizeBackwardArgs{
		Kind: k.normalization, X: n.h, Gain: gain, Mean: n.stats[0], InvStd: n.stats[1], DY: n.dh, DX: n.dh, DGain: dGain, DBias: dBias,
	})
	backward := device.ActivateBackwardArgs{Act: k.act, Y: n.h, DY: n.dh, DX: n.dh}
	if k.act.NeedsInput() {
		backward.X = n.pre
	}
	dev.ActivateBackward(backward)
	dev.DenseBackward(device.DenseBackwardArgs{DA: n.dh, X: n.noisy, W: w1, DW: dw1, DBias: db1})
	n.update()
}

func (n *network) update() {
	dev := n.dev
	loss, square := n.value(0), n.value(1)
	dev.Reduce(device.ReduceArgs{Kind: device.Sum, X: n.losses, Out: loss})
	dev.Combine(device.CombineArgs{Alpha: 1 / float32(n.sizes.batch), A: loss, Dst: loss})
	dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: n.grads, Out: square})
	dev.Update(device.UpdateArgs{
		Kind: n.kinds.optimizer, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-3, WeightDecay: 1e-3, Decayed: n.params.Len() / 2, Clip: n.clip,
		Rates: n.rates, Clock: n.clock, GradSq: square, Loss: loss, Params: n.params, Grads: n.grads,
		First: n.first, Second: n.second, EMA: n.average, Decay: 0.99,
	})
	dev.Tick(device.TickArgs{Clock: n.clock, Rows: 0, Values: n.values, Log: n.values})
}

func (n *network) value(i int) device.View { return device.MatrixOf(n.values.Memory, i, 1, 1) }

// state downloads the parameters, the moving average and the values.
func (n *network) state(t testing.TB) []float32 {
	t.Helper()
	var all []float32
	for _, v := range []device.View{n.params, n.average, n.second, n.values, n.noisy} {
		part := make([]float32, v.Len())
		if err := n.dev.Download(part, v); err != nil {
			t.Fatal(err)
		}
		all = append(all, part...)
	}
	return all
}

// open returns a device with the best kernels of this machine, whose threads
// share even little work.
func open(t testing.TB, threads int) *cpu.Device {
	t.Helper()
	return openWith(t, threads, cpu.KernelNames()[0])
}

// openWith returns a device with the kernels of that name.
func openWith(t testing.TB, threads int, kernels string) *cpu.Device {
	t.Helper()
	dev, err := cpu.NewWith(threads, kernels)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	return dev
}

// variants pairs the kinds so that each appears at least once.
func variants() []kinds {
	var all []kinds
	corruptions, activations := device.Corruptions(), device.Activations()
	likelihoods, optimizers := device.Likelihoods()[:device.Mixed], device.Optimizers() // which is the last, and has a test of its own
	for i := range max(len(corruptions), len(activations)) {
		all = append(all, kinds{
			corruption: corruptions[i%len(corruptions)], act: activations[i%len(activations)],
			normalization: device.Normalization(i % 2), likelihood: likelihoods[i%len(likelihoods)], optimizer: optimizers[i%len(optimizers)],
		})
	}
	return all
}

func (k kinds) String() string {
	return fmt.Sprint(k.corruption, " ", k.act, " ", k.normalization, " ", k.likelihood, " ", k.optimizer)
}

// TestThreadsDoNotChangeResults trains on different numbers of threads, large
// enough a network that every operation is split, and compares the bits.
func TestThreadsDoNotChangeResults(t *testing.T) {
	size := sizes{rows: 100, features: 101, hidden: 133, batch: 45}
	counts := []int{2, 3, 7}
	for i, kernels := range cpu.KernelNames() {
		if i > 0 {
			counts = []int{3}
		}
		for _, k := range variants() {
			t.Run(fmt.Sprint(kernels, " ", k), func(t *testing.T) {
				want := trained(t, openWith(t, 1, kernels), size, k)
				for _, threads := range counts {
					got := trained(t, openWith(t, threads, kernels), size, k)
					for i := range got {
						if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
							t.Fatalf("element %d is %g with %d threads, %g with one", i, got[i], threads, want[i])
						}
					}
				}
			})
		}
	}
}

// trained returns the state of a network after two steps.
func trained(t *testing.T, dev device.Device, s sizes, k kinds) []float32 {
	t.Helper()
	n := newNetwork(t, dev, s, k)
	n.step()
	n.step()
	return n.state(t)
}

// TestStepDoesNotAllocate runs whole steps after a first one.
func TestStepDoesNotAllocate(t *testing.T) {
	for i, k := range variants() {
		kernels := cpu.KernelNames()[i%len(cpu.KernelNames())]
		n := newNetwork(t, openWith(t, 2, kernels), sizes{rows: 100, features: 67, hidden: 45, batch: 33}, k)
		n.clip = float32(i % 2)
		program, err := n.dev.Record(n.step)
		if err != nil {
			t.Fatal(err)
		}
		if err := program(); err != nil {
			t.Fatal(err)
		}
		allocations := testing.AllocsPerRun(10, func() {
			if err := program(); err != nil {
				t.Fatal(err)
			}
		})
		if allocations != 0 {
			t.Errorf("%v: %g allocations a step", k, allocations)
		}
	}
}

// TestCurveOfInstructionSets trains the same network with every instruction set
// of this machine: they add in different orders, and the losses of all steps stay
// within 1e-5 of each other, relatively.
func TestCurveOfInstructionSets(t *testing.T) {
	const steps, features, tolerance = 60, 196, 1e-5
	for k, constant := range map[kinds]float64{
		{device.CorruptMasking, device.Sigmoid, device.LayerNorm, device.Bernoulli, device.Adam}: 0,
		{device.CorruptGaussian, device.GELU, device.BatchNorm, device.Gaussian, device.Adam}:    features * math.Log(2*math.Pi) / 2,
	} {
		t.Run(k.String(), func(t *testing.T) {
			var want []float64
			for _, kernels := range cpu.KernelNames() {
				n := newNetwork(t, openWith(t, 2, kernels), sizes{rows: 1000, features: features, hidden: 100, batch: 64}, k)
				var curve []float64
				for range steps {
					n.step()
					var loss [1]float32
					if err := n.dev.Download(loss[:], n.value(0)); err != nil {
						t.Fatal(err)
					}
					curve = append(curve, float64(loss[0])-constant)
				}
				if want == nil {
					want = curve
					if last := curve[steps-1]; !(last < 0.95*curve[0]) {
						t.Fatalf("%s: the loss goes from %g to %g, which tells nothing", kernels, curve[0], last)
					}
				}
				for i, loss := range curve {
					if distance := math.Abs(loss-want[i]) / want[i]; !(distance <= tolerance) {
						t.Fatalf("%s: the loss of step %d is %g, %.2g off the %g of %s", kernels, i, loss, distance, want[i], cpu.KernelNames()[0])
					}
				}
			}
		})
	}
}
