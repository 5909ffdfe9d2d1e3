package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// How long a thread looks for what it waits for before it lets the scheduler
// run something else, and before it parks: long enough to bridge the gap between
// two operations of a step, short enough to burden neither an idle machine nor
// one that others use as well, where what it waits for may need its core.
const (
	spinsPerYield = 256
	yieldsToPark  = 1000
)

// task is work on the items lo to hi of an operation. lane says which thread
// runs it, for scratch memory; it must not change the result.
type task interface {
	run(lane, lo, hi int)
}

// pool runs tasks on the caller's goroutine (lane 0) and its workers (lanes 1
// and up). Work is handed over, and its end reported, by atomic words as long
// as both sides are looking; a side that has waited for long parks.
type pool struct {
	workers []worker
	exited  sync.WaitGroup
}

// worker is the mailbox of one goroutine. The owner of the pool writes the
// order and then posted; the worker reads it and then writes finished.
type worker struct {
	order    order
	posted   event
	finished event
}

// event is a count that one goroutine raises and another waits for.
type event struct {
	count  atomic.Uint32
	parked atomic.Bool
	wake   chan struct{} // one token for a parked goroutine
	_      [cacheLine]byte
}

// raise counts one more and wakes the goroutine that waits for it.
func (e *event) raise() {
	e.count.Add(1)
	if e.parked.Load() && e.parked.CompareAndSwap(true, false) {
		e.wake <- struct{}{}
	}
}

// await returns when the count is that number.
func (e *event) await(number uint32) {
	for {
		for range yieldsToPark {
			for range spinsPerYield {
				if e.count.Load() == number {
					return
				}
			}
			runtime.Gosched()
		}
		e.parked.Store(true)
		if e.count.Load() == number && e.parked.CompareAndSwap(true, false) {
			return // raised meanwhile, and no token is on its way
		}
		<-e.wake // perhaps for the count before, by a raise that was held up
	}
}

// order is a task for one worker; a nil task ends it.
type order struct {
	task         task
	lane, lo, hi int
}

func newPool(threads int) *pool {
	p := &pool{workers: make([]worker, threads-1)}
	for i := range p.workers {
		w := &p.workers[i]
		w.posted.wake, w.finished.wake = make(chan struct{}, 1), make(chan struct{}, 1)
		p.exited.Go(w.serve)
	}
	return p
}

func (p *pool) threads() int { return len(p.workers) + 1 }

// close ends the workers and waits for them.
func (p *pool) close() {
	for i := range p.workers {
		p.workers[i].post(order{})
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
	p.split(t, n, p.lanes(n, grain))
}

// split cuts the items 0 to n into that many parts, one a thread.
func (p *pool) split(t task, n, lanes int) {
	for lane := 1; lane < lanes; lane++ {
		p.workers[lane-1].post(order{t, lane, lane * n / lanes, (lane + 1) * n / lanes})
	}
	t.run(0, 0, n/lanes)
	for lane := 1; lane < lanes; lane++ {
		w := &p.workers[lane-1]
		w.finished.await(w.posted.count.Load())
	}
}

func (w *worker) post(o order) {
	w.order = o
	w.posted.raise()
}

// serve carries out orders until one without a task.
func (w *worker) serve() {
	for number := uint32(1); ; number++ {
		w.posted.await(number)
		o := w.order
		if o.task == nil {
			return
		}
		o.task.run(o.lane, o.lo, o.hi)
		w.order = order{}
		w.finished.raise()
	}
}
