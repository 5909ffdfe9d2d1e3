//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Normalize computes layer or batch normalisation.
func (d *Device) Normalize(a device.NormalizeArgs) {
	a.Check()
	if note(d, a, (*Device).Normalize) {
		return
	}
	rows, columns := a.X.Rows, a.X.Columns
	switch {
	case a.Kind == device.LayerNorm:
		d.launch(kernels.LayerNorm, rows, columns,
			integer(rows), integer(columns), float(a.Epsilon), address(a.X), address(a.Gain), address(a.Bias),
			address(a.Mean), address(a.InvStd), address(a.Y))
	case a.Training:
		d.launch(kernels.BatchNorm, rows, columns,
			integer(rows), integer(columns), float(a.Epsilon), float(a.Momentum), address(a.X), address(a.Gain), address(a.Bias),
			address(a.RunningMean), address(a.RunningVar), address(a.Mean), address(a.InvStd), address(a.Y))
	default:
		d.launch(kernels.BatchNormInference, rows, columns,
			integer(rows), integer(columns), float(a.Epsilon), address(a.X), address(a.Gain), address(a.Bias),
			address(a.RunningMean), address(a.RunningVar), address(a.Mean), address(a.InvStd), address(a.Y))
	}
}

// NormalizeBackward computes the gradients of Normalize in training mode.
func (d *Device) NormalizeBackward(a device.NormalizeBackwardArgs) {
	a.Check()
	if note(d, a, (*Device).NormalizeBackward) {
		return
	}
	rows, columns := a.X.Rows, a.X.Columns
	if a.Kind == device.BatchNorm {
		d.launch(kernels.BatchNormBackward, rows, columns,
			integer(rows), integer(columns), address(a.X), address(a.Gain), address(a.Mean), address(a.InvStd),
			address(a.DY), address(a.DX), address(a.DGain), address(a.DBias))
		return
	}
	// The parameters first: DX may be DY.
	d.launch(kernels.LayerNormBackwardParameters, rows, columns,
		integer(rows), integer(columns), address(a.X), address(a.Mean), address(a.InvStd), address(a.DY), address(a.DGain), address(a.DBias))
	d.launch(kernels.LayerNormBackwardInput, rows, columns,
		integer(rows), integer(columns), address(a.X), address(a.Gain), address(a.Mean), address(a.InvStd), address(a.DY), address(a.DX))
}
