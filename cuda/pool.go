//go:build cuda

package cuda

/*
#include <cuda.h>

// pool_of makes a pool of a device's memory, for this process alone.
static CUresult pool_of(CUmemoryPool *pool, CUdevice device) {
	CUmemPoolProps properties = {0};
	properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
	properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	properties.location.id = device;
	return cuMemPoolCreate(pool, &properties);
}
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Pool is device memory that is taken and given back in the order of the
// context's stream: neither call waits for the device, and what is given back may
// be taken again by work that is queued later. Not every device has pools: see
// DeviceInfo.MemoryPools. A pool is closed before its context, which does not
// release what is taken from it.
type Pool struct {
	context *Context
	pool    C.CUmemoryPool
}

// PoolUsage is the memory of a pool, in bytes.
type PoolUsage struct {
	Reserved uint64 // held from the device
	Used     uint64 // of it, taken
}

// NewPool makes a pool of the device's memory. It gives what is free in it back
// to the device whenever the host waits; see Keep.
func (c *Context) NewPool() (*Pool, error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return nil, err
	}
	p := &Pool{context: c}
	if err := check("cuMemPoolCreate", C.pool_of(&p.pool, C.CUdevice(c.device)), "device %d", int(c.device)); err != nil {
		return nil, err
	}
	return p, nil
}

// Keep sets how much free memory the pool does not give back to the device.
func (p *Pool) Keep(bytes uint64) error {
	return p.set(C.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, bytes, "release threshold")
}

// Usage says how much the pool holds.
func (p *Pool) Usage() (PoolUsage, error) {
	var u PoolUsage
	if err := p.get(C.CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &u.Reserved, "reserved memory"); err != nil {
		return u, err
	}
	return u, p.get(C.CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &u.Used, "used memory")
}

func (p *Pool) set(a C.CUmemPool_attribute, value uint64, name string) error {
	defer runtime.UnlockOSThread()
	if err := p.context.enter(); err != nil {
		return err
	}
	v := C.cuuint64_t(value)
	return check("cuMemPoolSetAttribute", C.cuMemPoolSetAttribute(p.pool, a, unsafe.Pointer(&v)), "%s, %d bytes", name, value)
}

func (p *Pool) get(a C.CUmemPool_attribute, value *uint64, name string) error {
	defer runtime.UnlockOSThread()
	if err := p.context.enter(); err != nil {
		return err
	}
	var v C.cuuint64_t
	if err := check("cuMemPoolGetAttribute", C.cuMemPoolGetAttribute(p.pool, a, unsafe.Pointer(&v)), "%s", name); err != nil {
		return err
	}
	*value = uint64(v)
	return nil
}

// Trim gives what is free back to the device until the pool holds so many bytes.
func (p *Pool) Trim(keep int) error {
	defer runtime.UnlockOSThread()
	if err := p.context.enter(); err != nil {
		return err
	}
	return check("cuMemPoolTrimTo", C.cuMemPoolTrimTo(p.pool, C.size_t(keep)), "%d bytes", keep)
}

// Alloc takes memory, of undefined content, for what is queued from now on. It
// fails with an *Error that is OutOfMemory where there is no room. It is not for
// Capture: a driver would make the memory part of the graph.
func (p *Pool) Alloc(bytes int) (Address, error) {
	defer runtime.UnlockOSThread()
	if err := p.context.enter(); err != nil {
		return 0, err
	}
	var at C.CUdeviceptr
	err := check("cuMemAllocFromPoolAsync", C.cuMemAllocFromPoolAsync(&at, C.size_t(bytes), p.pool, p.context.handle()), "%d bytes", bytes)
	return Address(at), err
}

// Free gives memory of Alloc back after all that is queued.
func (p *Pool) Free(at Address) error {
	defer runtime.UnlockOSThread()
	if err := p.context.enter(); err != nil {
		return err
	}
	return check("cuMemFreeAsync", C.cuMemFreeAsync(C.CUdeviceptr(at), p.context.handle()), "")
}

// Close releases the pool once everything taken has been given back.
func (p *Pool) Close() error {
	defer runtime.UnlockOSThread()
	if err := p.context.enter(); err != nil {
		return err
	}
	return check("cuMemPoolDestroy", C.cuMemPoolDestroy(p.pool), "")
}
