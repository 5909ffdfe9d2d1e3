package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/figure"
	"gpudae/model"
)

// Sizes of a vector field.
const (
	gridColumns = 28 // arrows across
	gridFine    = 5  // points of the grid to an arrow, between which stream lines are interpolated
	sinkStarts  = 250
	sinkSteps   = 1000
)

func drawVectorField(ctx context.Context, s *subject, path string) error {
	cloud, err := s.cloud()
	if err != nil {
		return err
	}
	denoise, err := s.denoiser(ctx)
	if err != nil {
		return err
	}
	at := figure.GridPoints(cloud, gridColumns*gridFine)
	to, err := denoise(at)
	if err != nil {
		return err
	}
	sinks, err := sinksOf(denoise, evenly(at, sinkStarts), sinkSteps)
	if err != nil {
		return err
	}
	return figure.VectorField(path, figure.Field{Data: cloud, At: at, To: to, Columns: gridColumns * gridFine, Arrows: gridFine, Lines: true,
		Sinks: sinks, Axes: s.axes()})
}

// denoiser returns the reconstruction of examples in the scale of the data, for
// as often as it is called.
func (s *subject) denoiser(ctx context.Context) (func(values []float32) ([]float32, error), error) {
	net, _, err := s.saved.Bind(s.dev, inferenceBatch)
	if err != nil {
		return nil, err
	}
	sigma := fieldSigma(s.saved.DAE)
	if sigma > 0 {
		s.note(fmt.Sprintf("the reconstruction is that of noise σ = %.3g", sigma))
	}
	return func(values []float32) ([]float32, error) {
		x, err := s.saved.Scaler.Apply(tensor.New(tensor.WithShape(len(values)/s.info.Features, s.info.Features), tensor.WithBacking(values)))
		if err != nil {
			return nil, err
		}
		if sigma > 0 {
			z := data.Float32s(x)
			if err := net.DenoiseAt(ctx, z, z, sigma); err != nil {
				return nil, err
			}
		} else if x, err = net.Denoise(ctx, x); err != nil {
			return nil, err
		}
		return s.invert(data.Float32s(x))
	}, nil
}

// fieldShare is the noise at which a score model's field is drawn, beside the
// spread of the data: enough to be felt between them, and too little to blur them.
const fieldShare = 0.15

// fieldSigma is the noise level of a score model that shows its field best, 0 for
// a denoising auto-encoder, which has one of its own.
func fieldSigma(dae *model.DAE) float64 {
	levels := dae.NoiseLevels()
	if len(levels) < 2 {
		return 0
	}
	wanted := fieldShare * dae.Config().Score.SigmaData
	return slices.MinFunc(levels, func(a, b float64) int {
		return cmp.Compare(math.Abs(math.Log(a/wanted)), math.Abs(math.Log(b/wanted)))
	})
}

// evenly takes at most so many of the points, evenly spaced.
func evenly(points []float32, most int) []float32 {
	n := len(points) / 2
	most = min(most, n)
	list := make([]float32, 0, 2*most)
	for i := range most {
		k := i * n / most
		list = append(list, points[2*k], points[2*k+1])
	}
	return list
}

// sinksOf finds the places where x ← r(x) comes to rest, from some starts in the
// plane: the stable fixed points of r, each once. Starts that still move after
// so many steps, or that have left for infinity, give none.
func sinksOf(denoise func([]float32) ([]float32, error), starts []float32, steps int) ([]float32, error) {
	x := starts
	extent := 0.0
	for _, v := range starts {
		extent = math.Max(extent, math.Abs(float64(v)))
	}
	const gone = 1000 // times the extent of the starts: r does not draw back what is there
	atRest, apart := 2e-6*extent, 2e-2*extent
	var sinks []float32
	for step := 0; step < steps && len(x) > 0; step++ {
		r, err := denoise(x)
		if err != nil {
			return nil, err
		}
		moving := x[:0:0]
		for i := 0; i < len(r); i += 2 {
			switch moved := math.Hypot(float64(r[i]-x[i]), float64(r[i+1]-x[i+1])); {
			case moved > atRest && math.Hypot(float64(r[i]), float64(r[i+1])) < gone*extent:
				moving = append(moving, r[i], r[i+1])
			case moved <= atRest && !close2(sinks, r[i], r[i+1], apart):
				sinks = append(sinks, r[i], r[i+1])
			}
		}
		x = moving
	}
	return sinks, nil
}

// close2 reports whether a point lies near one of the list.
func close2(list []float32, x, y float32, apart float64) bool {
	for i := 0; i < len(list); i += 2 {
		if math.Hypot(float64(x-list[i]), float64(y-list[i+1])) < apart {
			return true
		}
	}
	return false
}
