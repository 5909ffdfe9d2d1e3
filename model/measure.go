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
	RMS       float64           `json:"rms"`       // root mean square of x̃ - x
	Columns   []ColumnCorrupted `json:"columns"`
}

// ColumnCorrupted is the part of one column in a CorruptionMeasure.
type ColumnCorrupted struct {
	Destroyed float64 `json:"destroyed"`
	Changed   float64 `json:"changed"`
}

// MeasureCorruption corrupts the first examples of a part, as many as rows if
// there are so many, as Evaluate does, and counts what became of them. It needs
// no parameters.
func (n *Net) MeasureCorruption(ctx context.Context, src Source, rows int) (CorruptionMeasure, error) {
	features := n.dae.resolved.Features
	clean, corrupted, mask := make([]float32, n.rows*features), make([]float32, n.rows*features), make([]float32, n.rows*features)
	count := make([]struct{ destroyed, changed int }, features)
	measure := CorruptionMeasure{Nominal: n.dae.resolved.corruption.NominalRate(), Columns: make([]ColumnCorrupted, features)}
	if n.scores() { // noise destroys everything
		measure.Nominal = 1
	}
	var square float64
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
			if mask[i] != 0 || n.scores() {
				column.destroyed++
			}
			if corrupted[i] != clean[i] {
				column.changed++
				square += math.Pow(float64(corrupted[i])-float64(clean[i]), 2)
			}
		}
		measure.Rows += rows
		return nil
	})
	if err != nil {
		return CorruptionMeasure{}, fmt.Errorf("measuring the corruption: %w", err)
	}
	for j, c := range count {
		column := &measure.Columns[j]
		column.Destroyed, column.Changed = float64(c.destroyed)/float64(measure.Rows), float64(c.changed)/float64(measure.Rows)
		measure.Destroyed += column.Destroyed / float64(features)
		measure.Changed += column.Changed / float64(features)
	}
	measure.RMS = math.Sqrt(square / float64(measure.Rows) / float64(features))
	return measure, nil
}
