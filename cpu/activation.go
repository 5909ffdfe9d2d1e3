package cpu

import "gpudae/device"

// activateCall is an Activate or ActivateBackward in progress; its items are
// elements.
type activateCall struct {
	kernels  *kernels
	act      device.Activation
	backward bool
	from     []float32 // x; backward: what the derivative is taken from
	dy, to   []float32
}

// Activate computes Y = act(X).
func (d *Device) Activate(a device.ActivateArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Activate) {
		return
	}
	d.activate = activateCall{kernels: d.kernels, act: a.Act, from: floatsOf(a.X), to: floatsOf(a.Y)}
	d.pool.run(&d.activate, a.X.Len(), d.perLane(activateCost))
}

// ActivateBackward computes DX = DY ⊙ act'(X).
func (d *Device) ActivateBackward(a device.ActivateBackwardArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).ActivateBackward) {
		return
	}
	from := a.Y
	if a.Act.NeedsInput() {
		from = a.X
	}
	d.activate = activateCall{kernels: d.kernels, act: a.Act, backward: true, from: floatsOf(from), dy: floatsOf(a.DY), to: floatsOf(a.DX)}
	d.pool.run(&d.activate, a.DX.Len(), d.perLane(activateCost))
}

func (c *activateCall) run(_, lo, hi int) {
	if c.backward {
		c.kernels.activateBackward[c.act](c.to[lo:hi], c.dy[lo:hi], c.from[lo:hi])
		return
	}
	c.kernels.activate[c.act](c.to[lo:hi], c.from[lo:hi])
}
