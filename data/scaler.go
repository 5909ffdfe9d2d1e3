package data

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"gorgonia.org/tensor"
)

// ScaleKind names a map from model scale to the scale of training.
type ScaleKind string

// The kinds. a, b, μ and s are those of the rows that a scaler was fitted on; a
// column without spread is only shifted, s = 1 or b-a = 1.
const (
	// ScaleNone: z = x.
	ScaleNone ScaleKind = "none"
	// ScaleUnit: z = (x-a)/(b-a) with one a = min and b = max over all columns, so
	// that columns stay comparable (images, sensors of one kind).
	ScaleUnit ScaleKind = "unit"
	// ScaleStandard: z = (x-μ)/s with the column's mean and standard deviation
	// (dividing by the number of rows).
	ScaleStandard ScaleKind = "standard"
	// ScaleMinMax: z = (x-a)/(b-a) with the column's min and max.
	ScaleMinMax ScaleKind = "min-max"
	// ScaleAuto: none for data whose values all lie in [0, 1] or that are stored
	// as uint8, standard for others. A Scaler never has this kind.
	ScaleAuto ScaleKind = "auto"
)

// ScaleKinds lists the kinds, for messages and documentation.
func ScaleKinds() []ScaleKind {
	return []ScaleKind{ScaleAuto, ScaleNone, ScaleUnit, ScaleStandard, ScaleMinMax}
}

// ParseScaleKind returns the kind of that name; its error lists the names.
func ParseScaleKind(name string) (ScaleKind, error) {
	names := make([]string, 0, len(ScaleKinds()))
	for _, kind := range ScaleKinds() {
		if string(kind) == name {
			return kind, nil
		}
		names = append(names, string(kind))
	}
	return "", fmt.Errorf("unknown scaling %q; use one of %s", name, strings.Join(names, ", "))
}

// Scaler is the affine map z = (x-Offset)/Scale of each column. It survives a
// round trip through JSON bit for bit.
type Scaler struct {
	Kind   ScaleKind `json:"kind"`
	Offset []float64 `json:"offset,omitempty"` // [features]; nil for ScaleNone
	Scale  []float64 `json:"scale,omitempty"`  // [features], positive; nil for ScaleNone
	// Low and High are the extremes of each column after scaling, [features], for
	// salt-and-pepper noise: 0 and 1 for data of the unit interval (Vincent et al.
	// 2010 take the extremes that are possible, not those that occur), otherwise
	// those of the rows fitted on.
	Low  []float32 `json:"low"`
	High []float32 `json:"high"`
}

// Fit fits a scaler on the rows for which keep is true (nil: all rows), in one
// pass, and on the values in them that are not missing. These should be the training rows: a scaler that has seen the
// validation rows leaks them. It fails with *Error or the context's error.
func Fit(ctx context.Context, kind ScaleKind, d Dataset, keep func(row int) bool) (*Scaler, error) {
	info := d.Info()
	unit := info.Min >= 0 && info.Max <= 1
	if kind == ScaleAuto {
		kind = ScaleStandard
		if unit || info.Element == Uint8 {
			kind = ScaleNone
		}
	}
	m := newMoments(info.Features)
	err := eachBlock(ctx, d, func(from int, block *tensor.Dense) error {
		x := Float32s(Widen(block, info.Scale))
		for i := 0; i*info.Features < len(x); i++ {
			if keep == nil || keep(from+i) {
				m.add(x[i*info.Features : (i+1)*info.Features])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := m.check(info); err != nil {
		return nil, err
	}
	s := &Scaler{Kind: kind, Low: make([]float32, info.Features), High: make([]float32, info.Features)}
	s.setMap(m)
	s.setExtremes(m, unit && kind == ScaleNone || kind == ScaleUnit || kind == ScaleMinMax)
	return s, nil
}

// setMap sets Offset and Scale.
func (s *Scaler) setMap(m *moments) {
	if s.Kind == ScaleNone {
		return
	}
	n := len(m.mean)
	s.Offset, s.Scale = make([]float64, n), make([]float64, n)
	low, high := m.overall()
	for c := range n {
		switch s.Kind {
		case ScaleUnit:
			s.Offset[c], s.Scale[c] = low, high-low
		case ScaleMinMax:
			s.Offset[c], s.Scale[c] = m.low[c], m.high[c]-m.low[c]
		case ScaleStandard:
			s.Offset[c], s.Scale[c] = m.mean[c], m.deviation(c)
		default:
			panic(fmt.Sprintf("data: scaling %q", s.Kind))
		}
		if s.Scale[c] == 0 {
			s.Scale[c] = 1
		}
	}
}

// setExtremes sets Low and High.
func (s *Scaler) setExtremes(m *moments, unit bool) {
	for c := range s.Low {
		if unit {
			s.Low[c], s.High[c] = 0, 1
		} else {
			s.Low[c], s.High[c] = float32(s.apply(c, m.low[c])), float32(s.apply(c, m.high[c]))
		}
	}
}

// Apply returns z of x, which is [n, features] of float32 in model scale, as a
// new tensor; a missing value, NaN, stays one. It fails with *Error if the
// number of features differs, or if a value far outside of the rows fitted on
// leaves the range of float32.
func (s *Scaler) Apply(x *tensor.Dense) (*tensor.Dense, error) { return s.each(x, s.apply, true) }

// Invert returns x of z, the inverse of Apply; it fails where z is not finite.
func (s *Scaler) Invert(z *tensor.Dense) (*tensor.Dense, error) { return s.each(z, s.invert, false) }

func (s *Scaler) apply(column int, x float64) float64 {
	if s.Kind == ScaleNone {
		return x
	}
	return (x - s.Offset[column]) / s.Scale[column]
}

func (s *Scaler) invert(column int, z float64) float64 {
	if s.Kind == ScaleNone {
		return z
	}
	return z*s.Scale[column] + s.Offset[column]
}

// scaledInput is what messages call a tensor, whose file the scaler does not know.
const scaledInput = "input"

func (s *Scaler) each(x *tensor.Dense, f func(column int, x float64) float64, missing bool) (*tensor.Dense, error) {
	from := Float32s(x)
	features := len(s.Low)
	rows := x.Shape()[0]
	if len(from) != rows*features {
		return nil, &Error{Path: scaledInput, Problem: fmt.Sprintf("has %d features in a row, but the scaling was fitted on %d", len(from)/rows, features)}
	}
	to := make([]float32, len(from))
	for i := range to {
		column := i % features
		to[i] = float32(f(column, float64(from[i])))
		if !finite(float64(to[i])) && !(missing && from[i] != from[i]) {
			return nil, &Error{Path: scaledInput, Row: i/features + 1, Column: column + 1,
				Problem: fmt.Sprintf("%v leaves the range of float32 when scaled", from[i]), Remedy: "remove the outlier"}
		}
	}
	return matrix(to, rows, features), nil
}

// UnmarshalJSON reads what encoding/json wrote and checks that it is a scaler.
func (s *Scaler) UnmarshalJSON(text []byte) error {
	type plain Scaler // without this method
	var p plain
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if err := (*Scaler)(&p).check(); err != nil {
		return fmt.Errorf("scaler: %w", err)
	}
	*s = Scaler(p)
	return nil
}

func (s *Scaler) check() error {
	kind, err := ParseScaleKind(string(s.Kind))
	if err != nil {
		return err
	}
	maps := len(s.Low)
	switch kind {
	case ScaleAuto:
		return fmt.Errorf("%q is not resolved", kind)
	case ScaleNone:
		maps = 0
	}
	if len(s.Low) == 0 || len(s.High) != len(s.Low) || len(s.Offset) != maps || len(s.Scale) != maps {
		return fmt.Errorf("%q with %d offsets, %d scales, %d lows and %d highs", kind, len(s.Offset), len(s.Scale), len(s.Low), len(s.High))
	}
	for c, scale := range s.Scale {
		if !(scale > 0) || !finite(scale) {
			return fmt.Errorf("scale %v of column %d is not positive", scale, c+1)
		}
	}
	return nil
}

// moments are running statistics of columns, in float64: the mean and the sum
// of squared deviations by Welford's update (Technometrics 4, 1962).
type moments struct {
	rows          int
	counts        []int // of values that are not missing
	mean, squares []float64
	low, high     []float64
}

func newMoments(features int) *moments {
	m := &moments{counts: make([]int, features), mean: make([]float64, features), squares: make([]float64, features),
		low: make([]float64, features), high: make([]float64, features)}
	for c := range features {
		m.low[c], m.high[c] = math.Inf(1), math.Inf(-1)
	}
	return m
}

// add takes one row.
func (m *moments) add(row []float32) {
	m.rows++
	for c, value := range row {
		if value != value {
			continue
		}
		m.counts[c]++
		x := float64(value)
		delta := x - m.mean[c]
		m.mean[c] += delta * (1 / float64(m.counts[c]))
		m.squares[c] += delta * (x - m.mean[c])
		m.low[c] = min(m.low[c], x)
		m.high[c] = max(m.high[c], x)
	}
}

// check fails where there is nothing to fit a scaling on.
func (m *moments) check(info Info) error {
	if m.rows == 0 {
		return &Error{Path: info.source(), Problem: "has no rows to fit the scaling on", Remedy: "leave more rows for training"}
	}
	if c := slices.Index(m.counts, 0); c >= 0 {
		e := &Error{Path: info.source(), Column: c + 1, Problem: "every training row lacks the value", Remedy: "remove the column"}
		if info.Columns != nil {
			e.ColumnName = info.Columns[c]
		}
		return e
	}
	return nil
}

// deviation is the standard deviation of a column, 0 for a constant one.
func (m *moments) deviation(column int) float64 {
	if m.low[column] == m.high[column] {
		return 0
	}
	return math.Sqrt(m.squares[column] / float64(m.counts[column]))
}

// overall returns the extremes over all columns.
func (m *moments) overall() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for c := range m.low {
		low, high = min(low, m.low[c]), max(high, m.high[c])
	}
	return low, high
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
