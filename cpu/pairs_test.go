package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestPairs compares the rounding to bfloat16 with the nearest of the two
// neighbours, found in float64, zero for subnormal numbers, and the kernels with the portable rounding.
func TestPairs(t *testing.T) {
	inf := float32(math.Inf(1))
	x := []float32{0, 1, -1, 1.00390625, 1.01171875, 3.4e38, -3.4e38, inf, -inf, float32(math.NaN()), 1e-45, -1e-38, 0x1.fep-127, 0x1p-126}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		x = append(x, math.Float32frombits(random.Uint32()))
	}
	for _, v := range x {
		got := math.Float32frombits(bfloat16(v) << 16)
		down := math.Float32frombits(math.Float32bits(v) &^ 0xFFFF)
		up := math.Float32frombits(math.Float32bits(v)&^0xFFFF + 0x10000)
		toDown, toUp := math.Abs(float64(v)-float64(down)), math.Abs(float64(up)-float64(v))
		switch {
		case math.Abs(float64(v)) < 0x1p-126:
			if got != 0 || math.Signbit(float64(got)) != math.Signbit(float64(v)) {
				t.Fatalf("%g becomes %g", v, got)
			}
		case v != v:
			if got == got {
				t.Fatalf("NaN becomes %g", got)
			}
		case math.IsInf(float64(up), 0) || math.IsInf(float64(v), 0):
			if got != down && got != up {
				t.Fatalf("%g becomes %g", v, got)
			}
		case toDown < toUp && got != down, toUp < toDown && got != up, toDown == toUp && bfloat16(v)&1 != 0:
			t.Fatalf("%g becomes %g, between %g and %g", v, got, down, up)
		}
	}
	for _, k := range supportedKernels() {
		if k.pairsInRow == nil {
			continue
		}
		n := len(x) / pairBlock * pairBlock
		got, want := make([]float32, n/2), make([]float32, n/2)
		k.pairsInRow(got, x[:n])
		pairRest(want, x[:n])
		mustEqualBits(t, "pairsInRow", got, want)
		got, want = make([]float32, n/2-3), make([]float32, n/2-3)
		k.pairsOfRows(got, x, x[n/2:])
		for i := range want {
			want[i] = math.Float32frombits(bfloat16(x[i]) | bfloat16(x[n/2+i])<<16)
		}
		mustEqualBits(t, "pairsOfRows", got, want)
	}
}

func mustEqualBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %#x, want %#x", what, i, math.Float32bits(got[i]), math.Float32bits(want[i]))
		}
	}
}
