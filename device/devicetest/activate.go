package devicetest

import (
	"math"

	"gpudae/device"
)

func activateChecks() []check {
	return append(each("Activate", device.Activations(), checkActivate),
		each("ActivateBackward", device.Activations(), checkActivateBackward)...)
}

func checkActivate(r *rig, k device.Activation) {
	for _, shape := range shapes {
		for _, alias := range []bool{false, true} {
			t := r.trial("activate %s %v, Y is X %t", k, shape, alias)
			values := r.preactivations(shape[0] * shape[1])
			x, y := t.pair("X", "Y", shape[0], shape[1], values, alias)
			t.run(func(s side) { s.Activate(device.ActivateArgs{Act: k, X: s.v(x), Y: s.v(y)}) })
			t.within(y, func(i int) float64 { return activationBound(k, float64(values[i]), y.want()[i]) })
		}
	}
}

func checkActivateBackward(r *rig, k device.Activation) {
	for _, shape := range shapes {
		for _, alias := range []bool{false, true} {
			r.activateBackwardTrial(k, shape, alias)
		}
	}
}

func (r *rig) activateBackwardTrial(k device.Activation, shape [2]int, alias bool) {
	t := r.trial("activate backward %s %v, DX is DY %t", k, shape, alias)
	n := shape[0] * shape[1]
	a := r.preactivations(n)
	var x, y *operand
	if k.NeedsInput() {
		x = t.in("X", shape[0], shape[1], a)
	} else {
		y = t.in("Y", shape[0], shape[1], r.activations(k, a))
	}
	values := r.normals(n, 1)
	dy, dx := t.pair("DY", "DX", shape[0], shape[1], values, alias)
	t.run(func(s side) {
		s.ActivateBackward(device.ActivateBackwardArgs{Act: k, X: s.v(x), Y: s.v(y), DY: s.v(dy), DX: s.v(dx)})
	})
	t.within(dx, func(i int) float64 { return derivativeBound*math.Abs(float64(values[i])) + tiny })
}
