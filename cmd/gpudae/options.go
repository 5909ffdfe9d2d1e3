package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

// headerChoices are the values of header.
func headerChoices() []string { return []string{auto, "none", "names"} }

// auto leaves a setting to the program, which decides by the data.
const auto = "auto"

// machineSettings say where a command computes; every command that computes has them.
type machineSettings struct {
	Device  string
	Threads int
	// Precision is that of matrix products: one of precisions().
	Precision string
	// Gemm is who makes those of a GPU: one of gemms().
	Gemm string
}

func machineTable() settings.Table[machineSettings] {
	const group = "Machine"
	return settings.Table[machineSettings]{
		{Key: "device", Group: group, Doc: deviceDoc, Field: func(c *machineSettings) any { return &c.Device }},
		{Key: "threads", Group: group, Doc: "CPU threads, 0: one a core", Field: func(c *machineSettings) any { return &c.Threads }},
		{Key: "precision", Group: group, Doc: "arithmetic of matrix products",
			More:    "float32, bf16 (GPUs, and CPUs with AVX512-BF16 or AMX-BF16), and on GPUs tf32 and strict (float32 without tensor cores)",
			Choices: precisions(), Field: func(c *machineSettings) any { return &c.Precision }},
		{Key: "gemm", Group: group, Doc: "whose matrix products a GPU makes",
			More:    "own (this program's kernels), cublaslt (NVIDIA's library, which has to be installed), or auto (whichever is faster, by operation)",
			Choices: gemms(), Field: func(c *machineSettings) any { return &c.Gemm }},
	}
}

func defaultMachine() machineSettings {
	return machineSettings{Device: auto, Precision: precisionFloat32, Gemm: gemmOwn}
}

// trainSettings are everything that a run is determined by, and its machine.
type trainSettings struct {
	Data    string
	Label   string // CSV column that holds classes
	Header  string
	Scale   string
	Table   tableSettings
	Model   model.Config
	Score   scoreSettings // for Model.Score, once they are settled
	Train   train.Config
	Machine machineSettings
}

// defaultTrainSettings do well on the embedded digits, and no harm elsewhere.
func defaultTrainSettings() trainSettings {
	c := trainSettings{
		Data:   "digits",
		Header: auto,
		Scale:  auto,
		Table:  defaultTable(),
		Model: model.Config{
			Objective:      model.ObjectiveNLL,
			DecoderHidden:  model.DecoderMirrors,
			Corruption:     auto,
			Hidden:         []int{512, 512},
			Activation:     "gelu",
			CodeActivation: auto,
			Norm:           "none",
			Likelihood:     auto,
			Init:           "auto",
			Emphasis:       model.Emphasis{Destroyed: 1, Untouched: 1},
			Replicates:     1,

			CodeDistribution: "none",
			Walkback:         1,
		},
		Score:   defaultScore(),
		Train:   train.DefaultConfig(),
		Machine: defaultMachine(),
	}
	c.Train.LR, c.Train.Schedule, c.Train.Clip = 3e-3, "cosine", 1
	return c
}

// trainTable lists every setting of a run: its flag, its key in --set and in
// files, its environment variable and its documentation.
func trainTable() settings.Table[trainSettings] {
	type c = trainSettings
	table := settings.Table[c]{
		{Key: "data", Group: "Data", Doc: "built-in name or path", Field: func(c *c) any { return &c.Data }},
		{Key: "label", Group: "Data", Doc: "CSV column of classes, by name or number, that is no feature", Field: func(c *c) any { return &c.Label }},
		{Key: "header", Group: "Data", Doc: "whether a CSV file starts with names: auto, none or names", Choices: headerChoices(), Field: func(c *c) any { return &c.Header }},
		{Key: "scale", Group: "Data", Doc: "map of the columns: auto, none, unit, standard, min-max or, of tables of mixed columns, gauss-rank",
			More: "auto is none for data in [0, 1] and 8-bit images, gauss-rank for tables of mixed columns, otherwise standard", Field: func(c *c) any { return &c.Scale }},
		{Key: "val", Group: "Data", Doc: "fraction of the rows held out", Field: func(c *c) any { return &c.Train.Val }},
		{Key: "seed", Group: "Data", Doc: "of the split, the order, the noise and the weights", Field: func(c *c) any { return &c.Train.Seed }},

		{Key: "corruption", Group: "Model", Doc: "corruption process; a rate is the fraction destroyed",
			More: "none, gaussian:σ, masking:rate, span:rate=R,length=L, salt-and-pepper:rate, swap:rate or swap:effective=R (swap-rows: one donor a row), speckle:σ, uniform:a, poisson:peak, joined by +; auto is swap:0.15 for tables of mixed columns, masking:0.25 for data in [0, 1], otherwise gaussian:0.5", Field: func(c *c) any { return &c.Model.Corruption }},
		{Key: "hidden", Group: "Model", Doc: "units of the encoder's layers", Field: func(c *c) any { return &c.Model.Hidden }},
		{Key: "code", Group: "Model", Doc: "units of a code layer after them, 0: the last hidden layer is the code", Field: func(c *c) any { return &c.Model.Code }},
		{Key: "decoder_hidden", Group: "Model", Doc: "units of the decoder's hidden layers, the one that reads the code first; mirror: the encoder's in reverse, none: no such layer",
			Field: func(c *c) any { return &c.Model.DecoderHidden }},
		{Key: "activation", Group: "Model", Doc: "activation of the hidden layers",
			More: "identity, relu, leaky-relu, elu, gelu, silu, sigmoid, tanh or softplus", Field: func(c *c) any { return &c.Model.Activation }},
		{Key: "code_activation", Group: "Model", Doc: "activation of the code, auto: the same", Field: func(c *c) any { return &c.Model.CodeActivation }},
		{Key: "tied", Group: "Model", Doc: "the decoder uses the encoder's weights, transposed", Field: func(c *c) any { return &c.Model.Tied }},
		{Key: "dropout", Group: "Model", Doc: "probability of zeroing a hidden unit", Field: func(c *c) any { return &c.Model.Dropout }},
		{Key: "norm", Group: "Model", Doc: "normalisation: none, layer or batch", Field: func(c *c) any { return &c.Model.Norm }},
		{Key: "likelihood", Group: "Model", Doc: "family p(x|h)",
			More: "bernoulli, gaussian:σ, gaussian-learned, categorical, poisson, or for tables of mixed columns mixed:σ or mixed:learned; auto is mixed for those, bernoulli for data in [0, 1], otherwise gaussian:1", Field: func(c *c) any { return &c.Model.Likelihood }},
		{Key: "init", Group: "Model", Doc: "initial weights: auto, or glorot-, he-, lecun- with uniform or normal", Field: func(c *c) any { return &c.Model.Init }},
		{Key: "fields", Group: "Model", Doc: "widths of groups of columns that are one unit each (one-hot categories)", Field: func(c *c) any { return &c.Model.Fields }},
		{Key: "emphasis_destroyed", Group: "Model", Doc: "weight of destroyed features in the loss", Field: func(c *c) any { return &c.Model.Emphasis.Destroyed }},
		{Key: "emphasis_untouched", Group: "Model", Doc: "weight of untouched features in the loss", Field: func(c *c) any { return &c.Model.Emphasis.Untouched }},
		{Key: "replicates", Group: "Model", Doc: "corruptions of each example in a minibatch", Field: func(c *c) any { return &c.Model.Replicates }},
		{Key: "code_distribution", Group: "Model", Doc: "distribution q(h|x̃) of the code",
			More: "none (h = f(x̃)), gaussian, bernoulli or concrete:τ; gaussian with --corruption none is a variational auto-encoder, with another a denoising one", Field: func(c *c) any { return &c.Model.CodeDistribution }},
		{Key: "beta", Group: "Model", Doc: "weight of the divergence of q(h|x̃) from the prior in the loss, auto: 1", Field: func(c *c) any { return &c.Model.Beta }},
		{Key: "beta_warmup", Group: "Model", Doc: "steps over which that weight rises from 0", Field: func(c *c) any { return &c.Model.BetaWarmup }},
		{Key: "importance", Group: "Model", Doc: "samples of an importance-weighted bound of gaussian codes, 0: the divergence in closed form", Field: func(c *c) any { return &c.Model.Importance }},
		{Key: "walkback", Group: "Model", Doc: "links of the Markov chain that training follows from each example, 1: its corruption alone", Field: func(c *c) any { return &c.Model.Walkback }},

		{Key: "objective", Group: "Training", Doc: "nll: -log p(x|h) of the clean x, h the code of the corrupted x̃; dsm: denoising score matching at many noise levels",
			Choices: model.Objectives(), Field: func(c *c) any { return &c.Model.Objective }},
		{Key: "epochs", Group: "Training", Doc: "passes over the training rows", Field: func(c *c) any { return &c.Train.Epochs }},
		{Key: "steps", Group: "Training", Doc: "end after so many steps, 0: no limit", Field: func(c *c) any { return &c.Train.Steps }},
		{Key: "batch", Group: "Training", Doc: "examples of a minibatch", Field: func(c *c) any { return &c.Train.Batch }},
		{Key: "lr", Group: "Training", Doc: "learning rate", Field: func(c *c) any { return &c.Train.LR }},
		{Key: "schedule", Group: "Training", Doc: "course of the learning rate",
			More: "constant, cosine, one-cycle, step:every=E,factor=F or plateau:patience=P,factor=F", Field: func(c *c) any { return &c.Train.Schedule }},
		{Key: "warmup", Group: "Training", Doc: "epochs of linear warm-up, fractions allowed", Field: func(c *c) any { return &c.Train.Warmup }},
		{Key: "optimizer", Group: "Training", Doc: "update rule",
			More: "sgd:momentum=M,nesterov, adam, adamw, rmsprop or adagrad", Field: func(c *c) any { return &c.Train.Optimizer }},
		{Key: "weight_decay", Group: "Training", Doc: "of the weights, auto: the optimizer's", Field: func(c *c) any { return &c.Train.WeightDecay }},
		{Key: "clip", Group: "Training", Doc: "bound of the gradient's global norm, 0: none", Field: func(c *c) any { return &c.Train.Clip }},
		{Key: "ema", Group: "Training", Doc: "decay of the moving average of the weights, 0: none", Field: func(c *c) any { return &c.Train.EMA }},
		{Key: "patience", Group: "Training", Doc: "stop after so many epochs without improvement, 0: never", Field: func(c *c) any { return &c.Train.Patience }},
		{Key: "min_delta", Group: "Training", Doc: "improvement of the loss that counts for patience, nats an example for nll", Field: func(c *c) any { return &c.Train.MinDelta }},
		{Key: "retries", Group: "Training", Doc: "repeats of diverged epochs, each at half the learning rate", Field: func(c *c) any { return &c.Train.Retries }},
		{Key: "blow_up", Group: "Training", Doc: "a loss so many times beyond the first counts as diverged, 0: any finite one is fine", Field: func(c *c) any { return &c.Train.BlowUp }},
		{Key: "skip_spikes", Group: "Training", Doc: "leave out the step of a minibatch whose loss lies so many standard deviations above the running mean, 0: none", Field: func(c *c) any { return &c.Train.SkipSpikes }},
		{Key: "checkpoint", Group: "Training", Doc: "when to write last.safetensors: 100steps, 2epochs, or 30s and at ends of epochs; 0: at ends of epochs", Field: func(c *c) any { return (*string)(&c.Train.Checkpoint) }},
		{Key: "keep", Group: "Training", Doc: "older checkpoints that stay beside it", Field: func(c *c) any { return &c.Train.Keep }},
	}
	table = append(table, within(tableTable(), func(c *c) *tableSettings { return &c.Table })...)
	table = append(table, within(scoreTable(), func(c *c) *scoreSettings { return &c.Score })...)
	return append(table, within(machineTable(), func(c *c) *machineSettings { return &c.Machine })...)
}

// within makes a table of a part one of the whole.
func within[C, P any](table settings.Table[P], part func(*C) *P) settings.Table[C] {
	var whole settings.Table[C]
	for _, s := range table {
		whole = append(whole, settings.Setting[C]{Key: s.Key, Group: s.Group, Doc: s.Doc, More: s.More, Choices: s.Choices,
			Field: func(c *C) any { return s.Field(part(c)) }})
	}
	return whole
}

// preset is a named set of values for --preset.
type preset struct {
	name, doc string
	values    map[string]string
}

func presets() []preset {
	return []preset{
		{"quick", "a small model and few epochs, to try things out", map[string]string{
			"hidden": "128", "epochs": "10", "batch": "32"}},
		{"image", "8-bit images such as MNIST's: two wide layers, some passes over many rows", map[string]string{
			"hidden": "1000,500", "corruption": "masking:0.25", "likelihood": "bernoulli", "epochs": "20", "lr": "0.001"}},
		{"deep", "a code of 30 units at the end of four layers (Hinton and Salakhutdinov 2006)", map[string]string{
			"hidden": "1000,500,250", "code": "30", "code_activation": "identity", "epochs": "50", "lr": "0.001", "warmup": "1"}},
		{"tied", "one layer of sigmoid units, tied weights, gradient descent (Vincent et al. 2010)", map[string]string{
			"hidden": "1000", "activation": "sigmoid", "tied": "true", "corruption": "masking:0.25", "likelihood": "bernoulli",
			"optimizer": "sgd:momentum=0", "lr": "0.02", "schedule": "constant", "clip": "0", "batch": "20"}},
		{"vae", "a variational auto-encoder: a Gaussian code of 16 units, no corruption (Kingma and Welling 2014)", map[string]string{
			"corruption": "none", "code": "16", "code_distribution": "gaussian", "beta_warmup": "500", "epochs": "200", "patience": "30", "lr": "0.001"}},
		{"table", "columns of numbers: standardised, values swapped between rows (Jahrer 2017)", map[string]string{
			"scale": "standard", "corruption": "swap:0.15", "activation": "relu", "lr": "0.001", "epochs": "200"}},
		{"tabular", "mixed columns, for features: a deep stack, gauss-rank, values swapped between rows (Jahrer 2017; dfencoder)", map[string]string{
			"schema": "infer", "scale": "gauss-rank", "corruption": "swap:0.15", "hidden": "512,512,512", "activation": "relu", "lr": "0.001"}},
		{"impute", "mixed columns, to fill absent values with means and most probable categories: masking, absences shown, one variance for all numbers, all rows trained on (Gondara and Wang 2018)", map[string]string{
			"schema": "infer", "scale": "standard", "corruption": "masking:0.15", "indicators": "true", "likelihood": "mixed:0.5",
			"optimizer": "adamw", "weight_decay": "1", "lr": "0.002", "epochs": "300", "val": "0", "ema": "0.99"}},
		{"impute-draws", "mixed columns, to draw absent values (impute -m): as impute, but variances are learned, so that draws spread as they should (Nazábal et al. 2020)", map[string]string{
			"schema": "infer", "scale": "standard", "corruption": "masking:0.25", "indicators": "true", "likelihood": "mixed:learned",
			"optimizer": "adamw", "weight_decay": "0.01", "lr": "0.001", "epochs": "200", "patience": "50"}},
		{"anomaly", "mixed columns, to find odd rows: values are masked and asked for (pseudo-likelihood: Besag 1975), variances learned", map[string]string{
			"schema": "infer", "scale": "gauss-rank", "corruption": "masking:0.25", "indicators": "true", "likelihood": "mixed:learned",
			"optimizer": "adamw", "weight_decay": "0.01", "lr": "0.001", "epochs": "200", "patience": "50"}},
		{"toy", "points in a plane: small noise, so that the field of reconstructions shows the density", map[string]string{
			"scale": "standard", "corruption": "gaussian:0.15", "likelihood": "gaussian:0.15", "hidden": "128,128",
			"batch": "64", "epochs": "200", "patience": "0"}},
		{"score", "points in a plane: the score of their density at many noise levels, for sample and score", map[string]string{
			"objective": "dsm", "noise": "edm", "scale": "standard", "hidden": "128,128", "activation": "silu",
			"batch": "128", "epochs": "400", "lr": "0.003", "ema": "0.999", "patience": "0"}},
	}
}

func findPreset(name string) (preset, error) {
	var names []string
	for _, p := range presets() {
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return preset{}, usage("--preset", "unknown preset "+quoted(name), settings.Suggest(name, names, "")+"choose one of "+strings.Join(names, ", "))
}

// flagsOf makes a flag of each setting; c holds the defaults that are shown.
func flagsOf[C any](table settings.Table[C], c *C) []cli.Flag {
	var flags []cli.Flag
	for _, s := range table {
		if _, isSwitch := s.Field(c).(*bool); isSwitch {
			flags = append(flags, &cli.BoolFlag{Name: s.Flag(), Usage: s.Doc, Category: s.Group})
			continue
		}
		flag := &cli.StringFlag{Name: s.Flag(), Usage: "`" + s.Placeholder(c) + "` " + s.Doc, Category: s.Group}
		if s.More != "" {
			flag.Usage += ": " + s.More
		}
		if value := s.Format(c); value != "" {
			flag.DefaultText = value
		}
		flags = append(flags, flag)
	}
	return flags
}

// given are the settings whose flags stand on the command line.
func given[C any](c *cli.Context, table settings.Table[C]) []settings.Assignment {
	var layer []settings.Assignment
	for _, s := range table {
		if c.IsSet(s.Flag()) {
			layer = append(layer, settings.Assignment{Key: s.Key, Value: fmt.Sprint(c.Value(s.Flag())), Where: "--" + s.Flag()})
		}
	}
	return layer
}

// machineOf resolves where a command computes: flag, then environment, then default.
func (p *program) machineOf(c *cli.Context) (machineSettings, settings.Origins, error) {
	machine, table := defaultMachine(), machineTable()
	environment, err := table.FromEnvironment(p.environ, environmentPrefix, append(otherVariables(), foreignVariables(table.Keys())...)...)
	if err != nil {
		return machine, nil, err
	}
	origins, err := table.Resolve(&machine, environment, given(c, table))
	return machine, origins, err
}

// otherVariables are those of this project that are no settings: switches for
// whoever looks for a fault, and those of its tests.
func otherVariables() []string {
	return []string{debugVariable, noEventsVariable, noReportVariable, tokenVariable, "GPUDAE_CUDA_BLOCKING",
		"GPUDAE_CUBINS", cublasLtVariable, cacheVariable, "GPUDAE_DEVICETEST_SEED", "GPUDAE_EXCHANGE", "GPUDAE_TEST_AMX", "GPUDAE_TEST_DATA"}
}

// variables are the environment's names of keys, without those in except.
func variables(keys, except []string) []string {
	var names []string
	for _, key := range keys {
		if !slices.Contains(except, key) {
			names = append(names, settings.Variable(environmentPrefix, key))
		}
	}
	return names
}

// origin says where a setting came from, for an error about it.
func origin(origins settings.Origins, key string) string {
	if where, found := origins[key]; found {
		return where
	}
	for _, known := range slices.Sorted(maps.Keys(origins)) {
		if strings.HasPrefix(known, key+"_") {
			return origins[known]
		}
	}
	return "setting " + key
}
