package cpu_test

import (
	"testing"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/devicetest"
)

// TestConformance runs the suite that every device passes on every instruction
// set that this machine has.
func TestConformance(t *testing.T) {
	for _, kernels := range cpu.KernelNames() {
		t.Run(kernels, func(t *testing.T) {
			t.Parallel()
			devicetest.Run(t, func(t testing.TB) device.Device { return openWith(t, 3, kernels) })
		})
	}
}
