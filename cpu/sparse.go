package cpu

import "gpudae/device"

// A product C = S·Vᵀ whose S has many zeros, masked or sparse inputs and what
// ReLU leaves of an activation and of its gradient, is a sum over the elements of S that are not
// zero: for each of them a row of V's packed panel, times the element, is added
// to a row of C in registers. S is listed first, a group of rows at a time, or, where there is one panel
// and nobody would read the lists again, read as it lies. Where a row has
// enough elements, k is cut into parts whose panels stay in the first-level cache, and the sums go on
// from one to the next.
//
// The terms that are left out are zeros, and the others are added by the same
// operations in the same order as in the dense product: the bits are the same,
// unless V holds an infinity or a NaN that only zeros would have met. So it is
// safe to choose by a look at a few rows.

const (
	sampledRows = 8  // rows of S that are looked at
	listSlack   = 16 // elements that compress may write beyond a list's end
	leastBatch  = 32 // rows of a minibatch whose zeros are worth listing
	leastWidth  = 64 // units on either side for which they are, so that a panel is full if there is no other
	leastRun    = 12 // elements in a part of a row that pay for the way of its sums from the cache and back
	leastRow    = 80 // elements in a row that do if C is flipped, and all sums wait

	leastBand   = 64      // rows of S that are worth the packing of a panel
	mostScanned = 128     // elements of rows that are not listed if there is one panel
	rowsOfScan  = 128     // that are scanned by one call
	mostTaken   = 1 << 22 // operations, zeros counted, of a gradient of one panel that one thread takes

	listCost = 12 // operations of a product in whose time an element is listed, or packed
)

// sparseFunc computes rows of C: for each row counts[i] elements of S, whose
// values and whose rows' offsets in the panel are the next ones of the lists. It begins
// with zeros, or goes on from what C holds.
type sparseFunc func(counts, offsets []uint32, values, panel, c []float32, ld int, goOn bool)

// scannedFunc computes rows of C from rows of n elements of S, which begin stride apart: at
// least one row, and one element. Subnormal elements are zeros to it.
type scannedFunc func(rows, n int, x []float32, stride int, panel, c []float32, ld int)

// compressFunc lists the elements of rows of n elements that are not zero, one row behind the
// other, and their columns times step. There are as many rows as counts, at least one, and they begin stride
// elements apart. It may write listSlack elements more.
type compressFunc func(counts, offsets []uint32, values, x []float32, stride, n, step int)

// sparseCall is a product in progress that leaves out zeros of S. Where S is listed its items are panels of V or, if
// those do not keep the threads busy, bands of rows of S with each.
type sparseCall struct {
	*gemmCall
	perPart, parts int // terms of a part of a block of k, whose panel stays in the first-level cache, and parts of a block
	bands          int // of groups of rows
	lists          sparseLists
	listing        listCall
	lanes          []sparseLane
	scanning       scanCall
}

// sparseLists are the elements of S that are not zero: [part of k][group of rows].
type sparseLists struct {
	groups   int // of rows
	groupLen int // room for a group's elements in a part
	counts   []uint32
	offsets  []uint32
	values   []float32
}

// sparseLane is a thread's scratch memory.
type sparseLane struct {
	turned []float32 // some rows of S that are columns in memory
	rows   []float32 // some rows of C
}

// sparse reports whether enough of x is zeros, by a look at some of its rows, and it is
// large enough, as is its layer's other side, for that to matter; and which share is not zero.
func (d *Device) sparse(x device.View, others int) (share float64, yes bool) {
	if x.Rows < leastBatch || min(x.Columns, others) < leastWidth {
		return 0, false
	}
	values, found, looked := floatsOf(x), 0, 0
	for i := 0; i < x.Rows; i += ceilDiv(x.Rows, sampledRows) {
		found += d.kernels.nonzeros(values[i*x.Columns : (i+1)*x.Columns])
		looked += x.Columns
	}
	share = float64(found) / float64(looked)
	if d.pairs != nil {
		return share, share <= d.pairs.sparse
	}
	return share, share <= d.kernels.sparse
}

// multiplySparse is multiply for an S of which that share is not zero.
func (d *Device) multiplySparse(g *gemmCall, share float64) {
	s := &d.sparseProduct
	s.gemmCall = g
	g.tile, g.byRows, g.roundV = &g.kernels.sparseTile, false, false
	g.panels = ceilDiv(g.n, g.tile.columns)
	g.kBlock = balanced(g.k, longestK)
	s.perPart = g.kBlock
	part := balanced(g.kBlock, g.kernels.sparseTerms)
	if g.flipped && share*float64(g.k) >= leastRow || !g.flipped && share*float64(part) >= leastRun {
		s.perPart = part
	}
	s.parts = ceilDiv(g.kBlock, s.perPart)
	work := int(2*share*float64(g.m*g.n*g.k)) + listCost*g.k*(g.m+g.n)
	lanes := min(d.pool.threads(), max(1, work/g.kernels.flopsPerLane))
	if s.taken() {
		g.end.expect(g.panels)
	}
	if g.panels == 1 && g.k <= mostScanned {
		d.scan(s, lanes)
		return
	}
	s.size()
	s.listing.sparseCall = s
	d.pool.split(&s.listing, s.lists.groups, min(lanes, s.lists.groups), piecesPerLane)
	s.bands = s.bandsFor(lanes)
	items := g.panels * s.bands
	d.pool.split(s, items, min(lanes, items), piecesPerLane)
}

// bandsFor is the number of bands of rows that keep so many threads busy: the least that do so noticeably better than
// fewer would.
func (s *sparseCall) bandsFor(lanes int) int {
	const noticeable = 0.1
	if s.taken() {
		return 1
	}
	best := 1
	for bands := 2; bands <= min(lanes, s.m/leastBand); bands++ {
		if evenness(s.panels*bands, lanes) > evenness(s.panels*best, lanes)+noticeable {
			best = bands
		}
	}
	return best
}

// size makes room for the lists of a product.
func (s *sparseCall) size() {
	l, square := &s.lists, s.kernels.square
	l.groups = ceilDiv(s.m, square)
	l.groupLen = square*s.perPart + listSlack
	n := s.partCount() * l.groups
	if n*square > len(l.counts) {
		l.counts = make([]uint32, n*square)
	}
	if n*l.groupLen > len(l.offsets) {
		l.offsets = make([]uint32, n*l.groupLen)
	}
	l.values = grown(l.values, n*l.groupLen)
}

// partCount is the number of parts of all blocks, of which some of the last one's may be empty.
func (s *sparseCall) partCount() int { return ceilDiv(s.k, s.kBlock) * s.parts }

// scan computes a product of one panel without listing S: nobody would read the lists again.
func (d *Device) scan(s *sparseCall, lanes int) {
	g := s.gemmCall
	width := g.tile.columns
	shared := &g.lanes[0]
	c := s.partOf(shared, 0)
	s.scanning = scanCall{sparseCall: s, panel: g.v.data, c: c}
	if g.v.outer != 1 || int(g.v.inner) != width {
		shared.packed = grown(shared.packed, g.k*width)
		g.packPanels(shared.packed, 0, 1, 0, g.k)
		s.scanning.panel = shared.packed
	}
	groups := ceilDiv(g.m, rowsOfScan)
	d.pool.split(&s.scanning, groups, min(lanes, groups), piecesPerLane)
	if s.taken() {
		g.end.take(g.kernels, 0, 0, c.data[:g.n*g.m])
	}
}

// scanCall is a product whose S is scanned; its items are groups of rowsOfScan rows.
type scanCall struct {
	*sparseCall
	panel []float32
	c     part
}

func (s *scanCall) run(lane, lo, hi int) {
	g := s.gemmCall
	scratch, width := &s.lanes[lane], g.tile.columns
	direct := !g.flipped && !g.accumulate
	for group := lo; group < hi; group++ {
		i := group * rowsOfScan
		rows := min(rowsOfScan, g.m-i)
		from, stride := scratch.rowsOf(g, i, rows, 0, g.k)
		if direct {
			g.kernels.multiplyScanned(rows, g.k, from, stride, s.panel, s.c.data[i*s.c.ld:], s.c.ld)
			continue
		}
		scratch.rows = grown(scratch.rows, rowsOfScan*width)
		g.kernels.multiplyScanned(rows, g.k, from, stride, s.panel, scratch.rows, width)
		s.putRows(s.c, i, scratch.rows, rows, g.n, g.accumulate)
	}
	if g.epilogue != nil {
		g.epilogue.finish(lo*rowsOfScan, min(hi*rowsOfScan, g.m), 0, g.n)
	}
}

// terms are those of a part.
func (s *sparseCall) terms(part int) (k0, kc int) {
	block := part / s.parts * s.kBlock
	k0 = block + part%s.parts*s.perPart
	return k0, max(0, min(k0+s.perPart, block+s.kBlock, s.k)-k0)
}

// of returns the lists of a group's rows in a part.
func (l *sparseLists) of(part, group, rows, square int) (counts, offsets []uint32, values []float32) {
	i := part*l.groups + group
	at := i * l.groupLen
	return l.counts[i*square : i*square+rows], l.offsets[at : at+l.groupLen], l.values[at : at+l.groupLen]
}

// listCall lists S; its items are groups of rows.
type listCall struct{ *sparseCall }

func (s *listCall) run(lane, lo, hi int) {
	g := s.gemmCall
	square, step := g.kernels.square, g.tile.columns
	scratch := &s.lanes[lane]
	for group := lo; group < hi; group++ {
		i := group * square
		rows := min(square, g.m-i)
		for part := range s.partCount() {
			k0, kc := s.terms(part)
			if kc == 0 {
				continue
			}
			from, stride := scratch.rowsOf(g, i, rows, k0, kc)
			counts, offsets, values := s.lists.of(part, group, rows, square)
			g.kernels.compress(counts, offsets, values, from, stride, kc, step)
		}
	}
}

// rowsOf returns kc terms from k0 on of rows of S from i on, where they lie or, if they are columns in memory, turned.
func (l *sparseLane) rowsOf(g *gemmCall, i, rows, k0, kc int) (from []float32, stride int) {
	if g.s.inner == 1 {
		return g.s.at(i, k0), int(g.s.outer)
	}
	stride = multiple(kc, g.kernels.square)
	l.turned = grown(l.turned, multiple(rows, g.kernels.square)*stride)
	g.kernels.turnColumns(l.turned, stride, g.s.at(i, k0), int(g.s.inner), kc, rows)
	return l.turned, stride
}

func (s *sparseCall) run(lane, lo, hi int) {
	g := s.gemmCall
	scratch, width := &g.lanes[lane], g.tile.columns
	rows := grown(s.lanes[lane].rows, s.rowsTogether()*width)
	s.lanes[lane].rows = rows
	scratch.packed = grown(scratch.packed, s.perPart*width)
	for item := lo; item < hi; item++ {
		p, groups := item/s.bands, s.band(item%s.bands)
		c := s.partOf(scratch, p)
		for part := range s.partCount() {
			if k0, kc := s.terms(part); kc > 0 {
				panel := scratch.packed[:kc*width]
				g.packPanels(panel, p, 1, k0, kc)
				s.panel(rows, c, p, groups, part, panel)
			}
		}
		if s.taken() {
			g.end.take(g.kernels, p, p*width*g.m, c.data[:min(width, g.n-p*width)*g.m])
		}
		if g.epilogue != nil && s.bands > 1 {
			square := g.kernels.square
			g.epilogue.finish(groups.lo*square, min(groups.hi*square, g.m), p*width, min((p+1)*width, g.n))
		}
	}
	if g.epilogue != nil && s.bands == 1 {
		g.epilogue.finish(0, g.m, lo*width, min(hi*width, g.n))
	}
}

// band is the groups of a band of rows.
func (s *sparseCall) band(number int) span {
	return span{number * s.lists.groups / s.bands, (number + 1) * s.lists.groups / s.bands}
}

// taken reports whether C is taken by panels, which depends on shapes alone, as the order of its squares' sum does.
func (s *sparseCall) taken() bool {
	shared := s.panels == 1 && 2*s.m*s.n*s.k > mostTaken
	return s.end != nil && s.flipped && !shared
}

// partOf is where the columns of a panel are stored.
func (s *sparseCall) partOf(scratch *gemmLane, p int) part {
	if s.taken() && s.end.applied {
		scratch.part = grown(scratch.part, s.tile.columns*s.m)
		return part{scratch.part, s.m}
	}
	return s.part(0, p*s.tile.columns)
}

// panel adds the terms of a part to the columns of one panel, which c is a part for, and the rows of those groups.
func (s *sparseCall) panel(scratch []float32, c part, p int, groups span, number int, panel []float32) {
	g := s.gemmCall
	square, width := g.kernels.square, g.tile.columns
	columns := min(width, g.n-p*width)
	k0, kc := s.terms(number)
	begun, done := number%s.parts > 0, k0+kc == min(ceilDiv(k0+kc, g.kBlock)*g.kBlock, g.k)
	add := k0 >= g.kBlock || g.accumulate
	direct := !g.flipped && columns == width && !add
	together := s.rowsTogether() / square
	for first := groups.lo; first < groups.hi; first += together {
		last := min(first+together, groups.hi)
		if g.flipped && done {
			g.kernels.prefetchRows(c.data[first*square:], c.ld, columns)
		}
		for group := first; group < last; group++ {
			i := group * square
			counts, offsets, values := s.lists.of(number, group, min(square, g.m-i), square)
			sums := part{scratch[(group-first)*square*width:], width}
			if direct {
				sums = part{c.data[i*c.ld:], c.ld}
			}
			g.kernels.multiplySparse(counts, offsets, values, panel, sums.data, sums.ld, begun)
		}
		if direct || !done {
			continue
		}
		s.putRows(c, first*square, scratch, min(last*square, g.m)-first*square, columns, add)
	}
}

// rowsTogether is the number of rows of C, in whole groups, whose sums are in scratch memory together: all, if they wait there for
// the next part; otherwise those that share cache lines of a C that is flipped.
func (s *sparseCall) rowsTogether() int {
	square := s.kernels.square
	switch {
	case s.parts > 1:
		return s.lists.groups * square
	case s.flipped:
		return max(square, cacheLine/wordBytes)
	}
	return square
}

// putRows stores so many rows of C, from row i on, in c, or adds them.
func (s *sparseCall) putRows(c part, i int, rows []float32, count, columns int, add bool) {
	if s.flipped {
		s.turnBack(part{c.data[i:], c.ld}, rows, count, columns, add)
	} else {
		s.store(part{c.data[i*c.ld:], c.ld}, rows, s.tile.columns, count, columns, add)
	}
}

// turnBack stores the columns of so many rows of C in rows of c, or adds them.
func (s *sparseCall) turnBack(c part, rows []float32, count, columns int, add bool) {
	square, width := s.kernels.square, s.tile.columns
	for i := 0; i < count; i += square {
		n := min(square, count-i)
		s.kernels.transpose(c.data[i:], c.ld, rows[i*width:], width, n, columns, n, add)
	}
}
