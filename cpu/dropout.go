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
}

// Dropout zeroes units and rescales the others.
func (d *Device) Dropout(a device.DropoutArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	d.dropout = dropoutCall{
		DropoutArgs: a, x: floatsOf(a.X), y: floatsOf(a.Y), rowNumbers: wordsOf(a.Index)[:a.X.Rows],
		step: wordsOf(a.Clock)[0], key: philox.KeyOf(a.Seed),
	}
	d.pool.run(&d.dropout, a.X.Rows, rowsPerLane(a.X.Columns, corruptCost))
}

func (c *dropoutCall) run(_, lo, hi int) {
	n := c.X.Columns
	for i := lo; i < hi; i++ {
		at := philox.Coordinates{
			Stream: philox.StreamDropout, Index: c.Layer, Replicate: uint32(i % c.Replicates), Row: c.rowNumbers[i], Step: c.step,
		}
		c.row(c.y[i*n:(i+1)*n], c.x[i*n:(i+1)*n], at)
	}
}

func (c *dropoutCall) row(y, x []float32, at philox.Coordinates) {
	var words [4]uint32
	for j, v := range x {
		if j%4 == 0 {
			at.Block = uint32(j / 4)
			words = philox.Block(at.Counter(), c.key)
		}
		if philox.Fires(words[j%4], c.Rate) {
			y[j] = 0
		} else {
			y[j] = float32(v * c.Keep)
		}
	}
}
