package sample

import (
	"context"
	"fmt"

	"gorgonia.org/tensor"

	"gpudae/model"
)

// NoiseOf returns the σ of a corruption that adds Gaussian noise and does
// nothing else: √Σσ² over its stages. ok is false for any other corruption.
func NoiseOf(c model.Corruption) (sigma float64, ok bool) { return c.Noise() }

// Score returns the estimate of the score at each row of x [rows, features],
//
//	s(x) = (r(x) - x)/σ²,  r(x) = E[x|h = f(x)]
//
// of a model that was trained under Gaussian noise of standard deviation σ. If
// r is the posterior mean then s is exactly ∇ log p_σ, p_σ being the density of
// the data after that noise (Miyasawa 1961); as σ → 0 it tends to ∇ log p
// (Alain and Bengio 2014), and training r is matching this score (Vincent
// 2011). Every likelihood's r is the posterior mean at its optimum.
//
// A score model, which knows several noise levels, gives r at σ.
//
// r and x agree in their leading digits where σ is small: the error of rounding
// is about 2⁻²⁴·|x|/σ².
func Score(ctx context.Context, net *model.Net, x *tensor.Dense, sigma float64) (*tensor.Dense, error) {
	if !(sigma > 0) {
		return nil, fmt.Errorf("a score at σ = %g: it must be positive", sigma)
	}
	if x.RequiresIterator() || x.IsView() || x.DataOrder().IsColMajor() {
		x = x.Materialize().(*tensor.Dense)
	}
	r, err := reconstructAt(ctx, net, x, sigma)
	if err != nil {
		return nil, fmt.Errorf("computing the score: %w", err)
	}
	rows := r.Data().([]float32)
	for i, v := range x.Data().([]float32) {
		rows[i] = float32((float64(rows[i]) - float64(v)) / (sigma * sigma))
	}
	return r, nil
}

func reconstructAt(ctx context.Context, net *model.Net, x *tensor.Dense, sigma float64) (*tensor.Dense, error) {
	if len(net.DAE().NoiseLevels()) < 2 {
		return net.Denoise(ctx, x)
	}
	r := tensor.New(tensor.WithShape(x.Shape().Clone()...), tensor.Of(tensor.Float32))
	return r, net.DenoiseAt(ctx, r.Data().([]float32), x.Data().([]float32), sigma)
}
