package device

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Up to SpikeWindow losses the moments are those of all of them.
func TestSpikesAreThePopulationsMoments(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var s Spikes
	var losses []float64
	for range SpikeWindow {
		x := float32(3 + random.NormFloat64())
		losses = append(losses, float64(x))
		s = s.Next(x, 100)
		mean, variance := 0.0, 0.0
		for _, y := range losses {
			mean += y / float64(len(losses))
		}
		for _, y := range losses {
			variance += (y - mean) * (y - mean) / float64(len(losses))
		}
		if math.Abs(float64(s.Mean)-mean) > 1e-5 || math.Abs(float64(s.Variance)-variance) > 1e-5 || int(s.Count) != len(losses) {
			t.Fatalf("%+v after %d losses of mean %g and variance %g", s, len(losses), mean, variance)
		}
	}
}

// Later losses are forgotten at the pace of the window: of a step of the mean,
// (1-1/W)ⁿ is left after n losses.
func TestSpikesForget(t *testing.T) {
	s := Spikes{Count: SpikeWindow, Mean: 1, Variance: 1}
	for range 250 {
		s = s.Next(0, 100)
	}
	if want := math.Pow(1-1.0/SpikeWindow, 250); math.Abs(float64(s.Mean)-want) > 1e-5 {
		t.Errorf("mean %g, want %g", s.Mean, want)
	}
}

func TestSpikesAreFoundOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const limit = 6
	var s Spikes
	for step := range 20000 {
		if x := float32(10 + random.NormFloat64()); s.Exceeds(x, limit) {
			t.Errorf("step %d: %g is no spike of %+v", step, x, s)
		} else {
			s = s.Next(x, limit)
		}
	}
	if !s.Exceeds(18, limit) || s.Exceeds(2, limit) {
		t.Errorf("%+v: 18 must be a spike and 2 not", s)
	}
	after := s.Next(1e30, limit)
	if after.Mean > s.Mean+0.1 || !after.Exceeds(18, limit) {
		t.Errorf("a spike made of %+v %+v", s, after)
	}
	high := 0
	for s.Exceeds(18, limit) {
		s = s.Next(18, limit)
		high++
	}
	if high < 2 || high > 20 {
		t.Errorf("a loss that stays 8 deviations higher counts as a spike %d times", high)
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		if s.Next(bad, limit) != s || s.Exceeds(float32(math.NaN()), limit) {
			t.Errorf("the loss %g changes what is known", bad)
		}
	}
	if SpikesFromValues(s.Values()) != s {
		t.Error("the device's form is another state")
	}
}
