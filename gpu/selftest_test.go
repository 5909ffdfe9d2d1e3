//go:build cuda

package gpu_test

import (
	"fmt"
	"testing"

	"gpudae/cuda/cudatest"
	"gpudae/gpu"
	"gpudae/internal/selftest"
	"gpudae/kernels"
)

// TestSelfTestRunsEveryKernel: the self-test that doctor makes agrees with the
// reference, and leaves out no kernel of the manifest, on small and on large GPUs.
func TestSelfTestRunsEveryKernel(t *testing.T) {
	for _, multiprocessors := range []int{4, 132, 192} {
		t.Run(fmt.Sprint(multiprocessors), func(t *testing.T) {
			cudatest.Set(t, "SOFTDRIVER_MULTIPROCESSORS", multiprocessors)
			selfTest(t)
		})
	}
}

func selfTest(t *testing.T) {
	t.Helper()
	dev := open(t, gpu.Options{})
	defer dev.Close()
	var before [kernels.Count]int
	for id := range kernels.Count {
		before[id] = cudatest.Ran(t, id.String())
	}
	report, err := selftest.Run(t.Context(), dev)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if !report.OK() {
		t.Error("the device disagrees with the reference")
	}
	for id := range kernels.Count {
		if cudatest.Ran(t, id.String()) == before[id] {
			t.Errorf("the self-test does not run kernel %s", id)
		}
	}
}
