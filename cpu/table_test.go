package cpu_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/device"
	"gpudae/device/philox"
)

// tableNet is a denoising auto-encoder of a table of mixed columns, written on a
// device: of 40 columns, half of them categorical of 2 to 200 codes, the others
// numbers and bits.
type tableNet struct {
	dev                 device.Device
	data                device.Dataset
	part                device.Rows
	table               device.TableColumns
	batch               int
	clock, index, rates device.Words
	continuous          device.Words
	x, noisy, mask      device.View
	embedded, dEmbedded device.View
	weights, byColumn   device.View
	losses, values      device.View
	params, grads       device.View
	first, second       device.View
	learningRates       device.View
	layers              []layer
	act                 device.Activation
	corruption          device.Corruption
}

// mixedColumns are 20 numbers and bits and 20 categorical columns, whose numbers
// of codes are spread evenly on a logarithmic scale from 2 to 200.
func mixedColumns() []device.TableColumn {
	var columns []device.TableColumn
	input, param, vectors := 0, 0, 0
	for j := range 40 {
		c := device.TableColumn{Indicator: device.NoIndicator, Input: input, Param: param}
		switch {
		case j%2 == 1:
			c.Family, c.Categories = device.FamilyCategorical, int(math.Round(2*math.Pow(100, float64(j/2)/19)))
			c.Embedding, c.Vectors = min(50, int(math.Round(1.6*math.Pow(float64(c.Categories), 0.56)))), vectors
		case j%10 == 0:
			c.Family = device.FamilyBernoulli
		case j%10 == 2:
			c.Family = device.FamilyGaussianLearned
		}
		input, param, vectors = input+c.Inputs(), param+c.Params(), vectors+c.VectorsLen()
		columns = append(columns, c)
	}
	return columns
}

// mixedRecords are rows of these columns: a byte for a code or a number of 200
// values, a float for other numbers, a bit for a bit; a part is absent.
func mixedRecords(columns []device.TableColumn, rows int) device.Table {
	random := rand.New(rand.NewPCG(7, 8))
	r := &device.Records{}
	offset, bit := 0, 0
	for j, c := range columns {
		column := device.Column{Cell: device.CellUint8}
		switch {
		case c.Family == device.FamilyBernoulli:
			column.Cell = device.CellBit
		case c.Family != device.FamilyCategorical && j%4 == 0:
			column.Cell = device.CellFloat32
		case c.Family != device.FamilyCategorical:
			for range 200 {
				column.Values = append(column.Values, float32(random.NormFloat64()))
			}
		}
		r.Columns = append(r.Columns, column)
	}
	for _, cell := range []device.Cell{device.CellFloat32, device.CellUint8} {
		for j := range r.Columns {
			if r.Columns[j].Cell == cell {
				r.Columns[j].Offset = offset
				offset += map[device.Cell]int{device.CellFloat32: 4, device.CellUint8: 1}[cell]
			}
		}
	}
	for j := range r.Columns {
		if r.Columns[j].Cell == device.CellBit {
			r.Columns[j].Offset, bit = 8*offset+bit, bit+1
		}
	}
	r.Stride = (offset + (bit+7)/8 + 3) / 4 * 4
	r.Bytes = make([]byte, rows*r.Stride)
	for i := range rows {
		record := r.Bytes[i*r.Stride : (i+1)*r.Stride]
		for j, c := range r.Columns {
			switch {
			case c.Cell == device.CellBit:
				record[c.Offset/8] |= byte(random.IntN(2) << (c.Offset % 8))
			case c.Cell == device.CellFloat32:
				binary.LittleEndian.PutUint32(record[c.Offset:], math.Float32bits(float32(random.NormFloat64())))
			case random.IntN(20) == 0:
			case c.Values != nil:
				record[c.Offset] = byte(1 + random.IntN(len(c.Values)))
			default:
				record[c.Offset] = byte(1 + random.IntN(columns[j].Categories))
			}
		}
	}
	return device.Table{Rows: rows, Columns: len(columns), Records: r}
}

func newTableNet(t testing.TB, dev device.Device, rows, batch int, hidden []int, corruption device.Corruption) *tableNet {
	t.Helper()
	columns := mixedColumns()
	n := &tableNet{dev: dev, batch: batch, act: device.ReLU, corruption: corruption, part: device.Rows{Lo: rows / 10, Hi: rows, Split: true, Seed: 3}}
	var err error
	if n.data, err = dev.Load(context.Background(), mixedRecords(columns, rows)); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 6))
	matrix := func(rows, columns int) device.View {
		return upload(t, dev, rows, columns, make([]float32, rows*columns))
	}
	words := func(values []uint32) device.Words {
		m, err := dev.Alloc(device.Word, len(values))
		if err != nil {
			t.Fatal(err)
		}
		w := device.WordsOf(m, 0, len(values))
		if err := dev.UploadWords(w, values); err != nil {
			t.Fatal(err)
		}
		return w
	}
	described, description := device.NewTableColumns(columns)
	described.Words = words(description)
	n.table = described
	rateWords, continuous := make([]uint32, len(columns)), make([]uint32, len(columns))
	for j, c := range columns {
		rateWords[j] = device.RateWord(0.15)
		if c.Family == device.FamilyGaussian {
			continuous[j] = 1
		}
	}
	n.rates, n.continuous = words(rateWords), words(continuous)
	n.clock, n.index = words(make([]uint32, device.ClockWords)), words(make([]uint32, device.IndexWords(batch)))
	d := len(columns)
	n.x, n.noisy, n.mask, n.byColumn = matrix(batch, d), matrix(batch, d), matrix(batch, d), matrix(batch, d)
	n.embedded, n.dEmbedded = matrix(batch, n.table.InputWidth), matrix(batch, n.table.InputWidth)
	n.losses, n.values = matrix(batch, 1), matrix(1, 2)
	weights := make([]float32, d)
	for j := range weights {
		weights[j] = random.Float32() + 0.5
	}
	n.weights = upload(t, dev, 1, d, weights)
	widths := append(append([]int{n.table.InputWidth}, hidden...), n.table.ParamWidth+d)
	count := n.table.Vectors
	for i := range widths[1:] {
		count += widths[i+1] * (widths[i] + 1)
	}
	initial := make([]float32, count)
	for i := range initial {
		initial[i] = float32(random.NormFloat64() * 0.1)
	}
	n.params, n.grads, n.first, n.second = upload(t, dev, 1, count, initial), matrix(1, count), matrix(1, count), matrix(1, count)
	rates := make([]float32, 1000)
	for i := range rates {
		rates[i] = 1e-3
	}
	n.learningRates = upload(t, dev, 1, len(rates), rates)
	at := n.table.Vectors
	next := func(rows, columns int) (w, dw device.View) {
		w, dw = device.MatrixOf(n.params.Memory, at, rows, columns), device.MatrixOf(n.grads.Memory, at, rows, columns)
		at += rows * columns
		return w, dw
	}
	for i := range widths[1:] {
		l := layer{y: matrix(batch, widths[i+1]), da: matrix(batch, widths[i+1])}
		l.w, l.dw = next(widths[i+1], widths[i])
		l.b, l.db = next(1, widths[i+1])
		n.layers = append(n.layers, l)
	}
	return n
}

// begin, score and end are the parts of a step that tables have of their own: rows
// are gathered from records, corrupted and embedded;
func (n *tableNet) begin() {
	n.dev.Gather(device.GatherArgs{Data: n.data, Part: n.part, Shuffle: true, Seed: 7, Replicates: 1, Clock: n.clock, X: n.x, Index: n.index})
	n.dev.Corrupt(device.CorruptArgs{Kind: n.corruption, Rate: philox.Threshold(0.15), Rates: n.rates, Length: 3, Amount: 0.1, Absent: true,
		Continuous: n.continuous, From: n.x, To: n.noisy, Mask: n.mask, Low: n.x.Top(1), High: n.x.Top(1), Seed: 7, Replicates: 1, Index: n.index,
		Clock: n.clock, Data: n.data, Part: n.part})
	n.dev.Embed(device.EmbedArgs{Table: n.table, X: n.noisy, Params: n.params, Y: n.embedded})
}

// the loss of every column is computed with its gradient;
func (n *tableNet) score() {
	last := n.layers[len(n.layers)-1]
	n.dev.Likelihood(device.LikelihoodArgs{Kind: device.Mixed, Sigma: 1, Floor: 0.1, Table: n.table, MaskHead: 0.1, Params: last.y, Target: n.x, Mask: n.mask,
		Destroyed: 1, Untouched: 0.5, Weights: n.weights, Losses: n.losses, ByColumn: n.byColumn, DParams: last.da, Scale: 1 / float32(n.batch)})
}

// and so is that of the vectors.
func (n *tableNet) end() {
	n.dev.EmbedBackward(device.EmbedBackwardArgs{Table: n.table, X: n.noisy, DY: n.dEmbedded, Grads: n.grads})
}

// forward and backward are the products in between.
func (n *tableNet) forward() {
	x := n.embedded
	for i, l := range n.layers {
		act := n.act
		if i == len(n.layers)-1 {
			act = device.Identity
		}
		n.dev.Dense(device.DenseArgs{X: x, W: l.w, Bias: l.b, Act: act, Y: l.y})
		x = l.y
	}
}

func (n *tableNet) backward() {
	for i := len(n.layers) - 1; i >= 0; i-- {
		l := n.layers[i]
		a := device.DenseBackwardArgs{DA: l.da, X: n.embedded, W: l.w, DX: n.dEmbedded, DW: l.dw, DBias: l.db}
		if i > 0 {
			a.X, a.InAct, a.DX = n.layers[i-1].y, n.act, n.layers[i-1].da
		}
		n.dev.DenseBackward(a)
	}
}

func (n *tableNet) update() {
	loss, square := device.MatrixOf(n.values.Memory, n.values.Offset, 1, 1), device.MatrixOf(n.values.Memory, n.values.Offset+1, 1, 1)
	n.dev.Reduce(device.ReduceArgs{Kind: device.Sum, X: n.losses, Out: loss})
	n.dev.Reduce(device.ReduceArgs{Kind: device.SumSquares, X: n.grads, Out: square})
	n.dev.Update(device.UpdateArgs{Kind: device.Adam, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-3, Decayed: n.params.Len(), Clip: 1, Rates: n.learningRates,
		Clock: n.clock, GradSq: square, Loss: loss, Params: n.params, Grads: n.grads, First: n.first, Second: n.second})
	n.dev.Tick(device.TickArgs{Clock: n.clock, Rows: 0})
}

func (n *tableNet) step() {
	n.begin()
	n.forward()
	n.score()
	n.backward()
	n.end()
	n.update()
}

// state is what steps leave, with draws and means of the rows.
func (n *tableNet) state(t testing.TB) []float32 {
	t.Helper()
	last := n.layers[len(n.layers)-1].y
	all := append(download(t, n.dev, n.params), download(t, n.dev, n.byColumn)...)
	n.dev.Mean(device.MeanArgs{Kind: device.Mixed, Table: n.table, Params: last, Out: n.noisy})
	all = append(all, download(t, n.dev, n.noisy)...)
	n.dev.Draw(device.DrawArgs{Kind: device.Mixed, Sigma: 1, Floor: 0.1, Table: n.table, Params: last, Out: n.noisy, Seed: 3, Replicates: 1, Index: n.index})
	return append(all, download(t, n.dev, n.noisy)...)
}

// TestThreadsDoNotChangeTables: two steps by each corruption leave the same bits
// on any number of threads.
func TestThreadsDoNotChangeTables(t *testing.T) {
	if testing.Short() {
		t.Skip("trains on several numbers of threads")
	}
	for _, k := range device.Corruptions() {
		var want []float32
		for _, threads := range []int{1, 2, 5} {
			n := newTableNet(t, open(t, threads), 300, 37, []int{24}, k)
			n.step()
			n.step()
			got := n.state(t)
			if want == nil {
				want = got
			}
			for i := range got {
				if got[i] != got[i] || math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("%s: element %d is %g with %d threads, %g with one", k, i, got[i], threads, want[i])
				}
			}
		}
	}
}

// TestTablesDoNotAllocate after some steps, in which each thread has come to its
// turn and made its scratch memory.
func TestTablesDoNotAllocate(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector's threads come late to their turn")
	}
	for _, k := range device.Corruptions() {
		n := newTableNet(t, open(t, 2), 300, 37, []int{24}, k)
		for range 10 {
			n.step()
		}
		if allocations := testing.AllocsPerRun(20, n.step); allocations != 0 {
			t.Errorf("%s: %g allocations a step", k, allocations)
		}
	}
}

// BenchmarkTable times a training step on a table of mixed columns, and what of it
// tables have of their own: everything but products and the optimiser. The shares
// are of the fastest runs.
func BenchmarkTable(b *testing.B) {
	const rows, batch = 1 << 18, 256
	for _, k := range []device.Corruption{device.CorruptSwap, device.CorruptMasking, device.CorruptSpan} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", k, threads), func(b *testing.B) {
				n := newTableNet(b, openAsUsed(b, threads), rows, batch, []int{256, 256, 256}, k)
				steps := 0
				advance := func() {
					if steps++; steps%900 == 0 {
						if err := n.dev.UploadWords(n.clock, device.Clock{Step: uint64(steps)}.Words()); err != nil {
							b.Fatal(err)
						}
					}
				}
				step := fastest(b, func() { advance(); n.step() })
				b.ReportMetric(float64(batch)/step.Seconds(), "examples/s")
				part := func(f func()) float64 { return fastestOf(50, f).Seconds() / step.Seconds() * 100 }
				b.ReportMetric(part(n.begin), "begin-%")
				b.ReportMetric(part(n.score), "score-%")
				b.ReportMetric(part(n.end), "end-%")
				b.ReportMetric(part(func() { n.begin(); n.score(); n.end() }), "table-%")
			})
		}
	}
}
