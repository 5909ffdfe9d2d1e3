package model

import (
	"fmt"

	"gpudae/device"
	"gpudae/device/philox"
)

// codeMemory is that of a stochastic code.
type codeMemory struct {
	noise, value device.View // [rows, units] z or u, and h
	divergence   device.View // [rows, 1] KL(q‖p), or log q(h) - log p(h)
	// Of an importance-weighted bound.
	bounds, weights device.View // [rows, 1]
	// Of β's warm-up, rows of equal numbers; absent without one.
	steps, beta, ones device.View // [rows, 1]
}

// allocateCode gives the code its memory; where the code is Gaussian, bounds can
// be computed of any net.
func (n *Net) allocateCode(a *allocator, training bool) {
	r := n.dae.resolved
	if !r.codes.Stochastic {
		return
	}
	units := n.dae.CodeWidth()
	n.code.noise, n.code.value = a.matrix(n.rows, units), a.matrix(n.rows, units)
	n.code.divergence = a.matrix(n.rows, 1)
	if r.codes.Kind == device.CodeGaussian {
		n.code.bounds, n.code.weights = a.matrix(n.rows, 1), a.matrix(n.rows, 1)
	}
	if training && r.BetaWarmup > 0 {
		n.code.steps, n.code.beta, n.code.ones = a.matrix(n.rows, 1), a.matrix(n.rows, 1), a.matrix(n.rows, 1)
	}
}

// stochastic reports whether the code is drawn.
func (n *Net) stochastic() bool { return n.dae.resolved.codes.Stochastic }

// readsDraw reports whether layer i reads a code that was drawn.
func (n *Net) readsDraw(i int) bool { return i == n.dae.depth && n.stochastic() }

// codeOf is h.
func (n *Net) codeOf(m *minibatch) device.View {
	if n.stochastic() {
		return n.code.value.Top(m.rows)
	}
	return n.blocks[n.dae.depth-1].output(m)
}

// codeParams are the parameters of q(h|x̃).
func (n *Net) codeParams(m *minibatch) device.View { return n.blocks[n.dae.depth-1].output(m) }

// sampled reports whether the divergence is that of the code drawn, as an
// importance-weighted bound needs it, rather than its expectation.
func (n *Net) sampled(m *minibatch) bool {
	return m.bound || m.training && n.dae.resolved.Importance > 0
}

// sampleCode draws h ~ q(h|x̃).
func (n *Net) sampleCode(m *minibatch) {
	q := n.dae.resolved.codes
	args := device.SampleCodeArgs{
		Kind: q.Kind, Temperature: float32(q.Temperature), Params: n.codeParams(m), Noise: n.code.noise.Top(m.rows),
		Code: n.codeOf(m), Divergence: n.code.divergence.Top(m.rows), Sampled: n.sampled(m),
		Seed: m.source.Seed, Stream: m.stream, Stage: codeStage, Replicates: m.replicates, Index: n.indexOf(m), Clock: m.noise,
	}
	if m.training {
		args.Stream, args.Stage = philox.StreamCode, uint32(m.link)
	}
	n.dev.SampleCode(args)
}

// meanCode computes, where all layers of the encoder but the last have run, the
// mean of q(h|x̃); of a relaxed code that of the Bernoulli that it relaxes.
func (n *Net) meanCode(m *minibatch) {
	b, units := &n.blocks[n.dae.depth-1], n.dae.CodeWidth()
	args := device.DenseArgs{X: n.codeInput(m), W: b.value.weight.Top(units), Bias: firstColumns(b.value.bias, units), Y: n.codeOf(m)}
	if n.dae.resolved.codes.Kind != device.CodeGaussian {
		args.Act = device.Sigmoid
	}
	n.dev.Dense(args)
}

// codeInput is the input of the encoder's last layer.
func (n *Net) codeInput(m *minibatch) device.View {
	if n.dae.depth == 1 {
		return n.input(m)
	}
	return n.blocks[n.dae.depth-2].output(m)
}

// firstColumns of a row.
func firstColumns(v device.View, columns int) device.View {
	return device.MatrixOf(v.Memory, v.Offset, 1, columns)
}

// codeBackward turns the gradient by h into that by the parameters of q(h|x̃),
// and adds that of the divergence.
func (n *Net) codeBackward(gradient device.View, m *minibatch) device.View {
	q, params := n.dae.resolved.codes, n.codeParams(m)
	args := device.SampleCodeBackwardArgs{
		Kind: q.Kind, Temperature: float32(q.Temperature), Params: params, Noise: n.code.noise.Top(m.rows), Code: n.codeOf(m),
		DCode: gradient, Sampled: n.sampled(m), DParams: n.other(gradient, m.rows, params.Columns),
	}
	switch {
	case args.Sampled:
		args.Scale, args.Weights = n.share(m), n.code.weights.Top(m.rows)
	case n.warmsUp():
		args.Scale, args.Weights = n.share(m), n.code.beta.Top(m.rows)
	default:
		args.Scale = n.share(m) * float32(n.dae.resolved.beta())
	}
	n.dev.SampleCodeBackward(args)
	return args.DParams
}

// pullMeanCode carries, in place, the gradient from the mean code to what the
// encoder's last layer computes of it.
func (n *Net) pullMeanCode(gradient device.View, m *minibatch) {
	if n.dae.resolved.codes.Kind != device.CodeGaussian {
		n.dev.ActivateBackward(device.ActivateBackwardArgs{Act: device.Sigmoid, Y: n.codeOf(m), DY: gradient, DX: gradient})
	}
}

// warmsUp reports whether β rises during training.
func (n *Net) warmsUp() bool { return !n.code.steps.IsZero() }

// SetStep says how many steps of training have been made, which β's warm-up
// counts on from there with each call of Gradient: β at a step is
// β·min(1, steps made/BetaWarmup).
func (n *Net) SetStep(step uint64) error {
	if !n.warmsUp() {
		return nil
	}
	for _, column := range []struct {
		view  device.View
		value float32
	}{{n.code.steps, float32(min(step, maxBetaWarmup))}, {n.code.ones, 1}} {
		values := make([]float32, column.view.Len())
		fill(values, column.value)
		if err := n.dev.Upload(column.view, values); err != nil {
			return fmt.Errorf("setting the weight of the divergence: %w", err)
		}
	}
	return nil
}

// warmUp computes β at this step, for all rows that there may be, and counts it.
func (n *Net) warmUp() {
	if !n.warmsUp() {
		return
	}
	r, c := n.dae.resolved, &n.code
	beta := float32(r.beta())
	n.dev.Combine(device.CombineArgs{Alpha: -1 / float32(r.BetaWarmup), A: c.steps, Beta: 1, B: c.ones, Dst: c.beta})
	n.dev.Activate(device.ActivateArgs{Act: device.ReLU, X: c.beta, Y: c.beta}) // what is missing
	n.dev.Combine(device.CombineArgs{Alpha: -beta, A: c.beta, Beta: beta, B: c.ones, Dst: c.beta})
	n.dev.Combine(device.CombineArgs{Alpha: 1, A: c.steps, Beta: 1, B: c.ones, Dst: c.steps})
}
