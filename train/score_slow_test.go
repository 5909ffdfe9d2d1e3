//go:build slow

package train

import (
	"testing"

	"gpudae/model"
)

// TestTrainedScoreOfAMixtureInSixteenDimensions, as in the plane. It takes some
// minutes: make scores.
func TestTrainedScoreOfAMixtureInSixteenDimensions(t *testing.T) {
	const rows, features = 200_000, 16
	m := newMixture(4, features, 0.5)
	dae := newDAE(t, model.Config{Features: features, Hidden: []int{128, 128}, Activation: "silu", Objective: model.ObjectiveDSM,
		Score: model.Score{Noise: "geometric:min=0.25,max=10,levels=100", SigmaData: 1}})
	c := DefaultConfig()
	c.Val, c.Epochs, c.LR, c.Schedule, c.Batch, c.EMA = 0, 60, 4e-3, "cosine", 1024, 0.999
	for i, relative := range scoreErrors(t, m, rows, dae, c, []float64{0.25, 0.5, 1, 2, 5}) {
		t.Logf("%d: relative error %.4f", i, relative)
		if !(relative <= 0.05) {
			t.Errorf("level %d: the score is wrong by %.4f of its size", i, relative)
		}
	}
}
