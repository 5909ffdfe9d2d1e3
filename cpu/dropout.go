package cpu

import (
	"gpudae/device"
	"gpudae/device/philox"
)

// dropoutCall is a Dropout in progress; its items are rows.
type dropoutCall struct {
	device.DropoutArgs
	x, y       []float32
	rowNumbers []uint32
	step       uint32
	key        philox.Key
	kernels    *kernels
	lanes      []noiseLane
}

// Dropout zeroes units and rescales the others.
func (d *Device) Dropout(a device.DropoutArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Dropout) {
		return
	}
	d.dropout = dropoutCall{
		DropoutArgs: a, x: floatsOf(a.X), y: floatsOf(a.Y), rowNumbers: wordsOf(a.Index)[:a.X.Rows],
		step: wordsOf(a.Clock)[0], key: philox.KeyOf(a.Seed), kernels: d.kernels, lanes: d.corrupt.lanes,
	}
	d.pool.run(&d.dropout, a.X.Rows, d.perLane(a.X.Columns*corruptCost))
}

func (c *dropoutCall) run(lane, lo, hi int) {
	n := c.X.Columns
	scratch := &c.lanes[lane]
	for i := lo; i < hi; i++ {
		x, y := c.x[i*n:(i+1)*n], c.y[i*n:(i+1)*n]
		if c.Rate == 0 {
			c.kernels.scale(y, c.Keep, x)
			continue
		}
		at := philox.Coordinates{
			Stream: philox.StreamDropout, Index: c.Layer, Replicate: uint32(i % c.Replicates), Row: c.rowNumbers[i], Step: c.step,
		}
		scratch.decisions = drawWords(c.kernels, scratch.decisions, n, at, c.key)
		c.kernels.dropWords(y, x, scratch.decisions, uint32(c.Rate-1), c.Keep)
	}
}
