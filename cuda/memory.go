//go:build cuda

package cuda

/*
#include <cuda.h>
*/
import "C"

import (
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// MemoryInfo returns the free and the total bytes of the device.
func (c *Context) MemoryInfo() (free, total uint64, err error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return 0, 0, err
	}
	f, t, err := cu.MemInfo()
	return uint64(f), uint64(t), failed("cuMemGetInfo", err, "")
}

// Alloc returns device memory, aligned to 256 bytes at least. Its content is
// undefined. It fails with an *Error that is OutOfMemory where there is no room.
func (c *Context) Alloc(bytes int) (Address, error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return 0, err
	}
	at, err := cu.MemAlloc(int64(bytes))
	return at, failed("cuMemAlloc", err, "%d bytes", bytes)
}

// Free returns memory of Alloc.
func (c *Context) Free(at Address) error {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return err
	}
	return failed("cuMemFree", cu.MemFree(at), "")
}

// Zero queues zeroes for 32-bit words of device memory.
func (c *Context) Zero(at Address, words int) error { return c.Fill(at, 0, words) }

// Fill queues the same value for 32-bit words of device memory.
func (c *Context) Fill(at Address, value uint32, words int) error {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return err
	}
	return failed("cuMemsetD32Async", cu.MemsetD32Async(at, uint(value), int64(words), c.stream), "%d words", words)
}

// Copy queues a copy from one place in device memory to another.
func (c *Context) Copy(dst, src Address, bytes int) error {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return err
	}
	return failed("cuMemcpyDtoDAsync", cu.MemcpyDtoDAsync(dst, src, int64(bytes), c.stream), "%d bytes", bytes)
}

// Mapped is memory of the host that kernels read where it lies, over the bus.
// It must not be changed while they may.
type Mapped struct {
	At      Address // where kernels find it
	context *Context
	host    unsafe.Pointer
	owned   bool // allocated here; else the caller's, which is registered
	pinner  runtime.Pinner
}

// Map lends memory to the device until Close; it is not copied. What cannot be
// registered, as some mapped files cannot, is refused with an *Error.
func (c *Context) Map(memory []byte) (*Mapped, error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return nil, err
	}
	m := &Mapped{context: c, host: unsafe.Pointer(unsafe.SliceData(memory))}
	m.pinner.Pin(m.host)
	// Memory that is mapped for reading alone has to be registered as such, which
	// not every device can.
	const readOnly, deviceMap = C.CU_MEMHOSTREGISTER_READ_ONLY, C.CU_MEMHOSTREGISTER_DEVICEMAP
	result := C.cuMemHostRegister(m.host, C.size_t(len(memory)), readOnly|deviceMap)
	if result != C.CUDA_SUCCESS {
		result = C.cuMemHostRegister(m.host, C.size_t(len(memory)), deviceMap)
	}
	if err := check("cuMemHostRegister", result, "%d bytes", len(memory)); err != nil {
		m.pinner.Unpin()
		return nil, err
	}
	return m, m.find()
}

// AllocMapped allocates memory on the host that kernels read where it lies, and
// returns its bytes, for the caller to fill before they do.
func (c *Context) AllocMapped(bytes int) (*Mapped, []byte, error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return nil, nil, err
	}
	m := &Mapped{context: c, owned: true}
	if err := check("cuMemHostAlloc", C.cuMemHostAlloc(&m.host, C.size_t(bytes), C.CU_MEMHOSTALLOC_DEVICEMAP), "%d bytes", bytes); err != nil {
		return nil, nil, err
	}
	return m, unsafe.Slice((*byte)(m.host), bytes), m.find()
}

// find asks where the device has the memory, and gives it back where it does not.
func (m *Mapped) find() error {
	var at C.CUdeviceptr
	err := check("cuMemHostGetDevicePointer", C.cuMemHostGetDevicePointer(&at, m.host, 0), "")
	if err != nil {
		m.release()
	}
	m.At = Address(at)
	return err
}

// Close gives the memory back. Nothing must be reading it.
func (m *Mapped) Close() error {
	defer runtime.UnlockOSThread()
	if err := m.context.enter(); err != nil {
		return err
	}
	return m.release()
}

func (m *Mapped) release() error {
	if m.owned {
		return failed("cuMemFreeHost", cu.MemFreeHost(m.host), "")
	}
	defer m.pinner.Unpin()
	return check("cuMemHostUnregister", C.cuMemHostUnregister(m.host), "")
}

// Pinned is host memory that the device copies to and from by itself, so that
// copies are queued like kernels, and a flag on the stream that says when the
// last one is done.
type Pinned struct {
	Bytes   []byte
	context *Context
	copied  cu.Event
}

// NewPinned allocates pinned memory.
func (c *Context) NewPinned(bytes int) (*Pinned, error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return nil, err
	}
	var at unsafe.Pointer
	if err := check("cuMemHostAlloc", C.cuMemHostAlloc(&at, C.size_t(bytes), 0), "%d bytes", bytes); err != nil {
		return nil, err
	}
	event, err := cu.MakeEvent(cu.DisableTiming)
	if err != nil {
		cu.MemFreeHost(at)
		return nil, failed("cuEventCreate", err, "")
	}
	return &Pinned{Bytes: unsafe.Slice((*byte)(at), bytes), context: c, copied: event}, nil
}

// Close frees the memory. Nothing must be copying.
func (p *Pinned) Close() error {
	defer runtime.UnlockOSThread()
	if err := p.context.enter(); err != nil {
		return err
	}
	if err := failed("cuEventDestroy", cu.DestroyEvent(&p.copied), ""); err != nil {
		return err
	}
	at := unsafe.Pointer(unsafe.SliceData(p.Bytes))
	p.Bytes = nil
	return failed("cuMemFreeHost", cu.MemFreeHost(at), "")
}

// CopyToDevice queues a copy of the first bytes; Wait says when the memory may
// be written again.
func (p *Pinned) CopyToDevice(dst Address, bytes int) error {
	defer runtime.UnlockOSThread()
	if err := p.context.enter(); err != nil {
		return err
	}
	stream := p.context.stream
	if err := failed("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(dst, p.at(), int64(bytes), stream), "%d bytes", bytes); err != nil {
		return err
	}
	return failed("cuEventRecord", p.copied.Record(stream), "")
}

// CopyFromDevice queues a copy into the first bytes; Wait says when they are
// there.
func (p *Pinned) CopyFromDevice(src Address, bytes int) error {
	defer runtime.UnlockOSThread()
	if err := p.context.enter(); err != nil {
		return err
	}
	stream := p.context.stream
	if err := failed("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(p.at(), src, int64(bytes), stream), "%d bytes", bytes); err != nil {
		return err
	}
	return failed("cuEventRecord", p.copied.Record(stream), "")
}

// Wait waits for the last copy, if any, and reports what failed before it.
func (p *Pinned) Wait() error {
	defer runtime.UnlockOSThread()
	if err := p.context.enter(); err != nil {
		return err
	}
	return failed("cuEventSynchronize", p.copied.Synchronize(), "")
}

func (p *Pinned) at() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(p.Bytes)) }
