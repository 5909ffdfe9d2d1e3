//go:build cuda

package gpu

import (
	"slices"

	"gpudae/device"
	"gpudae/kernels"
)

// Choose returns how the device computes an m×n product with sums of k terms.
func (d *Device) Choose(m, n, k int) kernels.Choice {
	return remembered(d.choices, [3]int{m, n, k}, func() kernels.Choice { return kernels.Choose(d.class, m, n, k, d.info.Multiprocessors) })
}

// remembered is what made returns for a key, called once for each.
func remembered[Key comparable, Value any](all map[Key]Value, key Key, made func() Value) Value {
	v, known := all[key]
	if !known {
		v = made()
		all[key] = v
	}
	return v
}

// ProductOf names the arithmetic of such a product, and says in what tiles (the number of their rows) it is computed,
// and how many blocks share each sum.
// Of products of cuBLASLt it knows neither.
func (d *Device) ProductOf(m, n, k int) (arithmetic string, tile, shares int) {
	if d.gemm == GemmCublasLt {
		return "cublaslt " + d.compute(m, n, k).String(), 0, 0
	}
	if d.isBig(m, n, k) {
		rows, _ := d.engine.Tile()
		return d.engine.String(), rows, 1
	}
	c := d.Choose(m, n, k)
	return c.Class.Arithmetic(), c.Tile.Side(), c.Shares(k)
}

// Dense computes Y = act(X·Wᵀ + b).
func (d *Device) Dense(a device.DenseArgs) {
	a.Check()
	if note(d, a, (*Device).Dense) {
		return
	}
	d.dense(&a, nil, 0)
}

// productKernel is how a launch makes a layer or its gradients.
type productKernel struct {
	id            kernels.ID
	rows, columns int      // the shape that it divides
	tiles         int      // that leave a sum of losses or of squares, and blocks of the biases' gradient that do
	cuts          []uint64 // words that say how sums are shared
	shared        bool     // they are
}

// dense launches a layer, and with l the likelihood of its output, the sums of whose losses
// by tile go to losses.
func (d *Device) dense(a *device.DenseArgs, l *device.LikelihoodArgs, losses uint64) {
	if d.denseByLibrary(a, l) {
		d.libraryDense(a, l, losses)
		return
	}
	m, n, k := a.Y.Rows, a.Y.Columns, a.X.Columns
	factor := address
	if d.isBig(m, n, k) && d.admit([]device.View{a.X, a.W}) {
		factor = d.copyOf
	}
	words := append(make([]uint64, 0, 22),
		integer(m), integer(n), integer(k), factor(a.X), factor(a.W), address(a.Bias), uint64(a.Act), address(a.Pre), address(a.Y))
	if l != nil {
		words = append(words, uint64(l.Kind), address(l.Target), address(l.Mask), float(l.Destroyed), float(l.Untouched), address(l.Weights),
			float(l.Scale), float(l.Sigma), losses)
	} else {
		words = append(words, make([]uint64, noLoss)...)
	}
	if d.isBig(m, n, k) {
		words = append(words, d.besideOf(a.Y))
	}
	kernel := d.denseKernel(a)
	d.launch(kernel.id, kernel.rows, kernel.columns, d.meeting(kernel, words)...)
}

// noLoss is the number of words of a likelihood.
const noLoss = 9

// denseKernel is that of a layer.
func (d *Device) denseKernel(a *device.DenseArgs) productKernel {
	product := kernels.DenseNT
	if a.Transposed {
		product = kernels.DenseNN
	}
	m, n, k := a.Y.Rows, a.Y.Columns, a.X.Columns
	if d.isBig(m, n, k) {
		tiles := d.engine.Tiles(m, n)
		return productKernel{id: d.engine.Kernel(product), rows: d.engine.Blocks(m, n, d.info.Multiprocessors), columns: 1, tiles: tiles}
	}
	choice := d.Choose(m, n, k)
	kernel := productKernel{id: choice.Kernel(product), tiles: choice.Tiles(m, n), shared: choice.Depth > 0}
	kernel.rows, kernel.columns = choice.Shape(m, n, k)
	if choice.Class != kernels.Strict {
		kernel.cuts = []uint64{integer(choice.Shares(k)), integer(choice.Depth)}
	}
	return kernel
}

// DenseBackward computes the gradients of Dense, in one launch.
func (d *Device) DenseBackward(a device.DenseBackwardArgs) {
	a.Check()
	if note(d, a, (*Device).DenseBackward) {
		return
	}
	d.denseBackward(&a, 0, 0, device.View{})
}

// denseBackward launches them, and returns how many sums of squares go to squares, if that is
// there. With a rule it updates the parameters in place of storing their gradients, and leaves a copy of the weights, if they are given:
// then no library makes products.
func (d *Device) denseBackward(a *device.DenseBackwardArgs, squares, rule uint64, weights device.View) int {
	if d.backwardByLibrary(a, squares != 0) {
		return d.libraryBackward(a, squares)
	}
	b := backward(a)
	if d.isBig(b.Rows, b.In, b.Out) {
		d.admit(d.narrows(*a))
	}
	source := a.X
	if a.InAct.NeedsInput() {
		source = a.InPre
	}
	words := append(make([]uint64, 0, 20),
		integer(b.Rows), integer(b.In), integer(b.Out), address(a.DA), address(a.W), uint64(a.InAct), address(source), address(a.DX),
		address(a.X), flag(a.Accumulate), address(a.DW), address(a.DBias), squares, rule)
	if d.isBig(b.Rows, b.In, b.Out) {
		words = append(d.copiesOf(a, words), d.memoryOf(weights))
	}
	kernel := d.backwardKernel(b)
	if d.splits(b, rule != 0) {
		d.split(b, words)
		return kernel.tiles
	}
	d.launch(kernel.id, kernel.rows, kernel.columns, d.meeting(kernel, words)...)
	return kernel.tiles
}

// splits reports whether dX and the rest have a launch each: where blocks stay, those that update weights do not wait for those that
// read them.
func (d *Device) splits(b kernels.Backward, updates bool) bool {
	return updates && d.isBig(b.Rows, b.In, b.Out) && d.engine.Splits(b)
}

// split launches dX, and then the rest.
func (d *Device) split(b kernels.Backward, words []uint64) {
	input, rest := b.Split()
	first := slices.Clone(words)
	for _, place := range []int{wordDW, wordDBias, wordSquares, wordRule, wordCopyW} {
		first[place] = 0
	}
	kernel := d.backwardKernel(input)
	d.launch(kernel.id, kernel.rows, kernel.columns, first...)
	words[wordDX], words[wordCopyDX] = 0, 0
	kernel = d.backwardKernel(rest)
	d.launch(kernel.id, kernel.rows, kernel.columns, words...)
}

// The places of what a launch of big gradients makes among its words.
const (
	wordDX      = 7
	wordDW      = 10
	wordDBias   = 11
	wordSquares = 12
	wordRule    = 13
	wordCopyDX  = 15
	wordCopyW   = 16
)

// backwardKernel is that of a layer's gradients.
func (d *Device) backwardKernel(b kernels.Backward) productKernel {
	if d.isBig(b.Rows, b.In, b.Out) {
		_, dw, dbias := d.engine.Parts(b)
		return productKernel{id: d.engine.Kernel(b.Product()), rows: d.engine.BackwardBlocks(b, d.info.Multiprocessors), columns: 1, tiles: dw + dbias}
	}
	choice := remembered(d.backwards, b, func() kernels.BackwardChoice { return b.Choose(d.class, d.info.Multiprocessors) })
	dx, dw, dbias := b.Parts(choice)
	kernel := productKernel{id: choice.Kernel(b.Product()), rows: dx + dw + dbias, columns: 1, tiles: b.Squares(choice), shared: choice.Depth > 0 || choice.WeightDepth > 0}
	if choice.Class != kernels.Strict {
		kernel.cuts = []uint64{integer(choice.Shares(b.Out)), integer(choice.Depth), integer(choice.WeightShares(b.Rows)), integer(choice.WeightDepth)}
	}
	return kernel
}

// meeting appends the words that say how sums are shared, where blocks leave theirs, and where the
// tickets are by which the last one is known, which are 0 between launches.
func (d *Device) meeting(kernel productKernel, words []uint64) []uint64 {
	if kernel.cuts == nil {
		return words
	}
	words = append(words, kernel.cuts...)
	if !kernel.shared {
		return append(words, 0, 0)
	}
	return append(words, uint64(d.partial), uint64(d.tickets))
}

// openMeeting allocates as much as any launch needs. It is there before anything else, so that what is free
// afterwards is free for a run.
func (d *Device) openMeeting() (err error) {
	if d.partial, err = d.arena.take(kernels.MostPartial * wordBytes); err != nil {
		return err
	}
	if d.tickets, err = d.arena.take(kernels.MostTickets * wordBytes); err != nil {
		return err
	}
	return d.context.Zero(d.tickets, kernels.MostTickets)
}

// backward is the work that the arguments describe.
func backward(a *device.DenseBackwardArgs) kernels.Backward {
	return kernels.Backward{Rows: a.DA.Rows, In: a.X.Columns, Out: a.DA.Columns, Transposed: a.Transposed,
		DX: !a.DX.IsZero(), DW: !a.DW.IsZero(), DBias: !a.DBias.IsZero()}
}
