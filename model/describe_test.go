package model

import (
	"context"
	"math"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
)

// TestLayersDescribeTheParameters: the layers' own parameters are all there
// are, and each layer's weight has the shape that its description says.
func TestLayersDescribeTheParameters(t *testing.T) {
	for name, c := range map[string]Config{
		"plain":         {Features: 6, Hidden: []int{5, 4}, Likelihood: "bernoulli"},
		"code":          {Features: 6, Hidden: []int{5}, Code: 2, CodeActivation: "identity", Norm: "layer", Likelihood: "gaussian"},
		"tied":          {Features: 6, Hidden: []int{5, 4}, Tied: true, Norm: "batch", Likelihood: "gaussian"},
		"two parameter": {Features: 6, Hidden: []int{5}, Dropout: 0.5, Likelihood: "gaussian-learned"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			shapes := map[string][2]int{}
			for _, p := range d.Parameters() {
				shapes[p.Name] = [2]int{p.Rows, p.Columns}
			}
			total, in := 0, c.Features
			layers := d.Layers()
			for i, l := range layers {
				total += l.Parameters
				owner, shape := l.Name, [2]int{l.Out, l.In}
				if l.Tied != "" {
					owner, shape = l.Tied, [2]int{l.In, l.Out}
				}
				if got := shapes[owner+".weight"]; got != shape {
					t.Errorf("%s: weight %v, want %v", l.Name, got, shape)
				}
				if _, normed := shapes[l.Name+".norm.weight"]; normed != (l.Norm != "none") {
					t.Errorf("%s: norm %s", l.Name, l.Norm)
				}
				if l.In != in {
					t.Errorf("layer %d takes %d units of %d", i, l.In, in)
				}
				in = l.Out
			}
			if total != d.ParameterCount() {
				t.Errorf("%d parameters in the layers, %d in the model", total, d.ParameterCount())
			}
			depth := len(d.EncoderWidths())
			if layers[depth-1].Out != d.CodeWidth() || layers[len(layers)-1].Activation != device.Identity {
				t.Errorf("code of %d units, output layer %s", layers[depth-1].Out, layers[len(layers)-1].Activation)
			}
		})
	}
}

// TestConditioningDescribesTheDenoiser: what is told of a score model suffices
// to compute how D depends on σ where F is 0.
func TestConditioningDescribesTheDenoiser(t *testing.T) {
	d, err := New(Config{Features: 1, Hidden: []int{2}, Objective: ObjectiveDSM, Score: Score{Noise: "geometric:min=0.5,max=2,levels=3", SigmaData: 2, Embedding: "positional:width=4"}})
	if err != nil {
		t.Fatal(err)
	}
	c := d.Conditioning()
	if c.Parameterization != "edm" || c.SigmaData != 2 || !c.ByLevel || len(c.Frequencies) != 2 || len(c.Levels) != 3 || c.Levels[1] != 1 {
		t.Fatalf("%+v", c)
	}
	net, err := Bind(reference.New(), d, Binding{Examples: 1}) // parameters of 0
	if err != nil {
		t.Fatal(err)
	}
	got := []float32{3}
	if err := net.DenoiseAt(context.Background(), got, got, 1.5); err != nil {
		t.Fatal(err)
	}
	if want := 3 * 4 / (1.5*1.5 + 4); math.Abs(float64(got[0])-want) > 1e-6 {
		t.Errorf("D = %v, want c_skip·x̃ = %v", got[0], want)
	}
	if plain, err := New(Config{Features: 1, Hidden: []int{2}, Likelihood: "gaussian"}); err != nil || plain.Conditioning() != nil {
		t.Errorf("a model without noise levels is described by %+v, %v", plain.Conditioning(), err)
	}
}
