//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Diffuse draws a noise level for each row, and then x̃ ~ N(x, σ²I).
func (d *Device) Diffuse(a device.DiffuseArgs) {
	a.Check()
	if note(d, a, (*Device).Diffuse) {
		return
	}
	rows, columns := a.From.Rows, a.From.Columns
	d.launch(kernels.Diffuse, rows, columns,
		integer(rows), integer(columns), integer(a.Sigma.Columns), address(a.Sigma), address(a.From), address(a.To), wordAddress(a.Level),
		a.Seed, uint64(a.Stream), uint64(a.Stage), integer(a.Replicates), wordAddress(a.Index), wordAddress(a.Clock))
}

// Condition computes [Scale_l·X | Embedding_l].
func (d *Device) Condition(a device.ConditionArgs) {
	a.Check()
	if note(d, a, (*Device).Condition) {
		return
	}
	d.launch(kernels.Condition, a.Out.Rows, a.Out.Columns,
		integer(a.X.Rows), integer(a.X.Columns), integer(a.Embedding.Columns), wordAddress(a.Level), address(a.Scale), address(a.Embedding),
		address(a.X), address(a.Out))
}

// Blend computes α·X + β·Y with coefficients of the row's level.
func (d *Device) Blend(a device.BlendArgs) {
	a.Check()
	if note(d, a, (*Device).Blend) {
		return
	}
	d.launch(kernels.Blend, a.Out.Rows, a.Out.Columns,
		integer(a.Out.Rows), integer(a.Out.Columns), integer(a.Y.Columns), wordAddress(a.Level), address(a.Alpha), address(a.Beta),
		address(a.X), address(a.Y), address(a.Out))
}

// ScoreMatch computes the loss of denoising score matching and its gradient.
func (d *Device) ScoreMatch(a device.ScoreMatchArgs) {
	a.Check()
	if note(d, a, (*Device).ScoreMatch) {
		return
	}
	rows, columns := a.Target.Rows, a.Target.Columns
	d.launch(kernels.ScoreMatch, rows, columns,
		integer(rows), integer(columns), wordAddress(a.Level), address(a.Weight), address(a.OutScale), address(a.Denoised), address(a.Target),
		address(a.Losses), address(a.DF), float(a.Scale))
}
