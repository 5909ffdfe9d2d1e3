//go:build cuda

package gpu_test

import (
	"fmt"
	"slices"
	"testing"

	"gpudae/cuda/cudatest"
	"gpudae/gpu"
	"gpudae/internal/selftest"
	"gpudae/kernels"
)

// TestSelfTestRunsEveryKernel: the self-tests that doctor makes agree with the
// reference, and leave out no kernel of the manifest, on small and on large GPUs.
func TestSelfTestRunsEveryKernel(t *testing.T) {
	for multiprocessors, classes := range map[int][]kernels.Class{
		4: {kernels.Float32, kernels.Strict}, 132: {kernels.Float32, kernels.TF32, kernels.BFloat16, kernels.Strict}, 192: {kernels.Float32, kernels.Strict},
	} {
		t.Run(fmt.Sprint(multiprocessors), func(t *testing.T) {
			cudatest.Set(t, "SOFTDRIVER_MULTIPROCESSORS", multiprocessors)
			var before [kernels.Count]int
			for id := range kernels.Count {
				before[id] = cudatest.Ran(t, id.String())
			}
			for _, class := range classes {
				selfTest(t, gpu.Options{Class: class})
			}
			if slices.Contains(classes, kernels.BFloat16) {
				for _, capability := range []int{80, 90} { // which have kernels of their own
					cudatest.Set(t, "SOFTDRIVER_CAPABILITY", capability)
					selfTest(t, gpu.Options{Class: kernels.BFloat16, Big: kernels.Big{Extent: 1}})
				}
			}
			for id := range kernels.Count {
				wanted := id.Class() == kernels.Strict || slices.Contains(classes, id.Class())
				if wanted && cudatest.Ran(t, id.String()) == before[id] {
					t.Errorf("the self-test does not run kernel %s", id)
				}
			}
		})
	}
}

func selfTest(t *testing.T, options gpu.Options) {
	t.Helper()
	class := options.Class
	dev := open(t, options)
	defer dev.Close()
	var report *selftest.Report
	var err error
	if allowed, rounds := map[kernels.Class]float64{kernels.TF32: 1e-2, kernels.BFloat16: 1e-1, kernels.Strict: selftest.Tolerance}[class]; rounds {
		report, err = selftest.RunProducts(t.Context(), dev, allowed)
	} else {
		report, err = selftest.Run(t.Context(), dev)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s", class, report)
	if !report.OK() {
		t.Errorf("the device disagrees with the reference in %s", class)
	}
}
