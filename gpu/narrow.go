//go:build cuda

package gpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"gpudae/cuda"
	"gpudae/device"
	"gpudae/gpu/fuse"
	"gpudae/kernels"
)

// Big products read their factors as bfloat16, in copies that kernel narrow makes: a
// program makes one of each operand after each change of it, or what makes an operand, a product or Advance, leaves one beside it (package
// fuse plans when); any other operation makes those that it needs. A copy has memory of its own from its first use until Close. Where that
// has no room, no product is big any more, and all round what they read.

// isBig reports whether an m×n product with sums of k terms takes copies of its factors.
func (d *Device) isBig(m, n, k int) bool { return d.big.Takes(d.class, m, n, k) }

// narrows lists the operands of an operation of which it takes copies.
func (d *Device) narrows(operation any) []device.View { return fuse.Factors(operation, d.isBig) }

// copyOf is where the copy of a matrix is, or its tensor map if the engine takes that. The copy is made anew unless a plan has seen to it.
func (d *Device) copyOf(v device.View) uint64 {
	memory, err := d.copyMemory(v)
	if err != nil {
		d.fail(fmt.Sprintf("a copy of a matrix of %d×%d in bfloat16", v.Rows, v.Columns), err)
		return 0
	}
	if !d.planned {
		d.narrow(v)
	}
	if d.engine == kernels.WGMMA {
		return memory.word(0)
	}
	return memory.word(mapWords)
}

// copyWords is the size of the copy of a matrix, with its tensor map.
func copyWords(v device.View) int { return mapWords + v.Rows*kernels.NarrowStride(v.Columns)/2 }

// admit reports whether copies of some matrices have room. If not, no product is big from now on.
func (d *Device) admit(views []device.View) bool {
	wanted, counted := uint64(0), map[device.View]bool{}
	for _, v := range views {
		if d.copies[v] == nil && !counted[v] {
			counted[v] = true
			wanted += uint64(wordBytes*copyWords(v)+chunkBytes-1) / chunkBytes * chunkBytes
		}
	}
	if wanted == 0 || d.err != nil {
		return true
	}
	free, _, err := d.context.MemoryInfo()
	if err != nil {
		d.fail("asking for free memory", err)
	}
	if wanted <= free {
		return true
	}
	d.big.Extent = math.MaxInt
	return false
}

// copyMemory is that of the copy of a matrix.
func (d *Device) copyMemory(v device.View) (*memory, error) {
	if m := d.copies[v]; m != nil {
		return m, nil
	}
	made, err := d.Alloc(device.Word, copyWords(v))
	if err != nil {
		return nil, err
	}
	m := made.(*memory)
	if d.engine == kernels.WGMMA {
		if err := d.uploadMap(m, v); err != nil {
			return nil, err
		}
	}
	if d.copies == nil {
		d.copies = map[device.View]*memory{}
	}
	d.copies[v] = m
	return m, nil
}

// mapWords is where a copy begins in its memory: behind its tensor map, at a multiple of 256 bytes.
const mapWords = alignment / wordBytes

// uploadMap puts the tensor map of a copy before it.
func (d *Device) uploadMap(m *memory, v device.View) error {
	encoded, err := d.context.TensorMap(cuda.Address(m.word(mapWords)), v.Rows, v.Columns, 2*kernels.NarrowStride(v.Columns), kernels.BoxSide)
	if err != nil {
		return err
	}
	words := make([]uint32, len(encoded)/wordBytes)
	for i := range words {
		words[i] = binary.NativeEndian.Uint32(encoded[wordBytes*i:])
	}
	return d.UploadWords(device.WordsOf(m, 0, len(words)), words)
}

// narrow launches the making of a copy that has memory.
func (d *Device) narrow(v device.View) {
	stride := kernels.NarrowStride(v.Columns)
	d.launch(kernels.Narrow, v.Rows, stride, integer(v.Rows), integer(stride), integer(v.Columns), address(v), d.memoryOf(v))
}

// memoryOf is where the copy of a matrix begins, 0 for none.
func (d *Device) memoryOf(v device.View) uint64 {
	if v.IsZero() {
		return 0
	}
	return d.copies[v].word(mapWords)
}

// besideOf is where a product leaves a copy of what it makes, 0 if it does not.
func (d *Device) besideOf(v device.View) uint64 {
	if v != d.beside {
		return 0
	}
	return d.memoryOf(v)
}

// leftOf is where a beginning leaves a copy of what it makes, 0 if it does not.
func (d *Device) leftOf(b *fuse.Beginning, v device.View) uint64 {
	if !slices.Contains(b.Beside, v) {
		return 0
	}
	return d.memoryOf(v)
}

// uploadCopies copies to the device where an end leaves copies of parameters.
func (d *Device) uploadCopies(e *fuse.Ending) (device.Words, error) {
	if e == nil || len(e.Copies) == 0 {
		return device.Words{}, nil
	}
	var words []uint64
	for _, v := range e.Copies {
		begin := v.Offset - e.Update.Params.Offset
		words = append(words, integer(begin), integer(begin+v.Len()), integer(v.Columns), integer(kernels.NarrowStride(v.Columns)), d.memoryOf(v))
	}
	if want := len(e.Copies) * len(kernels.CopyWords()); len(words) != want {
		panic(fmt.Sprintf("gpu: %d words of copies, want %d", len(words), want))
	}
	return d.uploadTable(words)
}

// plan plans a program, and allocates the copies that it makes.
func (d *Device) plan(t *fuse.Tape) (*fuse.Plan, error) {
	p := t.Plan()
	copies := copiesIn(p)
	if !d.admit(copies) {
		return t.Plan(), nil // without any
	}
	for _, v := range copies {
		if _, err := d.copyMemory(v); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// copiesIn lists those that a plan makes.
func copiesIn(p *fuse.Plan) []device.View {
	var all []device.View
	if p.Begin != nil {
		all = append(all, p.Begin.Beside...)
	}
	for _, step := range p.Middle {
		all = append(append(all, step.Narrow...), step.Kept...)
		if !step.Beside.IsZero() {
			all = append(all, step.Beside)
		}
	}
	return all
}

// The places of W and X among the words of DenseBackward.
const (
	wordW = 4
	wordX = 8
)

// copiesOf puts copies in the place of W and X, and adds that of DA and where one of DX is left. What no product reads has none.
func (d *Device) copiesOf(a *device.DenseBackwardArgs, words []uint64) []uint64 {
	words[wordW], words[wordX] = 0, 0
	if !a.DX.IsZero() {
		words[wordW] = d.copyOf(a.W)
	}
	if !a.DW.IsZero() {
		words[wordX] = d.copyOf(a.X)
	}
	da := uint64(0)
	if !a.DX.IsZero() || !a.DW.IsZero() {
		da = d.copyOf(a.DA)
	}
	return append(words, da, d.besideOf(a.DX))
}
