package reference

import (
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/device"
)

// lab places matrices on a device in full precision.
type lab struct {
	*testing.T
	d   *Device
	rng *rand.Rand
}

func newLab(t *testing.T) *lab { return &lab{T: t, d: New(), rng: rand.New(rand.NewPCG(1, 2))} }

// matrix places values, or zeros if there are none.
func (l *lab) matrix(rows, columns int, values ...float64) device.View {
	l.Helper()
	m, err := l.d.Alloc(device.Float, rows*columns)
	if err != nil {
		l.Fatal(err)
	}
	v := device.MatrixOf(m, 0, rows, columns)
	copy(Float64s(v), values)
	return v
}

// random places normal draws.
func (l *lab) random(rows, columns int) device.View {
	l.Helper()
	v := l.matrix(rows, columns)
	for i := range Float64s(v) {
		Float64s(v)[i] = l.rng.NormFloat64()
	}
	return v
}

// awayFromZero places normal draws none of which is near 0, where several
// activations have a kink.
func (l *lab) awayFromZero(rows, columns int) device.View {
	l.Helper()
	v := l.random(rows, columns)
	for i, x := range Float64s(v) {
		Float64s(v)[i] = x + math.Copysign(0.1, x)
	}
	return v
}

func (l *lab) words(values ...uint32) device.Words {
	l.Helper()
	m, err := l.d.Alloc(device.Word, len(values))
	if err != nil {
		l.Fatal(err)
	}
	w := device.WordsOf(m, 0, len(values))
	if err := l.d.UploadWords(w, values); err != nil {
		l.Fatal(err)
	}
	return w
}

// inner is Σ c·y, a scalar whose gradient by y is c.
func inner(c, y device.View) float64 {
	sum := 0.0
	for i, v := range Float64s(c) {
		sum += v * Float64s(y)[i]
	}
	return sum
}

// expectGradient compares an analytic gradient by x with central differences of
// a scalar f, which must be smooth within the step: relative error 1e-6.
func (l *lab) expectGradient(what string, f func() float64, x, gradient device.View) {
	l.Helper()
	at := Float64s(x)
	for i, analytic := range Float64s(gradient) {
		saved := at[i]
		h := 1e-5 * max(1, math.Abs(saved))
		at[i] = saved + h
		above := f()
		at[i] = saved - h
		below := f()
		at[i] = saved
		numeric := (above - below) / (2 * h)
		// Rounding in f leaves an error of its ulp over h.
		tolerance := 1e-6*max(math.Abs(analytic), math.Abs(numeric)) + 1e-15*(1+math.Abs(above))/h
		if !(math.Abs(analytic-numeric) <= tolerance) {
			l.Errorf("%s: derivative %d is %.10g, differences say %.10g", what, i, analytic, numeric)
		}
	}
}

// expectNear compares numbers to a relative and absolute error.
func (l *lab) expectNear(what string, got, want, tolerance float64) {
	l.Helper()
	if !(math.Abs(got-want) <= tolerance*(1+math.Abs(want))) {
		l.Errorf("%s is %.15g, want %.15g", what, got, want)
	}
}
