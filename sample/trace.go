package sample

import (
	"math"
	"math/bits"

	"gonum.org/v1/gonum/dsp/fourier"

	"gpudae/device/philox"
)

// Bounds of a trace.
const (
	tracedChains     = 256
	tracedStatistics = 16
	tracedNumbers    = 1 << 23 // of all chains, steps and statistics
	shownLags        = 10
	fewestSteps      = 4 // for which an autocorrelation is worth estimating
)

// Trace records what chains do, for Diagnose: of at most 256 chains (fewer of
// very long ones), every feature if there are at most 16, and otherwise 16
// random projections Σ_j w_j·x_j, w ~ N(0, 1/features).
type Trace struct {
	features, skip, steps int
	weights               []float32     // [statistics, features], nil if every feature is one
	values                [][][]float32 // [statistic][chain][step]
}

// NewTrace makes a trace of chains that run for skip+steps steps, the first of
// which, the burn-in, are not looked at.
func NewTrace(chains, features, skip, steps int, seed uint64) *Trace {
	t := &Trace{features: features, skip: skip, steps: steps}
	statistics := features
	if features > tracedStatistics {
		statistics = tracedStatistics
		t.project(seed)
	}
	t.values = make([][][]float32, statistics)
	kept := max(2, tracedNumbers/max(statistics*steps, 1))
	for s := range t.values {
		t.values[s] = make([][]float32, min(chains, tracedChains, kept))
		for i := range t.values[s] {
			t.values[s][i] = make([]float32, 0, steps)
		}
	}
	return t
}

func (t *Trace) project(seed uint64) {
	t.weights = make([]float32, tracedStatistics*t.features)
	for s := range tracedStatistics {
		random := words{at: philox.Coordinates{Stream: philox.StreamDraw, Index: indexProjection, Row: uint32(s)}, key: philox.KeyOf(seed)}
		for j := range t.features {
			t.weights[s*t.features+j] = random.normal(j) / float32(math.Sqrt(float64(t.features)))
		}
	}
}

// Observe is for Chains.Observe; it never fails.
func (t *Trace) Observe(step, first int, x []float32) error {
	if step < t.skip {
		return nil
	}
	for i := range min(len(x)/t.features, len(t.values[0])-first) {
		state := x[i*t.features : (i+1)*t.features]
		for s := range t.values {
			t.values[s][first+i] = append(t.values[s][first+i], t.statistic(s, state))
		}
	}
	return nil
}

func (t *Trace) statistic(s int, x []float32) float32 {
	if t.weights == nil {
		return x[s]
	}
	sum := 0.0
	for j, w := range t.weights[s*t.features : (s+1)*t.features] {
		sum += float64(w) * float64(x[j])
	}
	return float32(sum)
}

// Diagnostics tell how far chains have come, by the statistic that is worst
// off. A number that cannot be estimated, as from fewer than four steps or from
// states that never change, is NaN.
type Diagnostics struct {
	Chains int // looked at
	Steps  int // of each, without the burn-in
	// ESS is the effective sample size: how many independent draws the
	// Chains·Steps states are worth for estimating a mean.
	ESS float64
	// RHat compares the variance between the halves of the chains with that within
	// them; 1 where all have forgotten their starts. NaN for a single chain.
	RHat float64
	// Autocorrelation of the statistic with the least ESS at lags 1, 2, ..., 10.
	Autocorrelation []float64
}

// Diagnose estimates the effective sample size from all chains by Geyer's
// initial positive sequence (Geyer 1992; Gelman et al. 2013, sections 11.4 and
// 11.5, where R̂ is too).
func (t *Trace) Diagnose() Diagnostics {
	d := Diagnostics{Chains: len(t.values[0]), Steps: t.steps, ESS: math.NaN(), RHat: math.NaN()}
	if t.steps < fewestSteps {
		return d
	}
	for s := range t.values {
		v := newVariation(t.values[s])
		if v.total == 0 {
			continue
		}
		if ess := v.effective(); math.IsNaN(d.ESS) || ess < d.ESS {
			d.ESS = ess
			d.Autocorrelation = d.Autocorrelation[:0]
			for lag := 1; lag <= min(shownLags, t.steps-1); lag++ {
				d.Autocorrelation = append(d.Autocorrelation, v.autocorrelation(lag))
			}
		}
		h := newVariation(halves(t.values[s]))
		if r := math.Sqrt(h.total / h.within); d.Chains > 1 && !(r <= d.RHat) {
			d.RHat = r
		}
	}
	return d
}

// halves are the first and the second half of each chain, between which a drift
// that all chains have in common shows.
func halves(chains [][]float32) [][]float32 {
	var all [][]float32
	for _, chain := range chains {
		n := len(chain) / 2
		all = append(all, chain[:n], chain[len(chain)-n:])
	}
	return all
}

// variation is that of one statistic over several chains of n steps.
type variation struct {
	chains [][]float32
	means  []float64
	n      int
	// autocovariance at each lag, the mean over chains, each divided by n
	autocovariance []float64
	within         float64 // W: the mean of the chains' variances, which divide by n-1
	total          float64 // var⁺ = (n-1)/n·W + variance of the chains' means
}

func newVariation(chains [][]float32) *variation {
	v := &variation{chains: chains, means: make([]float64, len(chains)), n: len(chains[0])}
	grand := 0.0
	for i, chain := range chains {
		for _, x := range chain {
			v.means[i] += float64(x)
		}
		v.means[i] /= float64(v.n) // exact where all are equal
		grand += v.means[i]
	}
	grand /= float64(len(chains))
	between := 0.0
	for i := range chains {
		between += (v.means[i] - grand) * (v.means[i] - grand) / float64(max(len(chains)-1, 1))
	}
	v.correlate()
	v.within = v.autocovariance[0] * float64(v.n) / float64(v.n-1)
	v.total = float64(v.n-1)/float64(v.n)*v.within + between
	return v
}

// correlate sets autocovariance: it is the inverse Fourier transform of the
// squared amplitudes, of sequences padded with zeros so that they do not wrap
// around (Wiener and Khinchin).
func (v *variation) correlate() {
	transform := fourier.NewFFT(1 << bits.Len(uint(2*v.n-1)))
	padded := make([]float64, transform.Len())
	coefficients := make([]complex128, transform.Len()/2+1)
	power := make([]complex128, len(coefficients))
	for i, chain := range v.chains {
		for k, x := range chain {
			padded[k] = float64(x) - v.means[i]
		}
		for k, c := range transform.Coefficients(coefficients, padded) {
			power[k] += complex(real(c)*real(c)+imag(c)*imag(c), 0)
		}
	}
	v.autocovariance = transform.Sequence(padded, power)[:v.n]
	for lag := range v.autocovariance {
		v.autocovariance[lag] /= float64(transform.Len()) * float64(v.n) * float64(len(v.chains))
	}
}

// autocorrelation is ρ̂ at a lag: 1 - (W - autocovariance)/var⁺.
func (v *variation) autocorrelation(lag int) float64 {
	return 1 - (v.within-v.autocovariance[lag])/v.total
}

// effective is n·m/τ, τ = -1 + 2Σ(ρ̂(2k) + ρ̂(2k+1)) over the pairs before the
// first that is not positive, made monotone; τ is held above 1/log₁₀(n·m), since
// alternating chains may do better than independence but not without bound.
func (v *variation) effective() float64 {
	draws := float64(v.n * len(v.chains))
	tau, smallest := -1.0, math.Inf(1)
	for lag := 0; lag+1 < v.n; lag += 2 {
		first := 1.0
		if lag > 0 {
			first = v.autocorrelation(lag)
		}
		pair := first + v.autocorrelation(lag+1)
		if !(pair > 0) {
			break
		}
		smallest = math.Min(smallest, pair)
		tau += 2 * smallest
	}
	return draws / math.Max(tau, 1/math.Log10(draws))
}
