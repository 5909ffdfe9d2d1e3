package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

// trainOptions are the flags of train that are no settings.
type trainOptions struct {
	out             string
	unnamed         bool // whether out is a default
	resume, force   bool
	dryRun, overfit bool
	json            bool
	events, page    bool // whether to write event files and the report
	console         *console
}

func (p *program) trainCommand() *cli.Command {
	defaults := defaultTrainSettings()
	flags := slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Run", Usage: "`FOLDER` run folder", DefaultText: "runs/DATA-TIME"},
		&cli.BoolFlag{Name: "resume", Category: "Run", Usage: "go on with the run in the folder"},
		&cli.BoolFlag{Name: "force", Category: "Run", Usage: "replace the run in the folder; files of others stay"},
		&cli.BoolFlag{Name: "dry-run", Category: "Run", Usage: "print sizes and costs, and train nothing"},
		&cli.BoolFlag{Name: "overfit-batch", Category: "Run", Usage: "train on one minibatch only, to see that it can be learnt; nothing is saved"},
		&cli.BoolFlag{Name: "no-events", EnvVars: []string{noEventsVariable}, Category: "Run", Usage: "write no event files for TensorBoard"},
		&cli.BoolFlag{Name: "no-report", EnvVars: []string{noReportVariable}, Category: "Run", Usage: "write no " + reportFile},
		&cli.BoolFlag{Name: "deterministic", Value: true, Category: "Run", Usage: "the same seed gives the same bits, however often the run is interrupted and on any number of threads; always on"},
		&cli.StringFlag{Name: "preset", Category: "Configuration", Usage: "`NAME` one of the presets above"},
		&cli.StringFlag{Name: "config", Category: "Configuration", Usage: "`FILE` YAML file of settings, such as a run's config.yaml"},
		&cli.StringSliceFlag{Name: "set", Category: "Configuration", Usage: "`KEY=VALUE` any setting by its name in config.yaml, repeatable"},
	}, flagsOf(withoutKey(trainTable(), "data"), &defaults), outputFlags())
	return &cli.Command{
		Name:      "train",
		Usage:     "train a denoising auto-encoder",
		ArgsUsage: "[DATA]",
		Description: `DATA is a built-in name (see 'gpudae data list') or a path; without it, digits.
A setting's value comes from its flag, else --set, else the environment
(GPUDAE_LR for --lr), else --config, else --preset, else the default shown.

Examples:
  gpudae train
  gpudae train two-moons --preset toy -o runs/moons
  gpudae train images.idx.gz --hidden 1000 --corruption masking:0.25
  gpudae train data.csv --corruption swap:0.15 --hidden 512,512 --epochs 100
  gpudae train --config runs/moons/config.yaml --lr 5e-4 -o runs/again
  gpudae train --resume -o runs/moons --epochs 400

Samples/s are examples trained a second; the time of validation is left out.

Presets:
` + strings.TrimSuffix(indent(presetsDoc()), "\n"),
		Flags:  flags,
		Action: p.train,
	}
}

// outputFlags are those of every command that reports something.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		jsonFlag(),
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: "Output", Usage: "no progress and no logs"},
	}
}

func withoutKey[C any](table settings.Table[C], key string) settings.Table[C] {
	return slices.DeleteFunc(slices.Clone(table), func(s settings.Setting[C]) bool { return s.Key == key })
}

func presetsDoc() string {
	g := grid{}
	for _, p := range presets() {
		g.add(p.name, p.doc)
	}
	return g.left()
}

func (p *program) train(c *cli.Context) error {
	o := trainOptions{out: c.String("out"), resume: c.Bool("resume"), force: c.Bool("force"), dryRun: c.Bool("dry-run"),
		overfit: c.Bool("overfit-batch"), json: c.Bool("json"), events: !c.Bool("no-events"), page: !c.Bool("no-report"), console: newConsole(p.stderr, c.Bool("quiet"))}
	if err := o.check(c); err != nil {
		return err
	}
	s, origins, err := p.resolveTrain(c, &o)
	if err != nil {
		return err
	}
	if o.out == "" {
		o.out, o.unnamed = defaultRun(s.Data, time.Now()), true
	}
	if !o.dryRun && !o.overfit && !o.unnamed {
		if err := checkRunFolder(o.out, o.resume, o.force); err != nil {
			return err
		}
	}
	if err := checkMachine(s.Machine, origins); err != nil {
		return err
	}
	resumed, err := resumedSchema(&o, s)
	if err != nil {
		return err
	}
	in, err := p.prepare(c.Context, s, origins, resumed)
	if err != nil {
		return err
	}
	defer in.close()
	if err := in.settle(c.Context, s, origins); err != nil {
		return err
	}
	if err := in.settleScore(c.Context, s, origins); err != nil {
		return err
	}
	dae, err := in.build(s, origins)
	if err != nil {
		return err
	}
	run := &trainRun{program: p, options: o, settings: s, origins: origins, data: in, dae: dae}
	return run.do(c.Context)
}

func (o *trainOptions) check(c *cli.Context) error {
	switch {
	case c.NArg() > 1:
		return usage("train", "more than one DATA: "+quoted(c.Args().Get(1)), "give one data set")
	case o.resume && o.force:
		return usage("--force", "it cannot be used with --resume", "choose one of them")
	case c.IsSet("out") && o.out == "":
		return usage("--out", "an empty name", "name a folder, or leave the flag out")
	case !c.Bool("deterministic"):
		return usage("--deterministic", "it cannot be switched off: nothing would be faster without", "leave it out")
	case o.resume && o.out == "":
		return usage("--resume", "no run folder", "name it with -o")
	}
	return nil
}

// resolveTrain resolves the settings; a run that is resumed takes its own as
// the file's layer.
func (p *program) resolveTrain(c *cli.Context, o *trainOptions) (*trainSettings, settings.Origins, error) {
	table := trainTable()
	s := defaultTrainSettings()
	var preset, file []settings.Assignment
	if name := c.String("preset"); c.IsSet("preset") {
		found, err := findPreset(name)
		if err != nil {
			return nil, nil, err
		}
		preset = settings.FromValues(found.values, "--preset "+name)
	}
	path, where := c.String("config"), "--config"
	if o.resume && path == "" {
		if err := checkRunFolder(o.out, true, false); err != nil {
			return nil, nil, err
		}
		path, where = settingsPath(o.out), "--resume"
	}
	if path != "" {
		text, err := readSettings(path, where)
		if err != nil {
			return nil, nil, err
		}
		if file, err = settings.FromYAML(path, text); err != nil {
			return nil, nil, err
		}
	}
	environment, err := table.FromEnvironment(p.environ, environmentPrefix, append(otherVariables(), foreignVariables(table.Keys())...)...)
	if err != nil {
		return nil, nil, err
	}
	pairs, err := settings.FromPairs(c.StringSlice("set"))
	if err != nil {
		return nil, nil, err
	}
	flags := given(c, withoutKey(table, "data"))
	if c.NArg() > 0 {
		flags = append(flags, settings.Assignment{Key: "data", Value: c.Args().First(), Where: "DATA"})
	}
	origins, err := trainTable().Resolve(&s, preset, file, environment, pairs, flags)
	return &s, origins, err
}

// trainRun is a training run about to start.
type trainRun struct {
	*program
	options  trainOptions
	settings *trainSettings
	origins  settings.Origins
	data     *prepared
	dae      *model.DAE
	folder   *runFolder     // once training has begun
	events   *eventLog      // likewise, nil without one
	watch    train.Observer // Step and Epoch are told to whoever runs several
}

// job is the run without its device and folder.
func (r *trainRun) job() (train.Job, error) {
	resolved, err := trainTable().YAML(r.settings)
	if err != nil {
		return train.Job{}, fmt.Errorf("writing the settings: %w", err)
	}
	job := train.Job{Model: r.dae, Table: r.data.table, Schema: r.data.info, Scaler: r.data.scaler, Config: r.settings.Train,
		Resume: r.options.resume, Settings: resolved, Version: version(), Provenance: r.provenance()}
	if r.data.mixed != nil {
		job.Columns = r.data.mixed.schema.JSON()
	}
	return job, nil
}

func (r *trainRun) do(ctx context.Context) error {
	job, err := r.job()
	if err != nil {
		return err
	}
	planned := job
	if r.options.overfit {
		planned.Config.Epochs, planned.Config.Steps = 1, 1 // one full minibatch
	}
	plan, err := train.NewPlan(planned)
	if err != nil {
		return located(err, r.origins)
	}
	if r.options.dryRun {
		return r.dry(ctx, job, plan)
	}
	if r.options.overfit {
		return r.overfit(ctx, job, plan)
	}
	var corruption *corruptionReport
	err = r.onDevice(plan, func(dev device.Device) error {
		corruption, err = measureCorruption(ctx, dev, r.data, r.dae)
		return err
	})
	if err != nil {
		return err
	}
	r.describe(plan, corruption)
	result, err := r.train(ctx, job, plan)
	if r.folder != nil {
		defer r.folder.release()
	}
	if err != nil {
		return err
	}
	return r.report(ctx, result, corruption)
}

// describe logs what is about to happen.
func (r *trainRun) describe(plan train.Plan, corruption *corruptionReport) {
	info, log := r.data.info, r.options.console
	log.logf("data: %s, %s of %v, %s; %d held out", info.Name, count(info.Rows, "row"), info.Shape, info.Element, plan.Held)
	if r.data.mixed != nil {
		log.print(r.data.mixed.describe())
		log.print(cappedText(r.dae))
	}
	learned := "p(x|h) " + r.settings.Model.Likelihood
	if r.dae.IsScoreModel() {
		learned = "∇ log p at many noise levels"
	}
	if r.dae.CodeDistribution().Stochastic {
		learned += ", q(h|x̃) " + r.dae.CodeDistribution().String()
	}
	log.logf("model: %s, %s; %s of %s", count(plan.Parameters, "parameter"), learned,
		count(r.settings.Train.Epochs, "epoch"), count(plan.StepsPerEpoch, "step"))
	log.print(corruption.String())
}

// onDevice opens the device for as long as use runs, and makes sure that the
// run fits. The log hears of each choice once.
func (r *trainRun) onDevice(plan train.Plan, use func(device.Device) error) error {
	return onDeviceFor(r.settings.Machine, r.origins, plan, r.options.console.once, use, r.outOfMemory)
}

// onDeviceFor opens the device for as long as use runs, and makes sure that what
// is planned fits; advise says what would.
func onDeviceFor(machine machineSettings, origins settings.Origins, plan train.Plan, log func(string, ...any), use func(device.Device) error,
	advise func(e *device.OutOfMemoryError, info device.Info) error) error {
	dev, err := openDevice(machine, origins, log)
	if err != nil {
		return err
	}
	defer dev.Close()
	info := dev.Info() // before anything is allocated
	if err = checkHost(info.Name, plan.Bytes, freeOnHost); err != nil {
		return err
	}
	if err = checkMemory(info, plan.Bytes); err == nil {
		if leavesData(info, plan.Bytes) {
			log("data: %s do not fit on %s beside a model; the rows stay in the host's memory, and those of each minibatch are read there",
				fileSize(plan.Bytes.Data), info.Name)
		}
		limitMemory(info)
		collectEarly()
		err = use(dev)
	}
	var memory *device.OutOfMemoryError
	if errors.As(err, &memory) {
		return advise(memory, info)
	}
	return err
}

// checkMemory fails with a *device.OutOfMemoryError if a run needs more than is
// free on the device. It is asked before anything is allocated, since a system
// that grants more than it has ends the process instead.
func checkMemory(info device.Info, bytes train.Bytes) error {
	if wanted := bytesOn(info, bytes); info.MemoryFree > 0 && wanted > info.MemoryFree {
		return &device.OutOfMemoryError{Device: info.Name, Wanted: wanted, Free: info.MemoryFree}
	}
	return nil
}

// leavesData reports whether a GPU leaves the rows in the host's memory.
func leavesData(info device.Info, bytes train.Bytes) bool {
	return strings.HasPrefix(info.Name, cudaName) && info.MemoryFree > 0 && !info.Holds(bytes.Data)
}

// checkHost fails if what a run on a GPU keeps on the host, to roll back, to resume
// and to save, is more than is free there. On the other devices it is part of what
// checkMemory counts. It grows with the model alone, so no minibatch helps.
func checkHost(name string, bytes train.Bytes, free func() uint64) error {
	if !strings.HasPrefix(name, cudaName) {
		return nil
	}
	if left := free(); left > 0 && bytes.Host > left {
		return &failure{code: exitDevice, where: "device " + name,
			problem: fmt.Sprintf("out of memory on the host: %s wanted, %s free", fileSize(bytes.Host), fileSize(left)),
			remedy:  "choose smaller layers with --hidden"}
	}
	return nil
}

// freeOnHost is the memory that this process may still take, 0 if that is not known.
func freeOnHost() uint64 {
	host, err := cpu.New(1)
	if err != nil {
		return 0
	}
	defer host.Close()
	return host.Info().MemoryFree
}

// limitMemory lets the garbage collector work harder rather than let what is no
// longer used grow beyond what is free, unless GOMEMLIMIT says otherwise.
func limitMemory(info device.Info) {
	const unlimited = math.MaxInt64
	if info.MemoryFree > 0 && !strings.HasPrefix(info.Name, cudaName) && debug.SetMemoryLimit(-1) == unlimited {
		debug.SetMemoryLimit(int64(info.MemoryFree))
	}
}

// collectEarly lets less pile up of what is no longer used, unless GOGC says otherwise: what a run
// keeps are arrays without pointers, which cost the garbage collector nothing.
func collectEarly() {
	const percent = 20
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// bytesOn is what a run takes of the memory of a device, which for all but GPUs is
// also the host's. The reference computes in float64.
func bytesOn(info device.Info, bytes train.Bytes) uint64 {
	switch {
	case leavesData(info, bytes):
		return bytes.Device() - bytes.Data
	case strings.HasPrefix(info.Name, cudaName):
		return bytes.Device()
	case info.Name == referenceName:
		return bytes.Total() + bytes.Device()
	}
	return bytes.Total()
}

// outOfMemory says which minibatch fits, or else which layers, into the memory that
// was free when the device was opened: what was free when it ran out was less, by
// what the run itself had taken.
func (r *trainRun) outOfMemory(e *device.OutOfMemoryError, info device.Info) error {
	job, err := r.job()
	if err != nil {
		return err
	}
	fits := func(job train.Job) bool {
		plan, err := train.NewPlan(job)
		return err == nil && bytesOn(info, plan.Bytes)+memoryMargin(info.MemoryFree) <= info.MemoryFree
	}
	f := &failure{code: exitDevice, where: "device " + e.Device,
		problem: fmt.Sprintf("out of memory: %s wanted, %s free", fileSize(e.Wanted), fileSize(e.Free)),
		remedy:  "choose smaller layers with --hidden"}
	if batch := largestBatch(job, fits); batch > 0 {
		f.remedy = fmt.Sprintf("--batch %d fits", batch)
	} else if hidden := r.largestHidden(job, fits); hidden != nil {
		f.remedy = "--hidden " + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(hidden)), ","), "[]") + " fits"
	}
	return f
}

// memoryMargin is left of the memory that is free for what a plan does not count:
// the ends of pieces in which devices allocate, recorded programs, other processes.
func memoryMargin(free uint64) uint64 { return free/32 + 2<<20 }

// largestBatch is the largest power of two below the configured batch whose
// run fits, or 0.
func largestBatch(job train.Job, fits func(train.Job) bool) int {
	batch := 1
	for 2*batch < job.Config.Batch {
		batch *= 2
	}
	for ; batch > 0; batch /= 2 {
		job.Config.Batch = batch
		if fits(job) {
			return batch
		}
	}
	return 0
}

// largestHidden halves the hidden layers until the run fits; nil if it never does.
func (r *trainRun) largestHidden(job train.Job, fits func(train.Job) bool) []int {
	c := r.settings.Model
	c.Hidden = slices.Clone(c.Hidden)
	for len(c.Hidden) > 0 && slices.Max(c.Hidden) > 1 {
		for i, width := range c.Hidden {
			c.Hidden[i] = (width + 1) / 2
		}
		dae, err := model.New(c)
		if err != nil {
			return nil
		}
		job.Model = dae
		if fits(job) {
			return c.Hidden
		}
	}
	return nil
}

// train runs the training in its folder.
func (r *trainRun) train(ctx context.Context, job train.Job, plan train.Plan) (*train.Result, error) {
	folder, err := claimRunFolder(r.options.out, r.options.unnamed, r.options.resume, r.options.force)
	if err != nil {
		return nil, err
	}
	r.folder, r.options.out = folder, folder.dir
	log := r.options.console
	log.logf("run: %s", r.options.out)
	if r.options.events {
		if r.events, err = openEvents(r.options.out, r.started(), r.dae, r.settings.Train.Epochs); err != nil {
			folder.abandon()
			return nil, err
		}
	}
	job.Dir = r.options.out
	var stale error
	began := false
	job.Observer = train.Observer{
		Start: func(train.Plan) {
			began, stale = true, removeAllOld(r.options.out, cardFile, reportFile)
		},
		Step:       together(log.step, r.watch.Step),
		Epoch:      together(func(row train.Row) { log.epoch(row, r.settings.Train.Epochs) }, r.watch.Epoch),
		Resumed:    r.watch.Resumed,
		Weights:    r.events.epoch,
		RolledBack: func(b train.Rollback) { log.logf("%s", rollbackLine(b)) },
		FellBack: func(b train.FellBack) {
			log.logf("%v; going on from %s, after %s", b.Problem, b.Path, count(int(b.Step), "step"))
		},
	}
	log.start(int64(plan.Steps))
	var result *train.Result
	err = r.onDevice(plan, func(dev device.Device) error {
		job.Device = dev
		result, err = train.Run(ctx, job)
		return err
	})
	log.stop()
	if err == nil {
		err = stale
	}
	if err != nil {
		if began {
			r.events.close() // the error that ended the run is told
		} else {
			r.events.discard()
		}
		folder.abandon()
		return nil, r.explain(err)
	}
	return result, nil
}

// together calls both, the second unless it is nil.
func together[T any](first, second func(T)) func(T) {
	if second == nil {
		return first
	}
	return func(v T) {
		first(v)
		second(v)
	}
}

func rollbackLine(b train.Rollback) string {
	return fmt.Sprintf("epoch %d diverged at step %d (loss %s, gradient norm %s): repeated at learning rate %s, retry %d of %d",
		b.Epoch, b.Step, number(b.Loss), number(b.GradNorm), number(b.LR), b.Retry, b.Retries)
}

// explain puts the errors of a run into the form of the command line.
func (r *trainRun) explain(err error) error {
	return explainRun(err, "train", r.options.out, r.origins)
}

// explainRun is explain of any command that trains.
func explainRun(err error, command, run string, origins settings.Origins) error {
	var diverged *train.DivergedError
	var interrupted *train.InterruptedError
	switch {
	case errors.As(err, &diverged):
		return &failure{code: exitDiverged, where: run, problem: diverged.Error(), remedy: "lower --lr, or add --clip 1 or --warmup 1", err: err}
	case errors.As(err, &interrupted):
		f := &failure{code: exitFailure, where: command, problem: fmt.Sprintf("interrupted in epoch %d after step %d", interrupted.Epoch, interrupted.Step), err: interrupted}
		if interrupted.Saved != "" {
			f.where, f.remedy = run, "go on with 'gpudae "+command+" --resume -o "+run+"'"
		}
		return f
	}
	return located(err, origins)
}

// trainJSON is what --json prints.
type trainJSON struct {
	Run         string       `json:"run"`
	Device      string       `json:"device"`
	Data        string       `json:"data"`
	Reason      train.Reason `json:"reason"`
	Epochs      int          `json:"epochs"`
	BestEpoch   int          `json:"best_epoch"`
	Steps       uint64       `json:"steps"`
	Parameters  int          `json:"parameters"`
	Seconds     number       `json:"seconds"`
	SamplesPerS number       `json:"samples_per_s"`
	Objective   string       `json:"objective"`
	TrainLoss   number       `json:"train_loss"`
	ValLoss     number       `json:"val_loss"`
	TrainNLL    number       `json:"train_nll"`
	ValNLL      number       `json:"val_nll"`
	*boundsJSON
	ValMSE     number         `json:"val_mse"`
	ValPSNR    number         `json:"val_psnr"`
	Skill      number         `json:"skill"`
	Rollbacks  int            `json:"rollbacks"`
	Skipped    int            `json:"skipped_steps"`
	Baseline   *baselineJSON  `json:"baseline"`
	Columns    []columnJSON   `json:"columns,omitempty"` // of a table of mixed columns
	Corruption corruptionJSON `json:"corruption"`
	Figures    []string       `json:"figures"`
}

// keepsakes are what a run leaves beside its model: figures, page and card, with
// what was measured for them.
type keepsakes struct {
	device  string
	quality *assessment // nil if nothing was held out
	figures []string
}

// keep assesses the best model and writes the keepsakes.
func (r *trainRun) keep(ctx context.Context, history []train.Row, corruption *corruptionReport) (*keepsakes, error) {
	saved, err := train.LoadModel(r.options.out)
	if err != nil {
		return nil, err
	}
	var k keepsakes
	err = r.onDevice(train.Plan{}, func(dev device.Device) error {
		k.device = dev.Info().Name
		if r.data.split.Held > 0 {
			exam := examination{table: r.data.table, rows: r.data.split.Validation(), training: r.data.split.Training()}
			if k.quality, err = assess(ctx, dev, saved, exam); err != nil {
				return err
			}
		}
		if k.figures, err = drawRun(ctx, dev, saved, r.data, r.options.out); err != nil || !r.options.page {
			return err
		}
		page := &runReport{subject: subjectOfRun(dev, saved, r.data), history: history, corruption: corruption, quality: k.quality, drawn: map[string]string{}}
		for _, path := range k.figures {
			page.drawn[strings.TrimSuffix(filepath.Base(path), ".png")] = path
		}
		return page.write(ctx, filepath.Join(r.options.out, reportFile))
	})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.events.pictures(k.figures), r.events.close()); err != nil {
		return nil, err
	}
	return &k, (&modelCard{saved: saved, corruption: corruption, quality: k.quality}).write(r.options.out)
}

// report writes the keepsakes of the best model and prints the result.
func (r *trainRun) report(ctx context.Context, result *train.Result, corruption *corruptionReport) error {
	k, err := r.keep(ctx, result.History, corruption)
	if err != nil {
		return err
	}
	if !r.options.json {
		return r.printText(r.summary(result, k.quality))
	}
	out := trainJSON{Run: r.options.out, Device: k.device, Data: r.data.info.Name, Reason: result.Reason, Epochs: result.Epochs, BestEpoch: result.Best.Epoch,
		Steps: result.Steps, Parameters: r.dae.ParameterCount(), Seconds: number(result.Seconds), SamplesPerS: number(result.SamplesPerS),
		Objective: r.settings.Model.Objective, TrainLoss: number(result.Best.TrainLoss), ValLoss: number(result.Best.ValLoss),
		TrainNLL: number(result.Best.TrainNLL), ValNLL: number(result.Best.ValNLL), ValMSE: number(result.Best.ValMSE), ValPSNR: number(result.Best.ValPSNR),
		Skill: number(math.NaN()), Rollbacks: result.Rollbacks, Skipped: result.Skipped, Corruption: corruption.json(), Figures: k.figures}
	if a := k.quality; a != nil {
		out.Baseline, out.Skill, out.boundsJSON = a.baselines(), number(a.overall()), a.bounds()
		out.Columns = a.columnsJSON()
	}
	return r.printJSON(out)
}

// outcome is how far a run has come, in a line. One that had ended before has no speed.
func outcome(r *train.Result) string {
	speed := ""
	if !math.IsNaN(r.SamplesPerS) {
		speed = fmt.Sprintf(" (%.0f samples/s)", r.SamplesPerS)
	}
	return fmt.Sprintf("%s after %s, %s, %s%s; best epoch %d\n", ended(r.Reason), count(r.Epochs, "epoch"), count(int(r.Steps), "step"),
		duration(r.Seconds), speed, r.Best.Epoch)
}

// summary is the result for a person.
func (r *trainRun) summary(result *train.Result, a *assessment) string {
	text := outcome(result)
	if result.Skipped > 0 {
		text += count(result.Skipped, "step") + " left out, since the loss was a spike\n"
	}
	if a != nil {
		text += heldOut(r.data.split) + ", " + noiseName(r.dae) + "; " + a.legend() + "\n" + indent(a.table()) + a.boundsText()
	} else {
		text += fmt.Sprintf("no rows held out; training %s %s an example\n", lossName(r.dae), number(result.Last.TrainLoss))
	}
	return text + "run: " + r.options.out + "\n"
}

func ended(reason train.Reason) string {
	if reason == train.EarlyStopped {
		return "stopped early"
	}
	return "finished"
}

// overfitSteps is the length of --overfit-batch without --steps.
const overfitSteps = 500

// overfit trains on one minibatch.
func (r *trainRun) overfit(ctx context.Context, job train.Job, plan train.Plan) error {
	steps := overfitSteps
	if r.settings.Train.Steps > 0 {
		steps = r.settings.Train.Steps
	}
	job.Observer.Step = r.options.console.step
	r.options.console.start(int64(steps))
	var fit *train.Fit
	err := r.onDevice(plan, func(dev device.Device) (err error) {
		job.Device = dev
		fit, err = train.Overfit(ctx, job, steps)
		return err
	})
	r.options.console.stop()
	if err != nil {
		return r.explain(err)
	}
	if r.options.json {
		return r.printJSON(fit)
	}
	return r.printText(fmt.Sprintf("one minibatch of %d examples: %s %s before the first step, %s after %d steps (%s)\n",
		fit.Examples, lossName(r.dae), number(fit.First), number(fit.Last), fit.Steps, duration(fit.Seconds)))
}
