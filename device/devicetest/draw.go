package devicetest

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

func drawChecks() []check { return each("Draw", device.Likelihoods(), checkDraw) }

// drawCase is what one trial of Draw varies.
type drawCase struct {
	kind                 device.Likelihood
	rows, features       int
	replicates           int
	clock, alias, fields bool
}

// checkDraw compares draws with the reference: exactly where they are defined so,
// within the rounding of a learned spread, and up to the side of a threshold on
// which a uniform draw lies that is within rounding of it.
func checkDraw(r *rig, k device.Likelihood) {
	if k == device.Mixed {
		checkDrawOfMixed(r)
		return
	}
	for _, shape := range scoreShapes {
		for variant := range 4 {
			r.drawTrial(drawCase{kind: k, rows: shape[0] * 3, features: shape[1], replicates: 1 + 2*(variant&1), clock: variant != 0,
				alias: variant >= 2 && k.Width(1) == 1, fields: variant != 2})
		}
	}
}

func (r *rig) drawTrial(c drawCase) {
	t := r.trial("draw %+v", c)
	width := c.kind.Width(c.features)
	layout, fields := t.likelihoodFields(likelihoodCase{kind: c.kind, features: c.features, widest: widest(c)})
	w := t.where(c.rows, c.replicates, c.clock)
	values := r.likelihoodParams(c.kind, c.rows*width)
	var params, out *operand
	if c.alias {
		params, out = t.pair("params", "out", c.rows, width, values, true)
	} else {
		params, out = t.in("params", c.rows, width, values), t.out("out", c.rows, c.features)
	}
	const sigma = 0.3
	t.run(func(s side) {
		s.Draw(device.DrawArgs{Kind: c.kind, Sigma: sigma, Fields: s.fields(fields), Params: s.v(params), Out: s.v(out),
			Seed: w.seed, Stream: w.stream, Stage: w.stage, Replicates: w.replicates, Index: s.w(w.index), Clock: s.w(w.clock)})
	})
	switch c.kind {
	case device.Gaussian:
		t.exact(out)
	case device.GaussianLearned:
		t.within(out, func(i int) float64 {
			s := float64(values[i/c.features*width+c.features+i%c.features])
			spread := math.Sqrt(math.Exp(s)+sigma*sigma) * math.Abs(w.normal(i/c.features, i%c.features))
			return elementary*(1+math.Abs(s))*spread + 2*u*math.Abs(out.want()[i]) + tiny
		})
	case device.Categorical:
		t.expectOneHots(layout, w, values, out)
	default:
		t.expectDiscrete(c.kind, w, values, out)
	}
}

func widest(c drawCase) int {
	if c.fields {
		return 7
	}
	return 0
}

// expectDiscrete compares the draws of one feature each with the reference's.
func (t *trial) expectDiscrete(k device.Likelihood, w where, params []float32, out *operand) {
	t.rig.Helper()
	for i, got := range out.got {
		if float64(got) == out.want()[i] {
			continue
		}
		row, column, a := i/out.columns, i%out.columns, float64(params[i])
		tolerated := false
		if k == device.Bernoulli {
			tolerated = isBit(got) && onTheEdge(w.uniform(row, column), sigmoid(a))
		} else {
			tolerated = isPoissonOfNearRate(got, a, w.at(row, column, 0), philox.KeyOf(w.seed))
		}
		if !tolerated {
			t.rig.report("%s: out%s is %g, want %g", t.label, out.place(i), got, out.want()[i])
			return
		}
	}
}

// isPoissonOfNearRate reports whether n is what some rate within rounding of
// exp(a) draws.
func isPoissonOfNearRate(n float32, a float64, at philox.Coordinates, key philox.Key) bool {
	rate, slack := math.Exp(a), elementary*(1+math.Abs(a))
	high := float32(rate * (1 + slack))
	for lambda := float32(rate * (1 - slack)); lambda <= high; lambda = math.Nextafter32(lambda, math.MaxFloat32) {
		if philox.Poisson(lambda, at, key) == n {
			return true
		}
	}
	return false
}

// expectOneHots compares draws of fields with the reference's: another column is
// one whose cumulative probability is within rounding of the uniform draw.
func (t *trial) expectOneHots(layout fieldLayout, w where, params []float32, out *operand) {
	t.rig.Helper()
	for row := range out.rows {
		for f := range len(layout.offsets) - 1 {
			from, to := row*out.columns+int(layout.offsets[f]), row*out.columns+int(layout.offsets[f+1])
			got, want := hotColumn(out.got[from:to]), hotOf(out.want()[from:to])
			if got == want {
				continue
			}
			if got < 0 || !tolerableColumn(params[from:to], w.uniform(row, f), min(got, want), max(got, want)) {
				t.rig.report("%s: field %d of row %d is %v, want column %d", t.label, f, row, out.got[from:to], want)
				return
			}
		}
	}
}

// hotColumn is the column of a one-hot field, -1 if it is none.
func hotColumn(x []float32) int {
	values := make([]float64, len(x))
	for i, v := range x {
		values[i] = float64(v)
	}
	return hotOf(values)
}

func hotOf(x []float64) int {
	hot, sum := -1, 0.0
	for i, v := range x {
		sum += v
		if v == 1 {
			hot = i
		} else if v != 0 {
			return -1
		}
	}
	if sum != 1 {
		return -1
	}
	return hot
}

// tolerableColumn reports whether the cumulative probabilities of the columns
// low, ..., high-1 are within rounding of a uniform draw.
func tolerableColumn(a []float32, uniform float64, low, high int) bool {
	largest, sum, wide := math.Inf(-1), 0.0, 0.0
	for _, v := range a {
		largest = max(largest, float64(v))
	}
	for _, v := range a {
		d := largest - float64(v)
		sum += math.Exp(-d)
		wide += math.Exp(-d) * (1 + d)
	}
	slack, cumulative := 2*(elementary*wide/sum+sumBound(float64(len(a)))), 0.0
	for k, v := range a[:high] {
		cumulative += math.Exp(float64(v)-largest) / sum
		if k >= low && math.Abs(cumulative-uniform) > slack {
			return false
		}
	}
	return true
}
