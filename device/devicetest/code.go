package devicetest

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

func codeChecks() []check {
	return append(append(each("SampleCode", device.Codes(), checkSampleCode), each("SampleCodeBackward", device.Codes(), checkSampleCodeBackward)...),
		check{"ConcreteCodeAtTheEnds", checkConcreteAtTheEnds}, check{"Importance", checkImportance}, check{"ScaleRows", checkScaleRows})
}

// codeParams are an encoder's outputs, some of them extreme.
func (r *rig) codeParams(k device.Code, n int) []float32 {
	a := r.normals(n, 1.5)
	for i := 0; i < n; i += 7 {
		if k == device.CodeGaussian {
			a[i] *= 3
		} else {
			a[i] *= 30
		}
	}
	return a
}

// codeCase is what one trial of SampleCode varies.
type codeCase struct {
	kind                       device.Code
	rows, units, replicates    int
	temperature                float32
	sampled, divergence, clock bool
}

func codeCases(k device.Code) []codeCase {
	var all []codeCase
	for i, shape := range scoreShapes {
		for variant := range 4 {
			all = append(all, codeCase{kind: k, rows: 3 * shape[0], units: shape[1], replicates: 1 + 2*(variant&1),
				temperature: [...]float32{0.1, 0.5, 1, 2}[(i+variant)%4], sampled: k == device.CodeGaussian && variant >= 2,
				divergence: variant != 1, clock: variant != 0})
		}
	}
	return all
}

// checkSampleCode: the noise is the reference's bit for bit, codes and
// divergences are near. A Bernoulli unit whose uniform draw lies within the
// rounding of its probability may fall on either side.
func checkSampleCode(r *rig, k device.Code) {
	for _, c := range codeCases(k) {
		t := r.trial("sample a code %+v", c)
		w := t.where(c.rows, c.replicates, c.clock)
		params := t.in("params", c.rows, k.Width(c.units), r.codeParams(k, c.rows*k.Width(c.units)))
		noise, code := t.out("noise", c.rows, c.units), t.out("code", c.rows, c.units)
		var divergence *operand
		if c.divergence {
			divergence = t.out("divergence", c.rows, 1)
		}
		t.run(func(s side) {
			s.SampleCode(device.SampleCodeArgs{Kind: k, Temperature: c.temperature, Params: s.v(params), Noise: s.v(noise), Code: s.v(code),
				Divergence: s.v(divergence), Sampled: c.sampled, Seed: w.seed, Stream: w.stream, Stage: w.stage, Replicates: w.replicates,
				Index: s.w(w.index), Clock: s.w(w.clock)})
		})
		t.exact(noise)
		t.expectNoise(c, w, noise)
		bounds := make([]codeBound, c.rows*c.units)
		for i := range bounds {
			bounds[i] = boundCode(c, unitOf(k, params.before, i, c.units), float64(noise.got[i]), code.want()[i])
		}
		if k == device.CodeBernoulli {
			t.expectBits(params, noise, code)
		} else {
			t.within(code, func(i int) float64 { return bounds[i].code })
		}
		if c.divergence {
			t.within(divergence, func(row int) float64 {
				total, inherited := 0.0, 0.0
				for _, b := range bounds[row*c.units : (row+1)*c.units] {
					total += b.divergence
					inherited += b.inherited
				}
				return (sumBound(float64(c.units))+elementary)*total + inherited + tiny
			})
		}
	}
}

// expectNoise compares the noise with the generator's words.
func (t *trial) expectNoise(c codeCase, w where, noise *operand) {
	t.rig.Helper()
	for i, got := range noise.got {
		want := w.uniform(i/c.units, i%c.units)
		if c.kind == device.CodeGaussian {
			want = w.normal(i/c.units, i%c.units)
		}
		if float64(got) != want {
			t.rig.report("%s: noise%s is %g, its word says %g", t.label, noise.place(i), got, want)
			return
		}
	}
}

// expectBits compares Bernoulli units with the reference's.
func (t *trial) expectBits(params, noise, code *operand) {
	t.rig.Helper()
	for i, got := range code.got {
		if p := sigmoid(float64(params.before[i])); float64(got) != code.want()[i] && !(isBit(got) && onTheEdge(float64(noise.got[i]), p)) {
			t.rig.report("%s: code%s is %g at u = %g and p = %g", t.label, code.place(i), got, noise.got[i], p)
			return
		}
	}
}

func isBit(x float32) bool { return x == 0 || x == 1 }

// onTheEdge reports whether a float32 device cannot be asked on which side of p
// a uniform draw lies.
func onTheEdge(uniform, p float64) bool { return math.Abs(uniform-p) <= elementary*p }

func sigmoid(a float64) float64 { return 1 / (1 + math.Exp(-a)) }

func softplus(a float64) float64 { return math.Max(a, 0) + math.Log1p(math.Exp(-math.Abs(a))) }

// codeUnit is a unit's parameters: a mean or a logit, and a log variance.
type codeUnit struct{ a, s float64 }

func unitOf(k device.Code, params []float32, i, units int) codeUnit {
	if k != device.CodeGaussian {
		return codeUnit{a: float64(params[i])}
	}
	at := i/units*2*units + i%units
	return codeUnit{float64(params[at]), float64(params[at+units])}
}

// codeBound bounds a unit's code; divergence is what its divergence is made of,
// and inherited the error that a sampled one inherits from the code.
type codeBound struct{ code, divergence, inherited float64 }

func boundCode(c codeCase, q codeUnit, noise, h float64) codeBound {
	if c.kind == device.CodeGaussian {
		sigma := math.Exp(q.s / 2)
		b := codeBound{code: elementary*(1+math.Abs(q.s)/2)*sigma*math.Abs(noise) + u*(math.Abs(q.a)+math.Abs(h)) + tiny}
		if c.sampled {
			b.divergence, b.inherited = (h*h+noise*noise+math.Abs(q.s))/2, (math.Abs(h)+b.code)*b.code
		} else {
			b.divergence = (q.a*q.a + sigma*sigma*(1+math.Abs(q.s)) + math.Abs(q.s) + 1) / 2
		}
		return b
	}
	b := codeBound{divergence: 1 + math.Abs(q.a) + softplus(q.a)}
	if c.kind == device.CodeConcrete && noise > 0 {
		tau := float64(c.temperature)
		logit := (q.a + math.Log(noise) - math.Log1p(-noise)) / tau
		slack := elementary * (math.Abs(q.a) - math.Log(noise) - math.Log1p(-noise) + math.Abs(logit)*tau) / tau
		b.code = elementary*h + max(sigmoid(logit+slack)-h, h-sigmoid(logit-slack)) + tiny
	}
	return b
}

// checkConcreteAtTheEnds: with this seed the rows below draw the smallest and the
// largest uniform number there is, 0 and 1 - 2⁻²⁴. The code of 0 is 0, whatever
// the logarithm makes of it, and has no gradient.
func checkConcreteAtTheEnds(r *rig) {
	const seed, rowOfZero, rowOfLargest, units, lane = 0x0123456789abcdef, 386176, 4166072, 4, 3
	for _, tau := range []float32{0.1, 1} {
		t := r.trial("concrete codes at the ends, temperature %g", tau)
		w := where{seed: seed, stream: philox.StreamCode, replicates: 1, index: t.inWords("index", []uint32{rowOfZero, rowOfLargest, 0, 1})}
		c := codeCase{kind: device.CodeConcrete, rows: 2, units: units, temperature: tau}
		params := t.in("params", 2, units, []float32{-3, 0, 1, 2, -3, 0, 1, -2})
		noise, code, divergence := t.out("noise", 2, units), t.out("code", 2, units), t.out("divergence", 2, 1)
		dCode, dParams := t.in("DCode", 2, units, r.normals(2*units, 1)), t.out("DParams", 2, units)
		t.run(func(s side) {
			s.SampleCode(device.SampleCodeArgs{Kind: c.kind, Temperature: tau, Params: s.v(params), Noise: s.v(noise), Code: s.v(code),
				Divergence: s.v(divergence), Seed: w.seed, Stream: w.stream, Replicates: 1, Index: s.w(w.index)})
			s.SampleCodeBackward(device.SampleCodeBackwardArgs{Kind: c.kind, Temperature: tau, Params: s.v(params), Noise: s.v(noise),
				Code: s.v(code), DCode: s.v(dCode), DParams: s.v(dParams)})
		})
		t.exact(noise)
		if noise.got[lane] != 0 || noise.got[units+lane] != 1-0x1p-24 || code.got[lane] != 0 || dParams.got[lane] != 0 {
			r.report("%s: at u = %g, h = %g and its gradient %g; at the other end u = %g", t.label, noise.got[lane], code.got[lane], dParams.got[lane],
				noise.got[units+lane])
		}
		bound := func(i int) float64 {
			return boundCode(c, unitOf(c.kind, params.before, i, units), float64(noise.got[i]), code.want()[i]).code + tiny
		}
		t.within(code, bound)
		t.within(dParams, func(i int) float64 { // by way of the code
			return (derivativeBound + bound(i)) * math.Abs(float64(dCode.before[i])) / float64(tau)
		})
	}
}

// checkSampleCodeBackward compares the gradient with the reference's, with and
// without weights of the rows, in place and not.
func checkSampleCodeBackward(r *rig, k device.Code) {
	for i, c := range codeCases(k) {
		t := r.trial("sample backward %+v, variant %d", c, i%4)
		n := c.rows * c.units
		params, dParams := t.pair("params", "DParams", c.rows, k.Width(c.units), r.codeParams(k, c.rows*k.Width(c.units)), i%2 == 0)
		noise := t.in("noise", c.rows, c.units, r.normals(n, 1))
		code, dCode := t.in("code", c.rows, c.units, r.uniforms(n, 0, 1)), t.in("DCode", c.rows, c.units, r.normals(n, 1))
		var weights *operand
		if i%4 >= 2 {
			weights = t.in("weights", c.rows, 1, r.uniforms(c.rows, 0, 1))
		}
		const scale = 0.3
		t.run(func(s side) {
			s.SampleCodeBackward(device.SampleCodeBackwardArgs{Kind: k, Temperature: c.temperature, Params: s.v(params), Noise: s.v(noise),
				Code: s.v(code), DCode: s.v(dCode), Sampled: c.sampled, Scale: scale, Weights: s.v(weights), DParams: s.v(dParams)})
		})
		width := k.Width(c.units)
		t.within(dParams, func(at int) float64 {
			row, column := at/width, at%width
			i := row*c.units + column%c.units
			factor := scale
			if weights != nil {
				factor *= float64(weights.before[row])
			}
			return codeGradientBound(c, unitOf(k, params.before, i, c.units), column >= c.units, math.Abs(float64(noise.before[i])),
				float64(code.before[i]), math.Abs(float64(dCode.before[i])), factor)
		})
	}
}

// codeGradientBound bounds the gradient by a, or by s, given the magnitudes of
// noise and of the gradient by the code.
func codeGradientBound(c codeCase, q codeUnit, byS bool, noise, h, dh, factor float64) float64 {
	a := math.Abs(q.a)
	switch {
	case c.kind == device.CodeBernoulli:
		return derivativeBound*(dh+factor*a) + tiny
	case c.kind == device.CodeConcrete:
		return derivativeBound*factor*a + 8*u*dh*h*(1-h)/float64(c.temperature) + tiny
	}
	sigma, wide := math.Exp(q.s/2), 1+math.Abs(q.s)
	if c.sampled {
		g := dh + factor*h
		if byS {
			return elementary*wide*g*sigma*noise + 4*u*factor + tiny
		}
		return 4*u*g + tiny
	}
	if byS {
		return elementary*wide*(dh*sigma*noise+factor*(sigma+1)*(sigma+1)) + tiny
	}
	return 4*u*(dh+factor*a) + tiny
}

// checkImportance compares bounds and weights with the reference, at terms that
// overflow unless the smallest is taken out first.
func checkImportance(r *rig) {
	for _, examples := range []int{1, 3, 17, 300} {
		for i, replicates := range []int{1, 2, 5, 33, 500} {
			for _, spread := range []float64{0.1, 20} {
				r.importanceTrial(examples, replicates, i%3, spread)
			}
		}
	}
}

func (r *rig) importanceTrial(examples, replicates, variant int, spread float64) {
	t := r.trial("importance of %d examples of %d terms ± %g, variant %d", examples, replicates, spread, variant)
	values := r.normals(examples*replicates, spread)
	for i := range values {
		values[i] += 700
	}
	terms := t.in("terms", examples*replicates, 1, values)
	bounds := t.out("bounds", examples, 1)
	var weights *operand
	switch variant {
	case 0:
		weights = t.out("weights", examples*replicates, 1)
	case 1:
		terms.output, weights = true, terms
	}
	t.run(func(s side) {
		s.Importance(device.ImportanceArgs{Replicates: replicates, Terms: s.v(terms), Bounds: s.v(bounds), Weights: s.v(weights)})
	})
	least, relative := make([]float64, examples), make([]float64, examples) // relative: error of the normaliser
	for i := range examples {
		least[i] = math.Inf(1)
		for _, v := range values[i*replicates : (i+1)*replicates] {
			least[i] = min(least[i], float64(v))
		}
		sum := 0.0
		for _, v := range values[i*replicates : (i+1)*replicates] {
			d := float64(v) - least[i]
			sum += math.Exp(-d)
			relative[i] += math.Exp(-d) * (1 + d)
		}
		relative[i] = elementary*relative[i]/sum + sumBound(float64(replicates))
	}
	t.within(bounds, func(i int) float64 {
		return relative[i] + elementary*(1+math.Abs(bounds.want()[i]-least[i])) + 2*u*math.Abs(bounds.want()[i])
	})
	if weights != nil {
		t.within(weights, func(i int) float64 {
			example := i / replicates
			return (relative[example]+elementary*(1+float64(values[i])-least[example]))*weights.want()[i] + tiny
		})
	}
}

// checkScaleRows: a product is exact.
func checkScaleRows(r *rig) {
	for _, shape := range scoreShapes {
		for _, alias := range []bool{false, true} {
			rows, columns := shape[0], shape[1]
			t := r.trial("scale the rows of %d×%d, Y is X %t", rows, columns, alias)
			scale := t.in("scale", rows, 1, r.normals(rows, 1))
			x, y := t.pair("X", "Y", rows, columns, r.normals(rows*columns, 1), alias)
			t.run(func(s side) { s.ScaleRows(device.ScaleRowsArgs{Scale: s.v(scale), X: s.v(x), Y: s.v(y)}) })
			t.exact(y)
		}
	}
}
