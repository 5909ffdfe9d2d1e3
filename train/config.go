package train

import (
	"errors"
	"fmt"
	"math"

	"gpudae/model"
	"gpudae/optim"
)

// Config says how to train. The zero value is not usable: start from
// DefaultConfig. Times are in epochs unless said otherwise.
type Config struct {
	// Epochs is the number of passes over the training part.
	Epochs int `yaml:"epochs" json:"epochs"`
	// Steps ends the run after that many optimiser steps, 0 for no such limit.
	// The schedule's horizon is then the smaller of the two.
	Steps int `yaml:"steps" json:"steps"`
	// Batch is the number of examples of a minibatch; an epoch's last minibatch
	// holds what is left.
	Batch int `yaml:"batch" json:"batch"`
	// LR is the learning rate that the schedule multiplies.
	LR float64 `yaml:"lr" json:"lr"`
	// Schedule is a specification that optim.ParseSchedule accepts.
	Schedule string `yaml:"schedule" json:"schedule"`
	// Warmup is the length of the linear warm-up, fractions allowed; the
	// schedule starts after it.
	Warmup float64 `yaml:"warmup" json:"warmup"`
	// Optimizer is a specification that optim.ParseRule accepts.
	Optimizer string `yaml:"optimizer" json:"optimizer"`
	// WeightDecay overrides the rule's decay λ if it is set.
	WeightDecay *float64 `yaml:"weight_decay,omitempty" json:"weight_decay,omitempty"`
	// Clip bounds the global norm of the gradient, 0 for no bound.
	Clip float64 `yaml:"clip" json:"clip"`
	// EMA is the decay of the exponential moving average of the weights, 0 for
	// none. If it is set, the average is what is validated and saved.
	EMA float64 `yaml:"ema" json:"ema"`
	// Val is the fraction of the rows held out for validation, in [0, 1).
	Val float64 `yaml:"val" json:"val"`
	// Patience ends the run when the validation loss has not improved by more than
	// MinDelta for that many epochs, 0 for never. Without validation rows it has
	// no effect.
	Patience int `yaml:"patience" json:"patience"`
	// MinDelta is the improvement, in nats an example for nll, that counts.
	MinDelta float64 `yaml:"min_delta" json:"min_delta"`
	// Seed determines the split, the order of examples, the corruption, dropout
	// and the initial weights.
	Seed uint64 `yaml:"seed" json:"seed"`
	// Retries is how often in a run a diverged epoch is rolled back and repeated
	// at half the learning rate.
	Retries int `yaml:"retries" json:"retries"`
	// BlowUp makes a minibatch loss above L + BlowUp·(|L| + features) count as
	// diverged, L being the loss of the run's first minibatch; 0 leaves it at
	// losses and gradients that are not finite.
	BlowUp float64 `yaml:"blow_up" json:"blow_up"`
	// SkipSpikes leaves out the update of a step whose loss lies more than so many
	// standard deviations above the running mean of the losses (device.Spikes), 0
	// for none. An epoch's last minibatch of fewer examples may deviate more, by the
	// square root of how many fewer.
	SkipSpikes float64 `yaml:"skip_spikes" json:"skip_spikes"`
	// Checkpoint says when last.safetensors is written.
	Checkpoint Interval `yaml:"checkpoint" json:"checkpoint"`
	// Keep is the number of older checkpoints that stay beside it.
	Keep int `yaml:"keep" json:"keep"`
}

// leastSpike is the least limit at which losses that stay high are soon no spikes: each
// that counts as one at the limit must widen the deviation, w·(limit² - 1) > w²·limit²
// for w = 1/device.SpikeWindow.
const leastSpike = 1.01

// maxEpochs keeps the number of steps of a run within 63 bits.
const maxEpochs = 1e9

// DefaultConfig returns the defaults, which are meant to do well on data sets
// of some thousand rows and to do no harm on others.
func DefaultConfig() Config {
	return Config{
		Epochs:     100,
		Batch:      128,
		LR:         1e-3,
		Schedule:   "constant",
		Optimizer:  "adam",
		Val:        0.1,
		Patience:   20,
		Seed:       42,
		Retries:    3,
		BlowUp:     100,
		Checkpoint: "60s",
		Keep:       1,
	}
}

// Validate reports the first field that is out of range as a *model.ConfigError.
func (c Config) Validate() error {
	for _, check := range []struct {
		key, problem, remedy string
		ok                   bool
	}{
		{"epochs", fmt.Sprintf("%d epochs", c.Epochs), fmt.Sprintf("give 1 to %d", int(maxEpochs)), c.Epochs >= 1 && c.Epochs <= maxEpochs},
		{"steps", fmt.Sprintf("%d steps", c.Steps), "give 0 for no limit, or a positive number", c.Steps >= 0},
		{"batch", fmt.Sprintf("a batch of %d examples", c.Batch), "give at least 1", c.Batch >= 1},
		{"lr", fmt.Sprintf("a learning rate of %g", c.LR), "give a positive number such as 0.001", optim.Single(c.LR) > 0 && finite(optim.Single(c.LR))},
		{"warmup", fmt.Sprintf("a warm-up of %g epochs", c.Warmup), "give 0 or a positive number", c.Warmup >= 0 && c.Warmup <= maxEpochs},
		{"weight_decay", fmt.Sprintf("a weight decay of %g", value(c.WeightDecay)), "give 0 or a positive number", value(c.WeightDecay) >= 0 && finite(optim.Single(value(c.WeightDecay)))},
		{"clip", fmt.Sprintf("a gradient norm of %g", c.Clip), "give 0 for no bound, or a positive number", c.Clip == 0 || optim.Single(c.Clip) > 0 && finite(optim.Single(c.Clip))},
		{"ema", fmt.Sprintf("an EMA decay of %g", c.EMA), "give 0 for none, or a number below 1 such as 0.999", c.EMA >= 0 && optim.Single(c.EMA) < 1},
		{"val", fmt.Sprintf("a validation fraction of %g", c.Val), "give a number from 0 to below 1 such as 0.1", c.Val >= 0 && c.Val < 1},
		{"patience", fmt.Sprintf("a patience of %d epochs", c.Patience), "give 0 for no early stopping, or a positive number", c.Patience >= 0},
		{"min_delta", fmt.Sprintf("a minimal improvement of %g", c.MinDelta), "give 0 or a positive number of nats", c.MinDelta >= 0 && finite(c.MinDelta)},
		{"retries", fmt.Sprintf("%d retries", c.Retries), "give 0 or a positive number", c.Retries >= 0},
		{"blow_up", fmt.Sprintf("a blow-up factor of %g", c.BlowUp), "give 0 for no limit, or a positive number such as 100", c.BlowUp >= 0 && finite(c.BlowUp)},
		{"skip_spikes", fmt.Sprintf("a limit of %g standard deviations", c.SkipSpikes), "give 0 for no limit, or a number above 1 such as 6", (c.SkipSpikes == 0 || c.SkipSpikes >= leastSpike) && finite(optim.Single(c.SkipSpikes))},
		{"keep", fmt.Sprintf("%d older checkpoints", c.Keep), "give 0 to 1000", c.Keep >= 0 && c.Keep <= 1000},
	} {
		if !check.ok {
			return &model.ConfigError{Key: check.key, Problem: check.problem, Remedy: check.remedy}
		}
	}
	if _, err := c.rule(); err != nil {
		return err
	}
	if _, err := c.Checkpoint.parse(); err != nil {
		return err
	}
	schedule, err := c.schedule()
	if err == nil && schedule.UsesHistory() && c.Val == 0 {
		err = &model.ConfigError{Key: "schedule", Problem: c.Schedule + " follows the validation loss, and no rows are held out", Remedy: "set val above 0 or choose another schedule"}
	}
	return err
}

// rule is the optimiser with the decay that holds.
func (c Config) rule() (optim.Rule, error) {
	rule, err := optim.ParseRule(c.Optimizer)
	if err != nil {
		return rule, configError("optimizer", err)
	}
	if c.WeightDecay != nil {
		rule.Decay = *c.WeightDecay
	}
	return rule, nil
}

func (c Config) schedule() (optim.Schedule, error) {
	schedule, err := optim.ParseSchedule(c.Schedule)
	if err != nil {
		return schedule, configError("schedule", err)
	}
	return schedule, nil
}

// configError names the key under which package optim's error arose.
func configError(key string, err error) error {
	var spec *optim.SpecError
	if errors.As(err, &spec) {
		return &model.ConfigError{Key: key, Problem: spec.Problem, Remedy: spec.Remedy}
	}
	return err
}

func value(x *float64) float64 {
	if x == nil {
		return 0
	}
	return *x
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
