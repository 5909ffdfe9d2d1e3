package reference

import (
	"fmt"
	"math"
	"testing"

	"gpudae/device"
	"gpudae/device/philox"
)

// total is Σ x.
func total(v device.View) float64 {
	sum := 0.0
	for _, x := range Float64s(v) {
		sum += x
	}
	return sum
}

// numbered is the index of rows 0, 1, ...
func (l *lab) numbered(rows int) device.Words {
	l.Helper()
	words := make([]uint32, device.IndexWords(rows))
	for i := range rows {
		words[i], words[rows+i] = uint32(i), uint32(i)
	}
	return l.words(words...)
}

// TestScoreMatchIsTheGradient, by differences, through D = c_skip·x̃ + c_out·F as
// Blend computes it.
func TestScoreMatchIsTheGradient(t *testing.T) {
	const rows, d, scale = 4, 5, 0.25
	l := newLab(t)
	level := l.words(2, 0, 1, 2)
	weight, skip, out := l.matrix(1, 3, 0.5, 2, 30), l.random(1, 3), l.random(1, 3)
	noisy, f, target := l.random(rows, d), l.random(rows, d), l.random(rows, d)
	denoised, losses, df := l.matrix(rows, d), l.matrix(rows, 1), l.matrix(rows, d)
	a := device.ScoreMatchArgs{Level: level, Weight: weight, OutScale: out, Denoised: denoised, Target: target, Losses: losses, Scale: scale}
	forward := func() float64 {
		l.d.Blend(device.BlendArgs{Level: level, Alpha: skip, Beta: out, X: noisy, Y: f, Out: denoised})
		l.d.ScoreMatch(a)
		return scale * total(losses)
	}
	forward()
	backward := a
	backward.DF = df
	l.d.ScoreMatch(backward)
	l.expectGradient("score match", forward, f, df)
}

// TestBlendIsTheGradientOfCondition, by differences: Beta = c_in and a Y that is
// wider take the gradient by [c_in·x̃ | embedding] to x̃.
func TestBlendIsTheGradientOfCondition(t *testing.T) {
	const rows, d, extra = 3, 4, 2
	l := newLab(t)
	level := l.words(1, 0, 1)
	scale, embedding, x := l.random(1, 2), l.random(2, extra), l.random(rows, d)
	out, c, dx := l.matrix(rows, d+extra), l.random(rows, d+extra), l.matrix(rows, d)
	l.d.Blend(device.BlendArgs{Level: level, Beta: scale, Y: c, Out: dx})
	l.expectGradient("condition", func() float64 {
		l.d.Condition(device.ConditionArgs{Level: level, Scale: scale, Embedding: embedding, X: x, Out: out})
		return inner(c, out)
	}, x, dx)
}

// TestSampleCodeBackwardIsTheGradient, by differences, of c·h + scale·Σ w·D with
// the noise held fixed. A Bernoulli unit has no derivative: its gradient is that
// of c·p, the mean of h.
func TestSampleCodeBackwardIsTheGradient(t *testing.T) {
	const rows, units, scale, tau = 5, 4, 0.7, 0.5
	for _, k := range device.Codes() {
		for variant := range 4 {
			sampled, weighted := variant&1 == 1, variant&2 == 2
			if sampled && k != device.CodeGaussian {
				continue
			}
			l := newLab(t)
			params, noise, code, c := l.random(rows, k.Width(units)), l.matrix(rows, units), l.matrix(rows, units), l.random(rows, units)
			divergence, dParams := l.matrix(rows, 1), l.matrix(rows, k.Width(units))
			a := device.SampleCodeArgs{Kind: k, Temperature: tau, Params: params, Noise: noise, Code: code, Divergence: divergence, Sampled: sampled,
				Seed: 3, Stream: philox.StreamCode, Replicates: 1, Index: l.numbered(rows)}
			weights := l.matrix(rows, 1, 1, 1, 1, 1, 1)
			b := device.SampleCodeBackwardArgs{Kind: k, Temperature: tau, Params: params, Noise: noise, Code: code, DCode: c, Sampled: sampled,
				Scale: scale, DParams: dParams}
			if weighted {
				copy(Float64s(weights), []float64{0.1, 2, 0, 0.5, 1})
				b.Weights = weights
			}
			l.d.SampleCode(a)
			l.d.SampleCodeBackward(b)
			l.expectGradient(fmt.Sprintf("%s, sampled %t, weighted %t", k, sampled, weighted), func() float64 {
				l.d.SampleCode(a)
				value := inner(c, code)
				if k == device.CodeBernoulli {
					value = 0
					for i, logit := range Float64s(params) {
						value += Float64s(c)[i] * sigmoid(logit)
					}
				}
				return value + scale*inner(weights, divergence)
			}, params, dParams)
		}
	}
}

// TestImportanceWeightsAreTheGradient, by differences: ∂Bounds/∂ℓ are Weights
// (Burda et al. 2016, equation 14).
func TestImportanceWeightsAreTheGradient(t *testing.T) {
	const examples, replicates = 3, 4
	l := newLab(t)
	terms, bounds, weights := l.random(examples*replicates, 1), l.matrix(examples, 1), l.matrix(examples*replicates, 1)
	a := device.ImportanceArgs{Replicates: replicates, Terms: terms, Bounds: bounds}
	backward := a
	backward.Weights = weights
	l.d.Importance(backward)
	l.expectGradient("importance", func() float64 {
		l.d.Importance(a)
		return total(bounds)
	}, terms, weights)
	for i := range examples {
		sum := 0.0
		for _, w := range Float64s(weights)[i*replicates : (i+1)*replicates] {
			sum += w
		}
		l.expectNear("the sum of weights", sum, 1, 1e-12)
	}
}

// TestImportanceOfEqualTerms: the bound of K equal terms is the term, for K = 1 it
// is the term itself, and it never exceeds the mean (Burda et al. 2016, theorem 1).
func TestImportanceOfEqualTerms(t *testing.T) {
	l := newLab(t)
	for _, replicates := range []int{1, 4} {
		terms, bounds := l.matrix(replicates, 1), l.matrix(1, 1)
		for i := range Float64s(terms) {
			Float64s(terms)[i] = 803.25
		}
		a := device.ImportanceArgs{Replicates: replicates, Terms: terms, Bounds: bounds}
		l.d.Importance(a)
		l.expectNear("the bound of equal terms", Float64s(bounds)[0], 803.25, 1e-12)
		if replicates > 1 {
			Float64s(terms)[0] = 700
			l.d.Importance(a)
			if mean := total(terms) / float64(replicates); Float64s(bounds)[0] >= mean {
				t.Errorf("the bound %g is not below the mean %g", Float64s(bounds)[0], mean)
			}
		}
	}
}

// TestDivergenceIsAnIntegral: KL(q‖p) of a unit by the sum over h, or by
// quadrature of q·ln(q/p).
func TestDivergenceIsAnIntegral(t *testing.T) {
	for _, a := range []float64{-3, -0.2, 0, 1.7} {
		for _, s := range []float64{-2, 0, 0.9} {
			q, want := posterior{kind: device.CodeGaussian, a: a, s: s}, 0.0
			const step = 1e-3
			for z := -12.0; z < 12; z += step {
				want += step * math.Exp(-z*z/2) / math.Sqrt(2*math.Pi) * q.logRatio(z, q.draw(z))
			}
			if math.Abs(q.divergence()-want) > 1e-6 {
				t.Errorf("gaussian, μ = %g, s = %g: divergence %g, by quadrature %g", a, s, q.divergence(), want)
			}
		}
		p, bits := sigmoid(a), 0.0
		for _, share := range []float64{p, 1 - p} {
			bits += share * math.Log(share/0.5)
		}
		if q := (posterior{kind: device.CodeBernoulli, a: a}); math.Abs(q.divergence()-bits) > 1e-12 {
			t.Errorf("bernoulli, a = %g: divergence %g, by its sum %g", a, q.divergence(), bits)
		}
	}
}
