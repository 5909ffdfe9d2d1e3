//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Choose returns how the device computes an m×n product with sums of k terms.
func (d *Device) Choose(m, n, k int) kernels.Choice {
	return kernels.Choose(d.class, m, n, k, d.info.Multiprocessors)
}

// Dense computes Y = act(X·Wᵀ + b).
func (d *Device) Dense(a device.DenseArgs) {
	a.Check()
	note(d, a)
	product := kernels.DenseNT
	if a.Transposed {
		product = kernels.DenseNN
	}
	m, n, k := a.Y.Rows, a.Y.Columns, a.X.Columns
	d.launch(d.Choose(m, n, k).Kernel(product), m, n,
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
	product := kernels.InputNN
	if a.Transposed {
		product = kernels.InputNT
	}
	source := a.X
	if a.InAct.NeedsInput() {
		source = a.InPre
	}
	m, n, k := a.X.Rows, a.X.Columns, a.DA.Columns
	d.launch(d.Choose(m, n, k).Kernel(product), m, n,
		integer(m), integer(n), integer(k), address(a.DA), address(a.W), uint64(a.InAct), address(source), address(a.DX))
}

func (d *Device) weightGradient(a *device.DenseBackwardArgs) {
	p, q := a.DA, a.X
	if a.Transposed {
		p, q = q, p
	}
	m, n, k := p.Columns, q.Columns, a.X.Rows
	d.launch(d.Choose(m, n, k).Kernel(kernels.Weight), m, n,
		integer(m), integer(n), integer(k), address(p), address(q), flag(a.Accumulate), address(a.DW))
}
