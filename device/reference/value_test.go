package reference

import (
	"fmt"
	"math"
	"testing"

	"gpudae/device"
)

// TestActivationValues at points where they are known to many digits.
func TestActivationValues(t *testing.T) {
	l := newLab(t)
	for _, v := range []struct {
		kind device.Activation
		a, y float64
	}{
		{device.Identity, -2.5, -2.5},
		{device.ReLU, -1, 0}, {device.ReLU, 3, 3},
		{device.LeakyReLU, -2, -0.02}, {device.LeakyReLU, 3, 3},
		{device.ELU, -1, 1/math.E - 1}, {device.ELU, 2, 2}, {device.ELU, -1e-12, -9.999999999995e-13},
		{device.GELU, 1, 0.841344746068542949}, {device.GELU, -1, -0.158655253931457051}, {device.GELU, 0, 0},
		{device.SiLU, 1, 0.731058578630004879}, {device.SiLU, -800, 0},
		{device.Sigmoid, 0, 0.5}, {device.Sigmoid, 2, 0.880797077977882444}, {device.Sigmoid, -800, 0}, {device.Sigmoid, 800, 1},
		{device.Tanh, 1, 0.761594155955764888}, {device.Tanh, 400, 1},
		{device.Softplus, 0, math.Ln2}, {device.Softplus, 800, 800}, {device.Softplus, -40, 4.24835425529158900e-18},
	} {
		x := l.matrix(1, 1, v.a)
		l.d.Activate(device.ActivateArgs{Act: v.kind, X: x, Y: x})
		if got := Float64s(x)[0]; !(math.Abs(got-v.y) <= 1e-15*math.Abs(v.y)+1e-300) {
			t.Errorf("%s(%g) is %.18g, want %.18g", v.kind, v.a, got, v.y)
		}
	}
}

// TestDerivativesAtKinks are the ones of the left side.
func TestDerivativesAtKinks(t *testing.T) {
	l := newLab(t)
	for k, want := range map[device.Activation]float64{device.ReLU: 0, device.LeakyReLU: device.LeakySlope, device.ELU: 1} {
		y, dy := l.matrix(1, 1, 0), l.matrix(1, 1, 1)
		l.d.ActivateBackward(device.ActivateBackwardArgs{Act: k, Y: y, DY: dy, DX: dy})
		if got := Float64s(dy)[0]; got != want {
			t.Errorf("%s'(0) is %g, want %g", k, got, want)
		}
	}
}

// TestDenseByHand: the numbers are small enough to check in the head.
func TestDenseByHand(t *testing.T) {
	l := newLab(t)
	x, w, bias := l.matrix(2, 3, 1, 2, 3, 4, 5, 6), l.matrix(2, 3, 1, 0, -1, 2, 2, 2), l.matrix(1, 2, 10, 20)
	y, pre := l.matrix(2, 2), l.matrix(2, 2)
	l.d.Dense(device.DenseArgs{X: x, W: w, Bias: bias, Act: device.ReLU, Pre: pre, Y: y})
	l.expectMatrix("X·Wᵀ + b", pre, 8, 32, 8, 50)
	bias = l.matrix(1, 2, -100, -40)
	l.d.Dense(device.DenseArgs{X: x, W: w, Bias: bias, Act: device.ReLU, Y: y})
	l.expectMatrix("relu(X·Wᵀ + b)", y, 0, 0, 0, 0)
	l.d.Dense(device.DenseArgs{X: y, W: w, Act: device.Identity, Transposed: true, Bias: l.matrix(1, 3, 1, 2, 3), Y: x})
	l.expectMatrix("0·W + b", x, 1, 2, 3, 1, 2, 3)
	l.d.Dense(device.DenseArgs{X: l.matrix(2, 2, 1, 2, 3, 4), W: w, Transposed: true, Y: x})
	l.expectMatrix("X·W", x, 5, 4, 3, 11, 8, 5)
}

func (l *lab) expectMatrix(what string, got device.View, want ...float64) {
	l.Helper()
	for i, v := range Float64s(got) {
		l.expectNear(fmt.Sprintf("%s[%d]", what, i), v, want[i], 1e-12)
	}
}

// TestNormalizeByHand: the row 1, 3 has mean 2 and variance 1; the column 1, 3,
// 8 has mean 4, biased variance 26/3 and unbiased variance 13.
func TestNormalizeByHand(t *testing.T) {
	l := newLab(t)
	one, zero := l.matrix(1, 2, 1, 1), l.matrix(1, 2)
	y, mean, invStd := l.matrix(1, 2), l.matrix(1, 1), l.matrix(1, 1)
	l.d.Normalize(device.NormalizeArgs{Kind: device.LayerNorm, X: l.matrix(1, 2, 1, 3), Gain: one, Bias: zero, Mean: mean, InvStd: invStd, Y: y})
	l.expectMatrix("layer norm", y, -1, 1)
	l.expectMatrix("mean", mean, 2)

	column := l.matrix(3, 1, 1, 3, 8)
	runningMean, runningVar := l.matrix(1, 1, 100), l.matrix(1, 1, 1)
	a := device.NormalizeArgs{Kind: device.BatchNorm, Training: true, Momentum: 0.25, X: column, Gain: l.matrix(1, 1, 2), Bias: l.matrix(1, 1, 5),
		RunningMean: runningMean, RunningVar: runningVar, Mean: mean, InvStd: invStd, Y: l.matrix(3, 1)}
	l.d.Normalize(a)
	scale := 2 / math.Sqrt(26.0/3)
	l.expectMatrix("batch norm", a.Y, 5-3*scale, 5-scale, 5+4*scale)
	l.expectMatrix("running mean", runningMean, 76)
	l.expectMatrix("running variance", runningVar, 4)
	a.Training = false
	l.d.Normalize(a)
	l.expectMatrix("batch norm outside training", a.Y, 5-75, 5-73, 5-68)
	l.expectMatrix("running mean outside training", runningMean, 76)
}

// TestLikelihoodsAreNormalised: the probability of everything is 1, so that no
// constant is missing, and Mean is the expectation under it. Discrete families
// are summed, continuous ones integrated by the trapezium rule, which for a
// smooth function that vanishes at the ends converges faster than any power.
func TestLikelihoodsAreNormalised(t *testing.T) {
	counts := make([]float64, 120)
	for i := range counts {
		counts[i] = float64(i)
	}
	grid, step := make([]float64, 4001), 0.01
	for i := range grid {
		grid[i] = (float64(i) - 2000) * step
	}
	for _, v := range []struct {
		kind    device.Likelihood
		params  []float64
		points  []float64
		measure float64
	}{
		{device.Bernoulli, []float64{0.7}, []float64{0, 1}, 1},
		{device.Poisson, []float64{2.1}, counts, 1},
		{device.Gaussian, []float64{-0.4}, grid, step},
		{device.GaussianLearned, []float64{1.3, -0.8}, grid, step},
	} {
		l := newLab(t)
		params, losses := l.matrix(1, len(v.params), v.params...), l.matrix(1, 1)
		total, expectation := 0.0, 0.0
		for _, x := range v.points {
			l.d.Likelihood(device.LikelihoodArgs{Kind: v.kind, Sigma: 0.75, Params: params, Target: l.matrix(1, 1, x), Losses: losses})
			p := math.Exp(-Float64s(losses)[0]) * v.measure
			total += p
			expectation += p * x
		}
		mean := l.matrix(1, 1)
		l.d.Mean(device.MeanArgs{Kind: v.kind, Params: params, Out: mean})
		l.expectNear(v.kind.String()+": total probability", total, 1, 1e-12)
		l.expectNear(v.kind.String()+": mean", Float64s(mean)[0], expectation, 1e-12)
	}
}

// TestCategoricalIsNormalised: over the values of each of two fields, at the
// same parameters; the fields are independent.
func TestCategoricalIsNormalised(t *testing.T) {
	l := newLab(t)
	params := l.matrix(1, 5, 3, -1, 0.5, 40, 38)
	fields := device.Fields{Count: 2, OfColumn: l.words(0, 0, 0, 1, 1), Offsets: l.words(0, 3, 5)}
	total, losses, expectation := 0.0, l.matrix(1, 1), make([]float64, 5)
	for first := range 3 {
		for second := range 2 {
			x := make([]float64, 5)
			x[first], x[3+second] = 1, 1
			l.d.Likelihood(device.LikelihoodArgs{Kind: device.Categorical, Fields: fields, Params: params, Target: l.matrix(1, 5, x...), Losses: losses})
			p := math.Exp(-Float64s(losses)[0])
			total += p
			expectation[first] += p
			expectation[3+second] += p
		}
	}
	mean := l.matrix(1, 5)
	l.d.Mean(device.MeanArgs{Kind: device.Categorical, Fields: fields, Params: params, Out: mean})
	l.expectNear("total probability", total, 1, 1e-12)
	l.expectMatrix("mean", mean, expectation...)
}

// TestEmphasisWeighsDestroyedFeatures: with unit losses known, the weights of
// Vincent et al. 2010 are α on destroyed and β on untouched features.
func TestEmphasisWeighsDestroyedFeatures(t *testing.T) {
	l := newLab(t)
	// ½(x-μ)² + ½ ln 2π of x - μ = 1, 2, 3.
	constant := math.Log(2*math.Pi) / 2
	a := device.LikelihoodArgs{Kind: device.Gaussian, Sigma: 1, Params: l.matrix(1, 3), Target: l.matrix(1, 3, 1, 2, 3),
		Mask: l.matrix(1, 3, 1, 0, 1), Destroyed: 2, Untouched: 0.5, Losses: l.matrix(1, 1), DParams: l.matrix(1, 3), Scale: 4}
	l.d.Likelihood(a)
	l.expectMatrix("loss", a.Losses, 2*(0.5+constant)+0.5*(2+constant)+2*(4.5+constant))
	l.expectMatrix("gradient", a.DParams, -4*2*1, -4*0.5*2, -4*2*3)
}
