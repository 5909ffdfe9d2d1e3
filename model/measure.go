package model

import (
	"context"
	"fmt"
	"math"
)

// CorruptionMeasure says what a corruption did to examples.
type CorruptionMeasure struct {
	Rows      int               `json:"rows"`
	Nominal   float64           `json:"nominal"`   // the expected fraction of destroyed features
	Destroyed float64           `json:"destroyed"` // the realised fraction
	Changed   float64           `json:"changed"`   // the effective rate: the fraction whose value differs, x̃ ≠ x
	RMS       float64           `json:"rms"`       // root mean square of x̃ - x; of mixed columns over numbers that are not absent from either
	Columns   []ColumnCorrupted `json:"columns"`
}

// ColumnCorrupted is the part of one column in a CorruptionMeasure.
type ColumnCorrupted struct {
	Cells     int     `json:"cells"`   // examples in which the value is not absent
	Nominal   float64 `json:"nominal"` // the expected fraction of destroyed cells
	Destroyed float64 `json:"destroyed"`
	Changed   float64 `json:"changed"`
}

// absent reports whether a value is absent, which counts nowhere.
func absent(x float32) bool { return x != x }

// MeasureCorruption corrupts the first examples of a part, as many as rows if
// there are so many, as Evaluate does, and counts what became of them. It needs
// no parameters.
func (n *Net) MeasureCorruption(ctx context.Context, src Source, rows int) (CorruptionMeasure, error) {
	features := n.dae.resolved.Features
	clean, corrupted, mask := make([]float32, n.rows*features), make([]float32, n.rows*features), make([]float32, n.rows*features)
	count := make([]struct{ cells, destroyed, changed int }, features)
	measure := CorruptionMeasure{Columns: make([]ColumnCorrupted, features)}
	var square float64
	numbers, families := 0, n.dae.resolved.families
	err := n.stream(ctx, src, rows, func(_ int, m *minibatch) error {
		rows, size := m.rows, m.rows*features
		if err := n.download(clean[:size], n.clean.Top(rows)); err != nil {
			return err
		}
		if err := n.download(corrupted[:size], n.corrupted.Top(rows)); err != nil {
			return err
		}
		if err := n.download(mask[:size], n.mask.Top(rows)); err != nil {
			return err
		}
		for i := range size {
			column := &count[i%features]
			if absent(clean[i]) {
				continue
			}
			column.cells++
			if mask[i] != 0 || n.scores() {
				column.destroyed++
			}
			if corrupted[i] != clean[i] {
				column.changed++
			}
			if !absent(corrupted[i]) && (families == nil || numeric(families[i%features])) {
				numbers++
				square += math.Pow(float64(corrupted[i])-float64(clean[i]), 2)
			}
		}
		measure.Rows += rows
		return nil
	})
	if err != nil {
		return CorruptionMeasure{}, fmt.Errorf("measuring the corruption: %w", err)
	}
	rates := n.nominalRates()
	filled := 0.0 // columns that have values
	for j, c := range count {
		column := &measure.Columns[j]
		column.Cells, column.Nominal = c.cells, rates[j]
		if c.cells == 0 {
			continue
		}
		filled++
		column.Destroyed, column.Changed = float64(c.destroyed)/float64(c.cells), float64(c.changed)/float64(c.cells)
		measure.Nominal += column.Nominal
		measure.Destroyed += column.Destroyed
		measure.Changed += column.Changed
	}
	for _, sum := range []*float64{&measure.Nominal, &measure.Destroyed, &measure.Changed} {
		*sum /= max(filled, 1)
	}
	measure.RMS = math.Sqrt(square / float64(max(numbers, 1)))
	return measure, nil
}

// nominalRates are those of each column.
func (n *Net) nominalRates() []float64 {
	r := n.dae.resolved
	rates := make([]float64, r.Features)
	fields := n.dae.NominalRates()
	field, left := 0, 0
	for j := range rates {
		switch {
		case n.scores(): // noise destroys everything
			rates[j] = 1
		case !r.grouped():
			rates[j] = fields[j%len(fields)]
		default:
			if left == 0 {
				left = r.Fields[field]
				field++
			}
			left--
			rates[j] = fields[(field-1)%len(fields)]
		}
	}
	return rates
}
