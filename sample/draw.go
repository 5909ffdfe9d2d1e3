package sample

import (
	"fmt"
	"math"

	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/model"
)

// family draws x ~ p(x|h) from the decoder's output. Its words are those of
// stream StreamDraw at the chain's row and step; column j, or field j of a
// categorical likelihood, takes word j.
type family struct {
	likelihood model.Likelihood
	features   int
	fields     []int
	key        philox.Key
}

// newFamily is that of a model; spread, unless it is 0, replaces the σ of a
// gaussian likelihood.
func newFamily(d *model.DAE, spread float64, seed uint64) (*family, error) {
	f := &family{d.Likelihood(), d.Config().Features, d.Config().Fields, philox.KeyOf(seed)}
	if spread == 0 {
		return f, nil
	}
	if f.likelihood.Kind != device.Gaussian || !(spread > 0) {
		return nil, fmt.Errorf("a spread of %g for a likelihood %s: it is the σ of gaussian, and positive", spread, f.likelihood.Kind)
	}
	f.likelihood.Sigma = spread
	return f, nil
}

// width is the number of parameters of an example.
func (f *family) width() int { return f.likelihood.Kind.Width(f.features) }

// draw fills x [features] from params [width].
func (f *family) draw(x, params []float32, chain, step uint32) {
	at := philox.Coordinates{Stream: philox.StreamDraw, Index: indexLikelihood, Row: chain, Step: step}
	random := words{at: at, key: f.key}
	switch f.likelihood.Kind {
	case device.Bernoulli:
		for j, a := range params {
			x[j] = 0
			if philox.Fires(random.word(j), philox.Threshold(1/(1+math.Exp(-float64(a))))) {
				x[j] = 1
			}
		}
	case device.Gaussian:
		for j, mean := range params {
			x[j] = gaussian(mean, f.likelihood.Sigma, random.normal(j))
		}
	case device.GaussianLearned:
		floor := f.likelihood.Sigma
		for j, mean := range params[:f.features] {
			x[j] = gaussian(mean, math.Sqrt(math.Exp(float64(params[f.features+j]))+floor*floor), random.normal(j))
		}
	case device.Categorical:
		eachField(f.fields, func(field, from, to int) {
			clear(x[from:to])
			x[from+category(params[from:to], philox.Uniform(random.word(field)))] = 1
		})
	case device.Poisson:
		for j, a := range params {
			at.Block = uint32(j)
			x[j] = philox.Poisson(float32(math.Exp(float64(a))), at, f.key)
		}
	default:
		panic(fmt.Sprintf("sample: no draw from likelihood %s", f.likelihood.Kind))
	}
}

func gaussian(mean float32, sigma float64, z float32) float32 {
	return float32(float64(mean) + float64(sigma*float64(z)))
}

// category inverts the cumulative distribution softmax(a) at u in [0, 1).
func category(a []float32, u float32) int {
	highest, total := math.Inf(-1), 0.0
	for _, v := range a {
		highest = max(highest, float64(v))
	}
	for _, v := range a {
		total += math.Exp(float64(v) - highest)
	}
	rest := float64(u) * total
	for i, v := range a {
		if rest -= math.Exp(float64(v) - highest); rest < 0 {
			return i
		}
	}
	return len(a) - 1
}
