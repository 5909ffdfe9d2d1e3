//go:build cuda

package gpu_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gpudae/cuda/cudatest"
	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/gpu"
	"gpudae/gpu/smallnet"
	"gpudae/kernels"
	"gpudae/model"
	"gpudae/optim"
	"gpudae/train"
)

// smallCase is a run of a small net.
type smallCase struct {
	name   string
	model  model.Config
	table  func(t *testing.T) device.Table
	change func(c *train.Config)
	near   bool // where the order of additions reaches the parameters: by clipping
}

// TestSmallNetsAreStrict: all products of a small net are such in a graph as SmallNet makes.
func TestSmallNetsAreStrict(t *testing.T) {
	if smallnet.MostProducts > 2*kernels.MostStrict { // a layer's weights are in two products or three
		t.Errorf("a small net makes up to %d multiplications, and products of more than %d are on tensor cores", smallnet.MostProducts, kernels.MostStrict)
	}
}

// wave is a table of float32 with that many columns.
func wave(rows, columns int) func(t *testing.T) device.Table {
	return func(*testing.T) device.Table {
		table := device.Table{Rows: rows, Columns: columns}
		for i := range rows * columns {
			table.Float32 = append(table.Float32, float32(math.Sin(float64(i*i%1009)))+float32(i%columns)/8)
		}
		return table
	}
}

func someDigits(t *testing.T) device.Table { return digits(t, 90) }

func smallCases() []smallCase {
	adam := func(*train.Config) {}
	rule := func(spec string) func(*train.Config) { return func(c *train.Config) { c.Optimizer = spec } }
	return []smallCase{
		{"two layers", model.Config{Hidden: []int{12}, Corruption: "masking:0.3", Likelihood: "gaussian"}, wave(70, 9), adam, false},
		{"deep, adamw, average", model.Config{Hidden: []int{24, 10, 3}, Activation: "gelu", Corruption: "gaussian:0.2+masking:0.2", Likelihood: "gaussian:0.5"}, wave(70, 10),
			func(c *train.Config) { c.Optimizer, c.EMA = "adamw:decay=0.1", 0.9 }, false},
		{"bytes, emphasis, sgd", model.Config{Hidden: []int{20, 7}, Activation: "sigmoid", Corruption: "salt-and-pepper:0.3", Likelihood: "bernoulli",
			Emphasis: model.Emphasis{Destroyed: 1, Untouched: 0.25}}, someDigits, rule("sgd:nesterov"), false},
		{"swap, rmsprop", model.Config{Hidden: []int{16}, Activation: "tanh", CodeActivation: "identity", Corruption: "swap:0.3", Likelihood: "gaussian-learned"}, wave(66, 6), rule("rmsprop:decay=0.01"), false},
		{"rows of bytes, adagrad", model.Config{Hidden: []int{16}, Activation: "silu", Corruption: "swap-rows:0.3+speckle:0.1", Likelihood: "bernoulli"}, someDigits, rule("adagrad"), false},
		{"replicates, elu", model.Config{Hidden: []int{5, 5}, Activation: "elu", Corruption: "uniform:0.3+span:0.2", Likelihood: "gaussian", Replicates: 3}, wave(40, 7), adam, false},
		{"counts, softplus", model.Config{Hidden: []int{8}, Activation: "softplus", Corruption: "poisson:3", Likelihood: "poisson"}, func(t *testing.T) device.Table {
			table := someDigits(t)
			table.Scale = 0.5
			return table
		}, adam, false},
		{"nothing corrupted, leaky", model.Config{Hidden: []int{13, 3, 13}, Activation: "leaky-relu", Likelihood: "gaussian"}, wave(50, 5), adam, false},
		{"wide", model.Config{Hidden: []int{128, 16}, Activation: "silu", Corruption: "masking:0.25", Likelihood: "gaussian"}, wave(110, 64), func(c *train.Config) { c.Batch = 32 }, false},
		{"wide, relu", model.Config{Hidden: []int{95, 21}, Corruption: "gaussian:0.3", Likelihood: "gaussian"}, wave(100, 61), func(c *train.Config) { c.Batch, c.Epochs = 45, 1 }, false},
		{"clipped", model.Config{Hidden: []int{12}, Corruption: "masking:0.3", Likelihood: "gaussian:0.1"}, wave(70, 9), func(c *train.Config) { c.Clip = 0.5 }, true},
		{"spikes", model.Config{Hidden: []int{12}, Corruption: "masking:0.3", Likelihood: "gaussian"}, wave(150, 9), func(c *train.Config) { c.SkipSpikes, c.Batch, c.Epochs, c.LR = 1.05, 8, 5, 1e-5 }, false},
	}
}

// run trains on a device and says how the steps ran.
func (c *smallCase) run(t *testing.T, dev device.Device) *train.Result {
	t.Helper()
	config := train.DefaultConfig()
	config.Epochs, config.Batch, config.LR = 2, 20, 0.01 // a tail of other size
	c.change(&config)
	table := c.table(t)
	c.model.Features = table.Columns
	dae, err := model.New(c.model)
	if err != nil {
		t.Fatal(err)
	}
	result, err := train.Run(t.Context(), train.Job{Device: dev, Model: dae, Config: config, Table: table})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// compare holds a run against another: the same parameters bit for bit, unless clipping makes them
// depend on the order of additions, losses and norms up to that order, and as many skipped steps.
func (c *smallCase) compare(t *testing.T, got, want *train.Result, other string) {
	t.Helper()
	if i := firstDifference(got.Params, want.Params); i >= 0 && !c.near {
		t.Errorf("parameter %d is %g, %s %g", i, got.Params[i], other, want.Params[i])
	}
	for i, row := range want.History {
		near(t, fmt.Sprintf("loss of epoch %d", i+1), got.History[i].TrainLoss, row.TrainLoss)
		near(t, fmt.Sprintf("validation of epoch %d", i+1), got.History[i].ValLoss, row.ValLoss)
		near(t, fmt.Sprintf("norm of epoch %d", i+1), got.History[i].GradNorm, row.GradNorm)
	}
	if got.Skipped != want.Skipped || c.name == "spikes" && got.Skipped == 0 {
		t.Errorf("%d steps skipped, %s %d", got.Skipped, other, want.Skipped)
	}
}

// TestSmallNetIsTheGraph: the strict kernel of a small net leaves the parameters that the
// kernels of a graph leave, bit for bit, and their losses up to the order of additions.
func TestSmallNetIsTheGraph(t *testing.T) {
	for _, c := range smallCases() {
		t.Run(c.name, func(t *testing.T) {
			graph := open(t, gpu.Options{Class: kernels.Strict, Graphs: true})
			defer graph.Close()
			want := c.run(t, graph)
			dev := open(t, gpu.Options{Class: kernels.Strict})
			defer dev.Close()
			got := c.run(t, dev)
			if how := dev.RecordedAs(); !strings.HasPrefix(how, "one kernel for many steps, small_net in ") {
				t.Fatal(how)
			}
			c.compare(t, got, want, "by the graph")
		})
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	within(t, what, got, want, 1e-5)
}

func within(t *testing.T, what string, got, want, relative float64) {
	t.Helper()
	if !(math.Abs(got-want) <= relative*math.Abs(want)) {
		t.Errorf("%s: %.9g, want %.9g", what, got, want)
	}
}

// netClass is a class with a kernel of small nets on tensor cores, and how far losses and
// gradients may be from those of strict.
type netClass struct {
	class          kernels.Class
	kernel         kernels.ID
	loss, gradient float64
}

// netClasses are those of auto-encoders.
var netClasses = []netClass{
	{kernels.Float32, kernels.SmallNetBF16x3, 1e-4, 1e-5},
	{kernels.TF32, kernels.SmallNetBF16x3, 1e-3, 1e-3},
	{kernels.BFloat16, kernels.SmallNetBF16, 1e-2, 1e-2},
}

// TestSmallNetFollowsTheReference: in each class the loss curves are the reference's.
func TestSmallNetFollowsTheReference(t *testing.T) {
	followTheReference(t, smallCases(), netClasses)
}

// followTheReference trains each net in each class, in the kernel of the class, and on the reference.
func followTheReference(t *testing.T, cases []smallCase, classes []netClass) {
	for _, c := range cases {
		want := c.run(t, reference.New())
		for _, class := range classes {
			t.Run(fmt.Sprintf("%s, %s", c.name, class.class), func(t *testing.T) {
				dev := open(t, gpu.Options{Class: class.class})
				defer dev.Close()
				got := c.run(t, dev)
				if how := dev.RecordedAs(); !strings.HasPrefix(how, fmt.Sprintf("one kernel for many steps, %s in ", class.kernel)) {
					t.Fatal(how)
				}
				for i, row := range want.History {
					within(t, fmt.Sprintf("loss of epoch %d", i+1), got.History[i].TrainLoss, row.TrainLoss, class.loss)
					within(t, fmt.Sprintf("norm of epoch %d", i+1), got.History[i].GradNorm, row.GradNorm, 10*class.loss)
					if !math.IsNaN(row.ValLoss) {
						within(t, fmt.Sprintf("validation of epoch %d", i+1), got.History[i].ValLoss, row.ValLoss, class.loss)
					}
				}
				if got.Skipped != want.Skipped || c.name == "spikes" && got.Skipped == 0 {
					t.Errorf("%d steps skipped, by the reference %d", got.Skipped, want.Skipped)
				}
			})
		}
	}
}

// TestSmallNetHasTheGradient: what one step of plain gradient descent adds to the parameters is
// the gradient, by the norm as near to that of strict as the class promises of a product, for
// each layer.
func TestSmallNetHasTheGradient(t *testing.T) {
	for _, c := range smallCases() {
		const rows = 32
		switch c.model.Activation {
		case "", "relu", "leaky-relu": // at 0 rounding decides which slope a unit has
			c.model.Activation = "elu"
		}
		table := c.table(t)
		table.Rows = rows
		table.Float32, table.Uint8 = table.Float32[:min(len(table.Float32), rows*table.Columns)], table.Uint8[:min(len(table.Uint8), rows*table.Columns)]
		c.table = func(*testing.T) device.Table { return table }
		step := func(class kernels.Class, rate float64) []float32 {
			c.change = func(t *train.Config) {
				t.Optimizer, t.LR, t.Epochs, t.Batch, t.Val = "sgd:momentum=0", rate, 1, rows, 0
			}
			dev := open(t, gpu.Options{Class: class})
			defer dev.Close()
			params := c.run(t, dev).Params
			if how := dev.RecordedAs(); !strings.Contains(how, kernels.Net(class).String()+" in ") {
				t.Fatal(how)
			}
			return params
		}
		start, want := step(kernels.Strict, 1e-30), step(kernels.Strict, 100)
		for _, class := range netClasses {
			class.hasGradient(t, c.name, 2*len(c.model.Hidden), start, want, step(class.class, 100))
		}
	}
}

// hasGradient holds what one step of plain gradient descent has added to start, for so many layers, against
// what it should have added.
func (class netClass) hasGradient(t *testing.T, name string, layers int, start, want, got []float32) {
	t.Helper()
	var off, norm float64
	for i := range want {
		off, norm = off+math.Pow(float64(got[i]-want[i]), 2), norm+math.Pow(float64(want[i]-start[i]), 2)
	}
	relative := math.Sqrt(off / norm)
	bound := class.gradient * float64(layers)
	t.Logf("%s, %s: %.1e of %.0e", name, class.class, relative, bound)
	if !(relative <= bound) || relative == 0 {
		t.Errorf("%s, %s: the gradient is off by %.1e of its norm, more than %.0e or not at all", name, class.class, relative, bound)
	}
}

// TestSmallNetFallsBack: a net whose products on tensor cores find no room in shared memory has
// those of strict, which take less.
func TestSmallNetFallsBack(t *testing.T) {
	c := smallCases()[8]
	c.table, c.change = wave(80, 64), func(c *train.Config) { c.Batch, c.Val = 40, 0 }
	dev := open(t, gpu.Options{})
	defer dev.Close()
	c.run(t, dev)
	if how := dev.RecordedAs(); !strings.HasPrefix(how, "one kernel for many steps, small_net in ") {
		t.Error(how)
	}
}

// TestSmallNetHasOneArithmetic: what a kernel on tensor cores does at once, gaussian noise on the way from
// the data and the loss of the last layer as its epilogue, leaves the bits of the parts that it stands
// for, which take the step if a stage follows that corrupts nothing, or columns have weights of 1.
func TestSmallNetHasOneArithmetic(t *testing.T) {
	for _, rows := range []int{32, 27, 48} { // of which 32 is padded to what the kernel has code for
		for _, class := range []kernels.Class{kernels.Float32, kernels.BFloat16} {
			c := smallCase{model: model.Config{Hidden: []int{40, 6}, Corruption: "gaussian:0.3", Likelihood: "gaussian:0.7"}, table: wave(100, 20)}
			c.change = func(c *train.Config) { c.Batch, c.Epochs = rows, 2 }
			run := func() *train.Result {
				dev := open(t, gpu.Options{Class: class})
				defer dev.Close()
				result := c.run(t, dev)
				if how := dev.RecordedAs(); !strings.HasPrefix(how, fmt.Sprintf("one kernel for many steps, %s in ", kernels.Net(class))) {
					t.Fatal(how)
				}
				return result
			}
			want := run()
			c.model.Corruption = "gaussian:0.3+masking:0"
			c.compare(t, run(), want, "without a stage that does nothing")
			c.model.Corruption, c.model.ColumnWeights = "gaussian:0.3", slices.Repeat([]float64{1}, 20)
			c.compare(t, run(), want, "without weights")
		}
	}
}

// TestSmallNetTakesOneLaunch: more than a hundred steps are one launch, in which the
// host neither waits nor copies.
func TestSmallNetTakesOneLaunch(t *testing.T) {
	c := smallCases()[0]
	c.model.Hidden, c.table = []int{4}, wave(1280, 4)
	c.change = func(c *train.Config) { c.Batch, c.Val, c.Epochs = 10, 0, 1 }
	c.takesOneLaunch(t, kernels.Net(kernels.Float32), 128)
}

// takesOneLaunch trains for so many steps, which are one launch of the kernel and no graph.
func (c *smallCase) takesOneLaunch(t *testing.T, kernel kernels.ID, steps uint64) {
	t.Helper()
	dev := open(t, gpu.Options{})
	defer dev.Close()
	before, ran := cudatest.Read(t), cudatest.Ran(t, kernel.String())
	result := c.run(t, dev)
	if n := cudatest.Ran(t, kernel.String()) - ran; n != 1 || result.Steps != steps {
		t.Errorf("%d steps took %d launches of the kernel", result.Steps, n)
	}
	if queued := cudatest.Read(t).Since(before); queued.GraphLaunches != 0 {
		t.Errorf("the run launched %d graphs", queued.GraphLaunches)
	}
}

// TestSmallNetInAnyOrderOfThreads: whatever the order of threads, a run ends at the
// same weights.
func TestSmallNetInAnyOrderOfThreads(t *testing.T) {
	c := smallCases()[1]
	for _, class := range []kernels.Class{kernels.Strict, kernels.Float32} {
		c.inAnyOrder(t, class, 6)
	}
}

// inAnyOrder trains with threads and blocks in so many orders, of which the first is the plain one.
func (c *smallCase) inAnyOrder(t *testing.T, class kernels.Class, orders int) {
	t.Helper()
	var want *train.Result
	for seed := range orders {
		cudatest.Set(t, "SOFTDRIVER_SEED", seed)
		dev := open(t, gpu.Options{Class: class})
		got := c.run(t, dev)
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
		if seed == 0 {
			want = got
		} else if i := firstDifference(got.Params, want.Params); i >= 0 {
			t.Errorf("%s, threads in order %d: parameter %d is %g, in plain order %g", class, seed, i, got.Params[i], want.Params[i])
		}
	}
}

// TestSmallNetDiverges: a run that diverges ends as that of the graph does.
func TestSmallNetDiverges(t *testing.T) {
	c := smallCases()[0]
	c.change = func(c *train.Config) { c.Optimizer, c.LR, c.BlowUp, c.Retries = "sgd", 1e15, 0, 1 }
	var all []string
	for _, graphs := range []bool{true, false} {
		dev := open(t, gpu.Options{Class: kernels.Strict, Graphs: graphs})
		table := c.table(t)
		c.model.Features = table.Columns
		dae, err := model.New(c.model)
		if err != nil {
			t.Fatal(err)
		}
		config := train.DefaultConfig()
		config.Batch = 20
		c.change(&config)
		_, err = train.Run(t.Context(), train.Job{Device: dev, Model: dae, Config: config, Table: table})
		all = append(all, fmt.Sprint(err))
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if all[0] != all[1] || !strings.Contains(all[0], "diverged") {
		t.Errorf("the graph's run ends with %s\nthe small net's with %s", all[0], all[1])
	}
}

// TestSmallNetKeepsTheOrder: steps that wait to be queued together run before whatever
// is asked for after them.
func TestSmallNetKeepsTheOrder(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	r := newRecorded(t, dev)
	kernel := kernels.Net(kernels.Float32).String()
	for name, after := range map[string]func() error{
		"an operation":  func() error { dev.Combine(device.CombineArgs{Alpha: 1, A: r.params, Dst: r.copy}); return nil },
		"a copy":        func() error { return dev.Upload(r.rates, make([]float32, r.rates.Len())) },
		"another graph": func() error { return r.doubling() },
		"a recording":   func() error { _, err := dev.Record(func() {}); return err },
	} {
		before := cudatest.Ran(t, kernel)
		for range 3 {
			if err := r.program(); err != nil {
				t.Fatal(err)
			}
		}
		if n := cudatest.Ran(t, kernel) - before; n != 0 {
			t.Errorf("the kernel ran %d times before anything else was asked for", n)
		}
		if err := after(); err != nil {
			t.Fatal(err)
		}
		if err := dev.Sync(); err != nil {
			t.Fatal(err)
		}
		if n := cudatest.Ran(t, kernel) - before; n != 1 {
			t.Errorf("before %s the kernel ran %d times, want once for three steps", name, n)
		}
	}
	words := make([]uint32, device.ClockWords)
	if err := dev.DownloadWords(words, r.clock); err != nil || device.ClockFromWords(words).Step != 12 {
		t.Errorf("the clock stands at %v (%v) after 12 steps", words, err)
	}
}

// recorded is the step of a small net, and a graph.
type recorded struct {
	program, doubling   device.Program
	params, copy, rates device.View
	clock               device.Words
}

func newRecorded(t *testing.T, dev *gpu.Device) *recorded {
	t.Helper()
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const batch, steps = 4, 20
	data, err := dev.Load(t.Context(), wave(batch, 5)(t))
	fail(err)
	dae, err := model.New(model.Config{Features: 5, Hidden: []int{3}, Likelihood: "gaussian"})
	fail(err)
	net, err := model.Bind(dev, dae, model.Binding{Examples: batch, Training: true})
	fail(err)
	rule, err := optim.ParseRule("adam")
	fail(err)
	state, err := optim.NewState(dev, rule, dae.ParameterCount(), 0)
	fail(err)
	words, err := dev.Alloc(device.Word, device.ClockWords)
	fail(err)
	n := dae.ParameterCount()
	floats, err := dev.Alloc(device.Float, 3*steps+n)
	fail(err)
	r := &recorded{params: net.Params, rates: device.MatrixOf(floats, 0, 1, steps), copy: device.MatrixOf(floats, 3*steps, 1, n), clock: device.WordsOf(words, 0, device.ClockWords)}
	r.program, err = dev.Record(func() {
		net.Gradient(model.Source{Data: data, Part: device.Rows{Hi: batch}, Seed: 1, Clock: r.clock}, batch)
		state.Apply(dev, optim.Step{Params: net.Params, Grads: net.Grads, GradSq: net.GradSq(), Loss: net.MeanLoss(), Rates: r.rates, Clock: r.clock})
		dev.Tick(device.TickArgs{Clock: r.clock, Values: net.Values, Log: device.MatrixOf(floats, steps, steps, 2)}) // 0 examples: the same minibatch again
	})
	fail(err)
	if how := dev.RecordedAs(); !strings.HasPrefix(how, "one kernel") {
		t.Fatal(how)
	}
	r.doubling, err = dev.Record(func() { dev.Combine(device.CombineArgs{Alpha: 2, A: r.copy, Dst: r.copy}) })
	fail(err)
	return r
}

// TestEveryOperationIsNoted: an operation that a recording does not see would be left
// out of a small net's step.
func TestEveryOperationIsNoted(t *testing.T) {
	operation := regexp.MustCompile(`(?s)\nfunc \(d \*Device\) (\w+)\(a device\.\w+Args\) \{\n(.*?)\n\}`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	noted := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range operation.FindAllStringSubmatch(string(text), -1) {
			if noted++; !strings.HasPrefix(m[2], "\ta.Check()\n\tif note(d, a, (*Device)."+m[1]+") {\n\t\treturn\n\t}\n") {
				t.Errorf("%s: %s does not begin with a.Check() and note", file, m[1])
			}
		}
	}
	operations, of := 0, reflect.TypeFor[device.Device]()
	for i := range of.NumMethod() {
		if m := of.Method(i).Type; m.NumIn() == 1 && strings.HasSuffix(m.In(0).Name(), "Args") {
			operations++
		}
	}
	if noted != operations {
		t.Errorf("%d operations were found in the files, the device has %d", noted, operations)
	}
}

// TestRecordedSaysWhy: a step that is a graph says why.
func TestRecordedSaysWhy(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	recordStep(t, dev, digits(t, 60))
	if want := ": the step has normalisation"; !strings.Contains(dev.RecordedAs(), want) {
		t.Errorf("%q does not say %q", dev.RecordedAs(), want)
	}
}
