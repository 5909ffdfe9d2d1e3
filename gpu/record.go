//go:build cuda

package gpu

import (
	"errors"
	"fmt"

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
// and captures them as a CUDA graph that lives until Close; the program queues all of them
// with one call of the driver. A step that ends with Tick and begins with Gather leaves its end
// to the launch in which the next step begins, or to whatever else is asked for first. A step of
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
	d.recorded = fmt.Sprintf("graph of %d kernels%s: %v", len(program.kernels()), updating(plan), why)
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
// that follows begins with launches of next rather than of first.
type graph struct {
	first, next   *cuda.Graph
	begun, steady []launched // the kernels of the two
	end           []queued
}

// kernels are those of a step among others.
func (g *graph) kernels() []launched {
	if g.next != nil {
		return g.steady
	}
	return g.begun
}

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
	g := &graph{}
	if !p.Overlaps() {
		g.first, g.begun, err = d.capture(begin, middle, end)
		return g, err
	}
	both := d.launches(func() { d.advance(p.Begin, p.End, parts) })
	following := d.launches(func() { d.middle(p, shares, rule, true) })
	if g.first, g.begun, err = d.capture(begin, middle); err != nil {
		return nil, err
	}
	g.next, g.steady, err = d.capture(both, following)
	g.end = end
	return g, err
}

// capture makes a graph of launches.
func (d *Device) capture(runs ...[]queued) (*cuda.Graph, []launched, error) {
	var kernels []launched
	made, err := d.context.Capture(func() {
		for _, run := range runs {
			for _, q := range run {
				kernels = append(kernels, q.launched)
				d.issue(q)
			}
		}
	})
	if err == nil {
		d.graphs = append(d.graphs, made)
	} else {
		d.fail(fmt.Sprintf("recording %d kernels", len(kernels)), err)
	}
	return made, kernels, d.err
}

// replay is the program of a graph.
func (d *Device) replay(g *graph) device.Program {
	return func() error {
		run, kernels := g.first, g.begun
		if d.unfinished == g {
			run, kernels = g.next, g.steady
		} else {
			d.flush()
		}
		if d.err != nil {
			return d.err
		}
		d.suspects.addProgram(kernels)
		if err := run.Launch(); err != nil {
			d.failLater(fmt.Sprintf("running %d recorded kernels", len(kernels)), err)
		}
		if g.end != nil {
			d.unfinished = g
		}
		return d.err
	}
}

// flush queues what programs have put off: the steps of a small net, or the end of a
// step. Whatever queues, copies or waits calls it first.
func (d *Device) flush() {
	d.flushSteps()
	g := d.unfinished
	if g == nil {
		return
	}
	d.unfinished = nil
	for _, q := range g.end {
		d.issue(q)
		d.suspects.add(q.launched)
	}
}

// RecordedAs says how the program runs that was recorded last, and if that is a graph,
// why it is not one kernel for many steps.
func (d *Device) RecordedAs() string { return d.recorded }
