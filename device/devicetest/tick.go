package devicetest

import (
	"math"

	"gpudae/device"
)

func tickChecks() []check { return []check{{"Tick", checkTick}} }

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
