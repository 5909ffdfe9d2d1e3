package train

import (
	"context"
	"fmt"
	"math"
	"time"

	"gpudae/device"
	"gpudae/model"
)

// Fit is the outcome of Overfit.
type Fit struct {
	Examples int     `json:"examples"` // in the minibatch
	Steps    int     `json:"steps"`
	First    float64 `json:"first"` // loss before the first step, nats an example
	Last     float64 `json:"last"`  // and before the last
	Seconds  float64 `json:"seconds"`
}

// Overfit trains on one minibatch only, always with the same noise. A model
// and a learning rate that are any good bring its loss close to the least
// possible in some hundred steps; if they do not, no amount of data will help.
// It writes no file. Schedule and optimiser are the job's, the steps being one
// epoch; early stopping, warm-up and retries have no part in it.
func Overfit(ctx context.Context, job Job, steps int) (*Fit, error) {
	job.Config.Epochs, job.Config.Steps, job.Config.Warmup, job.Config.EMA, job.Config.SkipSpikes = 1, 1, 0, 0, 0 // one full minibatch
	s, err := newSetup(job)
	if err != nil {
		return nil, err
	}
	if steps < 1 {
		return nil, &model.ConfigError{Key: "steps", Problem: fmt.Sprintf("%d steps", steps), Remedy: "give at least 1"}
	}
	part := s.split.Training()
	part.Hi = part.Lo + s.batches.batch
	s.batches.examples, s.steps = steps*s.batches.batch, steps
	d, err := newSession(ctx, s)
	if err != nil {
		return nil, err
	}
	step, err := d.recordFixed(ctx, part)
	if err != nil {
		return nil, err
	}
	return d.fit(ctx, step)
}

// recordFixed returns the program of a step on all examples of a part, with
// the noise of a clock that stands still while the optimiser's runs.
func (d *session) recordFixed(ctx context.Context, part device.Rows) (device.Program, error) {
	if _, err := d.initial(ctx); err != nil {
		return nil, err
	}
	if err := d.setRates(0, nil, 1); err != nil {
		return nil, err
	}
	if err := d.Device.UploadWords(d.clock, device.Clock{}.Words()); err != nil {
		return nil, fmt.Errorf("setting the clock: %w", err)
	}
	if err := d.net.SetStep(math.MaxUint64); err != nil { // where β is whole
		return nil, err
	}
	src := d.source(part)
	var err error
	if src.Clock, err = d.newClock(); err != nil {
		return nil, err
	}
	return d.record(src, part.Len())
}

func (d *session) fit(ctx context.Context, program device.Program) (*Fit, error) {
	began := time.Now()
	f := &Fit{Examples: d.batches.batch, Steps: d.steps}
	for made := 0; made < d.steps; {
		if err := ctx.Err(); err != nil {
			return nil, &InterruptedError{Epoch: 1, Step: uint64(made), Err: err}
		}
		if err := program(); err != nil {
			return nil, fmt.Errorf("step %d: %w", made+1, err)
		}
		made++
		if made%LogSteps != 0 && made < d.steps {
			continue
		}
		log, err := d.readLog()
		if err != nil {
			return nil, err
		}
		for i := (made - 1) / LogSteps * LogSteps; i < made; i++ {
			step := log(i)
			if !finite(step.loss) || !finite(step.gradSq) {
				return nil, &DivergedError{Epoch: 1, Step: uint64(i) + 1, Loss: step.loss, GradNorm: math.Sqrt(step.gradSq), LR: d.Config.LR}
			}
			if i == 0 {
				f.First = step.loss
			}
			f.Last = step.loss
		}
		f.Seconds = time.Since(began).Seconds()
		if d.Observer.Step != nil {
			d.Observer.Step(Progress{Epoch: 1, Epochs: 1, StepInEpoch: made, StepsPerEpoch: d.steps, Step: uint64(made), Loss: f.Last,
				SamplesPerS: float64(made*f.Examples) / f.Seconds})
		}
	}
	return f, nil
}
