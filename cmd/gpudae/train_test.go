package main

import (
	"errors"
	"regexp"
	"strconv"
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
	free := planOf(t, job).Bytes.Total()

	told := r.outOfMemory(&device.OutOfMemoryError{Device: "small", Wanted: whole.Bytes.Total(), Free: free})
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

	var failed *failure
	told = r.outOfMemory(&device.OutOfMemoryError{Device: "tiny", Wanted: 1 << 20, Free: 100})
	if !errors.As(told, &failed) || failed.remedy != "choose smaller layers with --hidden" {
		t.Errorf("without room for any batch: %v", told)
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
	in, err := p.prepare(t.Context(), &c, nil)
	if err != nil {
		t.Fatal(err)
	}
	in.settle(&c)
	dae, err := in.build(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &trainRun{program: p, settings: &c, data: in, dae: dae, options: trainOptions{console: newConsole(nil, true)}}
}
