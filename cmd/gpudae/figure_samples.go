package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/figure"
	"gpudae/sample"
)

// Sizes of figures of samples.
const (
	sampledSteps  = 200 // of a chain before its state is drawn
	sampledPoints = 2000
	shownBeside   = 2000 // points of the data
	sheetRows     = 6
	sheetColumns  = 16
	filmChains    = 8 // rows of a film strip
	filmColumns   = 12
	descentLevels = 40 // noise levels that samples come down
)

// filmSteps are the numbers of steps after which a film strip shows a chain.
func filmSteps() []int { return []int{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144} }

// drawSamples draws samples: points over the data, or images. They are the ends
// of walkback chains that start at the examples, reconstructed if they are
// images, what the probability flow of a score model brings down, or what a
// model with a stochastic code makes of codes from their prior.
func drawSamples(ctx context.Context, s *subject, path string) error {
	draw := func(n int) ([]float32, error) {
		if len(s.saved.DAE.NoiseLevels()) > 1 {
			frames, err := s.descend(ctx, n, []int{descentLevels})
			if err != nil {
				return nil, err
			}
			return s.invert(frames[0].states)
		}
		if s.saved.DAE.CodeDistribution().Stochastic {
			return s.decodePrior(ctx, n)
		}
		frames, err := s.walk(ctx, n, []int{sampledSteps})
		if err != nil {
			return nil, err
		}
		return frames[0], nil
	}
	if s.info.Features != 2 {
		if err := s.checkImages("samples"); err != nil {
			return err
		}
		samples, err := draw(sheetRows * sheetColumns)
		if err != nil {
			return err
		}
		return s.drawSheet(path, samples, sheetColumns, nil)
	}
	samples, err := draw(sampledPoints)
	if err != nil {
		return err
	}
	all, err := s.invert(rowsOf(s.table, device.Rows{Hi: s.table.Rows}, shownBeside).Values)
	if err != nil {
		return err
	}
	return figure.Scatter(path, figure.Cloud{Data: all, Samples: samples, Axes: s.axes()})
}

// drawChain draws a film strip: a row is a chain from an example on, and a
// column the reconstruction of its state after as many steps; of a score model, a
// sample on its way from noise, and the noise levels that it passes.
func drawChain(ctx context.Context, s *subject, path string) error {
	if err := s.checkImages("chain"); err != nil {
		return err
	}
	if len(s.saved.DAE.NoiseLevels()) > 1 {
		return s.drawDescent(ctx, path)
	}
	frames, err := s.walk(ctx, filmChains, filmSteps())
	if err != nil {
		return err
	}
	var film []float32
	for chain := range filmChains {
		for _, frame := range frames {
			film = append(film, frame[chain*s.info.Features:(chain+1)*s.info.Features]...)
		}
	}
	var captions []string
	for _, after := range filmSteps() {
		captions = append(captions, fmt.Sprint(after))
	}
	return s.drawSheet(path, film, len(frames), captions)
}

// checkImages reports examples that no sheet of a kind can show, before any chain
// runs.
func (s *subject) checkImages(kind string) error {
	if s.info.Features == 2 {
		return usage("figure "+kind, "it shows images, and the model's examples are points of the plane", "choose another kind, such as samples")
	}
	err := figure.CheckImage(s.info.Shape)
	var shape *figure.ShapeError
	if errors.As(err, &shape) {
		return usage("figure", err.Error(), "write the samples of such a model with 'gpudae sample'")
	}
	return err
}

func (s *subject) drawSheet(path string, values []float32, columns int, captions []string) error {
	sheet := figure.Sheet{Values: values, Shape: s.info.Shape, Columns: columns, Captions: captions}
	if s.info.Min < 0 || s.info.Max > 1 {
		sheet.Low, sheet.High = float64(s.info.Min), float64(s.info.Max)
	}
	return figure.Images(path, sheet)
}

// walk runs walkback chains from the rows shown and returns their states after
// each number of steps, which increase, in the scale of the data: points as
// they were drawn, and the reconstructions of other examples.
func (s *subject) walk(ctx context.Context, chains int, after []int) ([][]float32, error) {
	net, src, err := s.saved.Bind(s.dev, min(inferenceBatch, chains))
	if err != nil {
		return nil, err
	}
	if src.Data, err = s.dev.Load(ctx, s.table); err != nil {
		return nil, err
	}
	src.Part = s.rows
	start := startsFrom(&examination{table: s.table, rows: s.rows}, chains)
	frames := make([][]float32, len(after))
	for i := range frames {
		frames[i] = slices.Clone(start)
	}
	_, err = sample.Walkback(ctx, sample.Chains{Net: net, Source: src, Start: start, Steps: after[len(after)-1],
		Observe: func(step, first int, x []float32) error {
			if i := slices.Index(after, step+1); i >= 0 {
				copy(frames[i][first*s.info.Features:], x)
			}
			return nil
		}})
	if err != nil {
		return nil, chainError(err, "figure", remedyWalkback)
	}
	for i := range frames {
		if s.info.Features != 2 {
			x, err := net.Denoise(ctx, tensor.New(tensor.WithShape(chains, s.info.Features), tensor.WithBacking(frames[i])))
			if err != nil {
				return nil, err
			}
			frames[i] = data.Float32s(x)
		}
		if frames[i], err = s.invert(frames[i]); err != nil {
			return nil, err
		}
	}
	return frames, nil
}

// decodePrior draws samples from the prior of the codes, reconstructed if they
// are images.
func (s *subject) decodePrior(ctx context.Context, n int) ([]float32, error) {
	net, src, err := s.saved.Bind(s.dev, min(inferenceBatch, n))
	if err != nil {
		return nil, err
	}
	states, err := sample.Prior(ctx, sample.PriorDraws{Net: net, Number: n, Seed: src.Seed, Mean: s.info.Features != 2})
	if err != nil {
		return nil, err
	}
	return s.invert(states)
}

// levelFrame are the states at a noise level, in the scale of training.
type levelFrame struct {
	sigma  float64
	states []float32
}

// levels are the noise levels that samples come down.
func (s *subject) levels() ([]float64, error) {
	known := s.saved.DAE.NoiseLevels()
	return sample.KarrasLevels(known[len(known)-1], known[0], descentLevels, karrasRho)
}

// filmLevels are the numbers of moves after which a film strip shows a descent:
// its start, noise from four times the spread of the data to an eighth of it,
// where images come about, and its end.
func filmLevels(levels []float64, spread float64) []int {
	after := []int{0}
	for i := range filmColumns - 2 {
		sigma := 4 * spread * math.Pow(32, -float64(i)/(filmColumns-3))
		below := slices.IndexFunc(levels, func(level float64) bool { return level <= sigma })
		if below > after[len(after)-1] {
			after = append(after, below)
		}
	}
	return append(after, len(levels))
}

// descend draws samples by Heun's method and returns their states after each
// number of moves, which increase; 0 is the start.
func (s *subject) descend(ctx context.Context, n int, after []int) ([]levelFrame, error) {
	net, src, err := s.saved.Bind(s.dev, min(inferenceBatch, n))
	if err != nil {
		return nil, err
	}
	levels, err := s.levels()
	if err != nil {
		return nil, err
	}
	start, err := sample.StartAt(ctx, net, 0, n, levels[0], src.Seed)
	if err != nil {
		return nil, err
	}
	frames := make([]levelFrame, len(after))
	for i := range frames {
		frames[i] = levelFrame{levels[0], slices.Clone(start)}
	}
	_, err = sample.Heun(ctx, sample.Descent{Denoiser: net, Levels: levels, Start: start, Together: net.Rows(), Seed: src.Seed,
		Observe: func(move, first int, x []float32, sigma float64) error {
			if i := slices.Index(after, move+1); i >= 0 {
				frames[i].sigma = sigma
				copy(frames[i].states[first*s.info.Features:], x)
			}
			return nil
		}})
	return frames, chainError(err, "figure", "train for longer")
}

// drawDescent draws the film strip of a score model. The states are drawn with
// the contrast of the data: their distance from grey is divided by
// √(1 + σ²/σ_data²).
func (s *subject) drawDescent(ctx context.Context, path string) error {
	levels, err := s.levels()
	if err != nil {
		return err
	}
	spread := s.saved.DAE.Config().Score.SigmaData
	frames, err := s.descend(ctx, filmChains, filmLevels(levels, spread))
	if err != nil {
		return err
	}
	features := s.info.Features
	film := make([]float32, 0, filmChains*len(frames)*features)
	var captions []string
	for _, frame := range frames {
		captions = append(captions, fmt.Sprintf("σ = %.2g", frame.sigma))
	}
	for chain := range filmChains {
		for _, frame := range frames {
			shrink := spread / math.Hypot(spread, frame.sigma)
			for j, v := range frame.states[chain*features : (chain+1)*features] {
				grey := float64(s.saved.Scaler.Low[j]+s.saved.Scaler.High[j]) / 2
				film = append(film, float32(grey+shrink*(float64(v)-grey)))
			}
		}
	}
	if film, err = s.invert(film); err != nil {
		return err
	}
	return s.drawSheet(path, film, len(frames), captions)
}
