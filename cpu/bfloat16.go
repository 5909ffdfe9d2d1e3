package cpu

import (
	"errors"
	"math"
)

// Products of bfloat16 (the upper half of a float32: its range, 8 bits of
// precision). Both factors of a product are rounded to it, neighbours in k to a
// pair of 32 bits, and a processor with AVX512-BF16 multiplies and adds pairs
// into float32 twice as fast as it does float32. So a product of pairs is one of
// float32 whose k is half as long: packing, tiles and threads are the same.
//
// All else stays float32: parameters, gradients, optimiser, activations, losses,
// and the products with inputs that are mostly zeros (sparse.go).

// ErrNoBFloat16 is NewBFloat16's failure on a processor that has no arithmetic
// of bfloat16.
var ErrNoBFloat16 = errors.New("cpu: this processor has no AVX512-BF16")

// NewBFloat16 is New for a device that rounds the factors of the products of
// dense layers to bfloat16.
func NewBFloat16(threads int) (*Device, error) {
	best := supportedKernels()[0]
	if best.pairTiles == nil {
		return nil, ErrNoBFloat16
	}
	d, err := New(threads)
	if err != nil {
		return nil, err
	}
	d.pairs = true
	return d, nil
}

// pairBlock is the number of elements that pairsInRow takes a multiple of.
const pairBlock = 16

// pairCall rounds a factor of a product to pairs; its items are the rows of the
// result, or where k runs down the columns its terms.
type pairCall struct {
	kernels *kernels
	from    operand
	n, k    int
	pairs   []float32
	stride  int // elements between the rows of the result
	zeros   []float32
}

// roundToPairs returns a factor of n rows and k terms in pairs, in memory that
// grows if it must.
func (d *Device) roundToPairs(memory *[]float32, from operand, n, k, lanes int) operand {
	c := &d.pairing
	c.kernels, c.from, c.n, c.k = d.kernels, from, n, k
	terms := ceilDiv(k, 2)
	items, length := n, terms
	if from.inner != 1 {
		items, length = terms, n
		if k%2 != 0 {
			c.zeros = grown(c.zeros, n)
		}
	}
	c.stride = spacious(length)
	*memory = grown(*memory, items*c.stride)
	c.pairs = *memory
	d.pool.split(c, items, min(lanes, items), piecesPerLane)
	if from.inner != 1 {
		return operand{c.pairs, 1, c.stride}
	}
	return operand{c.pairs, c.stride, 1}
}

// spacious is the distance of rows of that length that do not drive each other
// out of the cache.
func spacious(length int) int {
	const perLine = cacheLine / wordBytes
	stride := ceilDiv(length, perLine) * perLine
	if (operand{outer: stride}).crowded(0, 0) {
		stride += perLine
	}
	return stride
}

func (c *pairCall) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		if c.from.inner == 1 {
			row := c.from.data[i*c.from.outer:][:c.k]
			whole := len(row) / pairBlock * pairBlock
			c.kernels.pairsInRow(c.pairs[i*c.stride:], row[:whole])
			pairRest(c.pairs[i*c.stride+whole/2:], row[whole:])
			continue
		}
		first, second := c.from.data[2*i*c.from.inner:], c.zeros
		if 2*i+1 < c.k {
			second = c.from.data[(2*i+1)*c.from.inner:]
		}
		c.kernels.pairsOfRows(c.pairs[i*c.stride:][:c.n], first, second)
	}
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

// bfloat16 is x rounded to nearest, ties to even, in the lower 16 bits.
func bfloat16(x float32) uint32 {
	const quietNaN = 0x7FC0
	if x != x {
		return quietNaN
	}
	b := math.Float32bits(x)
	return (b + 0x7FFF + b>>16&1) >> 16
}
