package device_test

import (
	"testing"

	"gpudae/device"
)

// data is a data set of which only the shape matters.
type data struct{ rows, columns int }

func (d data) Shape() (rows, columns int) { return d.rows, d.columns }

// checked is an argument struct.
type checked interface{ Check() }

// expectChecked requires good arguments to pass, and each way of spoiling them
// to panic with the operation's name.
func expectChecked[A any, P interface {
	*A
	checked
}](t *testing.T, operation string, good A, spoil map[string]func(*A)) {
	t.Helper()
	if message := panicOf(P(&good).Check); message != "" {
		t.Errorf("%s: good arguments panic with %q", operation, message)
	}
	for what, f := range spoil {
		bad := good
		f(&bad)
		expectPanic(t, operation+" with "+what, P(&bad).Check, operation)
	}
}

func TestGatherCheck(t *testing.T) {
	expectChecked(t, "gather", device.GatherArgs{Data: data{20, 4}, Part: device.Rows{Lo: 5, Hi: 15}, Replicates: 2,
		Clock: words(device.ClockWords), X: matrix(6, 4), Index: words(12)}, map[string]func(*device.GatherArgs){
		"other columns than the data's":  func(a *device.GatherArgs) { a.X = matrix(6, 5) },
		"no replicates":                  func(a *device.GatherArgs) { a.Replicates = 0 },
		"rows that replicates leave out": func(a *device.GatherArgs) { a.Replicates = 4 },
		"an index too short":             func(a *device.GatherArgs) { a.Index = words(6) },
		"a part before the data":         func(a *device.GatherArgs) { a.Part.Lo = -1 },
		"a part past the data":           func(a *device.GatherArgs) { a.Part.Hi = 21 },
		"a part that ends first":         func(a *device.GatherArgs) { a.Part.Lo = 16 },
		"more examples than the part":    func(a *device.GatherArgs) { a.Part.Hi = 7 },
		"no clock":                       func(a *device.GatherArgs) { a.Clock = device.Words{} },
	})
}

func TestCorruptCheck(t *testing.T) {
	good := device.CorruptArgs{Kind: device.CorruptMasking, From: matrix(3, 4), To: matrix(3, 4), Mask: matrix(3, 4), Replicates: 1, Index: words(6)}
	expectChecked(t, "corrupt masking", good, map[string]func(*device.CorruptArgs){
		"another output":           func(a *device.CorruptArgs) { a.To = matrix(4, 3) },
		"another mask":             func(a *device.CorruptArgs) { a.Mask = matrix(3, 3) },
		"no mask":                  func(a *device.CorruptArgs) { a.Mask = device.View{} },
		"an index too short":       func(a *device.CorruptArgs) { a.Index = words(3) },
		"no replicates":            func(a *device.CorruptArgs) { a.Replicates = 0 },
		"rates of another number":  func(a *device.CorruptArgs) { a.Rates = words(3) },
		"other columns continuous": func(a *device.CorruptArgs) { a.Continuous = words(5) },
	})
	fielded := good
	fielded.Fields = device.Fields{Count: 2, OfColumn: words(4), Offsets: words(3)}
	expectChecked(t, "fields", fielded, map[string]func(*device.CorruptArgs){
		"fields of other columns":   func(a *device.CorruptArgs) { a.Fields.OfColumn = words(5) },
		"offsets of another number": func(a *device.CorruptArgs) { a.Fields.Offsets = words(2) },
		"rates by column":           func(a *device.CorruptArgs) { a.Rates = words(4) },
	})
	salted := good
	salted.Kind, salted.Low, salted.High = device.CorruptSaltAndPepper, matrix(1, 4), matrix(1, 4)
	expectChecked(t, "corrupt salt-and-pepper", salted, map[string]func(*device.CorruptArgs){
		"no lows":         func(a *device.CorruptArgs) { a.Low = device.View{} },
		"too many highs":  func(a *device.CorruptArgs) { a.High = matrix(1, 5) },
		"no highs at all": func(a *device.CorruptArgs) { a.High = device.View{} },
	})
	swapped := good
	swapped.Kind, swapped.Data, swapped.Part = device.CorruptSwap, data{20, 4}, device.Rows{Lo: 5, Hi: 20}
	expectChecked(t, "corrupt swap", swapped, map[string]func(*device.CorruptArgs){
		"no data":                       func(a *device.CorruptArgs) { a.Data = nil },
		"other columns than the data's": func(a *device.CorruptArgs) { a.Data = data{20, 5} },
		"a part before the data":        func(a *device.CorruptArgs) { a.Part.Lo = -1 },
		"a part past the data":          func(a *device.CorruptArgs) { a.Part.Hi = 21 },
		"a part that ends first":        func(a *device.CorruptArgs) { a.Part.Lo, a.Part.Hi = 6, 5 },
		"half a clock":                  func(a *device.CorruptArgs) { a.Clock = words(device.ClockWords / 2) },
	})
	span := good
	span.Kind, span.Length = device.CorruptSpan, 2
	expectChecked(t, "corrupt span", span, map[string]func(*device.CorruptArgs){
		"runs of nothing": func(a *device.CorruptArgs) { a.Length = 0 },
	})
	swapped.Clock = words(device.ClockWords)
	expectChecked(t, "corrupt swap", swapped, nil)
}

func TestDenseCheck(t *testing.T) {
	good := device.DenseArgs{X: matrix(2, 3), W: matrix(5, 3), Bias: matrix(1, 5), Pre: matrix(2, 5), Y: matrix(2, 5)}
	spoil := map[string]func(*device.DenseArgs){
		"another input":             func(a *device.DenseArgs) { a.X = matrix(2, 4) },
		"another output":            func(a *device.DenseArgs) { a.Y = matrix(2, 4) },
		"another batch":             func(a *device.DenseArgs) { a.Y = matrix(3, 5) },
		"another bias":              func(a *device.DenseArgs) { a.Bias = matrix(1, 3) },
		"another pre-activation":    func(a *device.DenseArgs) { a.Pre = matrix(2, 3) },
		"the weights the other way": func(a *device.DenseArgs) { a.Transposed = !a.Transposed },
	}
	expectChecked(t, "dense", good, spoil)
	good.Transposed, good.W = true, matrix(3, 5)
	expectChecked(t, "dense", good, spoil)
	good.Bias, good.Pre = device.View{}, device.View{}
	expectChecked(t, "dense", good, nil)
}

func TestDenseBackwardCheck(t *testing.T) {
	good := device.DenseBackwardArgs{DA: matrix(2, 5), X: matrix(2, 3), W: matrix(5, 3), InAct: device.GELU, InPre: matrix(2, 3),
		DX: matrix(2, 3), DW: matrix(5, 3), DBias: matrix(1, 5)}
	expectChecked(t, "dense backward", good, map[string]func(*device.DenseBackwardArgs){
		"another gradient":          func(a *device.DenseBackwardArgs) { a.DA = matrix(2, 4) },
		"another batch":             func(a *device.DenseBackwardArgs) { a.X = matrix(3, 3) },
		"another input":             func(a *device.DenseBackwardArgs) { a.X = matrix(2, 4) },
		"another input gradient":    func(a *device.DenseBackwardArgs) { a.DX = matrix(2, 5) },
		"another weight gradient":   func(a *device.DenseBackwardArgs) { a.DW = matrix(3, 5) },
		"another bias gradient":     func(a *device.DenseBackwardArgs) { a.DBias = matrix(1, 3) },
		"no pre-activation of gelu": func(a *device.DenseBackwardArgs) { a.InPre = device.View{} },
		"the weights the other way": func(a *device.DenseBackwardArgs) { a.Transposed = true },
	})
	good.DX, good.InPre = device.View{}, device.View{}
	expectChecked(t, "dense backward", good, nil)
	good.DW, good.DBias = device.View{}, device.View{}
	expectChecked(t, "dense backward", good, nil)
}

func TestActivateCheck(t *testing.T) {
	expectChecked(t, "activate relu", device.ActivateArgs{Act: device.ReLU, X: matrix(2, 3), Y: matrix(2, 3)}, map[string]func(*device.ActivateArgs){
		"another output": func(a *device.ActivateArgs) { a.Y = matrix(3, 2) },
	})
	expectChecked(t, "activate backward tanh", device.ActivateBackwardArgs{Act: device.Tanh, Y: matrix(2, 3), DY: matrix(2, 3), DX: matrix(2, 3)},
		map[string]func(*device.ActivateBackwardArgs){
			"no output":        func(a *device.ActivateBackwardArgs) { a.Y = device.View{} },
			"another gradient": func(a *device.ActivateBackwardArgs) { a.DX = matrix(3, 2) },
		})
	expectChecked(t, "activate backward silu", device.ActivateBackwardArgs{Act: device.SiLU, X: matrix(2, 3), DY: matrix(2, 3), DX: matrix(2, 3)},
		map[string]func(*device.ActivateBackwardArgs){
			"only the output": func(a *device.ActivateBackwardArgs) { a.X, a.Y = device.View{}, matrix(2, 3) },
		})
}

func TestNormalizeCheck(t *testing.T) {
	layer := device.NormalizeArgs{Kind: device.LayerNorm, X: matrix(2, 3), Gain: matrix(1, 3), Bias: matrix(1, 3),
		Mean: matrix(2, 1), InvStd: matrix(2, 1), Y: matrix(2, 3)}
	spoil := map[string]func(*device.NormalizeArgs){
		"another output":              func(a *device.NormalizeArgs) { a.Y = matrix(3, 2) },
		"another gain":                func(a *device.NormalizeArgs) { a.Gain = matrix(1, 2) },
		"another bias":                func(a *device.NormalizeArgs) { a.Bias = matrix(1, 2) },
		"statistics of another kind":  func(a *device.NormalizeArgs) { a.Mean, a.InvStd = matrix(1, 7), matrix(1, 7) },
		"means without the deviation": func(a *device.NormalizeArgs) { a.InvStd = device.View{} },
	}
	expectChecked(t, "normalize layer", layer, spoil)
	batch := layer
	batch.Kind, batch.Mean, batch.InvStd = device.BatchNorm, matrix(1, 3), matrix(1, 3)
	batch.RunningMean, batch.RunningVar = matrix(1, 3), matrix(1, 3)
	spoil["no running mean"] = func(a *device.NormalizeArgs) { a.RunningMean = device.View{} }
	spoil["no running variance"] = func(a *device.NormalizeArgs) { a.RunningVar = device.View{} }
	expectChecked(t, "normalize batch", batch, spoil)

	expectChecked(t, "normalize backward batch", device.NormalizeBackwardArgs{Kind: device.BatchNorm, X: matrix(2, 3), Gain: matrix(1, 3),
		Mean: matrix(1, 3), InvStd: matrix(1, 3), DY: matrix(2, 3), DX: matrix(2, 3), DGain: matrix(1, 3), DBias: matrix(1, 3)},
		map[string]func(*device.NormalizeBackwardArgs){
			"another gradient":      func(a *device.NormalizeBackwardArgs) { a.DY = matrix(2, 2) },
			"another output":        func(a *device.NormalizeBackwardArgs) { a.DX = matrix(3, 2) },
			"another gain":          func(a *device.NormalizeBackwardArgs) { a.Gain = matrix(1, 2) },
			"another gain gradient": func(a *device.NormalizeBackwardArgs) { a.DGain = matrix(1, 2) },
			"another bias gradient": func(a *device.NormalizeBackwardArgs) { a.DBias = matrix(1, 2) },
			"row statistics":        func(a *device.NormalizeBackwardArgs) { a.Mean, a.InvStd = matrix(2, 1), matrix(2, 1) },
			"no deviations":         func(a *device.NormalizeBackwardArgs) { a.InvStd = device.View{} },
		})
}

func TestDropoutCheck(t *testing.T) {
	expectChecked(t, "dropout", device.DropoutArgs{Replicates: 1, Index: words(4), Clock: words(device.ClockWords), X: matrix(2, 3), Y: matrix(2, 3)},
		map[string]func(*device.DropoutArgs){
			"another output":     func(a *device.DropoutArgs) { a.Y = matrix(3, 2) },
			"an index too short": func(a *device.DropoutArgs) { a.Index = words(2) },
			"no clock":           func(a *device.DropoutArgs) { a.Clock = device.Words{} },
			"no replicates":      func(a *device.DropoutArgs) { a.Replicates = 0 },
		})
}

func TestLikelihoodCheck(t *testing.T) {
	expectChecked(t, "likelihood gaussian-learned", device.LikelihoodArgs{Kind: device.GaussianLearned, Params: matrix(2, 6), Target: matrix(2, 3),
		Mask: matrix(2, 3), Losses: matrix(2, 1), DParams: matrix(2, 6)}, map[string]func(*device.LikelihoodArgs){
		"one parameter a feature": func(a *device.LikelihoodArgs) { a.Params = matrix(2, 3) },
		"another batch":           func(a *device.LikelihoodArgs) { a.Params = matrix(3, 6) },
		"another mask":            func(a *device.LikelihoodArgs) { a.Mask = matrix(2, 6) },
		"one loss":                func(a *device.LikelihoodArgs) { a.Losses = matrix(1, 1) },
		"another gradient":        func(a *device.LikelihoodArgs) { a.DParams = matrix(2, 3) },
	})
	expectChecked(t, "mean bernoulli", device.MeanArgs{Kind: device.Bernoulli, Params: matrix(2, 3), Out: matrix(2, 3)}, map[string]func(*device.MeanArgs){
		"another width": func(a *device.MeanArgs) { a.Out = matrix(2, 2) },
		"another batch": func(a *device.MeanArgs) { a.Out = matrix(1, 3) },
	})
	fielded := device.MeanArgs{Kind: device.Categorical, Params: matrix(2, 3), Out: matrix(2, 3),
		Fields: device.Fields{Count: 1, OfColumn: words(3), Offsets: words(2)}}
	expectChecked(t, "fields", fielded, map[string]func(*device.MeanArgs){
		"fields of other columns": func(a *device.MeanArgs) { a.Fields.OfColumn = words(2) },
	})
}

func TestReduceCheck(t *testing.T) {
	expectChecked(t, "reduce sum", device.ReduceArgs{PerRow: true, X: matrix(2, 3), Out: matrix(2, 1)}, map[string]func(*device.ReduceArgs){
		"a number for all rows":      func(a *device.ReduceArgs) { a.Out = matrix(1, 1) },
		"a number a row, but in all": func(a *device.ReduceArgs) { a.PerRow = false },
	})
	expectChecked(t, "reduce sum-squared-difference", device.ReduceArgs{Kind: device.SumSquaredDifference, X: matrix(2, 3), Y: matrix(2, 3), Out: matrix(1, 1)},
		map[string]func(*device.ReduceArgs){
			"no second matrix":      func(a *device.ReduceArgs) { a.Y = device.View{} },
			"another second matrix": func(a *device.ReduceArgs) { a.Y = matrix(3, 2) },
		})
	expectChecked(t, "combine", device.CombineArgs{A: matrix(2, 3), B: matrix(1, 6), Dst: matrix(3, 2)}, map[string]func(*device.CombineArgs){
		"a longer operand":  func(a *device.CombineArgs) { a.A = matrix(2, 4) },
		"a shorter operand": func(a *device.CombineArgs) { a.B = matrix(1, 5) },
	})
	expectChecked(t, "combine", device.CombineArgs{Dst: matrix(3, 2)}, nil)
}

func TestUpdateCheck(t *testing.T) {
	expectChecked(t, "update adam", device.UpdateArgs{Kind: device.Adam, Decayed: 3, Rates: matrix(1, 1), Clock: words(device.ClockWords), GradSq: matrix(1, 1),
		Params: matrix(1, 5), Grads: matrix(1, 5), First: matrix(1, 5), Second: matrix(1, 5), EMA: matrix(1, 5)}, map[string]func(*device.UpdateArgs){
		"other gradients":        func(a *device.UpdateArgs) { a.Grads = matrix(1, 4) },
		"no first moment":        func(a *device.UpdateArgs) { a.First = device.View{} },
		"no second moment":       func(a *device.UpdateArgs) { a.Second = device.View{} },
		"another average":        func(a *device.UpdateArgs) { a.EMA = matrix(1, 4) },
		"more decayed than are":  func(a *device.UpdateArgs) { a.Decayed = 6 },
		"less than none decayed": func(a *device.UpdateArgs) { a.Decayed = -1 },
		"no sum of squares":      func(a *device.UpdateArgs) { a.GradSq = device.View{} },
		"no rates":               func(a *device.UpdateArgs) { a.Rates = device.View{} },
		"two losses":             func(a *device.UpdateArgs) { a.Loss = matrix(1, 2) },
		"no clock":               func(a *device.UpdateArgs) { a.Clock = device.Words{} },
	})
	expectChecked(t, "update sgd", device.UpdateArgs{Kind: device.SGD, Rates: matrix(1, 1), Clock: words(device.ClockWords), GradSq: matrix(1, 1),
		Params: matrix(1, 5), Grads: matrix(1, 5), First: matrix(1, 5)}, nil)
}

func TestTickCheck(t *testing.T) {
	expectChecked(t, "tick", device.TickArgs{Clock: words(device.ClockWords), Values: matrix(1, 2), Log: matrix(9, 2)}, map[string]func(*device.TickArgs){
		"another log":         func(a *device.TickArgs) { a.Log = matrix(9, 3) },
		"no log":              func(a *device.TickArgs) { a.Log = device.View{} },
		"two rows at once":    func(a *device.TickArgs) { a.Values = matrix(2, 2) },
		"a clock too short":   func(a *device.TickArgs) { a.Clock = words(5) },
		"examples given back": func(a *device.TickArgs) { a.Rows = -1 },
	})
	expectChecked(t, "tick", device.TickArgs{Clock: words(device.ClockWords)}, nil)
}

// TestWidthOfLikelihoods: two parameters a feature where the spread is learned.
func TestWidthOfLikelihoods(t *testing.T) {
	for _, k := range device.Likelihoods() {
		want := 5
		switch k {
		case device.GaussianLearned:
			want = 10
		case device.Mixed:
			expectPanic(t, "the width of a mixed likelihood", func() { k.Width(5) }, "mixed")
			continue
		}
		if got := k.Width(5); got != want {
			t.Errorf("%s of 5 features has %d parameters, want %d", k, got, want)
		}
	}
}

// TestMomentsOfOptimizers: which of m and v a rule keeps.
func TestMomentsOfOptimizers(t *testing.T) {
	want := map[device.Optimizer][2]bool{device.SGD: {true, false}, device.Adam: {true, true}, device.AdamW: {true, true},
		device.RMSprop: {false, true}, device.Adagrad: {false, true}}
	for _, k := range device.Optimizers() {
		if got := [2]bool{k.UsesFirstMoment(), k.UsesSecondMoment()}; got != want[k] {
			t.Errorf("%s uses the moments %v, want %v", k, got, want[k])
		}
	}
}
