package model

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Spec is a composition of named terms, in the grammar that corruptions and
// likelihoods share:
//
//	spec = term { "+" term }
//	term = name [ ":" arg { "," arg } ]
//	arg  = number | name "=" number | name
//	name = lower-case letter { lower-case letter | digit | "-" }
//
// A "+" separates terms only before a letter, so that 1e+3 is a number.
type Spec []Term

// Term is one name with its arguments.
type Term struct {
	Name string
	Args []Arg
}

// Arg is an argument, with a name or, if Name is empty, known by its position.
// A name alone is a switch that is on.
type Arg struct {
	Name   string
	Value  float64 // 1 of a switch
	Switch bool
}

// ParseSpec reads a Spec. It checks the grammar only: which names and arguments
// exist is for the tables to say. Its error is one phrase, without a key.
func ParseSpec(s string) (Spec, error) {
	var spec Spec
	for _, text := range splitTerms(s) {
		term, err := parseTerm(text)
		if err != nil {
			return nil, err
		}
		spec = append(spec, term)
	}
	return spec, nil
}

// String is the inverse of ParseSpec.
func (s Spec) String() string {
	var b strings.Builder
	for i, term := range s {
		if i > 0 {
			b.WriteByte('+')
		}
		b.WriteString(term.Name)
		separator := byte(':')
		for _, arg := range term.Args {
			b.WriteByte(separator)
			separator = ','
			b.WriteString(arg.String())
		}
	}
	return b.String()
}

// String is the argument as a term writes it.
func (a Arg) String() string {
	switch {
	case a.Switch:
		return a.Name
	case a.Name != "":
		return a.Name + "=" + formatNumber(a.Value)
	}
	return formatNumber(a.Value)
}

func splitTerms(s string) []string {
	var terms []string
	start := 0
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && (i+1 == len(s) || !isDigit(s[i+1]) && s[i+1] != '.') {
			terms = append(terms, s[start:i])
			start = i + 1
		}
	}
	return append(terms, s[start:])
}

func parseTerm(text string) (Term, error) {
	name, rest, hasArgs := strings.Cut(text, ":")
	if !isName(name) {
		return Term{}, fmt.Errorf("%q is not name:argument", text)
	}
	term := Term{Name: name}
	if !hasArgs {
		return term, nil
	}
	for _, field := range strings.Split(rest, ",") {
		arg, err := parseArg(field)
		if err != nil {
			return Term{}, fmt.Errorf("in %q: %w", text, err)
		}
		term.Args = append(term.Args, arg)
	}
	return term, nil
}

func parseArg(field string) (Arg, error) {
	var arg Arg
	number := field
	if name, value, named := strings.Cut(field, "="); named {
		if !isName(name) {
			return Arg{}, fmt.Errorf("%q is not name=number", field)
		}
		arg.Name, number = name, value
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil && arg.Name == "" && isName(field) {
		return Arg{Name: field, Value: 1, Switch: true}, nil
	}
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return Arg{}, fmt.Errorf("%q is not a number", number)
	}
	arg.Value = value
	return arg, nil
}

// formatNumber writes the shortest decimal that reads back as v, without the
// "+" of an exponent.
func formatNumber(v float64) string {
	return strings.Replace(strconv.FormatFloat(v, 'g', -1, 64), "e+", "e", 1)
}

func isName(s string) bool {
	for i := range len(s) {
		letter := s[i] >= 'a' && s[i] <= 'z'
		if !letter && (i == 0 || !isDigit(s[i]) && s[i] != '-') {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Argument describes an argument of a table's row: a number between Low and
// High, both included, or a switch, which is 1 where its name is given and 0
// where it is not.
type Argument struct {
	Name      string
	Low, High float64
	Optional  bool
	Switch    bool
	Instead   bool    // given by name, in place of all others
	Default   float64 // if Optional
	Meaning   string
}

// values matches a term's arguments with those a row of a table declares and
// returns one value for each of the latter.
func (t Term) values(key string, declared []Argument) ([]float64, error) {
	values := make([]float64, len(declared))
	given := make([]bool, len(declared))
	for position, arg := range t.Args {
		i := position
		if arg.Name != "" {
			i = indexOfArgument(declared, arg.Name)
		}
		if arg.Switch && (i < 0 || !declared[i].Switch) {
			return nil, configErrorf(key, "write "+usage(t.Name, declared), "in %q: %q is not a number", Spec{t}.String(), arg.Name)
		}
		if i < 0 || i >= len(declared) || declared[i].Instead && arg.Name == "" {
			return nil, configErrorf(key, "write "+usage(t.Name, declared), "%s has no argument %s", t.Name, argText(arg))
		}
		if given[i] {
			return nil, configErrorf(key, "write "+usage(t.Name, declared), "%s has two values for %s", t.Name, declared[i].Name)
		}
		if declared[i].Switch && !arg.Switch {
			return nil, configErrorf(key, "write "+usage(t.Name, declared), "%s takes %s without a number", t.Name, declared[i].Name)
		}
		if a := declared[i]; !a.Switch && (arg.Value < a.Low || arg.Value > a.High) {
			return nil, configErrorf(key, fmt.Sprintf("%s must lie between %s and %s", a.Name, formatNumber(a.Low), formatNumber(a.High)),
				"%s has %s %s, out of range", t.Name, a.Name, formatNumber(arg.Value))
		}
		values[i], given[i] = arg.Value, true
	}
	for i, a := range declared {
		if a.Instead && given[i] {
			if len(t.Args) > 1 {
				return nil, configErrorf(key, "write "+usage(t.Name, declared), "%s stands alone", a.Name)
			}
			return values, nil
		}
	}
	for i, a := range declared {
		if !given[i] && !a.Optional && !a.Switch && !a.Instead {
			return nil, configErrorf(key, "write "+usage(t.Name, declared), "%s lacks its %s", t.Name, a.Name)
		}
		if !given[i] {
			values[i] = a.Default
		}
	}
	return values, nil
}

func indexOfArgument(declared []Argument, name string) int {
	for i, a := range declared {
		if a.Name == name {
			return i
		}
	}
	return -1
}

func argText(a Arg) string {
	if a.Name != "" {
		return a.Name
	}
	return formatNumber(a.Value)
}

// usage shows how a term is written, as in masking:RATE.
func usage(name string, declared []Argument) string {
	text, instead, separator := name, "", ":"
	for _, a := range declared {
		switch {
		case a.Instead:
			instead += fmt.Sprintf(" or %s:%s=%s", name, a.Name, strings.ToUpper(a.Name))
			continue
		case a.Switch:
			text += separator + a.Name
		default:
			text += separator + strings.ToUpper(a.Name)
		}
		separator = ","
	}
	return text + instead
}
