package main

import (
	"context"
	"fmt"
	"math"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/sample"
	"gpudae/train"
)

// Defaults and bounds of likelihoods.
const (
	likelihoodSteps    = 40
	likelihoodProbes   = 8
	mostProbes         = 10_000
	exactTraceFeatures = 32 // for which the trace is exact unless told otherwise
	traceExact         = "exact"
	traceHutchinson    = "hutchinson"
)

func (p *program) likelihoodCommand() *cli.Command {
	return &cli.Command{
		Name:      "likelihood",
		Usage:     "compute log p(x) of examples by a model of score matching",
		ArgsUsage: "MODEL IN [-o OUT]",
		Description: `Prints the mean of log p(x) in nats, and writes that of each example to OUT. p is
the density of the samples that the model's probability flow draws (Song et al.
2021), smoothed by the least noise level, in the scale of the data: where training
scaled a column, x = a + b·z, ln b is taken off. MODEL was trained with
--objective dsm at several noise levels.

The trace of a Jacobian is needed at every step: exact takes as many passes as
there are features, hutchinson estimates it, without bias, from --probes.

Examples:
  gpudae train two-moons --objective dsm -o runs/score
  gpudae likelihood runs/score two-moons:n=500,seed=7 -o logp.npy`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write: .npy, .csv or .tsv, also with .gz or .zst, .npz, .parquet or .safetensors", DefaultText: "none"},
			&cli.StringFlag{Name: "trace", Category: "Flow", Usage: "`TRACE` of the Jacobian: exact or hutchinson", DefaultText: fmt.Sprintf("exact up to %d features", exactTraceFeatures)},
			&cli.IntFlag{Name: "probes", Category: "Flow", Usage: "`K` random vectors of hutchinson", Value: likelihoodProbes},
			&cli.IntFlag{Name: "steps", Category: "Flow", Usage: "`N` steps of the Runge-Kutta method from the least σ to the greatest", Value: likelihoodSteps},
			&cli.Float64Flag{Name: "sigma-min", Category: "Flow", Usage: "`S` the least σ, in the scale of training", DefaultText: "the model's"},
			&cli.Float64Flag{Name: "sigma-max", Category: "Flow", Usage: "`S` the greatest σ", DefaultText: "the model's"},
			&cli.Uint64Flag{Name: "seed", Category: "Flow", Usage: "`N` of the probes", DefaultText: "the run's"},
		}, inferenceFlags()...),
		Action: p.likelihood,
	}
}

func (p *program) likelihood(c *cli.Context) error {
	if err := arguments(c, "MODEL", "IN"); err != nil {
		return err
	}
	out := c.String("out")
	if c.IsSet("out") {
		if _, err := outputFile(c); err != nil {
			return err
		}
	}
	o, saved, err := p.inference(c)
	if err != nil {
		return err
	}
	flow, err := flowOf(c, saved)
	if err != nil {
		return err
	}
	d, err := p.openFor(c.Context, saved, o.input, o.reading)
	if err != nil {
		return err
	}
	defer d.Close()
	var w *data.ArrayWriter
	if out != "" {
		if w, err = data.CreateArray(out, data.ArrayInfo{Rows: d.Info().Rows, Shape: []int{1}, Element: data.Float32, Columns: []string{"log_p"}}); err != nil {
			return err
		}
		defer w.Abort()
	}
	sum, err := o.logLikelihood(c.Context, saved, d, flow, w)
	if err != nil {
		return chainError(err, "likelihood", "give a lower --sigma-max or more --steps, or train for longer")
	}
	if w != nil {
		if err := w.Commit(); err != nil {
			return err
		}
	}
	return p.printLikelihood(o, out, sum, saved.Schema.Features, flow)
}

func flowOf(c *cli.Context, saved *train.Saved) (sample.Flow, error) {
	levels := saved.DAE.NoiseLevels()
	if len(levels) < 2 {
		return sample.Flow{}, usage(c.Args().First(), "the model does not know several noise levels, along which a likelihood is computed", "train with --objective dsm")
	}
	f := sample.Flow{SigmaMin: levels[0], SigmaMax: levels[len(levels)-1], Steps: c.Int("steps"), Together: inferenceBatch, Seed: saved.Config.Seed}
	for flag, value := range map[string]*float64{"sigma-min": &f.SigmaMin, "sigma-max": &f.SigmaMax} {
		if !c.IsSet(flag) {
			continue
		}
		var err error
		if *value, err = positive(c, flag, "1"); err != nil {
			return f, err
		}
	}
	if !(f.SigmaMax > f.SigmaMin) {
		return f, usage("--sigma-max", fmt.Sprintf("%g is not above the least level, %g", f.SigmaMax, f.SigmaMin), "give a greater one, or a smaller --sigma-min")
	}
	if c.IsSet("seed") {
		f.Seed = c.Uint64("seed")
	}
	if f.Steps < 1 || f.Steps > mostSteps {
		return f, usage("--steps", fmt.Sprintf("%d is out of range", f.Steps), fmt.Sprintf("give 1 to %d", mostSteps))
	}
	probes := c.Int("probes")
	if probes < 1 || probes > mostProbes {
		return f, usage("--probes", fmt.Sprintf("%d is out of range", probes), fmt.Sprintf("give 1 to %d", mostProbes))
	}
	switch trace := c.String("trace"); {
	case trace == traceExact && c.IsSet("probes"):
		return f, usage("--probes", "has no meaning for an exact trace", "leave it out or choose --trace "+traceHutchinson)
	case trace == traceHutchinson, trace == "" && (c.IsSet("probes") || saved.Schema.Features > exactTraceFeatures):
		f.Probes = probes
	case trace != traceExact && trace != "":
		return f, usage("--trace", "unknown trace "+quoted(trace), "choose "+traceExact+" or "+traceHutchinson)
	}
	return f, nil
}

// logLikelihood computes log p(x) of all rows, a range at a time, and writes it to w
// unless that is nil.
func (o *inferenceOptions) logLikelihood(ctx context.Context, saved *train.Saved, d data.Dataset, f sample.Flow, w *data.ArrayWriter) (moments, error) {
	var sum moments
	rows, shift := d.Info().Rows, logScale(saved.Scaler)
	err := o.onDevice(func(dev device.Device) error {
		net, _, err := saved.Bind(dev, min(inferenceBatch, rows))
		if err != nil {
			return err
		}
		f.Observe = func() {
			if bar := o.console.bar; bar != nil {
				bar.Add(1)
			}
		}
		o.console.start(int64(f.Steps) * int64((rows+inferenceBatch-1)/inferenceBatch))
		defer o.console.stop()
		return eachRange(ctx, d, &saved.Scaler, func(z *tensor.Dense) error {
			logs, err := sample.LogLikelihood(ctx, net, data.Float32s(z), f)
			if err != nil {
				return err
			}
			f.First += len(logs)
			values := make([]float32, len(logs))
			for i, log := range logs {
				sum.add(log - shift)
				values[i] = float32(log - shift)
			}
			if w == nil {
				return nil
			}
			return w.Append(ctx, tensor.New(tensor.WithShape(len(values), 1), tensor.WithBacking(values)))
		})
	})
	return sum, err
}

// moments are those of numbers that come one by one (Welford 1962).
type moments struct {
	count  int
	mean   float64
	square float64 // Σ(v - mean)²
}

func (m *moments) add(v float64) {
	m.count++
	before := v - m.mean
	m.mean += before / float64(m.count)
	m.square += before * (v - m.mean)
}

// logScale is what ln p(x) falls short of ln p(z) by, x = a + b·z: Σ ln b.
func logScale(s data.Scaler) float64 {
	sum := 0.0
	for _, b := range s.Scale {
		sum += math.Log(b)
	}
	return sum
}

// flowJSON is the result of likelihood.
type flowJSON struct {
	Out            string  `json:"out,omitempty"`
	Rows           int     `json:"rows"`
	LogP           number  `json:"log_p"`          // mean, nats
	StandardError  number  `json:"standard_error"` // of that mean
	BitsPerFeature number  `json:"bits_per_feature"`
	SigmaMin       float64 `json:"sigma_min"`
	SigmaMax       float64 `json:"sigma_max"`
	Steps          int     `json:"steps"`
	Trace          string  `json:"trace"`
	Probes         int     `json:"probes,omitempty"`
}

func (p *program) printLikelihood(o *inferenceOptions, out string, logs moments, features int, f sample.Flow) error {
	n, mean := float64(logs.count), logs.mean
	trace, how := traceExact, "exact trace"
	if f.Probes > 0 {
		trace, how = traceHutchinson, "trace from "+count(f.Probes, "probe")
	}
	result := flowJSON{out, logs.count, number(mean), number(math.Sqrt(logs.square / (n * (n - 1)))), number(-mean / math.Ln2 / float64(features)),
		f.SigmaMin, f.SigmaMax, f.Steps, trace, f.Probes}
	if o.json {
		return p.printJSON(result)
	}
	text := ""
	if out != "" {
		text = fmt.Sprintf("%s: [%d 1]\n", out, logs.count)
	}
	return p.printText(text + fmt.Sprintf("log p(x): %.4f ± %s nats an example of %d, %.4f bits a feature\nσ from %s to %s in %s, %s\n", mean, result.StandardError.short(),
		logs.count, -mean/math.Ln2/float64(features), number(f.SigmaMin), number(f.SigmaMax), count(f.Steps, "step"), how))
}
