//go:build cuda

package gpu_test

import (
	"testing"

	"gpudae/device"
	"gpudae/device/devicetest"
	"gpudae/gpu"
)

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
