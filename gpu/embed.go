//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// warp is the number of threads that a vector has in embed_backward.
const warp = 32

// Embed makes the network's input of the columns of a table.
func (d *Device) Embed(a device.EmbedArgs) {
	a.Check()
	if note(d, a, (*Device).Embed) {
		return
	}
	rows, columns := a.X.Rows, a.X.Columns
	d.launch(kernels.Embed, rows, a.Y.Columns,
		integer(rows), integer(columns), integer(a.Y.Columns), wordAddress(a.Table.Words), address(a.X), address(a.Params), address(a.Y))
}

// EmbedBackward computes the gradient of Embed's vectors.
func (d *Device) EmbedBackward(a device.EmbedBackwardArgs) {
	a.Check()
	if note(d, a, (*Device).EmbedBackward) {
		return
	}
	codes := a.Table.Codes
	d.launch(kernels.EmbedBackward, codes, warp,
		integer(codes), integer(a.X.Rows), integer(a.X.Columns), integer(a.DY.Columns), wordAddress(a.Table.Words), address(a.X), address(a.DY),
		address(a.Grads))
}
