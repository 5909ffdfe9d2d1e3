package devicetest

import (
	"gpudae/device"
	"gpudae/device/philox"
)

func corruptChecks() []check {
	all := append(each("Corrupt", device.Corruptions(), checkCorrupt),
		each("CorruptSplitsBatches", device.Corruptions(), checkCorruptSplits)...)
	return append(all, check{"PoissonHasNoOutliers", checkPoissonHasNoOutliers})
}

// corruptCase is what one trial of Corrupt varies.
type corruptCase struct {
	kind                             device.Corruption
	rows, columns                    int
	rate                             float64
	replicates                       int
	fields, alias, accumulate, clock bool
	absent, continuous, rates        bool // as a table's rows are corrupted
	records                          bool // donors are records
}

// checkCorrupt compares masks and values with the reference bit for bit.
func checkCorrupt(r *rig, k device.Corruption) {
	rates := [...]float64{0, 0.1, 0.5, 1}
	for i, shape := range shapes {
		for variant := range 8 {
			r.corruptTrial(corruptCase{
				kind: k, rows: shape[0] * 3, columns: shape[1],
				rate: rates[(i+variant)%len(rates)], replicates: 1 + 2*(variant&1),
				fields: variant&1 == 0, alias: variant&2 == 0, accumulate: variant&4 == 0, clock: variant != 3,
			})
		}
	}
}

func (r *rig) corruptTrial(c corruptCase) {
	t := r.trial("corrupt %+v", c)
	o := t.corruptOperands(c)
	t.run(o.call)
	t.exact(o.to, o.mask)
}

// corruptOperands are the operands of a Corrupt; low, high and data are absent
// where the kind has no use for them.
type corruptOperands struct {
	args              device.CorruptArgs // without views
	from, to, mask    *operand
	low, high         *operand
	index, clock      *wordOperand
	rates, continuous *wordOperand
	fields            fieldOperands
	data              loaded
}

func (t *trial) corruptOperands(c corruptCase) *corruptOperands {
	const examples = 37
	r := t.rig
	parts := r.parts(examples)
	part := parts[r.rng.IntN(len(parts))]
	o := &corruptOperands{
		args: device.CorruptArgs{
			Kind: c.kind, Rate: threshold(c.rate), Length: 1 + r.rng.IntN(6), Absent: c.absent, Amount: r.amount(c.kind), Accumulate: c.accumulate, Seed: r.rng.Uint64(),
			Stream: philox.Stream(r.rng.IntN(2)), Stage: r.rng.Uint32N(5), Replicates: c.replicates, Part: part,
		},
		index: t.inWords("index", r.examples(c.rows, c.replicates, part, examples)),
		mask:  t.out("mask", c.rows, c.columns),
	}
	if c.accumulate {
		o.mask.before = r.bits(c.rows*c.columns, 0.3)
	}
	clean := r.cleanValues(c.kind, c.rows*c.columns)
	if c.absent {
		clean = r.holed(clean)
	}
	o.from, o.to = t.pair("X", "To", c.rows, c.columns, clean, c.alias)
	if c.clock {
		o.clock = t.inWords("clock", r.clockWords())
	}
	fields := c.columns
	if c.fields {
		layout := r.fieldLayout(c.columns, 5)
		fields = len(layout.offsets) - 1
		o.fields = t.inFields(layout)
	}
	if c.rates {
		o.rates = t.inWords("rates", r.rateWords(fields))
	}
	if c.continuous {
		o.continuous = t.inWords("continuous", r.continuousWords(c.columns))
	}
	switch {
	case c.kind == device.CorruptSaltAndPepper:
		o.low = t.in("low", 1, c.columns, r.uniforms(c.columns, -2, -1))
		o.high = t.in("high", 1, c.columns, r.uniforms(c.columns, 1, 2))
	case c.kind.Swaps() && c.records:
		o.data = r.load(r.recordTable(examples, c.columns))
	case c.kind.Swaps():
		o.data = r.load(r.table(examples, c.columns, c.fields))
	}
	return o
}

func (o *corruptOperands) call(s side) {
	a := o.args
	a.From, a.To, a.Mask, a.Low, a.High = s.v(o.from), s.v(o.to), s.v(o.mask), s.v(o.low), s.v(o.high)
	a.Index, a.Clock, a.Fields, a.Data = s.w(o.index), s.w(o.clock), s.fields(o.fields), s.data(o.data)
	a.Rates, a.Continuous = s.w(o.rates), s.w(o.continuous)
	s.Corrupt(a)
}

// amount is the strength of a kind: small and large peaks for poisson, so that
// both of its methods are used.
func (r *rig) amount(k device.Corruption) float32 {
	if k == device.CorruptPoisson {
		return [...]float32{0.5, 3, 16, 40, 255, 0.5, 3, 4000}[r.rng.IntN(8)]
	}
	return float32(r.rng.Float64() + 0.01)
}

// cleanValues suit a kind: intensities for poisson, with some outside [0, 1].
func (r *rig) cleanValues(k device.Corruption, n int) []float32 {
	if k != device.CorruptPoisson {
		return r.normals(n, 1)
	}
	x := r.uniforms(n, -0.2, 1)
	for i := 0; i < n; i += 20 {
		x[i] *= 5
	}
	return x
}

// checkCorruptSplits: the corruption of an example does not depend on the
// minibatch in which it comes: one of all examples and many small ones give the
// same bits.
func checkCorruptSplits(r *rig, k device.Corruption) {
	const rows, columns, replicates = 29, 10, 2
	data, err := r.dev.Load(r.Context(), r.table(rows, columns, true))
	r.must(err)
	part := device.Rows{Lo: 2, Hi: rows, Split: true, Seed: 8}
	a := device.CorruptArgs{Kind: k, Rate: threshold(0.4), Length: 3, Amount: 0.3, Seed: 1 << 40, Stage: 1, Data: data, Part: part}
	a.Low, a.High = r.constants(columns, -1), r.constants(columns, 2)
	a.Fields = r.placedFields(r.fieldLayout(columns, 3))
	draw := func(cursor, examples int) []float32 {
		m := r.newMinibatch(examples, columns, replicates)
		m.setClock(device.Clock{Step: 12, Epoch: 3, Cursor: uint32(cursor)})
		m.gather(data, part, true, 4)
		m.corrupt(a)
		return append(r.read(m.y), r.read(m.mask)...)
	}
	whole := draw(0, part.Len())
	values, masks := whole[:len(whole)/2], whole[len(whole)/2:]
	for _, batch := range []int{1, 4, 16} {
		for cursor := 0; cursor < part.Len(); cursor += batch {
			n := min(batch, part.Len()-cursor)
			from, count := cursor*replicates*columns, n*replicates*columns
			want := append(append([]float32(nil), values[from:from+count]...), masks[from:from+count]...)
			if i := firstDifference(draw(cursor, n), want); i >= 0 {
				r.report("in minibatches of %d, examples %d to %d are not corrupted as in one of %d", batch, cursor, cursor+n, part.Len())
			}
		}
	}
}

// checkPoissonHasNoOutliers: with this seed the row below draws the largest
// uniform number there is, one in sixteen million. The sum of the probabilities
// that it is compared with may stop short of it in float32, and the count must
// not run on.
func checkPoissonHasNoOutliers(r *rig) {
	const seed, row, rates = 0x0123456789abcdef, 20124823, 16 * 64
	t := r.trial("poisson at the largest uniform number")
	index := make([]uint32, device.IndexWords(rates))
	lambda := make([]float32, rates)
	for i := range lambda {
		index[i], lambda[i] = row, float32(i+1)/64
	}
	x, y, mask := t.in("X", rates, 1, lambda), t.out("To", rates, 1), t.out("mask", rates, 1)
	words := t.inWords("index", index)
	t.run(func(s side) {
		s.Corrupt(device.CorruptArgs{Kind: device.CorruptPoisson, Amount: 1, From: s.v(x), To: s.v(y), Mask: s.v(mask),
			Seed: seed, Replicates: 1, Index: s.w(words)})
	})
	t.exact(y, mask)
	for i, n := range y.got {
		if n > 64 {
			r.report("%s: λ = %g draws %g", t.label, lambda[i], n)
		}
	}
}

// constants places n equal numbers on the device under test.
func (r *rig) constants(n int, value float32) device.View {
	r.Helper()
	x := make([]float32, n)
	for i := range x {
		x[i] = value
	}
	return r.placed(1, n, x)
}

// placed uploads a matrix to the device under test.
func (r *rig) placed(rows, columns int, x []float32) device.View {
	r.Helper()
	m, err := r.dev.Alloc(device.Float, rows*columns)
	r.must(err)
	v := device.MatrixOf(m, 0, rows, columns)
	r.must(r.dev.Upload(v, x))
	return v
}

// placedFields uploads a layout to the device under test.
func (r *rig) placedFields(l fieldLayout) device.Fields {
	r.Helper()
	return device.Fields{Count: len(l.offsets) - 1, OfColumn: r.placedWords(l.ofColumn), Offsets: r.placedWords(l.offsets)}
}

func (r *rig) placedWords(x []uint32) device.Words {
	r.Helper()
	m, err := r.dev.Alloc(device.Word, len(x))
	r.must(err)
	w := device.WordsOf(m, 0, len(x))
	r.must(r.dev.UploadWords(w, x))
	return w
}
