package cpu

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

// genericKernels are the portable kernels: plain Go, correct everywhere.
var genericKernels = kernels{
	name:      "generic",
	tiles:     []tile{{columns: genericColumns, multiply: genericTiles(), packRows: packRowsGeneric(genericColumns)}},
	transpose: transposeGeneric,
	square:    genericColumns,
	scattered: 256,

	sparseTile: tile{columns: sparseGenericColumns, packRows: packRowsGeneric(sparseGenericColumns)}, sparse: 1. / 3, sparseTerms: longestK, multiplySparse: multiplySparseGeneric, multiplyScanned: multiplyScannedGeneric, compress: compressGeneric, nonzeros: nonzerosGeneric,

	flopsPerLane: 1 << 16, elementsPerLane: 1 << 13, packedBytes: ofLastLevel, takenBytes: 2 * ofLastLevel,

	activate: []func(y, x []float32){
		copyGeneric,
		each(func(a float32) float32 { return max(a, 0) }),
		each(func(a float32) float32 { return max(a, 0) + device.LeakySlope*min(a, 0) }),
		each(func(a float32) float32 { return max(a, 0) + expm1(min(a, 0)) }),
		each(func(a float32) float32 { return a * normalCDF(a) }),
		each(func(a float32) float32 { return a * sigmoid(a) }),
		each(sigmoid),
		each(tanh),
		each(softplus),
	},
	activateBackward: []func(dx, dy, from []float32){
		copyBackwardGeneric,
		scaledBy(func(y float32) float32 {
			if y > 0 {
				return 1
			}
			return 0
		}),
		scaledBy(func(y float32) float32 {
			if y > 0 {
				return 1
			}
			return device.LeakySlope
		}),
		scaledBy(func(y float32) float32 { return min(y, 0) + 1 }),
		scaledBy(func(a float32) float32 { return normalCDF(a) + a*normalDensity(a) }),
		scaledBy(func(a float32) float32 {
			s := sigmoid(a)
			return s + a*s*sigmoid(-a)
		}),
		scaledBy(func(y float32) float32 { return y * (1 - y) }),
		scaledBy(func(y float32) float32 { return (1 - y) * (1 + y) }),
		scaledBy(func(y float32) float32 { return -expm1(-y) }), // σ(a) = 1 - exp(-softplus a)
	},
	exp: each(exp), add: addGeneric, addRows: addRowsGeneric, scale: scaleGeneric, combine: combineGeneric,
	columnSums: columnSumsGeneric, sum: sumGeneric, sumSquares: sumSquaresGeneric, sumSquaredDifferences: sumSquaredDifferencesGeneric,
	bernoulli: bernoulliGeneric, poisson: poissonGeneric, gaussian: gaussianGeneric, gaussianLearned: gaussianLearnedGeneric,
	deviations: deviationsGeneric, columnMoments: columnMomentsGeneric, normalizeRow: normalizeRowGeneric, normalizeColumns: normalizeColumnsGeneric, normalSumsOfRows: normalSumsOfRowsGeneric,
	normalSumsOfColumns: normalSumsOfColumnsGeneric, normalRowSums: normalRowSumsGeneric, normalRowGradient: normalRowGradientGeneric, normalColumnGradient: normalColumnGradientGeneric,
	sgd: sgdGeneric, nesterov: nesterovGeneric, adam: adamGeneric, rmsprop: rmspropGeneric,
	words: wordsGeneric, maskWords: maskWordsGeneric, dropWords: dropWordsGeneric,
	normals: normalsGeneric, addNoise: addNoiseGeneric, addSpeckle: addSpeckleGeneric, addUniform: addUniformGeneric,
	saltAndPepper: saltAndPepperGeneric, widen: widenGeneric, prefetch: func([]uint8) {}, prefetchRows: func([]float32, int, int) {},
}

func copyGeneric(y, x []float32) { copy(y, x) }

func copyBackwardGeneric(dx, dy, _ []float32) { copy(dx, dy) }

// each is the loop y = f(x).
func each(f func(float32) float32) func(y, x []float32) {
	return func(y, x []float32) {
		x = x[:len(y)]
		for i := range y {
			y[i] = f(x[i])
		}
	}
}

// scaledBy is the loop dx = dy·derivative(from).
func scaledBy(derivative func(float32) float32) func(dx, dy, from []float32) {
	return func(dx, dy, from []float32) {
		dy, from = dy[:len(dx)], from[:len(dx)]
		for i := range dx {
			dx[i] = dy[i] * derivative(from[i])
		}
	}
}

func addGeneric(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] += x[i]
	}
}

func scaleGeneric(dst []float32, alpha float32, a []float32) {
	for i := range dst {
		dst[i] = alpha * a[i]
	}
}

func combineGeneric(dst []float32, alpha float32, a []float32, beta float32, b []float32) {
	for i := range dst {
		dst[i] = alpha*a[i] + beta*b[i]
	}
}

func columnSumsGeneric(sums, x []float32, stride, rows int) {
	clear(sums)
	for i := range rows {
		addGeneric(sums, x[i*stride:])
	}
}

// The sums below keep four running sums in float64, so that their error is
// that of the final rounding.

func sumGeneric(x []float32) float64 {
	var s [4]float64
	for i, v := range x {
		s[i%4] += float64(v)
	}
	return s[0] + s[1] + (s[2] + s[3])
}

func sumSquaresGeneric(x []float32) float64 {
	var s [4]float64
	for i, v := range x {
		s[i%4] += float64(v) * float64(v)
	}
	return s[0] + s[1] + (s[2] + s[3])
}

func sumSquaredDifferencesGeneric(x, y []float32) float64 {
	var s [4]float64
	for i, v := range x {
		e := float64(v - y[i])
		s[i%4] += e * e
	}
	return s[0] + s[1] + (s[2] + s[3])
}

// weightOf is the emphasis on feature j.
func weightOf(mask []float32, j int, destroyed, untouched float32) float32 {
	switch {
	case mask == nil:
		return 1
	case mask[j] != 0:
		return destroyed
	default:
		return untouched
	}
}

// bernoulliGeneric: softplus(a) - x·a.
func bernoulliGeneric(a, x, mask, d []float32, destroyed, untouched, scale float32) (sum float64) {
	for j, clean := range x {
		w, logit := weightOf(mask, j, destroyed, untouched), a[j]
		sum += float64(w) * (float64(softplus(logit)) - float64(clean)*float64(logit))
		if d != nil {
			d[j] = scale * w * (sigmoid(logit) - clean)
		}
	}
	return sum
}

// gaussianGeneric: ½(x-a)²·precision + constant.
func gaussianGeneric(a, x, mask, d []float32, destroyed, untouched, scale, precision, constant float32) (sum float64) {
	for j, clean := range x {
		w, e := weightOf(mask, j, destroyed, untouched), a[j]-clean
		sum += float64(w) * (0.5*float64(e)*float64(e)*float64(precision) + float64(constant))
		if d != nil {
			d[j] = scale * w * e * precision
		}
	}
	return sum
}

// poissonGeneric: exp(a) - x·a.
func poissonGeneric(a, x, mask, d []float32, destroyed, untouched, scale float32) (sum float64) {
	for j, clean := range x {
		w, logRate := weightOf(mask, j, destroyed, untouched), float64(a[j])
		rate := math.Exp(logRate)
		sum += float64(w) * (rate - float64(clean)*logRate)
		if d != nil {
			d[j] = scale * w * float32(rate-float64(clean))
		}
	}
	return sum
}

// gaussianLearnedGeneric: ½(ln v + (x-a)²/v) + constant, v = exp(s) + floor.
func gaussianLearnedGeneric(a, s, x, mask, d, ds []float32, destroyed, untouched, scale, floor, constant float32) (sum float64) {
	for j, clean := range x {
		w, e := weightOf(mask, j, destroyed, untouched), float64(a[j])-float64(clean)
		learned := math.Exp(float64(s[j]))
		v := learned + float64(floor)
		sum += float64(w) * (0.5*(math.Log(v)+e*e/v) + float64(constant))
		if d != nil {
			d[j] = scale * w * float32(e/v)
			ds[j] = scale * w * float32(0.5*learned*(1-e*e/v)/v)
		}
	}
	return sum
}

// addRowsGeneric adds x to every row, and takes least for what is less.
func addRowsGeneric(y []float32, stride, rows int, x []float32, least float32) {
	for i := range rows {
		row := y[i*stride:][:len(x)]
		for j, v := range x {
			if row[j] += v; row[j] <= least {
				row[j] = least
			}
		}
	}
}

// wordsGeneric is the portable wordsFunc.
func wordsGeneric(words []uint32, counter [4]uint32, key [2]uint32) {
	at := philox.Counter(counter)
	for ; len(words) > 0; words = words[4:] {
		block := philox.Block(at, philox.Key(key))
		copy(words, block[:])
		at[0]++
	}
}

// maskWordsGeneric is the portable maskFunc.
func maskWordsGeneric(y, x, mask []float32, words []uint32, limit uint32, accumulate bool) {
	for j, v := range x {
		switch {
		case words[j] <= limit:
			y[j], mask[j] = 0, 1
		case accumulate:
			y[j] = v
		default:
			y[j], mask[j] = v, 0
		}
	}
}

func dropWordsGeneric(y, x []float32, words []uint32, limit uint32, keep float32) {
	for j, v := range x {
		if words[j] <= limit {
			y[j] = 0
		} else {
			y[j] = float32(v * keep)
		}
	}
}

// normalsGeneric is the portable normalsFunc.
func normalsGeneric(z []float32, words []uint32) {
	for j := 0; j < len(z); j += 2 {
		z[j], z[j+1] = philox.Normal(words[j], words[j+1])
	}
}

func saltAndPepperGeneric(y, x, mask, low, high []float32, words []uint32, half, limit uint32, accumulate bool) {
	for j, v := range x {
		word := words[j]
		switch {
		case word < half:
			y[j] = low[j]
		case word <= limit:
			y[j] = high[j]
		default:
			y[j] = v
		}
		if word <= limit {
			mask[j] = 1
		} else if !accumulate {
			mask[j] = 0
		}
	}
}

func addSpeckleGeneric(y, x, z []float32, sigma float32) {
	for j, v := range x {
		y[j] = v * float32(1+float32(sigma*z[j]))
	}
}

func addUniformGeneric(y, x []float32, words []uint32, amplitude float32) {
	for j, v := range x {
		y[j] = v + float32(amplitude*float32(float32(2*philox.Uniform(words[j]))-1))
	}
}

func addNoiseGeneric(y, x, z []float32, sigma float32) {
	for j, v := range x {
		y[j] = v + float32(sigma*z[j])
	}
}

func widenGeneric(dst []float32, src []uint8, scale float32) {
	for i := range dst {
		dst[i] = scale * float32(src[i])
	}
}

// The update rules: the formulas of package device with the constants of a
// ruleScalars, the gradient being clip·g + decay·θ.

func sgdGeneric(theta, g, m []float32, c *ruleScalars) {
	for i, p := range theta {
		gradient := c[scalarClip]*g[i] + c[scalarDecay]*p
		m[i] = c[scalarBeta1]*m[i] + gradient
		theta[i] = p - c[scalarRate]*m[i]
	}
}

func nesterovGeneric(theta, g, m []float32, c *ruleScalars) {
	for i, p := range theta {
		gradient := c[scalarClip]*g[i] + c[scalarDecay]*p
		m[i] = c[scalarBeta1]*m[i] + gradient
		theta[i] = p - c[scalarRate]*(gradient+c[scalarBeta1]*m[i])
	}
}

func adamGeneric(theta, g, m, v []float32, c *ruleScalars) {
	for i, p := range theta {
		gradient := c[scalarClip]*g[i] + c[scalarDecay]*p
		m[i] = c[scalarBeta1]*m[i] + c[scalarGain1]*gradient
		v[i] = c[scalarBeta2]*v[i] + c[scalarGain2]*(gradient*gradient)
		theta[i] = p*c[scalarShrink] - c[scalarRate]*m[i]/(root(v[i]*c[scalarUnbias2])+c[scalarEpsilon])
	}
}

func rmspropGeneric(theta, g, v []float32, c *ruleScalars) {
	for i, p := range theta {
		gradient := c[scalarClip]*g[i] + c[scalarDecay]*p
		v[i] = c[scalarBeta2]*v[i] + c[scalarGain2]*(gradient*gradient)
		theta[i] = p - c[scalarRate]*gradient/(root(v[i])+c[scalarEpsilon])
	}
}
