package devicetest

import (
	"math"

	"gpudae/device"
)

func likelihoodChecks() []check {
	return append(each("Likelihood", device.Likelihoods(), checkLikelihood),
		each("Mean", device.Likelihoods(), checkMean)...)
}

// likelihoodCase is what one trial of Likelihood varies.
type likelihoodCase struct {
	kind                    device.Likelihood
	rows, features          int
	masked, gradient, alias bool
	weighted, byColumn      bool
	widest                  int // columns of a field, 0: no fields
}

func checkLikelihood(r *rig, k device.Likelihood) {
	if k == device.Mixed {
		checkMixed(r)
		return
	}
	for i, shape := range shapes {
		for variant := range 6 {
			r.likelihoodTrial(likelihoodCase{
				kind: k, rows: shape[0], features: shape[1], masked: variant&1 == 0,
				gradient: variant < 4, alias: variant < 2, widest: [...]int{0, 4, 2 * shape[1]}[(i+variant)%3],
				weighted: (i+variant)%4 == 1, byColumn: variant == 1 || variant == 4,
			})
		}
	}
}

func (r *rig) likelihoodTrial(c likelihoodCase) {
	t := r.trial("likelihood %+v", c)
	width := c.kind.Width(c.features)
	layout, fields := t.likelihoodFields(c)
	params := t.in("params", c.rows, width, r.likelihoodParams(c.kind, c.rows*width))
	target := t.in("target", c.rows, c.features, r.targets(c.kind, c.rows, layout))
	losses := t.out("losses", c.rows, 1)
	var mask, dParams, weights, byColumn *operand
	if c.weighted {
		weights = t.in("weights", 1, c.features, r.uniforms(c.features, 0, 3))
	}
	if c.byColumn {
		byColumn = t.out("losses by column", c.rows, c.features)
	}
	if c.masked {
		mask = t.in("mask", c.rows, c.features, r.bits(c.rows*c.features, 0.4))
	}
	switch {
	case c.alias:
		params.output, dParams = true, params
	case c.gradient:
		dParams = t.out("DParams", c.rows, width)
	}
	a := device.LikelihoodArgs{Kind: c.kind, Sigma: 0.3, Destroyed: 1.5, Untouched: 0.25, Scale: 1.0 / 64}
	t.run(func(s side) {
		a := a
		a.Fields, a.Params, a.Target, a.Mask = s.fields(fields), s.v(params), s.v(target), s.v(mask)
		a.Losses, a.DParams, a.Weights, a.ByColumn = s.v(losses), s.v(dParams), s.v(weights), s.v(byColumn)
		s.Likelihood(a)
	})
	lossBounds, gradientBounds, columnBounds := likelihoodBounds(&a, layout, params, target, mask, weights)
	t.within(losses, func(i int) float64 { return lossBounds[i] })
	if c.byColumn {
		t.within(byColumn, func(i int) float64 { return columnBounds[i] })
	}
	if c.gradient {
		t.within(dParams, func(i int) float64 { return gradientBounds[i] })
	}
}

// likelihoodFields is the layout that the loss is taken over, and its operands
// where the case has fields. Only a categorical likelihood heeds them.
func (t *trial) likelihoodFields(c likelihoodCase) (fieldLayout, fieldOperands) {
	layout := t.rig.fieldLayout(c.features, 1)
	if c.widest == 0 {
		return layout, fieldOperands{}
	}
	given := t.rig.fieldLayout(c.features, c.widest)
	if c.kind == device.Categorical {
		layout = given
	}
	return layout, t.inFields(given)
}

// likelihoodParams are a decoder's outputs, some of them extreme.
func (r *rig) likelihoodParams(k device.Likelihood, n int) []float32 {
	a := r.normals(n, 1.5)
	for i := 0; i < n; i += 7 {
		switch k {
		case device.Bernoulli, device.Categorical:
			a[i] *= 30
		case device.Gaussian:
			a[i] *= 100
		case device.GaussianLearned, device.Poisson:
			a[i] *= 3
		}
	}
	return a
}

// targets suit a likelihood: bits and intensities, numbers, one-hot fields
// (some soft, some empty), counts.
func (r *rig) targets(k device.Likelihood, rows int, layout fieldLayout) []float32 {
	d := len(layout.ofColumn)
	switch k {
	case device.Bernoulli:
		x := r.uniforms(rows*d, 0, 1)
		for i := range x {
			if i%3 != 0 {
				x[i] = float32(math.Round(float64(x[i])))
			}
		}
		return x
	case device.Poisson:
		x := r.uniforms(rows*d, 0, 20)
		for i := range x {
			x[i] = float32(math.Floor(float64(x[i])))
		}
		return x
	case device.Categorical:
		return r.oneHots(rows, layout)
	default:
		return r.normals(rows*d, 1)
	}
}

func (r *rig) oneHots(rows int, layout fieldLayout) []float32 {
	d := len(layout.ofColumn)
	x := make([]float32, rows*d)
	for i := range rows {
		for f := range len(layout.offsets) - 1 {
			from, to := int(layout.offsets[f]), int(layout.offsets[f+1])
			hot := from + r.rng.IntN(to-from)
			switch r.rng.IntN(8) {
			case 0: // missing
			case 1:
				x[i*d+from] += 0.25
				x[i*d+hot] += 0.75
			default:
				x[i*d+hot] = 1
			}
		}
	}
	return x
}

// likelihoodBounds bounds the losses and the gradient: a loss is a sum of
// terms, each an elementary function of its argument's magnitude.
func likelihoodBounds(a *device.LikelihoodArgs, layout fieldLayout, params, target, mask, weights *operand) (losses, gradient, byColumn []float64) {
	d := len(layout.ofColumn)
	losses, gradient, byColumn = make([]float64, target.rows), make([]float64, len(params.before)), make([]float64, len(target.before))
	for i := range target.rows {
		row := params.before[i*params.columns : (i+1)*params.columns]
		x := target.before[i*d : (i+1)*d]
		for f := range len(layout.offsets) - 1 {
			from, to := int(layout.offsets[f]), int(layout.offsets[f+1])
			weight := 1.0
			if mask != nil {
				weight = float64(a.Untouched)
				if mask.before[i*d+from] == 1 {
					weight = float64(a.Destroyed)
				}
			}
			if weights != nil {
				weight *= float64(weights.before[from])
			}
			features := columnsOf(from, to)
			columns := features
			if a.Kind == device.GaussianLearned {
				columns = []int{from, d + from}
			}
			loss, slopes := unitMagnitude(a.Kind, pick(row, columns), pick(x, features), float64(a.Sigma))
			losses[i] += (float64(d)*u + elementary) * weight * loss
			byColumn[i*d+from] = (float64(to-from)*u + elementary) * loss
			for k, j := range columns {
				gradient[i*params.columns+j] = float64(a.Scale)*weight*elementary*slopes[k] + tiny
			}
		}
	}
	return losses, gradient, byColumn
}

// columnsOf lists the columns from, ..., to-1.
func columnsOf(from, to int) []int {
	var all []int
	for j := from; j < to; j++ {
		all = append(all, j)
	}
	return all
}

// unitMagnitude is the sum of the magnitudes of the terms of a unit's loss, and
// of those of its gradient by each parameter, in multiples of which an error is
// measured. The exponential's argument is rounded before it is taken, which
// costs a relative error of the argument's magnitude; hence factors such as
// 1 + |a|.
func unitMagnitude(k device.Likelihood, a, x []float64, sigma float64) (loss float64, gradient []float64) {
	switch k {
	case device.Bernoulli:
		return 1 + math.Abs(a[0]) + math.Abs(x[0]*a[0]), []float64{1 + math.Abs(x[0])}
	case device.Gaussian:
		r := math.Abs(x[0] - a[0])
		return r*r/(2*sigma*sigma) + math.Abs(math.Log(sigma)) + 1, []float64{r / (sigma * sigma)}
	case device.GaussianLearned:
		e := math.Exp(a[1])
		v, r := e+sigma*sigma, math.Abs(x[0]-a[0])
		wide := 1 + math.Abs(a[1])
		return wide + math.Abs(math.Log(v)) + wide*r*r/v, []float64{wide * r / v, wide * e / v * (1 + r*r/v)}
	case device.Poisson:
		wide, logFactorial := 1+math.Abs(a[0]), lgamma(x[0]+1)
		return wide*math.Exp(a[0]) + math.Abs(x[0]*a[0]) + math.Abs(logFactorial) + 1, []float64{wide*math.Exp(a[0]) + x[0]}
	default:
		return categoricalMagnitude(a, x)
	}
}

func lgamma(x float64) float64 {
	y, _ := math.Lgamma(x)
	return y
}

func categoricalMagnitude(a, x []float64) (loss float64, gradient []float64) {
	largest, normaliser, total := math.Inf(-1), 0.0, 0.0
	for k := range a {
		largest = max(largest, a[k])
		total += x[k]
	}
	for _, v := range a {
		normaliser += math.Exp(v - largest)
	}
	for k := range a {
		loss += x[k] * (math.Abs(largest) + math.Abs(a[k]) + math.Log(normaliser) + 1 + float64(len(a))/16)
		p := math.Exp(a[k]-largest) / normaliser
		gradient = append(gradient, total*p*(1+largest-a[k]+float64(len(a))/16)+x[k])
	}
	return loss, gradient
}

func pick(row []float32, columns []int) []float64 {
	values := make([]float64, len(columns))
	for k, j := range columns {
		values[k] = float64(row[j])
	}
	return values
}

// checkMean compares E[x|h], also in place where the widths agree.
func checkMean(r *rig, k device.Likelihood) {
	if k == device.Mixed {
		checkMeanOfMixed(r)
		return
	}
	for i, shape := range shapes {
		for variant := range 3 {
			c := likelihoodCase{kind: k, rows: shape[0], features: shape[1], widest: [...]int{0, 4, 2 * shape[1]}[(i+variant)%3],
				alias: variant == 1 && k.Width(1) == 1}
			r.meanTrial(c)
		}
	}
}

func (r *rig) meanTrial(c likelihoodCase) {
	t := r.trial("mean %+v", c)
	width := c.kind.Width(c.features)
	layout, fields := t.likelihoodFields(c)
	values := r.likelihoodParams(c.kind, c.rows*width)
	var params, out *operand
	if c.alias {
		params, out = t.pair("params", "out", c.rows, width, values, true)
	} else {
		params, out = t.in("params", c.rows, width, values), t.out("out", c.rows, c.features)
	}
	t.run(func(s side) {
		s.Mean(device.MeanArgs{Kind: c.kind, Fields: s.fields(fields), Params: s.v(params), Out: s.v(out)})
	})
	t.within(out, func(i int) float64 {
		row := values[i/c.features*width : (i/c.features+1)*width]
		return meanBound(c.kind, layout, row, i%c.features, out.want()[i])
	})
}

// meanBound bounds the mean y of a feature whose row of parameters is given.
func meanBound(k device.Likelihood, layout fieldLayout, row []float32, feature int, y float64) float64 {
	a := float64(row[feature])
	switch k {
	case device.Gaussian, device.GaussianLearned:
		return 0 // a copy
	case device.Poisson:
		return elementary*(1+math.Abs(a))*y + tiny
	case device.Categorical:
		f := layout.ofColumn[feature]
		field := row[layout.offsets[f]:layout.offsets[f+1]]
		largest := a
		for _, v := range field {
			largest = max(largest, float64(v))
		}
		return elementary*(1+largest-a+float64(len(field))/16)*y + tiny
	default:
		return elementary*y + tiny
	}
}
