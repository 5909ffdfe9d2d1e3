package devicetest

import (
	"math"

	"gpudae/device"
	"gpudae/device/philox"
)

// mixedCase is what one trial of a mixed likelihood varies.
type mixedCase struct {
	rows, columns             int
	masked, weighted          bool
	byColumn, gradient, alias bool
	head                      float32 // of the mask's likelihood
	wide                      bool    // parameters of a head that is not wanted
}

const mixedSigma, mixedFloor = 0.3, 0.15

// checkMixed compares the likelihood of columns of every family.
func checkMixed(r *rig) {
	for _, shape := range tableShapes {
		for variant := range 8 {
			c := mixedCase{rows: shape[0], columns: shape[1], masked: variant&1 == 0, weighted: variant&2 == 0, byColumn: variant != 3,
				gradient: variant < 6, alias: variant < 3, wide: variant == 5}
			if variant&4 == 0 && c.masked {
				c.head = 0.7
			}
			r.mixedTrial(c)
		}
	}
}

func (r *rig) mixedTrial(c mixedCase) {
	columns := r.tableLayout(c.columns)
	t := r.trial("likelihood %+v of %+v", c, columns)
	table := t.inTable(columns)
	width := table.shape.ParamWidth
	if c.head > 0 || c.wide {
		width += c.columns
	}
	params := t.in("params", c.rows, width, r.mixedParams(columns, c.rows, width))
	target := t.in("target", c.rows, c.columns, r.tableRows(columns, c.rows))
	losses := t.out("losses", c.rows, 1)
	var mask, weights, byColumn, dParams *operand
	if c.masked {
		mask = t.in("mask", c.rows, c.columns, r.bits(c.rows*c.columns, 0.4))
	}
	if c.weighted {
		weights = t.in("weights", 1, c.columns, r.uniforms(c.columns, 0, 3))
	}
	if c.byColumn {
		byColumn = t.out("losses by column", c.rows, c.columns)
	}
	switch {
	case c.alias:
		params.output, dParams = true, params
	case c.gradient:
		dParams = t.out("DParams", c.rows, width)
	}
	a := device.LikelihoodArgs{Kind: device.Mixed, Sigma: mixedSigma, Floor: mixedFloor, MaskHead: c.head, Destroyed: 1.5, Untouched: 0.25, Scale: 1.0 / 64}
	t.run(func(s side) {
		a := a
		a.Table, a.Params, a.Target, a.Mask, a.Weights = s.table(table), s.v(params), s.v(target), s.v(mask), s.v(weights)
		a.Losses, a.ByColumn, a.DParams = s.v(losses), s.v(byColumn), s.v(dParams)
		s.Likelihood(a)
	})
	b := mixedBounds(&a, table, params, target, mask, weights)
	t.within(losses, func(i int) float64 { return b.losses[i] })
	if c.byColumn {
		t.within(byColumn, func(i int) float64 { return b.byColumn[i] })
	}
	if c.gradient {
		t.within(dParams, func(i int) float64 { return b.gradient[i] })
	}
}

// mixedParams are a decoder's outputs, some of them extreme.
func (r *rig) mixedParams(columns []device.TableColumn, rows, width int) []float32 {
	a := r.normals(rows*width, 1.5)
	for i := range rows {
		for _, c := range columns {
			for k := range c.Params() {
				at := &a[i*width+c.Param+k]
				if r.rng.IntN(7) > 0 {
					continue
				}
				switch {
				case c.Family == device.FamilyGaussianLearned && k == 1:
					*at *= 3
				case c.Family == device.FamilyGaussian || c.Family == device.FamilyGaussianLearned:
					*at *= 10
				default:
					*at *= 30
				}
			}
		}
	}
	return a
}

// bounds are those of the outputs of a mixed likelihood.
type bounds struct{ losses, byColumn, gradient []float64 }

// mixedBounds puts together those of the families; see likelihoodBounds.
func mixedBounds(a *device.LikelihoodArgs, table tableOperand, params, target, mask, weights *operand) bounds {
	d := target.columns
	b := bounds{make([]float64, target.rows), make([]float64, len(target.before)), make([]float64, len(params.before))}
	for i := range b.gradient {
		b.gradient[i] = tiny
	}
	for i := range target.rows {
		row := params.before[i*params.columns : (i+1)*params.columns]
		for j, c := range table.columns {
			x := target.before[i*d+j]
			if x != x {
				continue
			}
			weight := 1.0
			if mask != nil {
				weight = float64(a.Untouched)
				if mask.before[i*d+j] == 1 {
					weight = float64(a.Destroyed)
				}
			}
			if weights != nil {
				weight *= float64(weights.before[j])
			}
			own := columnsOf(c.Param, c.Param+c.Params())
			loss, slopes := columnMagnitude(c, pick(row, own), float64(x))
			b.byColumn[i*d+j] = (float64(len(own))*u + elementary) * loss
			b.losses[i] += (float64(params.columns)*u + elementary) * weight * loss
			for k, p := range own {
				b.gradient[i*params.columns+p] += float64(a.Scale) * weight * elementary * slopes[k]
			}
			if a.MaskHead > 0 {
				logit := row[table.shape.ParamWidth+j]
				loss, slopes := unitMagnitude(device.Bernoulli, []float64{float64(logit)}, []float64{float64(mask.before[i*d+j])}, 0)
				b.losses[i] += (float64(params.columns)*u + elementary) * float64(a.MaskHead) * loss
				b.gradient[i*params.columns+table.shape.ParamWidth+j] += float64(a.Scale*a.MaskHead) * elementary * slopes[0]
			}
		}
	}
	return b
}

// columnMagnitude is unitMagnitude of a column's family.
func columnMagnitude(c device.TableColumn, a []float64, x float64) (loss float64, gradient []float64) {
	switch c.Family {
	case device.FamilyGaussian:
		return unitMagnitude(device.Gaussian, a, []float64{x}, mixedSigma)
	case device.FamilyGaussianLearned:
		return unitMagnitude(device.GaussianLearned, a, []float64{x}, mixedFloor)
	case device.FamilyBernoulli:
		return unitMagnitude(device.Bernoulli, a, []float64{x}, 0)
	}
	hot := make([]float64, len(a))
	hot[int(x)] = 1
	return unitMagnitude(device.Categorical, a, hot, 0)
}

// checkMeanOfMixed: the most probable code is that of the reference, the lowest
// of equals; parameters of a mask's head do not matter.
func checkMeanOfMixed(r *rig) {
	for i, shape := range tableShapes {
		for variant := range 3 {
			columns := r.tableLayout(shape[1])
			t := r.trial("mean of %d rows of %+v", shape[0], columns)
			table := t.inTable(columns)
			width := table.shape.ParamWidth + shape[1]*((i+variant)%2)
			values := r.mixedParams(columns, shape[0], width)
			for k := range values {
				if variant == 2 { // equals
					values[k] = float32(math.Round(float64(values[k])))
				}
			}
			params, out := t.in("params", shape[0], width, values), t.out("out", shape[0], shape[1])
			t.run(func(s side) {
				s.Mean(device.MeanArgs{Kind: device.Mixed, Table: s.table(table), Params: s.v(params), Out: s.v(out)})
			})
			t.within(out, func(i int) float64 {
				if columns[i%shape[1]].Family == device.FamilyBernoulli {
					return elementary*out.want()[i] + tiny
				}
				return 0 // a copy, or a code
			})
		}
	}
}

// checkDrawOfMixed compares draws with the reference's: exactly, within the
// rounding of a learned spread, or up to the side of a threshold on which a
// uniform draw lies that is within rounding of it.
func checkDrawOfMixed(r *rig) {
	for i, shape := range tableShapes {
		for variant := range 4 {
			columns := r.tableLayout(shape[1])
			rows := shape[0] * 3
			t := r.trial("draw of %d rows of %+v", rows, columns)
			table := t.inTable(columns)
			width := table.shape.ParamWidth + shape[1]*((i+variant)%2)
			w := t.where(rows, 1+2*(variant&1), variant != 0)
			params := t.in("params", rows, width, r.mixedParams(columns, rows, width))
			out := t.out("out", rows, shape[1])
			t.run(func(s side) {
				s.Draw(device.DrawArgs{Kind: device.Mixed, Sigma: mixedSigma, Floor: mixedFloor, Table: s.table(table), Params: s.v(params), Out: s.v(out),
					Seed: w.seed, Stream: w.stream, Stage: w.stage, Replicates: w.replicates, Index: s.w(w.index), Clock: s.w(w.clock)})
			})
			t.expectMixed(columns, w, params, out)
		}
	}
}

// expectMixed holds each drawn value against the reference's.
func (t *trial) expectMixed(columns []device.TableColumn, w where, params, out *operand) {
	t.rig.Helper()
	for i, got := range out.got {
		row, j := i/out.columns, i%out.columns
		c, want := columns[j], out.want()[i]
		a := params.before[row*params.columns+c.Param:][:c.Params()]
		ok := float64(got) == want
		switch {
		case ok:
		case c.Family == device.FamilyGaussian:
			ok = math.Float32bits(got) == math.Float32bits(float32(want))
		case c.Family == device.FamilyGaussianLearned:
			s := float64(a[1])
			spread := math.Sqrt(math.Exp(s)+mixedFloor*mixedFloor) * math.Abs(w.normal(row, j))
			ok = math.Abs(float64(got)-want) <= elementary*(1+math.Abs(s))*spread+2*u*math.Abs(want)+tiny
		case c.Family == device.FamilyBernoulli:
			ok = isBit(got) && onTheEdge(w.uniform(row, j), sigmoid(float64(a[0])))
		default:
			code := int(got)
			ok = float32(code) == got && code >= 0 && code < c.Categories &&
				tolerableColumn(a, w.uniform(row, j), min(code, int(want)), max(code, int(want)))
		}
		if !ok {
			t.rig.report("%s: out%s, a %s, is %g, want %g", t.label, out.place(i), c.Family, got, want)
			return
		}
	}
}

// momentsOfMixed: draws of each column have the moments, or the shares, of its
// family.
func momentsOfMixed(r *rig) {
	columns := []device.TableColumn{
		{Family: device.FamilyGaussian, Input: 0, Indicator: device.NoIndicator, Param: 6},
		{Family: device.FamilyCategorical, Categories: 4, Input: 1, Embedding: 1, Indicator: device.NoIndicator, Param: 2},
		{Family: device.FamilyBernoulli, Input: 2, Indicator: device.NoIndicator, Param: 7},
		{Family: device.FamilyGaussianLearned, Input: 3, Indicator: device.NoIndicator, Param: 0},
	}
	row := []float32{-0.4, 0.8, 1, 0.2, -1, 0.6, 2, -0.9}
	table, words := device.NewTableColumns(columns)
	table.Words = r.placedWords(words)
	out := r.repeated(drawnRows, row[:4])
	r.dev.Draw(device.DrawArgs{Kind: device.Mixed, Sigma: 0.4, Floor: 1.2, Table: table, Params: r.repeated(drawnRows, row), Out: out, Seed: 12,
		Stream: philox.StreamDraw, Replicates: 1, Index: r.numbered(drawnRows)})
	drawn := byColumn(r.read(out), 4)
	shifted := func(x []float64, mean float64) []float64 {
		for i := range x {
			x[i] -= mean
		}
		return x
	}
	r.expectNormal("a power of a drawn number", shifted(drawn[0], float64(row[6])), 0.4)
	r.expectNormal("a power of a drawn number", shifted(drawn[3], float64(row[0])), math.Sqrt(math.Exp(float64(row[1]))+1.2*1.2))
	p := sigmoid(float64(row[7]))
	r.expectMean("a drawn bit", drawn[2], p, p*(1-p))
	sum := 0.0
	for _, a := range row[2:6] {
		sum += math.Exp(float64(a))
	}
	for code, a := range row[2:6] {
		share, is := math.Exp(float64(a))/sum, make([]float64, len(drawn[1]))
		for i, x := range drawn[1] {
			if x == float64(code) {
				is[i] = 1
			}
		}
		r.expectMean("a drawn code", is, share, share*(1-share))
	}
}
