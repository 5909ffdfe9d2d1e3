package kernels

import (
	"math"
	"sort"
)

// Tile is the size of a block's work in a matrix product.
type Tile uint8

const (
	Small  Tile = iota // 32×32
	Medium             // 64×64
	Large              // 128×128
)

// Side is the tile's number of rows and of columns.
func (t Tile) Side() int { return 32 << t }

func (t Tile) area() int { return t.Side() * t.Side() }

// Rate is what is assumed, not measured, of a tile: the share of the rate of a multiprocessor's
// arithmetic that its blocks reach, alone or among others that the multiprocessor holds at the same
// time. Alone, a block of four or eight warps waits for its panels and at its barriers. Among others,
// the work of one fills the waits of the next, up to what the second-level cache brings, of which a
// tile of 32 asks for twice what one of 64 does for the same arithmetic. The registers of one of 128
// leave room for one block.
func (t Tile) Rate(alone bool) float64 {
	if alone {
		return [...]float64{0.35, 0.55, 0.70}[t]
	}
	return [...]float64{0.45, 0.65, 0.70}[t]
}

// Run is blocks of a launch that each add as many terms.
type Run struct{ Blocks, Terms int }

// What is assumed of a machine where times are weighed against each other: an H100's data sheet, and
// what tile.Rate and roofline assume.
const (
	nominalMultiprocessors = 132
	nominalClock           = 1.98e9 // Hz
	nominalRate            = 375e9  // terms of an element a second, of a multiprocessor: 60 % of 494.7 TFLOP/s by three
	meetSeconds            = 0.7e-6 // for a store, a ticket and a load, which wait for each other
	meetBytes              = 48     // a cycle, of a multiprocessor from the second-level cache
)

// Meet is the time after the last product in which blocks that share sums add them up, at a clock in
// Hz: the last one of a tile has stored its own sums, and loads those of all, at the rate of the
// second-level cache for one multiprocessor (an A100's 5,120 bytes a cycle by its white paper).
func (t Tile) Meet(shares int, clock float64) float64 {
	if shares < 2 {
		return 0
	}
	return meetSeconds + float64(4*t.area()*(shares+1))/(meetBytes*clock)
}

// tileFor returns the tile, most or a smaller one, in which a machine takes the least time for the
// runs of a launch, with that time, and the larger one of two that take the same: it reads less memory. The choice
// changes no bit of the result.
func tileFor(multiprocessors int, most Tile, launch func(Tile) (runs []Run, shares int)) (best Tile, least float64) {
	least = math.Inf(1)
	for t := Small; t <= most; t++ {
		runs, shares := launch(t)
		if time := t.time(multiprocessors, shares, runs...); time <= least {
			best, least = t, time
		}
	}
	return best, least
}

// time is that of a launch whose sums are shared by so many blocks, in seconds.
func (t Tile) time(multiprocessors, shares int, runs ...Run) float64 {
	rate := nominalRate * t.Rate(Alone(multiprocessors, runs...))
	return float64(Span(multiprocessors, runs...)*t.area())/rate + t.Meet(shares, nominalClock)
}

// Alone reports whether each block of a launch has a multiprocessor for itself.
func Alone(multiprocessors int, runs ...Run) bool {
	blocks := 0
	for _, r := range runs {
		blocks += r.Blocks
	}
	return blocks <= multiprocessors
}

// Span is the largest number of terms that a multiprocessor adds, if each block goes, in its turn, to
// the multiprocessor that has added the fewest.
func Span(multiprocessors int, runs ...Run) int {
	type level struct{ at, count int } // so many multiprocessors have added so many terms
	levels, span := []level{{0, multiprocessors}}, 0
	for _, r := range runs {
		if r.Blocks == 0 {
			continue
		}
		terms := max(r.Terms, 1)
		taken := func(end int) int { // the blocks that are done when nobody has added more
			n := 0
			for _, l := range levels {
				n += l.count * (max(end-l.at, 0) / terms)
			}
			return n
		}
		last := levels[0].at
		for _, l := range levels {
			last = max(last, l.at)
		}
		end := sort.Search(last+r.Blocks*terms, func(end int) bool { return taken(end) >= r.Blocks })
		surplus := taken(end) - r.Blocks // that would be done just then, and are not there
		var after []level
		for _, l := range levels {
			at, less := l.at+max(end-l.at, 0)/terms*terms, 0
			if at == end && at > l.at {
				less = min(surplus, l.count)
			}
			surplus -= less
			after = append(after, level{at, l.count - less}, level{end - terms, less})
		}
		levels = after
		span = max(span, end)
	}
	return span
}
