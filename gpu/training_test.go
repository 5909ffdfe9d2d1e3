//go:build cuda

package gpu_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpudae/cuda/cudatest"
	"gpudae/data"
	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/device/reference"
	"gpudae/gpu"
	"gpudae/kernels"
	"gpudae/model"
	"gpudae/optim"
	"gpudae/train"
)

// digits is the first rows of the embedded data set.
func digits(t *testing.T, rows int) device.Table {
	t.Helper()
	d, err := data.Open(t.Context(), "digits", data.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	x, err := d.Read(t.Context(), 0, rows)
	if err != nil {
		t.Fatal(err)
	}
	return device.Table{Rows: rows, Columns: d.Info().Features, Uint8: data.Uint8s(x), Scale: d.Info().Scale}
}

// architecture has two layers, noise of two stages, normalisation and dropout,
// so that a step runs most kernels.
func architecture(t *testing.T, norm string) *model.DAE {
	t.Helper()
	dae, err := model.New(model.Config{Features: 64, Hidden: []int{48, 24}, Activation: "gelu", Norm: norm, Dropout: 0.1,
		Corruption: "swap:0.2+gaussian:0.1", Likelihood: "bernoulli"})
	if err != nil {
		t.Fatal(err)
	}
	return dae
}

// job trains on some of the digits for some epochs.
func job(t *testing.T, dev device.Device, rows, epochs int) train.Job {
	config := train.DefaultConfig()
	config.Epochs, config.Batch, config.Clip, config.EMA = epochs, 64, 5, 0.9
	return train.Job{Device: dev, Model: architecture(t, "batch"), Config: config, Table: digits(t, rows)}
}

// TestTrainingFollowsTheReference: the loss curve of a run is the reference's, up
// to the rounding of float32.
func TestTrainingFollowsTheReference(t *testing.T) {
	for _, norm := range []string{"none", "layer", "batch"} {
		t.Run(norm, func(t *testing.T) {
			dev := open(t, gpu.Options{})
			defer dev.Close()
			got, want := curve(t, dev, norm), curve(t, reference.New(), norm)
			for i := range want {
				compareLoss(t, fmt.Sprintf("epoch %d: training", i+1), got[i].TrainNLL, want[i].TrainNLL)
				if norm == "batch" {
					// A bias before batch normalisation has no gradient but rounding, which
					// Adam enlarges; training does not see it, the running mean does.
					continue
				}
				compareLoss(t, fmt.Sprintf("epoch %d: validation", i+1), got[i].ValNLL, want[i].ValNLL)
			}
		})
	}
}

// curve trains on a device.
func curve(t *testing.T, dev device.Device, norm string) []train.Row {
	t.Helper()
	j := job(t, dev, 500, 4)
	j.Model = architecture(t, norm)
	result, err := train.Run(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	return result.History
}

func compareLoss(t *testing.T, what string, got, want float64) {
	t.Helper()
	const tolerance = 1e-4
	difference := math.Abs(got-want) / math.Abs(want)
	t.Logf("%s loss %.7f, the reference's %.7f, relative difference %.1e", what, got, want, difference)
	if !(difference <= tolerance) {
		t.Errorf("%s loss differs by %.1e, more than %.0e", what, difference, tolerance)
	}
}

// TestClassesTrainAlike: the loss curve of a run in each class of arithmetic beside the
// reference's, which rounding of products moves little.
func TestClassesTrainAlike(t *testing.T) {
	losses := func(dev device.Device) []train.Row {
		j := job(t, dev, 200, 2)
		var err error
		if j.Model, err = model.New(model.Config{Features: 64, Hidden: []int{1000, 80}, Activation: "gelu", Norm: "layer",
			Corruption: "masking:0.25", Likelihood: "bernoulli"}); err != nil { // products of more than kernels.MostStrict multiplications
			t.Fatal(err)
		}
		result, err := train.Run(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		return result.History
	}
	want := losses(reference.New())
	for name, c := range map[string]struct {
		options   gpu.Options
		tolerance float64
	}{
		"strict": {gpu.Options{Class: kernels.Strict}, 1e-4}, "float32": {gpu.Options{Class: kernels.Float32}, 1e-4},
		"tf32": {gpu.Options{Class: kernels.TF32}, 1e-3}, "bf16": {gpu.Options{Class: kernels.BFloat16}, 1e-2},
		"bf16 of big products": {gpu.Options{Class: kernels.BFloat16, Big: kernels.Big{Extent: 64}}, 1e-2},
	} {
		t.Run(name, func(t *testing.T) {
			dev := open(t, c.options)
			defer dev.Close()
			worst := 0.0
			for i, row := range losses(dev) {
				for _, pair := range [][2]float64{{row.TrainNLL, want[i].TrainNLL}, {row.ValNLL, want[i].ValNLL}} {
					worst = max(worst, math.Abs(pair[0]-pair[1])/math.Abs(pair[1]))
				}
			}
			t.Logf("relative difference of losses %.1e at most", worst)
			if !(worst <= c.tolerance) {
				t.Errorf("losses differ from the reference's by %.1e, more than %.0e", worst, c.tolerance)
			}
		})
	}
}

// TestNoiseIsTheReferences: in a run over the digits, what is destroyed and what
// it is replaced by are the reference's bit for bit, at every step of two epochs.
func TestNoiseIsTheReferences(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	table := digits(t, 300)
	for _, kind := range device.Corruptions() {
		got, want := newNoise(t, dev, table), newNoise(t, reference.New(), table)
		for step := range 10 {
			clock := device.Clock{Step: uint64(step), Epoch: uint32(step / 5), Cursor: uint32(step%5) * noiseRows}
			a, b := got.draw(kind, clock), want.draw(kind, clock)
			if i := firstDifference(a, b); i >= 0 {
				t.Errorf("%s, step %d: element %d is %g, the reference's %g", kind, step, i, a[i], b[i])
				break
			}
		}
	}
}

const noiseRows = 50

// noise is a minibatch on a device.
type noise struct {
	t                  *testing.T
	dev                device.Device
	data               device.Dataset
	clean, to, mask, v device.View
	index, clock       device.Words
}

func newNoise(t *testing.T, dev device.Device, table device.Table) *noise {
	t.Helper()
	n := &noise{t: t, dev: dev}
	var err error
	if n.data, err = dev.Load(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	size := noiseRows * table.Columns
	m, err := dev.Alloc(device.Float, 3*size)
	if err != nil {
		t.Fatal(err)
	}
	n.v = device.MatrixOf(m, 0, 1, 3*size)
	n.clean, n.to, n.mask = device.MatrixOf(m, 0, noiseRows, table.Columns), device.MatrixOf(m, size, noiseRows, table.Columns),
		device.MatrixOf(m, 2*size, noiseRows, table.Columns)
	w, err := dev.Alloc(device.Word, device.IndexWords(noiseRows)+device.ClockWords)
	if err != nil {
		t.Fatal(err)
	}
	n.index, n.clock = device.WordsOf(w, 0, device.IndexWords(noiseRows)), device.WordsOf(w, device.IndexWords(noiseRows), device.ClockWords)
	return n
}

// draw returns clean, corrupted and mask.
func (n *noise) draw(kind device.Corruption, clock device.Clock) []float32 {
	n.t.Helper()
	if err := n.dev.UploadWords(n.clock, clock.Words()); err != nil {
		n.t.Fatal(err)
	}
	part := device.Rows{Lo: 30, Hi: 300, Split: true, Seed: 42}
	n.dev.Gather(device.GatherArgs{Data: n.data, Part: part, Shuffle: true, Seed: 42, Replicates: 1, Clock: n.clock, X: n.clean, Index: n.index})
	low := device.View{Memory: n.clean.Memory, Rows: 1, Columns: n.clean.Columns} // any row will do
	n.dev.Corrupt(device.CorruptArgs{Kind: kind, Rate: philox.Threshold(0.25), Length: 3, Amount: 0.3, From: n.clean, To: n.to, Mask: n.mask,
		Low: low, High: low, Seed: 42, Stream: philox.StreamTrain, Replicates: 1, Index: n.index, Clock: n.clock, Data: n.data, Part: part})
	all := make([]float32, n.v.Len())
	if err := n.dev.Download(all, n.v); err != nil {
		n.t.Fatal(err)
	}
	return all
}

func firstDifference(a, b []float32) int {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return i
		}
	}
	return -1
}

// TestEightStepsAreOneGraphLaunch: of recorded steps the first is one call of the driver, eight that follow are another, and
// what is left is queued step by step when the host waits. Meanwhile it neither waits nor copies.
func TestEightStepsAreOneGraphLaunch(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	program, kernels := recordStep(t, dev, digits(t, 300))
	if err := program(); err != nil {
		t.Fatal(err)
	}
	const steps = 1 + 2*8 + 3
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	before := cudatest.Read(t)
	for range steps {
		if err := program(); err != nil {
			t.Fatal(err)
		}
	}
	queued, perStep := cudatest.Read(t).Since(before), len(dev.Recorded())
	if queued.GraphLaunches != 1+2 || queued.Launches != 0 || queued.Synchronizations != 0 || queued.ToDevice != 0 || queued.ToHost != 0 {
		t.Errorf("%d steps made %+v; want three graph launches and nothing else", steps, queued)
	}
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	// The last step is ended by a launch of its own.
	if ran := cudatest.Read(t).Since(before); ran.Kernels != uint64(steps*perStep+1) || ran.GraphLaunches != 1+2+3 || ran.Launches != 1 || perStep >= kernels || ran.ToDevice != 0 || ran.ToHost != 0 {
		t.Errorf("%d steps of %d kernels, %d one by one, ran %+v", steps, perStep, kernels, ran)
	}
}

// TestOperationsDoNotAllocate: neither a step nor an operation asks Go for memory.
func TestOperationsDoNotAllocate(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	program, _ := recordStep(t, dev, digits(t, 60))
	m, err := dev.Alloc(device.Float, 200)
	if err != nil {
		t.Fatal(err)
	}
	w, err := dev.Alloc(device.Word, 10+device.IndexWords(10))
	if err != nil {
		t.Fatal(err)
	}
	x, y := device.MatrixOf(m, 0, 10, 10), device.MatrixOf(m, 100, 10, 10)
	level, index := device.WordsOf(w, 0, 10), device.WordsOf(w, 10, device.IndexWords(10))
	for name, operation := range map[string]func(){
		"a step":  func() { program() },
		"dense":   func() { dev.Dense(device.DenseArgs{X: x, W: x, Y: y}) },
		"combine": func() { dev.Combine(device.CombineArgs{Alpha: 1, A: x, Dst: y}) },
		"reduce":  func() { dev.Reduce(device.ReduceArgs{X: x, Out: y.Reshape(100, 1).Top(1)}) },
		"diffuse": func() {
			dev.Diffuse(device.DiffuseArgs{Sigma: x.Top(1), From: x, To: y, Level: level, Replicates: 1, Index: index})
		},
		"sample code": func() {
			dev.SampleCode(device.SampleCodeArgs{Kind: device.CodeBernoulli, Params: x, Noise: y, Code: y, Replicates: 1, Index: index})
		},
		"draw": func() {
			dev.Draw(device.DrawArgs{Kind: device.Bernoulli, Params: x, Out: y, Replicates: 1, Index: index})
		},
	} {
		if n := testing.AllocsPerRun(20, operation); n > 0 {
			t.Errorf("%s allocates %g times", name, n)
		}
	}
	if err := dev.Sync(); err != nil {
		t.Error(err)
	}
}

// recordStep records the step of a model, and says of how many kernels it is.
func recordStep(t *testing.T, dev *gpu.Device, table device.Table) (device.Program, int) {
	t.Helper()
	const batch = 50
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	resident, err := dev.Load(t.Context(), table)
	fail(err)
	dae := architecture(t, "batch")
	net, err := model.Bind(dev, dae, model.Binding{Examples: batch, Training: true})
	fail(err)
	rule, err := optim.ParseRule("adam")
	fail(err)
	state, err := optim.NewState(dev, rule, dae.ParameterCount(), 0.9)
	fail(err)
	words, err := dev.Alloc(device.Word, device.ClockWords)
	fail(err)
	floats, err := dev.Alloc(device.Float, 100)
	fail(err)
	clock := device.WordsOf(words, 0, device.ClockWords)
	fail(net.SetParameters(dae.InitialParameters(1), dae.InitialBuffers()))
	body := func() {
		net.Gradient(model.Source{Data: resident, Part: device.Rows{Hi: table.Rows}, Shuffle: true, Seed: 1, Clock: clock}, batch)
		state.Apply(dev, optim.Step{Params: net.Params, Grads: net.Grads, GradSq: net.GradSq(), Loss: net.MeanLoss(),
			Rates: device.MatrixOf(floats, 0, 1, 50), Clock: clock, Decayed: dae.DecayedCount(), Clip: 1})
		dev.Tick(device.TickArgs{Clock: clock, Values: net.Values, Log: device.MatrixOf(floats, 50, 25, 2)}) // 0 examples: the same minibatch again
	}
	before := cudatest.Read(t)
	body()
	fail(dev.Sync())
	kernels := cudatest.Read(t).Since(before).Kernels
	program, err := dev.Record(body)
	fail(err)
	return program, int(kernels)
}

// TestRunIsItsSteps: in a whole run steps are graph launches, eight at a time until an epoch ends, and neither
// what is launched besides nor what is copied to the device grows with their
// number.
func TestRunIsItsSteps(t *testing.T) {
	run := func(batch int) cudatest.Counters {
		ends := cudatest.Ran(t, kernels.AdvanceF32.String()) // the data are bytes: ends of steps alone, before the host reads
		dev := open(t, gpu.Options{})
		defer dev.Close()
		j := job(t, dev, 400, 2)
		j.Config.Batch, j.Config.Val = batch, 0
		before := cudatest.Read(t)
		result, err := train.Run(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		ran := cudatest.Read(t).Since(before)
		following := result.Steps/2 - 1 // in each of two epochs
		if want := 2 * (1 + following/8 + following%8); ran.GraphLaunches != want {
			t.Errorf("%d steps took %d graph launches, want %d", result.Steps, ran.GraphLaunches, want)
		}
		t.Logf("%d steps: %+v", result.Steps, ran)
		ran.Launches -= uint64(cudatest.Ran(t, kernels.AdvanceF32.String()) - ends)
		return ran
	}
	few, many := run(100), run(20)
	if few.Launches != many.Launches || few.ToDevice != many.ToDevice {
		t.Errorf("a run of few steps made %+v, one of many %+v", few, many)
	}
}

// TestOrderOfThreadsChangesNoBit: whatever the order in which threads, blocks and
// independent nodes of a graph run, a run ends at the same weights.
func TestOrderOfThreadsChangesNoBit(t *testing.T) {
	const seeds = 20
	var want []float32
	for seed := range seeds + 1 { // 0 is the plain order
		cudatest.Set(t, "SOFTDRIVER_SEED", seed)
		dev := open(t, gpu.Options{})
		result, err := train.Run(t.Context(), job(t, dev, 150, 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
		got := slices.Concat(result.Params, result.Buffers)
		if seed == 0 {
			want = got
		} else if i := firstDifference(got, want); i >= 0 {
			t.Errorf("threads in order %d: parameter %d is %g, in plain order %g", seed, i, got[i], want[i])
		}
	}
}

// TestOutOfMemory: what does not fit is said with its size, and what fits can
// still be allocated.
func TestOutOfMemory(t *testing.T) {
	const megabyte = 1 << 20
	cudatest.Set(t, "SOFTDRIVER_MEMORY", 64*megabyte+int(cudatest.Read(t).BytesAllocated))
	dev := open(t, gpu.Options{})
	defer dev.Close()
	_, err := dev.Alloc(device.Float, 20*megabyte)
	var memory *device.OutOfMemoryError
	if !errors.As(err, &memory) || memory.Device != "cuda:0" || memory.Wanted != 80*megabyte || memory.Free == 0 || memory.Free > 64*megabyte {
		t.Errorf("allocating 80 MiB of 64: %v", err)
	}
	big := device.Table{Rows: 10 * megabyte, Columns: 10, Uint8: make([]uint8, 100*megabyte), Scale: 1}
	if _, err := dev.Load(t.Context(), big); err != nil || dev.Info().Mapped != 100*megabyte {
		t.Errorf("loading 100 MiB into 64, of which %d are left with the host: %v", dev.Info().Mapped, err)
	}
	left := int(dev.Info().MemoryFree) / 4
	if _, err := dev.Alloc(device.Float, left-megabyte); err != nil {
		t.Errorf("allocating nearly all that is left: %v", err)
	}
	for n := 1 << 18; n > 64; n /= 2 { // more than a chunk's room is never asked for
		if _, err := dev.Alloc(device.Float, n); err != nil && !errors.As(err, &memory) {
			t.Fatal(err)
		}
	}
	if err := dev.Sync(); err != nil {
		t.Errorf("a refused allocation left the failure %v behind", err)
	}
}

// failAfter makes the n-th kernel of an epoch's training fail.
func failAfter(t *testing.T, setting string, options gpu.Options) (dir string, epochs int, err error) {
	t.Helper()
	dev := open(t, options)
	defer dev.Close()
	j := job(t, dev, 300, 6)
	j.Dir = t.TempDir()
	j.Observer.Epoch = func(row train.Row) {
		epochs = row.Epoch
		if row.Epoch == 3 {
			cudatest.Set(t, setting, 60)
		}
	}
	_, err = train.Run(t.Context(), j)
	cudatest.Set(t, setting, 0)
	return j.Dir, epochs, err
}

// TestFailureWithinAnEpoch: a kernel that fails in the middle of an epoch ends
// the run with an error that names it, and the checkpoint of the epoch before is
// whole: a run that resumes from it ends where one that never failed does.
func TestFailureWithinAnEpoch(t *testing.T) {
	for _, blocking := range []bool{false, true} {
		t.Run(fmt.Sprintf("blocking=%t", blocking), func(t *testing.T) {
			dir, epochs, err := failAfter(t, "SOFTDRIVER_FAIL_LAUNCH", gpu.Options{Blocking: blocking})
			if err == nil {
				t.Fatal("the run succeeded")
			}
			t.Log(err)
			want := []string{"CUDA_ERROR_LAUNCH_FAILED", "kernel activate_backward 64×24: "}
			if !blocking {
				want = []string{"CUDA_ERROR_LAUNCH_FAILED", "advance_u8, dense_nt_32, batch_norm, ", "dense_backward_nn_32, ", gpu.BlockingVariable}
			}
			for _, text := range want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error does not say %q", text)
				}
			}
			if epochs != 3 {
				t.Errorf("the failure came after %d epochs, want 3", epochs)
			}
			resumeEqualsWhole(t, dir)
		})
	}
}

// resumeEqualsWhole ends the run in a folder and compares it with one that was
// never interrupted.
func resumeEqualsWhole(t *testing.T, dir string) {
	t.Helper()
	dev := open(t, gpu.Options{})
	defer dev.Close()
	j := job(t, dev, 300, 6)
	whole, err := train.Run(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	j.Dir, j.Resume = dir, true
	resumed, err := train.Run(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	if i := firstDifference(resumed.Params, whole.Params); i >= 0 || resumed.Steps != whole.Steps {
		t.Errorf("resumed after the failure, the run ends elsewhere: parameter %d after %d and %d steps", i, resumed.Steps, whole.Steps)
	}
	if _, err := os.Stat(filepath.Join(dir, "model.safetensors")); err != nil {
		t.Error(err)
	}
}

// TestRefusedLaunch: a launch that the driver refuses is reported by the program
// that made it.
func TestRefusedLaunch(t *testing.T) {
	_, _, err := failAfter(t, "SOFTDRIVER_REFUSE_LAUNCH", gpu.Options{Blocking: true})
	if err == nil || !strings.Contains(err.Error(), "cuLaunchKernel(") {
		t.Errorf("error %v does not name the call and the kernel", err)
	}
}

// TestInterruption: a run that is interrupted while graphs are on their way
// stands after a whole step, and goes on from there bit for bit.
func TestInterruption(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	j := job(t, dev, 300, 6)
	j.Dir = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	j.Observer.Step = func(p train.Progress) {
		if p.Epoch == 3 {
			cancel()
		}
	}
	_, err := train.Run(ctx, j)
	var interrupted *train.InterruptedError
	if !errors.As(err, &interrupted) || interrupted.Saved == "" {
		t.Fatalf("interrupted run: %v", err)
	}
	resumeEqualsWhole(t, j.Dir)
}
