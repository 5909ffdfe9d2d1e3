package model

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"gpudae/device"
	"gpudae/device/philox"
)

// targetMemory is that of a predictor's head.
type targetMemory struct {
	value      device.View   // [rows, Width] y
	prediction device.View   // [rows, Width] E[y|h]
	fields     device.Fields // of a categorical target: one, of all columns
	scratch    device.View   // [rows, widest layer read] a part's share of a gradient, where the head reads all layers
}

// predicts reports whether the model has a head in place of a decoder.
func (n *Net) predicts() bool { return n.dae.IsPredictor() }

func (n *Net) allocateTarget(a *allocator, training bool) {
	t := n.dae.resolved.Target
	if t == nil {
		return
	}
	n.target = targetMemory{value: a.matrix(n.rows, t.Width), prediction: a.matrix(n.rows, t.Width)}
	if n.dae.resolved.target.Kind == device.Categorical {
		n.target.fields = device.Fields{Count: 1, OfColumn: a.words(t.Width), Offsets: a.words(2)}
	}
	if training && t.Layers == HeadReadsAll && !t.Freeze {
		widest := 0
		for _, width := range n.dae.resolved.encoderWidths() {
			widest = max(widest, width)
		}
		n.target.scratch = a.matrix(n.rows, widest)
	}
}

func (n *Net) uploadTargetFields() error {
	fields := n.target.fields
	if fields.IsZero() {
		return nil
	}
	if err := n.dev.UploadWords(fields.OfColumn, make([]uint32, fields.OfColumn.Len)); err != nil {
		return err
	}
	return n.dev.UploadWords(fields.Offsets, []uint32{0, uint32(fields.OfColumn.Len)})
}

// checkTarget reports whether the targets are those of the data.
func (n *Net) checkTarget(src Source) error {
	if src.Target == nil {
		return errors.New("the rows have no targets")
	}
	rows, _ := src.Data.Shape()
	if targets, columns := src.Target.Shape(); targets != rows || columns != n.dae.resolved.Target.Width {
		return fmt.Errorf("the targets are %d×%d, but %d rows of %d are wanted", targets, columns, rows, n.dae.resolved.Target.Width)
	}
	return nil
}

// targetGradient is Gradient of a predictor.
func (n *Net) targetGradient(src Source, examples int) {
	k := n.dae.resolved.copies()
	m := minibatch{
		source: src, rows: examples * k, replicates: k, training: !n.dae.frozen(), // a frozen encoder is that of inference
		shuffle: src.Shuffle, order: src.Clock, stream: philox.StreamTrain, noise: src.Clock,
	}
	n.gather(&m)
	n.gatherTarget(&m)
	n.corrupt(&m)
	n.encode(&m)
	n.head(&m)
	args := n.targetLikelihood(&m)
	args.DParams, args.Scale = args.Params, n.share(&m)
	n.dev.Likelihood(args)
	if n.watch != nil {
		n.watch(Sighting{What: "losses", Values: n.terms(&m)})
		n.saw(n.dae.depth, "gradients", args.DParams)
	}
	n.targetBackward(&m)
	n.reduce(&m)
}

// gatherTarget fills the targets of the rows that gather takes.
func (n *Net) gatherTarget(m *minibatch) {
	n.dev.Gather(device.GatherArgs{
		Data: m.source.Target, Part: m.source.Part, Shuffle: m.shuffle, Seed: m.source.Seed, Replicates: m.replicates,
		Clock: m.order, X: n.target.value.Top(m.rows), Index: n.indexOf(m),
	})
}

// head computes the parameters of p(y|h), the sum of what its parts make of the
// layers that they read.
func (n *Net) head(m *minibatch) {
	out := n.targetParams(m)
	for i := n.dae.depth; i < len(n.blocks); i++ {
		part := n.forward(i, n.blocks[n.reads(i)].output(m), m)
		if i > n.dae.depth {
			n.dev.Combine(device.CombineArgs{Alpha: 1, A: out, Beta: 1, B: part, Dst: out})
		}
	}
}

// reads is the encoder layer whose output a part of the head reads.
func (n *Net) reads(i int) int { return 2*n.dae.depth - 1 - i }

// targetParams are the parameters of p(y|h), and after the loss the gradient by them.
func (n *Net) targetParams(m *minibatch) device.View { return n.blocks[n.dae.depth].output(m) }

func (n *Net) targetLikelihood(m *minibatch) device.LikelihoodArgs {
	l := n.dae.resolved.target
	return device.LikelihoodArgs{
		Kind: l.Kind, Sigma: float32(l.Sigma), Fields: n.target.fields,
		Params: n.targetParams(m), Target: n.target.value.Top(m.rows), Losses: n.losses.Top(m.rows),
	}
}

// predict computes E[y|h]: the classes' probabilities, or the mean.
func (n *Net) predict(m *minibatch) device.View {
	out := n.target.prediction.Top(m.rows)
	n.dev.Mean(device.MeanArgs{Kind: n.dae.resolved.target.Kind, Fields: n.target.fields, Params: n.targetParams(m), Out: out})
	return out
}

// targetBackward carries the gradient from the parameters of p(y|h) down to
// those of the first layer that is trained.
func (n *Net) targetBackward(m *minibatch) {
	var gradient device.View
	if !n.dae.frozen() {
		gradient = n.other(n.targetParams(m), m.rows, n.dae.CodeWidth())
	}
	n.headBackward(n.dae.depth, gradient, m)
	for i := n.dae.depth - 1; i >= 0; i-- {
		if !n.dae.frozen() {
			gradient = n.backwardThrough(i, gradient, m)
			if n.watch != nil {
				n.sawBackward(i, gradient)
			}
		}
		part := n.dae.depth + n.dae.depth - i // that reads the layer below
		if i == 0 || part >= len(n.blocks) {
			continue
		}
		if n.dae.frozen() {
			n.headBackward(part, device.View{}, m)
			continue
		}
		share := n.target.scratch
		share.Columns = n.blocks[part].in
		share = share.Top(m.rows)
		n.headBackward(part, share, m)
		n.dev.Combine(device.CombineArgs{Alpha: 1, A: gradient, Beta: 1, B: share, Dst: gradient})
	}
	if n.dae.embeds() && !n.dae.frozen() {
		n.embedBackward(gradient, m)
	}
}

// headBackward computes the gradients of the parameters of a part of the head
// and, unless it is absent, that by the layer that the part reads, in the sense
// of backwardThrough.
func (n *Net) headBackward(i int, below device.View, m *minibatch) {
	b, read := &n.blocks[i], &n.blocks[n.reads(i)]
	args := device.DenseBackwardArgs{DA: n.targetParams(m), X: read.output(m), W: b.value.weight, DX: below, DW: b.gradient.weight, DBias: b.gradient.bias}
	if !below.IsZero() && read.plain() {
		args.InAct, args.InPre = read.act, top(read.pre, m.rows)
	}
	n.dev.DenseBackward(args)
	if n.watch != nil {
		n.sawBackward(i, below)
	}
}

// Predictions are those of a run of consecutive examples of a part, on the host.
// Their slices are valid until the callback returns.
type Predictions struct {
	First, Rows, Width int
	Target, Mean       []float32 // [Rows, Width] y and E[y|h]: of classes their probabilities
}

// EvaluateTarget predicts every example of the part from what it is, without
// corruption, and hands the predictions to each, if it is not nil, in order. Loss
// and NLL are the mean -log p(y|h) in nats, MSE is the mean of (y - E[y|h])²
// over rows and columns of the target; the other numbers have no meaning.
func (n *Net) EvaluateTarget(ctx context.Context, src Source, each func(Predictions) error) (Evaluation, error) {
	width := n.dae.resolved.Target.Width
	losses := make([]float32, n.rows)
	host := Predictions{Width: width, Target: make([]float32, n.rows*width), Mean: make([]float32, n.rows*width)}
	var loss, square float64
	err := n.stream(ctx, src, src.Part.Len(), func(first int, m *minibatch) error {
		n.dev.Combine(device.CombineArgs{Alpha: 1, A: n.clean.Top(m.rows), Dst: n.corrupted.Top(m.rows)})
		n.gatherTarget(m)
		n.encode(m)
		n.head(m)
		n.dev.Likelihood(n.targetLikelihood(m))
		batch := Predictions{First: first, Rows: m.rows, Width: width, Target: host.Target[:m.rows*width], Mean: host.Mean[:m.rows*width]}
		for _, part := range []struct {
			to   []float32
			from device.View
		}{{batch.Mean, n.predict(m)}, {batch.Target, n.target.value.Top(m.rows)}, {losses[:m.rows], n.losses.Top(m.rows)}} {
			if err := n.download(part.to, part.from); err != nil {
				return err
			}
		}
		for _, l := range losses[:m.rows] {
			loss += float64(l)
		}
		for i, y := range batch.Target {
			d := float64(y) - float64(batch.Mean[i])
			square += d * d
		}
		if each == nil {
			return nil
		}
		return each(batch)
	})
	if err != nil {
		return Evaluation{}, fmt.Errorf("evaluating: %w", err)
	}
	e := Evaluation{N: src.Part.Len(), Peak: math.NaN(), PSNR: math.NaN()}
	e.Loss = loss / float64(e.N)
	e.NLL, e.PerFeature = e.Loss, e.Loss/float64(width)
	e.MSE = square / float64(e.N) / float64(width)
	return e, nil
}

// Predict returns E[y|h] [rows, Width] of each row of x [rows, features], taken
// as it is: the probabilities of the classes, of two that of the second, or the mean.
func (n *Net) Predict(ctx context.Context, x *tensor.Dense) (*tensor.Dense, error) {
	out, err := n.apply(ctx, x, func(_ int, m *minibatch) ([]device.View, error) {
		n.encode(m)
		n.head(m)
		return []device.View{n.predict(m)}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("predicting: %w", err)
	}
	return out[0], nil
}
