package fuse

import (
	"maps"
	"slices"

	"gpudae/device"
	"gpudae/device/tape"
)

// Factors are the operands of an operation's matrix products, if isBig says of one of its products,
// m×n with sums of k terms, that it takes copies of them.
func Factors(operation any, isBig func(m, n, k int) bool) []device.View {
	switch a := operation.(type) {
	case device.DenseArgs:
		if isBig(a.Y.Rows, a.Y.Columns, a.X.Columns) {
			return []device.View{a.X, a.W}
		}
	case device.DenseBackwardArgs:
		if !isBig(a.DA.Rows, a.X.Columns, a.DA.Columns) {
			return nil
		}
		var factors []device.View
		if !a.DX.IsZero() {
			factors = append(factors, a.DA, a.W)
		}
		if !a.DW.IsZero() {
			factors = append(factors, a.DA, a.X)
		}
		return factors
	}
	return nil
}

// readsCopy reports whether an operation reads elements of a matrix in no other way than by a copy of it, as the X of a layer.
func readsCopy(operation any, v device.View, narrows func(operation any) []device.View) bool {
	if narrows == nil || !slices.Contains(narrows(operation), v) {
		return false
	}
	switch a := operation.(type) {
	case device.DenseArgs:
		a.X = device.View{}
		return !tape.Touches(a, v)
	case device.DenseBackwardArgs:
		byDerivative := !a.DX.IsZero() // which may be one of X
		a.X = device.View{}
		return !byDerivative && !tape.Touches(a, v)
	}
	return false
}

// copies are matrices of which a copy was made and is current.
type copies struct {
	narrows func(operation any) []device.View // as Tape.Narrows
	current []device.View
	results map[device.View]int // what a step has made that can leave a copy beside it, and no operation has written since
}

// byBeginning is in the place of a step's number that of the plan's Beginning.
const byBeginning = -1

// before returns those of an operation's operands that have to be copied for it, each once. What a step has made is
// copied by that.
func (c *copies) before(operation any, p *Plan) []device.View {
	var missing []device.View
	for _, v := range c.operands(operation) {
		if slices.Contains(c.current, v) {
			continue
		}
		c.current = append(c.current, v)
		switch by, ok := c.results[v]; {
		case !ok:
			missing = append(missing, v)
		case by == byBeginning:
			p.Begin.Beside = append(p.Begin.Beside, v)
		default:
			p.Middle[by].Beside = v
		}
	}
	return missing
}

func (c *copies) operands(operation any) []device.View {
	if c.narrows == nil {
		return nil
	}
	return c.narrows(operation)
}

// after forgets what an operation may have written.
func (c *copies) after(operation any) {
	written := func(v device.View) bool { return writes(operation, v) }
	c.current = slices.DeleteFunc(c.current, written)
	maps.DeleteFunc(c.results, func(v device.View, _ int) bool { return written(v) })
}

// keep leaves to what updates them the copies of those parameters that no operation writes: what it makes of them is what
// the next run reads.
func (p *Plan) keep(operations []any) {
	for i := range p.Middle {
		s := &p.Middle[i]
		s.Narrow = slices.DeleteFunc(s.Narrow, func(v device.View) bool {
			if !tape.Within(v, p.End.Update.Params) || slices.ContainsFunc(operations, func(o any) bool { return writes(o, v) }) || !p.leave(v) {
				return false
			}
			s.Kept = append(s.Kept, v)
			return true
		})
	}
}

// leave has a copy of parameters left by the Backward that updates them, or by the end, and says whether one of them does.
func (p *Plan) leave(v device.View) bool {
	if !p.End.Applied {
		p.End.Copies = append(p.End.Copies, v)
		return true
	}
	for i := range p.Middle {
		if b := p.Middle[i].Backward; b != nil && p.parameters(b.DW) == v {
			p.Middle[i].Weights = v
			return true
		}
	}
	return false
}

// result is what products make that read copies; absent for any other operation.
func (c *copies) result(operation any) device.View {
	if len(c.operands(operation)) == 0 {
		return device.View{}
	}
	switch a := operation.(type) {
	case device.DenseArgs:
		return a.Y
	case device.DenseBackwardArgs:
		return a.DX
	}
	return device.View{}
}

// writes reports whether an operation may write elements of a view.
func writes(operation any, v device.View) bool {
	switch a := operation.(type) {
	case device.DenseArgs:
		return tape.Overlap(a.Pre, v) || tape.Overlap(a.Y, v)
	case device.DenseBackwardArgs:
		return tape.Overlap(a.DX, v) || tape.Overlap(a.DW, v) || tape.Overlap(a.DBias, v)
	}
	return tape.Touches(operation, v)
}
