package reference

import "gpudae/device"

// reductions holds, by kind, the term that a pair (x, y) adds to the sum.
var reductions = [...]func(x, y float64) float64{
	device.Sum:                  func(x, _ float64) float64 { return x },
	device.SumSquares:           func(x, _ float64) float64 { return x * x },
	device.SumSquaredDifference: func(x, y float64) float64 { return (x - y) * (x - y) },
}

// Reduce implements device.Device.
func (d *Device) Reduce(a device.ReduceArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	x, y, out := d.matrix(a.X), d.matrix(a.Y), d.matrix(a.Out)
	if y.data == nil {
		y = x
	}
	rows, columns := 1, len(x.data)
	if a.PerRow {
		rows, columns = x.rows, x.columns
	}
	for i := range rows {
		sum := 0.0
		for e := i * columns; e < (i+1)*columns; e++ {
			sum += reductions[a.Kind](x.data[e], y.data[e])
		}
		out.data[i] = sum
	}
}

// Combine implements device.Device.
func (d *Device) Combine(a device.CombineArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	left, right, dst := d.matrix(a.A), d.matrix(a.B), d.matrix(a.Dst)
	for i := range dst.data {
		sum := 0.0
		if left.data != nil {
			sum += float64(a.Alpha) * left.data[i]
		}
		if right.data != nil {
			sum += float64(a.Beta) * right.data[i]
		}
		dst.data[i] = sum
	}
}
