package main

import (
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
the density of the data for small σ. A model trained under another corruption has
no such meaning, unless --sigma says what to divide by.

Numbers are in the scale of the data: where training scaled a column, x = a + b·z,
its component is that of z divided by b. σ is in the scale of training, as in
--corruption gaussian:σ.

Examples:
  gpudae train two-moons --preset toy -o runs/moons
  gpudae score runs/moons two-moons -o score.npy`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write: .npy, .csv or .tsv, .gz after it compresses"},
			sigmaFlag(),
		}, inferenceFlags()...),
		Action: p.score,
	}
}

// sigmaFlag sets the σ of a score.
func sigmaFlag() cli.Flag {
	return &cli.Float64Flag{Name: "sigma", Category: "Score", Usage: "`S` standard deviation of the noise, in the scale of training", DefaultText: "that of the corruption"}
}

func (p *program) score(c *cli.Context) error {
	if err := arguments(c, "MODEL", "IN"); err != nil {
		return err
	}
	out, err := outputFile(c)
	if err != nil {
		return err
	}
	o, saved, err := p.inference(c)
	if err != nil {
		return err
	}
	sigma, err := scoreNoise(c, saved)
	if err != nil {
		return err
	}
	d, err := p.openFor(c.Context, saved, o.input, o.reading)
	if err != nil {
		return err
	}
	defer d.Close()
	s, err := o.stream(c.Context, saved, d, func(net *model.Net, x *tensor.Dense) (*tensor.Dense, error) {
		return sample.Score(c.Context, net, x, sigma)
	})
	if err != nil {
		return err
	}
	unscaleScore(s, saved.Scaler)
	if err := s.Reshape(append([]int{d.Info().Rows}, d.Info().Shape...)...); err != nil {
		return err
	}
	if err := data.Write(c.Context, out, s, d.Info().Columns); err != nil {
		return err
	}
	return p.printWrote(o, out, s)
}

// scoreNoise is the σ by which a score divides.
func scoreNoise(c *cli.Context, saved *train.Saved) (float64, error) {
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

// maxPositive keeps squares and reciprocals of a flag's value within float32.
const maxPositive = 1e12

// positive is the value of a flag that must be a positive number.
func positive(c *cli.Context, flag, example string) (float64, error) {
	v := c.Float64(flag)
	if !(v >= 1/maxPositive && v <= maxPositive) {
		return 0, usage("--"+flag, number(v).String()+" is not a positive number", "give one such as "+example)
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
