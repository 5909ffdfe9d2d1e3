package model

import (
	"errors"
	"fmt"

	"gpudae/device"
	"gpudae/device/philox"
)

// Rows is the greatest number of rows of a minibatch, in training replicates and
// links included.
func (n *Net) Rows() int { return n.rows }

// Link computes one link of a Markov chain (Bengio et al. 2013) for each row of
// x [rows, features], rows ≤ Rows, up to the draw: it corrupts x̃ ~ C(x̃|x) and
// writes the parameters of p(x|h), h = f(x̃), to params [rows, OutputWidth]. Row i is chain first+i, whose noise is that of stream
// StreamChain at the given step; dropout is off and batch norm uses its running
// statistics.
//
// Where the corruption swaps, the source's part is where donors come from, and
// the donor of a chain is never the row of the part at the chain's own number
// (modulo the rows of the part). Otherwise the source needs no data.
func (n *Net) Link(params, x []float32, src Source, first int, step uint32) error {
	features := n.dae.resolved.Features
	rows := len(x) / features
	if width := n.dae.resolved.outputWidth(); rows < 1 || rows > n.rows || len(x) != rows*features || len(params) != rows*width {
		panic(fmt.Sprintf("model: link of %d numbers to %d parameters in a net for %d rows of %d features", len(x), len(params), n.rows, features))
	}
	if err := n.checkLink(src); err != nil {
		return err
	}
	if err := n.dev.Upload(n.clean.Top(rows), x); err != nil {
		return err
	}
	m := &minibatch{source: src, rows: rows, replicates: 1, stream: philox.StreamChain, noise: n.clock}
	if err := n.dev.UploadWords(n.clock, device.Clock{Step: uint64(step)}.Words()); err != nil {
		return err
	}
	if err := n.dev.UploadWords(n.indexOf(m), chainIndex(rows, first, src.Part.Len())); err != nil {
		return err
	}
	n.corrupt(m)
	n.encode(m)
	n.decode(m)
	return n.download(params, n.params(m))
}

// chainIndex numbers the rows by their chains; their positions are within a part.
func chainIndex(rows, first, part int) []uint32 {
	index := make([]uint32, device.IndexWords(rows))
	for i := range rows {
		index[i] = uint32(first + i)
		index[rows+i] = uint32((first + i) % max(part, 1))
	}
	return index
}

func (n *Net) checkLink(src Source) error {
	corruption := n.dae.resolved.corruption
	switch {
	case n.scores():
		return errors.New("a score model corrupts at several noise levels and draws from none")
	case corruption.Swaps() && src.Data == nil:
		return errors.New("swap needs data to take values from")
	case corruption.Uses(device.CorruptSaltAndPepper) && src.Range.Low.IsZero():
		return errors.New("salt-and-pepper needs the columns' extremes")
	}
	return nil
}
