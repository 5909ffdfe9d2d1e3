package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gpudae/device"
	"gpudae/device/philox"
)

// everyKernel runs a test on each instruction set of this machine.
func everyKernel(t *testing.T, test func(t *testing.T, k *kernels)) {
	for _, k := range supportedKernels() {
		t.Run(k.name, func(t *testing.T) { test(t, k) })
	}
}

// ulps is the error of got in units in the last place of want as a float32,
// the unit of the smallest normal number for those that are smaller.
func ulps(got float32, want float64) float64 {
	if math.IsInf(float64(float32(want)), 0) || math.IsNaN(want) {
		if float64(got) == want || math.IsInf(float64(got), int(math.Copysign(1, want))) || math.IsNaN(want) && got != got {
			return 0
		}
		return math.Inf(1)
	}
	_, exponent := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(exponent, -125)-24)
}

// grid returns numbers from lo to hi, the neighbourhood of zero in logarithmic
// steps.
func grid(lo, hi float64) []float32 {
	var x []float32
	for i := range 40001 {
		x = append(x, float32(lo+(hi-lo)*float64(i)/40000))
	}
	for e := -40.0; e < 3; e += 0.01 {
		for _, v := range []float64{math.Exp2(e), -math.Exp2(e)} {
			if v >= lo && v <= hi {
				x = append(x, float32(v))
			}
		}
	}
	return x
}

func logistic(a float64) float64 { return 1 / (1 + math.Exp(-a)) }
func phi(a float64) float64      { return math.Exp(-a*a/2) / math.Sqrt(2*math.Pi) }
func bigPhi(a float64) float64   { return math.Erfc(-a/math.Sqrt2) / 2 }

// TestFunctions bounds the errors of the activations and of their derivatives.
func TestFunctions(t *testing.T) {
	for _, f := range []struct {
		act        device.Activation
		lo, hi     float64
		value      func(a float64) float64
		derivative func(from float64) float64
		ulps       [2]float64 // allowed: of the value, of the derivative
	}{
		{device.ReLU, -3, 3, func(a float64) float64 { return max(a, 0) }, func(y float64) float64 { return heaviside(y) }, [2]float64{0, 0}},
		{device.LeakyReLU, -3, 3, func(a float64) float64 { return max(a, float64(float32(device.LeakySlope))*a) },
			func(y float64) float64 { return max(heaviside(y), float64(float32(device.LeakySlope))) }, [2]float64{1, 0}},
		{device.ELU, -100, 3, func(a float64) float64 { return max(a, math.Expm1(min(a, 0))) }, func(y float64) float64 { return min(y, 0) + 1 }, [2]float64{2, 1}},
		{device.GELU, -12, 12, func(a float64) float64 { return a * bigPhi(a) }, nil, [2]float64{8, 0}},
		{device.SiLU, -80, 80, func(a float64) float64 { return a * logistic(a) }, nil, [2]float64{4, 0}},
		{device.Sigmoid, -87, 100, logistic, func(y float64) float64 { return y * (1 - y) }, [2]float64{3, 2}},
		{device.Tanh, -20, 20, math.Tanh, func(y float64) float64 { return 1 - y*y }, [2]float64{3, 2}},
		{device.Softplus, -87, 100, func(a float64) float64 { return max(a, 0) + math.Log1p(math.Exp(-math.Abs(a))) }, nil, [2]float64{3, 0}},
	} {
		everyKernel(t, func(t *testing.T, k *kernels) {
			x := grid(f.lo, f.hi)
			y := make([]float32, len(x))
			k.activate[f.act](y, x)
			worst(t, f.act.String(), x, y, f.value, f.ulps[0])
			if f.derivative == nil {
				return
			}
			ones := make([]float32, len(x))
			for i := range ones {
				ones[i] = 1
			}
			x = grid(max(f.lo, -1), 1)
			if f.act == device.Sigmoid {
				x = grid(0, 1)
			}
			y = y[:len(x)]
			k.activateBackward[f.act](y, ones[:len(x)], x)
			worst(t, f.act.String()+" derivative", x, y, f.derivative, f.ulps[1])
		})
	}
}

func heaviside(y float64) float64 {
	if y > 0 {
		return 1
	}
	return 0
}

// worst compares y with f(x).
func worst(t *testing.T, what string, x, y []float32, f func(float64) float64, allowed float64) {
	t.Helper()
	largest, at := 0.0, 0
	for i := range x {
		if e := ulps(y[i], f(float64(x[i]))); !(e <= largest) {
			largest, at = e, i
		}
	}
	t.Logf("%s: at most %.2f ulp", what, largest)
	if !(largest <= allowed) {
		t.Errorf("%s of %g is %g, want %g: %.2f ulp, %g allowed", what, x[at], y[at], f(float64(x[at])), largest, allowed)
	}
}

// TestExp bounds the errors of exp and of the logarithm, which is seen through
// the loss that contains it.
func TestExp(t *testing.T) {
	everyKernel(t, func(t *testing.T, k *kernels) {
		x := grid(-87, 88.7)
		y := make([]float32, len(x))
		k.exp(y, x)
		worst(t, "exp", x, y, math.Exp, 2)
		far := []float32{-200, float32(math.Inf(-1)), 200, float32(math.Inf(1))}
		k.exp(far, far)
		if far[0] != 0 || far[1] != 0 || !math.IsInf(float64(far[2]), 1) || !math.IsInf(float64(far[3]), 1) {
			t.Errorf("exp far away is %g, want 0, 0, +Inf, +Inf", far)
		}
		for _, s := range grid(-80, 80) {
			want := float64(s) / 2
			if got := k.gaussianLearned([]float32{1}, []float32{s}, []float32{1}, nil, nil, nil, 1, 1, 1, 0, 0); !(math.Abs(got-want) <= 3e-7*max(1, math.Abs(want))) {
				t.Fatalf("½ ln exp(%g) is %g, want %g", s, got, want)
			}
		}
	})
}

// TestDerivativesThatCancel checks the derivatives that are differences by
// their absolute error.
func TestDerivativesThatCancel(t *testing.T) {
	for _, f := range []struct {
		act        device.Activation
		lo, hi     float64
		derivative func(from float64) float64
	}{
		{device.GELU, -12, 12, func(a float64) float64 { return bigPhi(a) + a*phi(a) }},
		{device.SiLU, -80, 80, func(a float64) float64 { return logistic(a) * (1 + a*(1-logistic(a))) }},
		{device.Softplus, 0, 80, func(y float64) float64 { return -math.Expm1(-y) }},
	} {
		everyKernel(t, func(t *testing.T, k *kernels) {
			x := grid(f.lo, f.hi)
			y, ones := make([]float32, len(x)), make([]float32, len(x))
			for i := range ones {
				ones[i] = 1
			}
			k.activateBackward[f.act](y, ones, x)
			for i := range x {
				if e := math.Abs(float64(y[i]) - f.derivative(float64(x[i]))); !(e <= 4e-7) {
					t.Fatalf("derivative of %v at %g is %g, want %g", f.act, x[i], y[i], f.derivative(float64(x[i])))
				}
			}
		})
	}
}

// TestNotANumberStays: a diverged activation must not look like a sound one.
func TestNotANumberStays(t *testing.T) {
	everyKernel(t, func(t *testing.T, k *kernels) {
		nan := float32(math.NaN())
		for act := range k.activate {
			x := []float32{nan}
			k.activate[act](x, x)
			if x[0] == x[0] {
				t.Errorf("%v of NaN is %g", device.Activation(act), x[0])
			}
		}
		for _, least := range []float32{0, float32(math.Inf(-1))} {
			y := []float32{nan, 0}
			k.addRows(y, 2, 1, []float32{0, nan}, least)
			if y[0] == y[0] || y[1] == y[1] {
				t.Errorf("sums with NaN and at least %g are %g", least, y)
			}
		}
		for name, loss := range map[string]float64{
			"learned variance": k.gaussianLearned([]float32{0}, []float32{nan}, []float32{0}, nil, nil, nil, 1, 1, 1, 1, 0),
			"bernoulli":        k.bernoulli([]float32{nan}, []float32{0}, nil, nil, 1, 1, 1), "gaussian": k.gaussian([]float32{nan}, []float32{0}, nil, nil, 1, 1, 1, 1, 0),
		} {
			if loss == loss {
				t.Errorf("%s of NaN is %g", name, loss)
			}
		}
	})
}

// TestBiasAndReLU compares what is added and rectified in one pass with what is in two, bit for bit but for the kind of NaN.
func TestBiasAndReLU(t *testing.T) {
	special := []float32{0, float32(math.Copysign(0, -1)), 1, -1, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 2, -2}
	everyKernel(t, func(t *testing.T, k *kernels) {
		for n := range 40 {
			const rows, between = 3, 2
			stride := n + between
			x, once := make([]float32, n), make([]float32, rows*stride)
			for i := range x {
				x[i] = special[i*i%len(special)]
			}
			for i := range once {
				once[i] = special[i%len(special)]
			}
			twice := slices.Clone(once)
			k.addRows(once, stride, rows, x, 0)
			k.addRows(twice, stride, rows, x, float32(math.Inf(-1)))
			for r := range rows {
				row := twice[r*stride:][:n]
				k.activate[device.ReLU](row, row)
			}
			for i, want := range twice {
				if bothNaN := once[i] != once[i] && want != want; !bothNaN && math.Float32bits(once[i]) != math.Float32bits(want) {
					t.Fatalf("%d columns: element %d is %g, want %g", n, i, once[i], want)
				}
			}
		}
	})
}

// TestRandomBits compares words and normal draws with package philox bit for
// bit, among them the words at which its functions change branches.
func TestRandomBits(t *testing.T) {
	edges := []uint32{0, 1, 2, 3, 1 << 29, 1<<29 - 1, 1 << 30, 3 << 29, 1 << 31, 1<<31 - 1, 5 << 29, 3 << 30, 7 << 29, math.MaxUint32, math.MaxUint32 - 1, 0xB504F333, 0xB504F334, 1 << 24, 1<<24 + 1}
	random := rand.New(rand.NewPCG(1, 2))
	everyKernel(t, func(t *testing.T, k *kernels) {
		counter, key := philox.Counter{math.MaxUint32 - 5, 7, 1 << 31, 0x12345678}, philox.Key{0xDEADBEEF, 99}
		words := make([]uint32, 4*wordsMultiple)
		k.words(words, counter, key)
		for i := 0; i < len(words); i += 4 {
			if got, want := [4]uint32(words[i:]), philox.Block(counter, key); got != want {
				t.Fatalf("block %d is %x, want %x", i/4, got, want)
			}
			counter[0]++
		}
		words = make([]uint32, 1<<14)
		for i := range words {
			words[i] = random.Uint32()
			if i < 2*len(edges)*len(edges) {
				words[i] = edges[(i/2/[2]int{1, len(edges)}[i%2])%len(edges)]
			}
		}
		z := make([]float32, len(words))
		k.normals(z, words)
		for i := 0; i < len(z); i += 2 {
			z0, z1 := philox.Normal(words[i], words[i+1])
			if math.Float32bits(z[i]) != math.Float32bits(z0) || math.Float32bits(z[i+1]) != math.Float32bits(z1) {
				t.Fatalf("words %x: %x and %x, want %x and %x", words[i:i+2], z[i], z[i+1], z0, z1)
			}
		}
	})
}

// operands are what the elementwise kernels are tried on: numbers of both
// signs, positive ones in c, and random words.
type operands struct {
	a, b, c []float32
	words   []uint32
}

func newOperands(n int, floats func(n int) []float32, words func(n int) []uint32) operands {
	random := rand.New(rand.NewPCG(3, 4))
	o := operands{floats(n), floats(n), floats(n), words(n)}
	for i := range n {
		o.a[i], o.b[i] = float32(random.NormFloat64()), float32(random.NormFloat64())
		o.c[i], o.words[i] = float32(random.ExpFloat64()), random.Uint32()
	}
	return o
}

// elementwise returns operations that compute the elements lo to hi in y.
func elementwise(k *kernels, o operands) map[string]func(y []float32, lo, hi int) {
	a, b, c, words := o.a, o.b, o.c, o.words
	scalars := ruleScalars{1, 0.1, 0.9, 0.9, 0.1, 0.99, 0.01, 0.1, 1, 1e-3}
	operations := map[string]func(y []float32, lo, hi int){
		"add":      func(y []float32, lo, hi int) { k.add(y, a[lo:hi]) },
		"scale":    func(y []float32, lo, hi int) { k.scale(y, 3, a[lo:hi]) },
		"combine":  func(y []float32, lo, hi int) { k.combine(y, 3, a[lo:hi], 2, b[lo:hi]) },
		"exp":      func(y []float32, lo, hi int) { k.exp(y, a[lo:hi]) },
		"sgd":      func(y []float32, lo, hi int) { k.sgd(y, a[lo:hi], copied(b[lo:hi]), &scalars) },
		"nesterov": func(y []float32, lo, hi int) { k.nesterov(y, a[lo:hi], copied(b[lo:hi]), &scalars) },
		"adam":     func(y []float32, lo, hi int) { k.adam(y, a[lo:hi], copied(b[lo:hi]), copied(c[lo:hi]), &scalars) },
		"rmsprop":  func(y []float32, lo, hi int) { k.rmsprop(y, a[lo:hi], copied(c[lo:hi]), &scalars) },
		"noise":    func(y []float32, lo, hi int) { k.addNoise(y, a[lo:hi], b[lo:hi], 0.5) },
		"drop":     func(y []float32, lo, hi int) { k.dropWords(y, a[lo:hi], words[lo:hi], 1<<31, 2) },
		"mask":     func(y []float32, lo, hi int) { k.maskWords(y, a[lo:hi], copied(b[lo:hi]), words[lo:hi], 1<<31, true) },
		"masked":   func(y []float32, lo, hi int) { k.maskWords(copied(b[lo:hi]), a[lo:hi], y, words[lo:hi], 1<<31, true) },
		"unmasked": func(y []float32, lo, hi int) { k.maskWords(copied(b[lo:hi]), a[lo:hi], y, words[lo:hi], 1<<31, false) },
		"speckle":  func(y []float32, lo, hi int) { k.addSpeckle(y, a[lo:hi], b[lo:hi], 0.5) },
		"uniform":  func(y []float32, lo, hi int) { k.addUniform(y, a[lo:hi], words[lo:hi], 0.5) },
		"salt and pepper": func(y []float32, lo, hi int) {
			k.saltAndPepper(y, a[lo:hi], copied(b[lo:hi]), b[lo:hi], c[lo:hi], words[lo:hi], 1<<29, 1<<30, true)
		},
		"salted and peppered": func(y []float32, lo, hi int) {
			k.saltAndPepper(copied(b[lo:hi]), a[lo:hi], y, b[lo:hi], c[lo:hi], words[lo:hi], 1<<29, 1<<30, false)
		},
		"normal row":     func(y []float32, lo, hi int) { k.normalizeRow(y, a[lo:hi], b[lo:hi], c[lo:hi], 0.5, 2) },
		"normal columns": func(y []float32, lo, hi int) { k.normalizeColumns(y, a[lo:hi], b[lo:hi], c[lo:hi], b[lo:hi], c[lo:hi]) },
		"means":          func(y []float32, lo, hi int) { k.columnMoments(y, copied(b[lo:hi]), a[lo:hi], 0, 3, 3) },
		"variances":      func(y []float32, lo, hi int) { k.columnMoments(copied(b[lo:hi]), y, a[lo:hi], 0, 3, 2) },
		"gain gradient of rows": func(y []float32, lo, hi int) {
			k.normalSumsOfRows(y, copied(b[lo:hi]), a[lo:hi], b[lo:hi], c[:1], c[:1], 0, 1)
		},
		"bias gradient of rows": func(y []float32, lo, hi int) {
			k.normalSumsOfRows(copied(b[lo:hi]), y, a[lo:hi], b[lo:hi], c[:1], c[:1], 0, 1)
		},
		"gain gradient of columns": func(y []float32, lo, hi int) {
			k.normalSumsOfColumns(y, copied(b[lo:hi]), a[lo:hi], b[lo:hi], b[lo:hi], c[lo:hi], 0, 3)
		},
		"bias gradient of columns": func(y []float32, lo, hi int) {
			k.normalSumsOfColumns(copied(b[lo:hi]), y, a[lo:hi], b[lo:hi], b[lo:hi], c[lo:hi], 0, 3)
		},
		"gradient of a normal row": func(y []float32, lo, hi int) {
			k.normalRowGradient(y, a[lo:hi], b[lo:hi], c[lo:hi], 0.5, 2, 0.25, 3)
		},
		"gradient of normal columns": func(y []float32, lo, hi int) {
			k.normalColumnGradient(y, a[lo:hi], b[lo:hi], c[lo:hi], a[lo:hi], b[lo:hi], c[lo:hi], a[lo:hi])
		},
		"column sums": func(y []float32, lo, hi int) {
			k.columnSums(y, a[lo:hi], 0, 3)
		},
		"bernoulli": func(y []float32, lo, hi int) { k.bernoulli(a[lo:hi], b[lo:hi], nil, y, 1, 1, 0.5) },
		"poisson":   func(y []float32, lo, hi int) { k.poisson(a[lo:hi], b[lo:hi], nil, y, 1, 1, 0.5) },
		"gaussian":  func(y []float32, lo, hi int) { k.gaussian(a[lo:hi], b[lo:hi], c[lo:hi], y, 1, 2, 0.5, 2, 1) },
		"learned mean": func(y []float32, lo, hi int) {
			k.gaussianLearned(a[lo:hi], b[lo:hi], c[lo:hi], nil, y, copied(b[lo:hi]), 1, 1, 0.5, 0.25, 1)
		},
		"learned deviation": func(y []float32, lo, hi int) {
			k.gaussianLearned(a[lo:hi], b[lo:hi], c[lo:hi], a[lo:hi], copied(b[lo:hi]), y, 1, 2, 0.5, 0.25, 1)
		},
	}
	for act := range k.activate {
		operations[fmt.Sprint(device.Activation(act))] = func(y []float32, lo, hi int) { k.activate[act](y, a[lo:hi]) }
		operations[fmt.Sprint(device.Activation(act), " backward")] = func(y []float32, lo, hi int) {
			k.activateBackward[act](y, a[lo:hi], b[lo:hi])
		}
	}
	return operations
}

// TestSlicesMayBeCutAnywhere runs the kernels on a whole slice and on two
// parts, and looks at the words around the output.
func TestSlicesMayBeCutAnywhere(t *testing.T) {
	const n = 53
	o := newOperands(n, func(n int) []float32 { return make([]float32, n) }, func(n int) []uint32 { return make([]uint32, n) })
	everyKernel(t, func(t *testing.T, k *kernels) {
		for name, operation := range elementwise(k, o) {
			want := cut(t, name, n, operation)
			for at := 1; at < n; at++ {
				got := cut(t, name, at, operation)
				for i := range got {
					if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
						t.Fatalf("%s: element %d is %g if cut at %d, %g if not", name, i, got[i], at, want[i])
					}
				}
			}
		}
	})
}

// copied keeps an operation from writing to what the next one reads.
func copied(x []float32) []float32 { return append([]float32(nil), x...) }

// cut runs an operation on the elements before at and then on the others, in
// memory between guards.
func cut(t *testing.T, name string, at int, operation func(y []float32, lo, hi int)) []float32 {
	t.Helper()
	const n, margin, guard = 53, 17, 12345
	memory := make([]float32, n+2*margin)
	for i := range memory {
		memory[i] = guard
	}
	y := memory[margin : margin+n]
	for i := range y {
		y[i] = 0.5
	}
	operation(y[:at:at], 0, at)
	for i := range y[at:] {
		if y[at+i] != 0.5 {
			t.Fatalf("%s of %d elements wrote to element %d", name, at, at+i)
		}
	}
	if at < n {
		operation(y[at:n:n], at, n)
	}
	for i, v := range memory {
		if (i < margin || i >= margin+n) && v != guard {
			t.Fatalf("%s wrote to offset %d of its memory", name, i-margin)
		}
	}
	return y
}

// TestCompress lists the elements of rows of every length and tells zeros,
// of either sign, from the smallest numbers and NaN.
func TestCompress(t *testing.T) {
	const rows, between, step = 3, 5, 3
	smallest, nan := float32(math.SmallestNonzeroFloat32), float32(math.NaN())
	everyKernel(t, func(t *testing.T, k *kernels) {
		for n := range 70 {
			stride := n + between
			x := make([]float32, rows*stride)
			for i := range x {
				x[i] = []float32{0, 1, float32(math.Copysign(0, -1)), smallest, -2, 0, nan}[i*i%7]
			}
			var counts, offsets []uint32
			var values []float32
			for r := range rows {
				row, before := x[r*stride:r*stride+n], len(offsets)
				for i, v := range row {
					if v != 0 {
						offsets, values = append(offsets, uint32(step*i)), append(values, v)
					}
				}
				counts = append(counts, uint32(len(offsets)-before))
				if found := k.nonzeros(row); found != len(offsets)-before {
					t.Fatalf("%d of %d elements counted, want %d", found, n, len(offsets)-before)
				}
			}
			gotCounts, gotOffsets, gotValues := make([]uint32, rows), make([]uint32, rows*n+listSlack), make([]float32, rows*n+listSlack)
			k.compress(gotCounts, gotOffsets, gotValues, x, stride, n, step)
			if !slices.Equal(gotCounts, counts) || !slices.Equal(gotOffsets[:len(offsets)], offsets) {
				t.Fatalf("rows of %d: counts %d, offsets %d, want %d, %d", n, gotCounts, gotOffsets[:len(offsets)], counts, offsets)
			}
			for i, v := range values {
				if math.Float32bits(gotValues[i]) != math.Float32bits(v) {
					t.Fatalf("rows of %d: value %d is %g, want %g", n, i, gotValues[i], v)
				}
			}
		}
	})
}

// TestScannedAsListed compares the product of rows of every length, read off as bits, with that of
// their lists, bit for bit: rows without anything, rows of which all is taken, and any between.
func TestScannedAsListed(t *testing.T) {
	const rows, between = 3, 5
	random := rand.New(rand.NewPCG(3, 4))
	everyKernel(t, func(t *testing.T, k *kernels) {
		width := k.sparseTile.columns
		for n := 1; n <= 2*mostScanned+1; n++ {
			stride := n + between
			x, panel := make([]float32, rows*stride), make([]float32, n*width)
			for i := range x {
				if share := float64(i/stride) / (rows - 1); random.Float64() < share {
					x[i] = float32(random.NormFloat64())
				}
			}
			for i := range panel {
				panel[i] = float32(random.NormFloat64())
			}
			counts, offsets, values := make([]uint32, rows), make([]uint32, rows*n+listSlack), make([]float32, rows*n+listSlack)
			listed, scanned := make([]float32, rows*(width+between)), make([]float32, rows*(width+between))
			k.compress(counts, offsets, values, x, stride, n, width)
			k.multiplySparse(counts, offsets, values, panel, listed, width+between, false)
			k.multiplyScanned(rows, n, x, stride, panel, scanned, width+between)
			for i, want := range listed {
				if math.Float32bits(scanned[i]) != math.Float32bits(want) {
					t.Fatalf("rows of %d: element %d is %g, want %g", n, i, scanned[i], want)
				}
			}
		}
	})
}
