package main

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gpudae/baseline"
	"gpudae/figure"
	"gpudae/internal/atomicfile"
	"gpudae/model"
	"gpudae/report"
	"gpudae/train"
)

// reportFile is the report in a run folder.
const reportFile = "report.html"

// runReport is what the page about a run is made of.
type runReport struct {
	subject    *subject
	history    []train.Row
	corruption *corruptionReport
	quality    *assessment       // nil if nothing was held out
	drawn      map[string]string // files of figures that are there, by kind
}

// write draws what is not there yet and writes the page.
func (r *runReport) write(ctx context.Context, path string) error {
	folder, err := os.MkdirTemp("", "gpudae-report-")
	if err != nil {
		return cannotWrite(os.TempDir(), err)
	}
	defer os.RemoveAll(folder)
	figures, err := r.figures(ctx, folder)
	if err != nil {
		return err
	}
	page := r.page(figures)
	return atomicfile.Write(path, func(w io.Writer) error { return report.Write(w, page) })
}

// pictured is a kind of figure on the page.
type pictured struct {
	kind, caption string
	drawing, wide bool
}

// pictures are the figures that suit the model and its data.
func (r *runReport) pictures() []pictured {
	s := r.subject
	list := []pictured{{"reconstructions", "Clean, corrupted, reconstructed", s.info.Features == 2, true}}
	if s.mixed() {
		return nil
	}
	scores := len(s.saved.DAE.NoiseLevels()) > 1
	if s.info.Features == 2 {
		list = []pictured{{"manifold", "Where corrupted points are sent", true, false}, {"vector-field", "The field r(x) − x", true, false}}
	}
	if scores && (s.info.Features == 2 || figure.CheckImage(s.info.Shape) == nil) {
		list = append(list, pictured{"samples", "Samples", s.info.Features == 2, false})
	}
	list = append(list, pictured{"codes", "Codes, by class", true, false})
	if s.info.Features != 2 {
		list = append(list, pictured{"filters", "Filters of the first layer", false, false})
	}
	return list
}

// figures reads the pictures, and draws those that are not there into a folder.
func (r *runReport) figures(ctx context.Context, folder string) ([]report.Figure, error) {
	var list []report.Figure
	for _, p := range r.pictures() {
		path, there := r.drawn[p.kind]
		if !there {
			kind, err := findFigure(p.kind)
			if err != nil {
				return nil, err
			}
			path = filepath.Join(folder, p.kind+".png")
			if err := kind.draw(ctx, r.subject, path); err != nil {
				return nil, err
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, &failure{code: exitFailure, where: path, problem: openProblem(err), err: err}
		}
		config, err := png.DecodeConfig(bytes.NewReader(text))
		if err != nil {
			return nil, &failure{code: exitFailure, where: path, problem: "not a PNG file", err: err}
		}
		if p.kind == "codes" && r.subject.labels == nil {
			p.caption = "Codes"
		}
		list = append(list, report.Figure{Caption: p.caption, PNG: text, Width: config.Width, Height: config.Height, Drawing: p.drawing, Wide: p.wide})
	}
	return list, nil
}

func (r *runReport) page(figures []report.Figure) report.Page {
	s := r.subject.saved
	process, promise := "The corruption", "A rate is the fraction destroyed. The noise is fresh at every step, and the clean example is the target."
	if s.DAE.IsScoreModel() {
		process, promise = "The noise", "Every row draws a level and fresh noise at every step, and the clean example is the target: D(x̃; σ) = c_skip·x̃ + c_out·F(c_in·x̃, σ)."
	}
	sections := []report.Section{{Title: "Training", Charts: r.charts()}}
	if r.quality != nil {
		title := "Beside the closed forms"
		if r.quality.columns != nil {
			title = "The columns"
		}
		sections = append(sections, report.Section{Title: title, Text: fmt.Sprintf("Measured on the %d of %d rows that were held out,", s.Split.Held, s.Split.Rows) + " under the same noise; " + r.quality.legend() + ".",
			Tables: []report.Table{r.baselines()}})
	}
	if len(figures) > 0 {
		sections = append(sections, report.Section{Title: "Pictures", Figures: figures})
	}
	return report.Page{
		Title: s.Schema.Name,
		Lead:  (&modelCard{saved: s}).summary(),
		Tiles: r.tiles(),
		Sections: append(sections,
			report.Section{Title: process, Text: promise, Tables: append([]report.Table{r.contract()}, r.columnRates()...)},
			report.Section{Title: "Model", Tables: []report.Table{layersTable(layersJSON(s.DAE))}},
			report.Section{Title: "Time and provenance", Facts: r.facts(), Details: []report.Preformatted{{Name: "Configuration", Text: string(s.Settings)}}}),
		Foot: "Written by gpudae " + s.Version + ".",
	}
}

// tiles are the numbers at the top.
func (r *runReport) tiles() []report.Fact {
	s, last := r.subject.saved, r.history[len(r.history)-1]
	name, note, value := "Training loss", "", s.Row.TrainLoss
	if s.Split.Held > 0 {
		name, value = "Validation loss", s.Row.ValLoss
	}
	if !math.IsNaN(s.Row.ValNLL) {
		name, value, note = "Validation NLL", s.Row.ValNLL, "nats an example"
	}
	tiles := []report.Fact{{Name: name, Value: fmt.Sprintf("%.5g", value), Note: note}}
	if r.quality != nil {
		note := "of the mean's squared error removed"
		if r.quality.columns != nil {
			note = "of the marginals' errors on destroyed cells removed"
		}
		tiles = append(tiles, report.Fact{Name: "Skill", Value: fmt.Sprintf("%.1f %%", r.quality.overall()), Note: note})
	}
	return append(tiles,
		report.Fact{Name: "Best epoch", Value: fmt.Sprint(s.Row.Epoch), Note: fmt.Sprintf("of %d", last.Epoch)},
		report.Fact{Name: "Parameters", Value: grouped(s.DAE.ParameterCount()), Note: fileSize(4 * uint64(s.DAE.ParameterCount()))},
		report.Fact{Name: "Samples/s", Value: grouped(int(medianSpeed(r.history))), Note: "median of the epochs"})
}

// grouped writes a number with its digits in threes.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

// medianSpeed is the median over the epochs of the examples trained a second.
func medianSpeed(history []train.Row) float64 {
	var speeds []float64
	for _, row := range history {
		speeds = append(speeds, row.SamplesPerS)
	}
	slices.Sort(speeds)
	return speeds[len(speeds)/2]
}

func (r *runReport) charts() []report.Chart {
	best := r.subject.saved.Row.Epoch
	var epochs []int
	for _, row := range r.history {
		epochs = append(epochs, row.Epoch)
	}
	values := func(of func(train.Row) float64) []float64 {
		var list []float64
		for _, row := range r.history {
			list = append(list, of(row))
		}
		return list
	}
	name := "NLL, nats an example"
	if lossName(r.subject.saved.DAE) == "loss" {
		name = "Loss"
	}
	loss := report.Chart{Name: name, Epochs: epochs, Best: best, Curves: []report.Curve{{Name: "training", Values: values(func(r train.Row) float64 { return r.TrainLoss })}}}
	charts := []report.Chart{loss}
	if r.quality != nil {
		charts[0].Curves = append(charts[0].Curves, report.Curve{Name: "validation", Values: values(func(r train.Row) float64 { return r.ValLoss })})
		charts = append(charts, report.Chart{Name: "Validation MSE", Epochs: epochs, Best: best, Curves: []report.Curve{{Values: values(func(r train.Row) float64 { return r.ValMSE })}}})
	}
	return append(charts,
		report.Chart{Name: "Learning rate", Epochs: epochs, Zero: true, Curves: []report.Curve{{Values: values(func(r train.Row) float64 { return r.LR })}}},
		report.Chart{Name: "Norm of the gradient", Epochs: epochs, Zero: true, Curves: []report.Curve{{Values: values(func(r train.Row) float64 { return r.GradNorm })}}})
}

// baselines is the table of the assessment.
func (r *runReport) baselines() report.Table {
	a := r.quality
	if a.columns != nil {
		return a.columnsReport()
	}
	t := report.Table{Head: []string{"", "NLL", "MSE", "Skill %"}}
	if !a.likely() {
		t.Head = []string{"", "MSE", "Skill %"}
	}
	add := func(name string, s *baseline.Score, strong bool) {
		if s == nil {
			return
		}
		skill := a.skill(s.MSE)
		cells := []string{withComponents(name, s.Components), number(s.MSE).brief(), fmt.Sprintf("%.1f", skill)}
		if a.likely() {
			cells = slices.Insert(cells, 1, fmt.Sprintf("%.3f", s.NLL))
		}
		t.Rows = append(t.Rows, report.Row{Cells: cells, Strong: strong, Share: skill / 100})
	}
	b := a.baseline
	add("identity", &b.Identity, false)
	add("mean", &b.Mean, false)
	add("pca", &b.PCA, false)
	add("ppca", b.PPCA, false)
	add("fa", b.FA, false)
	add("gpudae", &baseline.Score{NLL: a.NLL, MSE: a.MSE}, true)
	return t
}

// contractLevels is how many noise levels the page lists.
const contractLevels = 9

// contract is the table of the corruption, or of the noise levels.
func (r *runReport) contract() report.Table {
	c := r.corruption
	if c.levels != nil {
		t := report.Table{Caption: c.spec, Head: []string{"σ", "c_in", "c_skip", "c_out", "weight"}}
		sigmas := c.levels.dae.NoiseLevels()
		shown := min(len(sigmas), contractLevels)
		for i := range shown {
			l := c.levels.dae.Level(sigmas[i*(len(sigmas)-1)/max(shown-1, 1)])
			t.Rows = append(t.Rows, report.Row{Cells: []string{number(l.Sigma).brief(), number(l.In).brief(), number(l.Skip).brief(), number(l.Out).brief(), number(l.Weight).brief()}})
		}
		return t
	}
	t := report.Table{Head: []string{"C(x̃|x)", "nominal", "destroyed", "changed", "rms change"}}
	add := func(name string, m model.CorruptionMeasure) {
		t.Rows = append(t.Rows, report.Row{Cells: []string{name, percent(m.Nominal), percent(m.Destroyed), percent(m.Changed), fmt.Sprintf("%.4f", m.RMS)}})
	}
	for i, m := range c.stages {
		add(c.names[i], m)
	}
	if len(c.stages) != 1 {
		add("all", c.whole)
	}
	return t
}

// columnRates is the table of what the corruption does to the columns of a table.
func (r *runReport) columnRates() []report.Table {
	if !r.corruption.mixed {
		return nil
	}
	t := report.Table{Head: []string{"column", "nominal", "destroyed", "changed"}}
	for _, cells := range r.corruption.columnTable()[1:] {
		t.Rows = append(t.Rows, report.Row{Cells: cells})
	}
	return []report.Table{t}
}

func layersTable(layers []layerJSON) report.Table {
	t := report.Table{Head: []string{"layer", "weight", "norm", "activation", "parameters"}}
	for _, l := range layers {
		weight := fmt.Sprintf("%d × %d", l.Shape[0], l.Shape[1])
		if l.Tied != "" {
			weight = "that of " + l.Tied + ", transposed"
		}
		t.Rows = append(t.Rows, report.Row{Cells: []string{l.Name, weight, l.Norm, l.Activation, grouped(l.Parameters)}})
	}
	return t
}

func (r *runReport) facts() []report.Fact {
	s, last := r.subject.saved, r.history[len(r.history)-1]
	facts := []report.Fact{
		{Name: "Time", Value: fmt.Sprintf("%s for %s, validation included; %s", duration(last.Seconds), count(last.Epoch, "epoch"), count(int(last.Step), "step"))},
		{Name: "Arithmetic", Value: fmt.Sprintf("%s an example, %s in training", flopText(s.DAE.FLOPs(false)), flopText(s.DAE.FLOPs(true)))},
		{Name: "Data", Value: dataText(s.Schema)},
		{Name: "SHA-256", Value: s.Schema.SHA256},
		{Name: "Rows", Value: fmt.Sprintf("%d to train, %d held out", s.Split.Rows-s.Split.Held, s.Split.Held)},
		{Name: "Scaling", Value: scalerText(s.Scaler)},
		{Name: "Seed", Value: fmt.Sprint(s.Config.Seed)},
		{Name: "Command", Value: s.Provenance.Command},
		{Name: "Started", Value: s.Provenance.Started},
		{Name: "Machine", Value: strings.TrimPrefix(s.Provenance.Platform+", "+s.Provenance.Device, ", ")},
		{Name: "Licence of the data", Value: s.Schema.Licence},
	}
	return slices.DeleteFunc(facts, func(f report.Fact) bool { return f.Value == "" })
}
