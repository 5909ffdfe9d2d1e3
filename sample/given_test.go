package sample

import (
	"context"
	"math"
	"testing"

	"gpudae/model"
)

// TestCompletionsAreConditional: given some features of a mixture, no two-sample
// test tells the others from draws of the exact conditional.
func TestCompletionsAreConditional(t *testing.T) {
	const n = 300
	for name, c := range map[string]struct {
		m     *gaussianMixture
		known []bool
		x     []float32
		run   func(context.Context, Descent) ([]float32, error)
	}{
		"heun of a Gaussian":                 {one(), []bool{true, false}, []float32{1.5, 0}, Heun},
		"ancestral of a Gaussian":            {one(), []bool{false, true}, []float32{0, 0.7}, Ancestral},
		"annealed Langevin of a mixture":     {space(4), []bool{true, false, false, true}, []float32{0.3, 0, 0, -0.5}, AnnealedLangevin},
		"annealed Langevin of one component": {plane(), []bool{true, false}, []float32{-1.1, 0}, AnnealedLangevin},
	} {
		d := descentOf(t, c.m, n, 30)
		d.Given = &Given{c.known, c.x}
		x := mustDescend(t, c.run, d)
		for i, v := range x {
			if c.known[i%len(c.known)] && v != c.x[i%len(c.known)] {
				t.Fatalf("%s: %v where %v was given", name, v, c.x[i%len(c.known)])
			}
		}
		want := c.m.conditional(c.known, c.x)
		checkSame(t, name, freeColumns(x, c.known), want.draw(n, 9), want.features)
	}
}

// TestReplacementNeedsResampling: without the correction the samples of a
// Gaussian are told from its conditional, unless they are resampled much.
func TestReplacementNeedsResampling(t *testing.T) {
	const n = 500
	m, known, x := one(), []bool{true, false}, []float32{1.5, 0}
	want := m.conditional(known, x).draw(n, 9)
	d := descentOf(t, m, n, 50)
	d.Given, d.Replace = &Given{known, x}, true
	if p := compareSamples(t, freeColumns(mustDescend(t, Ancestral, d), known), want, 1); p["energy distance"] > 0.01 {
		t.Errorf("once: P = %.3f", p["energy distance"])
	}
	d.Resample, d.Jump = 20, 5
	checkSame(t, "resampled 20 times", freeColumns(mustDescend(t, Ancestral, d), known), want, 1)
}

// TestGivenRowsAreTakenInTurn by the chains, whatever runs together.
func TestGivenRowsAreTakenInTurn(t *testing.T) {
	d := descentOf(t, plane(), 5, 6)
	d.Given, d.Together = &Given{[]bool{false, true}, []float32{0, 1, 0, 2, 0, 3}}, 2
	x := mustDescend(t, Heun, d)
	for i, want := range []float32{1, 2, 3, 1, 2} {
		if x[2*i+1] != want {
			t.Errorf("chain %d has %v, want %v", i, x[2*i+1], want)
		}
	}
}

// TestMomentsHoldTheGivenFeatures: corrected, D_g is y, but for the ridge.
func TestMomentsHoldTheGivenFeatures(t *testing.T) {
	const sigma, y = 0.8, 2.5
	m := one()
	x, d := []float32{0.3, -1}, make([]float32, 2)
	if err := m.DenoiseAt(context.Background(), d, x, sigma); err != nil {
		t.Fatal(err)
	}
	off := y - float64(d[0])
	p := newProjection(&Given{[]bool{true, false}, []float32{y, 0}})
	if err := p.apply(context.Background(), m, d, x, sigma, 0); err != nil {
		t.Fatal(err)
	}
	if left := math.Abs(y-float64(d[0])) / off; left > 2e-3 {
		t.Errorf("D_g is %.4f, which leaves %.2f %% of what was to be corrected", d[0], 100*left)
	}
}

// TestSolveRidge: but for the ridge it is the inverse; a matrix that is not
// positive definite gives numbers of the size that its entries allow.
func TestSolveRidge(t *testing.T) {
	a := []float64{4, 1, 0.5, 1, 3, -1, 0.5, -1, 2}
	want := []float64{1, -2, 3}
	b := make([]float64, 3)
	for i := range b {
		for j, w := range want {
			b[i] += a[3*i+j] * w
		}
		b[i] += 4 * leastRidge * want[i]
	}
	solveRidge(a, b)
	for i, w := range want {
		if math.Abs(b[i]-w) > 1e-12 {
			t.Errorf("%v, want %v", b, want)
		}
	}
	const n = 40
	bad, right := make([]float64, n*n), make([]float64, n)
	for i := range n {
		right[i] = 1
		for j := range i + 1 {
			bad[i*n+j] = math.Sin(float64(7*i*i + 3*j))
			bad[j*n+i] = bad[i*n+j]
		}
	}
	solveRidge(bad, right)
	for _, v := range right {
		if !(math.Abs(v) < 10) {
			t.Fatalf("%v", right)
		}
	}
	zero := []float64{0}
	solveRidge([]float64{0}, zero)
	if zero[0] != 0 {
		t.Errorf("%v of nothing", zero)
	}
}

// TestWalkbackOfGivenIsTheAutoregression that is left: with x_g held,
// x' = W_mm(x + σz) + W_mg(x_g + σz) + b + τz', of mean
// (W_mg·x_g + b)/(1 - W_mm) and variance (σ²|W_m·|² + τ²)/(1 - W_mm²).
func TestWalkbackOfGivenIsTheAutoregression(t *testing.T) {
	const spread, given = 0.3, 1.2
	w, b := wiener(oracleCovariance, oracleMean, oracleNoise)
	net := affine(t, newCPU(t, 2), "gaussian:0.5", "gaussian:0.3", w[:], b[:], 1000)
	states := mustRun(t, Walkback, Chains{Net: net, Source: model.Source{Seed: 1}, Start: make([]float32, 2*4000), Steps: 30,
		Given: &Given{[]bool{true, false}, []float32{given, 0}}})
	mean := (w[2]*given + b[1]) / (1 - w[3])
	variance := (oracleNoise*oracleNoise*(w[2]*w[2]+w[3]*w[3]) + spread*spread) / (1 - w[3]*w[3])
	checkColumn(t, states, given, mean, variance)
	// the mean is that of the conditional of the data
	precision := oracleCovariance.plus(oracleNoise*oracleNoise, identity2).inverse()
	if want := oracleMean[1] - precision[2]/precision[3]*(given-oracleMean[0]); math.Abs(want-mean) > 1e-9 {
		t.Errorf("mean %v of the chain, want %v", mean, want)
	}
}

// TestLangevinOfGiven is stationary at the conditional of p_σ, with the
// variance of TestLangevinOfAGaussian.
func TestLangevinOfGiven(t *testing.T) {
	const given, step = 1.2, 0.2
	w, b := wiener(oracleCovariance, oracleMean, oracleNoise)
	net := affine(t, newCPU(t, 2), "gaussian:0.5", "gaussian:1", w[:], b[:], 2000)
	states := mustRun(t, Langevin, Chains{Net: net, Source: model.Source{Seed: 3}, Start: make([]float32, 2*4000), Steps: 60, Noise: oracleNoise, StepSize: step,
		Given: &Given{[]bool{true, false}, []float32{given, 0}}})
	precision := oracleCovariance.plus(oracleNoise*oracleNoise, identity2).inverse()
	s := 1 / precision[3]
	checkColumn(t, states, given, oracleMean[1]-precision[2]/precision[3]*(given-oracleMean[0]), s/(1-step/(4*s)))
}

// checkColumn requires the first column to be given and the second to have the
// moments within 4.5 standard errors.
func checkColumn(t *testing.T, states []float32, given float32, mean, variance float64) {
	t.Helper()
	n := float64(len(states) / 2)
	var m, v float64
	for i := 0; i < len(states); i += 2 {
		if states[i] != given {
			t.Fatalf("%v where %v was given", states[i], given)
		}
		d := float64(states[i+1]) - mean
		m += d / n
		v += d * d / n
	}
	if math.Abs(m) > 4.5*math.Sqrt(variance/n) || math.Abs(v-variance) > 4.5*variance*math.Sqrt(2/n) {
		t.Errorf("mean %.4f, variance %.4f, want %.4f and %.4f", m+mean, v, mean, variance)
	}
}

// conditional is the mixture of the features that are not known, given values x
// of those that are.
func (m *gaussianMixture) conditional(known []bool, x []float32) *gaussianMixture {
	var free []int
	for j, k := range known {
		if !k {
			free = append(free, j)
		}
	}
	var parts []component
	total := 0.0
	for k := range m.components {
		c := m.components[k].given(known, free, x)
		total += c.weight
		parts = append(parts, c)
	}
	for k := range parts {
		parts[k].weight /= total
	}
	return newMixture(parts...)
}

// covariance is Σ_ij.
func (c *component) covariance(i, j int) float64 {
	sum := 0.0
	for a, v := range c.values {
		sum += c.axes[a][i] * v * c.axes[a][j]
	}
	return sum
}

// given is w·N(x_known) and the conditional moments, by conditioning on one
// feature after the other.
func (c *component) given(known []bool, free []int, x []float32) component {
	n := len(c.mean)
	mean, covariance := append([]float64(nil), c.mean...), make([]float64, n*n)
	for i := range n {
		for j := range n {
			covariance[i*n+j] = c.covariance(i, j)
		}
	}
	log := math.Log(c.weight)
	for k, isKnown := range known {
		if !isKnown {
			continue
		}
		v, d := covariance[k*n+k], float64(x[k])-mean[k]
		log -= d*d/(2*v) + math.Log(2*math.Pi*v)/2
		gain := make([]float64, n)
		for i := range n {
			gain[i] = covariance[i*n+k] / v
		}
		row := append([]float64(nil), covariance[k*n:(k+1)*n]...)
		for i := range n {
			mean[i] += gain[i] * d
			for j := range n {
				covariance[i*n+j] -= gain[i] * row[j]
			}
		}
	}
	var restMean, rest []float64
	for _, i := range free {
		restMean = append(restMean, mean[i])
		for _, j := range free {
			rest = append(rest, covariance[i*n+j])
		}
	}
	return newComponent(math.Exp(log), restMean, rest)
}

func freeColumns(x []float32, known []bool) []float32 {
	var out []float32
	for i, v := range x {
		if !known[i%len(known)] {
			out = append(out, v)
		}
	}
	return out
}
