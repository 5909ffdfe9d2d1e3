package model

import "gpudae/device"

// CodeDistributionInfo is a row of the table of codes q(h|x̃).
type CodeDistributionInfo struct {
	Name      string
	Arguments []Argument
	Formula   string // of h, of the prior p(h) and of the divergence KL(q‖p)
	Source    string
}

const noCodeDistribution = "none"

// CodeDistributions returns the table of codes: none, then those of device.Codes
// in their order.
func CodeDistributions() []CodeDistributionInfo {
	// The relaxation is close to a step below 0.01 and close to a constant above 10.
	temperature := Argument{Name: "temperature", Low: 0.01, High: 10, Optional: true, Default: 2. / 3, Meaning: "τ: the smaller, the closer to 0 or 1"}
	return []CodeDistributionInfo{
		{Name: noCodeDistribution, Formula: "h = f(x̃)", Source: "the deterministic auto-encoder"},
		{Name: device.CodeGaussian.String(), Formula: "h = μ + exp(s/2)·z, z ~ N(0, 1); p = N(0, 1); KL = ½·Σ(μ² + exp(s) - s - 1)",
			Source: "Kingma and Welling 2014; under a corruption Im et al. 2017"},
		{Name: device.CodeBernoulli.String(), Formula: "h = 1 with probability q, the logistic function of a, otherwise 0; p = ½; KL = Σ(q·ln q + (1-q)·ln(1-q) + ln 2)",
			Source: "Bengio, Léonard and Courville 2013, straight-through gradients"},
		{Name: device.CodeConcrete.String(), Arguments: []Argument{temperature}, Formula: "h = the logistic function of (a + ln u - ln(1-u))/τ, u uniform on [0, 1); prior and KL of bernoulli",
			Source: "Maddison et al. 2017; Jang et al. 2017"},
	}
}

// CodeDistribution is the family q(h|x̃) with its constant.
type CodeDistribution struct {
	Stochastic  bool        // otherwise the code is h = f(x̃)
	Kind        device.Code // if Stochastic
	Temperature float64     // CodeConcrete: τ; otherwise 0
}

// ParseCodeDistribution reads a distribution such as "gaussian" or
// "concrete:0.5"; none and the empty string are the deterministic code. Its
// errors are *ConfigError with the key "code_distribution".
func ParseCodeDistribution(s string) (CodeDistribution, error) {
	const key = "code_distribution"
	if s == "" {
		return CodeDistribution{}, nil
	}
	table := CodeDistributions()
	all := make([]string, len(table))
	for i, row := range table {
		all[i] = row.Name
	}
	spec, err := ParseSpec(s)
	if err != nil || len(spec) != 1 {
		return CodeDistribution{}, configErrorf(key, "write one of "+list(all)+", as in concrete:0.5", "%q is not a distribution of codes", s)
	}
	for i, row := range table {
		if row.Name != spec[0].Name {
			continue
		}
		values, err := spec[0].values(key, row.Arguments)
		if err != nil || i == 0 {
			return CodeDistribution{}, err
		}
		q := CodeDistribution{Stochastic: true, Kind: device.Codes()[i-1]}
		if len(values) > 0 {
			q.Temperature = values[0]
		}
		return q, nil
	}
	return CodeDistribution{}, unknownName(key, "distribution of codes", spec[0].Name, all)
}

// String is the inverse of ParseCodeDistribution.
func (q CodeDistribution) String() string {
	if !q.Stochastic {
		return noCodeDistribution
	}
	term := Term{Name: q.Kind.String()}
	if q.Temperature != 0 {
		term.Args = []Arg{{Value: q.Temperature}}
	}
	return Spec{term}.String()
}

// width is the number of the encoder's outputs for a code of so many units.
func (q CodeDistribution) width(units int) int {
	if !q.Stochastic {
		return units
	}
	return q.Kind.Width(units)
}
