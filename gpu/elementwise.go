//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Activate computes Y = act(X).
func (d *Device) Activate(a device.ActivateArgs) {
	a.Check()
	if note(d, a, (*Device).Activate) {
		return
	}
	d.launch(kernels.Activate, a.X.Rows, a.X.Columns, integer(a.X.Len()), uint64(a.Act), address(a.X), address(a.Y))
}

// ActivateBackward computes DX = DY ⊙ act'(X).
func (d *Device) ActivateBackward(a device.ActivateBackwardArgs) {
	a.Check()
	if note(d, a, (*Device).ActivateBackward) {
		return
	}
	source := a.Y
	if a.Act.NeedsInput() {
		source = a.X
	}
	d.launch(kernels.ActivateBackward, a.DY.Rows, a.DY.Columns,
		integer(a.DY.Len()), uint64(a.Act), address(source), address(a.DY), address(a.DX))
}

// Dropout zeroes units and rescales the others.
func (d *Device) Dropout(a device.DropoutArgs) {
	a.Check()
	if note(d, a, (*Device).Dropout) {
		return
	}
	d.launch(kernels.Dropout, a.X.Rows, a.X.Columns,
		integer(a.X.Rows), integer(a.X.Columns), address(a.X), address(a.Y), a.Rate, float(a.Keep), uint64(a.Layer), a.Seed,
		integer(a.Replicates), wordAddress(a.Index), wordAddress(a.Clock))
}

// Combine computes Dst = Alpha·A + Beta·B.
func (d *Device) Combine(a device.CombineArgs) {
	a.Check()
	if note(d, a, (*Device).Combine) {
		return
	}
	d.launch(kernels.Combine, a.Dst.Rows, a.Dst.Columns,
		integer(a.Dst.Len()), float(a.Alpha), float(a.Beta), address(a.A), address(a.B), address(a.Dst))
}
