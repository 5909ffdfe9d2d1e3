package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/baseline"
	"gpudae/data"
	"gpudae/internal/settings"
)

func (p *program) baselineCommand() *cli.Command {
	c := &cli.Command{
		Name:  "baseline",
		Usage: "fit and use the linear relatives of an auto-encoder",
		Description: `Fits a closed form to DATA and compares it with others, on the rows and under the
noise that train and eval would take. What -o wrote can be used like a model.

Examples:
  gpudae baseline ppca digits -q 16 -o ppca.json
  gpudae baseline denoise ppca.json noisy.npy -o clean.npy
  gpudae baseline sample ppca.json -n 100 -o new.npy`,
	}
	for _, kind := range linearKinds() {
		c.Subcommands = append(c.Subcommands, p.baselineFitCommand(kind))
	}
	c.Subcommands = append(c.Subcommands, p.baselineUseCommands()...)
	return c
}

// linearKind is a row of the table of models.
type linearKind struct {
	name, usage, about string
	components         string   // meaning of -q, if it has one
	methods            []string // ways to fit it, if there are several, the default first
	iterates           bool
	covariance         bool                                          // the covariance matrix is needed, however large
	fit                func(ctx context.Context, f *linearFit) error // sets f.model's parts
}

func linearKinds() []linearKind {
	return []linearKind{
		{name: "pca", usage: "principal components", components: "components", methods: []string{auto, exactly, randomized}, fit: fitPCA,
			about: `The projection on the first principal components, by default exact up to 1,024
features and randomised beyond (Halko et al. 2011). It has a code but no density; ppca
has both.`},
		{name: "ppca", usage: "probabilistic PCA", components: "components", methods: []string{closedForm, byEM}, iterates: true, fit: fitPPCA,
			about: `x = μ + Wz + ε with z ~ N(0, I) and ε ~ N(0, σ²I), at the maximum of the likelihood
(Tipping and Bishop 1999), in closed form or by expectation maximisation. With
--missing it is fitted to the values that are there, and judged by how well it fills
some of the held-out ones that are hidden from it.`},
		{name: "fa", usage: "factor analysis", components: "factors", iterates: true, fit: fitFA,
			about: `Like ppca, but each column has noise of its own; by expectation maximisation (Rubin
and Thayer 1982), with noise of at least 10⁻⁶ of a column's variance.`},
		{name: "wiener", usage: "the best linear denoiser", components: "rank at most, 0: any", covariance: true, fit: fitWiener,
			about: `The linear reconstruction of least expected error under the corruption, from the
mean and the covariance of the data; its density is the Gaussian that has them.`},
		{name: "mda", usage: "marginalised auto-encoder", covariance: true, fit: fitMDA,
			about: `The linear auto-encoder under masking, trained on infinitely many corrupted copies
(Chen et al. 2012). It has no code and no density.`},
	}
}

// linearSettings are the keys of a run's settings that a linear model shares.
func linearSettings() settings.Table[trainSettings] {
	shared := []string{"label", "header", "scale", "val", "seed", "corruption", "fields", "device", "threads"}
	return slices.DeleteFunc(trainTable(), func(s settings.Setting[trainSettings]) bool { return !slices.Contains(shared, s.Key) })
}

// The ways to fit a model.
const (
	closedForm = "closed"
	byEM       = "em"
	exactly    = "exact"
	randomized = "randomized"
)

const defaultRank = 16

func (p *program) baselineFitCommand(kind linearKind) *cli.Command {
	defaults := defaultTrainSettings()
	flags := []cli.Flag{&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` JSON file to write the model to"}}
	if kind.components != "" {
		q := &cli.IntFlag{Name: "components", Aliases: []string{"q"}, Category: "Fit", Usage: "`N` " + kind.components, Value: defaultRank, DefaultText: fmt.Sprint(defaultRank)}
		if kind.name == "wiener" {
			q.Value, q.DefaultText = 0, "0"
		}
		flags = append(flags, q)
	}
	if kind.methods != nil {
		flags = append(flags, &cli.StringFlag{Name: "method", Category: "Fit", Usage: "`METHOD` " + strings.Join(kind.methods, " or "), Value: kind.methods[0], DefaultText: kind.methods[0]})
	}
	if kind.name == "ppca" {
		flags = append(flags, missingFlag())
	}
	if kind.iterates {
		flags = append(flags,
			&cli.IntFlag{Name: "iterations", Category: "Fit", Usage: "`N` at most so many iterations", Value: baseline.DefaultIterations, DefaultText: fmt.Sprint(baseline.DefaultIterations)},
			&cli.Float64Flag{Name: "tolerance", Category: "Fit", Usage: "`NATS` end when an iteration gains less", Value: baseline.DefaultTolerance, DefaultText: fmt.Sprint(baseline.DefaultTolerance)})
	}
	return &cli.Command{
		Name:      kind.name,
		Usage:     kind.usage,
		ArgsUsage: "DATA [-o FILE.json]",
		Description: kind.about + `

Prints the log likelihood of the training and the held-out rows, in nats an example
and in the scale of the data, where the model has a density, and the error of its
reconstruction of the corrupted held-out rows beside those of other closed forms.

Examples:
  gpudae baseline ` + kind.name + ` digits
  gpudae baseline ` + kind.name + ` table.csv --corruption ` + exampleCorruption(kind) + ` -o ` + kind.name + `.json`,
		Flags:  slices.Concat(flags, flagsOf(linearSettings(), &defaults), baselineOutputFlags()),
		Action: func(c *cli.Context) error { return p.baselineFit(c, kind) },
	}
}

// missingFlag lets values be missing.
func missingFlag() cli.Flag {
	return &cli.BoolFlag{Name: "missing", Category: "Data", Usage: "values may be missing: NaN, or a cell that is empty or " + strings.Join(data.MissingCells()[1:], ", ")}
}

// baselineOutputFlags are those of other commands, but here -q is the number of
// components.
func baselineOutputFlags() []cli.Flag {
	return []cli.Flag{jsonFlag(), &cli.BoolFlag{Name: "quiet", Category: "Output", Usage: "no progress and no logs"}}
}

func exampleCorruption(kind linearKind) string {
	if kind.name == "mda" {
		return "masking:0.5"
	}
	return "gaussian:0.3"
}
