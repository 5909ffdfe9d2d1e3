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
	if note(d, a, (*Device).Dense) {
		return
	}
	d.dense(&a, nil, 0)
}

// dense launches a layer, and with l the likelihood of its output, the sums of whose losses
// by block go to losses.
func (d *Device) dense(a *device.DenseArgs, l *device.LikelihoodArgs, losses uint64) {
	product := kernels.DenseNT
	if a.Transposed {
		product = kernels.DenseNN
	}
	m, n, k := a.Y.Rows, a.Y.Columns, a.X.Columns
	words := append(make([]uint64, 0, 18),
		integer(m), integer(n), integer(k), address(a.X), address(a.W), address(a.Bias), uint64(a.Act), address(a.Pre), address(a.Y))
	if l != nil {
		words = append(words, uint64(l.Kind), address(l.Target), address(l.Mask), float(l.Destroyed), float(l.Untouched), address(l.Weights),
			float(l.Scale), float(l.Sigma), losses)
	} else {
		words = words[:cap(words)] // no losses
	}
	d.launch(d.Choose(m, n, k).Kernel(product), m, n, words...)
}

// DenseBackward computes the gradients of Dense, in one launch.
func (d *Device) DenseBackward(a device.DenseBackwardArgs) {
	a.Check()
	if note(d, a, (*Device).DenseBackward) {
		return
	}
	d.denseBackward(&a, 0)
}

// denseBackward launches them, and returns how many sums of squares go to squares, if that is
// there.
func (d *Device) denseBackward(a *device.DenseBackwardArgs, squares uint64) int {
	b := backward(a)
	choice := b.Choose(d.class, d.info.Multiprocessors)
	dx, dw, dbias := b.Parts(choice.Tile)
	source := a.X
	if a.InAct.NeedsInput() {
		source = a.InPre
	}
	d.launch(choice.Kernel(b.Product()), dx+dw+dbias, 1,
		integer(b.Rows), integer(b.In), integer(b.Out), address(a.DA), address(a.W), uint64(a.InAct), address(source), address(a.DX),
		address(a.X), flag(a.Accumulate), address(a.DW), address(a.DBias), squares)
	return dw + dbias
}

// backward is the work that the arguments describe.
func backward(a *device.DenseBackwardArgs) kernels.Backward {
	return kernels.Backward{Rows: a.DA.Rows, In: a.X.Columns, Out: a.DA.Columns, Transposed: a.Transposed,
		DX: !a.DX.IsZero(), DW: !a.DW.IsZero(), DBias: !a.DBias.IsZero()}
}
