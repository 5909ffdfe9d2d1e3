package model

import (
	"fmt"

	"gpudae/device"
)

// pullBackMemory is that of differentiation down to the input.
type pullBackMemory struct {
	vector  device.View    // [rows, features] v
	scratch [2]device.View // [rows, widest layer]
	unread  [2]device.View // [1, widest layer] gradients of a norm's gain and shift
}

// preparePullBack allocates the memory at the first call.
func (n *Net) preparePullBack() error {
	r := n.dae.resolved
	switch kind := r.likelihood.Kind; {
	case r.norm == normBatch:
		return fmt.Errorf("batch norm has no derivative by the input here: train with norm layer or none")
	case kind != device.Gaussian && kind != device.GaussianLearned && kind != device.Bernoulli:
		return fmt.Errorf("the mean of a %s likelihood has no derivative here: train with gaussian", kind)
	case !n.pull.vector.IsZero():
		return nil
	}
	widest := 0
	for i := range n.dae.layers {
		widest = max(widest, n.dae.layers[i].in, n.dae.layers[i].out)
	}
	a := &allocator{dev: n.dev}
	pull := pullBackMemory{
		vector:  a.matrix(n.rows, r.Features),
		scratch: [2]device.View{a.matrix(n.rows, widest), a.matrix(n.rows, widest)},
	}
	if r.norm != normNone {
		pull.unread = [2]device.View{a.matrix(1, widest), a.matrix(1, widest)}
	}
	if a.err != nil {
		return fmt.Errorf("allocating the memory of %d rows: %w", n.rows, a.err)
	}
	n.pull = pull
	return nil
}

// pullBack carries v from the reconstruction, which has just been computed, to
// the rows that it was computed from.
func (n *Net) pullBack(m *minibatch) device.View {
	gradient := n.pullMean(m)
	for i := len(n.blocks) - 1; i >= 0; i-- {
		gradient = n.pullThrough(i, gradient, m)
		if n.readsDraw(i) {
			n.pullMeanCode(gradient, m)
		}
	}
	if n.scores() {
		return n.pullIn(gradient, m)
	}
	return gradient
}

// pullMean carries v from the reconstruction to the decoder's output.
func (n *Net) pullMean(m *minibatch) device.View {
	if n.scores() {
		return n.pullOut(m)
	}
	v := n.pull.vector.Top(m.rows)
	if n.dae.resolved.likelihood.Kind == device.Bernoulli {
		n.dev.ActivateBackward(device.ActivateBackwardArgs{Act: device.Sigmoid, Y: n.reconstruction.Top(m.rows), DY: v, DX: v})
	}
	return v
}

// pullThrough carries the gradient from layer i to its input, as
// backwardThrough does, and leaves out those of the parameters.
func (n *Net) pullThrough(i int, gradient device.View, m *minibatch) device.View {
	b := &n.blocks[i]
	if !b.plain() {
		n.pullToLinear(b, gradient)
	}
	args := device.DenseBackwardArgs{DA: gradient, X: n.input(m), W: b.value.weight, Transposed: b.tied >= 0,
		DX: otherOf(n.pull.scratch, gradient, m.rows, b.in)}
	if !args.Transposed {
		args.W = args.W.Top(gradient.Columns) // those of the means alone, where a likelihood or a code has variances too
	}
	switch {
	case i == 0:
	case n.readsDraw(i):
		args.X = n.codeOf(m)
	default:
		below := &n.blocks[i-1]
		args.X = below.output(m)
		if below.plain() {
			args.InAct, args.InPre = below.act, top(below.pre, m.rows)
		}
	}
	n.dev.DenseBackward(args)
	return args.DX
}

// pullToLinear turns, in place, the gradient by a layer's output into that by
// the output of its dense part. Nothing is dropped outside training.
func (n *Net) pullToLinear(b *block, gradient device.View) {
	b.activateBackward(n.dev, gradient)
	if b.norm != normNone {
		b.normalizeBackward(n.dev, gradient,
			device.MatrixOf(n.pull.unread[0].Memory, 0, 1, b.out), device.MatrixOf(n.pull.unread[1].Memory, 0, 1, b.out))
	}
}
