package train

import (
	"context"
	"errors"
	"math"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/model"
)

// codeJob trains a small stochastic auto-encoder along chains, while β warms up.
func codeJob(t *testing.T) Job {
	t.Helper()
	beta := 0.5
	job := folderJob(t, 80, 4) // 5 steps of an epoch
	job.Model = newDAE(t, model.Config{Features: 8, Hidden: []int{32}, Code: 2, Activation: "tanh", Corruption: "gaussian:0.05",
		Likelihood: "gaussian:0.1", CodeDistribution: "gaussian", Beta: &beta, BetaWarmup: 13, Walkback: 2})
	return job
}

// TestResumedRunsOfStochasticCodesHaveTheSameBits: β goes on where it was,
// within an epoch and after a rollback.
func TestResumedRunsOfStochasticCodesHaveTheSameBits(t *testing.T) {
	job := codeJob(t)
	want := mustRun(t, job)
	job.Dir, job.Resume = t.TempDir(), true
	r, err := interrupt(t, job, 3)
	for err != nil {
		var interrupted *InterruptedError
		if !errors.As(err, &interrupted) {
			t.Fatal(err)
		}
		r, err = interrupt(t, job, 3)
	}
	same(t, "every 3 steps", job, r, want)

	poisoned := func() device.Device {
		return &poisoner{Device: newCPU(t, 1), t: t, step: 8, loss: math.NaN()}
	}
	job.Dir, job.Resume, job.Device = t.TempDir(), false, poisoned()
	want = mustRun(t, job)
	if want.Rollbacks != 1 {
		t.Fatalf("%d rollbacks", want.Rollbacks)
	}
	job.Dir, job.Resume, job.Device = t.TempDir(), true, poisoned()
	if _, err := interrupt(t, job, 14); err == nil {
		t.Fatal("not interrupted")
	}
	same(t, "after a rollback", job, mustRun(t, job), want)

	beta := 0.6
	config := job.Model.Config()
	config.Beta = &beta
	job.Model = newDAE(t, config)
	var refused *model.ConfigError
	if _, err := Run(context.Background(), job); !errors.As(err, &refused) || refused.Key != "beta" {
		t.Errorf("another β: error %v", err)
	}
}

// TestMetricsOfStochasticCodes: the model is chosen by the loss at the full β,
// whose parts are recorded, and which the saved model repeats.
func TestMetricsOfStochasticCodes(t *testing.T) {
	job := codeJob(t)
	r := mustRun(t, job)
	for _, row := range r.History {
		if !math.IsNaN(row.TrainNLL) || !(row.ValKL > 0) || math.Abs(row.ValLoss-row.ValNLL-0.5*row.ValKL) > 1e-9*math.Abs(row.ValLoss) {
			t.Errorf("%+v", row)
		}
	}
	saved, err := LoadModel(job.Dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := saved.Evaluate(t.Context(), job.Device, job.Table, saved.Split.Validation())
	if err != nil || e.Loss != r.Best.ValLoss || e.KL != r.Best.ValKL || saved.Row.ValKL != r.Best.ValKL {
		t.Errorf("the saved model has %+v, its row %+v, the run %+v: %v", e, saved.Row, r.Best, err)
	}
	if row := mustRun(t, toyJob(t, 40, 1)).Last; !math.IsNaN(row.ValKL) || row.TrainNLL != row.TrainLoss {
		t.Errorf("a deterministic code has %+v", row)
	}
}

// TestOverfitIsAtTheFullWeight of the divergence.
func TestOverfitIsAtTheFullWeight(t *testing.T) {
	job := codeJob(t)
	warm, err := Overfit(t.Context(), job, 2)
	if err != nil {
		t.Fatal(err)
	}
	config := job.Model.Config()
	config.BetaWarmup = 0
	job.Model = newDAE(t, config)
	whole, err := Overfit(t.Context(), job, 2)
	if err != nil || math.Abs(warm.First-whole.First) > 1e-5*math.Abs(whole.First) {
		t.Errorf("with a warm-up the first loss is %v, without %v: %v", warm.First, whole.First, err)
	}
}

// TestDevicesAgreeOnStochasticCodes in the first epoch, before roundings grow.
func TestDevicesAgreeOnStochasticCodes(t *testing.T) {
	job := codeJob(t)
	job.Config.Epochs = 1
	fast := mustRun(t, job)
	job.Device, job.Dir = reference.New(), t.TempDir()
	slow := mustRun(t, job)
	if math.Abs(fast.Last.ValLoss-slow.Last.ValLoss) > 1e-4*math.Abs(slow.Last.ValLoss) || math.Abs(fast.Last.TrainLoss-slow.Last.TrainLoss) > 1e-4*math.Abs(slow.Last.TrainLoss) {
		t.Errorf("the CPU has %+v, the reference %+v", fast.Last, slow.Last)
	}
}
