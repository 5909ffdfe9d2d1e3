package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// How long a thread looks for what it waits for before it lets the scheduler
// run something else, and before it parks: long enough to bridge the gap between two
// operations of a step, short enough to burden neither an idle machine nor one
// that others use as well, where what it waits for may need its core.
const (
	spinsPerYield = 256
	yieldsToPark  = 1000
)

// piecesPerLane is the number of pieces in which a thread takes its share of an
// operation. Who has done with its share takes pieces of the others', so that a
// thread whose core is taken away for a while holds up a piece, not a share.
const piecesPerLane = 4

// task is work on the items lo to hi of an operation. lane says which thread
// runs it, for scratch memory; it must not change the result, and nor must the
// pieces in which the items come.
type task interface {
	run(lane, lo, hi int)
}

// pool runs tasks on the caller's goroutine (lane 0) and its workers (lanes 1
// and up). Work is handed over, and its end reported, by atomic words as long
// as both sides are looking; a side that has waited for long parks.
type pool struct {
	workers []worker
	exited  sync.WaitGroup
	closed  atomic.Bool

	// The operation in progress. It is written before its number is published
	// in the shares, and read only by who has taken a piece under that number,
	// before whose end no other operation begins.
	task   task
	items  int
	pieces int // of the items, in all
	number uint32
	shares []share // one a lane
	undone atomic.Int32
	done   event // number of the last operation done
}

// share is what is left of a lane's pieces: the number of the operation in the
// upper half of the word; in the lower half the next piece and, above it, the
// piece that is no longer of the share.
type share struct {
	left atomic.Uint64
	_    [cacheLine - 8]byte
}

// Fields of a share's word.
const (
	pieceBits = 16
	pieceMask = 1<<pieceBits - 1
)

// take takes the next piece of operation number, if there is one.
func (s *share) take(number uint32) (piece int, ok bool) {
	for {
		word := s.left.Load()
		next, end := word&pieceMask, word>>pieceBits&pieceMask
		if uint32(word>>32) != number || next == end {
			return 0, false
		}
		if s.left.CompareAndSwap(word, word+1) {
			return int(next), true
		}
	}
}

// worker is one goroutine of the pool.
type worker struct {
	posted event // number of the last operation that it is wanted for
}

// event is a number that one goroutine raises and another waits for.
type event struct {
	count  atomic.Uint32
	parked atomic.Bool
	wake   chan struct{} // one token for a parked goroutine
	_      [cacheLine]byte
}

// raise sets the number and wakes the goroutine that waits for it.
func (e *event) raise(number uint32) {
	e.count.Store(number)
	if e.parked.Load() && e.parked.CompareAndSwap(true, false) {
		e.wake <- struct{}{}
	}
}

// awaitChange returns the number as soon as it is not seen.
func (e *event) awaitChange(seen uint32) uint32 {
	for {
		for range yieldsToPark {
			for range spinsPerYield {
				if n := e.count.Load(); n != seen {
					return n
				}
			}
			runtime.Gosched()
		}
		e.parked.Store(true)
		if n := e.count.Load(); n != seen && e.parked.CompareAndSwap(true, false) {
			return n // raised meanwhile, and no token is on its way
		}
		<-e.wake // perhaps for the number before, by a raise that was held up
	}
}

func newPool(threads int) *pool {
	p := &pool{workers: make([]worker, threads-1), shares: make([]share, threads)}
	p.done.wake = make(chan struct{}, 1)
	for i := range p.workers {
		p.workers[i].posted.wake = make(chan struct{}, 1)
		p.exited.Go(func() { p.serve(i + 1) })
	}
	return p
}

func (p *pool) threads() int { return len(p.workers) + 1 }

// close ends the workers and waits for them.
func (p *pool) close() {
	p.closed.Store(true)
	p.number++
	for i := range p.workers {
		p.workers[i].posted.raise(p.number)
	}
	p.exited.Wait()
}

// lanes is the number of threads that n items deserve if fewer than grain
// items are not worth handing over.
func (p *pool) lanes(n, grain int) int {
	return max(1, min(p.threads(), n/max(grain, 1)))
}

// run splits the items 0 to n over the threads, at least grain items to each,
// and returns when all are done.
func (p *pool) run(t task, n, grain int) {
	p.split(t, n, p.lanes(n, grain), piecesPerLane)
}

// split cuts the items 0 to n into so many shares, one a thread, and each into
// at most that many pieces.
func (p *pool) split(t task, n, lanes, pieces int) {
	if lanes <= 1 {
		t.run(0, 0, n)
		return
	}
	each := max(1, min(pieces, n/lanes))
	p.task, p.items, p.pieces = t, n, lanes*each
	p.undone.Store(int32(p.pieces))
	p.number++
	for lane := range lanes {
		p.shares[lane].left.Store(uint64(p.number)<<32 | uint64((lane+1)*each)<<pieceBits | uint64(lane*each))
	}
	for lane := 1; lane < lanes; lane++ {
		p.workers[lane-1].posted.raise(p.number)
	}
	p.work(0, p.number)
	if p.done.count.Load() != p.number {
		p.done.awaitChange(p.number - 1)
	}
}

// work runs pieces of operation number, of the lane's own share and then of
// the others', until there are none.
func (p *pool) work(lane int, number uint32) {
	for i := range p.shares {
		s := &p.shares[(lane+i)%len(p.shares)]
		for piece, ok := s.take(number); ok; piece, ok = s.take(number) {
			p.task.run(lane, piece*p.items/p.pieces, (piece+1)*p.items/p.pieces)
			if p.undone.Add(-1) == 0 {
				p.done.raise(number)
			}
		}
	}
}

// serve carries out the operations that lane is wanted for until the pool closes.
func (p *pool) serve(lane int) {
	for number := uint32(0); ; {
		number = p.workers[lane-1].posted.awaitChange(number)
		if p.closed.Load() {
			return
		}
		p.work(lane, number)
	}
}
