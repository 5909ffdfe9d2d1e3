package philox

import (
	"math"
	"slices"
	"testing"
)

// words are the words of consecutive blocks of a test stream.
func words(n int) []uint32 {
	all := make([]uint32, 0, n+3)
	for i := 0; len(all) < n; i++ {
		block := Block(Coordinates{Stream: StreamData, Block: uint32(i)}.Counter(), KeyOf(0x9E3779B97F4A7C15))
		all = append(all, block[:]...)
	}
	return all[:n]
}

// near requires an average over n draws to be within 4.5 standard errors.
func near(t *testing.T, what string, got, want, variance float64, n int) {
	t.Helper()
	if tolerance := 4.5 * math.Sqrt(variance/float64(n)); !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %.6g over %d draws, want %.6g ± %.2g", what, got, n, want, tolerance)
	}
}

// TestThresholdExtremes: probability 0 never happens and probability 1 always.
func TestThresholdExtremes(t *testing.T) {
	for _, word := range []uint32{0, 1, 1 << 31, math.MaxUint32} {
		if Fires(word, Threshold(0)) {
			t.Errorf("probability 0 fires at word %#x", word)
		}
		if !Fires(word, Threshold(1)) {
			t.Errorf("probability 1 does not fire at word %#x", word)
		}
	}
	half := Threshold(0.5)
	if !Fires(1<<31-1, half) || Fires(1<<31, half) {
		t.Errorf("the threshold of 1/2 is %#x", half)
	}
}

// TestThresholdIsTheProbability: the number of words that fire, over 2³², is p
// to within half a word.
func TestThresholdIsTheProbability(t *testing.T) {
	for _, p := range []float64{1e-9, 0.1, 0.25, 1.0 / 3, 0.999999} {
		if got := float64(Threshold(p)) / (1 << 32); math.Abs(got-p) > 0x1p-33 {
			t.Errorf("Threshold(%g) has probability %g", p, got)
		}
	}
	fired := 0
	const n = 1 << 18
	for _, w := range words(n) {
		if Fires(w, Threshold(0.1)) {
			fired++
		}
	}
	near(t, "the rate at 0.1", float64(fired)/n, 0.1, 0.09, n)
}

func TestBelowCoversItsRange(t *testing.T) {
	const n, draws = 7, 1 << 16
	counts := make([]float64, n)
	for _, w := range words(draws) {
		counts[Below(w, n)]++
	}
	for k, count := range counts {
		near(t, "the share of a value below 7", count/draws, 1.0/n, 1.0/n, draws)
		if count == 0 {
			t.Errorf("%d never comes", k)
		}
	}
	if Below(math.MaxUint32, 10) != 9 || Below(0, 10) != 0 || Below(math.MaxUint32, 1) != 0 || Below(math.MaxUint32, math.MaxUint32) != math.MaxUint32-1 {
		t.Error("the ends are wrong")
	}
}

func TestUniformMoments(t *testing.T) {
	const n = 1 << 18
	sum, squares := 0.0, 0.0
	for _, w := range words(n) {
		u := float64(Uniform(w))
		sum += u / n
		squares += u * u / n
	}
	near(t, "the mean of uniform draws", sum, 0.5, 1.0/12, n)
	near(t, "their mean square", squares, 1.0/3, 4.0/45, n)
	if Uniform(0) != 0 || Uniform(math.MaxUint32) != 1-0x1p-24 {
		t.Errorf("uniform draws span [%g, %g]", Uniform(0), Uniform(math.MaxUint32))
	}
}

// normals are standard normal draws.
func normals(n int) []float64 {
	all := make([]float64, 0, n)
	w := words(n)
	for i := 0; i < n; i += 2 {
		z0, z1 := Normal(w[i], w[i+1])
		all = append(all, float64(z0), float64(z1))
	}
	return all
}

// TestNormalMoments: zᵏ has the mean 0, 1, 0, 3, 0, 15 for k = 1..6, and the
// draws of a pair are not correlated, nor their squares.
func TestNormalMoments(t *testing.T) {
	const n = 1 << 19
	z := normals(n)
	means := [...]float64{0, 1, 0, 3, 0, 15}
	variances := [...]float64{1, 2, 15, 96, 945, 10170}
	for k, want := range means {
		sum := 0.0
		for _, v := range z {
			sum += math.Pow(v, float64(k+1)) / n
		}
		near(t, "a moment of normal draws", sum, want, variances[k], n)
	}
	product, squares := 0.0, 0.0
	for i := 0; i < n; i += 2 {
		product += z[i] * z[i+1] / (n / 2)
		squares += (z[i]*z[i] - 1) * (z[i+1]*z[i+1] - 1) / (n / 2)
	}
	near(t, "the mean product of a pair", product, 0, 1, n/2)
	near(t, "the mean product of a pair's squares", squares, 0, 4, n/2)
}

// TestNormalDistribution is the test of Kolmogorov and Smirnov: √n times the
// largest distance from Φ exceeds 2.23 with probability 10⁻⁴.
func TestNormalDistribution(t *testing.T) {
	const n = 1 << 18
	z := normals(n)
	slices.Sort(z)
	distance := 0.0
	for i, v := range z {
		phi := math.Erfc(-v/math.Sqrt2) / 2
		distance = max(distance, math.Abs(phi-float64(i)/n), math.Abs(phi-float64(i+1)/n))
	}
	if d := distance * math.Sqrt(n); d > 2.23 {
		t.Errorf("√n·D = %.3f", d)
	}
}

// TestNormalTail: the share beyond 3 and 4, on either side, and the largest
// number that can come.
func TestNormalTail(t *testing.T) {
	const n = 1 << 20
	z := normals(n)
	for _, bound := range []float64{3, 4} {
		above, below := 0.0, 0.0
		for _, v := range z {
			if v > bound {
				above++
			}
			if v < -bound {
				below++
			}
		}
		p := math.Erfc(bound/math.Sqrt2) / 2
		near(t, "the share of the upper tail", above/n, p, p, n)
		near(t, "the share of the lower tail", below/n, p, p, n)
	}
	largest, _ := Normal(0, 0)
	if want := math.Sqrt(2 * 33 * math.Ln2); math.Abs(float64(largest)-want) > 1e-5 {
		t.Errorf("the largest normal draw is %g, want %g", largest, want)
	}
	if z0, z1 := Normal(math.MaxUint32, 12345); z0 != 0 || z1 != 0 {
		t.Errorf("the smallest radius gives %g, %g", z0, z1)
	}
}

// TestNormalLane: lanes 0 and 1 use words 0 and 1, lanes 2 and 3 the others.
func TestNormalLane(t *testing.T) {
	block := [4]uint32{11 << 20, 22 << 20, 33 << 20, 44 << 20}
	a, b := Normal(block[0], block[1])
	c, d := Normal(block[2], block[3])
	for lane, want := range []float32{a, b, c, d} {
		if got := NormalLane(block, lane); got != want {
			t.Errorf("lane %d is %g, want %g", lane, got, want)
		}
	}
}

// ulp is the distance of x, a positive number, to the next float32.
func ulp(x float64) float64 {
	f := float32(x)
	return float64(math.Nextafter32(f, math.MaxFloat32)) - float64(f)
}

// TestLogAccuracy: ln u is within 1 ulp of itself for u ≤ 1/2, and above within
// 2⁻²⁴ of absolute error, over every binade and near 1.
func TestLogAccuracy(t *testing.T) {
	check := func(u float32) {
		want := math.Log(float64(u))
		bound := 0x1p-24
		if u <= 0.5 {
			bound = ulp(-want)
		}
		if got := float64(logUnit(u)); math.Abs(got-want) > bound {
			t.Errorf("logUnit(%v) = %v, want %v", u, got, want)
		}
	}
	for _, w := range words(1 << 17) {
		check(float32(float32(w)*0x1p-32) + 0x1p-33) // as Normal does
		check(math.Float32frombits(0x2F000000 + w%(0x3F800001-0x2F000000)))
	}
	for u := float32(1); u > 0.9999; u = math.Nextafter32(u, 0) {
		check(u)
	}
}

// TestTurnAccuracy: sine and cosine are within 2⁻²³ of those of the angle
// 2π·w/2³²; quarter turns are exact.
func TestTurnAccuracy(t *testing.T) {
	angles := append(words(1<<17), 0, 1, 1<<29, 1<<29-1, 3<<29, 5<<29, 7<<29, math.MaxUint32)
	for _, w := range angles {
		sin, cos := sincosTurn(w)
		wantSin, wantCos := math.Sincos(2 * math.Pi * float64(w) / (1 << 32))
		if math.Abs(float64(sin)-wantSin) > 0x1p-23 || math.Abs(float64(cos)-wantCos) > 0x1p-23 {
			t.Fatalf("at %#x: %v, %v, want %v, %v", w, sin, cos, wantSin, wantCos)
		}
	}
	for quarter, want := range [][2]float32{{0, 1}, {1, 0}, {0, -1}, {-1, 0}} {
		if sin, cos := sincosTurn(uint32(quarter) << 30); sin != want[0] || cos != want[1] {
			t.Errorf("%d quarter turns: %v, %v", quarter, sin, cos)
		}
	}
}

// TestExpAccuracy: exp(-x) is within 1.5 ulp for x in [0, 16].
func TestExpAccuracy(t *testing.T) {
	for _, w := range words(1 << 17) {
		x := 16 * Uniform(w)
		want := math.Exp(-float64(x))
		if got := float64(expNegative(x)); math.Abs(got-want) > 1.5*ulp(want) {
			t.Fatalf("expNegative(%v) = %v, want %v", x, got, want)
		}
	}
	if expNegative(0) != 1 {
		t.Errorf("expNegative(0) = %v", expNegative(0))
	}
}

// TestSqrtIsCorrectlyRounded: no float32 is nearer to the root.
func TestSqrtIsCorrectlyRounded(t *testing.T) {
	for _, w := range words(1 << 16) {
		x := 46 * Uniform(w)
		root := math.Sqrt(float64(x))
		got := sqrt(x)
		e := math.Abs(float64(got) - root)
		for _, other := range []float32{math.Nextafter32(got, 0), math.Nextafter32(got, 100)} {
			if math.Abs(float64(other)-root) < e {
				t.Fatalf("sqrt(%v) = %v, but %v is nearer", x, got, other)
			}
		}
	}
}

// lambdas use one chunk, several, and the most of a block.
var lambdas = [...]float32{0.01, 0.5, 3, 16, 17, 100, 255}

// poissons are draws of Poisson at consecutive rows.
func poissons(lambda float32, n int) []float64 {
	all := make([]float64, n)
	for i := range all {
		at := Coordinates{Stream: StreamTrain, Index: 2, Row: uint32(i), Step: 5, Block: 3}
		all[i] = float64(Poisson(lambda, at, KeyOf(2024)))
	}
	return all
}

// TestPoissonMoments: mean and variance are λ.
func TestPoissonMoments(t *testing.T) {
	const n = 20000
	for _, lambda := range append(lambdas[:], 5000, PoissonLimit, 40000) {
		draws := poissons(lambda, min(n, int(4e6/lambda)))
		l, count := float64(lambda), len(draws)
		mean, variance := 0.0, 0.0
		for _, x := range draws {
			mean += x / float64(count)
			variance += (x - l) * (x - l) / float64(count)
			if x < 0 || x != math.Trunc(x) {
				t.Fatalf("λ = %g: %g is no count", lambda, x)
			}
		}
		near(t, "the mean of Poisson draws", mean, l, l, count)
		near(t, "their variance", variance, l, l*(1+2*l), count)
	}
}

// TestPoissonDistribution is Pearson's chi-square test on counts grouped so
// that each group expects at least 10.
func TestPoissonDistribution(t *testing.T) {
	const n = 20000
	for _, lambda := range lambdas {
		observed := map[int]float64{}
		for _, x := range poissons(lambda, n) {
			observed[int(x)]++
		}
		statistic, groups := 0.0, 0
		var seen, expected, total float64
		for k := 0; total < n-10; k++ {
			logFactorial, _ := math.Lgamma(float64(k + 1))
			p := n * math.Exp(float64(k)*math.Log(float64(lambda))-float64(lambda)-logFactorial)
			seen, expected, total = seen+observed[k], expected+p, total+p
			if expected >= 10 && n-total >= 10 {
				statistic += (seen - expected) * (seen - expected) / expected
				groups++
				seen, expected = 0, 0
			}
			delete(observed, k)
		}
		for _, count := range observed { // the rest of the tail
			seen += count
		}
		expected += n - total
		statistic += (seen - expected) * (seen - expected) / expected
		if bound := chiSquareBound(groups); statistic > bound {
			t.Errorf("λ = %g: chi-square %.1f over %d groups, bound %.1f", lambda, statistic, groups+1, bound)
		}
	}
}

// chiSquareBound is exceeded with probability 10⁻⁴ or so, by the approximation
// of Wilson and Hilferty (1931).
func chiSquareBound(freedom int) float64 {
	k := float64(max(freedom, 1))
	return k * math.Pow(1-2/(9*k)+3.72*math.Sqrt(2/(9*k)), 3)
}

// TestPoissonHasNoOutliers: the float32 sum of the probabilities may end below
// the largest u, and the inversion must not run away there. A count may have a
// tail probability of 10⁻¹⁰ at the least.
func TestPoissonHasNoOutliers(t *testing.T) {
	for k := 1; k <= 16*64; k++ {
		rate := float32(k) / 64
		start := expNegative(rate)
		largest := 0
		for j := range 8 {
			largest = max(largest, invertPoisson(1-float32(j+1)*0x1p-24, rate, start))
		}
		tail, term := 0.0, math.Exp(-float64(rate))
		for n := range 200 {
			if n >= largest {
				tail += term
			}
			term *= float64(rate) / float64(n+1)
		}
		if tail < 1e-10 {
			t.Fatalf("rate %g draws %d, whose tail has probability %.1g", rate, largest, tail)
		}
	}
}

// TestRowOfLargestUniform is what its name says.
func TestRowOfLargestUniform(t *testing.T) {
	words := Block(Coordinates{Row: rowOfLargestUniform, Draw: 1}.Counter(), KeyOf(0x0123456789abcdef))
	if u := Uniform(words[0]); u != 1-0x1p-24 {
		t.Errorf("the uniform number of row %d is %v", rowOfLargestUniform, u)
	}
}

// TestPoissonOfNothing: no rate, no count; also below zero and for no number.
func TestPoissonOfNothing(t *testing.T) {
	for _, lambda := range []float32{0, -3, float32(math.NaN()), math.SmallestNonzeroFloat32} {
		if n := Poisson(lambda, Coordinates{}, Key{}); n != 0 {
			t.Errorf("λ = %g draws %g", lambda, n)
		}
	}
}
