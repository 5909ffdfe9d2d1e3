//go:build cuda

// Package cublaslt multiplies matrices by NVIDIA's cuBLASLt, where that is installed. The library is opened
// when it is first wanted (Load); nothing is linked with it, and a program without it lacks nothing else.
//
// Matrices are row-major here. To the library, whose are column-major, each is its own transpose: D = A·B is Dᵀ = Bᵀ·Aᵀ.
// Sums of one product always have one order: the algorithm is chosen once for each shape, and of those of which blocks
// share sums only such are asked for that leave shares in the workspace and add them in a step of their own.
//
// The package must not know layers.
package cublaslt

/*
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "cublaslt.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"gpudae/cuda"
)

// PathVariable is the environment variable that names the library's file.
const PathVariable = "GPUDAE_CUBLASLT"

// names are those under which the system is asked for the library, where no file is named.
func names() []string { return []string{"libcublasLt.so.13", "libcublasLt.so.12"} }

// Library is the library, opened.
type Library struct {
	Name    string // or path, as it was found
	Version string // such as 13.10.0
	calls   C.struct_gpudae_cublaslt
}

// MissingError says where the library was looked for, and what to do.
type MissingError struct {
	Problem string
	Remedy  string
}

// Error implements error.
func (e *MissingError) Error() string { return e.Problem + "; " + e.Remedy }

// Load opens the file that PathVariable names, or else what the system finds. It fails with
// *MissingError where there is none. The library stays open as long as the process.
func Load() (*Library, error) {
	wanted := names()
	if path := os.Getenv(PathVariable); path != "" {
		wanted = []string{path}
	}
	var problems []string
	for _, name := range wanted {
		l := &Library{Name: name}
		why := l.open()
		if why == "" {
			l.Version = versionText(int(C.gpudae_cublaslt_version(&l.calls)))
			return l, nil
		}
		problems = append(problems, why)
	}
	return nil, &MissingError{Problem: "cuBLASLt is not there (" + strings.Join(problems, ", ") + ")",
		Remedy: "install NVIDIA's libcublas, name its libcublasLt.so.13 in " + PathVariable + ", or use --gemm own"}
}

// open returns what is wrong, or nothing.
func (l *Library) open() string {
	path := C.CString(l.Name)
	defer C.free(unsafe.Pointer(path))
	var why [256]C.char
	if C.gpudae_cublaslt_open(&l.calls, path, &why[0], C.size_t(len(why))) == nil {
		return ""
	}
	return C.GoString(&why[0])
}

// versionText writes CUBLAS_VERSION as people do: 13.10.0 for 131000.
func versionText(version int) string {
	return fmt.Sprintf("%d.%d.%d", version/10000, version/100%100, version%100)
}

// Error is a call of the library that failed.
type Error struct {
	Call   string // the function, as in the library's documentation
	With   string // what it was called with
	Status int    // cublasStatus_t
	Name   string // as in cublas_api.h
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

// NotSupported reports whether the library has no algorithm for the product.
func (e *Error) NotSupported() bool { return e.Status == C.CUBLAS_STATUS_NOT_SUPPORTED }

func (l *Library) check(call string, status C.int, with fmt.Stringer) error {
	if status == C.CUBLAS_STATUS_SUCCESS {
		return nil
	}
	e := &Error{Call: call, Status: int(status), Name: C.GoString(C.gpudae_cublaslt_status_name(&l.calls, status)), Reason: C.GoString(C.gpudae_cublaslt_status_text(&l.calls, status))}
	if with != nil {
		e.With = with.String()
	}
	return e
}

// Compute is the arithmetic of a product of float32. Sums are float32 in each.
type Compute int

// The arithmetics: factors as they are, or rounded to tf32 or bfloat16.
const (
	Float32  Compute = C.CUBLAS_COMPUTE_32F
	TF32     Compute = C.CUBLAS_COMPUTE_32F_FAST_TF32
	BFloat16 Compute = C.CUBLAS_COMPUTE_32F_FAST_16BF
)

// String returns the name in cublas_api.h, without what all have in common.
func (c Compute) String() string {
	switch c {
	case TF32:
		return "32F_FAST_TF32"
	case BFloat16:
		return "32F_FAST_16BF"
	}
	return "32F"
}

// Matrix is a row-major matrix in device memory.
type Matrix struct {
	At            cuda.Address
	Rows, Columns int
	Stride        int  // elements from row to row, at least Columns
	Narrow        bool // bfloat16, otherwise float32
	Transposed    bool // the factor is its transpose
}

// extents are those of the factor.
func (m *Matrix) extents() (rows, columns int) {
	if m.Transposed {
		return m.Columns, m.Rows
	}
	return m.Rows, m.Columns
}

// Product is D = A·B + bias, for A [m, k] and B [k, n] both of float32 or both of bfloat16, D [m, n] of float32.
type Product struct {
	Compute    Compute      // Float32 for factors of bfloat16
	A, B, D    Matrix       // D is not transposed, and lies apart from A and B
	Bias       cuda.Address // of n numbers, which are added to each row; 0: none
	Accumulate bool         // what D holds is added
}

// String describes the product.
func (p *Product) String() string {
	m, k := p.A.extents()
	kind := p.Compute.String()
	if p.A.Narrow {
		kind += " of bfloat16"
	}
	return fmt.Sprintf("%d×%d, sums of %d, %s", m, p.D.Columns, k, kind)
}

// check panics at extents that do not fit together, which are errors of the program.
func (p *Product) check() {
	m, k := p.A.extents()
	inner, n := p.B.extents()
	if inner != k || p.D.Rows != m || p.D.Columns != n || p.D.Transposed || p.D.Narrow || p.A.Narrow != p.B.Narrow || p.A.Narrow && p.Compute != Float32 || m*n*k == 0 {
		panic(fmt.Sprintf("cublaslt: %+v", *p))
	}
}

// shape is what an algorithm is chosen for: all but the places of the operands.
type shape struct {
	product C.struct_gpudae_product
	bias    int // how it is aligned, in bytes; 0: there is none
}

// shape is the product as the library sees it: the second factor comes first.
func (p *Product) shape() shape {
	m, k := p.A.extents()
	s := shape{product: C.struct_gpudae_product{compute: C.int(p.Compute), _type: C.CUDA_R_32F, transpose_a: flag(p.B.Transposed), transpose_b: flag(p.A.Transposed),
		m: C.uint64_t(p.D.Columns), n: C.uint64_t(m), k: C.uint64_t(k), lda: C.int64_t(p.B.Stride), ldb: C.int64_t(p.A.Stride), ldd: C.int64_t(p.D.Stride),
		align_a: C.uint32_t(alignment(p.B.At)), align_b: C.uint32_t(alignment(p.A.At)), align_d: C.uint32_t(alignment(p.D.At))}}
	if p.A.Narrow {
		s.product._type = C.CUDA_R_16BF
	}
	if p.Bias != 0 {
		s.bias = alignment(p.Bias)
	}
	return s
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// mostAlignment is the most that an algorithm asks for, and what memory for the workspace has to have.
const mostAlignment = 256

// alignment is the largest power of two, up to mostAlignment, that divides an address.
func alignment(at cuda.Address) int {
	return int(min(uint64(at)&-uint64(at), mostAlignment))
}

// Handle is the library in use on a context, by one goroutine at a time. It is closed before the context.
type Handle struct {
	library   *Library
	context   *cuda.Context
	handle    unsafe.Pointer
	workspace cuda.Address
	bytes     int
	plans     map[shape]*C.struct_gpudae_plan
}

// Open begins the use of the library on a context, with memory of the device for what algorithms leave between
// their steps: a multiple of 256 bytes at such an address, which nothing else uses until Close.
func (l *Library) Open(c *cuda.Context, workspace cuda.Address, bytes int) (*Handle, error) {
	h := &Handle{library: l, context: c, workspace: workspace, bytes: bytes, plans: map[shape]*C.struct_gpudae_plan{}}
	err := c.Use(func(unsafe.Pointer) error {
		return l.check("cublasLtCreate", C.gpudae_cublaslt_create(&l.calls, &h.handle), nil)
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Close ends the use. Nothing must be multiplying.
func (h *Handle) Close() error {
	return h.context.Use(func(unsafe.Pointer) error {
		for _, p := range h.plans {
			C.gpudae_cublaslt_discard(&h.library.calls, p)
			C.free(unsafe.Pointer(p))
		}
		clear(h.plans)
		return h.library.check("cublasLtDestroy", C.gpudae_cublaslt_destroy(&h.library.calls, h.handle), nil)
	})
}

// prepared reports whether the algorithm of such a product has been chosen.
func (h *Handle) prepared(p Product) bool { return h.plans[p.shape()] != nil }

// Prepare chooses the algorithm of such a product, for the life of the handle: that which the library's heuristic holds for the
// quickest. Then the product is made once, in memory of its own if the device has room for it, so that the library loads its kernels now and
// not within a capture; the host waits for it. A product that is prepared already costs nothing. It fails with an *Error that is
// NotSupported where the library has no algorithm.
func (h *Handle) Prepare(p Product) error {
	p.check()
	if h.prepared(p) {
		return nil
	}
	err := h.context.Use(func(unsafe.Pointer) error {
		_, err := h.plan(&p)
		return err
	})
	if err != nil {
		return err
	}
	off := cuda.Address(alignment(p.D.At) % mostAlignment)
	memory, err := h.context.Alloc(4*p.D.Rows*p.D.Stride + int(off))
	var failed *cuda.Error
	if errors.As(err, &failed) && failed.OutOfMemory() {
		return nil
	}
	if err != nil {
		return err
	}
	p.D.At = memory + off
	return errors.Join(h.Multiply(p), h.context.Free(memory))
}

// plan returns that of a product, on a thread where the context is current.
func (h *Handle) plan(p *Product) (*C.struct_gpudae_plan, error) {
	s := p.shape()
	if known := h.plans[s]; known != nil {
		return known, nil
	}
	plan := (*C.struct_gpudae_plan)(C.calloc(1, C.sizeof_struct_gpudae_plan))
	if plan == nil {
		return nil, errors.New("cublaslt: no memory for a plan")
	}
	var call *C.char
	status := C.gpudae_cublaslt_plan(&h.library.calls, h.handle, &s.product, C.uintptr_t(p.Bias), C.size_t(h.bytes), plan, &call)
	if err := h.library.check(C.GoString(call), status, p); err != nil {
		C.free(unsafe.Pointer(plan))
		return nil, err
	}
	h.plans[s] = plan
	return plan, nil
}

// Multiply queues a product on the context's stream, also while that is captured.
func (h *Handle) Multiply(p Product) error {
	p.check()
	return h.context.Use(func(stream unsafe.Pointer) error {
		plan, err := h.plan(&p)
		if err != nil {
			return err
		}
		var call *C.char
		status := C.gpudae_cublaslt_multiply(&h.library.calls, h.handle, plan, C.uintptr_t(p.B.At), C.uintptr_t(p.A.At), C.uintptr_t(p.D.At), C.uintptr_t(p.Bias), flag(p.Accumulate),
			C.uintptr_t(h.workspace), C.size_t(h.bytes), stream, &call)
		return h.library.check(C.GoString(call), status, &p)
	})
}
