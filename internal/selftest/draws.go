package selftest

import (
	"context"
	"fmt"

	"gpudae/device"
	"gpudae/device/philox"
)

// The size of what is drawn.
const (
	drawnRows    = 24 // examples, twice each
	drawnColumns = 9
	levels       = 5
	extra        = 3 // columns of an embedding
	temperature  = 0.5
)

// drawings are the operations of score models, stochastic codes and draws, each
// by itself: no model that is trained here has all of them.
func drawings() []check {
	all := []check{{"score matching", score}, {"importance weights", importance}}
	for _, k := range device.Codes() {
		all = append(all, check{"code " + k.String(), func(_ context.Context, dev device.Device) ([]array, error) { return code(dev, k, false) }})
	}
	all = append(all, check{"code gaussian, sampled divergence", func(_ context.Context, dev device.Device) ([]array, error) {
		return code(dev, device.CodeGaussian, true)
	}})
	for _, k := range device.Likelihoods() {
		if k == device.Mixed {
			continue // of columns: see table.go
		}
		all = append(all, check{"draws " + k.String(), func(_ context.Context, dev device.Device) ([]array, error) { return draw(dev, k) }})
	}
	return all
}

// bench hands out operands on a device until something fails.
type bench struct {
	dev  device.Device
	used uint64
	all  []array
	err  error
}

// random is a matrix of numbers in [-1, 1).
func (b *bench) random(rows, columns int) device.View {
	b.used++
	v, err := random(b.dev, rows*columns, 100+b.used)
	if err != nil {
		b.fail(err)
		return device.View{}
	}
	return v.Reshape(rows, columns)
}

func (b *bench) words(values ...uint32) device.Words {
	m, err := b.dev.Alloc(device.Word, len(values))
	if err != nil {
		b.fail(err)
		return device.Words{}
	}
	w := device.WordsOf(m, 0, len(values))
	b.fail(b.dev.UploadWords(w, values))
	return w
}

// index numbers the examples, of two rows each.
func (b *bench) index() device.Words {
	values := make([]uint32, device.IndexWords(drawnRows))
	for i := range values {
		values[i] = uint32(i % drawnRows / 2)
	}
	return b.words(values...)
}

func (b *bench) clock() device.Words { return b.words(device.Clock{Step: 1<<32 + 5}.Words()...) }

func (b *bench) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// keep downloads a result.
func (b *bench) keep(name string, v device.View) {
	if b.err == nil {
		b.all, b.err = download(b.all, b.dev, name, v)
	}
}

// keepWords downloads words, as numbers.
func (b *bench) keepWords(name string, w device.Words) {
	if b.err != nil {
		return
	}
	words := make([]uint32, w.Len)
	b.err = b.dev.DownloadWords(words, w)
	values := make([]float32, len(words))
	for i, word := range words {
		values[i] = float32(word)
	}
	b.all = append(b.all, array{name, values})
}

// score runs what a score model does to a minibatch, but for its layers.
func score(_ context.Context, dev device.Device) ([]array, error) {
	b := &bench{dev: dev}
	table, embedding := b.random(4, levels), b.random(levels, extra)
	x, noisy := b.random(drawnRows, drawnColumns), b.random(drawnRows, drawnColumns)
	input, f := b.random(drawnRows, drawnColumns+extra), b.random(drawnRows, drawnColumns+extra)
	losses, df := b.random(drawnRows, 1), b.random(drawnRows, drawnColumns)
	level, index, clock := b.words(make([]uint32, drawnRows)...), b.index(), b.clock()
	if b.err != nil {
		return nil, b.err
	}
	at := func(i int) device.View { return device.MatrixOf(table.Memory, i*levels, 1, levels) }
	dev.Diffuse(device.DiffuseArgs{Sigma: at(0), From: x, To: noisy, Level: level, Seed: seed, Stream: philox.StreamTrain, Replicates: 2,
		Index: index, Clock: clock})
	dev.Condition(device.ConditionArgs{Level: level, Scale: at(1), Embedding: embedding, X: noisy, Out: input})
	b.keepWords("noise levels", level)
	b.keep("diffused data", noisy)
	b.keep("inputs with their noise level", input)
	dev.Blend(device.BlendArgs{Level: level, Alpha: at(2), Beta: at(3), X: noisy, Y: f, Out: noisy})
	b.keep("denoised data", noisy)
	dev.ScoreMatch(device.ScoreMatchArgs{Level: level, Weight: at(0), OutScale: at(3), Denoised: noisy, Target: x, Losses: losses, DF: df, Scale: 0.25})
	b.keep("losses", losses)
	b.keep("gradients", df)
	return b.all, b.err
}

// importance weighs terms, and rows by them.
func importance(_ context.Context, dev device.Device) ([]array, error) {
	b := &bench{dev: dev}
	terms, bounds, x := b.random(drawnRows, 1), b.random(drawnRows/4, 1), b.random(drawnRows, drawnColumns)
	if b.err != nil {
		return nil, b.err
	}
	dev.Importance(device.ImportanceArgs{Replicates: 4, Terms: terms, Bounds: bounds, Weights: terms})
	b.keep("bounds", bounds)
	b.keep("weights", terms)
	dev.ScaleRows(device.ScaleRowsArgs{Scale: terms, X: x, Y: x})
	b.keep("scaled rows", x)
	return b.all, b.err
}

// code draws codes and differentiates them.
func code(dev device.Device, k device.Code, sampled bool) ([]array, error) {
	b := &bench{dev: dev}
	params, dCode := b.random(drawnRows, k.Width(drawnColumns)), b.random(drawnRows, drawnColumns)
	noise, h := b.random(drawnRows, drawnColumns), b.random(drawnRows, drawnColumns)
	divergence, weights := b.random(drawnRows, 1), b.random(drawnRows, 1)
	index, clock := b.index(), b.clock()
	if b.err != nil {
		return nil, b.err
	}
	dev.SampleCode(device.SampleCodeArgs{Kind: k, Temperature: temperature, Params: params, Noise: noise, Code: h, Divergence: divergence,
		Sampled: sampled, Seed: seed, Stream: philox.StreamCode, Replicates: 2, Index: index, Clock: clock})
	b.keep("noise", noise)
	b.keep("codes", h)
	b.keep("divergences", divergence)
	dev.SampleCodeBackward(device.SampleCodeBackwardArgs{Kind: k, Temperature: temperature, Params: params, Noise: noise, Code: h, DCode: dCode,
		Sampled: sampled, Scale: 0.25, Weights: weights, DParams: params})
	b.keep("gradients", params)
	return b.all, b.err
}

// draw draws features. A bit or a count could differ by rounding where a uniform
// number comes within some 1e-7 of a probability; none of these does.
func draw(dev device.Device, k device.Likelihood) ([]array, error) {
	b := &bench{dev: dev}
	params, out := b.random(drawnRows, k.Width(drawnColumns)), b.random(drawnRows, drawnColumns)
	fields := device.Fields{Count: 3, OfColumn: b.words(0, 0, 1, 1, 1, 2, 2, 2, 2), Offsets: b.words(0, 2, 5, 9)}
	index, clock := b.index(), b.clock()
	if b.err != nil {
		return nil, b.err
	}
	dev.Draw(device.DrawArgs{Kind: k, Sigma: 0.5, Fields: fields, Params: params, Out: out, Seed: seed, Stream: philox.StreamDraw, Replicates: 2,
		Index: index, Clock: clock})
	b.keep(fmt.Sprintf("draws of %d features", drawnColumns), out)
	return b.all, b.err
}
