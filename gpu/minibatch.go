//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Gather makes a minibatch.
func (d *Device) Gather(a device.GatherArgs) {
	a.Check()
	if note(d, a, (*Device).Gather) {
		return
	}
	data := a.Data.(*dataset)
	words := data.words(append(make([]uint64, 0, 24), integer(a.X.Rows), integer(a.X.Columns)))
	words = append(words, integer(a.Part.Lo), integer(a.Part.Len()), flag(a.Part.Split), a.Part.Seed, flag(a.Shuffle), a.Seed,
		integer(a.Replicates), wordAddress(a.Clock), address(a.X), wordAddress(a.Index))
	d.launch(data.gathers, a.X.Rows, a.X.Columns, words...)
}

// Tick logs the step's values and advances the clock and what is known of the losses.
func (d *Device) Tick(a device.TickArgs) {
	a.Check()
	if note(d, a, (*Device).Tick) {
		return
	}
	values := address(a.Values)
	if a.Log.Rows == 0 {
		values = 0
	}
	d.launch(kernels.Tick, 1, 1,
		wordAddress(a.Clock), integer(a.Rows), values, integer(a.Values.Columns), address(a.Log), integer(a.Log.Rows),
		address(a.Spikes), float(a.SpikeLimit), address(a.Loss))
}
