package smallnet

import (
	"reflect"
	"strings"

	"gpudae/device"
)

// reader goes through the operations of a step and keeps the first thing that is not
// as in that of a small net.
type reader struct {
	operations []any
	err        error
	loss       device.View // the mean loss
	norm       device.View // the sum of squares of the gradient
	gradient   device.View // the arena that the norm is of
}

// next takes an operation of one type.
func next[A any](r *reader) A {
	var a A
	if r.err != nil {
		return a
	}
	if len(r.operations) == 0 {
		r.err = refuse("there is no %s", operationName(a))
		return a
	}
	a, ok := r.operations[0].(A)
	if !ok {
		r.err = refuse("%s stands where a step has %s", operationName(r.operations[0]), operationName(a))
		return a
	}
	r.operations = r.operations[1:]
	return a
}

// operationName is that of the device's method.
func operationName(a any) string { return strings.TrimSuffix(reflect.TypeOf(a).Name(), "Args") }

// want refuses the step unless ok.
func (r *reader) want(ok bool, reason string) {
	if r.err == nil && !ok {
		r.err = refuse("%s", reason)
	}
}

// net reads a step: a minibatch, its corruption, the layers up and down, the reductions,
// the update. What an operation reads must be what the one before it left.
func (r *reader) net() *Net {
	n := &Net{Gather: next[device.GatherArgs](r)}
	var forward []device.DenseArgs
	var losses device.View
	if r.sees(device.DiffuseArgs{}) {
		forward, losses = r.score(n)
	} else {
		forward, losses = r.likelihood(n)
	}
	backward := r.backward(forward)
	r.reductions(n, losses)
	n.Update, n.Tick = next[device.UpdateArgs](r), next[device.TickArgs](r)
	r.want(len(r.operations) == 0, "the step goes on after its tick")
	r.state(n)
	r.parameters(n, forward, backward)
	return n
}

// sees reports whether an operation of that type is next.
func (r *reader) sees(operation any) bool {
	return r.err == nil && len(r.operations) > 0 && reflect.TypeOf(r.operations[0]) == reflect.TypeOf(operation)
}

// likelihood reads corruption, layers and loss, and returns the layers and the losses.
func (r *reader) likelihood(n *Net) ([]device.DenseArgs, device.View) {
	x := r.corruption(n)
	forward := r.forward(n, x)
	n.Likelihood = next[device.LikelihoodArgs](r)
	l, output := &n.Likelihood, outputOf(forward)
	r.want(l.Params == output && l.DParams == output && l.Target == n.Gather.X, "the loss is not that of the output beside the clean minibatch")
	r.want(l.ByColumn.IsZero() && l.MaskHead == 0, "losses are kept by column")
	r.want(l.Mask.IsZero() || len(n.Stages) > 0 && l.Mask == n.Stages[0].Mask, "the emphasis is not that of the corruption")
	return forward, l.Losses
}

// score reads the same of a score net: noise of a level of each row, the input that knows
// it, the layers, the denoiser and the loss.
func (r *reader) score(n *Net) ([]device.DenseArgs, device.View) {
	s := &Score{Diffuse: next[device.DiffuseArgs](r), Condition: next[device.ConditionArgs](r)}
	n.Score = s
	forward := r.forward(n, s.Condition.Out)
	s.Blend, s.Match = next[device.BlendArgs](r), next[device.ScoreMatchArgs](r)
	d, c, b, m, output := &s.Diffuse, &s.Condition, &s.Blend, &s.Match, outputOf(forward)
	r.want(d.From == n.Gather.X && d.To != d.From, "the noise is not added to the clean minibatch")
	r.want(d.Index == n.Gather.Index && d.Clock == n.Gather.Clock && d.Replicates == n.Gather.Replicates, "the noise is not that of the minibatch's rows")
	r.want(c.Level == d.Level && b.Level == d.Level && m.Level == d.Level, "levels are not those of the noise")
	r.want(c.X == d.To && b.X == d.To && b.Y == output && m.Denoised == b.Out, "the denoiser is not that of the noisy minibatch and the output")
	r.want(m.Target == n.Gather.X && m.DF == output && m.OutScale == b.Beta && b.Out != output && b.Out != d.To, "the loss is not that of the denoiser beside the clean minibatch")
	return forward, m.Losses
}

// outputOf is that of the last layer.
func outputOf(forward []device.DenseArgs) device.View {
	if len(forward) == 0 {
		return device.View{}
	}
	return forward[len(forward)-1].Y
}

// corruption reads the stages and returns x̃.
func (r *reader) corruption(n *Net) device.View {
	x := n.Gather.X
	for r.err == nil && len(r.operations) > 0 {
		s, ok := r.operations[0].(device.CorruptArgs)
		if !ok {
			break
		}
		r.operations = r.operations[1:]
		first := len(n.Stages) == 0
		r.want(s.From == x && s.To != n.Gather.X && (first || s.To == x), "the corruption does not go from stage to stage")
		r.want(s.Accumulate != first && (first || s.Mask == n.Stages[0].Mask), "the stages do not share a mask")
		r.want(s.Index == n.Gather.Index && s.Clock == n.Gather.Clock && s.Replicates == n.Gather.Replicates, "the noise is not that of the minibatch's rows")
		r.want(!s.Kind.Swaps() || s.Data == n.Gather.Data && s.Part == n.Gather.Part, "donors come from another part of the data")
		n.Stages = append(n.Stages, s)
		x = s.To
	}
	r.want(len(n.Stages) > 0, "nothing is corrupted")
	return x
}

// forward reads the dense layers.
func (r *reader) forward(n *Net, x device.View) []device.DenseArgs {
	var all []device.DenseArgs
	for r.err == nil && len(r.operations) > 0 {
		a, ok := r.operations[0].(device.DenseArgs)
		if !ok {
			break
		}
		r.operations = r.operations[1:]
		r.want(a.X == x, "a layer's input is not the output of the layer below")
		r.want(!a.Transposed, "weights are tied")
		r.want(!a.Bias.IsZero(), "a layer has no bias")
		n.Layers = append(n.Layers, Layer{In: a.X.Columns, Out: a.Y.Columns, Act: a.Act})
		all = append(all, a)
		x = a.Y
	}
	r.want(len(all) > 0, "there is no layer")
	return all
}

// backward reads the gradients of the layers, the last first, and returns them in the
// order of the layers.
func (r *reader) backward(forward []device.DenseArgs) []device.DenseBackwardArgs {
	all := make([]device.DenseBackwardArgs, len(forward))
	for i := len(forward) - 1; i >= 0 && r.err == nil; i-- {
		a, up := next[device.DenseBackwardArgs](r), forward[i]
		da := up.Y // which holds the loss's gradient
		if i < len(forward)-1 {
			da = all[i+1].DX
		}
		r.want(a.DA == da && a.X == up.X && a.W == up.W && !a.Transposed, "the backward pass is not that of the layers")
		r.want(!a.Accumulate && !a.DW.IsZero() && !a.DBias.IsZero(), "a layer's gradient is added to another, or absent")
		if i == 0 {
			r.want(a.DX.IsZero(), "the gradient by the input is wanted")
		} else {
			below := forward[i-1]
			r.want(!a.DX.IsZero() && a.InAct == below.Act && (!a.InAct.NeedsInput() || a.InPre == below.Pre), "the backward pass leaves out an activation")
		}
		all[i] = a
	}
	return all
}

// reductions reads the mean loss and the norm of the gradient.
func (r *reader) reductions(n *Net, losses device.View) {
	sum, mean, norm := next[device.ReduceArgs](r), next[device.CombineArgs](r), next[device.ReduceArgs](r)
	r.want(sum.Kind == device.Sum && !sum.PerRow && sum.X.Len() == losses.Len() && sum.X.Memory == losses.Memory && sum.X.Offset == losses.Offset,
		"the sum is not that of the losses")
	r.want(mean.A == sum.Out && mean.Dst == sum.Out && mean.B.IsZero(), "the loss is not a mean")
	r.want(norm.Kind == device.SumSquares && !norm.PerRow, "the gradient has no norm")
	r.want(norm.Out.Memory == sum.Out.Memory && norm.Out.Offset == sum.Out.Offset+1, "loss and norm do not lie beside each other")
	n.Mean, r.loss, r.norm, r.gradient = mean.Alpha, sum.Out, norm.Out, norm.X
}

// state looks at what the update and the tick share.
func (r *reader) state(n *Net) {
	u, t := &n.Update, &n.Tick
	r.want(u.Clock == n.Gather.Clock && t.Clock == n.Gather.Clock, "rows, update and tick do not follow one clock")
	r.want(u.GradSq == r.norm && u.Grads == r.gradient && (u.Loss.IsZero() || u.Loss == r.loss), "the update looks at another gradient or loss")
	r.want(t.Values.Columns == 2 && t.Values.Memory == r.loss.Memory && t.Values.Offset == r.loss.Offset, "what is logged is not loss and norm")
	r.want(u.Spikes == t.Spikes && (u.Spikes.IsZero() || u.SpikeLimit == t.SpikeLimit && t.Loss == u.Loss), "update and tick do not share the spikes")
}

// parameters places the layers in the arenas.
func (r *reader) parameters(n *Net, forward []device.DenseArgs, backward []device.DenseBackwardArgs) {
	u := &n.Update
	place := func(parameter, gradient device.View) int {
		at := parameter.Offset - u.Params.Offset
		r.want(parameter.Memory == u.Params.Memory && gradient.Memory == u.Grads.Memory && at >= 0 && at+parameter.Len() <= u.Params.Len() &&
			gradient.Offset-u.Grads.Offset == at, "a layer's parameters are not in the arena that is updated")
		return at
	}
	for i := range n.Layers {
		if r.err != nil {
			return
		}
		n.Layers[i].Weight, n.Layers[i].Bias = place(forward[i].W, backward[i].DW), place(forward[i].Bias, backward[i].DBias)
	}
}
