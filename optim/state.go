package optim

import (
	"fmt"

	"gpudae/device"
)

// State is what a rule keeps on the device from step to step; an absent view is
// one that the rule does not need.
type State struct {
	First  device.View // [1, parameters] m
	Second device.View // [1, parameters] v
	EMA    device.View // [1, parameters] moving average of the parameters

	rule  Rule
	decay float64
}

// NewState allocates the state of a rule over a number of parameters. averaging
// is the decay of the moving average of the parameters, 0 for none.
func NewState(dev device.Device, rule Rule, parameters int, averaging float64) (*State, error) {
	s := &State{rule: rule, decay: averaging}
	for _, part := range []struct {
		view *device.View
		used bool
	}{
		{&s.First, rule.Kind.UsesFirstMoment()},
		{&s.Second, rule.Kind.UsesSecondMoment()},
		{&s.EMA, averaging > 0},
	} {
		if !part.used {
			continue
		}
		memory, err := dev.Alloc(device.Float, parameters)
		if err != nil {
			return nil, fmt.Errorf("allocate the state of %s: %w", rule, err)
		}
		*part.view = device.MatrixOf(memory, 0, 1, parameters)
	}
	return s, nil
}

// StateSize returns the number of elements that NewState allocates.
func StateSize(rule Rule, parameters int, averaging float64) int {
	n := 0
	for _, used := range []bool{rule.Kind.UsesFirstMoment(), rule.Kind.UsesSecondMoment(), averaging > 0} {
		if used {
			n += parameters
		}
	}
	return n
}

// Reset issues the start of a run: moments of zero, the average at the parameters.
func (s *State) Reset(dev device.Device, params device.View) {
	for _, moment := range []device.View{s.First, s.Second} {
		if !moment.IsZero() {
			dev.Combine(device.CombineArgs{Dst: moment})
		}
	}
	if !s.EMA.IsZero() {
		dev.Combine(device.CombineArgs{Alpha: 1, A: params, Dst: s.EMA})
	}
}

// Step is one use of a gradient.
type Step struct {
	Params  device.View  // [1, parameters], in and out
	Grads   device.View  // [1, parameters]
	GradSq  device.View  // [1, 1] Σ Grads²
	Loss    device.View  // [1, 1]; the step is not applied unless this and GradSq are finite
	Spikes  device.View  // [1, device.SpikeValues]; nor if Loss exceeds SpikeLimit by them; or absent
	Rates   device.View  // learning rate by the clock's index
	Clock   device.Words // gives t
	Decayed int          // the first parameters, to which weight decay applies
	Clip    float64      // bound of the gradient's norm (Pascanu et al. 2013), 0 for none
	// SpikeLimit is in standard deviations above the mean of earlier losses.
	SpikeLimit float64
}

// Apply issues the update of the parameters, the moments and the average.
func (s *State) Apply(dev device.Device, step Step) {
	dev.Update(device.UpdateArgs{
		Kind:        s.rule.Kind,
		Nesterov:    s.rule.Nesterov,
		Beta1:       float32(s.rule.Beta1),
		Beta2:       float32(s.rule.Beta2),
		Epsilon:     float32(s.rule.Epsilon),
		WeightDecay: float32(s.rule.Decay),
		Decayed:     step.Decayed,
		Clip:        float32(step.Clip),
		Rates:       step.Rates,
		Clock:       step.Clock,
		GradSq:      step.GradSq,
		Loss:        step.Loss,
		Spikes:      step.Spikes,
		SpikeLimit:  float32(step.SpikeLimit),
		Params:      step.Params,
		Grads:       step.Grads,
		First:       s.First,
		Second:      s.Second,
		EMA:         s.EMA,
		Decay:       float32(s.decay),
	})
}
