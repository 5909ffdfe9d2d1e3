package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/internal/selftest"
)

// everyBFloat16 runs a test on each instruction set of this machine that has products
// of bfloat16.
func everyBFloat16(t *testing.T, test func(t *testing.T, products string)) {
	names := cpu.BFloat16Names()
	if len(names) == 0 {
		t.Skip(cpu.ErrNoBFloat16)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

// openBFloat16 returns a device of products by that instruction set.
func openBFloat16(t *testing.T, threads int, products string) *cpu.Device {
	t.Helper()
	dev, err := cpu.NewBFloat16With(threads, products)
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

// TestBFloat16Products checks every transposition: exactly on small integers,
// which bfloat16 holds, and on normal deviates within the bound of factors that
// are each off by 2⁻⁹ of themselves.
func TestBFloat16Products(t *testing.T) {
	shapes := [][3]int{{1, 1, 1}, {2, 3, 5}, {7, 17, 31}, {15, 33, 29}, {33, 65, 14}, {5, 2070, 3}, {1, 40, 70}, {130, 512, 20}, {28, 96, 65}, {40, 1024, 70}}
	everyBFloat16(t, func(t *testing.T, products string) {
		for _, threads := range threadCounts() {
			dev := openBFloat16(t, threads, products)
			for _, shape := range shapes {
				t.Run(fmt.Sprint(threads, " threads ", shape), func(t *testing.T) {
					random := rand.New(rand.NewPCG(1, uint64(shape[0])))
					checkRounded(t, dev, shape, 0, func(n int) []float32 {
						m := make([]float32, n)
						for i := range m {
							m[i] = float32(random.IntN(17) - 8)
						}
						return m
					})
					checkRounded(t, dev, shape, 0x1p-7+0x1p-16, func(n int) []float32 { return randomMatrix(random, n, 1) })
				})
			}
		}
	})
}

// checkRounded checks products of matrices made by fill, the weights' gradient also
// added to another matrix and transposed, whose terms may be off by that part of
// themselves and, unless it is 0, by what float32 adds.
func checkRounded(t *testing.T, dev device.Device, shape [3]int, off float64, fill func(n int) []float32) {
	t.Helper()
	batch, in, out := shape[0], shape[1], shape[2]
	x, w, da := fill(batch*in), fill(out*in), fill(batch*out)
	start, wt := fill(out*in), make([]float32, in*out)
	for i := range out {
		for j := range in {
			wt[j*out+i] = w[i*in+j]
		}
	}
	X, W, DA := upload(t, dev, batch, in, x), upload(t, dev, out, in, w), upload(t, dev, batch, out, da)
	added, WT := upload(t, dev, out, in, start), upload(t, dev, in, out, wt)
	YT, DXT, DWT := upload(t, dev, batch, out, make([]float32, batch*out)), upload(t, dev, batch, in, make([]float32, batch*in)), upload(t, dev, in, out, make([]float32, in*out))
	Y, DX, DW := upload(t, dev, batch, out, make([]float32, batch*out)), upload(t, dev, batch, in, make([]float32, batch*in)), upload(t, dev, out, in, make([]float32, out*in))
	dev.Dense(device.DenseArgs{X: X, W: W, Y: Y})
	dev.DenseBackward(device.DenseBackwardArgs{DA: DA, X: X, W: W, DX: DX, DW: DW})
	dev.DenseBackward(device.DenseBackwardArgs{DA: DA, X: X, W: W, DW: added, Accumulate: true})
	dev.Dense(device.DenseArgs{X: X, W: WT, Transposed: true, Y: YT})
	dev.DenseBackward(device.DenseBackwardArgs{DA: DA, X: X, W: WT, Transposed: true, DX: DXT, DW: DWT})
	zero := func(int, int) float32 { return 0 }
	xRow, wRow := func(i, k int) float32 { return x[i*in+k] }, func(j, k int) float32 { return w[j*in+k] }
	daRow, wColumn := func(i, k int) float32 { return da[i*out+k] }, func(j, k int) float32 { return w[k*in+j] }
	daColumn, xColumn := func(i, k int) float32 { return da[k*out+i] }, func(j, k int) float32 { return x[k*in+j] }
	for _, p := range []struct {
		name    string
		m, n, k int
		a, b    func(i, k int) float32
		start   func(i, j int) float32
		c       []float32
	}{
		{"Y", batch, out, in, xRow, wRow, zero, download(t, dev, Y)},
		{"DX", batch, in, out, daRow, wColumn, zero, download(t, dev, DX)},
		{"DW", out, in, batch, daColumn, xColumn, zero, download(t, dev, DW)},
		{"DW added", out, in, batch, daColumn, xColumn, func(i, j int) float32 { return start[i*in+j] }, download(t, dev, added)},
		{"Y transposed", batch, out, in, xRow, wRow, zero, download(t, dev, YT)},
		{"DX transposed", batch, in, out, daRow, wColumn, zero, download(t, dev, DXT)},
		{"DW transposed", in, out, batch, xColumn, daColumn, zero, download(t, dev, DWT)},
	} {
		for i := range p.m {
			for j := range p.n {
				var sum, size float64
				for k := range p.k {
					term := float64(p.a(i, k)) * float64(p.b(j, k))
					sum += term
					size += math.Abs(term)
				}
				bound := off * size
				sum += float64(p.start(i, j))
				size += math.Abs(float64(p.start(i, j)))
				if off > 0 {
					bound += float64(p.k+1) * 0x1p-23 * size
				}
				if e := math.Abs(float64(p.c[i*p.n+j]) - sum); !(e <= bound) {
					t.Fatalf("%s: element (%d, %d) is %g, want %g within %g", p.name, i, j, p.c[i*p.n+j], sum, bound)
				}
			}
		}
	}
}

// TestBFloat16Trains compares a training run in bfloat16 with one in float32:
// the loss falls as far within a hundredth, and threads do not change the bits.
func TestBFloat16Trains(t *testing.T) {
	size := sizes{rows: 100, features: 101, hidden: 133, batch: 45}
	k := kinds{corruption: device.CorruptMasking, act: device.Tanh, likelihood: device.Bernoulli, optimizer: device.Adam}
	run := func(dev device.Device) (first, last float32, state []float32) {
		n := newNetwork(t, dev, size, k)
		for step := range 60 {
			if err := dev.UploadWords(n.clock, device.Clock{Step: uint64(step)}.Words()); err != nil {
				t.Fatal(err)
			}
			n.step()
			last = download(t, dev, n.value(0))[0]
			if step == 0 {
				first = last
			}
		}
		return first, last, n.state(t)
	}
	wantFirst, want, _ := run(open(t, 1))
	everyBFloat16(t, func(t *testing.T, products string) {
		_, _, state := run(openBFloat16(t, 1, products))
		first, last, threaded := run(openBFloat16(t, 3, products))
		for i := range state {
			if math.Float32bits(state[i]) != math.Float32bits(threaded[i]) {
				t.Fatalf("element %d is %g with one thread, %g with three", i, state[i], threaded[i])
			}
		}
		if !(wantFirst-want > 1) || math.Abs(float64(last-want)) > 0.01*float64(wantFirst-want) {
			t.Errorf("the loss falls from %g to %g, in float32 from %g to %g", first, last, wantFirst, want)
		}
	})
}

// TestBFloat16KeepsCorruption: x̃ does not depend on the precision of products.
func TestBFloat16KeepsCorruption(t *testing.T) {
	size := sizes{rows: 50, features: 40, hidden: 40, batch: 20}
	k := kinds{corruption: device.CorruptGaussian}
	noisy := func(dev device.Device) []float32 {
		n := newNetwork(t, dev, size, k)
		n.step()
		return download(t, dev, n.noisy)
	}
	everyBFloat16(t, func(t *testing.T, products string) {
		got, want := noisy(openBFloat16(t, 1, products)), noisy(open(t, 1))
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("element %d of x̃ is %g, in float32 %g", i, got[i], want[i])
			}
		}
	})
}

// TestBFloat16SelfTest runs what doctor runs: products of many shapes, and small models in
// training, beside the reference.
func TestBFloat16SelfTest(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute under the race detector")
	}
	everyBFloat16(t, func(t *testing.T, products string) {
		report, err := selftest.RunProducts(t.Context(), openBFloat16(t, 2, products), 1e-1)
		if err != nil {
			t.Fatal(err)
		}
		if !report.OK() {
			t.Error(report)
		}
	})
}
