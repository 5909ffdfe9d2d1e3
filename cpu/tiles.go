package cpu

// Products in matrix registers. A tile of C is one running sum over all of k: between
// two blocks of k it waits in C, or in memory of the thread where C is not stored as it
// is computed, and goes on from there. So how k is cut does not change bits.

// roundForTiles rounds the factors of a product to pairs, but for an S in rows that each
// thread reads once, and a V in columns: these are rounded as they are packed, which
// spares writing and reading them once more.
func (d *Device) roundForTiles(g *gemmCall, lanes int) {
	g.roundS = g.s.inner == 1 && (lanes == 1 || g.byRows) && g.panels <= g.chunk(g.kBlock)
	if !g.roundS {
		g.s = d.roundToPairs(&g.pairs[0], g.s, g.m, g.terms, true, lanes)
	}
	g.roundV = g.v.inner != 1
	if !g.roundV {
		g.v = d.roundToPairs(&g.pairs[1], g.v, g.n, g.terms, false, lanes)
	}
}

// roundedRows rounds the pairs k0 to k0+kc of some rows of S.
func (g *gemmCall) roundedRows(scratch *gemmLane, i, rows, k0, kc int) operand {
	stride := spacious(kc)
	scratch.scalars = grown(scratch.scalars, rows*stride)
	for r := range rows {
		row := g.s.at(i+r, 0)[:g.terms]
		g.kernels.roundRow(scratch.scalars[r*stride:][:kc], row[2*k0:min(2*(k0+kc), g.terms)])
	}
	return operand{scratch.scalars, int32(stride), 1}
}

// packPairs rounds the pairs k0 to k0+kc of one panel of V, whose columns lie side by
// side; of the last column as in pack.
func (g *gemmCall) packPairs(panel []float32, p, k0, kc int) {
	width, stride := g.tile.columns, int(g.v.inner)
	columns := min(width, g.n-p*width)
	from := g.v.data[2*k0*stride+p*width:]
	terms := min(2*kc, g.terms-2*k0)
	whole := terms / 2
	switch {
	case whole == 0:
	case columns == width:
		g.tile.packPairs(panel, from, stride, whole)
	default:
		for k := range whole {
			g.kernels.pairsOfRows(panel[k*width:][:columns], from[2*k*stride:], from[(2*k+1)*stride:])
		}
	}
	if terms%2 != 0 {
		g.kernels.pairsOfRows(panel[whole*width:][:columns], from[2*whole*stride:], g.zeros[:])
		whole++
	}
	clear(panel[whole*width : kc*width])
}

// tilesTogether is the number of tiles that are multiplied before they are turned, or
// added to C.
const tilesTogether = 4

// tileSums are the sums of tiles of a part of C, whose first row and panel they begin at.
type tileSums struct {
	data       []float32
	ld         int
	row, panel int
}

// tileSums makes room for the sums of the tiles t0 to t1, panels p0 to p1, or for those
// that are computed together if k is not cut.
func (g *gemmCall) tileSums(scratch *gemmLane, t0, t1, p0, p1 int) tileSums {
	if !g.tile.matrix {
		return tileSums{}
	}
	rows, panels := g.row(t1)-g.row(t0), p1-p0
	if !g.cut() {
		rows, panels = g.tile.rows(), tilesTogether
	}
	sums := tileSums{ld: spacious(panels * g.tile.columns), row: g.row(t0), panel: p0}
	scratch.sums = grown(scratch.sums, rows*sums.ld)
	sums.data = scratch.sums
	return sums
}

// cut reports whether k is cut into blocks.
func (g *gemmCall) cut() bool { return g.kBlock < g.k }

// multiplyTiles adds the terms k0 to k0+kc to a row of tiles of C, those of so many
// panels from p on; after the last terms they are as they shall be in C.
func (g *gemmCall) multiplyTiles(sums tileSums, s operand, i, rows, p, count, k0, kc int, v panels) {
	width := g.tile.columns
	multiply := g.tile.multiply[rows-1]
	if whole := min(count, g.n/width-p); !g.flipped && !g.accumulate && whole > 0 {
		multiply(whole, kc, s.data, int(s.outer), int(s.inner), v.data, int(v.across), int(v.down), g.c[i*g.ld+p*width:], g.ld, k0 > 0, kc, nil, 0, 0)
		if whole == count {
			return
		}
		p, count, v = p+whole, count-whole, v.after(whole)
	}
	together := min(count, tilesTogether)
	for done := 0; done < count; done += together {
		tiles := min(together, count-done)
		to := sums.data
		if g.cut() {
			to = to[(i-sums.row)*sums.ld+(p+done-sums.panel)*width:]
		}
		multiply(tiles, kc, s.data, int(s.outer), int(s.inner), v.after(done).data, int(v.across), int(v.down), to, sums.ld, k0 > 0, kc, nil, 0, 0)
		if k0+kc == g.k {
			g.finishTiles(to, sums.ld, i, rows, (p+done)*width, tiles*width)
		}
	}
}

// finishTiles writes a row of tiles, columns from j on, to C, or adds it.
func (g *gemmCall) finishTiles(sums []float32, ld, i, rows, j, columns int) {
	columns = min(columns, g.n-j)
	if !g.flipped {
		g.store(g.part(i, j), sums, ld, rows, columns, g.accumulate)
		return
	}
	square := g.kernels.square
	for r := 0; r < rows; r += square {
		some := min(square, rows-r)
		g.kernels.transpose(g.c[j*g.ld+i+r:], g.ld, sums[r*ld:], ld, some, columns, some, g.accumulate)
	}
}
