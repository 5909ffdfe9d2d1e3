package sample

import (
	"context"
	"fmt"
	"math"
)

// Churn adds noise before each of L steps of Heun whose noise σ lies between Min
// and Max: up to σ + γσ, γ = min(Amount/L, √2 - 1), the added noise having the
// standard deviation Noise times what that takes (Karras et al. 2022, algorithm
// 2: S_churn, S_tmin, S_tmax and S_noise). The zero Churn adds none.
type Churn struct {
	Amount, Min, Max, Noise float64
}

// gamma is γ at a noise level, of so many levels.
func (c Churn) gamma(sigma float64, levels int) float64 {
	if sigma < c.Min || sigma > c.Max {
		return 0
	}
	return min(c.Amount/float64(levels), math.Sqrt2-1)
}

// Heun solves the equation of the probability flow,
//
//	dx/dσ = (x - D(x; σ))/σ
//
// from level to level by Heun's method of the second order, and by Euler's to
// noise 0 (Karras, Aittala, Aila and Laine 2022, algorithm 1; with churn
// algorithm 2). Without churn a sample is a function of its start.
func Heun(ctx context.Context, d Descent) ([]float32, error) { return d.solve(ctx, true) }

// Euler is Heun with Euler's method throughout.
func Euler(ctx context.Context, d Descent) ([]float32, error) { return d.solve(ctx, false) }

func (d *Descent) solve(ctx context.Context, correct bool) ([]float32, error) {
	c := d.Churn
	if !(c.Amount >= 0 && c.Noise >= 0) || c.Min > c.Max {
		return nil, fmt.Errorf("sampling: churn of %g with noise %g between σ = %g and %g", c.Amount, c.Noise, c.Min, c.Max)
	}
	var start []float32 // of a step
	var slopes []float64
	return d.run(ctx, func(ctx context.Context, f *flock, from, to float64) error {
		if gamma := c.gamma(from, len(f.Levels)); gamma > 0 {
			f.noise(indexDescent, f.step, c.Noise*from*math.Sqrt(gamma*(2+gamma)))
			from *= 1 + gamma
		}
		if err := f.denoise(ctx, f.x, from); err != nil {
			return err
		}
		if to == 0 {
			copy(f.x, f.denoised)
			return nil
		}
		start = append(start[:0], f.x...)
		slopes = slopes[:0]
		for k, x := range start {
			slopes = append(slopes, (float64(x)-float64(f.denoised[k]))/from)
			f.x[k] = float32(float64(x) + float64((to-from)*slopes[k]))
		}
		if !correct {
			return nil
		}
		if err := f.denoise(ctx, f.x, to); err != nil {
			return err
		}
		for k, x := range start {
			slope := (slopes[k] + (float64(f.x[k])-float64(f.denoised[k]))/to) / 2
			f.x[k] = float32(float64(x) + float64((to-from)*slope))
		}
		return nil
	})
}
