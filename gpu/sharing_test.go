//go:build cuda

package gpu_test

import (
	"strings"
	"sync"
	"testing"

	"gpudae/cuda/cudatest"
	"gpudae/device"
	"gpudae/gpu"
	"gpudae/train"
)

// TestRunsBesideEachOther: runs on one GPU at the same time, each on a device of its own, end
// where they end alone; and a device that is closed takes its memory along, and not the others'.
func TestRunsBesideEachOther(t *testing.T) {
	const runs = 4
	job := func(dev device.Device, i int) train.Job {
		j := job(t, dev, 200, 2)
		j.Config.Seed = uint64(i)
		return j
	}
	alone := func(i int) []float32 {
		dev := open(t, gpu.Options{})
		defer dev.Close()
		result, err := train.Run(t.Context(), job(dev, i))
		if err != nil {
			t.Fatal(err)
		}
		return result.Params
	}
	held := func() uint64 { return cudatest.Read(t).BytesAllocated }
	atFirst := held()
	var devices [runs]*gpu.Device
	var jobs [runs]train.Job
	for i := range runs {
		devices[i] = open(t, gpu.Options{})
		jobs[i] = job(devices[i], i)
	}
	opened := held()
	var results [runs]*train.Result
	var errs [runs]error
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() { results[i], errs[i] = train.Run(t.Context(), jobs[i]) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
		if at := firstDifference(results[i].Params, alone(i)); at >= 0 {
			t.Errorf("run %d, beside others, differs at parameter %d", i, at)
		}
	}
	for i, dev := range devices {
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
		if left, most := held()-atFirst, (opened-atFirst)/runs*uint64(runs-1-i); i < runs-1 && left < most || i == runs-1 && left != 0 {
			t.Errorf("after %d of %d devices were closed %d bytes are held", i+1, runs, left)
		}
	}
}

// TestFailureEndsAllOfAGPU: a kernel that fails ends what shares the GPU with it, as the driver
// has it; when all are closed, a new device works.
func TestFailureEndsAllOfAGPU(t *testing.T) {
	failing, other := open(t, gpu.Options{}), open(t, gpu.Options{})
	memory, err := failing.Alloc(device.Float, 8)
	if err != nil {
		t.Fatal(err)
	}
	x := device.MatrixOf(memory, 0, 2, 4)
	cudatest.Set(t, "SOFTDRIVER_FAIL_LAUNCH", 1)
	failing.Activate(device.ActivateArgs{X: x, Y: x, Act: device.ReLU})
	if err := failing.Sync(); err == nil || !strings.Contains(err.Error(), "CUDA_ERROR_LAUNCH_FAILED") {
		t.Fatalf("the device that failed says %v", err)
	}
	cudatest.Set(t, "SOFTDRIVER_FAIL_LAUNCH", 0)
	if err := other.Sync(); err == nil || !strings.Contains(err.Error(), "CUDA_ERROR_LAUNCH_FAILED") {
		t.Errorf("the other device says %v", err)
	}
	failing.Close()
	other.Close()
	next := open(t, gpu.Options{})
	if err := next.Sync(); err != nil {
		t.Errorf("a new device says %v", err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}
