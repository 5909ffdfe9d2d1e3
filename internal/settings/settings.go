// Package settings resolves a configuration from several layers: defaults, a
// preset, a YAML file, the environment and the command line, the later ones
// winning. One explicit table, a row a setting, drives all of them: a setting
// is named, parsed and written in the same way wherever it comes from, and
// every value remembers where that was, so that an error can point at it.
//
// The package must not know what the settings mean.
package settings

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Setting is one row of a table for the configuration struct C.
type Setting[C any] struct {
	Key     string       // snake_case, e.g. "code_activation": the name in files and of --set; see Flag and Variable
	Group   string       // heading in help texts and written files
	Doc     string       // one line for help texts and written files
	More    string       // what help texts say after Doc
	Choices []string     // the values allowed, nil if they are not a closed list
	Field   func(*C) any // pointer to string, bool, int, uint64, float64, []int or *float64 (nil is written "auto") inside the struct
}

// Flag is the name of the setting's flag, e.g. "code-activation".
func (s Setting[C]) Flag() string { return strings.ReplaceAll(s.Key, "_", "-") }

// Placeholder is what stands for a value of the setting in a help text.
func (s Setting[C]) Placeholder(c *C) string {
	switch s.Field(c).(type) {
	case *int, *uint64:
		return "N"
	case *float64, **float64:
		return "X"
	case *[]int:
		return "N,N"
	default:
		return "NAME"
	}
}

// Numeric reports whether the setting is one number, and whether a whole one.
func (s Setting[C]) Numeric(c *C) (numeric, whole bool) {
	switch s.Field(c).(type) {
	case *int, *uint64:
		return true, true
	case *float64, **float64:
		return true, false
	}
	return false, false
}

// Table lists the settings of C in the order in which they are shown and written.
type Table[C any] []Setting[C]

// Assignment is one value of one layer.
type Assignment struct {
	Key, Value string
	Where      string // what a person must mend: "--lr", "GPUDAE_LR", "run.yaml:3"
}

// Error is a setting that cannot be used.
type Error struct {
	Where   string // the flag, variable, or file and line
	Problem string // one line
	Remedy  string // one line
}

// Error implements error.
func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.Where + ": " + e.Problem
	}
	return e.Where + ": " + e.Problem + "; " + e.Remedy
}

// Origins maps the key of each setting that a layer assigned to the Where of
// the assignment that won.
type Origins map[string]string

// Resolve applies layers to c, in the order of rising precedence. It returns
// where each value came from, or an *Error.
func (t Table[C]) Resolve(c *C, layers ...[]Assignment) (Origins, error) {
	origins := Origins{}
	for _, layer := range layers {
		for _, a := range layer {
			if err := t.assign(c, a); err != nil {
				return nil, err
			}
			origins[a.Key] = a.Where
		}
	}
	return origins, nil
}

func (t Table[C]) assign(c *C, a Assignment) error {
	i := slices.IndexFunc(t, func(s Setting[C]) bool { return s.Key == a.Key })
	if i < 0 {
		return &Error{a.Where, fmt.Sprintf("unknown setting %q", a.Key), Suggest(a.Key, t.Keys(), "run 'gpudae train --help' for the list")}
	}
	s := t[i]
	if s.Choices != nil && !slices.Contains(s.Choices, a.Value) {
		return &Error{a.Where, fmt.Sprintf("unknown %s %q", s.Key, a.Value), Suggest(a.Value, s.Choices, "") + among(s.Choices)}
	}
	if problem := parse(a.Value, s.Field(c)); problem != "" {
		return &Error{a.Where, fmt.Sprintf("%q %s", a.Value, problem), "give " + example(s.Field(c))}
	}
	return nil
}

func among(choices []string) string { return "choose one of " + strings.Join(choices, ", ") }

// Keys returns the key of every setting.
func (t Table[C]) Keys() []string {
	keys := make([]string, len(t))
	for i, s := range t {
		keys[i] = s.Key
	}
	return keys
}

// Format returns the value of s in c as its parsers read it.
func (s Setting[C]) Format(c *C) string {
	switch p := s.Field(c).(type) {
	case *[]int:
		items := make([]string, len(*p))
		for i, n := range *p {
			items[i] = strconv.Itoa(n)
		}
		return strings.Join(items, ",")
	case *float64:
		return formatFloat(*p)
	case **float64:
		if *p == nil {
			return automatic
		}
		return formatFloat(**p)
	case *string:
		return *p
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *uint64:
		return strconv.FormatUint(*p, 10)
	default:
		panic(fmt.Sprintf("settings: %s has type %T", s.Key, p))
	}
}

// automatic stands for a *float64 that is nil: whoever uses it decides.
const automatic = "auto"

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// parse stores text into what field points to, or says what is wrong with it.
func parse(text string, field any) (problem string) {
	switch p := field.(type) {
	case *string:
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "holds a control character"
		}
		*p = text
	case *bool:
		return parseInto(p, text, strconv.ParseBool, "is not true or false")
	case *int:
		return parseInto(p, text, strconv.Atoi, "is not a whole number")
	case *uint64:
		return parseInto(p, text, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }, "is not a whole number from 0 to 2^64-1")
	case *float64:
		return parseInto(p, text, parseFinite, "is not a finite number")
	case **float64:
		return parseInto(p, text, parseAutomatic, "is neither a finite number nor auto")
	case *[]int:
		return parseInto(p, text, parseIntegers, "is not a list of whole numbers")
	default:
		panic(fmt.Sprintf("settings: a field of type %T", field))
	}
	return ""
}

func parseInto[T any](p *T, text string, parser func(string) (T, error), problem string) string {
	v, err := parser(text)
	if err != nil {
		return problem
	}
	*p = v
	return ""
}

func parseFinite(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
		err = strconv.ErrRange
	}
	return v, err
}

func parseAutomatic(text string) (*float64, error) {
	if text == automatic {
		return nil, nil
	}
	v, err := parseFinite(text)
	return &v, err
}

func parseIntegers(text string) ([]int, error) {
	if text == "" {
		return nil, nil
	}
	var list []int
	for item := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// example shows what a field's parser reads.
func example(field any) string {
	switch field.(type) {
	case *bool:
		return "true or false"
	case *int, *uint64:
		return "a number like 100"
	case *float64, **float64:
		return "a number like 0.001"
	case *[]int:
		return "numbers like 1000,500"
	default:
		return "text on one line"
	}
}
