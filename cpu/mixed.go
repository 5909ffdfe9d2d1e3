package cpu

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

// vectorWorth is the number of categories from which on the kernels of a sum or
// a product are worth their call.
const vectorWorth = 16

// mixed is Σ_j w_j·ℓ_j over the columns of a table, each of a family of its own.
// The exponentials of all of them are taken at once.
func (r *lossRow) mixed() (sum float64) {
	*r.scratch = grown(*r.scratch, len(r.a)+len(r.x))
	e, largest := (*r.scratch)[:len(r.a)], (*r.scratch)[len(r.a):][:len(r.x)]
	width := r.Table.ParamWidth
	exponents(e, largest, r.a, r.x, r.columns)
	heads(e[width:], r.a[width:])
	r.kernels.exp(e, e)
	for j := range r.columns {
		column, x := &r.columns[j], r.x[j]
		lo, hi := column.Param, column.Param+column.Params()
		if x != x {
			r.absentColumn(j, lo, hi)
			continue
		}
		var d []float32
		if r.d != nil {
			d = r.d[lo:hi]
		}
		w := r.weight(j)
		loss := r.columnLoss(column, r.a[lo:hi], e[lo:hi], largest[j], x, d, r.Scale*w)
		if r.l != nil {
			r.l[j] = float32(loss)
		}
		sum += float64(w) * loss
	}
	return sum + r.maskHead(e, width)
}

// absentColumn has no loss and no gradient.
func (r *lossRow) absentColumn(j, lo, hi int) {
	if r.l != nil {
		r.l[j] = 0
	}
	if r.d != nil {
		clear(r.d[lo:hi])
	}
}

// exponents writes, for each parameter, that of which its column needs the
// exponential: the distance to the largest of a categorical column, which it
// keeps by column, -|a| of a logit, s of a learned variance. x is nil where all
// columns are wanted.
func exponents(e, largest, a, x []float32, columns []device.TableColumn) {
	for j := range columns {
		c := &columns[j]
		lo := c.Param
		if x != nil && x[j] != x[j] {
			clear(e[lo : lo+c.Params()])
			continue
		}
		switch c.Family {
		case device.FamilyGaussian:
			e[lo] = 0
		case device.FamilyGaussianLearned:
			e[lo], e[lo+1] = 0, a[lo+1]
		case device.FamilyBernoulli:
			e[lo] = -magnitude(a[lo])
		case device.FamilyCategorical:
			hi := lo + c.Categories
			to, from := e[lo:hi], a[lo:hi]
			top := largestOf(from)
			for k, v := range from {
				to[k] = v - top
			}
			largest[j] = top
		}
	}
}

// heads writes -|b| of the logits of a mask.
func heads(e, b []float32) {
	for j, v := range b {
		e[j] = -magnitude(v)
	}
}

func magnitude(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// columnLoss is -log p(x|a) of a column, and stores scale times its gradient in
// d unless it is nil. e are the exponentials of exponents; d may be a.
func (r *lossRow) columnLoss(c *device.TableColumn, a, e []float32, largest, x float32, d []float32, scale float32) float64 {
	switch c.Family {
	case device.FamilyGaussian:
		z := a[0] - x
		if d != nil {
			d[0] = scale * z * r.precision
		}
		return 0.5*float64(z)*float64(z)*float64(r.precision) + float64(r.constant)
	case device.FamilyGaussianLearned:
		z, learned := float64(a[0])-float64(x), float64(e[1])
		v := learned + float64(r.Floor)*float64(r.Floor)
		if d != nil {
			d[0] = scale * float32(z/v)
			d[1] = scale * float32(0.5*learned*(1-z*z/v)/v)
		}
		return 0.5*(math.Log(v)+z*z/v) + halfLogTwoPi
	case device.FamilyBernoulli:
		loss, slope := logitLoss(a[0], e[0], x)
		if d != nil {
			d[0] = scale * slope
		}
		return loss
	default:
		return r.codeLoss(e, float64(a[int(x)])-float64(largest), int(x), d, scale)
	}
}

// logitLoss is softplus(a) - x·a and its derivative, e being exp(-|a|).
func logitLoss(a, e, x float32) (loss float64, slope float32) {
	p := 1 / (1 + e)
	if a < 0 {
		p *= e
	}
	return float64(max(a, 0)) + math.Log1p(float64(e)) - float64(x)*float64(a), p - x
}

// codeLoss is logsumexp(a) - a_code, with e the exponentials of the distances to
// the largest, of which the code's is given.
func (r *lossRow) codeLoss(e []float32, distance float64, code int, d []float32, scale float32) float64 {
	var normaliser float64
	if len(e) < vectorWorth {
		normaliser = sumFloat64(e)
	} else {
		normaliser = r.kernels.sum(e)
	}
	if d != nil {
		share := scale * float32(1/normaliser)
		if len(e) < vectorWorth {
			for k, v := range e {
				d[k] = share * v
			}
		} else {
			r.kernels.scale(d, share, e)
		}
		d[code] -= scale
	}
	return math.Log(normaliser) - distance
}

// maskHead is the likelihood of the mask, whose logits begin at a column of the
// parameters, if there are any.
func (r *lossRow) maskHead(e []float32, from int) (sum float64) {
	if from == len(r.a) {
		return 0
	}
	if !(r.MaskHead > 0) {
		if r.d != nil {
			clear(r.d[from:])
		}
		return 0
	}
	for j, b := range r.a[from:] {
		loss, slope := 0.0, float32(0)
		if x := r.x[j]; x == x {
			loss, slope = logitLoss(b, e[from+j], r.m[j])
		}
		sum += loss
		if r.d != nil {
			r.d[from+j] = r.Scale * r.MaskHead * slope
		}
	}
	return float64(r.MaskHead) * sum
}

// mixed computes the mean of each column: of a categorical one, the lowest of
// the most probable codes.
func (c *meanCall) mixed(out, a []float32) {
	for j := range c.tableColumns {
		column := &c.tableColumns[j]
		lo := column.Param
		switch column.Family {
		case device.FamilyBernoulli:
			out[j] = sigmoid(a[lo])
		case device.FamilyCategorical:
			out[j] = float32(indexOfLargest(a[lo : lo+column.Categories]))
		default:
			out[j] = a[lo]
		}
	}
}

// indexOfLargest is the lowest index of the largest number.
func indexOfLargest(x []float32) int {
	best := 0
	for k, v := range x {
		if v > x[best] {
			best = k
		}
	}
	return best
}

// mixed draws each column from its family.
func (r *drawRow) mixed() {
	e, largest, z := r.scratch.take(0, r.Table.ParamWidth), r.scratch.take(1, len(r.x)), r.normals()
	words := r.scratch.noise.decisions // of which the normal draws were made
	exponents(e, largest, r.a, nil, r.columns)
	r.kernels.exp(e, e)
	for j := range r.columns {
		c := &r.columns[j]
		lo := c.Param
		switch c.Family {
		case device.FamilyGaussian:
			r.x[j] = r.a[lo] + float32(r.Sigma*z[j])
		case device.FamilyGaussianLearned:
			r.x[j] = r.a[lo] + float32(root(e[lo+1]+r.Floor*r.Floor)*z[j])
		case device.FamilyBernoulli:
			p := 1 / (1 + e[lo])
			if r.a[lo] < 0 {
				p *= e[lo]
			}
			r.x[j] = indicator(philox.Uniform(words[j]), p)
		case device.FamilyCategorical:
			r.x[j] = float32(firstAbove(e[lo:lo+c.Categories], philox.Uniform(words[j])))
		}
	}
}

// firstAbove is the first of some weights up to which their sum exceeds the part
// u of it, the last if none does.
func firstAbove(weights []float32, u float32) int {
	limit := float64(u) * sumFloat64(weights)
	k, cumulative := 0, float64(weights[0])
	for k < len(weights)-1 && !(cumulative > limit) {
		k++
		cumulative += float64(weights[k])
	}
	return k
}
