package philox

import (
	"math"
	"math/bits"
)

// Every product below is wrapped in an explicit float32 conversion: the
// language then forbids fusing it into a following addition, on any
// architecture, and a CUDA twin writes __fmul_rn and __fadd_rn.

// Threshold turns a probability p in [0, 1] into the integer T for which
// "word < T" has probability p to within 2⁻³³: T = round(p·2³²). It needs 33
// bits, so that p = 1 always fires.
func Threshold(p float64) uint64 { return uint64(math.Round(p * (1 << 32))) }

// Fires reports whether the event of a Threshold happens at this word.
func Fires(word uint32, threshold uint64) bool { return uint64(word) < threshold }

// Below maps a word to {0, ..., n-1} by multiply and shift, n ≥ 1. The bias
// towards any value is below n/2³².
func Below(word, n uint32) uint32 {
	hi, _ := bits.Mul32(word, n)
	return hi
}

// Uniform maps a word to one of 2²⁴ equidistant values in [0, 1).
func Uniform(word uint32) float32 { return float32(word>>8) * 0x1p-24 }

// Normal maps two words to two independent standard normal draws by the
// transform of Box and Muller (1958). |z| is at most 6.77.
func Normal(w0, w1 uint32) (z0, z1 float32) {
	u := float32(float32(w0)*0x1p-32) + 0x1p-33 // (0, 1]
	radius := sqrt(float32(-2 * logUnit(u)))
	sin, cos := sincosTurn(w1)
	return float32(radius * cos), float32(radius * sin)
}

// NormalLane returns the standard normal draw of lane 0..3 of a block: lanes 0
// and 1 are the pair of words 0 and 1, lanes 2 and 3 that of words 2 and 3.
func NormalLane(block [4]uint32, lane int) float32 {
	z0, z1 := Normal(block[lane&2], block[lane&2+1])
	if lane&1 == 0 {
		return z0
	}
	return z1
}

// sqrt is correctly rounded: the float64 root of a float32 has bits to spare.
func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// logUnit is ln u for u in (0, 1], with the polynomial of Cephes logf
// (S. Moshier); within 2⁻²⁴ for u > 1/2, and within one ulp below.
func logUnit(u float32) float32 {
	raw := math.Float32bits(u)
	exponent := int32(raw>>23) - 126
	m := math.Float32frombits(raw&0x007FFFFF | 0x3F000000) // [1/2, 1)
	if m < 0.70710678 {
		exponent--
		m = m + m
	}
	f := m - 1
	z := float32(f * f)
	p := float32(7.0376836292e-2)
	for _, c := range [...]float32{-1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
		-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1} {
		p = float32(p*f) + c
	}
	p = float32(float32(p*f) * z)
	e := float32(exponent)
	p = p + float32(e*-2.12194440e-4)
	p = p - float32(0.5*z)
	return float32(f+p) + float32(e*0.693359375)
}

// sincosTurn is the sine and cosine of 2π·w/2³², with the polynomials of
// Cephes sinf and cosf on [-π/4, π/4], to which the reduction is exact; both
// within 2⁻²³.
func sincosTurn(w uint32) (sin, cos float32) {
	quarter := (w + 1<<29) >> 30 // nearest quarter turn, modulo 4
	x := float32(float32(int32(w-quarter<<30)) * (math.Pi / (1 << 31)))
	z := float32(x * x)
	s := float32(float32(-1.9515295891e-4*z) + 8.3321608736e-3)
	s = float32(s*z) - 1.6666654611e-1
	s = float32(float32(s*z)*x) + x
	c := float32(float32(2.443315711809948e-5*z) - 1.388731625493765e-3)
	c = float32(c*z) + 4.166664568298827e-2
	c = float32(float32(c*z) * z)
	c = c - float32(0.5*z)
	c = c + 1
	switch quarter & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	default:
		return -c, s
	}
}

// Limits of Poisson: a chunk keeps exp(-λ) far from underflow, and a draw has
// room for 255 blocks of four chunks.
const (
	poissonChunk = 16
	PoissonLimit = 255 * 4 * poissonChunk // largest λ drawn exactly
)

// Poisson draws N ~ Poisson(λ) at coordinates at, using Draw = 1, 2, ... and
// Block as given. λ is split into equal chunks of at most 16, each drawn by
// inversion with one word (a sum of independent Poisson variables is Poisson
// with the sum of the rates). λ ≤ 0 gives 0; above PoissonLimit the draw is
// the rounded normal approximation, whose relative error is below 0.1 %.
func Poisson(lambda float32, at Coordinates, k Key) float32 {
	if !(lambda > 0) {
		return 0
	}
	if lambda > PoissonLimit {
		at.Draw = 1
		z, _ := normalPair(Block(at.Counter(), k))
		n := float32(math.Floor(float64(lambda + float32(sqrt(lambda)*z) + 0.5)))
		return max(n, 0)
	}
	if lambda <= PoissonOfWordLimit {
		at.Draw = 1
		return PoissonOfWord(lambda, Block(at.Counter(), k)[0])
	}
	chunks := int(math.Ceil(float64(lambda * (1.0 / poissonChunk))))
	rate := lambda / float32(chunks)
	start := expNegative(rate)
	total := 0
	var words [4]uint32
	for i := range chunks {
		if i%4 == 0 {
			at.Draw = uint32(i/4 + 1)
			words = Block(at.Counter(), k)
		}
		total += invertPoisson(Uniform(words[i%4]), rate, start)
	}
	return float32(total)
}

// PoissonOfWordLimit is the largest λ of which a draw takes a single word.
const PoissonOfWordLimit = poissonChunk

// PoissonOfWord is what Poisson draws for λ up to PoissonOfWordLimit from the
// first word of the block at Draw 1, for a caller that makes words in bulk.
func PoissonOfWord(lambda float32, word uint32) float32 {
	if !(lambda > 0) {
		return 0
	}
	return float32(invertPoisson(Uniform(word), lambda, expNegative(lambda)))
}

func normalPair(b [4]uint32) (z0, z1 float32) { return Normal(b[0], b[1]) }

// invertPoisson is the smallest n whose cumulative probability exceeds u. The
// cumulative probability is a float32 sum that may stop short of 1; a u above
// it gives the n whose term no longer changes the sum.
func invertPoisson(u, rate, start float32) int {
	term, cumulative := start, start
	n := 0
	for u >= cumulative {
		n++
		term = float32(term*rate) / float32(n)
		next := cumulative + term
		if next == cumulative {
			break
		}
		cumulative = next
	}
	return n
}

// expNegative is exp(-x) for x in [0, 16], with the polynomial of Cephes expf;
// within 1.5 ulp.
func expNegative(x float32) float32 {
	n := float32(math.Floor(float64(float32(x*-1.44269504088896341) + 0.5)))
	r := -x - float32(n*0.693359375)
	r = r - float32(n*-2.12194440e-4)
	p := float32(1.9875691500e-4)
	for _, c := range [...]float32{1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		p = float32(p*r) + c
	}
	p = float32(p*float32(r*r)) + r
	p = p + 1
	return float32(p * math.Float32frombits(uint32(int32(n)+127)<<23))
}
