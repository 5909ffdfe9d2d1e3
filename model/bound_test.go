package model

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"gpudae/device"
	"gpudae/device/reference"
)

// latent is the linear-Gaussian model x = μ + Wz + σε, z ~ N(0, I), whose W has
// orthogonal columns, so that q(z|x) has a diagonal covariance and an encoder of
// one layer can put it out exactly (Lucas et al. 2019, section 3):
//
//	E[z|x] = M⁻¹Wᵀ(x - μ),  Cov[z|x] = σ²M⁻¹,  M = WᵀW + σ²I
type latent struct {
	d, q  int
	w, mu []float64 // [d, q], [d]
	sigma float64
}

func newLatent() latent {
	const s = 0.5
	return latent{d: 4, q: 2, sigma: 0.6, mu: []float64{0.3, -1, 0.5, 2}, w: []float64{
		1.2, s,
		1.2, -s,
		-1.2, s,
		1.2, s,
	}}
}

// config is the auto-encoder of its shape.
func (l latent) config() Config {
	return Config{Features: l.d, Code: l.q, Likelihood: "gaussian:0.6", Corruption: "none", CodeDistribution: "gaussian"}
}

// setTo gives the net the model's decoder, and its posterior with the means off
// by an offset and the standard deviations by a factor.
func (l latent) setTo(t *testing.T, n *Net, offset, factor float64) {
	t.Helper()
	params, list := make([]float32, n.dae.ParameterCount()), n.dae.Parameters()
	encoder, decoder := slice(params, list[n.dae.slots[0].weight]), slice(params, list[n.dae.slots[1].weight])
	encoderBias, decoderBias := slice(params, list[n.dae.slots[0].bias]), slice(params, list[n.dae.slots[1].bias])
	for k := range l.q {
		m := l.sigma * l.sigma
		for j := range l.d {
			m += l.w[j*l.q+k] * l.w[j*l.q+k]
		}
		for j := range l.d {
			encoder[k*l.d+j] = float32(l.w[j*l.q+k] / m)
			encoderBias[k] -= float32(l.w[j*l.q+k] / m * l.mu[j])
			decoder[j*l.q+k], decoderBias[j] = float32(l.w[j*l.q+k]), float32(l.mu[j])
		}
		encoderBias[k] += float32(offset)
		encoderBias[l.q+k] = float32(math.Log(l.sigma * l.sigma / m * factor * factor))
	}
	if err := n.SetParameters(params, nil); err != nil {
		t.Fatal(err)
	}
}

// logDensity is the mean of ln p(x), x ~ N(μ, WWᵀ + σ²I), over rows.
func (l latent) logDensity(values []float32) float64 {
	c := mat.NewSymDense(l.d, nil)
	for i := range l.d {
		for j := range l.d {
			v := 0.0
			for k := range l.q {
				v += l.w[i*l.q+k] * l.w[j*l.q+k]
			}
			if i == j {
				v += l.sigma * l.sigma
			}
			c.SetSym(i, j, v)
		}
	}
	var factor mat.Cholesky
	factor.Factorize(c)
	rows := len(values) / l.d
	total := 0.0
	for i := range rows {
		x := mat.NewVecDense(l.d, nil)
		for j := range l.d {
			x.SetVec(j, float64(values[i*l.d+j])-l.mu[j])
		}
		var solved mat.VecDense
		if err := factor.SolveVecTo(&solved, x); err != nil {
			panic(err)
		}
		total -= (float64(l.d)*math.Log(2*math.Pi) + factor.LogDet() + mat.Dot(x, &solved)) / 2
	}
	return total / float64(rows)
}

func (l latent) draw(rows int) []float32 {
	random := rand.New(rand.NewPCG(17, 0))
	var values []float32
	for range rows {
		z := []float64{random.NormFloat64(), random.NormFloat64()}
		for j := range l.d {
			values = append(values, float32(l.mu[j]+l.w[j*l.q]*z[0]+l.w[j*l.q+1]*z[1]+l.sigma*random.NormFloat64()))
		}
	}
	return values
}

// TestBoundIsTightAtThePosterior: where q(h|x) is p(h|x), each sampled ratio
// p(x|h)p(h)/q(h|x) is p(x), so that the bound of any number of samples is the
// exact log likelihood, without an error of sampling.
func TestBoundIsTightAtThePosterior(t *testing.T) {
	l := newLatent()
	values := l.draw(30)
	want := -l.logDensity(values)
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			src := sourceOf(t, dev, values, l.d, device.Clock{})
			n := bound(t, dev, l.config(), 30)
			l.setTo(t, n, 0, 1)
			for _, samples := range []int{1, 2, 7, 30} {
				got, err := n.ImportanceBound(t.Context(), src, samples)
				if err != nil || math.Abs(got-want) > 2e-6*want {
					t.Errorf("the bound of %d samples is %.8f, -ln p(x) %.8f: %v", samples, got, want, err)
				}
			}
			// In training it is the same loss.
			config := l.config()
			config.Importance = 3
			trained := bound(t, dev, config, 30)
			l.setTo(t, trained, 0, 1)
			trained.Gradient(src, 30)
			if got := float64(download(t, dev, trained.MeanLoss())[0]); math.Abs(got-want) > 2e-6*want {
				t.Errorf("the loss is %.8f, -ln p(x) %.8f", got, want)
			}
		})
	}
}

// TestBoundRisesWithSamples: away from the posterior the evidence lower bound is
// below ln p(x) by KL(q(h|x)‖p(h|x)), exactly known here, and the importance-
// weighted bound rises from there towards ln p(x) (Burda et al. 2016, theorem 1).
func TestBoundRisesWithSamples(t *testing.T) {
	const rows, seeds, offset, factor = 4000, 25, 0.15, 1.2
	l := newLatent()
	values := l.draw(rows)
	dev := newCPU(t)
	src := sourceOf(t, dev, values, l.d, device.Clock{})
	n := bound(t, dev, l.config(), rows)
	l.setTo(t, n, offset, factor)

	gap := 0.0 // KL of two Gaussians, summed over the units
	for k := range l.q {
		m := l.sigma * l.sigma
		for j := range l.d {
			m += l.w[j*l.q+k] * l.w[j*l.q+k]
		}
		gap += (factor*factor + offset*offset*m/(l.sigma*l.sigma) - 1 - 2*math.Log(factor)) / 2
	}
	exact := -l.logDensity(values)
	evidence := 0.0
	for seed := range uint64(seeds) {
		src.Seed = seed
		e, err := n.Evaluate(t.Context(), src)
		if err != nil || e.Loss != e.NLL+e.KL {
			t.Fatalf("%+v, %v", e, err)
		}
		evidence += e.Loss / seeds
	}
	if math.Abs(evidence-exact-gap) > 0.02 { // four standard errors
		t.Errorf("the evidence bound is %.4f, theory has %.4f", evidence, exact+gap)
	}
	last := exact + gap
	for _, samples := range []int{1, 4, 16, 64} {
		got, err := n.ImportanceBound(t.Context(), src, samples)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("K = %3d: %.4f nats above -ln p(x) = %.4f", samples, got-exact, exact)
		switch {
		case samples == 1 && math.Abs(got-last) > 0.05:
			t.Errorf("the bound of one sample is %.4f, the evidence bound %.4f", got, last)
		case samples > 1 && got > last-0.004 || got < exact:
			t.Errorf("the bound of %d samples is %.4f, after %.4f; -ln p(x) is %.4f", samples, got, last, exact)
		}
		last = got
	}
	if last-exact > 0.004 {
		t.Errorf("the bound of 64 samples is %.4f nats above -ln p(x)", last-exact)
	}
}

// TestOneSampleIsTheEvidenceBound: under the same noise of code and corruption the
// two bounds differ in the divergence alone, whose expectation over the code is
// its closed form.
func TestOneSampleIsTheEvidenceBound(t *testing.T) {
	const rows, seeds = 20, 300
	dev := newCPU(t)
	config := codeConfig("gaussian")
	n := bound(t, dev, config, rows)
	src := sourceOf(t, dev, uniform(1, rows*5), 5, device.Clock{})
	var sum, square float64
	for seed := range uint64(seeds) {
		src.Seed = seed
		e, err := n.Evaluate(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		sampled, err := n.ImportanceBound(t.Context(), src, 1)
		if err != nil {
			t.Fatal(err)
		}
		difference := sampled - e.NLL - e.KL
		sum, square = sum+difference, square+difference*difference
	}
	mean := sum / seeds
	deviation := math.Sqrt(square/seeds - mean*mean)
	if math.Abs(mean) > 4*deviation/math.Sqrt(seeds) || deviation < 0.01 {
		t.Errorf("the sampled divergence differs from the closed form by %.5f ± %.5f", mean, deviation/math.Sqrt(seeds))
	}
}

// TestDivergenceIsTheClosedForm recomputes KL(q‖p) of Evaluate from the
// parameters of q, by summing over the two values of a Bernoulli unit or by
// integrating over those of a Gaussian.
func TestDivergenceIsTheClosedForm(t *testing.T) {
	const rows = 9
	for _, distribution := range []string{"gaussian", "bernoulli", "concrete"} {
		dev := reference.New()
		n := perturbed(t, dev, codeConfig(distribution), rows)
		e, err := n.Evaluate(t.Context(), sourceOf(t, dev, uniform(1, rows*5), 5, device.Clock{}))
		if err != nil {
			t.Fatal(err)
		}
		params, want := reference.Float64s(n.blocks[n.dae.depth-1].active), 0.0
		for i := range rows {
			for j := range 3 {
				if distribution == "gaussian" {
					mu, sigma := params[i*6+j], math.Exp(params[i*6+3+j]/2)
					want += integral(func(h float64) float64 {
						z := (h - mu) / sigma
						return math.Exp(-z*z/2) / (sigma * math.Sqrt(2*math.Pi)) * (h*h/2 - z*z/2 - math.Log(sigma))
					}, mu-12*sigma, mu+12*sigma)
					continue
				}
				p := logistic(params[i*3+j])
				want += p*math.Log(2*p) + (1-p)*math.Log(2*(1-p))
			}
		}
		if want /= rows; math.Abs(e.KL-want) > 1e-6*want {
			t.Errorf("%s: KL %.9f, want %.9f", distribution, e.KL, want)
		}
	}
}

// integral is Simpson's rule.
func integral(f func(float64) float64, from, to float64) float64 {
	const intervals = 2000
	step := (to - from) / intervals
	sum := f(from) + f(to)
	for i := 1; i < intervals; i++ {
		sum += f(from+float64(i)*step) * float64(2+2*(i%2))
	}
	return sum * step / 3
}

// TestTrainingReachesProbabilisticPCA: the greatest evidence bound of a linear
// auto-encoder with a Gaussian code is the log likelihood of probabilistic PCA,
// whose posterior it can put out (Tipping and Bishop 1999, equation 12 at its
// optimum; Lucas et al. 2019, section 4). It is reached within 0.01 nats, with
// the divergence in closed form and with importance weights.
func TestTrainingReachesProbabilisticPCA(t *testing.T) {
	const rows, steps, d, q = 50, 5000, 4, 2
	values := correlated(rows, d)
	_, covariance := moments(values, d)
	var eigen mat.EigenSym
	symmetric := mat.NewSymDense(d, nil)
	for i := range d {
		for j := range d {
			symmetric.SetSym(i, j, covariance.At(i, j))
		}
	}
	eigen.Factorize(symmetric, false)
	lambda := eigen.Values(nil) // rising
	variance, best := 0.0, float64(d)*(math.Log(2*math.Pi)+1)
	for _, v := range lambda[:d-q] {
		variance += v / (d - q)
	}
	best += (d - q) * math.Log(variance)
	for _, v := range lambda[d-q:] {
		best += math.Log(v)
	}
	best /= 2 // -ln p(x), mean over the rows
	for _, samples := range []int{0, 3} {
		dev := newCPU(t)
		config := Config{Features: d, Code: q, CodeDistribution: "gaussian", Importance: samples,
			Likelihood: Likelihood{Kind: device.Gaussian, Sigma: math.Sqrt(variance)}.String()}
		n := bound(t, dev, config, rows)
		src := sourceOf(t, dev, values, d, device.Clock{})
		trainAdam(t, n, src, rows, steps)
		got, err := n.ImportanceBound(t.Context(), src, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("importance %d: %.5f nats, probabilistic PCA %.5f", samples, got, best)
		if math.Abs(got-best) > 0.01 {
			t.Errorf("importance %d: the bound is %.5f nats, probabilistic PCA has %.5f", samples, got, best)
		}
	}
}
