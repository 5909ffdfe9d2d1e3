package cpu

import "gpudae/device"

// reduceBlock is the number of elements that are summed in one go; the blocks'
// sums are added in order. It is a constant, so the order of a sum depends on
// the shape only.
const reduceBlock = 8192

// reduceCall is a Reduce in progress; its items are rows, or the blocks of the
// whole.
type reduceCall struct {
	kernels *kernels
	kind    device.Reduction
	perRow  bool
	columns int
	x, y    []float32
	out     []float32 // one sum a row
	blocks  []float64 // one sum a block
}

// Reduce sums, per row or in all.
func (d *Device) Reduce(a device.ReduceArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Reduce) {
		return
	}
	c := &d.reduce
	c.kernels, c.kind, c.perRow, c.columns = d.kernels, a.Kind, a.PerRow, a.X.Columns
	c.x, c.y, c.out = floatsOf(a.X), floatsOf(a.Y), floatsOf(a.Out)
	if a.PerRow {
		d.pool.run(c, a.X.Rows, d.perLane(a.X.Columns))
		return
	}
	c.out[0] = float32(d.total(c))
}

// total folds all elements.
func (d *Device) total(c *reduceCall) float64 {
	n := ceilDiv(len(c.x), reduceBlock)
	if n > len(c.blocks) {
		c.blocks = make([]float64, n)
	}
	d.pool.run(c, n, d.perLane(reduceBlock))
	return sumOf(c.blocks[:n])
}

// squares sums the squares of x.
func (d *Device) squares(x []float32) float64 {
	c := &d.reduce
	c.kernels, c.kind, c.perRow, c.x = d.kernels, device.SumSquares, false, x
	return d.total(c)
}

// sumOf adds in order.
func sumOf(terms []float64) float64 {
	var sum float64
	for _, t := range terms {
		sum += t
	}
	return sum
}

func (c *reduceCall) run(_, lo, hi int) {
	if !c.perRow {
		for i := lo; i < hi; i++ {
			c.blocks[i] = c.sum(i*reduceBlock, min((i+1)*reduceBlock, len(c.x)))
		}
		return
	}
	for i := lo; i < hi; i++ {
		var sum float64
		for from := i * c.columns; from < (i+1)*c.columns; from += reduceBlock {
			sum += c.sum(from, min(from+reduceBlock, (i+1)*c.columns))
		}
		c.out[i] = float32(sum)
	}
}

// sum folds the elements lo to hi.
func (c *reduceCall) sum(lo, hi int) float64 {
	switch c.kind {
	case device.SumSquares:
		return c.kernels.sumSquares(c.x[lo:hi])
	case device.SumSquaredDifference:
		return c.kernels.sumSquaredDifferences(c.x[lo:hi], c.y[lo:hi])
	default:
		return c.kernels.sum(c.x[lo:hi])
	}
}

// combineCall is a Combine in progress; its items are elements.
type combineCall struct {
	kernels     *kernels
	alpha, beta float32
	a, b, dst   []float32
}

// Combine computes Dst = α·A + β·B.
func (d *Device) Combine(a device.CombineArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Combine) {
		return
	}
	d.combine = combineCall{d.kernels, a.Alpha, a.Beta, floatsOf(a.A), floatsOf(a.B), floatsOf(a.Dst)}
	d.pool.run(&d.combine, a.Dst.Len(), d.perLane(1))
}

func (c *combineCall) run(_, lo, hi int) {
	dst := c.dst[lo:hi]
	switch {
	case c.a == nil && c.b == nil:
		clear(dst)
	case c.b == nil:
		c.kernels.scale(dst, c.alpha, c.a[lo:hi])
	case c.a == nil:
		c.kernels.scale(dst, c.beta, c.b[lo:hi])
	default:
		c.kernels.combine(dst, c.alpha, c.a[lo:hi], c.beta, c.b[lo:hi])
	}
}
