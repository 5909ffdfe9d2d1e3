package model

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
)

// targetsOf makes targets resident that suit a predictor; nil for other models.
func targetsOf(t testing.TB, dev device.Device, c Config, rows int) device.Dataset {
	t.Helper()
	if c.Target == nil {
		return nil
	}
	width := c.Target.Width
	var values []float32
	switch {
	case width > 1:
		values = oneHot(21, rows, []int{width})
	case c.Target.Likelihood == "bernoulli":
		random := rand.New(rand.NewPCG(21, 0))
		for range rows {
			values = append(values, float32(random.IntN(2)))
		}
	default:
		values = uniform(21, rows)
	}
	data, err := dev.Load(context.Background(), device.Table{Rows: rows, Columns: width, Float32: values})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// targets are one of each likelihood.
func targets() []Target {
	return []Target{{Likelihood: "categorical", Width: 3}, {Likelihood: "bernoulli", Width: 1}, {Likelihood: "gaussian:0.5", Width: 1}}
}

// TestPredictorGradientAgreesWithFiniteDifferences is
// TestGradientAgreesWithFiniteDifferences for heads.
func TestPredictorGradientAgreesWithFiniteDifferences(t *testing.T) {
	for _, target := range targets() {
		for _, layers := range HeadLayers() {
			target.Layers = layers
			for _, act := range []string{"sigmoid", "gelu", "relu"} {
				for _, norm := range normKinds() {
					for _, dropout := range []float64{0, 0.3} {
						for _, k := range []int{1, 2} {
							c := Config{Features: 5, Hidden: []int{6, 4}, Code: 3, Activation: act, Norm: norm.String(), Dropout: dropout, Replicates: k,
								Likelihood: "gaussian", Corruption: "swap:0.4+gaussian:0.2", Target: &target}
							t.Run(fmt.Sprintf("%s/%s/%s/%s/dropout=%v/k=%d", target.Likelihood, layers, act, norm, dropout, k), func(t *testing.T) { checkGradient(t, c) })
						}
					}
				}
			}
			t.Run(target.Likelihood+"/"+layers+"/one layer", func(t *testing.T) {
				checkGradient(t, Config{Features: 5, Hidden: []int{4}, Activation: "tanh", Likelihood: "bernoulli", Target: &target})
			})
		}
	}
}

// TestPredictorGradientOfMixedColumns: the vectors of categories are trained along.
func TestPredictorGradientOfMixedColumns(t *testing.T) {
	for _, layers := range HeadLayers() {
		for _, indicators := range []bool{false, true} {
			c := mixedConfig()
			c.Indicators, c.Target = indicators, &Target{Likelihood: "categorical", Width: 3, Layers: layers}
			t.Run(fmt.Sprintf("%s/indicators=%t", layers, indicators), func(t *testing.T) { checkGradient(t, c) })
		}
	}
}

// TestFrozenEncoder: the head's gradient is that of the model that is trained
// along, the encoder's is zero, and weight decay concerns the head alone.
func TestFrozenEncoder(t *testing.T) {
	for name, dev := range devices(t) {
		for _, layers := range HeadLayers() {
			c := Config{Features: 5, Hidden: []int{6, 4}, Activation: "sigmoid", Likelihood: "bernoulli", Norm: "layer",
				Target: &Target{Likelihood: "categorical", Width: 3, Layers: layers}}
			gradients := map[bool]map[string][]float32{}
			for _, freeze := range []bool{false, true} {
				target := *c.Target
				target.Freeze = freeze
				c.Target = &target
				net := bound(t, dev, c, 7)
				params := net.dae.InitialParameters(7)
				for _, p := range net.dae.Parameters() { // equal by name, however they are laid out
					copy(slice(params, p), uniform(uint64(len(p.Name)+p.Len()), p.Len()))
				}
				if err := net.SetParameters(params, net.dae.InitialBuffers()); err != nil {
					t.Fatal(err)
				}
				src := sourceOf(t, dev, uniform(5, 60), 5, device.Clock{})
				src.Target = targetsOf(t, dev, c, 12)
				net.Gradient(src, 7)
				grads := download(t, dev, net.Grads)
				gradients[freeze] = map[string][]float32{}
				heads := 0
				for _, p := range net.dae.Parameters() {
					gradients[freeze][p.Name] = slice(grads, p)
					if p.Decayed && strings.HasPrefix(p.Name, "head") {
						heads += p.Len()
					}
				}
				if freeze && net.dae.DecayedCount() != heads {
					t.Errorf("%s %s: %d parameters decay, the head has %d weights", name, layers, net.dae.DecayedCount(), heads)
				}
			}
			for parameter, frozen := range gradients[true] {
				want := gradients[false][parameter]
				if strings.HasPrefix(parameter, encoderPrefix) {
					want = make([]float32, len(frozen))
				}
				if !equal32(frozen, want) {
					t.Errorf("%s %s: gradient of %s is %v, want %v", name, layers, parameter, frozen, want)
				}
			}
		}
	}
}

// TestPredictorStartsAtTheEntropyOfTheClasses: with weights of 0 the loss of
// every row is that of the constant that suits the targets best.
func TestPredictorStartsAtTheEntropyOfTheClasses(t *testing.T) {
	const rows = 12
	for name, dev := range devices(t) {
		for _, target := range targets() {
			c := Config{Features: 4, Hidden: []int{6, 3}, Activation: "sigmoid", Likelihood: "bernoulli", Target: &target}
			d := mustNew(t, c)
			net, err := Bind(dev, d, Binding{Examples: 5})
			if err != nil {
				t.Fatal(err)
			}
			src := sourceOf(t, dev, uniform(5, rows*4), 4, device.Clock{})
			src.Target = targetsOf(t, dev, c, rows)
			values := make([]float32, rows*target.Width)
			collect := func(p Predictions) error {
				copy(values[p.First*p.Width:], p.Target)
				return nil
			}
			if _, err := net.EvaluateTarget(t.Context(), src, collect); err != nil {
				t.Fatal(err)
			}
			moments, err := ColumnMoments(t.Context(), device.Table{Rows: rows, Columns: target.Width, Float32: values}, device.Rows{Hi: rows})
			if err != nil {
				t.Fatal(err)
			}
			params := d.InitialParameters(3)
			d.StartAtTargetMeans(params, moments)
			if err := net.SetParameters(params, nil); err != nil {
				t.Fatal(err)
			}
			e, err := net.EvaluateTarget(t.Context(), src, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := 0.0
			for j, m := range moments.Mean {
				switch target.Likelihood {
				case "categorical": // the means with half an event more of each class
					p := (rows*m + 0.5) / (rows + 0.5*float64(target.Width))
					want -= m * math.Log(p)
				case "bernoulli":
					p := (rows*m + 0.5) / (rows + 1)
					want = -m*math.Log(p) - (1-m)*math.Log(1-p)
				default:
					want = moments.Variance[j]/(2*0.25) + math.Log(0.5) + 0.5*math.Log(2*math.Pi)
				}
			}
			if math.Abs(e.Loss-want) > 1e-6*math.Abs(want) {
				t.Errorf("%s %s: loss %v, want %v", name, target.Likelihood, e.Loss, want)
			}
		}
	}
}

// TestPredictorAgreesWithPlainLoops computes probabilities by the definition.
func TestPredictorAgreesWithPlainLoops(t *testing.T) {
	for name, dev := range devices(t) {
		for _, layers := range HeadLayers() {
			c := Config{Features: 3, Hidden: []int{4, 2}, Activation: "sigmoid", Likelihood: "bernoulli", Target: &Target{Likelihood: "categorical", Width: 3, Layers: layers}}
			d := mustNew(t, c)
			net, err := Bind(dev, d, Binding{Examples: 2})
			if err != nil {
				t.Fatal(err)
			}
			params := uniform(8, d.ParameterCount())
			if err := net.SetParameters(params, nil); err != nil {
				t.Fatal(err)
			}
			x := uniform(9, 5*3)
			p, err := net.Predict(t.Context(), matrix(x, 3))
			if err != nil {
				t.Fatal(err)
			}
			got := p.Data().([]float32)
			for row := range 5 {
				want := plainSoftmax(d, params, x[row*3:row*3+3])
				if !close32(got[row*3:row*3+3], want, 1e-6) {
					t.Errorf("%s %s: row %d: %v, want %v", name, layers, row, got[row*3:row*3+3], want)
				}
			}
		}
	}
}

// plainSoftmax is softmax(Σ_l W_l·h_l + b) of a predictor of sigmoid layers.
func plainSoftmax(d *DAE, params, x []float32) []float32 {
	named := map[string]Parameter{}
	for _, p := range d.Parameters() {
		named[p.Name] = p
	}
	product := func(name string, h []float64) []float64 {
		w := named[name+".weight"]
		out := make([]float64, w.Rows)
		for o := range out {
			for i, v := range h {
				out[o] += float64(slice(params, w)[o*w.Columns+i]) * v
			}
			if b, ok := named[name+".bias"]; ok {
				out[o] += float64(slice(params, b)[o])
			}
		}
		return out
	}
	h := make([]float64, len(x))
	for i, v := range x {
		h[i] = float64(v)
	}
	logits := make([]float64, d.Config().Target.Width)
	depth := len(d.EncoderWidths())
	for l := range depth {
		h = product(fmt.Sprintf("encoder.%d", l), h)
		for i := range h {
			h[i] = 1 / (1 + math.Exp(-h[i]))
		}
		head := fmt.Sprintf("head.%d", l)
		if d.Config().Target.Layers == HeadReadsCode {
			if head = "head"; l < depth-1 {
				continue
			}
		}
		for j, v := range product(head, h) {
			logits[j] += v
		}
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(v)
	}
	out := make([]float32, len(logits))
	for j, v := range logits {
		out[j] = float32(math.Exp(v) / sum)
	}
	return out
}

// TestTakeEncoder: a predictor's encoder gives the codes of the model that it was
// taken from, the means of a stochastic code.
func TestTakeEncoder(t *testing.T) {
	dev := reference.New()
	for name, c := range map[string]Config{
		"plain":     {Hidden: []int{6, 4}, Activation: "gelu"},
		"code":      {Hidden: []int{6}, Code: 3, CodeActivation: "identity", Norm: "batch"},
		"tied":      {Hidden: []int{6, 4}, Activation: "sigmoid", Tied: true},
		"gaussian":  {Hidden: []int{6, 4}, CodeDistribution: "gaussian", Norm: "layer"},
		"bernoulli": {Hidden: []int{6}, Code: 3, CodeDistribution: "bernoulli"},
	} {
		c.Features, c.Likelihood, c.Corruption, c.Dropout = 5, "gaussian", "gaussian:0.3", 0.2
		from := mustNew(t, c)
		params, buffers := uniform(3, from.ParameterCount()), uniform(4, from.BufferCount())
		source, err := Bind(dev, from, Binding{Examples: 6})
		if err != nil {
			t.Fatal(err)
		}
		if err := source.SetParameters(params, buffers); err != nil {
			t.Fatal(err)
		}
		config, err := from.Predictor(Target{Likelihood: "categorical", Width: 3})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := mustNew(t, config)
		own, statistics := d.InitialParameters(1), d.InitialBuffers()
		if err := d.TakeEncoder(own, statistics, from, params, buffers); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		net, err := Bind(dev, d, Binding{Examples: 6})
		if err != nil {
			t.Fatal(err)
		}
		if err := net.SetParameters(own, statistics); err != nil {
			t.Fatal(err)
		}
		x := matrix(uniform(6, 6*5), 5)
		want, err := source.Encode(t.Context(), x)
		if err != nil {
			t.Fatal(err)
		}
		got, err := net.Encode(t.Context(), x)
		if err != nil {
			t.Fatal(err)
		}
		if !equal32(got.Data().([]float32), want.Data().([]float32)) {
			t.Errorf("%s: codes %v, want %v", name, got, want)
		}
	}
}

// TestPredictorConfigurations: what a predictor cannot have is refused.
func TestPredictorConfigurations(t *testing.T) {
	good := Config{Features: 5, Hidden: []int{4}, Likelihood: "bernoulli", Target: &Target{Likelihood: "categorical", Width: 3}}
	mustNew(t, good)
	for key, change := range map[string]func(*Config){
		"layer":             func(c *Config) { c.Target = &Target{Likelihood: "categorical", Width: 3, Layers: "first"} },
		"likelihood":        func(c *Config) { c.Target = &Target{Likelihood: "poisson", Width: 1} },
		"target":            func(c *Config) { c.Target = &Target{Likelihood: "categorical", Width: 1} },
		"tied":              func(c *Config) { c.Tied = true },
		"walkback":          func(c *Config) { c.Walkback = 2 },
		"code_distribution": func(c *Config) { c.CodeDistribution = "gaussian" },
		"emphasis":          func(c *Config) { c.Emphasis = Emphasis{1, 0}; c.Corruption = "masking:0.2" },
	} {
		c := good
		change(&c)
		_, err := New(c)
		if config, ok := err.(*ConfigError); !ok || config.Key != key {
			t.Errorf("%s: %v", key, err)
		}
	}
	scores := mustNew(t, Config{Features: 2, Hidden: []int{4}, Objective: ObjectiveDSM, Score: Score{Noise: "geometric:max=1"}})
	if _, err := scores.Predictor(Target{Likelihood: "bernoulli", Width: 1}); err == nil {
		t.Error("a predictor of a score model")
	}
}
