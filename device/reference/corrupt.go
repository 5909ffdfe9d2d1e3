package reference

import (
	"gpudae/device"
	"gpudae/device/philox"
)

// Corrupt implements device.Device.
func (d *Device) Corrupt(a device.CorruptArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	from, to, mask := d.matrix(a.From), d.matrix(a.To), d.matrix(a.Mask)
	low, high := d.matrix(a.Low), d.matrix(a.High)
	index, fieldOf, rates, continuous := d.words(a.Index), d.words(a.Fields.OfColumn), d.words(a.Rates), d.words(a.Continuous)
	step := uint32(d.clock(a.Clock).Step)
	donor := d.donors(&a)
	draw := corruptions[a.Kind]
	for i := range from.rows {
		for j := range from.columns {
			c := cell{
				x: float32(from.at(i, j)), column: j, field: j,
				rate: a.Rate, amount: a.Amount, length: a.Length,
				donor: donor, position: index[from.rows+i],
				key: philox.KeyOf(a.Seed),
				at: philox.Coordinates{Stream: a.Stream, Index: a.Stage, Replicate: uint32(i % a.Replicates),
					Row: index[i], Step: step},
			}
			if fieldOf != nil {
				c.field = int(fieldOf[j])
			}
			if rates != nil {
				c.rateWord = &rates[c.field]
			}
			if a.Absent {
				c.masked = absent
			}
			if a.Kind == device.CorruptSaltAndPepper {
				c.low, c.high = float32(low.data[j]), float32(high.data[j])
			}
			x, destroyed := c.x, false
			if !(a.Absent && c.x != c.x) && !(a.Kind.Continuous() && continuous != nil && continuous[j] == 0) {
				x, destroyed = draw(c)
			}
			to.row(i)[j] = float64(x)
			if destroyed {
				mask.row(i)[j] = 1
			} else if !a.Accumulate {
				mask.row(i)[j] = 0
			}
		}
	}
}

// donors returns the part that swaps draw from, nil for the other kinds.
func (d *Device) donors(a *device.CorruptArgs) *donors {
	if !a.Kind.Swaps() {
		return nil
	}
	data := d.table(a.Data)
	return &donors{data: data, part: a.Part, permutation: a.Part.Permutation(data.Rows)}
}

type donors struct {
	data        *table
	part        device.Rows
	permutation philox.Permutation
}

// value is the column's value in the example at a position of the part.
func (s *donors) value(position uint32, column int) float32 {
	return s.data.value(int(s.permutation.At(uint32(s.part.Lo)+position)), column)
}
