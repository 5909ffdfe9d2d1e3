package train

import (
	"context"
	"fmt"
	"math"

	"gpudae/device"
	"gpudae/model"
	"gpudae/optim"
)

// LogSteps is the number of losses that the device keeps before the host must
// read them.
const LogSteps = 128

// logged is the number of values of a step in the log: those of model.Net's Values.
const logged = 2

// session is the part of a run that lies on the device.
type session struct {
	*setup
	net       *model.Net   // what is trained
	validated *model.Net   // net, or the same with the average of its weights
	state     *optim.State // moments
	data      device.Dataset
	targets   device.Dataset // of a predictor
	extremes  model.Range
	clock     device.Words
	rates     device.View // [1, steps of an epoch]
	log       device.View // [LogSteps, logged]
	spikes    device.View // [1, device.SpikeValues], absent unless spikes are skipped
	losses    []float32   // the log on the host
	multiples []float64   // schedule of an epoch
	table     []float32   // and its rates
}

// newSession allocates everything that a run needs on the device.
func newSession(ctx context.Context, s *setup) (*session, error) {
	d := &session{setup: s, losses: make([]float32, LogSteps*logged),
		multiples: make([]float64, s.batches.count()), table: make([]float32, s.batches.count())}
	var err error
	if d.data, err = d.Device.Load(ctx, s.Table); err != nil {
		return nil, fmt.Errorf("copying %d rows to the device: %w", s.Table.Rows, err)
	}
	if err := d.loadTargets(ctx); err != nil {
		return nil, err
	}
	if d.net, err = model.Bind(d.Device, s.Model, model.Binding{Examples: s.batches.batch, Training: true}); err != nil {
		return nil, err
	}
	if d.state, err = optim.NewState(d.Device, s.rule, s.Model.ParameterCount(), s.Config.EMA); err != nil {
		return nil, err
	}
	d.validated = d.net
	if !d.state.EMA.IsZero() {
		d.validated = d.net.WithParameters(d.state.EMA)
	}
	if d.extremes, err = model.NewRange(d.Device, s.Scaler.Low, s.Scaler.High); err != nil {
		return nil, err
	}
	return d, d.allocate()
}

func (d *session) allocate() error {
	for _, part := range []struct {
		view          *device.View
		rows, columns int
	}{{&d.rates, 1, d.batches.count()}, {&d.log, LogSteps, logged}} {
		memory, err := d.Device.Alloc(device.Float, part.rows*part.columns)
		if err != nil {
			return fmt.Errorf("allocating the learning rates and the log: %w", err)
		}
		*part.view = device.MatrixOf(memory, 0, part.rows, part.columns)
	}
	if d.Config.SkipSpikes > 0 {
		memory, err := d.Device.Alloc(device.Float, device.SpikeValues)
		if err != nil {
			return fmt.Errorf("allocating the moments of the losses: %w", err)
		}
		d.spikes = device.MatrixOf(memory, 0, 1, device.SpikeValues)
	}
	var err error
	d.clock, err = d.newClock()
	return err
}

// setSpikes copies what is known of the losses to the device.
func (d *session) setSpikes(s device.Spikes) error {
	if d.spikes.IsZero() {
		return nil
	}
	if err := d.Device.Upload(d.spikes, s.Values()); err != nil {
		return fmt.Errorf("copying the moments of the losses to the device: %w", err)
	}
	return nil
}

func (d *session) newClock() (device.Words, error) {
	memory, err := d.Device.Alloc(device.Word, device.ClockWords)
	if err != nil {
		return device.Words{}, fmt.Errorf("allocating a clock: %w", err)
	}
	return device.WordsOf(memory, 0, device.ClockWords), nil
}

// source is a part of the data with this run's seed.
func (d *session) source(part device.Rows) model.Source {
	return model.Source{Data: d.data, Target: d.targets, Part: part, Seed: d.Config.Seed, Range: d.extremes}
}

// record returns the program of one optimiser step on a minibatch of that many
// examples of src: gradient, update, and a line of the log.
func (d *session) record(src model.Source, examples int) (device.Program, error) {
	step := optim.Step{
		Params: d.net.Params, Grads: d.net.Grads, GradSq: d.net.GradSq(), Loss: d.net.MeanLoss(),
		Rates: d.rates, Clock: d.clock, Decayed: d.Model.DecayedCount(), Clip: d.Config.Clip,
		Spikes: d.spikes, SpikeLimit: d.spikeLimit(examples),
	}
	program, err := d.Device.Record(func() {
		d.net.Gradient(src, examples)
		d.state.Apply(d.Device, step)
		d.Device.Tick(device.TickArgs{Clock: d.clock, Rows: examples, Values: d.net.Values, Log: d.log,
			Spikes: d.spikes, SpikeLimit: float32(step.SpikeLimit), Loss: step.Loss})
	})
	if err != nil {
		return nil, fmt.Errorf("recording the step: %w", err)
	}
	return program, nil
}

// spikeLimit is the number of standard deviations that the loss of a minibatch of
// so many examples may lie above the mean: that of a mean of fewer examples varies
// more.
func (s *setup) spikeLimit(examples int) float64 {
	return s.Config.SkipSpikes * math.Sqrt(float64(s.batches.batch)/float64(examples))
}

// setRates uploads the learning rates of the epoch whose first step that is.
func (d *session) setRates(first uint64, history []Row, scale float64) error {
	d.schedule.Factors(d.multiples, first, d.horizon(history))
	for i, x := range d.multiples {
		d.table[i] = float32(d.Config.LR * scale * x)
	}
	if err := d.Device.Upload(d.rates, d.table); err != nil {
		return fmt.Errorf("copying the learning rates to the device: %w", err)
	}
	return nil
}

// arenas are the numbers that training changes, on the host; those that the
// rule and the model do not have are empty.
type arenas struct {
	params, first, second, ema, buffers []float32
}

// arena is one of them with its place on the device and its name in a file.
type arena struct {
	name string
	host *[]float32
	view device.View
}

// pair lists the arenas with their views.
func (d *session) pair(a *arenas) []arena {
	return []arena{
		{"params", &a.params, d.net.Params},
		{"first", &a.first, d.state.First},
		{"second", &a.second, d.state.Second},
		{"ema", &a.ema, d.state.EMA},
		{"buffers", &a.buffers, d.net.Buffers},
	}
}

// save copies the device's numbers to a, which it allocates at first.
func (d *session) save(a *arenas) error {
	for _, x := range d.pair(a) {
		if x.view.IsZero() {
			continue
		}
		if *x.host == nil {
			*x.host = make([]float32, x.view.Len())
		}
		if err := d.Device.Download(*x.host, x.view); err != nil {
			return fmt.Errorf("copying %s from the device: %w", x.name, err)
		}
	}
	return nil
}

// restore copies a to the device.
func (d *session) restore(a *arenas) error {
	for _, x := range d.pair(a) {
		if x.view.IsZero() {
			continue
		}
		if err := d.Device.Upload(x.view, *x.host); err != nil {
			return fmt.Errorf("copying %s to the device: %w", x.name, err)
		}
	}
	return nil
}

// initial fills the device with the start of a run, weights drawn at random that
// reconstruct every row by the means of those that train, and returns them.
func (d *session) initial(ctx context.Context) (arenas, error) {
	start, err := d.start(ctx)
	if err != nil {
		return arenas{}, err
	}
	if err := d.net.SetParameters(start.params, start.buffers); err != nil {
		return arenas{}, err
	}
	d.state.Reset(d.Device, d.net.Params)
	if err := d.Device.Sync(); err != nil {
		return arenas{}, fmt.Errorf("initialising: %w", err)
	}
	return start, nil
}

func (d *session) start(ctx context.Context) (arenas, error) {
	if d.Model.IsPredictor() {
		return d.predictorStart(ctx)
	}
	moments, err := d.Model.Moments(ctx, d.Table, d.split.Training())
	if err != nil {
		return arenas{}, err
	}
	start := arenas{params: d.Model.InitialParameters(d.Config.Seed), buffers: d.Model.InitialBuffers()}
	d.Model.StartAtMeans(start.params, moments)
	return start, nil
}

// loggedStep is one line of the log.
type loggedStep struct{ loss, gradSq float64 }

// readLog returns a function that looks up the last LogSteps steps by their
// index in the epoch.
func (d *session) readLog() (func(index int) loggedStep, error) {
	if err := d.Device.Download(d.losses, d.log); err != nil {
		return nil, fmt.Errorf("reading the losses: %w", err)
	}
	return func(index int) loggedStep {
		at := index % LogSteps * logged
		return loggedStep{float64(d.losses[at]), float64(d.losses[at+1])}
	}, nil
}
