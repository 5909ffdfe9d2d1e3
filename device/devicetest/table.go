package devicetest

import (
	"encoding/binary"
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

func tableChecks() []check {
	return []check{
		{"GatherRecords", checkGatherRecords},
		{"Embed", checkEmbed},
		{"EmbedBackward", checkEmbedBackward},
		{"CorruptTables", checkCorruptTables},
		{"AbsentIsNeverDestroyed", checkAbsentIsNeverDestroyed},
		{"OnlyContinuousColumnsAreChanged", checkContinuous},
		{"RatesAreThoseOfTheFields", checkRatesByField},
		{"SpansDestroyEachFieldAlike", checkSpans},
		{"SwapRowsTakesOneRow", checkSwapRows},
	}
}

var absent = float32(math.NaN())

// recordTable draws a data set of records: cells of every type, in no order, with
// and without values, some of them absent, some with codes that stand for nothing.
func (r *rig) recordTable(rows, columns int) device.Table {
	all := device.Records{Columns: make([]device.Column, columns)}
	sizes := [...]int{device.CellBit: 0, device.CellFloat32: 4, device.CellUint16: 2, device.CellUint8: 1}
	kinds := device.Cells()
	if r.rng.IntN(3) == 0 {
		kinds = kinds[:1+r.rng.IntN(3)] // narrow ones, whose records may be of any, or any even, length
	}
	cells := make([]device.Cell, columns)
	for j := range cells {
		cells[j] = kinds[r.rng.IntN(len(kinds))]
		if columns > 20 && j < columns/2 {
			cells[j] = device.CellBit // many side by side, as a table of flags has
		}
	}
	for _, cell := range []device.Cell{device.CellFloat32, device.CellUint16, device.CellUint8} {
		for j := range cells {
			if cells[j] == cell {
				all.Columns[j] = device.Column{Cell: cell, Offset: all.Stride}
				all.Stride += sizes[cell]
			}
		}
	}
	bit := 8*all.Stride + r.rng.IntN(3)
	for j := range cells {
		if cells[j] == device.CellBit {
			all.Columns[j] = device.Column{Cell: device.CellBit, Offset: bit}
			bit++
		}
	}
	multiple := 1
	for _, cell := range cells {
		multiple = max(multiple, sizes[cell])
	}
	all.Stride = (bit/8 + multiple) / multiple * multiple
	for j := range all.Columns {
		if c := &all.Columns[j]; c.Cell != device.CellFloat32 && r.rng.IntN(2) == 0 {
			c.Values = r.normals(1+r.rng.IntN(min(300, c.Cell.Codes())), 1)
		}
	}
	all.Bytes = make([]byte, rows*all.Stride)
	for i := range all.Bytes {
		all.Bytes[i] = uint8(r.rng.Uint32())
	}
	for i := range rows {
		for _, c := range all.Columns {
			r.fillCell(all.Bytes[i*all.Stride:], c)
		}
	}
	return device.Table{Rows: rows, Columns: columns, Records: &all}
}

// fillCell draws a number, and a code that is absent now and then; bits are left
// as they are.
func (r *rig) fillCell(record []byte, c device.Column) {
	code := 0
	if r.rng.IntN(5) > 0 {
		code = 1 + r.rng.IntN(c.Cell.Codes()+1)
		if c.Values != nil {
			code = 1 + r.rng.IntN(len(c.Values)+2) // one in so many stands for nothing
		}
	}
	switch c.Cell {
	case device.CellUint8:
		record[c.Offset] = uint8(min(code, 255))
	case device.CellUint16:
		binary.LittleEndian.PutUint16(record[c.Offset:], uint16(min(code, 65535)))
	case device.CellFloat32:
		x := absent
		if code > 0 {
			x = float32(r.rng.NormFloat64())
		}
		binary.LittleEndian.PutUint32(record[c.Offset:], math.Float32bits(x))
	}
}

// checkGatherRecords compares minibatches of records bit for bit.
func checkGatherRecords(r *rig) {
	for _, shape := range [...][2]int{{2, 1}, {13, 5}, {40, 64}, {101, 33}, {7, 803}} {
		for range 3 {
			data := r.load(r.recordTable(shape[0], shape[1]))
			for _, part := range r.parts(shape[0]) {
				r.gatherTrial(data, part, shape[1], 1+r.rng.IntN(2))
			}
		}
	}
}

// tableLayout draws columns, placed in no order: of every family, of one, two and
// many codes, with and without an indicator.
func (r *rig) tableLayout(n int) []device.TableColumn {
	columns := make([]device.TableColumn, n)
	families, codes := device.Families(), [...]int{1, 2, 3, 17, 40, 300}
	vectors := r.rng.IntN(7)
	for j := range columns {
		c := &columns[j]
		c.Family, c.Indicator = families[(j+r.rng.IntN(2))%len(families)], device.NoIndicator
		if c.Family == device.FamilyCategorical {
			c.Categories, c.Embedding, c.Vectors = codes[r.rng.IntN(len(codes))], 1+r.rng.IntN(19), vectors
			vectors += c.VectorsLen() + r.rng.IntN(3)
		}
	}
	input, param := 0, 0
	for _, j := range r.rng.Perm(n) {
		c := &columns[j]
		c.Input, input = input, input+c.Inputs()
		if r.rng.IntN(2) == 0 {
			c.Indicator, input = input, input+1
		}
	}
	for _, j := range r.rng.Perm(n) {
		columns[j].Param, param = param, param+columns[j].Params()
	}
	return columns
}

// tableOperand is a description of columns on both devices.
type tableOperand struct {
	columns []device.TableColumn
	shape   device.TableColumns
	words   *wordOperand
}

func (t *trial) inTable(columns []device.TableColumn) tableOperand {
	shape, words := device.NewTableColumns(columns)
	return tableOperand{columns, shape, t.inWords("columns", words)}
}

func (s side) table(o tableOperand) device.TableColumns {
	table := o.shape
	table.Words = s.w(o.words)
	return table
}

// tableRows draws rows of a table, in which a part of the values is absent.
func (r *rig) tableRows(columns []device.TableColumn, rows int) []float32 {
	x := make([]float32, 0, rows*len(columns))
	for range rows {
		for _, c := range columns {
			value := float32(r.rng.NormFloat64())
			switch c.Family {
			case device.FamilyBernoulli:
				value = float32(r.rng.IntN(2))
			case device.FamilyCategorical:
				value = float32(r.rng.IntN(c.Categories))
			}
			if r.rng.IntN(6) == 0 {
				value = absent
			}
			x = append(x, value)
		}
	}
	return x
}

// tableShapes are numbers of rows and of columns.
var tableShapes = [...][2]int{{1, 1}, {1, 9}, {5, 4}, {33, 7}, {64, 13}, {17, 40}}

// checkEmbed compares the network's input bit for bit: nothing is computed.
func checkEmbed(r *rig) {
	for _, shape := range tableShapes {
		for range 3 {
			columns := r.tableLayout(shape[1])
			t := r.trial("embed %d rows of %+v", shape[0], columns)
			table := t.inTable(columns)
			x, params := t.in("X", shape[0], shape[1], r.tableRows(columns, shape[0])), t.in("params", 1, table.shape.Vectors+3, r.normals(table.shape.Vectors+3, 1))
			y := t.out("Y", shape[0], table.shape.InputWidth)
			t.run(func(s side) {
				s.Embed(device.EmbedArgs{Table: s.table(table), X: s.v(x), Params: s.v(params), Y: s.v(y)})
			})
			t.exact(y)
		}
	}
}

// checkEmbedBackward compares the sums of the gradient of each vector; elements
// that are no vector's keep their bits, and vectors that no row uses get 0.
func checkEmbedBackward(r *rig) {
	for i, shape := range tableShapes {
		for range 3 {
			columns := r.tableLayout(shape[1])
			rows := shape[0] * (1 + 9*(i%2))
			t := r.trial("embed backward of %d rows of %+v", rows, columns)
			table := t.inTable(columns)
			values, slopes := r.tableRows(columns, rows), r.normals(rows*table.shape.InputWidth, 1)
			x, dy := t.in("X", rows, shape[1], values), t.in("DY", rows, table.shape.InputWidth, slopes)
			grads := t.inout("gradients", 1, table.shape.Vectors+3, r.normals(table.shape.Vectors+3, 1))
			t.run(func(s side) {
				s.EmbedBackward(device.EmbedBackwardArgs{Table: s.table(table), X: s.v(x), DY: s.v(dy), Grads: s.v(grads)})
			})
			bounds := make([]float64, table.shape.Vectors+3)
			for j, c := range columns {
				for i := range rows {
					code := c.Categories
					if value := values[i*shape[1]+j]; value == value {
						code = int(value)
					}
					for k := range c.Embedding {
						bounds[c.Vectors+code*c.Embedding+k] += sumBound(float64(rows)) * math.Abs(float64(slopes[i*table.shape.InputWidth+c.Input+k]))
					}
				}
			}
			t.within(grads, func(i int) float64 { return bounds[i] })
		}
	}
}

// checkCorruptTables compares the corruption of rows with absent values, columns
// that are not continuous and rates by field, bit for bit: donors from records.
func checkCorruptTables(r *rig) {
	rates := [...]float64{0, 0.1, 0.5, 1}
	for _, k := range device.Corruptions() {
		for i, shape := range tableShapes {
			for variant := range 8 {
				r.corruptTrial(corruptCase{kind: k, rows: shape[0] * 3, columns: shape[1], rate: rates[(i+variant)%len(rates)], replicates: 1 + 2*(variant&1),
					fields: variant == 5, alias: variant&2 == 0, accumulate: variant&4 == 0, clock: true,
					absent: variant != 3, continuous: variant&1 == 0, rates: variant >= 4, records: true})
			}
		}
	}
}

// holed returns numbers of which a part is absent.
func (r *rig) holed(x []float32) []float32 {
	for i := range x {
		if r.rng.IntN(6) == 0 {
			x[i] = absent
		}
	}
	return x
}

// continuousWords draws which columns are continuous.
func (r *rig) continuousWords(columns int) []uint32 {
	words := make([]uint32, columns)
	for j := range words {
		words[j] = r.rng.Uint32N(2)
	}
	return words
}

// rateWords draws a rate for each field: never, always and between.
func (r *rig) rateWords(fields int) []uint32 {
	words := make([]uint32, fields)
	for f := range words {
		words[f] = device.RateWord([...]float64{0, 1, 0.2, 0.7}[r.rng.IntN(4)])
	}
	return words
}

// tableSample corrupts rows of which a part is absent, on the device under test.
func (r *rig) tableSample(rows, columns int, a device.CorruptArgs) sampled {
	r.Helper()
	x := r.holed(distinct(rows * columns))
	data, err := r.dev.Load(r.Context(), device.Table{Rows: rows, Columns: columns, Float32: x})
	r.must(err)
	m := r.newMinibatch(rows, columns, 1)
	m.setClock(device.Clock{Step: 5})
	part := device.Rows{Hi: rows}
	m.gather(data, part, true, 1)
	a.Data, a.Part, a.Seed, a.Length, a.Amount = data, part, 21, 3, 0.5
	a.Low, a.High = r.constants(columns, -1), r.constants(columns, 5)
	m.corrupt(a)
	return sampled{r.read(m.x), r.read(m.y), r.read(m.mask)}
}

// checkAbsentIsNeverDestroyed: what is not there stays so under every kind, at any
// rate, and is not counted as destroyed; masking leaves nothing behind but absence.
func checkAbsentIsNeverDestroyed(r *rig) {
	for _, k := range device.Corruptions() {
		s := r.tableSample(200, 12, device.CorruptArgs{Kind: k, Rate: threshold(0.9), Absent: true})
		for i, clean := range s.clean {
			switch {
			case clean != clean && (s.mask[i] != 0 || s.noisy[i] == s.noisy[i]):
				r.Fatalf("%s makes %g with mask %g of an absent value", k, s.noisy[i], s.mask[i])
			case clean == clean && k.Masks() && (s.mask[i] == 1) != (s.noisy[i] != s.noisy[i]):
				r.Fatalf("%s leaves %g with mask %g of %g", k, s.noisy[i], s.mask[i], clean)
			}
		}
	}
}

// checkContinuous: noise and extremes are for numbers, and a code is none.
func checkContinuous(r *rig) {
	const columns = 12
	words := make([]uint32, columns)
	for j := range words {
		words[j] = uint32(j % 3 % 2)
	}
	continuous := r.placedWords(words)
	for _, k := range device.Corruptions() {
		s := r.tableSample(100, columns, device.CorruptArgs{Kind: k, Rate: threshold(1), Absent: true, Continuous: continuous})
		for i, clean := range s.clean {
			spared := k == device.CorruptNone || clean != clean || k.Continuous() && words[i%columns] == 0
			if spared && (s.mask[i] != 0 || math.Float32bits(s.noisy[i]) != math.Float32bits(clean)) {
				r.Fatalf("%s makes %g with mask %g of %g in a column that is not continuous", k, s.noisy[i], s.mask[i], clean)
			}
			if !spared && s.mask[i] != 1 {
				r.Fatalf("%s spares a value of a column that it may change", k)
			}
		}
	}
}

// checkRatesByField counts: each field is destroyed at its own rate, 0 and 1 too,
// of those of its values that are there.
func checkRatesByField(r *rig) {
	const rows, columns = 4000, 6
	rates := [columns]float64{0, 0.05, 0.3, 0.8, 0.95, 1}
	words := make([]uint32, columns)
	for j, p := range rates {
		words[j] = device.RateWord(p)
	}
	for _, k := range []device.Corruption{device.CorruptMasking, device.CorruptSwap, device.CorruptSwapRows} {
		s := r.tableSample(rows, columns, device.CorruptArgs{Kind: k, Rates: r.placedWords(words), Rate: threshold(0.5), Absent: true})
		there := make([][]float64, columns)
		for i, m := range s.mask {
			if s.clean[i] == s.clean[i] {
				there[i%columns] = append(there[i%columns], float64(m))
			}
		}
		for j, p := range rates {
			r.expectMean("the rate of "+k.String()+" in a field", there[j], p, p*(1-p))
		}
	}
}

// checkSpans counts: runs destroy every field with the same probability, the first
// and the last too, and no run that does not touch an end is shorter than Length.
func checkSpans(r *rig) {
	const rows, columns = 6000, 11
	for _, length := range []int{1, 2, 4, 11, 20} {
		for _, p := range []float64{0.15, 0.5} {
			x := make([]float32, rows*columns)
			fill(x, 1)
			index := r.numbered(rows)
			v, y, mask := r.placed(rows, columns, x), r.placed(rows, columns, x), r.placed(rows, columns, x)
			r.dev.Corrupt(device.CorruptArgs{Kind: device.CorruptSpan, Rate: device.SpanStart(p, length), Length: length, From: v, To: y, Mask: mask,
				Seed: uint64(length), Stream: philox.StreamTrain, Replicates: 1, Index: index})
			destroyed := r.read(mask)
			for _, column := range byColumn(destroyed, columns) {
				r.expectMean("the rate of spans in a field", column, p, p*(1-p))
			}
			for i := range rows {
				r.expectRuns(destroyed[i*columns:(i+1)*columns], length)
			}
			for i, v := range r.read(y) {
				if v != 1-destroyed[i] {
					r.Fatalf("a span leaves %g where the mask is %g", v, destroyed[i])
				}
			}
		}
	}
}

// expectRuns: runs of ones that end within the row are of at least that length.
func (r *rig) expectRuns(mask []float32, length int) {
	r.Helper()
	run, fromStart := 0, true
	for _, m := range mask {
		if m == 1 {
			run++
			continue
		}
		if run > 0 && run < length && !fromStart {
			r.Fatalf("a run of %d in %v, want at least %d", run, mask, length)
		}
		run, fromStart = 0, false
	}
}

// fill sets every element.
func fill(x []float32, value float32) {
	for i := range x {
		x[i] = value
	}
}

// checkSwapRows: the values that a row takes are all from one other row of the
// part, in their own columns; each other row is as likely as another.
func checkSwapRows(r *rig) {
	const columns = 9
	part := device.Rows{Lo: 10, Hi: 91, Split: true, Seed: 3}
	n := part.Len()
	counts := make([]float64, n)
	total := 0
	for seed := range uint64(20) {
		positions, donors := r.donorsOf(device.CorruptSwapRows, part, 100, columns, 4, 31+seed)
		for i, row := range donors {
			for _, donor := range row {
				if donor != row[0] || donor == int(positions[i]) {
					r.Fatalf("the row at position %d takes values from the rows at %v", positions[i], row)
				}
			}
			counts[(row[0]-int(positions[i])+n)%n]++
			total++
		}
	}
	r.expectUniform("donors of whole rows", counts[1:], total)
}
