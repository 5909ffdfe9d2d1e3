package sample

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gpudae/device/philox"
)

// Descent is what a diffusion sampler runs: chains that come down the noise
// levels σ₁ > ... > σ_L > 0 of a Denoiser to samples without noise.
type Descent struct {
	Denoiser Denoiser
	Levels   []float64 // decreasing and positive; below the last is noise 0
	Start    []float32 // [chains, features], at noise σ₁, see StartAt; not changed
	First    int       // number of the first chain: chains drawn in blocks are those of one draw
	Together int       // chains that are advanced at a time, 0 for all
	Seed     uint64
	// Observe, if it is not nil, is told the states x [rows, features] of the
	// chains from first on after every move, counted from 0, of Moves, and the
	// noise level that they have then. An error ends the run and is returned.
	Observe func(move, first int, x []float32, sigma float64) error

	// Given, if it is not nil, holds features to values: before every move they
	// are drawn anew from N(value, σ²). D is corrected for them by two moments,
	// see projection, which costs one PullBackAt a given feature and is exact for
	// Gaussian data.
	Given *Given
	// Replace leaves that correction out, so that the others are denoised beside
	// the given features and no more (Song et al. 2021, appendix I.2). The outcome
	// is then only roughly conditional, resampled or not.
	Replace bool
	// Resample is how often each stretch of Jump levels is descended: after it,
	// noise is added again up to its start, as often less one (Lugmayr et al.
	// 2022, algorithm 1 and section 4.2). 0 and 1 mean once.
	Resample, Jump int

	// Eta is the share of the posterior's noise that DDIM draws: 0 makes it
	// deterministic, 1 ancestral sampling.
	Eta float64
	// Churn is the noise that Heun adds and removes on the way.
	Churn Churn
	// Inner is the number of Langevin steps at a level, and StepSize ε/σ², the
	// same at all levels. AnnealedLangevin only.
	Inner    int
	StepSize float64

	stride uint32 // steps of noise that a move takes, 0 for one
}

// Diffusion is a row of the table of diffusion samplers.
type Diffusion struct {
	Name, Formula, Source string
	Run                   func(context.Context, Descent) ([]float32, error)
}

// Diffusions returns the table of diffusion samplers. They return samples
// [chains, features] and fail as a Sampler does.
func Diffusions() []Diffusion {
	return []Diffusion{
		{"heun", "dx/dσ = (x - D(x;σ))/σ by Heun's method, with churn", "Karras et al. 2022, algorithms 1 and 2", Heun},
		{"euler", "the same equation by Euler's method", "Karras et al. 2022", Euler},
		{"ddim", "x ← D + √(σ'² - τ²)·(x - D)/σ + τz, τ = η·σ'√(σ² - σ'²)/σ", "Song, Meng and Ermon 2021", DDIM},
		{"ancestral", "x ← draw from q(x'|x, x₀ = D(x;σ)): ddim with η = 1", "Ho, Jain and Abbeel 2020", Ancestral},
		{"annealed-langevin", "x ← x + (ε/2)·s(x;σ) + √ε·z, ε in proportion to σ², at each σ", "Song and Ermon 2019", AnnealedLangevin},
	}
}

// flock are the chains that are advanced together.
type flock struct {
	*Descent
	x        []float32 // [rows, features]
	denoised []float32 // [rows, features], of the last call of denoise
	first    int       // chain
	step     uint32    // of noise, the first that the move takes
	*projection
}

// mover brings the states x from noise level from down to noise level to, which
// may be 0.
type mover func(ctx context.Context, f *flock, from, to float64) error

// Moves is the number of moves of each chain.
func (d *Descent) Moves() int { return len(d.path()) - 1 }

// path is the order in which levels are visited: 0, 1, ..., L, where L has no
// noise, with the returns that Resample asks for.
func (d *Descent) path() []int {
	bottom := len(d.Levels)
	returns := map[int]int{} // from a level
	if d.Resample > 1 && d.Given != nil {
		for level := bottom; level-d.Jump >= 0; level -= d.Jump {
			returns[level] = d.Resample - 1
		}
	}
	path := []int{0}
	for level := 0; level < bottom; {
		level++
		path = append(path, level)
		if returns[level] > 0 {
			returns[level]--
			level -= d.Jump
			path = append(path, level)
		}
	}
	return path
}

func (d *Descent) check() error {
	features := d.Denoiser.Features()
	switch {
	case len(d.Start) == 0 || len(d.Start)%features != 0:
		return fmt.Errorf("sampling: %d numbers for chains of %d features", len(d.Start), features)
	case len(d.Levels) == 0 || !(d.Levels[len(d.Levels)-1] > 0):
		return errors.New("sampling: no noise levels, or one that is not positive")
	case d.First < 0 || d.Together < 0 || d.Resample < 0 || d.Resample > 1 && d.Jump < 1:
		return fmt.Errorf("sampling: chains from %d, %d together, resampled %d times by %d levels", d.First, d.Together, d.Resample, d.Jump)
	}
	for i, sigma := range d.Levels[1:] {
		if !(sigma < d.Levels[i]) {
			return fmt.Errorf("sampling: noise level %g after %g", sigma, d.Levels[i])
		}
	}
	return d.Given.check(features)
}

// run takes the chains down the levels.
func (d *Descent) run(ctx context.Context, move mover) ([]float32, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	features := d.Denoiser.Features()
	states, path := slices.Clone(d.Start), d.path()
	together := d.Together * features
	if together == 0 {
		together = len(states)
	}
	f := &flock{Descent: d, first: d.First, denoised: make([]float32, min(together, len(states)))}
	if d.Given != nil && !d.Replace {
		f.projection = newProjection(d.Given)
	}
	for x := range slices.Chunk(states, together) {
		f.x, f.denoised = x, f.denoised[:len(x)]
		if err := f.descend(ctx, path, move); err != nil {
			return nil, err
		}
		f.first += len(x) / features
	}
	return states, nil
}

func (f *flock) descend(ctx context.Context, path []int, move mover) error {
	for i, level := range path[1:] {
		if err := ctx.Err(); err != nil {
			return err
		}
		f.step = uint32(i) * max(1, f.stride)
		from, to := f.level(path[i]), f.level(level)
		if to > from {
			f.rise(from, to)
		} else {
			f.clamp(from, f.step)
			if err := move(ctx, f, from, to); err != nil {
				return fmt.Errorf("sampling: %w", err)
			}
		}
		if to == 0 {
			f.Given.hold(f.x, f.Denoiser.Features(), f.first)
		}
		if err := checkFinite(f.x, f.Denoiser.Features(), f.first, i); err != nil {
			return err
		}
		if f.Observe == nil {
			continue
		}
		if err := f.Observe(i, f.first, f.x, to); err != nil {
			return err
		}
	}
	return nil
}

// level is the noise at a place of the path.
func (f *flock) level(i int) float64 {
	if i == len(f.Levels) {
		return 0
	}
	return f.Levels[i]
}

// rise adds the noise between two levels.
func (f *flock) rise(from, to float64) {
	f.noise(indexDescent, f.step, math.Sqrt(to*to-from*from))
}

// noise adds amount·z.
func (f *flock) noise(purpose, step uint32, amount float64) {
	eachNormal(f.x, f.Denoiser.Features(), f.first, philox.Coordinates{Index: purpose, Step: step}, f.Seed, func(k int, z float64) {
		f.x[k] = float32(float64(f.x[k]) + float64(amount*z))
	})
}

// clamp puts the given features at their values with noise σ.
func (f *flock) clamp(sigma float64, step uint32) {
	if f.Given == nil {
		return
	}
	features := f.Denoiser.Features()
	eachNormal(f.x, features, f.first, philox.Coordinates{Index: indexGiven, Step: step}, f.Seed, func(k int, z float64) {
		if f.Given.Known[k%features] {
			f.x[k] = float32(float64(f.Given.value(f.first+k/features, k%features)) + float64(sigma*z))
		}
	})
}

// denoise sets denoised to D(x; σ).
func (f *flock) denoise(ctx context.Context, x []float32, sigma float64) error {
	if err := f.Denoiser.DenoiseAt(ctx, f.denoised, x, sigma); err != nil || f.projection == nil {
		return err
	}
	return f.projection.apply(ctx, f.Denoiser, f.denoised, x, sigma, f.first)
}
