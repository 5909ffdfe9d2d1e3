package cpu

import (
	"iter"
	"math"

	"gpudae/device"
)

// Dense computes Y = act(X·Wᵀ + b). The weights are broadcast and the
// minibatch is packed, so that the product comes out flipped. With Transposed,
// and if the minibatch is thin or mostly zeros, it is broadcast and the weights
// are packed.
func (d *Device) Dense(a device.DenseArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Dense) {
		return
	}
	x, w := floatsOf(a.X), floatsOf(a.W)
	g := &d.gemm
	g.c, g.ld, g.k, g.accumulate = floatsOf(a.Y), a.Y.Columns, a.X.Columns, false
	share, sparse := d.sparse(a.X, a.Y.Columns)
	switch {
	case a.Transposed:
		g.s, g.m = rowMajor(x, a.X.Columns), a.Y.Rows
		g.v, g.n = columnMajor(w, a.W.Columns), a.Y.Columns
		g.flipped = false
	case sparse || a.X.Rows <= d.thin() || d.turnsWeights(a.X.Rows, a.X.Columns, a.Y.Columns):
		g.s, g.m = rowMajor(x, a.X.Columns), a.Y.Rows
		g.v, g.n = rowMajor(w, a.W.Columns), a.Y.Columns
		g.flipped = false
	default:
		g.s, g.m = rowMajor(w, a.W.Columns), a.Y.Columns
		g.v, g.n = rowMajor(x, a.X.Columns), a.Y.Rows
		g.flipped = true
	}
	g.forward = forwardEpilogue{
		kernels: d.kernels, columns: a.Y.Columns, bias: floatsOf(a.Bias), act: a.Act, pre: floatsOf(a.Pre), y: g.c,
	}
	g.epilogue = &g.forward
	if sparse {
		d.multiplySparse(g, share)
	} else {
		d.multiply(g)
	}
}

// thin is the most rows of a minibatch for which the weights are packed.
func (d *Device) thin() int {
	if d.pairs != nil {
		return d.pairs.thin
	}
	return d.kernels.thin
}

// turnsWeights reports whether it is less work to turn a layer's weights than to turn
// the minibatch and the layer's output, or if the weights have to be copied anyway.
func (d *Device) turnsWeights(batch, in, out int) bool {
	return in*out < batch*(in+2*out) || d.pairs == nil && conflicting(in)
}

// forwardEpilogue adds the bias and applies the activation: ReLU in the same pass, unless what is before it is wanted.
type forwardEpilogue struct {
	kernels *kernels
	columns int
	bias    []float32 // nil: none
	act     device.Activation
	pre     []float32 // out, nil: not wanted
	y       []float32
}

func (e *forwardEpilogue) finish(r0, r1, c0, c1 int) {
	act := e.act
	if e.bias != nil {
		least := float32(math.Inf(-1))
		if act == device.ReLU && e.pre == nil {
			act, least = device.Identity, 0
		}
		e.kernels.addRows(e.y[r0*e.columns+c0:], e.columns, r1-r0, e.bias[c0:c1], least)
	}
	if act == device.Identity && e.pre == nil {
		return
	}
	for lo, hi := range runs(e.columns, r0, r1, c0, c1) {
		y := e.y[lo:hi]
		if e.pre != nil {
			copy(e.pre[lo:hi], y)
		}
		if act != device.Identity {
			e.kernels.activate[act](y, y)
		}
	}
}

// runs are the elements of the rows r0 to r1, columns c0 to c1 of a matrix of
// that many columns, in as few runs as they lie in.
func runs(columns, r0, r1, c0, c1 int) iter.Seq2[int, int] {
	return func(yield func(lo, hi int) bool) {
		if c0 == 0 && c1 == columns {
			yield(r0*columns, r1*columns)
			return
		}
		for r := r0; r < r1; r++ {
			if !yield(r*columns+c0, r*columns+c1) {
				return
			}
		}
	}
}

// DenseBackward computes the gradients of Dense before its activation.
func (d *Device) DenseBackward(a device.DenseBackwardArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).DenseBackward) {
		return
	}
	d.backward(&a, nil)
}

// backward is DenseBackward. What end, unless it is nil, does with the gradient of the weights follows
// that of the input, which needs them as they are.
func (d *Device) backward(a *device.DenseBackwardArgs, end *layerEnd) {
	if !a.DX.IsZero() {
		d.inputGradient(a)
	}
	if !a.DW.IsZero() {
		d.weightGradient(a, end)
	}
	if !a.DBias.IsZero() {
		d.columns = columnSumsCall{kernels: d.kernels, x: floatsOf(a.DA), rows: a.DA.Rows, columns: a.DA.Columns, sums: floatsOf(a.DBias)}
		d.pool.run(&d.columns, a.DA.Columns, d.perLane(a.DA.Rows))
	}
}

// inputGradient computes DX = (DA·W) ⊙ act'(X), or DA·Wᵀ with Transposed. Derivatives of
// ReLU make zeros of DA.
func (d *Device) inputGradient(a *device.DenseBackwardArgs) {
	da, w := floatsOf(a.DA), floatsOf(a.W)
	share, sparse := d.sparse(a.DA, a.DX.Columns)
	g := &d.gemm
	g.c, g.ld, g.k, g.accumulate = floatsOf(a.DX), a.DX.Columns, a.DA.Columns, false
	switch {
	case a.Transposed && (sparse || a.DX.Rows <= d.thin()):
		g.s, g.m = rowMajor(da, a.DA.Columns), a.DX.Rows
		g.v, g.n = rowMajor(w, a.W.Columns), a.DX.Columns
		g.flipped = false
	case a.Transposed:
		g.s, g.m = rowMajor(w, a.W.Columns), a.DX.Columns
		g.v, g.n = rowMajor(da, a.DA.Columns), a.DX.Rows
		g.flipped = true
	default:
		g.s, g.m = rowMajor(da, a.DA.Columns), a.DX.Rows
		g.v, g.n = columnMajor(w, a.W.Columns), a.DX.Columns
		g.flipped = false
	}
	g.epilogue = nil
	if a.InAct != device.Identity {
		from := a.X
		if a.InAct.NeedsInput() {
			from = a.InPre
		}
		g.backward = backwardEpilogue{kernels: d.kernels, columns: a.DX.Columns, act: a.InAct, from: floatsOf(from), dx: g.c}
		g.epilogue = &g.backward
	}
	if sparse {
		d.multiplySparse(g, share)
	} else {
		d.multiply(g)
	}
}

// backwardEpilogue multiplies by the derivative of the activation that made X.
type backwardEpilogue struct {
	kernels *kernels
	columns int
	act     device.Activation
	from    []float32 // X, or X before the activation
	dx      []float32
}

func (e *backwardEpilogue) finish(r0, r1, c0, c1 int) {
	for lo, hi := range runs(e.columns, r0, r1, c0, c1) {
		e.kernels.activateBackward[e.act](e.dx[lo:hi], e.dx[lo:hi], e.from[lo:hi])
	}
}

// weightGradient computes DW = DAᵀ·X, or Xᵀ·DA with Transposed, and hands it to end. The factor that
// is sparse comes first: X, whose columns are then turned to rows of DW as end takes them, or DA.
func (d *Device) weightGradient(a *device.DenseBackwardArgs, end *layerEnd) {
	share, sparse := d.sparse(a.X, a.DA.Columns)
	left, right := a.DA, a.X
	if sparse || a.Transposed {
		left, right = right, left
	}
	if !sparse && !a.Transposed {
		share, sparse = d.sparse(a.DA, a.X.Columns)
	}
	g := &d.gemm
	g.s, g.m = columnMajor(floatsOf(left), left.Columns), left.Columns
	g.v, g.n = columnMajor(floatsOf(right), right.Columns), right.Columns
	g.c, g.ld, g.k = floatsOf(a.DW), a.DW.Columns, left.Rows
	g.flipped, g.accumulate, g.epilogue = left == a.X && !a.Transposed, a.Accumulate, nil
	g.end = end
	if end != nil {
		end.squares = end.squares[:0]
	}
	if sparse {
		d.multiplySparse(g, share)
	} else {
		d.multiply(g)
	}
	g.end = nil
	if end != nil && len(end.squares) == 0 {
		d.takeStored(end, g.c)
	}
}

// columnSumsCall sums the columns of a matrix; its items are columns.
type columnSumsCall struct {
	kernels       *kernels
	x             []float32
	rows, columns int
	sums          []float32
}

func (c *columnSumsCall) run(_, lo, hi int) {
	if c.rows == 0 {
		clear(c.sums[lo:hi])
		return
	}
	c.kernels.columnSums(c.sums[lo:hi], c.x[lo:], c.columns, c.rows)
}
