//go:build cuda

package gpu_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gpudae/cuda/cublaslt"
	"gpudae/cuda/cudatest"
	"gpudae/device"
	"gpudae/device/devicetest"
	"gpudae/gpu"
	"gpudae/kernels"
	"gpudae/model"
	"gpudae/train"
)

// needCublasLt skips a test on a machine with a GPU and without cuBLASLt. The software driver has one beside it.
func needCublasLt(t *testing.T) {
	t.Helper()
	_, err := cublaslt.Load()
	var missing *cublaslt.MissingError
	if errors.As(err, &missing) {
		cudatest.Read(t)
	}
	must(t, err)
}

// TestCublasLtConforms: a device whose products are cuBLASLt's passes the suite that every device passes, in the other classes
// with dense layers as close to the reference as each promises, also where factors are copied.
func TestCublasLtConforms(t *testing.T) {
	opened := func(options gpu.Options) func(testing.TB) device.Device {
		options.Gemm = gpu.GemmCublasLt
		return func(t testing.TB) device.Device { return open(t, options) }
	}
	needCublasLt(t)
	devicetest.Run(t, opened(gpu.Options{}))
	for name, c := range map[string]struct {
		options gpu.Options
		bound   float64
	}{
		"tf32": {gpu.Options{Class: kernels.TF32}, 1e-3}, "bf16": {gpu.Options{Class: kernels.BFloat16}, 1e-2},
		"bf16 of big products": {gpu.Options{Class: kernels.BFloat16, Big: kernels.Big{Extent: 16}}, 1e-2},
	} {
		t.Run(name, func(t *testing.T) { devicetest.RunRounded(t, opened(c.options), c.bound) })
	}
}

// libraryCases are runs whose steps have every part that our own products fuse and the library's leave apart.
func libraryCases() []smallCase {
	plain := func(*train.Config) {}
	return append(smallCases(),
		smallCase{"tied", model.Config{Hidden: []int{12}, Corruption: "masking:0.3", Likelihood: "bernoulli", Tied: true}, someDigits, plain, false},
		smallCase{"layer norm, dropout", model.Config{Hidden: []int{12, 5}, Corruption: "swap:0.3", Likelihood: "gaussian", Norm: "layer", Dropout: 0.1}, wave(70, 9), plain, false},
		smallCase{"noise levels", model.Config{Hidden: []int{12, 5}, Likelihood: "gaussian", Objective: model.ObjectiveDSM, Score: model.Score{Noise: "geometric:min=0.01,max=10"}}, wave(70, 9), plain, false},
		smallCase{"many rows", model.Config{Hidden: []int{5}, Corruption: "uniform:0.3", Likelihood: "gaussian-learned", Replicates: 300}, wave(50, 5), plain, false},
	)
}

// TestRecordedStepsOfCublasLt: a run with products of cuBLASLt whose steps are recorded, small nets too, leaves the parameters of one that
// makes each operation by itself, bit for bit unless the gradient is clipped; and the losses of our own kernels' to 1e-4.
func TestRecordedStepsOfCublasLt(t *testing.T) {
	needCublasLt(t)
	for _, c := range libraryCases() {
		t.Run(c.name, func(t *testing.T) {
			one := open(t, gpu.Options{Blocking: true, Gemm: gpu.GemmCublasLt})
			defer one.Close()
			want := c.run(t, one)
			dev := open(t, gpu.Options{Gemm: gpu.GemmCublasLt})
			defer dev.Close()
			got := c.run(t, dev)
			c.compare(t, got, want, "one by one")
			ours := open(t, gpu.Options{Graphs: true})
			defer ours.Close()
			for i, row := range c.run(t, ours).History {
				near(t, fmt.Sprintf("our own loss of epoch %d", i+1), got.History[i].TrainLoss, row.TrainLoss)
			}
		})
	}
}

// TestStepOfCublasLt: a recorded step consists of the library's products, and behind each what our own would have in theirs.
func TestStepOfCublasLt(t *testing.T) {
	needCublasLt(t)
	dev := open(t, gpu.Options{Gemm: gpu.GemmCublasLt})
	defer dev.Close()
	s := newStep(t, dev)
	must(t, s.program())
	must(t, s.program())
	want := []string{"advance_f32 9×1",
		"cublasLtMatmul 8×6", "activate 8×6", "cublasLtMatmul 8×5", "likelihood_gaussian 8×5", "reduce_all 1×8",
		"cublasLtMatmul 8×6", "activate_backward 8×6", "cublasLtMatmul 5×6", "dense_backward_nn_128 1×1", "reduce_all 1×30",
		"cublasLtMatmul 6×5", "dense_backward_nn_128 1×1", "reduce_all 1×30"}
	if got := dev.Recorded(); !slices.Equal(got, want) {
		t.Errorf("a step consists of\n%q, want\n%q", got, want)
	}
}

// TestStepsOfCublasLtWithCopies: in bf16 factors of big products are copies for cuBLASLt too, made as often as for our own, and the
// run leaves the bits of one that makes each operation by itself.
func TestStepsOfCublasLtWithCopies(t *testing.T) {
	needCublasLt(t)
	c := smallCase{model: model.Config{Hidden: []int{176, 160}, Activation: "gelu", Corruption: "masking:0.3", Likelihood: "gaussian"},
		table: wave(200, 160), change: func(c *train.Config) { c.Batch, c.Epochs = 170, 1 }}
	run := func(blocking bool) (*train.Result, int) {
		dev := open(t, gpu.Options{Class: kernels.BFloat16, Big: kernels.Big{Extent: 16}, Gemm: gpu.GemmCublasLt, Blocking: blocking})
		defer dev.Close()
		before := cudatest.Ran(t, kernels.Narrow.String())
		result := c.run(t, dev)
		return result, cudatest.Ran(t, kernels.Narrow.String()) - before
	}
	want, _ := run(true)
	got, copies := run(false)
	if i := firstDifference(got.Params, want.Params); i >= 0 {
		t.Errorf("parameter %d is %g, and %g where operations are made one by one", i, got.Params[i], want.Params[i])
	}
	if copies == 0 {
		t.Error("no factor was copied")
	}
}

// TestWithoutCublasLt: where the library is not there, a device that needs it does not open and the error says what is looked for; one
// that may do without opens, says so, and computes as ever.
func TestWithoutCublasLt(t *testing.T) {
	t.Setenv(cublaslt.PathVariable, "/nowhere/libcublasLt.so.13")
	dev, err := gpu.New(0, gpu.Options{Gemm: gpu.GemmCublasLt})
	if err == nil {
		dev.Close()
		t.Fatal("the device opened")
	}
	var missing *cublaslt.MissingError
	if !errors.As(err, &missing) || !strings.Contains(missing.Problem, "/nowhere/libcublasLt.so.13") || !strings.Contains(missing.Remedy, "--gemm own") {
		t.Errorf("error %v", err)
	}
	var said []string
	dev = open(t, gpu.Options{Gemm: gpu.GemmAuto, Log: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }})
	defer dev.Close()
	recordAndRun(t, dev)
	if len(said) != 1 || !strings.Contains(said[0], "our own kernels': cuBLASLt is not there") {
		t.Errorf("it says %q", said)
	}
}

// TestAutoTakesTheFaster: an operation is timed once, and from then on the faster of the two makes it, with the bits that it has: our
// kernels where a product of the library takes long, and the library where our kernels do.
func TestAutoTakesTheFaster(t *testing.T) {
	needCublasLt(t)
	for engine, slow := range map[gpu.Gemm]string{gpu.GemmOwn: "SOFTDRIVER_LIBRARY_TIME", gpu.GemmCublasLt: "SOFTDRIVER_KERNEL_TIME"} {
		t.Run(engine.String(), func(t *testing.T) {
			want := autoProducts(t, engine, nil)
			cudatest.Set(t, slow, 5000)
			said := map[string]int{}
			got := autoProducts(t, gpu.GemmAuto, func(format string, args ...any) {
				line := fmt.Sprintf(format, args...)
				if winner := map[gpu.Gemm]string{gpu.GemmOwn: ": our kernels, ", gpu.GemmCublasLt: ": cuBLASLt, "}[engine]; !strings.Contains(line, winner) {
					t.Errorf("it says %q, want %q", line, winner)
				}
				name, _, _ := strings.Cut(strings.TrimPrefix(line, "gemm: "), ": ")
				said[name]++
			})
			if i := firstDifference(got, want); i >= 0 {
				t.Errorf("element %d is %g, and %g by %s", i, got[i], want[i], engine)
			}
			if want := map[string]int{"layer 20×30×40": 1, "layer 20×30×40, input's gradient": 1, "layer 20×30×40, weights' gradient, added": 1}; !maps.Equal(said, want) {
				t.Errorf("these were timed: %v, want %v", said, want)
			}
		})
	}
}

// autoProducts makes the three products of a layer twice, by themselves and in a program, and returns all that they leave.
func autoProducts(t *testing.T, gemm gpu.Gemm, log func(string, ...any)) []float32 {
	t.Helper()
	dev := open(t, gpu.Options{Gemm: gemm, Log: log})
	defer dev.Close()
	const batch, in, out = 20, 30, 40
	memory, err := dev.Alloc(device.Float, 6*batch*in*out)
	must(t, err)
	next := 0
	matrix := func(rows, columns int) device.View {
		v := device.MatrixOf(memory, next, rows, columns)
		next += v.Len()
		return v
	}
	x, w, bias, da := matrix(batch, in), matrix(out, in), matrix(1, out), matrix(batch, out)
	factors := make([]float32, next)
	random := rand.New(rand.NewPCG(9, 10))
	for i := range factors {
		factors[i] = float32(random.NormFloat64())
	}
	must(t, dev.Upload(device.MatrixOf(memory, 0, 1, next), factors))
	y, dx, dw := matrix(batch, out), matrix(batch, in), matrix(out, in)
	operations := func() {
		dev.Dense(device.DenseArgs{X: x, W: w, Bias: bias, Y: y})
		dev.DenseBackward(device.DenseBackwardArgs{DA: da, X: x, W: w, DX: dx})
		dev.DenseBackward(device.DenseBackwardArgs{DA: da, X: x, W: w, DW: dw, Accumulate: true})
	}
	operations()
	program, err := dev.Record(operations)
	must(t, err)
	must(t, program())
	left := make([]float32, next)
	must(t, dev.Download(left, device.MatrixOf(memory, 0, 1, next)))
	return left
}

// TestRunsInAuto: a run whose operations are timed leaves the losses of one by our own kernels to 1e-4; each kind of operation
// is timed once, whatever takes it says the two times by, and a second run times nothing.
func TestRunsInAuto(t *testing.T) {
	needCublasLt(t)
	c := smallCase{model: model.Config{Hidden: []int{60, 30}, Activation: "gelu", Corruption: "masking:0.3", Likelihood: "gaussian"},
		table: wave(400, 50), change: func(c *train.Config) { c.Batch, c.Epochs = 150, 2 }}
	own := open(t, gpu.Options{Graphs: true})
	defer own.Close()
	var said []string
	dev := open(t, gpu.Options{Gemm: gpu.GemmAuto, Graphs: true, Log: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }})
	defer dev.Close()
	got := c.run(t, dev)
	for i, row := range c.run(t, own).History {
		near(t, fmt.Sprintf("our own loss of epoch %d", i+1), got.History[i].TrainLoss, row.TrainLoss)
	}
	timed := len(said)
	kinds := map[string]bool{}
	for _, line := range said {
		m := regexp.MustCompile(`^gemm: (.*): (our kernels|cuBLASLt), ([\d.]+) µs \((our kernels|cuBLASLt) ([\d.]+) µs\)$`).FindStringSubmatch(line)
		if m == nil || kinds[m[1]] || m[2] == m[4] {
			t.Fatalf("it says %q", line)
		}
		kinds[m[1]] = true
		first, _ := strconv.ParseFloat(m[3], 64)
		if second, _ := strconv.ParseFloat(m[5], 64); first > second {
			t.Errorf("the slower one is taken: %q", line)
		}
	}
	if timed < 8 {
		t.Errorf("only %d kinds of operations were timed", timed)
	}
	if c.run(t, dev); len(said) != timed {
		t.Errorf("a second run times %q", said[timed:])
	}
}

// TestCublasLtReleasesItsMemory: after Close neither workspace nor anything else is left.
func TestCublasLtReleasesItsMemory(t *testing.T) {
	needCublasLt(t)
	before := cudatest.Read(t).BytesAllocated
	for _, gemm := range []gpu.Gemm{gpu.GemmCublasLt, gpu.GemmAuto} {
		dev := open(t, gpu.Options{Gemm: gemm})
		if held := cudatest.Read(t).BytesAllocated - before; held < gpu.WorkspaceBytes {
			t.Errorf("%d bytes are held, less than the workspace", held)
		}
		recordAndRun(t, dev)
		must(t, dev.Close())
		if after := cudatest.Read(t).BytesAllocated; after != before {
			t.Errorf("%s: %d bytes are in use after Close, %d before", gemm, after, before)
		}
	}
}

// TestProductThatFailsIsNamed: with Blocking a product of cuBLASLt that fails as it runs is named with its shape.
func TestProductThatFailsIsNamed(t *testing.T) {
	needCublasLt(t)
	dev := open(t, gpu.Options{Gemm: gpu.GemmCublasLt, Blocking: true})
	defer dev.Close()
	memory, err := dev.Alloc(device.Float, 3*64)
	must(t, err)
	at := func(i int) device.View { return device.MatrixOf(memory, i*64, 8, 8) }
	product := func() { dev.Dense(device.DenseArgs{X: at(0), W: at(1), Y: at(2)}) }
	product()
	must(t, dev.Sync())
	cudatest.Set(t, "SOFTDRIVER_FAIL_LAUNCH", 1)
	product()
	if err := dev.Sync(); err == nil || !strings.Contains(err.Error(), "kernel cublasLtMatmul 8×8") {
		t.Errorf("error %v", err)
	}
}
