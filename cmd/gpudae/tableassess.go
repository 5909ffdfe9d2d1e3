package main

import (
	"context"
	"fmt"
	"math"

	"gpudae/device"
	"gpudae/model"
	"gpudae/report"
	"gpudae/table"
	"gpudae/train"
)

// columnScore is how well a column of a table is reconstructed, beside its
// marginal distribution in the training rows: what can be said of a cell without
// the others of its row, the mean or the most frequent value.
type columnScore struct {
	name      string
	kind      table.Kind
	all       cellsScore
	destroyed cellsScore // of the cells that the corruption destroyed
}

// cellsScore is a mean over cells; the errors of numbers are in their units, of
// times in seconds.
type cellsScore struct {
	model.CellsEvaluation
	rmse, baselineRMSE float64
}

// assessTable judges a model of mixed columns.
func assessTable(ctx context.Context, dev device.Device, saved *train.Saved, exam examination) (*assessment, error) {
	schema, err := schemaOf(saved)
	if err != nil {
		return nil, err
	}
	net, src, err := saved.Bind(dev, exam.together(saved))
	if err != nil {
		return nil, err
	}
	if src.Data, err = dev.Load(ctx, exam.table); err != nil {
		return nil, err
	}
	src.Part = exam.rows
	a := &assessment{stochastic: saved.DAE.CodeDistribution().Stochastic, samples: exam.samples}
	tally := model.NewTally(saved.DAE, momentsOf(schema))
	units, err := newUnitErrors(schema)
	if err != nil {
		return nil, err
	}
	a.Evaluation, err = net.EvaluateEach(ctx, src, func(b model.Batch) error {
		units.add(b)
		return tally.Add(b)
	})
	if err != nil {
		return nil, err
	}
	if exam.samples > 0 {
		bound, err := net.ImportanceBound(ctx, src, exam.samples)
		if err != nil {
			return nil, err
		}
		a.bound = -bound
	}
	for j, e := range tally.Columns() {
		s := columnScore{name: saved.Schema.Columns[j], kind: kindOf(schema, j), all: cellsScore{CellsEvaluation: e.All}, destroyed: cellsScore{CellsEvaluation: e.Destroyed}}
		s.all.rmse, s.all.baselineRMSE = units.all[j].roots(e.All.N)
		s.destroyed.rmse, s.destroyed.baselineRMSE = units.destroyed[j].roots(e.Destroyed.N)
		a.columns = append(a.columns, s)
	}
	return a, nil
}

// schemaOf is the schema that is saved with a model of mixed columns.
func schemaOf(saved *train.Saved) (*table.Schema, error) {
	return table.ParseFitted(saved.Path, saved.Columns, saved.DAE.Config().Features)
}

// momentsOf are those of the training rows, as the schema keeps them.
func momentsOf(s *table.Schema) model.Moments {
	m := model.Moments{Rows: s.Training}
	for j, c := range s.ModelColumns() {
		fit := s.Columns[s.Used()[j]].Fit
		m.Mean, m.Variance = append(m.Mean, c.Mean), append(m.Variance, c.Deviation*c.Deviation)
		m.Counts = append(m.Counts, fit.Present)
		var frequencies []int
		if c.Categories > 0 {
			frequencies = append([]int{fit.Unknown}, fit.Counts...)
		}
		m.Frequencies = append(m.Frequencies, frequencies)
	}
	return m
}

// unitErrors are sums of squared errors of a table's numbers in their units.
type unitErrors struct {
	decoder        *table.Decoder
	means          []float64
	all, destroyed []squares
}

type squares struct{ model, mean float64 }

func newUnitErrors(s *table.Schema) (*unitErrors, error) {
	decoder, err := s.NewDecoder(true)
	if err != nil {
		return nil, err
	}
	u := &unitErrors{decoder: decoder}
	for _, i := range s.Used() {
		u.means = append(u.means, s.Columns[i].Fit.Mean)
	}
	u.all, u.destroyed = make([]squares, len(u.means)), make([]squares, len(u.means))
	return u, nil
}

func (u *unitErrors) add(b model.Batch) {
	for j := range u.means {
		for i := range b.Rows {
			z := b.Clean[i*b.Features+j]
			if z != z {
				continue
			}
			x, y := u.decoder.Observed(j, z), u.decoder.Number(j, b.Reconstructed[i*b.Features+j])
			of := squares{(x - y) * (x - y), (x - u.means[j]) * (x - u.means[j])}
			u.all[j].add(of)
			if b.Mask[i*b.Features+j] != 0 {
				u.destroyed[j].add(of)
			}
		}
	}
}

func (s *squares) add(of squares) {
	s.model += of.model
	s.mean += of.mean
}

// roots are the roots of the means over n cells.
func (s squares) roots(n int) (rmse, baseline float64) {
	return math.Sqrt(s.model / float64(n)), math.Sqrt(s.mean / float64(n))
}

// numeric reports whether the column's errors are those of numbers.
func (s *columnScore) numeric() bool { return math.IsNaN(s.all.Accuracy) && s.all.N > 0 }

// error is what of the column is wrong, as a part of what is wrong with its
// marginal: squared errors of numbers in the scale of the model, wrong cells of
// others. ok is false where the marginal makes no error.
func (s *columnScore) error() (part float64, ok bool) {
	e := s.destroyed
	if e.N == 0 {
		e = s.all
	}
	wrong, marginal := e.MSE, e.BaselineMSE
	if !s.numeric() {
		wrong, marginal = 1-e.Accuracy, 1-e.BaselineRight
	}
	return wrong / marginal, marginal > 0
}

// tableSkill is the percentage of the marginals' errors that is removed, the
// mean over the columns; of destroyed cells where there are any.
func tableSkill(columns []columnScore) float64 {
	sum, n := 0.0, 0
	for i := range columns {
		if part, ok := columns[i].error(); ok {
			sum += 1 - part
			n++
		}
	}
	return 100 * sum / float64(n)
}

// marginalNLL is the NLL of the marginals, in nats an example.
func (a *assessment) marginalNLL() float64 {
	sum := 0.0
	for _, c := range a.columns {
		if c.all.N > 0 {
			sum += c.all.BaselineNLL * float64(c.all.N)
		}
	}
	return sum / float64(a.N)
}

// columnsTable shows the columns to a person.
func (a *assessment) columnsTable() string { return a.columnsGrid().String() }

// columnsReport is the table of the page.
func (a *assessment) columnsReport() report.Table {
	g := a.columnsGrid()
	t := report.Table{Head: g[0]}
	for i, cells := range g[1:] {
		row := report.Row{Cells: cells, Strong: i == len(a.columns)}
		if i < len(a.columns) {
			if part, ok := a.columns[i].error(); ok {
				row.Share = 1 - part
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (a *assessment) columnsGrid() grid {
	g := grid{{"column", "kind", "NLL", "marginal", "error", "marginal", "destroyed", "marginal"}}
	for i := range a.columns {
		c := &a.columns[i]
		cell := func(s cellsScore, marginal bool) string {
			switch {
			case s.N == 0:
				return "-"
			case !c.numeric() && marginal:
				return percent(1 - s.BaselineRight)
			case !c.numeric():
				return percent(1 - s.Accuracy)
			case marginal:
				return number(s.baselineRMSE).brief()
			}
			return number(s.rmse).brief()
		}
		g.add(c.name, string(c.kind), fmt.Sprintf("%.4f", c.all.NLL), fmt.Sprintf("%.4f", c.all.BaselineNLL),
			cell(c.all, false), cell(c.all, true), cell(c.destroyed, false), cell(c.destroyed, true))
	}
	g.add("all", "", fmt.Sprintf("%.4f", a.NLL), fmt.Sprintf("%.4f", a.marginalNLL()), "", "", "", "")
	return g
}

// columnsLegend explains it.
const columnsLegend = "NLL in nats beside that of the column's marginal distribution; errors: RMSE of numbers in their units, wrong cells of others, of all cells and of destroyed ones"

// columnJSON is a column in the object "columns".
type columnJSON struct {
	Name string     `json:"name"`
	Kind table.Kind `json:"kind"`
	*cellsJSON
	Destroyed *cellsJSON `json:"destroyed,omitempty"`
}

type cellsJSON struct {
	N                int     `json:"n"`
	NLL              number  `json:"nll"`
	BaselineNLL      number  `json:"baseline_nll"`
	RMSE             *number `json:"rmse,omitempty"`
	BaselineRMSE     *number `json:"baseline_rmse,omitempty"`
	Accuracy         *number `json:"accuracy,omitempty"`
	BaselineAccuracy *number `json:"baseline_accuracy,omitempty"`
}

func (a *assessment) columnsJSON() []columnJSON {
	var list []columnJSON
	for i := range a.columns {
		c := &a.columns[i]
		cells := func(s cellsScore) *cellsJSON {
			j := &cellsJSON{N: s.N, NLL: number(s.NLL), BaselineNLL: number(s.BaselineNLL)}
			value := func(v float64) *number { n := number(v); return &n }
			if c.numeric() {
				j.RMSE, j.BaselineRMSE = value(s.rmse), value(s.baselineRMSE)
			} else {
				j.Accuracy, j.BaselineAccuracy = value(s.Accuracy), value(s.BaselineRight)
			}
			return j
		}
		out := columnJSON{Name: c.name, Kind: c.kind, cellsJSON: cells(c.all)}
		if c.destroyed.N > 0 {
			out.Destroyed = cells(c.destroyed)
		}
		list = append(list, out)
	}
	return list
}
