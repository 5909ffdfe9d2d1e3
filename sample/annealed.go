package sample

import (
	"context"
	"fmt"
	"math"
)

// stableStep is the greatest StepSize at which Langevin dynamics can be stable:
// p_σ is nowhere narrower than σ, see Langevin.
const stableStep = 4

// AnnealedLangevin takes Inner steps of Langevin dynamics
//
//	x ← x + (ε/2)·s(x; σ) + √ε·z,  s = (D(x; σ) - x)/σ²,  z ~ N(0, I)
//
// at each noise level from the first to the last, with ε = StepSize·σ² (Song and
// Ermon 2019, algorithm 1, whose step is ε₁·σ_i²/σ_L²), and then D(x; σ_L) as
// their later work does (Jolicoeur-Martineau et al. 2021).
// As for Langevin there is no Metropolis step, since there is no density.
func AnnealedLangevin(ctx context.Context, d Descent) ([]float32, error) {
	if d.Inner < 1 || !(d.StepSize > 0 && d.StepSize < stableStep) {
		return nil, fmt.Errorf("sampling: %d steps of size %gσ² at each level: one or more, of a size below %d, are needed", d.Inner, d.StepSize, stableStep)
	}
	d.stride = uint32(d.Inner)
	return d.run(ctx, func(ctx context.Context, f *flock, from, to float64) error {
		for i := range f.Inner {
			step := f.step + uint32(i)
			if i > 0 {
				f.clamp(from, step)
			}
			if err := f.denoise(ctx, f.x, from); err != nil {
				return err
			}
			for k, mean := range f.denoised {
				f.x[k] = float32(float64(f.x[k]) + float64(f.StepSize/2*(float64(mean)-float64(f.x[k]))))
			}
			f.noise(indexDescent, step, math.Sqrt(f.StepSize)*from)
		}
		if to > 0 {
			return nil
		}
		f.clamp(from, f.step+uint32(f.Inner))
		if err := f.denoise(ctx, f.x, from); err != nil {
			return err
		}
		copy(f.x, f.denoised)
		return nil
	})
}
