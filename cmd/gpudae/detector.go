package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gpudae/anomaly"
	"gpudae/data"
	"gpudae/table"
)

// detector tells odd rows by their losses.
type detector struct {
	rate        float64
	by          anomaly.Kind
	top         int
	brief       bool
	decoder     *table.Decoder
	calibration *anomaly.Calibration
	threshold   float64 // of the scores by which rows are flagged
}

// check says which choice cannot be, what is wrong with it, and how to mend it.
func (d *detector) check() (name, problem, remedy string) {
	switch {
	case !(d.rate > 0 && d.rate < 1):
		return "fpr", fmt.Sprintf("a fraction of %v", d.rate), "give a number between 0 and 1, such as 0.01"
	case !slices.Contains(anomaly.Kinds(), d.by):
		return "by", "unknown score " + quoted(string(d.by)), "choose max_abs_z or mean_abs_z"
	case d.top < 0:
		return "top", count(d.top, "column"), "give 0 or more"
	}
	return "", "", ""
}

// calibrated sets what is ordinary.
func (d *detector) calibrated(c *anomaly.Calibration) {
	d.calibration, d.threshold = c, c.Threshold(d.by, d.rate)
}

// columns are those of the output.
func (d *detector) columns() []data.FrameColumn {
	var columns []data.FrameColumn
	if !d.brief {
		for _, c := range d.decoder.Columns() {
			columns = append(columns, data.FrameColumn{Name: c.Name + "_pred", Type: c.Type},
				data.FrameColumn{Name: c.Name + "_loss", Type: data.Number}, data.FrameColumn{Name: c.Name + "_z_loss", Type: data.Number})
		}
	}
	for _, kind := range anomaly.Kinds() {
		columns = append(columns, data.FrameColumn{Name: string(kind), Type: data.Number})
	}
	return append(columns, data.FrameColumn{Name: "p_value", Type: data.Number}, data.FrameColumn{Name: "anomaly", Type: data.Integer},
		data.FrameColumn{Name: "top_features", Type: data.Text})
}

// twice is a name that two columns of the output would have, such as a_z_loss of the
// columns a and a_z, or empty.
func (d *detector) twice() string {
	seen := map[string]bool{}
	for _, c := range d.columns() {
		if seen[c.Name] {
			return c.Name
		}
		seen[c.Name] = true
	}
	return ""
}

// judge makes the output of losses and reconstructions, both [rows, columns of the
// model], and counts the rows that are flagged.
func (d *detector) judge(losses, restored []float32) (_ *data.Cells, flagged int) {
	width := len(d.calibration.Columns)
	rows := len(losses) / width
	z := make([]float64, len(losses))
	byRow := data.Cells{Columns: make([]data.Values, len(anomaly.Kinds())+3)}
	scores, rest := byRow.Columns[:len(anomaly.Kinds())], byRow.Columns[len(anomaly.Kinds()):]
	for i := range rows {
		row := z[i*width : (i+1)*width]
		d.calibration.Z(row, losses[i*width:(i+1)*width])
		for k, kind := range anomaly.Kinds() {
			scores[k].Numbers = append(scores[k].Numbers, anomaly.Score(kind, row))
		}
		score, flag := anomaly.Score(d.by, row), int64(0)
		if score > d.threshold {
			flag = 1
			flagged++
		}
		rest[0].Numbers = append(rest[0].Numbers, d.calibration.P(d.by, score))
		rest[1].Integers = append(rest[1].Integers, flag)
		rest[2].Text = append(rest[2].Text, d.topFeatures(row))
	}
	cells := &data.Cells{Rows: rows}
	if !d.brief {
		predicted := d.decoder.Decode(restored)
		for j := range width {
			cells.Columns = append(cells.Columns, predicted.Columns[j], numbersOf(rows, func(i int) float64 { return float64(losses[i*width+j]) }),
				numbersOf(rows, func(i int) float64 { return z[i*width+j] }))
		}
	}
	cells.Columns = append(cells.Columns, byRow.Columns...)
	return cells, flagged
}

// numbersOf is a column of numbers, absent where they are NaN.
func numbersOf(rows int, at func(i int) float64) data.Values {
	v := data.Values{Numbers: make([]float64, rows)}
	for i := range rows {
		x := at(i)
		if math.IsNaN(x) {
			if v.Absent == nil {
				v.Absent = make([]bool, rows)
			}
			v.Absent[i], x = true, 0
		}
		v.Numbers[i] = x
	}
	return v
}

// topFeatures names the columns with the greatest z-scores.
func (d *detector) topFeatures(z []float64) string {
	var parts []string
	for _, j := range anomaly.Top(z, d.top) {
		parts = append(parts, fmt.Sprintf("%s (%.3g)", d.calibration.Columns[j].Name, z[j]))
	}
	return strings.Join(parts, ", ")
}
