package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/optim"
)

func (p *program) benchCommand() *cli.Command {
	names := grid{}
	for _, w := range allWorkloads() {
		names.add(w.name, w.doc)
	}
	machine := defaultMachine()
	flags := []cli.Flag{
		&cli.StringSliceFlag{Name: "workload", Category: "Measurement", Usage: "`NAME` a workload, repeatable; the same as an argument"},
		&cli.Float64Flag{Name: "seconds", Category: "Measurement", Usage: "`X` measured time of a workload, after warm-up", Value: 3, DefaultText: "3"},
		&cli.IntFlag{Name: "warmup", Category: "Measurement", Usage: "`N` steps before measuring", Value: 30, DefaultText: "30"},
		&cli.BoolFlag{Name: "ceilings", Category: "Measurement", Usage: "what the device copies and multiplies at best, and what a recorded operation costs, in place of workloads"},
		&cli.BoolFlag{Name: "products", Category: "Measurement", Usage: "the matrix products of the workloads' layers, each by itself, in place of steps"},
		&cli.BoolFlag{Name: "predict", Category: "Prediction", Usage: "count what a step asks of a GPU and predict its time there; measures nothing, needs no GPU"},
		&cli.BoolFlag{Name: "launches", Category: "Prediction", Usage: "with --predict, a line for each launch of a step: how it fills the GPU, and what it waits for"},
		&cli.StringFlag{Name: "gpu", Category: "Prediction", Usage: "`NAME` h100, a100, l4, rtx4090 or b200", DefaultText: "h100"},
		&cli.StringFlag{Name: "data", Category: "Measurement", Usage: "`DATA` 8-bit images for the workloads of 784 features, such as MNIST", DefaultText: "synthetic"},
	}
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure training speed",
		ArgsUsage: "[WORKLOAD...]",
		Description: `Trains each workload (by default those that are not for a GPU) and reports examples a second, the
median of ten windows, with the matrix arithmetic behind it and its share of what
a large matrix product reaches on this machine (products with zeros count as made,
so that sparse data may pass the whole). With --json each workload is an
object on a line of its own.

Workloads:
` + indent(names.left()) + `
Examples:
  gpudae bench
  gpudae bench deep-b256 --seconds 10 --threads 1 --json
  gpudae bench --predict --gpu a100 --precision tf32`,
		Flags:  append(append(flags, flagsOf(machineTable(), &machine)...), outputFlags()...),
		Action: p.bench,
	}
}

// benchJSON is the measurement of one workload.
type benchJSON struct {
	Workload      string  `json:"workload"`
	Layers        []int   `json:"layers"` // widths from the input to the output
	Activation    string  `json:"activation"`
	Batch         int     `json:"batch"`
	Corruption    string  `json:"corruption"`
	Likelihood    string  `json:"likelihood"`
	Framework     string  `json:"framework"`
	Device        string  `json:"device"`
	Description   string  `json:"description"` // of the device, with its instruction sets
	Threads       int     `json:"threads"`
	Precision     string  `json:"precision"`          // of the factors of products
	Gemm          string  `json:"gemm"`               // who makes them on a GPU: own, cublaslt or auto
	SamplesPerS   float64 `json:"samples_per_s"`      // median of the windows
	BestPerS      float64 `json:"best_samples_per_s"` // best window
	StepsPerS     float64 `json:"steps_per_s"`
	GFLOPs        float64 `json:"gflops"`       // matrix products of forward and backward a second, those with zeros included
	PeakGFLOPs    float64 `json:"sgemm_gflops"` // of a large matrix product on the same device, in turn with the windows
	PeakShare     float64 `json:"peak_share"`
	AllocsPerStep float64 `json:"allocs_per_step"`
	PeakRSS       float64 `json:"peak_rss_mb"`
	Startup       float64 `json:"startup_s"` // until the end of the first step, data included
	WarmupLoss    float64 `json:"warmup_loss"`
}

type benchOptions struct {
	seconds float64
	warmup  int
	data    data.Dataset // nil: synthetic
	machine machineSettings
	origins settings.Origins
	console *console
}

func (p *program) bench(c *cli.Context) error {
	names, table := append(c.Args().Slice(), c.StringSlice("workload")...), workloads()
	if c.Bool("predict") || len(names) > 0 {
		table = allWorkloads()
	}
	chosen, err := chooseWorkloads(table, names)
	if err != nil {
		return err
	}
	if c.Bool("predict") {
		return p.predictBench(c, chosen)
	}
	for _, flag := range []string{"gpu", "launches"} {
		if c.IsSet(flag) {
			return usage("--"+flag, "has no meaning without --predict", "add --predict, or leave it out")
		}
	}
	o := &benchOptions{seconds: c.Float64("seconds"), warmup: c.Int("warmup"), console: newConsole(p.stderr, c.Bool("quiet"))}
	if !(o.seconds > 0 && o.seconds < 1e6) {
		return usage("--seconds", fmt.Sprintf("%g seconds", o.seconds), "give a positive number")
	}
	if o.warmup < 1 {
		return usage("--warmup", fmt.Sprintf("%d steps", o.warmup), "give at least 1")
	}
	if o.machine, o.origins, err = p.machineOf(c); err != nil {
		return err
	}
	if err := checkMachine(o.machine, o.origins); err != nil {
		return err
	}
	if c.Bool("ceilings") {
		return p.ceilings(c.Context, o, c.Bool("json"))
	}
	if c.Bool("products") {
		if o.machine.Gemm == gemmAuto {
			return usage(origin(o.origins, "gemm"), "auto has no meaning with --products", "give cublaslt, which times our own kernels too")
		}
		return p.products(c.Context, o, chosen, c.Bool("json"))
	}
	if path := c.String("data"); path != "" {
		if o.data, err = p.open(c.Context, path, inputOptions{header: auto}); err != nil {
			return err
		}
		defer o.data.Close()
	}
	return p.benchAll(c.Context, o, chosen, c.Bool("json"))
}

// predictBench reads the flags of a prediction.
func (p *program) predictBench(c *cli.Context, chosen []workload) error {
	for _, flag := range []string{"seconds", "warmup", "data", "device", "threads", "gemm", "products", "ceilings"} {
		if c.IsSet(flag) {
			return usage("--"+flag, "has no meaning with --predict", "leave one of them out")
		}
	}
	name := c.String("gpu")
	if name == "" {
		name = "h100"
	}
	g, err := gpuNamed(name)
	if err != nil {
		return err
	}
	machine, _, err := p.machineOf(c)
	if err != nil {
		return err
	}
	return p.predictSteps(c.Context, g, classNamed(machine.Precision), chosen, c.Bool("json"), c.Bool("launches"))
}

func (p *program) benchAll(ctx context.Context, o *benchOptions, chosen []workload, asJSON bool) error {
	results := grid{{"workload", "samples/s", "best", "GFLOP/s", "of SGEMM", "allocs/step", "peak MB", "start s", "loss"}}
	began := p.began
	collectEarly()
	for _, w := range chosen {
		r, err := o.measure(ctx, w, began)
		if err != nil {
			return err
		}
		if asJSON {
			text, err := json.Marshal(r)
			if err != nil {
				return err
			}
			if err := p.printText(string(text) + "\n"); err != nil {
				return err
			}
		}
		o.console.logf("%s: %.0f samples/s", w.name, r.SamplesPerS)
		results.add(w.name, fmt.Sprintf("%.0f", r.SamplesPerS), fmt.Sprintf("%.0f", r.BestPerS), fmt.Sprintf("%.1f", r.GFLOPs),
			percent(r.PeakShare), fmt.Sprintf("%.1f", r.AllocsPerStep), fmt.Sprintf("%.0f", r.PeakRSS), fmt.Sprintf("%.2f", r.Startup), fmt.Sprintf("%.4f", r.WarmupLoss))
		debug.FreeOSMemory() // of this workload, so that the next one's peak is its own
		began = time.Now()
	}
	if asJSON {
		return nil
	}
	return p.printText(results.String())
}

func chooseWorkloads(table []workload, names []string) ([]workload, error) {
	if len(names) == 0 {
		return table, nil
	}
	var all []string
	for _, w := range table {
		all = append(all, w.name)
	}
	var chosen []workload
	for _, name := range names {
		i := slices.Index(all, name)
		if i < 0 {
			return nil, usage("bench", "unknown workload "+quoted(name), settings.Suggest(name, all, "")+"choose from "+strings.Join(all, ", "))
		}
		chosen = append(chosen, table[i])
	}
	return chosen, nil
}

// measure runs a workload; began is when the time to the first step started.
func (o *benchOptions) measure(ctx context.Context, w workload, began time.Time) (*benchJSON, error) {
	resetPeakMemory()
	dev, err := openDevice(o.machine, o.origins, o.console.once)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	table, err := w.table(ctx, dev, o.data)
	if err != nil {
		return nil, err
	}
	if table.Columns != w.features {
		return nil, usage("--data", fmt.Sprintf("%d features in an example, %s needs %d", table.Columns, w.name, w.features), "give 28x28 images, or leave it out")
	}
	s, err := newStepper(ctx, dev, w, table)
	if err != nil {
		return nil, err
	}
	r := &benchJSON{Workload: w.name, Layers: w.widths(), Activation: w.activation, Batch: w.batch, Corruption: w.corruption, Likelihood: w.likelihood,
		Framework: "gpudae", Device: dev.Info().Name, Description: dev.Info().Description, Threads: dev.Info().Threads, Precision: o.machine.Precision, Gemm: o.machine.Gemm}
	if err := s.steps(ctx, 1); err != nil {
		return nil, err
	}
	r.Startup = time.Since(began).Seconds()
	if err := s.steps(ctx, o.warmup-1); err != nil {
		return nil, err
	}
	if r.WarmupLoss, err = s.loss(); err != nil {
		return nil, err
	}
	r.WarmupLoss = w.perFeature(r.WarmupLoss)
	peak, err := newPeak(dev)
	if err != nil {
		return nil, err
	}
	if err := s.windows(ctx, o.seconds, peak, r); err != nil {
		return nil, err
	}
	r.StepsPerS = r.SamplesPerS / float64(w.batch)
	r.GFLOPs = r.SamplesPerS * float64(s.net.DAE().FLOPs(true)) / 1e9
	r.PeakRSS = float64(peakMemory()) / 1e6
	r.PeakGFLOPs = peak.gflops
	r.PeakShare = r.GFLOPs / r.PeakGFLOPs
	return r, nil
}

// stepper makes optimiser steps of a workload, one epoch after the other.
type stepper struct {
	dev      device.Device
	workload workload
	net      *model.Net
	program  device.Program
	clock    device.Words
	epoch    int
	made     int // steps in the epoch
	perEpoch int
}

func newStepper(ctx context.Context, dev device.Device, w workload, table device.Table) (*stepper, error) {
	dae, err := w.dae()
	if err != nil {
		return nil, err
	}
	s := &stepper{dev: dev, workload: w, perEpoch: table.Rows / w.batch}
	dataset, err := dev.Load(ctx, table)
	if err != nil {
		return nil, err
	}
	if s.net, err = model.Bind(dev, dae, model.Binding{Examples: w.batch, Training: true}); err != nil {
		return nil, err
	}
	if err := s.net.SetParameters(dae.InitialParameters(1), dae.InitialBuffers()); err != nil {
		return nil, err
	}
	return s, s.record(dataset, table.Rows)
}

// benchRate is the learning rate of all workloads.
const benchRate = 1e-3

// record records the step: gradient, Adam, clock.
func (s *stepper) record(dataset device.Dataset, rows int) error {
	rule, err := optim.ParseRule("adam")
	if err != nil {
		return err
	}
	state, err := optim.NewState(s.dev, rule, s.net.DAE().ParameterCount(), 0)
	if err != nil {
		return err
	}
	clock, err := s.dev.Alloc(device.Word, device.ClockWords)
	if err != nil {
		return err
	}
	rates, err := s.dev.Alloc(device.Float, s.perEpoch)
	if err != nil {
		return err
	}
	s.clock = device.WordsOf(clock, 0, device.ClockWords)
	loss, gradSq := s.net.Values, s.net.Values
	loss.Columns, gradSq.Columns = 1, 1
	gradSq.Offset++
	step := optim.Step{Params: s.net.Params, Grads: s.net.Grads, GradSq: gradSq, Loss: loss,
		Rates: device.MatrixOf(rates, 0, 1, s.perEpoch), Clock: s.clock, Decayed: s.net.DAE().DecayedCount()}
	if err := s.dev.Upload(step.Rates, slices.Repeat([]float32{benchRate}, s.perEpoch)); err != nil {
		return err
	}
	src := model.Source{Data: dataset, Part: device.Rows{Hi: rows}, Shuffle: true, Seed: 1, Clock: s.clock}
	s.program, err = s.dev.Record(func() {
		s.net.Gradient(src, s.workload.batch)
		state.Apply(s.dev, step)
		s.dev.Tick(device.TickArgs{Clock: s.clock, Rows: s.workload.batch})
	})
	if err != nil {
		return err
	}
	return s.dev.UploadWords(s.clock, device.Clock{}.Words())
}

// steps makes n steps and waits for them.
func (s *stepper) steps(ctx context.Context, n int) error {
	for range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.made == s.perEpoch {
			s.epoch, s.made = s.epoch+1, 0
			clock := device.Clock{Step: uint64(s.epoch * s.perEpoch), Epoch: uint32(s.epoch)}
			if err := s.dev.UploadWords(s.clock, clock.Words()); err != nil {
				return err
			}
		}
		if err := s.program(); err != nil {
			return err
		}
		s.made++
	}
	return s.dev.Sync()
}

// loss is that of the last minibatch, in nats an example.
func (s *stepper) loss() (float64, error) {
	values := make([]float32, s.net.Values.Len())
	err := s.dev.Download(values, s.net.Values)
	return float64(values[0]), err
}

// windowCount is the number of windows whose median counts.
const windowCount = 10

// windows times the steps, in turn with large matrix products: what a busy
// machine takes from the one it takes from the other.
func (s *stepper) windows(ctx context.Context, seconds float64, peak *peak, r *benchJSON) error {
	perWindow := 0
	for began := time.Now(); time.Since(began).Seconds() < seconds/windowCount; perWindow++ {
		if err := s.steps(ctx, 1); err != nil {
			return err
		}
	}
	var memory runtime.MemStats
	allocations := func() uint64 {
		runtime.ReadMemStats(&memory)
		return memory.Mallocs
	}
	rates, allocs := make([]float64, windowCount), make([]float64, windowCount)
	for i := range rates {
		if err := peak.measure(); err != nil {
			return err
		}
		before := allocations()
		began := time.Now()
		if err := s.steps(ctx, perWindow); err != nil {
			return err
		}
		rates[i] = float64(perWindow*s.workload.batch) / time.Since(began).Seconds()
		allocs[i] = float64(allocations()-before) / float64(perWindow)
	}
	r.SamplesPerS, r.BestPerS = median(rates), slices.Max(rates)
	r.AllocsPerStep = math.Round(10*median(allocs)) / 10 // the runtime's own, where a thread had to wait, are in some windows
	return nil
}

// median is the median of the windows.
func median(windows []float64) float64 {
	sorted := slices.Sorted(slices.Values(windows))
	return (sorted[windowCount/2-1] + sorted[windowCount/2]) / 2
}

// sgemmSize is the size of the matrix product that counts as the device's peak, or a
// smaller one that takes sgemmSeconds, which is how long it is repeated at a time.
const (
	sgemmSize    = 1024
	sgemmSeconds = 0.02
)

// peak is the best rate of large square matrix products.
type peak struct {
	square
	gflops float64
}

func newPeak(dev device.Device) (*peak, error) {
	return grown(leastSide, sgemmSize, sgemmSeconds, func(side int) (*peak, float64, error) {
		product, err := newSquare(dev, side)
		if err != nil {
			return nil, 0, err
		}
		p := &peak{square: product}
		err = p.measure()
		return p, p.operations() / p.gflops / 1e9, err
	})
}

// measure repeats the product for a while; its best time so far counts.
func (p *peak) measure() error {
	for spent := 0.0; spent < sgemmSeconds; {
		began := time.Now()
		p.dev.Dense(p.args)
		if err := p.dev.Sync(); err != nil {
			return err
		}
		took := time.Since(began).Seconds()
		p.gflops, spent = max(p.gflops, p.operations()/took/1e9), spent+took
	}
	return nil
}
