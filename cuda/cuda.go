//go:build cuda

// Package cuda runs kernels on an NVIDIA GPU through its driver: a Context is
// a user of one device with its memory, its module, one stream and the graphs recorded on
// it. Those of one device and process share the driver's primary context, so that kernels
// of several run at once; a kernel that fails ends all of them. It is a thin layer over gorgonia.org/cu, which it alone imports, with what
// that lacks: graphs, capture, pinned memory, errors that say what was called
// with what, and a probe that finds out why there is no device.
//
// The driver binds a context to the thread of the operating system. A method of
// Context therefore holds its goroutine on a thread and makes the context
// current there, so any goroutine may call, one at a time; nothing is passed
// through channels.
//
// gorgonia.org/cu initialises the driver before main and ends the process if
// that fails. A build with this package is therefore linked with libcuda/, in
// whose place the real driver is opened by Open or OpenDriver only (see
// scripts/cuda-env).
//
// The package must not know what the kernels compute.
package cuda

/*
#cgo LDFLAGS: -lcuda -ldl
#include <cuda.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// Address is a place in device memory; 0 is none.
type Address = cu.DevicePtr

// Context is one device in use. It is closed once, after everything made from it.
type Context struct {
	device  cu.Device
	context cu.CUContext
	stream  cu.Stream
	module  cu.Module
	loaded  bool
	launch  arguments
}

// Open makes a context on the device with that ordinal. It fails with
// *UnavailableError where there is no such device, or no driver.
func Open(ordinal int) (*Context, error) {
	driver, err := OpenDriver()
	if err != nil {
		return nil, err
	}
	if ordinal < 0 || ordinal >= driver.Devices {
		return nil, &UnavailableError{Problem: fmt.Sprintf("there is no CUDA device %d", ordinal), Remedy: choices(driver.Devices)}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := &Context{}
	if c.device, err = cu.GetDevice(ordinal); err != nil {
		return nil, failed("cuDeviceGet", err, "device %d", ordinal)
	}
	if err := c.device.SetPrimaryCtxFlags(cu.SchedBlockingSync); err != nil { // a thread that waits leaves its core to others
		return nil, failed("cuDevicePrimaryCtxSetFlags", err, "device %d", ordinal)
	}
	if c.context, err = c.device.RetainPrimaryCtx(); err != nil {
		return nil, failed("cuDevicePrimaryCtxRetain", err, "device %d", ordinal)
	}
	if err := c.makeStream(); err != nil {
		return nil, errors.Join(err, c.release())
	}
	return c, nil
}

func (c *Context) makeStream() (err error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return err
	}
	c.stream, err = cu.MakeStream(cu.NonBlocking)
	return failed("cuStreamCreate", err, "device %d", int(c.device))
}

// release gives the primary context back, which ends with the last that does so.
func (c *Context) release() error {
	return failed("cuDevicePrimaryCtxRelease", c.device.ReleasePrimaryCtx(), "device %d", int(c.device))
}

func choices(devices int) string {
	if devices == 1 {
		return "the only one is cuda:0"
	}
	return fmt.Sprintf("choose cuda:0 to cuda:%d", devices-1)
}

// enter holds the goroutine on its thread and makes the context current there;
// the caller defers runtime.UnlockOSThread.
func (c *Context) enter() error {
	runtime.LockOSThread()
	if err := cu.SetCurrentContext(c.context); err != nil {
		return failed("cuCtxSetCurrent", err, "device %d", int(c.device))
	}
	return nil
}

// Close releases the context, after its memory and graphs have been released; the last of a
// device takes along what is left, also after a failure, which the driver then reports once
// more. Work that is under way is lost.
func (c *Context) Close() error {
	defer runtime.UnlockOSThread()
	errs := []error{c.enter()}
	if c.loaded {
		errs = append(errs, failed("cuModuleUnload", c.module.Unload(), ""))
	}
	errs = append(errs, failed("cuStreamDestroy", c.stream.Destroy(), ""), c.release())
	return errors.Join(errs...)
}

// Synchronize waits for the stream, and reports what failed on it.
func (c *Context) Synchronize() error {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return err
	}
	return failed("cuStreamSynchronize", c.stream.Synchronize(), "")
}

// Use makes the context current on a thread and hands its stream, a CUstream, to use, for libraries that
// work with the driver's contexts and streams. The stream must not be kept.
func (c *Context) Use(use func(stream unsafe.Pointer) error) error {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return err
	}
	return use(unsafe.Pointer(c.handle()))
}

// Time waits until the device is done with what body queues, and returns the seconds that this took it.
func (c *Context) Time(body func() error) (seconds float64, err error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return 0, err
	}
	var events [2]cu.Event
	for i := range events {
		if events[i], err = cu.MakeEvent(cu.DefaultEvent); err != nil {
			return 0, failed("cuEventCreate", err, "")
		}
		defer cu.DestroyEvent(&events[i])
	}
	if err := failed("cuEventRecord", events[0].Record(c.stream), ""); err != nil {
		return 0, err
	}
	if err := body(); err != nil {
		return 0, err
	}
	if err := failed("cuEventRecord", events[1].Record(c.stream), ""); err != nil {
		return 0, err
	}
	if err := failed("cuEventSynchronize", events[1].Synchronize(), ""); err != nil {
		return 0, err
	}
	milliseconds, err := events[0].Elapsed(events[1])
	return milliseconds / 1000, failed("cuEventElapsedTime", err, "")
}
