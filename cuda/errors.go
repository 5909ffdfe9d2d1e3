//go:build cuda

package cuda

/*
#include <cuda.h>
*/
import "C"

import (
	"errors"
	"fmt"

	"gorgonia.org/cu"
)

// Error is a call of the driver that failed, or that reported the failure of
// work given to the device before.
type Error struct {
	Call   string // the function, as in the driver's documentation
	With   string // what it was called with: kernel and shape, bytes, device; or nothing
	Code   int    // CUresult
	Name   string // as in cuda.h
	Reason string // in words
}

// Error implements error.
func (e *Error) Error() string {
	with := ""
	if e.With != "" {
		with = "(" + e.With + ")"
	}
	return fmt.Sprintf("%s%s: %s, %s", e.Call, with, e.Name, e.Reason)
}

// OutOfMemory reports whether the device, or the host for pinned memory, had no
// room.
func (e *Error) OutOfMemory() bool { return e.Code == int(cu.OutOfMemory) }

// failed turns the error of gorgonia.org/cu into an *Error, and nil into nil.
func failed(call string, err error, with string, args ...any) error {
	if err == nil {
		return nil
	}
	result := cu.Success
	if !errors.As(err, &result) {
		return fmt.Errorf("%s: %w", call, err)
	}
	return newError(call, int(result), fmt.Sprintf(with, args...))
}

// check is failed for a call of our own.
func check(call string, result C.CUresult, with string, args ...any) error {
	if result == C.CUDA_SUCCESS {
		return nil
	}
	return newError(call, int(result), fmt.Sprintf(with, args...))
}

func newError(call string, code int, with string) *Error {
	e := &Error{Call: call, With: with, Code: code, Name: fmt.Sprintf("CUresult %d", code), Reason: "an error that the driver has no text for"}
	var text *C.char
	if C.cuGetErrorName(C.CUresult(code), &text) == C.CUDA_SUCCESS && text != nil {
		e.Name = C.GoString(text)
	}
	if C.cuGetErrorString(C.CUresult(code), &text) == C.CUDA_SUCCESS && text != nil {
		e.Reason = C.GoString(text)
	}
	return e
}

// UnavailableError says why no device can be used, and what to do.
type UnavailableError struct {
	Problem string
	Remedy  string
}

// Error implements error.
func (e *UnavailableError) Error() string { return e.Problem + "; " + e.Remedy }
