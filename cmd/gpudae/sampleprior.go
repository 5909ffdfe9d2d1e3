package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"gpudae/device"
	"gpudae/sample"
	"gpudae/train"
)

// priorPlan is how codes from the prior are to be decoded.
type priorPlan struct {
	denoise bool    // E[x|h] in place of a draw
	spread  float64 // 0: the likelihood's
}

func priorOf(c *cli.Context, o *inferenceOptions, saved *train.Saved) (*priorPlan, error) {
	if !saved.DAE.CodeDistribution().Stochastic {
		return nil, usage("--method", "the code of "+o.model+" is deterministic, so it has no prior", "train with --code-distribution gaussian, or choose "+defaultMethod(saved.DAE, false))
	}
	plan := &priorPlan{denoise: c.Bool("denoise")}
	if plan.denoise {
		if c.IsSet("spread") {
			return nil, usage("--spread", "has no meaning with --denoise", "leave one of them out")
		}
		return plan, nil
	}
	var err error
	plan.spread, err = spreadOf(c, o, saved)
	return plan, err
}

func (s *sampling) runPrior(ctx context.Context, dev device.Device, saved *train.Saved, emit func([]float32) error) error {
	net, src, err := saved.Bind(dev, min(inferenceBatch, s.number))
	if err != nil {
		return err
	}
	draws := sample.PriorDraws{Net: net, Seed: src.Seed, Mean: s.prior.denoise, Spread: s.prior.spread}
	for ; draws.First < s.number; draws.First += rowsAtATime {
		draws.Number = min(rowsAtATime, s.number-draws.First)
		states, err := sample.Prior(ctx, draws)
		if err != nil {
			return err
		}
		if err := emit(states); err != nil {
			return err
		}
	}
	return nil
}

func (plan *priorPlan) text(s *sampling) string {
	what := "independent"
	if plan.denoise {
		what = "means E[x|h]"
	}
	return fmt.Sprintf("%s: %s, %s\n", s.name, count(s.number, "sample"), what)
}
