package sample

import (
	"context"
	"math"
	"testing"

	"gpudae/device"
	"gpudae/model"
	"gpudae/train"
)

// trainedNet is a score model of draws from a mixture in the plane.
func trainedNet(t *testing.T, m *gaussianMixture) *model.Net {
	t.Helper()
	dae := newDAE(t, model.Config{Features: 2, Hidden: []int{32, 32}, Activation: "silu", Objective: model.ObjectiveDSM,
		Score: model.Score{Noise: "geometric:min=0.05,max=8", SigmaData: 1}})
	c := train.DefaultConfig()
	c.Val, c.Epochs, c.LR, c.Schedule, c.Batch, c.EMA = 0, 12, 1e-2, "cosine", 512, 0.998
	dev := newCPU(t, 2)
	const rows = 40000
	trained, err := train.Run(context.Background(), train.Job{Device: dev, Model: dae,
		Table: device.Table{Rows: rows, Columns: 2, Float32: m.draw(rows, 1)}, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	net, err := model.Bind(dev, dae, model.Binding{Examples: 500})
	if err != nil {
		t.Fatal(err)
	}
	if err := net.SetParameters(trained.Params, trained.Buffers); err != nil {
		t.Fatal(err)
	}
	return net
}

// TestTrainedLikelihoodOfAMixture: the mean over fresh draws is within 0.05 nats
// of that of the mixture after the least noise, and a thousand samples are not
// told from draws.
func TestTrainedLikelihoodOfAMixture(t *testing.T) {
	m := newMixture(
		newComponent(0.5, []float64{1.2, 0}, []float64{0.1, 0.05, 0.05, 0.1}),
		newComponent(0.3, []float64{-1, 0.9}, []float64{0.15, 0, 0, 0.08}),
		newComponent(0.2, []float64{-0.5, -1.2}, []float64{0.1, -0.03, -0.03, 0.1}))
	net := trainedNet(t, m)
	x := m.draw(500, 8)
	logs := mustLikelihood(t, net, x, Flow{SigmaMin: 0.05, SigmaMax: 8, Steps: 20})
	var got, want, apart float64
	for i, l := range logs {
		exact := m.logDensity(x[2*i:2*i+2], 0.05)
		got, want, apart = got+l/500, want+exact/500, apart+math.Abs(l-exact)/500
	}
	t.Logf("mean log p %.4f, want %.4f; apart by %.4f in the mean", got, want, apart)
	if math.Abs(got-want) > 0.05 {
		t.Errorf("mean log p %.4f, want %.4f", got, want)
	}
	levels := mustLevels(t, 8, 0.05, 25)
	samples := mustDescend(t, Heun, Descent{Denoiser: net, Levels: levels, Start: mustStart(t, net, 1000, 8, 3)})
	if p := compareSamples(t, samples, m.draw(1000, 9), 2); p["energy distance"] <= 0.01 {
		t.Errorf("samples are told from draws, P = %.3f", p["energy distance"])
	}
}
