package main

import (
	"context"
	"math"
	"math/rand/v2"

	"gpudae/data"
	"gpudae/device"
	"gpudae/model"
)

// workload is a row of the table of benchmarks: a model and the data that it
// trains on. A step is a shuffled minibatch, fresh noise, forward, loss against
// the clean examples, backward, and Adam.
type workload struct {
	name, doc  string
	features   int
	hidden     []int
	activation string
	batch      int
	corruption string
	likelihood string
	sparse     bool // data like MNIST's: 8 bits, four fifths zero; otherwise normal deviates
}

// workloads is the table.
func workloads() []workload {
	return []workload{
		{"mnist-mask-b128", "784-1000-784 sigmoid, masking noise", 784, []int{1000}, "sigmoid", 128, "masking:0.3", "bernoulli", true},
		{"mnist-mask-b1024", "the same with large minibatches", 784, []int{1000}, "sigmoid", 1024, "masking:0.3", "bernoulli", true},
		{"mnist-gauss-b128", "784-1000-784 relu, gaussian noise", 784, []int{1000}, "relu", 128, "gaussian:0.3", "bernoulli", true},
		{"deep-b256", "784-1000-500-250-30 relu and back, masking noise", 784, []int{1000, 500, 250, 30}, "relu", 256, "masking:0.3", "bernoulli", true},
		{"tabular-b32", "64-128-16-128-64 relu, gaussian noise, squared error", 64, []int{128, 16}, "relu", 32, "gaussian:0.1", "gaussian:1", false},
		{"wide512", "2048-4096-2048 relu, gaussian noise, squared error", 2048, []int{4096}, "relu", 512, "gaussian:0.1", "gaussian:1", false},
	}
}

// workloadRows is the size of the synthetic data, that of MNIST's training set.
const workloadRows = 60_000

// blackPixels is the fraction of zeros among MNIST's training pixels.
const blackPixels = 0.81

// dae builds the workload's model.
func (w workload) dae() (*model.DAE, error) {
	return model.New(model.Config{Features: w.features, Hidden: w.hidden, Activation: w.activation,
		Corruption: w.corruption, Likelihood: w.likelihood})
}

// table makes the workload's data, or takes those of a data set of as many features.
func (w workload) table(ctx context.Context, d data.Dataset) (device.Table, error) {
	if d != nil && w.sparse {
		matrix, err := data.Table(ctx, d, nil)
		return tableOf(matrix), err
	}
	random := rand.New(rand.NewPCG(1, 2))
	n := workloadRows * w.features
	t := device.Table{Rows: workloadRows, Columns: w.features, Scale: 1}
	if !w.sparse {
		t.Float32 = make([]float32, n)
		for i := range t.Float32 {
			t.Float32[i] = float32(random.NormFloat64())
		}
		return t, nil
	}
	t.Uint8, t.Scale = make([]uint8, n), 1.0/255
	for i := range t.Uint8 {
		if word := random.Uint32(); float64(word>>8)*0x1p-24 >= blackPixels {
			t.Uint8[i] = uint8(1 + word%255)
		}
	}
	return t, nil
}

// widths are the layers' from the input to the output.
func (w workload) widths() []int {
	widths := append([]int{w.features}, w.hidden...)
	for i := len(w.hidden) - 2; i >= 0; i-- {
		widths = append(widths, w.hidden[i])
	}
	return append(widths, w.features)
}

// perFeature brings a minibatch's NLL to the form in which other programs report
// the loss: cross-entropy a feature, or squared error a feature.
func (w workload) perFeature(nll float64) float64 {
	mean := nll / float64(w.features)
	if w.likelihood == "gaussian:1" {
		return 2*mean - math.Log(2*math.Pi)
	}
	return mean
}
