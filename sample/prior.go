package sample

import (
	"context"
	"fmt"

	"gorgonia.org/tensor"

	"gpudae/device/philox"
	"gpudae/model"
)

// PriorDraws is what Prior draws.
type PriorDraws struct {
	Net    *model.Net // its code is stochastic
	First  int        // number of the first sample: samples drawn in blocks are those of one draw
	Number int        // of samples
	Seed   uint64
	Mean   bool    // take E[x|h] in place of a draw from p(x|h)
	Spread float64 // replaces the σ of a gaussian likelihood; 0 keeps it
}

// Prior draws independent samples [Number, features] from the joint distribution
// that the bound of a stochastic auto-encoder is about,
//
//	h ~ p(h),  x ~ p(x|h)
//
// (Kingma and Welling 2014). It fails for deterministic codes, which have no
// prior, with the context's error, and with what the device reports.
func Prior(ctx context.Context, a PriorDraws) ([]float32, error) {
	d := a.Net.DAE()
	likelihood, err := newFamily(d, a.Spread, a.Seed)
	if err != nil {
		return nil, err
	}
	units, rows := d.CodeWidth(), a.Net.Rows()
	codes, params := make([]float32, rows*units), make([]float32, rows*likelihood.width())
	states := make([]float32, a.Number*likelihood.features)
	for first := 0; first < a.Number; first += rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows := min(rows, a.Number-first)
		x, codes := states[first*likelihood.features:][:rows*likelihood.features], codes[:rows*units]
		if err := d.PriorCodes(codes, a.First+first, philox.Coordinates{Stream: philox.StreamDraw, Index: indexCode}, a.Seed); err != nil {
			return nil, fmt.Errorf("sampling: %w", err)
		}
		if a.Mean {
			mean, err := a.Net.Decode(ctx, tensor.New(tensor.WithShape(rows, units), tensor.WithBacking(codes)))
			if err != nil {
				return nil, fmt.Errorf("sampling: %w", err)
			}
			copy(x, mean.Data().([]float32))
			continue
		}
		if err := a.Net.Emit(params[:rows*likelihood.width()], codes); err != nil {
			return nil, fmt.Errorf("sampling: %w", err)
		}
		for i := range rows {
			likelihood.draw(x[i*likelihood.features:(i+1)*likelihood.features], params[i*likelihood.width():(i+1)*likelihood.width()], uint32(a.First+first+i), 0)
		}
	}
	return states, nil
}
