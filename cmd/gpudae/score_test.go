package main

import (
	"math"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/data"
)

// TestScoreInTheScaleOfTheData: for x = a + b·z with z ~ N(0, v) the score of z
// is -z/v, and that of x ~ N(a, b²v) is -(x-a)/(b²v).
func TestScoreInTheScaleOfTheData(t *testing.T) {
	const v = 1.25
	scaler := data.Scaler{Kind: data.ScaleStandard, Offset: []float64{10, -2}, Scale: []float64{4, 0.01}}
	x := []float64{18, -2.005, 3, -1.97}
	s := make([]float32, len(x))
	for i := range x {
		s[i] = float32(-(x[i] - scaler.Offset[i%2]) / scaler.Scale[i%2] / v)
	}
	unscaleScore(tensor.New(tensor.WithShape(2, 2), tensor.WithBacking(s)), scaler)
	for i := range x {
		b := scaler.Scale[i%2]
		if want := -(x[i] - scaler.Offset[i%2]) / (b * b * v); math.Abs(float64(s[i])/want-1) > 1e-6 {
			t.Errorf("the score at %v is %v, want %v", x[i], s[i], want)
		}
	}
}
