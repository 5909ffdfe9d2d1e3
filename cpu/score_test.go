package cpu_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/philox"
)

// stochastic is memory for the operations of score models, stochastic codes and
// draws, in every kind.
type stochastic struct {
	dev                 device.Device
	all                 device.View
	sigma, embedding    device.View
	x, y, wide          device.View
	params, noise, code device.View
	column, bounds, out device.View
	level, index, clock device.Words
	fields              device.Fields
}

func newStochastic(t testing.TB, dev device.Device, rows, columns int) *stochastic {
	t.Helper()
	const levels, extra, replicates = 7, 5, 3
	rows *= replicates
	s := &stochastic{dev: dev}
	used, shapes := 0, []struct {
		view          *device.View
		rows, columns int
	}{
		{&s.sigma, 1, levels}, {&s.embedding, levels, extra}, {&s.x, rows, columns}, {&s.y, rows, columns}, {&s.wide, rows, columns + extra},
		{&s.params, rows, 2 * columns}, {&s.noise, rows, columns}, {&s.code, rows, columns}, {&s.column, rows, 1}, {&s.bounds, rows / replicates, 1},
		{&s.out, rows, columns},
	}
	for _, v := range shapes {
		used += v.rows * v.columns
	}
	m, err := dev.Alloc(device.Float, used)
	if err != nil {
		t.Fatal(err)
	}
	s.all, used = device.MatrixOf(m, 0, 1, used), 0
	for _, v := range shapes {
		*v.view = device.MatrixOf(m, used, v.rows, v.columns)
		used += v.rows * v.columns
	}
	random := rand.New(rand.NewPCG(3, 4))
	values := make([]float32, s.all.Len())
	for i := range values {
		values[i] = random.Float32()
	}
	if err := dev.Upload(s.all, values); err != nil {
		t.Fatal(err)
	}
	words := func(n int, value func(i int) uint32) device.Words {
		m, err := dev.Alloc(device.Word, n)
		if err != nil {
			t.Fatal(err)
		}
		host, w := make([]uint32, n), device.WordsOf(m, 0, n)
		for i := range host {
			host[i] = value(i)
		}
		if err := dev.UploadWords(w, host); err != nil {
			t.Fatal(err)
		}
		return w
	}
	s.level = words(rows, func(int) uint32 { return 0 })
	s.index = words(device.IndexWords(rows), func(i int) uint32 { return uint32(i % rows / replicates) })
	s.clock = words(device.ClockWords, func(int) uint32 { return 0 })
	s.fields = device.Fields{Count: (columns + 3) / 4, OfColumn: words(columns, func(i int) uint32 { return uint32(i / 4) }),
		Offsets: words((columns+3)/4+1, func(i int) uint32 { return uint32(min(4*i, columns)) })}
	return s
}

// step issues every operation in every kind.
func (s *stochastic) step() {
	d := s.dev
	d.Diffuse(device.DiffuseArgs{Sigma: s.sigma, From: s.x, To: s.y, Level: s.level, Seed: 1, Replicates: 3, Index: s.index, Clock: s.clock})
	d.Condition(device.ConditionArgs{Level: s.level, Scale: s.sigma, Embedding: s.embedding, X: s.y, Out: s.wide})
	d.Blend(device.BlendArgs{Level: s.level, Alpha: s.sigma, Beta: s.sigma, X: s.x, Y: s.wide, Out: s.x})
	d.Blend(device.BlendArgs{Level: s.level, Alpha: s.sigma, Beta: s.sigma, X: s.x, Y: s.y, Out: s.y})
	d.ScoreMatch(device.ScoreMatchArgs{Level: s.level, Weight: s.sigma, OutScale: s.sigma, Denoised: s.y, Target: s.x, Losses: s.column, DF: s.out, Scale: 1})
	for _, k := range device.Codes() {
		params := device.MatrixOf(s.params.Memory, s.params.Offset, s.code.Rows, k.Width(s.code.Columns))
		for _, sampled := range []bool{false, k == device.CodeGaussian} {
			d.SampleCode(device.SampleCodeArgs{Kind: k, Temperature: 0.5, Params: params, Noise: s.noise, Code: s.code, Divergence: s.column,
				Sampled: sampled, Seed: 1, Stream: philox.StreamCode, Replicates: 3, Index: s.index, Clock: s.clock})
			d.Importance(device.ImportanceArgs{Replicates: 3, Terms: s.column, Bounds: s.bounds, Weights: s.column})
			d.SampleCodeBackward(device.SampleCodeBackwardArgs{Kind: k, Temperature: 0.5, Params: params, Noise: s.noise, Code: s.code, DCode: s.out,
				Sampled: sampled, Scale: 0.1, Weights: s.column, DParams: params})
		}
	}
	d.ScaleRows(device.ScaleRowsArgs{Scale: s.column, X: s.code, Y: s.out})
	for _, k := range device.Likelihoods() {
		if k == device.Mixed {
			continue // of columns: see table_test.go
		}
		params := device.MatrixOf(s.params.Memory, s.params.Offset, s.out.Rows, k.Width(s.out.Columns))
		d.Draw(device.DrawArgs{Kind: k, Sigma: 0.3, Fields: s.fields, Params: params, Out: s.out, Seed: 1, Stream: philox.StreamDraw, Replicates: 3,
			Index: s.index, Clock: s.clock})
		d.Combine(device.CombineArgs{Alpha: 0.5, A: s.out, Beta: 0.5, B: s.x, Dst: s.x})
	}
	d.Tick(device.TickArgs{Clock: s.clock, Rows: 1})
}

// TestThreadsDoNotChangeDraws: two steps leave the same bits on any number of
// threads, each of which has some rows.
func TestThreadsDoNotChangeDraws(t *testing.T) {
	for _, kernels := range cpu.KernelNames() {
		var want []float32
		for _, threads := range []int{1, 2, 5} {
			s := newStochastic(t, openWith(t, threads, kernels), 33, 67)
			s.step()
			s.step()
			got := download(t, s.dev, s.all)
			if want == nil {
				want = got
			}
			for i := range got {
				if got[i] != got[i] || math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Errorf("%s: element %d is %g with %d threads, %g with one", kernels, i, got[i], threads, want[i])
					break
				}
			}
		}
	}
}

// TestDrawsDoNotAllocate after a first step.
func TestDrawsDoNotAllocate(t *testing.T) {
	for _, kernels := range cpu.KernelNames() {
		s := newStochastic(t, openWith(t, 2, kernels), 33, 67)
		s.step()
		if n := testing.AllocsPerRun(10, s.step); n != 0 {
			t.Errorf("%s: %g allocations a step", kernels, n)
		}
	}
}

// BenchmarkStochastic measures a minibatch of 129 rows of 784 features, or of 64
// units, on one thread.
func BenchmarkStochastic(b *testing.B) {
	const rows, columns = 129, 784
	s := newStochastic(b, openAsUsed(b, 1), rows/3, columns)
	units := newStochastic(b, s.dev, rows/3, 64)
	type work struct {
		name string
		run  func()
	}
	all := []work{
		{"diffuse", func() {
			s.dev.Diffuse(device.DiffuseArgs{Sigma: s.sigma, From: s.x, To: s.y, Level: s.level, Replicates: 3, Index: s.index, Clock: s.clock})
		}},
		{"condition", func() {
			s.dev.Condition(device.ConditionArgs{Level: s.level, Scale: s.sigma, Embedding: s.embedding, X: s.y, Out: s.wide})
		}},
		{"blend", func() {
			s.dev.Blend(device.BlendArgs{Level: s.level, Alpha: s.sigma, Beta: s.sigma, X: s.x, Y: s.wide, Out: s.y})
		}},
		{"score-match", func() {
			s.dev.ScoreMatch(device.ScoreMatchArgs{Level: s.level, Weight: s.sigma, OutScale: s.sigma, Denoised: s.y, Target: s.x, Losses: s.column,
				DF: s.out, Scale: 1})
		}},
	}
	for _, k := range device.Codes() {
		params := device.MatrixOf(units.params.Memory, units.params.Offset, units.code.Rows, k.Width(units.code.Columns))
		all = append(all, work{"code-" + k.String(), func() {
			s.dev.SampleCode(device.SampleCodeArgs{Kind: k, Temperature: 0.5, Params: params, Noise: units.noise, Code: units.code, Divergence: units.column,
				Replicates: 3, Index: units.index, Clock: units.clock})
		}}, work{"code-backward-" + k.String(), func() {
			s.dev.SampleCodeBackward(device.SampleCodeBackwardArgs{Kind: k, Temperature: 0.5, Params: params, Noise: units.noise, Code: units.code,
				DCode: units.x, Scale: 0.1, DParams: device.MatrixOf(units.all.Memory, units.wide.Offset, params.Rows, params.Columns)})
		}})
	}
	for _, k := range device.Likelihoods() {
		if k == device.Mixed {
			continue
		}
		params := device.MatrixOf(s.params.Memory, s.params.Offset, s.out.Rows, k.Width(s.out.Columns))
		all = append(all, work{"draw-" + k.String(), func() {
			s.dev.Draw(device.DrawArgs{Kind: k, Sigma: 0.3, Fields: s.fields, Params: params, Out: s.out, Replicates: 3, Index: s.index, Clock: s.clock})
		}})
	}
	for _, w := range all {
		b.Run(w.name, func(b *testing.B) {
			best := fastest(b, w.run)
			b.ReportMetric(float64(best.Microseconds()), "µs")
		})
	}
}
