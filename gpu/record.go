//go:build cuda

package gpu

import (
	"fmt"

	"gpudae/cuda"
	"gpudae/device"
)

// recording is a program on its way.
type recording struct {
	kernels    []launched
	operations []any // the arguments of the operations, in the order of the calls
}

// note adds an operation to the recording, if there is one. Every operation calls it.
func note[Args any](d *Device, a Args) {
	if d.recording != nil {
		d.recording.operations = append(d.recording.operations, a)
	}
}

// Record captures the operations of body, which it calls once, as a CUDA graph
// that lives until Close; the program queues all of them with one call of the
// driver. A step of a small net becomes one kernel instead, for all the steps that the
// host asks for before it waits, copies or queues anything else. With Options.Blocking
// the program calls body.
func (d *Device) Record(body func()) (device.Program, error) {
	d.flush()
	if d.err != nil {
		return nil, d.err
	}
	if d.options.Blocking {
		d.recorded = "kernel by kernel"
		return func() error {
			body()
			return d.err
		}, nil
	}
	var made recording
	d.recording = &made
	defer func() { d.recording = nil }()
	graph, err := d.context.Capture(body)
	d.recording = nil
	if d.err != nil { // it says more than what the capture makes of it
		return nil, d.err
	}
	if err != nil {
		d.fail(fmt.Sprintf("recording %d kernels", len(made.kernels)), err)
		return nil, d.err
	}
	d.graphs = append(d.graphs, graph)
	net, err := d.smallNet(made.operations)
	if net != nil {
		d.recorded = fmt.Sprintf("one kernel for many steps, in %d bytes of shared memory", net.shared)
		return d.steps(net), nil
	}
	if d.err != nil {
		return nil, d.err
	}
	d.recorded = fmt.Sprintf("graph of %d kernels: %v", len(made.kernels), err)
	return d.replay(graph, made.kernels), nil
}

// replay is the program of a graph.
func (d *Device) replay(graph *cuda.Graph, kernels []launched) device.Program {
	return func() error {
		d.flush()
		if d.err != nil {
			return d.err
		}
		d.suspects.addProgram(kernels)
		if err := graph.Launch(); err != nil {
			d.failLater(fmt.Sprintf("running %d recorded kernels", len(kernels)), err)
		}
		return d.err
	}
}

// RecordedAs says how the program runs that was recorded last, and if that is a graph,
// why it is not one kernel for many steps.
func (d *Device) RecordedAs() string { return d.recorded }
