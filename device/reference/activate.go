package reference

import "gpudae/device"

// Activate implements device.Device.
func (d *Device) Activate(a device.ActivateArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	x, y := d.matrix(a.X), d.matrix(a.Y)
	for i := range x.data {
		y.data[i] = activations[a.Act].value(x.data[i])
	}
}

// ActivateBackward implements device.Device.
func (d *Device) ActivateBackward(a device.ActivateBackwardArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	from, dy, dx := d.matrix(a.Y), d.matrix(a.DY), d.matrix(a.DX)
	if a.Act.NeedsInput() {
		from = d.matrix(a.X)
	}
	for i := range dy.data {
		dx.data[i] = dy.data[i] * activations[a.Act].derivative(from.data[i])
	}
}
