package device_test

import (
	"testing"

	"gpudae/device"
)

func TestSampleCodeCheck(t *testing.T) {
	good := device.SampleCodeArgs{Kind: device.CodeGaussian, Params: matrix(3, 8), Noise: matrix(3, 4), Code: matrix(3, 4), Divergence: matrix(3, 1),
		Sampled: true, Replicates: 1, Index: words(6), Clock: words(device.ClockWords)}
	expectChecked(t, "sample a gaussian code", good, map[string]func(*device.SampleCodeArgs){
		"one parameter a unit": func(a *device.SampleCodeArgs) { a.Params = matrix(3, 4) },
		"other rows":           func(a *device.SampleCodeArgs) { a.Params = matrix(2, 8) },
		"another noise":        func(a *device.SampleCodeArgs) { a.Noise = matrix(3, 8) },
		"one divergence":       func(a *device.SampleCodeArgs) { a.Divergence = matrix(1, 1) },
		"an index too short":   func(a *device.SampleCodeArgs) { a.Index = words(3) },
		"no replicates":        func(a *device.SampleCodeArgs) { a.Replicates = 0 },
		"half a clock":         func(a *device.SampleCodeArgs) { a.Clock = words(2) },
	})
	good.Kind, good.Params, good.Temperature, good.Sampled = device.CodeConcrete, matrix(3, 4), 0.5, false
	good.Divergence, good.Clock = device.View{}, device.Words{}
	expectChecked(t, "sample a concrete code", good, map[string]func(*device.SampleCodeArgs){
		"no temperature":       func(a *device.SampleCodeArgs) { a.Temperature = 0 },
		"a sampled divergence": func(a *device.SampleCodeArgs) { a.Sampled = true },
	})
}

func TestSampleCodeBackwardCheck(t *testing.T) {
	good := device.SampleCodeBackwardArgs{Kind: device.CodeGaussian, Params: matrix(3, 8), Noise: matrix(3, 4), Code: matrix(3, 4), DCode: matrix(3, 4),
		Sampled: true, Weights: matrix(3, 1), DParams: matrix(3, 8)}
	expectChecked(t, "sample backward of a gaussian code", good, map[string]func(*device.SampleCodeBackwardArgs){
		"one parameter a unit":  func(a *device.SampleCodeBackwardArgs) { a.Params, a.DParams = matrix(3, 4), matrix(3, 4) },
		"another gradient":      func(a *device.SampleCodeBackwardArgs) { a.DParams = matrix(3, 4) },
		"another code gradient": func(a *device.SampleCodeBackwardArgs) { a.DCode = matrix(3, 8) },
		"no noise":              func(a *device.SampleCodeBackwardArgs) { a.Noise = device.View{} },
		"one weight":            func(a *device.SampleCodeBackwardArgs) { a.Weights = matrix(1, 1) },
	})
	good.Kind, good.Params, good.DParams, good.Temperature, good.Sampled = device.CodeConcrete, matrix(3, 4), matrix(3, 4), 0.5, false
	good.Weights = device.View{}
	expectChecked(t, "sample backward of a concrete code", good, map[string]func(*device.SampleCodeBackwardArgs){
		"no temperature":       func(a *device.SampleCodeBackwardArgs) { a.Temperature = 0 },
		"a sampled divergence": func(a *device.SampleCodeBackwardArgs) { a.Sampled = true },
	})
}

func TestImportanceCheck(t *testing.T) {
	expectChecked(t, "importance", device.ImportanceArgs{Replicates: 3, Terms: matrix(6, 1), Bounds: matrix(2, 1), Weights: matrix(6, 1)},
		map[string]func(*device.ImportanceArgs){
			"no replicates":   func(a *device.ImportanceArgs) { a.Replicates, a.Bounds = 0, matrix(6, 1) },
			"a group too few": func(a *device.ImportanceArgs) { a.Bounds = matrix(1, 1) },
			"other weights":   func(a *device.ImportanceArgs) { a.Weights = matrix(2, 1) },
		})
	expectChecked(t, "importance", device.ImportanceArgs{Replicates: 3, Terms: matrix(6, 1), Bounds: matrix(2, 1)}, nil)
}

func TestScaleRowsCheck(t *testing.T) {
	expectChecked(t, "scale the rows", device.ScaleRowsArgs{Scale: matrix(3, 1), X: matrix(3, 4), Y: matrix(3, 4)}, map[string]func(*device.ScaleRowsArgs){
		"another output":  func(a *device.ScaleRowsArgs) { a.Y = matrix(4, 3) },
		"a scale too few": func(a *device.ScaleRowsArgs) { a.Scale = matrix(2, 1) },
	})
}

func TestDrawCheck(t *testing.T) {
	good := device.DrawArgs{Kind: device.GaussianLearned, Params: matrix(3, 8), Out: matrix(3, 4), Replicates: 1, Index: words(6)}
	expectChecked(t, "draw gaussian-learned", good, map[string]func(*device.DrawArgs){
		"one parameter a feature": func(a *device.DrawArgs) { a.Params = matrix(3, 4) },
		"other rows":              func(a *device.DrawArgs) { a.Out = matrix(2, 4) },
		"an index too short":      func(a *device.DrawArgs) { a.Index = words(3) },
		"no replicates":           func(a *device.DrawArgs) { a.Replicates = 0 },
		"half a clock":            func(a *device.DrawArgs) { a.Clock = words(2) },
	})
	good.Kind, good.Params = device.Categorical, matrix(3, 4)
	good.Fields = device.Fields{Count: 2, OfColumn: words(4), Offsets: words(3)}
	expectChecked(t, "fields", good, map[string]func(*device.DrawArgs){
		"fields of other columns": func(a *device.DrawArgs) { a.Fields.OfColumn = words(3) },
	})
}

// TestWidthOfCodes: two parameters a unit where the code is Gaussian.
func TestWidthOfCodes(t *testing.T) {
	for _, k := range device.Codes() {
		want := 5
		if k == device.CodeGaussian {
			want = 10
		}
		if got := k.Width(5); got != want {
			t.Errorf("%s of 5 units has %d parameters, want %d", k, got, want)
		}
	}
}
