package roofline

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"gpudae/device"
	"gpudae/kernels"
	"gpudae/model"
	"gpudae/optim"
)

// step records the gradient of a minibatch on a counter.
func step(t *testing.T, g GPU, config model.Config, batch int) (*Counter, *model.DAE) {
	t.Helper()
	dae, err := model.New(config)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCounter(g)
	net, err := model.Bind(c, dae, model.Binding{Examples: batch, Training: true})
	if err != nil {
		t.Fatal(err)
	}
	resident, err := c.Load(t.Context(), device.Table{Rows: 1000, Columns: config.Features, Float32: []float32{}})
	if err != nil {
		t.Fatal(err)
	}
	clock, err := c.Alloc(device.Word, device.ClockWords)
	if err != nil {
		t.Fatal(err)
	}
	src := model.Source{Data: resident, Part: device.Rows{Hi: 1000}, Shuffle: true, Clock: device.WordsOf(clock, 0, device.ClockWords)}
	if _, err := c.Record(func() { net.Gradient(src, batch) }); err != nil {
		t.Fatal(err)
	}
	return c, dae
}

func config() model.Config {
	return model.Config{Features: 64, Hidden: []int{128, 16}, Corruption: "gaussian:0.1", Likelihood: "gaussian:1"}
}

// TestArithmeticIsTheModels: the products of a step are those that the model says.
func TestArithmeticIsTheModels(t *testing.T) {
	for _, tied := range []bool{false, true} {
		m := config()
		m.Tied = tied
		c, dae := step(t, GPUs()[0], m, 32)
		got := Predict(GPUs()[0], c.Launches()).FLOPs
		if want := int64(dae.FLOPs(true)) * 32; got != want {
			t.Errorf("tied %t: %d operations, the model says %d", tied, got, want)
		}
	}
}

// TestTrafficOfAProduct: X, W and b are read once and Y is written once.
func TestTrafficOfAProduct(t *testing.T) {
	c := NewCounter(GPUs()[0])
	view := func(rows, columns int) device.View {
		m, _ := c.Alloc(device.Float, rows*columns)
		return device.MatrixOf(m, 0, rows, columns)
	}
	c.Dense(device.DenseArgs{X: view(10, 20), W: view(30, 20), Bias: view(1, 30), Y: view(10, 30)})
	want := Launch{Kernel: kernels.DenseNT32, Rows: 10, Columns: 30, Products: [2]kernels.Run{{Blocks: 1, Terms: 20}}, FLOPs: 2 * 10 * 20 * 30,
		Read: 4 * (10*20 + 30*20 + 30), Written: 4 * 10 * 30, Shares: 1}
	if got := c.Launches(); len(got) != 1 || got[0] != want {
		t.Errorf("a product is %+v, want %+v", got, want)
	}
}

// TestSharedSumsCost: blocks that share sums write theirs and read them again, and the last of a tile
// begins with that when the products are done; the whole is still less than without, where so many
// multiprocessors would have no work.
func TestSharedSumsCost(t *testing.T) {
	g := GPUs()[0]
	c := NewCounter(g)
	view := func(rows, columns int) device.View {
		m, _ := c.Alloc(device.Float, rows*columns)
		return device.MatrixOf(m, 0, rows, columns)
	}
	c.Dense(device.DenseArgs{X: view(128, 1000), W: view(784, 1000), Y: view(128, 784)})
	l := c.Launches()[0]
	blocks, partial := l.Products[0].Blocks, int64(4*128*13*64*5)
	if l.Shares != 5 || blocks != 2*13*5 || l.Products[0].Terms != 208 || l.Partial != 2*partial ||
		l.Read != 4*(128*1000+784*1000)+partial || l.Written != 4*128*784+partial {
		t.Fatalf("a product of five shares is %+v", l)
	}
	arithmetic, _ := productSeconds(g, l)
	if got, want := Predict(g, []Launch{l}).Micros, 1e6*(nodeSeconds+arithmetic+kernels.Medium.Meet(5, g.clock())); math.Abs(got-want) > 1e-9 {
		t.Errorf("it takes %.3f µs, want %.3f", got, want)
	}
	whole := Launch{Kernel: kernels.Choice{Class: kernels.Float32, Tile: kernels.Small}.Kernel(kernels.DenseNT), Rows: 100, Columns: 1,
		Products: [2]kernels.Run{{Blocks: 100, Terms: 1000}}, FLOPs: l.FLOPs, Read: l.Read - partial, Written: l.Written - partial, Shares: 1}
	if cut, uncut := Predict(g, []Launch{l}).Micros, Predict(g, []Launch{whole}).Micros; cut >= uncut {
		t.Errorf("shared it takes %.2f µs, and %.2f µs by as many tiles of 32", cut, uncut)
	}
}

// TestNoBlockIsQuickerThanItsPanels: however fast the arithmetic, a block takes the time of its panels.
func TestNoBlockIsQuickerThanItsPanels(t *testing.T) {
	g := GPUs()[0]
	g.BF16 = 1e18
	l := Launch{Kernel: kernels.Choice{Class: kernels.BFloat16, Tile: kernels.Small}.Kernel(kernels.DenseNT), Rows: 3, Columns: 1,
		Products: [2]kernels.Run{{Blocks: 1, Terms: 40}, {Blocks: 2, Terms: 1001}}, FLOPs: 1}
	if got, want := Predict(g, []Launch{l}).Micros, 1e6*(nodeSeconds+63*panelSeconds); math.Abs(got-want) > 1e-9 {
		t.Errorf("1001 terms take %.3f µs, want %.3f", got, want)
	}
}

// TestTilesLeaveInSequence: blocks that stay multiply at the assumed rate, and each tile's way out of the registers is added.
func TestTilesLeaveInSequence(t *testing.T) {
	g := GPUs()[0]
	c := NewCounterOf(g, kernels.BFloat16, kernels.BigProducts())
	view := func(rows, columns int) device.View {
		m, _ := c.Alloc(device.Float, rows*columns)
		return device.MatrixOf(m, 0, rows, columns)
	}
	const n = 8192 // 2,048 tiles for 132 multiprocessors: the busiest cluster has 16 of 1,024 pairs
	c.Dense(device.DenseArgs{X: view(n, n), W: view(n, n), Y: view(n, n)})
	l := c.Launches()[len(c.Launches())-1]
	want := 16 * (2*128*256*n/(989.4e12/132*byWarpgroup) + 10*128*256/(48*g.clock()))
	if got, filled := productSeconds(g, l); l.Rows != 132 || math.Abs(got-want) > 1e-6*want || math.Abs(filled-1024/(16*66.0)) > 1e-9 {
		t.Errorf("%d blocks take %.1f µs, %.3f of them busy; want %.1f", l.Rows, 1e6*got, filled, 1e6*want)
	}
}

// TestPredictionIsAboveItsFloor: on every GPU, and more work in the same arithmetic never takes less time.
func TestPredictionIsAboveItsFloor(t *testing.T) {
	for _, g := range GPUs() {
		before := 0.0
		for _, batch := range []int{16, 32, 250, 450} {
			c, _ := step(t, g, config(), batch)
			s := Predict(g, c.Launches())
			if !(s.Micros >= s.Floor && s.Micros >= 1e6*nodeSeconds*float64(s.Nodes) && s.Micros >= before) {
				t.Errorf("%s, batch %d: %.2f µs in %d nodes, floor %.2f µs, %.2f µs for fewer examples", g.Name, batch, s.Micros, s.Nodes, s.Floor, before)
			}
			before = s.Micros
		}
	}
}

// TestProductsHaveTheirRate: a product costs what the data sheet says of the arithmetic in
// which the GPU computes it.
func TestProductsHaveTheirRate(t *testing.T) {
	for _, g := range GPUs() {
		c := NewCounter(g)
		view := func(rows, columns int) device.View {
			m, _ := c.Alloc(device.Float, rows*columns)
			return device.MatrixOf(m, 0, rows, columns)
		}
		c.Dense(device.DenseArgs{X: view(4096, 4096), W: view(4096, 4096), Y: view(4096, 4096)})
		rate := map[bool]float64{false: g.Float32, true: g.TF32 / 3}[g.Capability == "8.0" || g.Capability == "9.0" || g.Capability == "10.0"]
		want := 1e6 * (nodeSeconds + 2*4096*4096*4096/rate)
		if s := Predict(g, c.Launches()); math.Abs(s.Floor-want) > 1e-9*want {
			t.Errorf("%s: floor of %s %.1f µs, want %.1f", g.Name, s.Launches[0].Kernel, s.Floor, want)
		}
	}
}

// TestBoundIsWhatTakesLongest: an empty GPU waits for nodes, one without memory
// bandwidth for memory, one without arithmetic for that.
func TestBoundIsWhatTakesLongest(t *testing.T) {
	c, _ := step(t, GPUs()[0], config(), 32)
	fast := GPUs()[0]
	fast.Float32, fast.TF32, fast.Memory = 1e18, 1e18, 1e18
	starved, lame := fast, fast
	starved.Memory, lame.Float32, lame.TF32 = 1e9, 1e9, 1e9
	for want, g := range map[Bound]GPU{ByNodes: fast, ByMemory: starved, ByArithmetic: lame} {
		if got := Predict(g, c.Launches()).Bound; got != want {
			t.Errorf("bound by %s, want %s", got, want)
		}
	}
}

// TestOneKernel: the net of the count is one launch on an H100, quicker than its graph, by
// its cycles at 1.98 GHz; another net, and another GPU, have a graph.
func TestOneKernel(t *testing.T) {
	g := GPUs()[0]
	c, _ := step(t, g, config(), 32)
	graph := Predict(g, c.Launches())
	counted := kernels.NetIssues()[0]
	one := OneKernel(g, kernels.Float32, graph, []int{64, 128, 16, 128, 64}, 32)
	want := float64(counted.Cycles) / 1980
	if one.Nodes != 1 || one.Bound != ByIssue || math.Abs(one.Micros-want) > 0.02 || one.Micros >= graph.Micros || one.FLOPs != graph.FLOPs {
		t.Errorf("%d cycles are %.3f µs in %d nodes by %s, want %.3f; the graph takes %.3f", counted.Cycles, one.Micros, one.Nodes, one.Bound, want, graph.Micros)
	}
	if other := OneKernel(g, kernels.Float32, graph, []int{64, 128, 64}, 32); other.Nodes != graph.Nodes {
		t.Errorf("another net is one kernel")
	}
	if other := OneKernel(g, kernels.BFloat16, graph, []int{64, 128, 16, 128, 64}, 32); other.Nodes != graph.Nodes {
		t.Errorf("the count of another arithmetic is taken for bf16")
	}
	if other := OneKernel(GPUs()[1], kernels.Float32, graph, []int{64, 128, 16, 128, 64}, 32); other.Nodes != graph.Nodes {
		t.Errorf("the %s has not the memory for one kernel", GPUs()[1].Name)
	}
}

// TestScoreNetIsOneKernel: the score nets of the count are one launch on an H100, no quicker than their
// instructions, and no slower than those with each product of tensor cores waited for, what is read, and 1,000
// cycles of barriers; on an A100, which has no clusters, they are a graph.
func TestScoreNetIsOneKernel(t *testing.T) {
	g := GPUs()[0]
	graph := Step{Nodes: 11, Micros: 40, FLOPs: 1000}
	for _, n := range kernels.ScoreIssues() {
		var widths []int
		for _, w := range strings.Split(n.Layers, "-") {
			width, err := strconv.Atoi(w)
			if err != nil {
				t.Fatal(err)
			}
			widths = append(widths, width)
		}
		class := kernels.Float32
		if n.Kernel == kernels.ScoreNetBF16.String() {
			class = kernels.BFloat16
		}
		one := OneCluster(g, class, graph, widths, n.Batch)
		least, most := float64(n.Cycles)/1980, (float64(n.Cycles)+7.3*float64(n.Tensor)+400_000/64+1000)/1980
		if one.Nodes != 1 || one.Launches[0].Kernel != n.Kernel || one.FLOPs != graph.FLOPs || one.Bound != ByIssue || one.Micros < least || one.Micros > most {
			t.Errorf("%s at %d is %d nodes of %.2f µs by %s, want one of %.2f to %.2f", n.Layers, n.Batch, one.Nodes, one.Micros, one.Bound, least, most)
		}
		if other := OneCluster(GPUs()[1], kernels.Float32, graph, widths, n.Batch); other.Nodes != graph.Nodes {
			t.Errorf("the %s has no clusters", GPUs()[1].Name)
		}
		if other := OneCluster(g, kernels.Strict, graph, widths, n.Batch); other.Nodes != graph.Nodes {
			t.Errorf("there are no products of strict")
		}
	}
}

// TestUpdatesFollowProducts: of the optimiser's bytes in a launch of gradients those go beside the products of other blocks that are not
// of the last round in which multiprocessors are filled, and where a multiprocessor has one block, none; small tiles have read theirs by
// then. Where blocks wait for others, they take their parts first.
func TestUpdatesFollowProducts(t *testing.T) {
	g := GPUs()[0]
	resident := func(l Launch) int {
		_, threads := l.Kernel.Launch(l.Rows, 1)
		return occupy(g, g.resources(), l.Kernel.String(), l.Rows, threads, l.Kernel.Shared()).Resident
	}
	of := func(id kernels.ID, blocks int, waits bool) Launch {
		run := kernels.Run{Blocks: blocks, Terms: 4096}
		return Launch{Kernel: id, Rows: blocks, Columns: 1, Products: [2]kernels.Run{{}, run}, FLOPs: 1, Read: 4_000_000, Written: 4_000_000, State: 8_000_000, Waits: waits}
	}
	medium := kernels.Choice{Class: kernels.Float32, Tile: kernels.Medium}.Kernel(kernels.BackwardNN)
	together := resident(of(medium, 1, false)) * g.Multiprocessors
	for name, c := range map[string]struct {
		launch Launch
		late   float64 // of the optimiser's bytes
	}{
		"one round of small tiles":   {of(medium, together, false), 1.0 / 2},
		"three of them":              {of(medium, 2*together+1, true), 1.0 / 6},
		"one block, large tiles":     {of(kernels.Choice{Class: kernels.Float32, Tile: kernels.Large}.Kernel(kernels.BackwardNN), 5*g.Multiprocessors, false), 1},
		"one block by a warpgroup":   {of(kernels.WGMMA.Kernel(kernels.BackwardNN), 5*g.Multiprocessors, true), 1},
		"products without an update": {Launch{Kernel: medium, Rows: together, Columns: 1, Products: of(medium, together, false).Products, FLOPs: 1, Read: 8_000_000}, 0},
	} {
		arithmetic, _ := productSeconds(g, c.launch)
		want := nodeSeconds + arithmetic + c.late*8_000_000/g.Memory
		if c.launch.Waits {
			want += partSeconds
		}
		if got := Predict(g, []Launch{c.launch}).Micros; math.Abs(got-1e6*want) > 1e-6 {
			t.Errorf("%s: %.3f µs, want %.3f", name, got, 1e6*want)
		}
	}
}

// TestGradientsGoNowhere: a step without clipping moves eight bytes fewer for each parameter than one with it, and counts the optimiser's
// where the gradient is made.
func TestGradientsGoNowhere(t *testing.T) {
	count := func(clip float64) (moved, apart, made int64, parameters int) {
		dae, err := model.New(config())
		if err != nil {
			t.Fatal(err)
		}
		c := NewCounter(GPUs()[0])
		record(t, c, dae, clip)
		for _, l := range c.Launches() {
			moved += l.Read + l.Written - l.Partial
			if l.FLOPs > 0 {
				made += l.State
			} else {
				apart += l.State
			}
		}
		return moved, apart, made, dae.ParameterCount()
	}
	moved, apart, made, n := count(0)
	clipped, clippedApart, clippedMade, _ := count(1)
	if parameters := int64(n); clipped-moved != 8*parameters || apart != 0 || made != 24*parameters || clippedApart != 28*parameters || clippedMade != 0 {
		t.Errorf("of %d parameters %d bytes are moved, and %d with clipping; the optimiser's are %d and %d with the gradients, %d and %d apart",
			n, moved, clipped, made, clippedMade, apart, clippedApart)
	}
}

// record records a step of a model with Adam on a counter.
func record(t *testing.T, c *Counter, dae *model.DAE, clip float64) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const batch = 32
	net, err := model.Bind(c, dae, model.Binding{Examples: batch, Training: true})
	must(err)
	data, err := c.Load(t.Context(), device.Table{Rows: 1000, Columns: dae.Config().Features, Float32: []float32{}})
	must(err)
	rule, err := optim.ParseRule("adam")
	must(err)
	state, err := optim.NewState(c, rule, dae.ParameterCount(), 0)
	must(err)
	words, err := c.Alloc(device.Word, device.ClockWords)
	must(err)
	rates, err := c.Alloc(device.Float, 1)
	must(err)
	clock := device.WordsOf(words, 0, device.ClockWords)
	_, err = c.Record(func() {
		net.Gradient(model.Source{Data: data, Part: device.Rows{Hi: 1000}, Shuffle: true, Clock: clock}, batch)
		state.Apply(c, optim.Step{Params: net.Params, Grads: net.Grads, GradSq: net.GradSq(), Loss: net.MeanLoss(), Rates: device.MatrixOf(rates, 0, 1, 1), Clock: clock, Clip: clip})
		c.Tick(device.TickArgs{Clock: clock, Rows: batch})
	})
	must(err)
}

// TestTouchedOnce: what a step touches is its matrices, each once, its parameters and moments, and no gradient where that goes nowhere.
func TestTouchedOnce(t *testing.T) {
	const batch = 32
	dae, err := model.New(model.Config{Features: 64, Hidden: []int{128}, Corruption: "gaussian:0.1", Likelihood: "gaussian:1"})
	if err != nil {
		t.Fatal(err)
	}
	g := GPUs()[0]
	for clip, copies := range map[float64]int{0: 3, 1: 4} { // of the parameters: with the moments, and the gradient
		c := NewCounter(g)
		record(t, c, dae, clip)
		least := int64(4 * (copies*dae.ParameterCount() + batch*(64*4+2*128))) // x, x̃, its mask, the output; the code and its gradient
		data := int64(batch * 64 * 4)
		if got := c.Touched(); got < least+data || got > least+data+4*batch*64/8 { // with losses, numbers of rows, the clock
			t.Errorf("clipped at %g a step touches %d bytes, of which %d are matrices", clip, got, least+data)
		}
		fits := Cached(g, c.Launches(), int64(cachePart*float64(g.Cache)))
		if want := Predict(g, c.Launches()).Micros; fits <= 0 || fits > want {
			t.Errorf("from the cache it takes %.2f µs, from memory %.2f", fits, want)
		}
		if over := Cached(g, c.Launches(), int64(cachePart*float64(g.Cache))+1); over != 0 {
			t.Errorf("what does not fit comes from the cache: %.2f µs", over)
		}
	}
	slow := Launch{Kernel: kernels.Update, Rows: 1, Columns: 1000, Read: 1 << 20, Written: 1 << 20}
	if got, want := Cached(g, []Launch{slow}, 1<<20), 1e6*(nodeSeconds+float64(2<<20)/(2*g.Memory)); math.Abs(got-want) > 1e-9 {
		t.Errorf("a launch that waits for the cache takes %.3f µs, want %.3f", got, want)
	}
}
