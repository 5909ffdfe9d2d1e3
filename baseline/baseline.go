// Package baseline holds the linear relatives of a denoising auto-encoder, which
// it is measured against and which tests use as oracles: the corrupted example
// itself, the mean, principal components, the best linear denoiser of each
// corruption process, whose expected error no linear auto-encoder can pass, and
// the Gaussians with a code, probabilistic PCA and factor analysis, which have an
// exact density and score.
//
// It works on plain row-major numbers in float64 and knows nothing of models,
// devices or files. The vocabulary is that of the project: x is the clean
// example, x̃ the corrupted one, r(x̃) the reconstruction; an MSE is a mean over
// examples and features; a negative log likelihood is in nats an example, with
// every constant included.
package baseline

import (
	"context"
	"fmt"
)

// Rows is a table of examples, row-major: example i is
// Values[i*Features : (i+1)*Features].
type Rows struct {
	Values   []float32
	Features int
}

// Len is the number of examples.
func (r Rows) Len() int {
	if r.Features == 0 {
		return 0
	}
	return len(r.Values) / r.Features
}

// Row is example i.
func (r Rows) Row(i int) []float32 { return r.Values[i*r.Features : (i+1)*r.Features] }

// Thin returns at most limit rows, evenly spaced from the first on. The rows are
// copied only if some are left out.
func (r Rows) Thin(limit int) Rows {
	n := r.Len()
	if limit <= 0 || n <= limit {
		return r
	}
	thin := Rows{Values: make([]float32, 0, limit*r.Features), Features: r.Features}
	for i := range limit {
		thin.Values = append(thin.Values, r.Row(i*n/limit)...)
	}
	return thin
}

// check reports what makes the rows unusable.
func (r Rows) check(what string) error {
	switch {
	case r.Features < 1:
		return fmt.Errorf("%s rows have no features", what)
	case len(r.Values)%r.Features != 0:
		return fmt.Errorf("%d values of %s rows do not divide into rows of %d features", len(r.Values), what, r.Features)
	case len(r.Values) == 0:
		return fmt.Errorf("no %s rows", what)
	}
	return nil
}

// checkPair reports what makes two tables no pairs (x, x̃) or (x, r(x̃)).
func checkPair(what string, a, b Rows) error {
	if err := a.check(what); err != nil {
		return err
	}
	if a.Features != b.Features || len(a.Values) != len(b.Values) {
		return fmt.Errorf("%d×%d %s rows paired with %d×%d", a.Len(), a.Features, what, b.Len(), b.Features)
	}
	return nil
}

// block is the number of rows that are widened to float64 at a time; the context
// is looked at between blocks.
const block = 512

// eachBlock calls f with the bounds of successive blocks of n rows until f fails
// or the context ends.
func eachBlock(ctx context.Context, n int, f func(from, to int)) error {
	for from := 0; from < n; from += block {
		if err := ctx.Err(); err != nil {
			return err
		}
		f(from, min(from+block, n))
	}
	return nil
}

// Reconstructor estimates clean examples from corrupted ones. The result has the
// shape of the argument, and may be the argument.
type Reconstructor interface {
	Reconstruct(ctx context.Context, corrupted Rows) (Rows, error)
}

// Identity is the reconstruction r(x̃) = x̃: what doing nothing costs.
type Identity struct{}

// Reconstruct returns its argument.
func (Identity) Reconstruct(_ context.Context, corrupted Rows) (Rows, error) { return corrupted, nil }

// Mean is the constant reconstruction r(x̃) = μ, the best one that does not look
// at x̃. Its expected MSE is tr Σ/D.
type Mean []float64

// Reconstruct returns as many copies of the mean as there are corrupted rows.
func (m Mean) Reconstruct(ctx context.Context, corrupted Rows) (Rows, error) {
	if corrupted.Features != len(m) {
		return Rows{}, fmt.Errorf("reconstruct %d features by a mean of %d", corrupted.Features, len(m))
	}
	out := Rows{Values: make([]float32, len(corrupted.Values)), Features: len(m)}
	err := eachBlock(ctx, corrupted.Len(), func(from, to int) {
		for i := from; i < to; i++ {
			row := out.Row(i)
			for j, v := range m {
				row[j] = float32(v)
			}
		}
	})
	return out, err
}

// MSE is the mean of (x - r)² over examples and features.
func MSE(ctx context.Context, clean, reconstruction Rows) (float64, error) {
	if err := checkPair("clean", clean, reconstruction); err != nil {
		return 0, err
	}
	var total float64
	err := eachBlock(ctx, clean.Len(), func(from, to int) {
		var sum float64
		for i := from * clean.Features; i < to*clean.Features; i++ {
			d := float64(clean.Values[i]) - float64(reconstruction.Values[i])
			sum += d * d
		}
		total += sum
	})
	return total / float64(len(clean.Values)), err
}
