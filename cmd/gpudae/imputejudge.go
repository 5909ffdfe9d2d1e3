package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"gpudae/device/philox"
	"gpudae/impute"
	"gpudae/table"
)

// poolColumn gathers, for each table of draws, what estimates of a column need.
type poolColumn struct {
	column *table.Column
	number func(z float32, filled bool) float64
	tables []columnSums
}

// columnSums are those of a column in one table.
type columnSums struct {
	n             int
	mean, squares float64 // of numbers: Welford's
	counts        []int   // of categories, by code
}

func newPool(schema *table.Schema, decoder *table.Decoder, draws int) []*poolColumn {
	var pool []*poolColumn
	for j, i := range schema.Used() {
		c := &poolColumn{column: &schema.Columns[i], tables: make([]columnSums, draws)}
		c.number = numberOf(decoder, j)
		for draw := range c.tables {
			c.tables[draw].counts = make([]int, codesOf(c.column))
		}
		pool = append(pool, c)
	}
	return pool
}

// numberOf is the number of a value of column j that was filled in, or that was there.
func numberOf(decoder *table.Decoder, j int) func(z float32, filled bool) float64 {
	return func(z float32, filled bool) float64 {
		if filled {
			return decoder.Number(j, z)
		}
		return decoder.Observed(j, z)
	}
}

// codesOf is the number of codes of a column of categories, 0 of numbers.
func codesOf(c *table.Column) int {
	switch c.Kind {
	case table.Binary:
		return 2
	case table.Categorical:
		return len(c.Fit.Categories) + 1
	}
	return 0
}

// add counts every width-th number of a block of table number draw, made of x.
func (c *poolColumn) add(draw int, y, x []float32, width int) {
	t := &c.tables[draw]
	for i := 0; i < len(y); i += width {
		if y[i] != y[i] {
			continue
		}
		t.n++
		if len(t.counts) > 0 {
			t.counts[int(y[i])]++
			continue
		}
		v := c.number(y[i], x[i] != x[i])
		delta := v - t.mean
		t.mean += delta / float64(t.n)
		t.squares += delta * (v - t.mean)
	}
}

// pooledJSON is an estimate: the mean of a column of numbers, or the share of a
// category.
type pooledJSON struct {
	Column   string `json:"column"`
	Category string `json:"category,omitempty"`
	Estimate number `json:"estimate"`
	Error    number `json:"standard_error"`
	Low      number `json:"low"`
	High     number `json:"high"`
	DF       number `json:"df"`
	Missing  number `json:"missing_information"`
}

// mostShares bounds the categories of a column whose shares are estimated, the
// most common ones.
const mostShares = 20

// estimates pools the column over the tables.
func (c *poolColumn) estimates(level float64) []pooledJSON {
	if c.tables[0].n < 2 {
		return nil
	}
	if len(c.tables[0].counts) == 0 {
		return []pooledJSON{c.estimate("", level, func(t *columnSums) impute.Estimate {
			n := float64(t.n)
			return impute.Estimate{Value: t.mean, Variance: t.squares / (n - 1) / n}
		})}
	}
	var list []pooledJSON
	for k, name := range c.column.Fit.Categories {
		code := k + 1
		if c.column.Kind == table.Binary {
			code = k
		}
		if k == mostShares {
			break
		}
		list = append(list, c.estimate(name, level, func(t *columnSums) impute.Estimate {
			n := float64(t.n)
			share := float64(t.counts[code]) / n
			return impute.Estimate{Value: share, Variance: share * (1 - share) / (n - 1)}
		}))
	}
	return list
}

func (c *poolColumn) estimate(category string, level float64, of func(*columnSums) impute.Estimate) pooledJSON {
	estimates := make([]impute.Estimate, len(c.tables))
	for i := range c.tables {
		estimates[i] = of(&c.tables[i])
	}
	p := impute.Pool(estimates, float64(c.tables[0].n-1), level)
	return pooledJSON{c.column.Name, category, number(p.Value), number(math.Sqrt(p.Variance)), number(p.Low), number(p.High), number(p.DF), number(p.Missing)}
}

// overimputed gathers cells that were hidden and filled in again.
type overimputed struct {
	columns []*hiddenColumn
}

// hiddenColumn are the hidden cells of a column, at most mostHidden of them.
type hiddenColumn struct {
	column *table.Column
	number func(z float32, filled bool) float64
	truth  []float32
	filled []float32
	draws  [][]float32
}

// mostHidden bounds the hidden cells of a column, and so the memory.
const mostHidden = 20_000

// Coordinates of the words that decide which cells are hidden, and the number of
// the first draw of hidden cells, which is not one of the tables'.
const (
	hiddenStage     = 200
	firstHiddenDraw = 1 << 16
)

func newOverimputed(schema *table.Schema, decoder *table.Decoder) *overimputed {
	o := &overimputed{}
	for j, i := range schema.Used() {
		o.columns = append(o.columns, &hiddenColumn{column: &schema.Columns[i], number: numberOf(decoder, j)})
	}
	return o
}

// block hides cells of a block and fills them in.
func (o *overimputed) block(ctx context.Context, f filler, b tableBlock, fraction float64) error {
	hidden := tableBlock{from: b.from, cells: b.cells, x: make([]float32, len(b.x))}
	copy(hidden.x, b.x)
	places := o.hide(hidden, f.seed, fraction)
	if len(places) == 0 {
		return nil
	}
	y, err := f.fill(ctx, hidden, false, 0)
	if err != nil {
		return err
	}
	var drawn [][]float32
	for draw := range hiddenDraws {
		d, err := f.fill(ctx, hidden, true, firstHiddenDraw+draw)
		if err != nil {
			return err
		}
		drawn = append(drawn, d)
	}
	for _, i := range places {
		c := o.columns[i%len(o.columns)]
		draws := make([]float32, len(drawn))
		for k := range drawn {
			draws[k] = drawn[k][i]
		}
		c.truth, c.filled, c.draws = append(c.truth, b.x[i]), append(c.filled, y[i]), append(c.draws, draws)
	}
	return nil
}

// hide makes cells absent and returns where they are. A category that the schema
// does not know is nothing that could be filled in.
func (o *overimputed) hide(b tableBlock, seed uint64, fraction float64) (places []int) {
	width, key, threshold := len(o.columns), philox.KeyOf(seed), philox.Threshold(fraction)
	taken := make([]int, width)
	for i, v := range b.x {
		j := i % width
		c := o.columns[j]
		if v != v || len(c.truth)+taken[j] == mostHidden || c.column.Kind == table.Categorical && v == 0 {
			continue
		}
		at := philox.Coordinates{Stream: philox.StreamDraw, Index: hiddenStage, Row: uint32(b.from + i/width), Block: uint32(j / 4)}
		if philox.Fires(philox.Block(at.Counter(), key)[j%4], threshold) {
			b.x[i] = float32(math.NaN())
			taken[j]++
			places = append(places, i)
		}
	}
	return places
}

// hiddenJSON says how well the hidden cells of a column were filled in, in the
// column's units.
type hiddenJSON struct {
	Column   string  `json:"column"`
	Kind     string  `json:"kind"`
	N        int     `json:"n"`
	RMSE     *number `json:"rmse,omitempty"`
	Mean     *number `json:"rmse_of_mean,omitempty"`
	NRMSE    *number `json:"nrmse,omitempty"`
	MAE      *number `json:"mae,omitempty"`
	Coverage *number `json:"coverage,omitempty"`
	Width    *number `json:"width,omitempty"`
	Accuracy *number `json:"accuracy,omitempty"`
	Mode     *number `json:"accuracy_of_mode,omitempty"`
	Held     *number `json:"draws_right,omitempty"`
}

// judge compares the column's hidden cells with what was filled in.
func (c *hiddenColumn) judge(level float64) hiddenJSON {
	j := hiddenJSON{Column: c.column.Name, Kind: string(c.column.Kind), N: len(c.truth)}
	if j.N == 0 {
		return j
	}
	if codesOf(c.column) == 0 {
		draws := make([][]float64, len(c.draws))
		for i, d := range c.draws {
			draws[i] = c.numbers(d, true)
		}
		n := impute.JudgeNumbers(c.numbers(c.truth, false), c.numbers(c.filled, true), draws, c.column.Fit.Mean, level)
		j.RMSE, j.Mean, j.NRMSE, j.MAE = pointer(n.RMSE), pointer(n.Mean), pointer(n.NRMSE), pointer(n.MAE)
		j.Coverage, j.Width = pointer(n.Coverage), pointer(n.Width)
		return j
	}
	draws := make([][]int, len(c.draws))
	for i, d := range c.draws {
		draws[i] = c.codes(d)
	}
	k := impute.JudgeClasses(c.codes(c.truth), c.codes(c.filled), draws, c.mode())
	j.Accuracy, j.Mode, j.Held = pointer(k.Accuracy), pointer(k.Mode), pointer(k.Held)
	return j
}

func (c *hiddenColumn) numbers(z []float32, filled bool) []float64 {
	x := make([]float64, len(z))
	for i, v := range z {
		x[i] = c.number(v, filled)
	}
	return x
}

// codes are whole numbers; of a binary column's mean the nearer value.
func (c *hiddenColumn) codes(z []float32) []int {
	codes := make([]int, len(z))
	for i, v := range z {
		codes[i] = int(math.Round(float64(v)))
	}
	return codes
}

// mode is the code of the most common value of the training rows.
func (c *hiddenColumn) mode() int {
	if c.column.Kind == table.Categorical {
		return 1
	}
	if c.column.Fit.Counts[1] > c.column.Fit.Counts[0] {
		return 1
	}
	return 0
}

func pointer(v float64) *number {
	n := number(v)
	return &n
}

// imputeJSON is what --json prints.
type imputeJSON struct {
	Model   string         `json:"model"`
	Data    string         `json:"data"`
	Rows    int            `json:"rows"`
	Out     []string       `json:"out,omitempty"`
	Filled  map[string]int `json:"filled"` // missing cells by column
	Level   float64        `json:"level"`
	Pooled  []pooledJSON   `json:"pooled,omitempty"`
	Columns []hiddenJSON   `json:"overimputed,omitempty"`
}

func (p *program) printImputation(in *imputation) error {
	j := imputeJSON{Model: in.model, Data: in.input, Rows: in.rows, Out: in.outputs, Filled: map[string]int{}, Level: in.level}
	cells := 0
	for k, i := range in.schema.Used() {
		if in.filled[k] > 0 && in.places[k] >= 0 {
			j.Filled[in.schema.Columns[i].Name] = in.filled[k]
			cells += in.filled[k]
		}
	}
	for _, c := range in.pool {
		j.Pooled = append(j.Pooled, c.estimates(in.level)...)
	}
	if in.hidden != nil {
		for _, c := range in.hidden.columns {
			j.Columns = append(j.Columns, c.judge(in.level))
		}
	}
	if in.json {
		return p.printJSON(j)
	}
	var text strings.Builder
	switch {
	case len(in.outputs) == 1:
		fmt.Fprintf(&text, "%s: %s, %s filled in\n", in.outputs[0], count(in.rows, "row"), count(cells, "missing cell"))
	case len(in.outputs) > 1:
		fmt.Fprintf(&text, "%s to %s: %s, %s filled in by draws in each\n", in.outputs[0], in.outputs[len(in.outputs)-1], count(in.rows, "row"), count(cells, "missing cell"))
	}
	if len(j.Pooled) > 0 {
		fmt.Fprintf(&text, "\nPooled over %d tables (means of numbers, shares of categories):\n%s", in.draws, indent(pooledGrid(j.Pooled, in.level)))
	}
	if len(j.Columns) > 0 {
		fmt.Fprintf(&text, "\nObserved cells that were hidden and filled in (beside the column's mean or most common value):\n%s", indent(hiddenGrid(j.Columns, in.level)))
	}
	return p.printText(text.String())
}

func pooledGrid(list []pooledJSON, level float64) string {
	g := grid{}
	g.add("", "estimate", "s.e.", fmt.Sprintf("%g %% from", 100*level), "to", "df", "missing information")
	for _, e := range list {
		name := e.Column
		if e.Category != "" {
			name += " = " + e.Category
		}
		g.add(name, e.Estimate.String(), short(e.Error), e.Low.String(), e.High.String(), short(e.DF), percent(float64(e.Missing)))
	}
	return g.String()
}

func hiddenGrid(list []hiddenJSON, level float64) string {
	g := grid{}
	g.add("", "cells", "RMSE", "of mean", "accuracy", "of mode", fmt.Sprintf("%g %% intervals hold", 100*level), "their width")
	for _, h := range list {
		if h.N == 0 {
			continue
		}
		row := []string{h.Column, fmt.Sprint(h.N), "", "", "", "", "", ""}
		if h.RMSE != nil {
			row[2], row[3], row[6], row[7] = short(*h.RMSE), short(*h.Mean), percent(float64(*h.Coverage)), short(*h.Width)
		} else {
			row[4], row[5] = percent(float64(*h.Accuracy)), percent(float64(*h.Mode))
		}
		g.add(row...)
	}
	return g.String()
}

// short writes four significant digits.
func short(n number) string {
	if math.IsNaN(float64(n)) {
		return "-"
	}
	return fmt.Sprintf("%.4g", float64(n))
}
