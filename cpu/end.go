package cpu

import (
	"slices"

	"gpudae/device"
)

// The end of a recorded step, the norm of the gradient and the update, is done in part where the gradient is made: a
// part of it, a row of tiles or a panel of a sparse product, is squared while it is in the cache and,
// if nothing else has to be known before, updates its weights and goes no further. The parts and
// the order of their sums follow from shapes and caches, not from threads.

// stepEnd is the end of a recorded step.
type stepEnd struct {
	update    device.UpdateArgs
	layers    []*layerEnd
	unsquared []span // of the gradient, which no layer squares
	unapplied []span // of the parameters, which no layer updates
	call      updateCall
	allowed   bool // is the update, by the loss of the step at hand
}

// span is a range of numbers, lo among them and hi not.
type span struct{ lo, hi int }

// applies reports whether a layer updates its weights.
func (e *stepEnd) applies() bool {
	return slices.ContainsFunc(e.layers, func(l *layerEnd) bool { return l.applied })
}

// without lists the parameters that are not those layers'.
func (e *stepEnd) without(taken func(*layerEnd) bool) []span {
	rest := []span{{0, e.update.Params.Len()}}
	for _, l := range e.layers {
		if !taken(l) {
			continue
		}
		i := slices.IndexFunc(rest, func(s span) bool { return s.lo <= l.first && l.first < s.hi })
		parts := slices.DeleteFunc([]span{{rest[i].lo, l.first}, {l.first + l.count, rest[i].hi}}, func(s span) bool { return s.lo == s.hi })
		rest = slices.Replace(rest, i, i+1, parts...)
	}
	return rest
}

// layerEnd is a layer's part in the end of a step.
type layerEnd struct {
	end          *stepEnd
	first, count int       // of the weights among the parameters
	applied      bool      // the gradient updates them and is not stored
	squares      []float64 // sums of parts of the gradient; none: it has not been taken
}

// weights are the layer's.
func (l *layerEnd) weights() device.View {
	p := l.end.update.Params
	return device.View{Memory: p.Memory, Offset: p.Offset + l.first, Rows: 1, Columns: l.count}
}

// expect makes room for so many parts.
func (l *layerEnd) expect(parts int) {
	if parts > cap(l.squares) {
		l.squares = make([]float64, parts)
	}
	l.squares = l.squares[:parts]
}

// take squares a part of the gradient, the elements from first on, and updates their weights. Of a block
// whose squares have no finite sum in float32, as its norm then, it leaves them as they are.
func (l *layerEnd) take(k *kernels, number, first int, gradient []float32) {
	var sum float64
	for at := 0; at < len(gradient); at += updateBlock {
		g := gradient[at:min(at+updateBlock, len(gradient))]
		squares := k.sumSquares(g)
		sum += squares
		if l.applied && l.end.allowed && finite(float32(squares)) {
			lo := l.first + first + at
			l.end.call.apply(lo, lo+len(g), g)
		}
	}
	l.squares[number] = sum
}

// begin looks at what the update depends on but for the gradient.
func (d *Device) begin(e *stepEnd) {
	if d.err == nil {
		e.allowed = allowed(&e.update)
		e.call = d.updateBy(&e.update)
	}
}

// finishNorm adds up the squares of the gradient.
func (d *Device) finishNorm(e *stepEnd) {
	if d.err != nil {
		return
	}
	var sum float64
	for _, l := range e.layers {
		sum += sumOf(l.squares)
	}
	for _, s := range e.unsquared {
		sum += d.squares(floatsOf(e.update.Grads)[s.lo:s.hi])
	}
	floatsOf(e.update.GradSq)[0] = float32(sum)
}

// finishUpdate updates the parameters that no layer has. If the norm is not finite, those
// stay of which the squares are not.
func (d *Device) finishUpdate(e *stepEnd) {
	if d.err != nil || !e.allowed {
		return
	}
	whole := finite(floatsOf(e.update.GradSq)[0])
	for _, s := range e.unapplied {
		if !whole && !finite(float32(d.squares(e.call.grads[s.lo:s.hi]))) {
			continue
		}
		d.update = e.call
		d.update.first = s.lo
		d.pool.run(&d.update, s.hi-s.lo, d.perLane(updateCost))
	}
}

// taken reports whether C is taken by rows of tiles, for each of which all of V is read.
func (g *gemmCall) taken() bool {
	return g.end != nil && g.k > 0 && (g.kBlock >= g.k || g.tile.matrix) && !g.flipped && g.n*g.k*wordBytes <= g.kernels.takenBytes
}

// gradientCall is a product whose C is taken as it is made; its items are rows of tiles, as many
// together as make a block of the update.
type gradientCall struct {
	*gemmCall
	together int
}

// multiplyTaken computes a product whose V has been packed, if it has to be.
func (d *Device) multiplyTaken(g *gemmCall, lanes int) {
	c := &d.taking
	c.gemmCall = g
	c.together = min(g.tiles, ceilDiv(updateBlock, ceilDiv(g.m, g.tiles)*g.n))
	items := ceilDiv(g.tiles, c.together)
	g.end.expect(items)
	d.pool.split(c, items, min(lanes, items), piecesPerLane)
}

func (g *gradientCall) run(lane, lo, hi int) {
	scratch := &g.lanes[lane]
	scratch.tile = grown(scratch.tile, rowOfTiles)
	v := g.panelsFrom(scratch, 0, g.panels, 0, g.k)
	for item := lo; item < hi; item++ {
		t0, t1 := item*g.together, min((item+1)*g.together, g.tiles)
		first, end := g.row(t0)*g.n, g.row(t1)*g.n
		c := g.gradient(scratch, first, end)
		for t := t0; t < t1; t++ {
			g.rowOfTiles(scratch, part{c[g.row(t)*g.n-first:], g.n}, t, v)
		}
		g.end.take(g.kernels, item, first, c)
	}
}

// gradient is where the elements first to end of C go, in scratch memory unless they are stored.
func (g *gradientCall) gradient(scratch *gemmLane, first, end int) []float32 {
	if !g.end.applied {
		return g.c[first:end]
	}
	scratch.part = grown(scratch.part, end-first)
	return scratch.part[:end-first]
}

// rowOfTiles computes a row of tiles. It asks for what the update will read, for one of its arrays
// after the other.
func (g *gradientCall) rowOfTiles(scratch *gemmLane, c part, t int, v panels) {
	i := g.row(t)
	rows := g.row(t+1) - i
	arrays, count := g.end.reads(i*g.n, (i+rows)*g.n)
	if g.tile.matrix {
		g.finishRow(scratch, c, t, 0, g.panels, wholePanels{v.data, g.panels}, arrays)
		return
	}
	s := g.rowsFrom(i, 0)
	if g.cached || count == 0 {
		g.multiplyRow(scratch.tile, c, s, rows, 0, g.panels, g.k, false, v, lines{from: g.s.data})
		return
	}
	for a := range count {
		p, end := a*g.panels/count, (a+1)*g.panels/count
		if p == end {
			continue
		}
		asked := g.k
		if s.inner != 1 {
			asked = askedOfRun * rows
		}
		step := min(cacheLine, ceilDiv(rows*g.n*wordBytes, (end-p)*asked))
		g.multiplyRow(scratch.tile, part{c.data[p*g.tile.columns:], c.ld}, s, rows, p, end-p, g.k, false, v.after(p), lines{arrays[a], int32(step), int32(step * asked)})
	}
}

// reads lists what the update of the layer's weights first to end reads, in so many arrays.
func (l *layerEnd) reads(first, end int) (arrays [4][]float32, count int) {
	if !l.applied {
		return arrays, 0
	}
	c := &l.end.call
	for _, a := range [...][]float32{c.params, c.moment, c.second, c.average} {
		if a != nil {
			arrays[count] = a[l.first+first : l.first+end]
			count++
		}
	}
	return arrays, count
}

// storedCall takes a gradient that has been stored; its items are blocks of it.
type storedCall struct {
	kernels  *kernels
	end      *layerEnd
	gradient []float32
}

// takeStored takes a gradient that the product has stored.
func (d *Device) takeStored(end *layerEnd, gradient []float32) {
	d.stored = storedCall{d.kernels, end, gradient}
	blocks := ceilDiv(len(gradient), reduceBlock)
	end.expect(blocks)
	d.pool.run(&d.stored, blocks, d.perLane(reduceBlock))
}

func (c *storedCall) run(_, lo, hi int) {
	for block := lo; block < hi; block++ {
		first := block * reduceBlock
		n := min(reduceBlock, len(c.gradient)-first)
		c.end.take(c.kernels, block, first, c.gradient[first:first+n])
	}
}
