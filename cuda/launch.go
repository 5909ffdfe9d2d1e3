//go:build cuda

package cuda

/*
#include <cuda.h>

enum { mostArguments = 64 }; // more than any kernel of this project takes

// launch queues a kernel. The driver wants a pointer to each word: they are made here, on C's stack. Go
// must not store pointers in memory of C that is not zeroed, as cu.Function.Launch does: while garbage is being collected,
// what lay there before is taken for a pointer of Go.
static CUresult launch(CUfunction f, unsigned grid, unsigned block, unsigned shared, CUstream stream, cuuint64_t *words, int count) {
	void *pointers[mostArguments];
	for (int i = 0; i < count; i++)
		pointers[i] = words + i;
	return cuLaunchKernel(f, grid, 1, 1, block, 1, 1, shared, stream, pointers, NULL);
}
*/
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// arguments are the words of a launch, in memory of their own so that a launch allocates
// nothing.
type arguments [C.mostArguments]C.cuuint64_t

// Function is a kernel of the loaded module.
type Function struct {
	name     string
	function cu.Function
}

// Load loads the module, a fatbin, of which the driver takes the machine code
// for the device or compiles the PTX. A context has one module.
func (c *Context) Load(image []byte) error {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return err
	}
	var err error
	if c.module, err = cu.LoadData(string(image)); err != nil {
		return failed("cuModuleLoadData", err, "%d bytes", len(image))
	}
	c.loaded = true
	return nil
}

// Function finds a kernel by its entry point.
func (c *Context) Function(name string) (Function, error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return Function{}, err
	}
	f, err := c.module.Function(name)
	return Function{name: name, function: f}, failed("cuModuleGetFunction", err, "%s", name)
}

// FunctionAttribute is what a driver knows of a kernel once it is loaded.
type FunctionAttribute int

// All but the last two are read only.
const (
	MaxThreads       FunctionAttribute = C.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK            // with the registers that it takes
	SharedBytes      FunctionAttribute = C.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES                // static, of a block
	LocalBytes       FunctionAttribute = C.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES                 // of a thread
	Registers        FunctionAttribute = C.CU_FUNC_ATTRIBUTE_NUM_REGS                         // of a thread
	ClusterWidth     FunctionAttribute = C.CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH           // blocks of a cluster, along the grid; 0: the kernel has no clusters
	MaxDynamicShared FunctionAttribute = C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES    // that a launch may ask for; 48 KiB unless set
	SharedCarveout   FunctionAttribute = C.CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT // percent of a multiprocessor's cache to be shared memory; -1: the driver chooses
)

// Attribute asks for an attribute of a kernel, which loads the kernel if the
// driver has put that off.
func (c *Context) Attribute(f Function, a FunctionAttribute) (int, error) {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return 0, err
	}
	var value C.int
	err := check("cuFuncGetAttribute", C.cuFuncGetAttribute(&value, C.CUfunction_attribute(a), f.handle()), "%s, attribute %d", f.name, int(a))
	return int(value), err
}

// SetAttribute sets an attribute of a kernel.
func (c *Context) SetAttribute(f Function, a FunctionAttribute, value int) error {
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return err
	}
	return check("cuFuncSetAttribute", C.cuFuncSetAttribute(f.handle(), C.CUfunction_attribute(a), C.int(value)), "%s, attribute %d to %d", f.name, int(a), value)
}

// handle is the kernel as this package's C sees it: gorgonia.org/cu keeps it, and
// nothing else, in a field that it does not export.
func (f Function) handle() C.CUfunction { return *(*C.CUfunction)(unsafe.Pointer(&f.function)) }

// Launch queues a kernel, of grid blocks by block threads, with a word an
// argument. A failure while the kernel runs is reported by a later call.
func (c *Context) Launch(f Function, grid, block int, words ...uint64) error {
	return c.LaunchShared(f, grid, block, 0, words...)
}

// LaunchShared is Launch with so many bytes of dynamic shared memory a block, which
// beyond 48 KiB the attribute MaxDynamicShared must allow.
func (c *Context) LaunchShared(f Function, grid, block, shared int, words ...uint64) error {
	if len(words) > len(c.launch) {
		panic(fmt.Sprintf("cuda: %s takes %d arguments", f.name, len(words)))
	}
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return err
	}
	for i, w := range words {
		c.launch[i] = C.cuuint64_t(w)
	}
	result := C.launch(f.handle(), C.uint(grid), C.uint(block), C.uint(shared), c.handle(), &c.launch[0], C.int(len(words)))
	if result == C.CUDA_SUCCESS {
		return nil
	}
	return check("cuLaunchKernel", result, "%s, %d blocks of %d threads", f.name, grid, block)
}
