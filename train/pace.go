package train

import (
	"context"
	"fmt"
	"time"

	"gpudae/device"
)

// Pace is how fast a run goes on a device.
type Pace struct {
	Steps       int     `json:"steps"`         // measured, after one to warm up
	StepSeconds float64 `json:"step_seconds"`  // of a full minibatch
	Validation  float64 `json:"validation"`    // seconds of a validation of all rows held out
	Epoch       float64 `json:"epoch_seconds"` // of an epoch, its validation included
	Run         float64 `json:"run_seconds"`   // of all epochs, if it is not stopped early
}

// validationRows bounds what Measure validates.
const validationRows = 1024

// Measure makes a few steps of the run, and a part of a validation, and says how
// long all of it would take. It changes no file. It fails as Run does.
func Measure(ctx context.Context, job Job, steps int) (Pace, error) {
	s, err := newSetup(job)
	if err != nil {
		return Pace{}, err
	}
	d, err := newSession(ctx, s)
	if err != nil {
		return Pace{}, err
	}
	if _, err := d.initial(ctx); err != nil {
		return Pace{}, err
	}
	p := Pace{Steps: min(max(steps, 1), s.batches.examples/s.batches.batch, LogSteps)}
	if p.StepSeconds, err = d.timeSteps(ctx, p.Steps); err != nil {
		return Pace{}, err
	}
	if s.split.Held > 0 {
		if p.Validation, err = d.timeValidation(ctx); err != nil {
			return Pace{}, err
		}
	}
	count := float64(s.batches.count())
	p.Epoch = p.StepSeconds*float64(s.batches.examples)/float64(s.batches.batch) + p.Validation
	p.Run = p.Epoch * float64(s.steps) / count
	return p, nil
}

// timeSteps returns the seconds of a step.
func (d *session) timeSteps(ctx context.Context, steps int) (float64, error) {
	if err := d.setRates(0, nil, 1); err != nil {
		return 0, err
	}
	src := d.source(d.split.Training())
	src.Clock = d.clock
	program, err := d.record(src, d.batches.batch)
	if err != nil {
		return 0, err
	}
	var began time.Time
	for i := range steps + 1 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if i <= 1 { // the first is to warm up
			if err := d.Device.UploadWords(d.clock, device.Clock{}.Words()); err != nil {
				return 0, fmt.Errorf("setting the clock: %w", err)
			}
			began = time.Now()
		}
		if err := program(); err != nil {
			return 0, fmt.Errorf("step %d: %w", i+1, err)
		}
		if i == 0 {
			if err := d.Device.Sync(); err != nil {
				return 0, err
			}
		}
	}
	if err := d.Device.Sync(); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds() / float64(steps), nil
}

// timeValidation returns the seconds of a validation, from that of a part of the rows.
func (d *session) timeValidation(ctx context.Context) (float64, error) {
	src := d.source(d.split.Validation())
	all := src.Part.Len()
	src.Part.Hi = src.Part.Lo + min(all, validationRows)
	began := time.Now()
	if _, err := d.validated.Evaluate(ctx, src); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds() * float64(all) / float64(src.Part.Len()), nil
}
