// Package smallnet recognises, in the operations of a recorded step, the training of
// a net so small that one multiprocessor holds it, which a GPU then runs as one kernel
// for many steps (kernels/small_net.cu). It says why a step is none, and lays out the
// kernel's shared memory.
//
// The rule, with the reasons that Recognize gives:
//
//   - a minibatch of a matrix, at most MostRows rows, replicates included;
//   - at most MostStages stages of any corruption, without absent values;
//   - at most MostLayers dense layers with biases of their own, any activation but at
//     the output, weights not tied; no normalisation, no dropout;
//   - a likelihood of independent features: bernoulli, gaussian, gaussian-learned, poisson;
//   - any optimiser, with clipping, moving average, and skipped spikes;
//   - at most MostProducts multiplications a step, beyond which a machine of many
//     multiprocessors should be the quicker;
//   - what it keeps in shared memory has room there. For products on tensor cores that
//     is somewhat more (Products.Apart).
//
// A score net, whose rows have noise levels, is trained by a cluster of blocks (Products.Blocks,
// kernels/score_net.cu), each with its part of the minibatch. The rule is the same,
// but for
//
//   - at most MostRows rows for each block, and MostClusterProducts multiplications a step. Where shared
//     memory has no room for a block's rows, they take turns (Net.Passes);
//   - noise by Diffuse, an input by Condition, and the loss of ScoreMatch, in place of
//     corruption and likelihood;
//   - at most MostClusterTiles tiles of 16×16 weights.
//
// The package must not know kernels, addresses or a driver: it sees the arguments of
// operations.
package smallnet

import (
	"fmt"

	"gpudae/device"
)

// Bounds of the rule. The first four are those of arrays of small_net.cuh and small_net_tensor.cu.
const (
	MostRows   = 256
	MostLayers = 8
	MostStages = 4
	// MostTiles bounds the tiles of 16×16 weights where products are on tensor cores. A
	// block's shared memory bounds them before that.
	MostTiles = 232
	// MostClusterTiles is the same for a cluster, whose threads hold weights and moments in registers.
	MostClusterTiles = 160
	// MostProducts bounds the multiplications of a step's matrix products. A
	// multiprocessor makes 128 of them a cycle in ordinary arithmetic, so these take at least 28,000
	// cycles, 14 µs, where a graph on many is as quick. On tensor cores they would be worth some
	// times as many; 227 KiB of shared memory hold no net of more than about 3,500,000.
	MostProducts = 3_600_000
	// MostClusterProducts is the same for a cluster, whose tensor cores make some 400 of them a cycle and a
	// block, in three parts each: at least 20,000 cycles.
	MostClusterProducts = 64_000_000
)

// Net is a training step of a small net: the operations that it consists of, and the
// layout of shared memory.
type Net struct {
	Gather     device.GatherArgs
	Stages     []device.CorruptArgs
	Layers     []Layer
	Likelihood device.LikelihoodArgs
	Score      *Score  // in place of stages and likelihood, nil where there are those
	Mean       float32 // the loss is so many times the sum over rows
	Update     device.UpdateArgs
	Tick       device.TickArgs

	// Places in shared memory, counted in float32; Mask is -1 where there is none.
	Clean, Corrupted, Mask, Biases, Deltas int
	Batch                                  int // rows, with padding, of a block and a pass
	Passes                                 int // in which a block's rows go through shared memory
	Stride                                 int // between units of matrices of the minibatch in float32
	Units, Tiles, Floats                   int // in all
}

// Layer is a dense layer, Columns and Rows its extents with padding. Weight and Bias are
// places in the arenas of parameters; W, X and Y those of weights, input and output in
// shared memory; Tile and Unit count the tiles of weights and the units of the layers
// before it.
type Layer struct {
	In, Out      int
	Columns      int
	Rows         int
	Act          device.Activation
	Weight, Bias int
	W, X, Y      int
	Tile, Unit   int
}

// Refusal says why a step is not that of a small net.
type Refusal string

// Error implements error.
func (r Refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return Refusal(fmt.Sprintf(format, args...)) }

// Products is what the layout depends on besides the step: into squares of how many rows and
// columns the kernel divides weights, and whether what its products multiply is apart from
// what is in float32: weights and matrices of the minibatch, without a gap between rows; and how many blocks
// share the minibatch, 0 for one that has all of it.
type Products struct {
	Tile   int
	Apart  bool
	Blocks int
}

// Recognize returns the net that the operations train, given as the argument structs
// of package device in the order of the calls, for a block with so many bytes of shared
// memory. It fails with a Refusal.
func Recognize(operations []any, products Products, shared int) (*Net, error) {
	for _, o := range operations {
		if what, ok := foreign(o); ok {
			return nil, refuse("the step has %s", what)
		}
		if noisy(o) && products.Blocks == 0 {
			return nil, refuse("the step has noise levels")
		}
	}
	r := reader{operations: operations}
	n := r.net()
	if r.err != nil {
		return nil, r.err
	}
	if products.Blocks > 0 && n.Score == nil {
		return nil, refuse("the step has no noise levels")
	}
	if err := n.supported(products); err != nil {
		return nil, err
	}
	if err := n.closed(); err != nil {
		return nil, err
	}
	if made, most := n.products(), products.most(); made > most {
		return nil, refuse("%d multiplications a step are more than %d", made, most)
	}
	if products.Blocks > 0 {
		n.layOutPasses(products, shared)
	} else {
		n.layOut(products)
	}
	if most := products.mostTiles(); n.Tiles > most {
		return nil, refuse("%d tiles of weights are more than %d", n.Tiles, most)
	}
	if bytes := n.SharedBytes(); bytes > shared {
		return nil, refuse("%d bytes of weights and activations are more than the %d of a block's shared memory", bytes, shared)
	}
	return n, nil
}

// foreign says what an operation does that no step of a small net does.
func foreign(operation any) (what string, ok bool) {
	switch operation.(type) {
	case device.GatherArgs, device.CorruptArgs, device.DenseArgs, device.LikelihoodArgs, device.DenseBackwardArgs,
		device.ReduceArgs, device.CombineArgs, device.UpdateArgs, device.TickArgs,
		device.DiffuseArgs, device.ConditionArgs, device.BlendArgs, device.ScoreMatchArgs:
		return "", false
	case device.NormalizeArgs, device.NormalizeBackwardArgs:
		return "normalisation", true
	case device.DropoutArgs:
		return "dropout", true
	case device.EmbedArgs, device.EmbedBackwardArgs:
		return "embedded columns", true
	case device.SampleCodeArgs, device.SampleCodeBackwardArgs, device.ImportanceArgs, device.ScaleRowsArgs:
		return "a stochastic code", true
	case device.DrawArgs:
		return "draws from the likelihood", true
	}
	return fmt.Sprintf("another operation (%T)", operation), true
}

// supported refuses kinds and extents that the kernel does not have.
func (n *Net) supported(p Products) error {
	if rows, most := n.Gather.X.Rows, MostRows*max(1, p.Blocks); rows > most {
		return refuse("%d rows of a minibatch are more than %d", rows, most)
	}
	if len(n.Stages) > MostStages {
		return refuse("%d stages of corruption are more than %d", len(n.Stages), MostStages)
	}
	for _, s := range n.Stages {
		if s.Absent {
			return refuse("values may be absent")
		}
	}
	if k := n.Likelihood.Kind; n.Score == nil && k != device.Bernoulli && k != device.Gaussian && k != device.GaussianLearned && k != device.Poisson {
		return refuse("the likelihood is %s", k)
	}
	if len(n.Layers) > MostLayers {
		return refuse("%d layers are more than %d", len(n.Layers), MostLayers)
	}
	if act := n.Layers[len(n.Layers)-1].Act; act != device.Identity {
		return refuse("the output has the activation %s", act)
	}
	if n.Update.Epsilon == 0 && n.Update.Kind.UsesSecondMoment() {
		return refuse("the optimiser's epsilon is 0")
	}
	return nil
}

// closed refuses parameters that no layer has, which the kernel would leave alone, and
// layers of which weight decay concerns a part.
func (n *Net) closed() error {
	held := 0
	for _, l := range n.Layers {
		held += l.In*l.Out + l.Out
		if l.Weight < n.Update.Decayed && n.Update.Decayed < l.Weight+l.In*l.Out {
			return refuse("weight decay concerns a part of a layer's weights")
		}
	}
	if all := n.Update.Params.Len(); held != all {
		return refuse("%d of %d parameters are those of layers", held, all)
	}
	return nil
}

// products is the number of multiplications of the matrix products of a step: three
// for each weight and row, but two of the first layer, whose input has no gradient.
func (n *Net) products() int {
	sum := 0
	for i, l := range n.Layers {
		sum += min(i+2, 3) * l.In * l.Out
	}
	return sum * n.Gather.X.Rows
}

// SharedBytes is the dynamic shared memory that the kernel takes.
func (n *Net) SharedBytes() int { return 4 * n.Floats }

// layOut places everything in shared memory; small_net.cuh says what. Where factors are
// apart, x̃ and the last layer's output take turns in a matrix of float32.
func (n *Net) layOut(p Products) {
	n.Batch = roundUp(n.Gather.X.Rows, p.Tile)
	n.Stride = odd(n.Batch)
	apart, width := n.Stride, odd // of factors and of weights
	if p.Apart {
		n.Stride, apart, width = n.Batch+8, n.Batch, func(n int) int { return n }
	}
	matrix := func(units int) int { return n.take(roundUp(units, p.Tile) * n.Stride) }
	factor := func(units int) int { return n.take(roundUp(units, p.Tile) * apart) }
	n.placeWeights(p, width)
	features, last := n.Gather.X.Columns, &n.Layers[len(n.Layers)-1]
	n.Clean, n.Mask = matrix(features), -1
	if !n.Likelihood.Mask.IsZero() {
		n.Mask = matrix(features)
	}
	x := factor(features)
	n.Corrupted = x
	if p.Apart {
		n.Corrupted = matrix(max(features, last.Out))
	}
	for i := range n.Layers {
		l := &n.Layers[i]
		l.X = x
		if l != last {
			l.Y = factor(l.Out)
		}
		x = l.Y
	}
	n.Deltas = n.take(n.Units * apart)
	last.Y = n.Deltas + last.Unit*n.Stride
	if p.Apart {
		last.Y = n.Corrupted
	}
}

// take places so many floats behind the others.
func (n *Net) take(floats int) (at int) {
	at = n.Floats
	n.Floats += floats
	return at
}

// placeWeights places weights, of rows so wide for so many columns, and what biases need.
func (n *Net) placeWeights(p Products, width func(columns int) int) {
	for i := range n.Layers {
		l := &n.Layers[i]
		l.Columns, l.Rows = roundUp(l.In, p.Tile), roundUp(l.Out, p.Tile)
		l.W = n.take(l.Rows * width(l.Columns))
		l.Tile, l.Unit = n.Tiles, n.Units
		n.Tiles += l.Rows / p.Tile * l.Columns / p.Tile
		n.Units += l.Rows
	}
	n.Biases = n.take(4 * n.Units)
}

// roundUp is the next multiple.
func roundUp(n, of int) int { return (n + of - 1) / of * of }

// odd is the next odd multiple of four from a multiple of four on.
func odd(n int) int { return n | 4 }
