package model

import "gpudae/device"

// params is the decoder's output: the parameters of p(x|h), and after loss the
// gradient by them.
func (n *Net) params(rows int) device.View { return n.blocks[len(n.blocks)-1].active.Top(rows) }

// loss computes, for each row, -log p(x|h) of the clean x, weighted by the
// emphasis, and the gradient of their mean over rows in place of the parameters.
func (n *Net) loss(rows int) {
	args := n.likelihood(rows)
	if n.dae.emphasized() {
		e := n.dae.resolved.Emphasis
		args.Mask, args.Destroyed, args.Untouched = n.mask.Top(rows), float32(e.Destroyed), float32(e.Untouched)
	}
	args.DParams, args.Scale = args.Params, 1/float32(rows)
	n.dev.Likelihood(args)
}

// nll computes -log p(x|h) of each row.
func (n *Net) nll(rows int) { n.dev.Likelihood(n.likelihood(rows)) }

func (n *Net) likelihood(rows int) device.LikelihoodArgs {
	l := n.dae.resolved.likelihood
	return device.LikelihoodArgs{
		Kind: l.Kind, Sigma: float32(l.Sigma), Fields: n.fields,
		Params: n.params(rows), Target: n.clean.Top(rows), Losses: n.losses.Top(rows),
	}
}

// mean computes the reconstruction E[x|h].
func (n *Net) mean(rows int) {
	n.dev.Mean(device.MeanArgs{Kind: n.dae.resolved.likelihood.Kind, Fields: n.fields,
		Params: n.params(rows), Out: n.reconstruction.Top(rows)})
}

// squaredErrors computes Σ (x - E[x|h])² of each row.
func (n *Net) squaredErrors(rows int) {
	n.dev.Reduce(device.ReduceArgs{Kind: device.SumSquaredDifference, PerRow: true,
		X: n.reconstruction.Top(rows), Y: n.clean.Top(rows), Out: n.squares.Top(rows)})
}
