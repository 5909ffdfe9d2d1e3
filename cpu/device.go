package cpu

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"gpudae/device"
	"gpudae/device/tape"
)

// maxThreads bounds what New accepts: far more than any machine has cores.
const maxThreads = 1024

// errClosed is the failure of a device that is used after Close.
var errClosed = errors.New("cpu: the device is closed")

// Device runs operations on the cores of this machine. It implements
// device.Device and, like any device, is used by one goroutine at a time.
type Device struct {
	pool    *pool
	kernels *kernels
	pairs   *pairProducts // of bfloat16; nil: products are of float32
	slab    slab
	tape    *tape.Tape // of the operations that are being recorded; nil: none are
	err     error      // first failure; the operations after it do nothing

	// The operation in progress, one record an operation, so that handing it to
	// the workers allocates nothing.
	gather        gatherCall
	corrupt       corruptCall
	gemm          gemmCall
	taking        gradientCall
	stored        storedCall
	pairing       pairCall
	sparseProduct sparseCall
	columns       columnSumsCall
	activate      activateCall
	normalize     normalizeCall
	dropout       dropoutCall
	loss          likelihoodCall
	mean          meanCall
	reduce        reduceCall
	combine       combineCall
	update        updateCall
	diffuse       diffuseCall
	condition     conditionCall
	blend         blendCall
	score         scoreCall
	code          codeCall
	codeBackward  codeBackwardCall
	importance    importanceCall
	scaleRows     scaleRowsCall
	draw          drawCall
	embed         embedCall
	embedBackward embedBackwardCall
}

var _ device.Device = (*Device)(nil)

// New returns a device of that many threads, the caller's included; 0 means as
// many as the Go scheduler may run at once.
func New(threads int) (*Device, error) {
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	if threads < 0 || threads > maxThreads {
		return nil, fmt.Errorf("cpu: %d threads; use 0 (all) to %d", threads, maxThreads)
	}
	d := &Device{pool: newPool(threads)}
	d.gemm.lanes = make([]gemmLane, threads)
	d.sparseProduct.lanes = make([]sparseLane, threads)
	d.corrupt.lanes = make([]noiseLane, threads)
	d.loss.lanes = make([][]float32, threads)
	d.code.lanes = make([]codeLane, threads)
	d.normalize.lanes = make([][]float32, threads)
	d.useKernels(supportedKernels()[0])
	return d, nil
}

// useKernels chooses the innermost loops.
func (d *Device) useKernels(k *kernels) {
	d.kernels = k
	d.gemm.kernels = k
}

// Close stops the workers and gives small memory back; the rest is left to the
// garbage collector.
func (d *Device) Close() error {
	if d.err == errClosed {
		return nil
	}
	d.err = errClosed
	d.pool.close()
	return d.slab.close()
}

// Sync returns the first failure: the operations themselves have run at their calls.
func (d *Device) Sync() error { return d.err }

// Info describes the machine.
func (d *Device) Info() device.Info {
	total, free := systemMemory()
	products := ""
	if d.pairs != nil {
		products = ", products of bfloat16 by " + d.pairs.name
	}
	return device.Info{
		Name:        deviceName,
		Description: fmt.Sprintf("%s, %d cores, %s; %s kernels%s", cpuModel(), runtime.NumCPU(), features(), d.kernels.name, products),
		Threads:     d.pool.threads(),
		MemoryTotal: total,
		MemoryFree:  free,
	}
}

// Alloc returns n zeroed elements.
func (d *Device) Alloc(t device.Type, n int) (device.Memory, error) {
	if n < 0 {
		panic(fmt.Sprintf("cpu: allocation of %d elements", n))
	}
	if d.err != nil {
		return nil, d.err
	}
	if err := reserve(n, wordBytes); err != nil {
		return nil, err
	}
	if t == device.Word {
		return &memory{words: make([]uint32, n)}, nil
	}
	return &memory{floats: d.slab.floats(n)}, nil
}

// Load takes the table where it lies.
func (d *Device) Load(ctx context.Context, t device.Table) (device.Dataset, error) {
	if d.err != nil {
		return nil, d.err
	}
	data, err := load(ctx, t)
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Upload copies src to dst.
func (d *Device) Upload(dst device.View, src []float32) error {
	if d.err != nil {
		return d.err
	}
	mustEqualLength("upload", dst.Len(), len(src))
	copy(floatsOf(dst), src)
	return nil
}

// Download copies src to dst.
func (d *Device) Download(dst []float32, src device.View) error {
	if d.err != nil {
		return d.err
	}
	mustEqualLength("download", src.Len(), len(dst))
	copy(dst, floatsOf(src))
	return nil
}

// UploadWords copies src to dst.
func (d *Device) UploadWords(dst device.Words, src []uint32) error {
	if d.err != nil {
		return d.err
	}
	mustEqualLength("upload of words", dst.Len, len(src))
	copy(wordsOf(dst), src)
	return nil
}

// DownloadWords copies src to dst.
func (d *Device) DownloadWords(dst []uint32, src device.Words) error {
	if d.err != nil {
		return d.err
	}
	mustEqualLength("download of words", src.Len, len(dst))
	copy(dst, wordsOf(src))
	return nil
}

// Tick logs the step's values and advances the clock and what is known of the losses.
func (d *Device) Tick(a device.TickArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Tick) {
		return
	}
	clock := device.ClockFromWords(wordsOf(a.Clock))
	if !a.Values.IsZero() && a.Log.Rows > 0 {
		values, log := floatsOf(a.Values), floatsOf(a.Log)
		copy(log[int(clock.Index)%a.Log.Rows*a.Log.Columns:], values)
	}
	clock.Step++
	clock.Cursor += uint32(a.Rows)
	clock.Index++
	writeClock(wordsOf(a.Clock), clock)
	if spikes := floatsOf(a.Spikes); spikes != nil {
		next := device.SpikesFromValues(spikes).Next(floatsOf(a.Loss)[0], a.SpikeLimit)
		spikes[0], spikes[1], spikes[2] = next.Count, next.Mean, next.Variance
	}
}

// writeClock stores what ClockFromWords reads, without the slice that
// Clock.Words makes.
func writeClock(w []uint32, c device.Clock) {
	w[0], w[1] = uint32(c.Step), uint32(c.Step>>32)
	w[2], w[3], w[4] = c.Epoch, c.Cursor, c.Index
}
