package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"gpudae/device"
	"gpudae/sample"
	"gpudae/train"
)

// Defaults and bounds of diffusion samplers.
const (
	annealedStepSize = 0.5
	annealedInner    = 10
	karrasRho        = 7
	gridKarras       = "karras"
	gridModel        = "model"
	byMoments        = "moments"
	byReplacement    = "replacement"
	defaultJump      = 10
	mostResamplings  = 1000
	unboundedNoise   = 1e30 // of churn
)

// defaultLevels is the number of noise levels of a method.
func defaultLevels(method string) int {
	switch method {
	case methodHeun:
		return 40
	case methodAnnealed:
		return 50
	}
	return 150
}

func descentFlags() []cli.Flag {
	text := func(name, usage, otherwise string) cli.Flag {
		return &cli.StringFlag{Name: name, Category: "Noise levels", Usage: usage, DefaultText: otherwise}
	}
	float := func(name, usage, otherwise string) cli.Flag {
		return &cli.Float64Flag{Name: name, Category: "Noise levels", Usage: usage, DefaultText: otherwise}
	}
	whole := func(name, usage, otherwise string) cli.Flag {
		return &cli.IntFlag{Name: name, Category: "Noise levels", Usage: usage, DefaultText: otherwise}
	}
	return []cli.Flag{
		text("grid", "`GRID` the levels: karras (σ^(1/ρ) in equal steps) or model (those of its training, every so many)", gridKarras),
		float("rho", "`R` ρ of karras", fmt.Sprint(karrasRho)),
		float("sigma-max", "`S` the first level, in the scale of training", "the model's greatest"),
		float("sigma-min", "`S` the last", "the model's least"),
		float("eta", "`E` ddim: share of the posterior's noise, 0 to 1", "0"),
		float("churn", "`S` heun and euler: S_churn of Karras et al. 2022", "0"),
		whole("inner", "`K` annealed-langevin: steps at each level", fmt.Sprint(annealedInner)),
	}
}

// descentPlan is how chains are to come down the noise levels.
type descentPlan struct{ descent sample.Descent }

func descentOf(c *cli.Context, saved *train.Saved, s *sampling) (*descentPlan, error) {
	known := saved.DAE.NoiseLevels()
	if len(known) < 2 {
		trained := "under " + saved.DAE.Corruption().String()
		if saved.DAE.IsScoreModel() {
			trained = "at one noise level"
		}
		return nil, usage(c.Args().First(), "trained "+trained+", so "+s.name+" has no noise levels to come down",
			"train with --objective dsm, or choose "+methodLangevin+" or "+methodWalkback)
	}
	plan := &descentPlan{}
	d := &plan.descent
	d.Inner, d.Jump, d.Churn = annealedInner, defaultJump, sample.Churn{Max: unboundedNoise, Noise: 1}
	if c.IsSet("inner") {
		d.Inner = c.Int("inner")
	}
	if c.IsSet("jump") {
		d.Jump = c.Int("jump")
	}
	d.Resample = c.Int("resample")
	var err error
	if d.StepSize, err = stepSize(c, annealedStepSize); err != nil {
		return nil, err
	}
	if d.Eta = c.Float64("eta"); !(d.Eta >= 0 && d.Eta <= 1) {
		return nil, usage("--eta", fmt.Sprintf("%g is out of range", d.Eta), "give 0 to 1")
	}
	if d.Churn.Amount = c.Float64("churn"); !(d.Churn.Amount >= 0 && d.Churn.Amount <= maxPositive) {
		return nil, usage("--churn", fmt.Sprintf("%g is out of range", d.Churn.Amount), "give 0 or a positive number such as 20")
	}
	switch how := c.String("conditioning"); {
	case c.IsSet("conditioning") && how != byMoments && how != byReplacement:
		return nil, usage("--conditioning", "unknown conditioning "+quoted(how), "choose "+byMoments+" or "+byReplacement)
	case s.given == nil && (c.IsSet("conditioning") || c.IsSet("resample") || c.IsSet("jump")):
		return nil, usage("--conditioning", "nothing is given", "name columns with --given or --given-from, or leave out --conditioning, --resample and --jump")
	default:
		d.Given, d.Replace = s.given.values(), how == byReplacement
	}
	d.Levels, err = levelsOf(c, s.name, known)
	return plan, err
}

// levelsOf are the noise levels to come down; known are those of the model,
// rising.
func levelsOf(c *cli.Context, method string, known []float64) ([]float64, error) {
	n := defaultLevels(method)
	if c.IsSet("steps") {
		n = c.Int("steps")
	}
	low, high, rho := known[0], known[len(known)-1], float64(karrasRho)
	for flag, value := range map[string]*float64{"sigma-min": &low, "sigma-max": &high, "rho": &rho} {
		if !c.IsSet(flag) {
			continue
		}
		var err error
		if *value, err = positive(c, flag, "1"); err != nil {
			return nil, err
		}
	}
	if c.IsSet("rho") && c.String("grid") == gridModel {
		return nil, usage("--rho", "has no meaning for the grid "+gridModel, "leave it out or choose --grid "+gridKarras)
	}
	if n < 2 {
		return nil, usage("--steps", "one noise level is not enough", "give 2 or more")
	}
	if !(high > low) {
		return nil, usage("--sigma-max", fmt.Sprintf("%g is not above the last level, %g", high, low), "give a greater one, or a smaller --sigma-min")
	}
	switch grid := c.String("grid"); grid {
	case "", gridKarras:
		return sample.KarrasLevels(high, low, n, rho)
	case gridModel:
		return modelLevels(c, known, low, high, n)
	default:
		return nil, usage("--grid", "unknown grid "+quoted(grid), "choose "+gridKarras+" or "+gridModel)
	}
}

// modelLevels are those of training between low and high, falling: all of them,
// or n if that was asked for.
func modelLevels(c *cli.Context, known []float64, low, high float64, n int) ([]float64, error) {
	within := slices.DeleteFunc(slices.Clone(known), func(sigma float64) bool { return sigma < low || sigma > high })
	slices.Reverse(within)
	within = slices.Compact(within)
	if len(within) < 2 {
		return nil, usage("--grid", fmt.Sprintf("the model has %s from σ = %g to %g", count(len(within), "level"), low, high), "widen --sigma-min and --sigma-max, or choose "+gridKarras)
	}
	if !c.IsSet("steps") || n >= len(within) {
		return within, nil
	}
	levels := make([]float64, n)
	for i := range levels {
		levels[i] = within[i*(len(within)-1)/(n-1)]
	}
	return levels, nil
}

func (s *sampling) runDescent(ctx context.Context, dev device.Device, saved *train.Saved, emit func([]float32) error) error {
	net, _, err := saved.Bind(dev, min(inferenceBatch, s.number))
	if err != nil {
		return err
	}
	d := s.descent.descent
	d.Denoiser, d.Together, d.Seed = net, net.Rows(), saved.Config.Seed
	d.Observe = func(int, int, []float32, float64) error { s.tick(); return nil }
	minibatches := (s.number + net.Rows() - 1) / net.Rows()
	s.console.start(int64(minibatches) * int64(d.Moves()))
	defer s.console.stop()
	for ; d.First < s.number; d.First += rowsAtATime {
		rows := min(rowsAtATime, s.number-d.First)
		if d.Start, err = sample.StartAt(ctx, net, d.First, rows, d.Levels[0], d.Seed); err != nil {
			return err
		}
		states, err := s.diffusion.Run(ctx, d)
		if err != nil {
			return err
		}
		if err := emit(states); err != nil {
			return err
		}
	}
	return nil
}

// descentJSON is how samples came down.
type descentJSON struct {
	Levels   int     `json:"levels"`
	SigmaMax float64 `json:"sigma_max"`
	SigmaMin float64 `json:"sigma_min"`
	Moves    int     `json:"moves"` // of each sample, from level to level, with those back up
}

func (plan *descentPlan) json() *descentJSON {
	levels := plan.descent.Levels
	return &descentJSON{len(levels), levels[0], levels[len(levels)-1], plan.descent.Moves()}
}

func (plan *descentPlan) text(s *sampling) string {
	levels := plan.descent.Levels
	return fmt.Sprintf("%s: %s from σ = %s down %d noise levels to %s\n", s.name, count(s.number, "independent sample"),
		number(levels[0]), len(levels), number(levels[len(levels)-1]))
}
