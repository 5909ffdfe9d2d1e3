package model

import (
	"gpudae/device"
	"gpudae/device/philox"
	"slices"
)

// CorruptionInfo is a row of the table of corruptions.
type CorruptionInfo struct {
	Kind      device.Corruption
	Name      string
	Arguments []Argument
	Formula   string
	Source    string
	Rate      string // expected fraction of destroyed features
	Effect    string // what is realised, and when it falls short of the rate
	Selective bool   // destroys some features and leaves the others untouched
	ByField   bool   // decides by field, so that a categorical variable stays whole
}

// The largest amounts keep float32 arithmetic finite, and the smallest peak
// keeps N/peak so.
const (
	largestAmount = 1e6
	smallestPeak  = 1e-3
	maxSpan       = 1 << 16
)

// Corruptions returns the table of corruptions C(x̃|x), in the order of device.Corruptions.
func Corruptions() []CorruptionInfo {
	rate := []Argument{{Name: "rate", High: 1, Meaning: "probability that a feature (a field, where columns form fields) is destroyed"}}
	swap := append(rate[:1:1], Argument{Name: "effective", High: 1, Instead: true, Meaning: "the fraction that is to change: of each column, the rate is effective/(1 - Σ_v p(v)²), at most 1"})
	span := append(rate[:1:1], Argument{Name: "length", Low: 1, High: maxSpan, Optional: true, Default: 3, Meaning: "features in a run"})
	sigma := []Argument{{Name: "sigma", High: largestAmount, Meaning: "standard deviation of the noise"}}
	table := []CorruptionInfo{
		{Kind: device.CorruptNone, Formula: "x̃ = x", Source: "the plain auto-encoder", Rate: "0",
			Effect: "nothing changes", Selective: true, ByField: true},
		{Kind: device.CorruptGaussian, Arguments: sigma, Formula: "x̃ = x + σ·z, z ~ N(0, 1)", Source: "Vincent et al. 2010, section 4.1", Rate: "1",
			Effect: "every feature moves by σ in the root mean square"},
		{Kind: device.CorruptMasking, Arguments: rate, Formula: "x̃ = 0, or absent in tables of mixed columns, with probability rate, by field; survivors are not rescaled", Source: "Vincent et al. 2008", Rate: "rate",
			Effect: "a feature that was 0 already does not change", Selective: true, ByField: true},
		{Kind: device.CorruptSaltAndPepper, Arguments: rate, Formula: "x̃ = the column's least or greatest value, either with probability rate/2", Source: "Vincent et al. 2010, section 4.1", Rate: "rate",
			Effect: "a feature already at the drawn extreme does not change: about rate/2 of the features change where the data are binary", Selective: true},
		{Kind: device.CorruptSwap, Arguments: swap, Formula: "x̃ = the same field of another row, with probability rate, by field", Source: "Jahrer 2017 (Porto Seguro, first place); Yoon et al. 2020, VIME", Rate: "rate",
			Effect: "a donor with an equal value changes nothing: rate·(1 - Σ_v p(v)²) of a column changes", Selective: true, ByField: true},
		{Kind: device.CorruptSpeckle, Arguments: sigma, Formula: "x̃ = x·(1 + σ·z), z ~ N(0, 1)", Source: "Goodman 1976, multiplicative speckle", Rate: "1",
			Effect: "a feature moves by σ·|x| in the root mean square; one at 0 does not"},
		{Kind: device.CorruptUniform, Arguments: []Argument{{Name: "amplitude", High: largestAmount, Meaning: "half the width of the noise"}},
			Formula: "x̃ = x + a·(2u - 1), u uniform on [0, 1)", Source: "additive noise as in Vincent et al. 2010, section 4.1", Rate: "1",
			Effect: "every feature moves by a/√3 in the root mean square"},
		{Kind: device.CorruptPoisson, Arguments: []Argument{{Name: "peak", Low: smallestPeak, High: largestAmount, Meaning: "expected count at x = 1"}},
			Formula: "x̃ = N/peak, N ~ Poisson(peak·max(x, 0))", Source: "photon counting; Bishop 2006, appendix B", Rate: "1",
			Effect: "a feature x > 0 moves by √(x/peak) in the root mean square; one at 0 does not"},
		{Kind: device.CorruptSwapRows, Arguments: swap, Formula: "x̃ = the same field of one other row, the donor of all destroyed fields, with probability rate, by field", Source: "Jahrer 2017 (Porto Seguro, first place)", Rate: "rate",
			Effect: "as swap; what is destroyed together comes from one row", Selective: true, ByField: true},
		{Kind: device.CorruptSpan, Arguments: span, Formula: "x̃ = 0 in runs of length fields, which start with probability 1 - (1 - rate)^(1/length)", Source: "Joshi et al. 2020 (SpanBERT), runs of one length", Rate: "rate",
			Effect: "as masking; neighbours are destroyed together", Selective: true, ByField: true},
	}
	for i := range table {
		table[i].Name = table[i].Kind.String()
	}
	return table
}

// Stage is one corruption of a composition.
type Stage struct {
	Kind      device.Corruption
	Amount    float64 // the rate, σ, amplitude or peak; 0 for none
	Effective bool    // of a swap: Amount is the fraction that changes, rather than that destroyed
	Length    int     // of span
}

// Corruption is a composition of stages, applied in order; the stage at
// position s draws its noise with Index = s.
type Corruption []Stage

// maxStages is the room for Index in a counter (see philox.Coordinates).
const maxStages = 256

// ParseCorruption reads a composition such as "masking:0.25+gaussian:sigma=0.1".
// Its errors are *ConfigError with the key "corruption".
func ParseCorruption(s string) (Corruption, error) {
	const key = "corruption"
	spec, err := ParseSpec(s)
	if err != nil {
		return nil, configErrorf(key, "write name:argument+name:argument, as in masking:0.25+gaussian:0.1", "%s", err)
	}
	if len(spec) > maxStages {
		return nil, configErrorf(key, "compose at most 256", "%d stages", len(spec))
	}
	table := Corruptions()
	var c Corruption
	for _, term := range spec {
		kind, ok := named(device.Corruptions(), term.Name)
		if !ok {
			return nil, unknownName(key, "corruption", term.Name, names(device.Corruptions()))
		}
		values, err := term.values(key, table[kind].Arguments)
		if err != nil {
			return nil, err
		}
		stage, err := newStage(kind, values)
		if err != nil {
			return nil, err
		}
		c = append(c, stage)
	}
	return c, nil
}

// newStage makes a stage of the values of its row's arguments.
func newStage(kind device.Corruption, values []float64) (Stage, error) {
	s := Stage{Kind: kind}
	if len(values) > 0 {
		s.Amount = values[0]
	}
	switch kind {
	case device.CorruptSwap, device.CorruptSwapRows:
		if effective := values[1]; effective > 0 {
			s.Amount, s.Effective = effective, true
		}
	case device.CorruptSpan:
		s.Length = int(values[1])
		if values[1] != float64(s.Length) {
			return s, configErrorf("corruption", "give a whole number", "%s of length %s", kind, formatNumber(values[1]))
		}
	}
	return s, nil
}

// String is the inverse of ParseCorruption.
func (c Corruption) String() string {
	var spec Spec
	for _, stage := range c {
		spec = append(spec, stage.term())
	}
	return spec.String()
}

func (s Stage) term() Term {
	term := Term{Name: s.Kind.String()}
	switch {
	case s.Kind == device.CorruptNone:
	case s.Effective:
		term.Args = []Arg{{Name: "effective", Value: s.Amount}}
	case s.Kind == device.CorruptSpan:
		term.Args = []Arg{{Name: "rate", Value: s.Amount}, {Name: "length", Value: float64(s.Length)}}
	default:
		term.Args = []Arg{{Value: s.Amount}}
	}
	return term
}

// CheckSupport fails with a *ConfigError if data whose least value is low are
// none that a stage can corrupt: poisson counts, and would take what is negative
// for 0. What a stage before it makes of the data is not looked at.
func (c Corruption) CheckSupport(low float64) error {
	if low < 0 && c.Uses(device.CorruptPoisson) {
		return configErrorf("corruption", "scale the data to [0, 1], or choose gaussian", "%s needs values from 0 on, the data have %s",
			device.CorruptPoisson, formatNumber(low))
	}
	return nil
}

// NominalRate is the expected fraction of destroyed features: 1 - Π(1 - p_s)
// over the stages, where p is the rate, or 1 for additive and multiplicative
// noise. Of a swap at an effective rate it is that rate, which is less: see
// DAE.NominalRates.
func (c Corruption) NominalRate() float64 {
	kept := 1.0
	for _, stage := range c {
		kept *= 1 - stage.rate()
	}
	return 1 - kept
}

// threshold is that of what decides about a field: of span, of the start of a run.
func (s Stage) threshold() uint64 {
	if s.Kind == device.CorruptSpan {
		return device.SpanStart(s.Amount, s.Length)
	}
	return philox.Threshold(s.rate())
}

func (s Stage) rate() float64 {
	switch s.Kind {
	case device.CorruptNone:
		return 0
	case device.CorruptMasking, device.CorruptSaltAndPepper, device.CorruptSwap, device.CorruptSwapRows, device.CorruptSpan:
		return s.Amount
	default:
		return 1
	}
}

// Uses reports whether a stage is of the kind.
func (c Corruption) Uses(kind device.Corruption) bool {
	for _, stage := range c {
		if stage.Kind == kind {
			return true
		}
	}
	return false
}

// Swaps reports whether a stage takes values from other rows.
func (c Corruption) Swaps() bool {
	return slices.ContainsFunc(c, func(stage Stage) bool { return stage.Kind.Swaps() })
}
