package reference

import (
	"gpudae/device"
	"gpudae/device/philox"
)

// cell is one feature of one row: all that its corruption depends on.
type cell struct {
	x             float32
	column, field int
	rate          uint64
	rateWord      *uint32 // in place of rate, or nil
	length        int     // of a run
	masked        float32 // what masking leaves
	amount        float32
	low, high     float32
	donor         *donors
	position      uint32 // of the row's example in the part
	at            philox.Coordinates
	key           philox.Key
}

// corruptions holds, by kind, the draw of x̃ and whether it destroyed x. Every
// operation is rounded to float32: x̃ is defined so.
var corruptions = [...]func(cell) (x float32, destroyed bool){
	device.CorruptNone:          keep,
	device.CorruptGaussian:      gaussian,
	device.CorruptMasking:       masking,
	device.CorruptSaltAndPepper: saltAndPepper,
	device.CorruptSwap:          swap,
	device.CorruptSpeckle:       speckle,
	device.CorruptUniform:       uniform,
	device.CorruptPoisson:       poisson,
	device.CorruptSwapRows:      swapRows,
	device.CorruptSpan:          span,
}

func keep(c cell) (float32, bool) { return c.x, false }

// gaussian: x + σ·z.
func gaussian(c cell) (float32, bool) { return c.x + float32(c.amount*c.normal()), true }

// fires reports whether the field is destroyed, by its word at draw 0.
func (c cell) fires() bool {
	word := c.word(c.field, 0)
	if c.rateWord != nil {
		return *c.rateWord != 0 && word <= *c.rateWord
	}
	return philox.Fires(word, c.rate)
}

// masking: 0, or absent, with probability p, by field.
func masking(c cell) (float32, bool) {
	if c.fires() {
		return c.masked, true
	}
	return c.x, false
}

// span: masked if any of the runs starts that reach the field.
func span(c cell) (float32, bool) {
	for start := c.field; start < c.field+c.length; start++ {
		if philox.Fires(c.word(start, 0), c.rate) {
			return c.masked, true
		}
	}
	return c.x, false
}

// saltAndPepper: the column's low or high, each with probability p/2.
func saltAndPepper(c cell) (float32, bool) {
	switch word := c.word(c.column, 0); {
	case philox.Fires(word, c.rate/2):
		return c.low, true
	case philox.Fires(word, c.rate):
		return c.high, true
	default:
		return c.x, false
	}
}

// swap: with probability p, by field, the value in another example of the part.
func swap(c cell) (float32, bool) { return c.swapFor(c.word(c.field, 1)) }

// swapRows: the same, and the donor is the same for all fields.
func swapRows(c cell) (float32, bool) { return c.swapFor(c.word(0, 1)) }

// swapFor takes the value of the donor that a word chooses.
func (c cell) swapFor(choice uint32) (float32, bool) {
	examples := uint32(c.donor.part.Len())
	if examples < 2 || !c.fires() {
		return c.x, false
	}
	donor := philox.Below(choice, examples-1)
	if donor >= c.position {
		donor++
	}
	return c.donor.value(donor, c.column), true
}

// speckle: x·(1 + σ·z).
func speckle(c cell) (float32, bool) {
	factor := 1 + float32(c.amount*c.normal())
	return float32(c.x * factor), true
}

// uniform: x + a·(2u - 1).
func uniform(c cell) (float32, bool) {
	u := philox.Uniform(c.word(c.column, 0))
	return c.x + float32(c.amount*(2*u-1)), true // 2u is exact
}

// poisson: N/peak with N ~ Poisson(peak·max(x, 0)).
func poisson(c cell) (float32, bool) {
	at := c.at
	at.Block = uint32(c.column)
	return philox.Poisson(float32(c.amount*c.x), at, c.key) / c.amount, true
}

// block is the generator's block of a unit (a column or a field).
func (c cell) block(unit, draw int) [4]uint32 {
	at := c.at
	at.Block, at.Draw = uint32(unit/4), uint32(draw)
	return philox.Block(at.Counter(), c.key)
}

func (c cell) word(unit, draw int) uint32 { return c.block(unit, draw)[unit%4] }

func (c cell) normal() float32 { return philox.NormalLane(c.block(c.column, 0), c.column%4) }
