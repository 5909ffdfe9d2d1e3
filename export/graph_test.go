package export

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gpudae/cpu"
	"gpudae/data"
	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/model"
	"gpudae/onnx"
	"gpudae/train"
)

// savedModel is a model of that configuration with random weights, biases,
// gains and running statistics, on data of three scales.
func savedModel(t *testing.T, c model.Config, scaler data.Scaler) *train.Saved {
	t.Helper()
	d, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	s := &train.Saved{DAE: d, Params: d.InitialParameters(3), Buffers: d.InitialBuffers(), Version: "test", Scaler: scaler,
		Schema: data.Info{Name: "test", Features: c.Features, Shape: d.Config().Shape, Rows: 1, Element: data.Float32, Scale: 1}}
	for i := range s.Params {
		s.Params[i] += float32(0.3 * rng.NormFloat64())
	}
	for i := range s.Buffers { // variances stay positive
		s.Buffers[i] += float32(0.5 * rng.Float64())
	}
	return s
}

func unscaled(features int) data.Scaler {
	return data.Scaler{Kind: data.ScaleNone, Low: make([]float32, features), High: slices.Repeat([]float32{1}, features)}
}

// standard is a scaler of columns of very different scales; the mean of one is
// a million times its spread, so that float32 alone could not hold both.
func standard(features int) data.Scaler {
	s := data.Scaler{Kind: data.ScaleStandard, Low: slices.Repeat([]float32{-2}, features), High: slices.Repeat([]float32{3}, features)}
	offsets, scales := []float64{0.1, 1e6 + 0.3, -1e-7, 40}, []float64{1.1, 0.9, 1e-8, 1e5}
	for i := range features {
		s.Offset, s.Scale = append(s.Offset, offsets[i%4]), append(s.Scale, scales[i%4])
	}
	return s
}

// configurations are all options that change the graph.
func configurations() map[string]model.Config {
	all := map[string]model.Config{
		"shape":             {Features: 12, Shape: []int{3, 4}, Hidden: []int{7}, Likelihood: "bernoulli"},
		"deep":              {Features: 6, Hidden: []int{9, 8, 7}, Code: 2, CodeActivation: "identity", Likelihood: "bernoulli"},
		"tied":              {Features: 6, Hidden: []int{9, 4}, Tied: true, Likelihood: "gaussian"},
		"wide decoder":      {Features: 6, Hidden: []int{5}, DecoderHidden: "9,7", Activation: "tanh", Likelihood: "bernoulli"},
		"bare decoder":      {Features: 6, Hidden: []int{9, 4}, DecoderHidden: model.DecoderBare, Likelihood: "gaussian"},
		"one unit":          {Features: 1, Hidden: []int{1}, Likelihood: "gaussian"},
		"dropout":           {Features: 6, Hidden: []int{9}, Dropout: 0.5, Likelihood: "gaussian"},
		"equal fields":      {Features: 6, Hidden: []int{5}, Fields: []int{3, 3}, Likelihood: "categorical"},
		"unequal fields":    {Features: 9, Hidden: []int{5}, Fields: []int{2, 2, 3, 2}, Likelihood: "categorical"},
		"code keeps a norm": {Features: 6, Hidden: []int{5, 3}, Norm: "layer", CodeActivation: "tanh", Likelihood: "poisson"},
	}
	for _, a := range device.Activations() {
		all["activation "+a.String()] = model.Config{Features: 6, Hidden: []int{9, 4}, Activation: a.String(), Likelihood: "bernoulli"}
	}
	for _, l := range device.Likelihoods() {
		if l == device.Mixed {
			continue
		}
		c := model.Config{Features: 6, Hidden: []int{9, 4}, Likelihood: l.String()}
		if l == device.Categorical {
			c.Fields = []int{2, 4}
		}
		all["likelihood "+l.String()] = c
	}
	for _, q := range []string{"gaussian", "bernoulli", "concrete:0.5"} {
		all["code "+q] = model.Config{Features: 6, Hidden: []int{9}, Code: 4, CodeDistribution: q, CodeActivation: "identity", Likelihood: "gaussian"}
		all["code and last hidden layer "+q] = model.Config{Features: 6, Hidden: []int{9, 4}, Norm: "layer", CodeDistribution: q, CodeActivation: "identity", Likelihood: "gaussian"}
	}
	for _, p := range model.Parameterizations() {
		all["score model, "+p.Name] = model.Config{Features: 6, Hidden: []int{9, 4}, Objective: "dsm",
			Score: model.Score{Noise: "geometric:min=0.01,max=20", Parameterization: p.Name, SigmaData: 0.7}}
	}
	for _, embedding := range []string{"none", "fourier:width=6,scale=10", "positional"} {
		all["score model, embedding "+embedding] = model.Config{Features: 6, Hidden: []int{9}, Norm: "layer", Objective: "dsm",
			Score: model.Score{Noise: "ddpm-linear", Embedding: embedding}}
		all["score model of one level, embedding "+embedding] = model.Config{Features: 6, Hidden: []int{9}, Objective: "dsm",
			Score: model.Score{Noise: "single:0.3", Embedding: embedding}}
	}
	for _, norm := range []string{"layer", "batch"} {
		for _, tied := range []bool{false, true} {
			all[fmt.Sprintf("%s norm, tied %t", norm, tied)] = model.Config{Features: 6, Hidden: []int{9, 4}, Code: 3, Norm: norm, Tied: tied, Likelihood: "gaussian"}
		}
	}
	return all
}

// TestGraphComputesWhatTheModelDoes runs every graph beside the model in
// float64, from its bytes.
func TestGraphComputesWhatTheModelDoes(t *testing.T) {
	for name, c := range configurations() {
		for _, scaler := range []data.Scaler{unscaled(c.Features), standard(c.Features)} {
			t.Run(name+", "+string(scaler.Kind), func(t *testing.T) {
				s := savedModel(t, c, scaler)
				m := encoded(t, s, Outputs{true, true})
				d, err := Check(context.Background(), reference.New(), s, m)
				if err != nil {
					t.Fatal(err)
				}
				const bound = 1e-6 // the scaler's constants are float32
				if !(d.Reconstruction <= bound && d.Code <= bound) {
					t.Errorf("difference %+v", d)
				}
				if x := examples(s); slices.Max(x) == slices.Min(x) {
					t.Error("the examples are all equal")
				}
			})
		}
	}
}

// encoded is the graph of a model after its way through bytes.
func encoded(t *testing.T, s *train.Saved, out Outputs) *onnx.Model {
	t.Helper()
	m, err := ONNX(s, out)
	if err != nil {
		t.Fatal(err)
	}
	content, err := onnx.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = onnx.Decode(content); err != nil {
		t.Fatal(err)
	}
	return m
}

// A single weight, bias, gain, statistic or constant of the scaler that is
// another in the file is noticed.
func TestCheckNoticesAnyChange(t *testing.T) {
	c := model.Config{Features: 4, Hidden: []int{5}, Norm: "batch", Activation: "tanh", Likelihood: "gaussian"}
	changes := map[string]func(*train.Saved){
		"nothing": func(*train.Saved) {},
		"offset":  func(s *train.Saved) { s.Scaler.Offset[1] += 1 },
		"scale":   func(s *train.Saved) { s.Scaler.Scale[2] *= 1.001 },
		"mean":    func(s *train.Saved) { s.Buffers[0] += 0.01 },
	}
	for _, i := range []int{0, 19, 20, 39, 40, 44, 45, 50, 55, 58} {
		changes[fmt.Sprintf("parameter %d", i)] = func(s *train.Saved) { s.Params[i] += 0.01 }
	}
	for name, change := range changes {
		s, other := savedModel(t, c, standard(4)), savedModel(t, c, standard(4))
		change(other)
		d, err := Check(context.Background(), reference.New(), s, encoded(t, other, Outputs{true, true}))
		if err != nil || d.Within() != (name == "nothing") {
			t.Errorf("%s: difference %+v, %v", name, d, err)
		}
	}
}

// The device that people use differs by its rounding only.
func TestGraphAgreesWithTheCPU(t *testing.T) {
	s := savedModel(t, model.Config{Features: 40, Hidden: []int{64, 32}, Activation: "gelu", Norm: "layer", Likelihood: "bernoulli"}, standard(40))
	dev, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	d, err := Check(context.Background(), dev, s, encoded(t, s, Outputs{true, true}))
	if err != nil || !d.Within() {
		t.Errorf("difference %+v, %v", d, err)
	}
}

// Where large numbers cancel the device's rounding is not held against a graph,
// and a graph that is wrong is not excused by it.
func TestVerifyTellsRoundingFromMistakes(t *testing.T) {
	c := model.Config{Features: 1, Hidden: []int{2}, Activation: "identity", Likelihood: "gaussian"}
	s, other := savedModel(t, c, unscaled(1)), savedModel(t, c, unscaled(1))
	for _, m := range []*train.Saved{s, other} {
		copy(m.Params, []float32{12345.678, 12345.179, 1.1, -1.1}) // y = 1.1·h₁ - 1.1·h₂
	}
	other.Params[2] *= 1.001
	dev, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for _, of := range []*train.Saved{s, other} {
		v, err := Verify(context.Background(), dev, reference.New(), s, encoded(t, of, Outputs{true, true}))
		if err != nil || v.Within() || v.Exact == nil || v.Right() != (of == s) {
			t.Errorf("verdict %+v, %v", v, err)
		}
	}
	v, err := Verify(context.Background(), reference.New(), dev, s, encoded(t, s, Outputs{true, true}))
	if err != nil || !v.Right() || v.Exact != nil {
		t.Errorf("in float64: %+v, %v", v, err)
	}
}

func TestOutputs(t *testing.T) {
	s := savedModel(t, model.Config{Features: 4, Hidden: []int{50}, Likelihood: "gaussian"}, unscaled(4))
	sizes := map[bool]int{}
	for _, out := range []Outputs{{Reconstruction: true}, {Code: true}} {
		m := encoded(t, s, out)
		want := Reconstruction
		if out.Code {
			want = Code
		}
		if got := m.Outputs(); !slices.Equal(got, []string{want}) {
			t.Errorf("outputs %v, want %s", got, want)
		}
		d, err := Check(context.Background(), reference.New(), s, m)
		if err != nil || !d.Within() {
			t.Errorf("%s: difference %+v, %v", want, d, err)
		}
		content, err := onnx.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		sizes[out.Code] = len(content)
	}
	if sizes[true] >= sizes[false] {
		t.Errorf("the encoder alone takes %d bytes, with the decoder %d", sizes[true], sizes[false])
	}
	if least := Size(s.DAE); int64(sizes[false]) < least {
		t.Errorf("%d bytes, and at least %d were announced", sizes[false], least)
	}
}

func TestMetadata(t *testing.T) {
	s := savedModel(t, model.Config{Features: 2, Hidden: []int{3}, Likelihood: "gaussian", Corruption: "gaussian:0.5"}, unscaled(2))
	s.Schema.SHA256, s.Schema.Columns = "abc", []string{"width", "height"}
	got := encoded(t, s, Outputs{true, true}).Metadata()
	for key, want := range map[string]string{"gpudae.version": "test", "gpudae.data_sha256": "abc", "gpudae.columns": `["width","height"]`} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

func TestDifferenceIsNotWithinIfItIsNoNumber(t *testing.T) {
	if (Difference{Reconstruction: math.NaN()}).Within() || (Difference{Code: math.Inf(1)}).Within() || !(Difference{Code: Tolerance}).Within() {
		t.Error("NaN or infinity is within the tolerance")
	}
	if d := codeDifference([]float64{math.NaN()}, []float32{1}); !math.IsNaN(d) {
		t.Errorf("a difference from NaN is %v", d)
	}
}
