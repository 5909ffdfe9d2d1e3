package reference

import (
	"fmt"

	"gpudae/device"
	"gpudae/device/philox"
)

// Gather implements device.Device. It panics if the minibatch passes the end
// of the part.
func (d *Device) Gather(a device.GatherArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	data, x, index, clock := d.table(a.Data), d.matrix(a.X), d.words(a.Index), d.clock(a.Clock)
	part := a.Part.Permutation(data.Rows)
	var epoch philox.Permutation
	if a.Shuffle {
		epoch = philox.NewPermutation(uint32(a.Part.Len()), a.Seed, philox.StreamPermutation, clock.Epoch)
	}
	for i := range x.rows {
		q := clock.Cursor + uint32(i/a.Replicates)
		if int(q) >= a.Part.Len() {
			panic(fmt.Sprintf("reference: gather of example %d of a part of %d", q, a.Part.Len()))
		}
		position := epoch.At(q)
		row := part.At(uint32(a.Part.Lo) + position)
		index[i], index[x.rows+i] = row, position
		for j := range x.columns {
			x.row(i)[j] = float64(data.value(int(row), j))
		}
	}
}
