package sample

import (
	"context"
	"fmt"
	"math"
)

// DDIM goes from noise σ to σ' < σ by
//
//	x ← D + √(σ'² - τ²)·(x - D)/σ + τz,  D = D(x; σ),  τ = η·σ'√(σ² - σ'²)/σ
//
// (Song, Meng and Ermon 2021, eq. 12 and 16), in the variance-exploding form
// x = x₀ + σz that scaling by √(1 + σ²) takes to theirs. At η = 0 it is
// deterministic, and Euler's method.
func DDIM(ctx context.Context, d Descent) ([]float32, error) {
	if !(d.Eta >= 0 && d.Eta <= 1) {
		return nil, fmt.Errorf("sampling: η = %g: it lies between 0 and 1", d.Eta)
	}
	return d.run(ctx, func(ctx context.Context, f *flock, from, to float64) error {
		if err := f.denoise(ctx, f.x, from); err != nil {
			return err
		}
		tau := f.Eta * to * math.Sqrt(from*from-to*to) / from
		keep := math.Sqrt(to*to-tau*tau) / from
		for k, mean := range f.denoised {
			f.x[k] = float32(float64(mean) + float64(keep*(float64(f.x[k])-float64(mean))))
		}
		if tau > 0 {
			f.noise(indexDescent, f.step, tau)
		}
		return nil
	})
}

// Ancestral draws x' at σ' < σ from the posterior
//
//	q(x'|x, x₀) = N(x₀ + (σ'²/σ²)(x - x₀), σ'²(σ² - σ'²)/σ²·I)
//
// with the posterior mean D(x; σ) for x₀ (Ho, Jain and Abbeel 2020, eq. 6 and 7,
// and algorithm 2, in the variance-exploding form): DDIM with η = 1. The last
// step, to noise 0, takes D itself.
func Ancestral(ctx context.Context, d Descent) ([]float32, error) {
	d.Eta = 1
	return DDIM(ctx, d)
}
