package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/urfave/cli/v2"

	"gpudae/baseline"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/sample"
)

func (p *program) baselineCommand() *cli.Command {
	c := &cli.Command{
		Name:  "baseline",
		Usage: "fit and use the linear relatives of an auto-encoder",
		Description: `Fits a closed form to DATA and compares it with others, on the rows and under the
noise that train and eval would take. What -o wrote can be used like a model.

Examples:
  gpudae baseline ppca digits -q 16 -o ppca.json
  gpudae baseline denoise ppca.json noisy.npy -o clean.npy
  gpudae baseline sample ppca.json -n 100 -o new.npy`,
	}
	for _, kind := range linearKinds() {
		c.Subcommands = append(c.Subcommands, p.baselineFitCommand(kind))
	}
	c.Subcommands = append(c.Subcommands, p.baselineUseCommands()...)
	return c
}

// linearKind is a row of the table of models.
type linearKind struct {
	name, usage, about string
	components         string // meaning of -q, if it has one
	iterates           bool
	covariance         bool                                          // the covariance matrix is needed, however large
	fit                func(ctx context.Context, f *linearFit) error // sets f.model's parts
}

func linearKinds() []linearKind {
	return []linearKind{
		{name: "pca", usage: "principal components", components: "components", fit: fitPCA,
			about: `The projection on the first principal components, exact up to 1,024 features and
randomised beyond (Halko et al. 2011). It has a code but no density; ppca has both.`},
		{name: "ppca", usage: "probabilistic PCA", components: "components", iterates: true, fit: fitPPCA,
			about: `x = μ + Wz + ε with z ~ N(0, I) and ε ~ N(0, σ²I), at the maximum of the likelihood
(Tipping and Bishop 1999), in closed form or by expectation maximisation.`},
		{name: "fa", usage: "factor analysis", components: "factors", iterates: true, fit: fitFA,
			about: `Like ppca, but each column has noise of its own; by expectation maximisation (Rubin
and Thayer 1982), with noise of at least 10⁻⁶ of a column's variance.`},
		{name: "wiener", usage: "the best linear denoiser", components: "rank at most, 0: any", covariance: true, fit: fitWiener,
			about: `The linear reconstruction of least expected error under the corruption, from the
mean and the covariance of the data; its density is the Gaussian that has them.`},
		{name: "mda", usage: "marginalised auto-encoder", covariance: true, fit: fitMDA,
			about: `The linear auto-encoder under masking, trained on infinitely many corrupted copies
(Chen et al. 2012). It has no code and no density.`},
	}
}

// linearSettings are the keys of a run's settings that a linear model shares.
func linearSettings() settings.Table[trainSettings] {
	shared := []string{"label", "header", "scale", "val", "seed", "corruption", "fields", "device", "threads"}
	return slices.DeleteFunc(trainTable(), func(s settings.Setting[trainSettings]) bool { return !slices.Contains(shared, s.Key) })
}

const (
	closedForm  = "closed"
	byEM        = "em"
	defaultRank = 16
)

func (p *program) baselineFitCommand(kind linearKind) *cli.Command {
	defaults := defaultTrainSettings()
	flags := []cli.Flag{&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` JSON file to write the model to"}}
	if kind.components != "" {
		q := &cli.IntFlag{Name: "components", Aliases: []string{"q"}, Category: "Fit", Usage: "`N` " + kind.components, Value: defaultRank, DefaultText: fmt.Sprint(defaultRank)}
		if kind.name == "wiener" {
			q.Value, q.DefaultText = 0, "0"
		}
		flags = append(flags, q)
	}
	if kind.name == "ppca" {
		flags = append(flags, &cli.StringFlag{Name: "method", Category: "Fit", Usage: "`METHOD` " + closedForm + " or " + byEM, Value: closedForm, DefaultText: closedForm})
	}
	if kind.iterates {
		flags = append(flags,
			&cli.IntFlag{Name: "iterations", Category: "Fit", Usage: "`N` at most so many iterations", Value: baseline.DefaultIterations, DefaultText: fmt.Sprint(baseline.DefaultIterations)},
			&cli.Float64Flag{Name: "tolerance", Category: "Fit", Usage: "`NATS` end when an iteration gains less", Value: baseline.DefaultTolerance, DefaultText: fmt.Sprint(baseline.DefaultTolerance)})
	}
	return &cli.Command{
		Name:      kind.name,
		Usage:     kind.usage,
		ArgsUsage: "DATA [-o FILE.json]",
		Description: kind.about + `

Prints the log likelihood of the training and the held-out rows, in nats an example
and in the scale of the data, where the model has a density, and the error of its
reconstruction of the corrupted held-out rows beside those of other closed forms.

Examples:
  gpudae baseline ` + kind.name + ` digits
  gpudae baseline ` + kind.name + ` table.csv --corruption ` + exampleCorruption(kind) + ` -o ` + kind.name + `.json`,
		Flags:  slices.Concat(flags, flagsOf(linearSettings(), &defaults), baselineOutputFlags()),
		Action: func(c *cli.Context) error { return p.baselineFit(c, kind) },
	}
}

// baselineOutputFlags are those of other commands, but here -q is the number of
// components.
func baselineOutputFlags() []cli.Flag {
	return []cli.Flag{jsonFlag(), &cli.BoolFlag{Name: "quiet", Category: "Output", Usage: "no progress and no logs"}}
}

func exampleCorruption(kind linearKind) string {
	if kind.name == "mda" {
		return "masking:0.5"
	}
	return "gaussian:0.3"
}

// linearFit is a fit under way.
type linearFit struct {
	kind       linearKind
	settings   *trainSettings
	origins    settings.Origins
	in         *prepared
	corruption model.Corruption
	components int
	method     string
	em         baseline.EM

	train            baseline.Rows
	clean, corrupted baseline.Rows     // that are scored
	moments          *baseline.Moments // nil where there are too many features and they can be done without
	pca              baseline.PCA
	model            *linearModel
	trace            *baseline.Trace // of a fit that iterates
}

func (p *program) baselineFit(c *cli.Context, kind linearKind) error {
	if err := arguments(c, "DATA"); err != nil {
		return err
	}
	console := newConsole(p.stderr, c.Bool("quiet"))
	f := &linearFit{kind: kind, components: c.Int("components"), method: c.String("method"),
		em: baseline.EM{Iterations: c.Int("iterations"), Tolerance: c.Float64("tolerance")}}
	if err := f.check(c); err != nil {
		return err
	}
	if err := p.resolveLinear(c, f); err != nil {
		return err
	}
	deviceName, err := f.load(c.Context, p, console)
	if err != nil {
		return err
	}
	if err := f.kind.fit(c.Context, f); err != nil {
		return f.located(err)
	}
	r, err := f.report(c.Context)
	if err != nil {
		return err
	}
	r.Device = deviceName
	if out := c.String("out"); out != "" {
		if err := f.model.save(out); err != nil {
			return err
		}
		r.Out = out
	}
	if f.trace != nil && !f.trace.Converged {
		console.logf("baseline %s: it still gained more than the tolerance after %s; raise --iterations", kind.name, count(f.trace.Iterations(), "iteration"))
	}
	if c.Bool("json") {
		return p.printJSON(r)
	}
	return p.printText(r.text())
}

// check looks at the flags of its own.
func (f *linearFit) check(c *cli.Context) error {
	switch {
	case f.kind.components != "" && f.components < 1 && f.kind.name != "wiener" || f.components < 0:
		return usage("--components", fmt.Sprintf("%d components", f.components), "give a number such as 16")
	case f.kind.name == "ppca" && f.method != closedForm && f.method != byEM:
		return usage("--method", "unknown method "+quoted(f.method), "choose "+closedForm+" or "+byEM)
	case f.kind.iterates && f.em.Iterations < 1:
		return usage("--iterations", fmt.Sprintf("%d iterations", f.em.Iterations), "give a number such as 1000")
	case f.kind.iterates && !(f.em.Tolerance > 0):
		return usage("--tolerance", number(f.em.Tolerance).String()+" is not a positive number", "give one such as 1e-7")
	case f.kind.name == "ppca" && f.method == closedForm && (c.IsSet("iterations") || c.IsSet("tolerance")):
		return usage("--method", "a closed form has no iterations", "add --method "+byEM)
	}
	return nil
}

// resolveLinear resolves the settings that are shared with train.
func (p *program) resolveLinear(c *cli.Context, f *linearFit) error {
	table := linearSettings()
	f.settings = new(trainSettings)
	*f.settings = defaultTrainSettings()
	environment, err := table.FromEnvironment(p.environ, environmentPrefix, append(otherVariables(), variables(trainTable().Keys(), table.Keys())...)...)
	if err != nil {
		return err
	}
	if f.origins, err = table.Resolve(f.settings, environment, given(c, table)); err != nil {
		return err
	}
	f.settings.Data = c.Args().First()
	if err := checkHeader(f.settings.Header); err != nil {
		return err
	}
	return checkMachine(f.settings.Machine, f.origins)
}

// load reads the rows, corrupts those that are scored, and returns the name of
// the device that did.
func (f *linearFit) load(ctx context.Context, p *program, console *console) (string, error) {
	s := f.settings
	var err error
	if f.in, err = p.prepare(ctx, s, f.origins); err != nil {
		return "", err
	}
	if f.kind.name == "mda" && s.Model.Corruption == auto {
		s.Model.Corruption = "masking:0.25"
	}
	f.in.settle(s)
	if f.corruption, err = model.ParseCorruption(s.Model.Corruption); err != nil {
		return "", located(err, f.origins)
	}
	scored := f.in.split.Validation()
	if f.in.split.Held == 0 {
		scored = f.in.split.Training()
	}
	dev, err := openDevice(s.Machine.Device, origin(f.origins, "device"), s.Machine.Threads, console.logf)
	if err != nil {
		return "", err
	}
	defer dev.Close()
	if err := f.corrupt(ctx, dev, scored); err != nil {
		return "", located(err, f.origins)
	}
	f.train = rowsOf(f.in.table, f.in.split.Training(), f.in.table.Rows)
	if err := f.measure(ctx); err != nil {
		return "", err
	}
	f.model = &linearModel{Format: linearFormat, Kind: f.kind.name, Data: f.in.info, Scaler: *f.in.scaler, Label: s.Label, Header: s.Header,
		Split: f.in.split, Corruption: f.corruption.String()}
	return dev.Info().Name, nil
}

// measure computes what several fits and comparisons share.
func (f *linearFit) measure(ctx context.Context) error {
	components := cmp.Or(f.components, defaultRank)
	var err error
	if f.train.Features > baseline.ExactFeatures && !f.kind.covariance {
		f.pca, err = baseline.FitPCA(ctx, f.train, components)
		return err
	}
	moments, err := baseline.EstimateMoments(ctx, f.train)
	if err != nil {
		return err
	}
	f.moments = &moments
	if f.train.Features > baseline.ExactFeatures {
		f.pca, err = baseline.FitPCA(ctx, f.train, components)
	} else {
		f.pca, err = baseline.PCAOf(moments, components)
	}
	return err
}

// corrupt makes the pairs that are scored, with the noise of eval, by the
// smallest model that has the corruption.
func (f *linearFit) corrupt(ctx context.Context, dev device.Device, rows device.Rows) error {
	info := f.in.info
	dae, err := model.New(model.Config{Features: info.Features, Shape: info.Shape, Fields: f.settings.Model.Fields,
		Corruption: f.corruption.String(), Hidden: []int{1}, Likelihood: "gaussian"})
	if err != nil {
		return err
	}
	net, err := model.Bind(dev, dae, model.Binding{Examples: min(rows.Len(), inferenceBatch)})
	if err != nil {
		return err
	}
	src := model.Source{Part: rows, Seed: f.in.split.Seed}
	if src.Data, err = dev.Load(ctx, f.in.table); err != nil {
		return err
	}
	if src.Range, err = model.NewRange(dev, f.in.scaler.Low, f.in.scaler.High); err != nil {
		return err
	}
	pairs := newPairs(rows.Len(), info.Features)
	if _, err := net.EvaluateEach(ctx, src, pairs.add); err != nil {
		return err
	}
	f.clean, f.corrupted = pairs.clean, pairs.corrupted
	return nil
}

// located says which flag a fit failed for.
func (f *linearFit) located(err error) error {
	var components *baseline.ComponentsError
	if errors.As(err, &components) {
		return usage("--components", components.Error(), "choose fewer with -q")
	}
	return err
}

func fitPCA(_ context.Context, f *linearFit) error {
	f.model.PCA = &f.pca
	return nil
}

func fitPPCA(ctx context.Context, f *linearFit) error {
	var g baseline.LatentGaussian
	var err error
	if f.method == byEM {
		var trace baseline.Trace
		g, trace, err = baseline.FitPPCAByEM(ctx, f.train, f.components, f.em)
		f.trace = &trace
	} else {
		g, err = baseline.PPCAOf(f.pca, f.components)
	}
	f.model.Latent = &g
	f.model.Sigma, _ = sample.NoiseOf(f.corruption)
	return err
}

func fitFA(ctx context.Context, f *linearFit) error {
	g, trace, err := baseline.FitFA(ctx, f.train, f.components, f.em)
	f.trace = &trace
	f.model.Latent = &g
	f.model.Sigma, _ = sample.NoiseOf(f.corruption)
	return err
}

func fitWiener(_ context.Context, f *linearFit) error {
	g, err := baseline.GaussianOf(*f.moments)
	if err != nil {
		return err
	}
	f.model.Latent = &g
	filter, err := f.bestLinear(f.components)
	f.model.Map = &filter
	return err
}

func fitMDA(_ context.Context, f *linearFit) error {
	if len(f.corruption) != 1 || f.corruption[0].Kind != device.CorruptMasking {
		return usage(cmp.Or(origin(f.origins, "corruption"), "--corruption"), "the marginalised auto-encoder is for masking, not "+f.corruption.String(),
			"use baseline wiener, which is for every corruption")
	}
	if f.settings.Model.Fields != nil {
		return usage(origin(f.origins, "fields"), "the marginalised auto-encoder masks column by column", "use baseline wiener")
	}
	l, err := baseline.Marginalized(*f.moments, f.corruption[0].Amount)
	f.model.Map = &l
	return err
}

// bestLinear is the best linear denoiser under the corruption, of rank q at
// most, 0: any.
func (f *linearFit) bestLinear(q int) (baseline.Linear, error) {
	low, high := wide(f.in.scaler.Low), wide(f.in.scaler.High)
	j := baseline.Uncorrupted(*f.moments, f.settings.Model.Fields)
	for _, stage := range f.corruption {
		switch stage.Kind {
		case device.CorruptNone:
		case device.CorruptGaussian:
			j = j.Gaussian(stage.Amount)
		case device.CorruptMasking:
			j = j.Masking(stage.Amount)
		case device.CorruptSaltAndPepper:
			j = j.SaltAndPepper(stage.Amount, low, high)
		case device.CorruptSwap:
			j = j.Swap(stage.Amount)
		case device.CorruptSpeckle:
			j = j.Speckle(stage.Amount)
		case device.CorruptUniform:
			j = j.Uniform(stage.Amount)
		case device.CorruptPoisson:
			j = j.Poisson(stage.Amount)
		default:
			return baseline.Linear{}, fmt.Errorf("the best linear denoiser under %s is not known", stage.Kind)
		}
	}
	if q == 0 || q >= f.moments.Features() {
		return j.Best()
	}
	return j.BestRank(q)
}

func wide(values []float32) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

// linearReport is what a fit prints.
type linearReport struct {
	Kind       string               `json:"kind"`
	Data       string               `json:"data"`
	Device     string               `json:"device"`
	Rows       int                  `json:"rows"` // of training
	HeldOut    int                  `json:"held_out"`
	Split      string               `json:"split"` // of the rows that are scored: val, or train where none are held out
	Components int                  `json:"components,omitempty"`
	Corruption string               `json:"corruption"`
	Likelihood *likelihoodJSON      `json:"log_likelihood,omitempty"`
	Noise      *number              `json:"noise,omitempty"` // mean variance of the model's own noise, in the scale of training
	Iterations *int                 `json:"iterations,omitempty"`
	Converged  *bool                `json:"converged,omitempty"`
	MSE        number               `json:"mse"`
	Skill      number               `json:"skill"`
	Baseline   map[string]errorJSON `json:"baseline"`
	Out        string               `json:"out,omitempty"`
	others     []string             // the keys of Baseline in their order
	singular   bool                 // a density was expected
}

// likelihoodJSON holds mean log likelihoods in nats an example, in the scale of the data.
type likelihoodJSON struct {
	Train   number `json:"train"`
	HeldOut number `json:"held_out"`
}

type errorJSON struct {
	MSE        number `json:"mse"`
	Skill      number `json:"skill"`
	Components int    `json:"components,omitempty"` // of pca
}

// report scores the model and the closed forms beside it.
func (f *linearFit) report(ctx context.Context) (*linearReport, error) {
	r := &linearReport{Kind: f.kind.name, Data: f.in.info.Name, Rows: f.train.Len(), HeldOut: f.in.split.Held, Split: "val",
		Components: f.model.components(), Corruption: f.corruption.String(), Baseline: map[string]errorJSON{}}
	if f.in.split.Held == 0 {
		r.Split = "train"
	}
	if f.trace != nil {
		iterations := f.trace.Iterations()
		r.Iterations, r.Converged = &iterations, &f.trace.Converged
	}
	if err := f.density(ctx, r); err != nil {
		return nil, err
	}
	return r, f.errors(ctx, r)
}

// density measures the log likelihoods of a model that has a density.
func (f *linearFit) density(ctx context.Context, r *linearReport) error {
	g := f.model.Latent
	if g == nil {
		return nil
	}
	if f.kind.name != "wiener" {
		var noise number
		for _, v := range g.Noise {
			noise += number(v) / number(len(g.Noise))
		}
		r.Noise = &noise
	}
	train, err := g.MeanLogLikelihood(ctx, f.train)
	if errors.Is(err, baseline.ErrNoDensity) {
		r.singular = true
		return nil
	}
	if err != nil {
		return err
	}
	units := f.model.logUnits()
	r.Likelihood = &likelihoodJSON{Train: number(train - units), HeldOut: number(math.NaN())}
	if f.in.split.Held == 0 {
		return nil
	}
	held, err := g.MeanLogLikelihood(ctx, rowsOf(f.in.table, f.in.split.Validation(), f.in.table.Rows))
	r.Likelihood.HeldOut = number(held - units)
	return err
}

// errors measures the reconstructions of the pairs.
func (f *linearFit) errors(ctx context.Context, r *linearReport) error {
	mean := baseline.Mean(f.pca.Mean)
	worst, err := f.mse(ctx, mean)
	if err != nil {
		return err
	}
	skill := func(mse float64) errorJSON { return errorJSON{MSE: number(mse), Skill: number(100 * (1 - mse/worst))} }
	others, err := f.others(mean)
	if err != nil {
		return err
	}
	for _, other := range others {
		mse, err := f.mse(ctx, other.r)
		if err != nil {
			return err
		}
		e := skill(mse)
		e.Components = other.components
		r.Baseline[other.name] = e
		r.others = append(r.others, other.name)
	}
	mse, err := f.mse(ctx, f.model)
	own := skill(mse)
	r.MSE, r.Skill = own.MSE, own.Skill
	return err
}

// otherForm is a closed form that a model is compared with.
type otherForm struct {
	name       string
	r          baseline.Reconstructor
	components int
}

// others are those of another kind; the best linear denoiser is left out where
// the covariance matrix would be too large.
func (f *linearFit) others(mean baseline.Mean) ([]otherForm, error) {
	list := []otherForm{{name: "identity", r: baseline.Identity{}}, {name: "mean", r: mean}}
	if f.kind.name != "pca" {
		list = append(list, otherForm{"pca", f.pca, len(f.pca.Variances)})
	}
	if f.kind.name == "wiener" || f.moments == nil {
		return list, nil
	}
	wiener, err := f.bestLinear(0)
	return append(list, otherForm{name: "wiener", r: wiener}), err
}

func (f *linearFit) mse(ctx context.Context, r baseline.Reconstructor) (float64, error) {
	reconstruction, err := r.Reconstruct(ctx, f.corrupted)
	if err != nil {
		return 0, err
	}
	return baseline.MSE(ctx, f.clean, reconstruction)
}

// text shows the report to a person.
func (r *linearReport) text() string {
	name := withComponents(r.Kind, r.Components)
	out := fmt.Sprintf("%s of %s, fitted to %s; %d held out\n", name, r.Data, count(r.Rows, "row"), r.HeldOut)
	facts := grid{}
	if r.Likelihood != nil {
		heldOut := ""
		if r.HeldOut > 0 {
			heldOut = fmt.Sprintf(", %s on those held out", r.Likelihood.HeldOut)
		}
		facts.add("log likelihood", fmt.Sprintf("%s on the training rows%s, in nats an example", r.Likelihood.Train, heldOut))
	}
	if r.singular {
		facts.add("log likelihood", "none, since the covariance is singular; likelihood and score can smooth it with --sigma")
	}
	if r.Noise != nil {
		facts.add("noise", fmt.Sprintf("variance %s, mean over the columns", *r.Noise))
	}
	if r.Iterations != nil {
		facts.add("iterations", fmt.Sprint(*r.Iterations))
	}
	if len(facts) > 0 {
		out += indent(facts.left())
	}
	table := grid{{r.Corruption, "MSE", "skill %"}}
	row := func(name string, e errorJSON) {
		skill := "-" // the mean makes no error
		if v := float64(e.Skill); !math.IsNaN(v) && !math.IsInf(v, 0) {
			skill = fmt.Sprintf("%.1f", v)
		}
		table.add(name, e.MSE.String(), skill)
	}
	for _, other := range r.others {
		row(withComponents(other, r.Baseline[other].Components), r.Baseline[other])
	}
	row(name, errorJSON{MSE: r.MSE, Skill: r.Skill})
	out += indent(table.String())
	if r.Out != "" {
		out += r.Out + "\n"
	}
	return out
}

// withComponents is the name of a model, with the width of its code if it has one.
func withComponents(name string, components int) string {
	if components == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, components)
}
