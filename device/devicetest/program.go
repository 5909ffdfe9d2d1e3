package devicetest

import (
	"math"
	"slices"

	"gpudae/device"
)

func programChecks() []check {
	return []check{
		{"ProgramRepeatsOperations", checkProgram},
		{"RecordingRunsNothing", checkRecordingRunsNothing},
	}
}

// checkProgram: training steps that are issued one by one and steps that are
// recorded once and replayed leave the same bits, on clock, parameters and moments; what
// they log, the loss and the norm, may have been added in another order.
func checkProgram(r *rig) {
	const steps = 4
	imperative, recorded := r.newTinyTraining(), r.newTinyTraining()
	for range steps {
		imperative.step()
	}
	program, err := r.dev.Record(recorded.step)
	r.must(err)
	for range steps {
		r.must(program())
	}
	r.must(r.dev.Sync())
	for name, pair := range map[string][2]device.View{
		"parameters": {imperative.params, recorded.params}, "first moments": {imperative.m, recorded.m}, "second moments": {imperative.v, recorded.v},
	} {
		want, got := r.read(pair[0]), r.read(pair[1])
		if i := firstDifference(want, got); i >= 0 {
			r.report("replayed steps leave element %d of the %s at %g, steps issued one by one at %g", i, name, got[i], want[i])
		}
	}
	want, got := r.read(imperative.log), r.read(recorded.log)
	for i, x := range want {
		// Sums of at most tinyBatch·tinyIn and tinyWeights terms of one sign.
		if math.Abs(float64(got[i])-float64(x)) > 64*0x1p-24*math.Abs(float64(x)) {
			r.report("replayed steps leave element %d of the log at %g, steps issued one by one at %g", i, got[i], x)
		}
	}
	if a, b := r.clockOf(imperative), r.clockOf(recorded); a != b || a.Index != steps {
		r.report("the clocks stand at %+v and %+v after %d steps", a, b, steps)
	}
	losses := r.read(imperative.log)
	if slices.Contains(losses[1:], losses[0]) {
		r.report("the losses %v of different steps are equal", losses)
	}
}

func (r *rig) clockOf(x *tinyTraining) device.Clock {
	words := make([]uint32, device.ClockWords)
	r.must(r.dev.DownloadWords(words, x.batch.clock))
	return device.ClockFromWords(words)
}

// checkRecordingRunsNothing: operations passed to Record wait for the program.
func checkRecordingRunsNothing(r *rig) {
	v := r.placed(1, 3, []float32{1, 2, 3})
	program, err := r.dev.Record(func() { r.dev.Combine(device.CombineArgs{Alpha: 2, A: v, Dst: v}) })
	r.must(err)
	if got := r.read(v); !slices.Equal(got, []float32{1, 2, 3}) {
		r.report("recording changed [1 2 3] to %v", got)
	}
	r.must(program())
	r.must(program())
	if got := r.read(v); !slices.Equal(got, []float32{4, 8, 12}) {
		r.report("two runs of a recorded doubling changed [1 2 3] to %v", got)
	}
}

// tinyTraining is the smallest training that uses every part of a step: a
// denoising auto-encoder of one tied layer, with batch normalisation, dropout
// and Adam.
type tinyTraining struct {
	rig                    *rig
	data                   device.Dataset
	batch                  *minibatch
	arena                  device.View // parameters, gradients, moments and activations
	weight, dWeight        device.View
	gain, bias             device.View
	dGain, dBias           device.View
	pre, normal, code, out device.View
	dCode                  device.View
	losses, values, log    device.View
	mean, invStd, running  device.View
	params, grads, m, v    device.View
	rates                  device.View
}

const (
	tinyRows    = 24
	tinyIn      = 5
	tinyHidden  = 3
	tinyBatch   = 6
	tinyWeights = tinyIn*tinyHidden + 2*tinyHidden
)

func (r *rig) newTinyTraining() *tinyTraining {
	table := device.Table{Rows: tinyRows, Columns: tinyIn, Scale: 1.0 / 255}
	for i := range tinyRows * tinyIn {
		table.Uint8 = append(table.Uint8, uint8(i*i*37))
	}
	data, err := r.dev.Load(r.Context(), table)
	r.must(err)
	const size = 4*tinyWeights + 4*tinyBatch*tinyHidden + tinyBatch*tinyIn + tinyBatch + 2 + 4*tinyHidden + 4
	m, err := r.dev.Alloc(device.Float, size)
	r.must(err)
	used := 0
	carve := func(rows, columns int) device.View {
		used += rows * columns
		return device.MatrixOf(m, used-rows*columns, rows, columns)
	}
	x := &tinyTraining{rig: r, data: data, batch: r.newMinibatch(tinyBatch, tinyIn, 1), arena: device.MatrixOf(m, 0, 1, size)}
	x.params, x.grads, x.m, x.v = carve(1, tinyWeights), carve(1, tinyWeights), carve(1, tinyWeights), carve(1, tinyWeights)
	x.pre, x.normal, x.code = carve(tinyBatch, tinyHidden), carve(tinyBatch, tinyHidden), carve(tinyBatch, tinyHidden)
	x.dCode = carve(tinyBatch, tinyHidden)
	x.out, x.losses, x.values = carve(tinyBatch, tinyIn), carve(tinyBatch, 1), carve(1, 2)
	x.mean, x.invStd, x.running, x.rates = carve(1, tinyHidden), carve(1, tinyHidden), carve(2, tinyHidden), carve(1, 4)
	x.log = r.placed(4, 2, make([]float32, 8))
	x.weight, x.gain, x.bias = tinyParts(x.params)
	x.dWeight, x.dGain, x.dBias = tinyParts(x.grads)
	initial := make([]float32, tinyWeights)
	for i := range initial {
		initial[i] = 0.3 - 0.05*float32(i*i%11)
	}
	r.must(r.dev.Upload(x.params, initial))
	r.must(r.dev.Upload(x.rates, []float32{0.01, 0.02, 0.03, 0.04}))
	return x
}

// tinyParts are the weight, the gain and the bias in an arena.
func tinyParts(arena device.View) (weight, gain, bias device.View) {
	at := func(offset, rows, columns int) device.View {
		return device.MatrixOf(arena.Memory, arena.Offset+offset, rows, columns)
	}
	const w = tinyIn * tinyHidden
	return at(0, tinyHidden, tinyIn), at(w, 1, tinyHidden), at(w+tinyHidden, 1, tinyHidden)
}

// step issues the operations of one step.
func (x *tinyTraining) step() {
	d, b := x.rig.dev, x.batch
	b.gather(x.data, device.Rows{Hi: tinyRows, Split: true, Seed: 2}, true, 6)
	b.corrupt(device.CorruptArgs{Kind: device.CorruptMasking, Rate: threshold(0.3), Seed: 6})
	d.Dense(device.DenseArgs{X: b.y, W: x.weight, Y: x.pre})
	norm := device.NormalizeArgs{Kind: device.BatchNorm, Training: true, Epsilon: 1e-5, Momentum: 0.1, X: x.pre, Gain: x.gain, Bias: x.bias,
		RunningMean: x.running.Top(1), RunningVar: device.MatrixOf(x.running.Memory, x.running.Offset+tinyHidden, 1, tinyHidden),
		Mean: x.mean, InvStd: x.invStd, Y: x.normal}
	d.Normalize(norm)
	d.Activate(device.ActivateArgs{Act: device.Tanh, X: x.normal, Y: x.normal})
	drop := device.DropoutArgs{Rate: threshold(0.2), Keep: 1.25, Seed: 6, Replicates: 1, Index: b.index, Clock: b.clock, X: x.normal, Y: x.code}
	d.Dropout(drop)
	d.Dense(device.DenseArgs{X: x.code, W: x.weight, Transposed: true, Y: x.out})
	d.Likelihood(device.LikelihoodArgs{Kind: device.Bernoulli, Params: x.out, Target: b.x, Mask: b.mask, Destroyed: 2, Untouched: 1,
		Losses: x.losses, DParams: x.out, Scale: 1.0 / tinyBatch})
	x.backward(norm, drop)
	d.Reduce(device.ReduceArgs{Kind: device.Sum, X: x.losses, Out: device.MatrixOf(x.values.Memory, x.values.Offset, 1, 1)})
	gradSq := device.MatrixOf(x.values.Memory, x.values.Offset+1, 1, 1)
	d.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: x.grads, Out: gradSq})
	d.Update(device.UpdateArgs{Kind: device.Adam, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Clip: 1, Rates: x.rates, Clock: b.clock,
		GradSq: gradSq, Params: x.params, Grads: x.grads, First: x.m, Second: x.v})
	d.Tick(device.TickArgs{Clock: b.clock, Rows: tinyBatch, Values: x.values, Log: x.log})
}

// backward computes the gradients from x.out, which holds the loss's.
func (x *tinyTraining) backward(norm device.NormalizeArgs, drop device.DropoutArgs) {
	d := x.rig.dev
	d.DenseBackward(device.DenseBackwardArgs{DA: x.out, X: x.code, W: x.weight, Transposed: true, DX: x.dCode, DW: x.dWeight})
	drop.X, drop.Y = x.dCode, x.dCode
	d.Dropout(drop)
	d.ActivateBackward(device.ActivateBackwardArgs{Act: device.Tanh, Y: x.normal, DY: x.dCode, DX: x.dCode})
	d.NormalizeBackward(device.NormalizeBackwardArgs{Kind: norm.Kind, X: x.pre, Gain: x.gain, Mean: x.mean, InvStd: x.invStd,
		DY: x.dCode, DX: x.dCode, DGain: x.dGain, DBias: x.dBias})
	d.DenseBackward(device.DenseBackwardArgs{DA: x.dCode, X: x.batch.y, W: x.weight, Accumulate: true, DW: x.dWeight})
}
