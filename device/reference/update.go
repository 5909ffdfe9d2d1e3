package reference

import (
	"math"

	"gpudae/device"
)

// Update implements device.Device.
func (d *Device) Update(a device.UpdateArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	gradSq, loss, clock := d.matrix(a.GradSq).data[0], d.matrix(a.Loss), d.clock(a.Clock)
	if !finite(gradSq) || loss.data != nil && !finite(loss.data[0]) {
		return
	}
	if spikes := d.matrix(a.Spikes).data; spikes != nil && spikesOf(spikes).Exceeds(float32(loss.data[0]), a.SpikeLimit) {
		return
	}
	params, grads := d.matrix(a.Params).data, d.matrix(a.Grads).data
	first, second := d.matrix(a.First).data, d.matrix(a.Second).data
	average := d.matrix(a.EMA).data
	t := float64(clock.Step) + 1
	h := hyper{
		t: t, rate: d.matrix(a.Rates).data[clock.Index], nesterov: a.Nesterov,
		beta1: float64(a.Beta1), beta2: float64(a.Beta2), epsilon: float64(a.Epsilon),
	}
	shrink := 1.0
	if a.Clip > 0 {
		shrink = min(1, float64(a.Clip)/math.Sqrt(gradSq))
	}
	decay := min(float64(a.Decay), (1+t)/(10+t))
	for i := range params {
		h.decay = 0
		if i < a.Decayed {
			h.decay = float64(a.WeightDecay)
		}
		s := state{theta: params[i], m: element(first, i), v: element(second, i)}
		g := grads[i] * shrink
		if a.Kind != device.AdamW {
			g += h.decay * s.theta
		}
		s = rules[a.Kind](s, g, h)
		params[i] = kept(s.theta)
		if first != nil {
			first[i] = kept(s.m)
		}
		if second != nil {
			second[i] = kept(s.v)
		}
		if average != nil {
			average[i] = kept(decay*average[i] + (1-decay)*params[i])
		}
	}
}

// kept is what remains of a number from step to step: a float32, so that a
// checkpoint, which holds no more, loses nothing.
func kept(x float64) float64 { return float64(float32(x)) }

func finite(x float64) bool { return !math.IsInf(x, 0) && !math.IsNaN(x) }

// element is a moment, zero where the rule keeps none.
func element(x []float64, i int) float64 {
	if x == nil {
		return 0
	}
	return x[i]
}

// Tick implements device.Device.
func (d *Device) Tick(a device.TickArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	values, log, clock := d.matrix(a.Values), d.matrix(a.Log), d.clock(a.Clock)
	if values.data != nil {
		copy(log.row(int(clock.Index)%log.rows), values.data)
	}
	clock.Step++
	clock.Cursor += uint32(a.Rows)
	clock.Index++
	copy(d.words(a.Clock), clock.Words())
	if spikes := d.matrix(a.Spikes).data; spikes != nil {
		next := spikesOf(spikes).Next(float32(d.matrix(a.Loss).data[0]), a.SpikeLimit)
		for i, v := range next.Values() {
			spikes[i] = float64(v)
		}
	}
}

// spikesOf reads what the device knows of earlier losses, which is float32 by its
// definition.
func spikesOf(x []float64) device.Spikes {
	return device.SpikesFromValues([]float32{float32(x[0]), float32(x[1]), float32(x[2])})
}
