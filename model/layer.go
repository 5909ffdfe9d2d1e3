package model

import (
	"fmt"

	"gpudae/device"
)

// layer describes one layer: dense → norm → activation → dropout, of which all
// but dense may be absent.
type layer struct {
	name     string // as in parameter names: encoder.0
	in, out  int
	tied     int // index of the layer whose weights it uses transposed, or -1
	act      device.Activation
	norm     normKind
	dropout  bool
	unbiased bool // a part of a predictor's head beside the one with the bias
}

// plain reports whether the layer's output is directly that of its activation,
// so that the layer above can fold the activation's derivative into its own
// backward pass.
func (l *layer) plain() bool { return l.norm == normNone && !l.dropout }

// layers lists the encoder's layers, then the decoder's. Norm and dropout
// concern the hidden layers; a separate code layer (Code > 0) and the output
// layer have neither. Where the last hidden layer is the code it keeps them,
// unless it puts out the parameters of a distribution of codes.
func (r *resolved) layers() []layer {
	widths := r.encoderWidths()
	depth := len(widths)
	all := make([]layer, 0, depth+len(r.outward)+1)
	in := r.inputWidth()
	for i, out := range widths {
		l := r.hiddenLayer(fmt.Sprintf("encoder.%d", i), in, out)
		if i == depth-1 {
			l.act, l.out = r.code, r.codes.width(out)
			if r.Code > 0 || r.codes.Stochastic {
				l.norm, l.dropout = normNone, false
			}
		}
		all = append(all, l)
		in = out
	}
	if r.Target != nil {
		return append(all, r.head()...)
	}
	last := len(r.outward)
	for i, out := range append(r.outward[:last:last], r.outputWidth()) {
		l := r.hiddenLayer(fmt.Sprintf("decoder.%d", i), in, out)
		l.act = r.decoder
		if i == last {
			l.act, l.norm, l.dropout = device.Identity, normNone, false
		}
		if r.Tied {
			l.tied = depth - 1 - i
		}
		all = append(all, l)
		in = out
	}
	return all
}

func (r *resolved) hiddenLayer(name string, in, out int) layer {
	return layer{name: name, in: in, out: out, tied: -1, act: r.activation, norm: r.norm, dropout: r.Dropout > 0}
}

// block is a layer on a device.
type block struct {
	*layer
	value, gradient blockParameters
	runMean, runVar device.View // [1, out], batch norm only

	// The minibatch's intermediate results [rows, out], kept for the backward
	// pass; each is absent if the layer has no such part.
	linear       device.View // output of dense, if a norm follows
	pre          device.View // input of the activation, if its derivative needs it or a norm precedes it
	active       device.View // output of the activation
	dropped      device.View // output of dropout
	mean, invStd device.View // of the norm
}

type blockParameters struct {
	weight, bias, gain, shift device.View
}

func (b *block) allocate(a *allocator, l *layer, rows int) {
	b.layer = l
	if l.norm != normNone {
		b.linear = a.matrix(rows, l.out)
		b.mean, b.invStd = allocateStatistics(a, l, rows)
	}
	if l.norm != normNone || l.act.NeedsInput() {
		b.pre = a.matrix(rows, l.out)
	}
	b.active = a.matrix(rows, l.out)
	if l.dropout {
		b.dropped = a.matrix(rows, l.out)
	}
}
