package model

import (
	"gpudae/device"
)

// links are the nets of the links of a chain.
type links struct {
	rows int // of each
	nets []*Net
}

// linksOf returns the nets of the links for minibatches of so many rows: views
// of one band of rows each. They are made at the first call for a size.
func (n *Net) linksOf(rows int) []*Net {
	for _, c := range n.chain {
		if c.rows == rows {
			return c.nets
		}
	}
	c := links{rows: rows}
	for i := range n.dae.resolved.Walkback {
		c.nets = append(c.nets, n.band(i*rows, rows))
	}
	n.chain = append(n.chain, c)
	return c.nets
}

// band is n on rows of its memory from first on. Parameters and the index, since
// all links follow the same examples, are in common.
func (n *Net) band(first, rows int) *Net {
	cut := func(v *device.View) {
		if !v.IsZero() {
			*v = device.MatrixOf(v.Memory, v.Offset+first*v.Columns, rows, v.Columns)
		}
	}
	b := *n
	b.rows, b.chain = rows, nil
	for _, v := range []*device.View{&b.clean, &b.corrupted, &b.mask, &b.reconstruction, &b.losses, &b.squares, &b.embedded, &b.byColumn,
		&b.code.noise, &b.code.value, &b.code.divergence} {
		cut(v)
	}
	b.blocks = append([]block(nil), n.blocks...)
	for i := range b.blocks {
		l := &b.blocks[i]
		for _, v := range []*device.View{&l.linear, &l.pre, &l.active, &l.dropped} {
			cut(v)
		}
		if l.norm == normLayer {
			cut(&l.mean)
			cut(&l.invStd)
		}
	}
	return &b
}

// emit draws x' ~ p(x|h), where the next link is to corrupt it.
func (n *Net) emit(next *Net, m *minibatch) {
	l := n.dae.resolved.likelihood
	n.dev.Draw(device.DrawArgs{
		Kind: l.Kind, Sigma: l.sigma(), Floor: l.floor(), Fields: n.fields, Table: n.columns, Params: n.params(m), Out: next.corrupted.Top(m.rows),
		Seed: m.source.Seed, Stream: m.stream, Stage: uint32(codeStage - m.link), Replicates: m.replicates, Index: n.indexOf(m), Clock: m.noise,
	})
}
