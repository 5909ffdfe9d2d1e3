package model

import (
	"fmt"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/device"
)

// TestStackComposesItsParts: the stack's codes are the codes of codes, and its
// reconstruction is that of the lowest part from the codes that the parts above
// reconstruct.
func TestStackComposesItsParts(t *testing.T) {
	for name, dev := range devices(t) {
		for _, activation := range []string{"sigmoid", "tanh", "relu", "gelu"} {
			for _, tied := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/tied=%t", name, activation, tied), func(t *testing.T) {
					checkStack(t, dev, activation, tied)
				})
			}
		}
	}
}

func checkStack(t *testing.T, dev device.Device, activation string, tied bool) {
	widths := []int{5, 7, 4, 6}
	var parts []StackPart
	var nets []*Net
	for i := range 3 {
		c := Config{Features: widths[i], Hidden: []int{widths[i+1]}, Activation: activation, Tied: tied, Likelihood: CodeLikelihood(activation), Corruption: "masking:0.2"}
		if i == 0 {
			c.Likelihood = "bernoulli"
		}
		d := mustNew(t, c)
		part := StackPart{d, uniform(uint64(i), d.ParameterCount())}
		for j := range part.Params {
			part.Params[j] -= 0.5
		}
		parts, nets = append(parts, part), append(nets, inferring(t, dev, d, part.Params))
	}
	d, params, err := Stack(parts)
	if err != nil {
		t.Fatal(err)
	}
	net := inferring(t, dev, d, params)
	x := matrix(uniform(9, 4*5), 5)
	h := x
	for _, part := range nets {
		h = mustTensor(t)(part.Encode(t.Context(), h))
	}
	if got := mustTensor(t)(net.Encode(t.Context(), x)); !close32(got.Data().([]float32), h.Data().([]float32), 1e-6) {
		t.Errorf("codes %v, want %v", got, h)
	}
	for i := len(nets) - 1; i >= 0; i-- {
		h = mustTensor(t)(nets[i].Decode(t.Context(), h))
	}
	if got := mustTensor(t)(net.Denoise(t.Context(), x)); !close32(got.Data().([]float32), h.Data().([]float32), 1e-6) {
		t.Errorf("reconstruction %v, want %v", got, h)
	}
}

func inferring(t *testing.T, dev device.Device, d *DAE, params []float32) *Net {
	t.Helper()
	net, err := Bind(dev, d, Binding{Examples: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := net.SetParameters(params, nil); err != nil {
		t.Fatal(err)
	}
	return net
}

func mustTensor(t *testing.T) func(*tensor.Dense, error) *tensor.Dense {
	return func(x *tensor.Dense, err error) *tensor.Dense {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}

// TestStackRefusesWhatDoesNotFit.
func TestStackRefusesWhatDoesNotFit(t *testing.T) {
	part := func(c Config) StackPart {
		d := mustNew(t, c)
		return StackPart{d, d.InitialParameters(1)}
	}
	first := Config{Features: 5, Hidden: []int{4}, Activation: "sigmoid", Likelihood: "bernoulli"}
	second := Config{Features: 4, Hidden: []int{3}, Activation: "sigmoid", Likelihood: "bernoulli"}
	if _, _, err := Stack([]StackPart{part(first), part(second)}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"features":   func(c *Config) { c.Features = 6 },
		"activation": func(c *Config) { c.Activation = "relu" },
		"tied":       func(c *Config) { c.Tied = true },
		"norm":       func(c *Config) { c.Norm = "layer" },
		"layers":     func(c *Config) { c.Hidden = []int{3, 2} },
		"likelihood": func(c *Config) { c.Likelihood = "poisson" },
	} {
		c := second
		change(&c)
		if _, _, err := Stack([]StackPart{part(first), part(c)}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, _, err := Stack(nil); err == nil {
		t.Error("a stack of nothing")
	}
}
