package table

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// scaler is the map from a column's numbers x to the model's z and back: affine,
// or through the knots of a gauss-rank table, between which it is linear, and
// outside of which it goes on with the slope of the whole table. It is strictly
// increasing, so that it has an exact inverse.
type scaler struct {
	offset, scale float64    // z = (x-offset)/scale
	knots         *Quantiles // in place of those
}

// newScaler is the scaling of a fitted column of numbers.
func newScaler(c *Column) scaler {
	s := scaler{scale: 1}
	switch c.Scaling {
	case Standard:
		s.offset, s.scale = c.Fit.Mean, c.Fit.Deviation
	case MinMax:
		s.offset, s.scale = c.Fit.Low, c.Fit.High-c.Fit.Low
	case GaussRank:
		s.knots = c.Fit.Quantiles
		n := len(s.knots.Values) - 1
		if n > 0 {
			s.scale = (s.knots.Values[n] - s.knots.Values[0]) / (s.knots.Scores[n] - s.knots.Scores[0])
		}
	}
	if !(s.scale > 0) {
		s.scale = 1
	}
	return s
}

// apply returns z.
func (s *scaler) apply(x float64) float64 {
	if s.knots == nil {
		return (x - s.offset) / s.scale
	}
	return between(s.knots.Values, s.knots.Scores, x, 1/s.scale)
}

// invert returns x.
func (s *scaler) invert(z float64) float64 {
	if s.knots == nil {
		return z*s.scale + s.offset
	}
	return between(s.knots.Scores, s.knots.Values, z, s.scale)
}

// between interpolates linearly through the points (from[i], to[i]).
func between(from, to []float64, at, slope float64) float64 {
	last := len(from) - 1
	switch {
	case at <= from[0]:
		return to[0] + (at-from[0])*slope
	case at >= from[last]:
		return to[last] + (at-from[last])*slope
	}
	i := sort.SearchFloat64s(from, at) // from[i-1] < at ≤ from[i]
	if at == from[i] {
		return to[i]
	}
	share := (at - from[i-1]) / (from[i] - from[i-1])
	return to[i-1] + share*(to[i]-to[i-1])
}

// moments are the mean and the deviation of z over the cells that the scaling
// was fitted on.
func (s scaler) moments(f *Fit) (mean, deviation float64) {
	if s.knots != nil {
		return s.knots.Mean, s.knots.Deviation
	}
	return (f.Mean - s.offset) / s.scale, f.Deviation / s.scale
}

// gaussRank makes the knots of a gauss-rank scaling of values, ascending, that
// weights cells have each: z = Φ⁻¹((cells below + half of the cells that are
// equal) / all). With at most so many values each is a knot. Of more, knots are
// about equally far apart in rank, the first and the last value among them; and
// beside a value that many cells have there is one on each side, a hair away, for
// the cells that are barely below or above it, so that all z between the three
// come back as that value.
//
// Jahrer, "1st place with representation learning", Porto Seguro's safe driver
// prediction, 2017: there ranks are spread evenly over (-1, 1) before erf⁻¹.
func gaussRank(values, weights []float64, most int) *Quantiles {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	q := &Quantiles{}
	last := len(values) - 1
	hair := (values[last] - values[0]) / (1 << 40)
	every, common := last < most, 2*total/float64(most)
	below, squares := 0.0, 0.0
	next := 0.0 // rank from which a value becomes a knot
	for i, w := range weights {
		rank := (below + w/2) / total
		z := distuv.UnitNormal.Quantile(rank)
		q.Mean += w / total * z
		squares += w / total * z * z
		beside := !every && w > common
		if beside && i > 0 {
			q.add(values[i]-hair, below/total)
		}
		if every || rank >= next || i == last || beside {
			q.add(values[i], rank)
			next = math.Max(next, rank) + 1/float64(most-1)
		}
		below += w
		if beside && i < last {
			q.add(values[i]+hair, below/total)
			next = math.Max(next, below/total)
		}
	}
	q.Deviation = math.Sqrt(math.Max(squares-q.Mean*q.Mean, 0))
	return q
}

// add appends a knot at a rank of 1, if it is beyond the last one.
func (q *Quantiles) add(value, rank float64) {
	z := float64(float32(distuv.UnitNormal.Quantile(rank))) // a model's number, so that the value comes back as it is
	if n := len(q.Scores); n == 0 || z > q.Scores[n-1] && value > q.Values[n-1] {
		q.Values, q.Scores = append(q.Values, value), append(q.Scores, z)
	}
}
