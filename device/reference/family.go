package reference

import (
	"fmt"
	"math"

	"gpudae/device"
)

// family is a likelihood p(x|a) of one unit: loss is -log p in nats, gradient
// its derivative by each element of a, and mean E[x|a].
type family struct {
	loss     func(a, x []float64, sigma float64) float64
	gradient func(a, x []float64, sigma float64) []float64
	mean     func(a []float64) []float64
	draw     func(a []float64, sigma float64, c cell) []float64 // at the unit's coordinates
}

var families = [...]family{
	device.Bernoulli:       {bernoulliLoss, bernoulliGradient, bernoulliMean, drawBernoulli},
	device.Gaussian:        {gaussianLoss, gaussianGradient, gaussianMean, drawGaussian},
	device.GaussianLearned: {gaussianLearnedLoss, gaussianLearnedGradient, gaussianMean, drawGaussianLearned},
	device.Categorical:     {categoricalLoss, categoricalGradient, softmax, drawCategorical},
	device.Poisson:         {poissonLoss, poissonGradient, poissonMean, drawPoisson},
	device.Mixed:           {}, // its columns' are those above, and codes
}

// codes is the categorical family of a column that holds codes.
var codes = family{codeLoss, codeGradient, mostProbable, drawCode}

var logTwoPi = math.Log(2 * math.Pi)

// bernoulliLoss: softplus(a) - x·a.
func bernoulliLoss(a, x []float64, _ float64) float64 { return softplus(a[0]) - x[0]*a[0] }

func bernoulliGradient(a, x []float64, _ float64) []float64 {
	return []float64{sigmoid(a[0]) - x[0]}
}

func bernoulliMean(a []float64) []float64 { return []float64{sigmoid(a[0])} }

// gaussianLoss: ½((x-μ)/σ)² + ln σ + ½ ln 2π.
func gaussianLoss(mu, x []float64, sigma float64) float64 {
	z := (x[0] - mu[0]) / sigma
	return z*z/2 + math.Log(sigma) + logTwoPi/2
}

func gaussianGradient(mu, x []float64, sigma float64) []float64 {
	return []float64{(mu[0] - x[0]) / (sigma * sigma)}
}

func gaussianMean(a []float64) []float64 { return a[:1] }

// gaussianLearnedLoss: ½(ln v + (x-μ)²/v + ln 2π), a = [μ, s], v = exp(s) + σ².
func gaussianLearnedLoss(a, x []float64, sigma float64) float64 {
	v := math.Exp(a[1]) + sigma*sigma
	r := x[0] - a[0]
	return (math.Log(v) + r*r/v + logTwoPi) / 2
}

// gaussianLearnedGradient: ∂v/∂s = exp(s).
func gaussianLearnedGradient(a, x []float64, sigma float64) []float64 {
	v := math.Exp(a[1]) + sigma*sigma
	r := x[0] - a[0]
	return []float64{-r / v, math.Exp(a[1]) * (1 - r*r/v) / (2 * v)}
}

// categoricalLoss: (Σx)·logsumexp(a) - Σ x·a.
func categoricalLoss(a, x []float64, _ float64) float64 {
	normaliser, loss := logSumExp(a), 0.0
	for k := range a {
		loss += x[k] * (normaliser - a[k])
	}
	return loss
}

func categoricalGradient(a, x []float64, _ float64) []float64 {
	total := 0.0
	for _, v := range x {
		total += v
	}
	g := softmax(a)
	for k := range g {
		g[k] = total*g[k] - x[k]
	}
	return g
}

// codeLoss: logsumexp(a) - a_x.
func codeLoss(a, x []float64, _ float64) float64 { return categoricalLoss(a, oneHot(a, x), 0) }

func codeGradient(a, x []float64, _ float64) []float64 {
	return categoricalGradient(a, oneHot(a, x), 0)
}

// oneHot is a code as a categorical field of as many columns as a.
func oneHot(a, x []float64) []float64 {
	code := int(x[0])
	if float64(code) != x[0] {
		panic(fmt.Sprintf("reference: %g is no code", x[0]))
	}
	hot := make([]float64, len(a))
	hot[code] = 1
	return hot
}

// mostProbable is the code of the largest logit, the lowest of several.
func mostProbable(a []float64) []float64 {
	best := 0
	for k := range a {
		if a[k] > a[best] {
			best = k
		}
	}
	return []float64{float64(best)}
}

func logSumExp(a []float64) float64 {
	largest := math.Inf(-1)
	for _, v := range a {
		largest = max(largest, v)
	}
	sum := 0.0
	for _, v := range a {
		sum += math.Exp(v - largest)
	}
	return largest + math.Log(sum)
}

func softmax(a []float64) []float64 {
	normaliser := logSumExp(a)
	p := make([]float64, len(a))
	for k := range a {
		p[k] = math.Exp(a[k] - normaliser)
	}
	return p
}

// poissonLoss: exp(a) - x·a + ln Γ(x+1).
func poissonLoss(a, x []float64, _ float64) float64 {
	logFactorial, _ := math.Lgamma(x[0] + 1)
	return math.Exp(a[0]) - x[0]*a[0] + logFactorial
}

func poissonGradient(a, x []float64, _ float64) []float64 {
	return []float64{math.Exp(a[0]) - x[0]}
}

func poissonMean(a []float64) []float64 { return []float64{math.Exp(a[0])} }
