//go:build cuda

package kernels_test

import (
	"math"
	"testing"

	"gpudae/device"
	"gpudae/kernels"
)

// TestActivationsKeepNaN: no activation turns NaN into a number, or the loss of
// a diverged step would look like one.
func TestActivationsKeepNaN(t *testing.T) {
	m := open(t)
	nan := []float32{float32(math.NaN())}
	x := m.upload(nan, 0)
	for _, k := range device.Activations() {
		y := m.upload([]float32{1}, 0)
		m.launch(kernels.Activate, 1, 1, 1, uint64(k), uint64(x), uint64(y))
		if got := m.download(y, 1)[0]; got == got {
			t.Errorf("%s of NaN is %v", k, got)
		}
	}
}
