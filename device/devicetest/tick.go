package devicetest

import (
	"math"

	"gpudae/device"
)

func tickChecks() []check {
	return []check{{"Tick", checkTick}, {"TickAdvancesSpikes", checkTickAdvancesSpikes}}
}

// checkTick: the log is a ring, the step carries into its high word, and a
// tick without values only advances the clock.
func checkTick(r *rig) {
	for _, clock := range []device.Clock{{}, {Step: math.MaxUint32, Epoch: 3, Cursor: 40, Index: 6}, {Step: 5, Index: 7}, {Step: 1 << 40, Index: 1000}} {
		for _, k := range []int{1, 2, 5} {
			t := r.trial("tick %+v with %d values", clock, k)
			words := t.inoutWords("clock", clock.Words())
			values := t.in("values", 1, k, r.normals(k, 1))
			log := t.inout("log", 7, k, r.normals(7*k, 1))
			t.run(func(s side) {
				s.Tick(device.TickArgs{Clock: s.w(words), Rows: 13, Values: s.v(values), Log: s.v(log)})
			})
			t.exact(log)
			t.exactWords(words)
		}
		t := r.trial("tick %+v without values", clock)
		words := t.inoutWords("clock", clock.Words())
		t.run(func(s side) { s.Tick(device.TickArgs{Clock: s.w(words), Rows: 1}) })
		t.exactWords(words)
	}
}

// checkTickAdvancesSpikes: the running moments of the losses are equal to the
// last bit, over losses that wander, jump, overflow and are no numbers.
func checkTickAdvancesSpikes(r *rig) {
	inf := float32(math.Inf(1))
	for _, s := range []device.Spikes{{}, {Count: 24, Mean: 1, Variance: 0.1}, {Count: device.SpikeWindow, Mean: -3, Variance: 2}, {Count: 50, Mean: 0, Variance: math.MaxFloat32}} {
		losses := append(r.normals(20, 1), 7, 1e3, 1e30, -1e30, math.MaxFloat32, -math.MaxFloat32, inf, -inf, float32(math.NaN()))
		for _, loss := range losses {
			t := r.trial("tick of %+v at the loss %g", s, loss)
			clock := t.inoutWords("clock", device.Clock{Step: 3}.Words())
			spikes := t.inout("spikes", 1, device.SpikeValues, s.Values())
			value := t.in("loss", 1, 1, []float32{loss})
			t.run(func(x side) {
				x.Tick(device.TickArgs{Clock: x.w(clock), Rows: 1, Spikes: x.v(spikes), SpikeLimit: 2.5, Loss: x.v(value)})
			})
			t.exact(spikes)
			t.exactWords(clock)
			s = device.SpikesFromValues(spikes.got)
		}
	}
}
