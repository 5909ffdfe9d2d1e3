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

// ProductOf names the arithmetic of such a product, and the side of the tiles (the number of their rows) in which it is computed.
func (d *Device) ProductOf(m, n, k int) (arithmetic string, tile int) {
	if d.isBig(m, n, k) {
		rows, _ := d.engine.Tile()
		return d.engine.String(), rows
	}
	c := d.Choose(m, n, k)
	return c.Class.Arithmetic(), c.Tile.Side()
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
	m, n, k := a.Y.Rows, a.Y.Columns, a.X.Columns
	factor := address
	if d.isBig(m, n, k) {
		factor = d.copyOf
	}
	words := append(make([]uint64, 0, 19),
		integer(m), integer(n), integer(k), factor(a.X), factor(a.W), address(a.Bias), uint64(a.Act), address(a.Pre), address(a.Y))
	if l != nil {
		words = append(words, uint64(l.Kind), address(l.Target), address(l.Mask), float(l.Destroyed), float(l.Untouched), address(l.Weights),
			float(l.Scale), float(l.Sigma), losses)
	} else {
		words = words[:18] // no losses
	}
	if d.isBig(m, n, k) {
		words = append(words, d.besideOf(a.Y))
	}
	id, rows, columns := d.denseKernel(a)
	d.launch(id, rows, columns, words...)
}

// denseKernel is the kernel of a layer, and the shape that it divides.
func (d *Device) denseKernel(a *device.DenseArgs) (id kernels.ID, rows, columns int) {
	product := kernels.DenseNT
	if a.Transposed {
		product = kernels.DenseNN
	}
	m, n, k := a.Y.Rows, a.Y.Columns, a.X.Columns
	if d.isBig(m, n, k) {
		return d.engine.Kernel(product), d.engine.Tiles(m, n), 1
	}
	return d.Choose(m, n, k).Kernel(product), m, n
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
	id, dx, dw, dbias := d.backwardKernel(b)
	source := a.X
	if a.InAct.NeedsInput() {
		source = a.InPre
	}
	words := append(make([]uint64, 0, 15),
		integer(b.Rows), integer(b.In), integer(b.Out), address(a.DA), address(a.W), uint64(a.InAct), address(source), address(a.DX),
		address(a.X), flag(a.Accumulate), address(a.DW), address(a.DBias), squares)
	if d.isBig(b.Rows, b.In, b.Out) {
		words = d.copiesOf(a, words)
	}
	d.launch(id, dx+dw+dbias, 1, words...)
	return dw + dbias
}

// backwardKernel is the kernel of a layer's gradients, and its numbers of blocks.
func (d *Device) backwardKernel(b kernels.Backward) (id kernels.ID, dx, dw, dbias int) {
	if d.isBig(b.Rows, b.In, b.Out) {
		dx, dw, dbias = d.engine.Parts(b)
		return d.engine.Kernel(b.Product()), dx, dw, dbias
	}
	choice := b.Choose(d.class, d.info.Multiprocessors)
	dx, dw, dbias = b.Parts(choice.Tile)
	return choice.Kernel(b.Product()), dx, dw, dbias
}

// backward is the work that the arguments describe.
func backward(a *device.DenseBackwardArgs) kernels.Backward {
	return kernels.Backward{Rows: a.DA.Rows, In: a.X.Columns, Out: a.DA.Columns, Transposed: a.Transposed,
		DX: !a.DX.IsZero(), DW: !a.DW.IsZero(), DBias: !a.DBias.IsZero()}
}
