package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"gpudae/device"
	"gpudae/model"
	"gpudae/train"
)

// corruptionReport is the corruption contract in figures: what was asked for
// and what really happens to the training rows.
type corruptionReport struct {
	spec    string
	whole   model.CorruptionMeasure
	stages  []model.CorruptionMeasure // each alone, in the order of the composition
	names   []string                  // of the stages
	columns []string                  // of the data; nil if they have no names
	levels  *levelsReport             // of a score model, in place of the stages
	mixed   bool                      // whether the columns are
}

// measuredRows is how many training rows the report looks at.
const measuredRows = 10_000

// measureCorruption corrupts training rows on a device, by the composition and
// by each of its stages, or by the noise of a score model.
func measureCorruption(ctx context.Context, dev device.Device, in *prepared, dae *model.DAE) (*corruptionReport, error) {
	composition := dae.Corruption()
	dataset, err := dev.Load(ctx, in.table)
	if err != nil {
		return nil, err
	}
	src := model.Source{Data: dataset, Part: in.split.Training(), Seed: in.split.Seed}
	if src.Range, err = model.NewRange(dev, in.scaler.Low, in.scaler.High); err != nil {
		return nil, err
	}
	r := &corruptionReport{spec: composition.String(), columns: in.info.Columns, mixed: in.mixed != nil}
	c := dae.Config()
	if r.whole, err = measureStage(ctx, dev, c, composition, src); err != nil {
		return nil, err
	}
	if dae.IsScoreModel() {
		r.spec, r.levels = noiseSpec(dae), &levelsReport{dae: dae, proposed: in.proposed, measure: r.whole}
		return r, nil
	}
	for _, stage := range composition {
		alone := model.Corruption{stage}
		m := r.whole
		if len(composition) > 1 {
			if m, err = measureStage(ctx, dev, c, alone, src); err != nil {
				return nil, err
			}
		}
		r.stages, r.names = append(r.stages, m), append(r.names, alone.String())
	}
	return r, nil
}

// measureStage measures a corruption by the smallest model that has it.
func measureStage(ctx context.Context, dev device.Device, c model.Config, corruption model.Corruption, src model.Source) (model.CorruptionMeasure, error) {
	likelihood := "gaussian"
	if c.Columns != nil {
		likelihood = "mixed"
	}
	dae, err := model.New(model.Config{Features: c.Features, Shape: c.Shape, Fields: c.Fields, Columns: c.Columns, Collisions: c.Collisions, Corruption: corruption.String(),
		Hidden: []int{1}, Likelihood: likelihood, Objective: c.Objective, Score: c.Score})
	if err != nil {
		return model.CorruptionMeasure{}, err
	}
	rows := min(src.Part.Len(), measuredRows)
	net, err := model.Bind(dev, dae, model.Binding{Examples: min(rows, 256)})
	if err != nil {
		return model.CorruptionMeasure{}, err
	}
	return net.MeasureCorruption(ctx, src, rows)
}

// String is the table that is printed before the first epoch.
func (r *corruptionReport) String() string {
	if r.levels != nil {
		return r.levels.String()
	}
	g := grid{{"C(x̃|x)", "nominal", "destroyed", "changed", "rms change"}}
	row := func(name string, m model.CorruptionMeasure) {
		g.add(name, percent(m.Nominal), percent(m.Destroyed), percent(m.Changed), fmt.Sprintf("%.4f", m.RMS))
	}
	for i, m := range r.stages {
		row(r.names[i], m)
	}
	if len(r.stages) > 1 {
		row("all", r.whole)
	}
	return fmt.Sprintf("corruption: fresh noise at every step, the clean example is the target; realised on %d training rows:\n", r.whole.Rows) +
		indent(g.String()) + r.byColumn()
}

// listedColumns is the number of columns that are listed one by one.
const listedColumns = 16

// byColumn says what happens to single columns where they differ by more than chance.
func (r *corruptionReport) byColumn() string {
	columns := r.whole.Columns
	order := make([]int, len(columns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(columns[a].Changed, columns[b].Changed) })
	least, most := order[0], order[len(order)-1]
	deviation := math.Sqrt(r.whole.Changed * (1 - r.whole.Changed) / float64(r.whole.Rows))
	if columns[most].Changed-columns[least].Changed <= 5*deviation {
		return ""
	}
	if len(columns) > listedColumns {
		middle := order[len(order)/2]
		return fmt.Sprintf("  changed by column: least %s (%s), median %s, most %s (%s)\n", percent(columns[least].Changed), r.column(least),
			percent(columns[middle].Changed), percent(columns[most].Changed), r.column(most))
	}
	return indent(r.columnTable().String())
}

// columnTable lists what happens to each column.
func (r *corruptionReport) columnTable() grid {
	g := grid{{"column", "nominal", "destroyed", "changed"}}
	for i, c := range r.whole.Columns {
		g.add(r.column(i), percent(c.Nominal), percent(c.Destroyed), percent(c.Changed))
	}
	return g
}

func (r *corruptionReport) column(i int) string {
	if r.columns != nil {
		return r.columns[i]
	}
	return fmt.Sprintf("column %d", i+1)
}

// corruptionJSON is the object "corruption" of train.
type corruptionJSON struct {
	Spec      string      `json:"spec"`
	Nominal   float64     `json:"nominal"`
	Destroyed float64     `json:"destroyed"`
	Effective float64     `json:"effective"` // the fraction of values that changed
	RMS       float64     `json:"rms"`
	Stages    []stageJSON `json:"stages"`
	Columns   []ratesJSON `json:"columns,omitempty"` // of a table of mixed columns
	Levels    *levelsJSON `json:"levels,omitempty"`
}

// ratesJSON are the rates of a column; absent cells count nowhere.
type ratesJSON struct {
	Name      string  `json:"name"`
	Cells     int     `json:"cells"`
	Nominal   float64 `json:"nominal"`
	Destroyed float64 `json:"destroyed"`
	Effective float64 `json:"effective"`
}

type stageJSON struct {
	Spec      string  `json:"spec"`
	Nominal   float64 `json:"nominal"`
	Destroyed float64 `json:"destroyed"`
	Effective float64 `json:"effective"`
}

func (r *corruptionReport) json() corruptionJSON {
	out := corruptionJSON{Stages: []stageJSON{}, Spec: r.spec, Nominal: r.whole.Nominal, Destroyed: r.whole.Destroyed, Effective: r.whole.Changed, RMS: r.whole.RMS}
	if r.levels != nil {
		out.Levels = r.levels.json()
	}
	if r.mixed {
		for i, c := range r.whole.Columns {
			out.Columns = append(out.Columns, ratesJSON{r.column(i), c.Cells, c.Nominal, c.Destroyed, c.Changed})
		}
	}
	for i, m := range r.stages {
		out.Stages = append(out.Stages, stageJSON{r.names[i], m.Nominal, m.Destroyed, m.Changed})
	}
	return out
}

// heldOut names the rows that a run is judged on.
func heldOut(s train.Split) string {
	return fmt.Sprintf("held-out rows: %d of %d", s.Held, s.Rows)
}
