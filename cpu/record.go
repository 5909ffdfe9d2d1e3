package cpu

import (
	"slices"

	"gpudae/device"
	"gpudae/device/tape"
)

// note keeps an operation for later, if one is being recorded. Every operation calls it.
func note[Args any](d *Device, a Args, operation func(*Device, Args)) bool {
	if d.tape == nil {
		return false
	}
	keep(d, a, operation)
	return true
}

// keep is apart so that an operation that is not recorded needs no memory for its arguments.
func keep[Args any](d *Device, a Args, operation func(*Device, Args)) {
	d.tape.Put(a, func() { operation(d, a) })
}

// Record returns a program that issues the operations of body, which it calls once. Of a
// training step the norm of the gradient is added up as the layers make it and, without
// clipping, they update their weights while the gradient is in the cache.
func (d *Device) Record(body func()) (device.Program, error) {
	if d.err != nil {
		return nil, d.err
	}
	steps := d.steps(d.notes(body))
	return func() error {
		for _, step := range steps {
			step()
		}
		return d.err
	}, nil
}

// notes calls body and returns what it has asked for.
func (d *Device) notes(body func()) *tape.Tape {
	d.tape = &tape.Tape{}
	defer func() { d.tape = nil }()
	body()
	return d.tape
}

// steps are what a program calls, one after the other.
func (d *Device) steps(t *tape.Tape) []func() {
	p := newStepPlan(t.Operations())
	var steps []func()
	for i := range t.Operations() {
		if p.end != nil && p.end.applies() && i == p.first {
			for _, j := range p.early {
				steps = append(steps, t.Issue(j))
			}
			steps = append(steps, func() { d.begin(p.end) })
		}
		if !slices.Contains(p.early, i) {
			steps = append(steps, d.step(t, p, i))
		}
	}
	return steps
}

// step is operation i, or what takes its place.
func (d *Device) step(t *tape.Tape, p *stepPlan, i int) func() {
	switch {
	case p.end == nil:
	case p.layers[i] != nil:
		args, layer := t.Operations()[i].(device.DenseBackwardArgs), p.layers[i]
		return func() {
			if d.err == nil {
				d.backward(&args, layer)
			}
		}
	case i == p.norm:
		return func() { d.finishNorm(p.end) }
	case i == p.update && p.end.applies():
		return func() { d.finishUpdate(p.end) }
	}
	return t.Issue(i)
}

// stepPlan says which operations of a recorded step do a part of its end.
type stepPlan struct {
	operations   []any
	end          *stepEnd // nil: the operations are no training step that ends so
	norm, update int
	layers       map[int]*layerEnd // of the DenseBackwards whose gradient of weights is taken as it is made
	first        int               // of them
	early        []int             // operations that make the loss, which the update needs to know, and can be issued before the first of them
}

func newStepPlan(operations []any) *stepPlan {
	p := &stepPlan{operations: operations, layers: map[int]*layerEnd{}}
	var update device.UpdateArgs
	if !p.findEnd(&update) {
		return p
	}
	end := &stepEnd{update: update}
	for i := range p.norm {
		if b, ok := operations[i].(device.DenseBackwardArgs); ok && p.takes(i, &b, &update) {
			if len(end.layers) == 0 {
				p.first = i
			}
			layer := &layerEnd{end: end, first: b.DW.Offset - update.Grads.Offset, count: b.DW.Len()}
			p.layers[i] = layer
			end.layers = append(end.layers, layer)
		}
	}
	if len(end.layers) == 0 {
		return p
	}
	p.end = end
	if p.knowsFirst(&update) {
		for i, layer := range p.layers {
			layer.applied = p.leaves(i, layer)
		}
	}
	if !end.applies() {
		p.early = nil
	}
	end.unsquared = end.without(func(*layerEnd) bool { return true })
	end.unapplied = end.without(func(l *layerEnd) bool { return l.applied })
	return p
}

// findEnd looks for the one update, and the norm of its gradient, behind which nothing touches that.
func (p *stepPlan) findEnd(update *device.UpdateArgs) bool {
	norms, updates := 0, 0
	for i, o := range p.operations {
		if a, ok := o.(device.UpdateArgs); ok {
			updates++
			p.update, *update = i, a
		}
	}
	if updates != 1 {
		return false
	}
	for i, o := range p.operations[:p.update] {
		a, ok := o.(device.ReduceArgs)
		if ok && a.Kind == device.SumSquares && a.X == update.Grads && a.Out == update.GradSq {
			norms++
			p.norm = i
		}
	}
	return norms == 1 && !p.touched(p.norm+1, p.update, update.Grads, update.GradSq) &&
		!p.touched(p.update+1, len(p.operations), update.Grads)
}

// touched reports whether an operation of from to end touches one of the views.
func (p *stepPlan) touched(from, end int, views ...device.View) bool {
	return slices.ContainsFunc(p.operations[from:end], func(o any) bool {
		return slices.ContainsFunc(views, func(v device.View) bool { return tape.Touches(o, v) })
	})
}

// takes reports whether operation i alone makes the gradient of weights that the update takes.
func (p *stepPlan) takes(i int, b *device.DenseBackwardArgs, update *device.UpdateArgs) bool {
	return b.DW.Len() > 0 && !b.Accumulate && tape.Within(b.DW, update.Grads) &&
		!p.touched(0, i, b.DW) && !p.touched(i+1, p.norm, b.DW)
}

// knowsFirst reports whether all that the update needs but the gradient is known when the first layer
// makes its own, if those operations that make the loss are issued before, and which they are.
func (p *stepPlan) knowsFirst(update *device.UpdateArgs) bool {
	if update.Clip != 0 || p.touched(p.first, p.update, update.First, update.Second, update.EMA, update.Rates, update.Spikes) {
		return false
	}
	between := p.operations[p.first:p.update]
	if slices.ContainsFunc(between, func(o any) bool { _, ok := o.(device.TickArgs); return ok }) {
		return false
	}
	for i := p.first; i < p.update; i++ {
		if p.touched(i, i+1, update.Loss) {
			p.early = append(p.early, i)
		}
	}
	if slices.ContainsFunc(p.early, func(i int) bool { return !p.movable(i) }) {
		p.early = nil
		return false
	}
	return true
}

// movable reports whether an operation may be issued before the first layer: it is one of numbers alone, and none that
// it overtakes touches what it does.
func (p *stepPlan) movable(i int) bool {
	switch p.operations[i].(type) {
	case device.ReduceArgs, device.CombineArgs:
	default:
		return false
	}
	for j := p.first; j < i; j++ {
		if !slices.Contains(p.early, j) && p.touched(j, j+1, tape.Views(p.operations[i])...) {
			return false
		}
	}
	return true
}

// leaves reports whether nobody looks at a layer's weights once operation i has updated them, nor it itself but as weights.
func (p *stepPlan) leaves(i int, layer *layerEnd) bool {
	b := p.operations[i].(device.DenseBackwardArgs)
	b.W = device.View{}
	weights := layer.weights()
	return !tape.Touches(b, weights) && !p.touched(i+1, p.update, weights)
}
