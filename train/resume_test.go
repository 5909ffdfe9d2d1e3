package train

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/model"
)

// canceller ends the context after so many programs.
type canceller struct {
	device.Device
	left   int
	cancel context.CancelFunc
}

func (d *canceller) Record(body func()) (device.Program, error) {
	program, err := d.Device.Record(body)
	return func() error {
		if d.left--; d.left == 0 {
			d.cancel()
		}
		return program()
	}, err
}

// interrupt runs the job until after so many steps.
func interrupt(t *testing.T, job Job, steps int) (*Result, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	job.Device = &canceller{Device: job.Device, left: steps, cancel: cancel}
	return Run(ctx, job)
}

func TestInterruption(t *testing.T) {
	job := folderJob(t, 80, 4) // 5 steps of an epoch
	_, err := interrupt(t, job, 7)
	var interrupted *InterruptedError
	if !errors.As(err, &interrupted) || !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want an InterruptedError", err)
	}
	if interrupted.Epoch != 2 || interrupted.Step != 7 || interrupted.Saved != filepath.Join(job.Dir, CheckpointFile) {
		t.Errorf("%+v", interrupted)
	}
	if _, err := LoadModel(job.Dir); err != nil {
		t.Errorf("the model of the first epoch: %v", err)
	}
	want := mustRun(t, job)
	job.Dir = t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	job.Observer.Start = func(Plan) { cancel() }
	if _, err := Run(ctx, job); !errors.As(err, &interrupted) || interrupted.Step != 0 || interrupted.Epoch != 1 {
		t.Errorf("before the first step: error %v", err)
	}
	job.Observer.Start, job.Resume = nil, true
	same(t, "from the first step", job, mustRun(t, job), want)
	job.Dir = ""
	if _, err := interrupt(t, job, 7); !errors.As(err, &interrupted) || interrupted.Saved != "" {
		t.Errorf("without a folder: error %v", err)
	}
	if _, err := Run(ctx, job); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled from the start: error %v", err)
	}
}

// A run that goes on tells which epoch it has, and can be ended right there, which
// leaves its folder as it was.
func TestResumedRunsTellTheirLastEpoch(t *testing.T) {
	job := folderJob(t, 80, 4) // 5 steps of an epoch
	want := mustRun(t, job)
	job.Dir = t.TempDir()
	var told []int
	ctx, cancel := context.WithCancel(context.Background())
	job.Observer.Resumed = func(row Row) {
		told = append(told, row.Epoch)
		cancel()
	}
	for _, steps := range []int{3, 4} { // to within the first epoch and the second
		job.Resume = steps > 3
		if _, err := interrupt(t, job, steps); !errors.Is(err, context.Canceled) || told != nil {
			t.Fatalf("after %d steps more: %v, told %v", steps, err, told)
		}
	}
	var interrupted *InterruptedError
	if _, err := Run(ctx, job); !errors.As(err, &interrupted) || interrupted.Step != 7 || !slices.Equal(told, []int{1}) {
		t.Fatalf("%v, told %v", err, told)
	}
	job.Observer.Resumed = nil
	same(t, "ended at once", job, mustRun(t, job), want)
}

// Fewer retries than a run has had leave it none.
func TestRetriesMayBeLoweredOnResume(t *testing.T) {
	job := folderJob(t, 80, 2)
	job.Config.LR, job.Config.Retries = 1e30, 3
	var diverged *DivergedError
	if _, err := Run(t.Context(), job); !errors.As(err, &diverged) {
		t.Fatal(err)
	}
	job.Config.Retries, job.Resume = 1, true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	job.Observer.RolledBack = func(r Rollback) {
		t.Errorf("retry %d of %d", r.Retry, r.Retries)
		cancel()
	}
	if _, err := Run(ctx, job); !errors.As(err, &diverged) {
		t.Error(err)
	}
}

// countdown is a context that has ended when it has been asked so often.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// Whenever the context ends, between whichever two looks at it, what is saved is what
// the device has made.
func TestInterruptionsAtEveryLook(t *testing.T) {
	if testing.Short() {
		t.Skip("some hundred runs")
	}
	job := toyJob(t, 2*LogSteps, 1)
	job.Config.Batch, job.Config.Checkpoint, job.Dir = 1, "0", t.TempDir() // a look at the log on the way
	want := mustRun(t, job)
	resumed := 0
	for looks := LogSteps; ; looks++ {
		job.Dir, job.Resume = t.TempDir(), false
		var interrupted *InterruptedError
		if _, err := Run(&countdown{context.Background(), looks}, job); err == nil {
			break
		} else if !errors.As(err, &interrupted) || interrupted.Step == 0 {
			continue
		}
		job.Resume = true
		resumed++
		if !sameBits(mustRun(t, job).Params, want.Params) {
			t.Fatalf("after %d looks, step %d: other weights", looks, interrupted.Step)
		}
	}
	if resumed == 0 {
		t.Error("never interrupted within the epoch")
	}
}

// A run that was interrupted in its first epoch cannot end before what it has made.
func TestResumedRunsEndNoEarlierThanTheirFirstEpoch(t *testing.T) {
	job := folderJob(t, 80, 4) // 5 steps of an epoch
	if _, err := interrupt(t, job, 3); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	job.Resume, job.Config.Steps = true, 2
	var config *model.ConfigError
	if _, err := Run(t.Context(), job); !errors.As(err, &config) || config.Key != "steps" {
		t.Errorf("error %v", err)
	}
	job.Config.Steps = 3
	if _, err := Run(t.Context(), job); err != nil {
		t.Error(err)
	}
}

// same compares a resumed run with one that was never interrupted.
func same(t *testing.T, what string, job Job, got, want *Result) {
	t.Helper()
	if !sameBits(got.Params, want.Params) || !sameBits(got.Buffers, want.Buffers) || got.Reason != want.Reason || got.Steps != want.Steps {
		t.Errorf("%s: other weights, or %s after %d steps, not %s after %d", what, got.Reason, got.Steps, want.Reason, want.Steps)
	}
	if len(got.History) != len(want.History) {
		t.Fatalf("%s: %d epochs, not %d", what, len(got.History), len(want.History))
	}
	for i, row := range got.History {
		row.Seconds, row.SamplesPerS = want.History[i].Seconds, want.History[i].SamplesPerS
		if !sameRow(row, want.History[i]) {
			t.Errorf("%s: %+v, not %+v", what, got.History[i], want.History[i])
		}
	}
	checkMetrics(t, job.Dir, got.History)
	saved, err := LoadModel(job.Dir)
	if err != nil || !sameBits(saved.Params, want.Params) {
		t.Errorf("%s: the folder has another model, %v", what, err)
	}
}

func TestResumedRunsHaveTheSameBits(t *testing.T) {
	testResumedRuns(t, newCPU(t, 1), map[string][]int{"adamw": {1, 3, 7}, "sgd:nesterov": {4}, "rmsprop": {6}})
}

// The reference computes in float64, of which a checkpoint must not lose anything.
func TestResumedRunsHaveTheSameBitsOnTheReference(t *testing.T) {
	testResumedRuns(t, reference.New(), map[string][]int{"adamw": {3, 7}, "sgd:nesterov": {4}, "adagrad": {6}})
}

func testResumedRuns(t *testing.T, dev device.Device, cases map[string][]int) {
	for optimizer, intervals := range cases {
		job := folderJob(t, 80, 4) // 5 steps of an epoch
		job.Device = dev
		job.Config.Optimizer, job.Config.Schedule, job.Config.Warmup = optimizer, "plateau:patience=1,factor=0.7", 1
		want := mustRun(t, job)
		for _, every := range intervals {
			job.Dir, job.Resume = t.TempDir(), true
			r, err := interrupt(t, job, every)
			for sessions := 0; err != nil; sessions++ {
				var interrupted *InterruptedError
				if !errors.As(err, &interrupted) || sessions > 30 {
					t.Fatalf("%s, every %d steps: session %d: %v", optimizer, every, sessions, err)
				}
				r, err = interrupt(t, job, every)
			}
			same(t, optimizer, job, r, want)
		}
	}
}

// A run that is killed leaves the folder as some Saved callback found it.
func TestKilledRunsHaveTheSameBits(t *testing.T) {
	job := folderJob(t, 80, 3)
	job.Config.Batch, job.Config.Checkpoint = 2, "1ns" // a checkpoint at each look at the log, within epochs of 36 steps
	var copies []string
	job.Observer.Saved = func(string) {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(job.Dir)); err != nil {
			t.Error(err)
		}
		copies = append(copies, dir)
	}
	want := mustRun(t, job)
	job.Observer.Saved, job.Resume = nil, true
	within := 0
	for _, dir := range copies {
		job.Dir = dir
		job.Observer.Start = func(Plan) {}
		first := true
		job.Observer.Step = func(p Progress) {
			if first && p.StepInEpoch == p.StepsPerEpoch && p.Step > 50 {
				within++
			}
			first = false
		}
		same(t, filepath.Base(dir), job, mustRun(t, job), want)
	}
	if within == 0 {
		t.Errorf("none of %d copies resumed within an epoch", len(copies))
	}
}

func TestResumeAroundARollback(t *testing.T) {
	for name, bad := range map[string]poisoner{ // the interruption is after 10 steps made, one rolled back
		"before": {step: 6, loss: math.NaN()},
		"after":  {step: 13, loss: 1e30}, // finite, but a blow-up beside the first loss of all
	} {
		job := folderJob(t, 80, 4)
		poison := func() *poisoner {
			return &poisoner{Device: newCPU(t, 1), t: t, step: bad.step, loss: bad.loss}
		}
		job.Device = poison()
		want := mustRun(t, job)
		if want.Rollbacks != 1 {
			t.Fatalf("%s: %d rollbacks", name, want.Rollbacks)
		}
		job.Dir, job.Resume, job.Device = t.TempDir(), true, poison()
		if _, err := interrupt(t, job, 10); err == nil {
			t.Fatal("not interrupted")
		}
		same(t, name, job, mustRun(t, job), want)
	}
}

func TestResumeGoesOnForMoreEpochs(t *testing.T) {
	job := folderJob(t, 80, 5)
	want := mustRun(t, job)
	job.Dir, job.Config.Epochs = t.TempDir(), 2
	mustRun(t, job)
	job.Resume, job.Config.Epochs = true, 5
	got := mustRun(t, job)
	same(t, "two epochs and three", job, got, want)
	again := mustRun(t, job) // nothing is left to do
	same(t, "none left", job, again, want)
}

func TestResumeRefusesAnotherRun(t *testing.T) {
	job := folderJob(t, 60, 2)
	mustRun(t, job)
	job.Resume = true
	for _, c := range []struct {
		key    string
		change func(*Job)
	}{
		{"lr", func(j *Job) { j.Config.LR *= 2 }},
		{"batch", func(j *Job) { j.Config.Batch++ }},
		{"weight_decay", func(j *Job) { x := 0.1; j.Config.WeightDecay = &x }},
		{"dropout", func(j *Job) {
			c := j.Model.Config()
			c.Dropout = 0.2
			j.Model = newDAE(t, c)
		}},
		{"data", func(j *Job) { j.Schema.SHA256 = "cd34" }},
		{"data", func(j *Job) { j.Table = toy(61) }},
	} {
		changed := job
		c.change(&changed)
		_, err := Run(context.Background(), changed)
		var config *model.ConfigError
		if !errors.As(err, &config) || config.Key != c.key {
			t.Errorf("%s: error %v", c.key, err)
		}
	}
	mustRun(t, job)
}

// A run interrupted within an epoch that is resumed with fewer epochs than it
// has made has nothing left to do, and must not count the half epoch as whole.
func TestResumeWithFewerEpochsLeavesTheHalfEpoch(t *testing.T) {
	job := folderJob(t, 80, 4) // 5 steps of an epoch
	want := mustRun(t, job)
	job.Dir, job.Resume = t.TempDir(), true
	var interrupted *InterruptedError
	if _, err := interrupt(t, job, 12); !errors.As(err, &interrupted) { // in the third epoch
		t.Fatalf("error %v, want an InterruptedError", err)
	}
	short := job
	short.Config.Epochs = 1
	if r := mustRun(t, short); r.Reason != Finished || r.Epochs != 2 || r.Steps != 10 {
		t.Errorf("%s after %d epochs and %d steps, want finished after 2 and 10", r.Reason, r.Epochs, r.Steps)
	}
	same(t, "with all epochs again", job, mustRun(t, job), want)
}

// A run that was limited to two epochs' steps goes on as the one with more would
// have; one that was cut short within an epoch cannot.
func TestStepsCanBeRaisedOnResume(t *testing.T) {
	job := folderJob(t, 80, 4) // 5 steps of an epoch
	job.Config.Steps = 10
	mustRun(t, job)
	job.Resume, job.Config.Steps = true, 18
	raised := mustRun(t, job)
	job.Resume, job.Dir = false, t.TempDir()
	if whole := mustRun(t, job); raised.Steps != 18 || !sameBits(raised.Params, whole.Params) {
		t.Errorf("%d steps, other weights than without the pause", raised.Steps)
	}
	job.Resume, job.Config.Steps = true, 20
	var config *model.ConfigError
	if _, err := Run(context.Background(), job); !errors.As(err, &config) || config.Key != "steps" {
		t.Errorf("raised within an epoch: %v", err)
	}
}
