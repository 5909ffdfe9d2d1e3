package main

import (
	"context"
	"fmt"
	"slices"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/figure"
	"gpudae/sample"
)

// Sizes of trajectories.
const (
	pathSteps   = 12
	pathColumns = 13 // of the grid that paths start from in the plane
	pathsShown  = 120
)

// settlingSteps are the numbers of reconstructions after which a strip of images
// shows them.
func settlingSteps() []int { return []int{0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64} }

// drawTrajectories draws how noise becomes what the model takes for data: by
// reconstructing it again and again, or of a score model along its probability
// flow; as paths in the plane, or as strips of images.
func drawTrajectories(ctx context.Context, s *subject, path string) error {
	flows := len(s.saved.DAE.NoiseLevels()) > 1
	if s.info.Features != 2 {
		if err := s.checkImages("trajectories"); err != nil {
			return err
		}
		if flows {
			return s.drawDescent(ctx, path)
		}
		return s.drawSettling(ctx, path)
	}
	if flows {
		return s.drawFlow(ctx, path)
	}
	cloud, err := s.cloud()
	if err != nil {
		return err
	}
	grid := figure.GridPoints(cloud, pathColumns)
	denoise, err := s.denoiser(ctx)
	if err != nil {
		return err
	}
	steps := [][]float32{grid}
	for i := range pathSteps {
		x, err := denoise(steps[i])
		if err != nil {
			return err
		}
		steps = append(steps, x)
	}
	return figure.Paths(path, figure.Trajectories{Steps: steps, Data: cloud, Inside: grid, Axes: s.axes(),
		Names: [2]string{"start", "end"}, Scale: [2]string{"0", fmt.Sprint(pathSteps)}, Unit: "reconstructions"})
}

// drawFlow draws the paths of samples down all noise levels, in the frame of the
// data, which most of them enter from outside.
func (s *subject) drawFlow(ctx context.Context, path string) error {
	cloud, err := s.cloud()
	if err != nil {
		return err
	}
	var after []int
	for i := range descentLevels + 1 {
		after = append(after, i)
	}
	frames, err := s.descend(ctx, pathsShown, after)
	if err != nil {
		return err
	}
	var steps [][]float32
	for _, frame := range frames {
		x, err := s.invert(frame.states)
		if err != nil {
			return err
		}
		steps = append(steps, x)
	}
	return figure.Paths(path, figure.Trajectories{Steps: steps, Data: cloud, Inside: figure.GridPoints(cloud, pathColumns), Axes: s.axes(),
		Names: [2]string{"noise", "sample"}, Scale: [2]string{fmt.Sprintf("%.2g", frames[0].sigma), "0"}, Unit: "σ, by steps"})
}

// drawSettling draws strips of images that start as noise, uniform over the range
// of the data, and are reconstructed again and again.
func (s *subject) drawSettling(ctx context.Context, path string) error {
	net, src, err := s.saved.Bind(s.dev, filmChains)
	if err != nil {
		return err
	}
	x := tensor.New(tensor.WithShape(filmChains, s.info.Features),
		tensor.WithBacking(sample.StartFromNoise(s.saved.DAE, s.saved.Scaler.Low, s.saved.Scaler.High, filmChains, src.Seed)))
	var frames [][]float32
	var captions []string
	for step, shown := 0, settlingSteps(); len(frames) < len(shown); step++ {
		if slices.Contains(shown, step) {
			frame, err := s.invert(slices.Clone(data.Float32s(x)))
			if err != nil {
				return err
			}
			frames, captions = append(frames, frame), append(captions, fmt.Sprintf("%d×", step))
		}
		if x, err = net.Denoise(ctx, x); err != nil {
			return err
		}
	}
	return s.drawSheet(path, strips(frames, s.info.Features), len(frames), captions)
}

// strips puts the images of several frames in rows, one for each image.
func strips(frames [][]float32, features int) []float32 {
	var film []float32
	for row := range len(frames[0]) / features {
		for _, frame := range frames {
			film = append(film, frame[row*features:(row+1)*features]...)
		}
	}
	return film
}
