package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

// pretrainSettings are everything that a run of pretrain is determined by.
type pretrainSettings struct {
	base       trainSettings // of all layers
	Corruption string        // of each layer's input, or of all
	Epochs     []int         // likewise
	LR         string        // likewise
}

func pretrainTable() settings.Table[pretrainSettings] {
	type c = pretrainSettings
	base := func(c *c) *trainSettings { return &c.base }
	table := chosen(trainTable(), base, "data", "label", "header", "scale", "val", "seed", "hidden")
	table = append(table, settings.Setting[c]{Key: "corruption", Group: "Model", Doc: "corruption of each layer's input, a list from the lowest, or one for all",
		More: "as of train, for example masking:0.1,masking:0.2,masking:0.3", Field: func(c *c) any { return &c.Corruption }})
	table = append(table, chosen(trainTable(), base, "activation", "tied", "likelihood", "init", "emphasis_destroyed", "emphasis_untouched")...)
	table = append(table,
		settings.Setting[c]{Key: "epochs", Group: "Training", Doc: "passes over the training rows of each layer, a list or one for all", Field: func(c *c) any { return &c.Epochs }},
		settings.Setting[c]{Key: "lr", Group: "Training", Doc: "learning rate of each layer, a list or one for all", Field: func(c *c) any { return &c.LR }})
	table = append(table, chosen(trainTable(), base, "batch", "schedule", "warmup", "optimizer", "weight_decay",
		"clip", "ema", "patience", "min_delta", "retries", "blow_up", "skip_spikes", "checkpoint", "keep")...)
	return append(table, within(machineTable(), func(c *c) *machineSettings { return &c.base.Machine })...)
}

func defaultPretrain() pretrainSettings {
	c := pretrainSettings{base: defaultTrainSettings(), Corruption: auto, Epochs: []int{50}, LR: "0.001"}
	c.base.Data, c.base.Model.Activation = "", "sigmoid"
	c.base.Train.Patience = 10
	return c
}

func (p *program) pretrainCommand() *cli.Command {
	defaults := defaultPretrain()
	return &cli.Command{
		Name:      "pretrain",
		Usage:     "train a stacked denoising auto-encoder layer by layer",
		ArgsUsage: "DATA --hidden N,N,...",
		Description: `Trains one DAE after the other (Vincent et al. 2010): the lowest on DATA, each other one
on the codes that the layers below give of the clean examples, with a corruption of its
own input. Codes of sigmoid units are reconstructed under bernoulli, others under
gaussian. Each layer is a run of its own in a folder layer1, layer2, ... of the run
folder, whose model.safetensors is the stack: the encoders one after the other and the
decoders in reverse. encode, eval, denoise, export and finetune take it as any model.

Examples:
  gpudae pretrain digits --hidden 256,256 -o runs/stack
  gpudae pretrain mnist --hidden 1000,1000,1000 --corruption masking:0.1,masking:0.2,masking:0.3 -o runs/sda3
  gpudae pretrain table.csv --hidden 64,32 --activation relu --corruption swap:0.15 --epochs 100,50
  gpudae pretrain --resume -o runs/sda3
  gpudae finetune runs/sda3 mnist --test mnist:test`,
		Flags:  slices.Concat(runFlags(), flagsOf(withoutKeys(pretrainTable(), []string{"data"}), &defaults), outputFlags()),
		Action: p.pretrain,
	}
}

func (p *program) pretrain(c *cli.Context) error {
	o, err := p.runOptionsOf(c)
	if err != nil {
		return err
	}
	s := defaultPretrain()
	origins, err := resolveRun(p, c, &o, pretrainTable(), &s, "data")
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
	r := &pretrainRun{program: p, options: o, settings: &s, origins: origins}
	if err := r.prepare(c.Context); err != nil {
		return err
	}
	if o.dryRun {
		return r.printPlans()
	}
	if o.resume {
		if err := r.checkResumed(); err != nil {
			return err
		}
	}
	return r.do(c.Context)
}

// checkResumed reports, before anything is written, what makes it impossible to
// go on with the run in the folder. When to save may change, and where it computes;
// how long to train and when to stop as far as no layer has learnt from the outcome.
func (r *pretrainRun) checkResumed() error {
	path := settingsPath(r.options.out)
	text, err := readSettings(path, "--resume")
	if err != nil {
		return err
	}
	layer, err := settings.FromYAML(path, text)
	if err != nil {
		return err
	}
	table, then := pretrainTable(), defaultPretrain()
	if _, err := table.Resolve(&then, layer); err != nil {
		return err
	}
	free := append(machineTable().Keys(), "data", "epochs", "patience", "min_delta", "retries", "checkpoint", "keep")
	for _, s := range withoutKeys(table, free) {
		if was, is := s.Format(&then), s.Format(r.settings); was != is {
			return usage(origin(r.origins, s.Key), fmt.Sprintf("it is %s, but the run to be resumed has %s", quoted(is), quoted(was)), "set it back, or start a new run")
		}
	}
	if err := r.checkLower(&then); err != nil {
		return err
	}
	other := usage(origin(r.origins, "data"), "these are not the data of the run to be resumed", "give the same data, or start a new run")
	if r.in.mixed != nil { // the file of their schema does not name the rows, but the lowest layer does
		if lowest, err := train.LoadModel(layerFolder(r.options.out, 0)); err == nil && lowest.Schema.SHA256 != r.in.info.SHA256 {
			return other
		}
		return nil
	}
	var recorded struct{ Schema data.Info }
	path = filepath.Join(r.options.out, train.SchemaFile)
	if text, err = os.ReadFile(path); errors.Is(err, fs.ErrNotExist) {
		return nil // it was killed before it had written more than its settings; a layer knows its data
	}
	if err == nil {
		err = json.Unmarshal(text, &recorded)
	}
	if err != nil {
		return &failure{code: exitData, where: path, problem: openProblem(err), remedy: "start a new run", err: err}
	}
	if recorded.Schema.SHA256 != r.in.info.SHA256 || recorded.Schema.Rows != r.in.info.Rows {
		return other
	}
	return nil
}

// checkLower reports what would train layers on whose codes others have been
// trained: they would give other codes, and those above could not go on.
func (r *pretrainRun) checkLower(then *pretrainSettings) error {
	lower := len(layerFolders(r.options.out)) - 1
	if lower < 1 {
		return nil
	}
	epochs, err := perLayer(r.origins, "epochs", then.Epochs, len(r.layers))
	if err != nil {
		return err
	}
	trained := fmt.Sprintf("layer %d has been trained on the codes of those below it", lower+1)
	for i, was := range epochs[:lower] {
		if run, err := readRun(layerFolder(r.options.out, i)); err == nil {
			was = max(was, len(run.history)) // fewer may have been asked for since
		}
		if is := r.layers[i].Train.Epochs; is > was {
			return usage(origin(r.origins, "epochs"), fmt.Sprintf("%s of layer %d in place of %d, but %s", count(is, "epoch"), i+1, was, trained),
				"give more to the layers from that on only, as a list, or start a new run")
		}
	}
	now, was := r.settings.base.Train, then.base.Train
	switch {
	case was.Patience > 0 && (now.Patience == 0 || now.Patience > was.Patience):
		return usage(origin(r.origins, "patience"), "it is longer than before, but "+trained, "set it back, or start a new run")
	case was.Patience > 0 && now.MinDelta < was.MinDelta:
		return usage(origin(r.origins, "min_delta"), "it is less than before, but "+trained, "set it back, or start a new run")
	}
	return nil
}

// pretrainRun is a run of pretrain about to start.
type pretrainRun struct {
	*program
	options  runOptions
	settings *pretrainSettings
	origins  settings.Origins
	in       *prepared
	layers   []trainSettings // of each layer alone
	daes     []*model.DAE
}

// prepare reads the data and builds the layers.
func (r *pretrainRun) prepare(ctx context.Context) (err error) {
	s := r.settings
	layers := len(s.base.Model.Hidden)
	if layers == 0 {
		return usage(origin(r.origins, "hidden"), "no layers", "give the units of each, e.g. --hidden 1000,1000,1000")
	}
	corruptions, err := perLayer(r.origins, "corruption", splitSpecs(s.Corruption), layers)
	if err != nil {
		return err
	}
	epochs, err := perLayer(r.origins, "epochs", s.Epochs, layers)
	if err != nil {
		return err
	}
	numbers, err := parseRates(s.LR, origin(r.origins, "lr"))
	if err != nil {
		return err
	}
	rates, err := perLayer(r.origins, "lr", numbers, layers)
	if err != nil {
		return err
	}
	s.base.Train.Epochs, s.base.Train.LR, s.base.Model.Corruption = epochs[0], rates[0], corruptions[0]
	if r.in, err = r.program.prepare(ctx, &s.base, r.origins, nil); err != nil {
		return err
	}
	if err := r.in.settle(ctx, &s.base, r.origins); err != nil {
		return err
	}
	for i, width := range s.base.Model.Hidden {
		c := s.base
		c.Model.Hidden, c.Train.Epochs, c.Train.LR = []int{width}, epochs[i], rates[i]
		if i > 0 {
			c.Data = fmt.Sprintf("codes of layer %d", i)
			c.Model.Columns, c.Model.Indicators, c.Model.MaskHead, c.Model.ColumnWeights, c.Model.Collisions, c.Model.Fields = nil, false, 0, nil, nil, nil
			c.Model.Features, c.Model.Shape, c.Model.Corruption = s.base.Model.Hidden[i-1], nil, corruptions[i]
			c.Model.Likelihood = model.CodeLikelihood(c.Model.Activation)
			setAuto(&c.Model.Corruption, codeCorruption(c.Model.Activation))
		}
		dae, err := r.build(&c, i)
		if err != nil {
			return err
		}
		if err := c.Train.Validate(); err != nil {
			return located(err, r.origins)
		}
		r.layers, r.daes = append(r.layers, c), append(r.daes, dae)
	}
	return nil
}

// build makes the DAE of a layer, and checks that a stack can hold it.
func (r *pretrainRun) build(c *trainSettings, i int) (*model.DAE, error) {
	if i == 0 {
		return r.in.build(c, r.origins)
	}
	dae, err := model.New(c.Model)
	if err == nil {
		low := -1.0 // of codes that are not those of sigmoid units nothing is known
		if c.Model.Activation == device.Sigmoid.String() {
			low = 0
		}
		err = dae.Corruption().CheckSupport(low)
	}
	if err != nil {
		return nil, located(err, r.origins)
	}
	return dae, nil
}

// codeCorruption is the corruption of codes by default, as that of data is: by
// whether they lie in [0, 1].
func codeCorruption(activation string) string {
	if activation == device.Sigmoid.String() {
		return "masking:0.25"
	}
	return "gaussian:0.5"
}

// perLayer gives each layer its own of a list, or all of them the only one.
func perLayer[T any](origins settings.Origins, key string, list []T, layers int) ([]T, error) {
	switch len(list) {
	case layers:
		return list, nil
	case 1:
		return slices.Repeat(list, layers), nil
	}
	return nil, usage(origin(origins, key), fmt.Sprintf("%s for %s", count(len(list), "value"), count(layers, "layer")), "give one for all, or one for each")
}

// splitSpecs splits a list of corruptions at the commas that do not stand between
// arguments: those after which the name of a corruption comes.
func splitSpecs(list string) []string {
	known := []string{auto}
	for _, kind := range device.Corruptions() {
		known = append(known, kind.String())
	}
	var specs []string
	for _, part := range strings.Split(list, ",") {
		name := strings.TrimSpace(part)
		if end := strings.IndexAny(name, ":+"); end >= 0 {
			name = name[:end]
		}
		if len(specs) == 0 || slices.Contains(known, name) {
			specs = append(specs, strings.TrimSpace(part))
			continue
		}
		specs[len(specs)-1] += "," + part
	}
	return specs
}

func parseRates(list, where string) ([]float64, error) {
	var rates []float64
	for _, text := range strings.Split(list, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return nil, usage(where, quoted(list)+" is not a list of numbers", "give numbers like 0.01,0.001")
		}
		rates = append(rates, v)
	}
	return rates, nil
}

// layerFolder is the run folder of a layer, counted from 0.
func layerFolder(run string, i int) string { return filepath.Join(run, fmt.Sprintf("layer%d", i+1)) }

// layerFolders are those that are there.
func layerFolders(run string) []string {
	found, _ := filepath.Glob(filepath.Join(globEscaped(run), "layer[0-9]*")) // a pattern of this program's own
	return slices.DeleteFunc(found, func(dir string) bool { return !isRun(dir) })
}

// layerJob is the run of a layer on the codes of the one below, without its device.
func (r *pretrainRun) layerJob(i int, table device.Table, info data.Info, scaler *data.Scaler) (train.Job, error) {
	resolved, err := trainTable().YAML(&r.layers[i])
	if err != nil {
		return train.Job{}, fmt.Errorf("writing the settings: %w", err)
	}
	job := train.Job{Model: r.daes[i], Table: table, Schema: info, Scaler: scaler, Config: r.layers[i].Train, Dir: layerFolder(r.options.out, i),
		Resume: r.options.resume, Settings: resolved, Version: version(), Provenance: r.provenance()}
	if i == 0 {
		job.Columns = r.columns()
	}
	return job, nil
}

// columns is the schema of mixed columns, nil for other data.
func (r *pretrainRun) columns() json.RawMessage {
	if r.in.mixed == nil {
		return nil
	}
	return r.in.mixed.schema.JSON()
}

// codesInfo describes the codes of the layers below layer i.
func (r *pretrainRun) codesInfo(i int, sha string) data.Info {
	width := r.daes[i].Config().Features
	return data.Info{Name: fmt.Sprintf("codes of layer %d of %s", i, r.in.info.Name), Format: "generated", Rows: r.in.info.Rows, Features: width, Shape: []int{width},
		Element: data.Float32, Scale: 1, SHA256: sha}
}

// codesScaler is what is known of codes: those of sigmoid units lie in [0, 1].
func (r *pretrainRun) codesScaler(i int) *data.Scaler {
	c := r.daes[i].Config()
	if r.settings.base.Model.Activation != device.Sigmoid.String() {
		return nil
	}
	s := &data.Scaler{Kind: data.ScaleNone, Low: make([]float32, c.Features), High: make([]float32, c.Features)}
	for j := range s.High {
		s.High[j] = 1
	}
	return s
}

// layerResult is the outcome of a layer.
type layerResult struct {
	Run        string       `json:"run"`
	Units      int          `json:"units"`
	Corruption string       `json:"corruption"`
	Likelihood string       `json:"likelihood"`
	Reason     train.Reason `json:"reason"`
	Epochs     int          `json:"epochs"`
	BestEpoch  int          `json:"best_epoch"`
	Steps      uint64       `json:"steps"`
	Seconds    number       `json:"seconds"`
	TrainNLL   number       `json:"train_nll"`
	ValNLL     number       `json:"val_nll"`
	ValMSE     number       `json:"val_mse"`
}

// pretrainJSON is what --json prints. The errors of a layer are those of its own
// input; val_nll and val_mse are those of the stack on the data.
type pretrainJSON struct {
	Run        string        `json:"run"`
	Data       string        `json:"data"`
	Device     string        `json:"device"`
	Layers     []layerResult `json:"layers"`
	Parameters int           `json:"parameters"`
	Seconds    number        `json:"seconds"`
	ValNLL     number        `json:"val_nll"`
	ValMSE     number        `json:"val_mse"`
}

func (r *pretrainRun) do(ctx context.Context) error {
	if err := r.task(train.Plan{}).onDevice(train.Job{}, func(device.Device) error { return nil }); err != nil { // before anything is removed
		return err
	}
	folder, err := r.openRun(&r.options)
	if err != nil {
		return err
	}
	defer folder.release()
	out, err := r.trainLayers(ctx)
	if err != nil {
		folder.abandon()
		return err
	}
	if err := writeEvaluation(r.options.out, out); err != nil {
		return err
	}
	if r.options.json {
		return r.printJSON(out)
	}
	return r.printText(r.summary(out))
}

// trainLayers trains the layers one after the other and writes the stack.
func (r *pretrainRun) trainLayers(ctx context.Context) (*pretrainJSON, error) {
	resolved, err := pretrainTable().YAML(r.settings)
	if err != nil {
		return nil, fmt.Errorf("writing the settings: %w", err)
	}
	if err := train.DescribeRun(r.options.out, resolved, r.in.info, r.in.scaler, r.in.split, r.columns()); err != nil {
		return nil, err
	}
	log := r.options.console
	log.logf("data: %s, %s of %v, %s; %d held out", r.in.info.Name, count(r.in.info.Rows, "row"), r.in.info.Shape, r.in.info.Element, r.in.split.Held)
	out := &pretrainJSON{Run: r.options.out, Data: r.in.info.Name}
	var parts []model.StackPart
	table, info, scaler := r.in.table, r.in.info, r.in.scaler
	for i, dae := range r.daes {
		job, err := r.layerJob(i, table, info, scaler)
		if err != nil {
			return nil, err
		}
		result, err := r.trainLayer(ctx, i, job)
		if err != nil {
			return nil, err
		}
		out.Layers = append(out.Layers, result.layer)
		out.Seconds += result.layer.Seconds
		parts = append(parts, model.StackPart{DAE: dae, Params: result.params})
		if i == len(r.daes)-1 {
			break
		}
		if table, err = r.codes(ctx, dae, result.params, table); err != nil {
			return nil, err
		}
		sha, err := digest(table.Float32)
		if err != nil {
			return nil, err
		}
		info, scaler = r.codesInfo(i+1, sha), r.codesScaler(i+1)
	}
	return out, r.writeStack(ctx, parts, out)
}

func digest(values []float32) (string, error) {
	hash := sha256.New()
	if err := binary.Write(hash, binary.LittleEndian, values); err != nil {
		return "", fmt.Errorf("hashing codes: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// trainedLayer is a layer with its weights.
type trainedLayer struct {
	layer  layerResult
	params []float32
}

func (r *pretrainRun) trainLayer(ctx context.Context, i int, job train.Job) (*trainedLayer, error) {
	plan, err := train.NewPlan(job)
	if err != nil {
		return nil, located(err, r.origins)
	}
	if err := os.MkdirAll(job.Dir, 0o777); err != nil {
		return nil, cannotWrite(job.Dir, err)
	}
	c := job.Model.Config()
	r.options.console.logf("layer %d: %d units of %d, %s, p(x|h) %s; %s of %s", i+1, c.Hidden[0], c.Features, c.Corruption, c.Likelihood,
		count(job.Config.Epochs, "epoch"), count(plan.StepsPerEpoch, "step"))
	t := r.task(plan)
	result, err := r.fit(ctx, job, t)
	if err != nil {
		return nil, err
	}
	best := result.Best
	return &trainedLayer{params: result.Params, layer: layerResult{Run: job.Dir, Units: c.Hidden[0], Corruption: c.Corruption, Likelihood: c.Likelihood, Reason: result.Reason,
		Epochs: result.Epochs, BestEpoch: best.Epoch, Steps: result.Steps, Seconds: number(result.Seconds), TrainNLL: number(best.TrainNLL), ValNLL: number(best.ValNLL), ValMSE: number(best.ValMSE)}}, nil
}

func (r *pretrainRun) task(plan train.Plan) fitTask {
	return fitTask{command: "pretrain", run: r.options.out, plan: plan, machine: r.settings.base.Machine, origins: r.origins, events: r.options.events, console: r.options.console}
}

// codes encodes the clean rows of a table.
func (r *pretrainRun) codes(ctx context.Context, dae *model.DAE, params []float32, table device.Table) (device.Table, error) {
	codes := device.Table{Rows: table.Rows, Columns: dae.CodeWidth(), Scale: 1, Float32: make([]float32, 0, table.Rows*dae.CodeWidth())}
	err := r.task(train.Plan{}).onDevice(train.Job{}, func(dev device.Device) error {
		net, err := model.Bind(dev, dae, model.Binding{Examples: min(inferenceBatch, table.Rows)})
		if err != nil {
			return err
		}
		if err := net.SetParameters(params, nil); err != nil {
			return err
		}
		for first := 0; first < table.Rows; first += rowsAtATime {
			rows := min(rowsAtATime, table.Rows-first)
			x := make([]float32, rows*table.Columns)
			for i := range x {
				x[i] = table.At(first*table.Columns + i)
			}
			h, err := net.Encode(ctx, tensor.New(tensor.WithShape(rows, table.Columns), tensor.WithBacking(x)))
			if err != nil {
				return err
			}
			codes.Float32 = append(codes.Float32, data.Float32s(h)...)
		}
		return nil
	})
	return codes, err
}

// writeStack writes the model of all layers, judged on the rows held out.
func (r *pretrainRun) writeStack(ctx context.Context, parts []model.StackPart, out *pretrainJSON) error {
	dae, params, err := model.Stack(parts)
	if err != nil {
		return err
	}
	nothing := math.NaN()
	row := train.Row{TrainNLL: nothing, ValNLL: nothing, ValMSE: nothing, ValPSNR: nothing, LR: nothing, GradNorm: nothing, SamplesPerS: nothing, Seconds: nothing,
		TrainLoss: nothing, ValLoss: nothing, ValKL: nothing}
	for _, l := range out.Layers {
		row.Epoch += l.Epochs
		row.Step += l.Steps
	}
	settled, err := trainTable().YAML(&r.settings.base) // as train would be set for all layers at once
	if err != nil {
		return fmt.Errorf("writing the settings: %w", err)
	}
	saved := &train.Saved{DAE: dae, Params: params, Config: r.layers[0].Train, Schema: r.in.info, Scaler: *r.in.scaler, Split: r.in.split, Columns: r.columns(),
		Settings: settled, Version: version(), Provenance: r.provenance()}
	err = r.task(train.Plan{}).onDevice(train.Job{}, func(dev device.Device) error {
		info := dev.Info()
		out.Device, saved.Provenance.Device = info.Name, info.Name
		if info.Description != "" {
			saved.Provenance.Device += ": " + info.Description
		}
		if r.in.split.Held == 0 {
			return nil
		}
		e, err := saved.Evaluate(ctx, dev, r.in.table, r.in.split.Validation())
		row.ValNLL, row.ValLoss, row.ValMSE, row.ValPSNR = e.NLL, e.Loss, e.MSE, e.PSNR
		return err
	})
	if err != nil {
		return err
	}
	saved.Row = row
	out.Parameters, out.ValNLL, out.ValMSE = dae.ParameterCount(), number(row.ValNLL), number(row.ValMSE)
	return saved.Write(filepath.Join(r.options.out, train.ModelFile))
}

// summary is the result for a person.
func (r *pretrainRun) summary(out *pretrainJSON) string {
	g := grid{{"", "units", "corruption", "epochs", "best", "train nll", "val nll", "val mse", "time"}}
	for i, l := range out.Layers {
		g.add(fmt.Sprintf("layer %d", i+1), fmt.Sprint(l.Units), l.Corruption, fmt.Sprint(l.Epochs), fmt.Sprint(l.BestEpoch), l.TrainNLL.String(), l.ValNLL.String(), l.ValMSE.String(),
			duration(float64(l.Seconds)))
	}
	g.add("stack", fmt.Sprint(r.settings.base.Model.Hidden[len(out.Layers)-1]), out.Layers[0].Corruption, "", "", "", out.ValNLL.String(), out.ValMSE.String(), duration(float64(out.Seconds)))
	return g.String() + "run: " + r.options.out + "\n"
}

// printPlans prints what the layers would take.
func (r *pretrainRun) printPlans() error {
	var plans []train.Plan
	for i := range r.layers {
		table, info, scaler := r.in.table, r.in.info, r.in.scaler
		if i > 0 {
			width := r.daes[i].Config().Features
			table, info = device.Table{Rows: r.in.info.Rows, Columns: width}, r.codesInfo(i, "")
			scaler = &data.Scaler{Kind: data.ScaleNone, Low: make([]float32, width), High: make([]float32, width)}
		}
		job, err := r.layerJob(i, table, info, scaler)
		if err != nil {
			return err
		}
		plan, err := train.NewPlan(job)
		if err != nil {
			return located(err, r.origins)
		}
		if i > 0 {
			plan.Bytes.Data = 4 * uint64(table.Rows) * uint64(table.Columns)
		}
		plans = append(plans, plan)
	}
	if r.options.json {
		return r.printJSON(struct {
			Layers []train.Plan `json:"layers"`
		}{plans})
	}
	for i, plan := range plans {
		if err := r.printText(fmt.Sprintf("layer %d\n", i+1)); err != nil {
			return err
		}
		if err := r.printRunPlan(false, plan); err != nil {
			return err
		}
	}
	return nil
}
