package cpu_test

import (
	"math"
	"testing"

	"gpudae/cpu"
	"gpudae/device/reference"
)

// TestTrainsAsTheReference trains a small network of every variant here and on
// the reference, in float64, and compares parameters and values. What a few
// steps of float32 may drift is far below what a wrong formula does.
func TestTrainsAsTheReference(t *testing.T) {
	size := sizes{rows: 40, features: 37, hidden: 51, batch: 9}
	for _, k := range variants() {
		want := trained(t, reference.New(), size, k)
		for _, kernels := range cpu.KernelNames() {
			got := trained(t, openWith(t, 2, kernels), size, k)
			for i := range got {
				if e := math.Abs(float64(got[i] - want[i])); !(e <= 2e-4*(1+math.Abs(float64(want[i])))) {
					t.Errorf("%v, %s: element %d of %d is %g, want %g", k, kernels, i, len(got), got[i], want[i])
					break
				}
			}
		}
	}
}
