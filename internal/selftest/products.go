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

// thin shapes are such that a GPU, which takes the tile that leaves the fewest of its multiprocessors
// without work, takes tiles of 32×32, 64×64 and 128×128 for them: the last, one of three on GPUs of 46, 58,
// 72, 108, 128, 132, 142, 148, 170, 188 and 192 multiprocessors among others. Their sums are short: it is by
// the outer dimensions that a device divides the work.
func thin() []shape { return append([]shape{{20, 24, 5}, {60, 191*64 + 1, 5}}, wide(5)...) }

// wide shapes have 108, 128 and 180 tiles of 128×128.
func wide(k int) []shape {
	return []shape{{9*128 - 63, 12*128 - 63, k}, {8*128 - 1, 16*128 - 1, k}, {12*128 - 63, 15*128 - 63, k}}
}

// deep shapes are the same for a GPU of at least 4 multiprocessors, with extents and
// work enough for its tensor cores: a panel of theirs and a part. The sums of the first are long, and so
// shared among blocks.
func deep() []shape {
	return append([]shape{{30, 130, 1100}, {60, 191*64 + 1, 19}}, wide(19)...)
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
