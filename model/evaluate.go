package model

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gpudae/device"
)

// Evaluation is how well a model reconstructs a part of a data set. NLL is in
// nats with every constant of the likelihood; errors are in the scale of the
// data. A score model has no likelihood: its NLL is NaN.
type Evaluation struct {
	N          int
	Loss       float64 // mean of the objective over examples: NLL + β·KL, of a table weighted by emphasis and column; or that of denoising score matching
	NLL        float64 // mean of -log p(x|h), h the code of x̃, over examples; not weighted by emphasis
	KL         float64 // mean divergence of q(h|x̃) from the prior, 0 of deterministic codes: NLL + KL bounds -log p(x) from above
	PerFeature float64 // NLL / features
	MSE        float64 // mean of (x - E[x|h])² over examples and features; of mixed columns over the numbers that are not absent, NaN if there are none
	PSNR       float64 // 10·log₁₀(Peak²/MSE) decibels, at most MaxPSNR; NaN of mixed columns
	Peak       float64 // width of the source's Range, 1 if it is not known
}

// MaxPSNR is reported for a reconstruction without error, whose PSNR is
// infinite; it is beyond what float32 can tell from that.
const MaxPSNR = 200

// Batch is a run of consecutive examples of a part, with one corruption of each,
// on the host, row-major.
// Its slices are valid until the callback returns.
type Batch struct {
	First, Rows, Features           int
	Clean, Corrupted, Reconstructed []float32 // [Rows, Features] x, x̃ and E[x|h]; of a categorical column the most probable code
	Mask, ByColumn                  []float32 // [Rows, Features] what was destroyed, and -log p by column; of mixed columns only
}

// Evaluate reconstructs every example of the part from one corruption of it,
// in the order of the part, or, if there are few examples and the model knows
// several noise levels, from several. The noise is that of stream
// StreamValidation at step 0, so it is the same at each call; dropout is off and
// batch norm uses its running statistics. The result does not depend on the size
// of the minibatches: rows are independent of each other and their losses are
// summed in their order in float64. A stochastic code is drawn once for each.
func (n *Net) Evaluate(ctx context.Context, src Source) (Evaluation, error) {
	return n.EvaluateEach(ctx, src, nil)
}

// EvaluateEach is Evaluate, and hands the examples to each, if it is not nil, in
// order, as often as they are corrupted. An error of each ends the evaluation and is returned.
func (n *Net) EvaluateEach(ctx context.Context, src Source, each func(Batch) error) (Evaluation, error) {
	if n.predicts() {
		return n.EvaluateTarget(ctx, src, nil)
	}
	features := n.dae.resolved.Features
	losses, divergences, squares := make([]float32, n.rows), make([]float32, n.rows), make([]float32, n.rows)
	var host hostBatch
	var loss, kl, square float64
	var cells cellErrors
	tabular := n.dae.resolved.tabular()
	passes := n.dae.Passes(src.Part.Len())
	err := n.streamRepeats(ctx, src, src.Part.Len(), repeats{passes, 1}, func(first int, m *minibatch) error {
		rows := m.rows
		n.examine(m)
		if err := n.download(losses[:rows], n.losses.Top(rows)); err != nil {
			return err
		}
		if n.stochastic() {
			if err := n.download(divergences[:rows], n.code.divergence.Top(rows)); err != nil {
				return err
			}
		}
		if !tabular {
			if err := n.download(squares[:rows], n.squares.Top(rows)); err != nil {
				return err
			}
		}
		for i := range rows {
			loss += float64(losses[i])
			kl += float64(divergences[i])
			square += float64(squares[i])
		}
		if each == nil && !tabular {
			return nil
		}
		batch, err := host.download(n, first, rows)
		if err != nil {
			return err
		}
		if tabular {
			cells.add(batch, n.dae.resolved.families)
		}
		if each == nil {
			return nil
		}
		return each(batch)
	})
	if err != nil {
		return Evaluation{}, fmt.Errorf("evaluating: %w", err)
	}
	e := Evaluation{N: src.Part.Len(), Peak: src.Range.Peak()}
	drawn := float64(e.N) * float64(passes)
	loss, e.KL = loss/drawn, kl/drawn
	e.Loss = loss + n.dae.resolved.beta()*e.KL
	e.NLL = loss
	e.MSE = square / drawn / float64(features)
	switch {
	case n.scores():
		e.NLL = math.NaN()
	case tabular: // the loss is weighted, and may be that of a mask too
		e.NLL, e.MSE = cells.nll/drawn, cells.square/float64(cells.numbers)
	}
	e.PerFeature = e.NLL / float64(features)
	e.PSNR = min(10*math.Log10(e.Peak*e.Peak/e.MSE), MaxPSNR)
	if tabular {
		e.PSNR = math.NaN()
	}
	return e, nil
}

// cellErrors are sums over the cells of a table that are not absent.
type cellErrors struct {
	nll, square float64
	numbers     int
}

func (c *cellErrors) add(b Batch, families []device.Family) {
	for i, x := range b.Clean {
		if x != x {
			continue
		}
		c.nll += float64(b.ByColumn[i])
		if numeric(families[i%b.Features]) {
			c.numbers++
			c.square += square(float64(x) - float64(b.Reconstructed[i]))
		}
	}
}

// A score model is evaluated on about so many draws of a noise level, for each
// example on as many as that takes, but on no more than a few: with one draw the
// losses of few examples would tell more about their levels than about the model.
const (
	levelDraws = 2048
	mostPasses = 8
)

// Passes is the number of times that Evaluate corrupts each of so many examples.
func (d *DAE) Passes(rows int) int {
	if !d.IsScoreModel() || len(d.resolved.sigmas) == 1 {
		return 1
	}
	return min(max((levelDraws+rows-1)/max(rows, 1), 1), mostPasses)
}

// examine computes losses, divergences and squared errors: the losses of one
// code drawn from q(h|x̃), the errors of the reconstruction from its mean.
func (n *Net) examine(m *minibatch) {
	n.encode(m)
	n.decode(m)
	if n.stochastic() {
		n.judge(m)
		n.meanCode(m)
		n.decode(m)
		n.mean(m)
	} else {
		n.mean(m)
		n.judge(m)
	}
	if n.watch != nil {
		n.watch(Sighting{What: "losses", Values: n.losses.Top(m.rows)})
	}
	if !n.dae.resolved.tabular() {
		n.squaredErrors(m)
	}
}

// stream gathers and corrupts the first examples of a part, as many as limit,
// minibatch by minibatch. The part itself is not narrowed, because it is where
// swap finds its donors.
func (n *Net) stream(ctx context.Context, src Source, limit int, body func(first int, m *minibatch) error) error {
	return n.streamRepeats(ctx, src, limit, repeats{1, 1}, body)
}

// repeats says how often an evaluation takes each example: in so many passes
// over the part, each with noise of its own, and in each in so many rows one
// after the other.
type repeats struct{ passes, copies int }

func (n *Net) streamRepeats(ctx context.Context, src Source, limit int, each repeats, body func(first int, m *minibatch) error) error {
	limit = min(limit, src.Part.Len())
	if err := n.checkSource(src, limit); err != nil {
		return err
	}
	atATime := n.rows / each.copies
	for pass := range each.passes {
		for first := 0; first < limit; first += atATime {
			if err := ctx.Err(); err != nil {
				return err
			}
			examples := min(atATime, limit-first)
			if err := n.dev.UploadWords(n.clock, device.Clock{Cursor: uint32(first)}.Words()); err != nil {
				return err
			}
			if err := body(first, n.draw(src, examples, each.copies, pass)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Net) checkSource(src Source, rows int) error {
	features := n.dae.resolved.Features
	switch _, columns := src.Data.Shape(); {
	case columns != features:
		return fmt.Errorf("the data have %d columns, the model %d features", columns, features)
	case rows < 1:
		return errors.New("there are no rows")
	case n.predicts():
		return n.checkTarget(src)
	case n.dae.resolved.corruption.Uses(device.CorruptSaltAndPepper) && src.Range.Low.IsZero():
		return errors.New("salt-and-pepper needs the columns' extremes")
	}
	return nil
}

func (n *Net) download(dst []float32, src device.View) error { return n.dev.Download(dst, src) }

// hostBatch is the memory of a Batch.
type hostBatch struct{ clean, corrupted, reconstructed, mask, byColumn []float32 }

func (h *hostBatch) download(n *Net, first, rows int) (Batch, error) {
	features := n.dae.resolved.Features
	if h.clean == nil {
		h.clean = make([]float32, n.rows*features)
		h.corrupted = make([]float32, n.rows*features)
		h.reconstructed = make([]float32, n.rows*features)
		if n.dae.resolved.tabular() {
			h.mask, h.byColumn = make([]float32, n.rows*features), make([]float32, n.rows*features)
		}
	}
	count := rows * features
	b := Batch{First: first, Rows: rows, Features: features,
		Clean: h.clean[:count], Corrupted: h.corrupted[:count], Reconstructed: h.reconstructed[:count]}
	if err := n.download(b.Clean, n.clean.Top(rows)); err != nil {
		return b, err
	}
	if err := n.download(b.Corrupted, n.corrupted.Top(rows)); err != nil {
		return b, err
	}
	if n.dae.resolved.tabular() {
		b.Mask, b.ByColumn = h.mask[:count], h.byColumn[:count]
		if err := n.download(b.Mask, n.mask.Top(rows)); err != nil {
			return b, err
		}
		if err := n.download(b.ByColumn, n.byColumn.Top(rows)); err != nil {
			return b, err
		}
	}
	return b, n.download(b.Reconstructed, n.reconstruction.Top(rows))
}
