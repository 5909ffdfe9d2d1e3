package model

import (
	"fmt"

	"gpudae/device"
)

// Limits of stochastic codes and of walkback.
const (
	maxBeta = 1e6
	// maxBetaWarmup is the range in which float32 counts steps exactly.
	maxBetaWarmup = 1 << 24
	// codeStage is the Index of the noise of codes in streams that corruption
	// uses too, and the first of those, downwards, of walkback's draws.
	codeStage = maxStages - 1
)

// draws reports whether the configuration asks for a stochastic code.
func (c *Config) draws() bool {
	return c.CodeDistribution != "" && c.CodeDistribution != noCodeDistribution
}

// copies is the number of rows that an example takes in a link of the chain: its
// corruptions, or the samples of an importance-weighted bound.
func (r *resolved) copies() int { return max(r.Replicates, r.Importance) }

// rowsOfExample is the number of rows that an example takes in a minibatch.
func (r *resolved) rowsOfExample() int { return r.copies() * r.Walkback }

// beta is the weight of the divergence after its warm-up.
func (r *resolved) beta() float64 {
	if r.Beta == nil {
		return 1
	}
	return *r.Beta
}

func (r *resolved) checkCode() error {
	if !r.codes.Stochastic {
		return r.checkDeterministic()
	}
	if r.levels != nil {
		return configErrorf("code_distribution", "set it to none, or objective to "+ObjectiveNLL, "%s has no likelihood that a %s code could bound", ObjectiveDSM, r.codes.Kind)
	}
	if r.code != device.Identity {
		return configErrorf("code_activation", "leave it out or choose identity", "%s would bend the parameters of a %s code", r.code, r.codes.Kind)
	}
	if r.Tied && r.codes.Kind == device.CodeGaussian {
		return configErrorf("tied", "untie the weights, or choose bernoulli or concrete codes", "a gaussian code has two parameters a unit, which tied weights cannot mirror")
	}
	if beta := r.beta(); !(beta >= 0 && beta <= maxBeta) {
		return configErrorf("beta", fmt.Sprintf("choose 0 to %g", maxBeta), "a weight %g of the divergence", beta)
	}
	if r.BetaWarmup < 0 || r.BetaWarmup > maxBetaWarmup {
		return configErrorf("beta_warmup", fmt.Sprintf("choose 0 to %d", maxBetaWarmup), "a warm-up of %d steps", r.BetaWarmup)
	}
	if len(r.corruption) > codeStage {
		return configErrorf("corruption", fmt.Sprintf("compose at most %d", codeStage), "%d stages beside a stochastic code", len(r.corruption))
	}
	return r.checkImportance()
}

// checkDeterministic refuses what has a meaning for stochastic codes only.
func (r *resolved) checkDeterministic() error {
	const remedy = "leave it out, or choose a code_distribution such as gaussian"
	switch {
	case r.Beta != nil:
		return configErrorf("beta", remedy, "a deterministic code has no divergence to weigh")
	case r.BetaWarmup != 0:
		return configErrorf("beta_warmup", remedy, "a deterministic code has no divergence to weigh")
	case r.Importance != 0:
		return configErrorf("importance", remedy, "a deterministic code has nothing to sample")
	}
	return nil
}

func (r *resolved) checkImportance() error {
	const key = "importance"
	switch {
	case r.Importance == 0:
		return nil
	case r.Importance < 0 || r.Importance > MaxReplicates:
		return configErrorf(key, fmt.Sprintf("choose 1 to %d, or 0 for none", MaxReplicates), "%d samples", r.Importance)
	case r.codes.Kind != device.CodeGaussian:
		return configErrorf(key, "choose gaussian codes", "the weights of %s codes have no gradient", r.codes.Kind)
	case r.beta() != 1 || r.BetaWarmup > 0:
		return configErrorf(key, "leave beta and beta_warmup out", "a divergence of another weight than 1 gives no bound")
	case r.Replicates > 1:
		return configErrorf(key, "leave replicates out: each sample has a corruption of its own", "%d replicates of samples", r.Replicates)
	case r.Emphasis.Destroyed != 1 || r.Emphasis.Untouched != 1:
		return configErrorf(key, "leave the emphasis out", "a weighted likelihood gives no bound")
	}
	return nil
}

func (r *resolved) checkWalkback() error {
	const key = "walkback"
	stages := len(r.corruption) + 1 // and the draw
	if most := maxStages / stages; r.Walkback < 1 || r.Walkback > most {
		return configErrorf(key, fmt.Sprintf("choose 1 to %d", most), "a chain of %d links", r.Walkback)
	}
	if r.Walkback == 1 {
		return nil
	}
	switch {
	case r.levels != nil:
		return configErrorf(key, "leave it out, or set objective to "+ObjectiveNLL, "%s has no likelihood to draw a chain from", ObjectiveDSM)
	case r.Dropout > 0:
		return configErrorf(key, "leave dropout out", "the links of a chain would drop the same units")
	case r.norm == normBatch:
		return configErrorf(key, "choose norm layer or none", "batch norm would normalise each link of a chain by itself")
	case r.Emphasis.Destroyed != r.Emphasis.Untouched:
		return configErrorf(key, "leave the emphasis out", "along a chain no feature is untouched")
	case r.Importance > 1:
		return configErrorf(key, "leave one of them out", "a chain of %d links with %d samples an example", r.Walkback, r.Importance)
	}
	return nil
}
