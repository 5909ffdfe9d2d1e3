package smallnet_test

import (
	"strings"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/gpu/smallnet"
	"gpudae/model"
	"gpudae/optim"
)

// tape is a device that keeps the operations that are issued while it records, and
// computes none of them.
type tape struct {
	*reference.Device
	operations []any
}

func (d *tape) put(a any) { d.operations = append(d.operations, a) }

func (d *tape) Gather(a device.GatherArgs)                         { d.put(a) }
func (d *tape) Corrupt(a device.CorruptArgs)                       { d.put(a) }
func (d *tape) Embed(a device.EmbedArgs)                           { d.put(a) }
func (d *tape) EmbedBackward(a device.EmbedBackwardArgs)           { d.put(a) }
func (d *tape) Dense(a device.DenseArgs)                           { d.put(a) }
func (d *tape) DenseBackward(a device.DenseBackwardArgs)           { d.put(a) }
func (d *tape) Activate(a device.ActivateArgs)                     { d.put(a) }
func (d *tape) ActivateBackward(a device.ActivateBackwardArgs)     { d.put(a) }
func (d *tape) Normalize(a device.NormalizeArgs)                   { d.put(a) }
func (d *tape) NormalizeBackward(a device.NormalizeBackwardArgs)   { d.put(a) }
func (d *tape) Dropout(a device.DropoutArgs)                       { d.put(a) }
func (d *tape) Likelihood(a device.LikelihoodArgs)                 { d.put(a) }
func (d *tape) Reduce(a device.ReduceArgs)                         { d.put(a) }
func (d *tape) Combine(a device.CombineArgs)                       { d.put(a) }
func (d *tape) Diffuse(a device.DiffuseArgs)                       { d.put(a) }
func (d *tape) Condition(a device.ConditionArgs)                   { d.put(a) }
func (d *tape) Blend(a device.BlendArgs)                           { d.put(a) }
func (d *tape) ScoreMatch(a device.ScoreMatchArgs)                 { d.put(a) }
func (d *tape) SampleCode(a device.SampleCodeArgs)                 { d.put(a) }
func (d *tape) SampleCodeBackward(a device.SampleCodeBackwardArgs) { d.put(a) }
func (d *tape) Importance(a device.ImportanceArgs)                 { d.put(a) }
func (d *tape) ScaleRows(a device.ScaleRowsArgs)                   { d.put(a) }
func (d *tape) Draw(a device.DrawArgs)                             { d.put(a) }
func (d *tape) Update(a device.UpdateArgs)                         { d.put(a) }
func (d *tape) Tick(a device.TickArgs)                             { d.put(a) }

// step issues the operations of a training step as package train does.
func step(t *testing.T, config model.Config, batch int, rule string) []any {
	t.Helper()
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dev := &tape{Device: reference.New()}
	dae, err := model.New(config)
	fail(err)
	data, err := dev.Load(t.Context(), device.Table{Rows: 2 * batch, Columns: config.Features, Scale: 1, Uint8: make([]uint8, 2*batch*config.Features)})
	fail(err)
	net, err := model.Bind(dev, dae, model.Binding{Examples: batch, Training: true})
	fail(err)
	parsed, err := optim.ParseRule(rule)
	fail(err)
	state, err := optim.NewState(dev, parsed, dae.ParameterCount(), 0)
	fail(err)
	words, err := dev.Alloc(device.Word, device.ClockWords)
	fail(err)
	floats, err := dev.Alloc(device.Float, 100)
	fail(err)
	clock := device.WordsOf(words, 0, device.ClockWords)
	low, err := model.NewRange(dev, make([]float32, config.Features), make([]float32, config.Features))
	fail(err)
	dev.operations = nil
	net.Gradient(model.Source{Data: data, Part: device.Rows{Hi: 2 * batch}, Range: low, Shuffle: true, Clock: clock}, batch)
	state.Apply(dev, optim.Step{Params: net.Params, Grads: net.Grads, GradSq: net.GradSq(), Loss: net.MeanLoss(),
		Rates: device.MatrixOf(floats, 0, 1, 50), Clock: clock, Decayed: dae.DecayedCount()})
	dev.Tick(device.TickArgs{Clock: clock, Rows: batch, Values: net.Values, Log: device.MatrixOf(floats, 50, 25, 2)})
	return dev.operations
}

// hopper is the shared memory of a block on sm_90, less what the kernel has besides.
const hopper = 227<<10 - 4096

func table64() model.Config {
	return model.Config{Features: 64, Hidden: []int{128, 16}, Corruption: "masking:0.25", Likelihood: "gaussian"}
}

// Products in ordinary arithmetic and those of tensor cores.
var (
	exact  = smallnet.Products{Tile: 4}
	tensor = smallnet.Products{Tile: 16, Apart: true}
)

// TestRule: which steps are those of a small net, and what is said of the others.
func TestRule(t *testing.T) {
	with := func(change func(*model.Config)) model.Config {
		c := table64()
		change(&c)
		return c
	}
	for _, c := range []struct {
		name   string
		config model.Config
		batch  int
		rule   string
		shared int
		reason string
	}{
		{"64-128-16-128-64", table64(), 32, "adam", hopper, ""},
		{"its sgd", table64(), 32, "sgd", hopper, ""},
		{"replicates", with(func(c *model.Config) { c.Replicates = 4 }), 8, "adam", hopper, ""},
		{"two stages, gelu", with(func(c *model.Config) { c.Corruption, c.Activation = "swap:0.1+gaussian:0.3", "gelu" }), 32, "adam", hopper, ""},
		{"emphasis", with(func(c *model.Config) { c.Emphasis = model.Emphasis{Destroyed: 1, Untouched: 0.5} }), 32, "adam", hopper, ""},
		{"learned variances", with(func(c *model.Config) { c.Hidden, c.Likelihood = []int{64, 16}, "gaussian-learned" }), 32, "adam", hopper, ""},
		{"99 KiB", table64(), 32, "adam", 99<<10 - 4096, "bytes of weights and activations are more than the 97280 of a block's shared memory"},
		{"wide", with(func(c *model.Config) { c.Hidden = []int{300} }), 32, "adam", hopper, "bytes of weights and activations are more than"},
		{"much work", table64(), 128, "adam", hopper, "multiplications a step are more than 3600000"},
		{"many rows", with(func(c *model.Config) { c.Hidden = []int{4} }), 300, "adam", hopper, "300 rows of a minibatch are more than 256"},
		{"many layers", with(func(c *model.Config) { c.Hidden = []int{9, 9, 9, 9, 9} }), 32, "adam", hopper, "10 layers are more than 8"},
		{"many stages", with(func(c *model.Config) { c.Corruption = "masking:0.1+masking:0.1+masking:0.1+masking:0.1+masking:0.1" }), 32, "adam", hopper, "5 stages of corruption are more than 4"},
		{"tied", with(func(c *model.Config) { c.Tied = true }), 32, "adam", hopper, "weights are tied"},
		{"dropout", with(func(c *model.Config) { c.Dropout = 0.1 }), 32, "adam", hopper, "the step has dropout"},
		{"norm", with(func(c *model.Config) { c.Norm = "layer" }), 32, "adam", hopper, "the step has normalisation"},
		{"classes", with(func(c *model.Config) { c.Fields, c.Likelihood = []int{30, 34}, "categorical" }), 32, "adam", hopper, "the likelihood is categorical"},
		{"score", with(func(c *model.Config) {
			c.Objective, c.Corruption, c.Likelihood, c.Score.Noise = model.ObjectiveDSM, "", "", "single:0.3"
		}), 32, "adam", hopper, "the step has noise levels"},
		{"code", with(func(c *model.Config) { c.CodeDistribution = "gaussian" }), 32, "adam", hopper, "the step has a stochastic code"},
		{"walkback", with(func(c *model.Config) { c.Walkback = 2 }), 32, "adam", hopper, "the step has draws from the likelihood"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range []smallnet.Products{exact, tensor} {
				net, err := smallnet.Recognize(step(t, c.config, c.batch, c.rule), p, c.shared)
				if c.reason == "" {
					if err != nil {
						t.Fatal(err)
					}
					checkLayout(t, net, p)
				} else if err == nil || !strings.Contains(err.Error(), c.reason) {
					t.Errorf("the reason is %v, want one that says %q", err, c.reason)
				}
			}
		})
	}
}

// checkLayout: what lies in shared memory does not overlap and is aligned.
func checkLayout(t *testing.T, n *smallnet.Net, p smallnet.Products) {
	t.Helper()
	up := func(x int) int { return (x + p.Tile - 1) / p.Tile * p.Tile }
	used := make([]string, n.Floats)
	take := func(what string, at, floats int) {
		t.Helper()
		if at%4 != 0 {
			t.Errorf("%s lies at %d, which is no multiple of four", what, at)
		}
		for i := at; i < at+floats; i++ {
			if used[i] != "" {
				t.Fatalf("%s and %s overlap at %d", what, used[i], i)
			}
			used[i] = what
		}
	}
	apart, width := n.Stride, func(columns int) int { return columns | 4 }
	if p.Apart {
		apart, width = n.Batch, func(columns int) int { return columns }
	}
	if n.Batch != up(n.Gather.X.Rows) || n.Stride < n.Batch || !p.Apart && n.Stride%8 != 4 || p.Apart && n.Stride%16 != 8 {
		t.Errorf("%d rows lie %d apart", n.Gather.X.Rows, n.Stride)
	}
	features, units, tiles := up(n.Gather.X.Columns)*n.Stride, 0, 0
	take("clean", n.Clean, features)
	x, output := n.Corrupted, n.Deltas+n.Layers[len(n.Layers)-1].Unit*apart
	if p.Apart {
		x, output = n.Layers[0].X, n.Corrupted
		take("corrupted and output", n.Corrupted, up(max(n.Gather.X.Columns, n.Layers[len(n.Layers)-1].Out))*n.Stride)
	}
	take("first input", x, up(n.Gather.X.Columns)*apart)
	if n.Mask >= 0 {
		take("mask", n.Mask, features)
	}
	take("biases", n.Biases, 4*n.Units)
	take("deltas", n.Deltas, n.Units*apart)
	for i, l := range n.Layers {
		if l.X != x || l.Columns != up(l.In) || l.Rows != up(l.Out) || l.Unit != units || l.Tile != tiles {
			t.Errorf("layer %d is laid out as %+v", i, l)
		}
		take("weights", l.W, up(l.Out)*width(up(l.In)))
		if i < len(n.Layers)-1 {
			take("output", l.Y, up(l.Out)*apart)
		} else if l.Y != output {
			t.Errorf("the output lies at %d", l.Y)
		}
		x, units, tiles = l.Y, units+up(l.Out), tiles+up(l.Out)*up(l.In)/(p.Tile*p.Tile)
	}
	if n.Units != units || n.Tiles != tiles || n.SharedBytes() != 4*len(used) {
		t.Errorf("%d units, %d tiles, %d bytes", n.Units, n.Tiles, n.SharedBytes())
	}
}

// cluster is products of eight blocks.
var cluster = smallnet.Products{Tile: 16, Apart: true, Blocks: 8}

func score2(hidden ...int) model.Config {
	return model.Config{Features: 2, Hidden: hidden, Objective: model.ObjectiveDSM, Score: model.Score{Noise: "single:0.3"}}
}

// TestScoreRule: which steps of score nets a cluster takes, in how many passes, and what is said of
// the others.
func TestScoreRule(t *testing.T) {
	with := func(c model.Config, change func(*model.Config)) model.Config {
		change(&c)
		return c
	}
	levels := func(c *model.Config) { c.Score.Noise = "geometric:0.1,2,10" }
	for _, c := range []struct {
		name   string
		config model.Config
		batch  int
		shared int
		passes int
		reason string
	}{
		{"2-128-2", score2(128), 512, hopper, 1, ""},
		{"2-128-128-128-2", score2(128, 128), 512, hopper, 2, ""},
		{"its levels", with(score2(128, 128), levels), 512, hopper, 4, ""},
		{"2-128-2 on 99 KiB", with(score2(128), levels), 512, 99<<10 - 4096, 1, ""},
		{"gelu", with(score2(128), func(c *model.Config) { c.Activation = "gelu" }), 512, hopper, 1, ""},
		{"odd rows", with(score2(20), levels), 83, hopper, 1, ""},
		{"two rows", score2(20), 2, hopper, 1, ""},
		{"most rows", score2(16), 2048, hopper, 1, ""},
		{"more rows", score2(16), 2049, hopper, 0, "2049 rows of a minibatch are more than 2048"},
		{"much work", score2(128, 128), 800, hopper, 0, "multiplications a step are more than 64000000"},
		{"wide", score2(128, 200), 64, hopper, 0, "tiles of weights are more than 160"},
		{"wide, of few tiles", score2(128, 128), 64, 163<<10 - 4096, 0, "bytes of weights and activations are more than"},
		{"dropout", with(score2(8), func(c *model.Config) { c.Dropout = 0.1 }), 64, hopper, 0, "the step has dropout"},
		{"no noise levels", table64(), 32, hopper, 0, "the step has no noise levels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			operations := step(t, c.config, c.batch, "adam")
			net, err := smallnet.Recognize(operations, cluster, c.shared)
			if c.reason != "" {
				if err == nil || !strings.Contains(err.Error(), c.reason) {
					t.Errorf("the reason is %v, want one that says %q", err, c.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !smallnet.Scores(operations) || net.Score == nil {
				t.Error("it is no score net")
			}
			share := (c.batch + 7) / 8
			if net.Passes != c.passes || net.Batch*net.Passes < share || net.Batch*(net.Passes-1) >= share {
				t.Errorf("%d rows of a block go in %d passes of %d", share, net.Passes, net.Batch)
			}
			checkClusterLayout(t, net)
		})
	}
}

// checkClusterLayout: what lies in a block's shared memory does not overlap and is aligned.
func checkClusterLayout(t *testing.T, n *smallnet.Net) {
	t.Helper()
	up := func(x int) int { return (x + 15) / 16 * 16 }
	used := make([]string, n.Floats)
	take := func(what string, at, floats int) {
		t.Helper()
		for i := at; i < at+floats; i++ {
			if used[i] != "" {
				t.Fatalf("%s and %s overlap at %d", what, used[i], i)
			}
			used[i] = what
		}
	}
	aligned := func(what string, at int) { // for ldmatrix
		t.Helper()
		if at%4 != 0 {
			t.Errorf("%s lies at %d, which is no multiple of four", what, at)
		}
	}
	features, last := n.Gather.X.Columns, n.Layers[len(n.Layers)-1]
	take("clean", n.Clean, features*n.Stride)
	take("noisy", n.Corrupted, features*n.Stride)
	take("biases", n.Biases, 4*n.Units)
	take("output", last.Y, up(last.Out)*n.Stride)
	take("deltas", n.Deltas+last.Unit*n.Stride, up(last.Out)*n.Stride)
	aligned("deltas", n.Deltas+last.Unit*n.Stride)
	for i, l := range n.Layers {
		if i < len(n.Layers)-1 && l.Act.NeedsInput() {
			take("inputs of the activation", n.Deltas+l.Unit*n.Stride, up(l.Out)*n.Stride)
		}
		if i > 0 && l.X != n.Layers[i-1].Y {
			t.Errorf("layer %d reads at %d what the one below has left at %d", i, l.X, n.Layers[i-1].Y)
		}
		take("weights", l.W, up(l.Out)*(up(l.In)|4))
		take("input", l.X, up(l.In)*n.Stride)
		aligned("weights", l.W)
		aligned("input", l.X)
	}
	if n.Stride%8 != 4 || n.Batch%16 != 0 || n.Stride < n.Batch {
		t.Errorf("%d rows lie %d apart", n.Batch, n.Stride)
	}
}

// TestOtherScores: operations that read something else than those before them left are not taken for
// a step of a score net.
func TestOtherScores(t *testing.T) {
	for name, c := range map[string]struct {
		change func(all []any) []any
		reason string
	}{
		"no loss":             {without[device.ScoreMatchArgs], "DenseBackward stands where a step has ScoreMatch"},
		"no denoiser":         {without[device.BlendArgs], "ScoreMatch stands where a step has Blend"},
		"no condition":        {without[device.ConditionArgs], "Dense stands where a step has Condition"},
		"noise of x̃":         {edit(func(a *device.DiffuseArgs) { a.From = a.To }), "not added to the clean minibatch"},
		"another rows":        {edit(func(a *device.DiffuseArgs) { a.Index.Offset++ }), "not that of the minibatch's rows"},
		"another clock":       {edit(func(a *device.DiffuseArgs) { a.Clock.Offset++ }), "not that of the minibatch's rows"},
		"another level":       {edit(func(a *device.ConditionArgs) { a.Level.Offset++ }), "levels are not those of the noise"},
		"another loss's":      {edit(func(a *device.ScoreMatchArgs) { a.Level.Offset++ }), "levels are not those of the noise"},
		"clean input":         {edit(func(a *device.ConditionArgs) { a.X.Offset++ }), "not that of the noisy minibatch and the output"},
		"a part of an output": {edit(func(a *device.BlendArgs) { a.Y.Offset++ }), "not that of the noisy minibatch and the output"},
		"another input":       {edit(func(a *device.ConditionArgs) { a.Out.Offset++ }), "a layer's input is not the output of the layer below"},
		"another target":      {edit(func(a *device.ScoreMatchArgs) { a.Target = a.DF }), "the loss is not that of the denoiser"},
		"another coefficient": {edit(func(a *device.ScoreMatchArgs) { a.OutScale.Offset++ }), "the loss is not that of the denoiser"},
		"no gradient":         {edit(func(a *device.ScoreMatchArgs) { a.DF = device.View{} }), "the loss is not that of the denoiser"},
		"a sum":               {edit(func(a *device.CombineArgs) { a.B = a.A }), "not a mean"},
	} {
		operations := c.change(step(t, score2(9), 32, "adam"))
		if _, err := smallnet.Recognize(operations, cluster, hopper); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: the reason is %v, want one that says %q", name, err, c.reason)
		}
	}
}

// TestOtherSteps: operations that read something else than those before them left are
// not taken for a step.
func TestOtherSteps(t *testing.T) {
	operations := func() []any { return step(t, table64(), 32, "adam") }
	if _, err := smallnet.Recognize(operations(), exact, hopper); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(all []any) []any
		reason string
	}{
		"nothing":        {func([]any) []any { return nil }, "there is no Gather"},
		"no tick":        {func(all []any) []any { return all[:len(all)-1] }, "there is no Tick"},
		"two ticks":      {func(all []any) []any { return append(all, all[len(all)-1]) }, "goes on after its tick"},
		"no loss":        {func(all []any) []any { return without[device.LikelihoodArgs](all) }, "DenseBackward stands where a step has Likelihood"},
		"no corruption":  {func(all []any) []any { return without[device.CorruptArgs](all) }, "nothing is corrupted"},
		"another input":  {edit(func(a *device.DenseArgs) { a.X.Offset++ }), "is not the output of the layer below"},
		"no bias":        {edit(func(a *device.DenseArgs) { a.Bias = device.View{} }), "has no bias"},
		"another target": {edit(func(a *device.LikelihoodArgs) { a.Target = a.Params }), "beside the clean minibatch"},
		"by column":      {edit(func(a *device.LikelihoodArgs) { a.ByColumn = a.Target }), "by column"},
		"accumulating":   {edit(func(a *device.DenseBackwardArgs) { a.Accumulate = true }), "added to another"},
		"an activation":  {edit(func(a *device.DenseArgs) { a.Act = device.Tanh }), "the output has the activation tanh"},
		"other slopes": {func(all []any) []any {
			for i, o := range all {
				if a, ok := o.(device.DenseBackwardArgs); ok && !a.DX.IsZero() {
					a.InAct = device.Tanh
					all[i] = a
				}
			}
			return all
		}, "leaves out an activation"},
		"another rows":  {edit(func(a *device.CorruptArgs) { a.Index.Offset++ }), "not that of the minibatch's rows"},
		"absent values": {edit(func(a *device.CorruptArgs) { a.Absent = true }), "may be absent"},
		"a sum":         {edit(func(a *device.CombineArgs) { a.B = a.A }), "not a mean"},
		"another clock": {edit(func(a *device.TickArgs) { a.Clock.Offset++ }), "one clock"},
		"another arena": {edit(func(a *device.UpdateArgs) { a.Params.Offset += 4 }), "not in the arena"},
		"more of it":    {edit(func(a *device.UpdateArgs) { a.Params.Columns++ }), "parameters are those of layers"},
		"another loss":  {edit(func(a *device.UpdateArgs) { a.Loss = a.GradSq }), "another gradient or loss"},
		"half a decay":  {edit(func(a *device.UpdateArgs) { a.Decayed-- }), "a part of a layer's weights"},
		"no epsilon":    {edit(func(a *device.UpdateArgs) { a.Epsilon = 0 }), "epsilon is 0"},
		"other values":  {edit(func(a *device.TickArgs) { a.Values.Columns = 1 }), "loss and norm"},
	} {
		if _, err := smallnet.Recognize(c.change(operations()), exact, hopper); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: the reason is %v, want one that says %q", name, err, c.reason)
		}
	}
}

// edit changes the last operation of a type.
func edit[A any](change func(*A)) func(all []any) []any {
	return func(all []any) []any {
		for i := len(all) - 1; i >= 0; i-- {
			if a, ok := all[i].(A); ok {
				change(&a)
				all[i] = a
				break
			}
		}
		return all
	}
}

func without[A any](all []any) []any {
	var kept []any
	for _, o := range all {
		if _, ok := o.(A); !ok {
			kept = append(kept, o)
		}
	}
	return kept
}
