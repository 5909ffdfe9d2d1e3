package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gpudae/baseline"
)

// linearReport is what a fit prints.
type linearReport struct {
	Kind       string               `json:"kind"`
	Data       string               `json:"data"`
	Device     string               `json:"device,omitempty"` // that corrupted
	Rows       int                  `json:"rows"`             // of training
	HeldOut    int                  `json:"held_out"`
	Split      string               `json:"split"` // of the rows that are scored: val, or train where none are held out
	Components int                  `json:"components,omitempty"`
	Corruption string               `json:"corruption,omitempty"`
	Missing    *missingJSON         `json:"missing,omitempty"`
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
	if f.missing {
		r.Corruption, r.Missing = "", f.missingValues()
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
	train, err := f.model.meanLogLikelihood(ctx, f.train)
	if errors.Is(err, baseline.ErrNoDensity) {
		r.singular = true
		return nil
	}
	if err != nil {
		return err
	}
	r.Likelihood = &likelihoodJSON{Train: number(train), HeldOut: number(math.NaN())}
	if f.in.split.Held == 0 {
		return nil
	}
	held, err := f.model.meanLogLikelihood(ctx, rowsOf(f.in.table, f.in.split.Validation(), f.in.table.Rows))
	r.Likelihood.HeldOut = number(held)
	return err
}

// errors measures the reconstructions of the pairs.
func (f *linearFit) errors(ctx context.Context, r *linearReport) error {
	mean := baseline.Mean(f.pca.Mean)
	if f.missing {
		mean = f.columnMeans()
	}
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
	if f.missing {
		return []otherForm{{name: "mean", r: mean}}, nil
	}
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

// mse is the mean squared error of a reconstruction, of the hidden values where
// some are.
func (f *linearFit) mse(ctx context.Context, r baseline.Reconstructor) (float64, error) {
	reconstruction, err := r.Reconstruct(ctx, f.corrupted)
	if err != nil {
		return 0, err
	}
	if f.missing {
		return f.hiddenMSE(reconstruction), nil
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
	if r.Missing != nil {
		facts.add("missing", fmt.Sprintf("%d of %d training values", r.Missing.Values, r.Rows*r.Missing.features))
	}
	if len(facts) > 0 {
		out += indent(facts.left())
	}
	what := r.Corruption
	if r.Missing != nil {
		what = count(r.Missing.Hidden, "hidden value")
	}
	table := grid{{what, "MSE", "skill %"}}
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
