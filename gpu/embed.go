//go:build cuda

package gpu

import (
	"errors"

	"gpudae/device"
)

// errNoTables is the failure of the operations on tables of mixed columns, which
// have no kernels yet.
var errNoTables = errors.New("tables of mixed columns have no kernels")

// Embed makes the network's input of the columns of a table.
func (d *Device) Embed(a device.EmbedArgs) {
	a.Check()
	d.fail("embed", errNoTables)
}

// EmbedBackward computes the gradient of Embed's vectors.
func (d *Device) EmbedBackward(a device.EmbedBackwardArgs) {
	a.Check()
	d.fail("embed backward", errNoTables)
}
