//go:build cuda

package cuda_test

import (
	"bytes"
	"errors"
	"testing"

	"gpudae/cuda"
	"gpudae/cuda/cudatest"
)

// TestPool: memory of a pool is taken and given back in the order of the stream,
// without a wait, and what the pool keeps is what it was told to.
func TestPool(t *testing.T) {
	c := open(t)
	pool, err := c.NewPool()
	if err != nil {
		t.Fatal(err)
	}
	const n = 1 << 20
	in, out := pinned(t, c, n), pinned(t, c, n)
	for i := range out.Bytes {
		out.Bytes[i] = byte(i * 3)
	}
	before := cudatest.Read(t)
	at, err := pool.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.CopyToDevice(at, n), in.CopyFromDevice(at, n), pool.Free(at)); err != nil {
		t.Fatal(err)
	}
	if waits := cudatest.Read(t).Since(before).Synchronizations; waits != 0 {
		t.Errorf("the host waited %d times", waits)
	}
	usage(t, pool, cuda.PoolUsage{Reserved: n, Used: n}) // the stream has not come to it
	if err := errors.Join(pool.Keep(n/2), in.Wait(), c.Synchronize()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(in.Bytes, out.Bytes) {
		t.Error("the bytes came back changed")
	}
	usage(t, pool, cuda.PoolUsage{Reserved: n / 2})
	if err := pool.Trim(n / 4); err != nil {
		t.Error(err)
	}
	usage(t, pool, cuda.PoolUsage{Reserved: n / 4})
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	if now := cudatest.Read(t).BytesAllocated; now != before.BytesAllocated {
		t.Errorf("%d bytes of the device are in use, %d before", now, before.BytesAllocated)
	}
}

func usage(t *testing.T, pool *cuda.Pool, want cuda.PoolUsage) {
	t.Helper()
	if got, err := pool.Usage(); err != nil || got != want {
		t.Errorf("the pool holds %+v (%v), want %+v", got, err, want)
	}
}

// TestPoolErrors: what a pool cannot do is said with the call and its argument.
func TestPoolErrors(t *testing.T) {
	c := open(t)
	pool, err := c.NewPool()
	if err != nil {
		t.Fatal(err)
	}
	var failed *cuda.Error
	if _, err := pool.Alloc(1 << 60); !errors.As(err, &failed) || !failed.OutOfMemory() || failed.With != "1152921504606846976 bytes" {
		t.Errorf("taking 2^60 bytes: %v", err)
	}
	if err := pool.Free(1); !errors.As(err, &failed) || failed.Call != "cuMemFreeAsync" {
		t.Errorf("giving back what was not taken: %v", err)
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pool.Close(); !errors.As(err, &failed) || failed.Call != "cuMemPoolDestroy" {
		t.Errorf("closing twice: %v", err)
	}
	cudatest.Set(t, "SOFTDRIVER_POOLS", 0)
	if info, err := cuda.Describe(0); err != nil || info.MemoryPools {
		t.Errorf("a device without pools is described as %+v (%v)", info, err)
	}
	if _, err := c.NewPool(); !errors.As(err, &failed) || failed.Name != "CUDA_ERROR_NOT_SUPPORTED" || failed.With != "device 0" {
		t.Errorf("a pool where there are none: %v", err)
	}
}
