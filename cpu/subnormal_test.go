package cpu

import (
	"fmt"
	"math"
	"testing"
)

// subnormal is a number below the smallest normal one, and half of it is one too.
const subnormal = 0x1p-130

// vectorKernels runs a test on the vector kernels of this machine: those of plain Go
// compute with subnormal numbers.
func vectorKernels(t *testing.T, test func(t *testing.T, k *kernels)) {
	everyKernel(t, func(t *testing.T, k *kernels) {
		if k.name == genericKernels.name {
			t.Skip("plain Go")
		}
		test(t, k)
	})
}

// usualScalars are those of an Adam long after its first step.
func usualScalars() ruleScalars {
	return ruleScalars{
		scalarClip: 1, scalarShrink: 1, scalarBeta1: 0.9, scalarGain1: 0.1,
		scalarBeta2: 0.999, scalarGain2: 0.001, scalarRate: 0.1, scalarUnbias2: 1, scalarEpsilon: 1e-8,
	}
}

// halved is half of a number that the compiler does not know.
//
//go:noinline
func halved(x float32) float32 { return x / 2 }

// TestMomentsDoNotStaySubnormal checks that an optimiser's moments end at zero where no
// gradient comes, instead of a number that some processors take a hundred cycles for,
// and that Go computes with such numbers as before afterwards.
func TestMomentsDoNotStaySubnormal(t *testing.T) {
	vectorKernels(t, func(t *testing.T, k *kernels) {
		scalars := usualScalars()
		for name, update := range map[string]func(theta, g, moment []float32){
			"sgd":             func(theta, g, m []float32) { k.sgd(theta, g, m, &scalars) },
			"nesterov":        func(theta, g, m []float32) { k.nesterov(theta, g, m, &scalars) },
			"adam's first":    func(theta, g, m []float32) { k.adam(theta, g, m, make([]float32, len(m)), &scalars) },
			"adam's second":   func(theta, g, v []float32) { k.adam(theta, g, make([]float32, len(v)), v, &scalars) },
			"rmsprop":         func(theta, g, v []float32) { k.rmsprop(theta, g, v, &scalars) },
			"a gradient's m":  func(theta, g, m []float32) { fill(g, subnormal); k.sgd(theta, g, m, &scalars) },
			"a gradient's g²": func(theta, g, v []float32) { fill(g, 0x1p-65); k.rmsprop(theta, g, v, &scalars) },
		} {
			const n = 21 // a whole vector, and a part of one
			theta, g, moment := make([]float32, n), make([]float32, n), make([]float32, n)
			fill(theta, 1)
			fill(moment, subnormal)
			update(theta, g, moment)
			for i := range moment {
				if moment[i] != 0 || theta[i] != 1 {
					t.Fatalf("%s: element %d is %g, its parameter %g; want 0 and 1", name, i, moment[i], theta[i])
				}
			}
			if got := halved(subnormal); got != subnormal/2 {
				t.Fatalf("%s: half of %g is %g afterwards", name, subnormal, got)
			}
		}
	})
}

// TestProductsTakeSubnormalsForZeros checks dense and sparse products alike: the one
// must have the bits of the other.
func TestProductsTakeSubnormalsForZeros(t *testing.T) {
	vectorKernels(t, func(t *testing.T, k *kernels) {
		for _, factors := range [][2]float32{{subnormal, 1}, {1, subnormal}, {0x1p-70, 0x1p-70}} {
			for _, tile := range k.tiles {
				s, panel, c := []float32{factors[0]}, make([]float32, tile.columns), make([]float32, tile.columns)
				fill(panel, factors[1])
				tile.multiply[0](1, 1, s, 1, 1, panel, tile.columns, tile.columns, c, tile.columns, false, 1, s, 0, 0)
				allZero(t, fmt.Sprintf("tile of %d, %g·%g", tile.columns, factors[0], factors[1]), c)
			}
			width := k.sparseTile.columns
			panel, c := make([]float32, width), make([]float32, width)
			fill(panel, factors[1])
			k.multiplySparse([]uint32{1}, []uint32{0}, []float32{factors[0]}, panel, c, width, false)
			allZero(t, fmt.Sprintf("sparse, %g·%g", factors[0], factors[1]), c)
			fill(c, 1)
			k.multiplyScanned(1, 1, []float32{factors[0]}, 1, panel, c, width)
			allZero(t, fmt.Sprintf("scanned, %g·%g", factors[0], factors[1]), c)
			if got := halved(subnormal); got != subnormal/2 {
				t.Fatalf("half of %g is %g afterwards", subnormal, got)
			}
		}
	})
}

// TestSquaresThatAreSubnormalDoNotCount, wherever they stand, and do not slow the others down.
func TestSquaresThatAreSubnormalDoNotCount(t *testing.T) {
	vectorKernels(t, func(t *testing.T, k *kernels) {
		for n := range 200 {
			x := make([]float32, n)
			fill(x, 0x1p-70)
			if n > 0 {
				x[n/2] = 3
			}
			want := 0.0
			if n > 0 {
				want = 9
			}
			if got := k.sumSquares(x); got != want {
				t.Fatalf("%d elements: %g, want %g", n, got, want)
			}
		}
		if got := halved(subnormal); got != subnormal/2 {
			t.Fatalf("half of %g is %g afterwards", subnormal, got)
		}
	})
}

func allZero(t *testing.T, what string, c []float32) {
	t.Helper()
	for j, v := range c {
		if v != 0 || math.Signbit(float64(v)) {
			t.Fatalf("%s: element %d is %g, want 0", what, j, v)
		}
	}
}

// BenchmarkIdleMoments times Adam on parameters that have had no gradient for long.
func BenchmarkIdleMoments(b *testing.B) {
	const n = 20832
	k := supportedKernels()[0]
	scalars := usualScalars()
	theta, g, first, second := alignedFloats(n), alignedFloats(n), alignedFloats(n), alignedFloats(n)
	fill(first, subnormal)
	fill(second, 1)
	for b.Loop() {
		k.adam(theta, g, first, second, &scalars)
	}
}
