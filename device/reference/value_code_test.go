package reference

import (
	"math"
	"testing"

	"gpudae/device"
	"gpudae/device/philox"
)

// TestLevelsByHand: what a score model's operations make of small numbers.
func TestLevelsByHand(t *testing.T) {
	l := newLab(t)
	level := l.words(1, 0)
	x, out := l.matrix(2, 2, 1, 2, 3, 4), l.matrix(2, 3)
	l.d.Condition(device.ConditionArgs{Level: level, Scale: l.matrix(1, 2, 10, 100), Embedding: l.matrix(2, 1, 7, 8), X: x, Out: out})
	l.expectMatrix("[c_in·x̃ | embedding]", out, 100, 200, 8, 30, 40, 7)
	blended := l.matrix(2, 2)
	l.d.Blend(device.BlendArgs{Level: level, Alpha: l.matrix(1, 2, 1, -1), Beta: l.matrix(1, 2, 2, 3), X: x, Y: out, Out: blended})
	l.expectMatrix("α·x + β·y of a wider y", blended, 299, 598, 63, 84)
	l.d.Blend(device.BlendArgs{Level: level, Beta: l.matrix(1, 2, 2, 3), Y: x, Out: blended})
	l.expectMatrix("β·y", blended, 3, 6, 6, 8)
	losses := l.matrix(2, 1)
	l.d.ScoreMatch(device.ScoreMatchArgs{Level: level, Weight: l.matrix(1, 2, 10, 4), OutScale: l.matrix(1, 2, 0.5, 3), Denoised: blended, Target: x,
		Losses: losses, DF: blended, Scale: 0.25})
	l.expectMatrix("½·w·Σ(D - x)²", losses, 0.5*4*(2*2+4*4), 0.5*10*(3*3+4*4))
	l.expectMatrix("scale·w·c_out·(D - x)", blended, 0.25*4*3*2, 0.25*4*3*4, 0.25*10*0.5*3, 0.25*10*0.5*4)
	l.d.ScaleRows(device.ScaleRowsArgs{Scale: l.matrix(2, 1, 2, -1), X: x, Y: x})
	l.expectMatrix("rows times 2 and -1", x, 2, 4, -3, -4)
}

// TestImportanceByHand: terms ln 2 and ln 6 are ratios of 1/2 and 1/6, whose mean
// is 1/3.
func TestImportanceByHand(t *testing.T) {
	l := newLab(t)
	terms, bounds := l.matrix(2, 1, math.Log(2), math.Log(6)), l.matrix(1, 1)
	l.d.Importance(device.ImportanceArgs{Replicates: 2, Terms: terms, Bounds: bounds, Weights: terms})
	l.expectNear("the bound", Float64s(bounds)[0], math.Log(3), 1e-15)
	l.expectNear("the first weight", Float64s(terms)[0], 0.75, 1e-15)
	l.expectNear("the second weight", Float64s(terms)[1], 0.25, 1e-15)
}

// TestCodesByHand: a Gaussian code is μ + 2z for s = ln 4; a concrete one tends, as
// the temperature falls, to the Bernoulli unit of 1-u.
func TestCodesByHand(t *testing.T) {
	const rows, units = 6, 3
	l := newLab(t)
	index := l.numbered(rows)
	at := func(k device.Code, tau float32, values ...float64) (noise, code, divergence device.View) {
		params := l.matrix(rows, k.Width(units))
		for i := range Float64s(params) {
			Float64s(params)[i] = values[i%len(values)]
		}
		noise, code, divergence = l.matrix(rows, units), l.matrix(rows, units), l.matrix(rows, 1)
		l.d.SampleCode(device.SampleCodeArgs{Kind: k, Temperature: tau, Params: params, Noise: noise, Code: code, Divergence: divergence, Seed: 1,
			Stream: philox.StreamCode, Replicates: 1, Index: index})
		return noise, code, divergence
	}
	logFour := math.Log(4)
	z, h, divergence := at(device.CodeGaussian, 0, 1, 1, 1, logFour, logFour, logFour)
	for i, v := range Float64s(h) {
		l.expectNear("a gaussian code", v, 1+2*Float64s(z)[i], 1e-15)
	}
	l.expectNear("its divergence", Float64s(divergence)[0], 3*(1+4-logFour-1)/2, 1e-14)
	_, bits, divergence := at(device.CodeBernoulli, 0, 0.4)
	p := sigmoid(0.4)
	l.expectNear("a bernoulli code's divergence", Float64s(divergence)[0], 3*(p*math.Log(2*p)+(1-p)*math.Log(2*(1-p))), 1e-14)
	uniform, relaxed, again := at(device.CodeConcrete, 1e-4, 0.4)
	l.expectNear("a concrete code's divergence", Float64s(again)[0], Float64s(divergence)[0], 1e-15)
	ones := 0.0
	for i, b := range Float64s(bits) {
		want := 0.0
		if 1-Float64s(uniform)[i] < p {
			want = 1
		}
		l.expectNear("a concrete code at a low temperature", Float64s(relaxed)[i], want, 1e-9)
		ones += b
	}
	if ones == 0 || ones == rows*units {
		t.Error("all units are on the same side")
	}
}

// TestDrawsByHand: certain events happen, and a fixed spread of zero draws the mean.
func TestDrawsByHand(t *testing.T) {
	l := newLab(t)
	inf := math.Inf(1)
	a := device.DrawArgs{Seed: 1, Stream: philox.StreamDraw, Replicates: 1, Index: l.numbered(2)}
	draw := func(k device.Likelihood, params ...float64) device.View {
		a := a
		a.Kind, a.Params, a.Out = k, l.matrix(2, len(params)/2, params...), l.matrix(2, 3)
		if k == device.Categorical {
			a.Fields = device.Fields{Count: 2, OfColumn: l.words(0, 0, 1), Offsets: l.words(0, 2, 3)}
		}
		l.d.Draw(a)
		return a.Out
	}
	l.expectMatrix("certain bits", draw(device.Bernoulli, inf, -inf, 50, -50, inf, -inf), 1, 0, 1, 0, 1, 0)
	l.expectMatrix("means", draw(device.Gaussian, 1, 2, 3, 4, 5, 6), 1, 2, 3, 4, 5, 6)
	l.expectMatrix("means of no variance", draw(device.GaussianLearned, 1, 2, 3, -inf, -inf, -inf, 4, 5, 6, -inf, -inf, -inf), 1, 2, 3, 4, 5, 6)
	l.expectMatrix("certain columns", draw(device.Categorical, 0, 900, -5, 900, 0, 7), 0, 1, 1, 1, 0, 1)
	l.expectMatrix("counts of rate zero", draw(device.Poisson, -inf, -inf, -inf, -inf, -inf, -inf), 0, 0, 0, 0, 0, 0)
}
