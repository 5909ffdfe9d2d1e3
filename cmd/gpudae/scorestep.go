package main

import (
	"context"

	"gpudae/device"
)

// scoreLevels is the number of noise levels of the workload that is a score net.
const scoreLevels = 10

// views makes what a step works on, and keeps the first failure.
type views struct {
	dev device.Device
	err error
}

func (v *views) memory(t device.Type, n int) device.Memory {
	memory, err := v.dev.Alloc(t, n)
	if v.err == nil {
		v.err = err
	}
	return memory
}

func (v *views) matrix(rows, columns int) device.View {
	return device.MatrixOf(v.memory(device.Float, rows*columns), 0, rows, columns)
}

func (v *views) words(n int) device.Words {
	return device.WordsOf(v.memory(device.Word, n), 0, n)
}

// scoreLayer is a dense layer: parameters, gradients, input, output and the gradient by the input.
type scoreLayer struct {
	w, dw, b, db, x, y, dx device.View
	act                    device.Activation
}

// recordScore records a step of a score net, operation by operation: package model has
// auto-encoders alone, whose widths are the same from both ends.
func recordScore(ctx context.Context, dev device.Device, w workload, table device.Table) error {
	data, err := dev.Load(ctx, table)
	if err != nil {
		return err
	}
	v := &views{dev: dev}
	widths, rows, count := w.widths(), w.batch, 0
	for i, out := range widths[1:] {
		count += (widths[i] + 1) * out
	}
	params, grads, first, second := v.matrix(1, count), v.matrix(1, count), v.matrix(1, count), v.matrix(1, count)
	sigma, scale, skip, out, weight := v.matrix(1, scoreLevels), v.matrix(1, scoreLevels), v.matrix(1, scoreLevels), v.matrix(1, scoreLevels), v.matrix(1, scoreLevels)
	clean, noisy, input, denoised := v.matrix(rows, w.features), v.matrix(rows, w.features), v.matrix(rows, w.features), v.matrix(rows, w.features)
	losses, values, log, rates := v.matrix(rows, 1), v.matrix(1, 2), v.matrix(rows, 2), v.matrix(1, rows)
	level, index, clock := v.words(rows), v.words(device.IndexWords(rows)), v.words(device.ClockWords)
	layers := v.layers(widths, rows, input, params, grads)
	if v.err != nil {
		return v.err
	}
	output := layers[len(layers)-1].y
	loss, norm := device.MatrixOf(values.Memory, 0, 1, 1), device.MatrixOf(values.Memory, 1, 1, 1)
	_, err = dev.Record(func() {
		dev.Gather(device.GatherArgs{Data: data, Part: device.Rows{Hi: table.Rows}, Shuffle: true, Replicates: 1, Clock: clock, X: clean, Index: index})
		dev.Diffuse(device.DiffuseArgs{Sigma: sigma, From: clean, To: noisy, Level: level, Replicates: 1, Index: index, Clock: clock})
		dev.Condition(device.ConditionArgs{Level: level, Scale: scale, X: noisy, Out: input})
		for _, l := range layers {
			dev.Dense(device.DenseArgs{X: l.x, W: l.w, Bias: l.b, Act: l.act, Y: l.y})
		}
		dev.Blend(device.BlendArgs{Level: level, Alpha: skip, Beta: out, X: noisy, Y: output, Out: denoised})
		dev.ScoreMatch(device.ScoreMatchArgs{Level: level, Weight: weight, OutScale: out, Denoised: denoised, Target: clean, Losses: losses, DF: output, Scale: 1 / float32(rows)})
		da := output
		for i := len(layers) - 1; i >= 0; i-- {
			l := layers[i]
			a := device.DenseBackwardArgs{DA: da, X: l.x, W: l.w, DW: l.dw, DBias: l.db}
			if i > 0 {
				a.InAct, a.DX = layers[i-1].act, l.dx
			}
			dev.DenseBackward(a)
			da = l.dx
		}
		dev.Reduce(device.ReduceArgs{Kind: device.Sum, X: device.MatrixOf(losses.Memory, 0, 1, rows), Out: loss})
		dev.Combine(device.CombineArgs{Alpha: 1 / float32(rows), A: loss, Dst: loss})
		dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: grads, Out: norm})
		dev.Update(device.UpdateArgs{Kind: device.Adam, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Rates: rates, Clock: clock, GradSq: norm, Loss: loss,
			Params: params, Grads: grads, First: first, Second: second})
		dev.Tick(device.TickArgs{Clock: clock, Rows: rows, Values: values, Log: log})
	})
	return err
}

// layers places layers of those widths in the arenas; all but the last are ReLU.
func (v *views) layers(widths []int, rows int, x, params, grads device.View) []scoreLayer {
	var all []scoreLayer
	at := 0
	for i, out := range widths[1:] {
		in := widths[i]
		l := scoreLayer{w: device.MatrixOf(params.Memory, at, out, in), dw: device.MatrixOf(grads.Memory, at, out, in),
			b: device.MatrixOf(params.Memory, at+in*out, 1, out), db: device.MatrixOf(grads.Memory, at+in*out, 1, out),
			x: x, y: v.matrix(rows, out), dx: v.matrix(rows, in)}
		if i < len(widths)-2 {
			l.act = device.ReLU
		}
		at += (in + 1) * out
		all, x = append(all, l), l.y
	}
	return all
}
