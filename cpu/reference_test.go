package cpu_test

import (
	"math"
	"testing"

	"gpudae/device/reference"
)

// TestTrainsAsTheReference trains a small network of every variant here and on
// the reference, in float64, and compares parameters and values. What a few
// steps of float32 may drift is far below what a wrong formula does.
func TestTrainsAsTheReference(t *testing.T) {
	for _, k := range variants() {
		size := sizes{rows: 40, features: 13, hidden: 11, batch: 9}
		oracle, n := newNetwork(t, reference.New(), size, k), newNetwork(t, open(t, 2), size, k)
		for range 3 {
			oracle.step()
			n.step()
		}
		want, got := oracle.state(t), n.state(t)
		for i := range got {
			if e := math.Abs(float64(got[i] - want[i])); !(e <= 2e-4*(1+math.Abs(float64(want[i])))) {
				t.Errorf("%v: element %d of %d is %g, want %g", k, i, len(got), got[i], want[i])
				break
			}
		}
	}
}
