package sample

import (
	"math"
	"testing"

	"gpudae/device/philox"
)

// feed shows a trace chains whose state is value(chain, step).
func feed(t *Trace, chains, steps int, value func(chain, step, feature int) float32) {
	x := make([]float32, chains*t.features)
	for step := range steps {
		for i := range x {
			x[i] = value(i/t.features, step, i%t.features)
		}
		t.Observe(step, 0, x)
	}
}

func independent(chain, step, feature int) float32 {
	at := philox.Coordinates{Stream: philox.StreamDraw, Index: 77, Row: uint32(chain), Step: uint32(step), Block: uint32(feature)}
	return philox.NormalLane(philox.Block(at.Counter(), philox.KeyOf(1)), 0)
}

// TestIndependentDrawsAreAllEffective, also through projections.
func TestIndependentDrawsAreAllEffective(t *testing.T) {
	for _, features := range []int{1, 40} {
		trace := NewTrace(50, features, 20, 200, 1)
		feed(trace, 50, 220, independent)
		d := trace.Diagnose()
		if d.Chains != 50 || d.Steps != 200 {
			t.Errorf("%d chains of %d steps", d.Chains, d.Steps)
		}
		// the least of several statistics lies below all draws
		if share := d.ESS / 10000; !(share > 0.85 && share < 1.1) {
			t.Errorf("%d features: %.3f of independent draws are effective", features, share)
		}
		if math.Abs(d.RHat-1) > 0.01 || len(d.Autocorrelation) != 10 || math.Abs(d.Autocorrelation[0]) > 0.05 {
			t.Errorf("%d features: R̂ %v, autocorrelation %v", features, d.RHat, d.Autocorrelation)
		}
	}
}

// TestStuckChainsShow: chains that each stay near a place of their own are few
// draws, and R̂ says that they have not mixed.
func TestStuckChainsShow(t *testing.T) {
	trace := NewTrace(20, 1, 0, 100, 1)
	feed(trace, 20, 100, func(chain, step, feature int) float32 { return 10*float32(chain%2) + independent(chain, step, feature) })
	if d := trace.Diagnose(); !(d.ESS < 60) || !(d.RHat > 3) {
		t.Errorf("stuck chains: %+v", d)
	}
}

// TestChainsThatDriftTogetherShow: they agree at every step, and are still on their way.
func TestChainsThatDriftTogetherShow(t *testing.T) {
	trace := NewTrace(64, 1, 0, 100, 1)
	feed(trace, 64, 100, func(chain, step, feature int) float32 {
		return 10*float32(math.Exp(-float64(step)/200)) + independent(chain, step, feature)
	})
	if d := trace.Diagnose(); !(d.RHat > 1.2) {
		t.Errorf("R̂ %v of chains that drift", d.RHat)
	}
}

// TestNothingToDiagnose in constant states, and in too few.
func TestNothingToDiagnose(t *testing.T) {
	still := NewTrace(3, 2, 0, 50, 1)
	feed(still, 3, 50, func(int, int, int) float32 { return 1.5 })
	short := NewTrace(3, 2, 0, 3, 1)
	feed(short, 3, 3, independent)
	for _, trace := range []*Trace{still, short} {
		if d := trace.Diagnose(); !math.IsNaN(d.ESS) || !math.IsNaN(d.RHat) || d.Autocorrelation != nil {
			t.Errorf("%+v", d)
		}
	}
	single := NewTrace(1, 1, 0, 50, 1)
	feed(single, 1, 50, independent)
	if d := single.Diagnose(); !math.IsNaN(d.RHat) || math.IsNaN(d.ESS) {
		t.Errorf("a single chain: %+v", d)
	}
}

// TestTraceKeepsTheFirstChains, whatever minibatches they come in.
func TestTraceKeepsTheFirstChains(t *testing.T) {
	trace := NewTrace(tracedChains+10, 1, 0, 4, 1)
	for first := 0; first < tracedChains+10; first += 19 {
		rows := min(19, tracedChains+10-first)
		for step := range 4 {
			x := make([]float32, rows)
			for i := range x {
				x[i] = float32(1000*step + first + i)
			}
			trace.Observe(step, first, x)
		}
	}
	for chain, values := range trace.values[0] {
		for step, v := range values {
			if v != float32(1000*step+chain) {
				t.Fatalf("chain %d holds %v at step %d", chain, v, step)
			}
		}
	}
	if len(trace.values[0]) != tracedChains {
		t.Errorf("%d chains", len(trace.values[0]))
	}
}

// TestAutocovarianceIsTheSum that defines it.
func TestAutocovarianceIsTheSum(t *testing.T) {
	for _, n := range []int{4, 5, 64, 100} {
		chains := make([][]float32, 3)
		for i := range chains {
			for k := range n {
				chains[i] = append(chains[i], 5+independent(i, k, n)+float32(k%7))
			}
		}
		v := newVariation(chains)
		for lag := range n {
			want := 0.0
			for i, chain := range chains {
				for k := lag; k < n; k++ {
					want += (float64(chain[k]) - v.means[i]) * (float64(chain[k-lag]) - v.means[i]) / float64(3*n)
				}
			}
			if math.Abs(v.autocovariance[lag]-want) > 1e-12 {
				t.Errorf("%d steps: autocovariance %v at lag %d, want %v", n, v.autocovariance[lag], lag, want)
			}
		}
	}
}

// TestDiagnosisByHand: R̂ = √(var⁺/W), of two chains W = 1/3 and var⁺ = ¾W + 2; and
// τ of autocorrelations whose third pair is greater than the second (Geyer 1992).
func TestDiagnosisByHand(t *testing.T) {
	v := newVariation([][]float32{{0, 1, 0, 1}, {2, 3, 2, 3}})
	if math.Abs(v.within-1.0/3) > 1e-12 || math.Abs(v.total-2.25) > 1e-12 {
		t.Errorf("within %v, in all %v; want 1/3 and 2.25", v.within, v.total)
	}
	v = &variation{chains: make([][]float32, 1), n: 8, within: 1, total: 1,
		autocovariance: []float64{1, 0.1, 0.2, 0.1, 0.5, 0.2, -1, -1}}
	if got, want := v.effective(), 8/(-1+2*(1.1+0.3+0.3)); math.Abs(got-want) > 1e-12 {
		t.Errorf("effective sample size %v, want %v", got, want)
	}
}
