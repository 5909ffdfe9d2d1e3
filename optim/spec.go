package optim

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// SpecError says what is wrong with a specification.
type SpecError struct {
	Problem string
	Remedy  string
}

// Error implements error.
func (e *SpecError) Error() string { return e.Problem + "; " + e.Remedy }

// Parameter describes a hyperparameter: a number in the interval from Low to
// High, or a flag.
type Parameter struct {
	Name      string
	Default   float64
	Low, High float64
	LowOpen   bool // Low itself is not allowed
	HighOpen  bool // High itself is not allowed
	Flag      bool // given or not; its value is 1 or 0
	Meaning   string
}

// accepts reports whether v lies in the interval, also as the number that a device takes.
func (p Parameter) accepts(v float64) bool { return p.holds(v) && p.holds(Single(v)) }

// Single is v as a device takes it: in float32, where subnormal numbers count as 0.
func Single(v float64) float64 {
	const least = 0x1p-126
	if single := float64(float32(v)); math.Abs(single) >= least {
		return single
	}
	return 0
}

func (p Parameter) holds(v float64) bool {
	return !math.IsInf(v, 0) && (v > p.Low || v == p.Low && !p.LowOpen) && (v < p.High || v == p.High && !p.HighOpen)
}

// Range writes the interval in the notation [low, high).
func (p Parameter) Range() string {
	if p.Flag {
		return "flag"
	}
	left, right := "[", "]"
	if p.LowOpen {
		left = "("
	}
	if p.HighOpen || math.IsInf(p.High, 1) {
		right = ")"
	}
	return fmt.Sprintf("%s%s, %s%s", left, number(p.Low), number(p.High), right)
}

// parseArguments returns one value for each parameter, from the text after the
// colon of a specification.
func parseArguments(name, text string, given bool, parameters []Parameter) ([]float64, error) {
	values := make([]float64, len(parameters))
	for i, p := range parameters {
		values[i] = p.Default
	}
	if !given {
		return values, nil
	}
	seen := make([]bool, len(parameters))
	for position, field := range strings.Split(text, ",") {
		i, v, err := parseArgument(name, field, position, parameters)
		if err != nil {
			return nil, err
		}
		if seen[i] {
			return nil, &SpecError{fmt.Sprintf("%s has two values for %s", name, parameters[i].Name), "give one"}
		}
		seen[i], values[i] = true, v
	}
	return values, nil
}

func parseArgument(name, field string, position int, parameters []Parameter) (index int, v float64, err error) {
	key, text, named := strings.Cut(field, "=")
	index = slices.IndexFunc(parameters, func(p Parameter) bool { return p.Name == key })
	switch {
	case named && index >= 0 && !parameters[index].Flag:
	case !named && index >= 0 && parameters[index].Flag:
		return index, 1, nil
	case !named && index < 0 && position < len(parameters) && !parameters[position].Flag:
		index, text = position, field
	default:
		return 0, 0, &SpecError{fmt.Sprintf("%s has no argument %q", name, field), "write " + usage(name, parameters)}
	}
	p := parameters[index]
	v, err = strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) {
		return 0, 0, &SpecError{fmt.Sprintf("%q is not a number for %s of %s", text, p.Name, name), "write " + usage(name, parameters)}
	}
	if !p.accepts(v) {
		return 0, 0, &SpecError{fmt.Sprintf("%s %s of %s is out of range", p.Name, text, name), fmt.Sprintf("%s lies in %s", p.Name, p.Range())}
	}
	return index, v, nil
}

// formatSpec is the inverse of parseArguments; it leaves out what is default.
func formatSpec(name string, values []float64, parameters []Parameter) string {
	separator := ":"
	for i, p := range parameters {
		if values[i] == p.Default {
			continue
		}
		name += separator + p.Name
		if !p.Flag {
			name += "=" + number(values[i])
		}
		separator = ","
	}
	return name
}

// usage shows how a specification is written, as in sgd:momentum=0.9,nesterov.
func usage(name string, parameters []Parameter) string {
	separator := ":"
	for _, p := range parameters {
		name += separator + p.Name
		if !p.Flag {
			name += "=" + number(p.Default)
		}
		separator = ","
	}
	return name
}

// number writes the shortest decimal that reads back as v.
func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// oneOf lists the names that could have been meant.
func oneOf(names []string) string { return "choose one of " + strings.Join(names, ", ") }
