package main

import (
	"testing"

	"gorgonia.org/tensor"

	"gpudae/train"
)

// TestPredictedFarFromZero: a value in units has the digits that its scale needs.
func TestPredictedFarFromZero(t *testing.T) {
	target := train.Target{Offset: 1.7e9, Scale: 10}
	if got := predicted(target, []float32{-1.25})[0]; got != 1.7e9-12.5 {
		t.Errorf("1.7e9 - 12.5 is written as %v", got)
	}
}

// TestServedFarFromZero: the server's numbers are those of predict.
func TestServedFarFromZero(t *testing.T) {
	s := &served{saved: &train.Saved{Target: train.Target{Offset: 1.7e9, Scale: 10}}}
	y, err := s.inUnits(tensor.New(tensor.WithShape(1, 1), tensor.WithBacking([]float32{-1.25})))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := y.Data().([]float64); !ok || got[0] != 1.7e9-12.5 {
		t.Errorf("1.7e9 - 12.5 is served as %v", y.Data())
	}
}
