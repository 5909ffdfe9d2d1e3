package main

import (
	"context"
	"math"
	"math/rand/v2"

	"gpudae/data"
	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/kernels"
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
	class      kernels.Class
	decoder    string // hidden layers of the decoder, where it does not mirror the encoder
	noise      string // levels of a score net, in place of a corruption
}

// workloads is the table.
func workloads() []workload {
	return []workload{
		{"mnist-mask-b128", "784-1000-784 sigmoid, masking noise", 784, []int{1000}, "sigmoid", 128, "masking:0.3", "bernoulli", true, kernels.Float32, "", ""},
		{"mnist-mask-b1024", "the same with large minibatches", 784, []int{1000}, "sigmoid", 1024, "masking:0.3", "bernoulli", true, kernels.Float32, "", ""},
		{"mnist-gauss-b128", "784-1000-784 relu, gaussian noise", 784, []int{1000}, "relu", 128, "gaussian:0.3", "bernoulli", true, kernels.Float32, "", ""},
		{"deep-b256", "784-1000-500-250-30 relu and back, masking noise", 784, []int{1000, 500, 250, 30}, "relu", 256, "masking:0.3", "bernoulli", true, kernels.Float32, "", ""},
		{"tabular-b32", "64-128-16-128-64 relu, gaussian noise, squared error", 64, []int{128, 16}, "relu", 32, "gaussian:0.1", "gaussian:1", false, kernels.Float32, "", ""},
		{"wide512", "2048-4096-2048 relu, gaussian noise, squared error", 2048, []int{4096}, "relu", 512, "gaussian:0.1", "gaussian:1", false, kernels.Float32, "", ""},
	}
}

// allWorkloads adds those for a GPU, which are measured where they are named.
func allWorkloads() []workload {
	return append(workloads(),
		workload{"d8192", "4096-16384-4096 relu, gaussian noise, squared error, for a GPU with --precision bf16", 4096, []int{16384}, "relu", 8192, "gaussian:0.1", "gaussian:1", false, kernels.BFloat16, "", ""},
		workload{"score-b512", "score net 2-128-128-2 relu, noise of ten levels, for a GPU", 2, []int{128, 128}, "relu", 512, "none", "gaussian:1", false, kernels.Float32, model.DecoderBare, "geometric:0.1,2,10"})
}

// workloadRows is the size of the synthetic data, that of MNIST's training set.
const workloadRows = 60_000

// blackPixels is the fraction of zeros among MNIST's training pixels.
const blackPixels = 0.81

// dae builds the workload's model.
func (w workload) dae() (*model.DAE, error) {
	c := model.Config{Features: w.features, Hidden: w.hidden, DecoderHidden: w.decoder, Activation: w.activation,
		Corruption: w.corruption, Likelihood: w.likelihood}
	if w.noise != "" {
		c.Objective, c.Score = model.ObjectiveDSM, model.Score{Noise: w.noise, Embedding: "none"}
	}
	return model.New(c)
}

// table makes the workload's data, or takes those of a data set of as many features.
func (w workload) table(ctx context.Context, dev device.Device, d data.Dataset) (device.Table, error) {
	if d != nil && w.sparse {
		matrix, err := data.Table(ctx, d, nil)
		return tableOf(matrix), err
	}
	t := device.Table{Rows: workloadRows, Columns: w.features, Scale: 1}
	if !w.sparse {
		t.Float32 = make([]float32, workloadRows*w.features)
		return t, normalDeviates(ctx, dev, t.Float32, w.features)
	}
	random := rand.New(rand.NewPCG(1, 2))
	t.Uint8, t.Scale = make([]uint8, workloadRows*w.features), 1.0/255
	for i := range t.Uint8 {
		if word := random.Uint32(); float64(word>>8)*0x1p-24 >= blackPixels {
			t.Uint8[i] = uint8(1 + word%255)
		}
	}
	return t, nil
}

// deviatesAtOnce is the number of rows that normalDeviates draws at a time.
const deviatesAtOnce = 64

// normalDeviates fills rows with standard normal deviates: what the device's
// Gaussian corruption makes of zeros.
func normalDeviates(ctx context.Context, dev device.Device, rows []float32, columns int) error {
	var views [3]device.View
	for i := range views {
		memory, err := dev.Alloc(device.Float, deviatesAtOnce*columns)
		if err != nil {
			return err
		}
		views[i] = device.MatrixOf(memory, 0, deviatesAtOnce, columns)
	}
	index, err := dev.Alloc(device.Word, device.IndexWords(deviatesAtOnce))
	if err != nil {
		return err
	}
	numbers := make([]uint32, device.IndexWords(deviatesAtOnce))
	for first := 0; len(rows) > 0; first += deviatesAtOnce {
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range deviatesAtOnce {
			numbers[i] = uint32(first + i)
		}
		words := device.WordsOf(index, 0, len(numbers))
		if err := dev.UploadWords(words, numbers); err != nil {
			return err
		}
		dev.Corrupt(device.CorruptArgs{Kind: device.CorruptGaussian, Amount: 1, From: views[0], To: views[1], Mask: views[2],
			Seed: 1, Stream: philox.StreamData, Replicates: 1, Index: words})
		n := min(len(rows), views[1].Len())
		if err := dev.Download(rows[:n], views[1].Top(n/columns)); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// widths are the layers' from the input to the output.
func (w workload) widths() []int {
	widths := append([]int{w.features}, w.hidden...)
	if w.decoder != model.DecoderBare {
		for i := len(w.hidden) - 2; i >= 0; i-- {
			widths = append(widths, w.hidden[i])
		}
	}
	return append(widths, w.features)
}

// perFeature brings a minibatch's NLL to the form in which other programs report
// the loss: cross-entropy a feature, or squared error a feature; of a score net it is the objective's own.
func (w workload) perFeature(nll float64) float64 {
	mean := nll / float64(w.features)
	if w.noise == "" && w.likelihood == "gaussian:1" {
		return 2*mean - math.Log(2*math.Pi)
	}
	return mean
}
