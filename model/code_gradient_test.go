package model

import (
	"fmt"
	"math"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
)

func pointer(x float64) *float64 { return &x }

// codeConfig is a net with a stochastic code.
func codeConfig(distribution string) Config {
	return Config{Features: 5, Hidden: []int{6}, Code: 3, Activation: "tanh", Likelihood: "gaussian:0.7", Corruption: "masking:0.3+gaussian:0.2",
		CodeDistribution: distribution}
}

// TestGradientOfStochasticCodes differentiates the bounds, with the noise of the
// code held fixed as all noise is. A Bernoulli code is a step of its logits; see
// TestStraightThrough.
func TestGradientOfStochasticCodes(t *testing.T) {
	cases := map[string]Config{}
	add := func(name, distribution string, change func(*Config)) {
		c := codeConfig(distribution)
		change(&c)
		cases[name+"/"+distribution] = c
	}
	for _, distribution := range []string{"gaussian", "concrete", "concrete:0.2"} {
		add("plain", distribution, func(c *Config) { c.Corruption = "none" })
		add("corrupted", distribution, func(*Config) {})
		for _, beta := range []float64{0, 0.3, 4} {
			add(fmt.Sprintf("beta=%v", beta), distribution, func(c *Config) { c.Beta = &beta })
		}
		add("warm-up", distribution, func(c *Config) { c.Beta, c.BetaWarmup = pointer(2.5), 7 })
		add("code alone", distribution, func(c *Config) { c.Hidden = nil })
		add("last hidden layer", distribution, func(c *Config) { c.Hidden, c.Code, c.Norm, c.Dropout = []int{7, 4}, 0, "batch", 0.3 })
		add("norm and dropout", distribution, func(c *Config) { c.Norm, c.Dropout, c.Replicates = "layer", 0.2, 3 })
		add("emphasis", distribution, func(c *Config) { c.Corruption, c.Emphasis = "masking:0.5", Emphasis{1, 0.2} })
		for _, likelihood := range []string{"bernoulli", "gaussian-learned:0.05", "categorical", "poisson"} {
			add(likelihood, distribution, func(c *Config) {
				c.Likelihood, c.Corruption = likelihood, "swap:0.4"
				if likelihood == "categorical" {
					c.Fields = []int{2, 3}
				}
			})
		}
	}
	add("tied", "concrete", func(c *Config) { c.Tied = true })
	for _, samples := range []int{1, 2, 5} {
		add(fmt.Sprintf("importance=%d", samples), "gaussian", func(c *Config) { c.Importance = samples })
		add(fmt.Sprintf("importance=%d, plain", samples), "gaussian", func(c *Config) { c.Importance, c.Corruption, c.Likelihood = samples, "none", "bernoulli" })
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { checkGradient(t, c) })
	}
}

// TestGradientOfWalkback: the states of the chain are data, which no gradient
// passes. Drawn from discrete distributions they stay put under a small change.
func TestGradientOfWalkback(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"deterministic":  func(*Config) {},
		"replicates":     func(c *Config) { c.Replicates = 2 },
		"norm":           func(c *Config) { c.Norm, c.Activation = "layer", "silu" },
		"tied":           func(c *Config) { c.Tied = true },
		"poisson":        func(c *Config) { c.Likelihood = "poisson" },
		"categorical":    func(c *Config) { c.Likelihood, c.Corruption, c.Fields = "categorical", "swap:0.5", []int{2, 3} },
		"gaussian code":  func(c *Config) { c.CodeDistribution, c.BetaWarmup = "gaussian", 5 },
		"concrete code":  func(c *Config) { c.CodeDistribution, c.Beta = "concrete", pointer(0.5) },
		"three stages":   func(c *Config) { c.Corruption = "salt-and-pepper:0.2+masking:0.1+gaussian:0.1" },
		"no corruption":  func(c *Config) { c.Corruption = "none" },
		"without a code": func(c *Config) { c.Code, c.Hidden = 0, []int{4} },
	} {
		c := codeConfig("")
		c.Likelihood, c.Walkback = "bernoulli", 4
		change(&c)
		t.Run(name, func(t *testing.T) { checkGradient(t, c) })
	}
}

// heldDevice is a reference device on which what is drawn in the first
// evaluation of a loss stays what it was: the states of chains, and the codes of
// Bernoulli units, of which the probabilities' change is added.
type heldDevice struct {
	*reference.Device
	draws, codes, params [][]float64
	draw, code           int // of this evaluation
}

func (d *heldDevice) begin() { d.draw, d.code = 0, 0 }

func clone(v device.View) []float64 { return append([]float64(nil), reference.Float64s(v)...) }

func (d *heldDevice) Draw(a device.DrawArgs) {
	if d.draw == len(d.draws) {
		d.Device.Draw(a)
		d.draws = append(d.draws, clone(a.Out))
	}
	copy(reference.Float64s(a.Out), d.draws[d.draw])
	d.draw++
}

func (d *heldDevice) SampleCode(a device.SampleCodeArgs) {
	d.Device.SampleCode(a)
	if a.Kind != device.CodeBernoulli {
		return
	}
	if d.code == len(d.codes) {
		d.codes, d.params = append(d.codes, clone(a.Code)), append(d.params, clone(a.Params))
	}
	h, logits := reference.Float64s(a.Code), reference.Float64s(a.Params)
	for i := range h {
		h[i] = d.codes[d.code][i] + logistic(logits[i]) - logistic(d.params[d.code][i])
	}
	d.code++
}

func logistic(a float64) float64 { return 1 / (1 + math.Exp(-a)) }

// TestStraightThrough: the gradient that passes a Bernoulli unit straight
// through is that of the loss in which its draw moves as its probability does
// (Bengio, Léonard and Courville 2013, section 4).
func TestStraightThrough(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"corrupted": func(*Config) {},
		"plain":     func(c *Config) { c.Corruption = "none" },
		"beta":      func(c *Config) { c.Beta, c.BetaWarmup = pointer(0.4), 7 },
		"tied":      func(c *Config) { c.Tied, c.Hidden = true, nil },
		"walkback":  func(c *Config) { c.Walkback = 3 },
	} {
		c := codeConfig("bernoulli")
		change(&c)
		t.Run(name, func(t *testing.T) {
			dev := &heldDevice{Device: reference.New()}
			checkGradientOn(t, dev, dev.begin, c)
		})
	}
}

// TestGradientOfWalkbackAmongNumbers: as TestGradientOfWalkback, for states that
// move with the parameters but are held.
func TestGradientOfWalkbackAmongNumbers(t *testing.T) {
	for _, likelihood := range []string{"gaussian:0.5", "gaussian-learned"} {
		c := codeConfig("gaussian")
		c.Likelihood, c.Walkback = likelihood, 3
		t.Run(likelihood, func(t *testing.T) {
			dev := &heldDevice{Device: reference.New()}
			checkGradientOn(t, dev, dev.begin, c)
		})
	}
}
