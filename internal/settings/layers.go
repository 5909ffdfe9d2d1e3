package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gpudae/internal/spelling"
)

// FromPairs reads the arguments of --set, each "key=value".
func FromPairs(pairs []string) ([]Assignment, error) {
	var layer []Assignment
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, "=")
		if !found {
			return nil, &Error{"--set " + pair, "no value", "write --set key=value"}
		}
		layer = append(layer, Assignment{key, value, "--set " + key})
	}
	return layer, nil
}

// FromValues makes a layer of a map, e.g. a preset's, in the order of its keys.
func FromValues(values map[string]string, where string) []Assignment {
	var layer []Assignment
	for key, value := range values {
		layer = append(layer, Assignment{key, value, where})
	}
	slices.SortFunc(layer, func(a, b Assignment) int { return strings.Compare(a.Key, b.Key) })
	return layer
}

// Variable is the environment's name of a key: GPUDAE_CODE_ACTIVATION for "code_activation".
func Variable(prefix, key string) string {
	return prefix + strings.ToUpper(key)
}

// FromEnvironment takes the variables of environ ("NAME=value") that begin with
// prefix. Those named in others belong to somebody else and are left out; one
// that is neither that nor in the table is an *Error.
func (t Table[C]) FromEnvironment(environ []string, prefix string, others ...string) ([]Assignment, error) {
	keys := map[string]string{}
	for _, key := range t.Keys() {
		keys[Variable(prefix, key)] = key
	}
	var layer []Assignment
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, prefix) || slices.Contains(others, name) {
			continue
		}
		key, known := keys[name]
		if !known {
			return nil, unknownVariable(name, prefix, slices.AppendSeq(slices.Clone(others), maps.Keys(keys)))
		}
		layer = append(layer, Assignment{key, value, name})
	}
	return layer, nil
}

func unknownVariable(name, prefix string, known []string) *Error {
	slices.Sort(known)
	for i, k := range known {
		known[i] = strings.TrimPrefix(k, prefix)
	}
	remedy := fmt.Sprintf("unset it: variables that begin with %s are settings", prefix)
	if near := spelling.Nearest(strings.TrimPrefix(name, prefix), known); near != "" {
		remedy = "did you mean " + prefix + near + "?"
	}
	return &Error{name, "unknown environment variable", remedy}
}
