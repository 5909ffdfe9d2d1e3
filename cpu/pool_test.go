package cpu

import (
	"runtime"
	"testing"
)

// A goroutine that raises an event may be held up between the count and the
// look at parked. Then it wakes one that already waits for the next count.
func TestAwaitOutlastsALateWake(t *testing.T) {
	e := &event{wake: make(chan struct{}, 1)}
	e.count.Store(1)
	returned := make(chan uint32)
	go func() {
		returned <- e.awaitChange(1)
	}()
	untilParked := func() {
		for !e.parked.Load() {
			runtime.Gosched()
		}
	}
	untilParked()
	if e.parked.CompareAndSwap(true, false) { // the rest of raise, late by one count
		e.wake <- struct{}{}
	}
	for !e.parked.Load() { // it parks again
		select {
		case count := <-returned:
			t.Fatalf("awaitChange(1) returned the number %d", count)
		default:
			runtime.Gosched()
		}
	}
	e.raise(2)
	if count := <-returned; count != 2 {
		t.Errorf("awaitChange(1) returned the number %d", count)
	}
}

// idle is an operation without work.
type idle struct{}

func (idle) run(int, int, int) {}

// BenchmarkHandOver times an operation without work on two threads: what it
// costs to share one out.
func BenchmarkHandOver(b *testing.B) {
	p := newPool(2)
	defer p.close()
	for b.Loop() {
		p.split(idle{}, 2*piecesPerLane, 2, piecesPerLane)
	}
}
