// Package sample draws from what a denoising auto-encoder has learned: the
// Markov chain that corrupts and reconstructs in turn, Langevin dynamics along
// the score that a reconstruction gives, and what tells whether a chain has run
// for long enough.
//
// A sampler is one function of type Sampler, a file of its own and a row of
// Samplers. The network runs on the device of its Net; the draws that follow
// are made on the host from counter-based random words, so that a sample is a
// function of the model, the start and the seed: on the same device the bits
// repeat on any number of threads and at any size of minibatches.
//
// The package must not know files, data formats or any particular device.
package sample

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/model"
)

// Purposes of the draws of stream StreamDraw, in the coordinate Index.
const (
	indexLikelihood = iota // x ~ p(x|h)
	indexLangevin          // the noise of Langevin dynamics
	indexStart             // where chains start
	indexProjection        // what a trace looks at
	indexPrior             // where a descent starts
	indexDescent           // the noise of a descent
	indexGiven             // the noise of given features
	indexProbe             // the vectors that estimate a trace
	indexCode              // the codes that samples are decoded from
)

// Chains is what a sampler advances: independent chains, all by as many steps.
// Everything is in the scale in which the model was trained.
type Chains struct {
	Net    *model.Net
	Source model.Source // its seed; its data and part where the corruption swaps (see model.Net.Link)
	Start  []float32    // [chains, features]; not changed
	Steps  int
	// Observe, if it is not nil, is told the states x [rows, features] of the
	// chains from first on after every step, counted from 0. All steps of a
	// minibatch of chains come before those of the next. An error ends the run
	// and is returned.
	Observe func(step, first int, x []float32) error
	// Given, if it is not nil, holds features to values: they are put back after
	// every step, while the corruption takes them as it takes all others (Bengio,
	// Laufer, Alain and Yosinski 2014).
	Given *Given

	// Spread replaces the σ of a gaussian likelihood when x is drawn from it; 0
	// keeps it. Walkback only.
	Spread float64
	// Noise is the σ of the score, see Score. Langevin only.
	Noise float64
	// StepSize is ε. Langevin only.
	StepSize float64
}

// Sampler returns the chains' last states [chains, features]. It fails with
// *DivergedError, the context's error, or what the device reports.
type Sampler func(context.Context, Chains) ([]float32, error)

// Method is a row of the table of samplers.
type Method struct {
	Name, Formula, Source string
	NeedsScore            bool // whether Noise and StepSize must be set
	Run                   Sampler
}

// Samplers returns the table of samplers.
func Samplers() []Method {
	return []Method{
		{"walkback", "x̃ ~ C(x̃|x), then x ~ p(x|h), h = f(x̃)", "Bengio et al. 2013", false, Walkback},
		{"langevin", "x ← x + (ε/2)·s(x) + √ε·z, s(x) = (r(x) - x)/σ², z ~ N(0, I)", "Roberts and Tweedie 1996; Alain and Bengio 2014", true, Langevin},
	}
}

// DivergedError is a chain whose state left the range of float32.
type DivergedError struct {
	Chain, Step int // counted from 0
}

// Error implements error.
func (e *DivergedError) Error() string {
	return fmt.Sprintf("chain %d left the range of float32 in step %d", e.Chain+1, e.Step+1)
}

// advance runs the chains, as many at a time as the net has room for; link
// replaces the states x of the chains from first on by those after one step.
func (c *Chains) advance(ctx context.Context, link func(x []float32, first int, step uint32) error) ([]float32, error) {
	features := c.Net.DAE().Config().Features
	if len(c.Start) == 0 || len(c.Start)%features != 0 || c.Steps < 0 {
		return nil, fmt.Errorf("sampling: %d steps from %d numbers for chains of %d features", c.Steps, len(c.Start), features)
	}
	if err := c.Given.check(features); err != nil {
		return nil, err
	}
	states := slices.Clone(c.Start)
	c.Given.hold(states, features, 0)
	first := 0
	for x := range slices.Chunk(states, c.Net.Rows()*features) {
		for step := range c.Steps {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := link(x, first, uint32(step)); err != nil {
				return nil, fmt.Errorf("sampling: %w", err)
			}
			c.Given.hold(x, features, first)
			if err := checkFinite(x, features, first, step); err != nil {
				return nil, err
			}
			if c.Observe == nil {
				continue
			}
			if err := c.Observe(step, first, x); err != nil {
				return nil, err
			}
		}
		first += len(x) / features
	}
	return states, nil
}

func checkFinite(x []float32, features, first, step int) error {
	for i, v := range x {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return &DivergedError{Chain: first + i/features, Step: step}
		}
	}
	return nil
}

// StartFromNoise returns chains [chains, features] that start far from any
// data: every feature uniform between the column's extremes low and high, or,
// under a categorical likelihood, every field a category with equal odds.
func StartFromNoise(d *model.DAE, low, high []float32, chains int, seed uint64) []float32 {
	config := d.Config()
	states := make([]float32, chains*config.Features)
	key := philox.KeyOf(seed)
	for i := range chains {
		x := states[i*config.Features : (i+1)*config.Features]
		random := words{at: philox.Coordinates{Stream: philox.StreamDraw, Index: indexStart, Row: uint32(i)}, key: key}
		if d.Likelihood().Kind == device.Categorical {
			eachField(config.Fields, func(field, from, to int) {
				x[from+int(philox.Below(random.word(field), uint32(to-from)))] = 1
			})
			continue
		}
		for j := range x {
			x[j] = low[j] + float32(philox.Uniform(random.word(j))*(high[j]-low[j]))
		}
	}
	return states
}

// words are the random words of an example: word j is lane j mod 4 of block j/4.
type words struct {
	at     philox.Coordinates // without Block
	key    philox.Key
	block  [4]uint32
	filled bool
}

func (w *words) load(j int) {
	if block := uint32(j / 4); !w.filled || block != w.at.Block {
		w.at.Block, w.filled = block, true
		w.block = philox.Block(w.at.Counter(), w.key)
	}
}

func (w *words) word(j int) uint32 {
	w.load(j)
	return w.block[j%4]
}

func (w *words) normal(j int) float32 {
	w.load(j)
	return philox.NormalLane(w.block, j%4)
}

// eachField visits fields of the given widths with their columns from, ..., to-1.
func eachField(widths []int, visit func(field, from, to int)) {
	from := 0
	for field, width := range widths {
		visit(field, from, from+width)
		from += width
	}
}
