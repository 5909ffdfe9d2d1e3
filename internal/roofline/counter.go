package roofline

import (
	"context"

	"gpudae/device"
	"gpudae/gpu/fuse"
	"gpudae/kernels"
)

// Launch is a kernel of a step, a node of its graph, and what it cannot do without.
type Launch struct {
	Kernel        kernels.ID
	Rows, Columns int            // the shape that the kernel divides among its threads
	Products      [2]kernels.Run // the first blocks make those of the one, the next those of the other
	FLOPs         int64          // of matrix products, 2 for a fused multiply-add
	Read, Written int64          // bytes of memory, each operand once
	State         int64          // of those, what the optimiser reads and writes
	Partial       int64          // of those, what blocks that share sums write, and what they read
	Shares        int            // the most blocks that share a sum
	Waits         bool           // blocks take their parts in the order in which they start, since some wait for others
}

// Counter is a device.Device that computes nothing. It knows how package gpu
// turns each operation into launches, and keeps those that are recorded.
type Counter struct {
	gpu     GPU
	class   kernels.Class // of products
	big     kernels.Big   // products whose factors are copied
	engine  kernels.Engine
	planned bool        // the copies of a plan are counted
	beside  device.View // of which the next operation leaves a copy
	held    int64       // bytes of memory
	program []Launch
	touched int64
	tape    *fuse.Tape // while operations are being recorded
}

// NewCounter returns a device of that kind with products of float32.
func NewCounter(g GPU) *Counter { return NewCounterOf(g, kernels.Float32, kernels.BigProducts()) }

// NewCounterOf returns one with products of a class, of which some are big.
func NewCounterOf(g GPU, class kernels.Class, big kernels.Big) *Counter {
	major, minor := g.version()
	return &Counter{gpu: g, class: class.On(major, minor), big: big, engine: kernels.EngineOn(major, minor)}
}

// Launches returns those of the last recorded program, in order.
func (c *Counter) Launches() []Launch { return c.program }

// Touched is the number of bytes that the last recorded program reads or writes, each once.
func (c *Counter) Touched() int64 { return c.touched }

// Held is the number of bytes that were allocated and loaded.
func (c *Counter) Held() int64 { return c.held }

// memory is device.Memory without elements.
type memory struct {
	kind device.Type
	n    int
}

func (m *memory) Type() device.Type { return m.kind }
func (m *memory) Len() int          { return m.n }

// dataset is a resident table without its cells.
type dataset struct {
	rows, columns, stride int // stride: bytes of a row
	gather, swap, advance kernels.ID
}

func (d *dataset) Shape() (rows, columns int) { return d.rows, d.columns }

func (c *Counter) Info() device.Info {
	return device.Info{Name: c.gpu.Name, Description: c.gpu.Description}
}
func (c *Counter) Close() error                               { return nil }
func (c *Counter) Sync() error                                { return nil }
func (c *Counter) Upload(device.View, []float32) error        { return nil }
func (c *Counter) Download([]float32, device.View) error      { return nil }
func (c *Counter) UploadWords(device.Words, []uint32) error   { return nil }
func (c *Counter) DownloadWords([]uint32, device.Words) error { return nil }
func (c *Counter) Alloc(t device.Type, n int) (device.Memory, error) {
	c.held += 4 * int64(n)
	return &memory{t, n}, nil
}

// Load takes the shape of a table, whose cells need not be there.
func (c *Counter) Load(_ context.Context, t device.Table) (device.Dataset, error) {
	d := &dataset{rows: t.Rows, columns: t.Columns}
	switch {
	case t.Records != nil:
		d.stride, d.gather, d.swap, d.advance = t.Records.Stride, kernels.GatherRecords, kernels.CorruptSwapRecords, kernels.AdvanceRecords
	case t.Float32 != nil:
		d.stride, d.gather, d.swap, d.advance = 4*t.Columns, kernels.GatherF32, kernels.CorruptSwapF32, kernels.AdvanceF32
	default:
		d.stride, d.gather, d.swap, d.advance = t.Columns, kernels.GatherU8, kernels.CorruptSwapU8, kernels.AdvanceU8
	}
	c.held += int64(d.stride) * int64(t.Rows)
	return d, nil
}

// Record keeps the launches of body: of a step that follows another, as package gpu
// plans them.
func (c *Counter) Record(body func()) (device.Program, error) {
	c.program, c.tape = nil, &fuse.Tape{Narrows: c.narrows}
	body()
	plan, operations := c.tape.Plan(), c.tape.Operations()
	c.tape = nil
	c.plan(plan)
	c.touched = touched(plan, operations) + partialSums(c.program)
	return func() error { return nil }, nil
}

// note keeps an operation for later, if one is being recorded. Every operation calls it.
func note[Args any](c *Counter, a Args, operation func(*Counter, Args)) bool {
	if c.tape == nil {
		return false
	}
	c.tape.Put(a, func() { operation(c, a) })
	return true
}

// bytes is the size of views; an absent one has none.
func bytes(views ...device.View) int64 {
	n := int64(0)
	for _, v := range views {
		if !v.IsZero() {
			n += 4 * int64(v.Len())
		}
	}
	return n
}

// wordBytes is the size of words.
func wordBytes(words ...device.Words) int64 {
	n := int64(0)
	for _, w := range words {
		n += 4 * int64(w.Len)
	}
	return n
}

// add counts a launch that multiplies no matrices, unless its shape is empty.
func (c *Counter) add(id kernels.ID, rows, columns int, read, written int64) {
	c.put(Launch{Kernel: id, Rows: rows, Columns: columns, Read: read, Written: written})
}

// put counts a launch, unless its shape is empty.
func (c *Counter) put(l Launch) {
	if grid, _ := l.Kernel.Launch(l.Rows, l.Columns); grid > 0 {
		c.program = append(c.program, l)
	}
}
