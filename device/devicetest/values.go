package devicetest

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

// shapes of elementwise operations: one element, primes, a power of two, one
// more and one less than a multiple of a tile, tall and wide.
var shapes = [...][2]int{{1, 1}, {1, 7}, {3, 5}, {40, 64}, {17, 31}, {33, 1}, {5, 257}, {64, 33}, {1, 1000}}

// normals returns n draws of N(0, scale²).
func (r *rig) normals(n int, scale float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(scale * r.rng.NormFloat64())
	}
	return x
}

// uniforms returns n numbers in [low, high).
func (r *rig) uniforms(n int, low, high float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(low + (high-low)*r.rng.Float64())
	}
	return x
}

// bits returns n numbers that are 1 with probability p and else 0.
func (r *rig) bits(n int, p float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		if r.rng.Float64() < p {
			x[i] = 1
		}
	}
	return x
}

// preactivations returns normal draws among which every tenth is a number where
// an activation might go wrong: a kink, the range's ends, far outside it.
func (r *rig) preactivations(n int) []float32 {
	special := [...]float32{0, float32(math.Copysign(0, -1)), 1, -1, 1e-6, -1e-6, 1e-30, -1e-30, 17, -17, 60, -60, 100, -100, 1e4, -1e4}
	x := r.normals(n, 2)
	for i := 0; i < n; i += 10 {
		x[i] = special[r.rng.IntN(len(special))]
	}
	return x
}

// fieldLayout is a grouping of columns on the host.
type fieldLayout struct{ ofColumn, offsets []uint32 }

// fieldLayout groups d columns into fields of one to widest columns.
func (r *rig) fieldLayout(d, widest int) fieldLayout {
	var l fieldLayout
	for len(l.ofColumn) < d {
		field := uint32(len(l.offsets))
		l.offsets = append(l.offsets, uint32(len(l.ofColumn)))
		for range min(1+r.rng.IntN(widest), d-len(l.ofColumn)) {
			l.ofColumn = append(l.ofColumn, field)
		}
	}
	l.offsets = append(l.offsets, uint32(d))
	return l
}

// fieldOperands are a layout on both devices; the zero value is no grouping.
type fieldOperands struct{ ofColumn, offsets *wordOperand }

func (t *trial) inFields(l fieldLayout) fieldOperands {
	return fieldOperands{t.inWords("fields", l.ofColumn), t.inWords("field offsets", l.offsets)}
}

func (s side) fields(f fieldOperands) device.Fields {
	if f.offsets == nil {
		return device.Fields{}
	}
	return device.Fields{Count: len(f.offsets.before) - 1, OfColumn: s.w(f.ofColumn), Offsets: s.w(f.offsets)}
}

// examples draws n examples of a part of a data set of so many rows, and
// returns the minibatch's index words: rows, then positions. Each example
// fills replicates rows.
func (r *rig) examples(n, replicates int, part device.Rows, rows int) []uint32 {
	index := make([]uint32, device.IndexWords(n))
	permutation := part.Permutation(rows)
	for i := range n {
		position := uint32(r.rng.IntN(part.Len()))
		if i%replicates > 0 {
			position = index[n+i-1]
		}
		index[i], index[n+i] = permutation.At(uint32(part.Lo)+position), position
	}
	return index
}

// clockWords is a clock at a random time, beyond 2³² steps now and then.
func (r *rig) clockWords() []uint32 {
	c := device.Clock{Step: r.rng.Uint64N(1 << 20), Epoch: r.rng.Uint32N(100), Index: r.rng.Uint32N(8)}
	if r.rng.IntN(4) == 0 {
		c.Step += 1 << 32
	}
	return c.Words()
}

// table draws a data set, of uint8 or of float32.
func (r *rig) table(rows, columns int, bytes bool) device.Table {
	t := device.Table{Rows: rows, Columns: columns}
	if !bytes {
		t.Float32 = r.normals(rows*columns, 1)
		return t
	}
	t.Scale = 1.0 / 255
	t.Uint8 = make([]uint8, rows*columns)
	for i := range t.Uint8 {
		t.Uint8[i] = uint8(r.rng.Uint32())
	}
	return t
}

// parts are ways to choose rows of a data set of n: all of it, a range, and
// both sides of a split.
func (r *rig) parts(n int) []device.Rows {
	cut := 1 + r.rng.IntN(n-1)
	return []device.Rows{
		{Hi: n},
		{Lo: cut / 2, Hi: cut + 1},
		{Hi: cut, Split: true, Seed: r.rng.Uint64()},
		{Lo: cut, Hi: n, Split: true, Seed: r.rng.Uint64()},
	}
}

// loaded is a data set on both devices.
type loaded struct{ dev, ref device.Dataset }

func (r *rig) load(t device.Table) loaded {
	onDevice, err := r.dev.Load(r.Context(), t)
	r.must(err)
	onReference, err := r.ref.Load(r.Context(), t)
	r.must(err)
	return loaded{onDevice, onReference}
}

func (s side) data(l loaded) device.Dataset {
	if s.reference {
		return l.ref
	}
	return l.dev
}

// threshold is a rate as an operation takes it.
func threshold(p float64) uint64 { return philox.Threshold(p) }
