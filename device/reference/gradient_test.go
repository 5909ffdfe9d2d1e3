package reference

import (
	"fmt"
	"testing"

	"gpudae/device"
)

// TestActivateBackwardIsTheDerivative, by differences, away from the kinks.
func TestActivateBackwardIsTheDerivative(t *testing.T) {
	for _, k := range device.Activations() {
		l := newLab(t)
		x, y, c := l.awayFromZero(4, 5), l.matrix(4, 5), l.random(4, 5)
		forward := func() float64 {
			l.d.Activate(device.ActivateArgs{Act: k, X: x, Y: y})
			return inner(c, y)
		}
		forward()
		dx := l.matrix(4, 5)
		l.d.ActivateBackward(device.ActivateBackwardArgs{Act: k, X: x, Y: y, DY: c, DX: dx})
		l.expectGradient(k.String(), forward, x, dx)
	}
}

// TestDenseBackwardIsTheGradient, by differences, of the weights, the bias and
// the input before its own activation, plain and transposed.
func TestDenseBackwardIsTheGradient(t *testing.T) {
	const batch, in, out = 4, 3, 5
	for _, k := range device.Activations() {
		for _, transposed := range []bool{false, true} {
			l := newLab(t)
			pre, x, bias := l.awayFromZero(batch, in), l.matrix(batch, in), l.random(1, out)
			w, dw := l.random(out, in), l.matrix(out, in)
			if transposed {
				w, dw = w.Reshape(in, out), dw.Reshape(in, out)
			}
			y, c := l.matrix(batch, out), l.random(batch, out)
			forward := func() float64 {
				l.d.Activate(device.ActivateArgs{Act: k, X: pre, Y: x})
				l.d.Dense(device.DenseArgs{X: x, W: w, Bias: bias, Transposed: transposed, Y: y})
				return inner(c, y)
			}
			forward()
			dx, db := l.matrix(batch, in), l.matrix(1, out)
			l.d.DenseBackward(device.DenseBackwardArgs{DA: c, X: x, W: w, Transposed: transposed, InAct: k, InPre: pre, DX: dx, DW: dw, DBias: db})
			what := fmt.Sprintf("dense after %s, transposed %t: ", k, transposed)
			l.expectGradient(what+"input", forward, pre, dx)
			l.expectGradient(what+"weights", forward, w, dw)
			l.expectGradient(what+"bias", forward, bias, db)
		}
	}
}

// TestTiedWeightsAccumulate: the gradient of a weight that is used twice is
// the sum of both uses'.
func TestTiedWeightsAccumulate(t *testing.T) {
	l := newLab(t)
	x, w := l.random(4, 5), l.random(3, 5)
	h, y, c := l.matrix(4, 3), l.matrix(4, 5), l.random(4, 5)
	forward := func() float64 {
		l.d.Dense(device.DenseArgs{X: x, W: w, Act: device.Tanh, Y: h})
		l.d.Dense(device.DenseArgs{X: h, W: w, Transposed: true, Y: y})
		return inner(c, y)
	}
	forward()
	dh, dw := l.matrix(4, 3), l.matrix(3, 5)
	l.d.DenseBackward(device.DenseBackwardArgs{DA: c, X: h, W: w, Transposed: true, InAct: device.Tanh, DX: dh, DW: dw})
	l.d.DenseBackward(device.DenseBackwardArgs{DA: dh, X: x, W: w, DW: dw, Accumulate: true})
	l.expectGradient("tied weights", forward, w, dw)
}

// TestNormalizeBackwardIsTheGradient, by differences, through the statistics.
func TestNormalizeBackwardIsTheGradient(t *testing.T) {
	const rows, d = 6, 4
	for _, k := range device.Normalizations() {
		l := newLab(t)
		x, y, c := l.random(rows, d), l.matrix(rows, d), l.random(rows, d)
		gain, bias := l.random(1, d), l.random(1, d)
		statistics := rows
		if k == device.BatchNorm {
			statistics = d
		}
		mean, invStd := l.matrix(1, statistics), l.matrix(1, statistics)
		runningMean, runningVar := l.matrix(1, d), l.matrix(1, d)
		forward := func() float64 {
			l.d.Normalize(device.NormalizeArgs{Kind: k, Training: true, Epsilon: 1e-5, Momentum: 0.1, X: x, Gain: gain, Bias: bias,
				RunningMean: runningMean, RunningVar: runningVar, Mean: mean, InvStd: invStd, Y: y})
			return inner(c, y)
		}
		forward()
		dx, dGain, dBias := l.matrix(rows, d), l.matrix(1, d), l.matrix(1, d)
		l.d.NormalizeBackward(device.NormalizeBackwardArgs{Kind: k, X: x, Gain: gain, Mean: mean, InvStd: invStd, DY: c, DX: dx, DGain: dGain, DBias: dBias})
		l.expectGradient(k.String()+" input", forward, x, dx)
		l.expectGradient(k.String()+" gain", forward, gain, dGain)
		l.expectGradient(k.String()+" bias", forward, bias, dBias)
	}
}

// TestLikelihoodGradient, by differences, with and without emphasis, of fields
// and of single columns.
func TestLikelihoodGradient(t *testing.T) {
	const rows, d, scale = 3, 6, 1.0 / 8
	for _, k := range device.Likelihoods() {
		if k == device.Mixed {
			continue // of columns: see TestMixedGradient
		}
		for variant := range 4 {
			l := newLab(t)
			params, target := l.random(rows, k.Width(d)), l.matrix(rows, d)
			for i := range Float64s(target) {
				Float64s(target)[i] = float64(i * 5 % 4)
			}
			a := device.LikelihoodArgs{Kind: k, Sigma: 0.5, Params: params, Target: target, Destroyed: 1.5, Untouched: 0.25,
				Losses: l.matrix(rows, 1), DParams: l.matrix(rows, k.Width(d)), Scale: scale}
			if variant&1 == 1 {
				a.Mask = l.matrix(rows, d)
				for i := range Float64s(a.Mask) {
					Float64s(a.Mask)[i] = float64(i % 3 % 2)
				}
			}
			if variant&2 == 2 {
				a.Fields = device.Fields{Count: 3, OfColumn: l.words(0, 0, 0, 1, 2, 2), Offsets: l.words(0, 3, 4, 6)}
			}
			a.Weights = l.matrix(1, d, 0.5, 2, 1, 3, 0, 1.5)
			l.d.Likelihood(a)
			forward := a
			forward.DParams = device.View{}
			l.expectGradient(fmt.Sprintf("%s, variant %d", k, variant), func() float64 {
				l.d.Likelihood(forward)
				sum := 0.0
				for _, loss := range Float64s(a.Losses) {
					sum += loss * scale
				}
				return sum
			}, params, a.DParams)
		}
	}
}

// TestDropoutIsItsOwnGradient, by differences.
func TestDropoutIsItsOwnGradient(t *testing.T) {
	const rows, d = 5, 7
	l := newLab(t)
	x, y, c, dx := l.random(rows, d), l.matrix(rows, d), l.random(rows, d), l.matrix(rows, d)
	a := device.DropoutArgs{Rate: 1 << 31, Keep: 2, Layer: 1, Seed: 3, Replicates: 1, Clock: l.words(make([]uint32, device.ClockWords)...),
		Index: l.words(4, 0, 7, 1, 2, 0, 0, 0, 0, 0)}
	forward := func() float64 {
		a := a
		a.X, a.Y = x, y
		l.d.Dropout(a)
		return inner(c, y)
	}
	backward := a
	backward.X, backward.Y = c, dx
	l.d.Dropout(backward)
	l.expectGradient("dropout", forward, x, dx)
	if forward() == inner(c, x) {
		t.Error("nothing was dropped")
	}
}
