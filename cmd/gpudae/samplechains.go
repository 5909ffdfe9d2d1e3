package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/sample"
	"gpudae/train"
)

// Defaults and bounds of Markov chains.
const (
	defaultSteps    = 100
	defaultStepSize = 0.1 // of Langevin dynamics, as a multiple of σ²
	stableStepSize  = 4   // beyond which it is not stable anywhere
	startData       = "data"
	startNoise      = "noise"
	// A gaussian likelihood whose σ differs from the error of reconstruction by
	// more than this factor is worth a word.
	spreadFactor = 2
)

func chainFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "data", Category: "Data", Usage: "`DATA` examples to start from", DefaultText: "those of training"},
		&cli.IntFlag{Name: "burn-in", Category: "Chains", Usage: "`B` steps of each chain before those of --steps", Value: defaultSteps},
		&cli.StringFlag{Name: "start", Category: "Chains", Usage: "`START` where chains start: data (examples) or noise (uniform over the range of the data)", Value: startData, DefaultText: startData},
		&cli.BoolFlag{Name: "denoise", Category: "Chains", Usage: "write the reconstruction E[x|h] of each sample in its place"},
		&cli.Float64Flag{Name: "spread", Category: "Chains", Usage: "`S` walkback: σ of p(x|h) in place of that of a gaussian likelihood", DefaultText: "the likelihood's"},
		&cli.Float64Flag{Name: "step-size", Category: "Chains", Usage: fmt.Sprintf("`E` langevin and annealed-langevin: ε as a multiple of σ², below %d", stableStepSize),
			DefaultText: fmt.Sprintf("%g, annealed %g", defaultStepSize, annealedStepSize)},
		sigmaFlag(),
	}
}

// chainPlan is how Markov chains are to run.
type chainPlan struct {
	steps, burnIn   int
	start           string
	denoise         bool
	spread          float64      // 0: the likelihood's
	noise, stepSize float64      // of Langevin dynamics
	in              *examination // data to start from and to swap with, or nil
	trace           *sample.Trace
}

func (p *program) chainsOf(c *cli.Context, o *inferenceOptions, saved *train.Saved, s *sampling) (*chainPlan, error) {
	plan := &chainPlan{steps: defaultSteps, burnIn: c.Int("burn-in"), start: c.String("start"), denoise: c.Bool("denoise")}
	if c.IsSet("steps") {
		plan.steps = c.Int("steps")
	}
	var err error
	if s.chain.NeedsScore {
		err = plan.fitLangevin(c, saved)
	} else {
		err = plan.fitWalkback(c, o, saved)
	}
	if err != nil {
		return nil, err
	}
	plan.in, err = p.examplesFor(c, o, saved, s, plan)
	return plan, err
}

func (plan *chainPlan) fitLangevin(c *cli.Context, saved *train.Saved) (err error) {
	if plan.noise, err = scoreNoise(c, saved); err != nil {
		return err
	}
	multiple, err := stepSize(c, defaultStepSize)
	plan.stepSize = multiple * plan.noise * plan.noise
	return err
}

// stepSize is ε/σ² of Langevin dynamics.
func stepSize(c *cli.Context, otherwise float64) (float64, error) {
	if !c.IsSet("step-size") {
		return otherwise, nil
	}
	multiple := c.Float64("step-size")
	if !(multiple > 0 && multiple < stableStepSize) {
		return 0, usage("--step-size", fmt.Sprintf("%g is out of range", multiple), fmt.Sprintf("give a number above 0 and below %d such as %g", stableStepSize, otherwise))
	}
	return multiple, nil
}

func (plan *chainPlan) fitWalkback(c *cli.Context, o *inferenceOptions, saved *train.Saved) (err error) {
	if saved.DAE.IsScoreModel() {
		return usage("--method", "walkback draws from p(x|h), which a model of score matching does not have", "leave it out, or choose "+methodLangevin+" or "+methodAnnealed)
	}
	plan.spread, err = spreadOf(c, o, saved)
	return err
}

// spreadOf is the σ that replaces that of a gaussian likelihood, or 0.
func spreadOf(c *cli.Context, o *inferenceOptions, saved *train.Saved) (float64, error) {
	likelihood := saved.DAE.Likelihood()
	if c.IsSet("spread") {
		if likelihood.Kind != device.Gaussian {
			return 0, usage("--spread", "the likelihood is "+likelihood.String()+", whose spread is not fixed", "leave it out")
		}
		return positive(c, "spread", "0.1")
	}
	if rms := math.Sqrt(saved.Row.ValMSE); likelihood.Kind == device.Gaussian && rms > 0 &&
		(likelihood.Sigma > spreadFactor*rms || likelihood.Sigma < rms/spreadFactor) {
		o.console.logf("sample: p(x|h) has σ = %g, while reconstructions err by %.3g: consider --spread %.3g, or train with --likelihood gaussian-learned", likelihood.Sigma, rms, rms)
	}
	return 0, nil
}

// examplesFor reads the data where chains start in them, or where the corruption
// takes values from them; otherwise it returns nil.
func (p *program) examplesFor(c *cli.Context, o *inferenceOptions, saved *train.Saved, s *sampling, plan *chainPlan) (*examination, error) {
	swaps := !s.chain.NeedsScore && saved.DAE.Corruption().Swaps()
	if plan.start == startNoise && !swaps {
		return nil, nil
	}
	in, err := p.loadExamples(c, saved, o)
	if err != nil {
		return nil, err
	}
	exam := &examination{table: in.table, rows: device.Rows{Hi: in.table.Rows}}
	if in.same {
		exam.rows = saved.Split.Training()
	}
	return exam, nil
}

func (s *sampling) runChains(ctx context.Context, dev device.Device, saved *train.Saved, emit func([]float32) error) error {
	plan := s.chains
	net, src, err := saved.Bind(dev, min(inferenceBatch, s.number))
	if err != nil {
		return err
	}
	features := saved.DAE.Config().Features
	plan.trace = sample.NewTrace(s.number, features, plan.burnIn, plan.steps, src.Seed)
	chains := sample.Chains{Net: net, Steps: plan.burnIn + plan.steps, Observe: s.observe, Given: s.given.values(),
		Spread: plan.spread, Noise: plan.noise, StepSize: plan.stepSize}
	if plan.in != nil {
		if src.Data, err = dev.Load(ctx, plan.in.table); err != nil {
			return err
		}
		src.Part = plan.in.rows
	}
	chains.Source = src
	if plan.start == startData {
		chains.Start = startsFrom(plan.in, s.number)
	} else {
		chains.Start = sample.StartFromNoise(saved.DAE, saved.Scaler.Low, saved.Scaler.High, s.number, src.Seed)
	}
	minibatches := (s.number + net.Rows() - 1) / net.Rows()
	s.console.start(int64(minibatches) * int64(chains.Steps))
	states, err := s.chain.Run(ctx, chains)
	s.console.stop()
	if err != nil {
		return err
	}
	if plan.denoise {
		means, err := net.Denoise(ctx, tensor.New(tensor.WithShape(s.number, features), tensor.WithBacking(states)))
		if err != nil {
			return err
		}
		states = data.Float32s(means)
	}
	return emit(states)
}

// observe records the states and moves the bar on.
func (s *sampling) observe(step, first int, x []float32) error {
	s.tick()
	return s.chains.trace.Observe(step, first, x)
}

// tick moves the bar on.
func (s *sampling) tick() {
	if bar := s.console.bar; bar != nil {
		bar.Add(1)
	}
}

// startsFrom are as many rows as there are chains, over again if need be.
func startsFrom(in *examination, chains int) []float32 {
	rows := rowsOf(in.table, in.rows, chains).Values
	start := make([]float32, 0, chains*in.table.Columns)
	for len(start) < chains*in.table.Columns {
		start = append(start, rows[:min(len(rows), chains*in.table.Columns-len(start))]...)
	}
	return start
}

// How to keep chains from diverging.
const (
	remedyWalkback = "train with bounded units such as --activation tanh, or take fewer steps from data"
	remedyStepSize = "lower --step-size"
	remedyDescent  = "give a lower --sigma-max or more --steps, or train for longer"
)

// remedy is that of a sampler whose states diverge.
func (s sampler) remedy() string {
	switch s.name {
	case methodWalkback:
		return remedyWalkback
	case methodLangevin, methodAnnealed:
		return remedyStepSize
	}
	return remedyDescent
}

// chainError says how to keep what diverged from it.
func chainError(err error, where, remedy string) error {
	var diverged *sample.DivergedError
	if !errors.As(err, &diverged) {
		return err
	}
	return &failure{code: exitDiverged, where: where, problem: err.Error(), remedy: remedy, err: err}
}

// chainJSON is how chains ran, and what their diagnosis is.
type chainJSON struct {
	Start           string   `json:"start"`
	Steps           int      `json:"steps"`
	BurnIn          int      `json:"burn_in"`
	Sigma           *float64 `json:"sigma,omitempty"`
	StepSize        *float64 `json:"step_size,omitempty"`
	Chains          int      `json:"diagnosed_chains"`
	ESS             number   `json:"ess"`
	RHat            number   `json:"rhat"`
	Autocorrelation []number `json:"autocorrelation"`
}

func (plan *chainPlan) json(s *sampling) *chainJSON {
	d := plan.trace.Diagnose()
	result := &chainJSON{Start: plan.start, Steps: plan.steps, BurnIn: plan.burnIn,
		Chains: d.Chains, ESS: number(d.ESS), RHat: number(d.RHat), Autocorrelation: []number{}}
	if s.chain.NeedsScore {
		result.Sigma, result.StepSize = &plan.noise, &plan.stepSize
	}
	for _, rho := range d.Autocorrelation {
		result.Autocorrelation = append(result.Autocorrelation, number(rho))
	}
	return result
}

func (plan *chainPlan) text(s *sampling) string {
	d := plan.trace.Diagnose()
	text := fmt.Sprintf("%s from %s: %s of %s after a burn-in of %d\n", s.name, plan.start, count(s.number, "chain"), count(plan.steps, "step"), plan.burnIn)
	text += fmt.Sprintf("effective sample size %s of %d states, R̂ %s", number(math.Round(d.ESS)), d.Chains*d.Steps, number(d.RHat).short())
	for _, lag := range []int{1, 10} {
		if lag <= len(d.Autocorrelation) {
			text += fmt.Sprintf(", autocorrelation %s at lag %d", number(d.Autocorrelation[lag-1]).short(), lag)
		}
	}
	return text + "\n"
}

// short writes three decimals, or a dash where there is no number.
func (n number) short() string {
	if v := float64(n); !math.IsNaN(v) {
		return fmt.Sprintf("%.3f", v)
	}
	return "-"
}
