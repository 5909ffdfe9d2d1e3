package devicetest

import (
	"fmt"
	"math"
	"slices"

	"gpudae/device"
	"gpudae/device/reference"
)

// trial is one call of an operation, with the same operands on the device under
// test and on the reference.
type trial struct {
	rig    *rig
	label  string // says which call, in a failure
	floats []*operand
	words  []*wordOperand
}

// trial starts a trial.
func (r *rig) trial(format string, args ...any) *trial {
	return &trial{rig: r, label: fmt.Sprintf(format, args...)}
}

// Guards are longer than a vector or a row of a tile, and the operand begins
// at an odd offset more often than not.
const guardAfter = 67

const (
	guardFloat = 0x7FC5EA7E // bits of a quiet NaN
	guardWord  = 0xDEADBEEF
	unwritten  = 0x7FC0FFEE // bits of a quiet NaN: what an output holds before the call
)

// operand is a view on both devices.
type operand struct {
	name          string
	rows, columns int
	output        bool
	before        []float32 // contents before the call
	lead          int       // guard elements before it
	dev, ref      device.View
	got           []float32 // contents after the call, on the device under test
}

// in adds an input; it must be unchanged after the call.
func (t *trial) in(name string, rows, columns int, values []float32) *operand {
	return t.add(&operand{name: name, rows: rows, columns: columns, before: values})
}

// out adds an output.
func (t *trial) out(name string, rows, columns int) *operand {
	values := make([]float32, rows*columns)
	for i := range values {
		values[i] = math.Float32frombits(unwritten)
	}
	return t.inout(name, rows, columns, values)
}

// inout adds an operand that the call reads and writes.
func (t *trial) inout(name string, rows, columns int, values []float32) *operand {
	return t.add(&operand{name: name, rows: rows, columns: columns, before: values, output: true})
}

// pair adds an input and an output of its shape, or one operand that is both.
func (t *trial) pair(in, out string, rows, columns int, values []float32, alias bool) (from, to *operand) {
	if alias {
		both := t.inout(in, rows, columns, values)
		return both, both
	}
	return t.in(in, rows, columns, values), t.out(out, rows, columns)
}

func (t *trial) add(o *operand) *operand {
	if len(o.before) != o.rows*o.columns {
		t.rig.Fatalf("%s: %s is %d×%d and has %d values", t.label, o.name, o.rows, o.columns, len(o.before))
	}
	o.lead = 1 + t.rig.rng.IntN(31)
	o.dev = t.place(t.rig.dev, o)
	o.ref = t.place(t.rig.ref, o)
	t.floats = append(t.floats, o)
	return o
}

func (t *trial) place(d device.Device, o *operand) device.View {
	m, err := d.Alloc(device.Float, o.lead+len(o.before)+guardAfter)
	t.rig.must(err)
	return device.MatrixOf(m, o.lead, o.rows, o.columns)
}

// wordOperand is a run of words on both devices.
type wordOperand struct {
	name     string
	output   bool
	before   []uint32
	lead     int
	dev, ref device.Words
	got      []uint32
}

// inWords adds an input of words.
func (t *trial) inWords(name string, values []uint32) *wordOperand {
	return t.addWords(&wordOperand{name: name, before: values})
}

// outWords adds an output of n words.
func (t *trial) outWords(name string, n int) *wordOperand {
	values := make([]uint32, n)
	for i := range values {
		values[i] = ^uint32(guardWord)
	}
	return t.inoutWords(name, values)
}

// inoutWords adds words that the call reads and writes.
func (t *trial) inoutWords(name string, values []uint32) *wordOperand {
	return t.addWords(&wordOperand{name: name, before: values, output: true})
}

func (t *trial) addWords(o *wordOperand) *wordOperand {
	o.lead = 1 + t.rig.rng.IntN(31)
	o.dev = t.placeWords(t.rig.dev, o)
	o.ref = t.placeWords(t.rig.ref, o)
	t.words = append(t.words, o)
	return o
}

func (t *trial) placeWords(d device.Device, o *wordOperand) device.Words {
	m, err := d.Alloc(device.Word, o.lead+len(o.before)+guardAfter)
	t.rig.must(err)
	return device.WordsOf(m, o.lead, len(o.before))
}

// side is one of the two devices, for a call that is made on both.
type side struct {
	device.Device
	reference bool
}

// v returns the operand's view on this side; nil stands for an absent argument.
func (s side) v(o *operand) device.View {
	switch {
	case o == nil:
		return device.View{}
	case s.reference:
		return o.ref
	default:
		return o.dev
	}
}

// w returns the words on this side; nil stands for an absent argument.
func (s side) w(o *wordOperand) device.Words {
	switch {
	case o == nil:
		return device.Words{}
	case s.reference:
		return o.ref
	default:
		return o.dev
	}
}

// run makes the call once on the reference and twice on the device under test,
// and checks what must hold of any call: the same bits twice, guards and inputs
// unchanged, no failure reported.
func (t *trial) run(call func(s side)) {
	t.rig.Helper()
	t.upload(true)
	call(side{t.rig.ref, true})
	t.once(call)
	first, firstWords := t.outcome()
	t.once(call)
	second, secondWords := t.outcome()
	for k, o := range t.floats {
		if i := firstDifference(first[k], second[k]); i >= 0 {
			t.rig.report("%s: %s differs from call to call: element %d is %g and then %g", t.label, o.name, i, first[k][i], second[k][i])
		}
	}
	for k, o := range t.words {
		if !slices.Equal(firstWords[k], secondWords[k]) {
			t.rig.report("%s: %s differs from call to call", t.label, o.name)
		}
	}
}

// once makes the call on the device under test.
func (t *trial) once(call func(s side)) {
	t.rig.Helper()
	t.upload(false)
	call(side{t.rig.dev, false})
	if err := t.rig.dev.Sync(); err != nil {
		t.rig.Fatalf("%s: %v", t.label, err)
	}
	for _, o := range t.floats {
		t.download(o)
	}
	for _, o := range t.words {
		t.downloadWords(o)
	}
}

func (t *trial) outcome() (floats [][]float32, words [][]uint32) {
	for _, o := range t.floats {
		floats = append(floats, o.got)
	}
	for _, o := range t.words {
		words = append(words, o.got)
	}
	return floats, words
}

// upload writes every operand and its guards.
func (t *trial) upload(onReference bool) {
	s := side{t.rig.dev, false}
	if onReference {
		s = side{t.rig.ref, true}
	}
	for _, o := range t.floats {
		view := whole(s.v(o))
		values := make([]float32, view.Len())
		for i := range values {
			values[i] = math.Float32frombits(guardFloat)
		}
		copy(values[o.lead:], o.before)
		t.rig.must(s.Upload(view, values))
	}
	for _, o := range t.words {
		words := wholeWords(s.w(o))
		values := make([]uint32, words.Len)
		for i := range values {
			values[i] = guardWord
		}
		copy(values[o.lead:], o.before)
		t.rig.must(s.UploadWords(words, values))
	}
}

func whole(v device.View) device.View { return device.MatrixOf(v.Memory, 0, 1, v.Memory.Len()) }

func wholeWords(w device.Words) device.Words { return device.WordsOf(w.Memory, 0, w.Memory.Len()) }

// download reads an operand back and checks its guards, and that an input is
// unchanged.
func (t *trial) download(o *operand) {
	t.rig.Helper()
	view := whole(o.dev)
	all := make([]float32, view.Len())
	t.rig.must(t.rig.dev.Download(all, view))
	end := o.lead + len(o.before)
	for i, x := range all {
		if (i < o.lead || i >= end) && math.Float32bits(x) != guardFloat {
			t.rig.report("%s: %s: the guard at element %d of %d was overwritten with %g", t.label, o.name, i-o.lead, len(o.before), x)
			break
		}
	}
	o.got = all[o.lead:end]
	if i := firstDifference(o.before, o.got); !o.output && i >= 0 {
		t.rig.report("%s: the input %s was changed at %s from %g to %g", t.label, o.name, o.place(i), o.before[i], o.got[i])
	}
}

func (t *trial) downloadWords(o *wordOperand) {
	t.rig.Helper()
	words := wholeWords(o.dev)
	all := make([]uint32, words.Len)
	t.rig.must(t.rig.dev.DownloadWords(all, words))
	end := o.lead + len(o.before)
	for i, x := range all {
		if (i < o.lead || i >= end) && x != guardWord {
			t.rig.report("%s: %s: the guard at word %d of %d was overwritten with %#x", t.label, o.name, i-o.lead, len(o.before), x)
			break
		}
	}
	o.got = all[o.lead:end]
	if !o.output && !slices.Equal(o.before, o.got) {
		t.rig.report("%s: the input %s was changed", t.label, o.name)
	}
}

// want is the operand after the call on the reference.
func (o *operand) want() []float64 { return reference.Float64s(o.ref) }

// place names an element.
func (o *operand) place(i int) string { return fmt.Sprintf("[%d, %d]", i/o.columns, i%o.columns) }

// exact requires the reference's bits, rounded to float32.
func (t *trial) exact(outputs ...*operand) {
	t.rig.Helper()
	for _, o := range outputs {
		for i, want := range o.want() {
			if math.Float32bits(float32(want)) != math.Float32bits(o.got[i]) {
				t.rig.report("%s: %s%s is %g (%#08x), want %g (%#08x)", t.label, o.name, o.place(i), o.got[i],
					math.Float32bits(o.got[i]), want, math.Float32bits(float32(want)))
				break
			}
		}
	}
}

// exactWords requires the reference's words.
func (t *trial) exactWords(outputs ...*wordOperand) {
	t.rig.Helper()
	for _, o := range outputs {
		want := make([]uint32, len(o.before))
		t.rig.must(t.rig.ref.DownloadWords(want, o.ref))
		for i := range want {
			if want[i] != o.got[i] {
				t.rig.report("%s: %s[%d] is %d, want %d", t.label, o.name, i, o.got[i], want[i])
				break
			}
		}
	}
}

// within requires every element to be as close to the reference's as the bound
// of that element says.
func (t *trial) within(o *operand, bound func(i int) float64) {
	t.rig.Helper()
	if t.rig.bound > 0 {
		t.withinNorm(o, bound)
		return
	}
	bad, worst, excess := 0, 0, 0.0
	for i, want := range o.want() {
		e := math.Abs(float64(o.got[i])-want) / bound(i)
		if float64(o.got[i]) == want || e <= 1 {
			continue
		}
		if bad == 0 || e > excess {
			worst, excess = i, e
		}
		bad++
	}
	if bad > 0 {
		t.rig.report("%s: %d of %d elements of %s are wrong, %s most: it is %g, want %g ± %.3g", t.label, bad, len(o.got), o.name,
			o.place(worst), o.got[worst], o.want()[worst], bound(worst))
	}
}

// withinNorm requires the norm of the errors, as far as they are beyond the bound of their
// element, to be within the rig's bound of the output's.
func (t *trial) withinNorm(o *operand, bound func(i int) float64) {
	t.rig.Helper()
	var off, size float64
	for i, want := range o.want() {
		e := max(0, math.Abs(float64(o.got[i])-want)-bound(i))
		off, size = off+e*e, size+want*want
	}
	if e := math.Sqrt(off) / math.Sqrt(size); off != 0 && !(e <= t.rig.bound) {
		t.rig.report("%s: the error of %s is %.2e of it, more than %.0e", t.label, o.name, e, t.rig.bound)
	}
}

// firstDifference is the first element that differs in its bits, or -1.
func firstDifference(a, b []float32) int {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return i
		}
	}
	return -1
}
