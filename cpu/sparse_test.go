package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/cpu"
	"gpudae/device"
)

// sparseMatrix is a random matrix of which that share is not zero.
func sparseMatrix(random *rand.Rand, rows, columns int, density float64) []float32 {
	m := randomMatrix(random, rows, columns)
	for i := range m {
		if random.Float64() >= density {
			m[i] = 0
		}
	}
	return m
}

// BenchmarkSparse times the products of a first layer by the density of its
// input; the dense product is that of density 1, and the times are those of the
// fastest run. The narrow layers at the end are one panel, read as it lies and shared by threads.
func BenchmarkSparse(b *testing.B) {
	for _, c := range []struct{ batch, in, out, threads int }{
		{128, 784, 1000, 1}, {32, 784, 1000, 1}, {256, 784, 1000, 1}, {1024, 784, 1000, 1}, {256, 2000, 128, 1},
		{128, 784, 1000, 2}, {256, 2000, 128, 2},
		{32, 128, 64, 1}, {1024, 784, 64, 1}, {1024, 784, 64, 2},
	} {
		for _, density := range []float64{0.01, 0.15, 0.3, 0.5, 1} {
			batch, in, out := c.batch, c.in, c.out
			dev := openAsUsed(b, c.threads)
			random := rand.New(rand.NewPCG(1, 1))
			x, w := upload(b, dev, batch, in, sparseMatrix(random, batch, in, density)), upload(b, dev, out, in, randomMatrix(random, out, in))
			y, dw := upload(b, dev, batch, out, make([]float32, batch*out)), upload(b, dev, out, in, make([]float32, out*in))
			for _, product := range []struct {
				name string
				run  func()
			}{
				{"forward", func() { dev.Dense(device.DenseArgs{X: x, W: w, Y: y}) }},
				{"weight grad", func() { dev.DenseBackward(device.DenseBackwardArgs{DA: y, X: x, W: w, DW: dw}) }},
			} {
				b.Run(fmt.Sprintf("%dx%dx%d/threads=%d/density=%g/%s", batch, in, out, c.threads, density, product.name), func(b *testing.B) {
					best := fastest(b, product.run)
					b.ReportMetric(float64(best.Microseconds()), "µs")
				})
			}
		}
	}
}

// TestSparseProducts compares the products of a minibatch that is mostly zeros
// with the same products in slices too thin to be treated as sparse, bit for
// bit: what is left out are zeros, and the order of the rest does not change.
func TestSparseProducts(t *testing.T) {
	t.Parallel()
	for _, shape := range [][3]int{
		{32, 64, 64}, {67, 130, 75}, {45, 1500, 129}, {1100, 70, 66}, {40, 70, 1300}, {300, 100, 64},
		{32, 200, 64}, {128, 300, 64}, {40, 64, 300}, {100, 64, 140}, {420, 130, 64}, {1100, 130, 64}, // of one panel, of bands, and of bands in parts
	} { // batch, in, out
		for _, kernels := range cpu.KernelNames() {
			if tooLong(kernels, shape) {
				continue
			}
			for _, threads := range threadCounts() {
				t.Run(fmt.Sprint(kernels, " ", threads, " threads ", shape), func(t *testing.T) {
					dev := openWith(t, threads, kernels)
					checkSparseProducts(t, dev, shape[0], shape[1], shape[2])
					checkSparseGradients(t, dev, shape[0], shape[1], shape[2])
				})
			}
		}
	}
}

// checkSparseProducts checks the products of an X that is mostly zeros.
func checkSparseProducts(t *testing.T, dev device.Device, batch, in, out int) {
	random := rand.New(rand.NewPCG(uint64(batch), uint64(in*out)))
	x, w, wt := sparseMatrix(random, batch, in, 0.2), randomMatrix(random, out, in), randomMatrix(random, in, out)
	da, bias := randomMatrix(random, batch, out), randomMatrix(random, 1, out)
	clear(x[in : 2*in]) // an example without anything
	for i := range batch {
		x[i*in+3] = 0 // a feature that is always zero
	}
	X, W, WT, B := upload(t, dev, batch, in, x), upload(t, dev, out, in, w), upload(t, dev, in, out, wt), upload(t, dev, 1, out, bias)
	Y, slice := upload(t, dev, batch, out, make([]float32, batch*out)), upload(t, dev, batch, out, make([]float32, batch*out))
	for _, forward := range []device.DenseArgs{{W: W}, {W: WT, Transposed: true}} {
		forward.Bias, forward.Act = B, device.ReLU
		forward.X, forward.Y = X, Y
		dev.Dense(forward)
		for i := range batch {
			forward.X, forward.Y = device.MatrixOf(X.Memory, i*in, 1, in), device.MatrixOf(slice.Memory, i*out, 1, out)
			dev.Dense(forward)
		}
		sameBits(t, fmt.Sprint("forward, transposed ", forward.Transposed), download(t, dev, Y), download(t, dev, slice))
	}
	checkWeightGradients(t, dev, x, da, batch, in, out)
}

// checkSparseGradients checks the products of gradients that are mostly zeros, as behind ReLU.
func checkSparseGradients(t *testing.T, dev device.Device, batch, in, out int) {
	random := rand.New(rand.NewPCG(uint64(batch), uint64(in+out)))
	x, w, wt := randomMatrix(random, batch, in), randomMatrix(random, out, in), randomMatrix(random, in, out)
	da := sparseMatrix(random, batch, out, 0.4)
	clear(da[out : 2*out])
	X, DA, W, WT := upload(t, dev, batch, in, x), upload(t, dev, batch, out, da), upload(t, dev, out, in, w), upload(t, dev, in, out, wt)
	DX, slice := upload(t, dev, batch, in, make([]float32, batch*in)), upload(t, dev, batch, in, make([]float32, batch*in))
	for _, backward := range []device.DenseBackwardArgs{{W: W}, {W: WT, Transposed: true}} {
		backward.InAct = device.Tanh
		backward.X, backward.DA, backward.DX = X, DA, DX
		dev.DenseBackward(backward)
		for i := range batch {
			backward.X, backward.DA = device.MatrixOf(X.Memory, i*in, 1, in), device.MatrixOf(DA.Memory, i*out, 1, out)
			backward.DX = device.MatrixOf(slice.Memory, i*in, 1, in)
			dev.DenseBackward(backward)
		}
		sameBits(t, fmt.Sprint("input gradient, transposed ", backward.Transposed), download(t, dev, DX), download(t, dev, slice))
	}
	checkWeightGradients(t, dev, x, da, batch, in, out)
}

// checkWeightGradients compares gradients of weights with those of one unit after the other.
func checkWeightGradients(t *testing.T, dev device.Device, x, da []float32, batch, in, out int) {
	random := rand.New(rand.NewPCG(uint64(in), uint64(out)))
	dw := randomMatrix(random, out, in)
	X, W, WT := upload(t, dev, batch, in, x), upload(t, dev, out, in, dw), upload(t, dev, in, out, dw)
	for _, accumulate := range []bool{false, true} {
		DW, DWT := upload(t, dev, out, in, dw), upload(t, dev, in, out, dw)
		dev.DenseBackward(device.DenseBackwardArgs{DA: upload(t, dev, batch, out, da), X: X, W: W, DW: DW, Accumulate: accumulate})
		dev.DenseBackward(device.DenseBackwardArgs{DA: upload(t, dev, batch, out, da), X: X, W: WT, Transposed: true, DW: DWT, Accumulate: accumulate})
		got, gotTransposed := download(t, dev, DW), download(t, dev, DWT)
		want, wantTransposed := make([]float32, out*in), make([]float32, out*in)
		for j := range out {
			one := make([]float32, batch)
			for i := range one {
				one[i] = da[i*out+j]
			}
			column := make([]float32, in)
			for i := range column {
				column[i] = dw[i*out+j]
			}
			DA, row, turned := upload(t, dev, batch, 1, one), upload(t, dev, 1, in, dw[j*in:(j+1)*in]), upload(t, dev, in, 1, column)
			dev.DenseBackward(device.DenseBackwardArgs{DA: DA, X: X, W: row, DW: row, Accumulate: accumulate})
			dev.DenseBackward(device.DenseBackwardArgs{DA: DA, X: X, W: turned, Transposed: true, DW: turned, Accumulate: accumulate})
			copy(want[j*in:], download(t, dev, row))
			for i, v := range download(t, dev, turned) {
				wantTransposed[i*out+j] = v
			}
		}
		sameBits(t, fmt.Sprint("weight gradient, accumulate ", accumulate), got, want)
		sameBits(t, fmt.Sprint("transposed weight gradient, accumulate ", accumulate), gotTransposed, wantTransposed)
	}
}

// sameBits compares results.
func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}
