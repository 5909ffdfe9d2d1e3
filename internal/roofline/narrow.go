package roofline

import (
	"slices"

	"gpudae/device"
	"gpudae/gpu/fuse"
	"gpudae/kernels"
)

// isBig reports whether an m×n product with sums of k terms takes copies of its factors.
func (c *Counter) isBig(m, n, k int) bool { return c.big.Takes(c.class, m, n, k) }

// narrows lists the operands of an operation of which it takes copies in bfloat16.
func (c *Counter) narrows(operation any) []device.View { return fuse.Factors(operation, c.isBig) }

// factors counts the making of copies for an operation that no plan has seen to, and returns their size.
func (c *Counter) factors(operands ...device.View) int64 {
	size := int64(0)
	for i, v := range operands {
		if slices.Contains(operands[:i], v) {
			continue
		}
		if !c.planned {
			c.narrow(v)
		}
		size += copyBytes(v)
	}
	return size
}

// copyBytes is the size of the copy of a matrix.
func copyBytes(v device.View) int64 {
	return 2 * int64(v.Rows) * int64(kernels.NarrowStride(v.Columns))
}

// leftBeside is the size of the copy that a product leaves of what it makes.
func (c *Counter) leftBeside(v device.View) int64 {
	if v.IsZero() || v != c.beside {
		return 0
	}
	return copyBytes(v)
}

// readBeside is what DenseBackward reads as float32 where the factors of its products are copies.
func readBeside(a *device.DenseBackwardArgs) int64 {
	read := int64(0)
	if !a.DBias.IsZero() {
		read += bytes(a.DA)
	}
	if !a.DX.IsZero() && a.InAct != device.Identity {
		if a.InAct.NeedsInput() {
			read += bytes(a.InPre)
		} else {
			read += bytes(a.X)
		}
	}
	if !a.DW.IsZero() && a.Accumulate {
		read += bytes(a.DW)
	}
	return read
}

// narrow counts the making of a copy.
func (c *Counter) narrow(v device.View) {
	stride := kernels.NarrowStride(v.Columns)
	c.add(kernels.Narrow, v.Rows, stride, bytes(v), copyBytes(v))
}
