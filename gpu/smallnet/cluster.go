package smallnet

import (
	"math"
	"slices"

	"gpudae/device"
)

// What a cluster of blocks changes, which trains score nets.

// Score is what a score net has for corruption and loss.
type Score struct {
	Diffuse   device.DiffuseArgs
	Condition device.ConditionArgs
	Blend     device.BlendArgs
	Match     device.ScoreMatchArgs
}

// Scores reports whether the operations are those of a step with noise levels.
func Scores(operations []any) bool { return slices.ContainsFunc(operations, noisy) }

// noisy reports whether an operation is one of noise levels.
func noisy(operation any) bool {
	switch operation.(type) {
	case device.DiffuseArgs, device.ConditionArgs, device.BlendArgs, device.ScoreMatchArgs:
		return true
	}
	return false
}

// most bounds the multiplications of a step.
func (p Products) most() int {
	if p.Blocks > 0 {
		return MostClusterProducts
	}
	return MostProducts
}

// mostTiles bounds the tiles of weights.
func (p Products) mostTiles() int {
	switch {
	case p.Blocks > 0:
		return MostClusterTiles
	case p.Apart:
		return MostTiles
	}
	return math.MaxInt
}

// share is the number of rows of the minibatch that a block has.
func (n *Net) share(p Products) int {
	blocks := max(1, p.Blocks)
	return (n.Gather.X.Rows + blocks - 1) / blocks
}

// layOutPasses places everything in a block's shared memory, for as many of its rows at a time as
// it has room for.
func (n *Net) layOutPasses(p Products, shared int) {
	for passes := 1; ; passes++ {
		n.layOutRows(p, (n.share(p)+passes-1)/passes)
		if n.SharedBytes() <= shared || n.Batch == p.Tile {
			n.Passes = (n.share(p) + n.Batch - 1) / n.Batch
			return
		}
	}
}

// layOutRows does so for so many rows at a time; score_net.cu says what. Clean and noisy rows are no
// factors of products, and need no padding.
func (n *Net) layOutRows(p Products, rows int) {
	n.Floats, n.Units, n.Tiles, n.Mask = 0, 0, 0, -1
	n.Batch = roundUp(rows, p.Tile)
	n.Stride = n.Batch + 4
	matrix := func(units int) int { return n.take(roundUp(units, p.Tile) * n.Stride) }
	n.placeWeights(p, func(columns int) int { return columns + 4 })
	x := matrix(n.Layers[0].In)
	for i := range n.Layers {
		l := &n.Layers[i]
		l.X, l.Y = x, matrix(l.Out)
		x = l.Y
	}
	last := &n.Layers[len(n.Layers)-1]
	n.Deltas = n.Floats - last.Unit*n.Stride
	if n.keepsInputs() {
		n.Deltas = n.Floats
		n.take(last.Unit * n.Stride)
	}
	n.take(last.Rows * n.Stride)
	features := n.Gather.X.Columns
	n.Clean, n.Corrupted = n.take(features*n.Stride), n.take(features*n.Stride)
}

// keepsInputs reports whether the slope of an activation is a function of its input, which then
// lies in Deltas.
func (n *Net) keepsInputs() bool {
	return slices.ContainsFunc(n.Layers, func(l Layer) bool { return l.Act.NeedsInput() })
}
