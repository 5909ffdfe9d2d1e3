//go:build cuda

package gpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/gpu"
	"gpudae/kernels"
)

// TestSharedSumsOfLayers: a layer, its input's gradient and its weights', of which each has so few
// outputs that blocks share the sums: what they leave is the reference's, to 1e-5 of it by the norm, with
// activations, without bias, and where gradients are added to what is there.
func TestSharedSumsOfLayers(t *testing.T) {
	const few, some, many = 24, 130, 1400
	if c := kernels.Choose(kernels.Float32, few, some, many, 4); c.Depth == 0 || kernels.Choose(kernels.Float32, some, few, many, 4).Depth == 0 {
		t.Fatalf("sums are not shared: %+v", c)
	}
	dev := open(t, gpu.Options{})
	defer dev.Close()
	for _, transposed := range []bool{false, true} {
		got, want := sharedSums(t, dev, few, some, many, transposed), sharedSums(t, reference.New(), few, some, many, transposed)
		for name := range want {
			var off, size float64
			for i, w := range want[name] {
				e := float64(got[name][i]) - float64(w)
				off, size = off+e*e, size+float64(w)*float64(w)
			}
			if !(math.Sqrt(off/size) <= 1e-5) {
				t.Errorf("transposed %t: %s is off by %.1e of it", transposed, name, math.Sqrt(off/size))
			}
		}
	}
}

// sharedSums makes the three products on a device, from the same numbers on each.
func sharedSums(t *testing.T, dev device.Device, few, some, many int, transposed bool) map[string][]float32 {
	t.Helper()
	random := rand.New(rand.NewPCG(17, 0))
	view := func(rows, columns int) device.View {
		memory, err := dev.Alloc(device.Float, rows*columns)
		must(t, err)
		values := make([]float32, rows*columns)
		for i := range values {
			values[i] = float32(random.NormFloat64())
		}
		v := device.MatrixOf(memory, 0, rows, columns)
		must(t, dev.Upload(v, values))
		return v
	}
	weights := func(out, in int) device.View {
		if transposed {
			return view(in, out)
		}
		return view(out, in)
	}
	pre, y := view(few, some), view(few, some)
	dev.Dense(device.DenseArgs{X: view(few, many), W: weights(some, many), Transposed: transposed, Act: device.GELU, Pre: pre, Y: y})
	dx := view(few, some)
	dev.DenseBackward(device.DenseBackwardArgs{DA: view(few, many), X: view(few, some), W: weights(many, some), Transposed: transposed, InAct: device.Tanh, DX: dx})
	dw, dbias := weights(few, some), view(1, few)
	dev.DenseBackward(device.DenseBackwardArgs{DA: view(many, few), X: view(many, some), W: weights(few, some), Transposed: transposed, Accumulate: true, DW: dw, DBias: dbias})
	left := map[string][]float32{}
	for i, v := range []device.View{pre, y, dx, dw, dbias} {
		values := make([]float32, v.Len())
		must(t, dev.Download(values, v))
		left[fmt.Sprintf("array %d of pre-activation, output, gradients of input, weights and bias", i+1)] = values
	}
	return left
}
