package main

import (
	"context"
	"fmt"
	"math"
	"slices"
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
.gz or .zst, .npz, .parquet, .arrow or .safetensors, or folder/ for PNG images, which have the
names of the input's. Numbers are in the scale of the data (8-bit images: 0 to 1); only
an IDX file of an 8-bit input, and images, hold 8-bit numbers again.

Examples:
  gpudae denoise runs/mine noisy.npy -o clean.npy
  gpudae denoise runs/mine digits --corrupt masking:0.5 -o clean.idx.gz
  gpudae denoise runs/photos noisy -o clean/
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
	switch {
	case c.IsSet("corrupt") && saved.DAE.Corruption().Swaps():
		return p.denoiseSwapped(c.Context, o, saved, d, out)
	case c.IsSet("corrupt"):
		first := 0
		return p.denoiseBy(c.Context, o, saved, d, out, func(net *model.Net, src model.Source, x *tensor.Dense) (*tensor.Dense, error) {
			first += x.Shape()[0]
			return net.DenoiseCorrupted(c.Context, src, first-x.Shape()[0], x)
		})
	}
	return p.denoiseBy(c.Context, o, saved, d, out, func(net *model.Net, _ model.Source, x *tensor.Dense) (*tensor.Dense, error) {
		return net.Denoise(c.Context, x)
	})
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
	return p.denoiseBy(c.Context, o, saved, d, out, func(net *model.Net, _ model.Source, x *tensor.Dense) (*tensor.Dense, error) {
		rows := data.Float32s(x)
		clean := make([]float32, len(rows))
		return tensor.New(tensor.WithShape(x.Shape()...), tensor.WithBacking(clean)), net.DenoiseAt(c.Context, clean, rows, sigma)
	})
}

// denoiseBy writes what denoise makes of the rows, a block at a time, in the form of
// the input.
func (p *program) denoiseBy(ctx context.Context, o *inferenceOptions, saved *train.Saved, d data.Dataset, out string,
	denoise func(*model.Net, model.Source, *tensor.Dense) (*tensor.Dense, error)) error {
	f := formOf(saved, d.Info(), out)
	f.array.Files = data.FileNames(d)
	err := o.stream(ctx, saved, d, out, f.array, func(net *model.Net, src model.Source, x *tensor.Dense) (*tensor.Dense, error) {
		y, err := denoise(net, src, x)
		if err != nil {
			return nil, err
		}
		return f.apply(y)
	})
	if err != nil {
		return err
	}
	return p.printWrote(o, out, f.array)
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

// denoiseSwapped corrupts the rows first. All of them go to the device, since a
// swap's donor may be any of them.
func (p *program) denoiseSwapped(ctx context.Context, o *inferenceOptions, saved *train.Saved, d data.Dataset, out string) error {
	f := formOf(saved, d.Info(), out)
	f.array.Files = data.FileNames(d)
	w, err := data.CreateArray(out, f.array)
	if err != nil {
		return err
	}
	defer w.Abort()
	matrix, err := data.Table(ctx, d, &saved.Scaler)
	if err != nil {
		return err
	}
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
			return f.append(ctx, w, slices.Clone(b.Reconstructed))
		})
		return err
	})
	if err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	return p.printWrote(o, out, f.array)
}

// form is how rows of a model are written: in the scale and the shape of the input,
// and for an IDX file of an 8-bit input and for images in 8 bits.
type form struct {
	array data.ArrayInfo
	saved *train.Saved
	scale float32 // of 8-bit values
}

func formOf(saved *train.Saved, info data.Info, out string) form {
	f := form{data.ArrayInfo{Rows: info.Rows, Shape: info.Shape, Element: data.Float32, Columns: info.Columns}, saved, info.Scale}
	if info.Element != data.Uint8 {
		f.scale = 1.0 / math.MaxUint8 // images of numbers from 0 to 1
	}
	if data.IsFolder(out) || info.Element == data.Uint8 && isIDX(out) {
		f.array.Element = data.Uint8
	}
	return f
}

// apply brings rows in the scale of training, [rows, features], to that form.
func (f form) apply(y *tensor.Dense) (*tensor.Dense, error) {
	y, err := f.saved.Scaler.Invert(y)
	if err == nil && f.array.Element == data.Uint8 {
		y = data.Narrow(y, f.scale)
	}
	return y, err
}

// append writes rows [rows, features] in the scale of training, a block at a time.
func (f form) append(ctx context.Context, w *data.ArrayWriter, rows []float32) error {
	width := f.saved.DAE.Config().Features
	for block := range slices.Chunk(rows, rowsAtATime*width) {
		y, err := f.apply(tensor.New(tensor.WithShape(len(block)/width, width), tensor.WithBacking(block)))
		if err != nil {
			return err
		}
		if err := w.Append(ctx, y); err != nil {
			return err
		}
	}
	return nil
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
