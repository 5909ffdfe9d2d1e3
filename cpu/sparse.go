package cpu

import "gpudae/device"

// A product C = S·Vᵀ whose S is mostly zeros, masked or sparse inputs and what
// ReLU leaves of an activation, is a sum over the elements of S that are not
// zero: for each of them a row of V's packed panel, times the element, is added
// to a row of C in registers. S is listed first, a group of rows at a time.
//
// The terms that are left out are zeros, and the others are added by the same
// operations in the same order as in the dense product: the bits are the same,
// unless V holds an infinity or a NaN that only zeros would have met. So it is
// safe to choose by a look at a few rows.

const (
	sampledRows   = 8  // rows of S that are looked at
	listSlack     = 16 // elements that compress may write beyond a list's end
	leastBatch    = 32 // rows of a minibatch whose zeros are worth listing
	leastWidth    = 64 // units on either side for which they are
	mostlyZeroPer = 3  // S is sparse if at most one in so many elements is not zero
)

// sparseFunc computes rows of C: for each row counts[i] elements of S, whose
// values and whose rows' offsets in the panel are the next ones of the lists.
type sparseFunc func(counts, offsets []uint32, values, panel, c []float32, ld int)

// compressFunc lists the elements of x that are not zero and their indices
// times step, and returns how many there are. It may write listSlack elements
// more.
type compressFunc func(offsets []uint32, values, x []float32, step int) int

// sparseCall is a product in progress whose S is listed; its items are panels of V.
type sparseCall struct {
	*gemmCall
	lists   sparseLists
	listing listCall
	lanes   []sparseLane
}

// sparseLists are the elements of S that are not zero: [k block][group of rows].
type sparseLists struct {
	groups   int // of rows
	groupLen int // room for a group's elements in a block
	counts   []uint32
	offsets  []uint32
	values   []float32
}

// sparseLane is a thread's scratch memory.
type sparseLane struct {
	turned []float32 // a group of rows of S that are columns in memory
	rows   []float32 // a group of rows of C
}

// sparse reports whether x is mostly zeros, by a look at some of its rows, and
// large enough, as is its layer's other side, for that to matter.
func (d *Device) sparse(x device.View, others int) bool {
	if x.Rows < leastBatch || min(x.Columns, others) < leastWidth {
		return false
	}
	values, found, looked := floatsOf(x), 0, 0
	for i := 0; i < x.Rows; i += ceilDiv(x.Rows, sampledRows) {
		found += d.kernels.nonzeros(values[i*x.Columns : (i+1)*x.Columns])
		looked += x.Columns
	}
	return mostlyZeroPer*found <= looked
}

// multiplySparse is multiply for an S that is mostly zeros.
func (d *Device) multiplySparse(g *gemmCall) {
	s := &d.sparseProduct
	s.gemmCall = g
	g.tile, g.byRows, g.roundV = &g.kernels.sparseTile, false, false
	g.panels = ceilDiv(g.n, g.tile.columns)
	g.kBlock = balanced(g.k, longestK)
	s.lists.size(g)
	if s.taken() {
		g.end.expect(g.panels)
	}
	lanes := min(d.pool.threads(), max(1, 2*g.m*g.n*g.k/mostlyZeroPer/g.kernels.flopsPerLane))
	s.listing.sparseCall = s
	d.pool.split(&s.listing, s.lists.groups, min(lanes, s.lists.groups), piecesPerLane)
	d.pool.split(s, g.panels, min(lanes, g.panels), piecesPerLane)
}

// size makes room for the lists of a product.
func (l *sparseLists) size(g *gemmCall) {
	square := g.kernels.square
	blocks := ceilDiv(g.k, g.kBlock)
	l.groups = ceilDiv(g.m, square)
	l.groupLen = square*g.kBlock + listSlack
	n := blocks * l.groups
	if n*square > len(l.counts) {
		l.counts = make([]uint32, n*square)
	}
	if n*l.groupLen > len(l.offsets) {
		l.offsets = make([]uint32, n*l.groupLen)
	}
	l.values = grown(l.values, n*l.groupLen)
}

// of returns the lists of a group's rows in a block.
func (l *sparseLists) of(block, group, rows, square int) (counts, offsets []uint32, values []float32) {
	i := block*l.groups + group
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
		for block := 0; block*g.kBlock < g.k; block++ {
			k0 := block * g.kBlock
			kc := min(g.kBlock, g.k-k0)
			from, stride := g.s.data[i*g.s.outer+k0*g.s.inner:], g.s.outer
			if g.s.inner != 1 {
				from, stride = scratch.turn(g, from, rows, kc), ceilDiv(kc, square)*square
			}
			counts, offsets, values := s.lists.of(block, group, rows, square)
			for r := range counts {
				n := g.kernels.compress(offsets, values, from[r*stride:r*stride+kc], step)
				counts[r] = uint32(n)
				offsets, values = offsets[n:], values[n:]
			}
		}
	}
}

// turn copies kc terms of rows of S that are columns in memory.
func (l *sparseLane) turn(g *gemmCall, from []float32, rows, kc int) []float32 {
	square := g.kernels.square
	stride := ceilDiv(kc, square) * square
	l.turned = grown(l.turned, square*stride)
	g.kernels.turnColumns(l.turned, stride, from, g.s.inner, kc, rows)
	return l.turned
}

func (s *sparseCall) run(lane, lo, hi int) {
	g := s.gemmCall
	scratch, width := &g.lanes[lane], g.tile.columns
	rows := grown(s.lanes[lane].rows, s.groupsTogether()*g.kernels.square*width)
	s.lanes[lane].rows = rows
	scratch.packed = grown(scratch.packed, g.kBlock*width)
	for p := lo; p < hi; p++ {
		c := s.partOf(scratch, p)
		for k0 := 0; k0 < g.k; k0 += g.kBlock {
			kc := min(g.kBlock, g.k-k0)
			panel := scratch.packed[:kc*width]
			g.packPanels(panel, p, 1, k0, kc)
			s.panel(rows, c, p, k0, panel)
		}
		if s.taken() {
			g.end.take(g.kernels, p, p*width*g.m, c.data[:min(width, g.n-p*width)*g.m])
		}
	}
	if g.epilogue != nil {
		g.epilogue.finish(0, g.m, lo*width, min(hi*width, g.n))
	}
}

// taken reports whether C is taken by panels.
func (s *sparseCall) taken() bool { return s.end != nil && s.flipped }

// partOf is where the columns of a panel are stored.
func (s *sparseCall) partOf(scratch *gemmLane, p int) part {
	if s.taken() && s.end.applied {
		scratch.part = grown(scratch.part, s.tile.columns*s.m)
		return part{scratch.part, s.m}
	}
	return s.part(0, p*s.tile.columns)
}

// panel adds the terms of a block to the columns of one panel, which c is a part for.
func (s *sparseCall) panel(scratch []float32, c part, p, k0 int, panel []float32) {
	g := s.gemmCall
	square, width := g.kernels.square, g.tile.columns
	columns := min(width, g.n-p*width)
	add := k0 > 0 || g.accumulate
	together := s.groupsTogether()
	for first := 0; first < s.lists.groups; first += together {
		last := min(first+together, s.lists.groups)
		if g.flipped {
			g.kernels.prefetchRows(c.data[first*square:], c.ld, columns)
		}
		for group := first; group < last; group++ {
			i := group * square
			counts, offsets, values := s.lists.of(k0/g.kBlock, group, min(square, g.m-i), square)
			if !g.flipped && columns == width && !add {
				g.kernels.multiplySparse(counts, offsets, values, panel, c.data[i*c.ld:], c.ld)
			} else {
				g.kernels.multiplySparse(counts, offsets, values, panel, scratch[(group-first)*square*width:], width)
			}
		}
		switch rows := min(last*square, g.m) - first*square; {
		case g.flipped:
			s.turnBack(part{c.data[first*square:], c.ld}, scratch, rows, columns, add)
		case columns < width || add:
			g.store(part{c.data[first*square*c.ld:], c.ld}, scratch, width, rows, columns, add)
		}
	}
}

// groupsTogether is the number of groups of rows of C that are turned together:
// those whose elements share cache lines of a C that is flipped.
func (s *sparseCall) groupsTogether() int {
	if !s.flipped {
		return 1
	}
	return max(1, cacheLine/wordBytes/s.kernels.square)
}

// turnBack stores the columns of so many rows of C in rows of c, or adds them.
func (s *sparseCall) turnBack(c part, rows []float32, count, columns int, add bool) {
	square, width := s.kernels.square, s.tile.columns
	for i := 0; i < count; i += square {
		n := min(square, count-i)
		s.kernels.transpose(c.data[i:], c.ld, rows[i*width:], width, n, columns, n, add)
	}
}
