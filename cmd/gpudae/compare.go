package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"gpudae/figure"
	"gpudae/internal/settings"
	"gpudae/train"
)

func (p *program) compareCommand() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "set runs side by side",
		ArgsUsage: "RUN RUN...",
		Description: `Prints the settings in which runs differ, their best validation loss, epochs,
samples/s and parameters; with -o it also draws their validation losses. Losses
of runs with another objective, likelihood or corruption measure something else.

Examples:
  gpudae compare runs/wide runs/narrow
  gpudae compare runs/* -o compare.png --json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Output", Usage: "`FILE` figure of the losses, .png or .svg"},
			jsonFlag(),
		},
		Action: p.compareRuns,
	}
}

// comparedRun is a run beside others.
type comparedRun struct {
	Run         string            `json:"run"`
	BestEpoch   int               `json:"best_epoch"`
	ValLoss     number            `json:"val_loss"` // of the best epoch
	ValMSE      number            `json:"val_mse"`
	Epochs      int               `json:"epochs"`
	SamplesPerS number            `json:"samples_per_s"` // median of the epochs
	Parameters  int               `json:"parameters"`
	Settings    map[string]string `json:"settings"` // those in which the runs differ
	history     []train.Row
	held        bool // whether rows were held out
}

func (p *program) compareRuns(c *cli.Context) error {
	if c.NArg() < 2 {
		return usage("compare", "fewer than two runs", "name the folders of two runs or more")
	}
	out := c.String("out")
	if c.IsSet("out") {
		if err := figure.CheckPath(out); err != nil {
			return usage("--out", out+": unknown suffix of a figure", "end the name in .png or .svg")
		}
	}
	var runs []comparedRun
	for _, path := range c.Args().Slice() {
		run, err := readRun(path)
		if err != nil {
			return err
		}
		runs = append(runs, *run)
	}
	keys := differing(runs)
	if out != "" {
		if err := drawComparison(out, runs); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return p.printJSON(map[string][]comparedRun{"runs": runs})
	}
	slices.SortStableFunc(runs, func(a, b comparedRun) int {
		return cmp.Or(cmp.Compare(isNaN(a.ValLoss), isNaN(b.ValLoss)), cmp.Compare(a.ValLoss, b.ValLoss))
	})
	return p.printText(comparisonTable(runs, comparisonColumns(), keys).String())
}

// readRun reads what compare tells of a run.
func readRun(path string) (*comparedRun, error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return nil, usage("compare", path+": not a run folder", "name the folder, which also holds the metrics")
	}
	saved, err := train.LoadModel(path)
	if err != nil {
		return nil, err
	}
	history, err := readMetrics(filepath.Join(path, train.MetricsJSON))
	if err != nil {
		return nil, err
	}
	assigned, err := settings.FromYAML(settingsPath(path), saved.Settings)
	if err != nil {
		return nil, err
	}
	run := &comparedRun{Run: path, BestEpoch: saved.Row.Epoch, ValLoss: number(saved.Row.ValLoss), ValMSE: number(saved.Row.ValMSE), Epochs: len(history),
		SamplesPerS: number(medianSpeed(history)), Parameters: saved.DAE.ParameterCount(), Settings: map[string]string{}, history: history, held: saved.Split.Held > 0}
	for _, a := range assigned {
		run.Settings[a.Key] = a.Value
	}
	return run, nil
}

// differing takes away the settings that all runs have in common and names those
// that are left, in the order of the settings.
func differing(runs []comparedRun) []string {
	var keys []string
	for _, key := range trainTable().Keys() {
		same := !slices.ContainsFunc(runs, func(r comparedRun) bool { return r.Settings[key] != runs[0].Settings[key] })
		if !same {
			keys = append(keys, key)
			continue
		}
		for _, r := range runs {
			delete(r.Settings, key)
		}
	}
	return keys
}

// comparisonColumn is a column of a comparison.
type comparisonColumn struct {
	name string
	of   func(comparedRun) string
}

func comparisonColumns() []comparisonColumn {
	return []comparisonColumn{
		{"run", func(r comparedRun) string { return r.Run }},
		{"val loss", func(r comparedRun) string { return r.ValLoss.String() }},
		{"val MSE", func(r comparedRun) string { return r.ValMSE.String() }},
		{"best epoch", func(r comparedRun) string { return fmt.Sprint(r.BestEpoch) }},
		{"epochs run", func(r comparedRun) string { return fmt.Sprint(r.Epochs) }},
		{"samples/s", func(r comparedRun) string { return fmt.Sprintf("%.0f", float64(r.SamplesPerS)) }},
		{"parameters", func(r comparedRun) string { return fmt.Sprint(r.Parameters) }},
	}
}

// comparisonTable has a row for each run, with the settings named by keys at the
// end.
func comparisonTable(runs []comparedRun, columns []comparisonColumn, keys []string) grid {
	var head []string
	for _, c := range columns {
		head = append(head, c.name)
	}
	g := grid{append(head, keys...)}
	for _, r := range runs {
		var cells []string
		for _, c := range columns {
			cells = append(cells, c.of(r))
		}
		for _, key := range keys {
			cells = append(cells, cmp.Or(r.Settings[key], "-"))
		}
		g.add(cells...)
	}
	return g
}

// isNaN is 1 for what is no number, so that it is sorted last.
func isNaN(n number) int {
	if math.IsNaN(float64(n)) {
		return 1
	}
	return 0
}

// drawComparison draws the validation losses, of a run that held nothing out the
// training loss.
func drawComparison(path string, runs []comparedRun) error {
	c := figure.Comparison{Name: "validation loss"}
	for _, r := range runs {
		course := figure.Course{Name: r.Run}
		if !r.held {
			course.Name += " (training loss)"
		}
		for _, row := range r.history {
			v := row.ValLoss
			if !r.held {
				v = row.TrainLoss
			}
			course.Epochs, course.Values = append(course.Epochs, row.Epoch), append(course.Values, v)
		}
		c.Courses = append(c.Courses, course)
	}
	return figure.Compare(path, c)
}
