package model

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/reference"
)

// evaluated is a config with every part whose training and evaluation differ.
func evaluated() Config {
	return Config{Features: 13, Hidden: []int{17, 9}, Code: 5, Activation: "silu", Norm: "batch", Dropout: 0.3,
		Likelihood: "bernoulli", Corruption: "masking:0.3+swap:0.1", Emphasis: Emphasis{2, 1}}
}

// TestEvaluationDoesNotDependOnTheMinibatch: bit for bit, on each device.
func TestEvaluationDoesNotDependOnTheMinibatch(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			src := sourceOf(t, dev, uniform(1, 40*13), 13, device.Clock{})
			src.Part = device.Rows{Lo: 2, Hi: 39, Split: true, Seed: 1}
			var want Evaluation
			for i, examples := range []int{1, 2, 7, 16, 37, 64} {
				got, err := bound(t, dev, evaluated(), examples).Evaluate(t.Context(), src)
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					want = got
				}
				if got != want || got.N != 37 {
					t.Errorf("minibatches of %d give %+v, of 1 %+v", examples, got, want)
				}
			}
		})
	}
}

// TestWideEvaluationDoesNotDependOnTheMinibatch: nor where the layers are wide
// enough for a device to multiply in blocks.
func TestWideEvaluationDoesNotDependOnTheMinibatch(t *testing.T) {
	const rows, features = 70, 600
	for _, tied := range []bool{false, true} {
		var want Evaluation
		for _, examples := range []int{1, 3, 5, 16, 33, rows} {
			for _, threads := range []int{1, 2} {
				dev, err := cpu.New(threads)
				if err != nil {
					t.Fatal(err)
				}
				src := sourceOf(t, dev, uniform(1, rows*features), features, device.Clock{})
				config := Config{Features: features, Hidden: []int{520}, Tied: tied, Likelihood: "gaussian", Corruption: "masking:0.3"}
				got, err := bound(t, dev, config, examples).Evaluate(t.Context(), src)
				if err != nil {
					t.Fatal(err)
				}
				if want.N == 0 {
					want = got
				}
				if got != want {
					t.Errorf("minibatches of %d on %d threads give %+v, of 1 %+v", examples, threads, got, want)
				}
				dev.Close()
			}
		}
	}
}

// TestEvaluationRepeats: training steps, the clock and replicates leave no trace.
func TestEvaluationRepeats(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			config := evaluated()
			config.Norm = "layer" // batch norm's running statistics are meant to move
			src := sourceOf(t, dev, uniform(1, 20*13), 13, device.Clock{})
			n := bound(t, dev, config, 6)
			first, err := n.Evaluate(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			setClock(t, dev, src, device.Clock{Step: 77, Epoch: 3, Cursor: 4})
			n.Gradient(src, 6)
			again, err := n.Evaluate(t.Context(), src)
			if err != nil || again != first {
				t.Errorf("%+v, then %+v, %v", first, again, err)
			}
			config.Replicates = 3
			replicated, err := bound(t, dev, config, 2).Evaluate(t.Context(), src)
			if err != nil || replicated != first {
				t.Errorf("with replicates %+v, without %+v, %v", replicated, first, err)
			}
		})
	}
}

// TestEvaluationIsTheDefinition recomputes NLL, MSE and PSNR of a Gaussian from
// the reconstructions, and sees every row once, in order.
func TestEvaluationIsTheDefinition(t *testing.T) {
	const rows, features, sigma = 23, 6, 0.5
	values := uniform(2, rows*features)
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			config := Config{Features: features, Hidden: []int{4}, Activation: "tanh", Likelihood: "gaussian:0.5", Corruption: "gaussian:0.1"}
			n := bound(t, dev, config, 5)
			src := sourceOf(t, dev, values, features, device.Clock{})
			var clean []float32
			var square float64
			got, err := n.EvaluateEach(t.Context(), src, func(b Batch) error {
				if b.First != len(clean)/features || b.Features != features || len(b.Corrupted) != len(b.Clean) {
					t.Errorf("batch of %d rows at %d after %d rows", b.Rows, b.First, len(clean)/features)
				}
				clean = append(clean, b.Clean...)
				for i, x := range b.Clean {
					square += math.Pow(float64(x)-float64(b.Reconstructed[i]), 2)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !equal32(clean, values) {
				t.Error("the rows came in another order")
			}
			nll := square/rows/(2*sigma*sigma) + features*(math.Log(sigma)+0.5*math.Log(2*math.Pi))
			mse := square / (rows * features)
			psnr := 10 * math.Log10(math.Pow(src.Range.Max-src.Range.Min, 2)/mse)
			want := Evaluation{N: rows, NLL: nll, PerFeature: nll / features, MSE: mse, PSNR: psnr, Peak: src.Range.Max - src.Range.Min}
			for _, pair := range [][2]float64{{got.NLL, want.NLL}, {got.PerFeature, want.PerFeature}, {got.MSE, want.MSE}, {got.PSNR, want.PSNR}, {got.Peak, want.Peak}} {
				if math.Abs(pair[0]-pair[1]) > 1e-5*math.Abs(pair[1]) {
					t.Errorf("evaluation %+v, want %+v", got, want)
				}
			}
		})
	}
}

// TestPerfectReconstruction has a finite PSNR.
func TestPerfectReconstruction(t *testing.T) {
	dev := reference.New()
	n := bound(t, dev, linearConfig(3, "none"), 4)
	if err := n.SetParameters(make([]float32, n.dae.ParameterCount()), nil); err != nil {
		t.Fatal(err)
	}
	e, err := n.Evaluate(t.Context(), sourceOf(t, dev, make([]float32, 12), 3, device.Clock{}))
	if err != nil || e.MSE != 0 || e.PSNR != MaxPSNR || e.Peak != 1 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestEvaluationFails(t *testing.T) {
	dev := reference.New()
	n := bound(t, dev, linearConfig(3, "salt-and-pepper:0.1"), 4)
	src := sourceOf(t, dev, uniform(1, 30), 3, device.Clock{})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Evaluate(cancelled, src); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	stop := errors.New("stop")
	if _, err := n.EvaluateEach(t.Context(), src, func(Batch) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("callback: %v", err)
	}
	for text, change := range map[string]func(*Source){
		"no rows":  func(s *Source) { s.Part = device.Rows{} },
		"extremes": func(s *Source) { s.Range = Range{} },
		"the data have 5 columns, the model 3 features": func(s *Source) { *s = sourceOf(t, dev, uniform(1, 30), 5, device.Clock{}) },
	} {
		bad := src
		change(&bad)
		if _, err := n.Evaluate(t.Context(), bad); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Evaluate(t.Context(), src); err == nil {
		t.Error("a closed device evaluates")
	}
}

func rowsOf(values []float32, columns int) *tensor.Dense { return matrix(values, columns) }

// TestDenoiseIsTheReconstructionOfEvaluate, and Encode goes with it, in
// minibatches of any size.
func TestDenoiseIsTheReconstructionOfEvaluate(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			src := sourceOf(t, dev, uniform(1, 11*13), 13, device.Clock{})
			small, large := bound(t, dev, evaluated(), 3), bound(t, dev, evaluated(), 64)
			clean, corrupted, want, err := small.Triples(t.Context(), src, 100)
			if err != nil {
				t.Fatal(err)
			}
			if !equal32(clean.Data().([]float32), uniform(1, 11*13)) {
				t.Error("the clean rows are not the data's")
			}
			for _, n := range []*Net{small, large} {
				got, err := n.Denoise(t.Context(), corrupted)
				if err != nil || !equal32(got.Data().([]float32), want.Data().([]float32)) || !got.Shape().Eq(tensor.Shape{11, 13}) {
					t.Errorf("Denoise gives %v, %v", got.Shape(), err)
				}
			}
			layers, err := small.EncodeLayers(t.Context(), corrupted)
			if err != nil || len(layers) != 3 {
				t.Fatalf("%d layers, %v", len(layers), err)
			}
			for i, width := range small.DAE().EncoderWidths() {
				if !layers[i].Shape().Eq(tensor.Shape{11, width}) {
					t.Errorf("layer %d has shape %v", i, layers[i].Shape())
				}
			}
			if got := small.DAE().EncoderWidths(); !slices.Equal(got, []int{17, 9, 5}) {
				t.Errorf("the encoder has %v units", got)
			}
			code, err := large.Encode(t.Context(), corrupted)
			if err != nil || !equal32(code.Data().([]float32), layers[2].Data().([]float32)) {
				t.Errorf("the code is not the last layer's output: %v", err)
			}
		})
	}
}

// TestDenoiseCorruptedIsEvaluates: rows that come a few at a time have the noise, and
// the reconstruction, of the whole table's evaluation.
func TestDenoiseCorruptedIsEvaluates(t *testing.T) {
	for name, dev := range devices(t) {
		for _, corruption := range []string{"masking:0.4+gaussian:0.3", "salt-and-pepper:0.5", "span:rate=0.4,length=3", "none"} {
			t.Run(name+" "+corruption, func(t *testing.T) {
				const rows, columns = 11, 13
				x := uniform(1, rows*columns)
				src := sourceOf(t, dev, x, columns, device.Clock{})
				config := evaluated()
				config.Corruption, config.Emphasis = corruption, Emphasis{}
				n := bound(t, dev, config, 3)
				_, _, want, err := n.Triples(t.Context(), src, rows)
				if err != nil {
					t.Fatal(err)
				}
				src.Data = nil
				for first := 0; first < rows; first += 4 {
					last := min(first+4, rows)
					got, err := n.DenoiseCorrupted(t.Context(), src, first, matrix(x[first*columns:last*columns], columns))
					if err != nil || !equal32(got.Data().([]float32), want.Data().([]float32)[first*columns:last*columns]) {
						t.Errorf("rows %d to %d are not those of the table: %v", first, last, err)
					}
				}
			})
		}
	}
}

// TestTriplesDoNotNarrowThePart: swap's donors are the part's, however few rows are shown.
func TestTriplesDoNotNarrowThePart(t *testing.T) {
	dev := reference.New()
	n := bound(t, dev, linearConfig(8, "swap:0.5"), 4)
	src := sourceOf(t, dev, uniform(1, 200), 8, device.Clock{})
	_, all, _, err := n.Triples(t.Context(), src, 25)
	if err != nil {
		t.Fatal(err)
	}
	_, few, _, err := n.Triples(t.Context(), src, 6)
	if err != nil || !few.Shape().Eq(tensor.Shape{6, 8}) || !equal32(few.Data().([]float32), all.Data().([]float32)[:48]) {
		t.Errorf("6 rows of 25 are corrupted in another way: %v", err)
	}
}

// TestSoftmaxIsByField: the reconstruction of a categorical model is a
// distribution within each field.
func TestSoftmaxIsByField(t *testing.T) {
	fields := []int{3, 2, 5}
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			n := bound(t, dev, Config{Features: 10, Fields: fields, Hidden: []int{4}, Likelihood: "categorical", Corruption: "masking:0.5"}, 4)
			out, err := n.Denoise(t.Context(), rowsOf(oneHot(1, 9, fields), 10))
			if err != nil {
				t.Fatal(err)
			}
			values := out.Data().([]float32)
			for len(values) > 0 {
				for _, width := range fields {
					sum := 0.0
					for _, p := range values[:width] {
						sum += float64(p)
					}
					if math.Abs(sum-1) > 1e-6 {
						t.Fatalf("a field's probabilities sum to %v", sum)
					}
					values = values[width:]
				}
			}
		})
	}
}

func TestInferenceRefusesOtherShapes(t *testing.T) {
	dev := reference.New()
	n := bound(t, dev, linearConfig(3, "none"), 4)
	for name, x := range map[string]*tensor.Dense{
		"nothing":     nil,
		"float64":     tensor.New(tensor.WithShape(2, 3), tensor.Of(tensor.Float64)),
		"vector":      tensor.New(tensor.WithShape(3), tensor.Of(tensor.Float32)),
		"4 columns":   tensor.New(tensor.WithShape(2, 4), tensor.Of(tensor.Float32)),
		"3 by 3 by 3": tensor.New(tensor.WithShape(3, 3, 3), tensor.Of(tensor.Float32)),
	} {
		if _, err := n.Denoise(t.Context(), x); err == nil {
			t.Errorf("%s: denoised", name)
		}
		if _, err := n.Encode(t.Context(), x); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

// TestInferenceReadsViews: a transposed or sliced matrix is what its indices say.
func TestInferenceReadsViews(t *testing.T) {
	dev := reference.New()
	n := bound(t, dev, linearConfig(3, "none"), 4)
	values := uniform(1, 15)
	want, err := n.Denoise(t.Context(), rowsOf(values, 3))
	if err != nil {
		t.Fatal(err)
	}
	transposed := make([]float32, 15)
	for i, v := range values {
		transposed[i%3*5+i/3] = v
	}
	x := rowsOf(transposed, 5)
	if err := x.T(); err != nil {
		t.Fatal(err)
	}
	if got, err := n.Denoise(t.Context(), x); err != nil || !equal32(got.Data().([]float32), want.Data().([]float32)) {
		t.Errorf("transposed: %v", err)
	}
	part, err := rowsOf(values, 3).Slice(tensor.S(1, 4))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := n.Denoise(t.Context(), part.(*tensor.Dense)); err != nil || !equal32(got.Data().([]float32), want.Data().([]float32)[3:12]) {
		t.Errorf("sliced: %v", err)
	}
}

// TestBatchNormEvaluatesByRunningStatistics: after many passes over one
// minibatch they are that minibatch's, the variance unbiased.
func TestBatchNormEvaluatesByRunningStatistics(t *testing.T) {
	dev := reference.New()
	n := bound(t, dev, Config{Features: 4, Hidden: []int{3}, Activation: "identity", Norm: "batch", Likelihood: "gaussian"}, 16)
	values := uniform(1, 64)
	src := sourceOf(t, dev, values, 4, device.Clock{})
	for range 300 { // (1 - momentum)³⁰⁰ is 2e-14
		n.Gradient(src, 16)
	}
	h, err := n.Encode(t.Context(), rowsOf(values, 4))
	if err != nil {
		t.Fatal(err)
	}
	codes := h.Data().([]float32)
	for unit := range 3 {
		var mean, square float64
		for i := range 16 {
			mean += float64(codes[i*3+unit]) / 16
			square += math.Pow(float64(codes[i*3+unit]), 2) / 15
		}
		if math.Abs(mean) > 1e-5 || math.Abs(square-1) > 1e-2 {
			t.Errorf("unit %d has mean %v and unbiased variance %v", unit, mean, square)
		}
	}
}

// TestWithParameters reads other weights and leaves the Net's own alone.
func TestWithParameters(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			n := bound(t, dev, evaluated(), 6)
			src := sourceOf(t, dev, uniform(1, 130), 13, device.Clock{})
			memory, err := dev.Alloc(device.Float, n.dae.ParameterCount())
			if err != nil {
				t.Fatal(err)
			}
			average := device.MatrixOf(memory, 0, 1, n.dae.ParameterCount())
			if err := dev.Upload(average, n.dae.InitialParameters(99)); err != nil {
				t.Fatal(err)
			}
			own, err := n.Evaluate(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			other, err := n.WithParameters(average).Evaluate(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			fresh := bound(t, dev, evaluated(), 6)
			if err := fresh.SetParameters(n.dae.InitialParameters(99), n.dae.InitialBuffers()); err != nil {
				t.Fatal(err)
			}
			want, err := fresh.Evaluate(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := n.Evaluate(t.Context(), src); err != nil || other != want || again != own || own == other {
				t.Errorf("own %+v, then %+v; other %+v, want %+v; %v", own, again, other, want, err)
			}
		})
	}
}

func TestParametersComeBack(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			n := bound(t, dev, evaluated(), 2)
			params, buffers := uniform(1, n.dae.ParameterCount()), uniform(2, n.dae.BufferCount())
			if err := n.SetParameters(params, buffers); err != nil {
				t.Fatal(err)
			}
			gotParams, gotBuffers := make([]float32, len(params)), make([]float32, len(buffers))
			if err := n.Parameters(gotParams, gotBuffers); err != nil || !equal32(gotParams, params) || !equal32(gotBuffers, buffers) {
				t.Errorf("parameters changed on the way: %v", err)
			}
		})
	}
}

func TestBindFails(t *testing.T) {
	d := mustNew(t, linearConfig(3, "none"))
	for _, examples := range []int{-1, 0, maxRows + 1, math.MaxInt} {
		var config *ConfigError
		if _, err := Bind(reference.New(), d, Binding{Examples: examples}); !errors.As(err, &config) || config.Key != "batch" {
			t.Errorf("%d examples: %v", examples, err)
		}
	}
	total := d.Bytes(Binding{Examples: 4, Training: true}) / 4
	for limit := uint64(1); limit < total; limit += 7 {
		var memory *device.OutOfMemoryError
		dev := &countingDevice{Device: reference.New(), limit: limit}
		if _, err := Bind(dev, d, Binding{Examples: 4, Training: true}); !errors.As(err, &memory) {
			t.Errorf("with room for %d elements: %v", limit, err)
		}
	}
}
