package sample

import (
	"context"
	"fmt"
	"math"

	"gpudae/device/philox"
)

// Denoiser is a model of data under Gaussian noise of every standard deviation
// σ: the posterior mean D(x; σ) = E[x₀ | x₀ + σz = x], with which the score of
// the smoothed density is ∇ log p_σ(x) = (D(x; σ) - x)/σ² (see Score).
type Denoiser interface {
	// Features is the number of features of an example.
	Features() int
	// DenoiseAt writes D(x; σ) of each row of x [rows, features] to dst, which
	// may be x itself. Rows do not depend on each other.
	DenoiseAt(ctx context.Context, dst, x []float32, sigma float64) error
	// PullBackAt writes Jᵀv of each row to dst, J = ∂D/∂x at the row of x and v
	// the row of v, both [rows, features].
	PullBackAt(ctx context.Context, dst, x, v []float32, sigma float64) error
}

// KarrasLevels returns n noise levels from high down to low whose ρ-th roots are
// evenly spaced (Karras, Aittala, Aila and Laine 2022, eq. 5, with ρ = 7).
func KarrasLevels(high, low float64, n int, rho float64) ([]float64, error) {
	if !(high > low && low > 0) || n < 2 || !(rho > 0) {
		return nil, fmt.Errorf("%d noise levels from %g to %g, ρ = %g: two or more must go down to a positive one", n, high, low, rho)
	}
	levels := make([]float64, n)
	for i := range levels {
		part := float64(i) / float64(n-1)
		levels[i] = math.Pow(math.Pow(high, 1/rho)+part*(math.Pow(low, 1/rho)-math.Pow(high, 1/rho)), rho)
	}
	levels[0], levels[n-1] = high, low
	return levels, nil
}

// StartAt returns chains [chains, features], the first of them being number first, at noise level σ, which must be large
// beside the spread of the data: draws from N(μ, Σ + σ²I), μ and Σ being the
// moments of the data. With D ≈ μ + J(x - μ), J = Σ(Σ + σ²I)⁻¹, they are
//
//	x + (D(x; σ) - μ)/2,  x ~ N(μ, σ²I)
//
// up to a part 3J²/4 of their covariance σ²(I - J)⁻¹.
func StartAt(ctx context.Context, d Denoiser, first, chains int, sigma float64, seed uint64) ([]float32, error) {
	features := d.Features()
	mean, err := meanOf(ctx, d, sigma)
	if err != nil {
		return nil, err
	}
	states, denoised := make([]float32, chains*features), make([]float32, chains*features)
	eachNormal(states, features, first, philox.Coordinates{Index: indexPrior}, seed, func(k int, z float64) {
		states[k] = float32(float64(mean[k%features]) + float64(sigma*z))
	})
	if err := d.DenoiseAt(ctx, denoised, states, sigma); err != nil {
		return nil, fmt.Errorf("the spread of the data at σ = %g: %w", sigma, err)
	}
	for k, v := range denoised {
		states[k] = float32(float64(states[k]) + (float64(v)-float64(mean[k%features]))/2)
	}
	return states, nil
}

// meanIterations bring D(0; σ) as close to its fixed point as the mean of the
// data is: D is μ + (Σ/σ²)(x - μ) to the first order, and Σ/σ² is small.
const meanIterations = 3

// meanOf is the mean of the data by a denoiser at a large σ.
func meanOf(ctx context.Context, d Denoiser, sigma float64) ([]float32, error) {
	mean := make([]float32, d.Features())
	for range meanIterations {
		if err := d.DenoiseAt(ctx, mean, mean, sigma); err != nil {
			return nil, fmt.Errorf("the mean of the data at σ = %g: %w", sigma, err)
		}
	}
	return mean, nil
}

// eachNormal visits the numbers of x [rows, features], the rows being those of
// the chains from first on, with a standard normal draw for each. Of at, Index
// and Step say what the draws are for.
func eachNormal(x []float32, features, first int, at philox.Coordinates, seed uint64, visit func(k int, z float64)) {
	at.Stream = philox.StreamDraw
	key := philox.KeyOf(seed)
	for i := range len(x) / features {
		at.Row = uint32(first + i)
		random := words{at: at, key: key}
		for j := range features {
			visit(i*features+j, float64(random.normal(j)))
		}
	}
}
