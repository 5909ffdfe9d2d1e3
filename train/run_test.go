package train

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gpudae/cpu"
	"gpudae/data"
	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/model"
)

// toy is a table on a curved two-dimensional sheet in eight dimensions with a
// little noise: what a code of two units can learn and two principal components cannot.
func toy(rows int) device.Table {
	random := rand.New(rand.NewPCG(1, 2))
	t := device.Table{Rows: rows, Columns: 8, Scale: 1}
	for range rows {
		u, v := 2*random.Float64()-1, 2*random.Float64()-1
		for _, x := range []float64{u, v, math.Sin(3 * u), math.Cos(3 * v), u * v, u*u - 0.3, math.Sin(2 * (u + v)), math.Cos(2 * (u - v))} {
			t.Float32 = append(t.Float32, float32(x+0.02*random.NormFloat64()))
		}
	}
	return t
}

func newDAE(t *testing.T, c model.Config) *model.DAE {
	t.Helper()
	d, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newCPU(t *testing.T, threads int) device.Device {
	t.Helper()
	dev, err := cpu.New(threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	return dev
}

// toyJob trains a small nonlinear DAE on the toy.
func toyJob(t *testing.T, rows, epochs int) Job {
	t.Helper()
	c := DefaultConfig()
	c.Epochs, c.Batch, c.LR = epochs, 16, 3e-3
	return Job{
		Device: newCPU(t, 1),
		Model: newDAE(t, model.Config{Features: 8, Hidden: []int{32}, Code: 2, Activation: "tanh", CodeActivation: "identity",
			Corruption: "gaussian:0.05", Likelihood: "gaussian:0.1"}),
		Table:  toy(rows),
		Schema: data.Info{Name: "toy", SHA256: "ab12", Rows: rows, Features: 8, Shape: []int{2, 4}, Element: data.Float32, Scale: 1},
		Config: c,
	}
}

func mustRun(t *testing.T, job Job) *Result {
	t.Helper()
	r, err := Run(context.Background(), job)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

func TestTrainingLowersTheLossBelowPCA(t *testing.T) {
	job := toyJob(t, 1000, 150)
	job.Config.Schedule = "cosine"
	r := mustRun(t, job)
	if first := r.History[0]; !(r.Last.TrainNLL < first.TrainNLL-1) || !(r.Last.ValNLL < first.ValNLL-1) {
		t.Errorf("the loss went from %+v to %+v", first, r.Last)
	}
	if floor := pcaFloor(job.Table, 2); r.Best.ValMSE > 0.6*floor {
		t.Errorf("validation MSE %.4g, that of two principal components is %.4g", r.Best.ValMSE, floor)
	}
}

// pcaFloor is the mean squared error a feature of the best linear
// reconstruction from q numbers: the mean of the smallest eigenvalues of the
// covariance, found by Jacobi rotations.
func pcaFloor(t device.Table, q int) float64 {
	values, _ := eigen(covariance(t))
	slices.Sort(values)
	sum := 0.0
	for _, v := range values[:t.Columns-q] {
		sum += v
	}
	return sum / float64(t.Columns)
}

func TestTheSameSeedGivesTheSameBits(t *testing.T) {
	job := toyJob(t, 101, 3)
	job.Config.EMA = 0.9
	one := mustRun(t, job)
	for _, threads := range []int{1, 2, 3} {
		job.Device = newCPU(t, threads)
		if again := mustRun(t, job); !sameBits(one.Params, again.Params) || one.Last.TrainNLL != again.Last.TrainNLL || one.Last.ValNLL != again.Last.ValNLL {
			t.Errorf("%d threads: another result", threads)
		}
	}
	job.Config.Seed++
	if other := mustRun(t, job); sameBits(one.Params, other.Params) {
		t.Error("another seed gives the same weights")
	}
}

// tracer records the clock and the examples that each step was given.
type tracer struct {
	device.Device
	t     *testing.T
	steps []traced
}

type traced struct {
	clock device.Clock
	rows  []uint32
}

// Gather runs the operation and looks at what it served to training.
func (d *tracer) Gather(a device.GatherArgs) {
	d.Device.Gather(a)
	if !a.Shuffle {
		return
	}
	words, index := make([]uint32, device.ClockWords), make([]uint32, a.Index.Len)
	for _, err := range []error{d.DownloadWords(words, a.Clock), d.DownloadWords(index, a.Index)} {
		if err != nil {
			d.t.Error(err)
		}
	}
	d.steps = append(d.steps, traced{device.ClockFromWords(words), index[:a.X.Rows]})
}

// Record lets the operations run one by one through the tracer.
func (d *tracer) Record(body func()) (device.Program, error) {
	return func() error { body(); return d.Sync() }, nil
}

func trace(t *testing.T, job Job) []traced {
	t.Helper()
	d := &tracer{Device: reference.New(), t: t}
	job.Device = d
	mustRun(t, job)
	return d.steps
}

// A generator that never advances would serve the first minibatch for ever.
func TestGeneratorAdvances(t *testing.T) {
	steps := trace(t, toyJob(t, 47, 2))
	if len(steps) != 6 {
		t.Fatalf("%d steps, want 2 epochs of 3", len(steps))
	}
	for i, s := range steps {
		want := device.Clock{Step: uint64(i), Epoch: uint32(i / 3), Cursor: uint32(i % 3 * 16), Index: uint32(i % 3)}
		if s.clock != want {
			t.Errorf("step %d has the clock %+v, want %+v", i, s.clock, want)
		}
		for j := range i {
			if slices.Equal(s.rows, steps[j].rows) {
				t.Errorf("steps %d and %d have the same examples %v", j, i, s.rows)
			}
		}
	}
}

func TestEveryEpochServesEveryExample(t *testing.T) {
	for _, rows := range []int{47, 36, 10} { // a last minibatch of 10, of 16 (none is smaller), and a single one of 9
		job := toyJob(t, rows, 2)
		split, err := NewSplit(rows, job.Config)
		if err != nil {
			t.Fatal(err)
		}
		var want []uint32
		trains := split.Trains()
		for row := range rows {
			if trains(row) {
				want = append(want, uint32(row))
			}
		}
		if len(want) != rows-split.Held {
			t.Fatalf("%d rows train of %d with %d held out", len(want), rows, split.Held)
		}
		epochs := map[uint32][]uint32{}
		for _, s := range trace(t, job) {
			epochs[s.clock.Epoch] = append(epochs[s.clock.Epoch], s.rows...)
		}
		if len(epochs) != 2 || slices.Equal(epochs[0], epochs[1]) {
			t.Errorf("%d rows: epochs %v, want two in different orders", rows, epochs)
		}
		for epoch, served := range epochs {
			slices.Sort(served)
			if !slices.Equal(served, want) {
				t.Errorf("%d rows: epoch %d serves %v, want %v", rows, epoch, served, want)
			}
		}
	}
}

func TestTrainNLLWeighsMinibatchesByTheirExamples(t *testing.T) {
	job := toyJob(t, 20, 1)
	job.Model = newDAE(t, model.Config{Features: 8, Hidden: []int{4}, Likelihood: "gaussian:0.1"})
	job.Config.Val, job.Config.LR = 0, 1e-30 // all rows, and weights that stay
	loss := func(batch int) float64 {
		job.Config.Batch = batch
		return mustRun(t, job).Last.TrainNLL
	}
	want := loss(20)
	for _, batch := range []int{19, 16, 3, 1} {
		if got := loss(batch); math.Abs(got-want) > 1e-5*math.Abs(want) {
			t.Errorf("in minibatches of %d: %.7g, in a single one: %.7g", batch, got, want)
		}
	}
}

func TestScheduleReachesTheSteps(t *testing.T) {
	job := toyJob(t, 40, 4)
	job.Config.Val, job.Config.Warmup, job.Config.Schedule = 0, 1, "step:every=1,factor=0.5"
	got := []float64{}
	for _, row := range mustRun(t, job).History {
		got = append(got, row.LR)
	}
	// 3 steps of warm-up reach 3/4; then whole epochs at 1, 1/2, 1/4.
	for i, want := range []float64{0.75, 1, 0.5, 0.25} {
		if math.Abs(got[i]/job.Config.LR-want) > 1e-6 {
			t.Errorf("epoch %d ends with %g of the learning rate, want %g", i+1, got[i]/job.Config.LR, want)
		}
	}
}

func TestPlateauFollowsValidation(t *testing.T) {
	job := toyJob(t, 60, 6)
	job.Config.Schedule = "plateau:patience=1,factor=0.5,delta=1e6" // nothing counts as progress but the first epoch
	var got []float64
	for _, row := range mustRun(t, job).History {
		got = append(got, row.LR/job.Config.LR)
	}
	for i, want := range []float64{1, 1, 0.5, 0.25, 0.125, 0.0625} {
		if math.Abs(got[i]-want) > 1e-6 {
			t.Errorf("rates %g, want %g in epoch %d", got, want, i+1)
		}
	}
}

func TestEarlyStopping(t *testing.T) {
	job := toyJob(t, 60, 50)
	job.Config.Patience, job.Config.MinDelta = 3, 1e6
	r := mustRun(t, job)
	if r.Reason != EarlyStopped || r.Epochs != 4 {
		t.Errorf("%s after %d epochs, want %s after the first and 3 without progress", r.Reason, r.Epochs, EarlyStopped)
	}
	job.Config.Patience = 0
	if r := mustRun(t, job); r.Reason != Finished || r.Epochs != 50 {
		t.Errorf("without patience: %s after %d epochs", r.Reason, r.Epochs)
	}
}

func TestStepsLimitTheRun(t *testing.T) {
	job := toyJob(t, 53, 50) // 3 steps of an epoch
	job.Config.Steps = 7
	r := mustRun(t, job)
	if r.Reason != Finished || r.Steps != 7 || r.Epochs != 3 || r.Last.Step != 7 {
		t.Errorf("%s after %d steps in %d epochs, want %s after 7 in 3", r.Reason, r.Steps, r.Epochs, Finished)
	}
}

func TestTheBestEpochIsKept(t *testing.T) {
	job := toyJob(t, 80, 8)
	job.Config.LR = 0.3 // so that the loss goes up and down
	r := mustRun(t, job)
	for sameRow(r.Best, r.Last) && job.Config.Seed < 60 {
		job.Config.Seed++
		r = mustRun(t, job)
	}
	best := slices.MinFunc(r.History, func(a, b Row) int { return cmp.Compare(a.ValNLL, b.ValNLL) })
	if !sameRow(r.Best, best) || sameRow(r.Best, r.Last) {
		t.Fatalf("best %+v, want %+v and not the last", r.Best, best)
	}
	e, err := evaluate(job, r)
	if err != nil || e.NLL != r.Best.ValNLL {
		t.Errorf("the kept weights have the validation loss %.9g, %v; recorded is %.9g", e.NLL, err, r.Best.ValNLL)
	}
}

// evaluate computes the validation loss of a result's weights.
func evaluate(job Job, r *Result) (model.Evaluation, error) {
	low, high := model.ColumnExtremes(job.Table)
	s := &Saved{DAE: job.Model, Params: r.Params, Buffers: r.Buffers, Config: job.Config, Scaler: data.Scaler{Low: low, High: high}}
	return s.Evaluate(context.Background(), job.Device, job.Table, r.Split.Validation())
}

func TestAverageIsValidatedAndKept(t *testing.T) {
	job := toyJob(t, 80, 3)
	plain := mustRun(t, job)
	job.Config.EMA = 0.95
	averaged := mustRun(t, job)
	if plain.Last.TrainNLL != averaged.Last.TrainNLL {
		t.Error("averaging changes the training itself")
	}
	if sameBits(plain.Params, averaged.Params) || plain.Last.ValNLL == averaged.Last.ValNLL {
		t.Error("averaging changes nothing")
	}
	if e, err := evaluate(job, averaged); err != nil || e.NLL != averaged.Best.ValNLL {
		t.Errorf("the kept weights have the validation loss %.9g, %v; recorded is %.9g", e.NLL, err, averaged.Best.ValNLL)
	}
}

func TestWithoutValidationTheLastEpochIsKept(t *testing.T) {
	job := toyJob(t, 40, 3)
	job.Config.Val, job.Config.Patience = 0, 1
	r := mustRun(t, job)
	if r.Best != r.Last && r.Best.Epoch != 3 || r.Epochs != 3 || !math.IsNaN(r.Last.ValNLL) {
		t.Errorf("best %+v of %+v", r.Best, r.History)
	}
}

func TestDivergenceRollsBackAndGivesUp(t *testing.T) {
	for name, change := range map[string]func(*Job){
		"not finite": func(j *Job) { j.Config.Optimizer, j.Config.LR, j.Config.BlowUp = "sgd", 1e6, 0 },
		"blow-up":    func(j *Job) { j.Config.LR = 1e6 },
	} {
		job := toyJob(t, 80, 5)
		change(&job)
		var seen []Rollback
		job.Observer.RolledBack = func(b Rollback) { seen = append(seen, b) }
		_, err := Run(context.Background(), job)
		var diverged *DivergedError
		if !errors.As(err, &diverged) {
			t.Fatalf("%s: error %v, want a DivergedError", name, err)
		}
		if diverged.Retries != 3 || diverged.Epoch != 1 || diverged.LR != 1e6/8 || diverged.Best != nil || diverged.Step == 0 {
			t.Errorf("%s: %+v", name, diverged)
		}
		for i, b := range seen {
			if want := 1e6 / math.Ldexp(1, i+1); b.Retry != i+1 || b.LR != want || b.Epoch != 1 {
				t.Errorf("%s: rollback %+v, want number %d with rate %g", name, b, i+1, want)
			}
		}
		if len(seen) != 3 {
			t.Errorf("%s: %d rollbacks, want 3", name, len(seen))
		}
	}
}

// poisoner gives one optimiser step, the first time it is made, another loss.
type poisoner struct {
	device.Device
	t     *testing.T
	step  uint64
	loss  float64
	fired bool
}

func (d *poisoner) Record(body func()) (device.Program, error) {
	return func() error { body(); return d.Sync() }, nil
}

func (d *poisoner) Update(a device.UpdateArgs) {
	words := make([]uint32, device.ClockWords)
	if err := d.DownloadWords(words, a.Clock); err != nil {
		d.t.Error(err)
	}
	if !d.fired && device.ClockFromWords(words).Step == d.step {
		d.fired = true
		if err := d.Upload(a.Loss, []float32{float32(d.loss)}); err != nil {
			d.t.Error(err)
		}
	}
	d.Device.Update(a)
}

func TestARolledBackEpochIsRepeatedFromItsStart(t *testing.T) {
	job := toyJob(t, 80, 3) // 5 steps of an epoch
	job.Config.EMA = 0.9
	clean := mustRun(t, job)

	// The same as a run whose schedule halves the rate after the first epoch.
	halved := job
	halved.Config.Schedule = "step:every=1,factor=0.5"
	halved.Config.Epochs = 2
	want := mustRun(t, halved)

	var seen []Rollback
	job.Observer.RolledBack = func(b Rollback) { seen = append(seen, b) }
	job.Device = &poisoner{Device: newCPU(t, 1), t: t, step: 7, loss: math.NaN()}
	job.Config.Epochs = 2
	got := mustRun(t, job)
	if len(seen) != 1 || seen[0].Epoch != 2 || seen[0].Step != 8 || !math.IsNaN(seen[0].Loss) || got.Rollbacks != 1 {
		t.Fatalf("rollbacks %+v, want one of epoch 2 at step 8", seen)
	}
	if got.History[0].ValNLL != clean.History[0].ValNLL {
		t.Error("the epoch before the rollback differs")
	}
	if got.Last.ValNLL != want.Last.ValNLL || !sameBits(got.Params, want.Params) {
		t.Errorf("after the rollback: validation loss %.9g, want that of half the rate, %.9g", got.Last.ValNLL, want.Last.ValNLL)
	}
}

func TestConfigurationErrorsNameTheirKey(t *testing.T) {
	decay := 1e39
	for key, change := range map[string]func(*Job){
		"weight_decay in float32": func(j *Job) { j.Config.WeightDecay = &decay },
		"clip in float32":         func(j *Job) { j.Config.Clip = 1e-40 },
		"ema in float32":          func(j *Job) { j.Config.EMA = 0.99999999 },
		"skip_spikes of nothing":  func(j *Job) { j.Config.SkipSpikes = 1 },
		"epochs":                  func(j *Job) { j.Config.Epochs = 0 },
		"steps":                   func(j *Job) { j.Config.Steps = -1 },
		"batch":                   func(j *Job) { j.Config.Batch = 0 },
		"lr":                      func(j *Job) { j.Config.LR = math.NaN() },
		"warmup":                  func(j *Job) { j.Config.Warmup = math.Inf(1) },
		"optimizer":               func(j *Job) { j.Config.Optimizer = "adam:beta1=2" },
		"weight_decay":            func(j *Job) { x := -0.1; j.Config.WeightDecay = &x },
		"clip":                    func(j *Job) { j.Config.Clip = -1 },
		"ema":                     func(j *Job) { j.Config.EMA = 1 },
		"val":                     func(j *Job) { j.Config.Val = 0.999 },
		"patience":                func(j *Job) { j.Config.Patience = -1 },
		"min_delta":               func(j *Job) { j.Config.MinDelta = -1 },
		"retries":                 func(j *Job) { j.Config.Retries = -1 },
		"blow_up":                 func(j *Job) { j.Config.BlowUp = math.NaN() },
		"checkpoint":              func(j *Job) { j.Config.Checkpoint = "-1" },
		"keep":                    func(j *Job) { j.Config.Keep = -1 },
		"skip_spikes":             func(j *Job) { j.Config.SkipSpikes = math.NaN() },
		"schedule":                func(j *Job) { j.Config.Schedule, j.Config.Val = "plateau", 0 },
		"features":                func(j *Job) { j.Table.Columns, j.Table.Rows = 4, 2*j.Table.Rows },
	} {
		job := toyJob(t, 20, 1)
		change(&job)
		_, err := Run(context.Background(), job)
		key, _, _ := strings.Cut(key, " ")
		var config *model.ConfigError
		if !errors.As(err, &config) || config.Key != key || config.Problem == "" || config.Remedy == "" {
			t.Errorf("%s: error %v", key, err)
		}
	}
}

// TestTailThatIsNotReached: a last minibatch of one example is no matter to a run that ends before it.
func TestTailThatIsNotReached(t *testing.T) {
	job := folderJob(t, 80, 1) // with batch norm, 72 examples
	job.Config.Batch = 71
	if _, err := Overfit(t.Context(), job, 3); err != nil {
		t.Error(err)
	}
	job.Config.Steps = 1
	if _, err := NewPlan(job); err != nil {
		t.Error(err)
	}
	job.Config.Steps, job.Resume = 0, true // one that has been trained so has no other choice
	if _, err := NewPlan(job); err != nil {
		t.Error(err)
	}
}

// TestBatchNormNeedsTwoRows: of one it leaves nothing to learn from.
func TestBatchNormNeedsTwoRows(t *testing.T) {
	job := folderJob(t, 80, 1) // with batch norm, 72 examples
	for batch, sound := range map[int]bool{1: false, 2: true, 70: true, 71: false, 72: true, 100: true} {
		job.Config.Batch = batch
		var config *model.ConfigError
		if _, err := NewPlan(job); sound != (err == nil) || err != nil && (!errors.As(err, &config) || config.Key != "batch") {
			t.Errorf("minibatches of %d: error %v", batch, err)
		}
	}
}

func TestOverfitLearnsOneMinibatch(t *testing.T) {
	job := toyJob(t, 200, 1)
	job.Config.LR = 1e-2
	fit, err := Overfit(context.Background(), job, 420)
	if err != nil {
		t.Fatal(err)
	}
	// With σ = 0.1 a perfect reconstruction has 8·(ln 0.1 + ½ ln 2π) = -11.07 nats.
	if fit.Examples != 16 || fit.Steps != 420 || !(fit.First > 0) || !(fit.Last < -10) {
		t.Errorf("%+v, want a loss near -11.07", fit)
	}
	if _, err := Overfit(context.Background(), job, 0); err == nil {
		t.Error("no steps are accepted")
	}
}

func TestPlanSizesTheRun(t *testing.T) {
	job := toyJob(t, 100, 7)
	job.Device = nil
	p, err := NewPlan(job)
	if err != nil {
		t.Fatal(err)
	}
	// 8→32→2→32→8, weights and biases.
	parameters := 8*32 + 32 + 32*2 + 2 + 2*32 + 32 + 32*8 + 8
	if p.Training != 90 || p.Held != 10 || p.StepsPerEpoch != 6 || p.Steps != 42 || p.Parameters != parameters ||
		p.Bytes.Data != 4*800 || p.Bytes.Optimizer != uint64(8*parameters) || p.Bytes.Device() <= p.Bytes.Model || p.Bytes.Host != uint64(4*7*parameters) || p.Bytes.Total() != p.Bytes.Device()+p.Bytes.Host || p.FLOPsPerEpoch <= 0 {
		t.Errorf("%+v", p)
	}
}

// TestPlanCountsWhatARunHolds weighs a run on the CPU, whose device shares the
// host's memory, while its largest arrays are alive.
func TestPlanCountsWhatARunHolds(t *testing.T) {
	job := toyJob(t, 60, 3)
	job.Model = newDAE(t, model.Config{Features: 8, Hidden: []int{700, 700}, Norm: "batch", Corruption: "none", Likelihood: "gaussian"})
	job.Config.EMA = 0.9
	plan, err := NewPlan(job)
	if err != nil {
		t.Fatal(err)
	}
	alive := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most := alive(), int64(0)
	job.Observer.Epoch = func(Row) { most = max(most, alive()-before) }
	mustRun(t, job)
	const packed = 2 << 20 // what the CPU packs a factor of a product into
	if total := plan.Bytes.Total(); float64(most) > 1.02*float64(total)+packed || float64(most) < 0.9*float64(total) {
		t.Errorf("the run holds %d bytes, its plan has %d", most, total)
	}
}

func TestDevicesAgree(t *testing.T) {
	job := toyJob(t, 60, 3)
	fast := mustRun(t, job)
	job.Device = reference.New()
	slow := mustRun(t, job)
	for i, row := range fast.History {
		want := slow.History[i]
		if math.Abs(row.TrainNLL-want.TrainNLL) > 1e-3*math.Abs(want.TrainNLL) || math.Abs(row.ValNLL-want.ValNLL) > 1e-3*math.Abs(want.ValNLL) ||
			math.Abs(row.GradNorm-want.GradNorm) > 1e-3*want.GradNorm {
			t.Errorf("epoch %d: %+v on the CPU, %+v on the reference", i+1, row, want)
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	r, err := newRun(context.Background(), toyJob(t, 200, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.setRates(0, nil, 1); err != nil {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(5, func() { // fewer than the steps of an epoch
		if err := r.full(); err != nil {
			t.Error(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%g allocations in a step", allocations)
	}
}

// blind makes the losses of the first evaluation not a number.
type blind struct {
	device.Device
	t     *testing.T
	fired bool
}

func (d *blind) Likelihood(a device.LikelihoodArgs) {
	d.Device.Likelihood(a)
	if d.fired || !a.DParams.IsZero() {
		return
	}
	d.fired = true
	nan := make([]float32, a.Losses.Len())
	for i := range nan {
		nan[i] = float32(math.NaN())
	}
	if err := d.Upload(a.Losses, nan); err != nil {
		d.t.Error(err)
	}
}

func TestAnEpochThatCannotBeValidatedIsRolledBack(t *testing.T) {
	job := toyJob(t, 60, 2)
	job.Device = &blind{Device: newCPU(t, 1), t: t}
	var seen []Rollback
	job.Observer.RolledBack = func(b Rollback) { seen = append(seen, b) }
	r := mustRun(t, job)
	if len(seen) != 1 || seen[0].Epoch != 1 || seen[0].Step != 4 || r.Epochs != 2 || !finite(r.History[0].ValNLL) || math.Abs(r.History[0].LR/job.Config.LR-0.5) > 1e-6 {
		t.Errorf("rollbacks %+v, then %+v", seen, r.History)
	}
}

func TestSplitHoldsOutAFraction(t *testing.T) {
	for _, c := range []struct {
		rows      int
		val       float64
		held      int
		wantError bool
	}{
		{1000, 0.1, 100, false}, {5, 0.1, 1, false}, {1, 0, 0, false}, {7, 0.5, 4, false},
		{1, 0.1, 0, true}, {10, 0.99, 0, true}, {0, 0, 0, true}, {1<<31 + 1, 0.1, 0, true},
	} {
		config := DefaultConfig()
		config.Val = c.val
		s, err := NewSplit(c.rows, config)
		if (err != nil) != c.wantError || s.Held != c.held {
			t.Errorf("%d rows, %g held out: %+v, %v", c.rows, c.val, s, err)
		}
		if err == nil && (s.Validation().Len() != c.held || s.Training().Len() != c.rows-c.held || s.Training().Lo != s.Validation().Hi) {
			t.Errorf("%+v: parts %+v and %+v", s, s.Validation(), s.Training())
		}
	}
}

// One step of plain gradient descent moves the weights by η·min(‖g‖, clip), and
// decay adds ηλθ to weights alone.
func TestClipAndDecayReachTheStep(t *testing.T) {
	job := toyJob(t, 30, 1)
	job.Model = newDAE(t, model.Config{Features: 8, Hidden: []int{4}, Norm: "layer", Corruption: "gaussian:0.1", Likelihood: "gaussian:1"})
	job.Config.Val, job.Config.Batch, job.Config.LR, job.Config.Optimizer = 0, 30, 0.01, "sgd:momentum=0"
	start := job.Model.InitialParameters(job.Config.Seed)
	split, err := NewSplit(job.Table.Rows, job.Config)
	if err != nil {
		t.Fatal(err)
	}
	moments, err := model.ColumnMoments(context.Background(), job.Table, split.Training())
	if err != nil {
		t.Fatal(err)
	}
	job.Model.StartAtMeans(start, moments)
	plain := mustRun(t, job)
	moved := func(r *Result) (norm float64) {
		for i, x := range r.Params {
			norm += math.Pow(float64(x-start[i])/job.Config.LR, 2)
		}
		return math.Sqrt(norm)
	}
	if got := moved(plain); math.Abs(got-plain.Last.GradNorm) > 1e-3*got {
		t.Errorf("the weights moved by %g·η, the gradient's norm is %g", got, plain.Last.GradNorm)
	}
	clipped := job
	clipped.Config.Clip = 0.5
	if r := mustRun(t, clipped); math.Abs(moved(r)-0.5) > 1e-3 || r.Last.GradNorm != plain.Last.GradNorm {
		t.Errorf("clipped at 0.5: moved by %g·η, norm %g; the norm before was %g", moved(r), r.Last.GradNorm, plain.Last.GradNorm)
	}
	decayed, lambda := job, 0.5
	decayed.Config.WeightDecay = &lambda
	r := mustRun(t, decayed)
	for _, p := range job.Model.Parameters() {
		for i := p.Offset; i < p.Offset+p.Len(); i++ {
			want := float64(plain.Params[i])
			if p.Decayed {
				want -= job.Config.LR * lambda * float64(start[i])
			}
			if math.Abs(float64(r.Params[i])-want) > 1e-6 {
				t.Fatalf("%s: %g after decay, want %g", p.Name, r.Params[i], want)
			}
		}
	}
}

// Counts are where weights drawn at random start far from the mean, since
// exp(W·h) of inputs that are not scaled is huge. The rates follow one hidden
// variable, so that there is something to learn beyond the mean.
func TestARunOnCountsBeatsTheMeanFromTheStart(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	table := device.Table{Rows: 500, Columns: 6}
	for range table.Rows {
		u := random.NormFloat64()
		for j := range table.Columns {
			table.Float32 = append(table.Float32, float32(poissonDraw(random, math.Exp(1+0.2*float64(j)*u))))
		}
	}
	job := Job{Device: newCPU(t, 2), Table: table, Config: DefaultConfig(),
		Model: newDAE(t, model.Config{Features: 6, Hidden: []int{64}, Corruption: "masking:0.25", Likelihood: "poisson"})}
	job.Config.Epochs = 100
	r := mustRun(t, job)
	moments, err := model.ColumnMoments(context.Background(), table, r.Split.Training())
	if err != nil {
		t.Fatal(err)
	}
	held, mean := r.Split.Validation(), 0.0
	permutation := held.Permutation(table.Rows)
	for i := range held.Len() {
		for j := range table.Columns {
			n := float64(table.Float32[int(permutation.At(uint32(i)))*table.Columns+j])
			log, _ := math.Lgamma(n + 1)
			mean += (moments.Mean[j] - n*math.Log(moments.Mean[j]) + log) / float64(held.Len())
		}
	}
	if first := r.History[0].ValNLL; first > 1.05*mean {
		t.Errorf("after one epoch %.4g nats an example, the mean alone has %.4g", first, mean)
	}
	if r.Best.ValNLL > 0.95*mean {
		t.Errorf("at best %.4g nats an example, the mean alone has %.4g", r.Best.ValNLL, mean)
	}
}

// poissonDraw counts the uniform factors whose product stays above exp(-rate)
// (Knuth, volume 2, section 3.4.1).
func poissonDraw(random *rand.Rand, rate float64) int {
	n := 0
	for product, floor := random.Float64(), math.Exp(-rate); product > floor; product *= random.Float64() {
		n++
	}
	return n
}

func TestBestOf(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		losses []float64
		want   int
	}{{nil, -1}, {[]float64{3}, 0}, {[]float64{3, 1, 2}, 1}, {[]float64{3, 1, 1}, 1}, {[]float64{nan, nan, nan}, 2}} {
		var history []Row
		for _, loss := range c.losses {
			history = append(history, Row{ValLoss: loss})
		}
		if got := bestOf(history); got != c.want {
			t.Errorf("best of %g is %d, want %d", c.losses, got, c.want)
		}
	}
}
