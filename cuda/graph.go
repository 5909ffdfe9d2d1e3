//go:build cuda

package cuda

/*
#include <cuda.h>
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Graph is a recorded run of launches: one call of the driver repeats them all.
type Graph struct {
	context *Context
	exec    C.CUgraphExec
}

// Capture records what body queues on the context, without running any of it.
// Copies to or from memory that is not pinned, allocations and waiting are no
// part of a graph, and fail inside body.
func (c *Context) Capture(body func()) (*Graph, error) {
	defer runtime.UnlockOSThread() // the thread that begins a capture ends it
	if err := c.enter(); err != nil {
		return nil, err
	}
	if err := check("cuStreamBeginCapture", C.cuStreamBeginCapture(c.handle(), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), ""); err != nil {
		return nil, err
	}
	graph, err := c.captured(body)
	if err != nil {
		return nil, err
	}
	defer C.cuGraphDestroy(graph) // the executable form is a copy
	g := &Graph{context: c}
	if err := check("cuGraphInstantiate", C.cuGraphInstantiateWithFlags(&g.exec, graph, 0), ""); err != nil {
		return nil, err
	}
	return g, nil
}

// captured runs body and ends the capture, also when body panics.
func (c *Context) captured(body func()) (graph C.CUgraph, err error) {
	defer func() {
		err = check("cuStreamEndCapture", C.cuStreamEndCapture(c.handle(), &graph), "")
	}()
	body()
	return
}

// Launch queues the whole graph.
func (g *Graph) Launch() error {
	defer runtime.UnlockOSThread()
	if err := g.context.enter(); err != nil {
		return err
	}
	return check("cuGraphLaunch", C.cuGraphLaunch(g.exec, g.context.handle()), "")
}

// Close releases the graph.
func (g *Graph) Close() error {
	defer runtime.UnlockOSThread()
	if err := g.context.enter(); err != nil {
		return err
	}
	return check("cuGraphExecDestroy", C.cuGraphExecDestroy(g.exec), "")
}

// handle is the stream as this package's C sees it.
func (c *Context) handle() C.CUstream { return C.CUstream(unsafe.Pointer(c.stream.C())) }
