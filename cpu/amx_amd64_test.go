package cpu

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gpudae/cpu/internal/amx"
	"gpudae/device"
)

// emulatedAMX is the environment variable that says that command emulate runs the test.
const emulatedAMX = "GPUDAE_TEST_AMX"

// emulatedProducts are those of AMX where it is emulated.
func emulatedProducts() []*pairProducts {
	if os.Getenv(emulatedAMX) == "" {
		return nil
	}
	return []*pairProducts{&amxProducts}
}

// openTiles returns a device of products by AMX, or skips the test without.
func openTiles(t *testing.T, threads int) *Device {
	t.Helper()
	d, err := NewBFloat16With(threads, amxProducts.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if d.pairs == nil {
		t.Skip("no AMX-BF16 here; make amx emulates it")
	}
	return d
}

// matrixOf returns a view of new memory that holds the values.
func matrixOf(t *testing.T, d *Device, rows, columns int, values []float32) device.View {
	t.Helper()
	m, err := d.Alloc(device.Float, rows*columns)
	if err != nil {
		t.Fatal(err)
	}
	v := device.MatrixOf(m, 0, rows, columns)
	if err := d.Upload(v, values); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestTilesBits compares products with the manual's arithmetic, bit for bit: 16 pairs
// after the other, to which the gradient is added in float32. The factors lie far apart,
// some where their products are subnormal, and so do the elements of the gradient. All of k
// is multiplied for a row of tiles, or a block of it for all rows.
func TestTilesBits(t *testing.T) {
	for _, c := range []struct{ threads, takenBytes int }{{1, 1 << 20}, {1, 0}, {3, 1 << 20}, {3, 0}} {
		threads := c.threads
		d := openTiles(t, threads)
		d.gemm.kernels = packing(d.gemm.kernels, c.takenBytes)
		for _, shape := range [][3]int{{1, 1, 1}, {16, 32, 16}, {7, 17, 31}, {33, 70, 19}, {20, 1100, 40}, {70, 33, 100}, {5, 64, 300}, {600, 40, 33}} {
			batch, in, out := shape[0], shape[1], shape[2]
			random := rand.New(rand.NewPCG(uint64(batch), uint64(in)))
			fill := func(n int) []float32 {
				m := make([]float32, n)
				for i := range m {
					m[i] = float32(random.NormFloat64() * math.Exp2(float64(random.IntN(24)-12)))
					switch random.IntN(20) {
					case 0:
						m[i] = 0
					case 1:
						m[i] *= 0x1p-64
					case 2:
						m[i] *= 0x1p-120
					}
				}
				return m
			}
			x, w, da, start := fill(batch*in), fill(out*in), fill(batch*out), fill(out*in)
			X, W, DA, DW := matrixOf(t, d, batch, in, x), matrixOf(t, d, out, in, w), matrixOf(t, d, batch, out, da), matrixOf(t, d, out, in, start)
			Y, DX := matrixOf(t, d, batch, out, make([]float32, batch*out)), matrixOf(t, d, batch, in, make([]float32, batch*in))
			d.Dense(device.DenseArgs{X: X, W: W, Y: Y})
			d.DenseBackward(device.DenseBackwardArgs{DA: DA, X: X, W: W, DX: DX, DW: DW, Accumulate: true})
			name := fmt.Sprint(c, " ", shape)
			mustBeTiles(t, name+" Y", floatsOf(Y), nil, batch, out, in, rowMajor(x, in), rowMajor(w, in))
			mustBeTiles(t, name+" DX", floatsOf(DX), nil, batch, in, out, rowMajor(da, out), columnMajor(w, in))
			mustBeTiles(t, name+" DW", floatsOf(DW), start, out, in, batch, columnMajor(da, out), columnMajor(x, in))
		}
	}
}

// packing returns kernels that take so many bytes of panels to stay in the cache.
func packing(k *kernels, takenBytes int) *kernels {
	other := *k
	other.takenBytes = takenBytes
	return &other
}

// mustBeTiles compares c with start + a·bᵀ.
func mustBeTiles(t *testing.T, what string, c, start []float32, m, n, k int, a, b operand) {
	t.Helper()
	pairs := multiple(ceilDiv(k, 2), rowsOfTile)
	pairsOf := func(o operand, i int) []uint32 {
		row := make([]uint32, pairs)
		for p := range k {
			row[p/2] |= bfloat16(o.at(i, p)[0]) << (16 * (p % 2))
		}
		return row
	}
	columns := make([][]uint32, n)
	for j := range columns {
		columns[j] = pairsOf(b, j)
	}
	for i := range m {
		row := pairsOf(a, i)
		for j, column := range columns {
			var want float32
			for k := 0; k < pairs; k += rowsOfTile {
				want = amx.Dot(want, row[k:k+rowsOfTile], column[k:k+rowsOfTile])
			}
			if start != nil {
				want += start[i*n+j]
			}
			if got := c[i*n+j]; math.Float32bits(got) != math.Float32bits(want) {
				t.Fatalf("%s: element (%d, %d) is %g, want %g", what, i, j, got, want)
			}
		}
	}
}

// TestTilesOfNoNumbers: an infinity or NaN in a factor reaches its row or column of the
// result, and no other.
func TestTilesOfNoNumbers(t *testing.T) {
	d := openTiles(t, 1)
	const batch, in, out = 40, 70, 50
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	x, w := make([]float32, batch*in), make([]float32, out*in)
	for i := range x {
		x[i] = 1
	}
	for i := range w {
		w[i] = 2
	}
	x[3*in+69], w[49*in+7] = nan, inf
	Y := matrixOf(t, d, batch, out, make([]float32, batch*out))
	d.Dense(device.DenseArgs{X: matrixOf(t, d, batch, in, x), W: matrixOf(t, d, out, in, w), Y: Y})
	for i, y := range floatsOf(Y) {
		row, column := i/out, i%out
		switch {
		case row == 3:
			if y == y {
				t.Errorf("element (%d, %d) is %g", row, column, y)
			}
		case column == 49:
			if y != inf {
				t.Errorf("element (%d, %d) is %g", row, column, y)
			}
		case y != 2*in:
			t.Errorf("element (%d, %d) is %g", row, column, y)
		}
	}
}

// TestTilesAllocateNothing: once their shapes have been seen.
func TestTilesAllocateNothing(t *testing.T) {
	d := openTiles(t, 1)
	const batch, in, out = 45, 600, 70
	matrix := func(rows, columns int) device.View {
		ones := make([]float32, rows*columns) // not mostly zeros
		for i := range ones {
			ones[i] = 1
		}
		return matrixOf(t, d, rows, columns, ones)
	}
	X, W, Y, DW := matrix(batch, in), matrix(out, in), matrix(batch, out), matrix(out, in)
	DX := matrix(batch, in)
	allocated := testing.AllocsPerRun(3, func() {
		d.Dense(device.DenseArgs{X: X, W: W, Y: Y})
		d.DenseBackward(device.DenseBackwardArgs{DA: Y, X: X, W: W, DX: DX, DW: DW, Accumulate: true})
	})
	if allocated != 0 {
		t.Errorf("%g allocations", allocated)
	}
}

// TestTilesOutliveSignals multiplies on several threads while the garbage collector
// stops them by signals: the system keeps the tiles of a thread through its handler.
func TestTilesOutliveSignals(t *testing.T) {
	d := openTiles(t, 3)
	const batch, in, out = 64, 512, 96
	random := rand.New(rand.NewPCG(1, 2))
	x, w := make([]float32, batch*in), make([]float32, out*in)
	for _, m := range [][]float32{x, w} {
		for i := range m {
			m[i] = float32(random.NormFloat64())
		}
	}
	X, W, Y := matrixOf(t, d, batch, in, x), matrixOf(t, d, out, in, w), matrixOf(t, d, batch, out, make([]float32, batch*out))
	var collecting sync.WaitGroup
	done := make(chan struct{})
	collecting.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
			}
		}
	})
	for range 20 {
		clear(floatsOf(Y))
		d.Dense(device.DenseArgs{X: X, W: W, Y: Y})
		mustBeTiles(t, "Y", floatsOf(Y), nil, batch, out, in, rowMajor(x, in), rowMajor(w, in))
	}
	close(done)
	collecting.Wait()
}

// mustPack skips a test of packing for the tiles, which AVX512-BF16 does, without it.
func mustPack(t *testing.T) {
	t.Helper()
	if supportedKernels()[0].pairsInRow == nil {
		t.Skip("no AVX512-BF16 here")
	}
}

// TestPackPairs compares the packing of panels of rows that lie apart with the portable rounding.
func TestPackPairs(t *testing.T) {
	mustPack(t)
	const terms, beside = 5, 9
	random := rand.New(rand.NewPCG(1, 2))
	for _, tile := range amxProducts.tiles {
		for count := 1; count <= 3; count++ {
			apart, across := count*tile.columns+beside, terms*tile.columns+beside
			x := make([]float32, 2*terms*apart)
			for i := range x {
				x[i] = math.Float32frombits(random.Uint32())
			}
			got, want := make([]float32, count*across), make([]float32, count*across)
			tile.packPairs(count, got, across, x, apart, terms)
			for p := range count {
				for i := range terms {
					for j := range tile.columns {
						lower, upper := x[2*i*apart+p*tile.columns+j], x[(2*i+1)*apart+p*tile.columns+j]
						want[p*across+i*tile.columns+j] = math.Float32frombits(bfloat16(lower) | bfloat16(upper)<<16)
					}
				}
			}
			mustEqualBits(t, fmt.Sprint(count, " panels of ", tile.columns), got, want)
		}
	}
}

// TestNewBFloat16: a device names the products that it was opened with, or there are none.
func TestNewBFloat16(t *testing.T) {
	want := firstGranted(supportedKernels()[0].products)
	d, err := NewBFloat16(1)
	if want == nil {
		if !errors.Is(err, ErrNoBFloat16) {
			t.Errorf("without products: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if text := d.Info().Description; !strings.HasSuffix(text, "products of bfloat16 by "+want.name) {
		t.Errorf("described as %q", text)
	}
}

// TestProductsAreOfTheFirstGranted: the operating system decides.
func TestProductsAreOfTheFirstGranted(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	tiles, vectors := &pairProducts{name: "tiles", granted: yes}, &pairProducts{name: "vectors", granted: yes}
	refused := &pairProducts{name: "refused", granted: no}
	for _, c := range []struct {
		all  []*pairProducts
		want *pairProducts
	}{
		{[]*pairProducts{tiles, vectors}, tiles}, {[]*pairProducts{refused, vectors}, vectors}, {[]*pairProducts{refused}, nil}, {nil, nil},
	} {
		if got := firstGranted(c.all); got != c.want {
			t.Errorf("of %v %v is chosen", c.all, got)
		}
	}
}
