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
	k := n.dae.resolved.Replicates
	m := minibatch{
		source: src, rows: examples * k, replicates: k, training: true,
		shuffle: src.Shuffle, order: src.Clock, stream: philox.StreamTrain, noise: src.Clock,
	}
	n.gather(&m)
	n.corrupt(&m)
	n.encode(&m)
	n.decode(&m)
	n.loss(&m)
	n.backward(&m)
	n.reduce(&m)
}

// draw gathers and corrupts rows for evaluation, in the order of the part from
// the cursor of the Net's own clock on: one replicate, the noise of step 0, in
// each pass over the part another.
func (n *Net) draw(src Source, rows, pass int) *minibatch {
	m := &minibatch{source: src, rows: rows, replicates: 1, pass: pass, order: n.clock, stream: philox.StreamValidation}
	n.gather(m)
	n.corrupt(m)
	return m
}

// reconstruct computes E[x|h] of the rows that stand in corrupted.
func (n *Net) reconstruct(m *minibatch) {
	n.encode(m)
	n.decode(m)
	n.mean(m)
}

// minibatch is what distinguishes one pass from another.
type minibatch struct {
	source     Source
	rows       int // replicates included
	replicates int
	pass       int          // of an evaluation over the part
	training   bool         // dropout is on, and batch norm uses the minibatch's statistics
	given      bool         // the rows come from the host, their noise level from setNoise
	shuffle    bool         // the order of the epoch rather than that of the part
	order      device.Words // clock that says which examples
	stream     philox.Stream
	noise      device.Words // clock that says which noise; absent: step 0
}

// gather fills clean and index.
func (n *Net) gather(m *minibatch) {
	n.dev.Gather(device.GatherArgs{
		Data: m.source.Data, Part: m.source.Part, Shuffle: m.shuffle, Seed: m.source.Seed, Replicates: m.replicates,
		Clock: m.order, X: n.clean.Top(m.rows), Index: n.indexOf(m),
	})
}

// corrupt draws x̃ ~ C(x̃|x), stage by stage, and the mask of what any stage destroyed.
func (n *Net) corrupt(m *minibatch) {
	if n.scores() {
		n.diffuse(m)
		return
	}
	from, to := n.clean.Top(m.rows), n.corrupted.Top(m.rows)
	for position, stage := range n.dae.resolved.corruption {
		n.dev.Corrupt(device.CorruptArgs{
			Kind: stage.Kind, Rate: philox.Threshold(stage.rate()), Amount: float32(stage.Amount),
			From: from, To: to, Mask: n.mask.Top(m.rows), Accumulate: position > 0,
			Low: m.source.Range.Low, High: m.source.Range.High, Fields: n.fields,
			Seed: m.source.Seed, Stream: m.stream, Stage: uint32(position), Replicates: m.replicates,
			Index: n.indexOf(m), Clock: m.noise, Data: m.source.Data, Part: m.source.Part,
		})
		from = to
	}
}

// input is what the encoder sees.
func (n *Net) input(m *minibatch) device.View {
	if n.scores() {
		return n.noise.input.Top(m.rows)
	}
	return n.corrupted.Top(m.rows)
}

// encode computes h = f(x̃).
func (n *Net) encode(m *minibatch) {
	if n.scores() {
		n.condition(m)
	}
	x := n.input(m)
	for i := range n.dae.depth {
		x = n.forward(i, x, m)
	}
}

// decode computes the parameters of p(x|h) from h.
func (n *Net) decode(m *minibatch) {
	h := n.blocks[n.dae.depth-1].output(m)
	for i := n.dae.depth; i < len(n.blocks); i++ {
		h = n.forward(i, h, m)
	}
}

// backward carries the gradient from the likelihood's parameters, where loss
// left it, down to the first layer's parameters.
func (n *Net) backward(m *minibatch) {
	gradient := n.params(m)
	for i := len(n.blocks) - 1; i >= 0; i-- {
		gradient = n.backwardThrough(i, gradient, m)
	}
}

// reduce computes Values: the mean loss and the sum of squares of the gradient.
func (n *Net) reduce(m *minibatch) {
	loss := n.MeanLoss()
	n.dev.Reduce(device.ReduceArgs{Kind: device.Sum, X: n.losses.Top(m.rows), Out: loss})
	n.dev.Combine(device.CombineArgs{Alpha: 1 / float32(m.rows), A: loss, Dst: loss})
	n.dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: n.Grads, Out: n.GradSq()})
}

// indexOf is where the minibatch's rows come from.
func (n *Net) indexOf(m *minibatch) device.Words {
	index := n.index
	index.Len = device.IndexWords(m.rows)
	return index
}
