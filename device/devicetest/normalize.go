package devicetest

import (
	"math"

	"gpudae/device"
)

func normalizeChecks() []check {
	return append(each("Normalize", device.Normalizations(), checkNormalize),
		each("NormalizeBackward", device.Normalizations(), checkNormalizeBackward)...)
}

// checkNormalize includes data far from zero, where a variance computed as
// E[x²] - E[x]² has no correct digit.
func checkNormalize(r *rig, k device.Normalization) {
	for _, shape := range shapes {
		for _, offset := range []float64{0, 1000} {
			for variant := range 4 {
				r.normalizeTrial(k, shape, offset, variant&1 == 0, variant&2 > 0)
			}
		}
	}
}

func (r *rig) normalizeTrial(k device.Normalization, shape [2]int, offset float64, training, alias bool) {
	t := r.trial("normalize %s %v around %g, training %t", k, shape, offset, training)
	rows, d := shape[0], shape[1]
	values := r.normals(rows*d, 1)
	for i := range values {
		values[i] += float32(offset)
	}
	x, y := t.pair("X", "Y", rows, d, values, alias)
	gain, bias := t.in("gain", 1, d, r.normals(d, 1)), t.in("bias", 1, d, r.normals(d, 1))
	b := newNormalizeBounds(k, values, rows, d, training)
	mean, invStd := t.out("mean", b.meanRows(), b.meanColumns()), t.out("inverse deviation", b.meanRows(), b.meanColumns())
	var runningMean, runningVar *operand
	if k == device.BatchNorm {
		runningMean = t.inout("running mean", 1, d, r.normals(d, 1))
		runningVar = t.inout("running variance", 1, d, r.uniforms(d, 0.5, 2))
	}
	a := device.NormalizeArgs{Kind: k, Training: training, Epsilon: 1e-5, Momentum: momentum}
	t.run(func(s side) {
		a := a
		a.X, a.Gain, a.Bias, a.Y, a.Mean, a.InvStd = s.v(x), s.v(gain), s.v(bias), s.v(y), s.v(mean), s.v(invStd)
		a.RunningMean, a.RunningVar = s.v(runningMean), s.v(runningVar)
		s.Normalize(a)
	})
	t.within(mean, func(g int) float64 { return b.mean[g] + tiny })
	t.within(invStd, func(g int) float64 { return b.invStd(g, invStd.want()[g]) })
	t.within(y, func(i int) float64 {
		g := b.groupOf(i)
		return b.normal(g, float64(values[i]), mean.want()[g], invStd.want()[g], float64(gain.before[i%d]), float64(bias.before[i%d]))
	})
	switch {
	case k == device.BatchNorm && training:
		t.runningWithin(runningMean, runningVar, b)
	case k == device.BatchNorm:
		t.exact(runningMean, runningVar)
	}
}

// momentum of the running statistics under test.
const momentum = 0.1

// runningWithin checks statistics that moved. The unbiased variance is at most
// twice the biased one.
func (t *trial) runningWithin(runningMean, runningVar *operand, b normalizeBounds) {
	t.rig.Helper()
	t.within(runningMean, func(g int) float64 {
		return momentum*b.mean[g] + 4*u*(math.Abs(float64(runningMean.before[g]))+math.Abs(runningMean.want()[g])) + tiny
	})
	t.within(runningVar, func(g int) float64 {
		return 2*momentum*b.variance[g] + 8*u*(float64(runningVar.before[g])+runningVar.want()[g]) + tiny
	})
}

// normalizeBounds are the errors that float32 makes unavoidable in the two-pass
// mean and variance of each group.
type normalizeBounds struct {
	kind           device.Normalization
	rows, columns  int
	mean, variance []float64
}

// newNormalizeBounds computes them: with the relative error e of a sum of n
// terms the mean is within δ = e·avg|x|, and the variance of the numbers less a
// mean that is off by δ is within (e + 3u)·s² + 2sδ + δ². Statistics that are
// given have no error.
func newNormalizeBounds(k device.Normalization, x []float32, rows, columns int, training bool) normalizeBounds {
	b := normalizeBounds{kind: k, rows: rows, columns: columns}
	groups, n := b.meanRows()*b.meanColumns(), float64(rows)
	if k == device.LayerNorm {
		n = float64(columns)
	}
	b.mean, b.variance = make([]float64, groups), make([]float64, groups)
	if k == device.BatchNorm && !training {
		return b
	}
	sum, sumAbs, sumSq := make([]float64, groups), make([]float64, groups), make([]float64, groups)
	for i, v := range x {
		sum[b.groupOf(i)] += float64(v)
		sumAbs[b.groupOf(i)] += math.Abs(float64(v))
	}
	for i, v := range x {
		g := b.groupOf(i)
		sumSq[g] += (float64(v) - sum[g]/n) * (float64(v) - sum[g]/n)
	}
	for g := range groups {
		delta, variance := sumBound(n)*sumAbs[g]/n, sumSq[g]/n
		b.mean[g] = delta
		b.variance[g] = (sumBound(n)+3*u)*variance + 2*math.Sqrt(variance)*delta + delta*delta
	}
	return b
}

func (b normalizeBounds) meanRows() int {
	if b.kind == device.LayerNorm {
		return b.rows
	}
	return 1
}

func (b normalizeBounds) meanColumns() int {
	if b.kind == device.LayerNorm {
		return 1
	}
	return b.columns
}

// groupOf is the statistic that element i belongs to.
func (b normalizeBounds) groupOf(i int) int {
	if b.kind == device.LayerNorm {
		return i / b.columns
	}
	return i % b.columns
}

// invStd bounds s = (variance + ε)^-½, whose relative error is half of that
// below the root.
func (b normalizeBounds) invStd(g int, s float64) float64 { return s * (b.variance[g]*s*s + 6*u) }

// normal bounds gain·(x - m)·s + bias.
func (b normalizeBounds) normal(g int, x, m, s, gain, bias float64) float64 {
	centred, scale := math.Abs(x-m), math.Abs(gain)*s
	relative := b.invStd(g, s)/s + 6*u
	return scale*(b.mean[g]+centred*relative) + 4*u*(scale*(centred+b.mean[g])+math.Abs(bias)) + tiny
}

func checkNormalizeBackward(r *rig, k device.Normalization) {
	for _, shape := range shapes {
		for _, alias := range []bool{false, true} {
			r.normalizeBackwardTrial(k, shape, alias)
		}
	}
}

func (r *rig) normalizeBackwardTrial(k device.Normalization, shape [2]int, alias bool) {
	t := r.trial("normalize backward %s %v, DX is DY %t", k, shape, alias)
	rows, d := shape[0], shape[1]
	b := newNormalizeBounds(k, nil, rows, d, false)
	x, gain := t.in("X", rows, d, r.normals(rows*d, 1)), t.in("gain", 1, d, r.normals(d, 1))
	mean := t.in("mean", b.meanRows(), b.meanColumns(), r.normals(b.meanRows()*b.meanColumns(), 0.3))
	invStd := t.in("inverse deviation", mean.rows, mean.columns, r.uniforms(len(mean.before), 0.5, 2))
	values := r.normals(rows*d, 1)
	dy, dx := t.pair("DY", "DX", rows, d, values, alias)
	dGain, dBias := t.out("DGain", 1, d), t.out("DBias", 1, d)
	t.run(func(s side) {
		s.NormalizeBackward(device.NormalizeBackwardArgs{Kind: k, X: s.v(x), Gain: s.v(gain), Mean: s.v(mean), InvStd: s.v(invStd),
			DY: s.v(dy), DX: s.v(dx), DGain: s.v(dGain), DBias: s.v(dBias)})
	})
	sums := newBackwardSums(b, x, gain, mean, invStd, values)
	t.within(dx, sums.dx)
	t.within(dGain, func(j int) float64 { return dotBound(rows+4, sums.gain[j]) })
	t.within(dBias, func(j int) float64 { return dotBound(rows, sums.bias[j]) })
}

// backwardSums are the sums of magnitudes that bound NormalizeBackward.
type backwardSums struct {
	bounds     normalizeBounds
	n          int // elements of a group
	normal, g  []float64
	invStd     []float32
	avgG, avgX []float64 // of |g| and |g·x̂|, by group
	gain, bias []float64 // of |dy·x̂| and |dy|, by feature
}

func newBackwardSums(b normalizeBounds, x, gain, mean, invStd *operand, dy []float32) backwardSums {
	s := backwardSums{bounds: b, n: len(dy) / len(mean.before), invStd: invStd.before,
		normal: make([]float64, len(dy)), g: make([]float64, len(dy)),
		avgG: make([]float64, len(mean.before)), avgX: make([]float64, len(mean.before)),
		gain: make([]float64, x.columns), bias: make([]float64, x.columns)}
	for i := range dy {
		group, j := b.groupOf(i), i%x.columns
		m, scale := float64(mean.before[group]), float64(invStd.before[group])
		s.normal[i] = (math.Abs(float64(x.before[i])) + math.Abs(m)) * scale
		s.g[i] = math.Abs(float64(dy[i]) * float64(gain.before[j]))
		s.avgG[group] += s.g[i] / float64(s.n)
		s.avgX[group] += s.g[i] * s.normal[i] / float64(s.n)
		s.gain[j] += math.Abs(float64(dy[i])) * s.normal[i]
		s.bias[j] += math.Abs(float64(dy[i]))
	}
	return s
}

func (s backwardSums) dx(i int) float64 {
	group := s.bounds.groupOf(i)
	return dotBound(s.n+8, float64(s.invStd[group])*(s.g[i]+s.avgG[group]+s.normal[i]*s.avgX[group]))
}
