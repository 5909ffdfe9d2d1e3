package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/data"
	"gpudae/device"
	"gpudae/model"
	"gpudae/table"
	"gpudae/train"
)

// Defaults and bounds of impute.
const (
	imputeRounds = 4
	imputeLevel  = 0.95
	mostDraws    = 1000
	mostRounds   = 1000
	hiddenDraws  = 40 // of each hidden cell, for its interval
)

func (p *program) imputeCommand() *cli.Command {
	return &cli.Command{
		Name:      "impute",
		Usage:     "fill in missing cells",
		ArgsUsage: "MODEL IN -o OUT",
		Description: `Fills in the missing cells of a table by a model of mixed columns (train --preset
impute, or impute-draws for -m). Observed cells stay as they are, in a text byte for byte. The one table
that is written without -m holds the model's mean of each number and its most
probable category. With -m M there are M tables, OUT.1, OUT.2, ... before the
suffix, whose missing cells are drawn, in --rounds passes that know the draws of
those before, and estimates pooled over them by Rubin's rules (1987).

--overimpute P hides a fraction of the observed cells as well, fills them in and
prints, by column, how far off that was and how often the interval of the draws
holds the hidden value; with it, -o may be left out.

Examples:
  gpudae train survey.csv --preset impute -o runs/survey
  gpudae impute runs/survey survey.csv -o complete.csv
  gpudae impute runs/survey survey.csv --overimpute 0.1
  gpudae train survey.csv --preset impute-draws -o runs/draws
  gpudae impute runs/draws survey.csv -m 5 -o drawn.csv`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write: .csv, .tsv, also with .gz or .zst, .parquet or .arrow"},
			&cli.IntFlag{Name: "m", Category: "Imputation", Usage: "`M` tables of draws", DefaultText: "one table without draws"},
			&cli.IntFlag{Name: "rounds", Category: "Imputation", Usage: "`R` passes in which a row's cells are drawn", Value: imputeRounds},
			&cli.Float64Flag{Name: "overimpute", Category: "Imputation", Usage: "`P` fraction of observed cells to hide and fill in"},
			&cli.Float64Flag{Name: "level", Category: "Imputation", Usage: "`P` probability that an interval holds the true value", Value: imputeLevel},
			&cli.Uint64Flag{Name: "seed", Category: "Imputation", Usage: "`N` of the draws", DefaultText: "the run's"},
		}, inferenceFlags()...),
		Action: p.impute,
	}
}

// imputation is a run of impute.
type imputation struct {
	*inferenceOptions
	saved   *train.Saved
	schema  *table.Schema
	out     string // empty: none
	draws   int    // 0: means and modes
	rounds  int
	seed    uint64
	level   float64
	hide    float64 // 0: nothing is hidden
	places  []int   // of the model's columns in the input
	filled  []int   // missing cells by column of the model
	rows    int
	outputs []string
	pool    []*poolColumn // by column of the model; nil without draws
	hidden  *overimputed  // nil where nothing is hidden
}

func (p *program) impute(c *cli.Context) error {
	in, err := p.imputation(c)
	if err != nil {
		return err
	}
	if err := in.run(c.Context, p); err != nil {
		return err
	}
	return p.printImputation(in)
}

// imputation reads the command line.
func (p *program) imputation(c *cli.Context) (*imputation, error) {
	if err := arguments(c, "MODEL", "IN"); err != nil {
		return nil, err
	}
	in := &imputation{draws: c.Int("m"), rounds: c.Int("rounds"), level: c.Float64("level"), hide: c.Float64("overimpute")}
	if err := in.check(c); err != nil {
		return nil, err
	}
	var err error
	if in.inferenceOptions, in.saved, err = p.inference(c); err != nil {
		return nil, err
	}
	if in.schema, err = schemaFor(c, in.saved); err != nil {
		return nil, err
	}
	in.saved.Params = in.saved.DAE.WithoutUnknown(in.saved.Params)
	in.seed = in.saved.Config.Seed
	if c.IsSet("seed") {
		in.seed = c.Uint64("seed")
	}
	if c.String("out") != "" || !c.IsSet("overimpute") {
		if in.out, err = outputBeside(c, in.model); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func (in *imputation) check(c *cli.Context) error {
	switch {
	case c.IsSet("m") && (in.draws < 1 || in.draws > mostDraws):
		return usage("-m", fmt.Sprintf("%d tables", in.draws), fmt.Sprintf("give 1 to %d", mostDraws))
	case in.rounds < 1 || in.rounds > mostRounds:
		return usage("--rounds", fmt.Sprintf("%d passes", in.rounds), fmt.Sprintf("give 1 to %d", mostRounds))
	case !(in.level > 0 && in.level < 1):
		return usage("--level", fmt.Sprintf("a probability of %v", in.level), "give a number between 0 and 1, such as 0.95")
	case c.IsSet("overimpute") && !(in.hide > 0 && in.hide < 1):
		return usage("--overimpute", fmt.Sprintf("a fraction of %v", in.hide), "give a number between 0 and 1, such as 0.1")
	}
	return nil
}

// schemaFor is the schema of a model of mixed columns, which the command needs.
func schemaFor(c *cli.Context, saved *train.Saved) (*table.Schema, error) {
	if saved.Columns == nil {
		return nil, usage(c.Args().First(), "is a model of numbers without a schema, which "+commandPath(c)+" needs", "train it with --preset "+commandPath(c)+" or --schema infer")
	}
	return schemaOf(saved)
}

// run reads the input, a block at a time, and fills it in.
func (in *imputation) run(ctx context.Context, p *program) (err error) {
	in.reading.raw = keepsBytes(in.out)
	frame, err := p.openFrame(ctx, in.input, in.reading)
	if err != nil {
		return err
	}
	defer frame.Close()
	encoder, err := in.schema.NewEncoder(frame.Info())
	if err != nil {
		return err
	}
	in.places = encoder.Places()
	in.filled = make([]int, encoder.Width())
	in.noteSpread()
	writers, err := in.writers(frame.Info())
	if err != nil {
		return err
	}
	defer writers.abort()
	if err := in.prepare(); err != nil {
		return err
	}
	err = in.eachBlock(ctx, in.saved, frame, encoder, func(net *model.Net, b tableBlock) error { return in.block(ctx, net, b, writers) })
	if err != nil {
		return err
	}
	return writers.commit()
}

// noteSpread says so where the draws of all numbers spread by one σ that nothing
// was learned from, on which intervals depend.
func (in *imputation) noteSpread() {
	numbers := slices.ContainsFunc(in.saved.DAE.Config().Columns, func(c model.ColumnConfig) bool { return c.Family == device.FamilyGaussian.String() })
	if l := in.saved.DAE.Likelihood(); numbers && !l.Learned && (in.draws > 0 || in.hide > 0) {
		in.console.logf("impute: draws of numbers all spread by σ = %g of their scaled columns: train with --preset impute-draws for intervals", l.Sigma)
	}
}

// prepare makes what gathers the results.
func (in *imputation) prepare() error {
	decoder, err := in.schema.NewDecoder(true)
	if err != nil {
		return err
	}
	if in.draws > 1 {
		in.pool = newPool(in.schema, decoder, in.draws)
	}
	if in.hide > 0 {
		in.hidden = newOverimputed(in.schema, decoder)
	}
	return nil
}

// keepsBytes reports whether a file of that name can hold the cells of a text byte
// for byte.
func keepsBytes(out string) bool { return out != "" && !typedOutput(out) }

// block fills in a block of rows.
func (in *imputation) block(ctx context.Context, net *model.Net, b tableBlock, writers *fillWriters) error {
	in.rows += b.cells.Rows
	for i, v := range b.x {
		if v != v {
			in.filled[i%len(in.filled)]++
		}
	}
	filler := filler{net: net, seed: in.seed, rounds: in.rounds}
	if in.hidden != nil {
		if err := in.hidden.block(ctx, filler, b, in.hide); err != nil {
			return err
		}
	}
	if in.out == "" {
		return nil
	}
	for draw := range max(in.draws, 1) {
		y, err := filler.fill(ctx, b, in.draws > 0, draw)
		if err != nil {
			return err
		}
		if err := checkFinite(in.input, b.from, len(in.filled), y); err != nil {
			return err
		}
		if in.pool != nil {
			for j, column := range in.pool {
				if in.places[j] >= 0 { // of the columns that the tables have
					column.add(draw, y[j:], b.x[j:], len(in.pool))
				}
			}
		}
		if err := writers.append(ctx, draw, b, y); err != nil {
			return err
		}
	}
	return nil
}

// filler fills in rows by a model without unknown categories, see WithoutUnknown.
type filler struct {
	net    *model.Net
	seed   uint64
	rounds int
}

// fill returns the rows with their absent cells filled in: drawn, or with their
// means and most probable categories.
func (f filler) fill(ctx context.Context, b tableBlock, drawn bool, draw int) ([]float32, error) {
	y := slices.Clone(b.x)
	if !drawn {
		return y, f.net.Restore(ctx, y, b.x)
	}
	return y, f.net.Complete(ctx, y, model.Completion{Rounds: f.rounds, Seed: f.seed, First: b.from, Numbers: b.numbers, Draw: draw})
}

// outputName is that of table number draw, counted from 0, of so many.
func outputName(out string, draw, draws int) string {
	if draws <= 1 {
		return out
	}
	folder, base := filepath.Split(out)
	plain := data.TrimCompression(base)
	suffix := filepath.Ext(plain)
	name := strings.TrimSuffix(plain, suffix)
	return fmt.Sprintf("%s%s.%d%s%s", folder, name, draw+1, suffix, base[len(plain):])
}
