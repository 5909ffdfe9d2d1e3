package baseline

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Likelihood is a family p(x|h) as a reconstruction is scored under it. The
// reconstruction is taken as the mean E[x|h]; what the mean leaves open is a
// Noise.
type Likelihood struct {
	Name   string  // bernoulli, gaussian, gaussian-learned, categorical or poisson
	Sigma  float64 // gaussian: σ; gaussian-learned: the floor of σ, 0 for 1e-6
	Fields []int   // categorical: widths of the one-hot fields, nil for a single one
}

// Noise is what a likelihood needs besides the mean.
type Noise struct {
	// Clip is how close a mean may come to where it would be infinitely wrong:
	// for bernoulli it is moved into [Clip, 1-Clip]; for categorical it is raised
	// to Clip, after which the field is divided by its sum; for poisson it is
	// raised to Clip.
	Clip float64
	// Variances is the variance of each column, for the gaussians.
	Variances []float64
}

// check reports a likelihood that cannot score rows of so many features.
func (l Likelihood) check(features int) error {
	switch l.Name {
	case "bernoulli", "poisson", "gaussian-learned":
	case "gaussian":
		if !(l.Sigma > 0) {
			return fmt.Errorf("gaussian likelihood with σ = %g", l.Sigma)
		}
	case "categorical":
		total := 0
		for _, width := range l.Fields {
			total += width
		}
		if l.Fields != nil && total != features {
			return fmt.Errorf("categorical likelihood with fields of %d columns for %d features", total, features)
		}
	default:
		return fmt.Errorf("unknown likelihood %q", l.Name)
	}
	return nil
}

// Fit chooses the Noise under which the pairs of clean rows and reconstructions
// are most likely: for gaussian-learned the mean squared residual of each column
// (at least Sigma²), for bernoulli, categorical and poisson the best Clip of a
// list from 10⁻⁶ to ½, for poisson in units of the mean count. A clip that
// nobody chose would decide the score of every reconstruction that is sometimes
// sure and wrong, such as x̃ itself. It looks at 1,000 pairs at most.
func (l Likelihood) Fit(ctx context.Context, clean, mean Rows) (Noise, error) {
	const pairs = 1000
	if err := checkPair("clean", clean, mean); err != nil {
		return Noise{}, err
	}
	if err := l.check(clean.Features); err != nil {
		return Noise{}, err
	}
	switch l.Name {
	case "gaussian":
		return Noise{Variances: slices.Repeat([]float64{l.Sigma * l.Sigma}, clean.Features)}, nil
	case "gaussian-learned":
		return l.fitVariances(ctx, clean, mean)
	}
	clean, mean = clean.Thin(pairs), mean.Thin(pairs)
	best, least := Noise{}, math.Inf(1)
	for _, clip := range clips(l, clean) {
		nll, err := l.NLL(ctx, Noise{Clip: clip}, clean, mean)
		if err != nil {
			return Noise{}, err
		}
		if nll < least || best.Clip == 0 {
			best, least = Noise{Clip: clip}, nll
		}
	}
	return best, nil
}

func (l Likelihood) fitVariances(ctx context.Context, clean, mean Rows) (Noise, error) {
	const smallest = 1e-6
	floor := l.Sigma
	if floor == 0 {
		floor = smallest
	}
	d := clean.Features
	variances := make([]float64, d)
	err := eachBlock(ctx, clean.Len(), func(from, to int) {
		for i := from * d; i < to*d; i++ {
			r := float64(clean.Values[i]) - float64(mean.Values[i])
			variances[i%d] += r * r
		}
	})
	for j := range variances {
		variances[j] = max(variances[j]/float64(clean.Len()), floor*floor)
	}
	return Noise{Variances: variances}, err
}

// clips lists the values of Clip that Fit tries.
func clips(l Likelihood, clean Rows) []float64 {
	scale := 1.0
	if l.Name == "poisson" {
		var sum float64
		for _, v := range clean.Values {
			sum += float64(v)
		}
		if sum > 0 {
			scale = sum / float64(len(clean.Values))
		}
	}
	list := []float64{0.5}
	for _, power := range []float64{1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6} {
		list = append(list, 3*power, 2*power, power)
	}
	for i := range list {
		list[i] *= scale
	}
	return list
}

// NLL is the mean over examples of -log p(x|mean) in nats, with every constant
// included; the formulas are, by feature,
//
//	bernoulli    -x ln m - (1-x) ln(1-m)        (a convention for 0 < x < 1)
//	gaussian     ½((x-m)²/v + ln v + ln 2π)
//	categorical  -Σ x ln m over a field
//	poisson      m - x ln m + ln Γ(x+1)
func (l Likelihood) NLL(ctx context.Context, noise Noise, clean, mean Rows) (float64, error) {
	if err := checkPair("clean", clean, mean); err != nil {
		return 0, err
	}
	if err := l.check(clean.Features); err != nil {
		return 0, err
	}
	row := l.row(noise, clean.Features)
	var total float64
	err := eachBlock(ctx, clean.Len(), func(from, to int) {
		var sum float64
		for i := from; i < to; i++ {
			sum += row(clean.Row(i), mean.Row(i))
		}
		total += sum
	})
	return total / float64(clean.Len()), err
}

// row returns the function that scores one example.
func (l Likelihood) row(noise Noise, features int) func(x, mean []float32) float64 {
	switch l.Name {
	case "bernoulli":
		return func(x, mean []float32) float64 { return bernoulli(x, mean, noise.Clip) }
	case "categorical":
		fields := l.Fields
		if fields == nil {
			fields = []int{features}
		}
		return func(x, mean []float32) float64 { return categorical(x, mean, fields, noise.Clip) }
	case "poisson":
		return func(x, mean []float32) float64 { return poisson(x, mean, noise.Clip) }
	}
	return func(x, mean []float32) float64 { return gaussian(x, mean, noise.Variances) }
}

func bernoulli(x, mean []float32, clip float64) (nats float64) {
	for j := range x {
		m := min(max(float64(mean[j]), clip), 1-clip)
		nats -= float64(x[j])*math.Log(m) + (1-float64(x[j]))*math.Log1p(-m)
	}
	return nats
}

func gaussian(x, mean []float32, variances []float64) (nats float64) {
	for j, v := range variances {
		r := float64(x[j]) - float64(mean[j])
		nats += (r*r/v + math.Log(2*math.Pi*v)) / 2
	}
	return nats
}

func categorical(x, mean []float32, fields []int, clip float64) (nats float64) {
	from := 0
	for _, width := range fields {
		var sum, count float64
		for j := from; j < from+width; j++ {
			m := max(float64(mean[j]), clip)
			sum += m
			count += float64(x[j])
			if x[j] != 0 {
				nats -= float64(x[j]) * math.Log(m)
			}
		}
		nats += count * math.Log(sum)
		from += width
	}
	return nats
}

func poisson(x, mean []float32, clip float64) (nats float64) {
	for j := range x {
		m := max(float64(mean[j]), clip)
		normalizer, _ := math.Lgamma(float64(x[j]) + 1)
		nats += m - float64(x[j])*math.Log(m) + normalizer
	}
	return nats
}
