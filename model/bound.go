package model

import (
	"context"
	"fmt"

	"gpudae/device"
)

// addDivergence makes the losses -log p(x|h) of stochastic codes those of the
// bound: it adds β times the divergence of q(h|x̃) from the prior, or computes
// the importance-weighted bounds, and by their weights scales the gradient that
// stands in place of the likelihood's parameters.
func (n *Net) addDivergence(m *minibatch) {
	losses, divergence := n.losses.Top(m.rows), n.code.divergence.Top(m.rows)
	add := device.CombineArgs{Alpha: 1, A: losses, Beta: 1, B: divergence, Dst: losses}
	switch {
	case n.sampled(m):
		n.dev.Combine(add)
		n.weigh(m)
		n.dev.ScaleRows(device.ScaleRowsArgs{Scale: n.code.weights.Top(m.rows), X: n.params(m), Y: n.params(m)})
	case n.warmsUp():
		n.dev.ScaleRows(device.ScaleRowsArgs{Scale: n.code.beta.Top(m.rows), X: divergence, Y: divergence})
		n.dev.Combine(add)
	default:
		add.Beta = float32(n.dae.resolved.beta())
		n.dev.Combine(add)
	}
}

// weigh computes the importance-weighted bound of each example and the weights
// of its samples, of which the losses are the terms.
func (n *Net) weigh(m *minibatch) {
	n.dev.Importance(device.ImportanceArgs{Replicates: m.replicates, Terms: n.losses.Top(m.rows),
		Bounds: n.boundsOf(m), Weights: n.code.weights.Top(m.rows)})
}

// boundsOf has one row an example.
func (n *Net) boundsOf(m *minibatch) device.View { return n.code.bounds.Top(m.rows / m.replicates) }

// terms are the numbers whose mean is the loss of a minibatch.
func (n *Net) terms(m *minibatch) device.View {
	if n.stochastic() && n.sampled(m) {
		return n.boundsOf(m)
	}
	return n.losses.Top(m.rows)
}

// share is what each of the terms counts for in their mean.
func (n *Net) share(m *minibatch) float32 { return 1 / float32(n.terms(m).Rows) }

// ImportanceBound is the mean over the examples of a part of
//
//	-log((1/K)·Σ_k p(x|h_k)·p(h_k)/q(h_k|x̃_k)),  x̃_k ~ C(x̃|x), h_k ~ q(h|x̃_k)
//
// in nats (Burda et al. 2016, equation 8). Its expectation is at least
// -log p(x) and falls towards it as K grows, with and without a corruption: each
// ratio has the expectation p(x). The noise is that of Evaluate, with K
// replicates. It fails with a *ConfigError unless the code is gaussian and the
// net is bound for at least K rows.
func (n *Net) ImportanceBound(ctx context.Context, src Source, samples int) (float64, error) {
	const key = "importance"
	switch q := n.dae.resolved.codes; {
	case !q.Stochastic || q.Kind != device.CodeGaussian:
		return 0, configErrorf(key, "train with code_distribution gaussian", "the model's code_distribution is %s", q)
	case samples < 1 || samples > min(n.rows, MaxReplicates):
		return 0, configErrorf(key, fmt.Sprintf("choose 1 to %d", min(n.rows, MaxReplicates)), "%d samples", samples)
	}
	bounds := make([]float32, n.rows/samples)
	var sum float64
	err := n.streamRepeats(ctx, src, src.Part.Len(), repeats{1, samples}, func(_ int, m *minibatch) error {
		m.bound = true
		n.encode(m)
		n.decode(m)
		n.judge(m)
		losses := n.losses.Top(m.rows)
		n.dev.Combine(device.CombineArgs{Alpha: 1, A: losses, Beta: 1, B: n.code.divergence.Top(m.rows), Dst: losses})
		n.weigh(m)
		view := n.boundsOf(m)
		if err := n.download(bounds[:view.Len()], view); err != nil {
			return err
		}
		for _, b := range bounds[:view.Len()] {
			sum += float64(b)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("computing the bound: %w", err)
	}
	return sum / float64(src.Part.Len()), nil
}
