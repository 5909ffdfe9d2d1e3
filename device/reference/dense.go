package reference

import "gpudae/device"

// Dense implements device.Device.
func (d *Device) Dense(a device.DenseArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	x, bias, pre, y := d.matrix(a.X), d.matrix(a.Bias), d.matrix(a.Pre), d.matrix(a.Y)
	weight := weights(d.matrix(a.W), a.Transposed)
	for i := range y.rows {
		for o := range y.columns {
			sum := 0.0
			for k := range x.columns {
				sum += x.at(i, k) * weight(o, k)
			}
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

// weights returns the weight from input k to output o of W, which is
// transposed in a tied decoder.
func weights(w matrix, transposed bool) func(o, k int) float64 {
	if transposed {
		return func(o, k int) float64 { return w.at(k, o) }
	}
	return w.at
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
	da, dx := d.matrix(a.DA), d.matrix(a.DX)
	weight := weights(d.matrix(a.W), a.Transposed)
	from := d.matrix(a.X)
	if a.InAct.NeedsInput() {
		from = d.matrix(a.InPre)
	}
	for i := range dx.rows {
		for k := range dx.columns {
			sum := 0.0
			for o := range da.columns {
				sum += da.at(i, o) * weight(o, k)
			}
			dx.row(i)[k] = sum * activations[a.InAct].derivative(from.at(i, k))
		}
	}
}

// denseWeightGradient: DW = DAᵀ·X, or Xᵀ·DA where W is transposed.
func (d *Device) denseWeightGradient(a device.DenseBackwardArgs) {
	da, x, dw := d.matrix(a.DA), d.matrix(a.X), d.matrix(a.DW)
	for r := range dw.rows {
		for c := range dw.columns {
			o, k := r, c
			if a.Transposed {
				o, k = c, r
			}
			sum := 0.0
			for i := range da.rows {
				sum += da.at(i, o) * x.at(i, k)
			}
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
		sum := 0.0
		for i := range da.rows {
			sum += da.at(i, o)
		}
		db.data[o] = sum
	}
}
