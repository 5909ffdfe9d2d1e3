package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// How long a thread waits before it yields to the scheduler, and a worker
// before it parks: long enough to bridge the gap between two operations of a
// step, short enough not to burden an idle machine.
const (
	spinsPerYield = 256
	yieldsToPark  = 2000
)

// task is work on the items lo to hi of an operation. lane says which thread
// runs it, for scratch memory; it must not change the result.
type task interface {
	run(lane, lo, hi int)
}

// pool runs tasks on the caller's goroutine (lane 0) and its workers (lanes 1
// and up). A worker that waits spins, then parks, and is woken only if it has
// parked: within a step work is handed over by two atomic words.
type pool struct {
	workers []worker
	exited  sync.WaitGroup
}

// worker is the mailbox of one goroutine. The owner of the pool writes the
// order and then posted; the worker reads it and then writes finished.
type worker struct {
	order    order
	posted   atomic.Uint32 // number of the latest order
	parked   atomic.Bool
	wake     chan struct{} // one token for a parked worker
	_        [cacheLine]byte
	finished atomic.Uint32 // number of the latest order carried out
	_        [cacheLine]byte
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
		w.wake = make(chan struct{}, 1)
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
		p.workers[lane-1].await()
	}
}

func (w *worker) post(o order) {
	w.order = o
	w.posted.Add(1)
	if w.parked.Load() && w.parked.CompareAndSwap(true, false) {
		w.wake <- struct{}{}
	}
}

// await returns when the latest order has been carried out.
func (w *worker) await() {
	for spins := 1; w.finished.Load() != w.posted.Load(); spins++ {
		if spins%spinsPerYield == 0 {
			runtime.Gosched()
		}
	}
}

// serve carries out orders until one without a task.
func (w *worker) serve() {
	for done := uint32(0); ; {
		w.waitFor(done + 1)
		o := w.order
		if o.task == nil {
			return
		}
		o.task.run(o.lane, o.lo, o.hi)
		w.order = order{}
		done++
		w.finished.Store(done)
	}
}

// waitFor returns when the order of that number has been posted.
func (w *worker) waitFor(number uint32) {
	for range yieldsToPark {
		for range spinsPerYield {
			if w.posted.Load() == number {
				return
			}
		}
		runtime.Gosched()
	}
	w.parked.Store(true)
	if w.posted.Load() == number && w.parked.CompareAndSwap(true, false) {
		return // posted meanwhile, and no token is on its way
	}
	<-w.wake
}
