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

// Likelihoods returns the table of likelihoods, in the order of device.Likelihoods.
func Likelihoods() []LikelihoodInfo {
	inf := math.Inf(1)
	sigma := Argument{Name: "sigma", Low: 1e-6, High: largestAmount, Optional: true, Default: 1, Meaning: "standard deviation"}
	floor := Argument{Name: "floor", Low: 1e-6, High: largestAmount, Optional: true, Default: 0.01,
		Meaning: "least standard deviation, without which a constant feature has an unbounded density"}
	table := []LikelihoodInfo{
		{Kind: device.Bernoulli, Formula: "softplus(a) - x·a", Source: "Bishop 2006, section 5.2", Low: 0, High: 1},
		{Kind: device.Gaussian, Arguments: []Argument{sigma}, Formula: "½((x-μ)/σ)² + ln σ + ½ ln 2π", Source: "Bishop 2006, section 5.2", Low: -inf, High: inf},
		{Kind: device.GaussianLearned, Arguments: []Argument{floor}, Formula: "½(ln v + (x-μ)²/v + ln 2π), v = exp(s) + floor²",
			Source: "Nix and Weigend 1994", Low: -inf, High: inf},
		{Kind: device.Categorical, Formula: "(Σx)·logsumexp(a) - Σ x·a, by field", Source: "Bishop 2006, section 5.2", Low: 0, High: 1},
		{Kind: device.Poisson, Formula: "exp(a) - x·a + ln Γ(x+1)", Source: "McCullagh and Nelder 1989, chapter 6", Low: 0, High: inf},
		{Kind: device.Mixed, Formula: "by column gaussian, bernoulli or categorical; 0 where the value is absent", Source: "Nazábal et al. 2020 (HI-VAE)", Low: -inf, High: inf},
	}
	for i := range table {
		table[i].Name = table[i].Kind.String()
	}
	return table
}

// Likelihood is the family p(x|h) with its constant.
type Likelihood struct {
	Kind  device.Likelihood
	Sigma float64 // Gaussian: σ; GaussianLearned: the floor of σ; otherwise 0
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
	if len(values) > 0 {
		l.Sigma = values[0]
	}
	return l, nil
}

// String is the inverse of ParseLikelihood.
func (l Likelihood) String() string {
	term := Term{Name: l.Kind.String()}
	if l.Sigma != 0 {
		term.Args = []Arg{{Value: l.Sigma}}
	}
	return Spec{term}.String()
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
