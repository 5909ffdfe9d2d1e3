package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/model"
	"gpudae/sample"
	"gpudae/train"
)

func (p *program) scoreCommand() *cli.Command {
	return &cli.Command{
		Name:      "score",
		Usage:     "estimate the gradient of the log density",
		ArgsUsage: "MODEL IN -o OUT",
		Description: `Writes the score (r(x) - x)/σ² of each example, which estimates ∇ log p at x: p is
the density of the data after Gaussian noise σ, that of training, and tends to
the density of the data for small σ. A score model (train --objective dsm) takes
any --sigma. A model trained under another corruption has no such meaning, unless
--sigma says what to divide by.

With --posterior, OUT holds for each example x the mean and then the variances of
the clean example given that x is it after noise σ, by Tweedie's formula: E = r(x)
and the diagonal of σ²·∂r/∂x. Of a learned r a variance may come out negative.

Numbers are in the scale of the data: where training scaled a column, x = a + b·z,
its score is that of z divided by b, its variance multiplied by b². σ is in the
scale of training, as in --corruption gaussian:σ.

Examples:
  gpudae train two-moons --preset toy -o runs/moons
  gpudae score runs/moons two-moons -o score.npy
  gpudae train two-moons --preset score -o runs/score
  gpudae score runs/score two-moons --sigma 0.5 --posterior -o posterior.csv`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write: .npy, .csv or .tsv, also with .gz or .zst, .npz, .parquet or .safetensors"},
			sigmaFlag(),
			&cli.BoolFlag{Name: "posterior", Category: "Score", Usage: "write mean and variances of the clean example instead"},
			&cli.IntFlag{Name: "probes", Category: "Score", Usage: "`N` random vectors that estimate the variances, 0: exact, which takes one a feature", DefaultText: fmt.Sprintf("0 up to %d features, otherwise %[1]d", exactFeatures)},
		}, inferenceFlags()...),
		Action: p.score,
	}
}

// sigmaFlag sets the σ of a score.
func sigmaFlag() cli.Flag {
	return &cli.Float64Flag{Name: "sigma", Category: "Score", Usage: "`S` standard deviation of the noise, in the scale of training", DefaultText: "that of training, of several levels the least"}
}

func (p *program) score(c *cli.Context) error {
	if c.IsSet("probes") && !c.Bool("posterior") {
		return usage("--probes", "nothing is estimated without --posterior", "add that, or leave it out")
	}
	o, saved, out, err := p.inferenceTo(c, "MODEL", "IN")
	if err != nil {
		return err
	}
	sigma, err := scoreNoise(c, saved)
	if err != nil {
		return err
	}
	o.noteNoise("score", saved, sigma)
	d, err := p.openFor(c.Context, saved, o.input, o.reading)
	if err != nil {
		return err
	}
	defer d.Close()
	if c.Bool("posterior") {
		return p.posterior(c, o, saved, d, out, sigma)
	}
	info := d.Info()
	array := data.ArrayInfo{Rows: info.Rows, Shape: info.Shape, Element: data.Float32, Columns: info.Columns}
	err = o.stream(c.Context, saved, d, out, array, func(net *model.Net, _ model.Source, x *tensor.Dense) (*tensor.Dense, error) {
		s, err := sample.Score(c.Context, net, x, sigma)
		if err == nil {
			unscaleScore(s, saved.Scaler)
		}
		return s, err
	})
	if err != nil {
		return err
	}
	return p.printWrote(o, out, array)
}

// scoreNoise is the σ of a score.
func scoreNoise(c *cli.Context, saved *train.Saved) (float64, error) {
	if saved.DAE.IsScoreModel() || c.Bool("posterior") {
		return knownNoise(c, saved)
	}
	if c.IsSet("sigma") {
		return positive(c, "sigma", "0.5")
	}
	sigma, ok := sample.NoiseOf(saved.DAE.Corruption())
	if !ok {
		return 0, usage(c.Args().First(), "trained under "+saved.DAE.Corruption().String()+", not under Gaussian noise alone, so its reconstructions give no score",
			"train with --corruption gaussian:0.5, or say with --sigma what noise to take it for")
	}
	return sigma, nil
}

// knownNoise is the σ that --sigma names, by default the least that the model
// was trained under; it must be one that the model knows.
func knownNoise(c *cli.Context, saved *train.Saved) (float64, error) {
	levels := saved.DAE.NoiseLevels()
	if len(levels) == 0 {
		return 0, usage(c.Args().First(), "trained under "+saved.DAE.Corruption().String()+", not under Gaussian noise alone", "train with --objective dsm or --corruption gaussian:0.5")
	}
	if !c.IsSet("sigma") {
		return levels[0], nil
	}
	sigma, err := positive(c, "sigma", "0.5")
	if err == nil && !saved.DAE.KnowsNoise(sigma) {
		err = usage("--sigma", fmt.Sprintf("the model knows noise of σ = %g alone", levels[0]), "leave it out, or train with --objective dsm, whose models know many levels")
	}
	return sigma, err
}

// noteNoise says so where σ is not that of a model's training, whose scores are
// then those of another, or beyond the levels of a score model, which then
// extrapolates; far below them its float32 hardly tells r(x) from x.
func (o *inferenceOptions) noteNoise(command string, saved *train.Saved, sigma float64) {
	levels := saved.DAE.NoiseLevels()
	if len(levels) < 2 {
		if len(levels) == 1 && !saved.DAE.KnowsNoise(sigma) {
			o.console.logf("%s: trained under noise of σ = %.3g, and taken for a model of σ = %.3g", command, levels[0], sigma)
		}
		return
	}
	if low, high := levels[0], levels[len(levels)-1]; sigma < low || sigma > high {
		o.console.logf("%s: σ = %.3g lies outside of the noise that the model was trained on, from %.3g to %.3g", command, sigma, low, high)
	}
}

// exactFeatures bounds the features whose posterior variances are computed
// exactly by default, and is the number of probes beyond.
const exactFeatures = 64

// posterior writes mean and variances of the clean examples, [rows, 2, shape].
func (p *program) posterior(c *cli.Context, o *inferenceOptions, saved *train.Saved, d data.Dataset, out string, sigma float64) error {
	features, probes := d.Info().Features, c.Int("probes")
	if probes < 0 {
		return usage("--probes", fmt.Sprintf("%d is out of range", probes), "give 0 or a positive number")
	}
	if !c.IsSet("probes") && features > exactFeatures {
		probes = exactFeatures
	}
	info := d.Info()
	array := data.ArrayInfo{Rows: info.Rows, Shape: append([]int{2}, info.Shape...), Element: data.Float32, Columns: posteriorColumns(info.Columns)}
	first := 0
	err := o.stream(c.Context, saved, d, out, array, func(net *model.Net, _ model.Source, x *tensor.Dense) (*tensor.Dense, error) {
		rows := data.Float32s(x)
		mean, variance := make([]float32, len(rows)), make([]float32, len(rows))
		if err := sample.Posterior(c.Context, net, mean, variance, rows, sigma, probes, first, saved.Config.Seed); err != nil {
			return nil, err
		}
		first += len(rows) / features
		return besideVariances(mean, variance, saved.Scaler), nil
	})
	if err != nil {
		return err
	}
	return p.printWrote(o, out, array)
}

// besideVariances brings means and variances, both [rows, features], to the scale of
// the data and puts them into one row each: x = a + b·z has the variance b²·Var z.
func besideVariances(mean, variance []float32, scaler data.Scaler) *tensor.Dense {
	features := len(scaler.Low)
	var values []float32
	for i := 0; i < len(mean); i += features {
		for j := range features {
			v := float64(mean[i+j])
			if scaler.Kind != data.ScaleNone {
				v = scaler.Offset[j] + scaler.Scale[j]*v
			}
			values = append(values, float32(v))
		}
		for j := range features {
			v := float64(variance[i+j])
			if scaler.Kind != data.ScaleNone {
				v *= scaler.Scale[j] * scaler.Scale[j]
			}
			values = append(values, float32(v))
		}
	}
	return tensor.New(tensor.WithShape(len(mean)/features, 2*features), tensor.WithBacking(values))
}

// posteriorColumns names the columns of a posterior; nil if there are no names.
func posteriorColumns(columns []string) []string {
	var names []string
	for _, suffix := range []string{"_mean", "_variance"} {
		for _, name := range columns {
			names = append(names, name+suffix)
		}
	}
	return names
}

// maxPositive keeps squares and reciprocals of a flag's value within float32.
const maxPositive = 1e12

// positive is the value of a flag that must be a positive number.
func positive(c *cli.Context, flag, example string) (float64, error) {
	v := c.Float64(flag)
	if !(v > 0) {
		return 0, usage("--"+flag, fmt.Sprintf("%g is not a positive number", v), "give one such as "+example)
	}
	if v < 1/maxPositive || v > maxPositive {
		return 0, usage("--"+flag, fmt.Sprintf("%g is out of range", v), fmt.Sprintf("give a number from %g to %g such as %s", 1/maxPositive, maxPositive, example))
	}
	return v, nil
}

// unscaleScore brings scores from the scale of training to that of the data: of
// x = a + b·z the densities are p(x) = p(z)/Πb, so ∂ log p/∂x = (∂ log p/∂z)/b.
func unscaleScore(s *tensor.Dense, scaler data.Scaler) {
	if scaler.Kind == data.ScaleNone {
		return
	}
	values := data.Float32s(s)
	for i := range values {
		values[i] = float32(float64(values[i]) / scaler.Scale[i%len(scaler.Scale)])
	}
}
