package main

import (
	"math"
	"testing"
)

// r(x) draws half of the way to the nearer of (±1, 0): two sinks, and a saddle
// between them that is none.
func TestSinksAreStableFixedPoints(t *testing.T) {
	denoise := func(x []float32) ([]float32, error) {
		r := make([]float32, len(x))
		for i := 0; i < len(x); i += 2 {
			r[i] = x[i]/2 + float32(math.Copysign(0.5, float64(x[i])))
			r[i+1] = x[i+1] / 2
		}
		return r, nil
	}
	starts := []float32{-3, 2, -0.1, -1, 0.2, 0.3, 3, -3, 2, 2, 1, 0}
	sinks, err := sinksOf(denoise, starts, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(sinks) != 4 {
		t.Fatalf("sinks %v", sinks)
	}
	for i := 0; i < 4; i += 2 {
		if math.Abs(math.Abs(float64(sinks[i]))-1) > 1e-4 || math.Abs(float64(sinks[i+1])) > 1e-4 {
			t.Errorf("a sink at (%g, %g)", sinks[i], sinks[i+1])
		}
	}
	if sinks, err = sinksOf(denoise, starts, 2); err != nil || len(sinks) != 2 {
		t.Errorf("after two steps, of which one start needs none: %v, %v", sinks, err)
	}
	nan := func(x []float32) ([]float32, error) { return []float32{float32(math.NaN()), 0}, nil }
	if sinks, err = sinksOf(nan, []float32{1, 1}, 5); err != nil || len(sinks) != 0 {
		t.Errorf("sinks of NaN: %v, %v", sinks, err)
	}
	farthest := float32(0)
	growing := func(x []float32) ([]float32, error) {
		farthest = max(farthest, x[0])
		return []float32{10 * x[0], 10 * x[1]}, nil
	}
	if sinks, err = sinksOf(growing, []float32{1, 1}, 100); err != nil || len(sinks) != 0 || farthest > 1e4 {
		t.Errorf("a reconstruction that grows without bound is followed to %g: %v, %v", farthest, sinks, err)
	}
}
