package model

import "gpudae/device"

// params is the decoder's output: the parameters of p(x|h), and after loss the
// gradient by them.
func (n *Net) params(m *minibatch) device.View { return n.blocks[len(n.blocks)-1].output(m) }

// loss computes, for each row, -log p(x|h) of the clean x, weighted by the
// emphasis, or the loss of denoising score matching, and the gradient of their
// mean over rows in place of the parameters.
func (n *Net) loss(m *minibatch) {
	if n.scores() {
		n.denoise(m)
		n.match(m, true)
		return
	}
	args := n.weighted(m)
	args.DParams, args.Scale = args.Params, n.share(m)
	n.dev.Likelihood(args)
	if n.stochastic() {
		n.addDivergence(m)
	}
}

// weighted is the likelihood as training weighs it, by emphasis and column.
func (n *Net) weighted(m *minibatch) device.LikelihoodArgs {
	args := n.likelihood(m)
	args.Weights = n.weights
	if e := n.dae.resolved.Emphasis; e != (Emphasis{1, 1}) {
		args.Mask, args.Destroyed, args.Untouched = n.mask.Top(m.rows), float32(e.Destroyed), float32(e.Untouched)
	}
	return args
}

// judge computes the loss of each row that has been reconstructed: that of denoising
// score matching; of a table the objective, with -log p(x|h) by column beside it;
// otherwise -log p(x|h) without emphasis.
func (n *Net) judge(m *minibatch) {
	if n.scores() {
		n.match(m, false)
		return
	}
	args := n.likelihood(m)
	if n.dae.resolved.tabular() {
		args = n.weighted(m)
		args.ByColumn = n.byColumn.Top(m.rows)
	}
	n.dev.Likelihood(args)
}

func (n *Net) likelihood(m *minibatch) device.LikelihoodArgs {
	l := n.dae.resolved.likelihood
	args := device.LikelihoodArgs{
		Kind: l.Kind, Sigma: l.sigma(), Floor: l.floor(), Fields: n.fields, Table: n.columns,
		Params: n.params(m), Target: n.clean.Top(m.rows), Losses: n.losses.Top(m.rows),
	}
	if head := n.dae.resolved.MaskHead; head > 0 {
		args.MaskHead, args.Mask, args.Destroyed, args.Untouched = float32(head), n.mask.Top(m.rows), 1, 1
	}
	return args
}

// mean computes the reconstruction E[x|h], or D(x̃; σ).
func (n *Net) mean(m *minibatch) {
	if n.scores() {
		n.denoise(m)
		return
	}
	n.dev.Mean(device.MeanArgs{Kind: n.dae.resolved.likelihood.Kind, Fields: n.fields, Table: n.columns,
		Params: n.params(m), Out: n.reconstruction.Top(m.rows)})
}

// squaredErrors computes Σ (x - E[x|h])² of each row.
func (n *Net) squaredErrors(m *minibatch) {
	n.dev.Reduce(device.ReduceArgs{Kind: device.SumSquaredDifference, PerRow: true,
		X: n.reconstruction.Top(m.rows), Y: n.clean.Top(m.rows), Out: n.squares.Top(m.rows)})
}
