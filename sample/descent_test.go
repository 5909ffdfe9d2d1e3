package sample

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
)

// descentOf is one that suits every sampler, for mixtures of unit scale.
func descentOf(t testing.TB, d Denoiser, chains, levels int) Descent {
	return Descent{Denoiser: d, Levels: mustLevels(t, 20, 0.02, levels), Start: mustStart(t, d, chains, 20, 1), Seed: 1, Inner: 10, StepSize: 0.6}
}

func mustDescend(t testing.TB, run func(context.Context, Descent) ([]float32, error), d Descent) []float32 {
	t.Helper()
	x, err := run(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestDiffusionsReproduceAMixture: with the exact denoiser no two-sample test
// tells their samples from draws.
func TestDiffusionsReproduceAMixture(t *testing.T) {
	const n = 300
	levels := map[string]int{"heun": 20, "euler": 50, "ddim": 50, "ancestral": 80, "annealed-langevin": 25}
	for _, m := range []*gaussianMixture{plane(), space(4)} {
		want := m.draw(n, 9)
		for _, method := range Diffusions() {
			x := mustDescend(t, method.Run, descentOf(t, m, n, levels[method.Name]))
			checkSame(t, method.Name, x, want, m.features)
		}
		churned := descentOf(t, m, n, 40)
		churned.Churn = Churn{Amount: 20, Min: 0.05, Max: 10, Noise: 1}
		checkSame(t, "heun with churn", mustDescend(t, Heun, churned), want, m.features)
	}
}

// TestHeunIsOfSecondOrder and Euler's method of the first: of a Gaussian the
// flow is known, x - μ growing as √(λ + σ²) along each axis.
func TestHeunIsOfSecondOrder(t *testing.T) {
	const from, to = 5, 0.3
	c := newComponent(1, []float64{0.4}, []float64{0.9})
	g := newMixture(c)
	wrong := func(run func(context.Context, Descent) ([]float32, error), n int) float64 {
		levels := make([]float64, n+1)
		for i := range levels {
			levels[i] = from * math.Pow(to/from, float64(i)/float64(n))
		}
		var before []float32
		mustDescend(t, run, Descent{Denoiser: g, Levels: levels, Start: []float32{7}, Observe: func(move, _ int, x []float32, _ float64) error {
			if move == n-1 {
				before = slices.Clone(x)
			}
			return nil
		}})
		want := 0.4 + (7-0.4)*math.Sqrt((0.9+to*to)/(0.9+from*from))
		return math.Abs(float64(before[0]) - want)
	}
	for _, c := range []struct {
		name  string
		run   func(context.Context, Descent) ([]float32, error)
		order float64
	}{{"heun", Heun, 2}, {"euler", Euler, 1}, {"ddim", DDIM, 1}} {
		if got := math.Log2(wrong(c.run, 16) / wrong(c.run, 32)); math.Abs(got-c.order) > 0.25 {
			t.Errorf("%s is of order %.2f, want %g", c.name, got, c.order)
		}
	}
}

// TestDDIMWithoutNoiseIsEuler's method (Song, Meng and Ermon 2021, eq. 14).
func TestDDIMWithoutNoiseIsEuler(t *testing.T) {
	d := descentOf(t, plane(), 50, 20)
	euler, ddim := mustDescend(t, Euler, d), mustDescend(t, DDIM, d)
	for i := range euler {
		if math.Abs(float64(euler[i]-ddim[i])) > 1e-4 {
			t.Fatalf("%v and %v", euler[i], ddim[i])
		}
	}
}

// TestAncestralStepIsThePosterior: of data at one point D is that point, and a
// move from σ to σ' then gives N(x₀, σ'²) whatever η is: with η = 1, correlated
// with x by σ'/σ; with η = 0, fully.
func TestAncestralStepIsThePosterior(t *testing.T) {
	const n, from, to = 4000, 2.0, 0.5
	point := newMixture(newComponent(1, []float64{3}, []float64{0}))
	start := mustStart(t, point, n, from, 5)
	for _, eta := range []float64{0, 0.5, 1} {
		var sum, square, product float64
		mustDescend(t, DDIM, Descent{Denoiser: point, Levels: []float64{from, to}, Start: start, Eta: eta,
			Observe: func(move, _ int, x []float32, sigma float64) error {
				for i, v := range x {
					if move == 0 {
						a, b := (float64(v)-3)/to, (float64(start[i])-3)/from
						sum, square, product = sum+a/n, square+a*a/n, product+a*b/n
					} else if v != 3 || sigma != 0 {
						t.Fatalf("%v at the end", v)
					}
				}
				return nil
			}})
		tau := eta * math.Sqrt(1-to*to/(from*from))
		if math.Abs(sum) > 4.5/math.Sqrt(n) || math.Abs(square-1) > 4.5*math.Sqrt(2.0/n) || math.Abs(product-math.Sqrt(1-tau*tau)) > 4.5*math.Sqrt(2.0/n) {
			t.Errorf("η = %g: mean %.3f, variance %.3f, correlation %.3f", eta, sum, square, product)
		}
	}
}

// TestAnnealedLangevinIsTheAutoregression at a single level: x - μ shrinks by
// a = 1 - (m/2)σ²/(λ + σ²) and takes noise mσ², and is stationary at mσ²/(1 - a²).
func TestAnnealedLangevinIsTheAutoregression(t *testing.T) {
	const n, sigma, lambda, size = 4000, 0.8, 0.5, 0.6
	g := newMixture(newComponent(1, []float64{1}, []float64{lambda}))
	a := 1 - size/2*sigma*sigma/(lambda+sigma*sigma)
	want := size * sigma * sigma / (1 - a*a)
	// the last move takes D of the state after its Langevin steps
	shrink := lambda / (lambda + sigma*sigma)
	x := mustDescend(t, AnnealedLangevin, Descent{Denoiser: g, Levels: []float64{sigma}, Start: make([]float32, n), Inner: 40, StepSize: size})
	var mean, square float64
	for _, v := range x {
		state := (float64(v) - 1) / shrink
		mean += state / n
		square += state * state / n
	}
	if math.Abs(mean) > 4.5*math.Sqrt(want/n) || math.Abs(square-want) > 4.5*want*math.Sqrt(2.0/n) {
		t.Errorf("mean %.3f, variance %.3f, want 0 and %.3f", mean, square, want)
	}
}

// TestDescentsRepeat: bits do not depend on how many chains go or are drawn together; another
// seed gives others where there is noise; the start is left as it was.
func TestDescentsRepeat(t *testing.T) {
	m := plane()
	for _, method := range Diffusions() {
		for _, given := range []*Given{nil, {Known: []bool{true, false}, Values: []float32{0.5, 0, -1, 0}}} {
			d := descentOf(t, m, 7, 6)
			d.Churn, d.Given, d.Resample, d.Jump = Churn{Amount: 2, Max: 100, Noise: 1}, given, 2, 2
			d.Eta = 0.5
			kept := slices.Clone(d.Start)
			want := mustDescend(t, method.Run, d)
			if !slices.Equal(d.Start, kept) {
				t.Errorf("%s changes its start", method.Name)
			}
			for _, together := range []int{1, 3, 7, 100} {
				d.Together = together
				if !slices.Equal(mustDescend(t, method.Run, d), want) {
					t.Errorf("%s differs with %d chains at a time", method.Name, together)
				}
			}
			var blocks []float32
			for first := 0; first < 7; first += 4 {
				d.First, d.Start = first, kept[2*first:2*min(first+4, 7)]
				blocks = append(blocks, mustDescend(t, method.Run, d)...)
			}
			if !slices.Equal(blocks, want) {
				t.Errorf("%s differs when chains are drawn in blocks", method.Name)
			}
			d.First, d.Start, d.Seed = 0, kept, 2
			if slices.Equal(mustDescend(t, method.Run, d), want) {
				t.Errorf("%s does not depend on the seed", method.Name)
			}
		}
	}
}

// TestPath is Lugmayr's: descend, and return by a jump as often as asked.
func TestPath(t *testing.T) {
	d := Descent{Levels: make([]float64, 4), Given: &Given{}, Resample: 3, Jump: 2}
	want := []int{0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4, 2, 3, 4, 2, 3, 4}
	if got := d.path(); !slices.Equal(got, want) || d.Moves() != len(want)-1 {
		t.Errorf("%v, want %v", got, want)
	}
	d.Given = nil
	if got := d.path(); !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
		t.Errorf("%v without given features", got)
	}
}

// TestStartsInBlocks: chains that are started from a later one on are those of a
// start of all.
func TestStartsInBlocks(t *testing.T) {
	m := plane()
	all := mustStart(t, m, 9, 10, 1)
	part, err := StartAt(t.Context(), m, 4, 5, 10, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, "a later block", part, all[4*2:], 2)
}

// TestStartHasTheSpreadOfTheData beside that of the noise, also where the noise
// is not so large.
func TestStartHasTheSpreadOfTheData(t *testing.T) {
	const sigma = 4
	want := oracleCovariance.plus(sigma*sigma, identity2)
	checkGaussian(t, mustStart(t, one(), 20000, sigma, 3), oracleMean, want)
}

// TestStartTakesHalfOfTheSpread: a Gaussian's start is μ + (I + J/2)σz, J = v/(v + σ²),
// the z being those of data without spread.
func TestStartTakesHalfOfTheSpread(t *testing.T) {
	const mean, variance, sigma = 0.4, 0.9, 3
	of := func(variance float64) []float32 {
		return mustStart(t, newMixture(newComponent(1, []float64{mean}, []float64{variance})), 10, sigma, 3)
	}
	bare := of(1e-9)
	for i, x := range of(variance) {
		want := (1 + variance/(variance+sigma*sigma)/2) * (float64(bare[i]) - mean)
		if math.Abs(float64(x)-mean-want) > 1e-3 {
			t.Errorf("start %d is %.4f from the mean, want %.4f", i, float64(x)-mean, want)
		}
	}
}

// TestChurnIsThatOfKarras: γ is min(S_churn/N, √2 - 1) from S_tmin to S_tmax, and
// nothing elsewhere.
func TestChurnIsThatOfKarras(t *testing.T) {
	churn := Churn{Amount: 20, Min: 0.05, Max: 10, Noise: 1}
	for _, c := range []struct {
		sigma  float64
		levels int
		want   float64
	}{{1, 80, 0.25}, {1, 40, math.Sqrt2 - 1}, {0.05, 80, 0.25}, {0.04, 80, 0}, {10, 80, 0.25}, {11, 80, 0}} {
		if got := churn.gamma(c.sigma, c.levels); got != c.want {
			t.Errorf("γ at σ = %g of %d levels is %g, want %g", c.sigma, c.levels, got, c.want)
		}
	}
}

func TestKarrasLevels(t *testing.T) {
	levels := mustLevels(t, 80, 0.002, 18)
	// those of the published code, at the ends and in the middle
	for i, want := range map[int]float64{0: 80, 1: 57.586, 9: 1.9235, 17: 0.002} {
		if math.Abs(levels[i]-want) > 1e-3*want {
			t.Errorf("level %d is %v, want %v", i, levels[i], want)
		}
	}
	for _, bad := range [][4]float64{{1, 2, 5, 7}, {1, 0, 5, 7}, {2, 1, 1, 7}, {2, 1, 5, 0}, {math.NaN(), 1, 5, 7}} {
		if _, err := KarrasLevels(bad[0], bad[1], int(bad[2]), bad[3]); err == nil {
			t.Errorf("levels of %v", bad)
		}
	}
}

// witness notes the first chain's given feature at each call, as noise.
type witness struct {
	*gaussianMixture
	value float32
	seen  map[float32]int
}

func (w witness) DenoiseAt(ctx context.Context, dst, x []float32, sigma float64) error {
	w.seen[float32(float64(x[0]-w.value)/sigma)]++
	return w.gaussianMixture.DenoiseAt(ctx, dst, x, sigma)
}

// TestGivenFeaturesAreDrawnAnew: no draw of noise is used twice. The noise levels are
// powers of two, and the value 0, so that equal draws are equal numbers.
func TestGivenFeaturesAreDrawnAnew(t *testing.T) {
	for _, method := range Diffusions() {
		w := witness{plane(), 0, map[float32]int{}}
		d := descentOf(t, w.gaussianMixture, 1, 2)
		d.Denoiser, d.Levels, d.Given, d.Replace = w, nil, &Given{[]bool{true, false}, []float32{0, 0}}, true
		d.Inner, d.Resample, d.Jump = 3, 2, 2
		for i := range 8 {
			d.Levels = append(d.Levels, math.Ldexp(1, 2-i))
		}
		mustDescend(t, method.Run, d)
		calls := 0
		for z, n := range w.seen {
			if calls += n; n > 1 && method.Name != "heun" { // which looks twice at a move
				t.Errorf("%s: %d draws of the given feature are %v", method.Name, n, z)
			}
		}
		if calls < d.Moves()/2 {
			t.Errorf("%s: %d calls", method.Name, calls)
		}
	}
}

// broken is a denoiser that fails, or runs away.
type broken struct {
	*gaussianMixture
	err error
}

func (b broken) DenoiseAt(_ context.Context, dst, x []float32, _ float64) error {
	for i := range dst {
		dst[i] = float32(math.Inf(1))
	}
	return b.err
}

// TestDescentsRefuse what makes no sense, stop when told to, and pass on errors.
func TestDescentsRefuse(t *testing.T) {
	sound := descentOf(t, plane(), 3, 4)
	for what, change := range map[string]func(*Descent){
		"no chains":            func(d *Descent) { d.Start = nil },
		"half a chain":         func(d *Descent) { d.Start = d.Start[:3] },
		"no levels":            func(d *Descent) { d.Levels = nil },
		"a level of 0":         func(d *Descent) { d.Levels = []float64{1, 0} },
		"levels that rise":     func(d *Descent) { d.Levels = []float64{1, 1} },
		"no jump":              func(d *Descent) { d.Resample = 2 },
		"negative resampling":  func(d *Descent) { d.Resample = -1 },
		"negative chains":      func(d *Descent) { d.Together = -1 },
		"flags of one feature": func(d *Descent) { d.Given = &Given{[]bool{true}, []float32{1, 2}} },
		"everything given":     func(d *Descent) { d.Given = &Given{[]bool{true, true}, []float32{1, 2}} },
		"no values":            func(d *Descent) { d.Given = &Given{[]bool{true, false}, nil} },
	} {
		for _, method := range Diffusions() {
			d := sound
			change(&d)
			if _, err := method.Run(context.Background(), d); err == nil {
				t.Errorf("%s runs with %s", method.Name, what)
			}
		}
	}
	for what, run := range map[string]func(d Descent) ([]float32, error){
		"ddim with η = 2":           func(d Descent) ([]float32, error) { d.Eta = 2; return DDIM(context.Background(), d) },
		"heun with negative churn":  func(d Descent) ([]float32, error) { d.Churn.Amount = -1; return Heun(context.Background(), d) },
		"annealed without a step":   func(d Descent) ([]float32, error) { d.StepSize = 0; return AnnealedLangevin(context.Background(), d) },
		"annealed with a giant one": func(d Descent) ([]float32, error) { d.StepSize = 4; return AnnealedLangevin(context.Background(), d) },
		"annealed without steps":    func(d Descent) ([]float32, error) { d.Inner = 0; return AnnealedLangevin(context.Background(), d) },
	} {
		if _, err := run(sound); err == nil {
			t.Errorf("%s runs", what)
		}
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	failure := errors.New("seen enough")
	for _, method := range Diffusions() {
		if _, err := method.Run(stopped, sound); !errors.Is(err, context.Canceled) {
			t.Errorf("%s under a context that has ended: %v", method.Name, err)
		}
		d := sound
		d.Observe = func(int, int, []float32, float64) error { return failure }
		if _, err := method.Run(context.Background(), d); !errors.Is(err, failure) {
			t.Errorf("%s passes on %v", method.Name, err)
		}
		d = sound
		d.Denoiser = broken{plane(), failure}
		if _, err := method.Run(context.Background(), d); !errors.Is(err, failure) {
			t.Errorf("%s of a broken denoiser: %v", method.Name, err)
		}
		d.Denoiser = broken{plane(), nil}
		var diverged *DivergedError
		if _, err := method.Run(context.Background(), d); !errors.As(err, &diverged) || diverged.Step != 0 {
			t.Errorf("%s of an infinite denoiser: %v", method.Name, err)
		}
	}
}
