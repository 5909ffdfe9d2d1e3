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
	g := &Graph{context: c}
	err := c.capture(body, func(graph C.CUgraph) error {
		return check("cuGraphInstantiate", C.cuGraphInstantiateWithFlags(&g.exec, graph, 0), "")
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// capture records body and hands what was recorded to use, which copies it.
func (c *Context) capture(body func(), use func(C.CUgraph) error) error {
	defer runtime.UnlockOSThread() // the thread that begins a capture ends it
	if err := c.enter(); err != nil {
		return err
	}
	graph, err := c.captured(body)
	if err != nil {
		return err
	}
	defer C.cuGraphDestroy(graph)
	return use(graph)
}

// captured runs body and ends the capture, also when body panics.
func (c *Context) captured(body func()) (graph C.CUgraph, err error) {
	if err := check("cuStreamBeginCapture", C.cuStreamBeginCapture(c.handle(), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), ""); err != nil {
		return nil, err
	}
	defer func() {
		err = check("cuStreamEndCapture", C.cuStreamEndCapture(c.handle(), &graph), "")
	}()
	body()
	return
}

// Update records body and puts its arguments in the place of the graph's, for the
// launches from now on, which is cheaper than a new graph. It reports false, and
// leaves the graph as it is, where body does not queue the same kernels, copies
// and fills in the same order.
func (g *Graph) Update(body func()) (bool, error) {
	updated := false
	err := g.context.capture(body, func(graph C.CUgraph) error {
		var info C.CUgraphExecUpdateResultInfo
		result := C.cuGraphExecUpdate(g.exec, graph, &info)
		if result == C.CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE {
			return nil
		}
		updated = result == C.CUDA_SUCCESS
		return check("cuGraphExecUpdate", result, "result %d", int(info.result))
	})
	return updated, err
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
