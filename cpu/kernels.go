package cpu

// kernels are the innermost loops, of one instruction set.
type kernels struct {
	name      string
	tiles     []tile // from narrow to wide
	transpose transposeFunc
	square    int // most rows that transpose takes
}

// tile is a family of micro-kernels of matrix products.
type tile struct {
	columns  int
	multiply []tileFunc // [rows-1]
	packRows func(panel, from []float32, stride, kc int)
}

// rows is the number of rows of the largest tile.
func (t *tile) rows() int { return len(t.multiply) }

// tileFunc computes Σ_k s[i·outer + k·inner]·panel[k·columns + j] over the kc
// terms of a tile and stores it in c[i·ld + j], or adds it.
type tileFunc func(kc int, s []float32, outer, inner int, panel, c []float32, ld int, add bool)

// transposeFunc stores src[i·srcStride + j] for i < rows, j < columns in
// dst[j·dstStride + i], or adds it. It writes keep elements of each row of dst,
// of which those from rows on are of no account.
type transposeFunc func(dst []float32, dstStride int, src []float32, srcStride, rows, columns, keep int, add bool)

// tileFor returns the tile for products of n columns: the widest, unless it
// would leave a tenth of its columns unused that a narrower one does not.
func (k *kernels) tileFor(n int) *tile {
	best := &k.tiles[len(k.tiles)-1]
	for i := range k.tiles {
		t := &k.tiles[i]
		if 10*ceilDiv(n, best.columns)*best.columns > 11*ceilDiv(n, t.columns)*t.columns {
			best = t
		}
	}
	return best
}
