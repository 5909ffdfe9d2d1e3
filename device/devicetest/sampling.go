package devicetest

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

// samplingChecks hold what the draws of levels, codes and features do, in the
// mean over many, against their distributions. Their seeds are fixed.
func samplingChecks() []check {
	all := append(each("MomentsOfDraw", device.Likelihoods(), momentsOfDraw), each("MomentsOfCode", device.Codes(), momentsOfCode)...)
	return append(all, check{"MomentsOfDiffuse", momentsOfDiffuse}, check{"ProgramRepeatsDraws", checkProgramOfDraws},
		check{"ClosedDeviceDrawsNothing", checkClosedDevice})
}

// numbered is the index of rows 0, 1, ...
func (r *rig) numbered(rows int) device.Words {
	r.Helper()
	index := make([]uint32, device.IndexWords(rows))
	for i := range rows {
		index[i], index[rows+i] = uint32(i), uint32(i)
	}
	return r.placedWords(index)
}

// repeated places a row so many times.
func (r *rig) repeated(rows int, row []float32) device.View {
	r.Helper()
	var x []float32
	for range rows {
		x = append(x, row...)
	}
	return r.placed(rows, len(row), x)
}

// byColumn are the numbers of each column.
func byColumn(x []float32, columns int) [][]float64 {
	all := make([][]float64, columns)
	for i, v := range x {
		all[i%columns] = append(all[i%columns], float64(v))
	}
	return all
}

const drawnRows = 4096

// momentsOfDraw: the mean, and for numbers the variance, of each column is what
// Mean and the family say; a field is drawn as its softmax says.
func momentsOfDraw(r *rig, k device.Likelihood) {
	if k == device.Mixed {
		momentsOfMixed(r)
		return
	}
	a := []float32{-1.5, 0, 0.7, 2, -0.3}
	const sigma = 0.4
	features, row, fields := len(a), a, device.Fields{}
	switch k {
	case device.GaussianLearned:
		row = append(append([]float32(nil), a...), 0.5, -1, 0, 1, -2)
	case device.Categorical:
		fields = r.placedFields(fieldLayout{ofColumn: []uint32{0, 0, 0, 1, 1}, offsets: []uint32{0, 3, 5}})
	}
	params, out := r.repeated(drawnRows, row), r.repeated(drawnRows, a)
	r.dev.Draw(device.DrawArgs{Kind: k, Sigma: sigma, Fields: fields, Params: params, Out: out, Seed: 11, Stream: philox.StreamDraw,
		Replicates: 1, Index: r.numbered(drawnRows)})
	for j, x := range byColumn(r.read(out), features) {
		mean, variance := float64(a[j]), sigma*sigma
		switch k {
		case device.Bernoulli:
			mean = sigmoid(mean)
			variance = mean * (1 - mean)
		case device.GaussianLearned:
			variance += math.Exp(float64(row[features+j]))
		case device.Poisson:
			mean = math.Exp(mean)
			variance = mean
		case device.Categorical:
			from, to := [...]int{0, 0, 0, 3, 3}[j], [...]int{3, 3, 3, 5, 5}[j]
			sum := 0.0
			for _, v := range a[from:to] {
				sum += math.Exp(float64(v))
			}
			mean = math.Exp(mean) / sum
			variance = mean * (1 - mean)
		}
		r.expectMean("a drawn feature", x, mean, variance)
		if k == device.Gaussian || k == device.GaussianLearned {
			for i := range x {
				x[i] -= mean
			}
			r.expectNormal("a power of a drawn feature", x, math.Sqrt(variance))
		}
		if k == device.Poisson {
			for i := range x {
				x[i] = (x[i] - mean) * (x[i] - mean)
			}
			r.expectMean("the squared deviation of a count", x, variance, 2*variance*variance+variance)
		}
	}
}

// momentsOfCode: a Gaussian code has its mean and variance, and the divergence
// that is sampled has the closed form for its mean; a Bernoulli unit is 1 with
// probability p, and so is a relaxed one above ½ at any temperature.
func momentsOfCode(r *rig, k device.Code) {
	a, s := []float32{-1.2, 0, 0.8}, []float32{0.5, -1, 0.1}
	units, row := len(a), a
	if k == device.CodeGaussian {
		row = append(append([]float32(nil), a...), s...)
	}
	params, noise, code := r.repeated(drawnRows, row), r.repeated(drawnRows, a), r.repeated(drawnRows, a)
	args := device.SampleCodeArgs{Kind: k, Temperature: 0.3, Params: params, Noise: noise, Code: code, Seed: 12, Stream: philox.StreamCode,
		Divergence: r.repeated(drawnRows, []float32{0}), Replicates: 1, Index: r.numbered(drawnRows)}
	r.dev.SampleCode(args)
	closed := float64(r.read(args.Divergence)[0])
	for j, h := range byColumn(r.read(code), units) {
		mean := float64(a[j])
		if k == device.CodeGaussian {
			for i := range h {
				h[i] -= mean
			}
			r.expectNormal("a power of a code", h, math.Exp(float64(s[j])/2))
			continue
		}
		for i := range h {
			h[i] = math.Round(h[i])
		}
		p := sigmoid(mean)
		r.expectMean("the side of a code", h, p, p*(1-p))
	}
	if k != device.CodeGaussian {
		return
	}
	args.Sampled = true
	r.dev.SampleCode(args)
	sampled, variance := byColumn(r.read(args.Divergence), 1)[0], 0.0
	for j := range a { // ½(h² - z²) = ½((v-1)·z² + 2μσ·z + μ²)
		v := math.Exp(float64(s[j]))
		variance += (v-1)*(v-1)/2 + float64(a[j])*float64(a[j])*v
	}
	r.expectMean("a sampled divergence", sampled, closed, variance)
}

// momentsOfDiffuse: every level is as likely as another, and a row's noise has
// the variance of its level.
func momentsOfDiffuse(r *rig) {
	const columns, levels = 8, 4
	sigma := []float32{0.1, 1, 3, 20}
	zeros := r.repeated(drawnRows, make([]float32, columns))
	level := r.placedWords(make([]uint32, drawnRows))
	r.dev.Diffuse(device.DiffuseArgs{Sigma: r.placed(1, levels, sigma), From: zeros, To: zeros, Level: level, Seed: 2, Replicates: 1,
		Index: r.numbered(drawnRows)})
	words := make([]uint32, drawnRows)
	r.must(r.dev.DownloadWords(words, level))
	noise := r.read(zeros)
	var is [levels][]float64
	var of [levels][]float64
	for i, l := range words {
		for k := range levels {
			is[k] = append(is[k], 0)
		}
		is[l][i] = 1
		for _, v := range noise[i*columns : (i+1)*columns] {
			of[l] = append(of[l], float64(v))
		}
	}
	for l := range levels {
		r.expectMean("the rate of a level", is[l], 1.0/levels, (levels-1.0)/(levels*levels))
		r.expectNormal("a power of the noise of a level", of[l], float64(sigma[l]))
	}
}

// drawing is memory for one step of everything that draws.
type drawing struct {
	rig                     *rig
	x, noisy, input, params device.View
	noise, code, divergence device.View
	bounds, dCode, out      device.View
	sigma, all              device.View
	level, index, clock     device.Words
}

const (
	drawingRows    = 12
	drawingColumns = 6
	drawingLevels  = 3
)

func (r *rig) newDrawing() *drawing {
	const rows, n = drawingRows, drawingColumns
	x := r.uniforms(16*rows*n, -1, 1)
	all := r.placed(1, len(x), x)
	used := 0
	carve := func(rows, columns int) device.View {
		used += rows * columns
		return device.MatrixOf(all.Memory, used-rows*columns, rows, columns)
	}
	return &drawing{rig: r, all: all, x: carve(rows, n), noisy: carve(rows, n), input: carve(rows, n+drawingLevels), params: carve(rows, n),
		noise: carve(rows, n/2), code: carve(rows, n/2), divergence: carve(rows, 1), bounds: carve(rows/2, 1), dCode: carve(rows, n/2), out: carve(rows, n),
		sigma: carve(1, drawingLevels), level: r.placedWords(make([]uint32, rows)), index: r.numbered(rows), clock: r.placedWords(device.Clock{}.Words())}
}

// step issues the operations of score models, stochastic codes and draws.
func (x *drawing) step() {
	d := x.rig.dev
	embedding := device.MatrixOf(x.all.Memory, 0, drawingLevels, drawingLevels)
	d.Diffuse(device.DiffuseArgs{Sigma: x.sigma, From: x.x, To: x.noisy, Level: x.level, Seed: 4, Replicates: 2, Index: x.index, Clock: x.clock})
	d.Condition(device.ConditionArgs{Level: x.level, Scale: x.sigma, Embedding: embedding, X: x.noisy, Out: x.input})
	d.Blend(device.BlendArgs{Level: x.level, Alpha: x.sigma, Beta: x.sigma, X: x.noisy, Y: x.input, Out: x.params})
	d.SampleCode(device.SampleCodeArgs{Kind: device.CodeGaussian, Params: x.params, Noise: x.noise, Code: x.code, Divergence: x.divergence,
		Sampled: true, Seed: 4, Stream: philox.StreamCode, Replicates: 2, Index: x.index, Clock: x.clock})
	d.Importance(device.ImportanceArgs{Replicates: 2, Terms: x.divergence, Bounds: x.bounds, Weights: x.divergence})
	d.ScaleRows(device.ScaleRowsArgs{Scale: x.divergence, X: x.code, Y: x.dCode})
	d.SampleCodeBackward(device.SampleCodeBackwardArgs{Kind: device.CodeGaussian, Params: x.params, Noise: x.noise, Code: x.code, DCode: x.dCode,
		Sampled: true, Scale: 1, Weights: x.divergence, DParams: x.params})
	d.Draw(device.DrawArgs{Kind: device.Gaussian, Sigma: 1, Params: x.params, Out: x.out, Seed: 4, Stream: philox.StreamDraw, Replicates: 2,
		Index: x.index, Clock: x.clock})
	d.ScoreMatch(device.ScoreMatchArgs{Level: x.level, Weight: x.sigma, OutScale: x.sigma, Denoised: x.out, Target: x.x, Losses: x.divergence,
		DF: x.out, Scale: 1})
	d.Combine(device.CombineArgs{Alpha: 0.5, A: x.out, B: x.x, Beta: 0.5, Dst: x.x})
	d.Tick(device.TickArgs{Clock: x.clock, Rows: 1})
}

// checkProgramOfDraws: steps that are issued one by one and steps that are
// recorded once and replayed leave the same bits, and no two leave the same.
func checkProgramOfDraws(r *rig) {
	imperative, recorded := r.newDrawing(), r.newDrawing()
	r.must(r.dev.Upload(recorded.all, r.read(imperative.all)))
	program, err := r.dev.Record(recorded.step)
	r.must(err)
	var last []float32
	for step := range 3 {
		imperative.step()
		r.must(program())
		want, got := r.read(imperative.all), r.read(recorded.all)
		if i := firstDifference(got, want); i >= 0 {
			r.report("at step %d, a replay leaves element %d at %g, operations issued one by one at %g", step, i, got[i], want[i])
		}
		noise := r.read(recorded.noise)
		if last != nil && firstDifference(noise, last) < 0 {
			r.report("two steps draw the same code")
		}
		last = noise
	}
}

// checkClosedDevice: after a failure, of which being closed is one, operations are
// ignored, and Sync still reports it.
func checkClosedDevice(r *rig) {
	x := r.newDrawing()
	r.must(r.dev.Close())
	x.step()
	if err := r.dev.Sync(); err == nil {
		r.report("a closed device reports no failure after operations")
	}
}
