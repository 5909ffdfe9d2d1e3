package reference

import (
	"gpudae/device"
	"gpudae/device/philox"
)

// Dropout implements device.Device.
func (d *Device) Dropout(a device.DropoutArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	x, y, index, clock := d.matrix(a.X), d.matrix(a.Y), d.words(a.Index), d.clock(a.Clock)
	for i := range x.rows {
		for j := range x.columns {
			at := philox.Coordinates{Stream: philox.StreamDropout, Index: a.Layer, Replicate: uint32(i % a.Replicates),
				Row: index[i], Step: uint32(clock.Step), Block: uint32(j / 4)}
			word := philox.Block(at.Counter(), philox.KeyOf(a.Seed))[j%4]
			if philox.Fires(word, a.Rate) {
				y.row(i)[j] = 0
			} else {
				y.row(i)[j] = x.at(i, j) * float64(a.Keep)
			}
		}
	}
}
