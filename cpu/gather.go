package cpu

import (
	"gpudae/device"
	"gpudae/device/philox"
)

// gatherCall is a Gather in progress; its items are the rows of the minibatch.
type gatherCall struct {
	kernels     *kernels
	data        *dataset
	order       philox.Permutation // E
	part        philox.Permutation // P
	lo          uint32             // first position of the part in P
	cursor      uint32
	replicates  int
	x           []float32
	rowNumbers  []uint32
	inPart      []uint32
	columnCount int
}

// Gather makes a minibatch.
func (d *Device) Gather(a device.GatherArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Gather) {
		return
	}
	clock := device.ClockFromWords(wordsOf(a.Clock))
	index := wordsOf(a.Index)
	data := a.Data.(*dataset)
	d.gather = gatherCall{
		kernels: d.kernels, data: data, part: a.Part.Permutation(data.rows), lo: uint32(a.Part.Lo), cursor: clock.Cursor,
		replicates: a.Replicates, x: floatsOf(a.X), rowNumbers: index[:a.X.Rows], inPart: index[a.X.Rows:], columnCount: data.columns,
	}
	if a.Shuffle {
		d.gather.order = philox.NewPermutation(uint32(a.Part.Len()), a.Seed, philox.StreamPermutation, clock.Epoch)
	}
	d.pool.run(&d.gather, a.X.Rows, d.perLane(data.columns*gatherCost))
}

func (c *gatherCall) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		position := c.order.At(c.cursor + uint32(i/c.replicates))
		row := c.part.At(c.lo + position)
		c.rowNumbers[i], c.inPart[i] = row, position
		c.data.prefetchRow(c.kernels, int(row))
	}
	for i := lo; i < hi; i++ {
		c.data.copyRow(c.kernels, c.x[i*c.columnCount:(i+1)*c.columnCount], int(c.rowNumbers[i]))
	}
}
