package model

import "gpudae/device"

// Sighting is something that a pass has computed or read.
type Sighting struct {
	Layer  string      // as in the names of parameters: encoder.0; "" for what belongs to no layer
	What   string      // "examples", "corrupted examples", "parameters", "running statistics", "activations", "losses" or "gradients"
	Values device.View // to be downloaded before watch returns
}

// Watched returns a Net that shares everything with n and shows watch, in the
// order of the computation, what each layer reads and puts out, forward and
// backward. It is for looking into a single step that went wrong: watch may wait
// for the device, so its passes are not to be recorded.
func (n *Net) Watched(watch func(Sighting)) *Net {
	other := *n
	other.watch, other.chain = watch, nil
	return &other
}

// sawInput shows the minibatch as the encoder gets it.
func (n *Net) sawInput(m *minibatch) {
	if !n.dae.resolved.tabular() { // in which absent values are no numbers
		n.watch(Sighting{What: "examples", Values: n.clean.Top(m.rows)})
	}
	n.watch(Sighting{What: "corrupted examples", Values: n.input(m)})
}

// sawForward shows what layer i has computed, and from what.
func (n *Net) sawForward(i int, m *minibatch) {
	b := &n.blocks[i]
	n.saw(i, "parameters", b.value.weight, b.value.bias, b.value.gain, b.value.shift)
	n.saw(i, "running statistics", b.runMean, b.runVar)
	n.saw(i, "activations", b.output(m))
}

// sawLoss shows the losses and the gradient by the decoder's output.
func (n *Net) sawLoss(m *minibatch) {
	n.watch(Sighting{What: "losses", Values: n.terms(m)})
	n.saw(len(n.blocks)-1, "gradients", n.params(m))
}

// sawBackward shows the gradients of layer i and that by its input.
func (n *Net) sawBackward(i int, below device.View) {
	g := n.blocks[i].gradient
	n.saw(i, "gradients", g.weight, g.bias, g.gain, g.shift, below)
}

// saw shows those of the views that exist.
func (n *Net) saw(i int, what string, views ...device.View) {
	for _, v := range views {
		if !v.IsZero() {
			n.watch(Sighting{Layer: n.blocks[i].name, What: what, Values: v})
		}
	}
}
