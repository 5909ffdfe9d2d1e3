package reference

import "gpudae/device"

// Dense implements device.Device.
func (d *Device) Dense(a device.DenseArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	x, bias, pre, y := d.matrix(a.X), d.matrix(a.Bias), d.matrix(a.Pre), d.matrix(a.Y)
	w := d.weights(a.W, a.Transposed)
	for i := range y.rows {
		for o := range y.columns {
			sum := dot(x.row(i), w.row(o))
			if bias.data != nil {
				sum += bias.data[o]
			}
			if pre.data != nil {
				pre.row(i)[o] = sum
			}
			y.row(i)[o] = activations[a.Act].value(sum)
		}
	}
}

// weights returns W as [out, in], also where it is stored transposed.
func (d *Device) weights(v device.View, transposed bool) matrix {
	if transposed {
		return d.matrix(v).transpose()
	}
	return d.matrix(v)
}

func dot(x, y []float64) float64 {
	sum := 0.0
	for k := range x {
		sum += x[k] * y[k]
	}
	return sum
}

// DenseBackward implements device.Device.
func (d *Device) DenseBackward(a device.DenseBackwardArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	if !a.DX.IsZero() {
		d.denseInputGradient(a)
	}
	if !a.DW.IsZero() {
		d.denseWeightGradient(a)
	}
	if !a.DBias.IsZero() {
		d.denseBiasGradient(a)
	}
}

// denseInputGradient: DX = (DA·W) ⊙ act'(X).
func (d *Device) denseInputGradient(a device.DenseBackwardArgs) {
	da, dx, from := d.matrix(a.DA), d.matrix(a.DX), d.matrix(a.X)
	if a.InAct.NeedsInput() {
		from = d.matrix(a.InPre)
	}
	fromInput := d.weights(a.W, a.Transposed).transpose() // [in, out]
	for i := range dx.rows {
		for k := range dx.columns {
			dx.row(i)[k] = dot(da.row(i), fromInput.row(k)) * activations[a.InAct].derivative(from.at(i, k))
		}
	}
}

// denseWeightGradient: DW = DAᵀ·X, or Xᵀ·DA where W is transposed.
func (d *Device) denseWeightGradient(a device.DenseBackwardArgs) {
	left, right, dw := d.matrix(a.DA).transpose(), d.matrix(a.X).transpose(), d.matrix(a.DW)
	if a.Transposed {
		left, right = right, left
	}
	for r := range dw.rows {
		for c := range dw.columns {
			sum := dot(left.row(r), right.row(c))
			if a.Accumulate {
				sum += dw.at(r, c)
			}
			dw.row(r)[c] = sum
		}
	}
}

// denseBiasGradient: the column sums of DA.
func (d *Device) denseBiasGradient(a device.DenseBackwardArgs) {
	da, db := d.matrix(a.DA), d.matrix(a.DBias)
	for o := range da.columns {
		db.data[o] = 0
		for i := range da.rows {
			db.data[o] += da.at(i, o)
		}
	}
}
