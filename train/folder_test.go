package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/atomicfile"
	"gpudae/internal/safetensors"
	"gpudae/model"
)

// folderJob is toyJob with a run folder and a model that has everything.
func folderJob(t *testing.T, rows, epochs int) Job {
	t.Helper()
	job := toyJob(t, rows, epochs)
	job.Model = newDAE(t, model.Config{Features: 8, Hidden: []int{12}, Code: 3, Activation: "silu", Norm: "batch", Dropout: 0.1,
		Corruption: "salt-and-pepper:0.1+swap:0.1", Likelihood: "gaussian:0.3"})
	job.Config.EMA, job.Config.Clip = 0.9, 5
	job.Dir = t.TempDir()
	job.Settings = []byte("lr: 0.003\n")
	job.Version = "test"
	return job
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestRunFolder(t *testing.T) {
	job := folderJob(t, 60, 4)
	var saved []string
	job.Observer.Saved = func(path string) { saved = append(saved, filepath.Base(path)) }
	r := mustRun(t, job)
	all := []string{SettingsFile, olderCheckpoint(1), CheckpointFile, MetricsCSV, MetricsJSON, ModelFile, SchemaFile}
	if got := names(t, job.Dir); !slices.Equal(got, all) {
		t.Errorf("the folder holds %v, want %v", got, all)
	}
	for _, name := range all {
		if !slices.Contains(saved, name) && name != olderCheckpoint(1) {
			t.Errorf("%s was not reported", name)
		}
	}
	if got := readFile(t, filepath.Join(job.Dir, SettingsFile)); got != string(job.Settings) {
		t.Errorf("settings %q", got)
	}
	var schema schemaFile
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(job.Dir, SchemaFile))), &schema); err != nil || schema.Split != r.Split || schema.Schema.Name != "toy" {
		t.Errorf("schema %+v, %v", schema, err)
	}
	checkMetrics(t, job.Dir, r.History)
}

// checkMetrics compares both metrics files with a history.
func checkMetrics(t *testing.T, dir string, history []Row) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(readFile(t, filepath.Join(dir, MetricsJSON)), "\n"), "\n")
	table := strings.Split(strings.TrimSuffix(readFile(t, filepath.Join(dir, MetricsCSV)), "\n"), "\n")
	if len(lines) != len(history) || len(table) != len(history)+1 || table[0] != strings.Join(columns[:], ",") {
		t.Fatalf("%d and %d lines for %d epochs, header %q", len(lines), len(table), len(history), table[0])
	}
	for i, want := range history {
		var row Row
		if err := json.Unmarshal([]byte(lines[i]), &row); err != nil || !sameRow(row, want) {
			t.Errorf("line %q is %+v, %v; want %+v", lines[i], row, err, want)
		}
		cells := strings.Split(table[i+1], ",")
		for j, v := range want.values() {
			cell, err := strconv.ParseFloat(cells[j], 64)
			if err != nil && (cells[j] != "" || finite(v)) || err == nil && cell != v {
				t.Errorf("cell %q of %s in %q, want %g", cells[j], columns[j], table[i+1], v)
			}
		}
	}
}

func sameRow(a, b Row) bool {
	x, y := a.values(), b.values()
	return slices.EqualFunc(x[:], y[:], func(v, w float64) bool { return v == w || math.IsNaN(v) && math.IsNaN(w) })
}

// timeless is a row as a model file holds it.
func timeless(r Row) Row {
	r.SamplesPerS, r.Seconds = math.NaN(), math.NaN()
	return r
}

func TestMetricsWithoutValidation(t *testing.T) {
	job := folderJob(t, 30, 2)
	job.Config.Val = 0
	checkMetrics(t, job.Dir, mustRun(t, job).History)
	if text := readFile(t, filepath.Join(job.Dir, MetricsJSON)); !strings.Contains(text, `"val_nll":null`) {
		t.Errorf("a validation loss that does not exist is written as %s", text)
	}
	for _, bad := range []string{`{"epoch":1}`, `[]`, `{"epoch":"x","step":1}`} {
		if err := json.Unmarshal([]byte(bad), new(Row)); err == nil {
			t.Errorf("%s is read as a row", bad)
		}
	}
}

func TestSavedModelEvaluatesToTheRecordedLoss(t *testing.T) {
	job := folderJob(t, 60, 4)
	low := []float32{-1, -1, -1, -1, -1, -1, -1, -1}
	high := []float32{1, 1, 1, 1, 1, 1, 1, 1}
	job.Scaler = &data.Scaler{Kind: data.ScaleNone, Low: low, High: high}
	r := mustRun(t, job)
	for _, path := range []string{job.Dir, filepath.Join(job.Dir, ModelFile)} {
		s, err := LoadModel(path)
		if err != nil {
			t.Fatal(err)
		}
		if !sameBits(s.Params, r.Params) || !sameBits(s.Buffers, r.Buffers) || !sameRow(s.Row, timeless(r.Best)) || s.Config != job.Config || s.Split != r.Split ||
			s.Schema.SHA256 != job.Schema.SHA256 || !slices.Equal(s.Scaler.High, high) || string(s.Settings) != string(job.Settings) || s.Version != "test" {
			t.Errorf("%s does not give back what was saved", path)
		}
		for _, batch := range []int{job.Config.Batch, 1, 100} {
			s.Config.Batch = batch
			e, err := s.Evaluate(context.Background(), newCPU(t, 2), job.Table, s.Split.Validation())
			if err != nil || e.NLL != r.Best.ValNLL || e.MSE != r.Best.ValMSE || e.PSNR != r.Best.ValPSNR {
				t.Errorf("in minibatches of %d: %+v, %v; recorded is %+v", batch, e, err, r.Best)
			}
		}
	}
}

func TestTensorsAreThoseOfPyTorch(t *testing.T) {
	job := folderJob(t, 40, 1)
	mustRun(t, job)
	f, err := safetensors.ReadFile(filepath.Join(job.Dir, ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]int{
		"encoder.0.weight": {12, 8}, "encoder.0.bias": {12}, "encoder.0.norm.weight": {12}, "encoder.0.norm.bias": {12},
		"encoder.0.norm.running_mean": {12}, "encoder.0.norm.running_var": {12},
		"encoder.1.weight": {3, 12}, "encoder.1.bias": {3},
		"decoder.0.weight": {12, 3}, "decoder.0.bias": {12}, "decoder.0.norm.weight": {12}, "decoder.0.norm.bias": {12},
		"decoder.0.norm.running_mean": {12}, "decoder.0.norm.running_var": {12},
		"decoder.1.weight": {8, 12}, "decoder.1.bias": {8},
	}
	for name, shape := range want {
		if got, ok := f.Tensors[name]; !ok || !slices.Equal(got.Shape(), shape) || got.Type() != "F32" {
			t.Errorf("%s: %v, want float32 of %v", name, got.Shape(), shape)
		}
	}
	if len(f.Tensors) != len(want) {
		t.Errorf("%d tensors, want %d", len(f.Tensors), len(want))
	}
}

func TestALayerOfOneUnitKeepsItsMatrix(t *testing.T) {
	job := folderJob(t, 30, 1)
	job.Model = newDAE(t, model.Config{Features: 8, Hidden: []int{1}, Likelihood: "gaussian:1"})
	r := mustRun(t, job)
	f, err := safetensors.ReadFile(filepath.Join(job.Dir, ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, shape := range map[string][]int{"encoder.0.weight": {1, 8}, "encoder.0.bias": {1}, "decoder.0.weight": {8, 1}} {
		if got := f.Tensors[name].Shape(); !slices.Equal(got, shape) {
			t.Errorf("%s has the shape %v, want %v", name, got, shape)
		}
	}
	if s, err := LoadModel(job.Dir); err != nil || !sameBits(s.Params, r.Params) {
		t.Errorf("it does not come back: %v", err)
	}
}

func TestLoadModelExplainsWhatIsWrong(t *testing.T) {
	job := folderJob(t, 30, 1)
	mustRun(t, job)
	good := filepath.Join(job.Dir, ModelFile)
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rewrite := func(name string, change func(*safetensors.File)) string {
		f, err := safetensors.ReadFile(good)
		if err != nil {
			t.Fatal(err)
		}
		change(f)
		if err := seal(f); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := safetensors.WriteFile(path, f); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "absent"):           "does not exist; give a run folder",
		t.TempDir():                            "model.safetensors: does not exist",
		write("text", "a text of some length"): "not a safetensors file",
		write("cut", readFile(t, good)[:900]):  "truncated",
		filepath.Join(job.Dir, CheckpointFile): "is a checkpoint, not a model; give model.safetensors or the run folder",
		rewrite("foreign", func(f *safetensors.File) { delete(f.Metadata, kindKey) }):                                         "not one of gpudae",
		rewrite("newer", func(f *safetensors.File) { f.Metadata[kindKey] = "model 2" }):                                       `is "model 2", not "model 1"`,
		rewrite("bare", func(f *safetensors.File) { delete(f.Metadata, "split") }):                                            `lack "split"`,
		rewrite("odd", func(f *safetensors.File) { f.Metadata["model"] = "[]" }):                                              `"model" cannot be read`,
		rewrite("other", func(f *safetensors.File) { f.Metadata["model"] = `{"features":8}` }):                                "describes no model",
		rewrite("sizes", func(f *safetensors.File) { f.Metadata["scaler"] = `{"kind":"none","low":[0],"high":[1]}` }):         "a model of 8 features, data of 8 and a scaler of 1",
		rewrite("held", func(f *safetensors.File) { f.Metadata["split"] = `{"rows":5,"held_out":5}` }):                        "5 of 5 rows held out",
		rewrite("fewer", func(f *safetensors.File) { delete(f.Tensors, "encoder.0.bias") }):                                   "holds 15 tensors where the model has 16",
		rewrite("shape", func(f *safetensors.File) { f.Tensors["encoder.0.bias"] = safetensors.New([]int{1}, []float32{1}) }): "does not fit the model",
		rewrite("nan", func(f *safetensors.File) {
			f.Tensors["encoder.1.bias"] = safetensors.New([]int{3}, []float32{0, float32(math.NaN()), 0})
		}): "holds NaN at element 1",
	} {
		_, err := LoadModel(path)
		var file *FileError
		if !errors.As(err, &file) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file.Path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one with %q", path, err, want)
		}
	}
}

// flips returns the content with one bit changed, at many places, and cut short.
func flips(content string) []string {
	var damaged []string
	for i := range 150 {
		at := i * len(content) / 150
		b := []byte(content)
		b[at] ^= 1 << (i % 8)
		damaged = append(damaged, string(b))
		if i%3 == 0 {
			damaged = append(damaged, content[:at])
		}
	}
	return damaged
}

func TestDamageIsDetected(t *testing.T) {
	job := folderJob(t, 30, 1)
	mustRun(t, job)
	for _, file := range []struct{ name, kind string }{{ModelFile, modelKind}, {CheckpointFile, checkpointKind}} {
		path := filepath.Join(job.Dir, file.name)
		for i, damaged := range flips(readFile(t, path)) {
			if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readSealed(path, file.kind)
			var problem *FileError
			if !errors.As(err, &problem) {
				t.Errorf("damage %d of %s: error %v", i, file.name, err)
			}
		}
	}
	job.Resume = true
	_, err := Run(context.Background(), job)
	var problem *FileError
	if !errors.As(err, &problem) || filepath.Base(problem.Path) != CheckpointFile {
		t.Errorf("resuming from a damaged checkpoint: error %v", err)
	}
}

func TestFailuresOfTheFileSystem(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /dev/full")
	}
	full := func(name string) func(Job) {
		return func(job Job) {
			if err := os.Symlink("/dev/full", filepath.Join(job.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		file          string
		before, after func(Job) // the folder is opened
	}{
		"settings on a full disk":   {file: SettingsFile, before: full(SettingsFile)},
		"metrics on a full disk":    {file: MetricsCSV, before: full(MetricsCSV)},
		"model on a full disk":      {file: ModelFile, after: full(ModelFile)},
		"checkpoint on a full disk": {file: CheckpointFile, after: full(CheckpointFile)},
		"a folder in the way": {file: SchemaFile, before: func(job Job) {
			if err := os.Mkdir(filepath.Join(job.Dir, SchemaFile), 0o700); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		job := folderJob(t, 30, 2)
		if c.before != nil {
			c.before(job)
		}
		if c.after != nil {
			job.Observer.Start = func(Plan) { c.after(job) }
		}
		_, err := Run(context.Background(), job)
		var file *atomicfile.Error
		if !errors.As(err, &file) || filepath.Base(file.Path) != c.file || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one about %s", name, err, c.file)
			continue
		}
		if strings.Contains(name, "full") && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: error %v does not tell", name, err)
		}
		for _, left := range names(t, job.Dir) {
			if strings.HasPrefix(left, ".") {
				t.Errorf("%s: %s is left behind", name, left)
			}
		}
	}
}

func TestAFolderThatIsGone(t *testing.T) {
	job := folderJob(t, 30, 1)
	job.Dir = filepath.Join(job.Dir, "gone")
	_, err := Run(context.Background(), job)
	var file *FileError
	if !errors.As(err, &file) || file.Path != job.Dir || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want one about %s", err, job.Dir)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	job := folderJob(t, 30, 1)
	if err := os.Chmod(job.Dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.WriteFile(filepath.Join(job.Dir, "probe"), nil, 0o600) == nil {
		t.Skip("this user may write to a read-only folder")
	}
	_, err := Run(context.Background(), job)
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), SettingsFile) {
		t.Errorf("error %v, want one that names %s", err, SettingsFile)
	}
}

func TestAppenderWritesWholeLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := openAppender(path, 4)
	if err != nil {
		t.Fatal(err)
	}
	a.size = 4
	if err := a.append([]byte("two\n")); err != nil {
		t.Fatal(err)
	}
	a.file.Close()
	a.file, err = os.Open(path) // refuses to be written
	if err != nil {
		t.Fatal(err)
	}
	var file *atomicfile.Error
	if err := a.append([]byte("three\n")); !errors.As(err, &file) || file.Path != path {
		t.Errorf("error %v, want one about %s", err, path)
	}
	if got := readFile(t, path); got != "one\ntwo\n" {
		t.Errorf("the file holds %q", got)
	}
}

func TestANewRunReplacesTheOld(t *testing.T) {
	job := folderJob(t, 30, 3)
	mustRun(t, job)
	job.Config.Seed++
	for _, name := range []string{".last.safetensors.1z.tmp", ".notes.tmp"} {
		if err := os.WriteFile(filepath.Join(job.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	job.Observer.Start = func(Plan) {
		if got := names(t, job.Dir); slices.Contains(got, ModelFile) || slices.Contains(got, CheckpointFile) {
			t.Errorf("the new run starts with %v", got)
		}
	}
	r := mustRun(t, job)
	if got := names(t, job.Dir); slices.Contains(got, ".last.safetensors.1z.tmp") || !slices.Contains(got, ".notes.tmp") {
		t.Errorf("the folder holds %v, want no half-written file of ours and every file of others", got)
	}
	checkMetrics(t, job.Dir, r.History)
	if s, err := LoadModel(job.Dir); err != nil || !sameBits(s.Params, r.Params) {
		t.Errorf("the folder has another model: %v", err)
	}
}

// saboteur makes every step from one on not a number.
type saboteur struct {
	device.Device
	t    *testing.T
	from uint64
}

func (d *saboteur) Record(body func()) (device.Program, error) {
	return func() error { body(); return d.Sync() }, nil
}

func (d *saboteur) Update(a device.UpdateArgs) {
	words := make([]uint32, device.ClockWords)
	if err := d.DownloadWords(words, a.Clock); err != nil {
		d.t.Error(err)
	}
	if device.ClockFromWords(words).Step >= d.from {
		if err := d.Upload(a.GradSq, []float32{float32(math.Inf(1))}); err != nil {
			d.t.Error(err)
		}
	}
	d.Device.Update(a)
}

func TestDivergenceKeepsTheLastGoodModel(t *testing.T) {
	job := folderJob(t, 80, 6) // 5 steps of an epoch
	job.Device = &saboteur{Device: newCPU(t, 1), t: t, from: 17}
	_, err := Run(context.Background(), job)
	var diverged *DivergedError
	if !errors.As(err, &diverged) {
		t.Fatalf("error %v, want a DivergedError", err)
	}
	if diverged.Epoch != 4 || diverged.Step != 18 || diverged.Best == nil || !math.IsInf(diverged.GradNorm, 1) {
		t.Errorf("%+v", diverged)
	}
	s, err := LoadModel(job.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if !sameRow(s.Row, timeless(*diverged.Best)) {
		t.Errorf("the model kept is that of %+v, want %+v", s.Row, diverged.Best)
	}
	job.Device, job.Resume = newCPU(t, 1), true
	r := mustRun(t, job)
	if r.Epochs != 6 || r.Rollbacks != 3 {
		t.Errorf("resumed: %d epochs, %d rollbacks", r.Epochs, r.Rollbacks)
	}
}

// The model file depends on the job alone, not on the clock of the wall.
func TestModelFilesOfEqualRunsAreEqual(t *testing.T) {
	var files [2][]byte
	for i := range files {
		job := folderJob(t, 80, 2)
		mustRun(t, job)
		var err error
		if files[i], err = os.ReadFile(filepath.Join(job.Dir, ModelFile)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two equal runs wrote different model files")
	}
}
