package model

import (
	"context"
	"errors"
	"fmt"

	"gorgonia.org/tensor"

	"gpudae/device"
	"gpudae/device/philox"
)

// Decode returns E[x|h] [rows, features] of each row of codes h [rows,
// CodeWidth]. It fails for score models, whose decoder reads x̃ too.
func (n *Net) Decode(ctx context.Context, codes *tensor.Dense) (*tensor.Dense, error) {
	units, features := n.dae.CodeWidth(), n.dae.resolved.Features
	values, total, err := hostRows(codes, units)
	if err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	out := make([]float32, total*features)
	for first := 0; first < total; first += n.rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m := &minibatch{rows: min(n.rows, total-first), replicates: 1}
		if err := n.decodeRows(values[first*units:][:m.rows*units], m); err != nil {
			return nil, fmt.Errorf("decoding: %w", err)
		}
		n.mean(m)
		if err := n.download(out[first*features:][:m.rows*features], n.reconstruction.Top(m.rows)); err != nil {
			return nil, fmt.Errorf("decoding: %w", err)
		}
	}
	return matrix(out, features), nil
}

// Emit writes the parameters of p(x|h) of each row of codes [rows, CodeWidth],
// rows ≤ Rows, to params [rows, OutputWidth].
func (n *Net) Emit(params, codes []float32) error {
	units, width := n.dae.CodeWidth(), n.dae.resolved.outputWidth()
	rows := len(codes) / units
	if rows < 1 || rows > n.rows || len(codes) != rows*units || len(params) != rows*width {
		panic(fmt.Sprintf("model: %d numbers of codes of %d units to %d parameters in a net for %d rows", len(codes), units, len(params), n.rows))
	}
	m := &minibatch{rows: rows, replicates: 1}
	if err := n.decodeRows(codes, m); err != nil {
		return err
	}
	return n.download(params, n.params(m))
}

func (n *Net) decodeRows(codes []float32, m *minibatch) error {
	if n.scores() {
		return errors.New("a score model needs x̃ beside its code")
	}
	if err := n.dev.Upload(n.codeOf(m), codes); err != nil {
		return err
	}
	n.decode(m)
	return nil
}

// PriorCodes fills h [rows, CodeWidth] with draws from the prior p(h): N(0, 1)
// of gaussian codes, 0 or 1 with equal odds of the others. Unit j of row i takes
// lane j mod 4 of the block at {at, Row: first+i, Block: j/4}. It fails for
// deterministic codes, which have none.
func (d *DAE) PriorCodes(h []float32, first int, at philox.Coordinates, seed uint64) error {
	q := d.resolved.codes
	if !q.Stochastic {
		return errors.New("the code of the model is deterministic, so it has no prior: train with code_distribution gaussian")
	}
	units, key := d.CodeWidth(), philox.KeyOf(seed)
	for i := range h {
		lane := i % units % 4
		at.Row, at.Block = uint32(first+i/units), uint32(i%units/4)
		words := philox.Block(at.Counter(), key)
		switch {
		case q.Kind == device.CodeGaussian:
			h[i] = philox.NormalLane(words, lane)
		case philox.Fires(words[lane], philox.Threshold(0.5)):
			h[i] = 1
		default:
			h[i] = 0
		}
	}
	return nil
}
