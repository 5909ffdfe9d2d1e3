package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/urfave/cli/v2"

	"gpudae/baseline"
	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

func (p *program) evalCommand() *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "measure how well a model reconstructs",
		ArgsUsage: "MODEL DATA",
		Description: fmt.Sprintf(`Corrupts DATA as in training, but always with the same noise, and compares the
reconstructions with the clean examples: negative log likelihood in nats, mean
squared error, PSNR, and skill, the percentage of the mean's squared error that is
removed. A score model has a loss in place of the likelihood; a model with a
stochastic code also has bounds on ln p(x). Doing nothing (identity), the mean, PCA,
probabilistic PCA and factor analysis (up to %d features) stand beside the model. On
the data that the model was trained on, the recorded validation rows are taken.

Examples:
  gpudae eval runs/mine digits
  gpudae eval runs/mine test.npy --json
  gpudae eval runs/mine digits --split all --corruption masking:0.5
  gpudae eval runs/vae digits --importance 500`, baseline.FactorFeatures),
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "split", Category: "Data", Usage: "`ROWS` rows to take: all, train or val", DefaultText: "val on the training data, otherwise all"},
			&cli.StringFlag{Name: "corruption", Category: "Data", Usage: "`SPEC` another corruption", DefaultText: "that of training"},
			&cli.IntFlag{Name: "importance", Category: "Data", Usage: "`K` of a model with gaussian codes, also the importance-weighted bound of K samples"},
			&cli.Uint64Flag{Name: "seed", Category: "Data", Usage: "`N` of the noise", DefaultText: "the run's"},
		}, inferenceFlags()...),
		Action: p.eval,
	}
}

// evalJSON is what --json prints.
type evalJSON struct {
	Model      string `json:"model"`
	Data       string `json:"data"`
	Split      string `json:"split"`
	Device     string `json:"device"`
	Corruption string `json:"corruption"`
	N          int    `json:"n"`
	Loss       number `json:"loss"`
	NLL        number `json:"nll"`
	PerFeature number `json:"nll_per_feature"`
	*boundsJSON
	MSE      number        `json:"mse"`
	PSNR     number        `json:"psnr"`
	Skill    number        `json:"skill"`
	Baseline *baselineJSON `json:"baseline"`
	Columns  []columnJSON  `json:"columns,omitempty"` // of a table of mixed columns
}

func (p *program) eval(c *cli.Context) error {
	if err := arguments(c, "MODEL", "DATA"); err != nil {
		return err
	}
	o, saved, err := p.inference(c)
	if err != nil {
		return err
	}
	if c.IsSet("corruption") {
		if err := recorrupt(saved, c.String("corruption"), "--corruption"); err != nil {
			return err
		}
	}
	if c.IsSet("seed") {
		saved.Config.Seed = c.Uint64("seed")
	}
	in, err := p.loadFor(c.Context, saved, o)
	if err != nil {
		return err
	}
	defer in.close()
	split, exam, err := in.examine(saved, c.String("split"))
	if err != nil {
		return err
	}
	if exam.training.Len() == 0 && saved.Columns == nil {
		o.console.logf("eval: other data than those of training, so the baselines are fitted on the rows themselves, which flatters them")
	}
	if saved.Columns == nil && !in.same {
		low, high := tableExtremes(in.table)
		if err := saved.DAE.Likelihood().CheckSupport(low, high); err != nil {
			o.console.logf("eval: %s: the likelihood means nothing: %v", o.input, err)
		}
	}
	exam.samples = c.Int("importance")
	if c.IsSet("importance") && exam.samples < 1 {
		return usage("--importance", count(exam.samples, "sample"), "give 1 or more")
	}
	return o.onDevice(func(dev device.Device) error {
		a, err := assess(c.Context, dev, saved, exam)
		if err != nil {
			return located(err, settings.Origins{"importance": "--importance"})
		}
		if !o.json {
			return p.printText(fmt.Sprintf("%s: %d rows (%s) of %s, %s; %s%s\n",
				o.model, a.N, split, o.input, noiseName(saved.DAE), psnrText(a), a.legend()) + indent(a.table()) + a.boundsText())
		}
		return p.printJSON(evalJSON{Model: o.model, Data: o.input, Split: split, Device: dev.Info().Name, Corruption: noiseSpec(saved.DAE),
			N: a.N, Loss: number(a.Loss), NLL: number(a.NLL), PerFeature: number(a.PerFeature), boundsJSON: a.bounds(), MSE: number(a.MSE), PSNR: number(a.PSNR),
			Skill: number(a.overall()), Baseline: a.baselines(), Columns: a.columnsJSON()})
	})
}

// tableExtremes are the least and the greatest value of a table.
func tableExtremes(t device.Table) (low, high float64) {
	lows, highs := model.ColumnExtremes(t)
	return float64(slices.Min(lows)), float64(slices.Max(highs))
}

// psnrText is empty for tables of mixed columns, which have none.
func psnrText(a *assessment) string {
	if math.IsNaN(a.PSNR) {
		return ""
	}
	return "PSNR " + decibels(a.PSNR) + "; "
}

// loaded is a data set read for a model.
type loaded struct {
	info   data.Info
	labels *data.Labels
	table  device.Table
	same   bool // whether the model was trained on these data

	store *storedRows // of a table of mixed columns, to be closed
}

// close releases the rows.
func (in *loaded) close() error {
	return in.store.close()
}

// loadFor reads all examples of the input as the model sees them.
func (p *program) loadFor(ctx context.Context, saved *train.Saved, o *inferenceOptions) (*loaded, error) {
	if saved.Columns != nil {
		return p.loadTable(ctx, saved, o)
	}
	d, err := p.openFor(ctx, saved, o.input, o.reading)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	matrix, err := data.Table(ctx, d, &saved.Scaler)
	if err != nil {
		return nil, err
	}
	info := d.Info()
	same := info.SHA256 == saved.Schema.SHA256 && info.Rows == saved.Split.Rows
	return &loaded{info: info, labels: d.Labels(), table: tableOf(matrix), same: same}, nil
}

// loadExamples is loadFor of the data that --data names, by default those of training.
func (p *program) loadExamples(c *cli.Context, saved *train.Saved, o *inferenceOptions) (*loaded, error) {
	o.input = c.String("data")
	if o.input == "" {
		trained, err := savedSettings(saved)
		if err != nil {
			return nil, err
		}
		o.input = trained.Data
	}
	if err := checkOver(c.String("out"), o.input); err != nil {
		return nil, err
	}
	return p.loadFor(c.Context, saved, o)
}

// examine chooses the rows that --split names.
func (in *loaded) examine(saved *train.Saved, split string) (string, examination, error) {
	exam := examination{table: in.table, rows: device.Rows{Hi: in.table.Rows}}
	if in.same {
		exam.training = saved.Split.Training()
	}
	if split == "" {
		split = "all"
		if in.same && saved.Split.Held > 0 {
			split = "val"
		}
	}
	switch {
	case split == "all":
		return split, exam, nil
	case split != "train" && split != "val":
		return "", exam, usage("--split", "unknown split "+quoted(split), "choose all, train or val")
	case !in.same:
		return "", exam, usage("--split", in.info.Name+" is not what the model was trained on, so it has no "+split+" rows", "use --split all")
	case split == "train":
		exam.rows = saved.Split.Training()
	case saved.Split.Held == 0:
		return "", exam, usage("--split", "the run held no rows out", "use --split all")
	default:
		exam.rows = saved.Split.Validation()
	}
	return split, exam, nil
}
