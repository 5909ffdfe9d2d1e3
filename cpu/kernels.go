package cpu

// kernels are the innermost loops, of one instruction set. They do not look at
// the lengths of their slices but for the first one; the others are as long.
//
// What the vector kernels compute of exp, tanh, ... is within a few units in
// the last place (TestFunctions states how many). An element's result does not
// depend on where a slice begins or ends, and so not on how work is split.
type kernels struct {
	name      string
	tiles     []tile // from narrow to wide
	transpose transposeFunc
	square    int // most rows that transpose takes
	scattered int // terms of a tile of S, each in a line and perhaps a page of its own, above which its rows are copied
	thin      int // most rows of a minibatch for which the weights had better be transposed than its tile left half empty

	// Of bfloat16: products of pairs, best first, none without such arithmetic, and
	// the rounding of a row's neighbours, a multiple of pairBlock elements, and of the
	// elements of two rows.
	products    []*pairProducts
	pairsInRow  func(pairs, x []float32)
	pairsOfRows func(pairs, x, y []float32)

	sparseTile      tile // of products whose S is mostly zeros
	multiplySparse  sparseFunc
	multiplyScanned scannedFunc
	sparse          float64 // the largest share of S that may not be zero for that to be quicker
	sparseTerms     int     // of a panel that stays in the first-level cache
	compress        compressFunc
	nonzeros        func(x []float32) int // how many there are

	// The least work worth handing to another thread, some ten microseconds:
	// that of a product, and the cheap elements of anything else.
	flopsPerLane, elementsPerLane int

	packedBytes int // of panels that a thread packs at a time, which ever more rows of S are then multiplied by
	takenBytes  int // of all panels, so that each row of tiles of a gradient can be finished before the next

	activate         []func(y, x []float32)         // by device.Activation: y = act(x); y may be x
	activateBackward []func(dx, dy, from []float32) // dx = dy ⊙ act'(from); dx may be dy

	exp     func(y, x []float32)                                                       // y = exp x; y may be x
	add     func(y, x []float32)                                                       // y += x
	addRows func(y []float32, stride, rows int, x []float32, least float32)            // y = max(y + x, least) of rows of y, at least one, that begin stride elements apart
	scale   func(dst []float32, alpha float32, a []float32)                            // dst = α·a
	combine func(dst []float32, alpha float32, a []float32, beta float32, b []float32) // dst = α·a + β·b

	columnSums            func(sums, x []float32, stride, rows int) // of rows that begin stride elements apart
	sum                   func(x []float32) float64                 // Σ x
	sumSquares            func(x []float32) float64                 // Σ x²
	sumSquaredDifferences func(x, y []float32) float64              // Σ (x-y)²

	bernoulli       lossFunc // softplus(a) - x·a
	poisson         lossFunc // exp(a) - x·a
	gaussian        func(a, x, mask, d []float32, destroyed, untouched, scale, precision, constant float32) float64
	gaussianLearned func(a, s, x, mask, d, ds []float32, destroyed, untouched, scale, floor, constant float32) float64

	// Of normalisation: statistics and sums in float64, elements in float32.
	// Standard is (x - mean)·invStd; matrices' rows begin stride elements apart.
	deviations           func(x []float32, from float32) float64                                    // Σ (x - from)²
	columnMoments        func(mean, variance, x []float32, stride, rows int, count float64)         // of columns of count = rows rows
	normalizeRow         func(y, x, gain, bias []float32, mean, invStd float32)                     // y = gain·standard + bias
	normalizeColumns     func(y, x, gain, bias, mean, invStd []float32)                             // the same, with statistics of columns
	normalSumsOfRows     func(dGain, dBias, x, dy, mean, invStd []float32, stride, rows int)        // Σ dy·standard and Σ dy down columns, statistics of rows
	normalSumsOfColumns  func(dGain, dBias, x, dy, mean, invStd []float32, stride, rows int)        // the same, with statistics of columns
	normalRowSums        func(x, dy, gain []float32, mean, invStd float32) (sum, sumNormal float64) // Σ g and Σ g·standard, g = dy·gain
	normalRowGradient    func(dx, x, dy, gain []float32, mean, invStd, shift, slope float32)        // dx = invStd·(dy·gain - shift - slope·standard)
	normalColumnGradient func(dx, x, dy, gain, mean, invStd, shift, slope []float32)                // dx = gain·invStd·(dy - shift - slope·standard)

	sgd, nesterov func(theta, g, m []float32, c *ruleScalars)
	adam          func(theta, g, m, v []float32, c *ruleScalars)
	rmsprop       func(theta, g, v []float32, c *ruleScalars)

	words         wordsFunc
	maskWords     maskFunc
	dropWords     func(y, x []float32, words []uint32, limit uint32, keep float32) // y = x·keep, 0 where word ≤ limit
	normals       normalsFunc
	addNoise      func(y, x, z []float32, sigma float32)                  // y = x + σ·z, each operation rounded
	addSpeckle    func(y, x, z []float32, sigma float32)                  // y = x·(1 + σ·z), each operation rounded
	addUniform    func(y, x []float32, words []uint32, amplitude float32) // y = x + a·(2u - 1), u = philox.Uniform(word), each operation rounded
	saltAndPepper saltAndPepperFunc
	widen         func(dst []float32, src []uint8, scale float32)
	prefetch      func(memory []uint8)                // asks for the first cache lines
	prefetchRows  func(x []float32, stride, rows int) // asks for the lines at which rows, at least one, begin
}

// lossFunc returns Σ w·ℓ over a row with parameters a and clean x, and stores
// scale·w·∂ℓ/∂a in d unless it is nil; w is 1 if mask is nil, otherwise
// destroyed or untouched. d may be a. The two Gaussian losses have more
// arguments: ℓ = ½(x-a)²·precision + constant, or ½(ln v + (x-a)²/v) + constant
// with v = exp(s) + floor and ds the gradient by s.
type lossFunc func(a, x, mask, d []float32, destroyed, untouched, scale float32) float64

// wordsFunc fills words, a multiple of wordsMultiple, with the blocks at counter
// and the counters that follow it in word 0.
type wordsFunc func(words []uint32, counter [4]uint32, key [2]uint32)

// wordsMultiple is what the lengths of words and normals are a multiple of.
const wordsMultiple = 32

// maskFunc zeroes x where a word is at most limit and copies it to y elsewhere;
// mask becomes 1 there and 0 elsewhere, or stays if accumulate is set.
type maskFunc func(y, x, mask []float32, words []uint32, limit uint32, accumulate bool)

// saltAndPepperFunc stores low where a word is less than half, otherwise high
// where it is at most limit and x elsewhere; mask as in maskFunc.
type saltAndPepperFunc func(y, x, mask, low, high []float32, words []uint32, half, limit uint32, accumulate bool)

// normalsFunc turns the blocks of words into the draws of philox.NormalLane.
type normalsFunc func(z []float32, words []uint32)

// pairProducts are the products of pairs of bfloat16 by one instruction set.
type pairProducts struct {
	name    string
	granted func() bool // by the operating system, which is asked for it
	tiles   []tile
	terms   int // pairs, of which k is made a multiple by zeros
	most    int // pairs in one run of the micro-kernel, a multiple of terms
	thin    int // as of kernels
	sparse  float64
}

// ofFirstLevel is the room for a panel in the first-level cache.
const ofFirstLevel = 28 << 10

// ofLastLevel is the room for panels in a thread's share of the last-level cache.
const ofLastLevel = 1 << 21

// tile is a family of micro-kernels of matrix products.
type tile struct {
	columns   int
	multiply  []tilesFunc // [rows-1]
	packRows  packRowsFunc
	packed    bool          // the micro-kernels take packed panels only
	packPairs packPairsFunc // takes the place of packRows
	matrix    bool          // the micro-kernels take an S in rows, and sums go on from those in C: see multiplyTiles
}

// rows is the number of rows of the largest tile.
func (t *tile) rows() int { return len(t.multiply) }

// tilesFunc computes a row of tiles, tile t from a panel that begins at
// panel[t·across]: Σ_k s[i·outer + k·inner]·panel[t·across + k·down + j] over kc
// terms, which it stores in c[i·ld + t·columns + j], or adds. Of a packed panel
// down is the number of columns. While it computes, it asks for the lines of a row
// of c every so many terms, and for others at each, or, where S does not lie in rows, for
// askedOfRun of them: see lines. With matrix registers it asks for no lines of c, and for step
// lines of next in each pass of rowsOfTile terms: see linesPerPass.
type tilesFunc func(tiles, kc int, s []float32, outer, inner int, panel []float32, across, down int, c []float32, ld int, add bool, every int, next []float32, step, jump int)

// packRowsFunc packs so many panels whose columns lie side by side in memory: of each of kc
// rows, stride elements apart, it copies as many elements as a panel has columns to
// panels[p·across + k·columns].
type packRowsFunc func(count int, panels []float32, across int, from []float32, stride, kc int)

// packPairsFunc is packRowsFunc for panels of pairs: it rounds the elements of 2·terms rows, at least
// two, and packs those of two rows as pairs.
type packPairsFunc func(count int, panels []float32, across int, from []float32, stride, terms int)

// transposeFunc stores src[i·srcStride + j] for i < rows, j < columns in
// dst[j·dstStride + i], or adds it. It writes keep elements of each row of dst,
// of which those from rows on are of no account.
type transposeFunc func(dst []float32, dstStride int, src []float32, srcStride, rows, columns, keep int, add bool)

// turnColumns copies so many columns of kc elements, whose rows lie inner apart, to rows
// that lie stride apart.
func (k *kernels) turnColumns(dst []float32, stride int, columns []float32, inner, kc, count int) {
	for at := 0; at < kc; at += k.square {
		terms := min(k.square, kc-at)
		k.transpose(dst[at:], stride, columns[at*inner:], inner, terms, count, terms, false)
	}
}

// tileFor returns the tile for products of n columns: the widest, unless it
// would leave a tenth of its columns unused that a narrower one does not.
func tileFor(tiles []tile, n int) *tile {
	best := &tiles[len(tiles)-1]
	for i := range tiles {
		t := &tiles[i]
		if 10*ceilDiv(n, best.columns)*best.columns > 11*ceilDiv(n, t.columns)*t.columns {
			best = t
		}
	}
	return best
}
