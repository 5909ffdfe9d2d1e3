package cpu

import "gpudae/device"

// activateCall is an Activate or ActivateBackward in progress; its items are
// elements.
type activateCall struct {
	act      device.Activation
	backward bool
	from     []float32 // x; backward: what the derivative is taken from
	dy, to   []float32
}

// Relative cost of an activation, for the least work of a thread.
const activateCost = 8

// Activate computes Y = act(X).
func (d *Device) Activate(a device.ActivateArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	d.activate = activateCall{act: a.Act, from: floatsOf(a.X), to: floatsOf(a.Y)}
	d.pool.run(&d.activate, a.X.Len(), elementsPerLane/activateCost)
}

// ActivateBackward computes DX = DY ⊙ act'(X).
func (d *Device) ActivateBackward(a device.ActivateBackwardArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	from := a.Y
	if a.Act.NeedsInput() {
		from = a.X
	}
	d.activate = activateCall{act: a.Act, backward: true, from: floatsOf(from), dy: floatsOf(a.DY), to: floatsOf(a.DX)}
	d.pool.run(&d.activate, a.DX.Len(), elementsPerLane/activateCost)
}

func (c *activateCall) run(_, lo, hi int) {
	if c.backward {
		activateBackward(c.act, c.to[lo:hi], c.dy[lo:hi], c.from[lo:hi])
		return
	}
	activate(c.act, c.to[lo:hi], c.from[lo:hi])
}

// activate computes y = act(x); y may be x.
func activate(act device.Activation, y, x []float32) {
	switch act {
	case device.Identity:
		copy(y, x)
	case device.ReLU:
		each(y, x, func(a float32) float32 { return max(a, 0) })
	case device.LeakyReLU:
		each(y, x, func(a float32) float32 { return max(a, 0) + device.LeakySlope*min(a, 0) })
	case device.ELU:
		each(y, x, func(a float32) float32 { return max(a, 0) + expm1(min(a, 0)) })
	case device.GELU:
		each(y, x, func(a float32) float32 { return a * normalCDF(a) })
	case device.SiLU:
		each(y, x, func(a float32) float32 { return a * sigmoid(a) })
	case device.Sigmoid:
		each(y, x, sigmoid)
	case device.Tanh:
		each(y, x, tanh)
	case device.Softplus:
		each(y, x, softplus)
	}
}

// activateBackward computes dx = dy ⊙ act', where from holds the activation's
// output, or its input if act.NeedsInput. dx may be dy.
func activateBackward(act device.Activation, dx, dy, from []float32) {
	switch act {
	case device.Identity:
		copy(dx, dy)
	case device.ReLU:
		scale(dx, dy, from, func(y float32) float32 {
			if y > 0 {
				return 1
			}
			return 0
		})
	case device.LeakyReLU:
		scale(dx, dy, from, func(y float32) float32 {
			if y > 0 {
				return 1
			}
			return device.LeakySlope
		})
	case device.ELU:
		scale(dx, dy, from, func(y float32) float32 { return min(y, 0) + 1 })
	case device.GELU:
		scale(dx, dy, from, func(a float32) float32 { return normalCDF(a) + a*normalDensity(a) })
	case device.SiLU:
		scale(dx, dy, from, func(a float32) float32 {
			s := sigmoid(a)
			return s * (1 + a*(1-s))
		})
	case device.Sigmoid:
		scale(dx, dy, from, func(y float32) float32 { return y * (1 - y) })
	case device.Tanh:
		scale(dx, dy, from, func(y float32) float32 { return (1 - y) * (1 + y) })
	case device.Softplus:
		scale(dx, dy, from, func(y float32) float32 { return -expm1(-y) }) // σ(a) = 1 - exp(-softplus a)
	}
}

func each(y, x []float32, f func(float32) float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = f(x[i])
	}
}

func scale(dx, dy, from []float32, derivative func(float32) float32) {
	dy, from = dy[:len(dx)], from[:len(dx)]
	for i := range dx {
		dx[i] = dy[i] * derivative(from[i])
	}
}
