package devicetest

import (
	"math"

	"gpudae/device"
)

// momentChecks hold what corruption does, in the mean over many draws, against
// what its formula says. Their seeds are fixed, and so are their draws.
func momentChecks() []check {
	return []check{
		{"Moments/none", momentsOfNone},
		{"Moments/gaussian", momentsOfGaussian},
		{"Moments/masking", momentsOfMasking},
		{"Moments/salt-and-pepper", momentsOfSaltAndPepper},
		{"Moments/swap", momentsOfSwap},
		{"Moments/speckle", momentsOfSpeckle},
		{"Moments/uniform", momentsOfUniform},
		{"Moments/poisson", momentsOfPoisson},
		{"Moments/composition", momentsOfComposition},
		{"Moments/dropout", momentsOfDropout},
	}
}

// sampling is the size of an experiment: 16,384 draws.
const (
	samplingRows    = 512
	samplingColumns = 32
)

// sampled is the outcome of corrupting a data set once.
type sampled struct{ clean, noisy, mask []float32 }

// sample corrupts a data set with values in [1, 2).
func (r *rig) sample(stages ...device.CorruptArgs) sampled {
	r.Helper()
	x := make([]float32, samplingRows*samplingColumns)
	for i := range x {
		x[i] = 1 + float32(i*7919%16384)/16384
	}
	data, err := r.dev.Load(r.Context(), device.Table{Rows: samplingRows, Columns: samplingColumns, Float32: x})
	r.must(err)
	m := r.newMinibatch(samplingRows, samplingColumns, 1)
	m.setClock(device.Clock{Step: 3})
	part := device.Rows{Hi: samplingRows}
	m.gather(data, part, true, 1)
	for i, a := range stages {
		a.Seed, a.Stage, a.Accumulate, a.Data, a.Part = 1, uint32(i), i > 0, data, part
		m.corrupt(a)
		if i+1 < len(stages) {
			m.rig.dev.Combine(device.CombineArgs{Alpha: 1, A: m.y, Dst: m.x})
		}
	}
	m.gather(data, part, true, 1)
	return sampled{r.read(m.x), r.read(m.y), r.read(m.mask)}
}

// deviations is how many standard errors the mean of independent numbers lies
// from what it should be.
const deviations = 4.5

// expectMean requires the mean of x to be as expected, given the variance of
// one number.
func (r *rig) expectMean(what string, x []float64, want, variance float64) {
	r.Helper()
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	mean, tolerance := sum/float64(len(x)), deviations*math.Sqrt(variance/float64(len(x)))
	if math.Abs(mean-want) > tolerance {
		r.report("%s is %.5f in the mean of %d draws, want %.5f ± %.5f", what, mean, len(x), want, tolerance)
	}
}

// expectRate requires a share of ones, in all and in every column.
func (r *rig) expectRate(what string, mask []float32, columns int, p float64) {
	r.Helper()
	byColumn := make([][]float64, columns)
	all := make([]float64, len(mask))
	for i, m := range mask {
		all[i] = float64(m)
		byColumn[i%columns] = append(byColumn[i%columns], float64(m))
	}
	r.expectMean("the rate of "+what, all, p, p*(1-p))
	for _, column := range byColumn {
		r.expectMean("the rate of "+what+" in a column", column, p, p*(1-p))
	}
}

// expectNormal requires the first four moments of N(0, σ²).
func (r *rig) expectNormal(what string, x []float64, sigma float64) {
	r.Helper()
	moments := [4]float64{0, 1, 0, 3}
	variances := [4]float64{1, 2, 15, 96} // of zᵏ
	for k := range moments {
		powers := make([]float64, len(x))
		for i, v := range x {
			powers[i] = math.Pow(v/sigma, float64(k+1))
		}
		r.expectMean(what, powers, moments[k], variances[k])
	}
}

// each maps the corrupted and the clean value of every feature to a number.
func (s sampled) each(f func(noisy, clean float64) float64) []float64 {
	x := make([]float64, len(s.noisy))
	for i := range x {
		x[i] = f(float64(s.noisy[i]), float64(s.clean[i]))
	}
	return x
}

// indicator is 1 where a condition on the corrupted and clean values holds.
func (s sampled) indicator(f func(noisy, clean float32) bool) []float32 {
	x := make([]float32, len(s.noisy))
	for i := range x {
		if f(s.noisy[i], s.clean[i]) {
			x[i] = 1
		}
	}
	return x
}

func difference(noisy, clean float64) float64 { return noisy - clean }

// expectMask requires a mask that is everywhere m.
func (r *rig) expectMask(s sampled, m float32) {
	r.Helper()
	for i, v := range s.mask {
		if v != m {
			r.Fatalf("the mask is %g at %d, want %g", v, i, m)
		}
	}
}

func momentsOfNone(r *rig) {
	s := r.sample(device.CorruptArgs{Kind: device.CorruptNone})
	r.expectMask(s, 0)
	if i := firstDifference(s.noisy, s.clean); i >= 0 {
		r.report("no corruption changed %g to %g", s.clean[i], s.noisy[i])
	}
}

func momentsOfGaussian(r *rig) {
	const sigma = 0.3
	s := r.sample(device.CorruptArgs{Kind: device.CorruptGaussian, Amount: sigma})
	r.expectMask(s, 1)
	r.expectNormal("a power of the noise", s.each(difference), sigma)
}

func momentsOfMasking(r *rig) {
	const p = 0.25
	s := r.sample(device.CorruptArgs{Kind: device.CorruptMasking, Rate: threshold(p)})
	r.expectRate("masking", s.mask, samplingColumns, p)
	r.expectSame(s.mask, s.indicator(func(noisy, _ float32) bool { return noisy == 0 }))
}

// expectSame requires the mask to say which features a condition holds for.
func (r *rig) expectSame(mask, indicator []float32) {
	r.Helper()
	if i := firstDifference(mask, indicator); i >= 0 {
		r.report("the mask is %g where the value says %g", mask[i], indicator[i])
	}
}

func momentsOfSaltAndPepper(r *rig) {
	const p = 0.3
	s := r.sample(device.CorruptArgs{Kind: device.CorruptSaltAndPepper, Rate: threshold(p),
		Low: r.constants(samplingColumns, -5), High: r.constants(samplingColumns, 9)})
	r.expectRate("salt and pepper", s.mask, samplingColumns, p)
	r.expectRate("pepper", s.indicator(func(noisy, _ float32) bool { return noisy == -5 }), samplingColumns, p/2)
	r.expectRate("salt", s.indicator(func(noisy, _ float32) bool { return noisy == 9 }), samplingColumns, p/2)
	r.expectSame(s.mask, s.indicator(func(noisy, clean float32) bool { return noisy != clean }))
}

// momentsOfSwap: no two values of the data set are equal in a column, so that a
// swap always shows; a swapped value has the column's mean.
func momentsOfSwap(r *rig) {
	const p = 0.15
	s := r.sample(device.CorruptArgs{Kind: device.CorruptSwap, Rate: threshold(p)})
	r.expectRate("swap", s.mask, samplingColumns, p)
	r.expectSame(s.mask, s.indicator(func(noisy, clean float32) bool { return noisy != clean }))
	var donors []float64
	for i, m := range s.mask {
		if m == 1 {
			donors = append(donors, float64(s.noisy[i]))
		}
	}
	r.expectMean("the value of a donor", donors, 1.5, 1.0/12)
}

func momentsOfSpeckle(r *rig) {
	const sigma = 0.4
	s := r.sample(device.CorruptArgs{Kind: device.CorruptSpeckle, Amount: sigma})
	r.expectMask(s, 1)
	r.expectNormal("a power of the noise", s.each(func(noisy, clean float64) float64 { return noisy/clean - 1 }), sigma)
}

func momentsOfUniform(r *rig) {
	const a = 0.7
	s := r.sample(device.CorruptArgs{Kind: device.CorruptUniform, Amount: a})
	r.expectMask(s, 1)
	noise := s.each(difference)
	r.expectMean("the noise", noise, 0, a*a/3)
	squares := s.each(func(noisy, clean float64) float64 { return (noisy - clean) * (noisy - clean) })
	r.expectMean("the squared noise", squares, a*a/3, 4*math.Pow(a, 4)/45)
	for _, v := range noise {
		if math.Abs(v) > a+1e-6 {
			r.Fatalf("uniform noise of amplitude %g is %g", a, v)
		}
	}
}

// momentsOfPoisson: N/peak has the mean x and the variance x/peak.
func momentsOfPoisson(r *rig) {
	for _, peak := range []float32{2, 40} {
		s := r.sample(device.CorruptArgs{Kind: device.CorruptPoisson, Amount: peak})
		r.expectMask(s, 1)
		lambda := 1.5 * float64(peak)
		r.expectMean("the noise", s.each(difference), 0, 1.5/float64(peak))
		standard := s.each(func(noisy, clean float64) float64 { return (noisy - clean) * (noisy - clean) * float64(peak) / clean })
		r.expectMean("the standardised squared noise", standard, 1, 2+2/lambda)
		for i, n := range s.noisy {
			if count := float64(n) * float64(peak); math.Abs(count-math.Round(count)) > 1e-4 {
				r.Fatalf("value %d is %g, not a count over %g", i, n, peak)
			}
		}
	}
}

// momentsOfComposition: two stages of masking are independent, and the mask
// tells what either destroyed: 1 - (1-p)(1-q).
func momentsOfComposition(r *rig) {
	const p, q = 0.2, 0.3
	s := r.sample(device.CorruptArgs{Kind: device.CorruptMasking, Rate: threshold(p)},
		device.CorruptArgs{Kind: device.CorruptMasking, Rate: threshold(q)})
	r.expectRate("two stages of masking", s.mask, samplingColumns, 1-(1-p)*(1-q))
	r.expectSame(s.mask, s.indicator(func(noisy, _ float32) bool { return noisy == 0 }))
}

// momentsOfDropout: p is the share dropped, and the mean is kept.
func momentsOfDropout(r *rig) {
	const p = 0.1
	x := r.constants(samplingRows*samplingColumns, 1).Reshape(samplingRows, samplingColumns)
	index := make([]uint32, device.IndexWords(samplingRows))
	for i := range samplingRows {
		index[i], index[samplingRows+i] = uint32(i), uint32(i)
	}
	clock := device.Clock{Step: 9}
	r.dev.Dropout(device.DropoutArgs{Rate: threshold(p), Keep: 1 / (1 - p), Layer: 2, Seed: 3, Replicates: 1,
		Index: r.placedWords(index), Clock: r.placedWords(clock.Words()), X: x, Y: x})
	s := sampled{noisy: r.read(x), clean: r.read(x)}
	r.expectRate("dropout", s.indicator(func(noisy, _ float32) bool { return noisy == 0 }), samplingColumns, p)
	r.expectMean("a unit after dropout", s.each(func(noisy, _ float64) float64 { return noisy }), 1, p/(1-p))
}
