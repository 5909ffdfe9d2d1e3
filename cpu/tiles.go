package cpu

// Products in matrix registers. A tile of C is one running sum over all of k: between
// two blocks of k it waits in C, or in memory of the thread where C is not stored as it
// is computed, and goes on from there. So how k is cut does not change bits.

// rowsOfTile is the number of rows of a tile register, and of the pairs that an
// instruction adds.
const rowsOfTile = 16

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

// packPairs rounds the pairs k0 to k0+kc of so many panels of V from p on, whose columns lie
// side by side; of the last column as in packPanels.
func (g *gemmCall) packPairs(dst []float32, p, count, k0, kc int) {
	width, stride := g.tile.columns, int(g.v.inner)
	panel := width * kc
	from := g.v.data[2*k0*stride:]
	terms := min(2*kc, g.terms-2*k0)
	pairs, full := terms/2, min(count, g.n/width-p)
	for done := 0; done < full && pairs > 0; done += packedTogether {
		g.tile.packPairs(min(packedTogether, full-done), dst[done*panel:], panel, from[(p+done)*width:], stride, pairs)
	}
	for i := range count {
		columns := min(width, g.n-(p+i)*width)
		to, rows := dst[i*panel:(i+1)*panel], from[(p+i)*width:]
		for k := 0; k < pairs && i >= full; k++ {
			g.kernels.pairsOfRows(to[k*width:][:columns], rows[2*k*stride:], rows[(2*k+1)*stride:])
		}
		if terms%2 != 0 {
			g.kernels.pairsOfRows(to[pairs*width:][:columns], rows[2*pairs*stride:], g.zeros[:])
		}
		clear(to[ceilDiv(terms, 2)*width:])
	}
}

// wholePanels are panels of V with all of their terms: [k block][panel][k][column].
type wholePanels struct {
	data  []float32
	count int // in a block of k
}

// staysPacked reports whether so many panels stay in the cache with all of their terms, so
// that each row of tiles of C can be finished before the next.
func (g *gemmCall) staysPacked(panels int) bool {
	return g.tile.matrix && panels*g.tile.columns*g.k*wordBytes <= g.kernels.takenBytes
}

// finishRows computes the tiles t0 to t1, panels p0 to p1, one row after the other, and asks
// for the rows of S that follow meanwhile.
func (g *gemmCall) finishRows(scratch *gemmLane, t0, t1, p0, p1 int) {
	v := g.wholePanels(scratch, p0, p1)
	for t := t0; t < t1; t++ {
		var asked [4][]float32
		if next := t + 1; next < t1 && !g.cached {
			rows := g.s.at(g.row(next), 0)
			asked[0] = rows[:min(len(rows), (g.row(next+1)-g.row(next))*int(g.s.outer))]
		}
		g.finishRow(scratch, g.part(g.row(t), p0*g.tile.columns), t, p0, p1, v, asked)
	}
}

// wholePanels returns the panels p0 to p1, packed beforehand or now.
func (g *gemmCall) wholePanels(scratch *gemmLane, p0, p1 int) wholePanels {
	if g.byRows {
		return wholePanels{g.packed, g.panels}
	}
	width, count := g.tile.columns, p1-p0
	scratch.packed = grown(scratch.packed, count*width*g.k)
	for k0 := 0; k0 < g.k; k0 += g.kBlock {
		g.packPanels(scratch.packed[count*width*k0:], p0, count, k0, min(g.kBlock, g.k-k0))
	}
	return wholePanels{scratch.packed, count}
}

// finishRow computes a row of tiles, panels p0 to p1, which begins at c. While its tiles are computed, some
// ask for the lines of one array and some for those of another, an equal number of each.
func (g *gemmCall) finishRow(scratch *gemmLane, c part, t, p0, p1 int, v wholePanels, asked [4][]float32) {
	arrays := 1
	for arrays < len(asked) && len(asked[arrays]) > 0 {
		arrays++
	}
	i, width := g.row(t), g.tile.columns
	rows, s := g.row(t+1)-i, g.rowsFrom(i, 0)
	if g.roundS {
		s = g.roundedRows(scratch, i, rows, 0, g.k)
	}
	sums := g.tileSums(scratch, t, t+1, p0, p1)
	for k0 := 0; k0 < g.k; k0 += g.kBlock {
		kc := min(g.kBlock, g.k-k0)
		block := panels{v.data[v.count*width*k0:], int32(width * kc), int32(width)}
		terms := operand{s.at(0, k0), s.outer, 1}
		for a := range arrays {
			from, to := (p1-p0)*a/arrays, (p1-p0)*(a+1)/arrays
			array := asked[a][len(asked[a])*k0/g.k : len(asked[a])*(k0+kc)/g.k]
			g.multiplyTiles(g.beside(c, from*width), sums, terms, i, rows, p0+from, to-from, k0, kc, block.after(from), linesOver(array, (to-from)*kc/rowsOfTile))
		}
	}
}

// beside is a part of C so many columns further on.
func (g *gemmCall) beside(c part, columns int) part {
	if g.flipped {
		columns *= c.ld
	}
	return part{c.data[columns:], c.ld}
}

// linesPerPass are lines that tiles ask for while they are computed: so many in each pass of
// rowsOfTile terms, one behind the other.
type linesPerPass struct {
	from  []float32
	lines int
}

// linesOver shares out the lines of an array over so many passes.
func linesOver(array []float32, passes int) linesPerPass {
	if len(array) == 0 || passes == 0 {
		return linesPerPass{}
	}
	return linesPerPass{array, ceilDiv(len(array)*wordBytes, passes*cacheLine)}
}

// after are the lines that are left after so many passes.
func (l linesPerPass) after(passes int) linesPerPass {
	l.from = l.from[min(len(l.from), passes*l.lines*cacheLine/wordBytes):]
	return l
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

// multiplyTiles adds the terms k0 to k0+kc to a row of tiles of C, those of so many panels from p on, which
// begin at c; after the last terms they are as they shall be in C.
func (g *gemmCall) multiplyTiles(c part, sums tileSums, s operand, i, rows, p, count, k0, kc int, v panels, next linesPerPass) {
	width := g.tile.columns
	multiply := g.tile.multiply[rows-1]
	if whole := min(count, g.n/width-p); !g.flipped && !g.accumulate && whole > 0 {
		multiply(whole, kc, s.data, int(s.outer), 1, v.data, int(v.across), int(v.down), c.data, c.ld, k0 > 0, kc, next.from, next.lines, 0)
		if whole == count {
			return
		}
		p, count, v, c, next = p+whole, count-whole, v.after(whole), g.beside(c, whole*width), next.after(whole*kc/rowsOfTile)
	}
	together := min(count, tilesTogether)
	for done := 0; done < count; done += together {
		tiles := min(together, count-done)
		to := sums.data
		if g.cut() {
			to = to[(i-sums.row)*sums.ld+(p+done-sums.panel)*width:]
		}
		ask := next.after(done * kc / rowsOfTile)
		multiply(tiles, kc, s.data, int(s.outer), 1, v.after(done).data, int(v.across), int(v.down), to, sums.ld, k0 > 0, kc, ask.from, ask.lines, 0)
		if k0+kc == g.k {
			columns := min(tiles*width, g.n-(p+done)*width)
			g.finishTiles(g.beside(c, done*width), to, sums.ld, rows, columns)
		}
	}
}

// finishTiles writes a row of tiles of so many columns to C, or adds it.
func (g *gemmCall) finishTiles(c part, sums []float32, ld, rows, columns int) {
	if !g.flipped {
		g.store(c, sums, ld, rows, columns, g.accumulate)
		return
	}
	square := g.kernels.square
	for r := 0; r < rows; r += square {
		some := min(square, rows-r)
		g.kernels.transpose(c.data[r:], c.ld, sums[r*ld:], ld, some, columns, some, g.accumulate)
	}
}
