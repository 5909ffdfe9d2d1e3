// Package sweep plans a search over settings: it reads what is to be varied and
// how, and says which values each trial has. A trial's values are a pure function
// of the seed and the trial's number, so that a sweep can be resumed, and given
// more trials, without a record of what was drawn.
//
// The package must not know what the settings mean, nor what a trial does.
package sweep

import (
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"gpudae/device/philox"
	"gpudae/internal/settings"
)

// Method says which values trials have.
type Method string

// The methods.
const (
	Grid   Method = "grid"   // every combination
	Random Method = "random" // draws; of lists alone without repetition (Bergstra and Bengio 2012)
)

// Config is a sweep as it was written down.
type Config struct {
	Method   Method
	Number   int    // of trials of Random
	Seed     uint64 // of their draws
	Metric   string // what chooses the best trial, "" by default
	Parallel int    // trials at a time, 0: as many as suit the machine
	Halving  *Halving
	Preset   string
	Fixed    []settings.Assignment // settings of every trial
	Varied   []Dimension

	space *yaml.Node // Varied, as it was written
}

// Halving is successive halving (Jamieson and Talwalkar 2016): all trials are
// trained for Epochs epochs, the best of each Eta of them for Eta times as many,
// and so on.
type Halving struct {
	Epochs int
	Eta    int
}

// Dimension is a setting that is varied.
type Dimension struct {
	Key, Where string   // Where is the file and the line
	Values     []string // to choose from
	Range      *Range   // to draw from, where there are no Values
}

// Range is an interval of numbers, both ends included.
type Range struct {
	Low, High float64
	Log       bool   // whether the logarithm is uniform
	Whole     bool   // whether the setting is a whole number
	Template  string // in which {} stands for the number, e.g. "masking:{}"
}

// MaxTrials bounds a sweep: more is a slip of the pen.
const MaxTrials = 100_000

// Trials is the number of trials.
func (c *Config) Trials() int {
	if c.Method == Grid {
		return c.combinations()
	}
	return c.Number
}

// combinations is the number of points of the grid, MaxTrials+1 if there are more
// than MaxTrials.
func (c *Config) combinations() int {
	n := 1
	for _, d := range c.Varied {
		if n *= len(d.Values); n > MaxTrials {
			return MaxTrials + 1
		}
	}
	return n
}

// discrete reports whether all that is varied has values to choose from.
func (c *Config) discrete() bool {
	for _, d := range c.Varied {
		if d.Range != nil {
			return false
		}
	}
	return true
}

// Trial returns the values of trial number t, which starts at 0, in the order of Varied.
func (c *Config) Trial(t int) []settings.Assignment {
	values := make([]settings.Assignment, len(c.Varied))
	for i, d := range c.Varied {
		values[i] = settings.Assignment{Key: d.Key, Where: d.Where}
	}
	switch n := c.combinations(); {
	case c.Method == Grid:
		c.point(t, values)
	case c.discrete() && n <= MaxTrials:
		order := philox.NewPermutation(uint32(n), c.Seed, philox.StreamSweep, 0)
		c.point(int(order.At(uint32(t))), values)
	default:
		for i, d := range c.Varied {
			values[i].Value = d.draw(philox.Coordinates{Stream: philox.StreamSweep, Step: uint32(t) + 1, Row: uint32(i)}, c.Seed)
		}
	}
	return values
}

// point sets values to a point of the grid; the last setting changes first.
func (c *Config) point(n int, values []settings.Assignment) {
	for i := len(c.Varied) - 1; i >= 0; i-- {
		list := c.Varied[i].Values
		values[i].Value = list[n%len(list)]
		n /= len(list)
	}
}

// draw is a value of the dimension.
func (d Dimension) draw(at philox.Coordinates, seed uint64) string {
	words := philox.Block(at.Counter(), philox.KeyOf(seed))
	if d.Range == nil {
		return d.Values[philox.Below(words[0], uint32(len(d.Values)))]
	}
	return d.Range.at(float64(uint64(words[0])<<21|uint64(words[1])>>11) * 0x1p-53)
}

// at is the number at fraction u of the range, u in [0, 1).
func (r *Range) at(u float64) string {
	low, high := r.Low, r.High
	if r.Whole { // every whole number has its share
		high++
	}
	v := low + u*(high-low)
	if r.Log {
		v = low * math.Exp(u*math.Log(high/low))
	}
	if r.Whole {
		v = math.Floor(v)
	}
	return r.write(v)
}

// digits of a number that is drawn: more tell nothing.
const digits = 4

// write writes a number of the range as the setting reads it.
func (r *Range) write(v float64) string {
	v = min(max(v, r.Low), r.High)
	text := strconv.FormatFloat(v, 'g', digits, 64)
	if r.Whole {
		text = strconv.FormatFloat(v, 'f', 0, 64)
	} else if rounded, _ := strconv.ParseFloat(text, 64); rounded < r.Low || rounded > r.High {
		text = strconv.FormatFloat(v, 'g', -1, 64)
	} else {
		text = strconv.FormatFloat(rounded, 'g', -1, 64)
	}
	if r.Template == "" {
		return text
	}
	return strings.ReplaceAll(r.Template, "{}", text)
}

// points are n numbers from end to end, evenly spaced, or their logarithms are.
func (r *Range) points(n int) []string {
	var list []string
	for i := range n {
		u := float64(i) / float64(max(1, n-1))
		v := r.Low + u*(r.High-r.Low)
		if r.Log {
			v = r.Low * math.Exp(u*math.Log(r.High/r.Low))
		}
		if r.Whole {
			v = math.Round(v)
		}
		if text := r.write(v); len(list) == 0 || list[len(list)-1] != text {
			list = append(list, text)
		}
	}
	return list
}

// Rungs are the numbers of epochs after which trials are compared, the last being
// that of a whole run: without halving there is no other.
func (c *Config) Rungs(epochs int) []int {
	var rungs []int
	if h := c.Halving; h != nil {
		for r := h.Epochs; r < epochs; r *= h.Eta {
			rungs = append(rungs, r)
		}
	}
	return append(rungs, epochs)
}

// Kept is how many of n trials go on after a rung.
func (h *Halving) Kept(n int) int { return (n + h.Eta - 1) / h.Eta }
