package device_test

import (
	"math"
	"testing"

	"gpudae/device"
)

// tableColumns are a numeric column with an indicator, a binary one, a
// categorical one of three codes and a numeric one whose variance is learned.
func tableColumns() []device.TableColumn {
	return []device.TableColumn{
		{Family: device.FamilyGaussian, Input: 3, Indicator: 4, Param: 0},
		{Family: device.FamilyBernoulli, Input: 0, Indicator: device.NoIndicator, Param: 1},
		{Family: device.FamilyCategorical, Categories: 3, Input: 1, Embedding: 2, Vectors: 10, Indicator: 5, Param: 2},
		{Family: device.FamilyGaussianLearned, Input: 6, Indicator: device.NoIndicator, Param: 5},
	}
}

func TestTableColumnsAreReadAsWritten(t *testing.T) {
	columns := tableColumns()
	table, w := device.NewTableColumns(columns)
	if table.Count != 4 || table.InputWidth != 7 || table.ParamWidth != 7 || table.Vectors != 18 || table.Codes != 4 || w[3*device.TableColumnWords+7] != 4 {
		t.Errorf("columns are %+v", table)
	}
	for j, c := range device.TableColumnsOf(w) {
		if c != columns[j] {
			t.Errorf("column %d is read as %+v, written as %+v", j, c, columns[j])
		}
	}
}

func TestTableColumnsFit(t *testing.T) {
	for what, spoil := range map[string]func([]device.TableColumn){
		"an input taken twice":           func(c []device.TableColumn) { c[0].Input = 2 },
		"an input past the end":          func(c []device.TableColumn) { c[0].Input = 7 },
		"a parameter taken twice":        func(c []device.TableColumn) { c[1].Param = 0 },
		"an indicator on an input":       func(c []device.TableColumn) { c[0].Indicator = 0 },
		"no codes":                       func(c []device.TableColumn) { c[2].Categories = 0 },
		"codes of a number":              func(c []device.TableColumn) { c[0].Categories = 2 },
		"an embedding without width":     func(c []device.TableColumn) { c[2].Embedding = 0 },
		"vectors before the parameters":  func(c []device.TableColumn) { c[2].Vectors = -1 },
		"vectors past what words reach":  func(c []device.TableColumn) { c[2].Vectors = math.MaxInt32 },
		"a family that there is not":     func(c []device.TableColumn) { c[1].Family = 4 },
		"a negative input":               func(c []device.TableColumn) { c[0].Input = -1 },
		"an indicator before the inputs": func(c []device.TableColumn) { c[0].Indicator = -2 },
	} {
		columns := tableColumns()
		spoil(columns)
		expectPanic(t, what, func() { device.NewTableColumns(columns) }, "table column")
	}
}

func TestEmbedCheck(t *testing.T) {
	table, w := device.NewTableColumns(tableColumns())
	table.Words = words(len(w))
	expectChecked(t, "embed", device.EmbedArgs{Table: table, X: matrix(3, 4), Params: matrix(1, 18), Y: matrix(3, 7)}, map[string]func(*device.EmbedArgs){
		"another output": func(a *device.EmbedArgs) { a.Y = matrix(3, 6) },
		"another batch":  func(a *device.EmbedArgs) { a.Y = matrix(2, 7) },
		"another input":  func(a *device.EmbedArgs) { a.X = matrix(3, 5) },
		"few parameters": func(a *device.EmbedArgs) { a.Params = matrix(1, 17) },
	})
	expectChecked(t, "embed backward", device.EmbedBackwardArgs{Table: table, X: matrix(3, 4), DY: matrix(3, 7), Grads: matrix(1, 20)},
		map[string]func(*device.EmbedBackwardArgs){
			"another gradient": func(a *device.EmbedBackwardArgs) { a.DY = matrix(3, 6) },
			"another batch":    func(a *device.EmbedBackwardArgs) { a.X = matrix(2, 4) },
			"few parameters":   func(a *device.EmbedBackwardArgs) { a.Grads = matrix(1, 17) },
		})
	bad := device.EmbedArgs{X: matrix(3, 4), Params: matrix(1, 18), Y: matrix(3, 7)}
	expectPanic(t, "embed without columns", bad.Check, "0 table columns")
}

func TestRateWord(t *testing.T) {
	for p, want := range map[float64]uint32{0: 0, 1: math.MaxUint32, 0.5: 1<<31 - 1, 0x1p-31: 1, 0x1p-32: 1} {
		if got := device.RateWord(p); got != want {
			t.Errorf("rate %g is the word %d, want %d", p, got, want)
		}
	}
}

// A field is spared if none of the starts that reach it fires.
func TestSpanStart(t *testing.T) {
	for _, length := range []int{1, 2, 3, 17} {
		for _, p := range []float64{0, 1e-6, 0.15, 0.5, 0.99, 1} {
			q := float64(device.SpanStart(p, length)) / (1 << 32)
			if got := 1 - math.Pow(1-q, float64(length)); math.Abs(got-p) > float64(length)*0x1p-32 {
				t.Errorf("runs of %d destroy %g, want %g", length, got, p)
			}
		}
	}
}

// TestMixedCheck: the parameters are those of the columns, with those of the mask
// where there is a head.
func TestMixedCheck(t *testing.T) {
	table, w := device.NewTableColumns(tableColumns())
	table.Words = words(len(w))
	good := device.LikelihoodArgs{Kind: device.Mixed, Table: table, Params: matrix(3, 7), Target: matrix(3, 4), Losses: matrix(3, 1),
		Weights: matrix(1, 4), ByColumn: matrix(3, 4)}
	spoil := map[string]func(*device.LikelihoodArgs){
		"parameters of other columns": func(a *device.LikelihoodArgs) { a.Params = matrix(3, 8) },
		"another target":              func(a *device.LikelihoodArgs) { a.Target = matrix(3, 5) },
		"other weights":               func(a *device.LikelihoodArgs) { a.Weights = matrix(1, 5) },
		"losses of other columns":     func(a *device.LikelihoodArgs) { a.ByColumn = matrix(3, 5) },
		"a head without a mask":       func(a *device.LikelihoodArgs) { a.MaskHead, a.Params = 1, matrix(3, 11) },
		"a head without parameters":   func(a *device.LikelihoodArgs) { a.MaskHead, a.Mask = 1, matrix(3, 4) },
	}
	expectChecked(t, "likelihood mixed", good, spoil)
	wide := good
	wide.Params = matrix(3, 11)
	expectChecked(t, "likelihood mixed", wide, nil)
	wide.MaskHead, wide.Mask = 0.5, matrix(3, 4)
	expectChecked(t, "likelihood", wide, map[string]func(*device.LikelihoodArgs){
		"a negative head":          func(a *device.LikelihoodArgs) { a.MaskHead = -1 },
		"a head of another family": func(a *device.LikelihoodArgs) { a.Kind, a.Params = device.Gaussian, matrix(3, 4) },
	})
	expectChecked(t, "mean mixed", device.MeanArgs{Kind: device.Mixed, Table: table, Params: matrix(3, 11), Out: matrix(3, 4)}, map[string]func(*device.MeanArgs){
		"parameters of other columns": func(a *device.MeanArgs) { a.Params = matrix(3, 10) },
	})
	expectPanic(t, "a mixed likelihood without columns", (&device.MeanArgs{Kind: device.Mixed, Params: matrix(3, 7), Out: matrix(3, 4)}).Check, "table columns")
}
