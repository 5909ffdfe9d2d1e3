package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

// state says how far a trial has come.
type state string

// The states; a trial without one has not ended.
const (
	stateFinished state = "finished"
	statePaused   state = "paused"   // after the epochs of a rung, to be compared
	stateStopped  state = "stopped"  // others were better at a rung
	stateDiverged state = "diverged" // whatever is tried again gives the same
	stateFailed   state = "failed"   // and is tried again by --resume
)

// trial is a run of a sweep.
type trial struct {
	number   int                   // from 1
	values   []settings.Assignment // of what is varied
	settings *trainSettings
	origins  settings.Origins
	dataKey  dataKey
	dae      *model.DAE
	plan     train.Plan
	result
}

// result is what has come of a trial.
type result struct {
	state state
	run   *comparedRun // nil without a model
	why   error        // diverged or failed
}

// name is that of the trial's folder.
func (t *trial) name() string { return fmt.Sprintf("%03d", t.number) }

// title names the varied settings.
func (t *trial) title() string {
	var words []string
	for _, a := range t.values {
		words = append(words, a.Key+" "+a.Value)
	}
	return strings.Join(words, ", ")
}

// dir is the run folder of a trial.
func (s *search) dir(t *trial) string { return filepath.Join(s.options.out, trialsFolder, t.name()) }

// dataKey is what the rows of a run and their scaling depend on.
type dataKey struct {
	data, label, header, scale string
	val                        float64
	seed                       uint64
	table                      tableSettings // those that its rows depend on
}

// preparedData keeps the data that were prepared last: those of all trials, unless
// the split or the scaling is varied.
type preparedData struct {
	*program
	mutex  sync.Mutex
	key    dataKey
	path   string // of the data, from any folder
	schema string // likewise, of a table of mixed columns
	last   *prepared
	mixed  []*prepared // whose rows trials may still use
}

// close releases the rows of tables of mixed columns, once no trial runs.
func (d *preparedData) close() error {
	var first error
	for _, in := range d.mixed {
		if err := in.close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// get prepares the data for a trial, or takes those that are there.
func (d *preparedData) get(ctx context.Context, c *trainSettings, origins settings.Origins, key dataKey) (*prepared, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.last == nil || d.key != key {
		d.last = nil // before another is read
		in, err := d.prepare(ctx, c, origins, nil)
		if err != nil {
			return nil, err
		}
		if in.mixed != nil {
			d.mixed = append(d.mixed, in)
		}
		d.key, d.path, d.schema, d.last = key, c.Data, c.Table.Schema, in
	}
	c.Data, c.Table.Schema = d.path, d.schema
	in := *d.last
	return &in, nil
}

// plan resolves every trial and checks that it can be trained, before any is.
func (s *search) plan(ctx context.Context) error {
	for n := range s.config.Trials() {
		t := &trial{number: n + 1, values: s.config.Trial(n)}
		if err := s.planTrial(ctx, t); err != nil {
			if s.config.Trials() > 1 && !errors.Is(err, context.Canceled) {
				err = fmt.Errorf("%w (trial %d: %s)", err, t.number, t.title())
			}
			return err
		}
		s.trials = append(s.trials, t)
	}
	s.machine = s.trials[0].settings.Machine
	return nil
}

func (s *search) planTrial(ctx context.Context, t *trial) error {
	c := defaultTrainSettings()
	var err error
	if t.origins, err = trainTable().Resolve(&c, append(slices.Clone(s.base), t.values)...); err != nil {
		return err
	}
	if err := checkMachine(c.Machine, t.origins); err != nil {
		return err
	}
	if s.metric.known != nil && !s.metric.known(&c) {
		return usage("metric", "a trial without "+s.metric.name, "choose metric: train_loss or val_mse, and hold rows out with val")
	}
	t.settings = &c
	rows := c.Table
	rows.Indicators, rows.MaskHead, rows.Balance = false, 0, ""
	t.dataKey = dataKey{c.Data, c.Label, c.Header, c.Scale, c.Train.Val, c.Train.Seed, rows}
	run, err := s.trainRun(ctx, t)
	if err != nil {
		return err
	}
	job, err := run.job()
	if err != nil {
		return err
	}
	if t.plan, err = train.NewPlan(job); err != nil {
		return located(err, t.origins)
	}
	return nil
}

// trainRun is a trial as 'gpudae train' would run it.
func (s *search) trainRun(ctx context.Context, t *trial) (*trainRun, error) {
	in, err := s.data.get(ctx, t.settings, t.origins, t.dataKey)
	if err != nil {
		return nil, err
	}
	if t.dae == nil {
		if err := in.settle(ctx, t.settings, t.origins); err != nil {
			return nil, err
		}
		if err := in.settleScore(ctx, t.settings, t.origins); err != nil {
			return nil, err
		}
		if t.dae, err = in.build(t.settings, t.origins); err != nil {
			return nil, err
		}
	}
	o := trainOptions{out: s.dir(t), events: s.options.events, page: s.options.page, console: newConsole(s.stderr, true)}
	return &trainRun{program: s.program, options: o, settings: t.settings, origins: t.origins, data: in, dae: t.dae}, nil
}

// runAll trains the trials, with halving rung by rung.
func (s *search) runAll(ctx context.Context, places int, bar *trialsBar) error {
	alive := s.trials
	rungs := s.config.Rungs(s.trials[0].settings.Train.Epochs)
	for i, epochs := range rungs {
		last := i == len(rungs)-1
		if err := s.runRung(ctx, alive, epochs, last, places, bar); err != nil || last {
			return err
		}
		alive = s.halve(alive, epochs, bar)
		if err := s.writeResults(); err != nil {
			return err
		}
	}
	return nil
}

// halve stops all but the best of the trials that were compared after so many
// epochs.
func (s *search) halve(trials []*trial, epochs int, bar *trialsBar) []*trial {
	good := slices.DeleteFunc(slices.Clone(trials), func(t *trial) bool { return t.run == nil || t.state == stateDiverged || t.state == stateFailed })
	slices.SortStableFunc(good, func(a, b *trial) int { return s.better(s.valueAt(a, epochs), s.valueAt(b, epochs)) })
	kept := min(len(good), s.config.Halving.Kept(len(trials)))
	for _, t := range good[kept:] {
		if t.state == statePaused {
			t.state = stateStopped
		}
	}
	bar.logf("after %s the best %d of %s go on", count(epochs, "epoch"), kept, count(len(trials), "trial"))
	return good[:kept]
}

// valueAt is the metric of the model that a trial had after so many epochs.
func (s *search) valueAt(t *trial, epochs int) float64 {
	history := t.run.history
	return s.metric.of(train.Best(history[:min(epochs, len(history))]))
}

// value is the metric of a trial's model, NaN without one.
func (s *search) value(t *trial) float64 {
	if t.run == nil || len(t.run.history) == 0 {
		return math.NaN()
	}
	return s.valueAt(t, len(t.run.history))
}

// better orders values of the metric, the least first and no number last.
func (s *search) better(a, b float64) int {
	return cmp.Or(cmp.Compare(isNaN(number(a)), isNaN(number(b))), cmp.Compare(a, b))
}

// runRung trains each of the trials to so many epochs, several at a time. Only a
// result that cannot be written ends it, and the end of the context.
func (s *search) runRung(ctx context.Context, trials []*trial, epochs int, last bool, places int, bar *trialsBar) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mutex sync.Mutex // of the results
	next := make(chan *trial)
	var workers sync.WaitGroup
	for range min(places, len(trials)) {
		workers.Go(func() {
			for t := range next {
				r := s.runTrial(ctx, t, epochs, last, bar)
				mutex.Lock()
				if ctx.Err() == nil || r.state != "" {
					t.result = r
					s.tellTrial(t, bar)
					if err := s.writeResults(); err != nil {
						cancel(err)
					}
				}
				mutex.Unlock()
			}
		})
	}
	for _, t := range trials {
		mutex.Lock()
		due := t.due(epochs, last)
		mutex.Unlock()
		if !due {
			bar.done(t)
			continue
		}
		select {
		case next <- t:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// due reports whether a trial has to be trained to reach so many epochs.
func (t *trial) due(epochs int, last bool) bool {
	switch t.state {
	case stateFinished, stateDiverged:
		return false
	case statePaused, stateStopped:
		return last || len(t.run.history) < epochs
	}
	return true
}

// errPaused ends a trial at a rung.
var errPaused = errors.New("paused")

// runTrial trains a trial until it has so many epochs, or to its end if that is
// the last rung. Without a state it was interrupted.
func (s *search) runTrial(ctx context.Context, t *trial, epochs int, last bool, bar *trialsBar) (r result) {
	defer func() {
		if panicked := recover(); panicked != nil {
			r = result{state: stateFailed, why: s.internalError(panicked, debug.Stack())}
		}
	}()
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reached := func(row train.Row) {
		if !last && row.Epoch >= epochs {
			cancel(errPaused)
		}
	}
	watch := train.Observer{Step: func(p train.Progress) { bar.step(t, p) }, Epoch: reached, Resumed: reached}
	err := s.trainTrial(inner, t, watch, bar)
	var diverged *train.DivergedError
	switch {
	case err == nil:
		r.state = stateFinished
	case errors.Is(context.Cause(inner), errPaused) && errors.Is(err, inner.Err()):
		r.state = statePaused
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return result{}
	case errors.As(err, &diverged):
		r.state, r.why = stateDiverged, diverged
	default:
		r.state, r.why = stateFailed, err
	}
	if run, err := readRun(s.dir(t)); err == nil {
		r.run = run
	} else if r.why == nil {
		r = result{state: stateFailed, why: err}
	}
	return r
}

// trainTrial begins a trial, or goes on with it. One whose checkpoint is damaged
// begins anew.
func (s *search) trainTrial(ctx context.Context, t *trial, watch train.Observer, bar *trialsBar) error {
	run, err := s.trainRun(ctx, t)
	if err != nil {
		return err
	}
	run.watch = watch
	if _, err := os.Stat(run.options.out); err == nil {
		run.options.resume = true
	}
	err = run.trainOnly(ctx, t.plan)
	var broken *train.FileError
	if errors.As(err, &broken) && broken.Damaged && run.options.resume {
		bar.logf("trial %d begins anew: %v", t.number, broken)
		if err := (&runFolder{dir: run.options.out}).clear(); err != nil {
			return err
		}
		run.options.resume = false
		err = run.trainOnly(ctx, t.plan)
	}
	return err
}

// trainOnly trains, and leaves the keepsakes to others.
func (r *trainRun) trainOnly(ctx context.Context, plan train.Plan) error {
	job, err := r.job()
	if err != nil {
		return err
	}
	_, err = r.train(ctx, job, plan)
	if r.folder != nil {
		r.folder.release()
	}
	if err != nil {
		return err
	}
	return r.events.close()
}

// tellTrial logs what has come of a trial.
func (s *search) tellTrial(t *trial, bar *trialsBar) {
	head := fmt.Sprintf("trial %*d/%d  %s: ", len(fmt.Sprint(len(s.trials))), t.number, len(s.trials), t.title())
	switch t.state {
	case stateDiverged, stateFailed:
		bar.logf("%s%s", head, strings.Join(strings.Fields(t.why.Error()), " "))
	default:
		bar.logf("%s%s %s (epoch %d of %d)", head, s.metric.name, number(s.value(t)), t.run.BestEpoch, len(t.run.history))
	}
}

// ended counts the trials that need no more training.
func (s *search) ended() int {
	n := 0
	for _, t := range s.trials {
		if t.state == stateFinished || t.state == stateDiverged || t.state == stateStopped {
			n++
		}
	}
	return n
}

// trialsBar is the progress of all trials on a terminal.
type trialsBar struct {
	console *console
	mutex   sync.Mutex
	steps   map[int]uint64 // made, by trial
	plans   map[int]uint64
	total   int
}

func newTrialsBar(c *console, trials []*trial) *trialsBar {
	b := &trialsBar{console: c, steps: map[int]uint64{}, plans: map[int]uint64{}, total: len(trials)}
	var sum int64
	for _, t := range trials {
		b.plans[t.number] = uint64(t.plan.Steps)
		sum += int64(t.plan.Steps)
	}
	c.start(sum)
	return b
}

// step is told where a trial is.
func (b *trialsBar) step(t *trial, p train.Progress) { b.set(t, p.Step) }

// done counts a trial as ended.
func (b *trialsBar) done(t *trial) { b.set(t, b.plans[t.number]) }

func (b *trialsBar) set(t *trial, step uint64) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.steps[t.number] = step
	var sum uint64
	ended := 0
	for n, made := range b.steps {
		sum += made
		if made >= b.plans[n] {
			ended++
		}
	}
	b.console.advance(fmt.Sprintf("%d of %d trials", ended, b.total), int64(sum))
}

// logf writes a line above the bar.
func (b *trialsBar) logf(format string, args ...any) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.console.logf(format, args...)
}

func (b *trialsBar) stop() { b.console.stop() }
