package model

import (
	"fmt"
	"strings"
)

// ConfigError says what is wrong with a configuration and how to mend it.
type ConfigError struct {
	Key     string // the configuration key, as in Config's yaml tags
	Problem string
	Remedy  string
}

// Error implements error.
func (e *ConfigError) Error() string { return e.Key + ": " + e.Problem + "; " + e.Remedy }

func configErrorf(key, remedy, problem string, args ...any) *ConfigError {
	return &ConfigError{Key: key, Problem: fmt.Sprintf(problem, args...), Remedy: remedy}
}

// unknownName is the error for a name that is not in a table.
func unknownName(key, what, name string, names []string) *ConfigError {
	return configErrorf(key, fmt.Sprintf("did you mean %q? The names are %s", nearest(name, names), list(names)), "unknown %s %q", what, name)
}

func list(names []string) string {
	s := ""
	for i, name := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			s += " and "
		default:
			s += ", "
		}
		s += name
	}
	return s
}

// shortestPrefix is the length from which the beginning of a name is taken for it.
const shortestPrefix = 3

// nearest returns the name that begins with the given one, or else that with
// the smallest edit distance; the first of equals.
func nearest(name string, names []string) string {
	for _, candidate := range names {
		if len(name) >= shortestPrefix && strings.HasPrefix(candidate, name) {
			return candidate
		}
	}
	best, least := "", -1
	for _, candidate := range names {
		if d := editDistance(name, candidate); least < 0 || d < least {
			best, least = candidate, d
		}
	}
	return best
}

// editDistance is that of Levenshtein (1966), over bytes. Text beyond the
// length of any name cannot change which name is nearest by much, so it is cut.
func editDistance(a, b string) int {
	const longest = 64
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
