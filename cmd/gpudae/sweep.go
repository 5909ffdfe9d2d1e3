package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gpudae/device"
	"gpudae/gpu/smallnet"
	"gpudae/internal/atomicfile"
	"gpudae/internal/settings"
	"gpudae/internal/sweep"
	"gpudae/train"
)

// Files of a sweep's folder.
const (
	sweepsFolder  = "sweeps"
	trialsFolder  = "trials"
	sweepFile     = "sweep.yaml" // what was asked for
	sweepJSONFile = "sweep.json" // what has come of it so far: all that a resume needs beside the runs
	sweepCSVFile  = "sweep.csv"
	sweepFigure   = "losses.png"
)

func (p *program) sweepCommand() *cli.Command {
	machine := defaultMachine()
	return &cli.Command{
		Name:      "sweep",
		Usage:     "search for good settings",
		ArgsUsage: "CONFIG.yaml [-o SWEEP]",
		Description: `Trains a run for each trial of a grid or random search over settings, several at a
time on a CPU, and prints them side by side, the best first. Each trial is a run
folder in SWEEP/trials; the best has figures, page and card too. Results do not
depend on how many trials run at a time. A trial that diverges is told and the
others go on; an interrupted sweep goes on with --resume where it was.

CONFIG.yaml, of which trials or method: grid, and sweep, are needed:
  method: random             # or grid: every combination of lists
  trials: 20
  seed: 1                    # of the draws
  metric: val_loss           # or val_nll, val_mse, train_loss; the least is best
  parallel: 2                # trials at a time
  halving: {epochs: 5}       # after 5 epochs the best third goes on, after 15 ...
  preset: quick
  settings:                  # of every trial, as in a run's config.yaml
    data: digits
    epochs: 20
  sweep:
    activation: [relu, gelu]
    hidden: [[256], [512, 256]]
    lr: {min: 1e-4, max: 1e-2, scale: log}
    code: {min: 8, max: 64, step: 8}
    corruption: {min: 0.1, max: 0.5, template: 'masking:{}'}

A list is chosen from, a range drawn from; with step or count a range is a list.
A setting that is not there comes from --set, else the environment, else settings:,
else the preset, else the default of 'gpudae train'.

Examples:
  gpudae sweep lr.yaml -o sweeps/lr
  gpudae sweep lr.yaml --dry-run
  gpudae sweep --resume -o sweeps/lr --trials 40
  gpudae train --config sweeps/lr/trials/007/config.yaml --epochs 200`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Sweep", Usage: "`FOLDER` of the sweep", DefaultText: "sweeps/CONFIG-TIME"},
			&cli.BoolFlag{Name: "resume", Category: "Sweep", Usage: "go on with the sweep in the folder"},
			&cli.BoolFlag{Name: "force", Category: "Sweep", Usage: "replace the sweep in the folder; files of others stay"},
			&cli.BoolFlag{Name: "dry-run", Category: "Sweep", Usage: "print the trials, and train nothing"},
			&cli.IntFlag{Name: "trials", Category: "Sweep", Usage: "`N` trials of a random search", DefaultText: "that of CONFIG"},
			&cli.IntFlag{Name: "parallel", Category: "Sweep", Usage: "`N` trials at a time", DefaultText: "that of CONFIG, or on a CPU one a core, on a GPU one, or eight a core if they are small"},
			&cli.StringSliceFlag{Name: "set", Category: "Sweep", Usage: "`KEY=VALUE` any setting of every trial, repeatable"},
			&cli.BoolFlag{Name: "no-events", EnvVars: []string{noEventsVariable}, Category: "Sweep", Usage: "write no event files for TensorBoard"},
			&cli.BoolFlag{Name: "no-report", EnvVars: []string{noReportVariable}, Category: "Sweep", Usage: "write no figures, page and card of the best trial"},
		}, flagsOf(machineTable(), &machine), outputFlags()),
		Action: p.sweep,
	}
}

// sweepOptions are the flags of sweep that are no settings.
type sweepOptions struct {
	config, out   string
	resume, force bool
	dryRun, json  bool
	events, page  bool
	console       *console
}

func (o *sweepOptions) check(c *cli.Context) error {
	switch {
	case o.resume && o.force:
		return usage("--force", "it cannot be used with --resume", "choose one of them")
	case c.IsSet("out") && o.out == "":
		return usage("--out", "an empty name", "name a folder, or leave the flag out")
	case o.resume && o.out == "":
		return usage("--resume", "no sweep", "name its folder with -o")
	case o.resume && c.NArg() > 0:
		return usage("sweep", "both CONFIG and --resume", "leave CONFIG out: a sweep that is resumed has its own, "+filepath.Join(o.out, sweepFile))
	case o.resume && c.IsSet("set"):
		return usage("--set", "it cannot be used with --resume", "leave it out: trials of other settings are another sweep")
	case o.resume:
		return nil
	}
	return arguments(c, "CONFIG")
}

func (p *program) sweep(c *cli.Context) error {
	o := sweepOptions{config: c.Args().First(), out: c.String("out"), resume: c.Bool("resume"), force: c.Bool("force"), dryRun: c.Bool("dry-run"),
		json: c.Bool("json"), events: !c.Bool("no-events"), page: !c.Bool("no-report"), console: newConsole(p.stderr, c.Bool("quiet"))}
	if err := o.check(c); err != nil {
		return err
	}
	if o.out == "" {
		o.out = filepath.Join(sweepsFolder, filepath.Base(defaultRun(strings.TrimSuffix(filepath.Base(o.config), filepath.Ext(o.config)), time.Now())))
	}
	if !o.dryRun || o.resume {
		if err := checkSweepFolder(o.out, o.resume, o.force); err != nil {
			return err
		}
	}
	s := &search{program: p, options: o, data: &preparedData{program: p}}
	defer s.data.close()
	if err := s.configure(c); err != nil {
		return err
	}
	if err := s.plan(c.Context); err != nil {
		return err
	}
	if o.dryRun {
		return s.printPlan()
	}
	return s.do(c.Context)
}

// search is a sweep about to start.
type search struct {
	*program
	options sweepOptions
	config  *sweep.Config
	base    [][]settings.Assignment // layers of every trial, of rising precedence
	metric  metric
	machine machineSettings // where no trial says otherwise
	trials  []*trial
	data    *preparedData
}

// configure reads the sweep and what surrounds it.
func (s *search) configure(c *cli.Context) error {
	path, where := s.options.config, "CONFIG"
	if s.options.resume {
		path, where = filepath.Join(s.options.out, sweepFile), "--resume"
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return usage(where, fmt.Sprintf("%s: %s", path, openProblem(err)), "name a YAML file with sweep:, see 'gpudae sweep --help'")
	}
	if s.config, err = sweep.Parse(path, text, kindOfSetting); err != nil {
		return err
	}
	if c.IsSet("trials") {
		if err := s.config.SetTrials(c.Int("trials"), "--trials"); err != nil {
			return err
		}
	}
	if c.IsSet("parallel") {
		if s.config.Parallel = c.Int("parallel"); s.config.Parallel < 1 || s.config.Parallel > maxThreads {
			return usage("--parallel", fmt.Sprintf("%d trials at a time", s.config.Parallel), fmt.Sprintf("give 1 to %d", maxThreads))
		}
	}
	if err := s.checkVaried(); err != nil {
		return err
	}
	if err := s.layers(c); err != nil {
		return err
	}
	s.metric, err = findMetric(s.config.Metric, path)
	return err
}

// kindOfSetting says of a setting of a run whether it is a number. One that does
// not exist may be: what resolves it says that there is none.
func kindOfSetting(key string) (numeric, whole bool) {
	defaults := defaultTrainSettings()
	for _, row := range trainTable() {
		if row.Key == key {
			return row.Numeric(&defaults)
		}
	}
	return true, false
}

// unvaried are settings that a sweep does not vary: what they give cannot be
// compared, or they change no result.
func unvaried() []string {
	return slices.Concat([]string{"data", "label", "header", "checkpoint", "keep"}, machineTable().Keys())
}

func (s *search) checkVaried() error {
	for _, d := range s.config.Varied {
		switch {
		case slices.Contains(unvaried(), d.Key):
			return usage(d.Where, quoted(d.Key)+" cannot be varied: trials are to differ in the model and its training", "move it to settings:")
		case s.config.Halving != nil && (d.Key == "epochs" || d.Key == "steps"):
			return usage(d.Where, quoted(d.Key)+" is varied and trials are halved by their epochs", "leave one of them out")
		}
	}
	return nil
}

// layers collects what all trials have in common. A sweep that is resumed has all
// of it in its file, except for the machine.
func (s *search) layers(c *cli.Context) error {
	table := trainTable()
	var preset []settings.Assignment
	if name := s.config.Preset; name != "" {
		found, err := findPreset(name)
		if err != nil {
			return err
		}
		preset = settings.FromValues(found.values, "preset "+name)
	}
	environment, err := table.FromEnvironment(s.environ, environmentPrefix, otherVariables()...)
	if err != nil {
		return err
	}
	pairs, err := settings.FromPairs(c.StringSlice("set"))
	if err != nil {
		return err
	}
	if s.options.resume {
		environment = slices.DeleteFunc(environment, func(a settings.Assignment) bool { return !slices.Contains(machineTable().Keys(), a.Key) })
	}
	for _, a := range slices.Concat(environment, pairs) {
		for _, d := range s.config.Varied {
			if a.Key == d.Key {
				return usage(a.Where, "the sweep varies "+quoted(a.Key), "leave it out")
			}
		}
	}
	s.base = [][]settings.Assignment{preset, s.config.Fixed, environment, pairs, given(c, machineTable())}
	return nil
}

// fixed are the settings of every trial that are not the defaults, each once.
func (s *search) fixed() []settings.Assignment {
	values := map[string]string{}
	for _, layer := range s.base {
		for _, a := range layer {
			values[a.Key] = a.Value
		}
	}
	for _, d := range s.config.Varied { // a preset's, which the trial's own values replace
		delete(values, d.Key)
	}
	values["data"] = s.trials[0].settings.Data // by its whole path
	if _, given := values["schema"]; given {
		values["schema"] = s.trials[0].settings.Table.Schema // likewise
	}
	return settings.FromValues(values, "")
}

// checkSweepFolder reports, before any work is done, what stands in the way of a
// sweep in dir.
func checkSweepFolder(dir string, resume, force bool) error {
	entries, err := os.ReadDir(dir)
	isSweep := slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == sweepFile && e.Type().IsRegular() })
	switch {
	case errors.Is(err, fs.ErrNotExist) && !resume:
		return nil
	case errors.Is(err, fs.ErrNotExist) || err == nil && resume && !isSweep:
		return usage("--resume", dir+": no such sweep", "name the folder of the sweep with -o")
	case err != nil:
		return &failure{code: exitFailure, where: dir, problem: openProblem(err), remedy: "choose another folder with -o"}
	case len(entries) == 0 || resume:
		return nil
	case !force:
		return usage(dir, "the folder is not empty", "choose another with -o, continue with --resume, or replace the sweep with --force")
	case !isSweep:
		return usage(dir, "--force replaces sweeps only, and this folder holds no sweep", "choose another with -o, or empty it yourself")
	}
	return nil
}

// open makes the folder, takes its lock and writes down what is asked for.
func (s *search) open() (release func(), err error) {
	dir := s.options.out
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, cannotWrite(dir, err)
	}
	lock, _, err := lockFolder(dir)
	switch {
	case errors.Is(err, errLocked):
		return nil, &failure{code: exitFailure, where: dir, problem: "another process is sweeping in this folder", remedy: "wait for it to end, or choose another with -o", err: err}
	case err != nil:
		return nil, cannotWrite(dir, err)
	}
	release = func() { lock.Close() }
	if err := s.begin(); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

func (s *search) begin() error {
	dir := s.options.out
	if err := checkSweepFolder(dir, s.options.resume, s.options.force); err != nil { // again, now that nobody else can change it
		return err
	}
	if s.options.force {
		if err := clearSweep(dir); err != nil {
			return err
		}
	}
	if s.options.resume {
		if err := s.readResults(); err != nil {
			return err
		}
	}
	text, err := s.config.YAML(s.fixed())
	if err != nil {
		return fmt.Errorf("writing the sweep: %w", err)
	}
	return atomicfile.Write(filepath.Join(dir, sweepFile), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// clearSweep removes a sweep's own files, and nothing else.
func clearSweep(dir string) error {
	for _, name := range []string{sweepJSONFile, sweepCSVFile, sweepFigure} {
		if err := removeOld(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	runs, err := os.ReadDir(filepath.Join(dir, trialsFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cannotWrite(filepath.Join(dir, trialsFolder), err)
	}
	for _, entry := range runs {
		run := &runFolder{dir: filepath.Join(dir, trialsFolder, entry.Name())}
		if !isRun(run.dir) {
			continue
		}
		if err := run.clear(); err != nil {
			return err
		}
		os.Remove(run.dir) // stays if it holds files of others
	}
	os.Remove(filepath.Join(dir, trialsFolder))
	return nil
}

// places decides how many trials run at a time, and the threads of each: on a CPU
// as many as there are cores, of one thread each, on a GPU one, or several small ones,
// unless the settings say otherwise and as far as there is memory.
func (s *search) places() (int, error) {
	dev, err := openDevice(s.machine, settings.Origins{}, s.options.console.logf)
	if err != nil {
		return 0, err
	}
	info := dev.Info()
	dev.Close()
	cores, threads, n := runtime.GOMAXPROCS(0), s.machine.Threads, s.config.Parallel
	if strings.HasPrefix(info.Name, cudaName) {
		if n == 0 {
			n = s.besideEachOther(cores)
		}
		return s.fitting(min(n, len(s.trials)), info), nil
	}
	if n == 0 {
		n = max(1, cores/max(1, threads))
	}
	n = min(n, len(s.trials))
	if threads == 0 {
		threads = max(1, cores/n)
	}
	for _, t := range s.trials {
		t.settings.Machine.Threads = threads
	}
	return s.fitting(n, info), nil
}

// trialsPerCore is how many trials on a GPU a core of the host keeps going: it has little to do
// for a step, and for those of a small net once in many.
const trialsPerCore = 8

// besideEachOther is how many trials share a GPU if nobody has said it: one, or, where the
// steps of all are so small that one multiprocessor could make them, as many as the
// host keeps going.
func (s *search) besideEachOther(cores int) int {
	for _, t := range s.trials {
		if t.plan.FLOPsPerEpoch > 2*smallnet.MostProducts*int64(t.plan.StepsPerEpoch) {
			return 1
		}
	}
	return trialsPerCore * cores
}

// fitting is n, or how many of the largest trials there is memory for.
func (s *search) fitting(n int, info device.Info) int {
	var largest uint64
	for _, t := range s.trials {
		largest = max(largest, bytesOn(info, t.plan.Bytes))
	}
	free := info.MemoryFree
	if free == 0 || largest*uint64(n) <= free {
		return n
	}
	fit := int(max(1, free/max(1, largest)))
	s.options.console.logf("%d trials at a time instead of %d: each takes up to %s, and %s are free", fit, n, fileSize(largest), fileSize(free))
	return fit
}

// do runs the trials and tells what came of them.
func (s *search) do(ctx context.Context) error {
	places, err := s.places() // which needs the device, before anything is removed
	if err != nil {
		return err
	}
	release, err := s.open()
	if err != nil {
		return err
	}
	defer release()
	log := s.options.console
	log.logf("sweep: %s of %s, %d at a time, in %s", count(len(s.trials), "trial"), s.variedNames(), places, s.options.out)
	s.warn()
	bar := newTrialsBar(log, s.trials)
	err = s.runAll(ctx, places, bar)
	bar.stop()
	if ctx.Err() != nil {
		return &failure{code: exitFailure, where: s.options.out, problem: fmt.Sprintf("interrupted when %d of %s had ended", s.ended(), count(len(s.trials), "trial")),
			remedy: "go on with 'gpudae sweep --resume -o " + shellWord(s.options.out) + "'", err: ctx.Err()}
	}
	if err != nil {
		return err
	}
	return s.report(ctx)
}

func (s *search) variedNames() string {
	var names []string
	for _, d := range s.config.Varied {
		names = append(names, d.Key)
	}
	return strings.Join(names, ", ")
}

// warn says where trials are compared by what is not the same in all of them.
func (s *search) warn() {
	keys := []string{"corruption", "noise", "scale", "val", "seed"}
	if s.metric.name != "val_mse" {
		keys = append(keys, "objective", "likelihood", "beta", "importance", "emphasis_destroyed", "emphasis_untouched")
	}
	for _, key := range keys {
		if slices.ContainsFunc(s.config.Varied, func(d sweep.Dimension) bool { return d.Key == key }) {
			s.options.console.logf("note: with another %s, %s measures something else", key, s.metric.name)
		}
	}
}

// metric chooses the best trial.
type metric struct {
	name  string
	of    func(train.Row) float64
	known func(*trainSettings) bool // whether a run has it; nil: every run
}

func metrics() []metric {
	held := func(c *trainSettings) bool { return c.Train.Val > 0 }
	likelihood := func(c *trainSettings) bool { return held(c) && c.Model.Objective == "nll" }
	return []metric{
		{"val_loss", func(r train.Row) float64 { return r.ValLoss }, held},
		{"val_nll", func(r train.Row) float64 { return r.ValNLL }, likelihood},
		{"val_mse", func(r train.Row) float64 { return r.ValMSE }, held},
		{"train_loss", func(r train.Row) float64 { return r.TrainLoss }, nil},
	}
}

func findMetric(name, where string) (metric, error) {
	if name == "" {
		return metrics()[0], nil
	}
	var names []string
	for _, m := range metrics() {
		if m.name == name {
			return m, nil
		}
		names = append(names, m.name)
	}
	return metric{}, usage(where, "unknown metric "+quoted(name), settings.Suggest(name, names, "")+"choose one of "+strings.Join(names, ", "))
}
