package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gpudae/train"
)

// sweepConfig has a trial that diverges, and layers of several sizes.
const sweepConfig = `trials: 4
seed: 3
settings:
  epochs: 2
  retries: 0
sweep:
  hidden: [[16], [40, 16]]
  lr: {min: 1e-3, max: 0.05, scale: log}
  activation: [relu, gelu]
`

// runCommand runs a command line in the process, and returns its exit code.
func runCommand(t *testing.T, ctx context.Context, args ...string) int {
	t.Helper()
	p := &program{stdout: io.Discard, stderr: io.Discard, environ: []string{}, began: time.Now()}
	return p.run(ctx, append([]string{"gpudae"}, args...))
}

// trainedWeights are the weights of every trial of a sweep.
func trainedWeights(t *testing.T, dir string) map[string][]float32 {
	t.Helper()
	runs, err := filepath.Glob(filepath.Join(dir, trialsFolder, "*"))
	if err != nil || len(runs) == 0 {
		t.Fatalf("%s: no runs, %v", dir, err)
	}
	weights := map[string][]float32{}
	for _, run := range runs {
		saved, err := train.LoadModel(run)
		if err != nil {
			t.Fatal(err)
		}
		weights[filepath.Base(run)] = saved.Params
	}
	return weights
}

func writeSweep(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSweepBitsDoNotDependOnWhatRunsBeside: one trial after the other, four at a
// time, with threads of their own, and by 'train' from a trial's configuration.
func TestSweepBitsDoNotDependOnWhatRunsBeside(t *testing.T) {
	config, dir := writeSweep(t, sweepConfig), t.TempDir()
	out := func(name string) string { return filepath.Join(dir, name) }
	common := []string{"-q", "--device", "cpu", "--no-events", "--no-report"}
	for name, flags := range map[string][]string{"one": {"--parallel", "1"}, "four": {"--parallel", "4"}, "threads": {"--parallel", "2", "--threads", "3"}} {
		if code := runCommand(t, t.Context(), append(append([]string{"sweep", config, "-o", out(name)}, common...), flags...)...); code != 0 {
			t.Fatalf("%s: exit code %d", name, code)
		}
	}
	want := trainedWeights(t, out("one"))
	if len(want) != 4 {
		t.Fatalf("%d trials", len(want))
	}
	for _, name := range []string{"four", "threads"} {
		if !reflect.DeepEqual(trainedWeights(t, out(name)), want) {
			t.Errorf("%s: other weights than one after the other", name)
		}
	}
	alone := filepath.Join(dir, "alone", trialsFolder, "004")
	flags := append([]string{"train", "--config", filepath.Join(out("four"), trialsFolder, "004", "config.yaml"), "-o", alone}, common...)
	if code := runCommand(t, t.Context(), flags...); code != 0 {
		t.Fatalf("train: exit code %d", code)
	}
	if !reflect.DeepEqual(trainedWeights(t, filepath.Join(dir, "alone"))["004"], want["004"]) {
		t.Error("the same settings give other weights without the sweep")
	}
}

// TestInterruptedSweepsGoOn: a sweep that is interrupted again and again leaves the
// weights of one that was not, with halving too, and does not train twice what had
// ended.
func TestInterruptedSweepsGoOn(t *testing.T) {
	for name, config := range map[string]string{"plain": sweepConfig, "halving": "halving: {epochs: 1, eta: 2}\n" + sweepConfig} {
		t.Run(name, func(t *testing.T) {
			path, whole, parts := writeSweep(t, config), filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "parts")
			common := []string{"-q", "--device", "cpu", "--no-events", "--no-report"}
			if code := runCommand(t, t.Context(), append([]string{"sweep", path, "-o", whole}, common...)...); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			args := append([]string{"sweep", path, "-o", parts}, common...)
			interruptions := 0
			for limit := 40 * time.Millisecond; ; limit = limit * 5 / 4 {
				ctx, cancel := context.WithCancelCause(t.Context())
				timer := time.AfterFunc(limit, func() { cancel(&signalError{syscall.SIGINT}) })
				code := runCommand(t, ctx, args...)
				timer.Stop()
				cancel(nil)
				if code == 0 {
					break
				}
				if code != exitSignal+int(syscall.SIGINT) || limit > time.Minute {
					t.Fatalf("exit code %d within %v", code, limit)
				}
				if _, err := os.Stat(filepath.Join(parts, sweepFile)); err == nil {
					interruptions++
					args = append([]string{"sweep", "--resume", "-o", parts}, common...)
				}
			}
			if interruptions == 0 {
				t.Fatal("never interrupted")
			}
			if !reflect.DeepEqual(trainedWeights(t, parts), trainedWeights(t, whole)) {
				t.Errorf("other weights after %d interruptions", interruptions)
			}
			ended := filepath.Join(parts, trialsFolder, "001", train.CheckpointFile)
			before, err := os.Stat(ended)
			if err != nil {
				t.Fatal(err)
			}
			if code := runCommand(t, t.Context(), append([]string{"sweep", "--resume", "-o", parts}, common...)...); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			if after, err := os.Stat(ended); err != nil || !after.ModTime().Equal(before.ModTime()) {
				t.Errorf("a trial that had ended was touched: %v", err)
			}
		})
	}
}

// TestSweepsGoOnWithoutTheirRecord: a trial of which only the run is left, as when the
// sweep was killed before it wrote down what had come of it, is not trained past
// the rung where the others were better.
func TestSweepsGoOnWithoutTheirRecord(t *testing.T) {
	path, out := writeSweep(t, "halving: {epochs: 1, eta: 2}\n"+sweepConfig), filepath.Join(t.TempDir(), "out")
	common := []string{"-q", "--device", "cpu", "--no-events", "--no-report"}
	if code := runCommand(t, t.Context(), append([]string{"sweep", path, "-o", out}, common...)...); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	weights, states := trainedWeights(t, out), sweepStates(t, out)
	if err := os.Remove(filepath.Join(out, sweepJSONFile)); err != nil {
		t.Fatal(err)
	}
	if code := runCommand(t, t.Context(), append([]string{"sweep", "--resume", "-o", out}, common...)...); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if again := sweepStates(t, out); !slices.Equal(again, states) || !slices.Contains(states, stateStopped) {
		t.Errorf("states %q, before %q", again, states)
	}
	if !reflect.DeepEqual(trainedWeights(t, out), weights) {
		t.Error("other weights")
	}
}

// TestSweepsTrustNoMetricsAlone: a trial whose metrics are ahead of its model, as when
// the sweep was killed between a rung's last epoch and its checkpoint, has the
// model of that epoch in the end.
func TestSweepsTrustNoMetricsAlone(t *testing.T) {
	path, out := writeSweep(t, "halving: {epochs: 1, eta: 2}\n"+strings.Replace(sweepConfig, "epochs: 2", "epochs: 4\n  keep: 9", 1)), filepath.Join(t.TempDir(), "out")
	common := []string{"-q", "--device", "cpu", "--no-events", "--no-report"}
	if code := runCommand(t, t.Context(), append([]string{"sweep", path, "-o", out}, common...)...); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	weights, states := trainedWeights(t, out), sweepStates(t, out)
	recorded, found := recordOfSweep(t, out), false
	for i := range recorded.Trials {
		trial := &recorded.Trials[i]
		if trial.State != stateStopped || trial.Epochs != 2 {
			continue
		}
		found, trial.State, trial.Epochs = true, statePaused, 1
		run := filepath.Join(out, trialsFolder, filepath.Base(trial.Run))
		metrics, err := os.ReadFile(filepath.Join(run, train.MetricsJSON))
		if err != nil {
			t.Fatal(err)
		}
		checkpoints, err := train.Checkpoints(run)
		if err != nil {
			t.Fatal(err)
		}
		for i := len(checkpoints) - 1; i > 0; i-- { // the oldest is the last in the end
			if err := os.Rename(filepath.Join(run, checkpoints[i]), filepath.Join(run, checkpoints[i-1])); err != nil {
				t.Fatal(err)
			}
		}
		if code := runCommand(t, t.Context(), append([]string{"train", "--resume", "-o", run, "--epochs", "1"}, common...)...); code != 0 { // the model of the epoch before
			t.Fatalf("exit code %d", code)
		}
		if err := os.WriteFile(filepath.Join(run, train.MetricsJSON), metrics, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Fatal("no trial was stopped at the second rung")
	}
	record, err := json.Marshal(recorded)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, sweepJSONFile), record, 0o666); err != nil {
		t.Fatal(err)
	}
	if code := runCommand(t, t.Context(), append([]string{"sweep", "--resume", "-o", out}, common...)...); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if again := sweepStates(t, out); !slices.Equal(again, states) {
		t.Errorf("states %q, before %q", again, states)
	}
	if !reflect.DeepEqual(trainedWeights(t, out), weights) {
		t.Error("other weights")
	}
}

// TestRefusalsRemoveNothing: what cannot be done leaves the folder as it was.
func TestRefusalsRemoveNothing(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	quiet := []string{"-q", "--no-events"}
	run := func(args ...string) int { t.Helper(); return runCommand(t, t.Context(), append(args, quiet...)...) }
	sweep := writeSweep(t, sweepConfig)
	for _, args := range [][]string{
		{"train", "digits", "--hidden", "8", "--epochs", "1", "-o", at("train")},
		{"finetune", at("train"), "digits", "--epochs", "1", "-o", at("finetune")},
		{"pretrain", "digits", "--hidden", "8,4", "--epochs", "1", "-o", at("pretrain")},
		{"sweep", sweep, "--no-report", "-o", at("sweep")},
	} {
		if code := run(args...); code != 0 {
			t.Fatalf("%q: exit code %d", args, code)
		}
	}
	for _, c := range []struct {
		folder string
		code   int
		args   []string
	}{
		{"train", exitUsage, []string{"train", "--resume", "--lr", "0.5"}},
		{"finetune", exitUsage, []string{"finetune", "--resume", "--lr", "0.5"}},
		{"finetune", exitDevice, []string{"finetune", at("train"), "digits", "--force", "--device", "cuda:99"}},
		{"pretrain", exitUsage, []string{"pretrain", "--resume", "--epochs", "2"}},
		{"pretrain", exitDevice, []string{"pretrain", "digits", "--hidden", "8,4", "--force", "--device", "cuda:99"}},
		{"sweep", exitDevice, []string{"sweep", sweep, "--force", "--device", "cuda:99"}},
	} {
		before := contents(t, at(c.folder))
		if code := run(append(c.args, "-o", at(c.folder))...); code != c.code {
			t.Errorf("%q: exit code %d, want %d", c.args, code, c.code)
		}
		if !reflect.DeepEqual(contents(t, at(c.folder)), before) {
			t.Errorf("%q: the folder has changed", c.args)
		}
	}
}

// contents are the files below a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestStacksOfMixedColumnsAreResumed: as others are.
func TestStacksOfMixedColumnsAreResumed(t *testing.T) {
	dir := t.TempDir()
	table, run := filepath.Join(dir, "table.csv"), filepath.Join(dir, "run")
	text := "a,b\n"
	for i := range 60 {
		text += fmt.Sprintf("%d.5,%s\n", i*7%13, []string{"red", "green", "blue"}[i%3])
	}
	if err := os.WriteFile(table, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	if code := runCommand(t, t.Context(), "pretrain", table, "--hidden", "8,4", "--epochs", "1", "-q", "--no-events", "-o", run); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if code := runCommand(t, t.Context(), "pretrain", "--resume", "-q", "--no-events", "-o", run); code != 0 {
		t.Errorf("exit code %d", code)
	}
	before := contents(t, run)
	if err := os.WriteFile(table, []byte(strings.ReplaceAll(text, "green", "brown")), 0o666); err != nil {
		t.Fatal(err)
	}
	if code := runCommand(t, t.Context(), "pretrain", "--resume", "-q", "--no-events", "-o", run); code != exitUsage {
		t.Errorf("other data: exit code %d", code)
	}
	if !reflect.DeepEqual(contents(t, run), before) {
		t.Error("other data have changed the run")
	}
}

// TestStacksMayBeGivenFewerEpochsAndMore: what a layer has made counts, not what was last asked of it.
func TestStacksMayBeGivenFewerEpochsAndMore(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	if code := runCommand(t, t.Context(), "pretrain", "digits", "--hidden", "8,4", "--epochs", "2,1", "-q", "--no-events", "-o", run); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, c := range []struct {
		epochs string
		code   int
	}{{"1,2", 0}, {"2,2", 0}, {"3,2", exitUsage}, {"2,3", 0}} {
		if code := runCommand(t, t.Context(), "pretrain", "--resume", "--epochs", c.epochs, "-q", "--no-events", "-o", run); code != c.code {
			t.Errorf("%s epochs: exit code %d, want %d", c.epochs, code, c.code)
		}
	}
}

// recordOfSweep is what a sweep has written down of its trials.
func recordOfSweep(t *testing.T, dir string) (recorded sweepJSON) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, sweepJSONFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	return recorded
}

// sweepStates are the states of a sweep's trials, as it recorded them.
func sweepStates(t *testing.T, dir string) (states []state) {
	t.Helper()
	for _, r := range recordOfSweep(t, dir).Trials {
		states = append(states, r.State)
	}
	return states
}

// TestPanicsOfTrialsAreFailures: the others go on.
func TestPanicsOfTrialsAreFailures(t *testing.T) {
	s := &search{program: &program{}, trials: []*trial{{number: 1}}, options: sweepOptions{out: t.TempDir(), console: newConsole(io.Discard, true)}}
	r := s.runTrial(t.Context(), s.trials[0], 1, true, newTrialsBar(s.options.console, s.trials)) // without data
	if r.state != stateFailed || r.why == nil {
		t.Errorf("state %q, %v", r.state, r.why)
	}
}
