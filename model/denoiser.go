package model

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gpudae/device"
)

// A Net as samplers see it: the denoiser D(x; σ), which estimates E[x | x̃ = x]
// under Gaussian noise σ, and its Jacobian. Rows are float32 slices on the host
// [rows, Features], as many as one likes.

// Features is the number of features of an example.
func (n *Net) Features() int { return n.dae.resolved.Features }

// DenoiseAt writes D(x; σ) of each row of x to dst, which may be x. It fails if
// the model knows no such noise (see DAE.NoiseLevels), and with the context's
// error. After the first call it allocates nothing.
func (n *Net) DenoiseAt(ctx context.Context, dst, x []float32, sigma float64) error {
	n.checkHost(dst, x)
	if err := n.setNoise(sigma); err != nil {
		return fmt.Errorf("denoising: %w", err)
	}
	features := n.Features()
	for from := 0; from < len(x); from += n.rows * features {
		to := min(from+n.rows*features, len(x))
		if err := ctx.Err(); err != nil {
			return err
		}
		m := n.probeOf((to - from) / features)
		if err := n.dev.Upload(n.corrupted.Top(m.rows), x[from:to]); err != nil {
			return fmt.Errorf("denoising: %w", err)
		}
		n.reconstruct(m)
		if err := n.download(dst[from:to], n.reconstruction.Top(m.rows)); err != nil {
			return fmt.Errorf("denoising: %w", err)
		}
	}
	return nil
}

// PullBackAt writes Jᵀv to dst for each row of x with its row of v, J = ∂D/∂x
// being the Jacobian of D(x; σ) there; dst may be x or v. It is reverse
// differentiation: one pass forward and one back for each call, whatever the
// number of features. It fails as DenoiseAt does, and for models that it cannot
// differentiate: those with batch norm, and those whose likelihood is neither
// gaussian, gaussian-learned nor bernoulli.
func (n *Net) PullBackAt(ctx context.Context, dst, x, v []float32, sigma float64) error {
	n.checkHost(dst, x)
	n.checkHost(dst, v)
	if err := n.setNoise(sigma); err != nil {
		return fmt.Errorf("differentiating: %w", err)
	}
	if err := n.preparePullBack(); err != nil {
		return fmt.Errorf("differentiating: %w", err)
	}
	features := n.Features()
	for from := 0; from < len(x); from += n.rows * features {
		to := min(from+n.rows*features, len(x))
		if err := ctx.Err(); err != nil {
			return err
		}
		m := n.probeOf((to - from) / features)
		if err := n.dev.Upload(n.corrupted.Top(m.rows), x[from:to]); err != nil {
			return fmt.Errorf("differentiating: %w", err)
		}
		if err := n.dev.Upload(n.pull.vector.Top(m.rows), v[from:to]); err != nil {
			return fmt.Errorf("differentiating: %w", err)
		}
		n.reconstruct(m)
		if err := n.download(dst[from:to], n.pullBack(m)); err != nil {
			return fmt.Errorf("differentiating: %w", err)
		}
	}
	return nil
}

// NoiseLevels are the standard deviations of the Gaussian noise that the model
// was trained under, from the least to the greatest: those of Score.Noise, or one
// for a denoising auto-encoder, whose stages add up to √Σσ². A model of one
// level knows that noise alone, one of several any, the better the closer to
// these. There are none if the corruption is not Gaussian noise alone.
func (d *DAE) NoiseLevels() []float64 { return slices.Clone(d.resolved.sigmas) }

// KnowsNoise reports whether DenoiseAt takes σ.
func (d *DAE) KnowsNoise(sigma float64) bool { return d.resolved.checkNoise(sigma) == nil }

// IsScoreModel reports whether the model is trained by denoising score matching.
func (d *DAE) IsScoreModel() bool { return d.resolved.levels != nil }

// Level returns the coefficients of a score model at noise σ.
func (d *DAE) Level(sigma float64) Level {
	if !d.IsScoreModel() {
		panic("model: the noise level of a model that is no score model")
	}
	return d.resolved.levels.at(sigma)
}

// Noise is the σ of a corruption that adds Gaussian noise and does nothing else,
// √Σσ² over its stages. ok is false for any other corruption.
func (c Corruption) Noise() (sigma float64, ok bool) {
	for _, stage := range c {
		switch stage.Kind {
		case device.CorruptNone:
		case device.CorruptGaussian:
			sigma = math.Hypot(sigma, stage.Amount)
		default:
			return 0, false
		}
	}
	return sigma, sigma > 0
}

// sameNoise is the relative difference below which two σ are one, which allows
// for numbers that were printed.
const sameNoise = 1e-6

// probeOf is a minibatch of rows that come from the host.
func (n *Net) probeOf(rows int) *minibatch {
	n.probe = minibatch{rows: rows, replicates: 1, given: true}
	return &n.probe
}

func (n *Net) checkHost(dst, x []float32) {
	if len(x)%n.Features() != 0 || len(dst) != len(x) {
		panic(fmt.Sprintf("model: %d numbers to %d for rows of %d features", len(x), len(dst), n.Features()))
	}
}
