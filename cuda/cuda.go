//go:build cuda

// Package cuda runs kernels on an NVIDIA GPU through its driver: a Context is
// one device with its memory, its module, one stream and the graphs recorded on
// it. It is a thin layer over gorgonia.org/cu, which it alone imports, with what
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
	c.launch.init()
	if c.device, err = cu.GetDevice(ordinal); err != nil {
		return nil, failed("cuDeviceGet", err, "device %d", ordinal)
	}
	if c.context, err = c.device.MakeContext(cu.SchedAuto); err != nil {
		return nil, failed("cuCtxCreate", err, "device %d", ordinal)
	}
	if c.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		c.context.Destroy()
		return nil, failed("cuStreamCreate", err, "device %d", ordinal)
	}
	return c, nil
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

// Close releases the context and all its memory, also after a failure, which
// the driver then reports once more. Work that is under way is lost.
func (c *Context) Close() error {
	defer runtime.UnlockOSThread()
	errs := []error{c.enter()}
	if c.loaded {
		errs = append(errs, failed("cuModuleUnload", c.module.Unload(), ""))
	}
	errs = append(errs, failed("cuStreamDestroy", c.stream.Destroy(), ""), failed("cuCtxDestroy", c.context.Destroy(), "device %d", int(c.device)))
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
