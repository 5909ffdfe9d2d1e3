package cpu

import (
	"math"

	"gpudae/device"
)

// halfLogTwoPi is ½ ln 2π.
const halfLogTwoPi = 0.918938533204672741780329736406

// likelihoodCall is a Likelihood in progress; its items are rows.
type likelihoodCall struct {
	device.LikelihoodArgs
	kernels              *kernels
	params, target, mask []float32
	weights              []float32
	losses, gradient     []float32
	byColumn             []float32
	columns              []device.TableColumn // Mixed; its memory is used again
	lanes                [][]float32          // scratch of a row
	offsets              []uint32             // of the fields; nil: every column is its own
	precision, constant  float32              // Gaussian: 1/σ² and ln σ + ½ ln 2π
}

// Likelihood computes -log p(x|h) of each example and its gradient.
func (d *Device) Likelihood(a device.LikelihoodArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Likelihood) {
		return
	}
	d.loss = likelihoodCall{
		LikelihoodArgs: a, kernels: d.kernels, lanes: d.loss.lanes, params: floatsOf(a.Params), target: floatsOf(a.Target), mask: floatsOf(a.Mask),
		losses: floatsOf(a.Losses), gradient: floatsOf(a.DParams), offsets: offsetsOf(a.Fields), weights: floatsOf(a.Weights),
		byColumn: floatsOf(a.ByColumn), columns: tableColumns(d.loss.columns, a.Table),
	}
	if sigma := float64(a.Sigma); a.Kind == device.Gaussian || a.Kind == device.Mixed {
		d.loss.precision, d.loss.constant = float32(1/(sigma*sigma)), float32(math.Log(sigma)+halfLogTwoPi)
	}
	d.pool.run(&d.loss, a.Target.Rows, d.perLane(a.Params.Columns*likelihoodCost))
}

func offsetsOf(f device.Fields) []uint32 {
	if f.IsZero() {
		return nil
	}
	return wordsOf(f.Offsets)
}

// bounds returns the columns of field f.
func bounds(offsets []uint32, f int) (lo, hi int) {
	if offsets == nil {
		return f, f + 1
	}
	return int(offsets[f]), int(offsets[f+1])
}

// fieldCount is the number of fields of that many columns.
func fieldCount(offsets []uint32, columns int) int {
	if offsets == nil {
		return columns
	}
	return len(offsets) - 1
}

func (c *likelihoodCall) run(lane, lo, hi int) {
	n, width := c.Target.Columns, c.Params.Columns
	row := lossRow{likelihoodCall: c, scratch: &c.lanes[lane]}
	for i := lo; i < hi; i++ {
		row.a, row.x = c.params[i*width:(i+1)*width], c.target[i*n:(i+1)*n]
		if c.gradient != nil {
			row.d = c.gradient[i*width : (i+1)*width]
		}
		if c.mask != nil {
			row.m = c.mask[i*n : (i+1)*n]
		}
		if c.byColumn != nil {
			row.l = c.byColumn[i*n : (i+1)*n]
		}
		c.losses[i] = float32(row.loss())
	}
}

// lossRow is one example: parameters a, clean x, mask m or nil, gradient d or nil,
// losses by column l or nil.
type lossRow struct {
	*likelihoodCall
	scratch       *[]float32
	a, x, m, d, l []float32
}

func (r *lossRow) loss() float64 {
	switch {
	case r.Kind == device.Mixed:
		return r.mixed()
	case r.Kind == device.Categorical:
		return r.categorical()
	case r.weights != nil || r.l != nil:
		return r.columnByColumn()
	}
	switch r.Kind {
	case device.Bernoulli:
		return r.kernels.bernoulli(r.a, r.x, r.m, r.d, r.Destroyed, r.Untouched, r.Scale)
	case device.Gaussian:
		return r.gaussian()
	case device.GaussianLearned:
		return r.gaussianLearned()
	default:
		return r.poisson()
	}
}

// columnByColumn takes the loss of each column by itself, for those who want it
// or have a weight for it.
func (r *lossRow) columnByColumn() (sum float64) {
	n := len(r.x)
	for j, x := range r.x {
		a, clean, w := r.a[j:j+1], r.x[j:j+1], r.weight(j)
		scale := r.Scale * w
		var d, ds []float32
		if r.d != nil {
			d = r.d[j : j+1]
		}
		loss := 0.0
		switch r.Kind {
		case device.Bernoulli:
			loss = r.kernels.bernoulli(a, clean, nil, d, 1, 1, scale)
		case device.Gaussian:
			loss = r.kernels.gaussian(a, clean, nil, d, 1, 1, scale, r.precision, r.constant)
		case device.GaussianLearned:
			if d != nil {
				ds = r.d[n+j : n+j+1]
			}
			loss = r.kernels.gaussianLearned(a, r.a[n+j:n+j+1], clean, nil, d, ds, 1, 1, scale, r.Sigma*r.Sigma, halfLogTwoPi)
		case device.Poisson:
			loss = r.kernels.poisson(a, clean, nil, d, 1, 1, scale) + logFactorial(x)
		}
		if r.l != nil {
			r.l[j] = float32(loss)
		}
		sum += float64(w) * loss
	}
	return sum
}

// weight is the emphasis on column j, by its mask and by its weight.
func (r *lossRow) weight(j int) float32 {
	w := weightOf(r.m, j, r.Destroyed, r.Untouched)
	if r.weights != nil {
		w *= r.weights[j]
	}
	return w
}

// gaussian: ½((x-μ)/σ)² + ln σ + ½ ln 2π.
func (r *lossRow) gaussian() float64 {
	return r.kernels.gaussian(r.a, r.x, r.m, r.d, r.Destroyed, r.Untouched, r.Scale, r.precision, r.constant)
}

// gaussianLearned: ½(ln v + (x-μ)²/v + ln 2π), v = exp(s) + σ².
func (r *lossRow) gaussianLearned() float64 {
	n := len(r.x)
	var d, ds []float32
	if r.d != nil {
		d, ds = r.d[:n], r.d[n:]
	}
	return r.kernels.gaussianLearned(r.a[:n], r.a[n:], r.x, r.m, d, ds, r.Destroyed, r.Untouched, r.Scale, r.Sigma*r.Sigma, halfLogTwoPi)
}

// poisson: exp(a) - x·a + ln Γ(x+1).
func (r *lossRow) poisson() float64 {
	sum := r.kernels.poisson(r.a, r.x, r.m, r.d, r.Destroyed, r.Untouched, r.Scale)
	for j, x := range r.x {
		sum += float64(r.weight(j)) * logFactorial(x)
	}
	return sum
}

// logFactorials are ln n! of the counts that occur most.
var logFactorials = func() (table [256]float64) {
	for n := range table {
		table[n], _ = math.Lgamma(float64(n) + 1)
	}
	return table
}()

// logFactorial is ln Γ(x+1).
func logFactorial(x float32) float64 {
	if n := int(x); x >= 0 && x < float32(len(logFactorials)) && float32(n) == x {
		return logFactorials[n]
	}
	v, _ := math.Lgamma(float64(x) + 1)
	return v
}

// categorical: (Σx)·logsumexp(a) - Σ x·a over each field.
func (r *lossRow) categorical() (sum float64) {
	*r.scratch = grown(*r.scratch, len(r.a))
	e := (*r.scratch)[:len(r.a)]
	expOfDistances(r.kernels, e, r.a, r.offsets)
	for f := range fieldCount(r.offsets, len(r.x)) {
		lo, hi := bounds(r.offsets, f)
		largest, normaliser := largestOf(r.a[lo:hi]), sumFloat64(e[lo:hi])
		w, logNormaliser := r.weight(lo), math.Log(normaliser)
		var total, loss float64
		for j := lo; j < hi; j++ {
			total += float64(r.x[j])
			loss += float64(r.x[j]) * (logNormaliser - float64(r.a[j]-largest))
		}
		sum += float64(w) * loss
		if r.l != nil {
			clear(r.l[lo:hi])
			r.l[lo] = float32(loss)
		}
		if r.d == nil {
			continue
		}
		share := float32(total / normaliser)
		for j := lo; j < hi; j++ {
			r.d[j] = r.Scale * w * (share*e[j] - r.x[j])
		}
	}
	return sum
}

// expOfDistances computes exp(a - the largest of its field), which cannot overflow.
func expOfDistances(k *kernels, e, a []float32, offsets []uint32) {
	for f := range fieldCount(offsets, len(a)) {
		lo, hi := bounds(offsets, f)
		largest := largestOf(a[lo:hi])
		for j := lo; j < hi; j++ {
			e[j] = a[j] - largest
		}
	}
	k.exp(e, e)
}

// largestOf is the largest number, NaN if there is one.
func largestOf(x []float32) float32 {
	largest := x[0]
	for _, v := range x[1:] {
		largest = max(largest, v)
	}
	return largest
}

func sumFloat64(x []float32) (sum float64) {
	for _, v := range x {
		sum += float64(v)
	}
	return sum
}

// meanCall is a Mean in progress; its items are rows.
type meanCall struct {
	kernels        *kernels
	kind           device.Likelihood
	columns, width int
	params, out    []float32
	offsets        []uint32
	tableColumns   []device.TableColumn // Mixed; its memory is used again
}

// Mean computes the reconstruction E[x|h] from the decoder's output.
func (d *Device) Mean(a device.MeanArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Mean) {
		return
	}
	d.mean = meanCall{
		kernels: d.kernels, kind: a.Kind, columns: a.Out.Columns, width: a.Params.Columns,
		params: floatsOf(a.Params), out: floatsOf(a.Out), offsets: offsetsOf(a.Fields), tableColumns: tableColumns(d.mean.tableColumns, a.Table),
	}
	d.pool.run(&d.mean, a.Out.Rows, d.perLane(a.Params.Columns*activateCost))
}

func (c *meanCall) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		out, a := c.out[i*c.columns:(i+1)*c.columns], c.params[i*c.width:(i+1)*c.width]
		switch c.kind {
		case device.Bernoulli:
			c.kernels.activate[device.Sigmoid](out, a)
		case device.Gaussian, device.GaussianLearned:
			copy(out, a)
		case device.Categorical:
			c.softmax(out, a)
		case device.Poisson:
			c.kernels.exp(out, a)
		case device.Mixed:
			c.mixed(out, a)
		}
	}
}

// softmax computes exp(a) over the sum of its field; out may be a.
func (c *meanCall) softmax(out, a []float32) {
	expOfDistances(c.kernels, out, a, c.offsets)
	for f := range fieldCount(c.offsets, c.columns) {
		lo, hi := bounds(c.offsets, f)
		inverse := float32(1 / sumFloat64(out[lo:hi]))
		for j := lo; j < hi; j++ {
			out[j] *= inverse
		}
	}
}
