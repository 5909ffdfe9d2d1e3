package devicetest

import (
	"slices"

	"gpudae/device"
)

func gatherChecks() []check {
	return []check{
		{"Gather", checkGather},
		{"GatherVisitsEachRowOncePerEpoch", checkGatherEpoch},
		{"GatherPartsAreDisjoint", checkGatherParts},
		{"MinibatchAdvances", checkMinibatchAdvances},
	}
}

// checkGather compares minibatches and their index words bit for bit.
func checkGather(r *rig) {
	for _, shape := range [...][2]int{{2, 1}, {13, 5}, {100, 64}, {257, 33}} {
		for _, bytes := range []bool{true, false} {
			table := r.table(shape[0], shape[1], bytes)
			data := r.load(table)
			for _, part := range r.parts(shape[0]) {
				for _, replicates := range []int{1, 3} {
					r.gatherTrial(data, part, shape[1], replicates)
				}
			}
		}
	}
}

func (r *rig) gatherTrial(data loaded, part device.Rows, columns, replicates int) {
	for _, shuffle := range []bool{false, true} {
		clock := device.ClockFromWords(r.clockWords())
		clock.Cursor = r.rng.Uint32N(uint32(part.Len()))
		examples := 1 + r.rng.IntN(part.Len()-int(clock.Cursor))
		t := r.trial("gather %d examples × %d from %d of %+v, shuffled %t", examples, replicates, clock.Cursor, part, shuffle)
		x := t.out("X", examples*replicates, columns)
		index := t.outWords("index", device.IndexWords(examples*replicates))
		at := t.inWords("clock", clock.Words())
		seed := r.rng.Uint64()
		t.run(func(s side) {
			s.Gather(device.GatherArgs{Data: s.data(data), Part: part, Shuffle: shuffle, Seed: seed, Replicates: replicates,
				Clock: s.w(at), X: s.v(x), Index: s.w(index)})
		})
		t.exact(x)
		t.exactWords(index)
	}
}

// checkGatherEpoch walks whole epochs, with a last minibatch that is not full:
// every row of the part must come exactly once, in another order each epoch.
func checkGatherEpoch(r *rig) {
	const rows, batch = 101, 16
	data, err := r.dev.Load(r.Context(), r.table(rows, 3, false))
	r.must(err)
	for _, part := range r.parts(rows) {
		var before []uint32
		for epoch := range uint32(3) {
			var order []uint32
			for cursor := 0; cursor < part.Len(); cursor += batch {
				n := min(batch, part.Len()-cursor)
				m := r.newMinibatch(n, 3, 1)
				m.setClock(device.Clock{Epoch: epoch, Cursor: uint32(cursor)})
				m.gather(data, part, true, 99)
				order = append(order, m.rows()...)
			}
			if got := slices.Sorted(slices.Values(order)); !slices.Equal(got, r.rowsOf(part, rows)) {
				r.report("epoch %d of %+v visits the rows %v", epoch, part, got)
			}
			if part.Len() > 10 && slices.Equal(order, before) {
				r.report("epoch %d of %+v has the order of the one before", epoch, part)
			}
			before = order
		}
	}
}

// rowsOf lists the rows of a part in ascending order.
func (r *rig) rowsOf(part device.Rows, rows int) []uint32 {
	permutation := part.Permutation(rows)
	var all []uint32
	for i := part.Lo; i < part.Hi; i++ {
		all = append(all, permutation.At(uint32(i)))
	}
	slices.Sort(all)
	return all
}

// checkGatherParts: the two sides of a split share no row and miss none.
func checkGatherParts(r *rig) {
	const rows, held = 97, 20
	data, err := r.dev.Load(r.Context(), r.table(rows, 1, false))
	r.must(err)
	var all []uint32
	for _, part := range []device.Rows{{Hi: held, Split: true, Seed: 5}, {Lo: held, Hi: rows, Split: true, Seed: 5}} {
		m := r.newMinibatch(part.Len(), 1, 1)
		m.gather(data, part, true, 1)
		all = append(all, m.rows()...)
	}
	slices.Sort(all)
	for i, row := range all {
		if row != uint32(i) {
			r.Fatalf("the two sides of a split together are %v", all)
		}
	}
}

// checkMinibatchAdvances: a defect that a data generator shipped with was to
// serve the first minibatch for ever. Tick moves to the next examples, in a
// recorded program too.
func checkMinibatchAdvances(r *rig) {
	const rows, batch = 12, 4
	data, err := r.dev.Load(r.Context(), r.table(rows, 2, false))
	r.must(err)
	m := r.newMinibatch(batch, 2, 1)
	step, err := r.dev.Record(func() {
		m.gather(data, device.Rows{Hi: rows}, true, 3)
		r.dev.Tick(device.TickArgs{Clock: m.clock, Rows: batch})
	})
	r.must(err)
	var all []uint32
	for range rows / batch {
		r.must(step())
		all = append(all, m.rows()...)
	}
	slices.Sort(all)
	for i, row := range all {
		if row != uint32(i) {
			r.Fatalf("three minibatches of four served the rows %v of twelve", all)
		}
	}
}
