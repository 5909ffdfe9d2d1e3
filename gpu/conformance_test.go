//go:build cuda

package gpu_test

import (
	"testing"

	"gpudae/device"
	"gpudae/device/devicetest"
	"gpudae/gpu"
	"gpudae/kernels"
)

// ofSums is the memory in bytes that a device keeps for sums that blocks share.
const ofSums = 4 * (kernels.MostPartial + kernels.MostTickets)

// open returns the first GPU: a real one, or the software driver's. These tests
// are compiled where there should be one, so its absence is a failure.
func open(t testing.TB, options gpu.Options) *gpu.Device {
	t.Helper()
	dev, err := gpu.New(0, options)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// TestConformance runs the suite that every device passes.
func TestConformance(t *testing.T) {
	devicetest.Run(t, func(t testing.TB) device.Device { return open(t, gpu.Options{}) })
}

// TestConformanceOfClasses: in the other classes of arithmetic dense layers are as close to
// the reference as each promises. All other operations are the same in each.
func TestConformanceOfClasses(t *testing.T) {
	for class, bound := range map[kernels.Class]float64{kernels.TF32: 1e-3, kernels.BFloat16: 1e-2, kernels.Strict: 1e-9} {
		t.Run(class.String(), func(t *testing.T) {
			devicetest.RunRounded(t, func(t testing.TB) device.Device { return open(t, gpu.Options{Class: class}) }, bound)
		})
	}
}
