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
	if n.predicts() {
		n.targetGradient(src, examples)
		return
	}
	k := n.dae.resolved.copies()
	m := minibatch{
		source: src, rows: examples * k, replicates: k, training: true,
		shuffle: src.Shuffle, order: src.Clock, stream: philox.StreamTrain, noise: src.Clock,
	}
	n.warmUp()
	n.walk(&m)
	n.loss(&m)
	if n.watch != nil {
		n.sawLoss(&m)
	}
	n.backward(&m)
	n.reduce(&m)
}

// walk computes the parameters of p(x|h) for the links of a Markov chain that
// starts at each example, x̃₁ ~ C(x̃|x), x' ~ p(x|h₁), x̃₂ ~ C(x̃|x'), ..., one
// link after the other in memory (walkback: Bengio et al. 2013, algorithm 1).
// The clean x is what all of them are trained on. Without walkback it is one
// link.
func (n *Net) walk(m *minibatch) {
	links := n.linksOf(m.rows)
	for i, link := range links {
		m.link = i
		link.gather(m)
		link.corrupt(m)
		link.encode(m)
		link.decode(m)
		if i+1 < len(links) {
			link.emit(links[i+1], m)
		}
	}
	m.rows *= len(links)
}

// draw gathers and corrupts examples for evaluation, in the order of the part
// from the cursor of the Net's own clock on: so many copies of each, the noise of
// step 0, in each pass over the part another.
func (n *Net) draw(src Source, examples, copies, pass int) *minibatch {
	m := &minibatch{source: src, rows: examples * copies, replicates: copies, pass: pass, order: n.clock, stream: philox.StreamValidation}
	n.gather(m)
	n.corrupt(m)
	return m
}

// reconstruct computes E[x|h] of the rows that stand in corrupted, h being the
// mean of q(h|x̃).
func (n *Net) reconstruct(m *minibatch) {
	m.mean = true
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
	link       int          // of the chain that walkback follows, counted from 0
	mean       bool         // the code is the mean of q(h|x̃) rather than a draw
	bound      bool         // the replicates are the samples of an importance-weighted bound
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
	if m.link > 0 {
		from = to // where the link before has drawn x'
	}
	stages := len(n.dae.resolved.corruption)
	for position, stage := range n.dae.resolved.corruption {
		n.dev.Corrupt(device.CorruptArgs{
			Kind: stage.Kind, Rate: stage.threshold(), Amount: float32(stage.Amount),
			Absent: n.dae.resolved.tabular(), Continuous: n.continuous, Rates: n.rates[position], Length: stage.Length,
			From: from, To: to, Mask: n.mask.Top(m.rows), Accumulate: position > 0,
			Low: m.source.Range.Low, High: m.source.Range.High, Fields: n.fields,
			Seed: m.source.Seed, Stream: m.stream, Stage: uint32(m.link*stages + position), Replicates: m.replicates,
			Index: n.indexOf(m), Clock: m.noise, Data: m.source.Data, Part: m.source.Part,
		})
		from = to
	}
}

// input is what the encoder sees.
func (n *Net) input(m *minibatch) device.View {
	switch {
	case n.scores():
		return n.noise.input.Top(m.rows)
	case n.dae.resolved.tabular():
		return n.embedded.Top(m.rows)
	}
	return n.corrupted.Top(m.rows)
}

// encode computes h = f(x̃), or draws it from q(h|x̃).
func (n *Net) encode(m *minibatch) {
	switch {
	case n.scores():
		n.condition(m)
	case n.dae.resolved.tabular():
		n.embed(m)
	}
	if n.watch != nil {
		n.sawInput(m)
	}
	x := n.input(m)
	last := n.dae.depth - 1
	for i := range last {
		x = n.forward(i, x, m)
	}
	if m.mean && n.stochastic() {
		n.meanCode(m)
		return
	}
	n.forward(last, x, m)
	if n.stochastic() {
		n.sampleCode(m)
	}
}

// decode computes the parameters of p(x|h) from h.
func (n *Net) decode(m *minibatch) {
	h := n.codeOf(m)
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
		if n.watch != nil {
			n.sawBackward(i, gradient)
		}
		if n.readsDraw(i) {
			gradient = n.codeBackward(gradient, m)
		}
	}
	if n.dae.embeds() {
		n.embedBackward(gradient, m)
	}
}

// reduce computes Values: the mean loss and the sum of squares of the gradient.
func (n *Net) reduce(m *minibatch) {
	loss, terms := n.MeanLoss(), n.terms(m)
	n.dev.Reduce(device.ReduceArgs{Kind: device.Sum, X: terms, Out: loss})
	n.dev.Combine(device.CombineArgs{Alpha: n.share(m), A: loss, Dst: loss})
	n.dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: n.Grads, Out: n.GradSq()})
}

// indexOf is where the minibatch's rows come from.
func (n *Net) indexOf(m *minibatch) device.Words {
	index := n.index
	index.Len = device.IndexWords(m.rows)
	return index
}
