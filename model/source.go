package model

import (
	"fmt"

	"gpudae/device"
)

// Source says where examples come from and what decides their order and noise.
type Source struct {
	Data    device.Dataset
	Target  device.Dataset // of a predictor: the targets of the rows of Data
	Part    device.Rows
	Seed    uint64
	Range   Range        // of the data; needed by salt-and-pepper, and the peak of PSNR
	Shuffle bool         // Gradient: visit the part in the order of the epoch's permutation
	Clock   device.Words // Gradient: the position in the epoch and the step that selects the noise
}

// Range is what is known about the values of a data set.
type Range struct {
	Low, High device.View // [1, features] least and greatest value of each column
	Min, Max  float64     // of all columns
}

// NewRange copies the extremes of each column to the device.
func NewRange(dev device.Device, low, high []float32) (Range, error) {
	if len(low) == 0 || len(low) != len(high) {
		panic(fmt.Sprintf("model: range of %d lows and %d highs", len(low), len(high)))
	}
	a := allocator{dev: dev}
	r := Range{Low: a.matrix(1, len(low)), High: a.matrix(1, len(high)), Min: float64(low[0]), Max: float64(high[0])}
	if a.err != nil {
		return Range{}, fmt.Errorf("allocating the columns' extremes: %w", a.err)
	}
	for i := range low {
		r.Min, r.Max = min(r.Min, float64(low[i])), max(r.Max, float64(high[i]))
	}
	if err := dev.Upload(r.Low, low); err != nil {
		return Range{}, fmt.Errorf("copying the columns' extremes: %w", err)
	}
	if err := dev.Upload(r.High, high); err != nil {
		return Range{}, fmt.Errorf("copying the columns' extremes: %w", err)
	}
	return r, nil
}

// Peak is the width of the range, or 1, that of intensities, if it is not known.
func (r Range) Peak() float64 {
	if r.Max > r.Min {
		return r.Max - r.Min
	}
	return 1
}

// ColumnExtremes returns the least and greatest value of each column of a
// table, as a device widens them, absent values left out; 0 and 0 of a column
// without any value.
func ColumnExtremes(t device.Table) (low, high []float32) {
	low, high = make([]float32, t.Columns), make([]float32, t.Columns)
	seen := make([]bool, t.Columns)
	for i := range t.Rows * t.Columns {
		v := t.At(i)
		column := i % t.Columns
		if absent(v) {
			continue
		}
		if !seen[column] || v < low[column] {
			low[column] = v
		}
		if !seen[column] || v > high[column] {
			high[column] = v
		}
		seen[column] = true
	}
	return low, high
}
