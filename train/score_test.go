package train

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/safetensors"
	"gpudae/model"
)

// scoreJob trains a small score model on the toy.
func scoreJob(t *testing.T, rows, epochs int) Job {
	t.Helper()
	job := toyJob(t, rows, epochs)
	job.Model = newDAE(t, model.Config{Features: 8, Hidden: []int{16}, Activation: "silu", Objective: model.ObjectiveDSM,
		Score: model.Score{Noise: "geometric:min=0.05,max=3,levels=20"}})
	job.Dir = t.TempDir()
	return job
}

func TestScoreModelResumesToTheSameBits(t *testing.T) {
	job := scoreJob(t, 80, 4)
	job.Config.Schedule = "plateau:patience=1,factor=0.7"
	want := mustRun(t, job)
	job.Dir, job.Resume = t.TempDir(), true
	r, err := interrupt(t, job, 3)
	for sessions := 0; err != nil; sessions++ {
		var interrupted *InterruptedError
		if !errors.As(err, &interrupted) || sessions > 30 {
			t.Fatalf("session %d: %v", sessions, err)
		}
		r, err = interrupt(t, job, 3)
	}
	same(t, "score model", job, r, want)
}

func TestScoreModelIsChosenByItsLoss(t *testing.T) {
	job := scoreJob(t, 300, 8)
	r := mustRun(t, job)
	best := r.History[0]
	for _, row := range r.History {
		if !math.IsNaN(row.TrainNLL) || !math.IsNaN(row.ValNLL) || !finite(row.TrainLoss) || !finite(row.ValMSE) {
			t.Errorf("%+v: a score model has a loss and no likelihood", row)
		}
		if row.ValLoss < best.ValLoss {
			best = row
		}
	}
	if r.Best.Epoch != best.Epoch || best.Epoch == 1 {
		t.Errorf("epoch %d is kept, %d has the least loss", r.Best.Epoch, best.Epoch)
	}
	if text := readFile(t, job.Dir+"/"+MetricsJSON); !strings.Contains(text, `"val_nll":null`) || strings.Contains(text, `"val_loss":null`) {
		t.Errorf("metrics %s", text)
	}
	saved, err := LoadModel(job.Dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := saved.Evaluate(context.Background(), job.Device, job.Table, saved.Split.Validation())
	if err != nil || e.Loss != best.ValLoss || e.MSE != best.ValMSE {
		t.Errorf("the saved model evaluates to %+v, %v; recorded is %+v", e, err, best)
	}
	if got, want := saved.DAE.NoiseLevels(), job.Model.NoiseLevels(); len(got) != 20 || got[0] != want[0] || got[19] != want[19] {
		t.Errorf("levels %v, want %v", got, want)
	}
	net, _, err := saved.Bind(job.Device, 3)
	if err != nil {
		t.Fatal(err)
	}
	trained, err := model.Bind(job.Device, job.Model, model.Binding{Examples: 7})
	if err != nil {
		t.Fatal(err)
	}
	if err := trained.SetParameters(r.Params, r.Buffers); err != nil {
		t.Fatal(err)
	}
	x := job.Table.Float32[:10*8]
	got, want := make([]float32, len(x)), make([]float32, len(x))
	if err := errors.Join(net.DenoiseAt(context.Background(), got, x, 0.4), trained.DenoiseAt(context.Background(), want, x, 0.4)); err != nil {
		t.Fatal(err)
	}
	if !sameBits(got, want) {
		t.Errorf("the saved model denoises to %v, the trained one to %v", got[:8], want[:8])
	}
}

func TestRowsWithoutALossHaveThatOfTheirLikelihood(t *testing.T) {
	var r Row
	if err := json.Unmarshal([]byte(`{"epoch":1,"step":2,"train_nll":3,"val_nll":null}`), &r); err != nil || r.TrainLoss != 3 || !math.IsNaN(r.ValLoss) {
		t.Errorf("%+v, %v", r, err)
	}
	if err := json.Unmarshal([]byte(`{"epoch":1,"step":2,"train_nll":null,"train_loss":4,"val_loss":5}`), &r); err != nil || r.TrainLoss != 4 || r.ValLoss != 5 || !math.IsNaN(r.TrainNLL) {
		t.Errorf("%+v, %v", r, err)
	}
	old := rowOf([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	if old.TrainLoss != 3 || old.ValLoss != 4 || old.Seconds != 10 {
		t.Errorf("%+v", old)
	}
}

// TestCheckpointsWithoutALossAreResumed: those of likelihoods that were written
// before there was another objective.
func TestCheckpointsWithoutALossAreResumed(t *testing.T) {
	job := folderJob(t, 80, 2)
	mustRun(t, job)
	f := &folder{dir: job.Dir}
	file, err := readSealed(f.path(CheckpointFile), checkpointKind)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := safetensors.Values[float64](file, "", historyTensor, 2, len(columns))
	if err != nil {
		t.Fatal(err)
	}
	var old []float64
	for row := range slices.Chunk(rows, len(columns)) {
		old = append(old, row[:likelihoodColumns]...)
	}
	file.Tensors[historyTensor] = safetensors.New([]int{2, likelihoodColumns}, old)
	file.Metadata["origin"] = strings.Replace(file.Metadata["origin"], `,"walkback":1`, "", 1) // nor was there a default of this
	f.saved = func(string) {}
	if err := f.writeSealed(CheckpointFile, file); err != nil {
		t.Fatal(err)
	}
	job.Resume, job.Config.Epochs = true, 4
	got := mustRun(t, job)
	if len(got.History) != 4 {
		t.Fatalf("%d epochs", len(got.History))
	}
	for i, row := range got.History {
		if row.ValLoss != row.ValNLL || row.TrainLoss != row.TrainNLL || !finite(row.ValLoss) || row.Epoch != i+1 {
			t.Errorf("%+v", row)
		}
	}
}

// mixture is one of isotropic Gaussians of one spread.
type mixture struct {
	shares  []float64
	centres [][]float64
	spread  float64
}

// newMixture places components at random.
func newMixture(components, features int, spread float64) mixture {
	random := rand.New(rand.NewPCG(6, 0))
	m := mixture{spread: spread}
	for range components {
		c := make([]float64, features)
		for j := range c {
			c[j] = random.NormFloat64()
		}
		m.centres = append(m.centres, c)
		m.shares = append(m.shares, 1/float64(components))
	}
	return m
}

// draw draws rows of the mixture after Gaussian noise σ.
func (m mixture) draw(rows int, sigma float64, seed uint64) []float32 {
	random := rand.New(rand.NewPCG(seed, 0))
	spread := math.Hypot(m.spread, sigma)
	var values []float32
	for range rows {
		for _, v := range m.centres[random.IntN(len(m.centres))] {
			values = append(values, float32(v+spread*random.NormFloat64()))
		}
	}
	return values
}

// score is ∇ log p_σ(x).
func (m mixture) score(x []float32, sigma float64) []float64 {
	variance := m.spread*m.spread + sigma*sigma
	logs, most := make([]float64, len(m.centres)), math.Inf(-1)
	for k, c := range m.centres {
		for j, v := range c {
			logs[k] -= math.Pow(float64(x[j])-v, 2) / (2 * variance)
		}
		most = max(most, logs[k])
	}
	total, s := 0.0, make([]float64, len(x))
	for k, c := range m.centres {
		w := math.Exp(logs[k] - most)
		total += w
		for j, v := range c {
			s[j] += w * (v - float64(x[j])) / variance
		}
	}
	for j := range s {
		s[j] /= total
	}
	return s
}

// scoreErrors trains a score model on a mixture and returns, for each σ, the
// relative error of its score in the root mean square over p_σ.
func scoreErrors(t *testing.T, m mixture, rows int, dae *model.DAE, c Config, sigmas []float64) []float64 {
	t.Helper()
	features := len(m.centres[0])
	dev := newCPU(t, 2)
	trained := mustRun(t, Job{Device: dev, Model: dae, Config: c,
		Table:  device.Table{Rows: rows, Columns: features, Float32: m.draw(rows, 0, 1)},
		Schema: data.Info{Name: "mixture", Rows: rows, Features: features, Shape: []int{features}, Element: data.Float32, Scale: 1}})
	net, err := model.Bind(dev, dae, model.Binding{Examples: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := net.SetParameters(trained.Params, trained.Buffers); err != nil {
		t.Fatal(err)
	}
	var relative []float64
	for _, sigma := range sigmas {
		x := m.draw(4000, sigma, 2)
		got := make([]float32, len(x))
		if err := net.DenoiseAt(context.Background(), got, x, sigma); err != nil {
			t.Fatal(err)
		}
		var wrong, all float64
		for i := 0; i < len(x); i += features {
			for j, s := range m.score(x[i:i+features], sigma) {
				wrong += math.Pow(float64(got[i+j]-x[i+j])/(sigma*sigma)-s, 2)
				all += s * s
			}
		}
		relative = append(relative, math.Sqrt(wrong/all))
	}
	return relative
}

// TestTrainedScoreOfAMixtureAtManyLevels: in the plane, from noise below the
// spread of a component to noise beyond that of the data.
func TestTrainedScoreOfAMixtureAtManyLevels(t *testing.T) {
	const rows = 200000
	m := newMixture(3, 2, 0.4)
	dae := newDAE(t, model.Config{Features: 2, Hidden: []int{32, 32}, Activation: "silu", Objective: model.ObjectiveDSM,
		Score: model.Score{Noise: "geometric:min=0.25,max=5,levels=100", SigmaData: 1}})
	c := DefaultConfig()
	c.Val, c.Epochs, c.LR, c.Schedule, c.Batch, c.EMA = 0, 10, 1e-2, "cosine", 512, 0.998
	for i, relative := range scoreErrors(t, m, rows, dae, c, []float64{0.25, 0.4, 1, 3}) {
		t.Logf("%d: relative error %.4f", i, relative)
		if !(relative <= 0.05) {
			t.Errorf("level %d: the score is wrong by %.4f of its size", i, relative)
		}
	}
}
