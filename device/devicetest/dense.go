package devicetest

import (
	"math"

	"gpudae/device"
)

func denseChecks() []check {
	all := each("Dense", device.Activations(), checkDense)
	all = append(all, each("DenseBackward", device.Activations(), checkDenseBackward)...)
	return append(all,
		check{"DenseLarge", checkDenseLarge},
		check{"DenseBackwardLarge", checkDenseBackwardLarge})
}

// denseShape is batch, in, out.
type denseShape struct{ batch, in, out int }

var denseShapes = [...]denseShape{
	{1, 1, 1}, {1, 5, 3}, {2, 3, 1}, {3, 1, 7}, {4, 8, 16}, {7, 13, 11}, {16, 16, 16}, {17, 31, 33},
	{5, 64, 128}, {64, 1, 64}, {1, 257, 129}, {129, 2, 5}, {33, 65, 49},
}

// The first and the last are large enough for a GPU's tensor cores.
var largeDenseShapes = [...]denseShape{{128, 200, 300}, {131, 397, 67}, {61, 33, 1025}, {123, 251, 131}}

func checkDense(r *rig, k device.Activation) {
	for _, shape := range denseShapes {
		for variant := range 8 {
			r.denseTrial(k, shape, variant&1 > 0, variant&2 > 0, variant&4 > 0)
		}
	}
}

func checkDenseLarge(r *rig) {
	for _, shape := range largeDenseShapes {
		r.denseTrial(device.Identity, shape, false, true, false)
		r.denseTrial(device.Tanh, shape, true, true, true)
	}
}

func (r *rig) denseTrial(k device.Activation, shape denseShape, transposed, withBias, withPre bool) {
	t := r.trial("dense %s %+v, transposed %t", k, shape, transposed)
	x := t.in("X", shape.batch, shape.in, r.normals(shape.batch*shape.in, 1))
	w := t.weight("W", shape, transposed, 1)
	y := t.out("Y", shape.batch, shape.out)
	var bias, pre *operand
	if withBias {
		bias = t.in("bias", 1, shape.out, r.normals(shape.out, 1))
	}
	if withPre {
		pre = t.out("pre", shape.batch, shape.out)
	}
	t.run(func(s side) {
		s.Dense(device.DenseArgs{X: s.v(x), W: s.v(w), Bias: s.v(bias), Transposed: transposed, Act: k, Pre: s.v(pre), Y: s.v(y)})
	})
	sums := product(magnitudes(x), magnitudes(w), !transposed)
	terms := shape.in
	if withBias {
		terms++
		for i := range sums.data {
			sums.data[i] += math.Abs(float64(bias.before[i%shape.out]))
		}
	}
	if withPre {
		t.within(pre, func(i int) float64 { return dotBound(terms, sums.data[i]) })
	}
	t.within(y, func(i int) float64 { // a pre-activation is at most the sum of its terms' magnitudes
		return slopeBound*dotBound(terms, sums.data[i]) + activationBound(k, sums.data[i], y.want()[i])
	})
}

// weight adds W of a layer: [out, in], or [in, out] if transposed.
func (t *trial) weight(name string, shape denseShape, transposed bool, scale float64) *operand {
	rows, columns := shape.out, shape.in
	if transposed {
		rows, columns = columns, rows
	}
	return t.in(name, rows, columns, t.rig.normals(rows*columns, scale/math.Sqrt(float64(shape.in))))
}

func checkDenseBackward(r *rig, k device.Activation) {
	for _, shape := range denseShapes {
		for variant := range 4 {
			r.denseBackwardTrial(k, shape, backwardCase{transposed: variant&1 > 0, accumulate: variant&2 > 0, dx: true, dw: true, dbias: true})
		}
	}
	for absent := range 7 {
		r.denseBackwardTrial(k, denseShape{7, 13, 11}, backwardCase{dx: absent&1 > 0, dw: absent&2 > 0, dbias: absent&4 > 0})
	}
}

func checkDenseBackwardLarge(r *rig) {
	for i, shape := range largeDenseShapes {
		for variant := range 2 {
			r.denseBackwardTrial(device.ReLU, shape, backwardCase{transposed: variant == 1, accumulate: (i+variant)%2 == 0, dx: true, dw: true, dbias: true})
		}
	}
}

type backwardCase struct{ transposed, accumulate, dx, dw, dbias bool }

func (r *rig) denseBackwardTrial(k device.Activation, shape denseShape, c backwardCase) {
	t := r.trial("dense backward %s %+v %+v", k, shape, c)
	da := t.in("DA", shape.batch, shape.out, r.normals(shape.batch*shape.out, 1))
	x, inPre := t.activated(k, shape.batch, shape.in)
	w := t.weight("W", shape, c.transposed, 1)
	var dx, dw, dbias *operand
	if c.dx {
		dx = t.out("DX", shape.batch, shape.in)
	}
	if c.dw {
		dw = t.out("DW", w.rows, w.columns)
		if c.accumulate {
			dw.before = r.normals(len(dw.before), 1)
		}
	}
	if c.dbias {
		dbias = t.out("DBias", 1, shape.out)
	}
	t.run(func(s side) {
		s.DenseBackward(device.DenseBackwardArgs{DA: s.v(da), X: s.v(x), W: s.v(w), Transposed: c.transposed, Accumulate: c.accumulate,
			InAct: k, InPre: s.v(inPre), DX: s.v(dx), DW: s.v(dw), DBias: s.v(dbias)})
	})
	if c.dx {
		sums := product(magnitudes(da), magnitudes(w), c.transposed)
		t.within(dx, func(i int) float64 {
			return slopeBound*dotBound(shape.out, sums.data[i]) + derivativeBound*sums.data[i]
		})
	}
	if c.dw {
		t.within(dw, t.weightGradientBound(da, x, dw, c, shape.batch))
	}
	if c.dbias {
		ones := matrix{1, shape.batch, make([]float64, shape.batch)}
		for i := range ones.data {
			ones.data[i] = 1
		}
		sums := product(ones, magnitudes(da), false)
		t.within(dbias, func(i int) float64 { return dotBound(shape.batch, sums.data[i]) })
	}
}

func (t *trial) weightGradientBound(da, x, dw *operand, c backwardCase, batch int) func(i int) float64 {
	left, right := magnitudes(da), magnitudes(x)
	if c.transposed {
		left, right = right, left
	}
	sums := product(left.transpose(), right, false)
	return func(i int) float64 {
		if c.accumulate {
			return dotBound(batch+1, sums.data[i]+math.Abs(float64(dw.before[i])))
		}
		return dotBound(batch, sums.data[i])
	}
}

// activated adds X = act(A) and, where the derivative needs it, A.
func (t *trial) activated(k device.Activation, rows, columns int) (x, pre *operand) {
	a := t.rig.preactivations(rows * columns)
	y := t.rig.activations(k, a)
	x = t.in("X", rows, columns, y)
	if k.NeedsInput() {
		pre = t.in("InPre", rows, columns, a)
	}
	return x, pre
}

// activations is act(a), by the reference, rounded to float32.
func (r *rig) activations(k device.Activation, a []float32) []float32 {
	m, err := r.ref.Alloc(device.Float, len(a))
	r.must(err)
	v := device.MatrixOf(m, 0, 1, len(a))
	r.must(r.ref.Upload(v, a))
	r.ref.Activate(device.ActivateArgs{Act: k, X: v, Y: v})
	y := make([]float32, len(a))
	r.must(r.ref.Download(y, v))
	return y
}

// matrix is a row-major matrix on the host.
type matrix struct {
	rows, columns int
	data          []float64
}

// magnitudes is the matrix of an operand's absolute values.
func magnitudes(o *operand) matrix {
	m := matrix{o.rows, o.columns, make([]float64, len(o.before))}
	for i, x := range o.before {
		m.data[i] = math.Abs(float64(x))
	}
	return m
}

func (m matrix) transpose() matrix {
	t := matrix{m.columns, m.rows, make([]float64, len(m.data))}
	for i := range m.rows {
		for j := range m.columns {
			t.data[j*m.rows+i] = m.data[i*m.columns+j]
		}
	}
	return t
}

// product is A·B, or A·Bᵀ if transposed.
func product(a, b matrix, transposed bool) matrix {
	if !transposed {
		b = b.transpose()
	}
	p := matrix{a.rows, b.rows, make([]float64, a.rows*b.rows)}
	for i := range a.rows {
		row := a.data[i*a.columns : (i+1)*a.columns]
		for j := range b.rows {
			sum := 0.0
			for k, y := range b.data[j*b.columns : (j+1)*b.columns] {
				sum += row[k] * y
			}
			p.data[i*b.rows+j] = sum
		}
	}
	return p
}
