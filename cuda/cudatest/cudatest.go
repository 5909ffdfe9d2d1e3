//go:build cuda

// Package cudatest is what a test asks of the software driver (cuda/softdriver)
// beyond running kernels: what has been called and copied, and faults on
// purpose. With a real driver the tests that need it are skipped, by name.
package cudatest

/*
#cgo CFLAGS: -I${SRCDIR}/../softdriver
#include <dlfcn.h>
#include <stdlib.h>
#include "softdriver.h"

// found looks a function up in the driver that is loaded.
static void *found(const char *name) {
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
	return library ? dlsym(library, name) : NULL;
}

static int read_counters(struct softdriver_counters *counters) {
	void (*read)(struct softdriver_counters *) = (void (*)(struct softdriver_counters *))found("softdriver_read");
	if (!read) return 0;
	read(counters);
	return 1;
}

static long long ran(const char *kernel) {
	uint64_t (*f)(const char *) = (uint64_t (*)(const char *))found("softdriver_ran");
	return f ? (long long)f(kernel) : -1;
}

static int set(const char *name, const char *value) {
	int (*f)(const char *, const char *) = (int (*)(const char *, const char *))found("softdriver_set");
	return f ? f(name, value) : -1;
}
*/
import "C"

import (
	"fmt"
	"testing"
	"unsafe"

	"gpudae/cuda"
)

// Counters are what has happened since the start of the process, but for
// BytesAllocated, which is in use now.
type Counters struct {
	Launches         uint64 // of single kernels
	GraphLaunches    uint64
	Kernels          uint64 // that ran, those of graphs too
	Synchronizations uint64 // calls in which the host waited
	ToDevice, ToHost uint64 // copies
	BytesAllocated   uint64
}

// Read returns the counters.
func Read(t testing.TB) Counters {
	t.Helper()
	load(t)
	var c C.struct_softdriver_counters
	if C.read_counters(&c) == 0 {
		t.Skip("this test counts calls, which only the software driver does")
	}
	return Counters{Launches: uint64(c.launches), GraphLaunches: uint64(c.graph_launches), Kernels: uint64(c.kernels),
		Synchronizations: uint64(c.synchronizations), ToDevice: uint64(c.to_device), ToHost: uint64(c.to_host),
		BytesAllocated: uint64(c.bytes_allocated)}
}

// Since returns the difference to earlier counters.
func (c Counters) Since(before Counters) Counters {
	return Counters{Launches: c.Launches - before.Launches, GraphLaunches: c.GraphLaunches - before.GraphLaunches, Kernels: c.Kernels - before.Kernels,
		Synchronizations: c.Synchronizations - before.Synchronizations, ToDevice: c.ToDevice - before.ToDevice, ToHost: c.ToHost - before.ToHost,
		BytesAllocated: c.BytesAllocated - before.BytesAllocated}
}

// Ran says how often the kernel of that name has run.
func Ran(t testing.TB, kernel string) int {
	t.Helper()
	load(t)
	name := C.CString(kernel)
	defer C.free(unsafe.Pointer(name))
	n := C.ran(name)
	if n < 0 {
		t.Skip("this test counts kernels, which only the software driver does")
	}
	return int(n)
}

// Set changes a setting of the software driver, such as SOFTDRIVER_MEMORY, for
// the length of the test.
func Set(t testing.TB, name string, value int) {
	t.Helper()
	load(t)
	set(t, name, fmt.Sprint(value))
	t.Cleanup(func() { set(t, name, "") })
}

// load makes sure that the driver is there, whatever it says of its devices.
func load(t testing.TB) {
	t.Helper()
	if _, err := cuda.OpenDriver(); err != nil {
		t.Log(err)
	}
}

func set(t testing.TB, name, value string) {
	t.Helper()
	n, v := C.CString(name), C.CString(value)
	defer C.free(unsafe.Pointer(n))
	defer C.free(unsafe.Pointer(v))
	switch C.set(n, v) {
	case 0:
	case 1:
		t.Fatalf("the software driver has no setting %s", name)
	default:
		t.Skipf("this test needs the setting %s, which only the software driver has", name)
	}
}
