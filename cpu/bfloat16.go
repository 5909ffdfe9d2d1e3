package cpu

import (
	"errors"
	"math"
)

// Products of bfloat16 (the upper half of a float32: its range, 8 bits of
// precision). Both factors of a product are rounded to it, neighbours in k to a
// pair of 32 bits, and a processor with AVX512-BF16 or AMX-BF16 multiplies and adds
// pairs into float32. So a product of pairs is one of float32 whose k is half as
// long: packing, tiles and threads are the same.
//
// The two add in different orders and so differ in the last bits. Both take
// subnormal numbers for zeros, and round to nearest, ties to even.
//
// All else stays float32: parameters, gradients, optimiser, activations, losses,
// and the products with inputs that are mostly zeros (sparse.go).

// ErrNoBFloat16 is NewBFloat16's failure on a processor that has no arithmetic
// of bfloat16.
var ErrNoBFloat16 = errors.New("cpu: this processor has neither AVX512-BF16 nor AMX-BF16")

// NewBFloat16 is New for a device that rounds the factors of the products of
// dense layers to bfloat16: by AMX-BF16 where the processor has it and the operating
// system grants it, otherwise by AVX512-BF16.
func NewBFloat16(threads int) (*Device, error) {
	products := firstGranted(supportedKernels()[0].products)
	if products == nil {
		return nil, ErrNoBFloat16
	}
	d, err := New(threads)
	if err != nil {
		return nil, err
	}
	d.pairs = products
	return d, nil
}

// firstGranted returns the first products that the operating system grants, or nil.
func firstGranted(all []*pairProducts) *pairProducts {
	for _, p := range all {
		if p.granted() {
			return p
		}
	}
	return nil
}

// pairBlock is the number of elements that pairsInRow takes a multiple of.
const pairBlock = 16

// pairCall rounds a factor of a product to pairs; its items are the rows of the
// result, where k runs down the columns its terms, and where it is turned blocks.
type pairCall struct {
	kernels *kernels
	from    operand
	n, k    int
	terms   int // pairs, with the zeros after the last
	pairs   []float32
	stride  int // elements between the rows of the result
	zeros   []float32
	turned  bool // k runs down the columns, and along the rows of the result
	lanes   []gemmLane
}

// A block of a factor that is turned: so many terms of so many of its columns.
const (
	turnedTerms   = 16
	turnedColumns = 256
)

// roundToPairs returns a factor of n rows and k terms in pairs, in memory that
// grows if it must, and in rows if it must lie in rows.
func (d *Device) roundToPairs(memory *[]float32, from operand, n, k int, inRows bool, lanes int) operand {
	c := &d.pairing
	c.kernels, c.from, c.n, c.k, c.lanes = d.kernels, from, n, k, d.gemm.lanes
	c.terms = multiple(ceilDiv(k, 2), d.pairs.terms)
	c.turned = inRows && from.inner != 1
	rows, length, items := n, c.terms, n
	if from.inner != 1 {
		if k%2 != 0 {
			c.zeros = grown(c.zeros, n)
		}
		rows, length, items = c.terms, n, c.terms
	}
	if c.turned {
		rows, length, items = n, c.terms, c.terms/turnedTerms*ceilDiv(n, turnedColumns)
	}
	c.stride = spacious(length)
	*memory = grown(*memory, rows*c.stride)
	c.pairs = *memory
	d.pool.split(c, items, min(lanes, items), piecesPerLane)
	if from.inner != 1 && !c.turned {
		return columnMajor(c.pairs, c.stride)
	}
	return rowMajor(c.pairs, c.stride)
}

// multiple is the least multiple of m that is not below n.
func multiple(n, m int) int { return ceilDiv(n, m) * m }

// spacious is the distance of rows of that length that do not drive each other
// out of the cache.
func spacious(length int) int {
	const perLine = cacheLine / wordBytes
	stride := ceilDiv(length, perLine) * perLine
	if conflicting(stride) {
		stride += perLine
	}
	return stride
}

func (c *pairCall) run(lane, lo, hi int) {
	for item := lo; item < hi; item++ {
		switch {
		case c.turned:
			c.turn(&c.lanes[lane], item)
		case c.from.inner == 1:
			c.row(item)
		default:
			c.term(c.pairs[item*c.stride:][:c.n], item, 0)
		}
	}
}

// row rounds row i.
func (c *pairCall) row(i int) {
	c.kernels.roundRow(c.pairs[i*c.stride:][:c.terms], c.from.at(i, 0)[:c.k])
}

// roundRow rounds a row, whose neighbours make pairs, with zeros after the last.
func (k *kernels) roundRow(pairs, row []float32) {
	whole := len(row) / pairBlock * pairBlock
	k.pairsInRow(pairs, row[:whole])
	pairRest(pairs[whole/2:], row[whole:])
	clear(pairs[ceilDiv(len(row), 2):])
}

// term rounds the rows 2i and 2i+1, from a column on.
func (c *pairCall) term(pairs []float32, i, column int) {
	if 2*i >= c.k {
		clear(pairs)
		return
	}
	first, second := c.from.at(column, 2*i), c.zeros
	if 2*i+1 < c.k {
		second = c.from.at(column, 2*i+1)
	}
	c.kernels.pairsOfRows(pairs, first, second)
}

// turn rounds a block of terms and columns, and makes rows of the columns.
func (c *pairCall) turn(scratch *gemmLane, block int) {
	const apart = turnedColumns + cacheLine/wordBytes
	across := ceilDiv(c.n, turnedColumns)
	term, column := block/across*turnedTerms, block%across*turnedColumns
	columns := min(turnedColumns, c.n-column)
	scratch.tile = grown(scratch.tile, turnedTerms*apart)
	for i := range turnedTerms {
		c.term(scratch.tile[i*apart:][:columns], term+i, column)
	}
	c.kernels.transpose(c.pairs[column*c.stride+term:], c.stride, scratch.tile, apart, turnedTerms, columns, turnedTerms, false)
}

// pairRest rounds the elements of a row that are no whole block.
func pairRest(pairs, x []float32) {
	for j := 0; j < len(x); j += 2 {
		pair := bfloat16(x[j])
		if j+1 < len(x) {
			pair |= bfloat16(x[j+1]) << 16
		}
		pairs[j/2] = math.Float32frombits(pair)
	}
}

// bfloat16 is x rounded to nearest, ties to even, in the lower 16 bits. A subnormal number
// becomes zero.
func bfloat16(x float32) uint32 {
	const exponent, quiet = 0x7F800000, 0x40
	b := math.Float32bits(x)
	switch {
	case x != x:
		return b>>16 | quiet
	case b&exponent == 0:
		return b >> 31 << 15
	}
	return (b + 0x7FFF + b>>16&1) >> 16
}
