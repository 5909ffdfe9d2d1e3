package amx

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exact is x·y + z rounded once to 24 bits, to nearest, ties to even, in numbers of any
// size, where subnormal factors, terms and results are zeros.
func exact(x, y, z float32) float32 {
	number := func(v float32) *big.Float {
		if math.Abs(float64(v)) < 0x1p-126 {
			v = 0
		}
		return new(big.Float).SetPrec(2000).SetFloat64(float64(v))
	}
	sum := new(big.Float).SetPrec(2000).Mul(number(x), number(y))
	sum.Add(sum, number(z))
	nearest := new(big.Float).SetPrec(24).SetMode(big.ToNearestEven).Set(sum)
	if nearest.MantExp(nil) < -125 { // the mantissa is in [0.5, 1)
		return 0
	}
	result, _ := nearest.Float32()
	return result
}

// TestFused compares fused with exact arithmetic: on random factors of 8 bits, and terms
// near and far, at midpoints between two results and a little beside, and at the edge of
// the subnormal numbers.
func TestFused(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	factor := func(exponent int) float32 {
		m := float64(128 + random.IntN(128))
		if random.IntN(2) == 0 {
			m = -m
		}
		return float32(math.Ldexp(m, exponent-7))
	}
	compare := func(x, y, z float32) {
		t.Helper()
		if got, want := fused(x, y, z), exact(x, y, z); got != want {
			t.Fatalf("%g·%g + %g is %g, want %g", x, y, z, got, want)
		}
	}
	for range 20000 {
		x, y := factor(random.IntN(40)-20), factor(random.IntN(40)-20)
		product := float64(x) * float64(y)
		compare(x, y, float32(random.NormFloat64()))
		compare(x, y, float32(product*random.NormFloat64()*math.Exp2(float64(random.IntN(60)-30))))
		compare(x, y, float32(-product))
		z := math.Float32frombits(uint32(random.IntN(254)+1)<<23 | random.Uint32()&0x7FFFFF)
		compare(x, y, z)
		half := (float64(math.Nextafter32(z, float32(math.Inf(1)))) - float64(z)) / 2 // z plus it is a midpoint
		compare(float32(half), 1, z)
		compare(float32(half)*(1+0x1p-7), 1, z)
		compare(float32(half)*(1-0x1p-7), 1, -z)
		compare(factor(-random.IntN(64)), factor(-62-random.IntN(6)), factor(-120-random.IntN(8)))
		compare(factor(127), factor(random.IntN(3)-1), factor(127))
	}
	just := math.Float32frombits(0x00FFFFFF) // below 2⁻¹²⁵
	compare(-just, 0.5, 0)                   // tiny before rounding, and 2⁻¹²⁶ after it
	compare(just, 0.5, 0)
	compare(0x1p-126, 1, math.SmallestNonzeroFloat32)
	compare(0x1p-127, 1, 0x1p-126)
	compare(0x1p-127, 0x1p100, 0)
}

// TestFusedOfNoNumbers: infinities and NaN go through, and zeros have the sign of the sum.
func TestFusedOfNoNumbers(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct{ x, y, z, want float32 }{
		{inf, 2, 1, inf}, {inf, -2, 1, -inf}, {1, 1, -inf, -inf}, {0x1p127, 2, 0, inf}, {0x1p127, 2, -0x1p127, 0x1p127},
		{inf, 0, 1, nan}, {inf, 0x1p-127, 1, nan}, {inf, 1, -inf, nan}, {nan, 1, 1, nan}, {1, 1, nan, nan},
	} {
		if got := fused(c.x, c.y, c.z); got != c.want && (got == got || c.want == c.want) {
			t.Errorf("%g·%g + %g is %g, want %g", c.x, c.y, c.z, got, c.want)
		}
	}
	minus := float32(math.Copysign(0, -1))
	for _, c := range []struct {
		x, y, z  float32
		negative bool
	}{{1, 1, -1, false}, {minus, 1, minus, true}, {minus, 1, 0, false}, {-0x1p-100, 0x1p-100, 0, true}, {-0x1p-127, 1, minus, true}} {
		if got := fused(c.x, c.y, c.z); got != 0 || math.Signbit(float64(got)) != c.negative {
			t.Errorf("%g·%g + %g is %g", c.x, c.y, c.z, got)
		}
	}
}

// TestDotAddsInTheOrderOfTheManual: lower and upper halves apart, in order, and then to
// the sum, as terms that are lost in any other order show.
func TestDotAddsInTheOrderOfTheManual(t *testing.T) {
	pair := func(lower, upper float32) uint32 {
		return math.Float32bits(lower)>>16 | math.Float32bits(upper)&^0xFFFF
	}
	ones := []uint32{pair(1, 1), pair(1, 1), pair(1, 1)}
	for _, c := range []struct {
		what string
		sum  float32
		a    []uint32
		want float32
	}{
		{"halves apart", 0, []uint32{pair(0x1p24, 1), pair(-0x1p24, 1), pair(0, 1)}, 3},
		{"in order", 0, []uint32{pair(0x1p24, 0), pair(1, 0), pair(-0x1p24, 0)}, 0},
		{"in order, from the first on", 0, []uint32{pair(1, 0), pair(0x1p24, 0), pair(-0x1p24, 0)}, 0},
		{"the sum last", 0x1p24, []uint32{pair(1, 1), pair(0, 0), pair(0, 0)}, 0x1p24 + 2},
		{"the sum after both halves", -0x1p24, []uint32{pair(0x1p24, 1), pair(0, 0), pair(0, 0)}, 0},
	} {
		if got := Dot(c.sum, c.a, ones); got != c.want {
			t.Errorf("%s: %g, want %g", c.what, got, c.want)
		}
	}
}
