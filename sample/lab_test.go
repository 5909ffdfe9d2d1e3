package sample

import (
	"context"
	"math"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/device/reference"
	"gpudae/model"
)

func newCPU(t testing.TB, threads int) device.Device {
	t.Helper()
	dev, err := cpu.New(threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

func devices(t *testing.T) map[string]device.Device {
	return map[string]device.Device{"cpu": newCPU(t, 2), "reference": reference.New()}
}

func newDAE(t testing.TB, c model.Config) *model.DAE {
	t.Helper()
	d, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// layers are the weights [out, in] and biases of a model of one hidden layer.
type layers struct{ encoder, encoderBias, decoder, decoderBias []float32 }

// handMade is a net of those weights.
func handMade(t testing.TB, dev device.Device, d *model.DAE, l layers, examples int) *model.Net {
	t.Helper()
	net, err := model.Bind(dev, d, model.Binding{Examples: examples})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]float32{"encoder.0.weight": l.encoder, "encoder.0.bias": l.encoderBias,
		"decoder.0.weight": l.decoder, "decoder.0.bias": l.decoderBias}
	params := make([]float32, d.ParameterCount())
	for _, p := range d.Parameters() {
		if len(values[p.Name]) != p.Len() {
			t.Fatalf("%d values for %s of %d", len(values[p.Name]), p.Name, p.Len())
		}
		copy(params[p.Offset:], values[p.Name])
	}
	if err := net.SetParameters(params, nil); err != nil {
		t.Fatal(err)
	}
	return net
}

// affine is a net with the reconstruction r(x) = W·x + b in the plane; further
// rows of W and b are further parameters of the likelihood.
func affine(t testing.TB, dev device.Device, corruption, likelihood string, w, b []float64, examples int) *model.Net {
	t.Helper()
	d := newDAE(t, model.Config{Features: 2, Hidden: []int{2}, Activation: "identity", Corruption: corruption, Likelihood: likelihood})
	return handMade(t, dev, d, layers{[]float32{1, 0, 0, 1}, []float32{0, 0}, narrow(w), narrow(b)}, examples)
}

func narrow(values []float64) []float32 {
	list := make([]float32, len(values))
	for i, v := range values {
		list[i] = float32(v)
	}
	return list
}

// matrix2 is a symmetric or general 2×2 matrix, row-major.
type matrix2 [4]float64

func (a matrix2) times(b matrix2) matrix2 {
	return matrix2{a[0]*b[0] + a[1]*b[2], a[0]*b[1] + a[1]*b[3], a[2]*b[0] + a[3]*b[2], a[2]*b[1] + a[3]*b[3]}
}

func (a matrix2) plus(factor float64, b matrix2) matrix2 {
	for i := range a {
		a[i] += factor * b[i]
	}
	return a
}

func (a matrix2) transposed() matrix2 { return matrix2{a[0], a[2], a[1], a[3]} }

func (a matrix2) inverse() matrix2 {
	det := a[0]*a[3] - a[1]*a[2]
	return matrix2{a[3] / det, -a[1] / det, -a[2] / det, a[0] / det}
}

func (a matrix2) apply(x, y float64) (float64, float64) { return a[0]*x + a[1]*y, a[2]*x + a[3]*y }

var identity2 = matrix2{1, 0, 0, 1}

// stationary solves C = A·C·Aᵀ + Q by its series.
func stationary(a, q matrix2) matrix2 {
	c := q
	for range 2000 {
		c = q.plus(1, a.times(c).times(a.transposed()))
	}
	return c
}

// wiener is the optimal linear denoiser of N(μ, Σ) under Gaussian noise σ:
// W = Σ(Σ+σ²I)⁻¹, b = μ - Wμ.
func wiener(covariance matrix2, mean [2]float64, sigma float64) (w matrix2, b [2]float64) {
	w = covariance.times(covariance.plus(sigma*sigma, identity2).inverse())
	x, y := w.apply(mean[0], mean[1])
	return w, [2]float64{mean[0] - x, mean[1] - y}
}

// checkGaussian requires points to have the moments of N(mean, covariance)
// within 4.5 standard errors of as many independent draws.
func checkGaussian(t *testing.T, states []float32, mean [2]float64, covariance matrix2) {
	t.Helper()
	n := float64(len(states) / 2)
	var m [2]float64
	for i, v := range states {
		m[i%2] += float64(v) / n
	}
	var c matrix2
	for i := 0; i < len(states); i += 2 {
		d := [2]float64{float64(states[i]) - mean[0], float64(states[i+1]) - mean[1]}
		for k := range c {
			c[k] += d[k/2] * d[k%2] / n
		}
	}
	for i := range m {
		if within := 4.5 * math.Sqrt(covariance[3*i]/n); !(math.Abs(m[i]-mean[i]) <= within) {
			t.Errorf("mean %d is %.4f, want %.4f ± %.4f", i, m[i], mean[i], within)
		}
	}
	for k := range c {
		within := 4.5 * math.Sqrt((covariance[3*(k/2)]*covariance[3*(k%2)]+covariance[k]*covariance[k])/n)
		if !(math.Abs(c[k]-covariance[k]) <= within) {
			t.Errorf("covariance %d,%d is %.4f, want %.4f ± %.4f", k/2, k%2, c[k], covariance[k], within)
		}
	}
	checkSame(t, "a chain and the Gaussian that it is stationary at", states[:2*compared], gaussianDraws(compared, mean, covariance), 2)
}

// compared is the number of examples that a two-sample test looks at.
const compared = 1000

// gaussianDraws are n draws from N(mean, covariance), by Cholesky's factor.
func gaussianDraws(n int, mean [2]float64, covariance matrix2) []float32 {
	a := math.Sqrt(covariance[0])
	b := covariance[1] / a
	c := math.Sqrt(covariance[3] - b*b)
	draws := make([]float32, 2*n)
	for i := range n {
		random := words{at: philox.Coordinates{Stream: philox.StreamData, Row: uint32(i)}, key: philox.KeyOf(77)}
		z, w := float64(random.normal(0)), float64(random.normal(1))
		draws[2*i], draws[2*i+1] = float32(mean[0]+a*z), float32(mean[1]+b*z+c*w)
	}
	return draws
}

func mustRun(t testing.TB, run Sampler, c Chains) []float32 {
	t.Helper()
	states, err := run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return states
}

func dense(values []float32, columns int) *tensor.Dense {
	return tensor.New(tensor.WithShape(len(values)/columns, columns), tensor.WithBacking(values))
}
