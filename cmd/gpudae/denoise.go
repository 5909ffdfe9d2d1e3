package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

func (p *program) denoiseCommand() *cli.Command {
	return &cli.Command{
		Name:      "denoise",
		Usage:     "reconstruct examples from corrupted ones",
		ArgsUsage: "MODEL IN -o OUT",
		Description: `Writes E[x|h] with h = f(x̃), or the mean of a stochastic code: the input is taken as
the corrupted x̃, unless --corrupt is given. A score model (train --objective dsm) is told by --sigma how
strong the Gaussian noise in it is. MODEL is a run folder or a model.safetensors; IN is a file, a
built-in name or - for standard input; OUT is .npy, .csv, .tsv or .idx, also with
.gz or .zst, .npz, .parquet or .safetensors. Numbers are in the scale of the data (8-bit images: 0 to 1); only
an IDX file of an 8-bit input holds 8-bit numbers again.

Examples:
  gpudae denoise runs/mine noisy.npy -o clean.npy
  gpudae denoise runs/mine digits --corrupt masking:0.5 -o clean.idx.gz
  gpudae denoise runs/score noisy.npy --sigma 0.3 -o clean.npy
  cat noisy.csv | gpudae denoise runs/mine - -o clean.csv`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write"},
			&cli.StringFlag{Name: "corrupt", Category: "Data", Usage: "`SPEC` corrupt the input first, e.g. masking:0.25"},
			&cli.Uint64Flag{Name: "seed", Category: "Data", Usage: "`N` of the noise", DefaultText: "the run's"},
			&cli.Float64Flag{Name: "sigma", Category: "Data", Usage: "`S` standard deviation of the noise in the input, in the scale of training", DefaultText: "that of training, if it is one"},
		}, inferenceFlags()...),
		Action: p.denoise,
	}
}

func (p *program) denoise(c *cli.Context) error {
	o, saved, out, err := p.inferenceTo(c, "MODEL", "IN")
	if err != nil {
		return err
	}
	if saved.Columns != nil {
		if c.IsSet("sigma") || c.IsSet("corrupt") {
			return usage("denoise", "a table of mixed columns is taken as it is", "leave --sigma and --corrupt out; eval measures under a corruption")
		}
		return p.denoiseTable(c.Context, o, saved, out)
	}
	if c.IsSet("sigma") || saved.DAE.IsScoreModel() {
		return p.denoiseAt(c, o, saved, out)
	}
	if c.IsSet("corrupt") {
		if err := recorrupt(saved, c.String("corrupt"), "--corrupt"); err != nil {
			return err
		}
	}
	if c.IsSet("seed") {
		saved.Config.Seed = c.Uint64("seed")
	}
	d, err := p.openFor(c.Context, saved, o.input, o.reading)
	if err != nil {
		return err
	}
	defer d.Close()
	reconstruct := o.reconstruct
	if c.IsSet("corrupt") {
		reconstruct = o.reconstructCorrupted
	}
	y, err := reconstruct(c.Context, saved, d)
	if err != nil {
		return err
	}
	return p.writeAsInput(c.Context, o, saved, d.Info(), out, y)
}

// denoiseAt takes the input for data with Gaussian noise of --sigma.
func (p *program) denoiseAt(c *cli.Context, o *inferenceOptions, saved *train.Saved, out string) error {
	if levels := saved.DAE.NoiseLevels(); len(levels) > 1 && !c.IsSet("sigma") {
		return usage(o.model, fmt.Sprintf("it knows noise from σ = %.3g to %.3g", levels[0], levels[len(levels)-1]), "say with --sigma how strong it is in the input")
	}
	if c.IsSet("corrupt") {
		return usage("--corrupt", "with --sigma and for score models the input is taken as it is", "leave it out")
	}
	sigma, err := knownNoise(c, saved)
	if err != nil {
		return err
	}
	o.noteNoise("denoise", saved, sigma)
	d, err := p.openFor(c.Context, saved, o.input, o.reading)
	if err != nil {
		return err
	}
	defer d.Close()
	y, err := o.stream(c.Context, saved, d, func(net *model.Net, x *tensor.Dense) (*tensor.Dense, error) {
		rows := data.Float32s(x)
		clean := make([]float32, len(rows))
		return tensor.New(tensor.WithShape(x.Shape()...), tensor.WithBacking(clean)), net.DenoiseAt(c.Context, clean, rows, sigma)
	})
	if err != nil {
		return err
	}
	return p.writeAsInput(c.Context, o, saved, d.Info(), out, y)
}

// writeAsInput writes reconstructions in the form of the input.
func (p *program) writeAsInput(ctx context.Context, o *inferenceOptions, saved *train.Saved, info data.Info, out string, y *tensor.Dense) error {
	y, err := asInput(y, saved, info, out)
	if err != nil {
		return err
	}
	if err := data.Write(ctx, out, y, info.Columns); err != nil {
		return err
	}
	return p.printWrote(o, out, y)
}

// recorrupt gives a model another corruption process.
func recorrupt(saved *train.Saved, spec, where string) error {
	config := saved.DAE.Config()
	config.Corruption = spec
	config.Emphasis = model.Emphasis{}
	dae, err := model.New(config)
	if err != nil {
		return located(err, settings.Origins{"corruption": where})
	}
	saved.DAE = dae
	return nil
}

// reconstruct reads the rows as corrupted ones.
func (o *inferenceOptions) reconstruct(ctx context.Context, saved *train.Saved, d data.Dataset) (*tensor.Dense, error) {
	return o.stream(ctx, saved, d, func(net *model.Net, x *tensor.Dense) (*tensor.Dense, error) { return net.Denoise(ctx, x) })
}

// reconstructCorrupted corrupts the rows first. All of them go to the device,
// since a swap's donor may be any of them.
func (o *inferenceOptions) reconstructCorrupted(ctx context.Context, saved *train.Saved, d data.Dataset) (*tensor.Dense, error) {
	matrix, err := data.Table(ctx, d, &saved.Scaler)
	if err != nil {
		return nil, err
	}
	values := make([]float32, 0, matrix.Rows*matrix.Columns)
	err = o.onDevice(func(dev device.Device) error {
		net, src, err := saved.Bind(dev, min(inferenceBatch, matrix.Rows))
		if err != nil {
			return err
		}
		if src.Data, err = dev.Load(ctx, tableOf(matrix)); err != nil {
			return err
		}
		src.Part = device.Rows{Hi: matrix.Rows}
		_, err = net.EvaluateEach(ctx, src, func(b model.Batch) error {
			values = append(values, b.Reconstructed...)
			return nil
		})
		return err
	})
	return tensor.New(tensor.WithShape(matrix.Rows, matrix.Columns), tensor.WithBacking(values)), err
}

// asInput brings reconstructions to the scale and the shape of the input, and
// for an IDX file of an 8-bit input to its type.
func asInput(y *tensor.Dense, saved *train.Saved, info data.Info, out string) (*tensor.Dense, error) {
	y, err := saved.Scaler.Invert(y)
	if err != nil {
		return nil, err
	}
	if info.Element == data.Uint8 && isIDX(out) {
		y = data.Narrow(y, info.Scale)
	}
	return y, y.Reshape(append([]int{info.Rows}, info.Shape...)...)
}

// isIDX reports whether a file of that name is written as IDX.
func isIDX(path string) bool {
	name := data.TrimCompression(strings.ToLower(path))
	for _, suffix := range []string{".idx", ".idx1", ".idx3", "-ubyte"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
