package cpu

// A matrix product C = S·Vᵀ (C[i,j] = Σ_k S[i,k]·V[j,k]) is cut into tiles of C
// that a micro-kernel keeps in registers while it runs over k, in the manner
// of Goto and van de Geijn ("Anatomy of high-performance matrix
// multiplication", ACM TOMS 2008). At every k the kernel loads a few vectors of
// V and broadcasts scalars of S, so V is packed into panels that hold a tile's
// columns side by side, and S is read where it is, with any strides, unless
// they are hard on the cache. C is written in rows, or flipped (C[j,i]), so that
// the operand that is broadcast can be chosen: the weights in a forward pass,
// which are then read once, in order, and not copied.
//
// Every element of C is one sequential sum over k, or one a block of k if k is
// long: the threads and the tiles do not change it.

const (
	longestK         = 1024    // k in one run of the micro-kernel
	panelsPerPacking = 4       // least panels for which copying the rows of S pays
	packedTogether   = 8       // panels that are packed side by side: writing to more pages takes longer than reading a row in pieces
	askedOfRun       = 8       // lines, of a run of single terms, as the micro-kernels have it
	rowOfTiles       = 2048    // elements of tiles of C that are turned at a time
	directBytes      = 1 << 16 // of a V that is read where it lies
	cachedBytes      = 1 << 17 // of the three matrices of a product whose lines need not be asked for
)

// operand is a factor of a product: element (i, k) is data[i·outer + k·inner]. Here and below
// strides have 32 bits, enough for five hundred million columns: what has more than
// four words is passed through memory, and in a small net the waiting for it shows.
type operand struct {
	data         []float32
	outer, inner int32
}

// at is the operand's memory from element (i, k) on.
func (s operand) at(i, k int) []float32 { return s.data[i*int(s.outer)+k*int(s.inner):] }

// rowMajor is a matrix whose k runs along its rows.
func rowMajor(data []float32, columns int) operand { return operand{data, int32(columns), 1} }

// columnMajor is a matrix whose k runs along its columns.
func columnMajor(data []float32, columns int) operand { return operand{data, 1, int32(columns)} }

// gemmCall is a product in progress. Its items are columns of tiles (panels of
// V), each thread packing its own, or rows of tiles, with V packed beforehand.
type gemmCall struct {
	s, v       operand
	m, n, k    int
	c          []float32
	ld         int       // elements from a row of C to the next
	flipped    bool      // C is stored [n, m]
	accumulate bool      // add to C
	epilogue   epilogue  // nil: none
	end        *layerEnd // takes C as it is made, if that is in rows and in one block of k; nil: nothing does
	forward    forwardEpilogue
	backward   backwardEpilogue

	kernels *kernels
	tile    *tile
	tiles   int // that share out the rows of S
	panels  int // of V
	kBlock  int
	direct  bool // V is not packed
	cached  bool // no lines are asked for
	byRows  bool
	packed  []float32 // all of V: [k block][panel][k][column]
	turned  bool      // S is copied beforehand
	scalars []float32 // if so, all of S: [k block][row][k]
	lanes   []gemmLane
	pairs   [2][]float32 // S and V in bfloat16, if they are rounded to it beforehand

	// Of products of pairs: terms before they made pairs, and whether S in rows and V in
	// columns are rounded a tile and a panel at a time.
	terms          int
	roundS, roundV bool
	zeros          [32]float32 // the columns of a panel at most

	packStage packCall
	turnStage turnCall
}

// gemmLane is a thread's scratch memory.
type gemmLane struct {
	packed  []float32 // some panels of V: [panel][k][column]
	scalars []float32 // some rows of S in bfloat16
	tile    []float32
	sums    []float32 // of tiles in matrix registers, between blocks of k
	part    []float32 // of C, which is taken and not stored
}

// epilogue is what is done to a finished part of C while it is in the cache.
type epilogue interface {
	// finish treats the rows r0 to r1, columns c0 to c1 of C as it is stored.
	finish(r0, r1, c0, c1 int)
}

// multiply runs the product of the fields that describe it.
func (d *Device) multiply(g *gemmCall) {
	if g.m == 0 || g.n == 0 {
		return
	}
	if g.k == 0 && !g.accumulate {
		clear(g.c)
	}
	lanes := max(1, min(d.pool.threads(), 2*g.m*g.n*g.k/g.kernels.flopsPerLane))
	d.plan(g, lanes)
	g.byRows = g.byRows || g.taken()
	g.turned = g.k > 0 && g.crowdedTile() && g.panels >= panelsPerPacking
	if g.turned {
		g.scalars = grown(g.scalars, ceilDiv(g.k, g.kBlock)*g.m*spacious(g.kBlock))
		g.turnStage.gemmCall = g
		squares := ceilDiv(g.m, g.kernels.square)
		d.pool.split(&g.turnStage, squares, min(lanes, squares), piecesPerLane)
	}
	g.direct = g.readsDirectly()
	if !g.byRows {
		d.pool.split(g, g.panels, min(lanes, g.panels), piecesPerLane)
		return
	}
	if !g.direct {
		g.packed = grown(g.packed, g.panels*g.tile.columns*g.k)
		g.packStage.gemmCall = g
		d.pool.split(&g.packStage, g.panels*ceilDiv(g.k, g.kBlock), lanes, piecesPerLane)
	}
	if g.taken() {
		d.multiplyTaken(g, lanes)
		return
	}
	d.pool.split(g, g.tiles, min(lanes, g.tiles), piecesPerLane)
}

// plan chooses the tiles of a product and how it is cut, and rounds its factors if they
// are to be.
func (d *Device) plan(g *gemmCall, lanes int) {
	tiles, most, terms := g.kernels.tiles, longestK, 1
	g.terms, g.roundS, g.roundV = g.k, false, false
	rounded := d.pairs != nil && g.k > 0
	if rounded {
		tiles, most, terms = d.pairs.tiles, d.pairs.most, d.pairs.terms
		g.k = multiple(ceilDiv(g.k, 2), terms)
	}
	g.tile = tileFor(tiles, g.n)
	if rounded && !g.tile.matrix {
		g.s, g.v = d.roundToPairs(&g.pairs[0], g.s, g.m, g.terms, false, lanes), d.roundToPairs(&g.pairs[1], g.v, g.n, g.terms, false, lanes)
	}
	g.tiles = ceilDiv(g.m, g.tile.rows())
	g.panels = ceilDiv(g.n, g.tile.columns)
	g.kBlock = multiple(balanced(g.k, most), terms)
	g.byRows = g.splitsByRows(lanes)
	g.cached = (g.m*g.n+g.m*g.k+g.n*g.k)*wordBytes <= cachedBytes
	if g.tile.matrix {
		d.roundForTiles(g, lanes)
	}
}

// readsDirectly reports whether V is read where it lies: if its columns lie side
// by side in whole tiles, and so few that they stay in the cache.
func (g *gemmCall) readsDirectly() bool {
	return !g.tile.packed && (!g.byRows || g.taken()) && g.v.outer == 1 && g.n%g.tile.columns == 0 && g.n*g.k*wordBytes <= directBytes
}

// splitsByRows reports whether the threads share out the rows of tiles rather
// than the columns: where that is much more even, or is as even and spares them
// from reading all of the weights each.
func (g *gemmCall) splitsByRows(lanes int) bool {
	const much, few = 0.1, 4
	rows, columns := evenness(g.tiles, lanes), evenness(g.panels, lanes)
	return rows > columns+much || g.flipped && lanes > 1 && g.panels < few*lanes && rows >= columns
}

// crowdedTile reports whether the tiles of S are crowded, which an S in rows of pairs is not.
func (g *gemmCall) crowdedTile() bool {
	return !g.tile.matrix && g.s.crowded(g.kBlock, g.kernels.scattered)
}

// chunk is the number of panels of kc terms that are packed at a time.
func (g *gemmCall) chunk(kc int) int {
	return max(1, g.kernels.packedBytes/(g.tile.columns*kc*wordBytes))
}

// evenness is the share of their time that so many threads work if n equal
// items are split over them.
func evenness(n, lanes int) float64 { return float64(n) / float64(ceilDiv(n, lanes)*lanes) }

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// balanced is the size of the parts of n if they are to be of equal size, as
// large as possible and not above limit.
func balanced(n, limit int) int { return ceilDiv(n, max(1, ceilDiv(n, limit))) }

// run computes the tiles of one thread.
func (g *gemmCall) run(lane, lo, hi int) {
	scratch := &g.lanes[lane]
	scratch.tile = grown(scratch.tile, rowOfTiles)
	t0, t1, p0, p1 := 0, g.tiles, lo, hi
	if g.byRows {
		t0, t1, p0, p1 = lo, hi, 0, g.panels
	}
	if g.staysPacked(p1 - p0) {
		g.finishRows(scratch, t0, t1, p0, p1)
	} else {
		for k0 := 0; k0 < g.k; k0 += g.kBlock {
			g.block(scratch, t0, t1, p0, p1, k0, min(g.kBlock, g.k-k0))
		}
	}
	if g.epilogue == nil {
		return
	}
	r0, r1, c0, c1 := g.row(t0), g.row(t1), p0*g.tile.columns, min(p1*g.tile.columns, g.n)
	if g.flipped {
		r0, r1, c0, c1 = c0, c1, r0, r1
	}
	g.epilogue.finish(r0, r1, c0, c1)
}

// row is the first row of a tile: the rows are shared out evenly, since a tile
// of a few rows takes as long as one of twice as many.
func (g *gemmCall) row(tile int) int { return tile * g.m / g.tiles }

// block adds the terms k0 to k0+kc of the tiles t0 to t1, panels p0 to p1.
func (g *gemmCall) block(scratch *gemmLane, t0, t1, p0, p1, k0, kc int) {
	chunk := min(p1-p0, g.chunk(kc))
	sums := g.tileSums(scratch, t0, t1, p0, p1)
	for ; p0 < p1; p0 += chunk {
		chunk = min(chunk, p1-p0)
		v := g.panelsFrom(scratch, p0, chunk, k0, kc)
		for t := t0; t < t1; t++ {
			i := g.row(t)
			rows := g.row(t+1) - i
			s := g.rowsFrom(i, k0)
			if g.tile.matrix {
				if g.roundS {
					s = g.roundedRows(scratch, i, rows, k0, kc)
				}
				g.multiplyTiles(g.part(i, p0*g.tile.columns), sums, s, i, rows, p0, chunk, k0, kc, v, linesPerPass{})
				continue
			}
			g.multiplyRow(scratch.tile, g.part(i, p0*g.tile.columns), s, rows, p0, chunk, kc, k0 > 0, v, g.ahead(t, t0, t1, p0, p1, chunk, k0, kc))
		}
	}
}

// lines are the cache lines that a row of tiles asks for while it is computed: one a
// term, step bytes behind the last, those of a tile jump bytes behind those of the tile before.
type lines struct {
	from       []float32
	step, jump int32
}

// ahead are lines that will be read soon: of the panels that are packed next, as many
// of them in a row of tiles as it has tiles, or of the rows of S of the next one.
func (g *gemmCall) ahead(t, t0, t1, p0, p1, chunk, k0, kc int) lines {
	if g.cached {
		return lines{from: g.s.data}
	}
	const perLine = cacheLine / wordBytes
	width := g.tile.columns
	if !g.byRows && !g.direct && g.v.outer == 1 && !conflicting(int(g.v.inner)) {
		line := (t - t0) * chunk
		column := (p0+chunk)*width + line*perLine
		if line*perLine < chunk*width && column < min(p1*width, g.n) {
			return lines{g.v.at(column, k0), g.v.inner * wordBytes, cacheLine}
		}
	}
	next := t + 1
	if next == t1 {
		next = t0
	}
	i := g.row(next)
	s := g.rowsFrom(i, k0)
	if s.inner != 1 {
		return lines{from: s.data}
	}
	step := (g.row(next+1) - i) * wordBytes / chunk
	return lines{s.data, int32(step), int32(step * kc)}
}

// panels are adjacent panels of V, which begin across elements apart and their
// terms down apart.
type panels struct {
	data         []float32
	across, down int32
}

// after are the panels behind so many of them.
func (v panels) after(count int) panels {
	v.data = v.data[count*int(v.across):]
	return v
}

// panelsFrom returns kc terms from k0 on of so many panels: packed beforehand, packed
// now, or where they lie.
func (g *gemmCall) panelsFrom(scratch *gemmLane, p0, count, k0, kc int) panels {
	width := g.tile.columns
	panel := width * kc
	switch {
	case g.direct:
		return panels{g.v.at(p0*width, k0), int32(width), g.v.inner}
	case g.byRows:
		return panels{g.packed[g.panels*width*k0+p0*panel:], int32(panel), int32(width)}
	}
	scratch.packed = grown(scratch.packed, count*panel)
	g.packPanels(scratch.packed, p0, count, k0, kc)
	return panels{scratch.packed, int32(panel), int32(width)}
}

// crowded reports whether the rows of a tile drive each other out of the
// first-level cache: because they lie apart by a stride that maps them to a few
// of its sets, or because each of more than that many terms takes another cache
// line, and a page.
func (s operand) crowded(kc, lines int) bool {
	if s.outer == 1 {
		return kc > lines || conflicting(int(s.inner))
	}
	return conflicting(int(s.outer))
}

// conflicting reports whether rows so many elements apart lie in a few sets of the cache.
func conflicting(stride int) bool {
	const setStride = 2048
	return stride*wordBytes%setStride == 0
}

// rowsFrom are the rows of S from i on, their terms from k0 on, where they lie or are copied.
func (g *gemmCall) rowsFrom(i, k0 int) operand {
	if g.turned {
		return g.turnedRows(i, k0)
	}
	return operand{g.s.at(i, k0), g.s.outer, g.s.inner}
}

// turnedRows are the rows of S from i on, those terms from k0 on that are copied together.
func (g *gemmCall) turnedRows(i, k0 int) operand {
	stride := spacious(g.kBlock)
	return operand{g.scalars[(k0/g.kBlock*g.m+i)*stride:], int32(stride), 1}
}

// part is a part of C as it is stored, from one of its elements on.
type part struct {
	data []float32
	ld   int
}

// part is C from row i, column j of the product on.
func (g *gemmCall) part(i, j int) part {
	if g.flipped {
		i, j = j, i
	}
	return part{g.c[i*g.ld+j:], g.ld}
}

// multiplyRow adds kc terms to a row of tiles of C, those of so many panels from p on, or to zero.
func (g *gemmCall) multiplyRow(scratch []float32, c part, s operand, rows, p, count, kc int, add bool, v panels, next lines) {
	width := g.tile.columns
	add = add || g.accumulate
	multiply := g.tile.multiply[rows-1]
	if whole := min(count, g.n/width-p); !g.flipped && whole > 0 {
		every := kc
		if !g.cached {
			every = max(1, kc/rows&^3)
		}
		multiply(whole, kc, s.data, int(s.outer), int(s.inner), v.data, int(v.across), int(v.down), c.data, c.ld, add, every, next.from, int(next.step), int(next.jump))
		if whole == count {
			return
		}
		p, count, v, c.data = p+whole, count-whole, v.after(whole), c.data[whole*width:]
	}
	for done := 0; done < count; {
		tiles := min(count-done, len(scratch)/(rows*width))
		multiply(tiles, kc, s.data, int(s.outer), int(s.inner), v.after(done).data, int(v.across), int(v.down), scratch, tiles*width, false, kc, next.from, int(next.step), int(next.jump))
		next.from = next.from[min(len(next.from), int(next.jump)*tiles/wordBytes):]
		j := (p + done) * width
		columns := min(tiles*width, g.n-j)
		if g.flipped {
			g.kernels.transpose(c.data[done*width*c.ld:], c.ld, scratch, tiles*width, rows, columns, rows, add)
		} else {
			g.store(part{c.data[done*width:], c.ld}, scratch, tiles*width, rows, columns, add)
		}
		done += tiles
	}
}

// store copies or adds a part of a tile of that width to C.
func (g *gemmCall) store(c part, tile []float32, width, rows, columns int, add bool) {
	for i := range rows {
		to, from := c.data[i*c.ld:][:columns], tile[i*width:]
		if add {
			g.kernels.add(to, from)
		} else {
			copy(to, from)
		}
	}
}

// turnCall copies all of S to rows that are not crowded; its items are squares of rows.
type turnCall struct{ *gemmCall }

func (g *turnCall) run(_, lo, hi int) {
	square := g.kernels.square
	i, end := lo*square, min(hi*square, g.m)
	for k0 := 0; k0 < g.k; k0 += g.kBlock {
		kc := min(g.kBlock, g.k-k0)
		to := g.turnedRows(i, k0)
		from := g.s.at(i, k0)
		if g.s.outer != 1 {
			for r := range end - i {
				copy(to.at(r, 0)[:kc], g.s.at(i+r, k0))
			}
			continue
		}
		g.kernels.turnColumns(to.data, int(to.outer), from, int(g.s.inner), kc, end-i)
	}
}

// packCall packs all of V; its items are the panels of the blocks of k.
type packCall struct{ *gemmCall }

func (g *packCall) run(_, lo, hi int) {
	for lo < hi {
		k0, p := lo/g.panels*g.kBlock, lo%g.panels
		kc, count := min(g.kBlock, g.k-k0), min(hi-lo, g.panels-p)
		from := g.panels*g.tile.columns*k0 + p*g.tile.columns*kc
		g.packPanels(g.packed[from:], p, count, k0, kc)
		lo += count
	}
}

// packPanels copies the terms k0 to k0+kc of so many panels of V from p on, one behind the
// other. What it leaves beyond the last column of V is multiplied into columns that C does
// not have.
func (g *gemmCall) packPanels(dst []float32, p, count, k0, kc int) {
	if g.roundV {
		g.packPairs(dst, p, count, k0, kc)
		return
	}
	width := g.tile.columns
	panel := width * kc
	whole := 0
	if g.v.outer == 1 {
		whole = min(count, g.n/width-p)
	}
	for done := 0; done < whole; done += packedTogether {
		g.tile.packRows(min(packedTogether, whole-done), dst[done*panel:], panel, g.v.at((p+done)*width, k0), int(g.v.inner), kc)
	}
	for i := whole; i < count; i++ {
		g.pack(dst[i*panel:(i+1)*panel], p+i, k0, kc)
	}
}

// pack is packPanels for one panel, which has columns that do not lie side by side or is
// not full.
func (g *gemmCall) pack(panel []float32, p, k0, kc int) {
	width := g.tile.columns
	j := p * width
	columns := min(width, g.n-j)
	switch {
	case g.v.outer != 1:
		for c := 0; c < columns; c += g.kernels.square {
			rows := min(g.kernels.square, columns-c)
			g.kernels.transpose(panel[c:], width, g.v.at(j+c, k0), int(g.v.outer), rows, kc, g.kernels.square, false)
		}
	default:
		for k := range kc {
			copy(panel[k*width:k*width+columns], g.v.at(j, k0+k))
		}
	}
}
