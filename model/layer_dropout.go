package model

import (
	"gpudae/device"
	"gpudae/device/philox"
)

// drops reports whether the layer drops units in this minibatch.
func (b *block) drops(m *minibatch) bool { return b.layer.dropout && m.training }

// dropout drops units of layer i; on a gradient it is its own backward pass.
func (n *Net) dropout(i int, x, y device.View, m *minibatch) {
	p := n.dae.resolved.Dropout
	n.dev.Dropout(device.DropoutArgs{
		Rate: philox.Threshold(p), Keep: float32(1 / (1 - p)), Layer: uint32(i), Seed: m.source.Seed,
		Replicates: m.replicates, Index: n.indexOf(m), Clock: m.noise, X: x, Y: y,
	})
}
