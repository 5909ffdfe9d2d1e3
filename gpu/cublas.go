//go:build cuda

package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gpudae/cuda"
	"gpudae/cuda/cublaslt"
	"gpudae/device"
	"gpudae/gpu/fuse"
	"gpudae/kernels"
)

// Products of dense layers by cuBLASLt. The library makes the product and adds the bias; activation, its derivative,
// the biases' gradient, the likelihood and the sums of squares are launches of our own kernels behind it, which our own products
// have in theirs. Its other epilogues are not ours: RELU may hide a NaN, GELU is an approximation, and gradients ask for what it has
// left itself.

// Gemm is who makes the products of dense layers.
type Gemm uint8

const (
	GemmOwn      Gemm = iota // our kernels
	GemmCublasLt             // cuBLASLt, for every operation that has a product; the device does not open without it
	GemmAuto                 // whichever is faster, by operation and shape: see Device.faster. Without cuBLASLt: our kernels
)

// String returns the name in --gemm.
func (g Gemm) String() string { return [...]string{"own", "cublaslt", "auto"}[g] }

// WorkspaceBytes is the device memory that cuBLASLt has for its algorithms, from when the device opens.
const WorkspaceBytes = 32 << 20

// library is cuBLASLt in use.
type library struct {
	handle *cublaslt.Handle
	faster map[work]bool // what GemmAuto has found
}

// openLibrary opens it if it is asked for.
func (d *Device) openLibrary() error {
	d.gemm = d.options.Gemm
	if d.gemm == GemmOwn {
		return nil
	}
	found, err := cublaslt.Load()
	if err != nil && d.gemm == GemmAuto {
		d.gemm = GemmOwn
		d.logf("gemm: all products are our own kernels': %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	workspace, err := d.arena.alone(WorkspaceBytes)
	if err != nil {
		return err
	}
	handle, err := found.Open(d.context, workspace, WorkspaceBytes)
	if err != nil {
		return err
	}
	d.library = &library{handle: handle, faster: map[work]bool{}}
	return nil
}

// close ends the use of the library, if it is in use.
func (l *library) close() error {
	if l == nil {
		return nil
	}
	return l.handle.Close()
}

func (d *Device) logf(format string, args ...any) {
	if d.options.Log != nil {
		d.options.Log(format, args...)
	}
}

// work is what an operation with products does, but for where its operands are: what GemmAuto decides about.
type work struct {
	rows, in, out int
	transposed    bool
	act           device.Activation
	pre, bias     bool // forward: they are there
	loss          bool // the likelihood follows
	dx, dw, dbias bool // backward: what is wanted; all false: forward
	accumulate    bool
	squares       bool // of the gradients, too
}

// String describes the work.
func (w work) String() string {
	name := fmt.Sprintf("layer %d×%d×%d", w.rows, w.in, w.out)
	var parts []string
	for _, p := range []struct {
		there bool
		name  string
	}{{w.loss, "loss"}, {w.dx, "input's gradient"}, {w.dw, "weights' gradient"}, {w.dbias, "biases' gradient"}, {w.squares, "squares"}, {w.accumulate, "added"}, {w.transposed, "transposed"}} {
		if p.there {
			parts = append(parts, p.name)
		}
	}
	if w.act != device.Identity {
		parts = append(parts, w.act.String())
	}
	return strings.Join(append([]string{name}, parts...), ", ")
}

// denseByLibrary reports whether cuBLASLt makes a layer, with l and its likelihood.
func (d *Device) denseByLibrary(a *device.DenseArgs, l *device.LikelihoodArgs) bool {
	if d.gemm == GemmOwn || a.Y.Len() == 0 || a.X.Columns == 0 {
		return false
	}
	return d.gemm == GemmCublasLt || d.faster(*a, work{rows: a.Y.Rows, in: a.X.Columns, out: a.Y.Columns, transposed: a.Transposed, act: a.Act,
		pre: !a.Pre.IsZero(), bias: !a.Bias.IsZero(), loss: l != nil}, func(s *scratch) { s.dense(*a, l) })
}

// backwardByLibrary reports whether cuBLASLt makes the gradients of a layer. Those of biases alone are no product.
func (d *Device) backwardByLibrary(a *device.DenseBackwardArgs, squares bool) bool {
	if d.gemm == GemmOwn || a.DX.IsZero() && a.DW.IsZero() || a.DA.Len() == 0 || a.X.Columns == 0 {
		return false
	}
	return d.gemm == GemmCublasLt || d.faster(*a, work{rows: a.DA.Rows, in: a.X.Columns, out: a.DA.Columns, transposed: a.Transposed, act: a.InAct,
		dx: !a.DX.IsZero(), dw: !a.DW.IsZero(), dbias: !a.DBias.IsZero(), accumulate: a.Accumulate, squares: squares}, func(s *scratch) { s.backward(*a, squares) })
}

// lossSums is how many sums of losses a layer leaves with its likelihood.
func (d *Device) lossSums(l *fuse.Loss) int {
	if d.denseByLibrary(&l.Dense, &l.Likelihood) {
		return kernels.ShareBlocks(l.Dense.Y.Rows)
	}
	return d.denseKernel(&l.Dense).tiles
}

// squareSums is how many sums of squares a layer's gradients leave.
func (d *Device) squareSums(a *device.DenseBackwardArgs) int {
	if !d.backwardByLibrary(a, true) {
		return d.backwardKernel(backward(a)).tiles
	}
	n := 0
	if !a.DBias.IsZero() {
		n = d.backwardKernel(backward(biasOf(a))).tiles
	}
	if !a.DW.IsZero() {
		n += kernels.ShareBlocks(a.DW.Len())
	}
	return n
}

// compute is the library's name for the arithmetic of a product, which is that of our own kernels for the shape; factors that are
// bfloat16 already need no rounding.
func (d *Device) compute(m, n, k int) cublaslt.Compute {
	if d.isBig(m, n, k) {
		return cublaslt.Float32
	}
	switch d.Choose(m, n, k).Class {
	case kernels.TF32:
		return cublaslt.TF32
	case kernels.BFloat16:
		return cublaslt.BFloat16
	}
	return cublaslt.Float32
}

// libraryDense is dense by cuBLASLt.
func (d *Device) libraryDense(a *device.DenseArgs, l *device.LikelihoodArgs, losses uint64) {
	sums := a.Y
	if !a.Pre.IsZero() {
		sums = a.Pre
	}
	m, n, k := a.Y.Rows, a.Y.Columns, a.X.Columns
	narrow := d.isBig(m, n, k) && d.admit([]device.View{a.X, a.W})
	w := d.factorOf(a.W, narrow)
	w.Transposed = !a.Transposed
	d.multiply(cublaslt.Product{Compute: d.compute(m, n, k), A: d.factorOf(a.X, narrow), B: w, D: matrixOf(sums), Bias: cuda.Address(address(a.Bias))})
	if a.Act != device.Identity || sums != a.Y {
		d.launch(kernels.Activate, sums.Rows, sums.Columns, integer(sums.Len()), uint64(a.Act), address(sums), address(a.Y))
	}
	if l != nil {
		d.Likelihood(*l)
		d.reduceAll(device.Sum, l.Losses.Len(), address(l.Losses), 0, losses)
	}
	d.copyBeside(a.Y)
}

// libraryBackward is denseBackward by cuBLASLt.
func (d *Device) libraryBackward(a *device.DenseBackwardArgs, squares uint64) int {
	m, n, k := a.DA.Rows, a.X.Columns, a.DA.Columns
	narrow := d.isBig(m, n, k) && d.admit(d.narrows(*a))
	product := cublaslt.Product{Compute: d.compute(m, n, k)} // the class is the same for both
	if !a.DX.IsZero() {
		p := product
		p.A, p.B, p.D = d.factorOf(a.DA, narrow), d.factorOf(a.W, narrow), matrixOf(a.DX)
		p.B.Transposed = a.Transposed
		d.multiply(p)
		if a.InAct != device.Identity {
			source := a.X
			if a.InAct.NeedsInput() {
				source = a.InPre
			}
			d.launch(kernels.ActivateBackward, a.DX.Rows, a.DX.Columns, integer(a.DX.Len()), uint64(a.InAct), address(source), address(a.DX), address(a.DX))
		}
		d.copyBeside(a.DX)
	}
	if !a.DW.IsZero() {
		p := product
		p.A, p.B, p.D, p.Accumulate = d.factorOf(a.DA, narrow), d.factorOf(a.X, narrow), matrixOf(a.DW), a.Accumulate
		if a.Transposed {
			p.A, p.B = p.B, p.A
		}
		p.A.Transposed = true
		d.multiply(p)
	}
	return d.libraryBias(a, squares)
}

// libraryBias launches what is left of the gradients once the products are there: the biases', and sums of squares.
func (d *Device) libraryBias(a *device.DenseBackwardArgs, squares uint64) int {
	n := 0
	if !a.DBias.IsZero() {
		n = d.denseBackward(biasOf(a), squares, 0, device.View{})
	}
	if squares != 0 && !a.DW.IsZero() {
		d.reduceAll(device.SumSquares, a.DW.Len(), address(a.DW), 0, squares+uint64(n)*wordBytes)
		n += kernels.ShareBlocks(a.DW.Len())
	}
	return n
}

// biasOf is the part of a layer's gradients that is no product, as that of a layer with one input, which
// no kernel of big products takes.
func biasOf(a *device.DenseBackwardArgs) *device.DenseBackwardArgs {
	return &device.DenseBackwardArgs{DA: a.DA, X: device.View{Rows: a.DA.Rows, Columns: 1}, DBias: a.DBias}
}

// factorOf is a matrix as a factor: its copy in bfloat16, or itself.
func (d *Device) factorOf(v device.View, narrow bool) cublaslt.Matrix {
	if !narrow {
		return matrixOf(v)
	}
	if d.copyOf(v); d.err != nil {
		return matrixOf(v)
	}
	return cublaslt.Matrix{At: cuda.Address(d.memoryOf(v)), Rows: v.Rows, Columns: v.Columns, Stride: kernels.NarrowStride(v.Columns), Narrow: true}
}

func matrixOf(v device.View) cublaslt.Matrix {
	return cublaslt.Matrix{At: cuda.Address(address(v)), Rows: v.Rows, Columns: v.Columns, Stride: v.Columns}
}

// copyBeside makes the copy that a product of our own would have left.
func (d *Device) copyBeside(v device.View) {
	if d.besideOf(v) != 0 {
		d.narrow(v)
	}
}

// multiply queues a product of cuBLASLt, as launch does a kernel. The first of its shape has its algorithm chosen, and the
// library load what it needs, here and not within a capture.
func (d *Device) multiply(p cublaslt.Product) {
	d.flush()
	if d.err != nil {
		return
	}
	if err := d.library.handle.Prepare(p); err != nil {
		d.fail("choosing an algorithm", err)
		return
	}
	l := launched{rows: p.D.Rows, columns: p.D.Columns, library: true}
	if d.recording != nil {
		d.recording.queue = append(d.recording.queue, queued{launched: l, product: &p})
		return
	}
	d.queueProduct(p)
	d.watch(l)
}

// queueProduct hands a product to the library. After a failure it does nothing.
func (d *Device) queueProduct(p cublaslt.Product) {
	if d.err != nil {
		return
	}
	if err := d.library.handle.Multiply(p); err != nil {
		d.fail("multiplying", err)
	}
}

// How GemmAuto measures: programs of so many runs of an operation, so many times each.
const (
	measuredRuns  = 8
	measuredTimes = 7
)

// faster reports whether cuBLASLt takes less time for an operation, which issue asks for, than our kernels. It is measured the first time that such
// an operation is asked for, with its factors and with memory of its own for what it makes: medians of recorded
// runs by the device's clock, in turn. What was found holds as long as the device, and is logged.
func (d *Device) faster(operation any, w work, issue func(*scratch)) bool {
	if known, is := d.library.faster[w]; is || d.err != nil {
		return known
	}
	own, theirs, err := d.compare(operation, issue)
	won := err == nil && theirs < own
	d.library.faster[w] = won
	switch {
	case err != nil:
		d.logf("gemm: %s: our kernels, since cuBLASLt could not be timed (%v)", w, err)
	case won:
		d.logf("gemm: %s: cuBLASLt, %.1f µs (our kernels %.1f µs)", w, 1e6*theirs, 1e6*own)
	default:
		d.logf("gemm: %s: our kernels, %.1f µs (cuBLASLt %.1f µs)", w, 1e6*own, 1e6*theirs)
	}
	return won
}

// compare measures an operation by our kernels and by cuBLASLt, in seconds.
func (d *Device) compare(operation any, issue func(*scratch)) (own, theirs float64, err error) {
	d.flush()
	recording, planned, beside := d.recording, d.planned, d.beside
	d.recording, d.planned, d.beside = nil, true, device.View{} // copies of factors are not counted, and none is left
	s := &scratch{device: d, views: map[device.View]device.View{}}
	defer func() {
		d.recording, d.planned, d.beside, d.gemm = recording, planned, beside, GemmAuto
		err = errors.Join(err, s.free())
	}()
	if factors := d.narrows(operation); d.admit(factors) {
		for _, v := range factors {
			if _, err := d.copyMemory(v); err != nil {
				return 0, 0, err
			}
		}
	}
	var times [2][]float64
	var graphs [2]*cuda.Graph
	for i, engine := range []Gemm{GemmOwn, GemmCublasLt} {
		d.gemm = engine
		if graphs[i], err = d.repeated(s, issue); err != nil {
			return 0, 0, err
		}
		defer graphs[i].Close()
	}
	for round := range 1 + measuredTimes {
		for i, g := range graphs {
			seconds, err := d.context.Time(g.Launch)
			if err != nil {
				return 0, 0, err
			}
			if round > 0 { // the first one warms up
				times[i] = append(times[i], seconds/measuredRuns)
			}
		}
	}
	return median(times[0]), median(times[1]), nil
}

func median(times []float64) float64 {
	slices.Sort(times)
	return times[len(times)/2]
}

// repeated captures some runs of an operation.
func (d *Device) repeated(s *scratch, issue func(*scratch)) (*cuda.Graph, error) {
	run := d.launches(func() { issue(s) })
	var refused *cublaslt.Error
	if err := d.err; errors.As(err, &refused) && refused.NotSupported() {
		d.err = nil // the library lacks an algorithm, the device nothing
		return nil, err
	}
	if err := errors.Join(d.err, s.err); err != nil {
		return nil, err
	}
	graph, err := d.context.Capture(func() {
		for range measuredRuns {
			for _, q := range run {
				d.issue(q)
			}
		}
	})
	return graph, errors.Join(err, d.err)
}

// scratch is memory for what an operation makes that is only timed. Its first failure is kept, and nothing is issued after it.
type scratch struct {
	device *Device
	owned  []cuda.Address
	views  map[device.View]device.View
	err    error
}

// take returns a stand-in for words at an address: as far from a multiple of 256 bytes, and 0.
func (s *scratch) take(at uint64, words int) cuda.Address {
	if s.err != nil {
		return 0
	}
	off := cuda.Address(at % alignment)
	begin, err := s.device.context.Alloc(words*wordBytes + int(off))
	if err != nil {
		s.err = err
		return 0
	}
	s.owned = append(s.owned, begin)
	s.err = s.device.context.Zero(begin+off, words)
	return begin + off
}

// like is the stand-in for a view.
func (s *scratch) like(v device.View) device.View {
	if v.IsZero() {
		return v
	}
	if _, is := s.views[v]; !is {
		s.views[v] = device.MatrixOf(&memory{at: s.take(address(v), v.Len()), kind: device.Float, n: v.Len()}, 0, v.Rows, v.Columns)
	}
	return s.views[v]
}

// dense issues a layer.
func (s *scratch) dense(a device.DenseArgs, l *device.LikelihoodArgs) {
	a.Y, a.Pre = s.like(a.Y), s.like(a.Pre)
	sums := uint64(0)
	if l != nil {
		own := *l
		own.Params, own.DParams, own.Losses = a.Y, a.Y, s.like(l.Losses)
		l = &own
		sums = uint64(s.take(0, max(s.device.denseKernel(&a).tiles, kernels.ShareBlocks(a.Y.Rows))))
	}
	if s.err == nil {
		s.device.dense(&a, l, sums)
	}
}

// backward issues a layer's gradients.
func (s *scratch) backward(a device.DenseBackwardArgs, squares bool) {
	a.DX, a.DW, a.DBias = s.like(a.DX), s.like(a.DW), s.like(a.DBias)
	sums := uint64(0)
	if squares {
		tiles := s.device.backwardKernel(backward(&a)).tiles + s.device.backwardKernel(backward(biasOf(&a))).tiles
		sums = uint64(s.take(0, tiles+kernels.ShareBlocks(a.DW.Len())))
	}
	if s.err == nil {
		s.device.denseBackward(&a, sums, 0, device.View{})
	}
}

func (s *scratch) free() error {
	var errs []error
	for _, at := range s.owned {
		errs = append(errs, s.device.context.Free(at))
	}
	return errors.Join(errs...)
}
