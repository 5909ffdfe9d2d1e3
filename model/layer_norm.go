package model

import "gpudae/device"

// normKind is a normalisation or none.
type normKind uint8

const (
	normNone normKind = iota
	normLayer
	normBatch
)

func normKinds() []normKind { return []normKind{normNone, normLayer, normBatch} }

// String returns the name used in flags and configuration files.
func (k normKind) String() string {
	if k == normNone {
		return "none"
	}
	return k.device().String()
}

func (k normKind) device() device.Normalization {
	if k == normBatch {
		return device.BatchNorm
	}
	return device.LayerNorm
}

func parseNorm(name string) (normKind, error) {
	k, ok := named(normKinds(), name)
	if !ok {
		return 0, unknownName("norm", "normalisation", name, names(normKinds()))
	}
	return k, nil
}

// The constants of Ioffe and Szegedy 2015 as they are commonly set.
const (
	normEpsilon  = 1e-5
	normMomentum = 0.1
)

func allocateStatistics(a *allocator, l *layer, rows int) (mean, invStd device.View) {
	if l.norm == normBatch {
		return a.matrix(1, l.out), a.matrix(1, l.out)
	}
	return a.matrix(rows, 1), a.matrix(rows, 1)
}

// normalize computes the norm and the activation after it.
func (b *block) normalize(dev device.Device, m *minibatch) {
	linear, pre := b.linear.Top(m.rows), b.pre.Top(m.rows)
	mean, invStd := b.statistics(m.rows)
	dev.Normalize(device.NormalizeArgs{
		Kind: b.norm.device(), Training: m.training, Epsilon: normEpsilon, Momentum: normMomentum,
		X: linear, Gain: b.value.gain, Bias: b.value.shift, RunningMean: b.runMean, RunningVar: b.runVar,
		Mean: mean, InvStd: invStd, Y: pre,
	})
	dev.Activate(device.ActivateArgs{Act: b.act, X: pre, Y: b.active.Top(m.rows)})
}

// normalizeBackward turns the gradient by the norm's output into that by its
// input, in place, and leaves those of its parameters in gain and shift.
func (b *block) normalizeBackward(dev device.Device, gradient, gain, shift device.View) {
	mean, invStd := b.statistics(gradient.Rows)
	dev.NormalizeBackward(device.NormalizeBackwardArgs{
		Kind: b.norm.device(), X: b.linear.Top(gradient.Rows), Gain: b.value.gain, Mean: mean, InvStd: invStd,
		DY: gradient, DX: gradient, DGain: gain, DBias: shift,
	})
}

// statistics are [rows, 1] for layer norm and [1, out] for batch norm.
func (b *block) statistics(rows int) (mean, invStd device.View) {
	if b.norm == normLayer {
		return b.mean.Top(rows), b.invStd.Top(rows)
	}
	return b.mean, b.invStd
}
