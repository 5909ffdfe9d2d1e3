package baseline

import (
	"context"
	"errors"
	"fmt"
)

// Problem is what Compare scores the baselines on.
type Problem struct {
	Train            Rows // clean training rows: the mean and the components come from these
	Clean, Corrupted Rows // the held-out pairs that are scored

	// NoiseClean and NoiseCorrupted are training pairs on which Likelihood.Fit
	// chooses each baseline's Noise. If they are empty the held-out pairs are
	// taken, which flatters the baselines and never the model.
	NoiseClean, NoiseCorrupted Rows

	Likelihood Likelihood
	Sigma      float64 // of the Gaussian noise that made Corrupted; 0 where it was made otherwise
	ManyLevels bool    // whether Corrupted has noise of another strength in each row, which PPCA and FA would have to be told
	Components int     // of PCA, PPCA and FA, 0 for DefaultComponents
	MaxRows    int     // at most so many training rows are used, evenly spaced; 0 for DefaultMaxRows
}

// The defaults of Problem. 10,000 rows of 784 pixels take a second or two.
const (
	DefaultComponents = 16
	DefaultMaxRows    = 10_000
)

// FactorFeatures is the number of features up to which Compare fits factor
// analysis, whose iterations cost D²q each.
const FactorFeatures = 256

// factorLimits end the iterations of factor analysis at what a table can show.
func factorLimits() EM { return EM{Iterations: 500, Tolerance: 1e-3} }

// Score is how well a baseline reconstructs the held-out rows.
type Score struct {
	MSE        float64 `json:"mse"`                  // mean over examples and features
	NLL        float64 `json:"nll"`                  // nats an example
	PerFeature float64 `json:"nll_per_feature"`      // nats a feature
	Components int     `json:"components,omitempty"` // of PCA, after clipping
}

// Table holds the scores of the baselines.
type Table struct {
	Identity Score `json:"identity"` // r(x̃) = x̃
	Mean     Score `json:"mean"`     // r(x̃) = μ
	PCA      Score `json:"pca"`      // r(x̃) = μ + UUᵀ(x̃-μ)

	// PPCA and FA reconstruct by E[x|x̃] under Gaussian noise of Problem.Sigma, and
	// otherwise take their own noise for what is to be removed. They are nil where
	// Skipped says why.
	PPCA    *Score `json:"ppca,omitempty"`
	FA      *Score `json:"fa,omitempty"`
	Skipped []Skip `json:"skipped,omitempty"`
}

// Skip is a baseline that Compare left out.
type Skip struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Compare fits the baselines to the training rows and scores them on the
// held-out pairs.
func Compare(ctx context.Context, p Problem) (Table, error) {
	if p.Components <= 0 {
		p.Components = DefaultComponents
	}
	if p.MaxRows <= 0 {
		p.MaxRows = DefaultMaxRows
	}
	if len(p.NoiseClean.Values) == 0 {
		p.NoiseClean, p.NoiseCorrupted = p.Clean, p.Corrupted
	}
	train := p.Train.Thin(p.MaxRows)
	pca, err := FitPCA(ctx, train, p.Components)
	if err != nil {
		return Table{}, fmt.Errorf("fit the baselines: %w", err)
	}
	var t Table
	for _, entry := range []struct {
		name  string
		r     Reconstructor
		score *Score
	}{{"identity", Identity{}, &t.Identity}, {"mean", Mean(pca.Mean), &t.Mean}, {"pca", pca, &t.PCA}} {
		if *entry.score, err = p.score(ctx, entry.r); err != nil {
			return Table{}, fmt.Errorf("score the baseline %s: %w", entry.name, err)
		}
	}
	t.PCA.Components = len(pca.Variances)
	if p.ManyLevels {
		const reason = "the noise is of many levels, and it removes that of one"
		t.Skipped = append(t.Skipped, Skip{"ppca", reason}, Skip{"fa", reason})
		return t, nil
	}
	if t.PPCA, err = p.latent(ctx, &t, "ppca", func() (LatentGaussian, error) { return PPCAOf(pca, p.Components) }); err != nil {
		return Table{}, err
	}
	if train.Features > FactorFeatures {
		t.Skipped = append(t.Skipped, Skip{"fa", fmt.Sprintf("%d features, more than %d", train.Features, FactorFeatures)})
		return t, nil
	}
	t.FA, err = p.latent(ctx, &t, "fa", func() (LatentGaussian, error) {
		g, _, err := FitFA(ctx, train, p.Components, factorLimits())
		return g, err
	})
	return t, err
}

// latent fits and scores a Gaussian with a code; where there is none with so
// many components it notes why and returns nil.
func (p Problem) latent(ctx context.Context, t *Table, name string, fit func() (LatentGaussian, error)) (*Score, error) {
	g, err := fit()
	var components *ComponentsError
	if errors.As(err, &components) {
		t.Skipped = append(t.Skipped, Skip{name, components.Error()})
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fit the baselines: %w", err)
	}
	s, err := p.score(ctx, noiseRemover{g, p.Sigma})
	if err != nil {
		return nil, fmt.Errorf("score the baseline %s: %w", name, err)
	}
	s.Components = g.Components()
	return &s, nil
}

// noiseRemover reconstructs by a density under Gaussian noise of σ, or under
// the density's own where σ is 0.
type noiseRemover struct {
	density LatentGaussian
	sigma   float64
}

func (r noiseRemover) Reconstruct(ctx context.Context, corrupted Rows) (Rows, error) {
	if r.sigma > 0 {
		return r.density.Denoise(ctx, corrupted, r.sigma)
	}
	return r.density.Reconstruct(ctx, corrupted)
}

// score fits the noise of a reconstructor and evaluates it.
func (p Problem) score(ctx context.Context, r Reconstructor) (Score, error) {
	fitted, err := r.Reconstruct(ctx, p.NoiseCorrupted)
	if err != nil {
		return Score{}, err
	}
	noise, err := p.Likelihood.Fit(ctx, p.NoiseClean, fitted)
	if err != nil {
		return Score{}, err
	}
	reconstruction, err := r.Reconstruct(ctx, p.Corrupted)
	if err != nil {
		return Score{}, err
	}
	var s Score
	if s.MSE, err = MSE(ctx, p.Clean, reconstruction); err != nil {
		return Score{}, err
	}
	if s.NLL, err = p.Likelihood.NLL(ctx, noise, p.Clean, reconstruction); err != nil {
		return Score{}, err
	}
	s.PerFeature = s.NLL / float64(p.Clean.Features)
	return s, nil
}
