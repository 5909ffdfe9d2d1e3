package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// normalizations writes the kernels of layer and batch normalisation. Sums are
// in float64, single elements in float32.
func (v vector) normalizations() {
	v.deviations()
	v.columnMoments()

	v.function("normalizeRow", "func(y, x, gain, bias []float32, mean, invStd float32)", "%s computes y = gain·(x - mean)·invStd + bias.")
	y, x, gain, bias, n := base("y"), base("x"), base("gain"), base("bias"), length("y")
	mean, invStd := v.scalar("mean"), v.scalar("invStd")
	v.elements(n, func(at position) {
		at.put(v.fma(v.standard(at.element(x), mean, invStd), at.element(gain), at.element(bias)), y)
	})
	end()

	v.function("normalizeColumns", "func(y, x, gain, bias, mean, invStd []float32)", "%s computes y = gain·(x - mean)·invStd + bias.")
	y, x, gain, bias, n = base("y"), base("x"), base("gain"), base("bias"), length("y")
	means, deviations := base("mean"), base("invStd")
	v.elements(n, func(at position) {
		at.put(v.fma(v.standard(at.element(x), at.element(means), at.element(deviations)), at.element(gain), at.element(bias)), y)
	})
	end()

	v.normalSums("normalSumsOfRows", "%s sums columns of dy·(x - mean)·invStd and dy, with a mean and invStd a row.", true)
	v.normalSums("normalSumsOfColumns", "%s sums columns of dy·(x - mean)·invStd and dy, with a mean and invStd a column.", false)
	v.rowGradient()
	v.columnGradient()
}

// standard is (x - mean)·invStd.
func (v vector) standard(x, mean, invStd reg.VecVirtual) reg.VecVirtual {
	return v.mul(v.sub(x, mean), invStd)
}

// deviations writes the sum of squared deviations of a slice.
func (v vector) deviations() {
	v.function("deviations", "func(x []float32, from float32) float64", "%s is Σ (x - from)², in float64.")
	x, n, t, from := base("x"), length("x"), v.newTotal(), v.scalar("from")
	center := v.doubles(from)
	v.elements(n, func(at position) {
		e := at.element(x)
		if at.tail != nil {
			e = v.pick(*at.tail, e, from)
		}
		for i, half := range v.doubles(e) {
			VSUBPD(center[i], half, half)
			VFMADD231PD(half, half, t.halves[i])
		}
	})
	t.result(0)
	end()
}

// columnMoments writes the means and variances of columns: two passes down the
// rows for a vector of columns at a time.
func (v vector) columnMoments() {
	v.function("columnMoments", "func(mean, variance, x []float32, stride, rows int, count float64)",
		"%s computes the means and the biased variances of columns of count rows, that begin stride elements apart.")
	mean, variance, x, stride, n := base("mean"), base("variance"), base("x"), strideOf("stride"), length("mean")
	v.elements(n, func(at position) {
		sum, squares := v.newTotal(), v.newTotal()
		v.downRows(stride, []reg.GPVirtual{x}, func(rows []reg.GPVirtual) { sum.add(at.element(rows[0])) })
		count := v.spreadDouble("count")
		for _, half := range sum.halves {
			VDIVPD(count, half, half)
		}
		v.downRows(stride, []reg.GPVirtual{x}, func(rows []reg.GPVirtual) {
			for i, half := range v.doubles(at.element(rows[0])) {
				VSUBPD(sum.halves[i], half, half)
				VFMADD231PD(half, half, squares.halves[i])
			}
		})
		for _, half := range squares.halves {
			VDIVPD(count, half, half)
		}
		at.put(sum.singles(), mean)
		at.put(squares.singles(), variance)
	})
	end()
}

// downRows writes a loop over the rows of matrices whose first rows begin at
// the given addresses and whose rows lie stride bytes apart.
func (v vector) downRows(stride reg.GPVirtual, first []reg.GPVirtual, body func(rows []reg.GPVirtual)) {
	count, next := argument("rows"), label("row")
	var rows []reg.GPVirtual
	for _, address := range first {
		row := GP64()
		MOVQ(address, row)
		rows = append(rows, row)
	}
	Label(next)
	body(rows)
	for _, row := range rows {
		ADDQ(stride, row)
	}
	DECQ(count)
	JNZ(LabelRef(next))
}

// spreadDouble fills a register with a parameter of type float64.
func (v vector) spreadDouble(name string) reg.VecVirtual {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	r := v.new()
	VBROADCASTSD(b.Addr, r)
	return r
}

// singles are the lanes rounded to float32.
func (t total) singles() reg.VecVirtual {
	low, high := t.new(), t.new()
	if t.wide() {
		VCVTPD2PS(t.halves[0], low.AsY())
		VCVTPD2PS(t.halves[1], high.AsY())
		VINSERTF32X8(Imm(1), high.AsY(), low, low)
		return low
	}
	VCVTPD2PSY(t.halves[0], low.AsX())
	VCVTPD2PSY(t.halves[1], high.AsX())
	VINSERTF128(Imm(1), high.AsX(), low, low)
	return low
}

// normalSums writes the gradients of gain and bias, for statistics of rows or
// of columns.
func (v vector) normalSums(name, doc string, ofRows bool) {
	v.function(name, "func(dGain, dBias, x, dy, mean, invStd []float32, stride, rows int)", doc)
	dGain, dBias, n, stride := base("dGain"), base("dBias"), length("dGain"), strideOf("stride")
	x, dy := base("x"), base("dy")
	v.elements(n, func(at position) {
		gain, bias := v.newTotal(), v.newTotal()
		means, deviations := base("mean"), base("invStd")
		var mean, invStd reg.VecVirtual
		if !ofRows {
			mean, invStd = at.element(means), at.element(deviations)
		}
		v.downRows(stride, []reg.GPVirtual{x, dy}, func(rows []reg.GPVirtual) {
			if ofRows {
				mean, invStd = v.spread(Mem{Base: means}), v.spread(Mem{Base: deviations})
				ADDQ(Imm(4), means)
				ADDQ(Imm(4), deviations)
			}
			normals := v.doubles(v.standard(at.element(rows[0]), mean, invStd))
			for i, g := range v.doubles(at.element(rows[1])) {
				VADDPD(g, bias.halves[i], bias.halves[i])
				VFMADD231PD(g, normals[i], gain.halves[i])
			}
		})
		at.put(gain.singles(), dGain)
		at.put(bias.singles(), dBias)
	})
	end()
}

// rowGradient writes the two passes of the gradient of layer normalisation.
func (v vector) rowGradient() {
	v.function("normalRowSums", "func(x, dy, gain []float32, mean, invStd float32) (sum, sumNormal float64)",
		"%s is Σ g and Σ g·(x - mean)·invStd, g = dy·gain.")
	x, dy, gain, n := base("x"), base("dy"), base("gain"), length("x")
	mean, invStd := v.scalar("mean"), v.scalar("invStd")
	sum, sumNormal := v.newTotal(), v.newTotal()
	v.elements(n, func(at position) {
		normals, gains := v.doubles(v.standard(at.element(x), mean, invStd)), v.doubles(at.element(gain))
		for i, g := range v.doubles(at.element(dy)) {
			VMULPD(gains[i], g, g)
			VADDPD(g, sum.halves[i], sum.halves[i])
			VFMADD231PD(g, normals[i], sumNormal.halves[i])
		}
	})
	sum.result(0)
	sumNormal.result(1)
	end()

	v.function("normalRowGradient", "func(dx, x, dy, gain []float32, mean, invStd, shift, slope float32)",
		"%s computes dx = invStd·(dy·gain - shift - slope·(x - mean)·invStd).")
	dx, n := base("dx"), length("dx")
	x, dy, gain = base("x"), base("dy"), base("gain")
	mean, invStd = v.scalar("mean"), v.scalar("invStd")
	shift, slope := v.scalar("shift"), v.scalar("slope")
	v.elements(n, func(at position) {
		normal := v.standard(at.element(x), mean, invStd)
		g := v.sub(v.mul(at.element(dy), at.element(gain)), shift)
		at.put(v.mul(v.fnma(slope, normal, g), invStd), dx)
	})
	end()
}

// columnGradient writes the gradient of batch normalisation.
func (v vector) columnGradient() {
	v.function("normalColumnGradient", "func(dx, x, dy, gain, mean, invStd, shift, slope []float32)",
		"%s computes dx = gain·invStd·(dy - shift - slope·(x - mean)·invStd).")
	dx, n := base("dx"), length("dx")
	x, dy, gain := base("x"), base("dy"), base("gain")
	mean, invStd, shift, slope := base("mean"), base("invStd"), base("shift"), base("slope")
	v.elements(n, func(at position) {
		s := at.element(invStd)
		normal := v.standard(at.element(x), at.element(mean), s)
		g := v.sub(at.element(dy), at.element(shift))
		at.put(v.mul(v.fnma(at.element(slope), normal, g), v.mul(s, at.element(gain))), dx)
	})
	end()
}
