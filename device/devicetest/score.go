package devicetest

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

func scoreChecks() []check {
	return []check{
		{"Diffuse", checkDiffuse},
		{"DiffuseOfOneLevelIsGaussianCorruption", checkDiffuseIsCorrupt},
		{"DiffuseSplitsBatches", checkDiffuseSplits},
		{"Condition", checkCondition},
		{"Blend", checkBlend},
		{"ScoreMatch", checkScoreMatch},
	}
}

// scoreShapes are small ones, odd ones too, and some of the elementwise.
var scoreShapes = append([][2]int{{1, 5}, {3, 1}, {17, 33}}, shapes[:]...)

// levelCounts are numbers of noise levels.
var levelCounts = [...]int{1, 2, 10, 1000}

// where is where a draw of a minibatch comes from, but for the operands.
type where struct {
	seed       uint64
	stream     philox.Stream
	stage      uint32
	replicates int
	index      *wordOperand
	clock      *wordOperand // or nil
}

// where draws the coordinates of a minibatch.
func (t *trial) where(rows, replicates int, clock bool) where {
	r := t.rig
	w := where{seed: r.rng.Uint64(), stream: philox.Stream(r.rng.IntN(16)), stage: r.rng.Uint32N(256), replicates: replicates,
		index: t.inWords("index", r.examples(rows, 1, device.Rows{Hi: 1 << 20}, 1<<20))}
	if clock {
		w.clock = t.inWords("clock", r.clockWords())
	}
	return w
}

// block is the block of words of four units of a row, by the contract.
func (w *where) block(row, block int, draw uint32) [4]uint32 {
	return philox.Block(w.at(row, block, draw).Counter(), philox.KeyOf(w.seed))
}

func (w *where) at(row, block int, draw uint32) philox.Coordinates {
	at := philox.Coordinates{Stream: w.stream, Index: w.stage, Replicate: uint32(row % w.replicates), Draw: draw,
		Row: w.index.before[row], Block: uint32(block)}
	if w.clock != nil {
		at.Step = w.clock.before[0]
	}
	return at
}

// uniform is the uniform draw of a unit of a row.
func (w *where) uniform(row, unit int) float64 {
	return float64(philox.Uniform(w.block(row, unit/4, 0)[unit%4]))
}

// normal is its standard normal draw.
func (w *where) normal(row, unit int) float64 {
	return float64(philox.NormalLane(w.block(row, unit/4, 0), unit%4))
}

// checkDiffuse compares levels and values with the reference bit for bit, and the
// levels with the generator's words.
func checkDiffuse(r *rig) {
	for i, shape := range scoreShapes {
		for variant := range 4 {
			rows, columns, levels := shape[0]*3, shape[1], levelCounts[(i+variant)%len(levelCounts)]
			alias, clock := variant&1 == 0, variant != 3
			t := r.trial("diffuse %d×%d at %d levels, To is From %t, clock %t", rows, columns, levels, alias, clock)
			w := t.where(rows, 1+2*(variant&1), clock)
			sigma := t.in("sigma", 1, levels, r.uniforms(levels, 0.01, 50))
			from, to := t.pair("From", "To", rows, columns, r.normals(rows*columns, 1), alias)
			level := t.outWords("level", rows)
			t.run(func(s side) {
				s.Diffuse(device.DiffuseArgs{Sigma: s.v(sigma), From: s.v(from), To: s.v(to), Level: s.w(level),
					Seed: w.seed, Stream: w.stream, Stage: w.stage, Replicates: w.replicates, Index: s.w(w.index), Clock: s.w(w.clock)})
			})
			t.exact(to)
			t.exactWords(level)
			for row, l := range level.got {
				if want := philox.Below(w.block(row, 0, 1)[0], uint32(levels)); l != want {
					r.report("%s: row %d has level %d, its word says %d", t.label, row, l, want)
				}
			}
		}
	}
}

// checkDiffuseIsCorrupt: at a single level the noise is that of Corrupt, so that
// a model of one level sees what a denoising auto-encoder sees.
func checkDiffuseIsCorrupt(r *rig) {
	const rows, columns, replicates, sigma = 31, 33, 2, 0.37
	data, err := r.dev.Load(r.Context(), r.table(rows, columns, false))
	r.must(err)
	m := r.newMinibatch(rows, columns, replicates)
	m.setClock(device.Clock{Step: 1<<32 + 5})
	m.gather(data, device.Rows{Hi: rows}, true, 1)
	m.corrupt(device.CorruptArgs{Kind: device.CorruptGaussian, Amount: sigma, Seed: 3, Stream: philox.StreamValidation, Stage: 2})
	want := r.read(m.y)
	r.dev.Diffuse(device.DiffuseArgs{Sigma: r.constants(1, sigma), From: m.x, To: m.y, Level: r.placedWords(make([]uint32, rows*replicates)),
		Seed: 3, Stream: philox.StreamValidation, Stage: 2, Replicates: replicates, Index: m.index, Clock: m.clock})
	if got := r.read(m.y); firstDifference(got, want) >= 0 {
		i := firstDifference(got, want)
		r.report("element %d is %g, that of gaussian corruption %g", i, got[i], want[i])
	}
}

// checkDiffuseSplits: an example's level and noise do not depend on the minibatch
// in which it comes.
func checkDiffuseSplits(r *rig) {
	const rows, columns, levels = 23, 6, 7
	data, err := r.dev.Load(r.Context(), r.table(rows, columns, true))
	r.must(err)
	sigma := r.placed(1, levels, r.uniforms(levels, 0.1, 2))
	draw := func(cursor, examples int) ([]float32, []uint32) {
		m := r.newMinibatch(examples, columns, 1)
		m.setClock(device.Clock{Step: 12, Epoch: 3, Cursor: uint32(cursor)})
		m.gather(data, device.Rows{Hi: rows}, true, 4)
		level := r.placedWords(make([]uint32, examples))
		r.dev.Diffuse(device.DiffuseArgs{Sigma: sigma, From: m.x, To: m.y, Level: level, Seed: 9, Replicates: 1, Index: m.index, Clock: m.clock})
		words := make([]uint32, examples)
		r.must(r.dev.DownloadWords(words, level))
		return r.read(m.y), words
	}
	values, levelsOf := draw(0, rows)
	for cursor := range rows {
		x, l := draw(cursor, 1)
		if l[0] != levelsOf[cursor] || firstDifference(x, values[cursor*columns:(cursor+1)*columns]) >= 0 {
			r.report("alone, example %d is not diffused as among %d", cursor, rows)
		}
	}
}

// levels places a level for each row.
func (t *trial) levels(rows, levels int) *wordOperand {
	words := make([]uint32, rows)
	for i := range words {
		words[i] = t.rig.rng.Uint32N(uint32(levels))
	}
	return t.inWords("level", words)
}

// checkCondition: a product and a copy, both exact.
func checkCondition(r *rig) {
	for i, shape := range scoreShapes {
		for variant, extra := range []int{0, 1, 6, 33} {
			rows, columns, levels := shape[0], shape[1], levelCounts[(i+variant)%len(levelCounts)]
			t := r.trial("condition %d×%d at %d levels, embedding of %d", rows, columns, levels, extra)
			level := t.levels(rows, levels)
			scale := t.in("scale", 1, levels, r.normals(levels, 1))
			x := t.in("X", rows, columns, r.normals(rows*columns, 1))
			out := t.out("Out", rows, columns+extra)
			var embedding *operand
			if extra > 0 {
				embedding = t.in("embedding", levels, extra, r.normals(levels*extra, 1))
			}
			t.run(func(s side) {
				s.Condition(device.ConditionArgs{Level: s.w(level), Scale: s.v(scale), Embedding: s.v(embedding), X: s.v(x), Out: s.v(out)})
			})
			t.exact(out)
		}
	}
}

// blendCase is what one trial of Blend varies.
type blendCase struct {
	rows, columns, wider, levels int
	onX, onY, withoutX           bool
}

// checkBlend: each product is rounded before the addition, on every device of
// float32; only the reference rounds once.
func checkBlend(r *rig) {
	for i, shape := range scoreShapes {
		for variant := range 6 {
			r.blendTrial(blendCase{
				rows: shape[0], columns: shape[1], levels: levelCounts[(i+variant)%len(levelCounts)], wider: [...]int{0, 5, 1, 0, 0, 7}[variant],
				onX: variant == 1 || variant == 4, onY: variant == 0 || variant == 4, withoutX: variant == 0 || variant == 5,
			})
		}
	}
}

func (r *rig) blendTrial(c blendCase) {
	t := r.trial("blend %+v", c)
	level := t.levels(c.rows, c.levels)
	alpha, beta := t.in("alpha", 1, c.levels, r.normals(c.levels, 1)), t.in("beta", 1, c.levels, r.normals(c.levels, 1))
	y := t.in("Y", c.rows, c.columns+c.wider, r.normals(c.rows*(c.columns+c.wider), 1))
	var x, out *operand
	switch {
	case c.onX && c.onY: // X is Y, and so is Out
		x, out, y.output = y, y, true
	case c.onX:
		x = t.inout("X", c.rows, c.columns, r.normals(c.rows*c.columns, 1))
		out = x
	default:
		x, out = t.in("X", c.rows, c.columns, r.normals(c.rows*c.columns, 1)), t.out("Out", c.rows, c.columns)
	}
	switch {
	case c.withoutX && c.onY:
		x, out, y.output = nil, y, true
	case c.withoutX:
		x = nil
	case c.onY:
		out, y.output = y, true
	}
	t.run(func(s side) {
		a := device.BlendArgs{Level: s.w(level), Beta: s.v(beta), X: s.v(x), Y: s.v(y), Out: s.v(out)}
		if x != nil {
			a.Alpha = s.v(alpha)
		}
		s.Blend(a)
	})
	for i, got := range out.got {
		row, column := i/c.columns, i%c.columns
		l := level.before[row]
		want := float32(beta.before[l] * y.before[row*y.columns+column])
		if x != nil {
			want = float32(alpha.before[l]*x.before[i]) + want
		}
		if got != want && got != float32(out.want()[i]) {
			r.report("%s: %s is %g, want %g", t.label, out.place(i), got, want)
			break
		}
	}
}

// checkScoreMatch compares the loss and the gradient with the reference.
func checkScoreMatch(r *rig) {
	for i, shape := range scoreShapes {
		for variant := range 3 {
			rows, columns, levels := shape[0], shape[1], levelCounts[(i+variant)%len(levelCounts)]
			t := r.trial("match the score of %d×%d at %d levels, variant %d", rows, columns, levels, variant)
			level := t.levels(rows, levels)
			weight, outScale := t.in("weight", 1, levels, r.uniforms(levels, 1e-4, 1e4)), t.in("out scale", 1, levels, r.normals(levels, 1))
			target := t.in("target", rows, columns, r.normals(rows*columns, 1))
			denoised := t.in("denoised", rows, columns, r.normals(rows*columns, 1))
			losses := t.out("losses", rows, 1)
			var df *operand
			switch variant {
			case 0:
				denoised.output, df = true, denoised
			case 1:
				df = t.out("DF", rows, columns)
			}
			t.run(func(s side) {
				s.ScoreMatch(device.ScoreMatchArgs{Level: s.w(level), Weight: s.v(weight), OutScale: s.v(outScale), Denoised: s.v(denoised),
					Target: s.v(target), Losses: s.v(losses), DF: s.v(df), Scale: 1.0 / 48})
			})
			t.within(losses, func(i int) float64 { return (sumBound(float64(columns))+8*u)*losses.want()[i] + tiny })
			if df != nil {
				t.within(df, func(i int) float64 { return 6*u*math.Abs(df.want()[i]) + tiny })
			}
		}
	}
}
