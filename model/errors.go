package model

import (
	"fmt"

	"gpudae/internal/spelling"
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
	remedy := "choose one of " + list(names)
	if near := spelling.Nearest(name, names); near != "" {
		remedy = fmt.Sprintf("did you mean %q? The names are %s", near, list(names))
	}
	return configErrorf(key, remedy, "unknown %s %q", what, name)
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
