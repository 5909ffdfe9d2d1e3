package cpu

import "gpudae/device"

// reduceBlock is the number of elements that are summed in one go; the blocks'
// sums are added in order. It is a constant, so the order of a sum depends on
// the shape only.
const reduceBlock = 8192

// reduceCall is a Reduce in progress; its items are rows, or the blocks of the
// whole.
type reduceCall struct {
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
	if d.err != nil {
		return
	}
	c := &d.reduce
	c.kind, c.perRow, c.columns = a.Kind, a.PerRow, a.X.Columns
	c.x, c.y, c.out = floatsOf(a.X), floatsOf(a.Y), floatsOf(a.Out)
	if a.PerRow {
		d.pool.run(c, a.X.Rows, rowsPerLane(a.X.Columns, 1))
		return
	}
	n := (len(c.x) + reduceBlock - 1) / reduceBlock
	if n > len(c.blocks) {
		c.blocks = make([]float64, n)
	}
	d.pool.run(c, n, elementsPerLane/reduceBlock)
	var sum float64
	for _, s := range c.blocks[:n] {
		sum += s
	}
	c.out[0] = float32(sum)
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
		return sumOfProducts(c.x[lo:hi], c.x[lo:hi])
	case device.SumSquaredDifference:
		return sumOfSquaredDifferences(c.x[lo:hi], c.y[lo:hi])
	default:
		return sumOf(c.x[lo:hi])
	}
}

// The sums below keep four running sums in float64, so that their error is
// that of the final rounding.

func sumOf(x []float32) float64 {
	var s [4]float64
	for len(x) >= 4 {
		s[0] += float64(x[0])
		s[1] += float64(x[1])
		s[2] += float64(x[2])
		s[3] += float64(x[3])
		x = x[4:]
	}
	for i, v := range x {
		s[i] += float64(v)
	}
	return s[0] + s[1] + (s[2] + s[3])
}

func sumOfProducts(x, y []float32) float64 {
	var s [4]float64
	for len(x) >= 4 && len(y) >= 4 {
		s[0] += float64(x[0]) * float64(y[0])
		s[1] += float64(x[1]) * float64(y[1])
		s[2] += float64(x[2]) * float64(y[2])
		s[3] += float64(x[3]) * float64(y[3])
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		s[i] += float64(v) * float64(y[i])
	}
	return s[0] + s[1] + (s[2] + s[3])
}

func sumOfSquaredDifferences(x, y []float32) float64 {
	var s [4]float64
	for i, v := range x {
		e := float64(v) - float64(y[i])
		s[i%4] += e * e
	}
	return s[0] + s[1] + (s[2] + s[3])
}

// combineCall is a Combine in progress; its items are elements.
type combineCall struct {
	alpha, beta float32
	a, b, dst   []float32
}

// Combine computes Dst = α·A + β·B.
func (d *Device) Combine(a device.CombineArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	d.combine = combineCall{a.Alpha, a.Beta, floatsOf(a.A), floatsOf(a.B), floatsOf(a.Dst)}
	d.pool.run(&d.combine, a.Dst.Len(), elementsPerLane)
}

func (c *combineCall) run(_, lo, hi int) {
	dst := c.dst[lo:hi]
	switch {
	case c.a == nil && c.b == nil:
		clear(dst)
	case c.b == nil:
		scaled(dst, c.alpha, c.a[lo:hi])
	case c.a == nil:
		scaled(dst, c.beta, c.b[lo:hi])
	default:
		a, b := c.a[lo:hi], c.b[lo:hi]
		for i := range dst {
			dst[i] = c.alpha*a[i] + c.beta*b[i]
		}
	}
}

// scaled computes dst = factor·x.
func scaled(dst []float32, factor float32, x []float32) {
	for i := range dst {
		dst[i] = factor * x[i]
	}
}
