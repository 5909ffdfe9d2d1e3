package main

import (
	"context"
	"fmt"

	"gpudae/device"
)

// A program that is timed makes a product at most so often, and is repeated for so long.
const (
	mostRepeated   = 64
	productSeconds = 0.03
)

// productTimeJSON is the speed of a matrix product of a dense layer.
type productTimeJSON struct {
	Product   string  `json:"product"` // batch×in×out/which, as bench/peers name it
	Device    string  `json:"device"`
	Threads   int     `json:"threads"`
	Precision string  `json:"precision"` // of the factors
	Gemm      string  `json:"gemm"`      // own, or cublaslt
	Micros    float64 `json:"us"`
	GFLOPs    float64 `json:"gflops"`
}

// layerShape is a dense layer with a minibatch.
type layerShape struct{ batch, in, out int }

// shapesOf are the layers of workloads, each once.
func shapesOf(chosen []workload) []layerShape {
	var all []layerShape
	seen := map[layerShape]bool{}
	for _, w := range chosen {
		widths := w.widths()
		for i := range widths[1:] {
			s := layerShape{w.batch, widths[i], widths[i+1]}
			if !seen[s] {
				all = append(all, s)
			}
			seen[s] = true
		}
	}
	return all
}

// products measures the matrix products of the workloads' layers by themselves, with --gemm cublaslt by our kernels and by
// cuBLASLt: the quickest of many runs of a program that makes one again and again.
func (p *program) products(ctx context.Context, o *benchOptions, chosen []workload, asJSON bool) error {
	results := grid{{"product", "by", "µs", "GFLOP/s"}}
	for _, s := range shapesOf(chosen) {
		rows, err := o.timeProductsOf(ctx, s)
		if err != nil {
			return err
		}
		for _, r := range rows {
			results.add(r.Product, r.Gemm, fmt.Sprintf("%.2f", r.Micros), fmt.Sprintf("%.1f", r.GFLOPs))
			if !asJSON {
				continue
			}
			if err := p.printJSON(r); err != nil {
				return err
			}
		}
	}
	if asJSON {
		return nil
	}
	return p.printText(results.String())
}

// timeProductsOf times the products of a layer by all who are asked for.
func (o *benchOptions) timeProductsOf(ctx context.Context, s layerShape) ([]productTimeJSON, error) {
	machine := o.machine
	machine.Gemm = gemmOwn
	rows, err := o.timeProducts(ctx, s, machine)
	if err != nil || o.machine.Gemm == gemmOwn {
		return rows, err
	}
	others, err := o.timeProducts(ctx, s, o.machine)
	return append(rows, others...), err
}

// timeProducts times the three products of a layer on a device of their own.
func (o *benchOptions) timeProducts(ctx context.Context, s layerShape, machine machineSettings) ([]productTimeJSON, error) {
	dev, err := openDevice(machine, o.origins, o.console.once)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	views := map[string]device.View{}
	for name, shape := range map[string][2]int{"x": {s.batch, s.in}, "w": {s.out, s.in}, "y": {s.batch, s.out}, "dx": {s.batch, s.in}, "dw": {s.out, s.in}} {
		made, err := vectors(dev, 1, shape[0], shape[1])
		if err != nil {
			return nil, err
		}
		views[name] = made[0]
	}
	x, w, y := views["x"], views["w"], views["y"]
	var rows []productTimeJSON
	for _, product := range []struct {
		name string
		make func()
	}{
		{"forward", func() { dev.Dense(device.DenseArgs{X: x, W: w, Y: y}) }},
		{"input grad", func() { dev.DenseBackward(device.DenseBackwardArgs{DA: y, X: x, W: w, DX: views["dx"]}) }},
		{"weight grad", func() { dev.DenseBackward(device.DenseBackwardArgs{DA: y, X: x, W: w, DW: views["dw"]}) }},
	} {
		seconds, err := repeatedSeconds(ctx, dev, product.make)
		if err != nil {
			return nil, err
		}
		flops := 2 * float64(s.batch) * float64(s.in) * float64(s.out)
		rows = append(rows, productTimeJSON{Product: fmt.Sprintf("%dx%dx%d/%s", s.batch, s.in, s.out, product.name), Device: dev.Info().Name,
			Threads: dev.Info().Threads, Precision: machine.Precision, Gemm: machine.Gemm, Micros: 1e6 * seconds, GFLOPs: flops / seconds / 1e9})
	}
	return rows, nil
}

// repeatedSeconds is the time of an operation among others of its kind, in a program of as many
// as take long enough.
func repeatedSeconds(ctx context.Context, dev device.Device, operation func()) (float64, error) {
	return grown(1, mostRepeated, longEnough, func(n int) (each, seconds float64, err error) {
		program, err := dev.Record(func() {
			for range n {
				operation()
			}
		})
		if err != nil {
			return 0, 0, err
		}
		seconds, err = fastestRun(ctx, dev, productSeconds, program)
		return seconds / float64(n), seconds, err
	})
}
