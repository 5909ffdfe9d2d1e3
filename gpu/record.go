//go:build cuda

package gpu

import (
	"fmt"

	"gpudae/device"
)

// Record captures the operations of body, which it calls once, as a CUDA graph
// that lives until Close; the program queues all of them with one call of the
// driver. With Options.Blocking the program calls body instead.
func (d *Device) Record(body func()) (device.Program, error) {
	if d.err != nil {
		return nil, d.err
	}
	if d.options.Blocking {
		return func() error {
			body()
			return d.err
		}, nil
	}
	var program []launched
	d.recording = &program
	defer func() { d.recording = nil }()
	graph, err := d.context.Capture(body)
	if d.err != nil { // it says more than what the capture makes of it
		return nil, d.err
	}
	if err != nil {
		d.fail(fmt.Sprintf("recording %d kernels", len(program)), err)
		return nil, d.err
	}
	d.graphs = append(d.graphs, graph)
	return func() error {
		if d.err != nil {
			return d.err
		}
		d.suspects.addProgram(program)
		if err := graph.Launch(); err != nil {
			d.failLater(fmt.Sprintf("running %d recorded kernels", len(program)), err)
		}
		return d.err
	}, nil
}
