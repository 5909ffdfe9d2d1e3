package model

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/reference"
)

// affine is a reconstruction W·x̃ + b.
type affine struct {
	w *mat.Dense
	b *mat.VecDense
}

// moments are the mean and the biased covariance of rows.
func moments(values []float32, d int) (mean *mat.VecDense, covariance *mat.Dense) {
	rows := len(values) / d
	x := mat.NewDense(rows, d, nil)
	mean = mat.NewVecDense(d, nil)
	for i := range rows {
		for j := range d {
			v := float64(values[i*d+j])
			x.Set(i, j, v)
			mean.SetVec(j, mean.AtVec(j)+v/float64(rows))
		}
	}
	covariance = mat.NewDense(d, d, nil)
	covariance.Mul(x.T(), x)
	covariance.Scale(1/float64(rows), covariance)
	var outer mat.Dense
	outer.Outer(1, mean, mean)
	covariance.Sub(covariance, &outer)
	return mean, covariance
}

// regression is the best affine map from x̃ to x: W = Cov(x, x̃)·Cov(x̃)⁻¹,
// b = E x - W·E x̃.
func regression(cross, noisy *mat.Dense, mean, noisyMean *mat.VecDense) affine {
	d := mean.Len()
	var inverse mat.Dense
	if err := inverse.Inverse(noisy); err != nil {
		panic(err)
	}
	a := affine{w: mat.NewDense(d, d, nil), b: mat.NewVecDense(d, nil)}
	a.w.Mul(cross, &inverse)
	a.b.MulVec(a.w, noisyMean)
	a.b.SubVec(mean, a.b)
	return a
}

// wiener is the filter W = Σ(Σ + σ²I)⁻¹, b = (I - W)μ for Gaussian noise.
func wiener(values []float32, d int, sigma float64) affine {
	mean, covariance := moments(values, d)
	noisy := mat.DenseCopyOf(covariance)
	for j := range d {
		noisy.Set(j, j, noisy.At(j, j)+sigma*sigma)
	}
	return regression(covariance, noisy, mean, mean)
}

// marginalised is the optimum under masking (Chen et al. 2012): with q = 1-p,
// Cov(x, x̃) = qΣ and Cov(x̃) = q²Σ + q(1-q)·diag E[x²].
func marginalised(values []float32, d int, p float64) affine {
	q := 1 - p
	mean, covariance := moments(values, d)
	var cross, noisy mat.Dense
	cross.Scale(q, covariance)
	noisy.Scale(q*q, covariance)
	for j := range d {
		second := covariance.At(j, j) + mean.AtVec(j)*mean.AtVec(j)
		noisy.Set(j, j, noisy.At(j, j)+q*(1-q)*second)
	}
	noisyMean := mat.NewVecDense(d, nil)
	noisyMean.ScaleVec(q, mean)
	return regression(&cross, &noisy, mean, noisyMean)
}

// correlated draws rows of a Gaussian with a mean and correlated features.
func correlated(rows, d int) []float32 {
	random := rand.New(rand.NewPCG(8, 0))
	mix := make([]float64, d*d)
	for i := range mix {
		mix[i] = random.NormFloat64() / math.Sqrt(float64(d))
	}
	var values []float32
	z := make([]float64, d)
	for range rows {
		for k := range z {
			z[k] = random.NormFloat64()
		}
		for j := range d {
			v := 0.5 + 0.3*float64(j)
			for k := range d {
				v += mix[j*d+k] * z[k]
			}
			values = append(values, float32(v))
		}
	}
	return values
}

const oracleFeatures = 4

// optima are the corruptions with a closed form and that form.
func optima(values []float32) map[string]affine {
	return map[string]affine{
		"gaussian:0.5": wiener(values, oracleFeatures, 0.5),
		"masking:0.3":  marginalised(values, oracleFeatures, 0.3),
	}
}

// TestGradientVanishesAtTheClosedForm: at W₂W₁ = W the gradient's expectation
// over the noise is zero, which its mean over many steps shows within five
// standard errors of each element.
func TestGradientVanishesAtTheClosedForm(t *testing.T) {
	const rows, steps = 50, 400
	values := correlated(rows, oracleFeatures)
	for corruption, optimum := range optima(values) {
		t.Run(corruption, func(t *testing.T) {
			dev := newCPU(t)
			n := bound(t, dev, linearConfig(oracleFeatures, corruption), rows)
			src := sourceOf(t, dev, values, oracleFeatures, device.Clock{})
			setAffine(t, n, optimum)
			if worst := largestT(t, n, src, rows, steps); worst > 5 {
				t.Errorf("an element of the mean gradient is %.1f standard errors from 0", worst)
			}
			// The test can see a wrong optimum: 2 % away it does.
			optimum.w.Scale(1.02, optimum.w)
			setAffine(t, n, optimum)
			if worst := largestT(t, n, src, rows, steps); worst < 8 {
				t.Errorf("2 %% from the optimum the mean gradient is only %.1f standard errors from 0", worst)
			}
		})
	}
}

func newCPU(t *testing.T) device.Device {
	t.Helper()
	dev, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// setAffine makes the encoder the identity and the decoder the map.
func setAffine(t *testing.T, n *Net, a affine) {
	t.Helper()
	d := oracleFeatures
	params := make([]float32, n.dae.ParameterCount())
	list := n.dae.Parameters()
	for i := range d {
		slice(params, list[n.dae.slots[0].weight])[i*d+i] = 1
		slice(params, list[n.dae.slots[1].bias])[i] = float32(a.b.AtVec(i))
		for j := range d {
			slice(params, list[n.dae.slots[1].weight])[i*d+j] = float32(a.w.At(i, j))
		}
	}
	if err := n.SetParameters(params, nil); err != nil {
		t.Fatal(err)
	}
}

// largestT is the largest |mean|/standard error of the gradient's elements over steps.
func largestT(t *testing.T, n *Net, src Source, rows, steps int) float64 {
	t.Helper()
	sum := make([]float64, n.dae.ParameterCount())
	square := make([]float64, len(sum))
	for step := range steps {
		setClock(t, n.dev, src, device.Clock{Step: uint64(step)})
		n.Gradient(src, rows)
		for i, g := range download(t, n.dev, n.Grads) {
			sum[i] += float64(g)
			square[i] += float64(g) * float64(g)
		}
	}
	worst := 0.0
	for i := range sum {
		mean := sum[i] / float64(steps)
		deviation := math.Sqrt(square[i]/float64(steps) - mean*mean)
		worst = max(worst, math.Abs(mean)/(deviation/math.Sqrt(float64(steps))))
	}
	return worst
}

// TestTrainingReachesTheClosedForm trains a linear auto-encoder by Adam with a
// decaying rate, from random weights, and compares the map that it computes.
func TestTrainingReachesTheClosedForm(t *testing.T) {
	const rows, steps = 100, 2500
	values := correlated(rows, oracleFeatures)
	for corruption, want := range optima(values) {
		t.Run(corruption, func(t *testing.T) {
			dev := newCPU(t)
			config := linearConfig(oracleFeatures, corruption)
			config.Replicates = 4
			n := bound(t, dev, config, rows)
			src := sourceOf(t, dev, values, oracleFeatures, device.Clock{})
			trainAdam(t, n, src, rows, steps)

			// The map's columns are the images of the unit vectors less that of 0.
			probe := make([]float32, (oracleFeatures+1)*oracleFeatures)
			for j := range oracleFeatures {
				probe[(j+1)*oracleFeatures+j] = 1
			}
			out, err := n.Denoise(t.Context(), matrix(probe, oracleFeatures))
			if err != nil {
				t.Fatal(err)
			}
			image := out.Data().([]float32)
			for i := range oracleFeatures {
				if got := float64(image[i]); math.Abs(got-want.b.AtVec(i)) > 0.02 {
					t.Errorf("b[%d] = %.4f, want %.4f", i, got, want.b.AtVec(i))
				}
				for j := range oracleFeatures {
					if got := float64(image[(j+1)*oracleFeatures+i] - image[i]); math.Abs(got-want.w.At(i, j)) > 0.02 {
						t.Errorf("W[%d,%d] = %.4f, want %.4f", i, j, got, want.w.At(i, j))
					}
				}
			}
		})
	}
}

// trainAdam takes steps over the whole part, the rate falling linearly to 0.
func trainAdam(t *testing.T, n *Net, src Source, rows, steps int) {
	t.Helper()
	a := &allocator{dev: n.dev}
	count := n.dae.ParameterCount()
	update := device.UpdateArgs{Kind: device.Adam, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Rates: a.matrix(1, steps), Clock: src.Clock,
		GradSq: n.GradSq(), Loss: n.MeanLoss(), Params: n.Params, Grads: n.Grads, First: a.matrix(1, count), Second: a.matrix(1, count)}
	if a.err != nil {
		t.Fatal(a.err)
	}
	rates := make([]float32, steps)
	for i := range rates {
		rates[i] = 0.02 * float32(steps-i) / float32(steps)
	}
	if err := n.dev.Upload(update.Rates, rates); err != nil {
		t.Fatal(err)
	}
	for step := range steps {
		setClock(t, n.dev, src, device.Clock{Step: uint64(step), Index: uint32(step)})
		n.Gradient(src, rows)
		n.dev.Update(update)
	}
	if err := n.dev.Sync(); err != nil {
		t.Fatal(err)
	}
}

// energyModel is the energy whose score a tied auto-encoder with a sigmoid
// encoder and a linear decoder computes (Vincent 2011, eq. 17):
//
//	E(x) = -(⟨c, x⟩ - ½‖x‖² + Σ_j softplus(⟨W_j, x⟩ + b_j))/σ²
type energyModel struct {
	w     []float64 // [units, features]
	b, c  []float64
	sigma float64
}

func (e *energyModel) energy(x []float64) float64 {
	s := 0.0
	for i, v := range x {
		s += e.c[i]*v - v*v/2
	}
	for j, b := range e.b {
		a := b
		for i, v := range x {
			a += e.w[j*len(x)+i] * v
		}
		s += math.Max(a, 0) + math.Log1p(math.Exp(-math.Abs(a)))
	}
	return -s / (e.sigma * e.sigma)
}

// score is -∇E by Richardson's central differences.
func (e *energyModel) score(x []float64) []float64 {
	moved := append([]float64(nil), x...)
	slope := func(i int, h float64) float64 {
		moved[i] = x[i] + h
		above := e.energy(moved)
		moved[i] = x[i] - h
		below := e.energy(moved)
		moved[i] = x[i]
		return (above - below) / (2 * h)
	}
	s := make([]float64, len(x))
	for i := range x {
		const h = 1e-3
		s[i] = -(4*slope(i, h/2) - slope(i, h)) / 3
	}
	return s
}

// matching is the objective of denoising score matching, the mean over rows of
// ½‖score(x̃) - (x - x̃)/σ²‖² (Vincent 2011, eq. 9).
func (e *energyModel) matching(clean, noisy []float64) float64 {
	d := len(e.c)
	total := 0.0
	for first := 0; first < len(clean); first += d {
		x, xt := clean[first:first+d], noisy[first:first+d]
		for i, s := range e.score(xt) {
			total += 0.5 * math.Pow(s-(x[i]-xt[i])/(e.sigma*e.sigma), 2)
		}
	}
	return total / float64(len(clean)/d)
}

// TestTiedAutoEncoderIsScoreMatching: with a Gaussian likelihood of standard
// deviation σ² the loss of the auto-encoder is, but for constants, the
// objective of score matching of its energy, and so is its gradient; the
// reconstruction is x̃ + σ²·score(x̃) (Vincent 2011).
func TestTiedAutoEncoderIsScoreMatching(t *testing.T) {
	const rows, features, units, sigma = 6, 4, 3, 0.5
	dev := reference.New()
	n := bound(t, dev, Config{Features: features, Hidden: []int{units}, Activation: "sigmoid", Tied: true,
		Likelihood: "gaussian:0.25", Corruption: "gaussian:0.5"}, rows)
	src := sourceOf(t, dev, uniform(1, rows*features), features, device.Clock{Step: 2})
	random := rand.New(rand.NewPCG(6, 0))
	params := reference.Float64s(n.Params)
	for i := range params {
		params[i] = random.NormFloat64()
	}
	e := &energyModel{w: params[:units*features], b: params[units*features:][:units], c: params[units*features+units:], sigma: sigma}

	n.Gradient(src, rows)
	clean, noisy := reference.Float64s(n.clean), reference.Float64s(n.corrupted)
	constant := features * (math.Log(sigma*sigma) + 0.5*math.Log(2*math.Pi))
	if got, want := reference.Float64s(n.MeanLoss())[0]-constant, e.matching(clean, noisy); math.Abs(got-want) > 1e-6*want {
		t.Errorf("the loss is %.10g, score matching %.10g", got, want)
	}
	gradient := append([]float64(nil), reference.Float64s(n.Grads)...)
	for i := range params {
		const h = 1e-4
		saved := params[i]
		params[i] = saved + h
		above := e.matching(clean, noisy)
		params[i] = saved - h
		below := e.matching(clean, noisy)
		params[i] = saved
		if numeric := (above - below) / (2 * h); math.Abs(numeric-gradient[i]) > 1e-5*max(1, math.Abs(numeric)) {
			t.Errorf("gradient %d is %.8g, of score matching %.8g", i, gradient[i], numeric)
		}
	}

	m := &minibatch{rows: rows, replicates: 1}
	n.reconstruct(m)
	reconstruction := reference.Float64s(n.reconstruction)
	for first := 0; first < rows*features; first += features {
		for i, s := range e.score(noisy[first : first+features]) {
			want := noisy[first+i] + sigma*sigma*s
			if got := reconstruction[first+i]; math.Abs(got-want) > 1e-8 {
				t.Errorf("row %d: reconstruction %.10g, by the score %.10g", first/features, got, want)
			}
		}
	}
}
