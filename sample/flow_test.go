package sample

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
)

func mustLikelihood(t testing.TB, d Denoiser, x []float32, f Flow) []float64 {
	t.Helper()
	logs, err := LogLikelihood(context.Background(), d, x, f)
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

func exactFlow() Flow { return Flow{SigmaMin: 0.005, SigmaMax: 30, Steps: 24} }

// TestLikelihoodIsTheDensity of Gaussians and mixtures, with the exact denoiser,
// at draws and away from them.
func TestLikelihoodIsTheDensity(t *testing.T) {
	for name, m := range map[string]*gaussianMixture{"a Gaussian": one(), "a mixture in the plane": plane(), "a mixture in 8 dimensions": space(8)} {
		x := m.draw(30, 3)
		for i := 20 * m.features; i < len(x); i++ {
			x[i] *= 2 // far out
		}
		worst := 0.0
		for i, got := range mustLikelihood(t, m, x, exactFlow()) {
			want := m.logDensity(x[i*m.features:(i+1)*m.features], 0)
			worst = max(worst, math.Abs(got-want))
		}
		t.Logf("%s: wrong by %.4f nats at most", name, worst)
		if worst > 0.05 {
			t.Errorf("%s: wrong by %.3f nats", name, worst)
		}
	}
}

// TestHutchinsonIsUnbiased: estimates of one example by one probe each have the
// exact trace's likelihood for their mean, and more probes spread less.
func TestHutchinsonIsUnbiased(t *testing.T) {
	m := space(6)
	row := m.draw(1, 4)
	x := slices.Repeat(row, 150)
	f := exactFlow()
	exact := mustLikelihood(t, m, row, f)[0]
	spread := map[int]float64{}
	for _, probes := range []int{1, 8} {
		f.Probes = probes
		var mean, square float64
		for _, v := range mustLikelihood(t, m, x, f) {
			mean += v / 150
			square += v * v / 150
		}
		spread[probes] = math.Sqrt(square - mean*mean)
		if within := 4.5 * spread[probes] / math.Sqrt(150); math.Abs(mean-exact) > within {
			t.Errorf("%d probes: %.3f, want %.3f ± %.3f", probes, mean, exact, within)
		}
	}
	if ratio := spread[1] / spread[8]; ratio < 2 || ratio > 4 {
		t.Errorf("8 probes spread %.2f times less, want √8", ratio)
	}
}

// TestLikelihoodConverges: the Runge-Kutta method is of the fourth order, here
// of a Gaussian in one dimension, whose likelihood under smoothing is known.
func TestLikelihoodConverges(t *testing.T) {
	g := newMixture(newComponent(1, []float64{0.5}, []float64{1}))
	x := []float32{2}
	wrong := func(steps int) float64 {
		got := mustLikelihood(t, g, x, Flow{SigmaMin: 0.2, SigmaMax: 8, Steps: steps})[0]
		return math.Abs(got - g.logDensity(x, 0.2))
	}
	if order := math.Log2(wrong(4) / wrong(8)); math.Abs(order-4) > 0.5 {
		t.Errorf("order %.2f: wrong by %g, then %g", order, wrong(4), wrong(8))
	}
}

// TestLikelihoodRepeats for any number of examples at a time.
func TestLikelihoodRepeats(t *testing.T) {
	m := plane()
	x := m.draw(7, 5)
	f := Flow{SigmaMin: 0.1, SigmaMax: 10, Steps: 3, Probes: 2}
	want := mustLikelihood(t, m, x, f)
	calls := 0
	f.Observe = func() { calls++ }
	f.Together = 3
	if !slices.Equal(mustLikelihood(t, m, x, f), want) || calls != 9 {
		t.Errorf("differs with 3 examples at a time, after %d steps", calls)
	}
	f.Seed = 1
	if slices.Equal(mustLikelihood(t, m, x, f), want) {
		t.Error("does not depend on the seed")
	}
}

func TestLikelihoodRefuses(t *testing.T) {
	m, failure := plane(), errors.New("no")
	sound := Flow{SigmaMin: 0.1, SigmaMax: 10, Steps: 3}
	for what, change := range map[string]func(*Flow){
		"no steps": func(f *Flow) { f.Steps = 0 }, "no range": func(f *Flow) { f.SigmaMax = f.SigmaMin }, "σ = 0": func(f *Flow) { f.SigmaMin = 0 },
		"negative probes": func(f *Flow) { f.Probes = -1 }, "negative examples": func(f *Flow) { f.Together = -1 },
	} {
		f := sound
		change(&f)
		if _, err := LogLikelihood(context.Background(), m, []float32{1, 2}, f); err == nil {
			t.Errorf("a likelihood with %s", what)
		}
	}
	if _, err := LogLikelihood(context.Background(), m, []float32{1, 2, 3}, sound); err == nil {
		t.Error("a likelihood of half an example")
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := LogLikelihood(stopped, m, []float32{1, 2}, sound); !errors.Is(err, context.Canceled) {
		t.Errorf("under a context that has ended: %v", err)
	}
	if _, err := LogLikelihood(context.Background(), broken{m, failure}, []float32{1, 2}, sound); !errors.Is(err, failure) {
		t.Errorf("of a broken denoiser: %v", err)
	}
	var diverged *DivergedError
	if _, err := LogLikelihood(context.Background(), broken{m, nil}, []float32{1, 2}, sound); !errors.As(err, &diverged) {
		t.Errorf("of an infinite denoiser: %v", err)
	}
}
