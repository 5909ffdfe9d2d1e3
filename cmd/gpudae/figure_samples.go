package main

import (
	"context"
	"errors"
	"fmt"
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
)

// filmSteps are the numbers of steps after which a film strip shows a chain.
func filmSteps() []int { return []int{0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144} }

// drawSamples draws the ends of walkback chains that start at the examples:
// points over the data, or reconstructions of images.
func drawSamples(ctx context.Context, s *subject, path string) error {
	if s.info.Features != 2 {
		if err := s.checkImages(); err != nil {
			return err
		}
		frames, err := s.walk(ctx, sheetRows*sheetColumns, []int{sampledSteps})
		if err != nil {
			return err
		}
		return s.drawSheet(path, frames[0], sheetColumns, nil)
	}
	frames, err := s.walk(ctx, sampledPoints, []int{sampledSteps})
	if err != nil {
		return err
	}
	all, err := s.invert(rowsOf(s.table, device.Rows{Hi: s.table.Rows}, shownBeside).Values)
	if err != nil {
		return err
	}
	return figure.Scatter(path, figure.Cloud{Data: all, Samples: frames[0], Axes: s.axes()})
}

// drawChain draws a film strip: a row is a chain from an example on, and a
// column the reconstruction of its state after as many steps.
func drawChain(ctx context.Context, s *subject, path string) error {
	if err := s.checkImages(); err != nil {
		return err
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

// checkImages reports examples that no sheet can show, before any chain runs.
func (s *subject) checkImages() error {
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
