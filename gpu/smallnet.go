//go:build cuda

package gpu

import (
	"errors"
	"fmt"

	"gpudae/cuda"
	"gpudae/device"
	"gpudae/gpu/smallnet"
	"gpudae/kernels"
)

// mostSteps bounds the steps of one launch, and with them its time.
const mostSteps = 1024

// smallNet is a step that one block makes, or one cluster of blocks.
type smallNet struct {
	kernel kernels.ID
	words  device.Words // the description
	shared int          // bytes of dynamic shared memory
	rows   int          // of a minibatch
	width  int          // of the data
}

// pending counts steps that the host has asked for and that are not queued.
type pending struct {
	net   *smallNet
	steps int
}

// steps is the program of a step of a small net: it counts, and flushSteps queues.
func (d *Device) steps(n *smallNet) device.Program {
	return func() error {
		if d.pending.net != n || d.pending.steps == mostSteps {
			d.flush()
		}
		d.pending.net = n
		d.pending.steps++
		return d.err
	}
}

// flushSteps queues the steps that are pending.
func (d *Device) flushSteps() {
	net, steps := d.pending.net, d.pending.steps
	if net == nil {
		return
	}
	d.pending = pending{}
	d.launchShared(net.kernel, net.rows, net.width, net.shared, wordAddress(net.words), integer(steps))
}

// smallNet makes one kernel of a recorded step. It fails with a smallnet.Refusal where
// the step is none of a small net.
func (d *Device) smallNet(operations []any) (*smallNet, error) {
	if d.gemm == GemmCublasLt {
		return nil, smallnet.Refusal("products are cuBLASLt's")
	}
	if d.options.Graphs {
		return nil, smallnet.Refusal("graphs are asked for")
	}
	if smallnet.Scores(operations) {
		return d.scoreNet(operations)
	}
	net, err := d.smallNetOf(d.class, operations)
	if refusal := smallnet.Refusal(""); d.class != kernels.Strict && errors.As(err, &refusal) { // which needs less memory
		if n, strictly := d.smallNetOf(kernels.Strict, operations); strictly == nil {
			return n, nil
		}
	}
	return net, err
}

// scoreNet is smallNet of a step with noise levels, for a cluster of blocks.
func (d *Device) scoreNet(operations []any) (*smallNet, error) {
	kernel, ok := kernels.ScoreNet(d.class)
	if !ok {
		return nil, smallnet.Refusal("the step has noise levels, for which there are no products of strict")
	}
	width, err := d.context.Attribute(d.functions[kernel], cuda.ClusterWidth)
	if err != nil {
		d.fail("asking for clusters", err)
		return nil, err
	}
	if width == 0 { // machine code or PTX of an earlier capability
		return nil, smallnet.Refusal("the step has noise levels, for which blocks have to wait for each other: that takes compute capability 9.0")
	}
	return d.netOf(kernel, d.class, smallnet.Products{Tile: kernels.NetTile(d.class), Apart: true, Blocks: kernels.ClusterBlocks}, operations)
}

// smallNetOf is smallNet with products of a class, for one block.
func (d *Device) smallNetOf(class kernels.Class, operations []any) (*smallNet, error) {
	return d.netOf(kernels.Net(class), class, smallnet.Products{Tile: kernels.NetTile(class), Apart: class != kernels.Strict}, operations)
}

// netOf is smallNet for one kernel.
func (d *Device) netOf(kernel kernels.ID, class kernels.Class, products smallnet.Products, operations []any) (*smallNet, error) {
	room, err := d.smallNetRoom(kernel)
	if err != nil {
		d.fail("asking for shared memory", err)
		return nil, err
	}
	net, err := smallnet.Recognize(operations, products, room)
	if err != nil {
		return nil, err
	}
	data := net.Gather.Data.(*dataset)
	if data.stride > 0 {
		return nil, smallnet.Refusal("the data are records")
	}
	n := &smallNet{kernel: kernel, shared: net.SharedBytes(), rows: net.Gather.X.Rows, width: net.Gather.X.Columns}
	words, err := d.netWords(net, class, data)
	if err != nil {
		return nil, noRoom(err)
	}
	memory, err := d.Alloc(device.Word, len(words))
	if err != nil {
		return nil, noRoom(err)
	}
	n.words = device.WordsOf(memory, 0, len(words))
	if err := d.UploadWords(n.words, words); err != nil {
		return nil, err
	}
	if err := d.context.SetAttribute(d.functions[kernel], cuda.MaxDynamicShared, room); err != nil {
		d.fail(fmt.Sprintf("kernel %s", kernel), err)
		return nil, d.err
	}
	return n, nil
}

// noRoom makes a refusal of want of memory: the graph, which has been made, needs none.
func noRoom(err error) error {
	var full *device.OutOfMemoryError
	if errors.As(err, &full) {
		return smallnet.Refusal(full.Error())
	}
	return err
}

// smallNetRoom is the dynamic shared memory that a block of the kernel may have.
func (d *Device) smallNetRoom(kernel kernels.ID) (int, error) {
	static, err := d.context.Attribute(d.functions[kernel], cuda.SharedBytes)
	return d.info.MaxShared - static, err
}

// netWords is the description in the order of kernels.NetWords and kernels.ScoreNetWords, each word of
// 8 bytes in two halves, the low one first. It takes the memory that the kernel works in.
func (d *Device) netWords(net *smallnet.Net, class kernels.Class, data *dataset) ([]uint32, error) {
	floats := kernels.NetMoments(class, net.Tiles)
	if net.Score != nil {
		floats = kernels.ScoreNetExchange(net.Tiles, net.Units, net.Biases)
	}
	memory, err := d.Alloc(device.Float, floats)
	if err != nil {
		return nil, err
	}
	at := address(device.MatrixOf(memory, 0, 1, floats))
	if net.Score != nil {
		return halves(append(smallNetWords(net, data, 0), scoreWords(net, at)...)), nil
	}
	return halves(smallNetWords(net, data, at)), nil
}

// scoreWords are those of kernels.ScoreNetWords.
func scoreWords(net *smallnet.Net, exchange uint64) []uint64 {
	s := net.Score
	d, c, b, m := &s.Diffuse, &s.Condition, &s.Blend, &s.Match
	return []uint64{
		integer(d.Sigma.Columns), integer(c.Embedding.Columns), address(d.Sigma), address(c.Scale), address(c.Embedding), address(b.Alpha), address(b.Beta), address(m.Weight),
		d.Seed, uint64(d.Stream), uint64(d.Stage), float(m.Scale), integer(net.Passes), exchange,
	}
}

// smallNetWords are those of kernels.NetWords.
func smallNetWords(net *smallnet.Net, data *dataset, moments uint64) []uint64 {
	step, layer, stage := kernels.NetWords()
	words := stepWords(net, data, moments)
	for _, l := range net.Layers {
		words = append(words, integer(l.In), integer(l.Out), integer(l.Columns), integer(l.Rows), uint64(l.Act), integer(l.Weight), integer(l.Bias), integer(l.W), integer(l.X), integer(l.Y),
			integer(l.Tile), integer(l.Unit))
	}
	words = append(words, make([]uint64, (kernels.NetLayers-len(net.Layers))*len(layer))...)
	for i := range net.Stages {
		words = stageWords(&net.Stages[i], words)
	}
	words = append(words, make([]uint64, (kernels.NetStages-len(net.Stages))*len(stage))...)
	if want := len(step) + kernels.NetLayers*len(layer) + kernels.NetStages*len(stage); len(words) != want {
		panic(fmt.Sprintf("gpu: %d words of a small net, want %d", len(words), want))
	}
	return words
}

func stepWords(net *smallnet.Net, data *dataset, inOrder uint64) []uint64 {
	g, l, u, t := &net.Gather, &net.Likelihood, &net.Update, &net.Tick
	words := []uint64{
		integer(g.X.Rows), integer(net.Batch), integer(g.X.Columns), integer(net.Stride), integer(net.Units), integer(net.Tiles), integer(net.Floats),
		integer(net.Clean), integer(net.Corrupted), integer(net.Mask), integer(net.Biases), integer(net.Deltas),
		uint64(data.at), flag(data.gathers == kernels.GatherU8), float(data.scale), integer(data.rows), integer(g.Part.Lo), integer(g.Part.Len()),
		flag(g.Part.Split), g.Part.Seed, flag(g.Shuffle), g.Seed, integer(g.Replicates), wordAddress(g.Clock),
		uint64(l.Kind), float(l.Sigma), float(l.Destroyed), float(l.Untouched), address(l.Weights), float(l.Scale), float(net.Mean),
		uint64(u.Kind), flag(u.Nesterov), float(u.Beta1), float(u.Beta2), float(u.Epsilon), float(u.WeightDecay), integer(u.Decayed), float(u.Clip), float(u.Decay),
		flag(!u.Loss.IsZero()), address(u.Rates), address(u.Spikes), float(u.SpikeLimit), address(u.Params),
	}
	first, second := moments(u)
	words = append(words, first, second, address(u.EMA), inOrder)
	return append(words, integer(t.Rows), address(t.Values), address(t.Log), integer(t.Log.Rows), integer(len(net.Layers)), integer(len(net.Stages)))
}

// stageWords appends a stage; what a kind does not look at is absent.
func stageWords(s *device.CorruptArgs, words []uint64) []uint64 {
	ofColumn, continuous := wordAddress(s.Fields.OfColumn), uint64(0)
	if !s.Kind.Masks() && !s.Kind.Swaps() {
		ofColumn = 0
	}
	if s.Kind.Continuous() {
		continuous = wordAddress(s.Continuous)
	}
	return append(words, uint64(s.Kind), s.Seed, uint64(s.Stream), uint64(s.Stage), s.Rate, wordAddress(s.Rates), float(s.Amount), integer(s.Length),
		ofColumn, continuous, address(s.Low), address(s.High))
}
