package train

import (
	"fmt"

	"gpudae/data"
	"gpudae/model"
	"gpudae/optim"
)

// Plan is the size of a run, known before it starts.
type Plan struct {
	Rows          int    `json:"rows"`
	Training      int    `json:"training"` // examples of an epoch
	Held          int    `json:"held_out"`
	Batch         int    `json:"batch"` // examples of a full minibatch
	StepsPerEpoch int    `json:"steps_per_epoch"`
	Steps         int    `json:"steps"` // of the run, if it is not stopped early
	Parameters    int    `json:"parameters"`
	Buffers       int    `json:"buffers"`
	Bytes         Bytes  `json:"bytes"`
	FLOPsPerEpoch int64  `json:"flops_per_epoch"` // of matrix products, validation included
	Optimizer     string `json:"optimizer"`       // with what is not default
	Schedule      string `json:"schedule"`
}

// Bytes is the memory of a run, but for the job's table, which exists already.
type Bytes struct {
	Data      uint64 `json:"data"`      // on the device
	Model     uint64 `json:"model"`     // on the device: parameters, gradients and the minibatch
	Optimizer uint64 `json:"optimizer"` // on the device: moments and the average
	Host      uint64 `json:"host"`      // what Run keeps to roll back, to resume and to save
}

// Device is what lies on the device.
func (b Bytes) Device() uint64 { return b.Data + b.Model + b.Optimizer }

// Total is the sum, which counts where the device has no memory of its own.
func (b Bytes) Total() uint64 { return b.Device() + b.Host }

// NewPlan sizes the run that Run would make; the job needs no device.
func NewPlan(job Job) (Plan, error) {
	s, err := newSetup(job)
	if err != nil {
		return Plan{}, err
	}
	return s.plan(), nil
}

// setup is a job that has been checked, with what follows from it alone.
type setup struct {
	Job
	rule     optim.Rule
	schedule optim.Schedule
	pace     pace // of checkpoints
	split    Split
	batches  batches // of the training part
	steps    int     // of the run
}

func newSetup(job Job) (*setup, error) {
	c := job.Config
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &setup{Job: job}
	var err error
	if s.rule, err = c.rule(); err != nil {
		return nil, err
	}
	if s.schedule, err = c.schedule(); err != nil {
		return nil, err
	}
	if s.pace, err = c.Checkpoint.parse(); err != nil {
		return nil, err
	}
	if s.split, err = NewSplit(job.Table.Rows, c); err != nil {
		return nil, err
	}
	if want := job.Model.Config().Features; job.Table.Columns != want {
		return nil, &model.ConfigError{Key: "features", Problem: shapeProblem(job.Table.Columns, want), Remedy: "give the model as many features as the data have"}
	}
	if mixed := job.Model.Config().Columns != nil; mixed != (job.Columns != nil) {
		return nil, &model.ConfigError{Key: "columns", Problem: "a model of mixed columns goes with their schema", Remedy: "give both, or neither"}
	}
	if err := s.checkTarget(); err != nil {
		return nil, err
	}
	s.describe()
	examples := s.split.Training().Len()
	s.batches = batches{examples, min(c.Batch, examples)}
	s.steps = c.Epochs * s.batches.count()
	if c.Steps > 0 {
		s.steps = min(s.steps, c.Steps)
	}
	if last := s.batches.size(min(s.steps, s.batches.count()) - 1); last < job.Model.LeastBatch() && !job.Resume { // of which no step is made is no matter, and a run that goes on has no other choice
		return nil, &model.ConfigError{Key: "batch", Problem: fmt.Sprintf("batch norm of one example leaves nothing of it, and %d examples leave one for the last minibatch of %d", examples, s.batches.batch),
			Remedy: "give another number, or choose layer norm"}
	}
	return s, nil
}

// describe completes what the job says of its data.
func (s *setup) describe() {
	if s.Schema.Features == 0 {
		s.Schema.Rows, s.Schema.Features, s.Schema.Shape = s.Table.Rows, s.Table.Columns, []int{s.Table.Columns}
		s.Schema.Element, s.Schema.Scale = data.Float32, 1
		switch {
		case s.Table.Uint8 != nil:
			s.Schema.Element, s.Schema.Scale = data.Uint8, s.Table.Scale
		case s.Table.Records != nil:
			s.Schema.Element = data.Records
		}
	}
	if s.Scaler == nil {
		low, high := model.ColumnExtremes(s.Table)
		s.Scaler = &data.Scaler{Kind: data.ScaleNone, Low: low, High: high}
	}
}

// horizon is what the schedule depends on after some epochs.
func (s *setup) horizon(history []Row) optim.Horizon {
	perEpoch := s.batches.count()
	h := optim.Horizon{Steps: uint64(s.steps), PerEpoch: uint64(perEpoch), Warmup: uint64(s.Config.Warmup*float64(perEpoch) + 0.5)}
	for _, row := range history {
		h.History = append(h.History, row.ValLoss)
	}
	return h
}

// stepsOf is the number of steps of an epoch, counted from 0: fewer than all in
// the last if the run is limited in steps.
func (s *setup) stepsOf(epoch int) int {
	return min(s.batches.count(), s.steps-epoch*s.batches.count())
}

// epochs is the number of epochs, the last of which may be cut short.
func (s *setup) epochs() int { return (s.steps + s.batches.count() - 1) / s.batches.count() }

func (s *setup) plan() Plan {
	p := Plan{
		Rows:          s.split.Rows,
		Training:      s.batches.examples,
		Held:          s.split.Held,
		Batch:         s.batches.batch,
		StepsPerEpoch: s.batches.count(),
		Steps:         s.steps,
		Parameters:    s.Model.ParameterCount(),
		Buffers:       s.Model.BufferCount(),
		Optimizer:     s.rule.String(),
		Schedule:      s.schedule.String(),
	}
	p.FLOPsPerEpoch = s.Model.FLOPs(true)*int64(p.Training) + s.Model.FLOPs(false)*int64(p.Held)*int64(s.Model.Passes(p.Held))
	weights, state := 4*uint64(p.Parameters+p.Buffers), 4*uint64(optim.StateSize(s.rule, p.Parameters, s.Config.EMA))
	p.Bytes = Bytes{
		Data:      s.Table.Size() + s.Targets.Size(),
		Model:     s.Model.Bytes(model.Binding{Examples: p.Batch, Training: true}),
		Optimizer: state,
		Host:      2*(weights+state) + weights, // run.boundary and run.spare; run.best
	}
	return p
}
