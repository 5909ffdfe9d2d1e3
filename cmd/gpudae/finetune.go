package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

// finetuneSettings are everything that a run of finetune is determined by.
type finetuneSettings struct {
	base       trainSettings // data, corruption, dropout, training, machine
	From       string        // the model
	Labels     string
	Test       string
	TestLabels string
	Task       string
	Layer      string
	Freeze     bool
}

// Tasks of finetune.
const (
	taskClassify = "classify"
	taskRegress  = "regress"
)

func finetuneTable() settings.Table[finetuneSettings] {
	type c = finetuneSettings
	base := func(c *c) *trainSettings { return &c.base }
	table := settings.Table[c]{
		{Key: "model", Group: "Data", Doc: "the model to start from", Field: func(c *c) any { return &c.From }},
	}
	table = append(table, chosen(trainTable(), base, "data")...)
	table = append(table, settings.Setting[c]{Key: "label", Group: "Data", Doc: "column to predict, by name or number; it is no feature", Field: func(c *c) any { return &c.base.Label }})
	table = append(table,
		settings.Setting[c]{Key: "labels", Group: "Data", Doc: "file of whole numbers to predict, IDX or NPY, for data without such a column", Field: func(c *c) any { return &c.Labels }},
		settings.Setting[c]{Key: "task", Group: "Data", Doc: "what to predict", More: fmt.Sprintf("auto, classify or regress; auto is regress for numbers with fractions or of more than %d values", mostNumberClasses),
			Choices: []string{auto, taskClassify, taskRegress}, Field: func(c *c) any { return &c.Task }},
		settings.Setting[c]{Key: "test", Group: "Data", Doc: "other data with labels, judged at the end", Field: func(c *c) any { return &c.Test }},
		settings.Setting[c]{Key: "test_labels", Group: "Data", Doc: "file of their labels, as --labels", Field: func(c *c) any { return &c.TestLabels }},
	)
	table = append(table, chosen(trainTable(), base, "header", "val", "seed")...)
	table = append(table,
		settings.Setting[c]{Key: "layer", Group: "Model", Doc: "what the head reads: the code, or all layers of the encoder", Choices: model.HeadLayers(), Field: func(c *c) any { return &c.Layer }},
		settings.Setting[c]{Key: "freeze", Group: "Model", Doc: "train the head alone and leave the encoder as it is", Field: func(c *c) any { return &c.Freeze }},
		settings.Setting[c]{Key: "corruption", Group: "Model", Doc: "corruption of the input while training, as of train", Field: func(c *c) any { return &c.base.Model.Corruption }},
	)
	table = append(table, chosen(trainTable(), base, "dropout", "epochs", "steps", "batch", "lr", "schedule", "warmup", "optimizer", "weight_decay",
		"clip", "ema", "patience", "min_delta", "retries", "blow_up", "skip_spikes", "checkpoint", "keep")...)
	return append(table, within(machineTable(), func(c *c) *machineSettings { return &c.base.Machine })...)
}

func defaultFinetune() finetuneSettings {
	c := finetuneSettings{base: defaultTrainSettings(), Task: auto, Layer: model.HeadReadsCode}
	c.base.Data, c.base.Model.Corruption = "", "none"
	return c
}

func (p *program) finetuneCommand() *cli.Command {
	defaults := defaultFinetune()
	return &cli.Command{
		Name:      "finetune",
		Usage:     "train a classifier or a regressor on a model's encoder",
		ArgsUsage: "MODEL DATA --label COLUMN",
		Description: `Puts a linear head on the code of MODEL (or on all layers of its encoder) that
predicts a column of DATA: one of its classes (logistic or softmax) or a number. The
encoder is trained along unless --freeze leaves it as it is. DATA have the columns that
the model was trained on, and the label, which is never a feature. Built-in sets such as
digits and mnist bring their labels. The weights of the epoch with the least validation
loss are kept; 'gpudae predict' applies them to new rows.

Prints accuracy, area under the ROC curve (one class against the rest, their mean) and
log-loss in nats of the rows held out and of --test; of numbers R² and the root mean
squared error, in the unit of the column.

Examples:
  gpudae finetune runs/digits digits -o runs/classifier
  gpudae finetune runs/mine table.csv --label y --freeze
  gpudae finetune runs/mnist mnist --test mnist:test --lr 5e-4
  gpudae finetune runs/mine images.npy --labels classes.npy --layer all
  gpudae finetune --resume -o runs/classifier --epochs 100`,
		Flags:  slices.Concat(runFlags(), flagsOf(withoutKeys(finetuneTable(), []string{"model", "data"}), &defaults), outputFlags()),
		Action: p.finetune,
	}
}

func (p *program) finetune(c *cli.Context) error {
	o, err := p.runOptionsOf(c)
	if err != nil {
		return err
	}
	s := defaultFinetune()
	origins, err := resolveRun(p, c, &o, finetuneTable(), &s, "model", "data")
	if err != nil {
		return err
	}
	if o.out == "" {
		o.out, o.unnamed = defaultRun(s.base.Data, time.Now()), true
	}
	if !o.dryRun && !o.unnamed {
		if err := checkRunFolder(o.out, o.resume, o.force); err != nil {
			return err
		}
	}
	if err := checkMachine(s.base.Machine, origins); err != nil {
		return err
	}
	r := &finetuneRun{program: p, options: o, settings: &s, origins: origins}
	defer func() { r.in.close(); r.test.close() }()
	if err := r.prepare(c.Context); err != nil {
		return err
	}
	return r.do(c.Context)
}

// finetuneRun is a run of finetune about to start.
type finetuneRun struct {
	*program
	options  runOptions
	settings *finetuneSettings
	origins  settings.Origins
	from     *train.Saved
	in       *targeted
	test     *targeted // nil without test data
	target   train.Target
	dae      *model.DAE
	start    *train.Start
}

// targeted is a data set as a predictor sees it.
type targeted struct {
	info   data.Info
	labels *data.Labels
	table  device.Table
	store  *storedRows // of mixed columns
	label  string      // the name of their column of labels
}

// close gives back the rows.
func (in *targeted) close() {
	if in != nil && in.store != nil {
		in.store.close() // a folder that is its own: what is left of it is temporary
	}
}

// prepare reads the model and the data, and builds the predictor.
func (r *finetuneRun) prepare(ctx context.Context) (err error) {
	s := r.settings
	if err := s.base.Train.Validate(); err != nil {
		return located(err, r.origins)
	}
	if r.from, err = train.LoadModel(s.From); err != nil {
		return err
	}
	label := s.base.Label
	if _, err := strconv.Atoi(label); label != "" && slices.Contains(r.from.Schema.Columns, label) && (err != nil || r.from.Columns == nil) {
		return r.sees(label) // the name of a column of mixed ones may be a number of another: the data tell
	}
	if s.From, err = filepath.Abs(s.From); err != nil { // a run finds its model and data from any folder
		return fmt.Errorf("%s: finding its folder: %w", s.From, err)
	}
	if r.in, err = r.read(ctx, &s.base.Data, &s.Labels, "label"); err != nil {
		return err
	}
	if r.in.label != "" && slices.Contains(r.from.Schema.Columns, r.in.label) {
		return r.sees(label)
	}
	if s.Test != "" {
		if r.test, err = r.read(ctx, &s.Test, &s.TestLabels, "test"); err != nil {
			return err
		}
	}
	split, err := train.NewSplit(r.in.table.Rows, s.base.Train)
	if err != nil {
		return located(err, r.origins)
	}
	if r.target, err = r.chooseTarget(split); err != nil {
		return err
	}
	if r.test != nil { // before hours of training
		if _, err := targetsOf(r.target, r.test); err != nil {
			return err
		}
	}
	return r.build()
}

// sees refuses a label that is a feature of the model.
func (r *finetuneRun) sees(label string) error {
	return usage(origin(r.origins, "label"), fmt.Sprintf("the model was trained with %q as a feature, and would see what it is to predict", label), "train it with --label "+label)
}

// read reads examples with labels, as the model was trained on such.
func (r *finetuneRun) read(ctx context.Context, nameOrPath, labels *string, key string) (*targeted, error) {
	in, err := r.readTargeted(ctx, r.from, *nameOrPath, inputOptions{label: r.settings.base.Label, labels: *labels, header: r.settings.base.Header})
	if err != nil {
		return nil, err
	}
	if in.labels == nil {
		return nil, usage(origin(r.origins, key), in.info.Name+" has no labels", "name their column with --label or their file with --"+settings.Setting[int]{Key: labelFileKey(key)}.Flag())
	}
	for _, path := range []*string{nameOrPath, labels} {
		if *path == "" || *path == "-" || path == nameOrPath && in.info.Path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, fmt.Errorf("%s: finding its folder: %w", *path, err)
		}
	}
	return in, nil
}

func labelFileKey(key string) string {
	if key == "test" {
		return "test_labels"
	}
	return "labels"
}

// readTargeted reads all examples of a data set as a model sees them, with their
// labels.
func (p *program) readTargeted(ctx context.Context, saved *train.Saved, nameOrPath string, o inputOptions) (*targeted, error) {
	read := p.readNumbers
	if saved.Columns != nil {
		read = p.readMixed
	}
	in, err := read(ctx, saved, nameOrPath, o)
	if err != nil || in.labels == nil {
		return in, err
	}
	for row, c := range in.labels.Class {
		if name := in.labels.Names[c]; name == "" || isMissing(name) {
			return nil, &data.Error{Path: in.info.Path, Row: row + 1, Problem: "has no label", Remedy: "leave out the rows without one"}
		}
	}
	return in, nil
}

// readNumbers is readTargeted of data that are numbers.
func (p *program) readNumbers(ctx context.Context, saved *train.Saved, nameOrPath string, o inputOptions) (*targeted, error) {
	d, err := p.openFor(ctx, saved, nameOrPath, o)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	matrix, err := data.Table(ctx, d, &saved.Scaler)
	if err != nil {
		return nil, err
	}
	return &targeted{info: d.Info(), labels: d.Labels(), table: tableOf(matrix)}, nil
}

// mostNumberClasses is up to how many whole numbers are taken for classes.
const mostNumberClasses = 20

// chooseTarget decides what the labels mean.
func (r *finetuneRun) chooseTarget(split train.Split) (train.Target, error) {
	target := train.Target{Name: r.settings.base.Label}
	numbers, whole := parsedNumbers(r.in.labels.Names)
	task := r.settings.Task
	if task == auto {
		task = taskClassify
		if numbers != nil && (!whole || len(numbers) > mostNumberClasses) {
			task = taskRegress
		}
	}
	classes := len(r.in.labels.Names)
	switch {
	case task == taskRegress && numbers == nil:
		return target, usage(origin(r.origins, "task"), fmt.Sprintf("the label %s is no number", firstWord(r.in.labels.Names)), "use --task classify")
	case task == taskRegress:
		target.FitNumber(numbersOfRows(r.in.labels, numbers), split.Trains())
		return target, nil
	case classes < 2:
		return target, usage(origin(r.origins, "label"), fmt.Sprintf("all rows have the label %q", r.in.labels.Names[0]), "name a column that differs")
	case classes > model.MaxClasses || classes > split.Rows/2:
		return target, usage(origin(r.origins, "label"), fmt.Sprintf("%d classes in %d rows", classes, split.Rows), "use --task regress for numbers, or name another column")
	}
	target.Classes = slices.Clone(r.in.labels.Names)
	return target, nil
}

// parsedNumbers reads names as finite numbers, and says whether all are whole; nil if
// some are none.
func parsedNumbers(names []string) (numbers []float64, whole bool) {
	whole = true
	for _, name := range names {
		v, err := strconv.ParseFloat(name, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, false
		}
		whole = whole && v == math.Trunc(v)
		numbers = append(numbers, v)
	}
	return numbers, whole
}

func firstWord(names []string) string {
	for _, name := range names {
		if v, _ := parsedNumbers([]string{name}); v == nil {
			return quoted(name)
		}
	}
	return ""
}

func numbersOfRows(labels *data.Labels, numbers []float64) []float64 {
	y := make([]float64, len(labels.Class))
	for row, c := range labels.Class {
		y[row] = numbers[c]
	}
	return y
}

// build makes the predictor and what it starts from.
func (r *finetuneRun) build() error {
	s := r.settings
	c, err := r.from.DAE.Predictor(r.target.Model(s.Layer, s.Freeze))
	if err == nil {
		c.Corruption, c.Dropout = s.base.Model.Corruption, s.base.Model.Dropout
		r.dae, err = model.New(c)
	}
	if err != nil {
		return located(err, r.origins)
	}
	r.start = &train.Start{Params: r.dae.InitialParameters(s.base.Train.Seed), Buffers: r.dae.InitialBuffers()}
	return r.dae.TakeEncoder(r.start.Params, r.start.Buffers, r.from.DAE, r.from.Params, r.from.Buffers)
}

// targetsOf are the targets of labels; a class that training has not seen is bad data.
func targetsOf(target train.Target, in *targeted) (device.Table, error) {
	if target.Classes == nil {
		numbers, _ := parsedNumbers(in.labels.Names)
		if numbers == nil {
			return device.Table{}, &data.Error{Path: in.info.Path, Problem: "the label " + firstWord(in.labels.Names) + " is no number", Remedy: "give numbers, as in training"}
		}
		return target.NumberTable(numbersOfRows(in.labels, numbers)), nil
	}
	index := make([]int32, len(in.labels.Names))
	for i, name := range in.labels.Names {
		k := slices.Index(target.Classes, name)
		if k < 0 {
			row := slices.Index(in.labels.Class, int32(i))
			return device.Table{}, &data.Error{Path: in.info.Path, Row: row + 1, Problem: fmt.Sprintf("the class %q did not occur in training", name), Remedy: "leave out its rows, or train with it"}
		}
		index[i] = int32(k)
	}
	class := make([]int32, len(in.labels.Class))
	for row, c := range in.labels.Class {
		class[row] = index[c]
	}
	return target.ClassTable(class), nil
}

// job is the run without its device and folder.
func (r *finetuneRun) job() (train.Job, error) {
	resolved, err := finetuneTable().YAML(r.settings)
	if err != nil {
		return train.Job{}, fmt.Errorf("writing the settings: %w", err)
	}
	targets, err := targetsOf(r.target, r.in)
	if err != nil {
		return train.Job{}, err
	}
	return train.Job{Model: r.dae, Columns: r.from.Columns, Table: r.in.table, Schema: r.in.info, Scaler: &r.from.Scaler, Config: r.settings.base.Train, Targets: targets, Target: r.target,
		Start: r.start, Resume: r.options.resume, Settings: resolved, Version: version(), Provenance: r.provenance()}, nil
}

func (r *finetuneRun) do(ctx context.Context) error {
	job, err := r.job()
	if err != nil {
		return err
	}
	plan, err := train.NewPlan(job)
	if err != nil {
		return located(err, r.origins)
	}
	if r.options.dryRun {
		return r.printRunPlan(r.options.json, plan)
	}
	r.describe(plan)
	if err := r.task(plan).onDevice(job, func(device.Device) error { return nil }); err != nil { // before anything is removed
		return err
	}
	folder, err := r.openRun(&r.options)
	if err != nil {
		return err
	}
	defer folder.release()
	job.Dir = r.options.out
	result, err := r.fit(ctx, job, r.task(plan))
	if err != nil {
		folder.abandon()
		return err
	}
	return r.report(ctx, result)
}

func (r *finetuneRun) task(plan train.Plan) fitTask {
	return fitTask{command: "finetune", run: r.options.out, plan: plan, machine: r.settings.base.Machine, origins: r.origins, events: r.options.events, console: r.options.console}
}

// describe logs what is about to happen.
func (r *finetuneRun) describe(plan train.Plan) {
	info, log := r.in.info, r.options.console
	log.logf("data: %s, %s of %v, %s; %d held out", info.Name, count(info.Rows, "row"), info.Shape, info.Element, plan.Held)
	what := "a number"
	if n := len(r.target.Classes); n > 0 {
		what = fmt.Sprintf("one of %d classes", n)
	}
	encoder := "the encoder is trained along"
	if r.settings.Freeze {
		encoder = "the encoder is frozen"
	}
	log.logf("model: %s of %s, predicts %s; %s; %s of %s", count(plan.Parameters, "parameter"), r.settings.From, what, encoder,
		count(r.settings.base.Train.Epochs, "epoch"), count(plan.StepsPerEpoch, "step"))
}
