package amx

import "math"

// Dot is what TDPBF16PS does to one element: sum + Σ a·b of pairs of bfloat16, the
// lower halves added up from zero in order, the upper halves likewise, and these two
// added to each other and then to sum. Each step is fused, rounds to nearest, ties to
// even, and takes subnormal numbers for zeros, its result included.
func Dot(sum float32, a, b []uint32) float32 {
	var lower, upper float32
	for i, x := range a {
		y := b[i]
		lower = fused(math.Float32frombits(x<<16), math.Float32frombits(y<<16), lower)
		upper = fused(math.Float32frombits(x&^0xFFFF), math.Float32frombits(y&^0xFFFF), upper)
	}
	return fused(sum, 1, fused(lower, 1, upper))
}

// fused is x·y + z rounded once, where x·y has no more than 53 bits. Rounding the sum in
// float64 anew does that, but where it lies in the middle of two float32, as the exact one
// may not, or is subnormal.
func fused(x, y, z float32) float32 {
	const below, middle = 1<<29 - 1, 1 << 28 // bits of a float64 that a float32 has not
	product, term := float64(normal(x))*float64(normal(y)), float64(normal(z))
	s := product + term
	if b := math.Float64bits(s); b&below != middle && (s > 0x1p-120 || s < -0x1p-120) {
		return float32(s)
	}
	return rounded(sumToOdd(product, term))
}

// normal is x, or a zero of its sign if it is subnormal.
func normal(x float32) float32 {
	const sign, exponent = 1 << 31, 0xFF << 23
	if b := math.Float32bits(x); b&exponent == 0 {
		return math.Float32frombits(b & sign)
	}
	return x
}

// sumToOdd is x + y, of the two neighbours the one with the last bit set if neither is
// exact, so that to round the sum to fewer bits gives what rounding the exact one does
// (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
func sumToOdd(x, y float64) float64 {
	s := x + y
	if math.IsInf(s, 0) || math.IsNaN(s) {
		return s
	}
	of := s - x
	rest := (x - (s - of)) + (y - of) // x + y - s, exactly (Knuth)
	b := math.Float64bits(s)
	if rest == 0 || b&1 != 0 {
		return s
	}
	if (rest > 0) == (s > 0) {
		return math.Float64frombits(b + 1)
	}
	return math.Float64frombits(b - 1)
}

// rounded is x as a float32, and zero if it is subnormal after rounding to 24 bits.
func rounded(x float64) float32 {
	const smallest, scale = 0x1p-126, 0x1p64
	if x == 0 || math.Abs(x) >= smallest || math.IsNaN(x) {
		return float32(x)
	}
	if math.Abs(float64(float32(x*scale))) >= smallest*scale {
		return float32(math.Copysign(smallest, x))
	}
	return float32(math.Copysign(0, x))
}
