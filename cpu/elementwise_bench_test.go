package cpu_test

import (
	"context"
	"testing"

	"gpudae/device"
	"gpudae/device/philox"
)

// BenchmarkCorrupt times the corruption of a minibatch of 128 examples of 784
// features by each kind.
func BenchmarkCorrupt(b *testing.B) {
	const rows, columns = 128, 784
	for _, kind := range device.Corruptions() {
		b.Run(kind.String(), func(b *testing.B) {
			dev := openAsUsed(b, 1)
			data, err := dev.Load(context.Background(), device.Table{Rows: 10000, Columns: columns, Uint8: make([]uint8, 10000*columns), Scale: 1})
			if err != nil {
				b.Fatal(err)
			}
			words, err := dev.Alloc(device.Word, device.ClockWords+device.IndexWords(rows))
			if err != nil {
				b.Fatal(err)
			}
			matrix := func(rows int) device.View { return upload(b, dev, rows, columns, make([]float32, rows*columns)) }
			x, y, mask, extremes := matrix(rows), matrix(rows), matrix(rows), matrix(1)
			clock, index := device.WordsOf(words, 0, device.ClockWords), device.WordsOf(words, device.ClockWords, device.IndexWords(rows))
			part := device.Rows{Lo: 1000, Hi: 10000, Split: true, Seed: 7}
			dev.Gather(device.GatherArgs{Data: data, Part: part, Shuffle: true, Seed: 7, Replicates: 1, Clock: clock, X: x, Index: index})
			best := fastest(b, func() {
				dev.Corrupt(device.CorruptArgs{
					Kind: kind, Rate: philox.Threshold(0.25), Length: 3, Amount: 0.25, From: x, To: y, Mask: mask, Low: extremes, High: extremes,
					Seed: 7, Replicates: 1, Index: index, Clock: clock, Data: data, Part: part,
				})
			})
			b.ReportMetric(float64(best.Microseconds()), "µs")
		})
	}
}

// BenchmarkNormalize times both normalisations of a minibatch of 128 examples
// of 1000 units, forward and backward.
func BenchmarkNormalize(b *testing.B) {
	const rows, columns = 128, 1000
	for _, kind := range device.Normalizations() {
		b.Run(kind.String(), func(b *testing.B) {
			dev := openAsUsed(b, 1)
			matrix := func(rows, columns int) device.View {
				return upload(b, dev, rows, columns, make([]float32, rows*columns))
			}
			x, y, dy, dx := matrix(rows, columns), matrix(rows, columns), matrix(rows, columns), matrix(rows, columns)
			vector := func() device.View { return matrix(1, columns) }
			gain, bias, mean, variance, dGain, dBias := vector(), vector(), vector(), vector(), vector(), vector()
			groups := rows
			if kind == device.BatchNorm {
				groups = columns
			}
			m, s := matrix(1, groups), matrix(1, groups)
			best := fastest(b, func() {
				dev.Normalize(device.NormalizeArgs{
					Kind: kind, Training: true, Epsilon: 1e-5, Momentum: 0.1, X: x, Gain: gain, Bias: bias, RunningMean: mean, RunningVar: variance,
					Mean: m, InvStd: s, Y: y,
				})
				dev.NormalizeBackward(device.NormalizeBackwardArgs{
					Kind: kind, X: x, Gain: gain, Mean: m, InvStd: s, DY: dy, DX: dx, DGain: dGain, DBias: dBias,
				})
			})
			b.ReportMetric(float64(best.Microseconds()), "µs")
		})
	}
}
