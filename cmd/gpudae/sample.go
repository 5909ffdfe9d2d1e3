package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/sample"
	"gpudae/train"
)

// Defaults and bounds of sampling.
const (
	defaultSamples  = 64
	defaultSteps    = 100
	mostSamples     = 10_000_000
	mostSteps       = 1_000_000
	defaultStepSize = 0.1 // of Langevin dynamics, as a multiple of σ²
	stableStepSize  = 4   // beyond which it is not stable anywhere
	startData       = "data"
	startNoise      = "noise"
	// A gaussian likelihood whose σ differs from the error of reconstruction by
	// more than this factor is worth a word.
	spreadFactor = 2
)

func (p *program) sampleCommand() *cli.Command {
	methods := grid{}
	for _, m := range sample.Samplers() {
		methods.add(m.Name, m.Formula)
	}
	return &cli.Command{
		Name:      "sample",
		Usage:     "draw new examples from a model",
		ArgsUsage: "MODEL -n N -o OUT",
		Description: `Runs N independent Markov chains and writes their last states. METHOD is one of:
` + indent(methods.left()) + `
walkback takes any model; langevin one trained under Gaussian noise, or --sigma. The
effective sample size and R̂ (1 when the chains have forgotten their starts) tell
whether --burn-in and --steps are enough.

Examples:
  gpudae sample runs/mine -n 100 -o samples.npy
  gpudae sample runs/mine -n 100 --denoise -o means.idx.gz
  gpudae sample runs/moons -n 2000 --method langevin --steps 1000 -o moons.csv`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write: .npy, .csv, .tsv or .idx, .gz after it compresses"},
			&cli.StringFlag{Name: "data", Category: "Data", Usage: "`DATA` examples to start from", DefaultText: "those of training"},
			&cli.IntFlag{Name: "number", Aliases: []string{"n"}, Category: "Sampling", Usage: "`N` samples, each the end of a chain", Value: defaultSamples},
			&cli.StringFlag{Name: "method", Category: "Sampling", Usage: "`METHOD` sampler", Value: sample.Samplers()[0].Name, DefaultText: sample.Samplers()[0].Name},
			&cli.IntFlag{Name: "steps", Category: "Sampling", Usage: "`K` steps of each chain that the diagnosis looks at", Value: defaultSteps},
			&cli.IntFlag{Name: "burn-in", Category: "Sampling", Usage: "`B` steps of each chain before those", Value: defaultSteps},
			&cli.StringFlag{Name: "start", Category: "Sampling", Usage: "`START` where chains start: data (examples) or noise (uniform over the range of the data)", Value: startData, DefaultText: startData},
			&cli.Uint64Flag{Name: "seed", Category: "Sampling", Usage: "`N` of the draws", DefaultText: "the run's"},
			&cli.BoolFlag{Name: "denoise", Category: "Sampling", Usage: "write the reconstruction E[x|h] of each sample in its place"},
			&cli.Float64Flag{Name: "spread", Category: "Sampling", Usage: "`S` walkback: σ of p(x|h) in place of that of a gaussian likelihood", DefaultText: "the likelihood's"},
			&cli.Float64Flag{Name: "step-size", Category: "Sampling", Usage: "`E` langevin: ε as a multiple of σ², below 4", Value: defaultStepSize, DefaultText: number(defaultStepSize).String()},
			sigmaFlag(),
		}, inferenceFlags()...),
		Action: p.sample,
	}
}

// sampling is what the flags of sample ask for.
type sampling struct {
	method          sample.Method
	number          int
	steps, burnIn   int
	start           string
	denoise         bool
	spread          float64 // 0: the likelihood's
	noise, stepSize float64 // of Langevin dynamics
	trace           *sample.Trace
	console         *console
}

func (p *program) sample(c *cli.Context) error {
	if err := arguments(c, "MODEL"); err != nil {
		return err
	}
	out, err := outputFile(c)
	if err != nil {
		return err
	}
	s, err := samplingOf(c)
	if err != nil {
		return err
	}
	o, saved, err := p.inference(c)
	if err != nil {
		return err
	}
	if c.IsSet("seed") {
		saved.Config.Seed = c.Uint64("seed")
	}
	s.console = o.console
	if err := s.fit(c, saved); err != nil {
		return err
	}
	in, err := p.examplesFor(c, o, saved, s)
	if err != nil {
		return err
	}
	var states *tensor.Dense
	err = o.onDevice(func(dev device.Device) error {
		states, err = s.run(c.Context, dev, saved, in)
		return err
	})
	if err != nil {
		return chainError(err, "sample", s.method)
	}
	info := saved.Schema
	info.Rows = s.number
	if states, err = asInput(states, saved, info, out); err != nil {
		return err
	}
	if err := data.Write(c.Context, out, states, info.Columns); err != nil {
		return err
	}
	return p.printSampled(o, s, out, states)
}

// samplingOf reads the flags that need no model.
func samplingOf(c *cli.Context) (*sampling, error) {
	s := &sampling{number: c.Int("number"), steps: c.Int("steps"), burnIn: c.Int("burn-in"), start: c.String("start"), denoise: c.Bool("denoise")}
	for _, bound := range []struct {
		flag             string
		value, low, most int
	}{{"number", s.number, 1, mostSamples}, {"steps", s.steps, 1, mostSteps}, {"burn-in", s.burnIn, 0, mostSteps}} {
		if bound.value < bound.low || bound.value > bound.most {
			return nil, usage("--"+bound.flag, fmt.Sprintf("%d is out of range", bound.value), fmt.Sprintf("give %d to %d", bound.low, bound.most))
		}
	}
	if s.start != startData && s.start != startNoise {
		return nil, usage("--start", "unknown start "+quoted(s.start), "choose data or noise")
	}
	var names []string
	for _, m := range sample.Samplers() {
		if m.Name == c.String("method") {
			s.method = m
			return s, nil
		}
		names = append(names, m.Name)
	}
	name := c.String("method")
	return nil, usage("--method", "unknown method "+quoted(name), settings.Suggest(name, names, "")+"choose one of "+strings.Join(names, ", "))
}

// fit reads the flags that depend on the model and the method.
func (s *sampling) fit(c *cli.Context, saved *train.Saved) (err error) {
	for flag, needsScore := range map[string]bool{"sigma": true, "step-size": true, "spread": false} {
		if c.IsSet(flag) && needsScore != s.method.NeedsScore {
			return usage("--"+flag, "has no meaning for "+s.method.Name, "leave it out or choose another --method")
		}
	}
	if s.method.NeedsScore {
		if s.noise, err = scoreNoise(c, saved); err != nil {
			return err
		}
		multiple := c.Float64("step-size")
		if !(multiple > 0 && multiple < stableStepSize) {
			return usage("--step-size", number(multiple).String()+" is out of range", fmt.Sprintf("give a number above 0 and below %d such as %g", stableStepSize, defaultStepSize))
		}
		s.stepSize = multiple * s.noise * s.noise
		return nil
	}
	likelihood := saved.DAE.Likelihood()
	if c.IsSet("spread") {
		if likelihood.Kind != device.Gaussian {
			return usage("--spread", "the likelihood is "+likelihood.String()+", whose spread is not fixed", "leave it out")
		}
		s.spread, err = positive(c, "spread", "0.1")
		return err
	}
	if rms := math.Sqrt(saved.Row.ValMSE); likelihood.Kind == device.Gaussian && rms > 0 &&
		(likelihood.Sigma > spreadFactor*rms || likelihood.Sigma < rms/spreadFactor) {
		s.console.logf("sample: p(x|h) has σ = %g, while reconstructions err by %.3g: consider --spread %.3g, or train with --likelihood gaussian-learned", likelihood.Sigma, rms, rms)
	}
	return nil
}

// examplesFor reads the data where chains start in them, or where the corruption
// takes values from them; otherwise it returns nil.
func (p *program) examplesFor(c *cli.Context, o *inferenceOptions, saved *train.Saved, s *sampling) (*examination, error) {
	swaps := !s.method.NeedsScore && saved.DAE.Corruption().Uses(device.CorruptSwap)
	if s.start == startNoise && !swaps {
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

// run returns the samples in the scale of training.
func (s *sampling) run(ctx context.Context, dev device.Device, saved *train.Saved, in *examination) (*tensor.Dense, error) {
	net, src, err := saved.Bind(dev, min(inferenceBatch, s.number))
	if err != nil {
		return nil, err
	}
	features := saved.DAE.Config().Features
	s.trace = sample.NewTrace(s.number, features, s.burnIn, s.steps, src.Seed)
	chains := sample.Chains{Net: net, Steps: s.burnIn + s.steps, Observe: s.observe, Spread: s.spread, Noise: s.noise, StepSize: s.stepSize}
	if in != nil {
		if src.Data, err = dev.Load(ctx, in.table); err != nil {
			return nil, err
		}
		src.Part = in.rows
	}
	chains.Source = src
	if s.start == startData {
		chains.Start = startsFrom(in, s.number)
	} else {
		chains.Start = sample.StartFromNoise(saved.DAE, saved.Scaler.Low, saved.Scaler.High, s.number, src.Seed)
	}
	minibatches := (s.number + net.Rows() - 1) / net.Rows()
	s.console.start(int64(minibatches) * int64(chains.Steps))
	states, err := s.method.Run(ctx, chains)
	s.console.stop()
	if err != nil {
		return nil, err
	}
	x := tensor.New(tensor.WithShape(s.number, features), tensor.WithBacking(states))
	if s.denoise {
		return net.Denoise(ctx, x)
	}
	return x, nil
}

// observe records the states and moves the bar on.
func (s *sampling) observe(step, first int, x []float32) error {
	if bar := s.console.bar; bar != nil {
		bar.Add(1)
	}
	return s.trace.Observe(step, first, x)
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

// chainError says how to keep the chains of a method from diverging.
func chainError(err error, where string, m sample.Method) error {
	var diverged *sample.DivergedError
	if !errors.As(err, &diverged) {
		return err
	}
	remedy := "train with bounded units such as --activation tanh, or take fewer steps from data"
	if m.NeedsScore {
		remedy = "lower --step-size"
	}
	return &failure{code: exitDiverged, where: where, problem: err.Error(), remedy: remedy, err: err}
}

// sampledJSON is the result of sample.
type sampledJSON struct {
	wrote
	Method          string   `json:"method"`
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

func (p *program) printSampled(o *inferenceOptions, s *sampling, out string, states *tensor.Dense) error {
	d := s.trace.Diagnose()
	if !o.json {
		text := fmt.Sprintf("%s: %v\n%s from %s: %s of %s after a burn-in of %d\n", out, []int(states.Shape()),
			s.method.Name, s.start, count(s.number, "chain"), count(s.steps, "step"), s.burnIn)
		text += fmt.Sprintf("effective sample size %s of %d states, R̂ %s", number(math.Round(d.ESS)), d.Chains*d.Steps, number(d.RHat).short())
		for _, lag := range []int{1, 10} {
			if lag <= len(d.Autocorrelation) {
				text += fmt.Sprintf(", autocorrelation %s at lag %d", number(d.Autocorrelation[lag-1]).short(), lag)
			}
		}
		return p.printText(text + "\n")
	}
	result := sampledJSON{wrote: wrote{out, states.Shape()}, Method: s.method.Name, Start: s.start, Steps: s.steps, BurnIn: s.burnIn,
		Chains: d.Chains, ESS: number(d.ESS), RHat: number(d.RHat), Autocorrelation: []number{}}
	if s.method.NeedsScore {
		result.Sigma, result.StepSize = &s.noise, &s.stepSize
	}
	for _, rho := range d.Autocorrelation {
		result.Autocorrelation = append(result.Autocorrelation, number(rho))
	}
	return p.printJSON(result)
}

// short writes three decimals, or a dash where there is no number.
func (n number) short() string {
	if v := float64(n); !math.IsNaN(v) {
		return fmt.Sprintf("%.3f", v)
	}
	return "-"
}
