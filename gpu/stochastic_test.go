//go:build cuda

package gpu_test

import (
	"fmt"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/gpu"
	"gpudae/model"
	"gpudae/train"
)

// TestStochasticTrainingFollowsTheReference: so do the loss curves of a score
// model, of a bound by importance weighting and of a chain, whose noise levels,
// codes and links are drawn on the device.
func TestStochasticTrainingFollowsTheReference(t *testing.T) {
	for name, config := range map[string]model.Config{
		"denoising score matching": {Objective: model.ObjectiveDSM, Score: model.Score{Noise: "geometric:min=0.05,max=5", SigmaData: 0.4}},
		"importance weighting":     {Corruption: "masking:0.2", Likelihood: "bernoulli", CodeDistribution: "gaussian", Importance: 3},
		"walkback":                 {Corruption: "gaussian:0.2", Likelihood: "gaussian:0.5", CodeDistribution: "concrete:0.5", Walkback: 2},
	} {
		t.Run(name, func(t *testing.T) {
			config.Features, config.Hidden, config.Activation = 64, []int{48, 24}, "silu"
			dev := open(t, gpu.Options{})
			defer dev.Close()
			got, want := stochasticCurve(t, dev, config), stochasticCurve(t, reference.New(), config)
			for i := range want {
				compareLoss(t, fmt.Sprintf("epoch %d: training", i+1), got[i].TrainLoss, want[i].TrainLoss)
				compareLoss(t, fmt.Sprintf("epoch %d: validation", i+1), got[i].ValLoss, want[i].ValLoss)
			}
		})
	}
}

// stochasticCurve trains on a device.
func stochasticCurve(t *testing.T, dev device.Device, config model.Config) []train.Row {
	t.Helper()
	j := job(t, dev, 300, 3)
	var err error
	if j.Model, err = model.New(config); err != nil {
		t.Fatal(err)
	}
	result, err := train.Run(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	return result.History
}
