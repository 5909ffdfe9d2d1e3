package reference

import (
	"context"
	"math"
	"strings"
	"testing"

	"gpudae/device"
)

// sixColumns are two of each family but the categorical one, of 1, 3 and 5 codes:
// nothing is in the order of the columns.
func sixColumns() []device.TableColumn {
	return []device.TableColumn{
		{Family: device.FamilyCategorical, Categories: 3, Input: 4, Embedding: 2, Vectors: 20, Indicator: 3, Param: 3},
		{Family: device.FamilyGaussian, Input: 0, Indicator: device.NoIndicator, Param: 2},
		{Family: device.FamilyBernoulli, Input: 1, Indicator: 2, Param: 6},
		{Family: device.FamilyCategorical, Categories: 1, Input: 6, Embedding: 1, Vectors: 3, Indicator: device.NoIndicator, Param: 7},
		{Family: device.FamilyGaussianLearned, Input: 7, Indicator: 11, Param: 0},
		{Family: device.FamilyCategorical, Categories: 5, Input: 8, Embedding: 3, Vectors: 28, Indicator: device.NoIndicator, Param: 8},
	}
}

// table places the description of columns.
func (l *lab) table(columns []device.TableColumn) device.TableColumns {
	l.Helper()
	t, words := device.NewTableColumns(columns)
	t.Words = l.words(words...)
	return t
}

var nan = math.NaN()

// sixRows have every value absent once.
func (l *lab) sixRows() device.View {
	return l.matrix(4, 6,
		2, 0.3, 1, 0, nan, 4,
		nan, -1.2, nan, 0, 0.4, 0,
		0, nan, 0, nan, 1.1, 4,
		2, 2.5, 1, 0, -0.5, nan)
}

// TestEmbedByHand: values, vectors and indicators where they belong.
func TestEmbedByHand(t *testing.T) {
	l := newLab(t)
	table := l.table(sixColumns())
	params := l.matrix(1, 46)
	for i := range Float64s(params) {
		Float64s(params)[i] = float64(100 + i)
	}
	y := l.matrix(4, table.InputWidth)
	l.d.Embed(device.EmbedArgs{Table: table, X: l.sixRows(), Params: params, Y: y})
	l.expectMatrix("an embedding", y,
		0.3, 1, 0, 0, 124, 125, 103, 0, 140, 141, 142, 1,
		-1.2, 0, 1, 1, 126, 127, 103, 0.4, 128, 129, 130, 0,
		0, 0, 0, 0, 120, 121, 104, 1.1, 140, 141, 142, 0,
		2.5, 1, 0, 0, 124, 125, 103, -0.5, 143, 144, 145, 0)
}

// TestEmbedRefusesCodes that are none.
func TestEmbedRefusesCodes(t *testing.T) {
	for _, code := range []float64{3, -1, 0.5, math.Inf(1)} {
		l := newLab(t)
		table := l.table(sixColumns())
		x := l.sixRows()
		Float64s(x)[0] = code
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(p.(string), "codes") {
					t.Errorf("the code %g of 3 is embedded (panic %v)", code, p)
				}
			}()
			l.d.Embed(device.EmbedArgs{Table: table, X: x, Params: l.matrix(1, 46), Y: l.matrix(4, table.InputWidth)})
		}()
	}
}

// TestEmbedBackwardIsTheGradient, by differences; what is no vector is left alone.
func TestEmbedBackwardIsTheGradient(t *testing.T) {
	l := newLab(t)
	table, x := l.table(sixColumns()), l.sixRows()
	params, y := l.random(1, 50), l.matrix(4, table.InputWidth)
	c, grads := l.random(4, table.InputWidth), l.matrix(1, 50)
	used := make([]bool, 50)
	for _, column := range sixColumns() {
		for k := range column.VectorsLen() {
			used[column.Vectors+k] = true
		}
	}
	for i := range used {
		Float64s(grads)[i] = 1e9 // must not be added to
	}
	l.d.EmbedBackward(device.EmbedBackwardArgs{Table: table, X: x, DY: c, Grads: grads})
	for i, in := range used {
		if !in {
			if Float64s(grads)[i] != 1e9 {
				t.Errorf("element %d is no vector's, and was changed to %g", i, Float64s(grads)[i])
			}
			Float64s(grads)[i] = 0
		}
	}
	l.expectGradient("embedding", func() float64 {
		l.d.Embed(device.EmbedArgs{Table: table, X: x, Params: params, Y: y})
		return inner(c, y)
	}, params, grads)
}

// mixedArgs are those of a likelihood of sixRows with everything that it may have.
func (l *lab) mixedArgs(head float32) device.LikelihoodArgs {
	table := l.table(sixColumns())
	width := table.ParamWidth
	if head > 0 {
		width += table.Count
	}
	return device.LikelihoodArgs{Kind: device.Mixed, Sigma: 0.7, Floor: 0.2, Table: table, MaskHead: head, Params: l.random(4, width), Target: l.sixRows(),
		Mask: l.matrix(4, 6, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0), Destroyed: 1.5, Untouched: 0.25,
		Weights: l.matrix(1, 6, 0.5, 2, 1, 3, 1.5, 0.75), Losses: l.matrix(4, 1), ByColumn: l.matrix(4, 6), DParams: l.matrix(4, width), Scale: 1.0 / 8}
}

// TestMixedGradient, by differences, with and without the mask's likelihood.
func TestMixedGradient(t *testing.T) {
	for _, head := range []float32{0, 0.3} {
		l := newLab(t)
		a := l.mixedArgs(head)
		l.d.Likelihood(a)
		forward := a
		forward.DParams = device.View{}
		l.expectGradient("mixed", func() float64 {
			l.d.Likelihood(forward)
			return total(a.Losses) / 8
		}, a.Params, a.DParams)
	}
}

// TestMixedByHand: each column's loss is that of its family, from its formula; an
// absent one has none. A loss is their weighted sum, and that of the mask's head.
func TestMixedByHand(t *testing.T) {
	l := newLab(t)
	a := l.mixedArgs(0.3)
	l.d.Likelihood(a)
	columns, head := sixColumns(), float64(a.MaskHead)
	for i := range 4 {
		sum, p := 0.0, Float64s(a.Params)[i*a.Params.Columns:][:a.Params.Columns]
		for j, c := range columns {
			x, got := Float64s(a.Target)[i*6+j], Float64s(a.ByColumn)[i*6+j]
			if x != x {
				if got != 0 {
					t.Errorf("the loss of an absent value is %g", got)
				}
				continue
			}
			want, at := 0.0, p[c.Param:]
			switch c.Family {
			case device.FamilyGaussian:
				sigma := float64(a.Sigma)
				want = (x-at[0])*(x-at[0])/(2*sigma*sigma) + math.Log(sigma*math.Sqrt(2*math.Pi))
			case device.FamilyGaussianLearned:
				v := math.Exp(at[1]) + float64(a.Floor)*float64(a.Floor)
				want = (x-at[0])*(x-at[0])/(2*v) + math.Log(math.Sqrt(2*math.Pi*v))
			case device.FamilyBernoulli:
				q := 1 / (1 + math.Exp(-at[0]))
				want = -math.Log(x*q + (1-x)*(1-q))
			case device.FamilyCategorical:
				z := 0.0
				for _, v := range at[:c.Categories] {
					z += math.Exp(v)
				}
				want = -math.Log(math.Exp(at[int(x)]) / z)
			}
			l.expectNear("the loss of a column", got, want, 1e-14)
			m := Float64s(a.Mask)[i*6+j]
			weight := float64(a.Untouched)
			if m == 1 {
				weight = float64(a.Destroyed)
			}
			q := 1 / (1 + math.Exp(-p[a.Table.ParamWidth+j]))
			sum += weight*Float64s(a.Weights)[j]*want - head*math.Log(m*q+(1-m)*(1-q))
		}
		l.expectNear("a loss", Float64s(a.Losses)[i], sum, 1e-13)
	}
	if got := Float64s(a.ByColumn)[3]; got != 0 {
		t.Errorf("the loss of the only code is %g", got)
	}
}

// TestMeanOfMixedByHand: of two codes that are as probable, the lower one.
func TestMeanOfMixedByHand(t *testing.T) {
	l := newLab(t)
	out := l.matrix(1, 6)
	l.d.Mean(device.MeanArgs{Kind: device.Mixed, Table: l.table(sixColumns()), Out: out,
		Params: l.matrix(1, 13, 0.5, 9, -2, 1, 3, 3, math.Log(3), 7, 0, 0, 0, 1, 0.5)})
	l.expectMatrix("a mean", out, 1, -2, 0.75, 0, 0.5, 3)
}

// TestRecordsAreRead as device.Records reads them.
func TestRecordsAreRead(t *testing.T) {
	l := newLab(t)
	r := device.Records{Stride: 8, Bytes: []byte{
		0b10, 2, 0, 1, 0, 0, 0xC0, 0x3F,
		0b01, 0, 1, 0, 0, 0, 0x80, 0xBF,
		0b11, 9, 0, 0, 0, 0, 0xC0, 0x7F,
	}, Columns: []device.Column{{Cell: device.CellBit, Offset: 1}, {Cell: device.CellUint8, Offset: 1, Values: []float32{0.5, -2}},
		{Cell: device.CellUint16, Offset: 2}, {Cell: device.CellFloat32, Offset: 4}, {Cell: device.CellBit, Values: []float32{3, 4}}}}
	data, err := l.d.Load(context.Background(), device.Table{Rows: 3, Columns: 5, Records: &r})
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{1, -2, 255, 1.5, 3, 0, float32(nan), 0, -1, 4, 1, float32(nan), float32(nan), float32(nan), 4}
	for i, x := range want {
		got := data.(*table).value(i/5, i%5)
		if math.Float32bits(got) != math.Float32bits(x) || math.Float32bits(r.At(i/5, i%5)) != math.Float32bits(x) {
			t.Errorf("cell %d of row %d is %g, and %g by itself, want %g", i%5, i/5, got, r.At(i/5, i%5), x)
		}
	}
}
