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
	if !(relative < 0.06) {
		t.Errorf("the score is wrong by %.3f of its size", relative)
	}
}
