package sample

import (
	"errors"
	"fmt"
)

// Given are features whose values are known, while the others are drawn.
type Given struct {
	Known  []bool    // [features]
	Values []float32 // [rows, features]; chain i takes row i modulo rows
}

func (g *Given) check(features int) error {
	if g == nil {
		return nil
	}
	if len(g.Known) != features || len(g.Values) == 0 || len(g.Values)%features != 0 {
		return fmt.Errorf("sampling: %d flags and %d values of given features for %d features", len(g.Known), len(g.Values), features)
	}
	for _, known := range g.Known {
		if !known {
			return nil
		}
	}
	return errors.New("sampling: every feature is given, so that nothing is left to draw")
}

func (g *Given) value(chain, feature int) float32 {
	features := len(g.Known)
	return g.Values[chain%(len(g.Values)/features)*features+feature]
}

// hold puts the given features of x [rows, features], the chains from first on,
// at their values.
func (g *Given) hold(x []float32, features, first int) {
	if g == nil {
		return
	}
	for k := range x {
		if g.Known[k%features] {
			x[k] = g.value(first+k/features, k%features)
		}
	}
}
