//go:build cuda

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gpudae/cuda/cudatest"
	"gpudae/gpu"
)

// cudaProgram is the program of a build with the tag cuda, run as a process of
// its own, since what is tested is what the process meets: a driver or none.
type cudaProgram struct {
	t    *testing.T
	path string
}

func buildWithCUDA(t *testing.T) cudaProgram {
	t.Helper()
	cudatest.Read(t) // skips without the software driver
	path := filepath.Join(t.TempDir(), "gpudae")
	if out, err := exec.Command("go", "build", "-tags", "cuda", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return cudaProgram{t, path}
}

// command prepares a run of the program in a folder, with settings on top of
// the environment.
func (p cudaProgram) command(dir string, settings []string, arguments ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	command := exec.Command(p.path, arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), settings...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	return command, &stdout, &stderr
}

// run runs the program, which must exit with that code.
func (p cudaProgram) run(t *testing.T, dir string, code int, settings []string, arguments ...string) (stdout, stderr string) {
	t.Helper()
	command, out, problems := p.command(dir, settings, arguments...)
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := command.ProcessState.ExitCode(); got != code {
		t.Errorf("gpudae %s: exit code %d, want %d\n%s", strings.Join(arguments, " "), got, code, problems)
	}
	return out.String(), problems.String()
}

// noDriver hides the software driver from a process.
var noDriver = []string{"LD_LIBRARY_PATH="}

func TestCUDA(t *testing.T) {
	p := buildWithCUDA(t)
	for _, c := range []struct {
		name string
		body func(*testing.T, cudaProgram)
	}{
		{"Unavailable", testCUDAUnavailable},
		{"AutoFallsBack", testCUDAAuto},
		{"Doctor", testCUDADoctor},
		{"Precision", testCUDAPrecision},
		{"Gemm", testCUDAGemm},
		{"LossCurve", testCUDALossCurve},
		{"DryRun", testCUDADryRun},
		{"Posterior", testCUDAPosterior},
		{"Samples", testCUDASamples},
		{"Tables", testCUDATables},
		{"Verbs", testCUDAVerbs},
		{"SweepTogether", testCUDASweepTogether},
		{"OutOfMemory", testCUDAOutOfMemory},
		{"KernelFails", testCUDAKernelFails},
		{"Interrupt", testCUDAInterrupt},
		{"KilledAndResumed", testCUDAKilled},
	} {
		t.Run(c.name, func(t *testing.T) { c.body(t, p) })
	}
}

// testCUDAUnavailable: --device cuda never falls back, says why, and leaves nothing.
func testCUDAUnavailable(t *testing.T, p cudaProgram) {
	for _, c := range []struct {
		device, want string
		settings     []string
	}{
		{"cuda", "--device cuda:0: there is no NVIDIA driver", noDriver},
		{"cuda", "driver is too old", []string{"SOFTDRIVER_VERSION=12040"}},
		{"cuda", "sees no device", []string{"SOFTDRIVER_DEVICES=0"}},
		{"cuda", "has compute capability 7.5", []string{"SOFTDRIVER_CAPABILITY=75"}},
		{"cuda:3", "there is no CUDA device 3", nil},
	} {
		dir := t.TempDir()
		_, stderr := p.run(t, dir, exitDevice, c.settings, "train", "digits", "--device", c.device, "-o", "run")
		if !strings.Contains(stderr, c.want) || !strings.Contains(stderr, "; ") || strings.Count(stderr, "gpudae: ") != 1 {
			t.Errorf("stderr is %q, want one line with %q and a remedy", stderr, c.want)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%v was left behind", left)
		}
	}
}

// testCUDAAuto: auto takes the GPU where there is one, and otherwise the CPU, and
// says which and why.
func testCUDAAuto(t *testing.T, p cudaProgram) {
	arguments := []string{"train", "digits", "--epochs", "1", "--hidden", "8", "-o", "run", "--force", "--json"}
	for want, settings := range map[string][]string{"cuda:0": nil, "cpu": noDriver} {
		stdout, stderr := p.run(t, t.TempDir(), exitOK, settings, arguments...)
		var report struct{ Device string }
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || report.Device != want {
			t.Errorf("auto with %v trained on %q (%v), want %q", settings, report.Device, err, want)
		}
		if want == "cpu" && !strings.Contains(stderr, "since there is no NVIDIA driver") {
			t.Errorf("stderr does not say why the CPU was taken: %q", stderr)
		}
	}
}

// testCUDAPrecision: a dry run says how products are computed, which follows from the
// precision, the shape and the GPU; a run trains in it and keeps it.
func testCUDAPrecision(t *testing.T, p cudaProgram) {
	dir := t.TempDir()
	for _, c := range []struct {
		precision, capability, arithmetic string
	}{{"float32", "90", "tf32x3"}, {"float32", "86", "ffma"}, {"tf32", "86", "tf32"}, {"bf16", "90", "bf16"}, {"strict", "90", "ffma"}} {
		stdout, _ := p.run(t, dir, exitOK, []string{"SOFTDRIVER_CAPABILITY=" + c.capability},
			"train", "digits", "--device", "cuda", "--hidden", "1000,8", "--batch", "80", "--precision", c.precision, "--dry-run", "--json")
		var plan struct{ Products []productJSON }
		if err := json.Unmarshal([]byte(stdout), &plan); err != nil {
			t.Fatal(err)
		}
		want := []productJSON{
			{"encoder.0", "forward", 80, 1000, 64, c.arithmetic, 128, 1}, {"encoder.0", "weights' gradient", 1000, 64, 80, c.arithmetic, 64, 1},
			{"encoder.1", "forward", 80, 8, 1000, "ffma", 32, 1}, {"encoder.1", "input's gradient", 80, 1000, 8, "ffma", 128, 1},
		}
		for i, w := range want {
			if i >= len(plan.Products) || plan.Products[i] != w {
				t.Errorf("%s on %s: products %+v, want %+v first", c.precision, c.capability, plan.Products, want)
				break
			}
		}
	}
	p.run(t, dir, exitOK, nil, "train", "digits", "--preset", "quick", "--epochs", "1", "--device", "cuda", "--precision", "bf16", "-o", "run")
	config, err := os.ReadFile(filepath.Join(dir, "run", "config.yaml"))
	if err != nil || !strings.Contains(string(config), "precision: bf16") {
		t.Errorf("the run's settings do not hold its precision: %v\n%s", err, config)
	}
	_, stderr := p.run(t, dir, exitUsage, noDriver, "train", "--precision", "tf32")
	if want := "--precision: tf32 needs a GPU, and "; !strings.Contains(stderr, want) {
		t.Errorf("tf32 without a GPU says %q, want %q", stderr, want)
	}
}

// testCUDAGemm: a run by cuBLASLt keeps the setting, records its steps as graphs and has the losses of one by our own kernels; auto says what
// takes each operation; without the library the one fails in one line, with exit code 4, and the other does without.
func testCUDAGemm(t *testing.T, p cudaProgram) {
	dir := t.TempDir()
	train := []string{"train", "digits", "--preset", "quick", "--epochs", "2", "--device", "cuda"}
	loss := func(run string, settings []string, arguments ...string) (float64, string) {
		_, stderr := p.run(t, dir, exitOK, settings, append(append(train, "-o", run), arguments...)...)
		var metrics struct {
			TrainLoss float64 `json:"train_loss"`
		}
		text, err := os.ReadFile(filepath.Join(dir, run, "metrics.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &metrics); err != nil || metrics.TrainLoss == 0 {
			t.Fatalf("no loss in %s: %v", lines[len(lines)-1], err)
		}
		return metrics.TrainLoss, stderr
	}
	want, _ := loss("own", nil)
	for _, c := range []struct {
		gemm, says string
		settings   []string
	}{{"cublaslt", "", nil}, {"auto", "gemm: layer ", nil}, {"auto", "gemm: all products are our own kernels': cuBLASLt is not there (/nowhere: ", []string{"GPUDAE_CUBLASLT=/nowhere"}}} {
		run := fmt.Sprint("by ", c.gemm, len(c.settings))
		got, stderr := loss(run, c.settings, "--gemm", c.gemm)
		if !strings.Contains(stderr, c.says) || math.Abs(got-want) > 1e-4*want {
			t.Errorf("by %s the loss is %g, and %g by our own kernels; it says %q, want %q", c.gemm, got, want, stderr, c.says)
		}
		config, err := os.ReadFile(filepath.Join(dir, run, "config.yaml"))
		if err != nil || !strings.Contains(string(config), "gemm: "+c.gemm) {
			t.Errorf("the run's settings do not hold its products: %v\n%s", err, config)
		}
	}
	_, stderr := p.run(t, dir, exitDevice, []string{"GPUDAE_CUBLASLT=/nowhere"}, append(train, "--gemm", "cublaslt")...)
	if !regexp.MustCompile(`^gpudae: --gemm cublaslt: cuBLASLt is not there \(/nowhere: .*\); install .* or use --gemm own\n$`).MatchString(stderr) {
		t.Errorf("without the library it says %q", stderr)
	}
	stdout, _ := p.run(t, dir, exitOK, nil, append(train, "--gemm", "cublaslt", "--dry-run")...)
	if !strings.Contains(stdout, "products are cuBLASLt's") || !regexp.MustCompile(`cublaslt 32F +- +-\n`).MatchString(stdout) {
		t.Errorf("a dry run says %s", stdout)
	}
}

func testCUDADoctor(t *testing.T, p cudaProgram) {
	stdout, _ := p.run(t, t.TempDir(), exitOK, []string{"SOFTDRIVER_DEVICES=2"}, "doctor")
	for _, want := range []string{`CUDA kernels +built with CUDA \d+\.\d for sm_80, sm_86, sm_89, sm_90a, sm_100, sm_120, compute_`,
		`NVIDIA driver +.*runs CUDA up to 13\.0, sees devices: 2`, `ok +NVIDIA GPU 1 .*compute capability \d+\.\d, .* of memory`,
		`ok +device cuda:1 `, `ok +self-test cuda +\d+ arrays agree with the reference`, `ok +self-test cuda:1 +\d+ arrays agree`,
		`ok +self-test cuda, tf32 +\d+ arrays agree`, `ok +self-test cuda:1, bf16 +\d+ arrays agree`, `ok +self-test cuda, strict +\d+ arrays agree`,
		`ok +cuBLASLt +libcublasLt.so.13, version 13\.10\.0, for --gemm`, `ok +self-test cuda, products by cuBLASLt +\d+ arrays agree`} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("doctor does not say %q:\n%s", want, stdout)
		}
	}
	stdout, _ = p.run(t, t.TempDir(), exitOK, noDriver, "doctor")
	if !regexp.MustCompile(`absent +device cuda .*there is no NVIDIA driver`).MatchString(stdout) {
		t.Errorf("doctor without a driver does not say so:\n%s", stdout)
	}
}

func TestDriverReleaseCUDA(t *testing.T) {
	path := filepath.Join(t.TempDir(), "version")
	if got := driverRelease(path); got != "" {
		t.Errorf("the release that is not shown is %q", got)
	}
	if err := os.WriteFile(path, []byte("580.65.06\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := driverRelease(path); got != "release 580.65.06, " {
		t.Errorf("release %q", got)
	}
}

// testCUDALossCurve: the run that a user makes, on the GPU and on the reference.
func testCUDALossCurve(t *testing.T, p cudaProgram) {
	t.Run("likelihood", func(t *testing.T) { compareLossCurves(t, p, "train_nll", "val_nll") })
	t.Run("score", func(t *testing.T) {
		compareLossCurves(t, p, "train_loss", "val_loss", "--objective", "dsm", "--embedding", "positional")
	})
	t.Run("codes", func(t *testing.T) {
		compareLossCurves(t, p, "train_loss", "val_loss", "--code-distribution", "gaussian", "--beta", "0.5", "--beta-warmup", "10")
	})
	t.Run("importance", func(t *testing.T) {
		compareLossCurves(t, p, "train_loss", "val_loss", "--code-distribution", "gaussian", "--importance", "3")
	})
	t.Run("walkback", func(t *testing.T) { compareLossCurves(t, p, "train_nll", "val_nll", "--walkback", "3") })
}

// testCUDADryRun: whether a step is one kernel for many of them, and if not, why.
func testCUDADryRun(t *testing.T, p cudaProgram) {
	for hidden, want := range map[string]string{"24": "one kernel for many steps, small_net", "512": " multiplications a step are more than 3600000"} {
		stdout, _ := p.run(t, t.TempDir(), exitOK, nil, "train", "digits", "--device", "cuda", "--batch", "32", "--hidden", hidden, "--activation", "tanh", "--dry-run")
		if !regexp.MustCompile(`(?m)^step +.*` + regexp.QuoteMeta(want)).MatchString(stdout) {
			t.Errorf("with %s hidden units the plan does not say %q:\n%s", hidden, want, stdout)
		}
	}
	for _, clip := range []string{"0", "1"} {
		stdout, _ := p.run(t, t.TempDir(), exitOK, nil, "train", "digits", "--device", "cuda", "--hidden", "512", "--clip", clip, "--dry-run")
		const says = "kernels, which update parameters as their gradients are made: "
		if got := strings.Contains(stdout, says); got != (clip == "0") {
			t.Errorf("with gradients clipped at %s the plan says %q is %t:\n%s", clip, says, got, stdout)
		}
	}
}

func compareLossCurves(t *testing.T, p cudaProgram, training, validation string, flags ...string) {
	const tolerance = 1e-4
	curves := map[string][]map[string]any{}
	for _, device := range []string{"cuda", "reference"} {
		dir := t.TempDir()
		p.run(t, dir, exitOK, nil, append([]string{"train", "digits", "--device", device, "--epochs", "2", "--hidden", "64,32", "-o", "run"}, flags...)...)
		content, err := os.ReadFile(filepath.Join(dir, "run", "metrics.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			var row map[string]any
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatal(err)
			}
			curves[device] = append(curves[device], row)
		}
	}
	if len(curves["cuda"]) != 2 {
		t.Fatalf("the run has %d epochs", len(curves["cuda"]))
	}
	for i, want := range curves["reference"] {
		for _, key := range []string{training, validation} {
			a, b := curves["cuda"][i][key].(float64), want[key].(float64)
			if difference := math.Abs(a-b) / b; !(difference <= tolerance) {
				t.Errorf("epoch %d: %s is %g, the reference's %g", i+1, key, a, b)
			}
		}
	}
}

// testCUDAPosterior: what a score model of the GPU says, forward and backward, is
// what the reference computes of it.
func testCUDAPosterior(t *testing.T, p cudaProgram) {
	const tolerance = 2e-5
	dir := t.TempDir()
	p.run(t, dir, exitOK, nil, "train", "two-moons:n=200", "--preset", "score", "--norm", "layer", "--hidden", "16", "--epochs", "2", "--device", "cuda", "-o", "run")
	numbers := map[string][]string{}
	for _, device := range []string{"cuda", "reference"} {
		p.run(t, dir, exitOK, nil, "score", "run", "two-moons:n=50", "--sigma", "0.5", "--posterior", "--device", device, "-o", device+".csv")
		content, err := os.ReadFile(filepath.Join(dir, device+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		numbers[device] = strings.FieldsFunc(string(content), func(r rune) bool { return r == ',' || r == '\n' })
	}
	if len(numbers["cuda"]) < 50*4 || len(numbers["cuda"]) != len(numbers["reference"]) {
		t.Fatalf("%d numbers, %d of the reference", len(numbers["cuda"]), len(numbers["reference"]))
	}
	for i, text := range numbers["cuda"] {
		got, err := strconv.ParseFloat(text, 64)
		want, wrong := strconv.ParseFloat(numbers["reference"][i], 64)
		if (err == nil) != (wrong == nil) || err == nil && math.Abs(got-want) > tolerance {
			t.Errorf("number %d is %s, the reference's %s", i, text, numbers["reference"][i])
		}
	}
}

// testCUDAOutOfMemory: a batch that does not fit is refused with one that does. Of the memory the device
// keeps 8.7 MB for sums that blocks share.
func testCUDAOutOfMemory(t *testing.T, p cudaProgram) {
	settings := []string{"SOFTDRIVER_MEMORY=20000000"}
	train := func(dir string, code int, batch string) string {
		_, stderr := p.run(t, dir, code, settings, "train", "digits", "--device", "cuda", "--epochs", "1", "--hidden", "512", "--batch", batch, "-o", "run")
		return stderr
	}
	dir := t.TempDir()
	stderr := train(dir, exitDevice, "1600")
	fits := regexp.MustCompile(`out of memory: .* wanted, .* free; --batch (\d+) fits`).FindStringSubmatch(stderr)
	if fits == nil {
		t.Fatalf("stderr names no batch that fits: %q", stderr)
	}
	train(dir, exitOK, fits[1])
}

// testCUDAKernelFails: the error names the kernels, and the checkpoint of the
// last epoch is there to go on from.
func testCUDAKernelFails(t *testing.T, p cudaProgram) {
	dir := t.TempDir()
	arguments := []string{"train", "digits", "--device", "cuda", "--epochs", "20", "--hidden", "8", "--batch", "300", "-o", "run"} // more rows than a small net has
	_, stderr := p.run(t, dir, exitFailure, []string{"SOFTDRIVER_FAIL_LAUNCH=300"}, arguments...)
	for _, want := range []string{"advance_u8", "dense_backward_nn_32", "CUDA_ERROR_LAUNCH_FAILED"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr does not say %s: %q", want, stderr)
		}
	}
	p.run(t, dir, exitOK, nil, "train", "--resume", "-o", "run")
	_, stderr = p.run(t, t.TempDir(), exitFailure, []string{"SOFTDRIVER_FAIL_LAUNCH=700", gpu.BlockingVariable + "=1"}, arguments...)
	if !regexp.MustCompile(`cuda:0: kernel [a-z0-9_]+ \d+×\d+: `).MatchString(stderr) {
		t.Errorf("with %s=1 stderr names no kernel: %q", gpu.BlockingVariable, stderr)
	}
}

// testCUDAInterrupt: Ctrl-C while graphs are on their way ends with 130, and the
// run can go on.
func testCUDAInterrupt(t *testing.T, p cudaProgram) {
	dir := t.TempDir()
	command, _, stderr := p.command(dir, nil, "train", "digits", "--device", "cuda", "--epochs", "1000", "--hidden", "64", "-o", "run")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	metrics := filepath.Join(dir, "run", "metrics.jsonl")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if info, err := os.Stat(metrics); err == nil && info.Size() > 0 {
			break
		}
		if time.Now().After(deadline) {
			command.Process.Kill()
			command.Wait()
			t.Fatalf("no epoch ended within a minute\n%s", stderr)
		}
	}
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	command.Wait()
	if code := command.ProcessState.ExitCode(); code != exitSignal+int(syscall.SIGINT) {
		t.Errorf("exit code %d after SIGINT\n%s", code, stderr)
	}
	content, err := os.ReadFile(metrics)
	if err != nil {
		t.Fatal(err)
	}
	epochs := bytes.Count(content, []byte("\n")) + 1
	p.run(t, dir, exitOK, nil, "train", "--resume", "-o", "run", "--epochs", fmt.Sprint(epochs))
}

// testCUDAKilled: a run that kill -9 ends within an epoch, with its spikes of the
// loss, goes on to the bits of one that nothing ended.
func testCUDAKilled(t *testing.T, p cudaProgram) {
	dir := t.TempDir()
	arguments := []string{"train", "digits", "--device", "cuda", "--epochs", "3", "--batch", "32", "--hidden", "16", "--ema", "0.9", "--lr", "1e-5", "--skip-spikes", "1.5", "--checkpoint", "5steps", "-o"}
	p.run(t, dir, exitOK, nil, append(arguments, "whole")...)
	command, _, stderr := p.command(dir, nil, append(arguments, "part")...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "part", "last.1.safetensors")); err == nil || time.Now().After(deadline) {
			break
		}
	}
	command.Process.Kill()
	command.Wait()
	if state := command.ProcessState.Sys().(syscall.WaitStatus); !state.Signaled() {
		t.Fatalf("the run ended before it was killed: %s", stderr)
	}
	p.run(t, dir, exitOK, nil, "train", "--resume", "-o", "part")
	var metrics [2]string
	for i, run := range []string{"whole", "part"} {
		p.run(t, dir, exitOK, nil, "export", run, "--format", "npz", "-o", run+".npz")
		content, err := os.ReadFile(filepath.Join(dir, run, "metrics.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		metrics[i] = regexp.MustCompile(`"(samples_per_s|seconds)":[^,}]*`).ReplaceAllString(string(content), "")
	}
	if metrics[0] != metrics[1] {
		t.Errorf("metrics of the whole run\n%s, of the resumed\n%s", metrics[0], metrics[1])
	}
	whole, _ := os.ReadFile(filepath.Join(dir, "whole.npz"))
	part, _ := os.ReadFile(filepath.Join(dir, "part.npz"))
	if len(whole) == 0 || !bytes.Equal(whole, part) {
		t.Error("the resumed run has other weights")
	}
	if !regexp.MustCompile(`"skipped":[1-9]`).MatchString(metrics[0]) {
		t.Errorf("no step was skipped:\n%s", metrics[0])
	}
}
