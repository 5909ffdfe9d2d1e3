package sample

import (
	"context"
	"fmt"
)

// Posterior estimates mean and variance of each feature of the clean example
// x₀ given x = x₀ + σz, by the two orders of Tweedie's formula,
//
//	E[x₀|x] = D(x; σ),  Cov[x₀|x] = σ²·∂D/∂x
//
// (Robbins 1956 and Miyasawa 1961; Efron 2011, section 2; Meng, Song, Li and
// Ermon 2021, theorem 1), of which the variances are the diagonal. They are as
// good as the denoiser's Jacobian: those of a learned one may be negative.
//
// With probes, which cost one PullBackAt each, the diagonal is estimated by the
// mean of v⊙Jᵀv over vectors v of random signs (Bekas, Kokiopoulou and Saad
// 2007), whose error is that of the other elements of the row over √probes;
// without, it is exact at one PullBackAt a feature. x, mean and variance are
// [rows, features]; the signs are those of the rows from first on.
func Posterior(ctx context.Context, d Denoiser, mean, variance, x []float32, sigma float64, probes, first int, seed uint64) error {
	features := d.Features()
	if len(mean) != len(x) || len(variance) != len(x) || len(x)%features != 0 || probes < 0 {
		panic(fmt.Sprintf("sample: posterior of %d numbers to %d and %d, %d features, %d probes", len(x), len(mean), len(variance), features, probes))
	}
	if err := d.DenoiseAt(ctx, mean, x, sigma); err != nil {
		return fmt.Errorf("computing the posterior mean: %w", err)
	}
	t := &tracer{Flow: Flow{Probes: probes, Seed: seed}, denoiser: d, features: features, first: first,
		out: make([]float32, len(x)), probe: make([]float32, len(x))}
	vectors, weight := probes, 1/float64(max(probes, 1))
	if probes == 0 {
		vectors = features
	}
	diagonal := make([]float64, len(x))
	for v := range vectors {
		t.aim(v)
		if err := d.PullBackAt(ctx, t.out, x, t.probe, sigma); err != nil {
			return fmt.Errorf("computing the posterior variance: %w", err)
		}
		for k, p := range t.probe {
			diagonal[k] += weight * float64(p) * float64(t.out[k])
		}
	}
	for k, j := range diagonal {
		variance[k] = float32(sigma * sigma * j)
	}
	return nil
}
