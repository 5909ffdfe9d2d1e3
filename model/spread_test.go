package model

import (
	"context"
	"errors"
	"math"
	"testing"

	"gpudae/device"
)

func TestGreatestDistance(t *testing.T) {
	// Row 0 is held out and far away; of the others (3, 4) and (-3, -4) are 10 apart.
	table := device.Table{Rows: 5, Columns: 2, Float32: []float32{99, 99, 3, 4, 0, 0, -3, -4, 1, 1}}
	got, err := GreatestDistance(context.Background(), table, device.Rows{Lo: 1, Hi: 5})
	if err != nil || got != 10 {
		t.Errorf("%v, %v, want 10", got, err)
	}
	split := device.Rows{Lo: 1, Hi: 5, Split: true, Seed: 3}
	permutation := split.Permutation(5)
	held := int(permutation.At(0))
	want := 0.0
	for i := range 5 {
		for k := range i {
			if i != held && k != held {
				want = max(want, math.Sqrt(squaredDistance(table.Float32[2*i:2*i+2], table.Float32[2*k:2*k+2])))
			}
		}
	}
	if got, err = GreatestDistance(context.Background(), table, split); err != nil || got != want {
		t.Errorf("without row %d: %v, %v, want %v", held, got, err, want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := GreatestDistance(ctx, table, split); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestDeviation(t *testing.T) {
	if got := (Moments{Variance: []float64{1, 7}}).Deviation(); got != 2 {
		t.Errorf("deviation %v, want 2", got)
	}
	if got := (Moments{Variance: []float64{0, 0}}).Deviation(); got != 1 {
		t.Errorf("deviation of constants %v, want 1", got)
	}
}
