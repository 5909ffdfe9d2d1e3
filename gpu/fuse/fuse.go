// Package fuse plans the launches of a recorded program: it finds operations that one
// launch can make together without a difference to what the program leaves, as their
// arguments show it.
//
//	Gather, Corrupt...                        a Beginning: each row is a block's work
//	Dense, Likelihood                         a Loss: the output is read by nothing else
//	Reduce, Combine, Reduce, Update, Tick     an Ending: each block adds up the shares of loss and norm
//	an Ending, and the Beginning after it     where both follow the same clock
//	DenseBackward, Update of its parameters   where the update needs the gradient of no other
//
// Where products want their factors as bfloat16, it says which operands have to be copied before which
// operation: those of which no copy was made since an operation has written them. What such a product has made is copied by it,
// minibatch and corruption by the Beginning, and parameters, for a run that follows in the same launch, by the Ending.
//
// Of intermediate results it does without, three are observable: the losses of the rows, where
// only their sum is asked for; the gradient, where it is only for its norm and the update; and, of a step that leaves its end to the next, what
// its corruption makes and no operation reads. The order of additions changes for that sum, and for the sum of
// squares of the gradient where the launches that make the gradient leave it too. All else
// keeps its bits.
//
// The package must not know kernels, addresses or a driver: it sees the arguments of
// operations.
package fuse

import (
	"slices"

	"gpudae/device"
	"gpudae/device/tape"
)

// Tape is a program's operations, and what the device asks of their plan.
type Tape struct {
	// Narrows lists the operands of an operation of which it wants copies in bfloat16; nil: none of any.
	Narrows func(operation any) []device.View
	// Apart says that what makes gradients updates no parameters.
	Apart bool

	tape.Tape
}

// Plan is a program: its parts in their order, of which the first and the last may be
// absent.
type Plan struct {
	Begin  *Beginning
	Middle []Step
	End    *Ending
}

// Overlaps reports whether the beginning of the next run may share a launch with the end of this:
// one clock tells both what to do, and neither writes what the other one reads or writes.
func (p *Plan) Overlaps() bool {
	if p.Begin == nil || p.End == nil || p.Begin.Gather.Clock != p.End.Tick.Clock {
		return false
	}
	b, e := p.Begin, p.End
	for _, made := range b.makes() {
		if tape.Touches(e.Update, made) || tape.Touches(e.Tick, made) || tape.Overlap(e.Losses, made) {
			return false
		}
	}
	for _, s := range b.Stages {
		for _, made := range []device.View{e.Update.Params, e.Update.First, e.Update.Second, e.Update.EMA, e.Update.Spikes, e.Tick.Log, e.Loss, e.GradSq} {
			if tape.Touches(s, made) {
				return false
			}
		}
	}
	return true
}

// inputs lists the minibatch and, if it is corrupted, that: what a layer may read; nothing without a beginning.
func (b *Beginning) inputs() []device.View {
	if b == nil {
		return nil
	}
	if len(b.Stages) == 0 {
		return []device.View{b.Gather.X}
	}
	return []device.View{b.Gather.X, b.Stages[0].To}
}

// makes lists what a beginning writes.
func (b *Beginning) makes() []device.View {
	made := b.inputs()
	if len(b.Stages) > 0 {
		made = append(made, b.Stages[0].Mask)
	}
	return made
}

// Step is one of Issue, an operation by itself, Loss and Backward.
type Step struct {
	Narrow   []device.View // of which copies are made before, since there are none or they have changed
	Kept     []device.View // so too, but in a run whose beginning shares a launch with the end of the one before, which has left them
	Beside   device.View   // the result of products that read copies, of which they leave one beside it; or absent
	Issue    func()
	Loss     *Loss
	Backward *device.DenseBackwardArgs // leaves the sums of the squares of DW and DBias too
	Weights  device.View               // which Backward updates and products read as copies, of which it leaves one; or absent
}

// Beginning is a minibatch and its corruption.
type Beginning struct {
	Gather device.GatherArgs
	Stages []device.CorruptArgs
	Beside []device.View // of what it makes, matrices of which it leaves a copy
	Unread []device.View // of what corruption makes, matrices that no operation reads, but for copies of them: they need not be made
}

// Loss is a dense layer whose output becomes the gradient by it at once; the sum of the
// losses is left in shares.
type Loss struct {
	Dense      device.DenseArgs
	Likelihood device.LikelihoodArgs
}

// Ending is what follows the gradient.
type Ending struct {
	Losses  device.View // whose sum times Mean is the loss; absent: shares of the plan's Loss
	Squares device.View // whose sum of squares is the norm's; absent: shares of the plan's Backwards
	Mean    float32
	Loss    device.View // out [1, 1]
	GradSq  device.View // out [1, 1]
	Update  device.UpdateArgs
	Tick    device.TickArgs
	// Applied says that the plan's Backwards update the parameters whose gradient they make, which goes nowhere. What is left
	// to the end is loss, norm and Tick. The step's numbers are there when it begins.
	Applied bool
	Copies  []device.View // of the parameters, matrices of which it leaves a copy where the next run begins in the same launch
}

// Plan makes the plan of the program.
func (t *Tape) Plan() *Plan {
	p, operations := &Plan{}, t.Operations()
	var first, used int
	p.Begin, first = beginning(operations)
	p.End, used = ending(operations[first:])
	middle := operations[first : len(operations)-used]
	squared, gradient := false, device.View{}
	if p.End != nil && onlyByLayers(middle, p.End.Squares) {
		squared, gradient, p.End.Squares = true, p.End.Squares, device.View{}
	}
	made := copies{results: map[device.View]int{}, narrows: t.Narrows}
	for _, v := range p.Begin.inputs() {
		made.results[v] = byBeginning
	}
	for i := 0; i < len(middle); i++ {
		var step Step
		step.Narrow = made.before(middle[i], p)
		made.after(middle[i])
		result := made.result(middle[i])
		if loss := lossAt(middle, i, p.End); loss != nil {
			step.Loss = loss
			p.End.Losses = device.View{}
			i++
			made.after(middle[i])
		} else if b, ok := middle[i].(device.DenseBackwardArgs); ok && squared {
			step.Backward = &b
		} else {
			step.Issue = t.Issue(first + i)
		}
		if !result.IsZero() {
			made.results[result] = len(p.Middle)
		}
		p.Middle = append(p.Middle, step)
	}
	if p.Overlaps() {
		p.End.Applied = squared && !t.Apart && p.applies(middle, gradient)
		p.keep(middle)
		p.Begin.leaveOut(middle, t.Narrows)
	}
	return p
}

// leaveOut finds what no operation after the beginning reads.
func (b *Beginning) leaveOut(operations []any, narrows func(operation any) []device.View) {
	if len(b.Stages) == 0 {
		return
	}
	for _, v := range []device.View{b.Stages[0].To, b.Stages[0].Mask} {
		if !slices.ContainsFunc(operations, func(o any) bool { return tape.Touches(o, v) && !readsCopy(o, v, narrows) }) {
			b.Unread = append(b.Unread, v)
		}
	}
}

// applies reports whether the plan's Backwards may update the parameters whose gradient they make: the update is that of this gradient, and
// needs no norm; whether its loss allows it is known before; and nobody looks at a parameter once it has been updated.
func (p *Plan) applies(operations []any, gradient device.View) bool {
	u := &p.End.Update
	if u.Clip != 0 || u.Grads != gradient || !u.Loss.IsZero() && !p.losesFirst() {
		return false
	}
	var updated []device.View
	for _, o := range operations {
		kept := slices.ContainsFunc([]device.View{u.First, u.Second, u.EMA, u.Rates, u.Spikes}, func(v device.View) bool { return tape.Touches(o, v) })
		if kept || slices.ContainsFunc(updated, func(v device.View) bool { return tape.Touches(o, v) }) {
			return false
		}
		b, ok := o.(device.DenseBackwardArgs)
		if !ok {
			continue
		}
		weights, biases := p.parameters(b.DW), p.parameters(b.DBias)
		others := b
		others.W = device.View{} // which is read before it is written
		if b.Accumulate || tape.Touches(others, weights) || tape.Touches(b, biases) {
			return false
		}
		updated = append(updated, weights, biases)
	}
	return true
}

// losesFirst reports whether the sums of the losses are there before a Backward runs.
func (p *Plan) losesFirst() bool {
	for _, s := range p.Middle {
		if s.Loss != nil || s.Backward != nil {
			return s.Loss != nil
		}
	}
	return false
}

// parameters are those whose gradient goes to a view; absent if that is.
func (p *Plan) parameters(gradient device.View) device.View {
	if gradient.IsZero() {
		return gradient
	}
	u := &p.End.Update
	return device.View{Memory: u.Params.Memory, Offset: u.Params.Offset + gradient.Offset - u.Grads.Offset, Rows: gradient.Rows, Columns: gradient.Columns}
}

// beginning reads a minibatch and the stages of its corruption from the front, and says how
// many operations they are.
func beginning(operations []any) (*Beginning, int) {
	if len(operations) == 0 {
		return nil, 0
	}
	gather, ok := operations[0].(device.GatherArgs)
	if !ok {
		return nil, 0
	}
	b := &Beginning{Gather: gather}
	for _, o := range operations[1:] {
		s, ok := o.(device.CorruptArgs)
		if !ok || !b.takes(&s) {
			break
		}
		b.Stages = append(b.Stages, s)
	}
	return b, 1 + len(b.Stages)
}

// takes reports whether a stage goes on where the minibatch, or the stage before, has ended.
func (b *Beginning) takes(s *device.CorruptArgs) bool {
	g, from, mask := &b.Gather, b.Gather.X, s.Mask
	if len(b.Stages) > 0 {
		before := &b.Stages[len(b.Stages)-1]
		from, mask = before.To, before.Mask
		if s.To != before.To || s.Absent != before.Absent {
			return false
		}
	}
	return s.From == from && s.Mask == mask && s.Accumulate == (len(b.Stages) > 0) &&
		!tape.Overlap(s.To, g.X) && !tape.Overlap(s.Mask, g.X) && !tape.Overlap(s.Mask, s.To) &&
		s.Index == g.Index && s.Clock == g.Clock && s.Replicates == g.Replicates &&
		(!s.Kind.Swaps() || s.Data == g.Data && s.Part == g.Part)
}

// ending reads what follows the gradient from the back, and says how many operations it is.
func ending(operations []any) (*Ending, int) {
	back := reader{operations: operations}
	tick, update, norm := previous[device.TickArgs](&back), previous[device.UpdateArgs](&back), previous[device.ReduceArgs](&back)
	if back.failed {
		return nil, 0
	}
	e := &Ending{Update: update, Tick: tick, Squares: norm.X, GradSq: norm.Out, Mean: 1}
	combined := false
	var mean device.CombineArgs
	if len(back.operations) > 0 {
		mean, combined = back.operations[len(back.operations)-1].(device.CombineArgs)
	}
	if combined {
		back.operations = back.operations[:len(back.operations)-1]
		e.Mean = mean.Alpha
	}
	sum := previous[device.ReduceArgs](&back)
	e.Losses, e.Loss = sum.X, sum.Out
	if back.failed || combined && (mean.A != sum.Out || mean.Dst != sum.Out || !mean.B.IsZero()) ||
		sum.Kind != device.Sum || sum.PerRow || norm.Kind != device.SumSquares || norm.PerRow || !e.closed() {
		return nil, 0
	}
	return e, len(operations) - len(back.operations)
}

// closed reports whether update and tick look at this loss and this norm, and at one clock
// and one record of spikes.
func (e *Ending) closed() bool {
	u, t := &e.Update, &e.Tick
	return u.GradSq == e.GradSq && (u.Loss.IsZero() || u.Loss == e.Loss) && u.Clock == t.Clock && !tape.Overlap(e.Loss, e.GradSq) &&
		u.Spikes == t.Spikes && (u.Spikes.IsZero() || u.SpikeLimit == t.SpikeLimit && t.Loss == e.Loss) && u.Params.Len() > 0
}

// reader takes operations from the back.
type reader struct {
	operations []any
	failed     bool
}

// previous takes the last operation, which must be of one type.
func previous[A any](r *reader) A {
	var a A
	if r.failed || len(r.operations) == 0 {
		r.failed = true
		return a
	}
	a, ok := r.operations[len(r.operations)-1].(A)
	r.operations = r.operations[:len(r.operations)-1]
	r.failed = !ok
	return a
}

// lossAt is the dense layer at a place with the likelihood that follows it, or nil where
// they need two launches.
func lossAt(operations []any, i int, end *Ending) *Loss {
	if end == nil || end.Losses.IsZero() || i+1 >= len(operations) {
		return nil
	}
	d, isDense := operations[i].(device.DenseArgs)
	l, isLikelihood := operations[i+1].(device.LikelihoodArgs)
	if !isDense || !isLikelihood {
		return nil
	}
	if l.Kind != device.Bernoulli && l.Kind != device.Gaussian && l.Kind != device.Poisson {
		return nil // a parameter's gradient depends on others
	}
	if l.Params != d.Y || l.DParams != d.Y || d.Act != device.Identity || !d.Pre.IsZero() || !l.ByColumn.IsZero() || l.MaskHead != 0 ||
		tape.Overlap(l.Target, d.Y) || tape.Overlap(l.Mask, d.Y) || tape.Overlap(l.Weights, d.Y) {
		return nil
	}
	if !tape.Same(l.Losses, end.Losses) {
		return nil
	}
	for j, o := range operations {
		if j != i+1 && tape.Touches(o, l.Losses) {
			return nil
		}
	}
	return &Loss{Dense: d, Likelihood: l}
}

// onlyByLayers reports whether the gradient consists of what DenseBackwards store, each of it
// once, so that they can leave the sum of its squares.
func onlyByLayers(operations []any, gradient device.View) bool {
	var stored []device.View
	for _, o := range operations {
		b, ok := o.(device.DenseBackwardArgs)
		if !ok {
			if tape.Touches(o, gradient) {
				return false
			}
			continue
		}
		for _, v := range []device.View{b.DW, b.DBias} {
			if !v.IsZero() {
				stored = append(stored, v)
			}
		}
	}
	length := 0
	for i, v := range stored {
		if !tape.Within(v, gradient) {
			return false
		}
		for _, other := range stored[:i] {
			if tape.Overlap(v, other) {
				return false
			}
		}
		length += v.Len()
	}
	return length == gradient.Len()
}
