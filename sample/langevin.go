package sample

import (
	"context"
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"gpudae/device/philox"
)

// Langevin runs the unadjusted Langevin algorithm (Roberts and Tweedie 1996)
//
//	x ← x + (ε/2)·s(x) + √ε·z,  z ~ N(0, I)
//
// along the score s of Score at σ = Noise. Its stationary density is that of
// the data after noise σ, up to an error that vanishes with ε: for a Gaussian
// of covariance S = Σ + σ²I it has the covariance S(I - εS⁻¹/4)⁻¹, so the
// variances are too large by at most 1/(1 - ε/4σ²), and it is stable for ε < 4σ².
// There is no Metropolis step, since the score comes without its density.
func Langevin(ctx context.Context, c Chains) ([]float32, error) {
	if !(c.StepSize > 0) {
		return nil, fmt.Errorf("langevin with a step of size %g: it must be positive", c.StepSize)
	}
	features := c.Net.DAE().Config().Features
	key, root := philox.KeyOf(c.Source.Seed), math.Sqrt(c.StepSize)
	return c.advance(ctx, func(x []float32, first int, step uint32) error {
		s, err := Score(ctx, c.Net, tensor.New(tensor.WithShape(len(x)/features, features), tensor.WithBacking(x)), c.Noise)
		if err != nil {
			return err
		}
		score := s.Data().([]float32)
		for i := range len(x) / features {
			random := words{at: philox.Coordinates{Stream: philox.StreamDraw, Index: indexLangevin, Row: uint32(first + i), Step: step}, key: key}
			for j := range features {
				k := i*features + j
				x[k] = float32(float64(x[k]) + float64(c.StepSize/2*float64(score[k])) + float64(root*float64(random.normal(j))))
			}
		}
		return nil
	})
}
