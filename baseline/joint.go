package baseline

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/mat"
)

// Joint holds the first two joint moments of the pairs (x, x̃). They are all that
// a linear denoiser and its error depend on.
//
// Uncorrupted starts with x̃ = x; each method named after a corruption process
// applies one stage, in closed form, so that a composition is a chain of calls:
//
//	Uncorrupted(m, nil).Masking(0.25).Gaussian(0.1)
//
// A stage changes the moments through E[ỹ|y] and E[ỹỹᵀ|y] only, y being the
// output of the stage before it.
type Joint struct {
	Clean Moments       // of x
	Mean  []float64     // [D] E[x̃]
	Cross *mat.Dense    // [D, D] Cov(x, x̃)
	Noisy *mat.SymDense // [D, D] Cov(x̃, x̃)
	field []int         // the field of each column
}

// Uncorrupted is the pair (x, x). fields are the widths of the fields, the units
// that masking and swap destroy as a whole; nil makes every column its own.
// Widths that do not add up to the features panic.
func Uncorrupted(m Moments, fields []int) Joint {
	var cross mat.Dense
	cross.CloneFrom(m.Covariance)
	return Joint{Clean: m, Mean: m.Mean, Cross: &cross, Noisy: m.Covariance, field: fieldOfColumn(fields, m.Features())}
}

func fieldOfColumn(widths []int, features int) []int {
	field := make([]int, 0, features)
	if widths == nil {
		for j := range features {
			field = append(field, j)
		}
		return field
	}
	for f, width := range widths {
		for range width {
			field = append(field, f)
		}
	}
	if len(field) != features {
		panic(fmt.Sprintf("baseline: fields of %d columns for %d features", len(field), features))
	}
	return field
}

// EstimateJoint computes the joint moments of pairs of rows, from the moments of
// the rows [x x̃].
func EstimateJoint(ctx context.Context, clean, corrupted Rows) (Joint, error) {
	if err := checkPair("clean", clean, corrupted); err != nil {
		return Joint{}, fmt.Errorf("estimate joint moments: %w", err)
	}
	d := clean.Features
	both := Rows{Values: make([]float32, 0, 2*len(clean.Values)), Features: 2 * d}
	for i := range clean.Len() {
		both.Values = append(append(both.Values, clean.Row(i)...), corrupted.Row(i)...)
	}
	m, err := EstimateMoments(ctx, both)
	if err != nil {
		return Joint{}, err
	}
	part := func(from int) *mat.SymDense {
		s := mat.NewSymDense(d, nil)
		s.CopySym(m.Covariance.SliceSym(from, from+d))
		return s
	}
	cross := mat.NewDense(d, d, nil)
	for i := range d {
		for j := range d {
			cross.Set(i, j, m.Covariance.At(i, d+j))
		}
	}
	return Joint{
		Clean: Moments{Rows: m.Rows, Mean: m.Mean[:d], Covariance: part(0)},
		Mean:  m.Mean[d:],
		Cross: cross,
		Noisy: part(d),
		field: fieldOfColumn(nil, d),
	}, nil
}

// Gaussian is the stage ỹ = y + σz: Cov(ỹ) = Cov(y) + σ²I.
func (j Joint) Gaussian(sigma float64) Joint {
	return j.withNoise(func(int) float64 { return sigma * sigma })
}

// Uniform is the stage ỹ = y + a(2u-1), u uniform on [0, 1): Cov(ỹ) = Cov(y) + (a²/3)I.
func (j Joint) Uniform(a float64) Joint {
	return j.withNoise(func(int) float64 { return a * a / 3 })
}

// Speckle is the stage ỹ = y(1 + σz): Cov(ỹ) = Cov(y) + σ² diag E[y²].
func (j Joint) Speckle(sigma float64) Joint {
	return j.withNoise(func(c int) float64 { return sigma * sigma * j.square(c) })
}

// Poisson is the stage ỹ = N/peak, N ~ Poisson(peak·y): Cov(ỹ) = Cov(y) +
// diag(E[y])/peak. It holds for y ≥ 0 only; the process takes negative values as 0.
func (j Joint) Poisson(peak float64) Joint {
	return j.withNoise(func(c int) float64 { return j.Mean[c] / peak })
}

// Masking is the stage that sets each field to 0 with probability p:
//
//	E[ỹ] = (1-p)E[y],  E[ỹᵢỹⱼ] = (1-p)E[yᵢyⱼ] within a field,  Cov(ỹᵢ, ỹⱼ) = (1-p)²Cov(yᵢ, yⱼ) across.
func (j Joint) Masking(p float64) Joint {
	return j.replaced(replacement{
		rate:   p,
		mean:   make([]float64, len(j.Mean)),
		within: func(int, int) float64 { return 0 },
		field:  j.field,
	})
}

// SaltAndPepper is the stage that, column by column, sets a value with
// probability p to low or high, either as likely; with m = (low+high)/2
//
//	E[ỹ] = (1-p)E[y] + pm,  E[ỹ²] = (1-p)E[y²] + p(low²+high²)/2,  Cov(ỹᵢ, ỹⱼ) = (1-p)²Cov(yᵢ, yⱼ).
func (j Joint) SaltAndPepper(p float64, low, high []float64) Joint {
	mean := make([]float64, len(j.Mean))
	for c := range mean {
		mean[c] = (low[c] + high[c]) / 2
	}
	return j.replaced(replacement{
		rate:   p,
		mean:   mean,
		within: func(c, _ int) float64 { return (low[c]*low[c] + high[c]*high[c]) / 2 },
		field:  fieldOfColumn(nil, len(j.Mean)),
	})
}

// Swap is the stage that replaces each field, with probability p, by the same
// field of the clean x of another row, independently by field. From a
// distribution (Clean.Rows = 0) and with every column its own field
//
//	Cov(x, x̃) = (1-p)Σ,  Cov(x̃ᵢ, x̃ⱼ) = (1-p)²Σᵢⱼ,  Var(x̃ⱼ) = Σⱼⱼ.
//
// In a table of n rows the donor is never the row itself, so that it is
// correlated with it by -1/(n-1), which is taken into account: 1-p becomes
// 1 - pn/(n-1).
func (j Joint) Swap(p float64) Joint {
	clean := j.Clean
	r := replacement{
		rate:   p,
		mean:   clean.Mean,
		within: func(a, b int) float64 { return clean.Covariance.At(a, b) + clean.Mean[a]*clean.Mean[b] },
		field:  j.field,
	}
	if clean.Rows > 1 {
		r.coupling = 1 / float64(clean.Rows-1)
	}
	return j.replaced(r)
}

// square is E[x̃²] of a column.
func (j Joint) square(c int) float64 { return j.Noisy.At(c, c) + j.Mean[c]*j.Mean[c] }

// withNoise adds uncorrelated noise of the given variances, of mean 0 given y.
func (j Joint) withNoise(variance func(column int) float64) Joint {
	noisy := mat.NewSymDense(len(j.Mean), nil)
	noisy.CopySym(j.Noisy)
	for c := range j.Mean {
		noisy.SetSym(c, c, noisy.At(c, c)+variance(c))
	}
	j.Noisy = noisy
	return j
}

// replacement describes a stage that puts r in the place of y in each field with
// probability rate. Donors of different fields are independent; each has
// Cov(x, r) = -coupling·Σ with the row that it is put in.
type replacement struct {
	rate     float64
	mean     []float64              // [D] E[r]
	within   func(a, b int) float64 // E[r_a r_b] of two columns of a field
	field    []int                  // the field of each column
	coupling float64
}

// replaced applies a replacement.
func (j Joint) replaced(r replacement) Joint {
	d, p, keep := len(j.Mean), r.rate, 1-r.rate
	clean := j.Clean.Covariance
	next := Joint{Clean: j.Clean, Mean: make([]float64, d), Cross: mat.NewDense(d, d, nil), Noisy: mat.NewSymDense(d, nil), field: j.field}
	for c := range d {
		next.Mean[c] = keep*j.Mean[c] + p*r.mean[c]
	}
	for a := range d {
		for b := range d {
			next.Cross.Set(a, b, keep*j.Cross.At(a, b)-p*r.coupling*clean.At(a, b))
		}
		for b := a; b < d; b++ {
			if r.field[a] == r.field[b] {
				second := keep*(j.Noisy.At(a, b)+j.Mean[a]*j.Mean[b]) + p*r.within(a, b)
				next.Noisy.SetSym(a, b, second-next.Mean[a]*next.Mean[b])
				continue
			}
			one := -r.coupling * (j.Cross.At(a, b) + j.Cross.At(b, a)) // y of one column, r of the other
			both := r.coupling * r.coupling * clean.At(a, b)
			next.Noisy.SetSym(a, b, keep*keep*j.Noisy.At(a, b)+keep*p*one+p*p*both)
		}
	}
	return next
}

// Best is the linear denoiser of least expected MSE,
//
//	W = Cov(x, x̃) Cov(x̃, x̃)⁺,  b = E[x] - W E[x̃],
//
// with the pseudo-inverse where columns of x̃ are constant or linearly dependent,
// and no ridge.
func (j Joint) Best() (Linear, error) {
	inverse, err := pseudoInverse(j.Noisy)
	if err != nil {
		return Linear{}, fmt.Errorf("best linear denoiser: %w", err)
	}
	var w mat.Dense
	w.Mul(j.Cross, inverse)
	return affine(&w, j.Clean.Mean, j.Mean), nil
}

// BestRank is the best linear denoiser with a W of rank q at most, that of a
// linear auto-encoder with q code units: V_q V_qᵀ W, W being that of Best and V_q
// the first eigenvectors of W Cov(x̃, x̃) Wᵀ (reduced-rank regression: Izenman 1975).
// q is clipped to the features.
func (j Joint) BestRank(q int) (Linear, error) {
	full, err := j.Best()
	if err != nil {
		return Linear{}, err
	}
	d := len(j.Mean)
	explained := mat.NewSymDense(d, nil)
	var half, product mat.Dense
	half.Mul(full.W, j.Noisy)
	product.Mul(&half, full.W.T())
	for a := range d {
		for b := a; b < d; b++ {
			explained.SetSym(a, b, (product.At(a, b)+product.At(b, a))/2)
		}
	}
	_, vectors, err := eigen(explained)
	if err != nil {
		return Linear{}, fmt.Errorf("best linear denoiser of rank %d: %w", q, err)
	}
	kept := make([]float64, d)
	for k := range min(q, d) {
		kept[k] = 1
	}
	var w mat.Dense
	w.Mul(spectral(kept, vectors), full.W)
	return affine(&w, j.Clean.Mean, j.Mean), nil
}

// MSE is the expected error of an affine denoiser, over examples, corruptions
// and features:
//
//	(1/D)·( tr[W Cov(x̃) Wᵀ] - 2 tr[W Cov(x̃, x)] + tr Σ + ‖W E[x̃] + b - μ‖² )
func (j Joint) MSE(l Linear) float64 {
	d := len(j.Mean)
	var spread mat.Dense
	spread.Mul(l.W, j.Noisy)
	total := j.Clean.trace()
	for a := range d {
		at := l.Bias[a] - j.Clean.Mean[a]
		for b := range d {
			w := l.W.At(a, b)
			total += w * (spread.At(a, b) - 2*j.Cross.At(a, b))
			at += w * j.Mean[b]
		}
		total += at * at
	}
	return total / float64(d)
}

// IdentityMSE is the expected MSE of r(x̃) = x̃,
//
//	(1/D)·( tr Cov(x̃) - 2 tr Cov(x, x̃) + tr Σ + ‖E[x̃] - μ‖² ):
//
// σ² under gaussian noise, p·E[x²] averaged over columns under masking, and
// 2p·Var(x)·n/(n-1) under swap.
func (j Joint) IdentityMSE() float64 {
	total := j.Clean.trace()
	for c, mean := range j.Mean {
		shift := mean - j.Clean.Mean[c]
		total += j.Noisy.At(c, c) - 2*j.Cross.At(c, c) + shift*shift
	}
	return total / float64(len(j.Mean))
}

// MeanMSE is the expected MSE of r(x̃) = μ: tr Σ/D.
func (j Joint) MeanMSE() float64 { return j.Clean.trace() / float64(len(j.Mean)) }
