package train

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"gpudae/device/reference"
	"gpudae/internal/safetensors"
	"gpudae/model"
)

// predictorJob fine-tunes the model of a run on the toy: classes by the sign of
// two columns, or a number that is their product.
func predictorJob(t *testing.T, from Job, classes int, freeze bool) Job {
	t.Helper()
	pre := mustRun(t, from)
	job := from
	job.Dir, job.Config.EMA = t.TempDir(), 0
	job.Target = Target{Name: "y"}
	rows := from.Table.Rows
	if classes > 0 {
		index := make([]int32, rows)
		for row := range rows {
			u, v := from.Table.At(8*row), from.Table.At(8*row+1)
			for _, positive := range []bool{u > 0, v > 0} {
				index[row] *= 2
				if positive {
					index[row]++
				}
			}
			index[row] %= int32(classes)
		}
		job.Target.Classes = strings.Split("abcdefgh", "")[:classes]
		job.Targets = job.Target.ClassTable(index)
	} else {
		y := make([]float64, rows)
		for row := range rows {
			y[row] = 50 + 7*float64(from.Table.At(8*row))
		}
		job.Target.FitNumber(y, pre.Split.Trains())
		job.Targets = job.Target.NumberTable(y)
	}
	c, err := from.Model.Predictor(job.Target.Model("all", freeze))
	if err != nil {
		t.Fatal(err)
	}
	c.Dropout, c.Corruption = 0.1, "masking:0.1"
	job.Model = newDAE(t, c)
	start := &Start{job.Model.InitialParameters(1), job.Model.InitialBuffers()}
	if err := job.Model.TakeEncoder(start.Params, start.Buffers, from.Model, pre.Params, pre.Buffers); err != nil {
		t.Fatal(err)
	}
	job.Start = start
	return job
}

// TestPredictorResumesToTheSameBits, and learns.
func TestPredictorResumesToTheSameBits(t *testing.T) {
	for _, classes := range []int{0, 2, 4} {
		t.Run(fmt.Sprint(classes), func(t *testing.T) {
			job := predictorJob(t, folderJob(t, 200, 3), classes, false)
			job.Config.Epochs = 12
			whole := mustRun(t, job)
			if first, best := whole.History[0].ValLoss, whole.Best.ValLoss; !(best < first) {
				t.Errorf("validation loss %v at first, %v at best", first, best)
			}
			job.Dir = t.TempDir()
			if _, err := interrupt(t, job, 30); err == nil {
				t.Fatal("not interrupted")
			}
			job.Resume = true
			resumed := mustRun(t, job)
			if !sameBits(whole.Params, resumed.Params) || !sameBits(whole.Buffers, resumed.Buffers) {
				t.Error("the resumed run has other weights")
			}

			saved, err := LoadPredictor(job.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(saved.Target) != fmt.Sprint(job.Target) || !sameBits(saved.Params, whole.Params) {
				t.Errorf("target %+v, want %+v", saved.Target, job.Target)
			}
			net, src, err := saved.Bind(job.Device, 7)
			if err != nil {
				t.Fatal(err)
			}
			if src.Data, err = job.Device.Load(t.Context(), job.Table); err != nil {
				t.Fatal(err)
			}
			if src.Target, err = job.Device.Load(t.Context(), job.Targets); err != nil {
				t.Fatal(err)
			}
			src.Part = saved.Split.Validation()
			if e, err := net.Evaluate(t.Context(), src); err != nil || e.Loss != whole.Best.ValLoss {
				t.Errorf("loss %v (%v), recorded %v", e.Loss, err, whole.Best.ValLoss)
			}

			// Other targets are another run.
			job.Targets.Uint8, job.Targets.Float32 = append([]uint8(nil), job.Targets.Uint8...), append([]float32(nil), job.Targets.Float32...)
			if classes > 0 {
				job.Targets.Uint8[0] ^= 1
			} else {
				job.Targets.Float32[0]++
			}
			var config *model.ConfigError
			if _, err := Run(t.Context(), job); !errors.As(err, &config) || config.Key != "label" {
				t.Errorf("other targets: %v", err)
			}
		})
	}
}

// TestFrozenEncoderStaysAsItIs, whatever decays.
func TestFrozenEncoderStaysAsItIs(t *testing.T) {
	for _, optimizer := range []string{"adam", "adamw", "sgd:momentum=0.9,nesterov", "rmsprop", "adagrad"} {
		job := predictorJob(t, folderJob(t, 100, 1), 4, true)
		decay := 0.1
		job.Config.Epochs, job.Config.Optimizer, job.Config.WeightDecay = 3, optimizer, &decay
		r := mustRun(t, job)
		moved := false
		for _, p := range job.Model.Parameters() {
			same := sameBits(r.Params[p.Offset:p.Offset+p.Len()], job.Start.Params[p.Offset:p.Offset+p.Len()])
			if strings.HasPrefix(p.Name, "encoder.") && !same {
				t.Errorf("%s: %s has moved", optimizer, p.Name)
			}
			moved = moved || !same
		}
		if !moved || !sameBits(r.Buffers, job.Start.Buffers) {
			t.Errorf("%s: the head stands still, or the statistics have moved", optimizer)
		}
	}
	job := predictorJob(t, folderJob(t, 100, 1), 4, true)
	job.Config.EMA = 0.9
	var config *model.ConfigError
	if _, err := Run(t.Context(), job); !errors.As(err, &config) || config.Key != "ema" {
		t.Errorf("an average of a frozen encoder: %v", err)
	}
}

// TestPredictorsAgreeOnDevices: the reference gives the CPU's curve.
func TestPredictorsAgreeOnDevices(t *testing.T) {
	job := predictorJob(t, folderJob(t, 120, 2), 4, false)
	job.Config.Epochs = 3
	want := mustRun(t, job)
	job.Dir, job.Device = t.TempDir(), reference.New()
	got := mustRun(t, job)
	for i, row := range got.History {
		if w := want.History[i]; math.Abs(row.ValLoss-w.ValLoss) > 1e-4*math.Abs(w.ValLoss) {
			t.Errorf("epoch %d: loss %v on the reference, %v on the CPU", i+1, row.ValLoss, w.ValLoss)
		}
	}
}

// TestKindsOfModelFilesAreKeptApart.
func TestKindsOfModelFilesAreKeptApart(t *testing.T) {
	from := folderJob(t, 60, 1)
	job := predictorJob(t, from, 3, false)
	job.Config.Epochs = 1
	mustRun(t, job)
	var file *FileError
	if _, err := LoadModel(job.Dir); !errors.As(err, &file) || !strings.Contains(err.Error(), "fine-tuned") {
		t.Errorf("a predictor as a model: %v", err)
	}
	if _, err := LoadPredictor(from.Dir); !errors.As(err, &file) || !strings.Contains(err.Error(), "predicts nothing") {
		t.Errorf("a model as a predictor: %v", err)
	}
	if _, err := LoadPredictor(filepath.Join(job.Dir, CheckpointFile)); !errors.As(err, &file) {
		t.Errorf("a checkpoint as a predictor: %v", err)
	}
	path := filepath.Join(job.Dir, ModelFile)
	for key, value := range map[string]string{"target": `{"classes":["a","b"]}`, "gpudae": modelKind} {
		f, err := safetensors.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Metadata[key] = value
		if err := seal(f); err != nil {
			t.Fatal(err)
		}
		wrong := filepath.Join(t.TempDir(), "wrong.safetensors")
		if err := safetensors.WriteFile(wrong, f); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadPredictor(wrong); !errors.As(err, &file) {
			t.Errorf("%s: %v", key, err)
		}
		if _, err := LoadModel(wrong); !errors.As(err, &file) {
			t.Errorf("%s: %v", key, err)
		}
	}
	saved, err := LoadPredictor(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.safetensors")
	if err := saved.Write(copied); err != nil {
		t.Fatal(err)
	}
	if readFile(t, copied) != readFile(t, path) {
		t.Error("what is written again is another file")
	}
}

// TestFitNumber is the mean and the deviation of the rows that are kept.
func TestFitNumber(t *testing.T) {
	var target Target
	y := []float64{1, 100, 3, 5, -70}
	target.FitNumber(y, func(row int) bool { return row == 0 || row == 2 || row == 3 })
	if math.Abs(target.Offset-3) > 1e-12 || math.Abs(target.Scale-math.Sqrt(8.0/3)) > 1e-12 {
		t.Errorf("%+v", target)
	}
	target.FitNumber([]float64{4, 4}, func(int) bool { return true })
	if target.Offset != 4 || target.Scale != 1 {
		t.Errorf("of a constant: %+v", target)
	}
	if got := target.NumberTable([]float64{5}); got.Float32[0] != 1 {
		t.Errorf("%v", got)
	}
}
