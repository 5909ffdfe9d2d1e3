package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/train"
)

// runOptions are the flags, which are no settings, of commands other than train
// that make a run.
type runOptions struct {
	out           string
	unnamed       bool // whether out is a default
	resume, force bool
	dryRun, json  bool
	events        bool
	console       *console
}

func runFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Run", Usage: "`FOLDER` run folder", DefaultText: "runs/DATA-TIME"},
		&cli.BoolFlag{Name: "resume", Category: "Run", Usage: "go on with the run in the folder"},
		&cli.BoolFlag{Name: "force", Category: "Run", Usage: "replace the run in the folder; files of others stay"},
		&cli.BoolFlag{Name: "dry-run", Category: "Run", Usage: "print sizes and costs, and train nothing"},
		&cli.BoolFlag{Name: "no-events", EnvVars: []string{noEventsVariable}, Category: "Run", Usage: "write no event files for TensorBoard"},
		&cli.StringFlag{Name: "config", Category: "Configuration", Usage: "`FILE` YAML file of settings, such as a run's config.yaml"},
		&cli.StringSliceFlag{Name: "set", Category: "Configuration", Usage: "`KEY=VALUE` any setting by its name in config.yaml, repeatable"},
	}
}

func (p *program) runOptionsOf(c *cli.Context) (runOptions, error) {
	o := runOptions{out: c.String("out"), resume: c.Bool("resume"), force: c.Bool("force"), dryRun: c.Bool("dry-run"),
		json: c.Bool("json"), events: !c.Bool("no-events"), console: newConsole(p.stderr, c.Bool("quiet"))}
	switch {
	case o.resume && o.force:
		return o, usage("--force", "it cannot be used with --resume", "choose one of them")
	case c.IsSet("out") && o.out == "":
		return o, usage("--out", "an empty name", "name a folder, or leave the flag out")
	case o.resume && o.out == "":
		return o, usage("--resume", "no run folder", "name it with -o")
	}
	return o, nil
}

// resolveRun resolves the settings of a command that makes a run: flag, --set,
// environment, file, default. The arguments of the command line are the settings
// of those keys, in their order; a run that is resumed knows its own.
func resolveRun[C any](p *program, c *cli.Context, o *runOptions, table settings.Table[C], into *C, keys ...string) (settings.Origins, error) {
	var file []settings.Assignment
	path, where := c.String("config"), "--config"
	if o.resume && path == "" {
		if err := checkRunFolder(o.out, true, false); err != nil {
			return nil, err
		}
		path, where = settingsPath(o.out), "--resume"
	}
	if path != "" {
		text, err := readSettings(path, where)
		if err != nil {
			return nil, err
		}
		if file, err = settings.FromYAML(path, text); err != nil {
			return nil, err
		}
	}
	environment, err := table.FromEnvironment(p.environ, environmentPrefix, append(otherVariables(), foreignVariables(table.Keys())...)...)
	if err != nil {
		return nil, err
	}
	pairs, err := settings.FromPairs(c.StringSlice("set"))
	if err != nil {
		return nil, err
	}
	flags := given(c, withoutKeys(table, keys))
	if c.NArg() > len(keys) {
		return nil, usage(commandPath(c), "too many arguments: "+quoted(c.Args().Get(len(keys))), "see 'gpudae "+commandPath(c)+" --help'")
	}
	for i := range c.NArg() {
		flags = append(flags, settings.Assignment{Key: keys[i], Value: c.Args().Get(i), Where: strings.ToUpper(keys[i])})
	}
	origins, err := table.Resolve(into, file, environment, pairs, flags)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if _, found := origins[key]; !found {
			return nil, usage(commandPath(c), "no "+strings.ToUpper(key), "see 'gpudae "+commandPath(c)+" --help'")
		}
	}
	return origins, nil
}

func withoutKeys[C any](table settings.Table[C], keys []string) settings.Table[C] {
	return slices.DeleteFunc(slices.Clone(table), func(s settings.Setting[C]) bool { return slices.Contains(keys, s.Key) })
}

// chosen are the rows of a table with those keys, for a struct of which the
// table's is a part.
func chosen[C, P any](table settings.Table[P], part func(*C) *P, keys ...string) settings.Table[C] {
	rows := make(settings.Table[P], 0, len(keys))
	for _, key := range keys {
		i := slices.IndexFunc(table, func(s settings.Setting[P]) bool { return s.Key == key })
		if i < 0 {
			panic("no setting " + key)
		}
		rows = append(rows, table[i])
	}
	return within(rows, part)
}

// foreignVariables are the environment's names of settings of commands other
// than the one with those keys.
func foreignVariables(keys []string) []string {
	return slices.Concat(variables(trainTable().Keys(), keys), variables(finetuneTable().Keys(), keys), variables(pretrainTable().Keys(), keys))
}

// openRun claims the run's folder.
func (p *program) openRun(o *runOptions) (*runFolder, error) {
	folder, err := claimRunFolder(o.out, o.unnamed, o.resume, o.force)
	if err != nil {
		return nil, err
	}
	o.out = folder.dir
	o.console.logf("run: %s", o.out)
	return folder, nil
}

// fitTask is what training needs besides its job.
type fitTask struct {
	command string // for the advice to go on
	run     string // the folder to name
	plan    train.Plan
	machine machineSettings
	origins settings.Origins
	events  bool
	console *console
}

// fit trains a job in its folder.
func (p *program) fit(ctx context.Context, job train.Job, t fitTask) (*train.Result, error) {
	var events *eventLog
	if t.events {
		var err error
		if events, err = openEvents(job.Dir, p.started(), job.Model, job.Config.Epochs); err != nil {
			return nil, err
		}
	}
	var stale error
	job.Observer = train.Observer{
		Start:      func(train.Plan) { stale = removeAllOld(t.run, evaluationFile) },
		Step:       t.console.step,
		Epoch:      func(row train.Row) { t.console.epoch(row, job.Config.Epochs) },
		Weights:    events.epoch,
		RolledBack: func(b train.Rollback) { t.console.logf("%s", rollbackLine(b)) },
		FellBack: func(b train.FellBack) {
			t.console.logf("%v; going on from %s, after %s", b.Problem, b.Path, count(int(b.Step), "step"))
		},
	}
	t.console.start(int64(t.plan.Steps))
	var result *train.Result
	err := t.onDevice(job, func(dev device.Device) (err error) {
		job.Device = dev
		result, err = train.Run(ctx, job)
		return err
	})
	t.console.stop()
	if closed := events.close(); err == nil {
		err = errors.Join(stale, closed)
	}
	if err != nil {
		return nil, explainRun(err, t.command, t.run, t.origins)
	}
	return result, nil
}

// onDevice opens the device for as long as use runs, and makes sure that the job
// fits.
func (t fitTask) onDevice(job train.Job, use func(device.Device) error) error {
	return onDeviceFor(t.machine, t.origins, t.plan, t.console.once, use, func(e *device.OutOfMemoryError, info device.Info) error {
		f := &failure{code: exitDevice, where: "device " + e.Device, problem: fmt.Sprintf("out of memory: %s wanted, %s free", fileSize(e.Wanted), fileSize(e.Free)),
			remedy: "choose a smaller model or fewer rows"}
		batch := largestBatch(job, func(job train.Job) bool {
			plan, err := train.NewPlan(job)
			return err == nil && bytesOn(info, plan.Bytes)+memoryMargin(info.MemoryFree) <= info.MemoryFree
		})
		if batch > 0 {
			f.remedy = fmt.Sprintf("--batch %d fits", batch)
		}
		return f
	})
}

// printRunPlan prints what a run would take.
func (p *program) printRunPlan(asJSON bool, plan train.Plan) error {
	if asJSON {
		return p.printJSON(plan)
	}
	g := grid{}
	g.add("rows", fmt.Sprintf("%d to train, %d held out", plan.Training, plan.Held))
	g.add("steps", fmt.Sprintf("%d, %d an epoch of %d examples each", plan.Steps, plan.StepsPerEpoch, plan.Batch))
	g.add("parameters", fmt.Sprint(plan.Parameters))
	g.add("memory", fmt.Sprintf("%s (data %s, model %s, optimiser %s; copies on the host %s)",
		fileSize(plan.Bytes.Total()), fileSize(plan.Bytes.Data), fileSize(plan.Bytes.Model), fileSize(plan.Bytes.Optimizer), fileSize(plan.Bytes.Host)))
	g.add("arithmetic", fmt.Sprintf("%.3g GFLOP an epoch", float64(plan.FLOPsPerEpoch)/1e9))
	g.add("optimizer", plan.Optimizer+", schedule "+plan.Schedule)
	return p.printText(g.left())
}
