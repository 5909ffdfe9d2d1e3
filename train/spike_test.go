package train

import (
	"context"
	"path/filepath"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/internal/safetensors"
)

// spiky is a job of 60 steps, one of which has a loss of its own.
func spiky(t *testing.T, dev device.Device, loss float64) Job {
	job := folderJob(t, 80, 12) // 5 steps of an epoch
	job.Config.SkipSpikes, job.Config.Batch = 8, 16
	job.Device = &poisoner{Device: dev, t: t, step: 52, loss: loss}
	return job
}

// The update of a spike is left out: after it the weights and the moments are
// those before, and what follows is no rollback.
func TestASpikeIsNotApplied(t *testing.T) {
	for name, dev := range map[string]func() device.Device{"cpu": func() device.Device { return newCPU(t, 2) }, "reference": func() device.Device { return reference.New() }} {
		job := spiky(t, dev(), 1e6)
		r := mustRun(t, job)
		if r.Skipped != 1 || r.History[10].Skipped != 1 || r.Rollbacks != 0 {
			t.Errorf("%s: %d steps skipped, %d of them in epoch 11, %d rollbacks", name, r.Skipped, r.History[10].Skipped, r.Rollbacks)
		}
		if got := spiky(t, dev(), 1); mustRun(t, got).Skipped != 0 {
			t.Errorf("%s: a loss like the others is skipped", name)
		}
		var after [2]*safetensors.File
		for i, steps := range []int{52, 53} {
			job := spiky(t, dev(), 1e6)
			job.Config.Steps = steps
			mustRun(t, job)
			var err error
			if after[i], err = readSealed(filepath.Join(job.Dir, CheckpointFile), checkpointKind); err != nil {
				t.Fatal(err)
			}
		}
		for _, part := range []string{"params", "first", "second", "ema"} {
			before, _ := safetensors.Values[float32](after[0], "", boundaryPrefix+part)
			later, _ := safetensors.Values[float32](after[1], "", boundaryPrefix+part)
			if len(before) == 0 || !sameBits(before, later) {
				t.Errorf("%s: %s after step 53, a spike, are not those after step 52", name, part)
			}
		}
	}
}

// The host, which counts spikes, knows what the device knows.
func TestHostAndDeviceAgreeOnSpikes(t *testing.T) {
	for name, dev := range map[string]device.Device{"cpu": newCPU(t, 2), "reference": reference.New()} {
		r, err := newRun(context.Background(), spiky(t, dev, 1e6))
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, ended := r.ended(); ended {
				break
			}
			if err := r.epoch(context.Background()); err != nil {
				t.Fatal(err)
			}
			values := make([]float32, device.SpikeValues)
			if err := dev.Download(values, r.spikes); err != nil {
				t.Fatal(err)
			}
			if got := device.SpikesFromValues(values); got != r.now.Spikes || got.Count != min(float32(r.now.Clock.Step), device.SpikeWindow) {
				t.Fatalf("%s, after step %d: the device has %+v, the host %+v", name, r.now.Clock.Step, got, r.now.Spikes)
			}
		}
		if skipped(r.history) != 1 {
			t.Errorf("%s: %d steps skipped", name, skipped(r.history))
		}
		r.folder.close()
	}
}

func TestResumedRunsSkipTheSameSpikes(t *testing.T) {
	want := mustRun(t, spiky(t, newCPU(t, 1), 1e6))
	for _, every := range []int{7, 51, 53} {
		job := spiky(t, newCPU(t, 1), 1e6)
		poisoned := job.Device
		job.Resume = true
		var r *Result
		for err := error(context.Canceled); err != nil; {
			job.Device = poisoned
			r, err = interrupt(t, job, every)
		}
		same(t, "resumed", job, r, want)
		if r.Skipped != 1 {
			t.Errorf("%d steps skipped", r.Skipped)
		}
	}
}
