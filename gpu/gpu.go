//go:build cuda

// Package gpu is the device that trains on an NVIDIA GPU: it implements
// device.Device with the kernels of package kernels.
//
// Memory of the device, the data set included, stays there; all work is queued
// on one stream, in the order of the calls. A recorded program is a CUDA graph,
// so eight steps of training are one call of the driver, and the host waits only where
// it reads something (Download, Sync). Copies go through pinned memory.
//
// A kernel that fails as it runs is reported by the next call that waits, with the
// kernels that were queued until then, since the driver does not say which one it
// was. With Options.Blocking the device waits after each kernel, and the report
// names the one.
//
// The package must not know models or files.
package gpu

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"gpudae/cuda"
	"gpudae/device"
	"gpudae/kernels"
)

var errClosed = errors.New("gpu: the device is closed")

// BlockingVariable is the environment variable that asks for Options.Blocking.
const BlockingVariable = "GPUDAE_CUDA_BLOCKING"

// Options are how a device computes.
type Options struct {
	// Class is the arithmetic of dense layers' products, as Class.On says for the GPU. All
	// else is float32.
	Class kernels.Class
	// Blocking waits after every kernel and replays programs kernel by kernel, so
	// that a failure names the kernel. It changes no result, and is slow.
	Blocking bool
	// Graphs records steps of small nets as graphs too.
	Graphs bool
	// Big is which products of class BFloat16 read copies of their factors; none given: kernels.BigProducts.
	Big kernels.Big
	// Gemm is who multiplies in dense layers.
	Gemm Gemm
	// Log is told what GemmAuto finds; it may be nil.
	Log func(format string, args ...any)
}

// OptionsFromEnvironment are those of a class with what the environment asks for.
func OptionsFromEnvironment(class kernels.Class) Options {
	return Options{Class: class, Blocking: os.Getenv(BlockingVariable) == "1"}
}

// Device is one GPU. It implements device.Device and, like any device, is used
// by one goroutine at a time.
type Device struct {
	name      string // as in --device
	info      cuda.DeviceInfo
	driver    cuda.Driver
	options   Options
	class     kernels.Class                               // of products
	choices   map[[3]int]kernels.Choice                   // that were made, by shape: each weighs all tiles against each other
	backwards map[kernels.Backward]kernels.BackwardChoice // likewise of gradients
	big       kernels.Big                                 // products whose factors are copied
	engine    kernels.Engine
	copies    map[device.View]*memory // of factors, in bfloat16
	planned   bool                    // operations find the copies made
	beside    device.View             // of which the next operation leaves a copy
	context   *cuda.Context
	functions [kernels.Count]cuda.Function
	arena     arena
	tensors   tensors
	toDevice  staging
	toHost    staging
	lent      []*cuda.Mapped // data sets that stay in the host's memory
	lentBytes uint64
	partials  cuda.Address // scratch of reductions: kernels.MostShareBlocks floats
	partial   cuda.Address // scratch of products: see meeting
	tickets   cuda.Address
	gemm      Gemm     // who makes products, but while GemmAuto measures as Options has it
	library   *library // cuBLASLt, or nil where it is not used
	graphs    []*cuda.Graph
	recording *recording // the program that is being recorded, or nil
	recorded  string     // how the last one runs
	pending   pending    // steps of a small net that are not queued yet
	going     going      // the program whose steps are asked for one after the other
	suspects  suspects   // what has been queued since the host last waited
	err       error      // first failure; the operations after it do nothing
}

var _ device.Device = (*Device)(nil)

// New opens the GPU with that ordinal. It fails with *cuda.UnavailableError where
// there is none that can run the kernels, and with *cublaslt.MissingError where GemmCublasLt is asked for and not installed.
func New(ordinal int, options Options) (*Device, error) {
	driver, err := usableDriver()
	if err != nil {
		return nil, err
	}
	d := &Device{name: fmt.Sprintf("cuda:%d", ordinal), driver: driver, options: options, big: options.Big, choices: map[[3]int]kernels.Choice{},
		backwards: map[kernels.Backward]kernels.BackwardChoice{}}
	if d.big == (kernels.Big{}) {
		d.big = kernels.BigProducts()
	}
	if d.context, err = cuda.Open(ordinal); err != nil {
		return nil, fmt.Errorf("gpu: opening %s: %w", d.name, err)
	}
	if err := d.prepare(ordinal); err != nil {
		return nil, errors.Join(fmt.Errorf("gpu: opening %s: %w", d.name, err), d.context.Close())
	}
	return d, nil
}

// usableDriver opens the driver and makes sure that it is new enough for the
// fatbin.
func usableDriver() (cuda.Driver, error) {
	driver, err := cuda.OpenDriver()
	if err != nil {
		return driver, err
	}
	toolkit, err := kernels.Toolkit()
	if err != nil {
		return driver, err
	}
	if driver.Version/1000 < toolkit/1000 {
		return driver, &cuda.UnavailableError{
			Problem: fmt.Sprintf("the NVIDIA driver is too old: it runs CUDA %s, and the kernels were built with %s",
				cuda.VersionText(driver.Version), cuda.VersionText(toolkit)),
			Remedy: "install a newer driver, or use --device cpu"}
	}
	return driver, nil
}

// prepare loads the kernels and allocates what the device needs for itself.
func (d *Device) prepare(ordinal int) error {
	var err error
	if d.info, err = cuda.Describe(ordinal); err != nil {
		return err
	}
	if err := usableArchitecture(d.info); err != nil {
		return err
	}
	d.class = d.options.Class.On(d.info.Major, d.info.Minor)
	d.engine = kernels.EngineOn(d.info.Major, d.info.Minor)
	if err := d.context.Load(kernels.Fatbin()); err != nil {
		return err
	}
	for id := range kernels.Count {
		if d.functions[id], err = d.kernel(id); err != nil {
			return err
		}
	}
	d.arena = arena{context: d.context}
	d.tensors = tensors{context: d.context, pooled: d.info.MemoryPools}
	if d.partials, err = d.arena.take(kernels.MostShareBlocks * wordBytes); err != nil {
		return err
	}
	if d.class != kernels.Strict { // which shares no sums
		if err := d.openMeeting(); err != nil {
			return err
		}
	}
	if err := d.openLibrary(); err != nil {
		return err
	}
	if err := d.toDevice.open(d.context); err != nil {
		return err
	}
	return d.toHost.open(d.context)
}

// allShared is the carve-out of kernels that read global memory once and work in
// shared memory: as much of a multiprocessor's cache as there is, for their blocks.
const allShared = 100

// kernel finds a kernel, sees that the device can run blocks of its size, which
// with machine code that the driver makes of PTX depends on the driver, and sets
// what is set once. Asking makes the driver load the kernel now: a load that it
// puts off until the first launch could fall into a recording.
func (d *Device) kernel(id kernels.ID) (cuda.Function, error) {
	f, err := d.context.Function(id.String())
	if err != nil {
		return f, err
	}
	threads, err := d.context.Attribute(f, cuda.MaxThreads)
	if err != nil {
		return f, err
	}
	geometry := id.Kernel().Geometry
	if most := geometry.MostThreads(); threads < most {
		return f, fmt.Errorf("kernel %s is launched with blocks of %d threads, and %s runs it with %d at most", id, most, d.info.Name, threads)
	}
	if shared := id.Shared(); shared > 0 && shared <= d.info.MaxShared {
		if err := d.context.SetAttribute(f, cuda.MaxDynamicShared, shared); err != nil {
			return f, err
		}
	}
	if geometry.Multiplies() {
		return f, d.context.SetAttribute(f, cuda.SharedCarveout, allShared)
	}
	return f, nil
}

// usableArchitecture makes sure that the fatbin has a form for the device.
func usableArchitecture(info cuda.DeviceInfo) error {
	images, err := kernels.Images(kernels.Fatbin())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(images, func(i kernels.Image) bool { return i.RunsOn(info.Major, info.Minor) }) {
		return nil
	}
	return &cuda.UnavailableError{
		Problem: fmt.Sprintf("%s has compute capability %d.%d, and the kernels were built for %v", info.Name, info.Major, info.Minor, images),
		Remedy:  "use a newer GPU, or --device cpu"}
}

// Close waits for outstanding work and releases everything. After a failure it
// releases what the driver lets it release.
func (d *Device) Close() error {
	if d.err == errClosed {
		return nil
	}
	d.flush()
	failed := d.err != nil
	var errs []error
	if !failed {
		errs = append(errs, d.context.Synchronize())
	}
	for _, g := range d.graphs {
		errs = append(errs, g.Close())
	}
	for _, m := range d.lent {
		errs = append(errs, m.Close())
	}
	errs = append(errs, d.library.close(), d.toDevice.close(), d.toHost.close(), d.tensors.close(), d.arena.close(), d.context.Close())
	d.err = errClosed
	if failed { // it was reported, and what follows from it says nothing new
		return nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("gpu: closing %s: %w", d.name, err)
	}
	return nil
}

// Info describes the GPU.
func (d *Device) Info() device.Info {
	info := device.Info{Name: d.name, Description: fmt.Sprintf("%s, compute capability %d.%d, %d multiprocessors, driver for CUDA %s",
		d.info.Name, d.info.Major, d.info.Minor, d.info.Multiprocessors, cuda.VersionText(d.driver.Version)), MemoryTotal: d.info.Memory, Mapped: d.lentBytes}
	if d.err != nil {
		return info
	}
	if free, total, err := d.context.MemoryInfo(); err == nil {
		info.MemoryFree, info.MemoryTotal = free, total
	}
	return info
}

// Sync waits for all operations and returns the first failure.
func (d *Device) Sync() error {
	d.flush()
	if d.err != nil {
		return d.err
	}
	if d.recording != nil {
		d.fail("waiting", errRecording)
		return d.err
	}
	if err := d.context.Synchronize(); err != nil {
		d.failLater("waiting", err)
		return d.err
	}
	d.suspects.clear()
	return nil
}

// fail keeps the first failure.
func (d *Device) fail(doing string, err error) {
	if d.err == nil {
		d.err = fmt.Errorf("gpu: %s: %s: %w", d.name, doing, err)
	}
}

// failLater keeps a failure that may be one of the kernels queued before.
func (d *Device) failLater(doing string, err error) {
	if names := d.suspects.String(); names != "" {
		doing += " for the kernels " + names
		err = fmt.Errorf("%w; %s=1 finds out which", err, BlockingVariable)
	}
	d.fail(doing, err)
}
