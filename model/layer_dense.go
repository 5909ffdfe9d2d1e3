package model

import "gpudae/device"

// forward computes the output of layer i from its input x:
// dense → norm → activation → dropout.
func (n *Net) forward(i int, x device.View, m *minibatch) device.View {
	b := &n.blocks[i]
	b.dense(n.dev, x)
	if b.norm != normNone {
		b.normalize(n.dev, m)
	}
	if b.drops(m) {
		n.dropout(i, b.active.Top(m.rows), b.dropped.Top(m.rows), m)
	}
	if n.watch != nil {
		n.sawForward(i, m)
	}
	return b.output(m)
}

// output is the layer's output.
func (b *block) output(m *minibatch) device.View {
	if b.drops(m) {
		return b.dropped.Top(m.rows)
	}
	return b.active.Top(m.rows)
}

// dense computes X·Wᵀ + b, and the activation with it where no norm comes between.
func (b *block) dense(dev device.Device, x device.View) {
	args := device.DenseArgs{X: x, W: b.value.weight, Bias: b.value.bias, Transposed: b.tied >= 0}
	if b.norm != normNone {
		args.Y = b.linear.Top(x.Rows)
	} else {
		args.Act, args.Pre, args.Y = b.act, top(b.pre, x.Rows), b.active.Top(x.Rows)
	}
	dev.Dense(args)
}

// backwardThrough computes the gradients of layer i's parameters and returns
// that by its input, or, if the layer below is plain, by what that layer's
// activation was applied to; absent for the first layer, since nothing depends
// on the gradient by x̃, unless there are embeddings before it. gradient is that
// of layer i in the same sense.
func (n *Net) backwardThrough(i int, gradient device.View, m *minibatch) device.View {
	b := &n.blocks[i]
	if !b.plain() {
		n.backwardToLinear(i, gradient, m)
	}
	args := device.DenseBackwardArgs{
		DA: gradient, X: n.input(m), W: b.value.weight, Transposed: b.tied >= 0,
		DW: b.gradient.weight, DBias: b.gradient.bias,
		// Tied weights: the decoder, which comes first, sets DW; the encoder adds to it.
		Accumulate: i < n.dae.depth && n.dae.resolved.Tied,
	}
	switch {
	case i == 0 && n.dae.embeds():
		args.DX = n.other(gradient, m.rows, b.in)
	case i == 0:
	case n.readsDraw(i):
		args.X, args.DX = n.codeOf(m), n.other(gradient, m.rows, b.in)
	default:
		below := &n.blocks[i-1]
		args.X = below.output(m)
		args.DX = n.other(gradient, m.rows, b.in)
		if below.plain() {
			args.InAct, args.InPre = below.act, top(below.pre, m.rows)
		}
	}
	n.dev.DenseBackward(args)
	return args.DX
}

// backwardToLinear turns, in place, the gradient by layer i's output into that
// by the output of its dense part.
func (n *Net) backwardToLinear(i int, gradient device.View, m *minibatch) {
	b := &n.blocks[i]
	if b.drops(m) {
		n.dropout(i, gradient, gradient, m)
	}
	b.activateBackward(n.dev, gradient)
	if b.norm != normNone {
		b.normalizeBackward(n.dev, gradient, b.gradient.gain, b.gradient.shift)
	}
}

// activateBackward turns, in place, the gradient by the activation's output into
// that by its input.
func (b *block) activateBackward(dev device.Device, gradient device.View) {
	args := device.ActivateBackwardArgs{Act: b.act, DY: gradient, DX: gradient}
	if b.act.NeedsInput() {
		args.X = b.pre.Top(gradient.Rows)
	} else {
		args.Y = b.active.Top(gradient.Rows)
	}
	dev.ActivateBackward(args)
}

// other is a view of the scratch memory that the gradient does not occupy.
func (n *Net) other(gradient device.View, rows, columns int) device.View {
	return otherOf(n.scratch, gradient, rows, columns)
}

// otherOf is a view of that of two memories that the gradient does not occupy.
func otherOf(scratch [2]device.View, gradient device.View, rows, columns int) device.View {
	memory := scratch[0].Memory
	if gradient.Memory == memory {
		memory = scratch[1].Memory
	}
	return device.View{Memory: memory, Rows: rows, Columns: columns}
}

// top is the first rows of a view that may be absent.
func top(v device.View, rows int) device.View {
	if v.IsZero() {
		return v
	}
	return v.Top(rows)
}
