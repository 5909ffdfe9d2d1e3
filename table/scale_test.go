package table

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// scalerOf fits a column of numbers, and its scaling.
func scalerOf(t *testing.T, scaling Scaling, limits Limits, numbers []float64) (*Column, scaler) {
	t.Helper()
	var cells []string
	for _, x := range numbers {
		cells = append(cells, fmt.Sprint(x))
	}
	s, _ := infer(t, column(cells...), Options{Scaling: scaling, Limits: limits})
	c := &s.Columns[0]
	if !c.Kind.scaled() {
		t.Fatalf("the column is %s: %s", c.Kind, c.Reason)
	}
	return c, newScaler(c)
}

func TestScalingsByTheirDefinitions(t *testing.T) {
	x := []float64{3, -1, 4, 1.5, 1.5, 9}
	const mean, low, high = 18.0 / 6, -1.0, 9.0
	square := 0.0
	for _, v := range x {
		square += (v - mean) * (v - mean) / 6
	}
	for scaling, f := range map[Scaling]func(x float64) float64{
		Standard: func(x float64) float64 { return (x - mean) / math.Sqrt(square) },
		MinMax:   func(x float64) float64 { return (x - low) / (high - low) },
		None:     func(x float64) float64 { return x },
	} {
		_, s := scalerOf(t, scaling, Limits{}, x)
		for _, v := range append(x, 100, -100, 0.25) {
			near(t, fmt.Sprintf("%s of %v", scaling, v), s.apply(v), f(v), 1e-12*math.Abs(v))
			near(t, fmt.Sprintf("%s there and back of %v", scaling, v), s.invert(s.apply(v)), v, 1e-12*math.Abs(v))
		}
	}
}

// With fewer values than knots the gauss-rank of a value is Φ⁻¹ of its mid-rank.
func TestGaussRankOfRanks(t *testing.T) {
	x := []float64{5, 1, 1, 3, 1e6, 5, 5, -2}
	_, s := scalerOf(t, GaussRank, Limits{}, x)
	for _, v := range x {
		below, equal := 0.0, 0.0
		for _, other := range x {
			if other < v {
				below++
			} else if other == v {
				equal++
			}
		}
		want := distuv.UnitNormal.Quantile((below + equal/2) / float64(len(x)))
		near(t, fmt.Sprint("z of ", v), s.apply(v), want, 1e-7)
		near(t, fmt.Sprint("back of ", v), s.invert(float64(float32(s.apply(v)))), v, 1e-9)
	}
}

// Of many values, exactly counted or sketched, the result is close to normal,
// strictly increasing, and has an exact inverse in between and outside.
func TestGaussRankOfManyValues(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	x := make([]float64, 100_000)
	for i := range x {
		if x[i] = math.Exp(random.NormFloat64()); i%5 == 0 {
			x[i] = 0
		}
	}
	sketched := DefaultLimits()
	sketched.Values = 1000
	for name, c := range map[string]struct {
		limits    Limits
		tolerance float64 // of the probability that a rank stands for
	}{"counted": {DefaultLimits(), 0.001}, "sketched": {sketched, 0.003}} {
		t.Run(name, func(t *testing.T) {
			column, s := scalerOf(t, GaussRank, c.limits, x)
			if n := len(column.Fit.Quantiles.Values); n > c.limits.Knots+3 {
				t.Errorf("%d knots", n)
			}
			sorted := slices.Sorted(slices.Values(x))
			for i := 30_000; i < len(x)-1; i += 997 { // above the zeros
				near(t, fmt.Sprintf("the probability of %v", sorted[i]), distuv.UnitNormal.CDF(s.apply(sorted[i])), float64(i)/float64(len(x)), c.tolerance)
			}
			near(t, "the probability of 0", distuv.UnitNormal.CDF(s.apply(0)), 0.1, c.tolerance)
			near(t, "the probability of what is barely above 0", distuv.UnitNormal.CDF(s.apply(1e-6)), 0.2, c.tolerance)
			for _, rank := range []float64{0.11, 0.15, 0.19} {
				near(t, fmt.Sprintf("the value of rank %v, which is among the zeros", rank), s.invert(distuv.UnitNormal.Quantile(rank)), 0, 1e-9)
			}
			last := math.Inf(-1)
			for z := -7.0; z < 7; z += 0.001 {
				v := s.invert(z)
				if !(v > last) {
					t.Fatalf("the inverse does not increase at %v", z)
				}
				last = v
				near(t, fmt.Sprintf("z there and back of %v", z), s.apply(v), z, 1e-9)
			}
			mean, deviation := s.moments(column.Fit)
			sum, squares := 0.0, 0.0
			for _, v := range x {
				z := s.apply(v)
				sum, squares = sum+z/1e5, squares+z*z/1e5
			}
			near(t, "the mean of z", mean, sum, 0.005)
			near(t, "the deviation of z", deviation, math.Sqrt(squares-sum*sum), 0.01)
		})
	}
}

// The sketch keeps ranks within its bound, in any order of the numbers.
func TestQuantileSketch(t *testing.T) {
	const n = 300_000
	for name, at := range map[string]func(i int) float64{
		"ascending":  func(i int) float64 { return float64(i) },
		"descending": func(i int) float64 { return float64(n - 1 - i) },
		"mixed":      func(i int) float64 { return float64(i * 7919 % n) },
	} {
		var q quantileSketch
		for i := range n {
			q.add(at(i), 1)
		}
		values, weights := q.sorted()
		below, worst := 0.0, 0.0
		for i, v := range values {
			worst = max(worst, math.Abs(below+weights[i]/2-v))
			below += weights[i]
		}
		if below != n {
			t.Errorf("%s: %v numbers of %d", name, below, n)
		}
		if bound := float64(n) * float64(len(q.levels)) / (2 * sketchWidth); worst > bound || len(values) > len(q.levels)*sketchWidth {
			t.Errorf("%s: a rank is off by %v of %v, %d numbers are kept", name, worst, bound, len(values))
		}
	}
}

// Moments in blocks are those of all numbers, also far from 0.
func TestMoments(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	x := make([]float64, 10_000)
	for i := range x {
		x[i] = 1.7e9 + random.Float64()
	}
	var m moments
	for from := 0; from < len(x); from += 777 {
		m.add(x[from:min(from+777, len(x))])
	}
	mean, squares := 0.0, 0.0
	for _, v := range x {
		mean += (v - x[0]) / 1e4
	}
	for _, v := range x {
		squares += (v - x[0] - mean) * (v - x[0] - mean)
	}
	near(t, "the mean", m.mean-x[0], mean, 1e-6)
	near(t, "the deviation", m.deviation(), math.Sqrt(squares/1e4), 1e-7)
	if m.low != slices.Min(x) || m.high != slices.Max(x) || m.n != 1e4 {
		t.Errorf("%v numbers from %v to %v", m.n, m.low, m.high)
	}
}
