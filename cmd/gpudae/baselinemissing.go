package main

import (
	"math"
	"slices"

	"gpudae/baseline"
	"gpudae/device/philox"
)

// hiddenShare is the share of the scored values that a fit to data with missing
// values is asked to fill in.
const hiddenShare = 0.1

// missingJSON is what a fit to data with missing values says of them.
type missingJSON struct {
	Values   int `json:"values"` // missing in the training rows
	Hidden   int `json:"hidden"` // of the scored rows, which mse is measured on
	features int
}

func (f *linearFit) missingValues() *missingJSON {
	m := &missingJSON{Hidden: len(f.hidden), features: f.train.Features}
	for _, v := range f.train.Values {
		if v != v {
			m.Values++
		}
	}
	return m
}

// hide makes the pairs that are scored: rows as they are, and with a tenth of
// their values missing, drawn by the seed, the row's place and the column.
func (f *linearFit) hide(scored baseline.Rows) {
	f.clean = scored
	f.corrupted = baseline.Rows{Values: slices.Clone(scored.Values), Features: scored.Features}
	key, below := philox.KeyOf(f.in.split.Seed), philox.Threshold(hiddenShare)
	for i, v := range scored.Values {
		row, column := i/scored.Features, i%scored.Features
		at := philox.Coordinates{Stream: philox.StreamDraw, Row: uint32(row), Block: uint32(column / 4)}
		if v == v && philox.Fires(philox.Block(at.Counter(), key)[column%4], below) {
			f.corrupted.Values[i] = float32(math.NaN())
			f.hidden = append(f.hidden, i)
		}
	}
}

// hiddenMSE is the mean squared error over the hidden values, NaN if there is none.
func (f *linearFit) hiddenMSE(r baseline.Rows) float64 {
	var sum float64
	for _, i := range f.hidden {
		d := float64(f.clean.Values[i]) - float64(r.Values[i])
		sum += d * d
	}
	return sum / float64(len(f.hidden))
}

// columnMeans are the means of the training values that are there.
func (f *linearFit) columnMeans() baseline.Mean {
	mean, counts := make(baseline.Mean, f.train.Features), make([]float64, f.train.Features)
	for i, v := range f.train.Values {
		if v == v {
			mean[i%len(mean)] += float64(v)
			counts[i%len(mean)]++
		}
	}
	for j := range mean {
		mean[j] /= counts[j]
	}
	return mean
}
