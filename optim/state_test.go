package optim

import (
	"errors"
	"math"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
)

// bench holds a rule, its state and the arguments of a step on the reference device.
type bench struct {
	*testing.T
	dev   device.Device
	state *State
	step  Step
}

func newBench(t *testing.T, spec string, lr, clip, averaging float64, start []float32) *bench {
	t.Helper()
	rule, err := ParseRule(spec)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, dev: reference.New()}
	vector := func(n int) device.View {
		memory, err := b.dev.Alloc(device.Float, n)
		b.must(err)
		return device.MatrixOf(memory, 0, 1, n)
	}
	clock, err := b.dev.Alloc(device.Word, device.ClockWords)
	b.must(err)
	n := len(start)
	b.step = Step{Params: vector(n), Grads: vector(n), GradSq: vector(1), Loss: vector(1), Rates: vector(1),
		Clock: device.WordsOf(clock, 0, device.ClockWords), Decayed: n, Clip: clip}
	b.state, err = NewState(b.dev, rule, n, averaging)
	b.must(err)
	b.must(b.dev.Upload(b.step.Rates, []float32{float32(lr)}))
	b.must(b.dev.Upload(b.step.Params, start))
	b.state.Reset(b.dev, b.step.Params)
	return b
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// apply makes step t (from 1) with gradient g.
func (b *bench) apply(t int, g []float32) {
	b.Helper()
	b.must(b.dev.UploadWords(b.step.Clock, device.Clock{Step: uint64(t - 1)}.Words()))
	b.must(b.dev.Upload(b.step.Grads, g))
	b.dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: b.step.Grads, Out: b.step.GradSq})
	b.state.Apply(b.dev, b.step)
}

func (b *bench) read(v device.View) []float32 {
	b.Helper()
	x := make([]float32, v.Len())
	b.must(b.dev.Download(x, v))
	return x
}

func near(a, b float32, tolerance float64) bool {
	return math.Abs(float64(a)-float64(b)) <= tolerance
}

func TestRulesConvergeOnAQuadratic(t *testing.T) {
	curvature := []float32{1, 10, 0.1}
	target := []float32{3, -2, 0.5}
	for spec, lr := range map[string]float64{
		"sgd": 0.05, "sgd:momentum=0": 0.15, "sgd:nesterov": 0.05, "adam": 0.05, "adamw:decay=0": 0.05, "rmsprop": 0.01, "adagrad": 0.5,
	} {
		b := newBench(t, spec, lr, 0, 0, make([]float32, 3))
		g := make([]float32, 3)
		for step := 1; step <= 3000; step++ {
			for i, theta := range b.read(b.step.Params) {
				g[i] = curvature[i] * (theta - target[i])
			}
			b.apply(step, g)
		}
		for i, theta := range b.read(b.step.Params) {
			if !near(theta, target[i], 0.02) {
				t.Errorf("%s: θ[%d] = %g after 3000 steps, want %g", spec, i, theta, target[i])
			}
		}
	}
}

// Without a gradient AdamW shrinks the weights by ηλ a step, while Adam
// normalises the decay away and moves by η (Loshchilov and Hutter 2019).
func TestDecayIsDecoupledInAdamWOnly(t *testing.T) {
	start := []float32{2, 8, 5}
	shrink := func(spec string) []float32 {
		b := newBench(t, spec, 0.1, 0, 0, start)
		b.step.Decayed = 2
		for step := 1; step <= 3; step++ {
			b.apply(step, make([]float32, 3))
		}
		return b.read(b.step.Params)
	}
	w := shrink("adamw:decay=0.5")
	for i, want := range []float64{2 * .95 * .95 * .95, 8 * .95 * .95 * .95, 5} {
		if !near(w[i], float32(want), 1e-6) {
			t.Errorf("adamw: θ[%d] = %g, want %g", i, w[i], want)
		}
	}
	a := shrink("adam:decay=0.5")
	for i, want := range []float32{1.7, 7.7, 5} {
		if !near(a[i], want, 2e-3) {
			t.Errorf("adam: θ[%d] = %g, want about %g", i, a[i], want)
		}
	}
	s := shrink("sgd:momentum=0,decay=0.5")
	if !near(s[0], w[0], 1e-6) || !near(s[1], w[1], 1e-6) || s[2] != 5 {
		t.Errorf("sgd without momentum: θ = %g, want that of adamw %g", s, w)
	}
}

func TestClipBoundsTheGlobalNorm(t *testing.T) {
	for _, c := range []struct {
		clip float64
		want [2]float32
	}{
		{0, [2]float32{-30, 40}},
		{5, [2]float32{-3, 4}},
		{50, [2]float32{-30, 40}},
		{100, [2]float32{-30, 40}},
	} {
		b := newBench(t, "sgd:momentum=0", 1, c.clip, 0, make([]float32, 2))
		b.apply(1, []float32{30, -40})
		if got := b.read(b.step.Params); !near(got[0], c.want[0], 1e-5) || !near(got[1], c.want[1], 1e-5) {
			t.Errorf("clip %g: step %g, want %g", c.clip, got, c.want)
		}
	}
}

func TestADivergedStepIsNotApplied(t *testing.T) {
	for _, loss := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		b := newBench(t, "adam", 0.1, 0, 0.9, []float32{1, 2})
		b.apply(1, []float32{1, 1})
		before := [][]float32{b.read(b.step.Params), b.read(b.state.First), b.read(b.state.Second), b.read(b.state.EMA)}
		b.must(b.dev.Upload(b.step.Loss, []float32{loss}))
		b.apply(2, []float32{1, 1})
		for i, v := range []device.View{b.step.Params, b.state.First, b.state.Second, b.state.EMA} {
			for j, x := range b.read(v) {
				if x != before[i][j] {
					t.Errorf("loss %g: array %d changed from %g to %g", loss, i, before[i][j], x)
				}
			}
		}
	}
}

func TestAverageFollowsTheWeights(t *testing.T) {
	b := newBench(t, "sgd:momentum=0", 1, 0, 0.5, []float32{1})
	if got := b.read(b.state.EMA)[0]; got != 1 {
		t.Fatalf("the average starts at %g, want the parameter, 1", got)
	}
	average, theta := 1.0, 1.0
	for step := 1; step <= 12; step++ {
		b.apply(step, []float32{-1})
		theta++
		d := min(0.5, float64(1+step)/float64(10+step))
		average = d*average + (1-d)*theta
		if got := b.read(b.state.EMA)[0]; !near(got, float32(average), 1e-5) {
			t.Fatalf("step %d: average %g, want %g", step, got, average)
		}
	}
}

func TestResetForgets(t *testing.T) {
	b := newBench(t, "adam", 0.1, 0, 0.9, []float32{1, 2})
	b.apply(1, []float32{3, 4})
	b.must(b.dev.Upload(b.step.Params, []float32{7, 8}))
	b.state.Reset(b.dev, b.step.Params)
	for _, v := range []device.View{b.state.First, b.state.Second} {
		if got := b.read(v); got[0] != 0 || got[1] != 0 {
			t.Errorf("a moment is %g after Reset", got)
		}
	}
	if got := b.read(b.state.EMA); got[0] != 7 || got[1] != 8 {
		t.Errorf("the average is %g after Reset, want the parameters", got)
	}
}

func TestStateHoldsWhatTheRuleUses(t *testing.T) {
	for _, info := range Rules() {
		for _, averaging := range []float64{0, 0.99} {
			rule, err := ParseRule(info.Name())
			if err != nil {
				t.Fatal(err)
			}
			s, err := NewState(reference.New(), rule, 7, averaging)
			if err != nil {
				t.Fatal(err)
			}
			if s.First.IsZero() == rule.Kind.UsesFirstMoment() || s.Second.IsZero() == rule.Kind.UsesSecondMoment() || s.EMA.IsZero() == (averaging > 0) {
				t.Errorf("%s with averaging %g: %+v", rule, averaging, s)
			}
			if got := s.First.Len() + s.Second.Len() + s.EMA.Len(); got != StateSize(rule, 7, averaging) {
				t.Errorf("%s: %d elements, StateSize says %d", rule, got, StateSize(rule, 7, averaging))
			}
		}
	}
}

// full is a device without memory.
type full struct{ device.Device }

func (full) Alloc(device.Type, int) (device.Memory, error) {
	return nil, &device.OutOfMemoryError{Device: "full", Wanted: 1}
}

func TestNewStateReportsLackOfMemory(t *testing.T) {
	_, err := NewState(full{}, Rule{Kind: device.Adam}, 1, 0)
	var oom *device.OutOfMemoryError
	if !errors.As(err, &oom) {
		t.Errorf("error %v, want an OutOfMemoryError", err)
	}
}
