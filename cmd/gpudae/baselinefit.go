package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/baseline"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/sample"
)

// linearFit is a fit under way.
type linearFit struct {
	kind       linearKind
	settings   *trainSettings
	origins    settings.Origins
	in         *prepared
	corruption model.Corruption
	components int
	method     string
	missing    bool // whether values may be
	em         baseline.EM

	train            baseline.Rows
	clean, corrupted baseline.Rows     // that are scored
	moments          *baseline.Moments // nil where there are too many features and they can be done without
	pca              baseline.PCA
	hidden           []int // cells of corrupted that were made missing, as indices of its values
	model            *linearModel
	trace            *baseline.Trace // of a fit that iterates
}

func (p *program) baselineFit(c *cli.Context, kind linearKind) error {
	if err := arguments(c, "DATA"); err != nil {
		return err
	}
	console := newConsole(p.stderr, c.Bool("quiet"))
	f := &linearFit{kind: kind, components: c.Int("components"), method: c.String("method"), missing: c.Bool("missing"),
		em: baseline.EM{Iterations: c.Int("iterations"), Tolerance: c.Float64("tolerance")}}
	if err := f.check(c); err != nil {
		return err
	}
	if err := p.resolveLinear(c, f); err != nil {
		return err
	}
	if err := checkOver(c.String("out"), c.Args().Slice()...); err != nil {
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
	case f.kind.methods != nil && !slices.Contains(f.kind.methods, f.method):
		return usage("--method", "unknown method "+quoted(f.method), "choose "+strings.Join(f.kind.methods, " or "))
	case f.missing && c.IsSet("method") && f.method != byEM:
		return usage("--method", "there is no closed form where values are missing", "choose "+byEM)
	case f.kind.iterates && f.em.Iterations < 1:
		return usage("--iterations", fmt.Sprintf("%d iterations", f.em.Iterations), "give a number such as 1000")
	case f.kind.iterates && !(f.em.Tolerance > 0):
		return usage("--tolerance", fmt.Sprintf("%g is not a positive number", f.em.Tolerance), "give one such as 1e-7")
	case f.kind.name == "ppca" && f.method == closedForm && !f.missing && (c.IsSet("iterations") || c.IsSet("tolerance")):
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
	if f.missing {
		if f.settings.Model.Corruption != auto {
			return usage(cmp.Or(origin(f.origins, "corruption"), "--corruption"), "a corruption has no meaning for values that are missing", "leave it out, or leave out --missing")
		}
		f.settings.Model.Corruption = "none"
	}
	return checkMachine(f.settings.Machine, f.origins)
}

// load reads the rows, corrupts those that are scored, and returns the name of
// the device that did; where values may be missing none is needed.
func (f *linearFit) load(ctx context.Context, p *program, console *console) (string, error) {
	s := f.settings
	var err error
	if f.in, err = p.prepareFrom(ctx, s, f.origins, inputOptions{label: s.Label, header: s.Header, missing: f.missing}); err != nil {
		return "", err
	}
	if f.kind.name == "mda" && s.Model.Corruption == auto {
		s.Model.Corruption = "masking:0.25"
	}
	if err := f.in.settle(ctx, s, f.origins); err != nil {
		return "", err
	}
	if f.corruption, err = model.ParseCorruption(s.Model.Corruption); err != nil {
		return "", located(err, f.origins)
	}
	scored := f.in.split.Validation()
	if f.in.split.Held == 0 {
		scored = f.in.split.Training()
	}
	f.train = rowsOf(f.in.table, f.in.split.Training(), f.in.table.Rows)
	f.model = &linearModel{Format: linearFormat, Kind: f.kind.name, Data: f.in.info, Scaler: *f.in.scaler, Label: s.Label, Header: s.Header,
		Split: f.in.split, Corruption: f.corruption.String()}
	if f.missing {
		f.hide(rowsOf(f.in.table, scored, f.in.table.Rows))
		return "", nil
	}
	dev, err := openDevice(s.Machine, f.origins, console.logf)
	if err != nil {
		return "", err
	}
	defer dev.Close()
	if err := f.corrupt(ctx, dev, scored); err != nil {
		return "", located(err, f.origins)
	}
	return dev.Info().Name, f.measure(ctx)
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

func fitPCA(ctx context.Context, f *linearFit) error {
	var err error
	switch {
	case f.method == randomized:
		f.pca, err = baseline.RandomizedPCA(ctx, f.train, f.components)
	case f.method == exactly && f.moments == nil:
		var m baseline.Moments
		if m, err = baseline.EstimateMoments(ctx, f.train); err == nil {
			f.pca, err = baseline.PCAOf(m, f.components)
		}
	}
	f.model.PCA = &f.pca
	return err
}

func fitPPCA(ctx context.Context, f *linearFit) error {
	var g baseline.LatentGaussian
	var err error
	switch {
	case f.missing:
		f.trace = new(baseline.Trace)
		g, *f.trace, err = baseline.FitPPCAMissing(ctx, f.train, f.components, f.em)
	case f.method == byEM:
		f.trace = new(baseline.Trace)
		g, *f.trace, err = baseline.FitPPCAByEM(ctx, f.train, f.components, f.em)
	default:
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
