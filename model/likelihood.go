package model

import (
	"math"

	"gpudae/device"
)

// LikelihoodInfo is a row of the table of likelihoods p(x|h).
type LikelihoodInfo struct {
	Kind      device.Likelihood
	Name      string
	Arguments []Argument
	Formula   string // of -log p, in nats
	Source    string
	Low, High float64 // the support of a feature; -Inf and +Inf if the whole line
}

// mixedFloor is the default of the least standard deviation that the numbers of
// a table may have, whose scaled deviation is 1: many equal values in a column
// would otherwise be worth more than all else.
const mixedFloor = 0.1

// Likelihoods returns the table of likelihoods, in the order of device.Likelihoods.
func Likelihoods() []LikelihoodInfo {
	inf := math.Inf(1)
	sigma := Argument{Name: "sigma", Low: 1e-6, High: largestAmount, Optional: true, Default: 1, Meaning: "standard deviation"}
	floor := Argument{Name: "floor", Low: 1e-6, High: largestAmount, Optional: true, Default: 0.01,
		Meaning: "least standard deviation, without which a constant feature has an unbounded density"}
	learnedFloor := Argument{Name: "floor", Low: 1e-6, High: largestAmount, Optional: true, Default: mixedFloor, Meaning: "least standard deviation where it is learned"}
	table := []LikelihoodInfo{
		{Kind: device.Bernoulli, Formula: "softplus(a) - x·a", Source: "Bishop 2006, section 5.2", Low: 0, High: 1},
		{Kind: device.Gaussian, Arguments: []Argument{sigma}, Formula: "½((x-μ)/σ)² + ln σ + ½ ln 2π", Source: "Bishop 2006, section 5.2", Low: -inf, High: inf},
		{Kind: device.GaussianLearned, Arguments: []Argument{floor}, Formula: "½(ln v + (x-μ)²/v + ln 2π), v = exp(s) + floor²",
			Source: "Nix and Weigend 1994", Low: -inf, High: inf},
		{Kind: device.Categorical, Formula: "(Σx)·logsumexp(a) - Σ x·a, by field", Source: "Bishop 2006, section 5.2", Low: 0, High: 1},
		{Kind: device.Poisson, Formula: "exp(a) - x·a + ln Γ(x+1)", Source: "McCullagh and Nelder 1989, chapter 6", Low: 0, High: inf},
		{Kind: device.Mixed, Arguments: []Argument{sigma, {Name: "learned", Switch: true, Meaning: "a variance of each number: gaussian-learned in place of gaussian"}, learnedFloor},
			Formula: "by column gaussian, bernoulli or categorical; 0 where the value is absent", Source: "Nazábal et al. 2020 (HI-VAE)", Low: -inf, High: inf},
	}
	for i := range table {
		table[i].Name = table[i].Kind.String()
	}
	return table
}

// Likelihood is the family p(x|h) with its constant.
type Likelihood struct {
	Kind    device.Likelihood
	Sigma   float64 // Gaussian, and Mixed unless Learned: σ; GaussianLearned, and Mixed if Learned: the floor of σ; otherwise 0
	Learned bool    // Mixed: the variance of numbers is learned
}

// ParseLikelihood reads a likelihood such as "bernoulli" or "gaussian:0.5".
// Its errors are *ConfigError with the key "likelihood".
func ParseLikelihood(s string) (Likelihood, error) {
	const key = "likelihood"
	spec, err := ParseSpec(s)
	if err != nil || len(spec) != 1 {
		return Likelihood{}, configErrorf(key, "write one of "+list(names(device.Likelihoods()))+", as in gaussian:0.5", "%q is not a likelihood", s)
	}
	kind, ok := named(device.Likelihoods(), spec[0].Name)
	if !ok {
		return Likelihood{}, unknownName(key, "likelihood", spec[0].Name, names(device.Likelihoods()))
	}
	values, err := spec[0].values(key, Likelihoods()[kind].Arguments)
	if err != nil {
		return Likelihood{}, err
	}
	l := Likelihood{Kind: kind}
	if kind == device.Mixed {
		return mixedLikelihood(values, spec[0])
	}
	if len(values) > 0 {
		l.Sigma = values[0]
	}
	return l, nil
}

// mixedLikelihood has values [σ, learned, floor], those that the term does not
// give being the defaults.
func mixedLikelihood(values []float64, term Term) (Likelihood, error) {
	l := Likelihood{Kind: device.Mixed, Sigma: values[0], Learned: values[1] != 0}
	for i, arg := range term.Args {
		first := i == 0 && arg.Name == ""
		if l.Learned && (first || arg.Name == "sigma") {
			return l, configErrorf("likelihood", "write mixed:learned or mixed:SIGMA", "a variance that is learned leaves no place for σ")
		}
		if !l.Learned && !first && arg.Name != "sigma" {
			return l, configErrorf("likelihood", "write mixed:learned,floor=FLOOR", "a floor of a variance that is not learned")
		}
	}
	if l.Learned {
		l.Sigma = values[2]
	}
	return l, nil
}

// String is the inverse of ParseLikelihood.
func (l Likelihood) String() string {
	term := Term{Name: l.Kind.String()}
	switch {
	case l.Learned:
		term.Args = []Arg{{Name: "learned", Value: 1, Switch: true}}
		if l.Sigma != mixedFloor {
			term.Args = append(term.Args, Arg{Name: "floor", Value: l.Sigma})
		}
	case l.Sigma != 0:
		term.Args = []Arg{{Value: l.Sigma}}
	}
	return Spec{term}.String()
}

// sigma is the fixed σ of Gaussian numbers, or the floor of GaussianLearned.
func (l Likelihood) sigma() float32 {
	if l.Learned {
		return 1
	}
	return float32(l.Sigma)
}

// floor is that of the learned variances of mixed columns.
func (l Likelihood) floor() float32 {
	if l.Learned {
		return float32(l.Sigma)
	}
	return 0
}

// CheckSupport fails with a *ConfigError if data whose values lie between low
// and high leave the support of the likelihood.
func (l Likelihood) CheckSupport(low, high float64) error {
	row := Likelihoods()[l.Kind]
	if low >= row.Low && high <= row.High {
		return nil
	}
	return configErrorf("likelihood", "scale the data, or choose gaussian", "%s needs values from %s to %s, the data have %s to %s",
		row.Name, formatNumber(row.Low), formatNumber(row.High), formatNumber(low), formatNumber(high))
}
