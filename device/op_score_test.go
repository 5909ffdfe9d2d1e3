package device_test

import (
	"testing"

	"gpudae/device"
)

func TestDiffuseCheck(t *testing.T) {
	good := device.DiffuseArgs{Sigma: matrix(1, 5), From: matrix(3, 4), To: matrix(3, 4), Level: words(3), Replicates: 1, Index: words(6)}
	expectChecked(t, "diffuse", good, map[string]func(*device.DiffuseArgs){
		"another output":     func(a *device.DiffuseArgs) { a.To = matrix(4, 3) },
		"levels of others":   func(a *device.DiffuseArgs) { a.Level = words(4) },
		"no levels":          func(a *device.DiffuseArgs) { a.Sigma = device.View{} },
		"a table of rows":    func(a *device.DiffuseArgs) { a.Sigma = matrix(5, 1) },
		"an index too short": func(a *device.DiffuseArgs) { a.Index = words(3) },
		"no replicates":      func(a *device.DiffuseArgs) { a.Replicates = 0 },
		"half a clock":       func(a *device.DiffuseArgs) { a.Clock = words(2) },
	})
	good.Clock = words(device.ClockWords)
	expectChecked(t, "diffuse", good, nil)
}

func TestConditionCheck(t *testing.T) {
	good := device.ConditionArgs{Level: words(3), Scale: matrix(1, 5), Embedding: matrix(5, 2), X: matrix(3, 4), Out: matrix(3, 6)}
	expectChecked(t, "condition", good, map[string]func(*device.ConditionArgs){
		"levels of others":           func(a *device.ConditionArgs) { a.Level = words(2) },
		"other rows":                 func(a *device.ConditionArgs) { a.Out = matrix(2, 6) },
		"no room for the embedding":  func(a *device.ConditionArgs) { a.Out = matrix(3, 4) },
		"an embedding of few levels": func(a *device.ConditionArgs) { a.Embedding = matrix(4, 2) },
		"scales of rows":             func(a *device.ConditionArgs) { a.Scale = matrix(5, 1) },
	})
	good.Embedding, good.Out = device.View{}, matrix(3, 4)
	expectChecked(t, "condition", good, nil)
}

func TestBlendCheck(t *testing.T) {
	good := device.BlendArgs{Level: words(3), Alpha: matrix(1, 5), Beta: matrix(1, 5), X: matrix(3, 4), Y: matrix(3, 6), Out: matrix(3, 4)}
	expectChecked(t, "blend", good, map[string]func(*device.BlendArgs){
		"levels of others": func(a *device.BlendArgs) { a.Level = words(2) },
		"another X":        func(a *device.BlendArgs) { a.X = matrix(3, 6) },
		"a narrow Y":       func(a *device.BlendArgs) { a.Y = matrix(3, 3) },
		"a short Y":        func(a *device.BlendArgs) { a.Y = matrix(2, 6) },
		"no beta":          func(a *device.BlendArgs) { a.Beta = device.View{} },
		"another alpha":    func(a *device.BlendArgs) { a.Alpha = matrix(1, 4) },
	})
	good.X, good.Alpha = device.View{}, device.View{}
	expectChecked(t, "blend", good, nil)
}

func TestScoreMatchCheck(t *testing.T) {
	good := device.ScoreMatchArgs{Level: words(3), Weight: matrix(1, 5), OutScale: matrix(1, 5), Denoised: matrix(3, 4), Target: matrix(3, 4),
		Losses: matrix(3, 1), DF: matrix(3, 4)}
	expectChecked(t, "match the score", good, map[string]func(*device.ScoreMatchArgs){
		"levels of others": func(a *device.ScoreMatchArgs) { a.Level = words(2) },
		"another target":   func(a *device.ScoreMatchArgs) { a.Target = matrix(3, 3) },
		"one loss":         func(a *device.ScoreMatchArgs) { a.Losses = matrix(1, 1) },
		"no weights":       func(a *device.ScoreMatchArgs) { a.Weight = device.View{} },
		"other scales":     func(a *device.ScoreMatchArgs) { a.OutScale = matrix(1, 4) },
		"another gradient": func(a *device.ScoreMatchArgs) { a.DF = matrix(3, 5) },
	})
	good.DF = device.View{}
	expectChecked(t, "match the score", good, nil)
}
