// Package reference is the device that the others are compared with: plain
// loops in float64, each written from the formula in the documentation of its
// operation and in no other way. It is slow, runs on the calling goroutine,
// does every operation before the call returns, and allocates scratch memory
// where that makes a formula plainer, which no other device may.
//
// Some results are float32 by definition, and are rounded to it here: the
// minibatch that Gather makes, the draws of Corrupt, and what lasts from step to
// step (parameters, moments, averages, running statistics), so that a run can be
// resumed to the same bits here too. Everything else keeps the precision of float64, which Float64s gives access to, so that gradients
// can be compared with finite differences.
//
// The package must not share arithmetic with a device that it judges: it
// imports the contract and the generator, and nothing else of this module.
package reference

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gpudae/device"
)

// memoryLimit bounds what a reference device allocates, in bytes. Without a
// bound an absurd request would end the process instead of failing: Go cannot
// recover from an exhausted heap.
const memoryLimit = 16 << 30

var errClosed = errors.New("reference: the device is closed")

// Device implements device.Device.
type Device struct {
	used uint64 // bytes allocated
	err  error  // first failure
}

var _ device.Device = (*Device)(nil)

// New returns a device.
func New() *Device { return &Device{} }

// Info implements device.Device.
func (d *Device) Info() device.Info {
	return device.Info{
		Name:        "reference",
		Description: "plain loops in float64, the oracle of every other device",
		Threads:     1,
		MemoryTotal: memoryLimit,
		MemoryFree:  memoryLimit - d.used,
	}
}

// Close implements device.Device. Operations that follow are ignored, and Sync
// reports that the device is closed.
func (d *Device) Close() error {
	d.used = 0
	if d.err == nil {
		d.err = errClosed
	}
	return nil
}

// Sync implements device.Device.
func (d *Device) Sync() error { return d.err }

// Record implements device.Device: a program calls body at each run.
func (d *Device) Record(body func()) (device.Program, error) {
	if d.err != nil {
		return nil, d.err
	}
	return func() error {
		body()
		return d.err
	}, nil
}

// Alloc implements device.Device.
func (d *Device) Alloc(t device.Type, n int) (device.Memory, error) {
	if d.err != nil {
		return nil, d.err
	}
	if n < 0 {
		panic(fmt.Sprintf("reference: alloc of %d elements", n))
	}
	size := uint64(8)
	if t == device.Word {
		size = 4
	}
	if err := d.reserve(uint64(n), size); err != nil {
		return nil, err
	}
	m := &memory{owner: d, kind: t}
	if t == device.Word {
		m.words = make([]uint32, n)
	} else {
		m.floats = make([]float64, n)
	}
	return m, nil
}

// reserve counts n elements of a size in bytes against the limit.
func (d *Device) reserve(n, size uint64) error {
	free := memoryLimit - d.used
	if n > free/size {
		return &device.OutOfMemoryError{Device: "reference", Wanted: saturatingProduct(n, size), Free: free}
	}
	d.used += n * size
	return nil
}

func saturatingProduct(a, b uint64) uint64 {
	if a > ^uint64(0)/b {
		return ^uint64(0)
	}
	return a * b
}

// Load implements device.Device. It copies the table, but for records, which may
// be a file.
func (d *Device) Load(ctx context.Context, t device.Table) (device.Dataset, error) {
	if d.err != nil {
		return nil, d.err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reference: load %d×%d: %w", t.Rows, t.Columns, err)
	}
	t.Check()
	if err := d.reserve(t.Size(), 1); err != nil {
		return nil, err
	}
	t.Uint8, t.Float32 = slices.Clone(t.Uint8), slices.Clone(t.Float32)
	return &table{owner: d, Table: t}, nil
}

// Upload implements device.Device.
func (d *Device) Upload(dst device.View, src []float32) error {
	if d.err != nil {
		return d.err
	}
	to := d.matrix(dst).data
	mustMatch(len(to), len(src))
	for i, x := range src {
		to[i] = float64(x)
	}
	return nil
}

// Download implements device.Device; it rounds to float32.
func (d *Device) Download(dst []float32, src device.View) error {
	if d.err != nil {
		return d.err
	}
	from := d.matrix(src).data
	mustMatch(len(dst), len(from))
	for i, x := range from {
		dst[i] = float32(x)
	}
	return nil
}

// UploadWords implements device.Device.
func (d *Device) UploadWords(dst device.Words, src []uint32) error {
	if d.err != nil {
		return d.err
	}
	mustMatch(dst.Len, len(src))
	copy(d.words(dst), src)
	return nil
}

// DownloadWords implements device.Device.
func (d *Device) DownloadWords(dst []uint32, src device.Words) error {
	if d.err != nil {
		return d.err
	}
	mustMatch(len(dst), src.Len)
	copy(dst, d.words(src))
	return nil
}

func mustMatch(dst, src int) {
	if dst != src {
		panic(fmt.Sprintf("reference: copy of %d elements to %d", src, dst))
	}
}
