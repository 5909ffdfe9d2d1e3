package main

import (
	"errors"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"gpudae/device"
	"gpudae/train"
)

// TestOutOfMemoryNamesTheBatchThatFits gives a run less memory than it wants.
func TestOutOfMemoryNamesTheBatchThatFits(t *testing.T) {
	r := smallRun(t)
	r.settings.Train.Batch = 100
	job, err := r.job()
	if err != nil {
		t.Fatal(err)
	}
	whole := planOf(t, job)
	job.Config.Batch = 40
	free := room(planOf(t, job).Bytes.Total())

	// The run had taken all but 1000 bytes when it ran out.
	told := r.outOfMemory(&device.OutOfMemoryError{Device: "small", Wanted: whole.Bytes.Total(), Free: 1000}, device.Info{Name: "small", MemoryFree: free})
	if !strings.Contains(told.Error(), fileSize(1000)+" free") {
		t.Errorf("%q does not say what was free when the run ran out", told)
	}
	if code := exitCode(t.Context(), told); code != exitDevice {
		t.Errorf("exit code %d", code)
	}
	found := regexp.MustCompile(`--batch (\d+) fits`).FindStringSubmatch(told.Error())
	if found == nil {
		t.Fatalf("no batch in %q", told)
	}
	batch, err := strconv.Atoi(found[1])
	if err != nil || batch != 32 {
		t.Errorf("batch %d (%v), want the power of two below 40", batch, err)
	}

	r.settings.Model.Hidden = []int{800}
	if r.dae, err = r.data.build(r.settings, nil); err != nil {
		t.Fatal(err)
	}
	told = r.outOfMemory(&device.OutOfMemoryError{Device: "small", Wanted: 1 << 30, Free: 100}, device.Info{Name: "small", MemoryFree: room(3 << 20)})
	if !strings.Contains(told.Error(), "--hidden 200 fits") && !strings.Contains(told.Error(), "--hidden 100 fits") {
		t.Errorf("no layers in %q", told)
	}

	var failed *failure
	told = r.outOfMemory(&device.OutOfMemoryError{Device: "tiny", Wanted: 1 << 20, Free: 100}, device.Info{Name: "tiny", MemoryFree: room(100)})
	if !errors.As(told, &failed) || failed.remedy != "choose smaller layers with --hidden" {
		t.Errorf("without room for any batch: %v", told)
	}
}

// TestHostHasRoomForAGPURun: what a run on a GPU keeps on the host has to fit there;
// on other devices it is counted with the rest.
func TestHostHasRoomForAGPURun(t *testing.T) {
	bytes := train.Bytes{Data: 1 << 40, Host: 3 << 20}
	free := func(n uint64) func() uint64 { return func() uint64 { return n } }
	err := checkHost("cuda:1", bytes, free(2<<20))
	if want := "device cuda:1: out of memory on the host: " + fileSize(3<<20) + " wanted, " + fileSize(2<<20) + " free; choose smaller layers"; err == nil ||
		!strings.HasPrefix(err.Error(), want) || exitCode(t.Context(), err) != exitDevice {
		t.Errorf("3 MiB of 2: %v", err)
	}
	for name, left := range map[string]uint64{"cuda:1": 3 << 20, "cuda:0": 0, "cpu": 1} {
		if err := checkHost(name, bytes, free(left)); err != nil {
			t.Errorf("%s with %d bytes free: %v", name, left, err)
		}
	}
	if runtime.GOOS == "linux" && freeOnHost() == 0 {
		t.Error("this machine does not say what is free")
	}
}

// room is memory of which that much is left beside the margin.
func room(bytes uint64) uint64 {
	free := bytes
	for free-min(free, memoryMargin(free)) < bytes {
		free += 1 << 8
	}
	return free
}

// TestTheHostsCopiesCountOnTheCPU gives a run room for what the device needs
// and not for what the host keeps.
func TestTheHostsCopiesCountOnTheCPU(t *testing.T) {
	bytes := train.Bytes{Data: 1, Model: 4, Optimizer: 2, Host: 20}
	for name, want := range map[string]bool{"cpu": false, "reference": false, "cuda:0": true} {
		if err := checkMemory(device.Info{Name: name, MemoryFree: 20}, bytes); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDataBeyondAGPUStayWithTheHost: they do not count there, unless they fit.
func TestDataBeyondAGPUStayWithTheHost(t *testing.T) {
	const gigabyte = 1 << 30
	info := device.Info{Name: "cuda:0", MemoryTotal: 16 * gigabyte, MemoryFree: 15 * gigabyte}
	for data, want := range map[uint64]uint64{13 * gigabyte: 14 * gigabyte, 15 * gigabyte: gigabyte, 1000 * gigabyte: gigabyte} {
		bytes := train.Bytes{Data: data, Model: gigabyte}
		if got := bytesOn(info, bytes); got != want {
			t.Errorf("of %d GiB of data, a run takes %d bytes of the GPU, want %d", data/gigabyte, got, want)
		}
		if err := checkMemory(info, bytes); err != nil {
			t.Errorf("%d GiB of data: %v", data/gigabyte, err)
		}
	}
}

func planOf(t *testing.T, job train.Job) train.Plan {
	t.Helper()
	plan, err := train.NewPlan(job)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// smallRun is a run on the digits, ready to start.
func smallRun(t *testing.T) *trainRun {
	t.Helper()
	p := &program{}
	c := defaultTrainSettings()
	c.Model.Hidden = []int{8}
	in, err := p.prepare(t.Context(), &c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.settle(t.Context(), &c, nil); err != nil {
		t.Fatal(err)
	}
	dae, err := in.build(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &trainRun{program: p, settings: &c, data: in, dae: dae, options: trainOptions{console: newConsole(nil, true)}}
}
