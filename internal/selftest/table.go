package selftest

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"

	"gpudae/device"
	"gpudae/device/philox"
)

// absentAs stands for an absent value where results are compared.
const absentAs = -7

// tableColumns are columns of every family: with and without an indicator, of one
// code and of many.
func tableColumns() []device.TableColumn {
	return []device.TableColumn{
		{Family: device.FamilyGaussian, Input: 0, Indicator: 1, Param: 3},
		{Family: device.FamilyCategorical, Categories: 5, Input: 2, Embedding: 3, Indicator: 5, Param: 4},
		{Family: device.FamilyBernoulli, Input: 6, Indicator: device.NoIndicator, Param: 0},
		{Family: device.FamilyGaussianLearned, Input: 7, Indicator: device.NoIndicator, Param: 1},
		{Family: device.FamilyCategorical, Categories: 40, Input: 8, Embedding: 6, Vectors: 18, Indicator: device.NoIndicator, Param: 10},
		{Family: device.FamilyCategorical, Categories: 1, Input: 14, Embedding: 1, Vectors: 264, Indicator: 15, Param: 9},
		{Family: device.FamilyGaussian, Input: 16, Indicator: device.NoIndicator, Param: 50},
	}
}

// records are rows of these columns in every type of cell, some of them absent.
func records() device.Table {
	r := &device.Records{Stride: 12, Columns: []device.Column{
		{Cell: device.CellFloat32, Offset: 0},
		{Cell: device.CellUint8, Offset: 6},
		{Cell: device.CellBit, Offset: 8 * 8},
		{Cell: device.CellUint16, Offset: 4, Values: []float32{-1, -0.25, 0.5, 2}},
		{Cell: device.CellUint8, Offset: 7},
		{Cell: device.CellUint8, Offset: 9},
		{Cell: device.CellBit, Offset: 8*8 + 3, Values: []float32{-1, 1}},
	}, Bytes: make([]byte, rows*12)}
	rng := rand.New(rand.NewPCG(seed, 1))
	code := func(codes int) byte { return byte(rng.IntN(codes + 1)) }
	for i := range rows {
		record := r.Bytes[i*r.Stride:]
		x := float32(rng.NormFloat64())
		if rng.IntN(4) == 0 {
			x = float32(math.NaN())
		}
		binary.LittleEndian.PutUint32(record, math.Float32bits(x))
		record[4], record[6], record[7], record[8], record[9] = code(4), code(5), code(40), byte(rng.IntN(256)), code(1)
	}
	return device.Table{Rows: rows, Columns: len(r.Columns), Records: r}
}

// tables is the check of everything that tables of mixed columns have of their own.
func tables() []check {
	return []check{{"tables of mixed columns", mixedTable}}
}

// mixedTable gathers rows from records, corrupts them by each kind, embeds them,
// and computes likelihood, mean and draws of parameters.
func mixedTable(ctx context.Context, dev device.Device) ([]array, error) {
	b := &bench{dev: dev}
	table, words := device.NewTableColumns(tableColumns())
	table.Words = b.words(words...)
	data, err := dev.Load(ctx, records())
	if err != nil {
		return nil, err
	}
	columns := table.Count
	x, noisy, mask := b.random(drawnRows, columns), b.random(drawnRows, columns), b.random(drawnRows, columns)
	low, high := b.random(1, columns), b.random(1, columns)
	params, vectors, embedded := b.random(drawnRows, table.ParamWidth+columns), b.random(1, table.Vectors), b.random(drawnRows, table.InputWidth)
	grads, losses, byColumn, weights := b.random(1, table.Vectors), b.random(drawnRows, 1), b.random(drawnRows, columns), b.random(1, columns)
	index, clock, continuous := b.words(make([]uint32, device.IndexWords(drawnRows))...), b.clock(), b.words(1, 0, 0, 1, 0, 0, 1)
	rates := b.words(device.RateWord(0.3), device.RateWord(1), 0, device.RateWord(0.5), device.RateWord(0.2), device.RateWord(0.7), device.RateWord(0.4))
	if b.err != nil {
		return nil, b.err
	}
	part := device.Rows{Lo: 4, Hi: rows, Split: true, Seed: seed}
	dev.Gather(device.GatherArgs{Data: data, Part: part, Shuffle: true, Seed: seed, Replicates: 2, Clock: clock, X: x, Index: index})
	b.keepTable("rows", x)
	for _, k := range device.Corruptions() {
		a := device.CorruptArgs{Kind: k, Rate: philox.Threshold(0.4), Length: 2, Amount: 0.5, Absent: true, Continuous: continuous, From: x, To: noisy,
			Mask: mask, Low: low, High: high, Seed: seed, Stream: philox.StreamTrain, Replicates: 2, Index: index, Clock: clock, Data: data, Part: part}
		if k != device.CorruptSpan {
			a.Rates = rates
		}
		dev.Corrupt(a)
		b.keepTable("rows with "+k.String(), noisy)
		b.keep("mask of "+k.String(), mask)
	}
	program, err := dev.Record(func() {
		dev.Gather(device.GatherArgs{Data: data, Part: part, Seed: seed, Replicates: 2, Clock: clock, X: x, Index: index})
		for i, k := range []device.Corruption{device.CorruptSwapRows, device.CorruptGaussian, device.CorruptMasking} {
			from := noisy
			if i == 0 {
				from = x
			}
			dev.Corrupt(device.CorruptArgs{Kind: k, Rate: philox.Threshold(0.4), Amount: 0.5, Absent: true, Continuous: continuous, From: from, To: noisy,
				Mask: mask, Accumulate: i > 0, Seed: seed, Stream: philox.StreamTrain, Stage: uint32(i), Replicates: 2, Index: index, Clock: clock, Data: data, Part: part})
		}
	})
	if err != nil {
		return nil, err
	}
	if err := program(); err != nil {
		return nil, err
	}
	b.keepTable("rows of a recording", x)
	b.keepTable("rows with three kinds", noisy)
	b.keep("mask of three kinds", mask)
	dev.Embed(device.EmbedArgs{Table: table, X: noisy, Params: vectors, Y: embedded})
	b.keep("embedded rows", embedded)
	dev.EmbedBackward(device.EmbedBackwardArgs{Table: table, X: noisy, DY: embedded, Grads: grads})
	b.keep("gradients of vectors", grads)
	dev.Mean(device.MeanArgs{Kind: device.Mixed, Table: table, Params: params, Out: noisy})
	b.keep("means", noisy)
	dev.Draw(device.DrawArgs{Kind: device.Mixed, Sigma: 0.5, Floor: 0.2, Table: table, Params: params, Out: noisy, Seed: seed,
		Stream: philox.StreamDraw, Replicates: 2, Index: index, Clock: clock})
	b.keep("draws", noisy)
	dev.Likelihood(device.LikelihoodArgs{Kind: device.Mixed, Sigma: 0.5, Floor: 0.2, Table: table, MaskHead: 0.3, Params: params, Target: x, Mask: mask,
		Destroyed: 1.5, Untouched: 0.5, Weights: weights, Losses: losses, ByColumn: byColumn, DParams: params, Scale: 0.25})
	b.keep("losses", losses)
	b.keep("losses by column", byColumn)
	b.keep("gradients", params)
	return b.all, b.err
}

// keepTable downloads rows, with a number for what is absent.
func (b *bench) keepTable(name string, v device.View) {
	n := len(b.all)
	b.keep(name, v)
	if b.err != nil {
		return
	}
	for i, x := range b.all[n].values {
		if x != x {
			b.all[n].values[i] = absentAs
		}
	}
}
