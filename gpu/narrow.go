//go:build cuda

package gpu

import (
	"fmt"

	"gpudae/device"
	"gpudae/gpu/fuse"
	"gpudae/kernels"
)

// Big products read their factors as bfloat16, in copies that kernel narrow makes: a
// program makes one of each operand after each change of it (package fuse plans when), any other
// operation makes those that it needs. A copy has memory of its own from its first use until Close.

// isBig reports whether an m×n product with sums of k terms takes copies of its factors.
func (d *Device) isBig(m, n, k int) bool { return d.big.Takes(d.class, m, n, k) }

// narrows lists the operands of an operation of which it takes copies.
func (d *Device) narrows(operation any) []device.View { return fuse.Factors(operation, d.isBig) }

// copyOf is where the copy of a matrix is, which is made anew unless a plan has seen to it.
func (d *Device) copyOf(v device.View) uint64 {
	memory, err := d.copyMemory(v)
	if err != nil {
		d.fail(fmt.Sprintf("a copy of a matrix of %d×%d in bfloat16", v.Rows, v.Columns), err)
		return 0
	}
	if !d.planned {
		d.narrow(v)
	}
	return memory.word(0)
}

// copyMemory is that of the copy of a matrix.
func (d *Device) copyMemory(v device.View) (*memory, error) {
	if m := d.copies[v]; m != nil {
		return m, nil
	}
	made, err := d.Alloc(device.Word, v.Rows*kernels.NarrowStride(v.Columns)/2)
	if err != nil {
		return nil, err
	}
	if d.copies == nil {
		d.copies = map[device.View]*memory{}
	}
	d.copies[v] = made.(*memory)
	return d.copies[v], nil
}

// narrow launches the making of a copy that has memory.
func (d *Device) narrow(v device.View) {
	stride := kernels.NarrowStride(v.Columns)
	d.launch(kernels.Narrow, v.Rows, stride, integer(v.Rows), integer(stride), integer(v.Columns), address(v), d.copies[v].word(0))
}

// reserveCopies allocates what a plan will narrow.
func (d *Device) reserveCopies(p *fuse.Plan) error {
	for _, step := range p.Middle {
		for _, v := range step.Narrow {
			if _, err := d.copyMemory(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// The places of W and X among the words of DenseBackward.
const (
	wordW = 4
	wordX = 8
)

// copiesOf puts copies in the place of W and X, and adds that of DA. What no product reads has none.
func (d *Device) copiesOf(a *device.DenseBackwardArgs, words []uint64) []uint64 {
	words[wordW], words[wordX] = 0, 0
	if !a.DX.IsZero() {
		words[wordW] = d.copyOf(a.W)
	}
	if !a.DW.IsZero() {
		words[wordX] = d.copyOf(a.X)
	}
	if a.DX.IsZero() && a.DW.IsZero() {
		return append(words, 0)
	}
	return append(words, d.copyOf(a.DA))
}
