package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"gpudae/device"
	"gpudae/internal/atomicfile"
	"gpudae/model"
)

// logInterval is the time between two looks at the log, at most.
const logInterval = 250 * time.Millisecond

// Run trains the model. It returns a *model.ConfigError if the job cannot be
// done as described, an *InterruptedError if the context ends it, a
// *DivergedError if retries do not help, a *FileError if Resume meets a broken
// checkpoint, and the errors of the device and the file system. Whatever ends
// it, the model of the best epoch so far and the checkpoint of the last are in
// the run folder.
func Run(ctx context.Context, job Job) (*Result, error) {
	r, err := newRun(ctx, job)
	if err != nil {
		return nil, err
	}
	defer r.folder.close()
	if job.Observer.Start != nil {
		job.Observer.Start(r.plan())
	}
	if ended := len(r.history); ended > 0 && job.Observer.Resumed != nil {
		job.Observer.Resumed(r.history[ended-1])
	}
	for {
		if reason, ended := r.ended(); ended {
			return r.result(reason)
		}
		if err := r.epoch(ctx); err != nil {
			return nil, r.abandon(ctx, err)
		}
	}
}

// run is a session with the history that decides how it goes on.
type run struct {
	*session
	standing
	full, tail device.Program
	spare      arenas // memory for the next boundary, so that a failing device cannot spoil the last
	folder     *folder

	began    time.Time     // this session
	earlier  float64       // seconds of the sessions before
	examples int           // trained in this session
	spent    float64       // seconds on them
	savedAt  time.Time     // the last checkpoint
	saving   time.Duration // what it took
	saved    int           // epochs in it, -1 if there is none
	fellBack bool          // whether the folder's last checkpoint is damaged
}

// standing is where a run stands: all that a resume needs.
type standing struct {
	boundary  moment // start of the epoch, where a rollback leads
	now       moment // within the epoch; its arenas are those of the device
	history   []Row
	best      weights  // of epoch bestOf(history)
	first     *float64 // loss of the first minibatch, nil before it
	rollbacks int
}

// moment is a point between two steps.
type moment struct {
	Clock     device.Clock  `json:"clock"`
	LossSum   float64       `json:"loss_sum"`    // of the epoch's examples so far
	GradSqSum float64       `json:"grad_sq_sum"` // of its steps so far
	Spent     float64       `json:"spent"`       // seconds training them
	Seconds   float64       `json:"seconds"`     // of the run, validation included
	Skipped   int           `json:"skipped"`     // steps of the epoch so far that were spikes
	Spikes    device.Spikes `json:"spikes"`      // what the device knows of the losses
	arenas
}

// weights are what a model file holds.
type weights struct{ params, buffers []float32 }

func newRun(ctx context.Context, job Job) (*run, error) {
	s, err := newSetup(job)
	if err != nil {
		return nil, err
	}
	d, err := newSession(ctx, s)
	if err != nil {
		return nil, err
	}
	r := &run{session: d, saved: -1}
	if err := r.recordSteps(); err != nil {
		return nil, err
	}
	if err := r.stand(ctx); err != nil {
		return nil, err
	}
	r.began, r.earlier = time.Now(), r.now.Seconds
	return r, nil
}

// recordSteps records the step of a full minibatch and that of an epoch's last.
func (r *run) recordSteps() (err error) {
	src := r.trainingSource()
	if r.full, err = r.record(src, r.batches.batch); err != nil {
		return err
	}
	r.tail = r.full
	if last := r.batches.size(r.batches.count() - 1); last < r.batches.batch {
		r.tail, err = r.record(src, last)
	}
	return err
}

// trainingSource is where the minibatches of training come from.
func (r *run) trainingSource() model.Source {
	src := r.source(r.split.Training())
	src.Shuffle, src.Clock = true, r.clock
	return src
}

// stand puts the run at its start, or where its checkpoint says, and opens the
// run folder.
func (r *run) stand(ctx context.Context) error {
	c, err := r.checkpoint()
	if err != nil {
		return err
	}
	if c == nil {
		if r.boundary.arenas, err = r.initial(ctx); err != nil {
			return err
		}
		if err := r.save(&r.boundary.arenas); err != nil {
			return err
		}
		r.now = r.boundary
	} else {
		r.standing = *c
		r.saved = len(r.history)
		if err := r.restore(&r.now.arenas); err != nil {
			return err
		}
		if r.now.Clock.Index > 0 {
			r.spare = r.now.arenas // their memory
		}
	}
	r.now.arenas = arenas{} // from now on the device holds them
	if r.folder, err = openFolder(r.setup, r.history, c != nil); r.folder != nil {
		r.folder.damaged = r.fellBack
	}
	return err
}

// ended reports whether and why no epoch is to follow.
func (r *run) ended() (Reason, bool) {
	if r.now.Clock.Index > 0 { // resumed within an epoch, which fewer epochs than before may leave out
		return Finished, r.now.Clock.Step > uint64(r.steps)
	}
	if r.boundary.Clock.Step >= uint64(r.steps) {
		return Finished, true
	}
	patience := r.Config.Patience
	return EarlyStopped, patience > 0 && r.split.Held > 0 && stalled(r.history, r.Config.MinDelta) >= patience
}

// epoch makes what is left of an epoch, or takes it back.
func (r *run) epoch(ctx context.Context) error {
	bad, err := r.train(ctx)
	if err == nil && bad == nil {
		bad, err = r.validate(ctx)
	}
	if err != nil || bad == nil {
		return err
	}
	return r.rollBack(ctx, *bad)
}

// scale is what rollbacks have left of the learning rate.
func (r *run) scale() float64 { return math.Ldexp(1, -r.rollbacks) }

// train makes the steps of the epoch that are left. It returns the first bad
// one, if there is one, or the context's error, at which the run stands after
// the last step made.
func (r *run) train(ctx context.Context) (*Rollback, error) {
	clock := r.now.Clock
	steps := r.stepsOf(int(clock.Epoch))
	if err := r.setOut(&r.now); err != nil {
		return nil, err
	}
	looked := time.Now()
	for made := int(clock.Index); made < steps; {
		if made == int(r.now.Clock.Index) && ctx.Err() != nil {
			break // only where the run stands at what the device has made
		}
		if err := r.program(made)(); err != nil {
			return nil, fmt.Errorf("step %d: %w", r.boundary.Clock.Step+uint64(made)+1, err)
		}
		made++
		unread, due := made-int(r.now.Clock.Index), r.pace.afterStep(r.boundary.Clock.Step+uint64(made))
		if unread < LogSteps && made < steps && !due && time.Since(looked) < logInterval && ctx.Err() == nil {
			continue
		}
		bad, err := r.account(made, looked)
		if err != nil || bad != nil {
			return bad, err
		}
		looked = time.Now()
		if made < steps && (due || r.pace.within(time.Since(r.savedAt))) {
			if err := r.write(); err != nil {
				return nil, err
			}
		}
	}
	return nil, ctx.Err()
}

// setOut tells the device where within the epoch its next step stands.
func (r *run) setOut(m *moment) error {
	if err := r.setRates(r.boundary.Clock.Step, r.history, r.scale()); err != nil {
		return err
	}
	if err := r.Device.UploadWords(r.clock, m.Clock.Words()); err != nil {
		return fmt.Errorf("setting the clock: %w", err)
	}
	if err := r.net.SetStep(m.Clock.Step); err != nil {
		return err
	}
	return r.setSpikes(m.Spikes)
}

// program is that of the step with that index in the epoch.
func (r *run) program(index int) device.Program {
	if r.batches.size(index) == r.batches.batch {
		return r.full
	}
	return r.tail
}

// account reads the log of the steps up to made, which began at that time, and
// moves the run to after them. It returns the first bad step, if there is one.
func (r *run) account(made int, since time.Time) (*Rollback, error) {
	log, err := r.readLog()
	if err != nil {
		return nil, err
	}
	var last loggedStep
	for i := int(r.now.Clock.Index); i < made; i++ {
		last = log(i)
		if r.boundary.Clock.Step == 0 && i == 0 && finite(last.loss) {
			first := last.loss
			r.first = &first
		}
		if !finite(last.loss) || !finite(last.gradSq) || !r.skips(last.loss, r.batches.size(i)) && last.loss > r.limit() {
			return r.divergence(i, last.loss, math.Sqrt(last.gradSq)), nil
		}
		r.now.LossSum += last.loss * float64(r.batches.size(i))
		r.now.GradSqSum += last.gradSq
		r.examples += r.batches.size(i)
	}
	elapsed := time.Since(since).Seconds()
	r.spent += elapsed
	r.now.Spent += elapsed
	r.now.Seconds = r.earlier + time.Since(r.began).Seconds()
	r.now.Clock.Index = uint32(made)
	r.now.Clock.Step = r.boundary.Clock.Step + uint64(made)
	r.now.Clock.Cursor = uint32(r.batches.before(made))
	r.report(last.loss)
	return nil, nil
}

// skips reports whether the device has left out the update of a step with that
// loss on so many examples, and counts it. The host follows the device: it sees
// the same losses and takes the same decisions.
func (r *run) skips(loss float64, examples int) bool {
	if r.Config.SkipSpikes == 0 {
		return false
	}
	limit := float32(r.spikeLimit(examples))
	spike := r.now.Spikes.Exceeds(float32(loss), limit)
	r.now.Spikes = r.now.Spikes.Next(float32(loss), limit)
	if spike {
		r.now.Skipped++
	}
	return spike
}

// limit is the loss above which a minibatch counts as diverged.
func (r *run) limit() float64 {
	if r.Config.BlowUp == 0 || r.first == nil {
		return math.Inf(1)
	}
	return *r.first + r.Config.BlowUp*(math.Abs(*r.first)+float64(r.Table.Columns))
}

func (r *run) report(loss float64) {
	if r.Observer.Step == nil {
		return
	}
	clock := r.now.Clock
	r.Observer.Step(Progress{
		Epoch: int(clock.Epoch) + 1, Epochs: r.epochs(),
		StepInEpoch: int(clock.Index), StepsPerEpoch: r.stepsOf(int(clock.Epoch)), Step: clock.Step,
		Loss: loss, SamplesPerS: float64(clock.Cursor) / r.now.Spent,
	})
}

// divergence describes what went wrong in the step with that index.
func (r *run) divergence(index int, loss, norm float64) *Rollback {
	return &Rollback{Epoch: int(r.boundary.Clock.Epoch) + 1, Step: r.boundary.Clock.Step + uint64(index) + 1, Loss: loss, GradNorm: norm, Retries: r.Config.Retries}
}

// rollBack returns to the start of the epoch with half the learning rate, or
// gives up.
func (r *run) rollBack(ctx context.Context, bad Rollback) error {
	if r.rollbacks >= r.Config.Retries { // fewer may be allowed than before a resume
		e := &DivergedError{Epoch: bad.Epoch, Step: bad.Step, Loss: bad.Loss, GradNorm: bad.GradNorm, LR: r.Config.LR * r.scale(), Retries: r.rollbacks}
		if fault, err := r.diagnose(ctx, bad); err == nil {
			e.Fault, e.Repeated = fault, true
		}
		if best := bestOf(r.history); best >= 0 {
			e.Best = &r.history[best]
		}
		return e
	}
	r.rollbacks++
	bad.Retry, bad.LR = r.rollbacks, r.Config.LR*r.scale()
	if r.Observer.RolledBack != nil {
		r.Observer.RolledBack(bad)
	}
	r.atBoundary()
	return r.restore(&r.boundary.arenas)
}

// validate closes the epoch: it evaluates the rows held out, writes the
// epoch's row and keeps its weights. It returns a divergence if the validation
// loss is not finite.
func (r *run) validate(ctx context.Context) (*Rollback, error) {
	row, err := r.row(ctx)
	if err != nil {
		return nil, err
	}
	if r.split.Held > 0 && !finite(row.ValLoss) {
		bad := r.divergence(int(r.now.Clock.Index)-1, row.ValLoss, row.GradNorm)
		bad.validating = true
		return bad, nil
	}
	if err := r.close(row); err != nil {
		return nil, err
	}
	if err := r.folder.append(row); err != nil {
		return nil, err
	}
	if r.Observer.Epoch != nil {
		r.Observer.Epoch(row)
	}
	if r.Observer.Weights != nil {
		r.Observer.Weights(row, r.boundary.params)
	}
	if !r.pace.afterEpoch(uint64(row.Epoch), row.Step, time.Since(r.savedAt), r.saving) {
		return nil, nil
	}
	return nil, r.write()
}

// row evaluates the epoch that has been made.
func (r *run) row(ctx context.Context) (Row, error) {
	clock := r.now.Clock
	row := Row{
		Epoch: int(clock.Epoch) + 1, Step: clock.Step,
		TrainLoss: r.now.LossSum / float64(clock.Cursor), ValLoss: math.NaN(), TrainNLL: math.NaN(), ValNLL: math.NaN(), ValMSE: math.NaN(), ValPSNR: math.NaN(), ValKL: math.NaN(),
		LR: float64(r.table[clock.Index-1]), GradNorm: math.Sqrt(r.now.GradSqSum / float64(clock.Index)),
		SamplesPerS: float64(clock.Cursor) / r.now.Spent, Skipped: r.now.Skipped,
	}
	stochastic := r.Model.CodeDistribution().Stochastic
	if !r.Model.IsScoreModel() && !stochastic && r.Model.Config().MaskHead == 0 {
		row.TrainNLL = row.TrainLoss
	}
	if r.split.Held > 0 {
		e, err := r.validated.Evaluate(ctx, r.source(r.split.Validation()))
		if err != nil {
			return row, err
		}
		row.ValLoss, row.ValNLL, row.ValMSE, row.ValPSNR = e.Loss, e.NLL, e.MSE, e.PSNR
		if stochastic {
			row.ValKL = e.KL
		}
	}
	row.Seconds = r.earlier + time.Since(r.began).Seconds()
	return row, nil
}

// close makes the end of the epoch the start of the next.
func (r *run) close(row Row) error {
	if err := r.save(&r.spare); err != nil {
		return err
	}
	r.history = append(r.history, row)
	r.boundary.Clock = device.Clock{Step: row.Step, Epoch: uint32(row.Epoch)}
	r.boundary.Seconds, r.boundary.Spikes = row.Seconds, r.now.Spikes
	r.boundary.arenas, r.spare = r.spare, r.boundary.arenas
	r.atBoundary()
	if bestOf(r.history) == len(r.history)-1 {
		r.best.params = append(r.best.params[:0], r.averaged()...)
		r.best.buffers = append(r.best.buffers[:0], r.boundary.buffers...)
	}
	return nil
}

// atBoundary puts the run at the start of the epoch, as far as the host goes.
func (r *run) atBoundary() {
	r.now = r.boundary
	r.now.arenas = arenas{}
}

// averaged are the weights to validate and keep, at the last boundary.
func (r *run) averaged() []float32 {
	if r.boundary.ema != nil {
		return r.boundary.ema
	}
	return r.boundary.params
}

// write brings the run folder up to date.
func (r *run) write() error {
	if r.folder == nil {
		return nil
	}
	began := time.Now()
	if best := bestOf(r.history); best >= 0 {
		if err := r.folder.writeModel(r.setup, r.history[best], r.best); err != nil {
			return err
		}
	}
	if r.now.Clock.Index > 0 {
		if err := r.save(&r.spare); err != nil {
			return err
		}
		r.now.arenas = r.spare
	}
	if err := r.writeCheckpoint(); err != nil {
		return err
	}
	r.savedAt, r.saving, r.saved = time.Now(), time.Since(began), len(r.history)
	return nil
}

func (r *run) result(reason Reason) (*Result, error) {
	if r.saved < len(r.history) || !r.folder.holds(r.history) {
		if err := r.write(); err != nil {
			return nil, err
		}
	}
	if err := r.folder.close(); err != nil {
		return nil, err
	}
	return &Result{
		Reason: reason, Epochs: len(r.history), Steps: r.boundary.Clock.Step,
		Last: r.history[len(r.history)-1], Best: r.history[bestOf(r.history)], History: r.history,
		Seconds: r.now.Seconds, SamplesPerS: float64(r.examples) / r.spent, Rollbacks: r.rollbacks, Skipped: skipped(r.history),
		Params: r.best.params, Buffers: r.best.buffers, Split: r.split,
	}, nil
}

// abandon saves what can be saved after an error, and describes an interruption.
func (r *run) abandon(ctx context.Context, err error) error {
	var file *atomicfile.Error
	if errors.As(err, &file) {
		return err // no use to try again
	}
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		r.atBoundary()
		if r.saved == len(r.history) {
			return err
		}
		if failure := r.write(); failure != nil {
			return fmt.Errorf("%w; and then %w", err, failure)
		}
		return err
	}
	e := &InterruptedError{Epoch: int(r.now.Clock.Epoch) + 1, Step: r.now.Clock.Step, Err: ctx.Err()}
	if failure := r.write(); failure != nil {
		return fmt.Errorf("interrupted, and then %w", failure)
	}
	if r.folder != nil {
		e.Saved = r.folder.path(CheckpointFile)
	}
	return e
}
