// Package anomaly turns losses by column into anomaly scores: how far each
// column's loss of a row lies above those of ordinary rows, and how rare so great
// a distance is among them.
//
// The package is a leaf: it must not know models, tables or files. Its scores
// have nothing to do with the score ∇ log p.
package anomaly

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Kind is a way to make one number of a row's z-scores.
type Kind string

// The kinds: the greatest z-score of a row's columns, and their mean, in absolute
// value. A single cell that is wrong shows in the first, a row that is a little
// odd everywhere in the second.
const (
	MaxAbsZ  Kind = "max_abs_z"
	MeanAbsZ Kind = "mean_abs_z"
)

// Kinds lists the kinds.
func Kinds() []Kind { return []Kind{MaxAbsZ, MeanAbsZ} }

// Column says what is ordinary in a column.
type Column struct {
	Name      string  `json:"name"`
	Mean      float64 `json:"mean"`      // of the loss, in nats
	Deviation float64 `json:"deviation"` // of the loss, above 0
	N         int     `json:"n"`         // rows in which the column has a finite loss
}

// Calibration says what is ordinary: the losses by column, and the scores of
// each kind in increasing order, of rows that were not trained on.
type Calibration struct {
	Columns []Column           `json:"columns"`
	Scores  map[Kind][]float64 `json:"scores"`
}

// leastDeviation keeps a column whose loss hardly varies from making an anomaly
// of rounding: nats.
const leastDeviation = 1e-3

// Fit calibrates on losses [rows, columns] in nats; NaN where a cell has no
// value. A column without any value never counts. It fails if there are no rows.
func Fit(names []string, losses []float32) (*Calibration, error) {
	width := len(names)
	if width == 0 || len(losses) == 0 || len(losses)%width != 0 {
		return nil, errors.New("no rows to calibrate anomaly scores on")
	}
	c := &Calibration{Columns: make([]Column, width), Scores: map[Kind][]float64{}}
	for j := range c.Columns {
		c.Columns[j] = fitColumn(names[j], losses[j:], width)
	}
	rows := len(losses) / width
	z := make([]float64, width)
	for i := range rows {
		for j, column := range c.Columns {
			z[j] = column.without(float64(losses[i*width+j]))
		}
		for _, kind := range Kinds() {
			c.Scores[kind] = append(c.Scores[kind], Score(kind, z))
		}
	}
	for _, kind := range Kinds() {
		slices.Sort(c.Scores[kind])
	}
	return c, nil
}

// fitColumn takes every width-th loss.
func fitColumn(name string, losses []float32, width int) Column {
	c := Column{Name: name, Deviation: leastDeviation}
	var squares float64
	for i := 0; i < len(losses); i += width {
		x := float64(losses[i])
		if math.IsNaN(x) || math.IsInf(x, 0) { // an infinite one would leave no mean
			continue
		}
		c.N++
		delta := x - c.Mean
		c.Mean += delta / float64(c.N)
		squares += delta * (x - c.Mean)
	}
	if c.N > 1 {
		c.Deviation = max(leastDeviation, math.Sqrt(squares/float64(c.N-1)))
	}
	return c
}

// Z writes the z-score of each loss of a row, (loss - mean)/deviation; NaN where
// the cell has no value, or had none in any row of the calibration.
func (c *Calibration) Z(z []float64, losses []float32) {
	for j, column := range c.Columns {
		z[j] = math.NaN()
		if column.N > 0 {
			z[j] = (float64(losses[j]) - column.Mean) / column.Deviation
		}
	}
}

// without is the z-score of a loss that is one of the column's own among the
// others, as that of a row to come is among all: a loss that helped to make the
// mean and the deviation it is measured by looks more ordinary than it is, and can
// be no more than (n-1)/√n deviations from the mean.
func (c Column) without(loss float64) float64 {
	switch {
	case c.N == 0 || math.IsNaN(loss) || c.N == 1 && !math.IsInf(loss, 0):
		return math.NaN() // there is nothing to measure it by
	case math.IsInf(loss, 0): // it is none of those that the column is fitted on
		return (loss - c.Mean) / c.Deviation
	case c.N == 2:
		return 2 * (loss - c.Mean) / leastDeviation // from the other one
	}
	n, delta := float64(c.N), loss-c.Mean
	squares := max(c.Deviation*c.Deviation*(n-1)-n/(n-1)*delta*delta, 0)
	return n / (n - 1) * delta / max(leastDeviation, math.Sqrt(squares/(n-2)))
}

// Score makes one number of a row's z-scores, NaN among them left out; it is 0
// where there is nothing else.
func Score(kind Kind, z []float64) float64 {
	greatest, sum, n := 0.0, 0.0, 0
	for _, v := range z {
		if math.IsNaN(v) {
			continue
		}
		greatest = max(greatest, math.Abs(v))
		sum += math.Abs(v)
		n++
	}
	if kind == MaxAbsZ || n == 0 {
		return greatest
	}
	return sum / float64(n)
}

// P is the share of rows that score at least as high, the row itself and those of the
// calibration, as in conformal prediction (Vovk et al. 2005, section 4.2; Bates et al.
// 2023). Each row of the calibration is scored by the others alone, so that P(P ≤ α) is
// about α if the row comes from where they come from, whatever the losses. It would be
// at most α if the means and deviations were of yet other rows.
func (c *Calibration) P(kind Kind, score float64) float64 {
	sorted := c.Scores[kind]
	below := sort.SearchFloat64s(sorted, score)
	return float64(len(sorted)-below+1) / float64(len(sorted)+1)
}

// Threshold is the least score that no more than a fraction rate of ordinary rows
// reach: rows with a score above it have P ≤ rate. It is +Inf if the calibration
// has too few rows to tell so small a rate.
func (c *Calibration) Threshold(kind Kind, rate float64) float64 {
	sorted := c.Scores[kind]
	n := len(sorted)
	// P = (above + 1)/(n + 1) ≤ rate allows so many rows at or above the score.
	above := int(math.Floor(rate*float64(n+1)+1e-9)) - 1
	if above < 0 {
		return math.Inf(1)
	}
	return sorted[max(0, n-above-1)]
}

// LeastRate is the least rate that the calibration can tell.
func (c *Calibration) LeastRate() float64 { return 1 / float64(len(c.Scores[MaxAbsZ])+1) }

// Top lists the columns with the greatest absolute z-scores, the greatest first,
// at most so many.
func Top(z []float64, most int) []int {
	order := make([]int, 0, len(z))
	for j, v := range z {
		if !math.IsNaN(v) {
			order = append(order, j)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := math.Abs(z[a]), math.Abs(z[b]); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return order[:min(most, len(order))]
}

// UnmarshalJSON reads what encoding/json wrote, and checks that it is a calibration.
func (c *Calibration) UnmarshalJSON(text []byte) error {
	type plain Calibration // without this method
	var p plain
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if len(p.Columns) == 0 {
		return errors.New("a calibration without columns")
	}
	for _, column := range p.Columns {
		if !(column.Deviation > 0) || math.IsInf(column.Deviation, 1) || column.N < 0 {
			return fmt.Errorf("a calibration in which column %q has a deviation of %v over %d rows", column.Name, column.Deviation, column.N)
		}
	}
	for _, kind := range Kinds() {
		if len(p.Scores[kind]) == 0 || len(p.Scores[kind]) != len(p.Scores[MaxAbsZ]) || !slices.IsSorted(p.Scores[kind]) {
			return fmt.Errorf("a calibration whose %s are not in order", kind)
		}
	}
	*c = Calibration(p)
	return nil
}
