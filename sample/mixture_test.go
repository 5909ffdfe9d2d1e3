package sample

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/device"
	"gpudae/model"
	"gpudae/train"
)

// mixture is one of isotropic Gaussians with equal shares in the plane.
type mixture struct {
	centres [][2]float64
	spread  float64 // standard deviation of each
}

// ring holds the components of the tests.
func ring(components int, spread float64) mixture {
	m := mixture{spread: spread}
	for k := range components {
		sin, cos := math.Sincos(2 * math.Pi * float64(k) / float64(components))
		m.centres = append(m.centres, [2]float64{1.4 * cos, 1.4 * sin})
	}
	return m
}

// smoothed is the mixture after Gaussian noise.
func (m mixture) smoothed(sigma float64) mixture {
	m.spread = math.Hypot(m.spread, sigma)
	return m
}

func (m mixture) draw(n int, seed uint64) []float32 {
	random := rand.New(rand.NewPCG(seed, 0))
	values := make([]float32, 0, 2*n)
	for range n {
		centre := m.centres[random.IntN(len(m.centres))]
		values = append(values, float32(centre[0]+m.spread*random.NormFloat64()), float32(centre[1]+m.spread*random.NormFloat64()))
	}
	return values
}

// score is ∇ log p(x).
func (m mixture) score(x, y float64) (sx, sy float64) {
	total, v := 0.0, m.spread*m.spread
	for _, c := range m.centres {
		dx, dy := c[0]-x, c[1]-y
		weight := math.Exp(-(dx*dx + dy*dy) / (2 * v))
		total += weight
		sx += weight * dx / v
		sy += weight * dy / v
	}
	return sx / total, sy / total
}

// TestTrainedScoreOfAMixture: a DAE trained on draws from a mixture gives the
// score of the smoothed mixture, in the root mean square over where the
// smoothed data lie.
func TestTrainedScoreOfAMixture(t *testing.T) {
	const sigma = 0.4
	m := ring(3, 0.3)
	dae := newDAE(t, model.Config{Features: 2, Hidden: []int{32, 32}, Activation: "silu", Corruption: "gaussian:0.4", Likelihood: "gaussian:0.3"})
	c := train.DefaultConfig()
	c.Val, c.Epochs, c.LR, c.Schedule, c.Batch, c.EMA = 0, 15, 2e-2, "cosine", 512, 0.99
	dev := newCPU(t, 2)
	const rows = 60000
	trained, err := train.Run(context.Background(), train.Job{Device: dev, Model: dae,
		Table: device.Table{Rows: rows, Columns: 2, Float32: m.draw(rows, 1)}, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	net, err := model.Bind(dev, dae, model.Binding{Examples: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := net.SetParameters(trained.Params, trained.Buffers); err != nil {
		t.Fatal(err)
	}
	smooth := m.smoothed(sigma)
	points := smooth.draw(4000, 2)
	got, err := Score(context.Background(), net, dense(points, 2), sigma)
	if err != nil {
		t.Fatal(err)
	}
	s := got.Data().([]float32)
	var wrong, all float64
	for i := 0; i < len(points); i += 2 {
		x, y := smooth.score(float64(points[i]), float64(points[i+1]))
		wrong += math.Pow(float64(s[i])-x, 2) + math.Pow(float64(s[i+1])-y, 2)
		all += x*x + y*y
	}
	relative := math.Sqrt(wrong / all)
	t.Logf("relative error %.4f", relative)
	if !(relative < 0.05) {
		t.Errorf("the score is wrong by %.3f of its size", relative)
	}
}

// TestDenoisingIsScoreMatching: the denoising objective E‖s(x̃) - (x-x̃)/σ²‖² of
// any s exceeds the error E‖s(x̃) - ∇log p_σ(x̃)‖² by the same constant (Vincent
// 2011), for a Gaussian D/σ² - tr(Σ+σ²I)⁻¹.
func TestDenoisingIsScoreMatching(t *testing.T) {
	const rows, sigma = 20000, 0.5
	covariance := matrix2{0.8, 0, 0, 0.3}
	precision := covariance.plus(sigma*sigma, identity2).inverse()
	constant := 2/(sigma*sigma) - precision[0] - precision[3]
	random := rand.New(rand.NewPCG(3, 0))
	var values []float32
	for range rows {
		values = append(values, float32(math.Sqrt(covariance[0])*random.NormFloat64()), float32(math.Sqrt(covariance[3])*random.NormFloat64()))
	}
	dev := newCPU(t, 2)
	loaded, err := dev.Load(context.Background(), device.Table{Rows: rows, Columns: 2, Float32: values})
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]matrix2{"the identity": identity2, "nothing": {}, "a rotation": {0.6, -0.5, 0.7, 0.2}} {
		net := affine(t, dev, "gaussian:0.5", "gaussian:1", w[:], []float64{0.3, -0.2}, 1000)
		var sum, squares float64
		_, err := net.EvaluateEach(context.Background(), model.Source{Data: loaded, Part: device.Rows{Hi: rows}, Seed: 4}, func(b model.Batch) error {
			for i := 0; i < len(b.Clean); i += 2 {
				gx, gy := precision.apply(-float64(b.Corrupted[i]), -float64(b.Corrupted[i+1]))
				excess := 0.0
				for j, g := range []float64{gx, gy} {
					s := float64(b.Reconstructed[i+j]-b.Corrupted[i+j]) / (sigma * sigma)
					target := float64(b.Clean[i+j]-b.Corrupted[i+j]) / (sigma * sigma)
					excess += (s-target)*(s-target) - (s-g)*(s-g)
				}
				sum += excess
				squares += excess * excess
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		mean := sum / rows
		if within := 4.5 * math.Sqrt((squares/rows-mean*mean)/rows); math.Abs(mean-constant) > within {
			t.Errorf("%s: the objectives differ by %.4f, want %.4f ± %.4f", name, mean, constant, within)
		}
	}
}
