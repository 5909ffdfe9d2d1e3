package model

import (
	"fmt"
	"math"
	"reflect"
	"testing"

	"gpudae/device/reference"
)

func shapes(list []Parameter) []string {
	var all []string
	for _, p := range list {
		all = append(all, fmt.Sprintf("%s %d×%d@%d %t", p.Name, p.Rows, p.Columns, p.Offset, p.Decayed))
	}
	return all
}

func TestArenaLayout(t *testing.T) {
	for name, c := range map[string]struct {
		config  Config
		params  []string
		buffers []string
		flops   int64
	}{
		"untied with a code and batch norm": {
			Config{Features: 5, Hidden: []int{4}, Code: 2, Norm: "batch", Likelihood: "gaussian-learned"},
			[]string{"encoder.0.weight 4×5@0 true", "encoder.1.weight 2×4@20 true", "decoder.0.weight 4×2@28 true", "decoder.1.weight 10×4@36 true",
				"encoder.0.bias 1×4@76 false", "encoder.0.norm.weight 1×4@80 false", "encoder.0.norm.bias 1×4@84 false", "encoder.1.bias 1×2@88 false",
				"decoder.0.bias 1×4@90 false", "decoder.0.norm.weight 1×4@94 false", "decoder.0.norm.bias 1×4@98 false", "decoder.1.bias 1×10@102 false"},
			[]string{"encoder.0.norm.running_mean 1×4@0 false", "encoder.0.norm.running_var 1×4@4 false",
				"decoder.0.norm.running_mean 1×4@8 false", "decoder.0.norm.running_var 1×4@12 false"},
			2 * 76,
		},
		"tied": {
			Config{Features: 5, Hidden: []int{4, 3}, Tied: true, Likelihood: "gaussian"},
			[]string{"encoder.0.weight 4×5@0 true", "encoder.1.weight 3×4@20 true",
				"encoder.0.bias 1×4@32 false", "encoder.1.bias 1×3@36 false", "decoder.0.bias 1×4@39 false", "decoder.1.bias 1×5@43 false"},
			nil,
			2 * 64,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := mustNew(t, c.config)
			if got := shapes(d.Parameters()); !reflect.DeepEqual(got, c.params) {
				t.Errorf("parameters %q\nwant %q", got, c.params)
			}
			if got := shapes(d.Buffers()); !reflect.DeepEqual(got, c.buffers) {
				t.Errorf("buffers %q\nwant %q", got, c.buffers)
			}
			last := d.Parameters()[len(d.Parameters())-1]
			if d.ParameterCount() != last.Offset+last.Len() || len(d.InitialParameters(1)) != d.ParameterCount() || len(d.InitialBuffers()) != d.BufferCount() {
				t.Errorf("%d parameters, %d buffers", d.ParameterCount(), d.BufferCount())
			}
			if exact := d.resolved.parameterCount(); exact.Int64() != int64(d.ParameterCount()) {
				t.Errorf("the guard counts %v parameters, the arena %d", exact, d.ParameterCount())
			}
			for i, p := range d.Parameters() {
				if p.Decayed != (p.Offset < d.DecayedCount()) {
					t.Errorf("parameter %d, decayed %t, at %d of %d decayed", i, p.Decayed, p.Offset, d.DecayedCount())
				}
			}
			if got := d.FLOPs(false); got != c.flops {
				t.Errorf("%d FLOPs forward, want %d", got, c.flops)
			}
			first := 2 * int64(5*4)
			if got := d.FLOPs(true); got != 3*c.flops-first {
				t.Errorf("%d FLOPs in training, want %d", got, 3*c.flops-first)
			}
		})
	}
}

// TestWhichLayersHaveNormAndDropout: the output layer and a separate code have
// neither; a last hidden layer that serves as the code keeps them.
func TestWhichLayersHaveNormAndDropout(t *testing.T) {
	for code, want := range map[int][]bool{0: {true, true, true, false}, 2: {true, true, false, true, true, false}} {
		d := mustNew(t, Config{Features: 5, Hidden: []int{4, 3}, Code: code, Norm: "layer", Dropout: 0.5, Likelihood: "gaussian"})
		for i, l := range d.layers {
			if (l.norm == normLayer) != want[i] || l.dropout != want[i] || l.plain() == want[i] {
				t.Errorf("with code %d, %s has norm %s and dropout %t, want %t", code, l.name, l.norm, l.dropout, want[i])
			}
		}
	}
}

// TestInitialWeights compares the draws with the variance of each rule and, for
// the uniform ones, with their bound.
func TestInitialWeights(t *testing.T) {
	const in, out = 150, 100
	for _, c := range []struct {
		init, activation string
		variance         float64
		uniform          bool
	}{
		{"glorot-uniform", "relu", 2.0 / (in + out), true},
		{"glorot-normal", "relu", 2.0 / (in + out), false},
		{"he-uniform", "tanh", 2.0 / in, true},
		{"he-normal", "tanh", 2.0 / in, false},
		{"lecun-uniform", "relu", 1.0 / in, true},
		{"lecun-normal", "relu", 1.0 / in, false},
		{"auto", "relu", 2.0 / in, true},
		{"auto", "softplus", 2.0 / in, true},
		{"auto", "tanh", 2.0 / (in + out), true},
		{"auto", "sigmoid", 16 * 2.0 / (in + out), true},
	} {
		d := mustNew(t, Config{Features: in, Hidden: []int{out}, Activation: c.activation, Init: c.init, Likelihood: "gaussian"})
		values := d.InitialParameters(3)
		weights := values[:in*out]
		var mean, square, largest float64
		for _, w := range weights {
			mean += float64(w) / (in * out)
			square += float64(w) * float64(w) / (in * out)
			largest = max(largest, math.Abs(float64(w)))
		}
		// Five standard errors: of the mean √(v/n), of the variance at most v·√(2/n).
		if math.Abs(mean) > 5*math.Sqrt(c.variance/(in*out)) || math.Abs(square-c.variance) > 5*c.variance*math.Sqrt(2.0/(in*out)) {
			t.Errorf("%s for %s: mean %g, variance %g, want 0 and %g", c.init, c.activation, mean, square, c.variance)
		}
		if bound := math.Sqrt(3 * c.variance); c.uniform != (largest <= bound*1.0001) || largest < 0.99*bound {
			t.Errorf("%s for %s: largest weight %g, bound %g", c.init, c.activation, largest, bound)
		}
		for _, b := range values[d.DecayedCount():] {
			if b != 0 {
				t.Fatalf("a bias starts at %v", b)
			}
		}
	}
}

// TestInitialWeightsAreKeyedByLayerAndUnit: other layers and seeds draw other
// numbers, and a unit's weights do not depend on how many units there are.
func TestInitialWeightsAreKeyedByLayerAndUnit(t *testing.T) {
	config := Config{Features: 9, Hidden: []int{9, 9}, Init: "lecun-normal", Likelihood: "gaussian"}
	d := mustNew(t, config)
	a, b := d.InitialParameters(1), d.InitialParameters(2)
	if !equal32(a, d.InitialParameters(1)) {
		t.Error("the same seed drew other weights")
	}
	for i := range d.DecayedCount() {
		if a[i] == b[i] {
			t.Fatalf("two seeds drew the same weight %d", i)
		}
	}
	if equal32(a[:81], a[81:162]) {
		t.Error("two layers drew the same weights")
	}
	config.Hidden[0] = 20
	if wide := mustNew(t, config).InitialParameters(1); !equal32(a[:81], wide[:81]) {
		t.Error("a unit's weights depend on the number of units")
	}
	n := mustNew(t, Config{Features: 4, Hidden: []int{3}, Norm: "batch", Likelihood: "gaussian"})
	if got := n.InitialBuffers(); !reflect.DeepEqual(got, []float32{0, 0, 0, 1, 1, 1}) {
		t.Errorf("running statistics start at %v", got)
	}
	gain := slice(n.InitialParameters(1), n.parameters[n.slots[0].gain])
	if !reflect.DeepEqual(gain, []float32{1, 1, 1}) {
		t.Errorf("gains start at %v", gain)
	}
}

// TestBytesIsWhatBindAllocates counts the elements of every allocation.
func TestBytesIsWhatBindAllocates(t *testing.T) {
	for _, training := range []bool{false, true} {
		d := mustNew(t, Config{Features: 6, Fields: []int{2, 4}, Hidden: []int{4}, Code: 3, Activation: "gelu", Norm: "batch", Dropout: 0.1,
			Likelihood: "categorical", Corruption: "swap:0.1", Replicates: 2})
		counting := &countingDevice{Device: reference.New()}
		b := Binding{Examples: 7, Training: training}
		if _, err := Bind(counting, d, b); err != nil {
			t.Fatal(err)
		}
		if got := d.Bytes(b); got != 4*counting.elements {
			t.Errorf("training %t: Bytes says %d, Bind allocates %d", training, got, 4*counting.elements)
		}
	}
}
