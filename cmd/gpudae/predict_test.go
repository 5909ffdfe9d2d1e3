package main

import (
	"testing"

	"gpudae/train"
)

// TestPredictedFarFromZero: a value in units has the digits that its scale needs.
func TestPredictedFarFromZero(t *testing.T) {
	target := train.Target{Offset: 1.7e9, Scale: 10}
	if got := predicted(target, []float32{-1.25})[0]; got != 1.7e9-12.5 {
		t.Errorf("1.7e9 - 12.5 is written as %v", got)
	}
}
