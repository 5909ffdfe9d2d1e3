package main

import (
	"context"
	"fmt"
	"slices"

	"gpudae/internal/settings"
	"gpudae/model"
)

// scoreSettings are those of the noise levels of a score model.
type scoreSettings struct {
	Noise            string
	Parameterization string
	Weighting        string
	Embedding        string
	SigmaData        *float64 // nil: measured
}

func defaultScore() scoreSettings {
	return scoreSettings{Noise: auto, Parameterization: auto, Weighting: auto, Embedding: auto}
}

// scoreTable lists them.
func scoreTable() settings.Table[scoreSettings] {
	type c = scoreSettings
	const group = "Noise levels (with --objective dsm)"
	return settings.Table[c]{
		{Key: "noise", Group: group, Doc: "noise schedule",
			More:  "single:σ, geometric:min=A,max=B,levels=L, ddpm-linear:levels=T, ddpm-cosine:levels=T or edm:mean=M,spread=S; auto is geometric, whose max is by default the greatest distance between examples",
			Field: func(c *c) any { return &c.Noise }},
		{Key: "parameterization", Group: group, Doc: "what the network estimates",
			More: "edm, v, epsilon, score or x0; auto is edm", Field: func(c *c) any { return &c.Parameterization }},
		{Key: "weighting", Group: group, Doc: "weights of the noise levels in the loss",
			More: "edm, unit, score, x0 or min-snr:γ; auto is edm", Field: func(c *c) any { return &c.Weighting }},
		{Key: "embedding", Group: group, Doc: "how the network sees the noise level",
			More: "none, fourier:width=E,scale=S or positional:width=E; auto is fourier, none at a single level", Field: func(c *c) any { return &c.Embedding }},
		{Key: "sigma_data", Group: group, Doc: "standard deviation of the data, auto: measured", Field: func(c *c) any { return &c.SigmaData }},
	}
}

// given names the first setting that is not left to the program.
func (s *scoreSettings) given() string {
	for _, row := range scoreTable() {
		if row.Format(s) != auto {
			return row.Key
		}
	}
	return ""
}

// settleScore decides what the settings of a score model leave to the data: the
// greatest noise and σ_data are those of the training rows.
func (in *prepared) settleScore(ctx context.Context, c *trainSettings, origins settings.Origins) error {
	s := &c.Score
	if c.Model.Objective != model.ObjectiveDSM {
		if key := s.given(); key != "" {
			return usage(origin(origins, key), "objective "+c.Model.Objective+" has no noise levels", "add --objective dsm, or leave it out")
		}
		return nil
	}
	if in.mixed != nil {
		return usage(origin(origins, "objective"), "denoising score matching is of numbers, all of them there, and the table's columns are mixed",
			"give --schema none for a table of numbers, fill it in with impute before, or leave --objective out")
	}
	if s.Noise == auto {
		s.Noise = "geometric"
	}
	noise, err := model.ParseNoise(s.Noise)
	if err != nil {
		return located(err, origins)
	}
	if noise.Open() {
		greatest, err := model.GreatestDistance(ctx, in.table, in.split.Training())
		if err != nil {
			return err
		}
		noise, in.proposed = noise.Close(rounded(greatest)), true
	}
	if s.SigmaData == nil {
		moments, err := model.ColumnMoments(ctx, in.table, in.split.Training())
		if err != nil {
			return err
		}
		measured := rounded(moments.Deviation())
		s.SigmaData = &measured
	}
	if s.Parameterization == auto {
		s.Parameterization = model.Parameterizations()[0].Name
	}
	if s.Weighting == auto {
		s.Weighting = model.Weightings()[0].Name
	}
	if s.Embedding == auto {
		s.Embedding = model.Embeddings()[0].Name
		if len(noise.Levels()) > 1 {
			s.Embedding = "fourier"
		}
	}
	s.Noise = noise.String()
	c.Model.Score = model.Score{Noise: s.Noise, Parameterization: s.Parameterization, Weighting: s.Weighting, Embedding: s.Embedding, SigmaData: *s.SigmaData}
	return nil
}

// rounded keeps four digits: what is measured is no more certain.
func rounded(v float64) float64 {
	var r float64
	fmt.Sscan(fmt.Sprintf("%.4g", v), &r)
	return r
}

// noiseSpec is the process that a model undoes: its corruption or its noise schedule.
func noiseSpec(d *model.DAE) string {
	if d.IsScoreModel() {
		return d.Config().Score.Noise
	}
	return d.Config().Corruption
}

// noiseName says which it is.
func noiseName(d *model.DAE) string {
	if d.IsScoreModel() {
		return "noise " + noiseSpec(d)
	}
	return noiseSpec(d)
}

// lossName is what a model's loss is called.
func lossName(d *model.DAE) string {
	if d.IsScoreModel() || d.CodeDistribution().Stochastic {
		return "loss"
	}
	return "NLL"
}

// levelsReport shows what a score model does at its least, median and greatest
// noise level.
type levelsReport struct {
	dae      *model.DAE
	proposed bool // whether the greatest is that of the data
	measure  model.CorruptionMeasure
}

// shown are the levels that are printed.
func (r *levelsReport) shown() []model.Level {
	sigmas := r.dae.NoiseLevels()
	var levels []model.Level
	for _, sigma := range slices.Compact([]float64{sigmas[0], sigmas[len(sigmas)/2], sigmas[len(sigmas)-1]}) {
		levels = append(levels, r.dae.Level(sigma))
	}
	return levels
}

// String is the table that is printed before the first epoch.
func (r *levelsReport) String() string {
	c := r.dae.Config().Score
	text := fmt.Sprintf("noise: %s of %s, one drawn for each row at every step, with fresh noise; the clean example is the target\n",
		count(len(r.dae.NoiseLevels()), "level"), c.Noise)
	if r.proposed {
		text += "  the greatest σ is the greatest distance between training examples (Song and Ermon 2020)\n"
	}
	text += fmt.Sprintf("  D(x̃; σ) = c_skip·x̃ + c_out·F(c_in·x̃, embedding of σ): parameterization %s, weighting %s, embedding %s, σ_data %s\n",
		c.Parameterization, c.Weighting, c.Embedding, number(c.SigmaData))
	g := grid{{"σ", "c_in", "c_skip", "c_out", "weight"}}
	for _, l := range r.shown() {
		g.add(number(l.Sigma).brief(), number(l.In).brief(), number(l.Skip).brief(), number(l.Out).brief(), number(l.Weight).brief())
	}
	return text + indent(g.String()) + fmt.Sprintf("  realised on %d training rows: rms change %.4f\n", r.measure.Rows, r.measure.RMS)
}

// brief writes four significant digits.
func (n number) brief() string { return fmt.Sprintf("%.4g", float64(n)) }

// levelsJSON is the object "levels" in "corruption".
type levelsJSON struct {
	Count     int     `json:"count"`
	Least     float64 `json:"sigma_min"`
	Median    float64 `json:"sigma_median"`
	Greatest  float64 `json:"sigma_max"`
	SigmaData float64 `json:"sigma_data"`
}

func (r *levelsReport) json() *levelsJSON {
	sigmas := r.dae.NoiseLevels()
	return &levelsJSON{len(sigmas), sigmas[0], sigmas[len(sigmas)/2], sigmas[len(sigmas)-1], r.dae.Config().Score.SigmaData}
}
