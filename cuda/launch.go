//go:build cuda

package cuda

import (
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// mostArguments is more than any kernel of this project takes.
const mostArguments = 32

// arguments are the words of a launch and the pointers to them that the driver
// wants, made once so that a launch allocates nothing here.
type arguments struct {
	words    [mostArguments]uint64
	pointers [mostArguments]unsafe.Pointer
}

func (a *arguments) init() {
	for i := range a.words {
		a.pointers[i] = unsafe.Pointer(&a.words[i])
	}
}

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

// Launch queues a kernel, of grid blocks by block threads, with a word an
// argument. A failure while the kernel runs is reported by a later call.
func (c *Context) Launch(f Function, grid, block int, words ...uint64) error {
	if len(words) > mostArguments {
		panic(fmt.Sprintf("cuda: %s takes %d arguments", f.name, len(words)))
	}
	defer runtime.UnlockOSThread()
	if err := c.enter(); err != nil {
		return err
	}
	copy(c.launch.words[:], words)
	err := f.function.Launch(grid, 1, 1, block, 1, 1, 0, c.stream, c.launch.pointers[:len(words)])
	if err == nil {
		return nil
	}
	return failed("cuLaunchKernel", err, "%s, %d blocks of %d threads", f.name, grid, block)
}
