//go:build cuda

package gpu

import (
	"errors"
	"fmt"
	"slices"

	"gpudae/cuda"
	"gpudae/cuda/cublaslt"
	"gpudae/device"
	"gpudae/gpu/fuse"
)

// errRecording is what an operation fails with that waits or copies.
var errRecording = errors.New("it cannot be part of a recording")

// recording is a program on its way: first its operations are noted, then its launches are
// kept, and then they are captured.
type recording struct {
	tape  *fuse.Tape // of operations; nil once they have been planned
	queue []queued
}

// queued is a launch with its words, or a product of cuBLASLt.
type queued struct {
	launched
	shared  int
	words   []uint64
	product *cublaslt.Product
}

// issue hands it to the driver, or to the library.
func (d *Device) issue(q queued) {
	if q.product != nil {
		d.queueProduct(*q.product)
	} else {
		d.queue(q.launched, q.shared, q.words)
	}
}

// note keeps an operation for later, if one is being recorded. Every operation calls it.
func note[Args any](d *Device, a Args, operation func(*Device, Args)) bool {
	if d.recording == nil || d.recording.tape == nil {
		return false
	}
	keep(d, a, operation)
	return true
}

// keep is apart so that an operation that is not recorded needs no memory for its arguments.
func keep[Args any](d *Device, a Args, operation func(*Device, Args)) {
	d.recording.tape.Put(a, func() { operation(d, a) })
}

// Record plans launches for the operations of body, which it calls once (package fuse),
// and captures them as CUDA graphs that live until Close, of one step and of graphSteps: the program queues the first step with one
// call of the driver, and then as many as a graph has once they are asked for, or one by one before anything else. A step that ends with Tick
// and begins with Gather leaves its end to the launch in which the next step begins, or to whatever else is asked for first. A step of
// a small net becomes one kernel instead, for all the steps that the host asks for before it
// waits, copies or queues anything else. With Options.Blocking the program calls body.
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
	tape := d.notes(body)
	if d.err != nil {
		return nil, d.err
	}
	net, why := d.smallNet(tape.Operations())
	if net != nil {
		d.recorded = fmt.Sprintf("one kernel for many steps, %s in %d bytes of shared memory", net.kernel, net.shared)
		return d.steps(net), nil
	}
	if d.err != nil {
		return nil, d.err
	}
	plan, err := d.plan(tape)
	if err != nil {
		return nil, err
	}
	program, err := d.graph(plan)
	if err != nil {
		return nil, err
	}
	d.recorded = fmt.Sprintf("graph of %d kernels%s: %v", len(program.steady), updating(plan), why)
	return d.replay(program), nil
}

// updating says where a plan's parameters are updated, if that is where their gradients are made.
func updating(p *fuse.Plan) string {
	if p.End != nil && p.End.Applied {
		return ", which update parameters as their gradients are made"
	}
	return ""
}

// notes calls body and returns what it has asked for.
func (d *Device) notes(body func()) *fuse.Tape {
	tape := &fuse.Tape{Narrows: d.narrows, Apart: d.gemm != GemmOwn}
	d.recording = &recording{tape: tape}
	defer func() { d.recording = nil }()
	body()
	return tape
}

// launches returns those that body makes.
func (d *Device) launches(body func()) []queued {
	made := &recording{}
	d.recording = made
	defer func() { d.recording = nil }()
	body()
	return made.queue
}

// graph is a recorded program. Where end is there, a step is left without it, and the one
// that follows begins with launches of next rather than of first, which are the same otherwise. many are graphSteps of next.
type graph struct {
	first, next, many *cuda.Graph
	begun, steady     []launched // the kernels of the first two
	end               []queued
}

// graphSteps is how many steps one graph has: so many are one call of the driver.
const graphSteps = 8

// graph captures a plan.
func (d *Device) graph(p *fuse.Plan) (*graph, error) {
	shares, err := d.newShares(p)
	if err != nil {
		return nil, err
	}
	stages, err := d.uploadStages(p.Begin)
	if err != nil {
		return nil, err
	}
	copies, err := d.uploadCopies(p.End)
	if err != nil {
		return nil, err
	}
	rule, err := d.uploadRule(p.End, shares)
	if err != nil {
		return nil, err
	}
	parts := parts{shares: shares, rule: rule, stages: stages, copies: copies}
	middle := d.launches(func() { d.middle(p, shares, rule, false) })
	begin := d.launches(func() { d.advance(p.Begin, nil, parts) })
	end := d.launches(func() { d.advance(nil, p.End, parts) })
	if d.err != nil {
		return nil, d.err
	}
	if !p.Overlaps() {
		return d.graphOf(slices.Concat(begin, middle, end), nil, nil)
	}
	both := d.launches(func() { d.advance(p.Begin, p.End, parts) })
	following := d.launches(func() { d.middle(p, shares, rule, true) })
	return d.graphOf(slices.Concat(begin, middle), slices.Concat(both, following), end)
}

// graphOf captures the first step and, if they are others, the launches of those that follow, which leave the end out.
func (d *Device) graphOf(first, next, end []queued) (*graph, error) {
	g := &graph{end: end}
	var err error
	if g.first, g.begun, err = d.capture(first); err != nil {
		return nil, err
	}
	g.next, g.steady = g.first, g.begun
	if next == nil {
		next = first
	} else if g.next, g.steady, err = d.capture(next); err != nil {
		return nil, err
	}
	g.many, _, err = d.capture(slices.Repeat(next, graphSteps))
	return g, err
}

// capture makes a graph of launches.
func (d *Device) capture(run []queued) (*cuda.Graph, []launched, error) {
	var kernels []launched
	made, err := d.context.Capture(func() {
		for _, q := range run {
			kernels = append(kernels, q.launched)
			d.issue(q)
		}
	})
	if err == nil {
		d.graphs = append(d.graphs, made)
	} else {
		d.fail(fmt.Sprintf("recording %d kernels", len(kernels)), err)
	}
	return made, kernels, d.err
}

// going is a program whose steps follow each other.
type going struct {
	graph *graph
	asked int // steps that follow and that are not queued
}

// replay is the program of a graph. It queues the first step at once and counts the others, which flush queues.
func (d *Device) replay(g *graph) device.Program {
	return func() error {
		if d.going.graph != g {
			d.flush()
			if d.err == nil {
				d.going.graph = g
				d.run(g.first, g.begun)
			}
			return d.err
		}
		if d.going.asked++; d.going.asked == graphSteps {
			d.going.asked = 0
			d.run(g.many, g.steady)
		}
		return d.err
	}
}

// run queues a graph of steps of these kernels.
func (d *Device) run(steps *cuda.Graph, kernels []launched) {
	if d.err != nil {
		return
	}
	d.suspects.addProgram(kernels)
	if err := steps.Launch(); err != nil {
		d.failLater(fmt.Sprintf("running %d recorded kernels", len(kernels)), err)
	}
}

// flush queues what programs have put off: steps, and the end of the last one. Whatever queues, copies or waits calls it first.
func (d *Device) flush() {
	d.flushSteps()
	g, asked := d.going.graph, d.going.asked
	if g == nil {
		return
	}
	d.going = going{}
	for range asked {
		d.run(g.next, g.steady)
	}
	for _, q := range g.end {
		d.issue(q)
		d.suspects.add(q.launched)
	}
}

// RecordedAs says how the program runs that was recorded last, and if that is a graph,
// why it is not one kernel for many steps.
func (d *Device) RecordedAs() string { return d.recorded }
