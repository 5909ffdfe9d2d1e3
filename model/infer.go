package model

import (
	"context"
	"errors"
	"fmt"

	"gorgonia.org/tensor"

	"gpudae/device"
	"gpudae/device/philox"
)

// Denoise returns E[x|g(f(x̃))] of each row of x̃ [rows, features], taken as it
// is, at the mean of a stochastic code. A score model takes the noise for that of
// its least level, here and in Encode; DenoiseAt says otherwise.
func (n *Net) Denoise(ctx context.Context, x *tensor.Dense) (*tensor.Dense, error) {
	out, err := n.apply(ctx, x, func(_ int, m *minibatch) ([]device.View, error) {
		n.reconstruct(m)
		return []device.View{n.reconstruction.Top(m.rows)}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("denoising: %w", err)
	}
	return out[0], nil
}

// DenoiseCorrupted draws x̃ ~ C(x̃|x) for each row of x [rows, features], the rows
// of a table from first on, and returns E[x|g(f(x̃))]: what EvaluateEach makes of
// these rows of the whole table, bit for bit. Of the source, Seed and Range count.
// It panics for a corruption that swaps, whose donors are other rows.
func (n *Net) DenoiseCorrupted(ctx context.Context, src Source, first int, x *tensor.Dense) (*tensor.Dense, error) {
	if n.dae.Corruption().Swaps() {
		panic("model: a swap's donors are rows of the whole table")
	}
	out, err := n.apply(ctx, x, func(at int, m *minibatch) ([]device.View, error) {
		m.source, m.stream = src, philox.StreamValidation
		index := make([]uint32, device.IndexWords(m.rows))
		for i := range m.rows {
			index[i] = uint32(first + at + i)
		}
		if err := n.dev.UploadWords(n.indexOf(m), index); err != nil {
			return nil, err
		}
		n.dev.Combine(device.CombineArgs{Alpha: 1, A: n.corrupted.Top(m.rows), Dst: n.clean.Top(m.rows)})
		n.corrupt(m)
		n.reconstruct(m)
		return []device.View{n.reconstruction.Top(m.rows)}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("corrupting and denoising: %w", err)
	}
	return out[0], nil
}

// Encode returns the code h = f(x) [rows, CodeWidth] of each row of x [rows,
// features], or the mean of q(h|x).
func (n *Net) Encode(ctx context.Context, x *tensor.Dense) (*tensor.Dense, error) {
	layers, err := n.EncodeLayers(ctx, x)
	if err != nil {
		return nil, err
	}
	return layers[len(layers)-1], nil
}

// EncodeLayers returns the output [rows, units] of every encoder layer, the code last.
func (n *Net) EncodeLayers(ctx context.Context, x *tensor.Dense) ([]*tensor.Dense, error) {
	out, err := n.apply(ctx, x, func(_ int, m *minibatch) ([]device.View, error) {
		m.mean = true
		n.encode(m)
		var views []device.View
		for i := range n.dae.depth - 1 {
			views = append(views, n.blocks[i].output(m))
		}
		return append(views, n.codeOf(m)), nil
	})
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	return out, nil
}

// Triples returns the first examples of a part, as many as rows if there are
// so many, with their corruption and its reconstruction, each [rows, features].
// The noise is that of Evaluate.
func (n *Net) Triples(ctx context.Context, src Source, rows int) (clean, corrupted, reconstructed *tensor.Dense, err error) {
	var x, xt, r []float32
	var host hostBatch
	err = n.stream(ctx, src, rows, func(first int, m *minibatch) error {
		n.reconstruct(m)
		b, err := host.download(n, first, m.rows)
		x, xt, r = append(x, b.Clean...), append(xt, b.Corrupted...), append(r, b.Reconstructed...)
		return err
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reconstructing examples: %w", err)
	}
	features := n.dae.resolved.Features
	return matrix(x, features), matrix(xt, features), matrix(r, features), nil
}

// apply uploads x minibatch by minibatch in place of corrupted rows, and
// collects the views that compute returns, which is told the first row's place in x.
func (n *Net) apply(ctx context.Context, x *tensor.Dense, compute func(first int, m *minibatch) ([]device.View, error)) ([]*tensor.Dense, error) {
	features := n.dae.resolved.Features
	values, total, err := hostRows(x, features)
	if err != nil {
		return nil, err
	}
	if n.scores() {
		if err := n.setNoise(n.dae.resolved.sigmas[0]); err != nil {
			return nil, err
		}
	}
	var collected [][]float32
	var columns []int
	for first := 0; first < total; first += n.rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows := min(n.rows, total-first)
		if err := n.dev.Upload(n.corrupted.Top(rows), values[first*features:(first+rows)*features]); err != nil {
			return nil, err
		}
		views, err := compute(first, n.probeOf(rows))
		if err != nil {
			return nil, err
		}
		for i, view := range views {
			if first == 0 {
				collected = append(collected, make([]float32, total*view.Columns))
				columns = append(columns, view.Columns)
			}
			if err := n.download(collected[i][first*view.Columns:][:view.Len()], view); err != nil {
				return nil, err
			}
		}
	}
	all := make([]*tensor.Dense, len(collected))
	for i := range collected {
		all[i] = matrix(collected[i], columns[i])
	}
	return all, nil
}

// hostRows returns the elements of a float32 matrix in row-major order.
func hostRows(x *tensor.Dense, features int) (values []float32, rows int, err error) {
	if x == nil || x.Dtype() != tensor.Float32 {
		return nil, 0, errors.New("the input is not a float32 matrix")
	}
	if x.Dims() != 2 || x.Shape()[1] != features {
		return nil, 0, fmt.Errorf("the input has shape %v; the model takes rows of %d features", x.Shape(), features)
	}
	if x.Shape()[0] == 0 {
		return nil, 0, errors.New("there are no rows")
	}
	if x.RequiresIterator() || x.IsView() || x.DataOrder().IsColMajor() {
		x = x.Materialize().(*tensor.Dense)
	}
	values = x.Data().([]float32)
	return values, x.Shape()[0], nil
}

func matrix(values []float32, columns int) *tensor.Dense {
	return tensor.New(tensor.WithShape(len(values)/columns, columns), tensor.WithBacking(values))
}
