package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gpudae/device"
	"gpudae/model"
)

// Fault says where a step went wrong: what is the first, in the order of the
// computation, that is not finite or, if all is finite, has grown beyond reason.
type Fault struct {
	Layer  string  // as in the names of parameters: decoder.1; "" for what belongs to no layer
	What   string  // see model.Sighting
	Bad    int     // how many of the values are not finite
	Of     int     // of so many
	Growth float64 // otherwise, the ratio of their root mean square to that in the epoch's first step
}

// String implements fmt.Stringer.
func (f Fault) String() string {
	where := "the " + f.What
	if f.Layer != "" {
		where += " of " + f.Layer
	}
	if f.Bad > 0 {
		return fmt.Sprintf("%s, %d of %d not finite", where, f.Bad, f.Of)
	}
	return fmt.Sprintf("%s, %.2g times as large as at the start of the epoch", where, f.Growth)
}

// excess is the growth within an epoch that counts as a fault.
const excess = 1000

// diagnose repeats the epoch up to a step that was bad, from the last good state,
// and looks into that step: layer by layer, forward and backward, waiting for the
// device each time, which no step of a training does. It finds nothing if the
// step is not bad when it is repeated. What lies on the device afterwards is of
// no use.
func (r *run) diagnose(ctx context.Context, bad Rollback) (*Fault, error) {
	last := int(bad.Step-r.boundary.Clock.Step) - 1
	if bad.validating {
		if err := r.replay(ctx, last+1); err != nil {
			return nil, err
		}
		look := &inspector{dev: r.Device}
		_, err := r.validated.Watched(look.see).Evaluate(ctx, r.source(r.split.Validation()))
		return look.fault, errors.Join(err, look.err)
	}
	first := &inspector{dev: r.Device}
	if err := r.inspect(ctx, first, 0); err != nil || last == 0 {
		return first.fault, err
	}
	look := &inspector{dev: r.Device, before: first.sizes}
	err := r.inspect(ctx, look, last)
	if look.fault == nil {
		return look.grown, err
	}
	return look.fault, err
}

// inspect repeats the epoch up to the step with that index, and looks into it.
func (r *run) inspect(ctx context.Context, look *inspector, index int) error {
	if err := r.replay(ctx, index); err != nil {
		return err
	}
	r.net.Watched(look.see).Gradient(r.trainingSource(), r.batches.size(index))
	return look.err
}

// replay repeats so many steps of the epoch from its start.
func (r *run) replay(ctx context.Context, steps int) error {
	if err := r.restore(&r.boundary.arenas); err != nil {
		return err
	}
	if err := r.setOut(&r.boundary); err != nil {
		return err
	}
	for i := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.program(i)(); err != nil {
			return err
		}
	}
	return nil
}

// inspector looks at what a pass computes, and keeps what it finds first.
type inspector struct {
	dev    device.Device
	before []float64 // sizes of an earlier step, or none
	host   []float32
	sizes  []float64 // root mean squares, in the order of the computation
	fault  *Fault    // what is not finite
	grown  *Fault    // what is much larger than before
	err    error
}

func (p *inspector) see(s model.Sighting) {
	if p.err != nil || p.fault != nil {
		return
	}
	n := s.Values.Len()
	if len(p.host) < n {
		p.host = make([]float32, n)
	}
	if p.err = p.dev.Download(p.host[:n], s.Values); p.err != nil {
		return
	}
	bad, squares := 0, 0.0
	for _, x := range p.host[:n] {
		if !finite(float64(x)) {
			bad++
		}
		squares += float64(x) * float64(x)
	}
	if bad > 0 {
		p.fault = &Fault{Layer: s.Layer, What: s.What, Bad: bad, Of: n}
		return
	}
	at, size := len(p.sizes), math.Sqrt(squares/float64(n))
	p.sizes = append(p.sizes, size)
	if p.grown == nil && at < len(p.before) && p.before[at] > 0 && size > excess*p.before[at] {
		p.grown = &Fault{Layer: s.Layer, What: s.What, Of: n, Growth: size / p.before[at]}
	}
}
