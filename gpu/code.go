//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// SampleCode draws h ~ q(h|x̃) and computes its divergence from the prior.
func (d *Device) SampleCode(a device.SampleCodeArgs) {
	a.Check()
	if note(d, a, (*Device).SampleCode) {
		return
	}
	rows, units := a.Code.Rows, a.Code.Columns
	d.launch(kernels.SampleCode, rows, units,
		integer(rows), integer(units), uint64(a.Kind), float(a.Temperature), address(a.Params), address(a.Noise), address(a.Code),
		address(a.Divergence), flag(a.Sampled),
		a.Seed, uint64(a.Stream), uint64(a.Stage), integer(a.Replicates), wordAddress(a.Index), wordAddress(a.Clock))
}

// SampleCodeBackward computes the gradients of SampleCode.
func (d *Device) SampleCodeBackward(a device.SampleCodeBackwardArgs) {
	a.Check()
	if note(d, a, (*Device).SampleCodeBackward) {
		return
	}
	rows, units := a.Code.Rows, a.Code.Columns
	d.launch(kernels.SampleCodeBackward, rows, units,
		integer(rows), integer(units), uint64(a.Kind), float(a.Temperature), address(a.Params), address(a.Noise), address(a.Code),
		address(a.DCode), flag(a.Sampled), float(a.Scale), address(a.Weights), address(a.DParams))
}

// Importance computes the importance-weighted bound and its weights.
func (d *Device) Importance(a device.ImportanceArgs) {
	a.Check()
	if note(d, a, (*Device).Importance) {
		return
	}
	examples := a.Bounds.Len()
	d.launch(kernels.Importance, examples, a.Replicates,
		integer(examples), integer(a.Replicates), address(a.Terms), address(a.Bounds), address(a.Weights))
}

// ScaleRows multiplies each row by a number of its own.
func (d *Device) ScaleRows(a device.ScaleRowsArgs) {
	a.Check()
	if note(d, a, (*Device).ScaleRows) {
		return
	}
	d.launch(kernels.ScaleRows, a.X.Rows, a.X.Columns,
		integer(a.X.Rows), integer(a.X.Columns), address(a.Scale), address(a.X), address(a.Y))
}

// Draw draws x ~ p(x|h).
func (d *Device) Draw(a device.DrawArgs) {
	a.Check()
	if note(d, a, (*Device).Draw) {
		return
	}
	rows, columns := a.Out.Rows, a.Out.Columns
	seed, stream, stage, replicates := a.Seed, uint64(a.Stream), uint64(a.Stage), integer(a.Replicates)
	index, clock := wordAddress(a.Index), wordAddress(a.Clock)
	switch a.Kind {
	case device.Categorical:
		count, offsets := fields(a.Fields, columns)
		d.launch(kernels.DrawCategorical, rows, int(count), integer(rows), integer(columns), address(a.Params), address(a.Out), count, offsets,
			seed, stream, stage, replicates, index, clock)
	case device.Mixed:
		d.launch(kernels.DrawMixed, rows, columns, integer(rows), integer(columns), float(a.Sigma), float(a.Floor), address(a.Params), address(a.Out),
			wordAddress(a.Table.Words), integer(a.Params.Columns), seed, stream, stage, replicates, index, clock)
	default:
		d.launch(kernels.Draw, rows, columns, integer(rows), integer(columns), uint64(a.Kind), float(a.Sigma), address(a.Params), address(a.Out),
			seed, stream, stage, replicates, index, clock)
	}
}
