//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// product is the kernel for an m×n product, of those that start at first and
// differ by their tile.
func (d *Device) product(first kernels.ID, m, n int) kernels.ID {
	return first + kernels.ID(kernels.TileFor(m, n, d.info.Multiprocessors))
}

// Dense computes Y = act(X·Wᵀ + b).
func (d *Device) Dense(a device.DenseArgs) {
	a.Check()
	note(d, a)
	first := kernels.DenseNT32
	if a.Transposed {
		first = kernels.DenseNN32
	}
	m, n, k := a.Y.Rows, a.Y.Columns, a.X.Columns
	d.launch(d.product(first, m, n), m, n,
		integer(m), integer(n), integer(k), address(a.X), address(a.W), address(a.Bias), uint64(a.Act), address(a.Pre), address(a.Y))
}

// DenseBackward computes the gradients of Dense.
func (d *Device) DenseBackward(a device.DenseBackwardArgs) {
	a.Check()
	note(d, a)
	if !a.DX.IsZero() {
		d.inputGradient(&a)
	}
	if !a.DW.IsZero() {
		d.weightGradient(&a)
	}
	if !a.DBias.IsZero() {
		d.launch(kernels.ColumnSums, a.DA.Rows, a.DA.Columns,
			integer(a.DA.Rows), integer(a.DA.Columns), address(a.DA), address(a.DBias))
	}
}

func (d *Device) inputGradient(a *device.DenseBackwardArgs) {
	first := kernels.DenseBackwardInputNN32
	if a.Transposed {
		first = kernels.DenseBackwardInputNT32
	}
	source := a.X
	if a.InAct.NeedsInput() {
		source = a.InPre
	}
	m, n, k := a.X.Rows, a.X.Columns, a.DA.Columns
	d.launch(d.product(first, m, n), m, n,
		integer(m), integer(n), integer(k), address(a.DA), address(a.W), uint64(a.InAct), address(source), address(a.DX))
}

func (d *Device) weightGradient(a *device.DenseBackwardArgs) {
	p, q := a.DA, a.X
	if a.Transposed {
		p, q = q, p
	}
	m, n := p.Columns, q.Columns
	d.launch(d.product(kernels.DenseBackwardWeight32, m, n), m, n,
		integer(m), integer(n), integer(a.X.Rows), address(p), address(q), flag(a.Accumulate), address(a.DW))
}
