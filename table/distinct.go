package table

import (
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// index numbers keys of 64 bits in the order in which they come: a hash table
// with open addressing.
type index struct {
	keys  []uint64
	slots []int32 // 1 + the number of the key; 0: free
}

func hash64(key uint64) uint64 { // the finaliser of splitmix64 (Steele et al. 2014)
	key = (key ^ key>>30) * 0xbf58476d1ce4e5b9
	key = (key ^ key>>27) * 0x94d049bb133111eb
	return key ^ key>>31
}

// find returns the number of the key, or -1.
func (x *index) find(key uint64) int {
	if len(x.slots) == 0 {
		return -1
	}
	mask := uint64(len(x.slots) - 1)
	for at := hash64(key) & mask; ; at = (at + 1) & mask {
		n := int(x.slots[at]) - 1
		if n < 0 || x.keys[n] == key {
			return n
		}
	}
}

// add returns the number of the key, new or not.
func (x *index) add(key uint64) int {
	if n := x.find(key); n >= 0 {
		return n
	}
	if 2*len(x.keys) >= len(x.slots) {
		x.grow()
	}
	x.keys = append(x.keys, key)
	x.place(len(x.keys) - 1)
	return len(x.keys) - 1
}

func (x *index) grow() {
	const least = 16
	x.slots = make([]int32, max(2*len(x.slots), least))
	for n := range x.keys {
		x.place(n)
	}
}

func (x *index) place(n int) {
	mask := uint64(len(x.slots) - 1)
	at := hash64(x.keys[n]) & mask
	for x.slots[at] != 0 {
		at = (at + 1) & mask
	}
	x.slots[at] = int32(n + 1)
}

// distinctEstimate counts different hashes with a fixed error (HyperLogLog with
// linear counting of the small: Flajolet et al. 2007): 1.04/√4096 = 1.6 %.
type distinctEstimate struct{ registers [1 << registerBits]uint8 }

const registerBits = 12

func (d *distinctEstimate) add(hash uint64) {
	rank := uint8(bits.LeadingZeros64(hash<<registerBits|1<<(registerBits-1)) + 1)
	if r := &d.registers[hash>>(64-registerBits)]; rank > *r {
		*r = rank
	}
}

func (d *distinctEstimate) count() int {
	const m = float64(1 << registerBits)
	sum, empty := 0.0, 0
	for _, r := range d.registers {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			empty++
		}
	}
	estimate := 0.7213 / (1 + 1.079/m) * m * m / sum
	if estimate <= 2.5*m && empty > 0 {
		estimate = m * math.Log(m/float64(empty))
	}
	return int(math.Round(estimate))
}

// valueTally counts different numbers: exactly up to a limit, and beyond it
// only the most common of those that came first.
type valueTally struct {
	limit  int
	index  index
	counts []int // training cells of each number
	beyond *distinctEstimate
	rest   int             // training cells of other numbers
	sketch *quantileSketch // of the training cells once they are beyond the limit; nil: not wanted
}

// mostCommonKept is the number of values that are counted on beyond the limit.
const mostCommonKept = 512

func keyOf(v float64) uint64   { return math.Float64bits(v + 0) } // -0 as 0
func valueOf(k uint64) float64 { return math.Float64frombits(k) }

// add counts one cell.
func (t *valueTally) add(v float64, training bool) {
	key := keyOf(v)
	n := 0
	if t.beyond == nil {
		n = t.index.add(key)
		if n == len(t.counts) {
			t.counts = append(t.counts, 0)
			if n == t.limit {
				t.overflow()
				n = t.index.find(key)
			}
		}
	} else {
		t.beyond.add(hash64(key))
		n = t.index.find(key)
	}
	if training && t.beyond != nil && t.sketch != nil {
		t.sketch.add(v, 1)
	}
	switch {
	case !training:
	case n >= 0:
		t.counts[n]++
	default:
		t.rest++
	}
}

// overflow goes on with the most common values.
func (t *valueTally) overflow() {
	t.beyond = new(distinctEstimate)
	order := make([]int, len(t.counts))
	for n, key := range t.index.keys {
		order[n] = n
		t.beyond.add(hash64(key))
		if t.sketch != nil {
			t.sketch.add(valueOf(key), t.counts[n])
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return t.counts[b] - t.counts[a] })
	var kept index
	var counts []int
	for _, n := range order {
		if len(counts) < mostCommonKept && t.counts[n] > 1 {
			kept.add(t.index.keys[n])
			counts = append(counts, t.counts[n])
		} else {
			t.rest += t.counts[n]
		}
	}
	t.index, t.counts = kept, counts
}

// distinct is the number of different values, and whether it is an estimate.
func (t *valueTally) distinct() (n int, estimated bool) {
	if t.beyond != nil {
		return max(t.beyond.count(), t.limit+1), true
	}
	return len(t.counts), false
}

// sorted returns the values that training cells have, ascending, and how many
// have each. It is for a tally within its limit.
func (t *valueTally) sorted() (values, weights []float64) {
	order := make([]int, 0, len(t.counts))
	for n, count := range t.counts {
		if count > 0 {
			order = append(order, n)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		if valueOf(t.index.keys[a]) < valueOf(t.index.keys[b]) {
			return -1
		}
		return 1
	})
	for _, n := range order {
		values = append(values, valueOf(t.index.keys[n]))
		weights = append(weights, float64(t.counts[n]))
	}
	return values, weights
}

// spread returns the entropy -Σ p ln p in nats and the collision probability
// Σ p² of counts, and of rest cells of so many other values, taken to be equally
// common.
func spread(counts []int, rest, others int) (entropy, collision float64) {
	total := float64(rest)
	for _, c := range counts {
		total += float64(c)
	}
	if total == 0 {
		return 0, 0
	}
	for _, c := range counts {
		if p := float64(c) / total; p > 0 {
			entropy -= p * math.Log(p)
			collision += p * p
		}
	}
	if p := float64(rest) / total; p > 0 {
		each := p / float64(max(others, 1))
		entropy -= p * math.Log(each)
		collision += p * each
	}
	return entropy, collision
}

// textTally counts different texts: exactly up to a limit, then the common ones
// only. Whenever there are too many, those below the median count are forgotten
// (in the manner of lossy counting, Manku and Motwani 2002), so that a text that
// is forgotten and comes back is counted short by what it had.
type textTally struct {
	limit  int
	index  map[string]int32
	texts  []string
	all    []int // cells of each text
	counts []int // training cells of each text
	bytes  int   // of the texts
	beyond *distinctEstimate
}

// Bounds of what is kept of a column's texts.
const (
	mostTexts     = 1 << 16
	mostTextBytes = 1 << 24
)

func newTextTally(limit int) *textTally {
	return &textTally{limit: limit, index: map[string]int32{}}
}

// add counts one cell, whose bytes are copied if they are kept, and reports
// whether the text is new.
func (t *textTally) add(s string, training bool) bool {
	n, known := t.index[s]
	if t.beyond != nil {
		t.beyond.add(xxhash.Sum64String(s))
	}
	if !known {
		if len(t.texts) >= t.limit || t.bytes+len(s) > mostTextBytes && len(t.texts) > 1 {
			t.forget()
		}
		n = int32(len(t.texts))
		s = strings.Clone(s)
		t.index[s] = n
		t.texts, t.all, t.counts = append(t.texts, s), append(t.all, 0), append(t.counts, 0)
		t.bytes += len(s)
	}
	t.all[n]++
	if training {
		t.counts[n]++
	}
	return !known
}

// forget drops the texts whose count is at most the median one.
func (t *textTally) forget() {
	if t.beyond == nil {
		t.beyond = new(distinctEstimate)
		for _, s := range t.texts {
			t.beyond.add(xxhash.Sum64String(s))
		}
	}
	sorted := slices.Sorted(slices.Values(t.all))
	median := sorted[(len(sorted)-1)/2]
	kept := textTally{index: make(map[string]int32, len(t.texts)/2)}
	for n, s := range t.texts {
		if t.all[n] > median {
			kept.index[s] = int32(len(kept.texts))
			kept.texts, kept.all, kept.counts = append(kept.texts, s), append(kept.all, t.all[n]), append(kept.counts, t.counts[n])
			kept.bytes += len(s)
		}
	}
	t.index, t.texts, t.all, t.counts, t.bytes = kept.index, kept.texts, kept.all, kept.counts, kept.bytes
}

// distinct is the number of different texts, and whether it is an estimate.
func (t *textTally) distinct() (n int, estimated bool) {
	if t.beyond != nil {
		return max(t.beyond.count(), len(t.texts)), true
	}
	return len(t.texts), false
}

// common returns the texts that at least so many training cells have, the most
// common first, and at most so many of them.
func (t *textTally) common(minCount, most int) (texts []string, counts []int) {
	order := make([]int, 0, len(t.texts))
	for n, count := range t.counts {
		if count >= minCount {
			order = append(order, n)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		if t.counts[a] != t.counts[b] {
			return t.counts[b] - t.counts[a]
		}
		return strings.Compare(t.texts[a], t.texts[b])
	})
	for _, n := range order[:min(len(order), most)] {
		texts, counts = append(texts, t.texts[n]), append(counts, t.counts[n])
	}
	return texts, counts
}

// quantileSketch keeps the order of numbers in bounded memory: level l holds
// numbers that stand for 2^l each; a full level is sorted and every second
// number of it goes up, those of even and of odd rank in turn (Munro and
// Paterson 1980; the compactors of Karnin, Lang and Liberty 2016 without their
// coin). The rank of a number is off by at most levels/(2·sketchWidth) of all.
type quantileSketch struct {
	levels [][]float64
	odd    []bool
}

const sketchWidth = 1 << 12

// add counts a number weight times.
func (q *quantileSketch) add(v float64, weight int) {
	for level := 0; weight > 0; level, weight = level+1, weight>>1 {
		if weight&1 != 0 {
			q.put(level, v)
		}
	}
}

func (q *quantileSketch) put(level int, v float64) {
	for level >= len(q.levels) {
		q.levels, q.odd = append(q.levels, nil), append(q.odd, false)
	}
	q.levels[level] = append(q.levels[level], v)
	if full := q.levels[level]; len(full) == sketchWidth {
		slices.Sort(full)
		start := 0
		if q.odd[level] {
			start = 1
		}
		q.odd[level] = !q.odd[level]
		q.levels[level] = full[:0]
		for i := start; i < len(full); i += 2 {
			q.put(level+1, full[i])
		}
	}
}

// sorted returns the numbers that are left, ascending, and what each stands for.
func (q *quantileSketch) sorted() (values, weights []float64) {
	type item struct{ value, weight float64 }
	var items []item
	for level, numbers := range q.levels {
		for _, v := range numbers {
			items = append(items, item{v, math.Ldexp(1, level)})
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	for _, i := range items {
		if n := len(values); n > 0 && values[n-1] == i.value {
			weights[n-1] += i.weight
		} else {
			values, weights = append(values, i.value), append(weights, i.weight)
		}
	}
	return values, weights
}

// moments are the count, mean, sum of squared deviations and extremes of numbers.
type moments struct {
	n             float64
	mean, squares float64
	low, high     float64
}

// add takes a block of numbers: two passes over it, then the update of Chan,
// Golub and LeVeque (1979).
func (m *moments) add(block []float64) {
	if len(block) == 0 {
		return
	}
	b := moments{n: float64(len(block)), low: block[0], high: block[0]}
	sum := 0.0
	for _, v := range block {
		sum += v
		b.low, b.high = min(b.low, v), max(b.high, v)
	}
	b.mean = sum / b.n
	for _, v := range block {
		d := v - b.mean
		b.squares += float64(d * d)
	}
	if m.n == 0 {
		*m = b
		return
	}
	delta := b.mean - m.mean
	n := m.n + b.n
	m.squares += b.squares + float64(delta*delta)*(m.n*b.n/n)
	m.mean += delta * (b.n / n)
	m.n, m.low, m.high = n, min(m.low, b.low), max(m.high, b.high)
}

// deviation is the standard deviation, dividing by n; 0 where all are equal.
func (m *moments) deviation() float64 {
	if m.n == 0 || m.low == m.high {
		return 0
	}
	if s := math.Sqrt(m.squares / m.n); s > 0 {
		return s
	}
	return m.high/2 - m.low/2 // the squares are too small for a float64
}
