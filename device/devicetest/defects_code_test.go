package devicetest

import (
	"math"
	"slices"

	"gpudae/device"
	"gpudae/device/philox"
)

// codeDefects are ways in which programs with noise levels, stochastic codes and
// draws go wrong.
func codeDefects() []defect { return slices.Concat(levelDefects(), stochasticDefects(), drawDefects()) }

func levelDefects() []defect {
	return []defect{
		{
			name:    "all rows get the first row's level",
			foundBy: []string{"Diffuse", "MomentsOfDiffuse", "DiffuseSplitsBatches"},
			diffuse: func(d device.Device, a device.DiffuseArgs) {
				d.Diffuse(a)
				level := make([]uint32, a.Level.Len)
				must(d.DownloadWords(level, a.Level))
				for i := range level {
					level[i] = level[0]
				}
				must(d.UploadWords(a.Level, level))
			},
		},
		{
			name:    "training and validation share their levels and noise",
			foundBy: []string{"Diffuse", "DiffuseOfOneLevelIsGaussianCorruption"},
			diffuse: func(d device.Device, a device.DiffuseArgs) {
				a.Stream = philox.StreamTrain
				d.Diffuse(a)
			},
		},
		{
			name:    "what is diffused is off by one unit in the last place",
			foundBy: []string{"Diffuse", "DiffuseOfOneLevelIsGaussianCorruption"},
			diffuse: func(d device.Device, a device.DiffuseArgs) {
				d.Diffuse(a)
				x := download(d, a.To)
				x[0] = math.Nextafter32(x[0], 9)
				must(d.Upload(a.To, x))
			},
		},
		{
			name:    "levels stay as they were at the first step",
			foundBy: []string{"Diffuse"},
			diffuse: func(d device.Device, a device.DiffuseArgs) {
				a.Clock = device.Words{}
				d.Diffuse(a)
			},
		},
		{
			name:    "the embedding is that of the first level",
			foundBy: []string{"Condition"},
			condition: func(d device.Device, a device.ConditionArgs) {
				d.Condition(a)
				if a.Embedding.IsZero() {
					return
				}
				first := download(d, a.Embedding)[:a.Embedding.Columns]
				for i := range a.Out.Rows {
					for e, v := range first {
						poke(d, a.Out, i*a.Out.Columns+a.X.Columns+e, v)
					}
				}
			},
		},
		{
			name:    "a wider Y is read as if it were not",
			foundBy: []string{"Blend"},
			blend: func(d device.Device, a device.BlendArgs) {
				if a.Y.Columns > a.Out.Columns {
					a.Y = device.MatrixOf(a.Y.Memory, a.Y.Offset, a.Out.Rows, a.Out.Columns)
				}
				d.Blend(a)
			},
		},
		{
			name:    "a blend fuses its multiplication and addition",
			foundBy: []string{"Blend"},
			blend:   fusedBlend,
		},
		{
			name:    "the weight of the score's loss is left out of its gradient",
			foundBy: []string{"ScoreMatch"},
			says:    "elements of",
			score: func(d device.Device, a device.ScoreMatchArgs) {
				denoised := download(d, a.Denoised)
				d.ScoreMatch(a)
				if a.DF.IsZero() {
					return
				}
				level := make([]uint32, a.Level.Len)
				must(d.DownloadWords(level, a.Level))
				target, scale := download(d, a.Target), download(d, a.OutScale)
				for i := range target {
					poke(d, a.DF, i, a.Scale*scale[level[i/a.Target.Columns]]*(denoised[i]-target[i]))
				}
			},
		},
		{
			name:    "the half of the score's loss is forgotten",
			foundBy: []string{"ScoreMatch"},
			says:    "losses",
			score: func(d device.Device, a device.ScoreMatchArgs) {
				d.ScoreMatch(a)
				d.Combine(device.CombineArgs{Alpha: 2, A: a.Losses, Dst: a.Losses})
			},
		},
	}
}

// fusedBlend rounds α·x + fl(β·y) once.
func fusedBlend(d device.Device, a device.BlendArgs) {
	if a.X.IsZero() {
		d.Blend(a)
		return
	}
	x, y, alpha, beta := download(d, a.X), download(d, a.Y), download(d, a.Alpha), download(d, a.Beta)
	level := make([]uint32, a.Level.Len)
	must(d.DownloadWords(level, a.Level))
	for i := range x {
		row, column := i/a.Out.Columns, i%a.Out.Columns
		product := float32(beta[level[row]] * y[row*a.Y.Columns+column])
		poke(d, a.Out, i, float32(math.FMA(float64(alpha[level[row]]), float64(x[i]), float64(product))))
	}
}

func stochasticDefects() []defect {
	return []defect{
		{
			name:    "the log variance is read as a variance",
			foundBy: []string{"SampleCode/gaussian", "MomentsOfCode/gaussian"},
			sampleCode: func(d device.Device, a device.SampleCodeArgs) {
				d.SampleCode(a)
				if a.Kind != device.CodeGaussian {
					return
				}
				params, noise := download(d, a.Params), download(d, a.Noise)
				for i, z := range noise {
					at := i/a.Code.Columns*a.Params.Columns + i%a.Code.Columns
					poke(d, a.Code, i, params[at]+float32(math.Sqrt(math.Abs(float64(params[at+a.Code.Columns]))))*z)
				}
			},
		},
		{
			name:    "replicates share their codes",
			foundBy: []string{"SampleCode/gaussian", "SampleCode/bernoulli", "SampleCode/concrete"},
			says:    "its word says",
			sampleCode: func(d device.Device, a device.SampleCodeArgs) {
				a.Replicates = 1
				d.SampleCode(a)
			},
		},
		{
			name:    "codes do not depend on the step",
			foundBy: []string{"SampleCode/bernoulli", "ProgramRepeatsDraws"},
			sampleCode: func(d device.Device, a device.SampleCodeArgs) {
				a.Clock = device.Words{}
				d.SampleCode(a)
			},
		},
		{
			name:    "a unit is 1 with probability 1-p",
			foundBy: []string{"SampleCode/bernoulli", "MomentsOfCode/bernoulli"},
			sampleCode: func(d device.Device, a device.SampleCodeArgs) {
				d.SampleCode(a)
				for i, h := range download(d, a.Code) {
					if a.Kind == device.CodeBernoulli {
						poke(d, a.Code, i, 1-h)
					}
				}
			},
		},
		{
			name:    "one unit is on the wrong side",
			foundBy: []string{"SampleCode/bernoulli"},
			sampleCode: func(d device.Device, a device.SampleCodeArgs) {
				d.SampleCode(a)
				poke(d, a.Code, 0, 1-download(d, a.Code)[0])
			},
		},
		{
			name:    "the temperature is ignored",
			foundBy: []string{"SampleCode/concrete", "SampleCodeBackward/concrete"},
			sampleCode: func(d device.Device, a device.SampleCodeArgs) {
				a.Temperature = 1
				d.SampleCode(a)
			},
			codeBackward: func(d device.Device, a device.SampleCodeBackwardArgs) {
				a.Temperature = 1
				d.SampleCodeBackward(a)
			},
		},
		{
			name:    "the sampled divergence is the closed one",
			foundBy: []string{"SampleCode/gaussian", "SampleCodeBackward/gaussian"},
			sampleCode: func(d device.Device, a device.SampleCodeArgs) {
				a.Sampled = false
				d.SampleCode(a)
			},
			codeBackward: func(d device.Device, a device.SampleCodeBackwardArgs) {
				a.Sampled = false
				d.SampleCodeBackward(a)
			},
		},
		{
			name:    "the gradient of the divergence has no weights",
			foundBy: []string{"SampleCodeBackward/gaussian", "SampleCodeBackward/bernoulli", "SampleCodeBackward/concrete"},
			codeBackward: func(d device.Device, a device.SampleCodeBackwardArgs) {
				a.Weights = device.View{}
				d.SampleCodeBackward(a)
			},
		},
		{
			name:       "importance overflows",
			foundBy:    []string{"Importance"},
			importance: overflowingImportance,
		},
		{
			name:    "the number of importance samples is not divided by",
			foundBy: []string{"Importance"},
			says:    "bounds",
			importance: func(d device.Device, a device.ImportanceArgs) {
				d.Importance(a)
				for i, b := range download(d, a.Bounds) {
					poke(d, a.Bounds, i, b-float32(math.Log(float64(a.Replicates))))
				}
			},
		},
		{
			name:    "rows are scaled by the first number",
			foundBy: []string{"ScaleRows"},
			scaleRows: func(d device.Device, a device.ScaleRowsArgs) {
				d.Combine(device.CombineArgs{Alpha: download(d, a.Scale)[0], A: a.X, Dst: a.Y})
			},
		},
	}
}

// overflowingImportance takes the exponential of the terms as they are.
func overflowingImportance(d device.Device, a device.ImportanceArgs) {
	terms := download(d, a.Terms)
	d.Importance(a)
	for i := range a.Bounds.Len() {
		var sum float32
		for _, v := range terms[i*a.Replicates : (i+1)*a.Replicates] {
			sum += float32(math.Exp(-float64(v)))
		}
		poke(d, a.Bounds, i, float32(-math.Log(float64(sum)/float64(a.Replicates))))
	}
}

func drawDefects() []defect {
	return []defect{
		{
			name:    "the mean is taken for a draw",
			foundBy: []string{"Draw/bernoulli", "Draw/poisson", "Draw/categorical", "Draw/gaussian", "Draw/gaussian-learned", "MomentsOfDraw/gaussian"},
			draw: func(d device.Device, a device.DrawArgs) {
				d.Mean(device.MeanArgs{Kind: a.Kind, Fields: a.Fields, Params: a.Params, Out: a.Out})
			},
		},
		{
			name:    "a draw takes the most likely value",
			foundBy: []string{"Draw/bernoulli", "Draw/categorical", "MomentsOfDraw/bernoulli", "MomentsOfDraw/categorical"},
			draw: func(d device.Device, a device.DrawArgs) {
				params := download(d, a.Params)
				d.Draw(a)
				if a.Kind == device.Bernoulli {
					for i, logit := range params {
						poke(d, a.Out, i, float32(math.Round(sigmoid(float64(logit)))))
					}
				}
				if a.Kind == device.Categorical && !a.Fields.IsZero() {
					mostLikely(d, a, params)
				}
			},
		},
		{
			name:    "a field is drawn by the word of its first column",
			foundBy: []string{"Draw/categorical"},
			draw:    drawByColumn,
		},
		{
			name:    "the spread of a learned gaussian has no floor",
			foundBy: []string{"Draw/gaussian-learned", "MomentsOfDraw/gaussian-learned"},
			draw: func(d device.Device, a device.DrawArgs) {
				if a.Kind == device.GaussianLearned {
					a.Sigma = 0
				}
				d.Draw(a)
			},
		},
		{
			name:    "draws of all rows are the same",
			foundBy: []string{"Draw/bernoulli", "Draw/poisson", "MomentsOfDraw/poisson"},
			draw: func(d device.Device, a device.DrawArgs) {
				index := make([]uint32, a.Index.Len)
				must(d.DownloadWords(index, a.Index))
				must(d.UploadWords(a.Index, make([]uint32, len(index))))
				d.Draw(a)
				must(d.UploadWords(a.Index, index))
			},
		},
		{
			name:    "a count is off by one",
			foundBy: []string{"Draw/poisson"},
			draw: func(d device.Device, a device.DrawArgs) {
				d.Draw(a)
				poke(d, a.Out, 0, download(d, a.Out)[0]+1)
			},
		},
	}
}

// drawByColumn draws each field by itself, as the field of its first column's
// number.
func drawByColumn(d device.Device, a device.DrawArgs) {
	if a.Kind != device.Categorical || a.Fields.IsZero() {
		d.Draw(a)
		return
	}
	params := download(d, a.Params)
	index, offsets, clock := make([]uint32, a.Index.Len), make([]uint32, a.Fields.Offsets.Len), make([]uint32, device.ClockWords)
	must(d.DownloadWords(index, a.Index))
	must(d.DownloadWords(offsets, a.Fields.Offsets))
	if !a.Clock.IsZero() {
		must(d.DownloadWords(clock, a.Clock))
	}
	d.Draw(a)
	for i := range a.Out.Rows {
		for f := range a.Fields.Count {
			first, end := int(offsets[f]), int(offsets[f+1])
			at := philox.Coordinates{Stream: a.Stream, Index: a.Stage, Replicate: uint32(i % a.Replicates), Row: index[i], Step: clock[0], Block: uint32(first / 4)}
			limit, sum, chosen := float64(philox.Uniform(philox.Block(at.Counter(), philox.KeyOf(a.Seed))[first%4])), 0.0, first
			for j := first; j < end; j++ {
				sum += math.Exp(float64(params[i*a.Out.Columns+j]))
			}
			for limit *= sum; chosen < end-1 && limit >= math.Exp(float64(params[i*a.Out.Columns+chosen])); chosen++ {
				limit -= math.Exp(float64(params[i*a.Out.Columns+chosen]))
			}
			for j := first; j < end; j++ {
				poke(d, a.Out, i*a.Out.Columns+j, 0)
			}
			poke(d, a.Out, i*a.Out.Columns+chosen, 1)
		}
	}
}

// mostLikely writes the largest column of each field.
func mostLikely(d device.Device, a device.DrawArgs, params []float32) {
	offsets := make([]uint32, a.Fields.Offsets.Len)
	must(d.DownloadWords(offsets, a.Fields.Offsets))
	for i := range a.Out.Rows {
		for f := range a.Fields.Count {
			best := offsets[f]
			for j := offsets[f]; j < offsets[f+1]; j++ {
				poke(d, a.Out, i*a.Out.Columns+int(j), 0)
				if params[i*a.Out.Columns+int(j)] > params[i*a.Out.Columns+int(best)] {
					best = j
				}
			}
			poke(d, a.Out, i*a.Out.Columns+int(best), 1)
		}
	}
}
