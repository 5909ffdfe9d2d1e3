package devicetest

import (
	"math"

	"gpudae/device"
)

func dropoutChecks() []check { return []check{{"Dropout", checkDropout}} }

// checkDropout: the units that are dropped are those of the reference (a bound
// of zero where it is zero), the others are scaled.
func checkDropout(r *rig) {
	for _, shape := range shapes {
		for variant, p := range []float64{0, 0.2, 0.5, 0.99} {
			for _, alias := range []bool{false, true} {
				r.dropoutTrial(shape[0]*3, shape[1], p, 1+2*(variant&1), alias)
			}
		}
	}
}

func (r *rig) dropoutTrial(rows, columns int, p float64, replicates int, alias bool) {
	t := r.trial("dropout %g of %d×%d, %d replicates, Y is X %t", p, rows, columns, replicates, alias)
	values := r.uniforms(rows*columns, 1, 2)
	x, y := t.pair("X", "Y", rows, columns, values, alias)
	index := t.inWords("index", r.examples(rows, replicates, device.Rows{Hi: 1000}, 1000))
	clock := t.inWords("clock", r.clockWords())
	layer, seed := r.rng.Uint32N(200), r.rng.Uint64()
	t.run(func(s side) {
		s.Dropout(device.DropoutArgs{Rate: threshold(p), Keep: float32(1 / (1 - p)), Layer: layer, Seed: seed, Replicates: replicates,
			Index: s.w(index), Clock: s.w(clock), X: s.v(x), Y: s.v(y)})
	})
	t.within(y, func(i int) float64 { return 2 * u * math.Abs(y.want()[i]) })
}
