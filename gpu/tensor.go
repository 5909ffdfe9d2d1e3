//go:build cuda

package gpu

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"unsafe"

	"gorgonia.org/tensor"

	"gpudae/cuda"
	"gpudae/device"
)

// Tensor is a view as a tensor of gorgonia.org/tensor: the same memory, whose
// engine is the device's. It is not natively accessible: the addresses in it are
// the GPU's, and reading them on the host, as Data does without asking, ends the
// process. Get values with tensor.Copy into a tensor on the host, or with the
// engine's Accessible; put them there with the engine's Memcpy. The tensor is
// valid until the device is closed.
func (d *Device) Tensor(v device.View) (*tensor.Dense, error) {
	if v.IsZero() || v.Len() == 0 {
		return nil, errors.New("gpu: an empty view is no tensor")
	}
	if v.Memory.Type() != device.Float {
		return nil, errors.New("gpu: a tensor of words: a view is of floats")
	}
	return tensor.New(tensor.WithShape(v.Rows, v.Columns), tensor.Of(tensor.Float32), tensor.WithEngine(d.Engine()),
		tensor.FromMemory(uintptr(address(v)), uintptr(v.Len()*wordBytes))), nil
}

// Engine is the device as gorgonia.org/tensor sees it: it allocates, copies and
// fills, in the order of the device's operations, and computes nothing. Its
// tensors are of elements of 4 or 8 bytes, and not natively accessible. What it
// allocates is zeroed, and lives until Free or until the device is closed; package
// tensor panics where it fails. Like the device it is used by one goroutine at a
// time.
type Engine struct{ device *Device }

var (
	_ tensor.Engine       = Engine{}
	_ tensor.NonStdEngine = Engine{}
)

// Engine returns the device's engine for tensors.
func (d *Device) Engine() Engine { return Engine{d} }

// AllocAccessible says that Go cannot read the memory.
func (Engine) AllocAccessible() bool { return false }

// NonStdAlloc marks an engine whose memory is not Go's.
func (Engine) NonStdAlloc() {}

// WorksWith reports whether the engine can copy memory of that order.
func (Engine) WorksWith(order tensor.DataOrder) bool {
	return order.IsRowMajor() && order.IsContiguous()
}

// Alloc returns zeroed device memory. It fails with *device.OutOfMemoryError.
func (e Engine) Alloc(size int64) (tensor.Memory, error) {
	d := e.device
	if size <= 0 || size%wordBytes != 0 {
		return nil, fmt.Errorf("gpu: a tensor of %d bytes: elements are of 4 or 8 bytes", size)
	}
	words := int(size) / wordBytes
	at, err := d.reserve(words, wordBytes, d.tensors.take)
	if err != nil {
		return nil, err
	}
	if err := d.context.Zero(at, words); err != nil {
		d.fail("clearing a fresh tensor", err)
		return nil, d.err
	}
	return place{at, int(size)}, nil
}

// Free gives back memory of Alloc, after the operations that are queued.
func (e Engine) Free(m tensor.Memory, _ int64) error {
	if e.device.err != nil {
		return e.device.err
	}
	return e.device.tensors.give(cuda.Address(m.Uintptr()))
}

// Memset fills memory with a float32.
func (e Engine) Memset(m tensor.Memory, value any) error {
	x, ok := value.(float32)
	if !ok {
		return fmt.Errorf("gpu: a tensor is filled with float32, not %T", value)
	}
	e.fill(m, x)
	return e.device.err
}

// Memclr fills memory with zeroes; a failure is reported by the device.
func (e Engine) Memclr(m tensor.Memory) { e.fill(m, 0) }

// fill panics if the memory is not the device's.
func (e Engine) fill(m tensor.Memory, x float32) {
	d, to := e.device, spanOf(m)
	d.flush()
	if d.recording != nil {
		d.fail("filling a tensor", errRecording)
	}
	if d.err != nil {
		return
	}
	if !d.owns(to) {
		panic(fmt.Sprintf("gpu: %d bytes at %#x are not in the memory of %s", to.bytes, uint64(to.at), d.name))
	}
	if err := d.context.Fill(to.at, math.Float32bits(x), to.bytes/wordBytes); err != nil {
		d.fail("filling a tensor", err)
	}
}

// Memcpy copies src to dst, which is as large; either may be on the host.
func (e Engine) Memcpy(dst, src tensor.Memory) error {
	d := e.device
	d.flush()
	if d.recording != nil {
		d.fail("copying a tensor", errRecording)
	}
	to, from := spanOf(dst), spanOf(src)
	if to.bytes != from.bytes {
		return fmt.Errorf("gpu: copying %d bytes to %d", from.bytes, to.bytes)
	}
	if d.err != nil {
		return d.err
	}
	defer runtime.KeepAlive(dst)
	defer runtime.KeepAlive(src)
	switch toDevice, fromDevice := d.owns(to), d.owns(from); {
	case toDevice && fromDevice:
		if err := d.context.Copy(to.at, from.at, to.bytes); err != nil {
			d.fail("copying a tensor", err)
		}
		return d.err
	case toDevice:
		return d.upload(to.at, hostBytes(from))
	case fromDevice:
		return d.download(hostBytes(to), from.at)
	}
	return fmt.Errorf("gpu: neither side of a copy of %d bytes is in the memory of %s", to.bytes, d.name)
}

// Accessible waits for the operations before it and returns a copy on the host, a
// *tensor.Dense of float32.
func (e Engine) Accessible(m tensor.Memory) (tensor.Memory, error) {
	host := make([]float32, int(m.MemSize())/wordBytes)
	copied := tensor.New(tensor.WithShape(len(host)), tensor.WithBacking(host))
	return copied, e.Memcpy(copied, m)
}

// place is tensor.Memory on the device.
type place struct {
	at    cuda.Address
	bytes int
}

// Uintptr is the device address.
func (p place) Uintptr() uintptr { return uintptr(p.at) }

// MemSize is the number of bytes.
func (p place) MemSize() uintptr { return uintptr(p.bytes) }

func spanOf(m tensor.Memory) span { return span{cuda.Address(m.Uintptr()), int(m.MemSize())} }

// hostBytes is host memory whose owner the caller keeps alive.
func hostBytes(s span) []byte {
	at := uintptr(s.at)
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), s.bytes)
}

// owns reports whether bytes lie in this device's memory.
func (d *Device) owns(s span) bool {
	holds := func(owned span) bool { return owned.holds(s) }
	return slices.ContainsFunc(d.arena.owned, holds) || slices.ContainsFunc(d.tensors.taken, holds)
}

// tensors is the memory that Engine hands out: short-lived, and therefore from a
// pool, which needs no waiting, where the device has them.
type tensors struct {
	context *cuda.Context
	pooled  bool
	pool    *cuda.Pool // made when first wanted
	taken   []span
}

func (t *tensors) take(bytes int) (cuda.Address, error) {
	var err error
	if t.pooled && t.pool == nil {
		if t.pool, err = t.context.NewPool(); err != nil {
			return 0, err
		}
	}
	alloc := t.context.Alloc
	if t.pooled {
		alloc = t.pool.Alloc
	}
	at, err := alloc(bytes)
	if err == nil {
		t.taken = append(t.taken, span{at, bytes})
	}
	return at, err
}

// give gives back what take returned.
func (t *tensors) give(at cuda.Address) error {
	i := slices.IndexFunc(t.taken, func(s span) bool { return s.at == at })
	if i < 0 {
		return fmt.Errorf("gpu: no tensor was allocated at %#x", uint64(at))
	}
	t.taken = slices.Delete(t.taken, i, i+1)
	if t.pooled {
		return t.pool.Free(at)
	}
	return t.context.Free(at)
}

func (t *tensors) close() error {
	var errs []error
	for len(t.taken) > 0 {
		errs = append(errs, t.give(t.taken[0].at))
	}
	if t.pool != nil {
		errs = append(errs, t.context.Synchronize(), t.pool.Close())
		t.pool = nil
	}
	return errors.Join(errs...)
}
