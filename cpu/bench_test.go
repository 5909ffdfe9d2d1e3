package cpu_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/philox"
)

// fastest runs an operation as often as the benchmark asks and returns its
// shortest time: what the code can do, whatever else the machine is doing.
func fastest(b *testing.B, operation func()) time.Duration {
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		operation()
		best = min(best, time.Since(start))
	}
	return best
}

// fastestOf runs an operation so many times and returns its shortest time.
func fastestOf(times int, operation func()) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range times {
		start := time.Now()
		operation()
		best = min(best, time.Since(start))
	}
	return best
}

// openAsUsed returns the device that a user gets.
func openAsUsed(b *testing.B, threads int) *cpu.Device {
	b.Helper()
	return openedBy(b, cpu.New, threads)
}

// openedBy returns the device that a function opens, which may have no products of bfloat16.
func openedBy(b *testing.B, open func(threads int) (*cpu.Device, error), threads int) *cpu.Device {
	b.Helper()
	dev, err := open(threads)
	if errors.Is(err, cpu.ErrNoBFloat16) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := dev.Close(); err != nil {
			b.Error(err)
		}
	})
	return dev
}

// BenchmarkDense times the products of a dense layer; GFLOP/s are those of the
// fastest run, a multiplication and an addition counting as two.
func BenchmarkDense(b *testing.B) { benchmarkDense(b, cpu.New) }

// BenchmarkDenseBFloat16 is BenchmarkDense of factors in bfloat16.
func BenchmarkDenseBFloat16(b *testing.B) { benchmarkDense(b, cpu.NewBFloat16) }

func benchmarkDense(b *testing.B, open func(threads int) (*cpu.Device, error)) {
	for _, shape := range [][3]int{{128, 784, 1000}, {128, 1000, 784}, {1024, 784, 1000}, {1024, 1024, 1024}, {512, 2048, 4096}, {256, 250, 30}, {256, 500, 1000}, {32, 64, 128}, {32, 128, 16}, {32, 16, 128}, {1, 784, 1000}, {4, 784, 1000}, {8, 784, 1000}, {16, 784, 1000}} {
		for _, threads := range []int{1, 2} {
			batch, in, out := shape[0], shape[1], shape[2]
			dev := openedBy(b, open, threads)
			random := rand.New(rand.NewPCG(1, 1))
			x, w := upload(b, dev, batch, in, randomMatrix(random, batch, in)), upload(b, dev, out, in, randomMatrix(random, out, in))
			y, dx := upload(b, dev, batch, out, make([]float32, batch*out)), upload(b, dev, batch, in, make([]float32, batch*in))
			dw := upload(b, dev, out, in, make([]float32, out*in))
			for _, product := range []struct {
				name string
				run  func()
			}{
				{"forward", func() { dev.Dense(device.DenseArgs{X: x, W: w, Y: y}) }},
				{"input grad", func() { dev.DenseBackward(device.DenseBackwardArgs{DA: y, X: x, W: w, DX: dx}) }},
				{"weight grad", func() { dev.DenseBackward(device.DenseBackwardArgs{DA: y, X: x, W: w, DW: dw}) }},
			} {
				b.Run(fmt.Sprintf("%dx%dx%d/%s/threads=%d", batch, in, out, product.name, threads), func(b *testing.B) {
					best := fastest(b, product.run)
					b.ReportMetric(2*float64(batch*in*out)/best.Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}

// autoEncoder is a plain denoising auto-encoder on a device, without
// normalisation and dropout: the step whose speed counts.
type autoEncoder struct {
	*network
	widths []int
	act    device.Activation
	noise  device.CorruptArgs
	layers []layer
}

type layer struct{ w, b, dw, db, y, da device.View }

func newAutoEncoder(b *testing.B, dev device.Device, batch int, widths []int, act device.Activation, noise device.CorruptArgs, loss device.Likelihood) *autoEncoder {
	b.Helper()
	e := &autoEncoder{
		network: newNetwork(b, dev, sizes{rows: 10000, features: widths[0], hidden: 1, batch: batch}, kinds{likelihood: loss, optimizer: device.Adam}),
		widths:  widths, act: act, noise: noise,
	}
	count := 0
	for i := range widths[1:] {
		count += widths[i+1] * (widths[i] + 1)
	}
	random := rand.New(rand.NewPCG(3, 4))
	initial := make([]float32, count)
	for i := range initial {
		initial[i] = float32(random.NormFloat64() * 0.03)
	}
	zeros := make([]float32, count)
	e.params, e.grads = upload(b, dev, 1, count, initial), upload(b, dev, 1, count, zeros)
	e.first, e.second, e.average = upload(b, dev, 1, count, zeros), upload(b, dev, 1, count, zeros), device.View{}
	at := 0
	for i := range widths[1:] {
		in, out := widths[i], widths[i+1]
		matrix := func() device.View { return upload(b, dev, batch, out, make([]float32, batch*out)) }
		e.layers = append(e.layers, layer{
			w: device.MatrixOf(e.params.Memory, at, out, in), dw: device.MatrixOf(e.grads.Memory, at, out, in),
			b: device.MatrixOf(e.params.Memory, at+in*out, 1, out), db: device.MatrixOf(e.grads.Memory, at+in*out, 1, out),
			y: matrix(), da: matrix(),
		})
		at += out * (in + 1)
	}
	return e
}

func (e *autoEncoder) step() {
	dev := e.dev
	part := device.Rows{Hi: e.sizes.rows}
	dev.Gather(device.GatherArgs{Data: e.data, Part: part, Shuffle: true, Seed: 7, Replicates: 1, Clock: e.clock, X: e.x, Index: e.index})
	noise := e.noise
	noise.From, noise.To, noise.Mask, noise.Replicates, noise.Index, noise.Clock = e.x, e.noisy, e.mask, 1, e.index, e.clock
	dev.Corrupt(noise)
	x := e.noisy
	last := len(e.layers) - 1
	for i, l := range e.layers {
		act := e.act
		if i == last {
			act = device.Identity
		}
		dev.Dense(device.DenseArgs{X: x, W: l.w, Bias: l.b, Act: act, Y: l.y})
		x = l.y
	}
	dev.Likelihood(device.LikelihoodArgs{
		Kind: e.kinds.likelihood, Sigma: 1, Params: x, Target: e.x, Losses: e.losses, DParams: e.layers[last].da, Scale: 1 / float32(e.sizes.batch),
	})
	for i := last; i >= 0; i-- {
		l := e.layers[i]
		backward := device.DenseBackwardArgs{DA: l.da, X: e.noisy, W: l.w, DW: l.dw, DBias: l.db}
		if i > 0 {
			backward.X, backward.InAct, backward.DX = e.layers[i-1].y, e.act, e.layers[i-1].da
		}
		dev.DenseBackward(backward)
	}
	e.update()
}

// BenchmarkInference times the reconstruction of minibatches, 784-1000-784: what
// denoise, encode and eval spend their time on. GFLOP/s compare with those of
// BenchmarkDense, which is one product: the weights are read where they lie, so
// that nothing is left to pack once for all minibatches.
func BenchmarkInference(b *testing.B) {
	for _, batch := range []int{16, 128, 1024} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("b%d/threads=%d", batch, threads), func(b *testing.B) {
				dev := openAsUsed(b, threads)
				e := newAutoEncoder(b, dev, batch, []int{784, 1000, 784}, device.ReLU, device.CorruptArgs{}, device.Bernoulli)
				random := rand.New(rand.NewPCG(5, 6))
				x := upload(b, dev, batch, 784, randomMatrix(random, batch, 784))
				h, a := e.layers[0], e.layers[1]
				best := fastest(b, func() {
					dev.Dense(device.DenseArgs{X: x, W: h.w, Bias: h.b, Act: device.ReLU, Y: h.y})
					dev.Dense(device.DenseArgs{X: h.y, W: a.w, Bias: a.b, Y: a.y})
					dev.Mean(device.MeanArgs{Kind: device.Bernoulli, Params: a.y, Out: a.y})
				})
				b.ReportMetric(4*float64(batch*784*1000)/best.Seconds()/1e9, "GFLOP/s")
				b.ReportMetric(float64(batch)/best.Seconds(), "examples/s")
			})
		}
	}
}

// BenchmarkStep times whole training steps with Adam; examples/s are those of
// the fastest step.
func BenchmarkStep(b *testing.B) {
	masking := device.CorruptArgs{Kind: device.CorruptMasking, Rate: philox.Threshold(0.25)}
	gaussian := device.CorruptArgs{Kind: device.CorruptGaussian, Amount: 0.3}
	for _, w := range []struct {
		name   string
		batch  int
		widths []int
		noise  device.CorruptArgs
		loss   device.Likelihood
	}{
		{"mnist mask b128", 128, []int{784, 1000, 784}, masking, device.Bernoulli},
		{"mnist mask b1024", 1024, []int{784, 1000, 784}, masking, device.Bernoulli},
		{"mnist gauss b128", 128, []int{784, 1000, 784}, gaussian, device.Bernoulli},
		{"deep b256", 256, []int{784, 1000, 500, 250, 30, 250, 500, 1000, 784}, masking, device.Bernoulli},
		{"tabular b32", 32, []int{64, 128, 16, 128, 64}, gaussian, device.Gaussian},
	} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", w.name, threads), func(b *testing.B) {
				dev := openAsUsed(b, threads)
				e := newAutoEncoder(b, dev, w.batch, w.widths, device.ReLU, w.noise, w.loss)
				e.clip = 0
				step, err := dev.Record(e.step)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				steps := 0
				best := fastest(b, func() {
					if steps%e.rates.Len() == 0 {
						if err := dev.UploadWords(e.clock, device.Clock{Step: uint64(steps)}.Words()); err != nil {
							b.Fatal(err)
						}
					}
					if err := step(); err != nil {
						b.Fatal(err)
					}
					steps++
				})
				b.ReportMetric(float64(w.batch)/best.Seconds(), "examples/s")
			})
		}
	}
}

// BenchmarkEndOfStep times the gradients of two layers' weights, their norm and Adam: one
// operation after the other, and recorded, where the gradient is taken as it is made. The last layers' input is
// mostly zeros, and one panel wide.
func BenchmarkEndOfStep(b *testing.B) {
	const layers = 2
	for _, c := range []struct {
		batch, in, out int
		density        float64
	}{
		{128, 784, 1000, 1}, {256, 784, 1000, 1}, {1024, 784, 1000, 1}, {256, 500, 1000, 1}, {512, 2048, 4096, 1}, {32, 64, 128, 1}, {32, 128, 16, 1},
		{1024, 784, 64, 0.2}, {256, 784, 64, 0.2},
	} {
		for _, recorded := range []bool{false, true} {
			for _, threads := range []int{1, 2} {
				batch, in, out := c.batch, c.in, c.out
				b.Run(fmt.Sprintf("%dx%dx%d/density=%g/recorded=%t/threads=%d", batch, in, out, c.density, recorded, threads), func(b *testing.B) {
					dev := openAsUsed(b, threads)
					random := rand.New(rand.NewPCG(1, 1))
					x, da := upload(b, dev, batch, in, sparseMatrix(random, batch, in, c.density)), upload(b, dev, batch, out, randomMatrix(random, batch, out))
					arena := func() device.View { return upload(b, dev, 1, layers*in*out, make([]float32, layers*in*out)) }
					params, grads, first, second := arena(), arena(), arena(), arena()
					clock, err := dev.Alloc(device.Word, device.ClockWords)
					if err != nil {
						b.Fatal(err)
					}
					gradSq := upload(b, dev, 1, 1, []float32{0})
					update := device.UpdateArgs{Kind: device.Adam, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Rates: upload(b, dev, 1, 1, []float32{1e-3}),
						Clock: device.WordsOf(clock, 0, device.ClockWords), GradSq: gradSq, Params: params, Grads: grads, First: first, Second: second}
					step := func() {
						for i := range layers {
							dev.DenseBackward(device.DenseBackwardArgs{DA: da, X: x, W: device.MatrixOf(params.Memory, i*in*out, out, in), DW: device.MatrixOf(grads.Memory, i*in*out, out, in)})
						}
						dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: grads, Out: gradSq})
						dev.Update(update)
					}
					run := func() error { step(); return nil }
					if recorded {
						if run, err = dev.Record(step); err != nil {
							b.Fatal(err)
						}
					}
					best := fastest(b, func() {
						if err := run(); err != nil {
							b.Fatal(err)
						}
					})
					b.ReportMetric(float64(best.Nanoseconds())/1e3, "µs")
				})
			}
		}
	}
}
