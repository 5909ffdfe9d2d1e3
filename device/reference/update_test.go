package reference

import (
	"math"
	"testing"

	"gpudae/device"
)

// run is a run of an optimiser on parameters of its own.
type run struct {
	*lab
	args device.UpdateArgs
}

// newRun starts a run from θ with zero moments, the given rules and rate 1/8.
func (l *lab) newRun(a device.UpdateArgs, theta ...float64) *run {
	l.Helper()
	n := len(theta)
	a.Params, a.Grads = l.matrix(1, n, theta...), l.matrix(1, n)
	a.First, a.Second = l.matrix(1, n), l.matrix(1, n)
	a.GradSq, a.Loss = l.matrix(1, 1), l.matrix(1, 1)
	a.Clock = l.words(make([]uint32, device.ClockWords)...)
	a.Rates = l.matrix(1, 100)
	for i := range Float64s(a.Rates) {
		Float64s(a.Rates)[i] = 0.125
	}
	return &run{l, a}
}

// step updates by a gradient and returns the parameters.
func (r *run) step(g ...float64) []float64 {
	sum := 0.0
	for _, v := range g {
		sum += v * v
	}
	copy(Float64s(r.args.Grads), g)
	Float64s(r.args.GradSq)[0] = sum
	r.d.Update(r.args)
	r.d.Tick(device.TickArgs{Clock: r.args.Clock, Rows: 1})
	return Float64s(r.args.Params)
}

const (
	eta   = 0.125
	steps = 9
	// single bounds what it costs that parameters and moments of up to 4 are float32
	// between the steps.
	single = 4e-6
)

// f widens a float32 constant, as the operation's arguments are.
func f(x float32) float64 { return float64(x) }

// TestSGDOnAParabola: θ' = θ - ηaθ has the solution θ₀(1 - ηa)ᵗ.
func TestSGDOnAParabola(t *testing.T) {
	const curvature = 3
	r := newLab(t).newRun(device.UpdateArgs{Kind: device.SGD}, 2)
	theta := 2.0
	for i := 1; i <= steps; i++ {
		theta = r.step(curvature * theta)[0]
		r.expectNear("θ", theta, 2*math.Pow(1-eta*curvature, float64(i)), single)
	}
}

// TestMomentumUnderConstantGradient: m_t = g(1-βᵗ)/(1-β), and the sum of it is
// θ₀ - θ_t over η; Nesterov's step is g + βm_t.
func TestMomentumUnderConstantGradient(t *testing.T) {
	const g = -1.5
	beta := f(0.9)
	for _, nesterov := range []bool{false, true} {
		r := newLab(t).newRun(device.UpdateArgs{Kind: device.SGD, Beta1: 0.9, Nesterov: nesterov}, 1)
		want := 1.0
		for i := 1; i <= steps; i++ {
			m := g * (1 - math.Pow(beta, float64(i))) / (1 - beta)
			if nesterov {
				want -= eta * (g + beta*m)
			} else {
				want -= eta * m
			}
			r.expectNear("θ", r.step(g)[0], want, single)
		}
	}
}

// TestAdamUnderConstantGradient: both corrected moments are exact from the
// first step on, m̂ = g and v̂ = g², so every step is ηg/(|g| + ε).
func TestAdamUnderConstantGradient(t *testing.T) {
	r := newLab(t).newRun(device.UpdateArgs{Kind: device.Adam, Beta1: 0.9, Beta2: 0.999, Epsilon: 0.5}, 1, 1)
	for i := 1; i <= steps; i++ {
		theta := r.step(-3, 0.25)
		r.expectNear("θ₀", theta[0], 1+eta*float64(i)*3/3.5, single)
		r.expectNear("θ₁", theta[1], 1-eta*float64(i)*0.25/0.75, single)
	}
}

// TestAdamByHand: β₁ = 1/2, β₂ = 3/4, ε = 0 and the gradients 1 and -2. First
// m̂ = 1, v̂ = 1; then m = 1/4 - 1 = -3/4, m̂ = -1, v = 3/16 + 1 = 19/16,
// v̂ = (19/16)/(7/16) = 19/7.
func TestAdamByHand(t *testing.T) {
	r := newLab(t).newRun(device.UpdateArgs{Kind: device.Adam, Beta1: 0.5, Beta2: 0.75}, 1)
	r.expectNear("θ₁", r.step(1)[0], 1-eta, single)
	r.expectNear("θ₂", r.step(-2)[0], 1-eta+eta/math.Sqrt(19.0/7), single)
	r.expectMatrix("m", r.args.First, -0.75)
	r.expectMatrix("v", r.args.Second, 19.0/16)
}

// TestAdamWDecouplesDecay: under a constant gradient θ ← (1-ηλ)θ - ηs with the
// step s = g/(|g|+ε) has the fixed point -s/λ, which it approaches by powers of
// 1-ηλ; Adam with the same λ adds it to the gradient and does something else.
func TestAdamWDecouplesDecay(t *testing.T) {
	const theta, g = 2.0, 0.5
	lambda := f(0.1)
	a := device.UpdateArgs{Kind: device.AdamW, Beta1: 0.9, Beta2: 0.999, Epsilon: 0.5, WeightDecay: 0.1, Decayed: 1}
	r := newLab(t).newRun(a, theta)
	fixed := -g / (g + 0.5) / lambda
	for i := 1; i <= steps; i++ {
		r.expectNear("θ", r.step(g)[0], fixed+(theta-fixed)*math.Pow(1-eta*lambda, float64(i)), single)
	}
	a.Kind = device.Adam
	r = newLab(t).newRun(a, theta)
	coupled := g + lambda*theta
	r.expectNear("θ with coupled decay", r.step(g)[0], theta-eta*coupled/(coupled+0.5), single)
}

// TestRMSpropUnderConstantGradient: v_t = g²(1-β₂ᵗ).
func TestRMSpropUnderConstantGradient(t *testing.T) {
	const g = -2.0
	beta := f(0.75)
	r := newLab(t).newRun(device.UpdateArgs{Kind: device.RMSprop, Beta2: 0.75, Epsilon: 0.25}, 0)
	want := 0.0
	for i := 1; i <= steps; i++ {
		want -= eta * g / (2*math.Sqrt(1-math.Pow(beta, float64(i))) + 0.25)
		r.expectNear("θ", r.step(g)[0], want, single)
	}
}

// TestAdagradUnderConstantGradient: v_t = t·g², so the steps fall as 1/√t
// whatever the gradient's size.
func TestAdagradUnderConstantGradient(t *testing.T) {
	r := newLab(t).newRun(device.UpdateArgs{Kind: device.Adagrad}, 0, 0)
	want := 0.0
	for i := 1; i <= steps; i++ {
		theta := r.step(7, -0.01)
		want += eta / math.Sqrt(float64(i))
		r.expectNear("θ₀", theta[0], -want, single)
		r.expectNear("θ₁", theta[1], want, single)
	}
}

// TestClippingKeepsTheDirection: a gradient (3, 4) of norm 5 is clipped to norm
// 1, and left alone by a bound of 6 or of none.
func TestClippingKeepsTheDirection(t *testing.T) {
	for clip, want := range map[float32][2]float64{1: {0.6, 0.8}, 6: {3, 4}, 0: {3, 4}} {
		theta := newLab(t).newRun(device.UpdateArgs{Kind: device.SGD, Clip: clip}, 0, 0).step(3, 4)
		for i := range theta {
			if math.Abs(theta[i]+eta*want[i]) > single {
				t.Errorf("clip %g: parameter %d moved by %g, want %g", clip, i, theta[i], -eta*want[i])
			}
		}
	}
}

// TestDecayConcernsTheFirstParameters: without a gradient the first parameter
// shrinks by 1-ηλ a step and the second stays; decay is not clipped.
func TestDecayConcernsTheFirstParameters(t *testing.T) {
	r := newLab(t).newRun(device.UpdateArgs{Kind: device.SGD, WeightDecay: 0.5, Decayed: 1, Clip: 1e-3}, 4, 4)
	for i := 1; i <= steps; i++ {
		theta := r.step(0, 0)
		r.expectNear("θ₀", theta[0], 4*math.Pow(1-eta*0.5, float64(i)), single)
		r.expectNear("θ₁", theta[1], 4, 0)
	}
}

// TestAverageWarmsUp: while θ stands still, EMA - θ shrinks by the factor
// min(Decay, (1+t)/(10+t)) at step t.
func TestAverageWarmsUp(t *testing.T) {
	l := newLab(t)
	r := l.newRun(device.UpdateArgs{Kind: device.SGD, Decay: 0.3}, 1)
	r.args.EMA = l.matrix(1, 1, 5)
	want := 4.0
	for i := 1; i <= steps; i++ {
		want *= min(f(0.3), float64(1+i)/float64(10+i))
		r.step(0)
		r.expectNear("EMA - θ", Float64s(r.args.EMA)[0]-1, want, single)
	}
}

// TestRatesFollowTheClock: step i uses the i-th rate since the clock was set.
func TestRatesFollowTheClock(t *testing.T) {
	r := newLab(t).newRun(device.UpdateArgs{Kind: device.SGD}, 0)
	want := 0.0
	for i := range steps {
		Float64s(r.args.Rates)[i] = float64(i + 1)
		want -= float64(i + 1)
		r.expectNear("θ", r.step(1)[0], want, single)
	}
}
