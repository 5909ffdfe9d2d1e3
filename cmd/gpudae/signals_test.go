//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	ossignal "os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gpudae/train"
)

// process is the program in a process of its own, since what is tested is what a
// signal does to one.
type process struct {
	*exec.Cmd
	t      *testing.T
	stderr strings.Builder
}

// start starts the program with the run folder as its last argument.
func start(t *testing.T, run string, arguments ...string) *process {
	t.Helper()
	return startIgnoring(t, "URG", run, arguments...)
}

// startIgnoring starts it as a shell does that ignores a signal; URG is ignored in any case.
func startIgnoring(t *testing.T, ignored, run string, arguments ...string) *process {
	t.Helper()
	program := filepath.Join(t.TempDir(), "gpudae") // TestMain runs the program where that is the name
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	line := append(append([]string{"-c", `trap "" $0; exec "$@"`, ignored, program}, arguments...), "--quiet", "--threads", "1", "-o", run)
	p := &process{Cmd: exec.Command("sh", line...), t: t}
	p.Stderr, p.Env = &p.stderr, append(os.Environ(), noEventsVariable+"=1", noReportVariable+"=1")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	return p
}

// until waits for a file.
func (p *process) until(path string) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return
		}
		if time.Now().After(deadline) {
			p.Process.Kill()
			p.Wait()
			p.t.Fatalf("%s did not appear: %s", path, p.stderr.String())
		}
	}
}

// end waits for the process; the code is that of a shell, 128 more than the number
// of a signal that ended it.
func (p *process) end() (code int, signalled bool) {
	var exit *exec.ExitError
	if err := p.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	status := p.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return exitSignal + int(status.Signal()), true
	}
	return status.ExitStatus(), false
}

// The first signal saves the step at which the run stands and ends with the
// signal's code; after kill -9, which saves nothing and leaves its lock to the
// system, the run can be resumed as well.
func TestSignalsEndATraining(t *testing.T) {
	for signal, saves := range map[syscall.Signal]bool{syscall.SIGINT: true, syscall.SIGTERM: true, syscall.SIGHUP: true, syscall.SIGKILL: false} {
		if ossignal.Ignored(signal) { // by whoever started this test, so by what it starts too
			continue
		}
		dir := filepath.Join(t.TempDir(), "run")
		p := start(t, dir, "train", "two-moons:n=400", "--hidden", "24", "--epochs", "100000", "--patience", "0", "--checkpoint", "1h")
		p.until(filepath.Join(dir, train.MetricsJSON))
		p.Process.Signal(signal)
		code, signalled := p.end()
		if code != exitSignal+int(signal) || signalled == saves {
			t.Errorf("%v: exit code %d, by the signal itself: %t", signal, code, signalled)
		}
		if lines := strings.Count(p.stderr.String(), "\n"); saves && (lines != 1 || !strings.Contains(p.stderr.String(), "interrupted in epoch ") || !strings.Contains(p.stderr.String(), "--resume")) {
			t.Errorf("%v: standard error %q", signal, p.stderr.String())
		}
		again := start(t, dir, "train", "--resume", "--epochs", "1")
		if code, _ := again.end(); code != exitOK {
			t.Errorf("%v: resuming ends with %d: %s", signal, code, again.stderr.String())
		}
	}
}

// Whoever has said that hanging up is not to end the program is obeyed.
func TestNohup(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	p := startIgnoring(t, "HUP", dir, "train", "two-moons:n=400", "--hidden", "24", "--epochs", "100000", "--patience", "0", "--checkpoint", "0")
	metrics := filepath.Join(dir, train.MetricsJSON)
	p.until(metrics)
	p.Process.Signal(syscall.SIGHUP)
	before, err := os.Stat(metrics)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if now, err := os.Stat(metrics); err != nil || now.Size() > before.Size()+10000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the training does not go on: %s", p.stderr.String())
		}
	}
	p.Process.Signal(syscall.SIGTERM)
	if code, _ := p.end(); code != exitSignal+int(syscall.SIGTERM) {
		t.Errorf("exit code %d", code)
	}
}

// A step of this model takes a second and more, and the first signal waits for its
// end; a second one, sent again until the process has had time to see the first,
// does not.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	p := start(t, dir, "train", "digits", "--hidden", "3000,3000", "--batch", "1617", "--epochs", "1000")
	p.until(filepath.Join(dir, train.SettingsFile))
	time.Sleep(100 * time.Millisecond)
	go func() {
		for p.Process.Signal(syscall.SIGTERM) == nil {
			time.Sleep(50 * time.Millisecond)
		}
	}()
	if code, signalled := p.end(); !signalled || code != exitSignal+int(syscall.SIGTERM) {
		t.Errorf("exit code %d, by the signal itself: %t: %s", code, signalled, p.stderr.String())
	}
}

// One process trains in a folder, whoever else wants to; when it is gone, however
// it went, another may.
func TestTwoProcessesDoNotTrainInOneFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	first := start(t, dir, "train", "two-moons:n=400", "--hidden", "24", "--epochs", "100000", "--patience", "0", "--checkpoint", "1step")
	first.until(filepath.Join(dir, train.CheckpointFile))
	for _, arguments := range [][]string{{"train", "--resume"}, {"train", "two-moons:n=400", "--force"}} {
		second := start(t, dir, arguments...)
		if code, _ := second.end(); code != exitFailure || !strings.Contains(second.stderr.String(), "another process is training in this folder") {
			t.Errorf("%v: exit code %d: %s", arguments, code, second.stderr.String())
		}
	}
	if err := first.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the first process is gone: %v", err)
	}
	first.Process.Kill()
	first.end()
	third := start(t, dir, "train", "--resume", "--epochs", "1")
	if code, _ := third.end(); code != exitOK {
		t.Errorf("after kill -9: exit code %d: %s", code, third.stderr.String())
	}
}
