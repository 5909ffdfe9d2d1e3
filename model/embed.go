package model

import (
	"gpudae/device"
)

// The steps that tables of mixed columns add: what describes the columns to a
// device, and the vectors of their categories.

func (n *Net) allocateColumns(a *allocator) {
	r := n.dae.resolved
	n.rates = make([]device.Words, len(r.corruption))
	for i, stage := range r.corruption {
		if rates := r.ratesOf(stage); rates != nil {
			n.rates[i] = a.words(len(rates))
		}
	}
	if len(r.ColumnWeights) > 0 {
		n.weights = a.matrix(1, r.Features)
	}
	if !r.tabular() {
		return
	}
	n.columns, _ = device.NewTableColumns(n.dae.tableColumns())
	n.columns.Words = a.words(n.columns.Count * device.TableColumnWords)
	n.continuous = a.words(r.Features)
	n.embedded, n.byColumn = a.matrix(n.rows, n.columns.InputWidth), a.matrix(n.rows, r.Features)
}

func (n *Net) uploadColumns() error {
	r := n.dae.resolved
	for i, stage := range r.corruption {
		var words []uint32
		for _, rate := range r.ratesOf(stage) {
			words = append(words, device.RateWord(rate))
		}
		if words == nil {
			continue
		}
		if err := n.dev.UploadWords(n.rates[i], words); err != nil {
			return err
		}
	}
	if !n.weights.IsZero() {
		weights := make([]float32, r.Features)
		for j, w := range r.ColumnWeights {
			weights[j] = float32(w)
		}
		if err := n.dev.Upload(n.weights, weights); err != nil {
			return err
		}
	}
	if !r.tabular() {
		return nil
	}
	_, words := device.NewTableColumns(n.dae.tableColumns())
	if err := n.dev.UploadWords(n.columns.Words, words); err != nil {
		return err
	}
	continuous := make([]uint32, r.Features)
	for j, c := range r.Columns {
		if c.Family == device.FamilyGaussian.String() {
			continuous[j] = 1
		}
	}
	return n.dev.UploadWords(n.continuous, continuous)
}

// embed computes the first layer's input from x̃.
func (n *Net) embed(m *minibatch) {
	n.dev.Embed(device.EmbedArgs{Table: n.columns, X: n.corrupted.Top(m.rows), Params: n.Params, Y: n.embedded.Top(m.rows)})
}

// embedBackward computes the gradients of the vectors from that by the first
// layer's input.
func (n *Net) embedBackward(gradient device.View, m *minibatch) {
	n.dev.EmbedBackward(device.EmbedBackwardArgs{Table: n.columns, X: n.corrupted.Top(m.rows), DY: gradient, Grads: n.Grads})
}
