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
	rates          []uint32 // of the fields; nil: Rate
	continuous     []uint32 // by column; nil: all are, or the kind is another
	rowNumbers     []uint32
	inPart         []uint32
	step           uint32
	key            philox.Key
	data           *dataset
	donors         donors
	kernels        *kernels
	lanes          []noiseLane
}

// normalsTogether is the number of deviates that are drawn at a time, if rows are shorter.
const normalsTogether = 1024

// noiseLane is a thread's scratch memory: random numbers for a row, or for several short ones.
type noiseLane struct {
	decisions, choices []uint32
	normals            []float32
	clean, before      []float32 // a row and its mask as they were
}

// Corrupt draws one stage of the corruption.
func (d *Device) Corrupt(a device.CorruptArgs) {
	a.Check()
	if d.err != nil || note(d, a, (*Device).Corrupt) {
		return
	}
	index := wordsOf(a.Index)
	rows := a.From.Rows
	d.corrupt = corruptCall{
		CorruptArgs: a, from: floatsOf(a.From), to: floatsOf(a.To), mask: floatsOf(a.Mask), low: floatsOf(a.Low), high: floatsOf(a.High),
		rowNumbers: index[:rows], inPart: index[rows:], key: philox.KeyOf(a.Seed), kernels: d.kernels, lanes: d.corrupt.lanes,
	}
	if !a.Fields.IsZero() {
		d.corrupt.fieldOf = wordsOf(a.Fields.OfColumn)
	}
	if !a.Clock.IsZero() {
		d.corrupt.step = wordsOf(a.Clock)[0]
	}
	if !a.Rates.IsZero() {
		d.corrupt.rates = wordsOf(a.Rates)
	}
	if !a.Continuous.IsZero() && a.Kind.Continuous() {
		d.corrupt.continuous = wordsOf(a.Continuous)
	}
	if a.Kind.Swaps() {
		d.corrupt.data = a.Data.(*dataset)
		d.corrupt.donors = d.corrupt.data.donors(a.Part)
	}
	d.pool.run(&d.corrupt, rows, d.perLane(a.From.Columns*corruptCost))
}

func (c *corruptCall) run(lane, lo, hi int) {
	n := c.From.Columns
	spares := c.Absent || c.continuous != nil
	if destroysAll(c.Kind) && !spares {
		fill(c.mask[lo*n:hi*n], 1)
	}
	if c.Kind == device.CorruptGaussian && !spares {
		c.gaussian(&c.lanes[lane], lo, hi)
		return
	}
	for i := lo; i < hi; i++ {
		row := corruptRow{
			corruptCall: c, scratch: &c.lanes[lane],
			x: c.from[i*n : (i+1)*n], y: c.to[i*n : (i+1)*n], m: c.mask[i*n : (i+1)*n],
			at: c.blocksOf(i), position: c.inPart[i],
		}
		if spares {
			row.corruptSome()
		} else {
			row.corrupt()
		}
	}
}

// blocksOf is where the random blocks of a row begin.
func (c *corruptCall) blocksOf(row int) philox.Coordinates {
	return philox.Coordinates{
		Stream: c.Stream, Index: c.Stage, Replicate: uint32(row % c.Replicates), Row: c.rowNumbers[row], Step: c.step,
	}
}

// gaussian adds noise to the rows lo to hi, to short ones several at a time.
func (c *corruptCall) gaussian(scratch *noiseLane, lo, hi int) {
	n := c.From.Columns
	if n == 0 {
		return
	}
	wide := multiple(n, wordsMultiple)
	together := max(1, normalsTogether/wide)
	for ; lo < hi; lo += together {
		rows := min(together, hi-lo)
		z := scratch.normalsOfRows(c, lo, rows, wide)
		if wide == n {
			c.kernels.addNoise(c.to[lo*n:(lo+rows)*n], c.from[lo*n:(lo+rows)*n], z, c.Amount)
			continue
		}
		for r := range rows {
			at := (lo + r) * n
			c.kernels.addNoise(c.to[at:at+n], c.from[at:at+n], z[r*wide:], c.Amount)
		}
	}
}

// normalsOfRows draws standard normals for some rows from first on, wide apart.
func (s *noiseLane) normalsOfRows(c *corruptCall, first, rows, wide int) []float32 {
	if n := rows * wide; n > len(s.decisions) {
		s.decisions = make([]uint32, n)
	}
	words := s.decisions[:rows*wide]
	counter := c.blocksOf(first).Counter()
	for r := range rows {
		counter.MoveTo(c.rowNumbers[first+r], uint32((first+r)%c.Replicates))
		c.kernels.words(words[r*wide:(r+1)*wide], counter, c.key)
	}
	s.normals = grown(s.normals, len(words))
	c.kernels.normals(s.normals[:len(words)], words)
	return s.normals
}

// corruptRow is one row on its way from x to y, with its mask m.
type corruptRow struct {
	*corruptCall
	scratch  *noiseLane
	x, y, m  []float32
	at       philox.Coordinates // of the row's block 0
	position uint32             // of the row in its part
}

// corruptSome corrupts the row, and puts back what it must leave alone: absent
// values, and columns that are not continuous.
func (r *corruptRow) corruptSome() {
	n := len(r.x)
	r.scratch.clean, r.scratch.before = grown(r.scratch.clean, n), grown(r.scratch.before, n)
	clean, before := r.scratch.clean[:n], r.scratch.before[:n]
	copy(clean, r.x)
	if r.Accumulate {
		copy(before, r.m)
	} else {
		clear(before)
	}
	if destroysAll(r.Kind) {
		fill(r.m, 1)
	}
	r.corrupt()
	for j, x := range clean {
		if r.Absent && x != x || r.continuous != nil && r.continuous[j] == 0 {
			r.y[j], r.m[j] = x, before[j]
		}
	}
}

func (r *corruptRow) corrupt() {
	switch r.Kind {
	case device.CorruptNone:
		r.none()
	case device.CorruptMasking:
		r.masking()
	case device.CorruptSwap, device.CorruptSwapRows:
		r.swap()
	case device.CorruptSpan:
		r.span()
	case device.CorruptSaltAndPepper:
		r.saltAndPepper()
	case device.CorruptGaussian:
		r.kernels.addNoise(r.y, r.x, r.normals(), r.Amount)
	case device.CorruptSpeckle:
		r.speckle()
	case device.CorruptUniform:
		r.uniform()
	case device.CorruptPoisson:
		r.poisson()
	}
}

// draw fills at least n words of scratch, those of the row's blocks 0 and up.
func (r *corruptRow) draw(scratch *[]uint32, n int, draw uint32) []uint32 {
	at := r.at
	at.Draw = draw
	*scratch = drawWords(r.kernels, *scratch, n, at, r.key)
	return *scratch
}

// drawWords returns at least n words of the blocks from at on, in scratch if it
// is large enough.
func drawWords(k *kernels, scratch []uint32, n int, at philox.Coordinates, key philox.Key) []uint32 {
	n = multiple(n, wordsMultiple)
	if len(scratch) < n {
		scratch = make([]uint32, n)
	}
	if n > 0 {
		k.words(scratch[:n], at.Counter(), key)
	}
	return scratch
}

// fieldCount is the number of fields, or of columns if each is its own field.
func (r *corruptRow) fieldCount() int {
	if r.fieldOf == nil {
		return len(r.x)
	}
	return r.Fields.Count
}

// field returns the field of column j.
func (r *corruptRow) field(j int) uint32 {
	if r.fieldOf == nil {
		return uint32(j)
	}
	return r.fieldOf[j]
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

// destroysAll reports whether a kind marks every column as destroyed.
func destroysAll(k device.Corruption) bool {
	switch k {
	case device.CorruptGaussian, device.CorruptSpeckle, device.CorruptUniform, device.CorruptPoisson:
		return true
	default:
		return false
	}
}

// fill sets every element.
func fill(s []float32, value float32) {
	if len(s) > 0 {
		s[0] = value
	}
	for done := 1; done < len(s); done *= 2 {
		copy(s[done:], s[:done])
	}
}

func (r *corruptRow) none() {
	copy(r.y, r.x)
	if !r.Accumulate {
		clear(r.m)
	}
}

// fires reports whether a field is destroyed by its word.
func (r *corruptRow) fires(word, field uint32) bool {
	if r.rates == nil {
		return philox.Fires(word, r.Rate)
	}
	rate := r.rates[field]
	return rate != 0 && word <= rate
}

// masked is what masking leaves.
func (r *corruptRow) masked() float32 {
	if r.Absent {
		return absent
	}
	return 0
}

func (r *corruptRow) masking() {
	if r.Rate == 0 && r.rates == nil {
		r.none()
		return
	}
	words := r.draw(&r.scratch.decisions, r.fieldCount(), 0)
	if r.fieldOf == nil && r.rates == nil && !r.Absent {
		r.kernels.maskWords(r.y, r.x, r.m, words, uint32(r.Rate-1), r.Accumulate)
		return
	}
	value := r.masked()
	for j := range r.x {
		if f := r.field(j); r.fires(words[f], f) {
			r.destroy(j, value)
		} else {
			r.keep(j)
		}
	}
}

// span masks the fields that a run covers: those up to the last start that fired.
func (r *corruptRow) span() {
	words := r.draw(&r.scratch.decisions, r.fieldCount()+r.Length-1, 0)
	value := r.masked()
	start, last := 0, -1 // the next start to look at, and the last that fired
	for j := range r.x {
		f := int(r.field(j))
		for ; start < f+r.Length; start++ {
			if philox.Fires(words[start], r.Rate) {
				last = start
			}
		}
		if last >= f {
			r.destroy(j, value)
		} else {
			r.keep(j)
		}
	}
}

// swap takes the value of the same field in another row of the part, one for
// each field or one for all.
func (r *corruptRow) swap() {
	others := uint32(r.Part.Len() - 1)
	if others == 0 {
		r.none()
		return
	}
	decisions := r.draw(&r.scratch.decisions, r.fieldCount(), 0)
	one := r.Kind == device.CorruptSwapRows
	wanted := r.fieldCount()
	if one {
		wanted = 1
	}
	choices := r.draw(&r.scratch.choices, wanted, 1)
	for j := range r.x {
		f := r.field(j)
		if !r.fires(decisions[f], f) {
			r.keep(j)
			continue
		}
		choice := choices[0]
		if !one {
			choice = choices[f]
		}
		donor := philox.Below(choice, others)
		if donor >= r.position {
			donor++
		}
		r.destroy(j, r.data.at(r.donors.row(donor), j))
	}
}

func (r *corruptRow) saltAndPepper() {
	if r.Rate == 0 {
		r.none()
		return
	}
	words := r.draw(&r.scratch.decisions, len(r.x), 0)
	r.kernels.saltAndPepper(r.y, r.x, r.m, r.low, r.high, words, uint32(r.Rate/2), uint32(r.Rate-1), r.Accumulate)
}

// normals returns a standard normal draw for each column.
func (r *corruptRow) normals() []float32 {
	return r.scratch.standardNormals(r.kernels, len(r.x), r.at, r.key)
}

func (r *corruptRow) speckle() {
	r.kernels.addSpeckle(r.y, r.x, r.normals(), r.Amount)
}

func (r *corruptRow) uniform() {
	r.kernels.addUniform(r.y, r.x, r.draw(&r.scratch.decisions, len(r.x), 0), r.Amount)
}

func (r *corruptRow) poisson() {
	words := r.draw(&r.scratch.decisions, 4*len(r.x), 1)
	for j, x := range r.x {
		r.y[j] = poissonAt(float32(r.Amount*x), j, words, r.at, r.key) / r.Amount
	}
}
