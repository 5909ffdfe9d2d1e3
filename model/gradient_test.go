package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
)

// TestGradientAgreesWithFiniteDifferences differentiates the whole objective,
// corruption and dropout included (their draws are functions of the clock, so
// they stay put), by central differences in float64. Elements are taken from
// every parameter. The rectifiers' kinks are measure zero: a difference that
// steps over one would show as a failure, and the seeds are fixed.
func TestGradientAgreesWithFiniteDifferences(t *testing.T) {
	base := Config{Features: 5, Hidden: []int{6, 4}, Code: 3, Activation: "tanh", Likelihood: "gaussian:0.7", Corruption: "masking:0.3+gaussian:0.2"}
	cases := map[string]Config{}
	add := func(name string, change func(*Config)) {
		c := base
		change(&c)
		cases[name] = c
	}
	for _, act := range device.Activations() {
		for _, tied := range []bool{false, true} {
			for _, norm := range normKinds() {
				for _, dropout := range []float64{0, 0.3} {
					add(fmt.Sprintf("%s/tied=%t/norm=%s/dropout=%v", act, tied, norm, dropout), func(c *Config) {
						c.Activation, c.Tied, c.Norm, c.Dropout = act.String(), tied, norm.String(), dropout
					})
				}
			}
		}
	}
	for _, likelihood := range []string{"bernoulli", "gaussian:0.3", "gaussian-learned:0.05", "categorical", "poisson"} {
		for _, emphasis := range []Emphasis{{}, {1, 0.2}, {0, 1}} {
			for _, k := range []int{1, 3} {
				add(fmt.Sprintf("%s/emphasis=%v/k=%d", likelihood, emphasis, k), func(c *Config) {
					c.Likelihood, c.Emphasis, c.Replicates, c.Corruption = likelihood, emphasis, k, "swap:0.4"
					if likelihood == "categorical" {
						c.Fields = []int{2, 3}
					}
				})
			}
		}
	}
	add("no separate code", func(c *Config) { c.Code, c.Norm, c.Dropout = 0, "batch", 0.2 })
	add("code alone", func(c *Config) { c.Hidden, c.CodeActivation = nil, "sigmoid" })
	add("a decoder of other layers", func(c *Config) { c.DecoderHidden, c.Norm, c.Dropout = "7,2,3", "layer", 0.2 })
	add("a decoder of its output alone", func(c *Config) { c.DecoderHidden = DecoderBare })
	add("replicated dropout", func(c *Config) { c.Replicates, c.Dropout = 3, 0.4 })
	add("plain auto-encoder", func(c *Config) { c.Corruption = "none" })
	add("salt-and-pepper, poisson, speckle, uniform", func(c *Config) { c.Corruption = "salt-and-pepper:0.2+poisson:9+speckle:0.1+uniform:0.1" })
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { checkGradient(t, c) })
	}
}

const (
	gradientExamples  = 5
	elementsPerTensor = 3
	differenceStep    = 1e-5
	gradientTolerance = 1e-5 // relative
)

func checkGradient(t *testing.T, c Config) {
	checkGradientOn(t, reference.New(), func() {}, c)
}

// checkGradientOn is checkGradient on a device that is told before each
// evaluation of the loss, the first of which is where the gradient is taken.
func checkGradientOn(t *testing.T, dev device.Device, before func(), c Config) {
	net := bound(t, dev, c, gradientExamples+2)
	random := rand.New(rand.NewPCG(3, 4))
	params := reference.Float64s(net.Params)
	for i := range params { // biases and gains too leave their initial values
		params[i] += 0.3 * random.NormFloat64()
	}
	values := uniform(5, 12*c.Features)
	if len(c.Fields) > 0 {
		values = oneHot(5, 12, c.Fields)
	}
	if len(c.Columns) > 0 {
		values = mixedRows(5, 12, c.Columns)
	}
	src := sourceOf(t, dev, values, net.Features(), device.Clock{Step: 3, Cursor: 2})
	src.Shuffle = true
	src.Target = targetsOf(t, dev, c, 12)
	loss := func() float64 {
		before()
		if err := net.SetStep(3); err != nil { // as the clock says
			t.Fatal(err)
		}
		net.Gradient(src, gradientExamples)
		return reference.Float64s(net.Values)[0]
	}
	loss()
	gradient := append([]float64(nil), reference.Float64s(net.Grads)...)
	checkValues(t, net, gradient)

	scale := 0.0
	for _, g := range gradient {
		scale = max(scale, math.Abs(g))
	}
	if scale == 0 {
		t.Fatal("the gradient is zero")
	}
	for _, p := range net.dae.Parameters() {
		for range elementsPerTensor {
			i := p.Offset + random.IntN(p.Len())
			saved := params[i]
			params[i] = saved + differenceStep
			above := loss()
			params[i] = saved - differenceStep
			below := loss()
			params[i] = saved
			numeric := (above - below) / (2 * differenceStep)
			if difference := math.Abs(numeric - gradient[i]); difference > gradientTolerance*max(math.Abs(numeric), 1e-3*scale) {
				t.Errorf("%s[%d]: gradient %.10g, by differences %.10g", p.Name, i-p.Offset, gradient[i], numeric)
			}
		}
	}
}

// checkValues recomputes the reductions from what they reduce.
func checkValues(t *testing.T, net *Net, gradient []float64) {
	t.Helper()
	square := 0.0
	for _, g := range gradient {
		square += g * g
	}
	if got := reference.Float64s(net.GradSq())[0]; math.Abs(got-square) > 1e-12*square {
		t.Errorf("Σ grad² = %g, want %g", got, square)
	}
	losses := net.losses.Top(gradientExamples * net.dae.resolved.rowsOfExample())
	if net.dae.Config().Importance > 0 {
		losses = net.code.bounds.Top(gradientExamples)
	}
	mean := 0.0
	for _, l := range reference.Float64s(losses) {
		mean += l / float64(losses.Rows)
	}
	// The factor 1/rows is a float32.
	if got := reference.Float64s(net.MeanLoss())[0]; math.Abs(got-mean) > 1e-7*math.Abs(mean) {
		t.Errorf("mean loss %g, want %g", got, mean)
	}
}
