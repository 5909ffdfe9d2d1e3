package fuse_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/gpu/fuse"
	"gpudae/model"
	"gpudae/optim"
)

// tape is a device that keeps the operations that are issued while it records.
type tape struct {
	*reference.Device
	fuse.Tape
	issued []string
}

func put(d *tape, a any) {
	name := strings.TrimSuffix(fmt.Sprintf("%T", a), "Args")
	d.Put(a, func() { d.issued = append(d.issued, strings.TrimPrefix(name, "device.")) })
}

func (d *tape) Gather(a device.GatherArgs)                       { put(d, a) }
func (d *tape) Corrupt(a device.CorruptArgs)                     { put(d, a) }
func (d *tape) Dense(a device.DenseArgs)                         { put(d, a) }
func (d *tape) DenseBackward(a device.DenseBackwardArgs)         { put(d, a) }
func (d *tape) Normalize(a device.NormalizeArgs)                 { put(d, a) }
func (d *tape) NormalizeBackward(a device.NormalizeBackwardArgs) { put(d, a) }
func (d *tape) Activate(a device.ActivateArgs)                   { put(d, a) }
func (d *tape) ActivateBackward(a device.ActivateBackwardArgs)   { put(d, a) }
func (d *tape) Likelihood(a device.LikelihoodArgs)               { put(d, a) }
func (d *tape) SampleCode(a device.SampleCodeArgs)               { put(d, a) }
func (d *tape) SampleCodeBackward(a device.SampleCodeBackwardArgs) {
	put(d, a)
}
func (d *tape) Reduce(a device.ReduceArgs)   { put(d, a) }
func (d *tape) Combine(a device.CombineArgs) { put(d, a) }
func (d *tape) Update(a device.UpdateArgs)   { put(d, a) }
func (d *tape) Tick(a device.TickArgs)       { put(d, a) }

// step puts the operations of a training step of a model on a tape.
func step(t *testing.T, c model.Config, extra ...func(*tape, *model.Net)) *tape {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const batch = 4
	d := &tape{Device: reference.New()}
	c.Features, c.Hidden = 6, []int{5, 3}
	dae, err := model.New(c)
	must(err)
	net, err := model.Bind(d, dae, model.Binding{Examples: batch, Training: true})
	must(err)
	rule, err := optim.ParseRule("adam")
	must(err)
	state, err := optim.NewState(d, rule, dae.ParameterCount(), 0.9)
	must(err)
	data, err := d.Load(t.Context(), device.Table{Rows: batch, Columns: 6, Float32: make([]float32, 6*batch)})
	must(err)
	words, err := d.Alloc(device.Word, device.ClockWords)
	must(err)
	floats, err := d.Alloc(device.Float, 3)
	must(err)
	clock := device.WordsOf(words, 0, device.ClockWords)
	d.Tape = fuse.Tape{}
	net.Gradient(model.Source{Data: data, Part: device.Rows{Hi: batch}, Clock: clock}, batch)
	for _, f := range extra {
		f(d, net)
	}
	state.Apply(d, optim.Step{Params: net.Params, Grads: net.Grads, GradSq: net.GradSq(), Loss: net.MeanLoss(), Rates: device.MatrixOf(floats, 0, 1, 1), Clock: clock})
	d.Tick(device.TickArgs{Clock: clock, Rows: batch, Values: net.Values, Log: device.MatrixOf(floats, 1, 1, 2)})
	return d
}

// shape says what a plan consists of.
func shape(d *tape, p *fuse.Plan) []string {
	var parts []string
	if p.Begin != nil {
		parts = append(parts, fmt.Sprintf("begin with %d stages", len(p.Begin.Stages)))
	}
	for _, s := range p.Middle {
		switch {
		case s.Loss != nil:
			parts = append(parts, "loss")
		case s.Backward != nil:
			parts = append(parts, "squared backward")
		default:
			s.Issue()
			parts = append(parts, d.issued[len(d.issued)-1])
		}
	}
	if p.End != nil {
		end := "end"
		if !p.End.Losses.IsZero() {
			end += " of losses"
		}
		if !p.End.Squares.IsZero() {
			end += " of gradients"
		}
		parts = append(parts, end)
	}
	if p.Overlaps() {
		parts = append(parts, "overlaps")
	}
	if p.End != nil && p.End.Applied {
		parts = append(parts, "updates with the gradient")
	}
	return parts
}

// TestPlans: what shares a launch in the steps of models, and what does not.
func TestPlans(t *testing.T) {
	const dense, back = "Dense", "squared backward"
	for name, c := range map[string]struct {
		config model.Config
		want   []string
	}{
		"plain": {model.Config{Corruption: "masking:0.3+gaussian:0.1", Likelihood: "bernoulli"},
			[]string{"begin with 2 stages", dense, dense, dense, "loss", back, back, back, back, "end", "overlaps", "updates with the gradient"}},
		"poisson": {model.Config{Corruption: "none", Likelihood: "poisson", Emphasis: model.Emphasis{Destroyed: 1, Untouched: 0.5}},
			[]string{"begin with 1 stages", dense, dense, dense, "loss", back, back, back, back, "end", "overlaps", "updates with the gradient"}},
		"parameters of one feature in two places": {model.Config{Corruption: "none", Likelihood: "gaussian-learned"},
			[]string{"begin with 1 stages", dense, dense, dense, dense, "Likelihood", back, back, back, back, "end of losses", "overlaps"}},
		"weights whose gradient has two parts": {model.Config{Corruption: "none", Likelihood: "gaussian", Tied: true},
			[]string{"begin with 1 stages", dense, dense, dense, "loss", "DenseBackward", "DenseBackward", "DenseBackward", "DenseBackward", "end of gradients", "overlaps"}},
		"gradients of a norm": {model.Config{Corruption: "none", Likelihood: "gaussian", Norm: "layer", Activation: "identity", CodeActivation: "identity"},
			[]string{"begin with 1 stages", dense, "Normalize", "Activate", dense, "Normalize", "Activate", dense, "Normalize", "Activate", "loss",
				"DenseBackward", "ActivateBackward", "NormalizeBackward", "DenseBackward", "ActivateBackward", "NormalizeBackward", "DenseBackward",
				"ActivateBackward", "NormalizeBackward", "DenseBackward", "end of gradients", "overlaps"}},
		"losses to which a divergence is added": {model.Config{Corruption: "none", Likelihood: "bernoulli", CodeDistribution: "gaussian"},
			[]string{"begin with 1 stages", dense, dense, "SampleCode", dense, dense, "Likelihood", "Combine", back, back, "SampleCodeBackward", back, back, "end of losses", "overlaps"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := step(t, c.config)
			if got := shape(d, d.Plan()); !slices.Equal(got, c.want) {
				t.Errorf("the plan is\n%q, want\n%q", got, c.want)
			}
		})
	}
}

// TestUpdatesThatNeedAllOfTheGradient: a step is updated as a whole where its gradient is clipped, where it is known behind the gradient only
// whether its loss allows it, where parameters or moments are read once they have been updated, and where the next step begins apart.
func TestUpdatesThatNeedAllOfTheGradient(t *testing.T) {
	plain := model.Config{Corruption: "masking:0.3", Likelihood: "bernoulli"}
	all := step(t, plain).Operations()
	first := slices.IndexFunc(all, func(o any) bool { _, ok := o.(device.DenseBackwardArgs); return ok })
	last, update := len(all)-5, all[len(all)-2].(device.UpdateArgs) // of the gradients; before the reductions
	spare := device.View{Memory: all[first].(device.DenseBackwardArgs).DX.Memory, Rows: 1, Columns: 1}
	read := func(v device.View) device.CombineArgs {
		v.Columns = 1
		return device.CombineArgs{Alpha: 1, A: v, Dst: spare}
	}
	topWeights := all[first].(device.DenseBackwardArgs).W
	for name, c := range map[string]struct {
		change func(i int, o any) []any // what is done in the place of an operation
		want   bool
	}{
		"nothing else": {func(i int, o any) []any { return []any{o} }, true},
		"clipping": {func(i int, o any) []any {
			if u, ok := o.(device.UpdateArgs); ok {
				u.Clip = 1
				return []any{u}
			}
			return []any{o}
		}, false},
		"an update by another gradient": {func(i int, o any) []any {
			if u, ok := o.(device.UpdateArgs); ok {
				u.Grads = u.Params
				return []any{u}
			}
			return []any{o}
		}, false},
		"weights are read before": {func(i int, o any) []any {
			if i == first {
				return []any{read(topWeights), o}
			}
			return []any{o}
		}, true},
		"weights are read behind": {func(i int, o any) []any {
			if i == first {
				return []any{o, read(topWeights)}
			}
			return []any{o}
		}, false},
		"a moment is read": {func(i int, o any) []any {
			if i == first {
				return []any{read(update.First), o}
			}
			return []any{o}
		}, false},
		"a gradient is added to": {func(i int, o any) []any {
			if b, ok := o.(device.DenseBackwardArgs); ok && i == last-1 {
				b.Accumulate = true
				return []any{b}
			}
			return []any{o}
		}, false},
		"losses that are read": {func(i int, o any) []any {
			if l, ok := o.(device.LikelihoodArgs); ok {
				return []any{o, device.CombineArgs{Alpha: 1, A: l.Losses, Dst: device.View{Memory: spare.Memory, Rows: 1, Columns: l.Losses.Len()}}}
			}
			return []any{o}
		}, false},
		"another clock": {func(i int, o any) []any {
			if g, ok := o.(device.GatherArgs); ok {
				g.Clock.Offset++
				return []any{g}
			}
			return []any{o}
		}, false},
	} {
		d := &tape{Device: reference.New()}
		for i, o := range all {
			for _, a := range c.change(i, o) {
				put(d, a)
			}
		}
		if p := d.Plan(); p.End == nil || p.End.Applied != c.want {
			t.Errorf("%s: the plan is %q", name, shape(d, p))
		}
	}
}

// TestWhatElseIsDoneIsSeen: an operation between gradient and update that looks at losses or
// gradients, or takes the place of a part, leaves the parts that it concerns as they are.
func TestWhatElseIsDoneIsSeen(t *testing.T) {
	plain := model.Config{Corruption: "masking:0.3", Likelihood: "bernoulli"}
	clipped := step(t, plain, func(d *tape, n *model.Net) { d.Combine(device.CombineArgs{Alpha: 2, A: n.Grads, Dst: n.Grads}) })
	if p := clipped.Plan(); p.End != nil || p.Overlaps() {
		t.Errorf("a step whose gradient is changed behind its norm is planned as %q", shape(clipped, p))
	}
	for name, o := range map[string]func(*tape, *fuse.Plan){
		"scaled gradients": func(d *tape, p *fuse.Plan) {
			d.Combine(device.CombineArgs{Alpha: 2, A: p.End.Update.Grads, Dst: p.End.Update.Grads})
		},
		"losses that are read": func(d *tape, p *fuse.Plan) {
			losses := p.Middle[3].Loss.Likelihood.Losses
			d.Combine(device.CombineArgs{Alpha: 2, A: losses, Dst: p.End.Loss})
		},
	} {
		d := step(t, plain)
		p := d.Plan()
		again := &tape{Device: d.Device}
		all := d.Operations()
		for i, a := range all {
			if i == len(all)-5 { // before the reductions
				o(again, p)
			}
			put(again, a)
		}
		got := shape(again, again.Plan())
		want := map[string]string{"scaled gradients": "end of gradients", "losses that are read": "end of losses"}[name]
		if !slices.Contains(got, want) {
			t.Errorf("%s: the plan is %q, without %q", name, got, want)
		}
	}
}

// TestOtherClocksDoNotOverlap: the beginning of a step that follows another clock than its
// end waits for that.
func TestOtherClocksDoNotOverlap(t *testing.T) {
	d := step(t, model.Config{Corruption: "masking:0.3", Likelihood: "bernoulli"})
	p := d.Plan()
	p.Begin.Gather.Clock.Offset++
	if p.Overlaps() {
		t.Error("parts that follow two clocks overlap")
	}
	p = d.Plan()
	p.End.Tick.Log = p.Begin.Gather.X
	if p.Overlaps() {
		t.Error("a log in the minibatch's memory overlaps")
	}
}

// TestCopiesAreOfWhatHasChanged: a matrix is copied before the first product that reads it, or by the one that makes it, and again only
// after an operation has written it.
func TestCopiesAreOfWhatHasChanged(t *testing.T) {
	d := &tape{Device: reference.New()}
	d.Narrows = func(operation any) []device.View {
		return fuse.Factors(operation, func(m, n, k int) bool { return m*n*k >= 100 })
	}
	matrix := func(rows, columns int) device.View {
		m, err := d.Alloc(device.Float, rows*columns)
		if err != nil {
			t.Fatal(err)
		}
		return device.MatrixOf(m, 0, rows, columns)
	}
	x, w, h, v, y, dy, dh, dw, dv := matrix(5, 6), matrix(7, 6), matrix(5, 7), matrix(4, 7), matrix(5, 4), matrix(5, 4), matrix(5, 7), matrix(7, 6), matrix(4, 7)
	small := matrix(1, 1)
	d.Dense(device.DenseArgs{X: x, W: w, Y: h})
	d.Dense(device.DenseArgs{X: h, W: v, Y: y})
	d.DenseBackward(device.DenseBackwardArgs{DA: dy, W: v, X: h, DX: dh, DW: dv})
	d.DenseBackward(device.DenseBackwardArgs{DA: dh, W: w, X: x, DW: dw})
	d.Combine(device.CombineArgs{Alpha: 1, A: dw, Dst: w})
	d.Dense(device.DenseArgs{X: x, W: w, Y: h})
	d.Dense(device.DenseArgs{X: h, W: v, Y: y})
	d.Dense(device.DenseArgs{X: small, W: small, Y: small})
	var none device.View
	want := [][]device.View{{x, w}, {v}, {dy}, nil, nil, {w}, nil, nil}
	beside := []device.View{h, none, dh, none, none, h, none, none}
	for i, s := range d.Plan().Middle {
		if !slices.Equal(s.Narrow, want[i]) || s.Beside != beside[i] {
			t.Errorf("before operation %d of %d copies of %v are made and beside it of %v, want %v and %v", i, len(want), s.Narrow, s.Beside, want[i], beside[i])
		}
	}
}

// rewritten puts others in the place of a step's operations.
func rewritten(others func(i int, o any) []any) func(*tape, *model.Net) {
	return func(d *tape, _ *model.Net) {
		again := &tape{Device: d.Device}
		for i, o := range d.Operations() {
			for _, other := range others(i, o) {
				put(again, other)
			}
		}
		d.Tape = again.Tape
	}
}

// withAnotherClock has the minibatch and its corruption follow a clock of their own.
func withAnotherClock() func(*tape, *model.Net) {
	return rewritten(func(_ int, o any) []any {
		switch a := o.(type) {
		case device.GatherArgs:
			a.Clock.Offset++
			return []any{a}
		case device.CorruptArgs:
			a.Clock.Offset++
			return []any{a}
		}
		return []any{o}
	})
}

// TestStepsLeaveCopiesForTheNext: the copy of the layer's input comes from the launch that makes it, and those of weights from the one that
// updates them, if nothing else writes them in between; where the next step does not begin in that launch, each step makes them.
func TestStepsLeaveCopiesForTheNext(t *testing.T) {
	noisy := model.Config{Corruption: "masking:0.3", Likelihood: "gaussian"}
	clean := model.Config{Corruption: "none", Likelihood: "gaussian"}
	scale := rewritten(func(i int, o any) []any {
		if a, ok := o.(device.DenseArgs); ok && i == 2 { // the first layer
			return []any{device.CombineArgs{Alpha: 0.5, A: a.W, Dst: a.W}, o}
		}
		return []any{o}
	})
	for name, c := range map[string]struct {
		config      model.Config
		extra       []func(*tape, *model.Net)
		kept, fresh int  // weights
		applied     bool // the update, to the gradient as it is made
	}{
		"corrupted":      {config: noisy, kept: 4, applied: true},
		"clean":          {config: clean, kept: 4, applied: true},
		"tied":           {config: model.Config{Corruption: "none", Likelihood: "gaussian", Tied: true}, kept: 2},
		"scaled weights": {noisy, []func(*tape, *model.Net){scale}, 3, 1, true},
		"another clock":  {noisy, []func(*tape, *model.Net){withAnotherClock()}, 0, 4, false},
	} {
		d := step(t, c.config, c.extra...)
		d.Narrows = func(operation any) []device.View {
			return fuse.Factors(operation, func(m, n, k int) bool { return true })
		}
		p := d.Plan()
		var kept, fresh []device.View
		left := map[device.View]bool{} // by the end or by what updates them
		for _, v := range p.End.Copies {
			left[v] = true
		}
		for _, s := range p.Middle {
			kept, fresh = append(kept, s.Kept...), append(fresh, s.Narrow...)
			if !s.Weights.IsZero() {
				left[s.Weights] = true
				if b := s.Backward; b == nil || b.W != s.Weights || !p.End.Applied {
					t.Errorf("%s: a copy of %v is left by %+v", name, s.Weights, b)
				}
			}
		}
		input := p.Begin.Gather.X
		if len(p.Begin.Stages) > 0 {
			input = p.Begin.Stages[0].To
		}
		if !slices.Equal(p.Begin.Beside, []device.View{input}) {
			t.Errorf("%s: the beginning leaves copies of %v, want %v", name, p.Begin.Beside, input)
		}
		missing := slices.ContainsFunc(kept, func(v device.View) bool { return !left[v] })
		if len(kept) != c.kept || len(fresh) != c.fresh || missing || len(left) != len(kept) || p.End.Applied != c.applied {
			t.Errorf("%s (applied: %t): copies are left of %v, and %v are read by the next step, which makes those of %v; want %d and %d", name, p.End.Applied, left, kept, fresh, c.kept, c.fresh)
		}
	}
}

// TestWhatNobodyReadsIsNotMade: the mask of a corruption, unless the loss weighs by it, and the corrupted minibatch, if layers
// take a copy of it; all of it where a step does not leave its end to the next, after which anyone may look.
func TestWhatNobodyReadsIsNotMade(t *testing.T) {
	plain := model.Config{Corruption: "masking:0.3+span:rate=0.1,length=2", Likelihood: "gaussian"}
	weighed := plain
	weighed.Emphasis = model.Emphasis{Destroyed: 1, Untouched: 0.5}
	tied := plain
	tied.Tied = true
	looked := rewritten(func(_ int, o any) []any {
		a, ok := o.(device.DenseArgs)
		if !ok || a.Y.Columns != 5 || a.X.Columns != 6 { // the first layer
			return []any{o}
		}
		sums := device.MatrixOf(a.Y.Memory, a.Y.Offset, a.X.Rows, 1) // which the layer overwrites
		return []any{device.ReduceArgs{Kind: device.Sum, X: a.X, PerRow: true, Out: sums}, o}
	})
	all := func(m, n, k int) bool { return true }
	none := func(m, n, k int) bool { return false }
	for name, c := range map[string]struct {
		config     model.Config
		isBig      func(m, n, k int) bool
		extra      []func(*tape, *model.Net)
		apart      bool // another clock, so that the end is not left to the next step
		to, masked bool // which are not made
	}{
		"plain":             {plain, none, nil, false, false, true},
		"weighed":           {weighed, none, nil, false, false, false},
		"copies":            {plain, all, nil, false, true, true},
		"copies, weighed":   {weighed, all, nil, false, true, false},
		"copies, tied":      {tied, all, nil, false, true, true},
		"copies, looked at": {plain, all, []func(*tape, *model.Net){looked}, false, false, true},
		"another clock":     {plain, all, []func(*tape, *model.Net){withAnotherClock()}, true, false, false},
	} {
		d := step(t, c.config, c.extra...)
		d.Narrows = func(operation any) []device.View { return fuse.Factors(operation, c.isBig) }
		p := d.Plan()
		if p.Overlaps() == c.apart {
			t.Fatalf("%s: overlaps %t", name, p.Overlaps())
		}
		var want []device.View
		if c.to {
			want = append(want, p.Begin.Stages[0].To)
		}
		if c.masked {
			want = append(want, p.Begin.Stages[0].Mask)
		}
		if !slices.Equal(p.Begin.Unread, want) {
			t.Errorf("%s: %v are not made, want %v", name, p.Begin.Unread, want)
		}
	}
}
