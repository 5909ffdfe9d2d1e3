package optim

import (
	"math"
	"testing"
)

func schedule(t *testing.T, spec string) Schedule {
	t.Helper()
	s, err := ParseSchedule(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func factorAt(s Schedule, step uint64, h Horizon) float64 {
	var one [1]float64
	s.Factors(one[:], step, h)
	return one[0]
}

func TestSchedulesAtPoints(t *testing.T) {
	thousand := Horizon{Steps: 1000, PerEpoch: 10}
	for _, c := range []struct {
		spec string
		h    Horizon
		step uint64
		want float64
	}{
		{"constant", thousand, 0, 1},
		{"constant", thousand, 999, 1},
		{"cosine", thousand, 0, 1},
		{"cosine", thousand, 250, (1 + math.Sqrt2/2) / 2},
		{"cosine", thousand, 500, 0.5},
		{"cosine", thousand, 1000, 0},
		{"cosine:0.2", thousand, 500, 0.6},
		{"cosine:0.2", thousand, 1000, 0.2},
		{"one-cycle", thousand, 0, 0.04},
		{"one-cycle", thousand, 150, (1 + 0.04) / 2},
		{"one-cycle", thousand, 300, 1},
		{"one-cycle", thousand, 650, (1 + 0.04/1e4) / 2},
		{"one-cycle", thousand, 1000, 0.04 / 1e4},
		{"step:every=30,factor=0.1", thousand, 299, 1},
		{"step:every=30,factor=0.1", thousand, 300, 0.1},
		{"step:every=30,factor=0.1", thousand, 999, 1e-3},
		{"step:every=0.5,factor=0.5", thousand, 14, 0.25},
		{"cosine", Horizon{Steps: 1100, PerEpoch: 10, Warmup: 100}, 0, 1. / 101},
		{"cosine", Horizon{Steps: 1100, PerEpoch: 10, Warmup: 100}, 49, 50. / 101},
		{"cosine", Horizon{Steps: 1100, PerEpoch: 10, Warmup: 100}, 100, 1},
		{"cosine", Horizon{Steps: 1100, PerEpoch: 10, Warmup: 100}, 600, 0.5},
		{"constant", Horizon{Steps: 5, PerEpoch: 5, Warmup: 9}, 4, 0.5}, // a warm-up longer than the run
	} {
		if got := factorAt(schedule(t, c.spec), c.step, c.h); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s at step %d of %+v: %.15g, want %.15g", c.spec, c.step, c.h, got, c.want)
		}
	}
}

func TestSchedulesAreContinuous(t *testing.T) {
	const steps, warmup = 2000, 100
	for _, spec := range []string{"constant", "cosine", "cosine:0.1", "one-cycle", "one-cycle:0.1,start=3,end=10"} {
		factors := make([]float64, steps)
		schedule(t, spec).Factors(factors, 0, Horizon{Steps: steps, PerEpoch: 10, Warmup: warmup})
		// The steepest slope of half a cosine of length L is π/2L, of the warm-up 1/101.
		bound := max(1./(warmup+1), math.Pi/2/(0.1*(steps-warmup))) * 1.0001
		for i := 1; i < steps; i++ {
			if jump := math.Abs(factors[i] - factors[i-1]); jump > bound {
				t.Errorf("%s jumps by %g at step %d, more than %g", spec, jump, i, bound)
			}
		}
	}
}

func TestFactorsDoNotDependOnWhereTheyStart(t *testing.T) {
	h := Horizon{Steps: 60, PerEpoch: 6, Warmup: 7, History: []float64{1, 1, 1, 1}}
	for _, info := range Schedules() {
		s := schedule(t, info.Name)
		whole := make([]float64, 60)
		s.Factors(whole, 0, h)
		for i := range whole {
			if got := factorAt(s, uint64(i), h); got != whole[i] {
				t.Errorf("%s at step %d: %g alone, %g in a row", info.Name, i, got, whole[i])
			}
		}
	}
}

func TestPlateauFollowsTheHistory(t *testing.T) {
	s := schedule(t, "plateau:patience=2,factor=0.5,delta=0.01")
	if !s.UsesHistory() || schedule(t, "cosine").UsesHistory() {
		t.Error("only plateau uses the history")
	}
	history := []float64{5, 4, 4, 3.995, 3.99, 3.98, 4, 4, 4, 4}
	// Best is 4 at epoch 2; 4 and 3.995 do not improve by 0.01: a drop after
	// epoch 4. 3.99 does not either, 3.98 does; then two pairs of idle epochs.
	want := []float64{1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125}
	for epochs, w := range want {
		if got := factorAt(s, 17, Horizon{Steps: 100, PerEpoch: 10, History: history[:epochs]}); got != w {
			t.Errorf("after %d epochs: %g, want %g", epochs, got, w)
		}
	}
}
