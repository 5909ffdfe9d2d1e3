package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/baseline"
	"gpudae/data"
	"gpudae/device/philox"
)

// baselineUseCommands use the file of a linear model.
func (p *program) baselineUseCommands() []*cli.Command {
	const smoothing = "`S` of the density after Gaussian noise of this standard deviation, in the scale of training"
	sigma := func(usage string) cli.Flag {
		return &cli.Float64Flag{Name: "sigma", Category: "Model", Usage: usage}
	}
	out := &cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write: .npy, .csv, .tsv or .idx, also with .gz or .zst, .npz, .parquet or .safetensors"}
	reading := append(readingFlags("that of the fit"), baselineOutputFlags()...)
	return []*cli.Command{
		{Name: "likelihood", Usage: "log likelihood of examples", ArgsUsage: "MODEL.json IN [-o OUT]", Action: p.baselineLikelihood,
			Flags: append([]cli.Flag{out, sigma(smoothing), missingFlag()}, reading...),
			Description: `Prints the mean of ln p(x) over the examples, in nats and in the scale of the data;
-o writes that of each example. Of an example with missing values it is the density of
those that are there.

Examples:
  gpudae baseline likelihood ppca.json digits
  gpudae baseline likelihood fa.json new.csv -o nats.csv`},
		{Name: "denoise", Usage: "reconstruct examples from corrupted ones", ArgsUsage: "MODEL.json IN -o OUT", Action: p.baselineDenoise,
			Flags: append([]cli.Flag{out, sigma("`S` take the noise for Gaussian of this standard deviation, in the scale of training"), missingFlag()}, reading...),
			Description: `Writes E[x|x̃]. The noise is that which the model was fitted to remove: Gaussian
noise of ppca and fa if the corruption was, otherwise their own; --sigma says another.
With --missing, values that are not there are filled in.

Examples:
  gpudae baseline denoise ppca.json noisy.npy -o clean.npy
  gpudae baseline denoise wiener.json noisy.csv --sigma 0.2 -o clean.csv`},
		{Name: "encode", Usage: "compute codes", ArgsUsage: "MODEL.json IN -o OUT", Action: p.baselineEncode,
			Flags: append([]cli.Flag{out, missingFlag()}, reading...),
			Description: `Writes the code of each example: E[z|x] of ppca and fa, given the values that are
there, and the projection of pca.

Examples:
  gpudae baseline encode ppca.json digits -o codes.npy`},
		{Name: "score", Usage: "the gradient of the log density", ArgsUsage: "MODEL.json IN -o OUT", Action: p.baselineScore,
			Flags: append([]cli.Flag{out, sigma(smoothing)}, reading...),
			Description: `Writes ∇ ln p(x) of each example, in the scale of the data.

Examples:
  gpudae baseline score ppca.json digits -o score.npy
  gpudae baseline score wiener.json digits --sigma 0.1 -o score.npy`},
		{Name: "sample", Usage: "draw new examples", ArgsUsage: "MODEL.json -n N -o OUT", Action: p.baselineSample,
			Flags: append([]cli.Flag{out,
				&cli.IntFlag{Name: "number", Aliases: []string{"n"}, Category: "Data", Usage: "`N` examples to draw", Value: defaultSamples},
				&cli.Uint64Flag{Name: "seed", Category: "Data", Usage: "`N` of the draws", DefaultText: "that of the fit"}}, baselineOutputFlags()...),
			Description: `Draws from p(x). An example depends on the seed and its number only.

Examples:
  gpudae baseline sample ppca.json -n 100 -o new.npy`},
	}
}

// linearUse is a command that uses a linear model.
type linearUse struct {
	*program
	c     *cli.Context
	model *linearModel
	out   string
	sigma float64 // 0 if it is not given
}

// useLinear reads the command line and the model.
func (p *program) useLinear(c *cli.Context, writes bool, names ...string) (*linearUse, error) {
	if err := arguments(c, names...); err != nil {
		return nil, err
	}
	u := &linearUse{program: p, c: c}
	var err error
	if writes || c.String("out") != "" {
		if u.out, err = outputFile(c); err != nil {
			return nil, err
		}
	}
	if c.IsSet("sigma") {
		if u.sigma, err = positive(c, "sigma", "0.1"); err != nil {
			return nil, err
		}
	}
	u.model, err = loadLinear(c.Args().First())
	return u, err
}

// density is the model's density, after noise if --sigma asks for it.
func (u *linearUse) density(what string) (baseline.LatentGaussian, error) {
	if u.model.Latent == nil {
		return baseline.LatentGaussian{}, u.cannot("has no density and so no "+what, "use ppca, fa or wiener")
	}
	return u.model.Latent.Smoothed(u.sigma), nil
}

func (u *linearUse) cannot(problem, remedy string) error {
	return usage(u.c.Args().First(), u.model.Kind+" "+problem, remedy)
}

// checkMissing refuses --missing where the model has no density to condition on
// the values that are there, or where the map that stands beside it is to be used.
func (u *linearUse) checkMissing(byMap bool) error {
	if u.c.Bool("missing") && (u.model.Latent == nil || byMap && u.model.Map != nil) {
		return u.cannot("cannot do without the values that are missing", "use ppca or fa")
	}
	return nil
}

// smooth names the mend of a density that does not exist.
func (u *linearUse) smooth(err error) error {
	if errors.Is(err, baseline.ErrNoDensity) {
		return usage(u.c.Args().First(), err.Error(), "give --sigma, for the density after a little noise")
	}
	return err
}

// each calls compute with the input's rows, in the scale of training and a
// range at a time, and returns what comes back as one matrix.
func (u *linearUse) each(compute func(ctx context.Context, rows baseline.Rows) (baseline.Rows, error)) (*tensor.Dense, data.Info, error) {
	reading := inputOptions{label: u.model.Label, header: u.model.Header, scale: u.model.Data.Scale, missing: u.c.Bool("missing")}
	if u.c.IsSet("label") {
		reading.label = u.c.String("label")
	}
	if u.c.IsSet("header") {
		reading.header = u.c.String("header")
	}
	if err := checkHeader(reading.header); err != nil {
		return nil, data.Info{}, err
	}
	ctx := u.c.Context
	d, err := u.open(ctx, u.c.Args().Get(1), reading)
	if err != nil {
		return nil, data.Info{}, err
	}
	defer d.Close()
	info := d.Info()
	if err := u.model.Data.Accepts(info); err != nil {
		return nil, info, err
	}
	var values []float32
	err = eachRange(ctx, d, &u.model.Scaler, func(x *tensor.Dense) error {
		y, err := compute(ctx, baseline.Rows{Values: data.Float32s(x), Features: info.Features})
		values = append(values, y.Values...)
		return err
	})
	if err != nil {
		return nil, info, err
	}
	return tensor.New(tensor.WithShape(info.Rows, len(values)/info.Rows), tensor.WithBacking(values)), info, nil
}

// write writes the result; like is the shape of an example, nil: [columns].
func (u *linearUse) write(y *tensor.Dense, like []int, columns []string) error {
	if like != nil {
		if err := y.Reshape(append([]int{y.Shape()[0]}, like...)...); err != nil {
			return err
		}
	}
	if err := data.Write(u.c.Context, u.out, y, columns); err != nil {
		return err
	}
	return u.printWrote(&inferenceOptions{json: u.c.Bool("json")}, u.out, data.ArrayInfo{Rows: y.Shape()[0], Shape: y.Shape()[1:]})
}

// likelihoodReport is what baseline likelihood prints.
type likelihoodReport struct {
	Model string `json:"model"`
	Data  string `json:"data"`
	N     int    `json:"n"`
	Mean  number `json:"log_likelihood"` // nats an example
	Out   string `json:"out,omitempty"`
}

func (p *program) baselineLikelihood(c *cli.Context) error {
	u, err := p.useLinear(c, false, "MODEL.json", "IN")
	if err != nil {
		return err
	}
	g, err := u.density("likelihood")
	if err != nil {
		return err
	}
	var sum float64
	y, info, err := u.each(func(ctx context.Context, rows baseline.Rows) (baseline.Rows, error) {
		nats, err := g.LogLikelihood(ctx, rows)
		out := baseline.Rows{Features: 1}
		for i, v := range nats {
			v -= u.model.logUnits(rows.Row(i))
			sum += v
			out.Values = append(out.Values, float32(v))
		}
		return out, err
	})
	if err != nil {
		return u.smooth(err)
	}
	r := likelihoodReport{c.Args().First(), info.Name, info.Rows, number(sum / float64(info.Rows)), u.out}
	if u.out != "" {
		if err := data.Write(c.Context, u.out, y, []string{"log_likelihood"}); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return p.printJSON(r)
	}
	return p.printText(fmt.Sprintf("%s: %s of %s; log likelihood %s nats an example\n", r.Model, count(r.N, "row"), r.Data, r.Mean))
}

func (p *program) baselineDenoise(c *cli.Context) error {
	u, err := p.useLinear(c, true, "MODEL.json", "IN")
	if err != nil {
		return err
	}
	if err := u.checkMissing(u.sigma == 0); err != nil {
		return err
	}
	reconstruct := u.model.Reconstruct
	if u.sigma > 0 {
		if u.model.Latent == nil {
			return usage("--sigma", u.model.Kind+" knows of no noise level", "leave it out, or use ppca, fa or wiener")
		}
		reconstruct = func(ctx context.Context, rows baseline.Rows) (baseline.Rows, error) {
			return u.model.Latent.Denoise(ctx, rows, u.sigma)
		}
	}
	y, info, err := u.each(reconstruct)
	if err != nil {
		return err
	}
	if y, err = u.model.Scaler.Invert(y); err != nil {
		return err
	}
	if info.Element == data.Uint8 && isIDX(u.out) {
		y = data.Narrow(y, info.Scale)
	}
	return u.write(y, info.Shape, info.Columns)
}

func (p *program) baselineEncode(c *cli.Context) error {
	u, err := p.useLinear(c, true, "MODEL.json", "IN")
	if err != nil {
		return err
	}
	width := u.model.components()
	if width == 0 {
		return u.cannot("has no code", "use pca, ppca or fa")
	}
	if err := u.checkMissing(false); err != nil {
		return err
	}
	encode := u.model.encoder()
	h, _, err := u.each(encode)
	if err != nil {
		return err
	}
	var names []string
	for unit := range width {
		names = append(names, fmt.Sprintf("h%d", unit+1))
	}
	return u.write(h, nil, names)
}

// encoder computes codes; there is one where components is not 0.
func (m *linearModel) encoder() func(context.Context, baseline.Rows) (baseline.Rows, error) {
	if m.PCA != nil {
		return m.PCA.Encode
	}
	return m.Latent.Encode
}

func (p *program) baselineScore(c *cli.Context) error {
	u, err := p.useLinear(c, true, "MODEL.json", "IN")
	if err != nil {
		return err
	}
	g, err := u.density("score")
	if err != nil {
		return err
	}
	s, info, err := u.each(g.Score)
	if err != nil {
		return u.smooth(err)
	}
	unscaleScore(s, u.model.Scaler)
	return u.write(s, info.Shape, info.Columns)
}

func (p *program) baselineSample(c *cli.Context) error {
	u, err := p.useLinear(c, true, "MODEL.json")
	if err != nil {
		return err
	}
	n := c.Int("number")
	if n < 1 || n > maxDrawn {
		return usage("--number", fmt.Sprintf("%d examples", n), fmt.Sprintf("give 1 to %d with -n", maxDrawn))
	}
	g, err := u.density("samples")
	if err != nil {
		return err
	}
	seed := u.model.Split.Seed
	if c.IsSet("seed") {
		seed = c.Uint64("seed")
	}
	rows, err := g.Sample(c.Context, n, normals(seed))
	if err != nil {
		return err
	}
	y, err := u.model.Scaler.Invert(tensor.New(tensor.WithShape(n, rows.Features), tensor.WithBacking(rows.Values)))
	if err != nil {
		return err
	}
	return u.write(y, slices.Clone(u.model.Data.Shape), u.model.Data.Columns)
}

// maxDrawn is the range of the rows of a counter.
const maxDrawn = 1 << 31

// normals is a source of standard normal numbers, a function of the seed.
func normals(seed uint64) func(example, k int) float64 {
	key := philox.KeyOf(seed)
	return func(example, k int) float64 {
		at := philox.Coordinates{Stream: philox.StreamDraw, Row: uint32(example), Block: uint32(k / 4)}
		return float64(philox.NormalLane(philox.Block(at.Counter(), key), k%4))
	}
}
