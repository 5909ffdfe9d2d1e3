package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gpudae/device"
)

// Rule is an update rule with its hyperparameters; the formulas stand at
// device.Optimizer. Fields that a rule does not use are zero.
type Rule struct {
	Kind     device.Optimizer
	Beta1    float64 // SGD: momentum; Adam, AdamW: decay of the first moment
	Beta2    float64 // decay of the second moment
	Epsilon  float64 // added to the root of the second moment
	Nesterov bool    // SGD: look ahead
	Decay    float64 // weight decay λ: of the weights with AdamW, otherwise added to the gradient as λθ
}

// RuleInfo is a row of the table of update rules.
type RuleInfo struct {
	Kind       device.Optimizer
	Parameters []Parameter
	Formula    string
	Source     string
}

// Name is the name in a specification.
func (i RuleInfo) Name() string { return i.Kind.String() }

// Rules returns the table of update rules.
func Rules() []RuleInfo {
	beta := func(name string, value float64, meaning string) Parameter {
		return Parameter{Name: name, Default: value, Low: 0, High: 1, HighOpen: true, Meaning: meaning}
	}
	epsilon := func(value float64) Parameter {
		return Parameter{Name: "epsilon", Default: value, Low: 0, High: 1, LowOpen: true, Meaning: "added to the root of v"}
	}
	decay := func(value float64) Parameter {
		return Parameter{Name: "decay", Default: value, Low: 0, High: math.Inf(1), HighOpen: true, Meaning: "weight decay λ"}
	}
	return []RuleInfo{
		{device.SGD,
			[]Parameter{beta("momentum", 0.9, "decay β of the velocity m"), {Name: "nesterov", Flag: true, High: 1, Meaning: "use the gradient ahead"}, decay(0)},
			"m = βm + g; θ = θ - ηm, with nesterov θ - η(g + βm)",
			"Polyak 1964; Nesterov 1983; in this form Sutskever et al. 2013"},
		{device.Adam,
			[]Parameter{beta("beta1", 0.9, "decay of m"), beta("beta2", 0.999, "decay of v"), epsilon(1e-8), decay(0)},
			"m = β₁m + (1-β₁)g; v = β₂v + (1-β₂)g²; θ = θ - η·m̂/(√v̂ + ε)",
			"Kingma and Ba 2015, algorithm 1"},
		{device.AdamW,
			[]Parameter{beta("beta1", 0.9, "decay of m"), beta("beta2", 0.999, "decay of v"), epsilon(1e-8), decay(0.01)},
			"θ = θ - ηλθ, then Adam",
			"Loshchilov and Hutter 2019, algorithm 2"},
		{device.RMSprop,
			[]Parameter{beta("beta2", 0.99, "decay of v"), epsilon(1e-8), decay(0)},
			"v = β₂v + (1-β₂)g²; θ = θ - ηg/(√v + ε)",
			"Tieleman and Hinton 2012, lecture 6.5"},
		{device.Adagrad,
			[]Parameter{epsilon(1e-10), decay(0)},
			"v = v + g²; θ = θ - ηg/(√v + ε)",
			"Duchi et al. 2011"},
	}
}

// ParseRule reads a rule, such as "adam" or "sgd:momentum=0.9,nesterov". Its
// error is a *SpecError.
func ParseRule(spec string) (Rule, error) {
	name, text, given := strings.Cut(spec, ":")
	table := Rules()
	i := slices.IndexFunc(table, func(r RuleInfo) bool { return r.Name() == name })
	if i < 0 {
		names := make([]string, len(table))
		for i, r := range table {
			names[i] = r.Name()
		}
		return Rule{}, &SpecError{fmt.Sprintf("there is no optimiser %q", name), oneOf(names)}
	}
	values, err := parseArguments(name, text, given, table[i].Parameters)
	if err != nil {
		return Rule{}, err
	}
	rule := Rule{Kind: table[i].Kind}
	for i, p := range table[i].Parameters {
		rule.set(p.Name, values[i])
	}
	if rule.Nesterov && rule.Beta1 == 0 {
		return Rule{}, &SpecError{"nesterov without momentum", "give a momentum above 0, or leave nesterov out"}
	}
	return rule, nil
}

// String is the inverse of ParseRule.
func (r Rule) String() string {
	parameters := Rules()[r.Kind].Parameters
	values := make([]float64, len(parameters))
	for i, p := range parameters {
		values[i] = r.get(p.Name)
	}
	return formatSpec(r.Kind.String(), values, parameters)
}

// MarshalText writes the specification.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a specification.
func (r *Rule) UnmarshalText(text []byte) error {
	rule, err := ParseRule(string(text))
	if err == nil {
		*r = rule
	}
	return err
}

func (r *Rule) set(name string, v float64) {
	switch name {
	case "momentum", "beta1":
		r.Beta1 = v
	case "beta2":
		r.Beta2 = v
	case "epsilon":
		r.Epsilon = v
	case "decay":
		r.Decay = v
	case "nesterov":
		r.Nesterov = v != 0
	}
}

func (r Rule) get(name string) float64 {
	switch name {
	case "momentum", "beta1":
		return r.Beta1
	case "beta2":
		return r.Beta2
	case "epsilon":
		return r.Epsilon
	case "decay":
		return r.Decay
	}
	if r.Nesterov {
		return 1
	}
	return 0
}
