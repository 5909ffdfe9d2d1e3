package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/figure"
	"gpudae/model"
	"gpudae/sample"
)

// Sizes of a density's grid and of the equation that gives it.
const (
	densityColumns = 120 // where a score is enough
	flowColumns    = 96  // where the probability flow is solved from every point
	flowSteps      = 32
)

// drawDensity draws the density that the model has learned of points in the
// plane: of a model of many noise levels by its probability flow, of one level
// by the potential of its score.
func drawDensity(ctx context.Context, s *subject, path string) error {
	levels := s.saved.DAE.NoiseLevels()
	if len(levels) == 0 {
		return usage("figure density", "the model was trained under "+s.saved.DAE.Corruption().String()+", not under Gaussian noise alone, so its reconstructions give no score",
			"train with --corruption gaussian:0.1")
	}
	cloud, err := s.cloud()
	if err != nil {
		return err
	}
	net, _, err := s.saved.Bind(s.dev, inferenceBatch)
	if err != nil {
		return err
	}
	columns := densityColumns
	logDensity := s.potential
	if len(levels) > 1 {
		columns, logDensity = flowColumns, s.flow
	}
	at := figure.GridPoints(cloud, columns)
	if !resolves(at, cloud) {
		return usage("figure density", "one column's range is so much less than the other's that a plane of equal scales does not show it",
			"bring the columns to like units, or choose another kind")
	}
	z, err := s.saved.Scaler.Apply(tensor.New(tensor.WithShape(len(at)/2, 2), tensor.WithBacking(at)))
	if err != nil {
		return err
	}
	log, err := logDensity(ctx, net, plot{cloud, at, data.Float32s(z), columns})
	if err != nil {
		return err
	}
	return figure.DensityMap(path, figure.Density{At: at, Log: log, Columns: columns, Data: cloud, Axes: s.axes()})
}

// resolves reports whether a grid has several points across the data in both
// directions.
func resolves(at, cloud []float32) bool {
	const least = 8
	cell := float64(at[2]) - float64(at[0])
	for j := range 2 {
		low, high := math.Inf(1), math.Inf(-1)
		for i := j; i < len(cloud); i += 2 {
			low, high = min(low, float64(cloud[i])), max(high, float64(cloud[i]))
		}
		if high-low < least*cell {
			return false
		}
	}
	return true
}

// plot are the points of the plane that a density is wanted at.
type plot struct {
	cloud   []float32 // data
	at, z   []float32 // a grid, and the same in the scale of training
	columns int       // of the grid
}

// potential is log p but for a constant: the function whose gradient is nearest
// to the score, (D(z; σ) - z)/σ² in the scale of training, in the norm in which
// it was learned, weighted by the density of corrupted examples.
func (s *subject) potential(ctx context.Context, net *model.Net, p plot) ([]float64, error) {
	sigma := s.saved.DAE.NoiseLevels()[0]
	at, z := p.at, p.z
	score := make([]float32, len(z))
	if err := net.DenoiseAt(ctx, score, z, sigma); err != nil {
		return nil, err
	}
	for i, v := range score {
		score[i] = float32((float64(v) - float64(z[i])) / (sigma * sigma))
	}
	unscaleScore(tensor.New(tensor.WithShape(len(score)/2, 2), tensor.WithBacking(score)), s.saved.Scaler)
	log, rest, err := figure.Potential(ctx, at, score, s.visits(p, sigma), p.columns)
	if err == nil {
		s.note(fmt.Sprintf("log p is the potential nearest to the score at σ = %g, of which it leaves %.1f %% unexplained", sigma, 100*rest))
	}
	return log, err
}

// visits is how often training comes by each point of the grid, but for a factor:
// the density of the data after noise, by which the score's error is weighted,
// and a little everywhere.
func (s *subject) visits(p plot, sigma float64) []float64 {
	const everywhere, centres = 1e-4, 1000
	scale := [2]float64{sigma, sigma}
	if s.saved.Scaler.Scale != nil {
		scale = [2]float64{sigma * s.saved.Scaler.Scale[0], sigma * s.saved.Scaler.Scale[1]}
	}
	cloud := evenly(p.cloud, centres)
	weights := make([]float64, len(p.at)/2)
	for i := range weights {
		for k := 0; k < len(cloud); k += 2 {
			dx, dy := float64(p.at[2*i]-cloud[k])/scale[0], float64(p.at[2*i+1]-cloud[k+1])/scale[1]
			weights[i] += math.Exp(-(dx*dx + dy*dy) / 2)
		}
	}
	most := slices.Max(weights)
	for i := range weights {
		weights[i] = weights[i]/most + everywhere
	}
	return weights
}

// flow is log p but for a constant, at the least noise level, by the probability
// flow up to the greatest.
func (s *subject) flow(ctx context.Context, net *model.Net, p plot) ([]float64, error) {
	levels := s.saved.DAE.NoiseLevels()
	low, high := levels[0], levels[len(levels)-1]
	log, err := sample.LogLikelihood(ctx, net, p.z, sample.Flow{SigmaMin: low, SigmaMax: high, Steps: flowSteps, Together: inferenceBatch})
	if err == nil {
		s.note(fmt.Sprintf("log p at σ = %g by the probability flow up to σ = %g, in %d steps", low, high, flowSteps))
	}
	return log, err
}
