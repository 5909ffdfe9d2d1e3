package baseline

import (
	"context"
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
	Components int // of PCA, 0 for DefaultComponents
	MaxRows    int // at most so many training rows are used, evenly spaced; 0 for DefaultMaxRows
}

// The defaults of Problem. 10,000 rows of 784 pixels take a second or two.
const (
	DefaultComponents = 16
	DefaultMaxRows    = 10_000
)

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
	pca, err := FitPCA(ctx, p.Train.Thin(p.MaxRows), p.Components)
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
	return t, nil
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
