//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Reduce sums, per row or in all. A sum in all is one of shares, which are summed
// in their turn.
func (d *Device) Reduce(a device.ReduceArgs) {
	a.Check()
	if note(d, a, (*Device).Reduce) {
		return
	}
	if a.PerRow {
		d.launch(kernels.ReduceRows, a.X.Rows, a.X.Columns,
			integer(a.X.Rows), integer(a.X.Columns), uint64(a.Kind), address(a.X), address(a.Y), address(a.Out))
		return
	}
	n := a.X.Len()
	shares := kernels.ShareBlocks(n)
	sums := address(a.Out)
	if shares > 1 {
		sums = uint64(d.partials)
	}
	d.reduceAll(a.Kind, n, address(a.X), address(a.Y), sums)
	if shares > 1 {
		d.reduceAll(device.Sum, shares, sums, 0, address(a.Out))
	}
}

// reduceAll sums n elements of x, and of y where the kind has two factors, to as many shares as
// there are blocks.
func (d *Device) reduceAll(kind device.Reduction, n int, x, y, shares uint64) {
	d.launch(kernels.ReduceAll, 1, n, integer(n), uint64(kind), x, y, shares)
}
