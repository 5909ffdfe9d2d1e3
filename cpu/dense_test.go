package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/cpu"
	"gpudae/device"
)

// upload returns a view of new memory that holds the values.
func upload(t testing.TB, dev device.Device, rows, columns int, values []float32) device.View {
	t.Helper()
	m, err := dev.Alloc(device.Float, rows*columns)
	if err != nil {
		t.Fatal(err)
	}
	v := device.MatrixOf(m, 0, rows, columns)
	if err := dev.Upload(v, values); err != nil {
		t.Fatal(err)
	}
	return v
}

func download(t testing.TB, dev device.Device, v device.View) []float32 {
	t.Helper()
	values := make([]float32, v.Len())
	if err := dev.Download(values, v); err != nil {
		t.Fatal(err)
	}
	return values
}

func randomMatrix(random *rand.Rand, rows, columns int) []float32 {
	m := make([]float32, rows*columns)
	for i := range m {
		m[i] = float32(random.NormFloat64())
	}
	return m
}

// productCase is C = A·B with A [m, k] and B [k, n] given by functions.
type productCase struct {
	m, n, k int
	a       func(i, k int) float32
	b       func(k, j int) float32
	start   func(i, j int) float32
}

// check compares c with the product in float64, within the bound of a sum of k
// products, (k + 1)·2⁻²³·Σ|a||b|.
func (p productCase) check(t *testing.T, c []float32) {
	t.Helper()
	for i := range p.m {
		for j := range p.n {
			var sum, size float64
			for k := range p.k {
				term := float64(p.a(i, k)) * float64(p.b(k, j))
				sum += term
				size += math.Abs(term)
			}
			if p.start != nil {
				sum += float64(p.start(i, j))
				size += math.Abs(float64(p.start(i, j)))
			}
			if e := math.Abs(float64(c[i*p.n+j]) - sum); !(e <= float64(p.k+1)*0x1p-23*size) {
				t.Fatalf("element (%d, %d) is %g, want %g", i, j, c[i*p.n+j], sum)
			}
		}
	}
}

// TestProducts checks every transposition of a dense layer's products on
// shapes around the tiles' sizes.
func TestProducts(t *testing.T) {
	t.Parallel()
	shapes := [][3]int{ // batch, in, out
		{1, 1, 1}, {2, 3, 5}, {4, 8, 16}, {7, 17, 31}, {15, 33, 29}, {16, 32, 48}, {33, 65, 14}, {64, 16, 128}, {5, 1030, 3}, {1, 40, 70}, {100, 2100, 2}, {1500, 5, 9}, {13, 48, 27}, {28, 96, 65},
		{20, 150, 512}, {130, 512, 20}, {260, 129, 17}, // crowded in the cache
		{70, 1100, 140}, {150, 131, 150}, // more than the nearest cache holds
		{0, 200, 512}, {40, 0, 300}, {300, 0, 40}, {40, 300, 0}, // nothing to multiply
	}
	for _, kernels := range cpu.KernelNames() {
		for _, threads := range threadCounts() {
			dev := openWith(t, threads, kernels)
			for _, shape := range shapes {
				if tooLong(kernels, shape) {
					continue
				}
				t.Run(fmt.Sprint(kernels, " ", threads, " threads ", shape), func(t *testing.T) {
					checkProducts(t, dev, shape[0], shape[1], shape[2])
				})
			}
		}
	}
}

// threadCounts are the numbers of threads that operations are tested on; with -short, as
// under the race detector, only one that shares the work.
func threadCounts() []int {
	if testing.Short() {
		return []int{3}
	}
	return []int{1, 3}
}

// tooLong tells products that -short leaves out: large ones of the kernels in Go, which
// the race detector makes a hundred times slower.
func tooLong(kernels string, shape [3]int) bool {
	return testing.Short() && kernels == "generic" && shape[0]*shape[1]*shape[2] > 1<<20
}

func checkProducts(t *testing.T, dev device.Device, batch, in, out int) {
	random := rand.New(rand.NewPCG(uint64(batch), uint64(in*out)))
	x, w, wt, da := randomMatrix(random, batch, in), randomMatrix(random, out, in), randomMatrix(random, in, out), randomMatrix(random, batch, out)
	dw := randomMatrix(random, out, in)
	at := func(m []float32, columns int) func(i, j int) float32 {
		return func(i, j int) float32 { return m[i*columns+j] }
	}
	flip := func(f func(i, j int) float32) func(i, j int) float32 {
		return func(i, j int) float32 { return f(j, i) }
	}
	X, W, WT, DA := upload(t, dev, batch, in, x), upload(t, dev, out, in, w), upload(t, dev, in, out, wt), upload(t, dev, batch, out, da)
	Y := upload(t, dev, batch, out, make([]float32, batch*out))
	dev.Dense(device.DenseArgs{X: X, W: W, Y: Y})
	productCase{batch, out, in, at(x, in), flip(at(w, in)), nil}.check(t, download(t, dev, Y))
	dev.Dense(device.DenseArgs{X: X, W: WT, Transposed: true, Y: Y})
	productCase{batch, out, in, at(x, in), at(wt, out), nil}.check(t, download(t, dev, Y))

	DX, DW := upload(t, dev, batch, in, make([]float32, batch*in)), upload(t, dev, out, in, dw)
	dev.DenseBackward(device.DenseBackwardArgs{DA: DA, X: X, W: W, DX: DX, DW: DW, Accumulate: true})
	productCase{batch, in, out, at(da, out), at(w, in), nil}.check(t, download(t, dev, DX))
	productCase{out, in, batch, flip(at(da, out)), at(x, in), at(dw, in)}.check(t, download(t, dev, DW))

	DWT := upload(t, dev, in, out, dw)
	dev.DenseBackward(device.DenseBackwardArgs{DA: DA, X: X, W: WT, Transposed: true, DX: DX, DW: DWT})
	productCase{batch, in, out, at(da, out), flip(at(wt, out)), nil}.check(t, download(t, dev, DX))
	productCase{in, out, batch, flip(at(x, in)), at(da, out), nil}.check(t, download(t, dev, DWT))
}

// TestManyPanels checks a weight gradient so wide that the other factor is
// packed once for all of its panels.
func TestManyPanels(t *testing.T) {
	const batch, in, out = 300, 1000, 17
	random := rand.New(rand.NewPCG(1, 2))
	x, da := randomMatrix(random, batch, in), randomMatrix(random, batch, out)
	for _, kernels := range cpu.KernelNames() {
		dev := openWith(t, 1, kernels)
		DW := upload(t, dev, out, in, make([]float32, out*in))
		dev.DenseBackward(device.DenseBackwardArgs{DA: upload(t, dev, batch, out, da), X: upload(t, dev, batch, in, x), W: DW, DW: DW})
		productCase{
			out, in, batch, func(i, k int) float32 { return da[k*out+i] }, func(k, j int) float32 { return x[k*in+j] }, nil,
		}.check(t, download(t, dev, DW))
	}
}
