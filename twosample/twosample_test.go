package twosample

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"gpudae/device/philox"
)

// normals are n draws from N(mean, spread²I).
func normals(n, features int, mean, spread float64, seed uint64) Rows {
	random := rand.New(rand.NewPCG(seed, 0))
	r := Rows{Features: features}
	for range n * features {
		r.Values = append(r.Values, float32(mean+spread*random.NormFloat64()))
	}
	return r
}

type statistic func(context.Context, Rows, Rows, Options) (Result, error)

func statistics() map[string]statistic { return map[string]statistic{"energy": Energy, "MMD": MMD} }

func mustCompare(t *testing.T, s statistic, x, y Rows, o Options) Result {
	t.Helper()
	r, err := s(context.Background(), x, y, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestByHand: two and three numbers whose distances are summed here.
func TestByHand(t *testing.T) {
	x, y := Rows{[]float32{0, 1}, 1}, Rows{[]float32{3, 4, 6}, 1}
	between := (3.0 + 4 + 6 + 2 + 3 + 5) / 6
	want := 2*between - 1 - (1.0+3+2)/3
	if got := mustCompare(t, Energy, x, y, Options{}); math.Abs(got.Statistic-want) > 1e-12 || !math.IsNaN(got.P) {
		t.Errorf("energy %+v, want %v", got, want)
	}
	k := func(d float64) float64 { return math.Exp(-d * d / 8) }
	want = k(1) + (k(1)+k(3)+k(2))/3 - 2*(k(3)+k(4)+k(6)+k(2)+k(3)+k(5))/6
	if got := mustCompare(t, MMD, x, y, Options{Bandwidth: 2}); math.Abs(got.Statistic-want) > 1e-12 {
		t.Errorf("MMD %v, want %v", got.Statistic, want)
	}
	// the distances of all five are 1 2 3 4 6 1 2 3 ..., sorted 1 1 2 2 3 3 3 4 5 6
	if got := mustCompare(t, MMD, x, y, Options{}).Bandwidth; got != 3 {
		t.Errorf("bandwidth %v, want the median distance 3", got)
	}
}

// TestOfGaussians has closed forms. In one dimension E|N(m, v)| is that of a
// folded normal; the kernel's mean is a Gaussian density of variance h²+v.
func TestOfGaussians(t *testing.T) {
	const n, shift, spread = 3000, 0.7, 1.4
	x, y := normals(n, 1, 0, 1, 1), normals(n, 1, shift, spread, 2)
	folded := func(m, v float64) float64 {
		return math.Sqrt(2*v/math.Pi)*math.Exp(-m*m/(2*v)) + m*math.Erf(m/math.Sqrt(2*v))
	}
	want := 2*folded(shift, 1+spread*spread) - folded(0, 2) - folded(0, 2*spread*spread)
	if got := mustCompare(t, Energy, x, y, Options{}).Statistic; math.Abs(got-want) > 0.03 {
		t.Errorf("energy %.4f, want %.4f", got, want)
	}
	kernel := func(m, v float64) float64 { return math.Exp(-m*m/(2*(1+v))) / math.Sqrt(1+v) }
	want = kernel(0, 2) + kernel(0, 2*spread*spread) - 2*kernel(shift, 1+spread*spread)
	if got := mustCompare(t, MMD, x, y, Options{Bandwidth: 1}).Statistic; math.Abs(got-want) > 0.01 {
		t.Errorf("MMD %.4f, want %.4f", got, want)
	}
}

// TestNullDistribution: of equal distributions P is uniform, the statistic is
// zero on average, and the permutations have its spread.
func TestNullDistribution(t *testing.T) {
	const trials = 200
	for name, s := range statistics() {
		var sum, squares, null float64
		small := 0
		for i := range trials {
			r := mustCompare(t, s, normals(40, 2, 0, 1, uint64(2*i)), normals(60, 2, 0, 1, uint64(2*i+1)), Options{Permutations: 99, Seed: uint64(i)})
			sum += r.Statistic
			squares += r.Statistic * r.Statistic
			for _, v := range r.Null {
				null += v * v / 99
			}
			if r.P <= 0.1 {
				small++
			}
		}
		if within := 4 * math.Sqrt(squares) / trials; math.Abs(sum/trials) > within {
			t.Errorf("%s: mean %.5f, want 0 ± %.5f", name, sum/trials, within)
		}
		if ratio := squares / null; ratio < 0.7 || ratio > 1.4 {
			t.Errorf("%s: the permutations have %.3f of the variance", name, 1/ratio)
		}
		// 20 expected, of variance 18
		if small < 5 || small > 37 {
			t.Errorf("%s: P ≤ 0.1 in %d of %d trials", name, small, trials)
		}
	}
}

// TestShufflesAreUniform: every example is as often in the first set as any other.
func TestShufflesAreUniform(t *testing.T) {
	const first, all, permutations = 3, 10, 4000
	membership, counts := make([]float64, all), make([]float64, all)
	for i := range first {
		membership[i] = 1
	}
	for p := range uint32(permutations) {
		for i, m := range shuffled(membership, p, philox.KeyOf(1)) {
			counts[i] += m
		}
	}
	const share = float64(first) / all
	within := 4.5 * math.Sqrt(permutations*share*(1-share))
	for i, c := range counts {
		if math.Abs(c-permutations*share) > within {
			t.Errorf("example %d is in the first set %.0f times, want %.0f ± %.0f", i, c, permutations*share, within)
		}
	}
}

// TestSeesDifferences of mean, of spread and of dependence.
func TestSeesDifferences(t *testing.T) {
	x := normals(300, 2, 0, 1, 1)
	dependent := normals(300, 2, 0, 1, 2)
	for i := 0; i < len(dependent.Values); i += 2 {
		dependent.Values[i+1] = dependent.Values[i]
	}
	for what, y := range map[string]Rows{"mean": normals(300, 2, 0.4, 1, 3), "spread": normals(300, 2, 0, 1.5, 4), "dependence": dependent} {
		for name, s := range statistics() {
			if r := mustCompare(t, s, x, y, Options{Permutations: 199}); r.P != 1.0/200 || !(r.Statistic > r.Null[198]) {
				t.Errorf("%s of another %s: P = %v", name, what, r.P)
			}
		}
	}
}

// TestStatisticOfTheTable is that without permutations, whichever set is longer.
func TestStatisticOfTheTable(t *testing.T) {
	for _, sizes := range [][2]int{{30, 50}, {50, 30}, {2, 2}} {
		x, y := normals(sizes[0], 3, 0, 1, 5), normals(sizes[1], 3, 1, 1, 6)
		for name, s := range statistics() {
			plain, tested := mustCompare(t, s, x, y, Options{}), mustCompare(t, s, x, y, Options{Permutations: 9})
			swapped := mustCompare(t, s, y, x, Options{})
			if plain.Statistic != tested.Statistic || math.Abs(plain.Statistic-swapped.Statistic) > 1e-12 {
				t.Errorf("%s: %v, with permutations %v, the other way %v", name, plain.Statistic, tested.Statistic, swapped.Statistic)
			}
		}
	}
}

// TestRepeats on any number of processors; another seed permutes otherwise.
func TestRepeats(t *testing.T) {
	x, y := normals(60, 2, 0, 1, 7), normals(60, 2, 0.2, 1, 8)
	want := mustCompare(t, MMD, x, y, Options{Permutations: 50, Seed: 3})
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if got := mustCompare(t, MMD, x, y, Options{Permutations: 50, Seed: 3}); got.Statistic != want.Statistic || !slices.Equal(got.Null, want.Null) {
		t.Error("differs on one processor")
	}
	if got := mustCompare(t, MMD, x, y, Options{Permutations: 50, Seed: 4}); slices.Equal(got.Null, want.Null) {
		t.Error("does not depend on the seed")
	}
}

func TestRefuses(t *testing.T) {
	x := normals(5, 2, 0, 1, 1)
	for what, c := range map[string]struct {
		y Rows
		o Options
	}{
		"other features":        {normals(5, 3, 0, 1, 1), Options{}},
		"a single example":      {normals(1, 2, 0, 1, 1), Options{}},
		"a negative bandwidth":  {x, Options{Bandwidth: -1}},
		"negative permutations": {x, Options{Permutations: -1}},
		"too many":              {normals(MostTested, 2, 0, 1, 1), Options{Permutations: 1}},
	} {
		for name, s := range statistics() {
			if _, err := s(context.Background(), x, c.y, c.o); err == nil {
				t.Errorf("%s takes %s", name, what)
			}
		}
	}
	still := Rows{make([]float32, 20), 2}
	if _, err := MMD(context.Background(), still, still, Options{}); err == nil {
		t.Error("a median of nothing for a bandwidth")
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Energy(stopped, x, x, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("under a context that has ended: %v", err)
	}
}
