//go:build cuda

package cuda_test

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"gpudae/cuda/cudatest"
	"gpudae/kernels"
)

// TestLaunchesWhileGarbageIsCollected launches a kernel, in vain, where the memory that C gives holds addresses of
// memory that Go has given back: its garbage collector must not meet them, or it ends the process.
func TestLaunchesWhileGarbageIsCollected(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := open(t)
	if err := c.Load(kernels.Fatbin()); err != nil {
		t.Fatal(err)
	}
	f, err := c.Function(kernels.Activate.String())
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	var words [8]uint64
	for began := time.Now(); time.Since(began) < time.Second; {
		address := gone()
		time.Sleep(time.Millisecond)
		for range 200 {
			cudatest.Dirty(len(words), address)
			if err := c.Launch(f, 1, 0, words[:]...); err == nil {
				t.Fatal("a block of no threads was launched")
			}
		}
	}
	close(stop)
	<-stopped
}

// gone is the address of large memory that nobody holds.
func gone() uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(make([]byte, 1<<17)))))
}
