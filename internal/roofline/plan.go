package roofline

import (
	"slices"

	"gpudae/device"
	"gpudae/gpu/fuse"
	"gpudae/kernels"
)

// plan counts the launches of a step that follows another of the same program.
func (c *Counter) plan(p *fuse.Plan) {
	first := len(c.program)
	if p.Overlaps() {
		c.program = append(c.program, Launch{}) // filled in below, when the shares have been counted
	} else if p.Begin != nil {
		l := Launch{Kernel: p.Begin.Gather.Data.(*dataset).advance, Rows: p.Begin.Gather.X.Rows, Columns: 1}
		beginning(&l, p.Begin)
		c.put(l)
	}
	shares := c.middle(p)
	switch {
	case p.End == nil:
	case p.Overlaps():
		l := &c.program[first]
		*l = Launch{Kernel: p.Begin.Gather.Data.(*dataset).advance, Rows: p.Begin.Gather.X.Rows, Columns: 1}
		beginning(l, p.Begin)
		ending(l, p.End, shares)
	default:
		l := Launch{Kernel: kernels.AdvanceF32, Columns: 1}
		ending(&l, p.End, shares)
		c.put(l)
	}
}

// middle counts what lies between beginning and end in a step that follows another, which has left copies of parameters, and
// returns the number of sums by block that are left for the end.
func (c *Counter) middle(p *fuse.Plan) (shares int) {
	c.planned = true
	defer func() { c.planned, c.beside = false, device.View{} }()
	for _, step := range p.Middle {
		for _, v := range step.Narrow {
			c.narrow(v)
		}
		c.beside = step.Beside
		switch {
		case step.Loss != nil:
			l, tiles := c.dense(&step.Loss.Dense)
			a := &step.Loss.Likelihood
			l.Read += bytes(a.Target, a.Mask, a.Weights)
			l.Written += 4 * int64(tiles)
			shares += tiles
			c.put(l)
		case step.Backward != nil:
			for _, a := range c.split(step.Backward, p.End.Applied) {
				l, squares := c.denseBackward(&a)
				l.Written += 4 * int64(squares)
				if p.End.Applied {
					l.apply(&a, &p.End.Update)
					if !step.Weights.IsZero() && !a.DW.IsZero() {
						l.Written += copyBytes(step.Weights)
					}
				}
				shares += squares
				c.put(l)
			}
		default:
			step.Issue()
		}
	}
	if p.End == nil {
		return shares
	}
	if v := p.End.Losses; !v.IsZero() && kernels.ShareBlocks(v.Len()) > 1 {
		shares += c.share(v)
	}
	if v := p.End.Squares; !v.IsZero() {
		shares += c.share(v)
	}
	return shares
}

// split is the launches that make a layer's gradients: two where those that update weights as they make them follow dX.
func (c *Counter) split(a *device.DenseBackwardArgs, updates bool) []device.DenseBackwardArgs {
	b := backward(a)
	if !updates || !c.isBig(b.Rows, b.In, b.Out) || !c.engine.Splits(b) {
		return []device.DenseBackwardArgs{*a}
	}
	input, rest := *a, *a
	input.DW, input.DBias, rest.DX = device.View{}, device.View{}, device.View{}
	return []device.DenseBackwardArgs{input, rest}
}

// apply puts the update of the parameters in the place of storing their gradients.
func (l *Launch) apply(a *device.DenseBackwardArgs, u *device.UpdateArgs) {
	gradients := bytes(a.DW, a.DBias)
	state := gradients / 4 * (optimizerState(u) / int64(u.Params.Len()))
	l.State = 2 * state
	l.Read += state
	l.Written += state - gradients
	l.Waits = !a.DX.IsZero() && !a.DW.IsZero()
}

// share counts a reduction of a view to sums by block.
func (c *Counter) share(v device.View) int {
	n := kernels.ShareBlocks(v.Len())
	c.add(kernels.ReduceAll, 1, v.Len(), bytes(v), 4*int64(n))
	return n
}

// beginning adds the traffic of a minibatch and its corruption.
func beginning(l *Launch, b *fuse.Beginning) {
	g := &b.Gather
	data := g.Data.(*dataset)
	l.Read += int64(g.X.Rows/g.Replicates)*int64(data.stride) + wordBytes(g.Clock)
	l.Written += bytes(g.X) + wordBytes(g.Index)
	for i, s := range b.Stages {
		l.Read += bytes(s.Low, s.High) + wordBytes(s.Rates, s.Continuous, s.Fields.OfColumn)
		if s.Kind.Swaps() {
			l.Read += int64(g.X.Rows) * int64(data.stride) // at most
		}
		if i == 0 {
			for _, v := range []device.View{s.To, s.Mask} {
				if !slices.Contains(b.Unread, v) {
					l.Written += bytes(v)
				}
			}
		}
	}
	for _, v := range b.Beside {
		l.Written += copyBytes(v)
	}
}

// ending adds the blocks and the traffic of an update and a tick, with so many sums by block.
func ending(l *Launch, e *fuse.Ending, shares int) {
	u, t := &e.Update, &e.Tick
	kept := wordBytes(t.Clock) + bytes(t.Values, t.Spikes)
	l.Read += kept + 4*int64(shares)
	if kernels.ShareBlocks(e.Losses.Len()) == 1 {
		l.Read += bytes(e.Losses)
	}
	l.Written += kept
	if e.Applied {
		return // without blocks of its own, since a step begins
	}
	state := optimizerState(u)
	l.Rows += kernels.UpdateBlocks(u.Params.Len())
	l.State = 2*state + bytes(u.Grads)
	l.Read += state + bytes(u.Grads)
	l.Written += state
	for _, v := range e.Copies {
		l.Written += copyBytes(v)
	}
}
