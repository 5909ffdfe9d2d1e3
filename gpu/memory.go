//go:build cuda

package gpu

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"gpudae/cuda"
	"gpudae/device"
)

const (
	wordBytes  = 4       // size of a float32 and of a word
	alignment  = 256     // bytes; where memory starts
	chunkBytes = 2 << 20 // what the arena asks the driver for, for small pieces: the driver maps as much
)

// memory is device.Memory: an address, and what is there.
type memory struct {
	at   cuda.Address
	kind device.Type
	n    int
}

// Type is the type of the elements.
func (m *memory) Type() device.Type { return m.kind }

// Len is the number of elements.
func (m *memory) Len() int { return m.n }

// word is the address of an element, as a launch takes it.
func (m *memory) word(offset int) uint64 { return uint64(m.at) + uint64(offset)*wordBytes }

// arena hands out device memory that is kept until Close. Small pieces share a
// chunk.
type arena struct {
	context *cuda.Context
	owned   []span       // what the driver gave
	next    cuda.Address // free bytes of the chunk in use
	left    int
}

// span is a run of bytes in device memory.
type span struct {
	at    cuda.Address
	bytes int
}

// holds reports whether another run lies within.
func (s span) holds(other span) bool {
	return other.at >= s.at && other.at+cuda.Address(other.bytes) <= s.at+cuda.Address(s.bytes)
}

// take returns that many bytes.
func (a *arena) take(bytes int) (cuda.Address, error) {
	bytes = (bytes + alignment - 1) / alignment * alignment
	if bytes > chunkBytes/2 {
		return a.alone(bytes)
	}
	if bytes > a.left {
		chunk, err := a.alone(chunkBytes)
		if isOutOfMemory(err) {
			return a.alone(bytes) // no room for a chunk, perhaps for this
		}
		if err != nil {
			return 0, err
		}
		a.next, a.left = chunk, chunkBytes
	}
	at := a.next
	a.next += cuda.Address(bytes)
	a.left -= bytes
	return at, nil
}

// alone returns that many bytes that share nothing with others.
func (a *arena) alone(bytes int) (cuda.Address, error) {
	at, err := a.context.Alloc(bytes)
	if err == nil {
		a.owned = append(a.owned, span{at, bytes})
	}
	return at, err
}

// release gives back what alone returned.
func (a *arena) release(at cuda.Address) error {
	a.owned = slices.DeleteFunc(a.owned, func(s span) bool { return s.at == at })
	return a.context.Free(at)
}

func (a *arena) close() error {
	var errs []error
	for _, s := range a.owned {
		errs = append(errs, a.context.Free(s.at))
	}
	a.owned = nil
	return errors.Join(errs...)
}

func isOutOfMemory(err error) bool {
	var failed *cuda.Error
	return errors.As(err, &failed) && failed.OutOfMemory()
}

// Alloc returns n zeroed elements.
func (d *Device) Alloc(t device.Type, n int) (device.Memory, error) {
	if n < 0 {
		panic(fmt.Sprintf("gpu: allocation of %d elements", n))
	}
	at, err := d.reserve(n, wordBytes, d.arena.take)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		if err := d.context.Zero(at, n); err != nil {
			d.fail("clearing fresh memory", err)
			return nil, d.err
		}
	}
	return &memory{at: at, kind: t, n: n}, nil
}

// reserve takes memory for n elements of size bytes each, and fails with
// *device.OutOfMemoryError where there is no room.
func (d *Device) reserve(n, size int, take func(bytes int) (cuda.Address, error)) (cuda.Address, error) {
	if d.err != nil {
		return 0, d.err
	}
	if d.recording != nil { // a driver would end the recording, or make the memory part of it
		return 0, errors.New("gpu: memory cannot be allocated within a recording")
	}
	hi, wanted := bits.Mul64(uint64(n), uint64(size))
	if hi != 0 {
		wanted = math.MaxUint64
	}
	free, total, err := d.context.MemoryInfo()
	if err != nil {
		d.fail("asking for free memory", err)
		return 0, d.err
	}
	outOfMemory := &device.OutOfMemoryError{Device: d.name, Wanted: wanted, Free: free}
	if wanted > total {
		return 0, outOfMemory
	}
	at, err := take(max(int(wanted), 1)) // the driver has no empty allocation
	if isOutOfMemory(err) {
		return 0, outOfMemory
	}
	if err != nil {
		d.fail(fmt.Sprintf("allocating %d bytes", wanted), err)
		return 0, d.err
	}
	return at, nil
}

// bytesOf is the memory of a slice.
func bytesOf[T float32 | uint32](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*wordBytes)
}

func mustEqualLength(what string, onDevice, onHost int) {
	if onDevice != onHost {
		panic(fmt.Sprintf("gpu: %s: %d elements on the device, %d on the host", what, onDevice, onHost))
	}
}
