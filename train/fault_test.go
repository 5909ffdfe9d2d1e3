package train

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"gpudae/device"
	"gpudae/model"
)

// faulty makes one number of one operation NaN, whenever a training step of
// that number or a later one is made.
type faulty struct {
	device.Device
	t     *testing.T
	from  uint64 // the step, counted from 0
	where string // of the operations below
	width int    // of the layer
	clock device.Words
}

// late reports whether the step is one to be spoilt. The clock is that of the
// operation before, since not all have one.
func (d *faulty) late() bool {
	if d.clock.IsZero() {
		return d.from == 0
	}
	words := make([]uint32, device.ClockWords)
	if err := d.DownloadWords(words, d.clock); err != nil {
		d.t.Fatal(err)
	}
	return device.ClockFromWords(words).Step >= d.from
}

func (d *faulty) spoil(where string, v device.View) {
	if where != d.where || v.IsZero() || v.Columns != d.width || !d.late() {
		return
	}
	first := device.MatrixOf(v.Memory, v.Offset, 1, 1)
	if err := d.Upload(first, []float32{float32(math.NaN())}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *faulty) Record(body func()) (device.Program, error) {
	return func() error { body(); return d.Sync() }, nil
}

func (d *faulty) Gather(a device.GatherArgs) {
	d.clock = a.Clock
	d.Device.Gather(a)
	d.spoil("examples", a.X)
}

func (d *faulty) Corrupt(a device.CorruptArgs) {
	d.Device.Corrupt(a)
	d.spoil("corrupted examples", a.To)
}

func (d *faulty) Dense(a device.DenseArgs) {
	d.Device.Dense(a)
	d.spoil("activations", a.Y)
}

func (d *faulty) Likelihood(a device.LikelihoodArgs) {
	d.Device.Likelihood(a)
	if !a.DParams.IsZero() {
		d.spoil("losses", a.Losses)
	}
}

func (d *faulty) DenseBackward(a device.DenseBackwardArgs) {
	d.Device.DenseBackward(a)
	d.spoil("gradients", a.DW)
}

func (d *faulty) Update(a device.UpdateArgs) {
	d.Device.Update(a)
	if d.where == "parameters" {
		d.spoil("parameters", a.Params)
	}
}

// diverged runs a job that diverges.
func diverged(t *testing.T, job Job) *DivergedError {
	t.Helper()
	_, err := Run(context.Background(), job)
	var e *DivergedError
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want a DivergedError", err)
	}
	return e
}

// Whatever is spoilt is found, in the layer and in the part of the step where it
// comes first. The layers' widths are 12, 3, 12 and 8.
func TestTheFirstBadLayerIsNamed(t *testing.T) {
	for _, c := range []struct {
		where       string
		width       int
		layer, what string
	}{
		{"examples", 8, "", "examples"},
		{"corrupted examples", 8, "", "corrupted examples"},
		{"activations", 3, "encoder.1", "activations"},
		{"activations", 12, "encoder.0", "activations"},
		{"losses", 1, "", "losses"},
		{"gradients", 3, "decoder.0", "gradients"}, // [12, 3]
	} {
		job := toyJob(t, 80, 3) // 5 steps of an epoch
		job.Model = newDAE(t, model.Config{Features: 8, Hidden: []int{12}, Code: 3, Activation: "tanh", Corruption: "gaussian:0.05", Likelihood: "gaussian:0.1"})
		job.Device = &faulty{Device: newCPU(t, 1), t: t, from: 7, where: c.where, width: c.width}
		e := diverged(t, job)
		if e.Step != 8 || e.Epoch != 2 || e.Fault == nil || e.Fault.Layer != c.layer || e.Fault.What != c.what || e.Fault.Bad < 1 || e.Best == nil {
			t.Errorf("%+v: %v", c, e)
		}
	}
}

// What the optimiser made of the parameters is what the next step meets first.
func TestBadParametersAreNamed(t *testing.T) {
	job := toyJob(t, 80, 3)
	job.Device = &faulty{Device: newCPU(t, 1), t: t, from: 7, where: "parameters", width: job.Model.ParameterCount()}
	if e := diverged(t, job); e.Step != 9 || e.Fault == nil || e.Fault.Layer != "encoder.0" || e.Fault.What != "parameters" || e.Fault.Bad != 1 ||
		!strings.Contains(e.Error(), "; first bad are the parameters of encoder.0, 1 of 256 not finite; ") {
		t.Errorf("%v", e)
	}
}

// The output layer starts at zero, so that a first step of a learning rate that is
// much too large makes its parameters large and no others.
func TestALayerThatHasGrownIsNamed(t *testing.T) {
	job := toyJob(t, 80, 5)
	job.Config.LR = 1e6
	if e := diverged(t, job); e.Fault == nil || e.Fault.Layer != "decoder.1" || e.Fault.What != "parameters" || e.Fault.Bad != 0 || !(e.Fault.Growth > 1000) {
		t.Errorf("%v", e)
	}
}

// A fault that does not come again is told as what it is.
func TestAPassingFaultIsNotBlamedOnALayer(t *testing.T) {
	job := toyJob(t, 80, 3)
	job.Config.Retries = 0
	job.Device = &poisoner{Device: newCPU(t, 1), t: t, step: 7, loss: math.NaN()}
	if e := diverged(t, job); e.Fault != nil || !e.Repeated || !strings.Contains(e.Error(), "fault of the machine") {
		t.Errorf("%v", e)
	}
	job.Device = &poisoner{Device: newCPU(t, 1), t: t, step: 7, loss: 1e30}
	if e := diverged(t, job); e.Fault != nil || !strings.Contains(e.Error(), "beyond blow_up") {
		t.Errorf("%v", e)
	}
}

// An evaluation that fails is looked into as well: the running statistics, which no
// step of training reads, can be what is bad.
func TestABadEvaluationIsLookedInto(t *testing.T) {
	job := toyJob(t, 80, 3)
	job.Model = newDAE(t, model.Config{Features: 8, Hidden: []int{12}, Norm: "batch", Corruption: "gaussian:0.05", Likelihood: "gaussian:0.1"})
	job.Device = &badStatistics{Device: newCPU(t, 1), t: t}
	if e := diverged(t, job); e.Step != 5 || e.Fault == nil || e.Fault.Layer != "encoder.0" || e.Fault.What != "running statistics" {
		t.Errorf("%v", e)
	}
}

// badStatistics spoils the running statistics of batch norm.
type badStatistics struct {
	device.Device
	t *testing.T
}

func (d *badStatistics) Record(body func()) (device.Program, error) {
	return func() error { body(); return d.Sync() }, nil
}

func (d *badStatistics) Normalize(a device.NormalizeArgs) {
	d.Device.Normalize(a)
	if a.Training {
		if err := d.Upload(a.RunningMean, append(make([]float32, a.RunningMean.Len()-1), float32(math.NaN()))); err != nil {
			d.t.Fatal(err)
		}
	}
}
