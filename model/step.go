package model

import (
	"gpudae/device"
	"gpudae/device/philox"
)

// Gradient issues the operations that compute, for the minibatch of that many
// examples at the source's clock, the mean loss and its gradient: Values and
// Grads. It allocates nothing and may be recorded; examples may be fewer than
// the Net was bound for. Every step draws fresh noise from stream StreamTrain,
// each of the K replicates of an example its own.
func (n *Net) Gradient(src Source, examples int) {
	step := minibatch{
		rows: examples * n.dae.resolved.Replicates, replicates: n.dae.resolved.Replicates,
		shuffle: src.Shuffle, stream: philox.StreamTrain, order: src.Clock, noise: src.Clock,
	}
	n.gather(&src, &step)
	n.corrupt(&src, &step)
	n.encode(n.corrupted.Top(step.rows), &src, &step)
	n.decode(&src, &step)
	n.loss(step.rows)
	n.backward(&src, &step)
	n.reduce(step.rows)
}

// draw gathers and corrupts rows for evaluation, in the order of the part from
// the cursor of the Net's own clock on: one replicate, the noise of step 0.
func (n *Net) draw(src Source, rows int) {
	fixed := minibatch{rows: rows, replicates: 1, stream: philox.StreamValidation, order: n.clock}
	n.gather(&src, &fixed)
	n.corrupt(&src, &fixed)
}

// reconstruct computes E[x|h] of the corrupted rows, as they are, in evaluation mode.
func (n *Net) reconstruct(rows int) {
	evaluation := minibatch{rows: rows, replicates: 1}
	n.encode(n.corrupted.Top(rows), &Source{}, &evaluation)
	n.decode(&Source{}, &evaluation)
	n.mean(rows)
}

// minibatch is what distinguishes one pass from another.
type minibatch struct {
	rows       int // replicates included
	replicates int
	shuffle    bool
	stream     philox.Stream // of the corruption
	order      device.Words  // clock that says which examples
	noise      device.Words  // clock that says which noise; absent: step 0
}

// training reports whether dropout is on and batch norm uses the minibatch's
// statistics: where the noise moves with the step.
func (m *minibatch) training() bool { return !m.noise.IsZero() }

// gather fills clean and index.
func (n *Net) gather(src *Source, m *minibatch) {
	n.dev.Gather(device.GatherArgs{
		Data: src.Data, Part: src.Part, Shuffle: m.shuffle, Seed: src.Seed, Replicates: m.replicates,
		Clock: m.order, X: n.clean.Top(m.rows), Index: indexOf(n.index, m.rows),
	})
}

// corrupt draws x̃ ~ C(x̃|x), stage by stage, and the mask of what any stage destroyed.
func (n *Net) corrupt(src *Source, m *minibatch) {
	from := n.clean.Top(m.rows)
	for position, stage := range n.dae.resolved.corruption {
		args := stage.args()
		args.From, args.To, args.Mask = from, n.corrupted.Top(m.rows), n.mask.Top(m.rows)
		args.Accumulate = position > 0
		args.Low, args.High = src.Range.Low, src.Range.High
		args.Fields = n.fields
		args.Seed, args.Stream, args.Stage, args.Replicates = src.Seed, m.stream, uint32(position), m.replicates
		args.Index, args.Clock = indexOf(n.index, m.rows), m.noise
		args.Data, args.Part = src.Data, src.Part
		n.dev.Corrupt(args)
		from = args.To
	}
}

// encode computes h = f(x), the output of the last encoder layer.
func (n *Net) encode(x device.View, src *Source, m *minibatch) {
	for i := range n.dae.depth {
		x = n.forward(i, x, src, m)
	}
}

// decode computes the parameters of p(x|h) from h.
func (n *Net) decode(src *Source, m *minibatch) {
	h := n.code(m)
	for i := n.dae.depth; i < len(n.blocks); i++ {
		h = n.forward(i, h, src, m)
	}
}

// code is h.
func (n *Net) code(m *minibatch) device.View {
	return n.blocks[n.dae.depth-1].output(m)
}

// backward carries the gradient from the likelihood's parameters, where loss
// left it, to every parameter. No layer needs it by x̃.
func (n *Net) backward(src *Source, m *minibatch) {
	gradient := n.params(m.rows)
	for i := len(n.blocks) - 1; i > 0; i-- {
		gradient = n.backwardThrough(i, gradient, src, m)
	}
	n.backwardThrough(0, gradient, src, m)
}

// reduce computes Values: the mean loss and the sum of squares of the gradient.
func (n *Net) reduce(rows int) {
	loss, gradSq := n.Values, n.Values
	loss.Columns, gradSq.Columns = 1, 1
	gradSq.Offset++
	n.dev.Reduce(device.ReduceArgs{Kind: device.Sum, X: n.losses.Top(rows), Out: loss})
	n.dev.Combine(device.CombineArgs{Alpha: 1 / float32(rows), A: loss, Dst: loss})
	n.dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: n.Grads, Out: gradSq})
}

func indexOf(index device.Words, rows int) device.Words {
	index.Len = device.IndexWords(rows)
	return index
}
