package sample

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gpudae/device/philox"
)

// Flow says how LogLikelihood solves the equation of the probability flow.
type Flow struct {
	// SigmaMin and SigmaMax are the noise levels between which it is solved. The
	// likelihood is that of the data after noise SigmaMin, which should be small
	// beside their finest structure; SigmaMax should be large beside their spread.
	SigmaMin, SigmaMax float64
	Steps              int // of the classical Runge-Kutta method, evenly spaced in ln σ; each evaluates D four times
	// Probes is the number of random vectors with which the trace is estimated; 0
	// computes it exactly, which costs one PullBackAt a feature.
	Probes   int
	Together int // examples at a time, 0 for all
	Seed     uint64
	First    int // row in the data of the first example, for which its probes are drawn
	// Observe, if it is not nil, is told after every step of a minibatch.
	Observe func()
}

// LogLikelihood returns log p(x) in nats of each row of x [rows, features] by the
// instantaneous change of variables along the probability flow,
//
//	dx/du = x - D(x; σ),  d log p/du = -tr(I - ∂D/∂x),  u = ln σ
//
// from σ = SigmaMin up to SigmaMax, where p is N(μ, (σ² + v)I) with μ and v from
// D at σ = SigmaMax (Song, Sohl-Dickstein, Kingma, Kumar, Ermon and Poole 2021,
// section 4.3 and appendix D.2). With probes the trace is Hutchinson's
// estimate, the mean of vᵀJv over fixed vectors v of random signs (Grathwohl et
// al. 2019).
func LogLikelihood(ctx context.Context, d Denoiser, x []float32, f Flow) ([]float64, error) {
	features := d.Features()
	if len(x) == 0 || len(x)%features != 0 {
		return nil, fmt.Errorf("likelihood: %d numbers for examples of %d features", len(x), features)
	}
	if !(f.SigmaMax > f.SigmaMin && f.SigmaMin > 0) || f.Steps < 1 || f.Probes < 0 || f.Together < 0 {
		return nil, fmt.Errorf("likelihood: %d steps from σ = %g to %g with %d probes, %d examples together", f.Steps, f.SigmaMin, f.SigmaMax, f.Probes, f.Together)
	}
	prior, err := priorOf(ctx, d, f.SigmaMax)
	if err != nil {
		return nil, fmt.Errorf("likelihood: %w", err)
	}
	together := f.Together * features
	if together == 0 {
		together = len(x)
	}
	all := make([]float64, 0, len(x)/features)
	for rows := range slices.Chunk(x, together) {
		t := &tracer{Flow: f, denoiser: d, features: features, first: f.First + len(all)}
		logs, err := t.ascend(ctx, rows, prior)
		if err != nil {
			return nil, fmt.Errorf("likelihood: %w", err)
		}
		all = append(all, logs...)
	}
	return all, nil
}

// prior is the Gaussian that p_σ is at a large σ.
type prior struct {
	mean     []float64
	variance float64
}

// priorOf reads it off the denoiser, see meanIterations.
func priorOf(ctx context.Context, d Denoiser, sigma float64) (prior, error) {
	features := d.Features()
	mean, err := meanOf(ctx, d, sigma)
	if err != nil {
		return prior{}, err
	}
	p := prior{variance: sigma * sigma}
	at, units, jacobian := make([]float32, 0, features*features), make([]float32, features*features), make([]float32, features*features)
	for j, v := range mean {
		p.mean = append(p.mean, float64(v))
		at = append(at, mean...)
		units[j*features+j] = 1
	}
	if err := d.PullBackAt(ctx, jacobian, at, units, sigma); err != nil {
		return prior{}, err
	}
	for j := range features {
		p.variance += sigma * sigma * max(float64(jacobian[j*features+j]), 0) / float64(features)
	}
	return p, nil
}

func (p prior) log(x []float64) float64 {
	sum := 0.0
	for j, v := range x {
		sum += (v - p.mean[j]) * (v - p.mean[j])
	}
	return -sum/(2*p.variance) - float64(len(x))/2*math.Log(2*math.Pi*p.variance)
}

// tracer follows some examples up the flow.
type tracer struct {
	Flow
	denoiser Denoiser
	features int
	first    int       // example
	at       []float32 // where the slope is taken
	out      []float32 // what the denoiser returns
	probe    []float32
}

// slope is the right-hand side at one point: of the states, and of the integral
// of the trace.
type slope struct{ states, trace []float64 }

func (t *tracer) ascend(ctx context.Context, x []float32, p prior) ([]float64, error) {
	t.at, t.out, t.probe = make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
	states, integral := make([]float64, len(x)), make([]float64, len(x)/t.features)
	for k, v := range x {
		states[k] = float64(v)
	}
	from := math.Log(t.SigmaMin)
	h := (math.Log(t.SigmaMax) - from) / float64(t.Steps)
	for step := range t.Steps {
		if err := t.step(ctx, states, integral, from+h*float64(step), h); err != nil {
			return nil, err
		}
		if t.Observe != nil {
			t.Observe()
		}
	}
	for i := range integral {
		integral[i] += p.log(states[i*t.features : (i+1)*t.features])
		if math.IsNaN(integral[i]) || math.IsInf(integral[i], 0) {
			return nil, &DivergedError{Chain: t.first + i, Step: t.Steps - 1}
		}
	}
	return integral, nil
}

// step is one of the classical Runge-Kutta method, from u to u+h.
func (t *tracer) step(ctx context.Context, states, integral []float64, u, h float64) error {
	var slopes [4]slope
	for i, part := range [4]float64{0, h / 2, h / 2, h} {
		for k, x := range states {
			if i > 0 {
				x += part * slopes[i-1].states[k]
			}
			t.at[k] = float32(x)
		}
		var err error
		if slopes[i], err = t.slope(ctx, math.Exp(u+part)); err != nil {
			return err
		}
	}
	for i, weight := range [4]float64{h / 6, h / 3, h / 3, h / 6} {
		for k, s := range slopes[i].states {
			states[k] += weight * s
		}
		for k, s := range slopes[i].trace {
			integral[k] += weight * s
		}
	}
	return nil
}

func (t *tracer) slope(ctx context.Context, sigma float64) (slope, error) {
	s := slope{make([]float64, len(t.at)), make([]float64, len(t.at)/t.features)}
	if err := ctx.Err(); err != nil {
		return s, err
	}
	if err := t.denoiser.DenoiseAt(ctx, t.out, t.at, sigma); err != nil {
		return s, err
	}
	for k, x := range t.at {
		s.states[k] = float64(x) - float64(t.out[k])
	}
	for i := range s.trace {
		s.trace[i] = float64(t.features)
	}
	probes, weight := t.Probes, 1/float64(max(t.Probes, 1))
	if probes == 0 {
		probes = t.features // the unit vectors
	}
	for probe := range probes {
		t.aim(probe)
		if err := t.denoiser.PullBackAt(ctx, t.out, t.at, t.probe, sigma); err != nil {
			return s, err
		}
		for k, v := range t.probe {
			s.trace[k/t.features] -= weight * float64(v) * float64(t.out[k])
		}
	}
	return s, nil
}

// aim sets the probe of every example: unit vector j, or random signs.
func (t *tracer) aim(j int) {
	if t.Probes == 0 {
		for k := range t.probe {
			t.probe[k] = 0
			if k%t.features == j {
				t.probe[k] = 1
			}
		}
		return
	}
	at := philox.Coordinates{Stream: philox.StreamDraw, Index: indexProbe, Step: uint32(j)}
	for i := range len(t.probe) / t.features {
		at.Row = uint32(t.first + i)
		random := words{at: at, key: philox.KeyOf(t.Seed)}
		for k := range t.features {
			t.probe[i*t.features+k] = 1 - 2*float32(random.word(k)>>31)
		}
	}
}
