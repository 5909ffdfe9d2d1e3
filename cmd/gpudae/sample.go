package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/sample"
	"gpudae/train"
)

// Defaults and bounds of sampling.
const (
	defaultSamples = 64
	mostSamples    = 10_000_000
	mostSteps      = 1_000_000
)

// sampler is a way to draw samples: a Markov chain, a descent of noise levels, or
// neither: from the prior of the codes.
type sampler struct {
	name, formula string
	chain         *sample.Method
	diffusion     *sample.Diffusion
}

func samplers() []sampler {
	var all []sampler
	for _, m := range sample.Samplers() {
		all = append(all, sampler{name: m.Name, formula: m.Formula, chain: &m})
	}
	for _, d := range sample.Diffusions() {
		all = append(all, sampler{name: d.Name, formula: d.Formula, diffusion: &d})
	}
	return append(all, sampler{name: methodPrior, formula: "h ~ p(h), x ~ p(x|h)"})
}

func samplerNames(keep func(sampler) bool) []string {
	var names []string
	for _, s := range samplers() {
		if keep(s) {
			names = append(names, s.name)
		}
	}
	return names
}

func (s sampler) isChain() bool     { return s.chain != nil }
func (s sampler) isDiffusion() bool { return s.diffusion != nil }

// The names of the rows that are defaults, or that flags belong to.
const (
	methodWalkback = "walkback"
	methodLangevin = "langevin"
	methodHeun     = "heun"
	methodEuler    = "euler"
	methodDDIM     = "ddim"
	methodAnnealed = "annealed-langevin"
	methodPrior    = "prior"
)

// samplerFlags are the flags that not all methods take, with those that do.
func samplerFlags() map[string][]string {
	chains, diffusions := samplerNames(sampler.isChain), samplerNames(sampler.isDiffusion)
	return map[string][]string{
		"burn-in": chains, "start": chains, "data": chains, "denoise": append(slices.Clone(chains), methodPrior),
		"steps": slices.Concat(chains, diffusions), "given": slices.Concat(chains, diffusions), "given-from": slices.Concat(chains, diffusions), "given-columns": slices.Concat(chains, diffusions),
		"spread": {methodWalkback, methodPrior}, "sigma": {methodLangevin}, "step-size": {methodLangevin, methodAnnealed},
		"grid": diffusions, "rho": diffusions, "sigma-max": diffusions, "sigma-min": diffusions,
		"inner": {methodAnnealed}, "eta": {methodDDIM}, "churn": {methodHeun, methodEuler},
		"conditioning": diffusions, "resample": diffusions, "jump": diffusions,
	}
}

func (p *program) sampleCommand() *cli.Command {
	methods := grid{}
	for _, s := range samplers() {
		methods.add(s.name, s.formula)
	}
	return &cli.Command{
		Name:      "sample",
		Usage:     "draw new examples from a model",
		ArgsUsage: "MODEL -n N -o OUT",
		Description: `METHOD is one of:
` + indent(methods.left()) + `
The first two are Markov chains, whose last states are written: walkback takes any
model but one of score matching, langevin one trained under Gaussian noise, or
--sigma. The effective sample size and R̂ (1 when the chains have forgotten their
starts) tell whether --burn-in and --steps are enough. The others come down from
noise to data along the levels that a model of --objective dsm knows, or, as prior
does for models with a stochastic code, decode random codes; their samples are
independent.

--given holds columns to values in the scale of the data, and draws the others;
--given-from takes the values from the rows of a file, one sample each. Of a model
of score matching the method is then annealed-langevin by default, which comes
closest to the conditional distribution; the others are quicker.

Examples:
  gpudae sample runs/mine -n 100 -o samples.npy
  gpudae sample runs/mine -n 100 --denoise -o means.idx.gz
  gpudae sample runs/moons -n 2000 --method langevin --steps 1000 -o moons.csv
  gpudae train two-moons --objective dsm -o runs/score
  gpudae sample runs/score -n 2000 --method heun --steps 40 -o moons.csv
  gpudae sample runs/score -n 500 --given x=0.5 -o given.csv
  gpudae sample runs/vae -n 100 --denoise -o digits.idx.gz`,
		Flags:  slices.Concat(samplingFlags(), chainFlags(), descentFlags(), givenFlags(), inferenceFlags()),
		Action: p.sample,
	}
}

func samplingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write: .npy, .csv, .tsv or .idx, also with .gz or .zst, .npz, .parquet or .safetensors"},
		&cli.IntFlag{Name: "number", Aliases: []string{"n"}, Category: "Sampling", Usage: "`N` samples", DefaultText: fmt.Sprintf("%d, or the rows of --given-from", defaultSamples)},
		&cli.StringFlag{Name: "method", Category: "Sampling", Usage: "`METHOD` sampler", DefaultText: methodHeun + " for a model of score matching, " + methodPrior + " for one with a stochastic code, otherwise " + methodWalkback},
		&cli.IntFlag{Name: "steps", Category: "Sampling", Usage: "`K` steps of each chain that the diagnosis looks at, or noise levels", DefaultText: fmt.Sprintf("%d of a chain; by the method", defaultSteps)},
		&cli.Uint64Flag{Name: "seed", Category: "Sampling", Usage: "`N` of the draws", DefaultText: "the run's"},
	}
}

// sampling is what the flags of sample ask for.
type sampling struct {
	sampler
	number  int
	given   *givenColumns // nil without
	chains  *chainPlan    // of a chain
	descent *descentPlan  // of a diffusion
	prior   *priorPlan    // of decoded codes
	console *console
}

func (p *program) sample(c *cli.Context) error {
	if err := arguments(c, "MODEL"); err != nil {
		return err
	}
	out, err := outputFile(c)
	if err != nil {
		return err
	}
	if err := checkSampling(c); err != nil {
		return err
	}
	o, saved, err := p.inference(c)
	if err != nil {
		return err
	}
	if c.IsSet("seed") {
		saved.Config.Seed = c.Uint64("seed")
	}
	s, err := p.samplingOf(c, o, saved)
	if err != nil {
		return err
	}
	info := saved.Schema
	info.Rows = s.number
	f := formOf(saved, info, out)
	w, err := data.CreateArray(out, f.array)
	if err != nil {
		return err
	}
	defer w.Abort()
	err = o.onDevice(func(dev device.Device) error {
		return s.run(c.Context, dev, saved, func(states []float32) error { return f.append(c.Context, w, states) })
	})
	if err != nil {
		return chainError(err, "sample", s.remedy())
	}
	if err := w.Commit(); err != nil {
		return err
	}
	return p.printSampled(o, s, out, f.array)
}

// checkSampling checks the flags that need no model.
func checkSampling(c *cli.Context) error {
	for _, bound := range []struct {
		flag      string
		low, most int
	}{{"number", 1, mostSamples}, {"steps", 1, mostSteps}, {"burn-in", 0, mostSteps}, {"inner", 1, mostSteps}, {"resample", 1, mostResamplings}, {"jump", 1, mostSteps}} {
		if value := c.Int(bound.flag); c.IsSet(bound.flag) && (value < bound.low || value > bound.most) {
			return usage("--"+bound.flag, fmt.Sprintf("%d is out of range", value), fmt.Sprintf("give %d to %d", bound.low, bound.most))
		}
	}
	if start := c.String("start"); start != startData && start != startNoise {
		return usage("--start", "unknown start "+quoted(start), "choose data or noise")
	}
	_, err := findSampler(c.String("method"))
	return err
}

// findSampler returns the row of that name; an empty name is none.
func findSampler(name string) (sampler, error) {
	for _, s := range samplers() {
		if s.name == name || name == "" {
			return s, nil
		}
	}
	names := samplerNames(func(sampler) bool { return true })
	return sampler{}, usage("--method", "unknown method "+quoted(name), settings.Suggest(name, names, "")+"choose one of "+strings.Join(names, ", "))
}

// samplingOf reads the flags in the light of the model.
func (p *program) samplingOf(c *cli.Context, o *inferenceOptions, saved *train.Saved) (*sampling, error) {
	method := c.String("method")
	if method == "" {
		method = defaultMethod(saved.DAE, c.IsSet("given") || c.IsSet("given-from"))
	}
	row, err := findSampler(method)
	if err != nil {
		return nil, err
	}
	s := &sampling{sampler: row, number: defaultSamples, console: o.console}
	methods := samplerFlags()
	for _, flag := range slices.Sorted(maps.Keys(methods)) {
		if c.IsSet(flag) && !slices.Contains(methods[flag], s.name) {
			return nil, usage("--"+flag, "has no meaning for "+s.name, "leave it out or choose another --method")
		}
	}
	if s.given, err = p.givenOf(c, o, saved); err != nil {
		return nil, err
	}
	if s.given != nil && s.given.rows > 1 {
		s.number = s.given.rows
	}
	if c.IsSet("number") {
		s.number = c.Int("number")
	}
	switch {
	case s.isChain():
		s.chains, err = p.chainsOf(c, o, saved, s)
	case s.isDiffusion():
		s.descent, err = descentOf(c, saved, s)
	default:
		s.prior, err = priorOf(c, o, saved)
	}
	return s, err
}

// defaultMethod is the sampler that suits a model without more being known. Of
// those that complete given columns it is the one that comes closest to the
// conditional distribution.
func defaultMethod(d *model.DAE, given bool) string {
	switch {
	case d.IsScoreModel() && given:
		return methodAnnealed
	case d.IsScoreModel():
		return methodHeun
	case d.CodeDistribution().Stochastic && !given:
		return methodPrior
	}
	return methodWalkback
}

// run hands the samples [rows, features], in the scale of training, to emit: those of
// chains at once, for their diagnosis looks at all of them, others as they are drawn.
func (s *sampling) run(ctx context.Context, dev device.Device, saved *train.Saved, emit func([]float32) error) error {
	switch {
	case s.isChain():
		return s.runChains(ctx, dev, saved, emit)
	case s.isDiffusion():
		return s.runDescent(ctx, dev, saved, emit)
	}
	return s.runPrior(ctx, dev, saved, emit)
}

// sampledJSON is the result of sample: of a chain its steps and diagnosis, of a
// diffusion its noise levels.
type sampledJSON struct {
	wrote
	Method string   `json:"method"`
	Given  []string `json:"given,omitempty"`
	*chainJSON
	*descentJSON
}

func (p *program) printSampled(o *inferenceOptions, s *sampling, out string, array data.ArrayInfo) error {
	shape := append([]int{array.Rows}, array.Shape...)
	if o.json {
		result := sampledJSON{wrote: wrote{out, shape}, Method: s.name}
		if s.given != nil {
			result.Given = s.given.names
		}
		switch {
		case s.isChain():
			result.chainJSON = s.chains.json(s)
		case s.isDiffusion():
			result.descentJSON = s.descent.json()
		}
		return p.printJSON(result)
	}
	text := fmt.Sprintf("%s: %v\n", out, shape)
	switch {
	case s.isChain():
		text += s.chains.text(s)
	case s.isDiffusion():
		text += s.descent.text(s)
	default:
		text += s.prior.text(s)
	}
	if s.given != nil {
		text += s.given.text(s.number)
	}
	return p.printText(text)
}
