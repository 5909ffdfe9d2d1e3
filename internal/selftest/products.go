package selftest

import (
	"context"
	"fmt"
	"math/rand/v2"

	"gpudae/device"
)

// shape is that of an m×n matrix, the product of an m×k and a k×n one.
type shape struct{ m, n, k int }

// products multiply matrices of some shapes.
func products(shapes []shape) []check {
	var all []check
	for _, s := range shapes {
		all = append(all, check{s.String(), s.multiply})
	}
	return all
}

// thin shapes are such that a GPU of up to 192 multiprocessors, which gives each at
// least one tile if it can and leaves no tile half empty, takes tiles of 32×32,
// 64×64 and 128×128 for them. Their sums are short: it is by the outer dimensions that a
// device divides the work.
func thin() []shape { return []shape{{20, 24, 5}, {60, 191*64 + 1, 5}, {11*128 + 1, 15*128 + 1, 5}} }

// deep shapes are the same for a GPU of at least 4 multiprocessors, with extents and
// work enough for its tensor cores: a panel of theirs and a part.
func deep() []shape {
	return []shape{{60, 70, 961}, {60, 191*64 + 1, 19}, {11*128 + 1, 15*128 + 1, 19}}
}

// String names the product.
func (s shape) String() string { return fmt.Sprintf("products of %d×%d with %d terms", s.m, s.n, s.k) }

// multiply computes each product of a dense layer with a result of this shape:
// forward, the gradient of the input and that of the weights, with weights as they
// are and transposed.
func (s shape) multiply(_ context.Context, dev device.Device) ([]array, error) {
	left, err := random(dev, s.m*s.k, 1)
	if err != nil {
		return nil, err
	}
	right, err := random(dev, s.n*s.k, 2)
	if err != nil {
		return nil, err
	}
	source, err := random(dev, s.m*s.n, 3)
	if err != nil {
		return nil, err
	}
	memory, err := dev.Alloc(device.Float, s.m*s.n)
	if err != nil {
		return nil, err
	}
	out := device.MatrixOf(memory, 0, s.m, s.n)
	source = source.Reshape(s.m, s.n)
	x, byInput, byOutput := left.Reshape(s.m, s.k), right.Reshape(s.n, s.k), right.Reshape(s.k, s.n)
	var all []array
	for _, product := range []struct {
		name string
		run  func()
	}{
		{"outputs", func() { dev.Dense(device.DenseArgs{X: x, W: byInput, Act: device.Tanh, Y: out}) }},
		{"outputs of transposed weights", func() { dev.Dense(device.DenseArgs{X: x, W: byOutput, Transposed: true, Act: device.Tanh, Y: out}) }},
		{"gradients of the input", func() {
			dev.DenseBackward(device.DenseBackwardArgs{DA: x, X: source, W: byOutput, InAct: device.Tanh, DX: out})
		}},
		{"gradients of the input of transposed weights", func() {
			dev.DenseBackward(device.DenseBackwardArgs{DA: x, X: source, W: byInput, Transposed: true, InAct: device.Tanh, DX: out})
		}},
		{"gradients of the weights", func() {
			dev.DenseBackward(device.DenseBackwardArgs{DA: left.Reshape(s.k, s.m), X: byOutput, W: source, DW: out})
		}},
	} {
		product.run()
		if all, err = download(all, dev, product.name, out); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// random uploads n numbers in [-1, 1).
func random(dev device.Device, n int, stream uint64) (device.View, error) {
	memory, err := dev.Alloc(device.Float, n)
	if err != nil {
		return device.View{}, err
	}
	rng := rand.New(rand.NewPCG(seed, stream))
	values := make([]float32, n)
	for i := range values {
		values[i] = 2*rng.Float32() - 1
	}
	v := device.MatrixOf(memory, 0, 1, n)
	return v, dev.Upload(v, values)
}
