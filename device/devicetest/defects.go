package devicetest

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

// defectChecks name what well-known auto-encoder programs got wrong, after what
// must be true instead.
func defectChecks() []check {
	return []check{
		{"RateIsFractionDestroyed", checkRateIsFractionDestroyed},
		{"SurvivorsAreNotRescaled", checkSurvivorsAreNotRescaled},
		{"MaskIsFreshAtEveryStep", checkMaskIsFreshAtEveryStep},
		{"NoiseIsFreshAtEveryStep", checkNoiseIsFreshAtEveryStep},
		{"NoiseIsFreshAtEveryReplay", checkNoiseIsFreshAtEveryReplay},
		{"DrawsAreIndependent", checkDrawsAreIndependent},
		{"ReplicatesDiffer", checkReplicatesDiffer},
		{"FieldsAreDestroyedWhole", checkFieldsAreDestroyedWhole},
		{"SwapDonorIsAnotherRow", checkSwapDonorIsAnotherRow},
		{"SwapOfSingleRowDestroysNothing", checkSwapOfSingleRow},
		{"SwapDonorsAreUniformOverThePart", checkSwapDonorsAreUniform},
	}
}

// destructive are the kinds that have a rate, and decide of each field by itself.
func destructive() []device.Corruption {
	return []device.Corruption{device.CorruptMasking, device.CorruptSaltAndPepper, device.CorruptSwap, device.CorruptSwapRows}
}

// destroy runs a kind with a rate over the sampling data set.
func (r *rig) destroy(k device.Corruption, p float64) sampled {
	r.Helper()
	return r.sample(device.CorruptArgs{Kind: k, Rate: threshold(p),
		Low: r.constants(samplingColumns, -1), High: r.constants(samplingColumns, 5)})
}

// checkRateIsFractionDestroyed: a rate of 0.1 destroys a tenth. Programs have
// taken it for the probability of keeping. 0 destroys nothing, 1 everything.
func checkRateIsFractionDestroyed(r *rig) {
	for _, k := range destructive() {
		for _, p := range []float64{0, 0.1, 0.9, 1} {
			s := r.destroy(k, p)
			r.expectRate(k.String(), s.mask, samplingColumns, p)
			changed := s.indicator(func(noisy, clean float32) bool { return noisy != clean })
			r.expectRate("values changed by "+k.String(), changed, samplingColumns, p)
		}
	}
}

// checkSurvivorsAreNotRescaled: corruption is not dropout; what it does not
// destroy keeps its bits.
func checkSurvivorsAreNotRescaled(r *rig) {
	for _, k := range destructive() {
		s := r.destroy(k, 0.4)
		for i, m := range s.mask {
			if m == 0 && s.noisy[i] != s.clean[i] {
				r.report("%s changed %g to %g without destroying it", k, s.clean[i], s.noisy[i])
				break
			}
		}
	}
}

// stepper corrupts the same examples at one step after another.
type stepper struct {
	rig   *rig
	batch *minibatch
	args  device.CorruptArgs
}

func (r *rig) newStepper(a device.CorruptArgs) *stepper {
	const rows, columns = 64, 32
	data, err := r.dev.Load(r.Context(), device.Table{Rows: rows, Columns: columns, Float32: distinct(rows * columns)})
	r.must(err)
	a.Data, a.Part, a.Seed = data, device.Rows{Hi: rows}, 77
	a.Low, a.High = r.constants(columns, -1), r.constants(columns, 5)
	s := &stepper{rig: r, batch: r.newMinibatch(rows, columns, 1), args: a}
	s.batch.setClock(device.Clock{})
	s.batch.gather(data, a.Part, false, 0)
	return s
}

// distinct are n different numbers in [1, 2).
func distinct(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 1 + float32(i)/float32(n)
	}
	return x
}

// at is the outcome at a step.
func (s *stepper) at(step uint64) sampled {
	s.rig.Helper()
	s.batch.setClock(device.Clock{Step: step})
	s.batch.corrupt(s.args)
	return s.outcome()
}

func (s *stepper) outcome() sampled {
	s.rig.Helper()
	return sampled{s.rig.read(s.batch.x), s.rig.read(s.batch.y), s.rig.read(s.batch.mask)}
}

// checkMaskIsFreshAtEveryStep: the same example at another step has another
// mask, and two masks agree as often as independent ones do. Programs have
// drawn one mask and used it for ever.
func checkMaskIsFreshAtEveryStep(r *rig) {
	const p = 0.3
	for _, k := range destructive() {
		s := r.newStepper(device.CorruptArgs{Kind: k, Rate: threshold(p)})
		for _, steps := range [...][2]uint64{{0, 1}, {1, 2}, {7, 7000}} {
			first, second := s.at(steps[0]).mask, s.at(steps[1]).mask
			both := make([]float64, len(first))
			for i := range both {
				both[i] = float64(first[i] * second[i])
			}
			r.expectMean(k.String()+" of a feature at both of two steps", both, p*p, p*p*(1-p*p))
		}
	}
}

// noisy are the kinds that change every feature.
func noisy() []device.CorruptArgs {
	return []device.CorruptArgs{
		{Kind: device.CorruptGaussian, Amount: 0.5}, {Kind: device.CorruptSpeckle, Amount: 0.5},
		{Kind: device.CorruptUniform, Amount: 0.5}, {Kind: device.CorruptPoisson, Amount: 30},
	}
}

// checkNoiseIsFreshAtEveryStep: noise belongs to the step. Drawn when a layer
// is made, it would be the same at every step; here the same step gives the
// same bits and another one noise that is not correlated.
func checkNoiseIsFreshAtEveryStep(r *rig) {
	for _, a := range noisy() {
		s := r.newStepper(a)
		first, again, second := s.at(4), s.at(4), s.at(5)
		if i := firstDifference(first.noisy, again.noisy); i >= 0 {
			r.report("%s at the same step gives %g and then %g", a.Kind, first.noisy[i], again.noisy[i])
		}
		r.expectUncorrelated(a.Kind.String()+" noise at two steps", first, second)
	}
}

// checkNoiseIsFreshAtEveryReplay: a recorded step draws anew at each run, since
// the step number lies in device memory.
func checkNoiseIsFreshAtEveryReplay(r *rig) {
	for _, a := range noisy() {
		s := r.newStepper(a)
		program, err := r.dev.Record(func() {
			s.batch.corrupt(s.args)
			r.dev.Tick(device.TickArgs{Clock: s.batch.clock, Rows: 1})
		})
		r.must(err)
		r.must(program())
		first := s.outcome()
		r.must(program())
		r.expectUncorrelated(a.Kind.String()+" noise at two replays", first, s.outcome())
	}
}

// expectUncorrelated requires the noise of two outcomes to have no correlation.
func (r *rig) expectUncorrelated(what string, a, b sampled) {
	r.Helper()
	x, y := a.each(difference), b.each(difference)
	products := make([]float64, len(x))
	var xx, yy float64
	for i := range x {
		products[i] = x[i] * y[i]
		xx += x[i] * x[i] / float64(len(x))
		yy += y[i] * y[i] / float64(len(x))
	}
	if xx == 0 || yy == 0 {
		r.Fatalf("%s: there is none", what)
	}
	r.expectMean("the product of "+what, products, 0, xx*yy)
}

// checkDrawsAreIndependent: neighbouring columns, neighbouring rows and
// consecutive stages do not share noise.
func checkDrawsAreIndependent(r *rig) {
	for _, a := range noisy() {
		s := r.newStepper(a)
		first := s.at(0)
		columns := s.batch.x.Columns
		for _, distance := range []int{1, 2, 3, 4, columns, 4 * columns} {
			n := len(first.noisy) - distance
			shifted := sampled{clean: first.clean[distance:], noisy: first.noisy[distance:]}
			r.expectUncorrelated(a.Kind.String()+" noise of neighbours", sampled{clean: first.clean[:n], noisy: first.noisy[:n]}, shifted)
		}
		s.args.Stage = 1
		r.expectUncorrelated(a.Kind.String()+" noise of two stages", first, s.at(0))
		s.args.Stage, s.args.Stream = 0, philox.StreamValidation
		r.expectUncorrelated(a.Kind.String()+" noise of training and validation", first, s.at(0))
		s.args.Stream, s.args.Seed = philox.StreamTrain, s.args.Seed+1<<32
		r.expectUncorrelated(a.Kind.String()+" noise of two seeds", first, s.at(0))
	}
}

// checkReplicatesDiffer: the K corruptions of an example at a step are K draws.
func checkReplicatesDiffer(r *rig) {
	const rows, columns, replicates = 64, 16, 2
	data, err := r.dev.Load(r.Context(), device.Table{Rows: rows, Columns: columns, Float32: distinct(rows * columns)})
	r.must(err)
	for _, a := range noisy() {
		m := r.newMinibatch(rows, columns, replicates)
		m.setClock(device.Clock{})
		a.Data, a.Part, a.Seed = data, device.Rows{Hi: rows}, 5
		m.gather(data, a.Part, false, 0)
		m.corrupt(a)
		clean, corrupted := r.read(m.x), r.read(m.y)
		var both [replicates]sampled
		for i := range rows * replicates {
			s := &both[i%replicates]
			s.clean = append(s.clean, clean[i*columns:(i+1)*columns]...)
			s.noisy = append(s.noisy, corrupted[i*columns:(i+1)*columns]...)
		}
		if i := firstDifference(both[0].clean, both[1].clean); i >= 0 {
			r.report("two replicates are not of the same example: %g and %g", both[0].clean[i], both[1].clean[i])
		}
		r.expectUncorrelated(a.Kind.String()+" noise of two replicates", both[0], both[1])
	}
}

// checkFieldsAreDestroyedWhole: a categorical variable in one-hot form is one
// unit. Programs have swapped single bits of it, which leaves no category or
// two. A swapped field is a one-hot code again; a masked field is all zero.
func checkFieldsAreDestroyedWhole(r *rig) {
	const rows, p = 300, 0.5
	layout := fieldLayout{offsets: []uint32{0, 1, 4, 9, 11, 16}}
	for f := range len(layout.offsets) - 1 {
		for range layout.offsets[f+1] - layout.offsets[f] {
			layout.ofColumn = append(layout.ofColumn, uint32(f))
		}
	}
	columns := len(layout.ofColumn)
	x := make([]float32, rows*columns)
	for i := range rows {
		for f := range len(layout.offsets) - 1 {
			width := int(layout.offsets[f+1] - layout.offsets[f])
			x[i*columns+int(layout.offsets[f])+(i*5+f)%width] = 1
		}
	}
	data, err := r.dev.Load(r.Context(), device.Table{Rows: rows, Columns: columns, Float32: x})
	r.must(err)
	part := device.Rows{Hi: rows}
	for _, k := range []device.Corruption{device.CorruptMasking, device.CorruptSwap} {
		m := r.newMinibatch(rows, columns, 1)
		m.setClock(device.Clock{})
		m.gather(data, part, false, 0)
		m.corrupt(device.CorruptArgs{Kind: k, Rate: threshold(p), Fields: r.placedFields(layout), Seed: 4, Data: data, Part: part})
		r.expectWholeFields(k, layout, sampled{noisy: r.read(m.y), mask: r.read(m.mask)}, p)
	}
}

func (r *rig) expectWholeFields(k device.Corruption, layout fieldLayout, s sampled, p float64) {
	r.Helper()
	columns, fields := len(layout.ofColumn), len(layout.offsets)-1
	destroyed := make([]float32, 0, len(s.mask)/columns*fields)
	for i := range len(s.mask) / columns {
		for f := range fields {
			from, to := i*columns+int(layout.offsets[f]), i*columns+int(layout.offsets[f+1])
			hot, want := float32(0), float32(1)
			for j := from; j < to; j++ {
				hot += s.noisy[j]
				if s.mask[j] != s.mask[from] {
					r.Fatalf("%s destroyed a part of field %d of row %d", k, f, i)
				}
			}
			if k == device.CorruptMasking {
				want -= s.mask[from]
			}
			if hot != want {
				r.Fatalf("%s left field %d of row %d with %g ones, want %g", k, f, i, hot, want)
			}
			destroyed = append(destroyed, s.mask[from])
		}
	}
	r.expectRate("fields destroyed by "+k.String(), destroyed, fields, p)
}

// donorsOf swaps every feature of a part and returns, for each row and column,
// the position of the donor, which every value of the data set tells.
func (r *rig) donorsOf(kind device.Corruption, part device.Rows, rows, columns, batch int, seed uint64) (positions []uint32, donors [][]int) {
	r.Helper()
	x := make([]float32, rows*columns)
	positionOf := map[float32]int{}
	permutation := part.Permutation(rows)
	for i := range x {
		x[i] = float32(i)
	}
	for position := range part.Len() {
		row := permutation.At(uint32(part.Lo + position))
		for j := range columns {
			positionOf[x[int(row)*columns+j]] = position
		}
	}
	data, err := r.dev.Load(r.Context(), device.Table{Rows: rows, Columns: columns, Float32: x})
	r.must(err)
	for cursor := 0; cursor < part.Len(); cursor += batch {
		m := r.newMinibatch(min(batch, part.Len()-cursor), columns, 1)
		m.setClock(device.Clock{Cursor: uint32(cursor)})
		m.gather(data, part, true, 9)
		m.corrupt(device.CorruptArgs{Kind: kind, Rate: threshold(1), Seed: seed, Data: data, Part: part})
		positions = append(positions, m.positions()...)
		y := r.read(m.y)
		for i := range m.x.Rows {
			row := make([]int, columns)
			for j := range row {
				value := y[i*columns+j]
				donor, ok := positionOf[value]
				if !ok || int(value)%columns != j {
					r.Fatalf("swap put %g, which is no value of column %d in the part %+v", value, j, part)
				}
				row[j] = donor
			}
			donors = append(donors, row)
		}
	}
	return positions, donors
}

// checkSwapDonorIsAnotherRow: a swap with oneself destroys nothing while the
// rate says it does. With two rows the donor is always the other one.
func checkSwapDonorIsAnotherRow(r *rig) {
	for _, part := range []device.Rows{{Hi: 2}, {Lo: 3, Hi: 6}, {Hi: 20, Split: true, Seed: 1}, {Lo: 20, Hi: 50, Split: true, Seed: 1}} {
		positions, donors := r.donorsOf(device.CorruptSwap, part, 50, 7, 8, 31)
		for i, row := range donors {
			for _, donor := range row {
				if donor == int(positions[i]) {
					r.Fatalf("the example at position %d of %+v is its own donor", donor, part)
				}
			}
		}
	}
}

// checkSwapOfSingleRow: there is no other row, and the mask says so.
func checkSwapOfSingleRow(r *rig) {
	data, err := r.dev.Load(r.Context(), r.table(3, 8, false))
	r.must(err)
	part := device.Rows{Lo: 1, Hi: 2}
	m := r.newMinibatch(1, 8, 1)
	m.setClock(device.Clock{})
	m.gather(data, part, false, 0)
	m.corrupt(device.CorruptArgs{Kind: device.CorruptSwap, Rate: threshold(1), Data: data, Part: part})
	s := sampled{r.read(m.x), r.read(m.y), r.read(m.mask)}
	r.expectMask(s, 0)
	if i := firstDifference(s.clean, s.noisy); i >= 0 {
		r.report("swap in a part of one row put %g for %g", s.noisy[i], s.clean[i])
	}
}

// checkSwapDonorsAreUniform: donors come from the whole part and not from the
// minibatch, each as often as another (a chi-square test over positions
// relative to one's own), and not the same for all features of a row.
func checkSwapDonorsAreUniform(r *rig) {
	const columns = 40
	part := device.Rows{Lo: 10, Hi: 91, Split: true, Seed: 3}
	n := part.Len()
	positions, donors := r.donorsOf(device.CorruptSwap, part, 100, columns, 4, 31)
	counts := make([]float64, n)
	same := 0
	for i, row := range donors {
		for j, donor := range row {
			counts[(donor-int(positions[i])+n)%n]++
			if j > 0 && donor == row[j-1] {
				same++
			}
		}
	}
	r.expectUniform("donors", counts[1:], len(donors)*columns)
	pairs := float64(len(donors) * (columns - 1))
	if p := 1 / float64(n-1); math.Abs(float64(same)/pairs-p) > deviations*math.Sqrt(p/pairs) {
		r.report("neighbouring features share a donor %d times in %.0f, want one in %d", same, pairs, n-1)
	}
}

// expectUniform holds counts of so many draws against equal shares, by chi-square.
func (r *rig) expectUniform(what string, counts []float64, draws int) {
	r.Helper()
	expected, chiSquare := float64(draws)/float64(len(counts)), 0.0
	for _, count := range counts {
		chiSquare += (count - expected) * (count - expected) / expected
	}
	if freedom := float64(len(counts) - 1); math.Abs(chiSquare-freedom) > deviations*math.Sqrt(2*freedom) {
		r.report("%s are not uniform: chi-square %.1f with %.0f degrees of freedom", what, chiSquare, freedom)
	}
}
