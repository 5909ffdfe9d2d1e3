package main

import (
	"context"
	"fmt"
	"math"

	"gpudae/baseline"
	"gpudae/device"
	"gpudae/model"
	"gpudae/train"
)

// Bounds of what baselines are fitted on and scored on; beyond them rows are
// left out evenly.
const (
	baselineFitRows   = 10_000
	baselineNoiseRows = 1_000
	baselineScoreRows = 20_000
	baselineMemory    = 1 << 30 // bytes of clean rows to score
)

// examination is what a model is to be judged on.
type examination struct {
	table    device.Table
	rows     device.Rows // of the table
	training device.Rows // rows of the table that the model was trained on; empty if it was trained on other data
	samples  int         // of an importance-weighted bound, 0 for none
}

// together is the number of rows that a model of the run is bound to: a minibatch of
// them, and all samples of one for a bound.
func (e *examination) together(saved *train.Saved) int {
	return max(1, min(saved.Config.Batch, e.rows.Len()), min(e.samples, model.MaxReplicates))
}

// assessment is how well a model reconstructs, beside the closed forms.
type assessment struct {
	model.Evaluation
	stochastic bool    // whether the code is, so that there are bounds
	samples    int     // of the importance-weighted bound
	bound      float64 // on ln p(x), nats an example
	baseline   *baseline.Table
	columns    []columnScore // of a table of mixed columns, in place of baseline
}

// skill is the percentage of the mean's squared error that a reconstruction
// removes: 100·(1 - MSE/MSE of the mean). It is negative for one that is worse.
func (a *assessment) skill(mse float64) float64 { return 100 * (1 - mse/a.baseline.Mean.MSE) }

// overall is the skill of the model, of a table of mixed columns over all of them.
func (a *assessment) overall() float64 {
	if a.columns != nil {
		return tableSkill(a.columns)
	}
	return a.skill(a.MSE)
}

// likely reports whether the model has a likelihood.
func (a *assessment) likely() bool { return !math.IsNaN(a.NLL) }

// legend explains the table.
func (a *assessment) legend() string {
	if a.columns != nil {
		return columnsLegend
	}
	if a.likely() {
		return "NLL in nats an example, skill against the mean"
	}
	return "loss " + number(a.Loss).String() + ", skill against the mean over all noise levels"
}

// assess evaluates a model and the baselines on the same rows under the same
// noise. The baselines are fitted on the training rows, or on the rows
// themselves where those of the training are not at hand, which flatters the
// baselines.
func assess(ctx context.Context, dev device.Device, saved *train.Saved, exam examination) (*assessment, error) {
	if saved.Columns != nil {
		return assessTable(ctx, dev, saved, exam)
	}
	net, src, err := saved.Bind(dev, exam.together(saved))
	if err != nil {
		return nil, err
	}
	if src.Data, err = dev.Load(ctx, exam.table); err != nil {
		return nil, err
	}
	src.Part = exam.rows
	pairs := newPairs(exam.rows.Len(), exam.table.Columns)
	a := &assessment{stochastic: saved.DAE.CodeDistribution().Stochastic, samples: exam.samples}
	if a.Evaluation, err = net.EvaluateEach(ctx, src, pairs.add); err != nil {
		return nil, err
	}
	if exam.samples > 0 {
		bound, err := net.ImportanceBound(ctx, src, exam.samples)
		if err != nil {
			return nil, err
		}
		a.bound = -bound
	}
	var sigma float64
	if levels := saved.DAE.NoiseLevels(); len(levels) == 1 {
		sigma = levels[0]
	}
	problem := baseline.Problem{Sigma: sigma, ManyLevels: len(saved.DAE.NoiseLevels()) > 1, Clean: pairs.clean, Corrupted: pairs.corrupted, Likelihood: baselineLikelihood(saved.DAE),
		Train: pairs.clean, MaxRows: baselineFitRows, Components: pcaComponents(exam.table.Columns)}
	if exam.training.Len() > 0 {
		problem.Train = rowsOf(exam.table, exam.training, baselineFitRows)
		src.Part = exam.training
		clean, corrupted, _, err := net.Triples(ctx, src, baselineNoiseRows)
		if err != nil {
			return nil, err
		}
		problem.NoiseClean = baseline.Rows{Values: clean.Data().([]float32), Features: exam.table.Columns}
		problem.NoiseCorrupted = baseline.Rows{Values: corrupted.Data().([]float32), Features: exam.table.Columns}
	}
	table, err := baseline.Compare(ctx, problem)
	if err != nil {
		return nil, err
	}
	a.baseline = &table
	return a, nil
}

// pcaComponents is what PCA may keep: with as many as there are features it
// would reconstruct x̃ itself.
func pcaComponents(features int) int { return min(baseline.DefaultComponents, max(1, features/2)) }

// pairs collects clean and corrupted rows, every so many if there are too many.
type pairs struct {
	clean, corrupted baseline.Rows
	every            int
}

func newPairs(rows, features int) *pairs {
	most := max(1, min(baselineScoreRows, baselineMemory/4/features))
	return &pairs{clean: baseline.Rows{Features: features}, corrupted: baseline.Rows{Features: features}, every: (rows + most - 1) / most}
}

func (p *pairs) add(b model.Batch) error {
	for i := range b.Rows {
		if (b.First+i)%p.every == 0 {
			p.clean.Values = append(p.clean.Values, b.Clean[i*b.Features:(i+1)*b.Features]...)
			p.corrupted.Values = append(p.corrupted.Values, b.Corrupted[i*b.Features:(i+1)*b.Features]...)
		}
	}
	return nil
}

// rowsOf takes rows of a part of a table, evenly spaced if there are more than limit.
func rowsOf(table device.Table, part device.Rows, limit int) baseline.Rows {
	numbers := rowNumbers(table.Rows, part, part.Len())
	n := min(len(numbers), limit)
	out := baseline.Rows{Values: make([]float32, 0, n*table.Columns), Features: table.Columns}
	for i := range n {
		row := numbers[i*len(numbers)/n]
		for j := range table.Columns {
			out.Values = append(out.Values, valueAt(table, row*table.Columns+j))
		}
	}
	return out
}

// rowNumbers are the numbers, in a table of so many rows, of the first rows of a part.
func rowNumbers(rows int, part device.Rows, limit int) []int {
	numbers := make([]int, min(part.Len(), limit))
	permutation := part.Permutation(rows)
	for i := range numbers {
		numbers[i] = part.Lo + i
		if part.Split {
			numbers[i] = int(permutation.At(uint32(numbers[i])))
		}
	}
	return numbers
}

// valueAt is element i of a table, widened as a device does.
func valueAt(t device.Table, i int) float32 { return t.At(i) }

func baselineLikelihood(dae *model.DAE) baseline.Likelihood {
	l := dae.Likelihood()
	return baseline.Likelihood{Name: l.Kind.String(), Sigma: l.Sigma, Fields: dae.Config().Fields}
}

// table shows the assessment for a person.
func (a *assessment) table() string {
	if a.columns != nil {
		return a.columnsTable()
	}
	g := grid{{"", "NLL", "NLL/feature", "MSE", "skill %"}}
	if !a.likely() {
		g = grid{{"", "MSE", "skill %"}}
	}
	row := func(name string, s baseline.Score) {
		if !a.likely() {
			g.add(withComponents(name, s.Components), number(s.MSE).String(), fmt.Sprintf("%.1f", a.skill(s.MSE)))
			return
		}
		g.add(withComponents(name, s.Components), fmt.Sprintf("%.4f", s.NLL), fmt.Sprintf("%.5f", s.PerFeature), number(s.MSE).String(), fmt.Sprintf("%.1f", a.skill(s.MSE)))
	}
	b := a.baseline
	row("identity", b.Identity)
	row("mean", b.Mean)
	row("pca", b.PCA)
	if b.PPCA != nil {
		row("ppca", *b.PPCA)
	}
	if b.FA != nil {
		row("fa", *b.FA)
	}
	row("gpudae", baseline.Score{NLL: a.NLL, PerFeature: a.PerFeature, MSE: a.MSE})
	text := g.String()
	for _, s := range b.Skipped {
		text += s.Name + " is left out: " + s.Reason + "\n"
	}
	return text
}

// scoreJSON is a baseline's score.
type scoreJSON struct {
	NLL        number `json:"nll"`
	PerFeature number `json:"nll_per_feature"`
	MSE        number `json:"mse"`
	Skill      number `json:"skill"`
	Components int    `json:"components,omitempty"`
}

// baselineJSON is the object "baseline".
type baselineJSON struct {
	Identity *scoreJSON `json:"identity,omitempty"`
	Mean     *scoreJSON `json:"mean,omitempty"`
	PCA      *scoreJSON `json:"pca,omitempty"`
	Marginal *scoreJSON `json:"marginal,omitempty"` // of a table of mixed columns: of each column by itself, in place of the others

	PPCA    *scoreJSON        `json:"ppca,omitempty"`
	FA      *scoreJSON        `json:"fa,omitempty"`
	Skipped map[string]string `json:"skipped,omitempty"` // why one of these is not there
}

func (a *assessment) baselines() *baselineJSON {
	if a.columns != nil {
		return &baselineJSON{Marginal: &scoreJSON{NLL: number(a.marginalNLL()), PerFeature: number(a.marginalNLL() / float64(len(a.columns))), MSE: number(math.NaN()), Skill: 0}}
	}
	score := func(s baseline.Score) *scoreJSON {
		if !a.likely() {
			s.NLL, s.PerFeature = math.NaN(), math.NaN()
		}
		return &scoreJSON{number(s.NLL), number(s.PerFeature), number(s.MSE), number(a.skill(s.MSE)), s.Components}
	}
	b := a.baseline
	out := &baselineJSON{Identity: score(b.Identity), Mean: score(b.Mean), PCA: score(b.PCA)}
	for _, latent := range []struct {
		from *baseline.Score
		to   **scoreJSON
	}{{b.PPCA, &out.PPCA}, {b.FA, &out.FA}} {
		if latent.from != nil {
			*latent.to = score(*latent.from)
		}
	}
	for _, s := range b.Skipped {
		if out.Skipped == nil {
			out.Skipped = map[string]string{}
		}
		out.Skipped[s.Name] = s.Reason
	}
	return out
}

// decibels writes a PSNR.
func decibels(psnr float64) string {
	if math.IsInf(psnr, 1) {
		return "exact"
	}
	return fmt.Sprintf("%.2f dB", psnr)
}
