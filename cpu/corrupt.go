package cpu

import (
	"gpudae/device"
	"gpudae/device/philox"
)

// corruptCall is a Corrupt in progress; its items are the rows of the minibatch.
type corruptCall struct {
	device.CorruptArgs
	from, to, mask []float32
	low, high      []float32
	fieldOf        []uint32 // nil: every column is its own field
	rowNumbers     []uint32
	inPart         []uint32
	step           uint32
	key            philox.Key
	data           *dataset
	part           philox.Permutation
}

// Relative cost of corrupting an element, for rowsPerLane.
const corruptCost = 16

// Corrupt draws one stage of the corruption.
func (d *Device) Corrupt(a device.CorruptArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	index := wordsOf(a.Index)
	rows := a.From.Rows
	d.corrupt = corruptCall{
		CorruptArgs: a, from: floatsOf(a.From), to: floatsOf(a.To), mask: floatsOf(a.Mask), low: floatsOf(a.Low), high: floatsOf(a.High),
		rowNumbers: index[:rows], inPart: index[rows:], key: philox.KeyOf(a.Seed),
	}
	if !a.Fields.IsZero() {
		d.corrupt.fieldOf = wordsOf(a.Fields.OfColumn)
	}
	if !a.Clock.IsZero() {
		d.corrupt.step = wordsOf(a.Clock)[0]
	}
	if a.Kind == device.CorruptSwap {
		d.corrupt.data = a.Data.(*dataset)
		d.corrupt.part = a.Part.Permutation(d.corrupt.data.rows)
	}
	d.pool.run(&d.corrupt, rows, rowsPerLane(a.From.Columns, corruptCost))
}

func (c *corruptCall) run(_, lo, hi int) {
	n := c.From.Columns
	for i := lo; i < hi; i++ {
		row := corruptRow{
			corruptCall: c,
			x:           c.from[i*n : (i+1)*n], y: c.to[i*n : (i+1)*n], m: c.mask[i*n : (i+1)*n],
			at: philox.Coordinates{
				Stream: c.Stream, Index: c.Stage, Replicate: uint32(i % c.Replicates), Row: c.rowNumbers[i], Step: c.step,
			},
			position: c.inPart[i],
		}
		row.corrupt()
	}
}

// corruptRow is one row on its way from x to y, with its mask m.
type corruptRow struct {
	*corruptCall
	x, y, m  []float32
	at       philox.Coordinates // of the row's block 0
	position uint32             // of the row in its part
}

func (r *corruptRow) corrupt() {
	switch r.Kind {
	case device.CorruptNone:
		r.none()
	case device.CorruptMasking:
		r.masking()
	case device.CorruptSwap:
		r.swap()
	case device.CorruptSaltAndPepper:
		r.saltAndPepper()
	case device.CorruptGaussian, device.CorruptSpeckle:
		r.normal()
	case device.CorruptUniform:
		r.uniform()
	case device.CorruptPoisson:
		r.poisson()
	}
}

// words returns the four words of one block of the row.
func (r *corruptRow) words(block, draw uint32) [4]uint32 {
	at := r.at
	at.Block, at.Draw = block, draw
	return philox.Block(at.Counter(), r.key)
}

// keep copies column j as it is and marks it as untouched by this stage.
func (r *corruptRow) keep(j int) {
	r.y[j] = r.x[j]
	if !r.Accumulate {
		r.m[j] = 0
	}
}

// destroy writes the corrupted value of column j.
func (r *corruptRow) destroy(j int, value float32) {
	r.y[j] = value
	r.m[j] = 1
}

func (r *corruptRow) none() {
	for j := range r.x {
		r.keep(j)
	}
}

// field returns the field of column j.
func (r *corruptRow) field(j int) uint32 {
	if r.fieldOf == nil {
		return uint32(j)
	}
	return r.fieldOf[j]
}

func (r *corruptRow) masking() {
	r.byField(func(j int, _ uint32) float32 { return 0 }, 0)
}

// swap takes the value of the same field in another row of the part.
func (r *corruptRow) swap() {
	others := uint32(r.Part.Len() - 1)
	if others == 0 {
		r.none()
		return
	}
	r.byField(func(j int, word uint32) float32 {
		donor := philox.Below(word, others)
		if donor >= r.position {
			donor++
		}
		return r.data.at(int(r.part.At(uint32(r.Part.Lo)+donor)), j)
	}, 1)
}

// byField destroys whole fields: value gives what column j becomes, from the
// word that the field has at the given draw.
func (r *corruptRow) byField(value func(j int, word uint32) float32, draw uint32) {
	const none = ^uint32(0)
	decided, drawn := none, none // blocks that are in decision and words
	var decision, words [4]uint32
	for j := range r.x {
		f := r.field(j)
		if f/4 != decided {
			decided = f / 4
			decision = r.words(decided, 0)
		}
		if !philox.Fires(decision[f%4], r.Rate) {
			r.keep(j)
			continue
		}
		if draw != 0 && f/4 != drawn {
			drawn = f / 4
			words = r.words(drawn, draw)
		}
		r.destroy(j, value(j, words[f%4]))
	}
}

func (r *corruptRow) saltAndPepper() {
	var words [4]uint32
	for j := range r.x {
		if j%4 == 0 {
			words = r.words(uint32(j/4), 0)
		}
		switch word := words[j%4]; {
		case philox.Fires(word, r.Rate/2):
			r.destroy(j, r.low[j])
		case philox.Fires(word, r.Rate):
			r.destroy(j, r.high[j])
		default:
			r.keep(j)
		}
	}
}

// normal adds or multiplies by Gaussian noise.
func (r *corruptRow) normal() {
	var z [4]float32
	for j, x := range r.x {
		if j%4 == 0 {
			w := r.words(uint32(j/4), 0)
			z[0], z[1] = philox.Normal(w[0], w[1])
			z[2], z[3] = philox.Normal(w[2], w[3])
		}
		noise := float32(r.Amount * z[j%4])
		if r.Kind == device.CorruptSpeckle {
			r.destroy(j, float32(x*float32(1+noise)))
		} else {
			r.destroy(j, x+noise)
		}
	}
}

func (r *corruptRow) uniform() {
	var words [4]uint32
	for j, x := range r.x {
		if j%4 == 0 {
			words = r.words(uint32(j/4), 0)
		}
		u := philox.Uniform(words[j%4])
		r.destroy(j, x+float32(r.Amount*float32(float32(2*u)-1)))
	}
}

func (r *corruptRow) poisson() {
	for j, x := range r.x {
		at := r.at
		at.Block = uint32(j)
		r.destroy(j, philox.Poisson(float32(r.Amount*x), at, r.key)/r.Amount)
	}
}
