package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Schedule is a multiple of the learning rate as a function of the step. The
// zero Schedule is constant.
type Schedule struct {
	row  int // in the table of schedules
	args [3]float64
}

// Horizon is what a schedule may depend on besides the step.
type Horizon struct {
	Steps    uint64    // of the whole run
	PerEpoch uint64    // steps of an epoch
	Warmup   uint64    // steps of the linear warm-up, before the schedule starts
	History  []float64 // validation loss of each epoch so far
}

// ScheduleInfo is a row of the table of schedules.
type ScheduleInfo struct {
	Name        string
	Parameters  []Parameter
	Formula     string // of the multiple; t is the step, T the number of steps, e the epoch, from the end of the warm-up
	Source      string
	UsesHistory bool
	factor      func(args [3]float64, t, steps float64, h Horizon) float64
}

// Schedules returns the table of schedules.
func Schedules() []ScheduleInfo {
	unlimited := math.Inf(1)
	return []ScheduleInfo{
		{Name: "constant", Formula: "1", factor: func([3]float64, float64, float64, Horizon) float64 { return 1 }},
		{Name: "cosine",
			Parameters: []Parameter{{Name: "min", High: 1, Meaning: "multiple at the end"}},
			Formula:    "min + (1-min)·(1 + cos πt/T)/2",
			Source:     "Loshchilov and Hutter 2017, eq. 5",
			factor: func(a [3]float64, t, steps float64, _ Horizon) float64 {
				return cosine(1, a[0], t/steps)
			}},
		{Name: "one-cycle",
			Parameters: []Parameter{
				{Name: "peak", Default: 0.3, High: 1, LowOpen: true, HighOpen: true, Meaning: "part of the run spent rising"},
				{Name: "start", Default: 25, Low: 1, High: unlimited, HighOpen: true, Meaning: "the first rate is 1/start of the peak"},
				{Name: "end", Default: 1e4, Low: 1, High: unlimited, HighOpen: true, Meaning: "the last is 1/end of the first"}},
			Formula: "from 1/start to 1 over peak·T steps, then to 1/(start·end), along half cosines",
			Source:  "Smith and Topin 2018",
			factor: func(a [3]float64, t, steps float64, _ Horizon) float64 {
				low, part := 1/a[1], t/steps
				if part < a[0] {
					return cosine(low, 1, part/a[0])
				}
				return cosine(1, low/a[2], (part-a[0])/(1-a[0]))
			}},
		{Name: "step",
			Parameters: []Parameter{
				{Name: "every", Default: 10, High: unlimited, LowOpen: true, HighOpen: true, Meaning: "epochs between two drops"},
				{Name: "factor", Default: 0.1, High: 1, LowOpen: true, Meaning: "of each drop"}},
			Formula: "factor^⌊e/every⌋",
			factor: func(a [3]float64, t, _ float64, h Horizon) float64 {
				return math.Pow(a[1], math.Floor(t/(a[0]*float64(h.PerEpoch))))
			}},
		{Name: "plateau",
			Parameters: []Parameter{
				{Name: "patience", Default: 5, Low: 1, High: unlimited, HighOpen: true, Meaning: "epochs without improvement before a drop"},
				{Name: "factor", Default: 0.5, High: 1, LowOpen: true, HighOpen: true, Meaning: "of each drop"},
				{Name: "delta", Default: 1e-4, High: unlimited, HighOpen: true, Meaning: "improvement that counts, in nats an example"}},
			Formula:     "factor^n, n the runs of patience epochs whose validation loss stayed above the best - delta",
			UsesHistory: true,
			factor: func(a [3]float64, _, _ float64, h Horizon) float64 {
				return math.Pow(a[1], float64(plateaus(h.History, a[0], a[2])))
			}},
	}
}

// ParseSchedule reads a schedule, such as "cosine" or "step:every=30,factor=0.1".
// Its error is a *SpecError.
func ParseSchedule(spec string) (Schedule, error) {
	name, text, given := strings.Cut(spec, ":")
	table := Schedules()
	row := slices.IndexFunc(table, func(s ScheduleInfo) bool { return s.Name == name })
	if row < 0 {
		names := make([]string, len(table))
		for i, s := range table {
			names[i] = s.Name
		}
		return Schedule{}, &SpecError{fmt.Sprintf("there is no schedule %q", name), oneOf(names)}
	}
	values, err := parseArguments(name, text, given, table[row].Parameters)
	if err != nil {
		return Schedule{}, err
	}
	s := Schedule{row: row}
	copy(s.args[:], values)
	return s, nil
}

// String is the inverse of ParseSchedule.
func (s Schedule) String() string {
	info := Schedules()[s.row]
	return formatSpec(info.Name, s.args[:], info.Parameters)
}

// MarshalText writes the specification.
func (s Schedule) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a specification.
func (s *Schedule) UnmarshalText(text []byte) error {
	schedule, err := ParseSchedule(string(text))
	if err == nil {
		*s = schedule
	}
	return err
}

// UsesHistory reports whether the schedule needs a validation loss.
func (s Schedule) UsesHistory() bool { return Schedules()[s.row].UsesHistory }

// Factors fills dst with the multiples of the steps first, first+1, ... The
// warm-up (Goyal et al. 2017, section 2.2) multiplies the schedule's first
// value by (t+1)/(Warmup+1).
func (s Schedule) Factors(dst []float64, first uint64, h Horizon) {
	factor := Schedules()[s.row].factor
	steps := float64(h.Steps - min(h.Warmup, h.Steps))
	for i := range dst {
		t := first + uint64(i)
		if t < h.Warmup {
			dst[i] = factor(s.args, 0, max(steps, 1), h) * float64(t+1) / float64(h.Warmup+1)
		} else {
			dst[i] = factor(s.args, float64(t-h.Warmup), max(steps, 1), h)
		}
	}
}

// cosine goes from a to b along half a cosine while part goes from 0 to 1.
func cosine(a, b, part float64) float64 {
	return b + (a-b)*(1+math.Cos(math.Pi*min(part, 1)))/2
}

// plateaus counts how often patience epochs in a row failed to improve on the
// best loss by more than delta; each time the count of epochs starts afresh.
func plateaus(history []float64, patience, delta float64) int {
	best, waited, n := math.Inf(1), 0.0, 0
	for _, loss := range history {
		waited++
		if loss < best-delta {
			best, waited = loss, 0
		}
		if waited >= patience {
			waited = 0
			n++
		}
	}
	return n
}
