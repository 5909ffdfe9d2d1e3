package selftest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"gpudae/device"
	"gpudae/model"
	"gpudae/optim"
)

// The size of the data, and of the training.
const (
	rows     = 40
	features = 12
	batch    = 16
	steps    = 2
	rate     = 0.05
	seed     = 42
)

// row is one of the table of models. Data are bytes or floats in [0, 1].
type row struct {
	bytes      bool
	corruption string
	hidden     string // activation of the hidden layers
	code       string // and of the code
	norm       string
	likelihood string
	optimizer  string
	extra      func(*trial) // what else the model has
}

// trial is a model and how it is trained.
type trial struct {
	bytes     bool
	config    model.Config
	optimizer string
	clip      float64
	ema       float64
}

// cases is a table of models that has each kind, each activation both in the
// epilogue of a product and, behind a norm, by itself. Where an optimiser divides by
// the root of a moment, epsilon is large, so that a gradient that is nothing but
// rounding (that of a bias before batch normalisation) stays that small.
func cases() []trial {
	fields := func(t *trial) { t.config.Fields = []int{3, 4, 5} }
	emphasis := func(t *trial) { t.config.Emphasis = model.Emphasis{Destroyed: 1, Untouched: 0.5} }
	clipped := func(t *trial) { t.clip = 0.1 }
	tied := func(t *trial) { t.config.Tied = true }
	averaged := func(t *trial) { t.config.Dropout, t.ema = 0.2, 0.9 }
	replicated := func(t *trial) { t.config.Dropout, t.config.Replicates = 0.2, 3 }
	levelled := func(t *trial) {
		t.config.Objective, t.config.Score.Noise = model.ObjectiveDSM, "geometric:min=0.01,max=10"
	}
	weighted := func(t *trial) { t.config.CodeDistribution, t.config.Importance = "gaussian", 3 }
	walked := func(t *trial) { t.config.CodeDistribution, t.config.Walkback = "concrete:0.5", 2 }
	nothing := func(*trial) {}
	var all []trial
	for _, r := range []row{
		{true, "masking:0.3", "relu", "identity", "none", "bernoulli", "sgd:momentum=0.9,nesterov", nothing},
		{false, "gaussian:0.2", "leaky-relu", "elu", "none", "gaussian:0.5", "adam:epsilon=0.001", clipped},
		{true, "none", "silu", "tanh", "none", "bernoulli", "sgd:momentum=0.9,decay=0.01", nothing},
		{true, "uniform:0.1+poisson:20", "softplus", "gelu", "none", "gaussian:1", "adamw:epsilon=0.001", tied},
		{false, "masking:0.3", "sigmoid", "relu", "none", "categorical", "adam:epsilon=0.001", fields},
		{true, "swap:0.3", "gelu", "silu", "layer", "gaussian-learned", "adamw:epsilon=0.001", emphasis},
		{false, "swap:0.3", "sigmoid", "tanh", "batch", "categorical", "rmsprop:epsilon=0.001", fields},
		{false, "salt-and-pepper:0.3+speckle:0.2", "softplus", "relu", "layer", "poisson", "adagrad:epsilon=0.001", averaged},
		{false, "masking:0.3+gaussian:0.2", "leaky-relu", "elu", "batch", "bernoulli", "adam:epsilon=0.001", replicated},
		{true, "masking:0.3", "identity", "tanh", "layer", "bernoulli", "sgd:momentum=0.9", tied},
		{false, "none", "silu", "silu", "none", "gaussian", "adam:epsilon=0.001", levelled},
		{true, "masking:0.3", "tanh", "identity", "none", "bernoulli", "adam:epsilon=0.001", weighted},
		{false, "gaussian:0.2", "softplus", "identity", "layer", "gaussian:0.5", "sgd:momentum=0.9", walked},
	} {
		t := trial{bytes: r.bytes, optimizer: r.optimizer, config: model.Config{Features: features, Hidden: []int{16, 8},
			Corruption: r.corruption, Activation: r.hidden, CodeActivation: r.code, Norm: r.norm, Likelihood: r.likelihood}}
		r.extra(&t)
		all = append(all, t)
	}
	return all
}

// String names the kinds that the model is made of.
func (t trial) String() string {
	c, element := t.config, "float32"
	if t.bytes {
		element = "uint8"
	}
	rule, _, _ := strings.Cut(t.optimizer, ":")
	kinds := []string{c.Corruption + " of " + element, c.Activation, c.CodeActivation, "norm " + c.Norm, c.Likelihood, rule}
	if c.Objective != "" {
		kinds = append(kinds, "objective "+c.Objective)
	}
	if c.CodeDistribution != "" {
		kinds = append(kinds, c.CodeDistribution+" code")
	}
	if c.Tied {
		kinds = append(kinds, "tied weights")
	}
	if c.Dropout > 0 {
		kinds = append(kinds, "dropout")
	}
	return "model of " + strings.Join(kinds, ", ")
}

// table makes the data.
func (t trial) table() device.Table {
	rng := rand.New(rand.NewPCG(seed, 0))
	table := device.Table{Rows: rows, Columns: features}
	for range rows * features {
		if v := rng.IntN(256); t.bytes {
			table.Scale, table.Uint8 = 1.0/255, append(table.Uint8, uint8(v))
		} else {
			table.Float32 = append(table.Float32, float32(v)/255)
		}
	}
	return table
}

// session is a model on a device.
type session struct {
	trial
	dev    device.Device
	net    *model.Net
	state  *optim.State
	source model.Source
	rates  device.View // [1, steps]
	log    device.View // [steps, 2] loss and squared norm of the gradient, as Tick leaves them
}

// train makes the steps, evaluates, and returns all that is left on the device.
func (t trial) train(ctx context.Context, dev device.Device) ([]array, error) {
	s, err := t.open(ctx, dev)
	if err != nil {
		return nil, err
	}
	step, err := dev.Record(s.step)
	if err != nil {
		return nil, err
	}
	for range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	var all []array
	for _, left := range []struct {
		name string
		view device.View
	}{
		{"losses and norms of the gradient", s.log}, {"parameters", s.net.Params},
		{"running statistics", s.net.Buffers}, {"averaged parameters", s.state.EMA},
	} {
		if all, err = download(all, dev, left.name, left.view); err != nil {
			return nil, err
		}
	}
	if all, err = s.alone(all); err != nil {
		return nil, err
	}
	return s.evaluate(ctx, all)
}

// alone appends what another step on the first minibatch leaves, by operations that are not
// recorded.
func (s *session) alone(all []array) ([]array, error) {
	if err := s.dev.UploadWords(s.source.Clock, device.Clock{}.Words()); err != nil {
		return nil, err
	}
	s.step()
	all, err := download(all, s.dev, "gradients", s.net.Grads)
	if err != nil {
		return nil, err
	}
	return download(all, s.dev, "parameters after a step that was not recorded", s.net.Params)
}

func (t trial) open(ctx context.Context, dev device.Device) (*session, error) {
	s := &session{trial: t, dev: dev}
	dae, err := model.New(t.config)
	if err != nil {
		return nil, err
	}
	rule, err := optim.ParseRule(t.optimizer)
	if err != nil {
		return nil, err
	}
	if s.net, err = model.Bind(dev, dae, model.Binding{Examples: batch, Training: true}); err != nil {
		return nil, err
	}
	if s.state, err = optim.NewState(dev, rule, dae.ParameterCount(), t.ema); err != nil {
		return nil, err
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if err := s.net.SetParameters(dae.InitialParameters(seed), dae.InitialBuffers()); err != nil {
		return nil, err
	}
	s.state.Reset(dev, s.net.Params)
	return s, nil
}

// load brings the data, the clock and the learning rates to the device.
func (s *session) load(ctx context.Context) error {
	table := s.table()
	resident, err := s.dev.Load(ctx, table)
	if err != nil {
		return err
	}
	s.source = model.Source{Data: resident, Part: device.Rows{Hi: rows, Split: true, Seed: seed}, Seed: seed, Shuffle: true}
	low, high := model.ColumnExtremes(table)
	if s.source.Range, err = model.NewRange(s.dev, low, high); err != nil {
		return err
	}
	words, err := s.dev.Alloc(device.Word, device.ClockWords)
	if err != nil {
		return err
	}
	floats, err := s.dev.Alloc(device.Float, 3*steps)
	if err != nil {
		return err
	}
	s.source.Clock = device.WordsOf(words, 0, device.ClockWords)
	s.rates, s.log = device.MatrixOf(floats, 0, 1, steps), device.MatrixOf(floats, steps, steps, 2)
	rates := make([]float32, steps)
	for i := range rates {
		rates[i] = rate
	}
	if err := s.dev.UploadWords(s.source.Clock, device.Clock{}.Words()); err != nil {
		return err
	}
	return s.dev.Upload(s.rates, rates)
}

// step is what is recorded.
func (s *session) step() {
	s.net.Gradient(s.source, batch)
	s.state.Apply(s.dev, optim.Step{Params: s.net.Params, Grads: s.net.Grads, GradSq: s.net.GradSq(), Loss: s.net.MeanLoss(),
		Rates: s.rates, Clock: s.source.Clock, Decayed: s.net.DAE().DecayedCount(), Clip: s.clip})
	s.dev.Tick(device.TickArgs{Clock: s.source.Clock, Rows: batch, Values: s.net.Values, Log: s.log})
}

// evaluate appends what the trained model makes of the data.
func (s *session) evaluate(ctx context.Context, all []array) ([]array, error) {
	var corrupted, reconstructed []float32
	e, err := s.net.EvaluateEach(ctx, s.source, func(b model.Batch) error {
		corrupted, reconstructed = append(corrupted, b.Corrupted...), append(reconstructed, b.Reconstructed...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("after training: %w", err)
	}
	return append(all, array{"corrupted data", corrupted}, array{"reconstructions", reconstructed},
		array{"loss", []float32{float32(e.Loss)}}, array{"MSE", []float32{float32(e.MSE)}}), nil
}
