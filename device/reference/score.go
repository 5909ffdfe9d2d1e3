package reference

import (
	"gpudae/device"
	"gpudae/device/philox"
)

// Diffuse implements device.Device. x̃ is rounded to float32: it is defined so.
func (d *Device) Diffuse(a device.DiffuseArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	sigma, from, to, level := d.matrix(a.Sigma), d.matrix(a.From), d.matrix(a.To), d.words(a.Level)
	index, step, key := d.words(a.Index), uint32(d.clock(a.Clock).Step), philox.KeyOf(a.Seed)
	for i := range from.rows {
		at := philox.Coordinates{Stream: a.Stream, Index: a.Stage, Replicate: uint32(i % a.Replicates), Row: index[i], Step: step}
		ofLevel := at
		ofLevel.Draw = 1
		level[i] = philox.Below(philox.Block(ofLevel.Counter(), key)[0], uint32(sigma.columns))
		for j := range from.columns {
			c := cell{x: float32(from.at(i, j)), column: j, amount: float32(sigma.data[level[i]]), key: key, at: at}
			x, _ := gaussian(c)
			to.row(i)[j] = float64(x)
		}
	}
}

// Condition implements device.Device.
func (d *Device) Condition(a device.ConditionArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	level, scale, embedding, x, out := d.words(a.Level), d.matrix(a.Scale), d.matrix(a.Embedding), d.matrix(a.X), d.matrix(a.Out)
	for i := range x.rows {
		for j := range x.columns {
			out.row(i)[j] = scale.data[level[i]] * x.at(i, j)
		}
		for e := range embedding.columns {
			out.row(i)[x.columns+e] = embedding.at(int(level[i]), e)
		}
	}
}

// Blend implements device.Device.
func (d *Device) Blend(a device.BlendArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	level, alpha, beta, x, y, out := d.words(a.Level), d.matrix(a.Alpha), d.matrix(a.Beta), d.matrix(a.X), d.matrix(a.Y), d.matrix(a.Out)
	for i := range out.rows {
		for j := range out.columns {
			sum := beta.data[level[i]] * y.at(i, j)
			if x.data != nil {
				sum += alpha.data[level[i]] * x.at(i, j)
			}
			out.row(i)[j] = sum
		}
	}
}

// ScoreMatch implements device.Device.
func (d *Device) ScoreMatch(a device.ScoreMatchArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	level, weights, outScales := d.words(a.Level), d.matrix(a.Weight), d.matrix(a.OutScale)
	denoised, target, losses, df := d.matrix(a.Denoised), d.matrix(a.Target), d.matrix(a.Losses), d.matrix(a.DF)
	for i := range target.rows {
		weight, outScale := weights.data[level[i]], outScales.data[level[i]]
		losses.data[i] = 0
		for j := range target.columns {
			e := denoised.at(i, j) - target.at(i, j)
			losses.data[i] += weight * e * e / 2
			if df.data != nil {
				df.row(i)[j] = float64(a.Scale) * weight * outScale * e
			}
		}
	}
}
