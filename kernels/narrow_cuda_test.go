//go:build cuda

package kernels_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gpudae/cuda"
	"gpudae/cuda/cudatest"
	"gpudae/device"
	"gpudae/kernels"
)

// launchBig launches a kernel of big products on so many blocks.
func (m *machine) launchBig(id kernels.ID, blocks int, words ...uint64) {
	m.t.Helper()
	f, err := m.context.Function(id.String())
	m.check(err)
	m.check(m.context.SetAttribute(f, cuda.MaxDynamicShared, id.Shared()))
	grid, block := id.Launch(blocks, 1)
	m.check(m.context.LaunchShared(f, grid, block, id.Shared(), words...))
	m.check(m.context.Synchronize())
}

// narrow copies a matrix.
func (m *machine) narrow(at cuda.Address, rows, columns int) cuda.Address {
	m.t.Helper()
	stride := kernels.NarrowStride(columns)
	to := m.upload(make([]float32, max(rows*stride/2, 1)), 0)
	if rows*columns > 0 {
		m.launch(kernels.Narrow, rows, stride, uint64(rows), uint64(stride), uint64(columns), uint64(at), uint64(to))
	}
	return to
}

// factor makes a copy of a matrix for an engine.
func (m *machine) factor(e kernels.Engine, at cuda.Address, rows, columns int) uint64 {
	m.t.Helper()
	data := m.narrow(at, rows, columns)
	if e != kernels.WGMMA || rows*columns == 0 {
		return uint64(data)
	}
	encoded, err := m.context.TensorMap(data, rows, columns, 2*kernels.NarrowStride(columns), kernels.BoxSide)
	m.check(err)
	words := make([]float32, len(encoded)/4)
	for i := range words {
		words[i] = math.Float32frombits(binary.NativeEndian.Uint32(encoded[4*i:]))
	}
	return uint64(m.upload(words, 0))
}

// TestNarrow: a copy has the elements of the matrix rounded to nearest, ties to even, and zeros
// behind each row.
func TestNarrow(t *testing.T) {
	m := open(t)
	special := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), 1, 1.00390625, 1.01171875, -1.0039063, 3e38, 1e-40, math.MaxFloat32}
	for _, s := range [][2]int{{1, 1}, {3, 8}, {5, 31}, {70, 129}} {
		x := noise(rand.New(rand.NewPCG(1, 0)), s[0]*s[1])
		copy(x, special)
		m.checkCopy(m.narrow(m.upload(x, 1), s[0], s[1]), x, s[0], s[1])
	}
}

// checkCopy compares a copy with the matrix, rounded, and wants zeros behind its rows.
func (m *machine) checkCopy(at cuda.Address, x []float32, rows, columns int) {
	m.t.Helper()
	stride := kernels.NarrowStride(columns)
	got := m.download(at, rows*stride/2)
	for i := range rows {
		for j := range stride {
			bits := math.Float32bits(got[(i*stride+j)/2]) >> (16 * uint(j%2)) & 0xFFFF
			want := float32(0)
			if j < columns {
				want = rounded(x[i*columns+j])
			}
			if bits != math.Float32bits(want)>>16 {
				m.t.Fatalf("element %d, %d of a copy of %d×%d is %#x, want %v", i, j, rows, columns, bits, want)
			}
		}
	}
}

// rounded is the bfloat16 next to x, the even one of two.
func rounded(x float32) float32 {
	bits := math.Float32bits(x)
	if math.IsInf(float64(x), 0) {
		return x
	}
	return math.Float32frombits((bits + 0x7FFF + bits>>16&1) &^ 0xFFFF)
}

// bigWords puts copies in the place of a product's factors: their places among the words.
var bigPlaces = map[string][2]int{"dense nt": {3, 4}, "dense nn": {3, 4}, "input nn": {13, 4}, "input nt": {13, 4}, "weight nn": {13, 8}, "weight nt": {8, 13}}

// multiplyBig is multiply with copies of the factors.
func (m *machine) multiplyBig(e kernels.Engine, p product, s [3]int, a, b cuda.Address, skew int) []float32 {
	m.t.Helper()
	rows, columns, depth := s[0], s[1], s[2]
	extents := func(order func(w, k, width, depth int) int, width int) (int, int) {
		if order(1, 0, width+2, depth+2) == 1 {
			return depth, width
		}
		return width, depth
	}
	ar, ac := extents(p.a, rows)
	br, bc := extents(p.b, columns)
	out := m.upload(make([]float32, rows*columns), skew)
	words := p.words(uint64(rows), uint64(columns), uint64(depth), a, b, out, nil, nil)
	if p.of < kernels.BackwardNN {
		words = append(words, 0)
	} // else the rule is in the place of the copy of DA
	at := bigPlaces[p.name]
	words[at[0]], words[at[1]] = m.factor(e, a, ar, ac), m.factor(e, b, br, bc)
	if p.of >= kernels.BackwardNN {
		words = bigBackward(words[:13], words[13], 0)
	}
	m.launchBig(e.Kernel(p.of), e.Blocks(rows, columns, m.multiprocessors), words...)
	return m.download(out, rows*columns)
}

// bigBackward appends to the words that all launches of gradients take those of copies, and none for a rule.
func bigBackward(words []uint64, da, dx uint64) []uint64 { return append(words, 0, da, dx, 0) }

// bigShapes are odd, of more panels than there are stages, and of more tiles than blocks that stay, with an odd number of rows of them.
var bigShapes = [][3]int{{1, 1, 1}, {1, 130, 3}, {131, 1, 17}, {128, 256, 64}, {129, 259, 67}, {70, 270, 333}, {5, 7, 0}, {300, 530, 70}, {513, 257, 129}}

// TestBigProducts: products of copies are those of rounded factors: the bits of the kernels
// that round as they read, in every class of shape.
func TestBigProducts(t *testing.T) {
	m := open(t)
	for _, e := range kernels.Engines() {
		for _, p := range products {
			for i, s := range bigShapes {
				random := rand.New(rand.NewPCG(7, uint64(i)))
				a, b := noise(random, s[0]*s[2]), noise(random, s[1]*s[2])
				atA, atB := m.upload(a, i%4), m.upload(b, (i+1)%4)
				got := m.multiplyBig(e, p, s, atA, atB, i%3)
				if want := m.multiply(p, kernels.Choice{Class: kernels.BFloat16}, s, atA, atB, i%3); !slices.Equal(got, want) {
					t.Errorf("%s of %v by %s: other bits than with factors that are rounded as they are read", p.name, s, e)
				}
				if err := relativeError(p, s, a, b, got); !(err <= classBounds[kernels.BFloat16]) {
					t.Errorf("%s of %v by %s: relative error %.1e", p.name, s, e, err)
				}
				m.release()
			}
		}
	}
}

// TestBigProductsDoNotDependOnTheMachine: blocks that stay make the same bits, however many there are.
func TestBigProductsDoNotDependOnTheMachine(t *testing.T) {
	m := open(t)
	s := [3]int{390, 520, 70} // four rows of tiles, three columns
	random := rand.New(rand.NewPCG(9, 0))
	a, b := m.upload(noise(random, s[0]*s[2]), 0), m.upload(noise(random, s[1]*s[2]), 1)
	for _, p := range products {
		var first []float32
		for _, m.multiprocessors = range []int{1, 5, 132} {
			got := m.multiplyBig(kernels.WGMMA, p, s, a, b, 0)
			if first == nil {
				first = got
			} else if !slices.Equal(got, first) {
				t.Errorf("%s: %d multiprocessors change bits", p.name, m.multiprocessors)
			}
		}
	}
}

// TestBigProductsDoNotDependOnTheOrderOfThreads: neither do they on when copies arrive, nor on which of two blocks is ahead.
func TestBigProductsDoNotDependOnTheOrderOfThreads(t *testing.T) {
	m := open(t)
	s := [3]int{130, 259, 333}
	m.multiprocessors = 2 // so that a cluster has two pairs of tiles
	random := rand.New(rand.NewPCG(3, 0))
	a, b := m.upload(noise(random, s[0]*s[2]), 0), m.upload(noise(random, s[1]*s[2]), 1)
	for _, e := range kernels.Engines() {
		for _, p := range products {
			var first []float32
			for seed := range 5 {
				cudatest.Set(t, "SOFTDRIVER_SEED", seed)
				got := m.multiplyBig(e, p, s, a, b, 0)
				if first == nil {
					first = got
				} else if !slices.Equal(got, first) {
					t.Errorf("%s by %s: seed %d changes bits", p.name, e, seed)
				}
			}
		}
	}
}

// TestBigLayers: a layer with bias and activation, one with a likelihood in its place, and the gradients of a layer in
// one launch leave what the kernels of any size leave: all bits but those of sums by block.
func TestBigLayers(t *testing.T) {
	const rows, in, out = 150, 270, 301
	m := open(t)
	m.multiprocessors = 2 // so that blocks have several tiles, and several parts of a bias
	random := rand.New(rand.NewPCG(5, 0))
	x, w, target, mask := noise(random, rows*in), noise(random, in*out), noise(random, rows*out), noise(random, rows*out)
	for i := range mask {
		mask[i] = float32(i % 3 / 2)
	}
	atX, atW, atTarget, atMask := m.upload(x, 0), m.upload(w, 1), m.upload(target, 2), m.upload(mask, 3)
	bias, weights := m.upload(noise(random, out), 1), m.upload(noise(random, out), 0)
	float := func(f float32) uint64 { return uint64(math.Float32bits(f)) }
	plain := kernels.Choice{Class: kernels.BFloat16, Tile: kernels.Large}
	for _, e := range kernels.Engines() {
		copyX, copyW := m.factor(e, atX, rows, in), m.factor(e, atW, out, in)
		for name, words := range map[string][]uint64{
			"activation": {uint64(bias), uint64(device.GELU), 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			"bernoulli":  {uint64(bias), 0, 0, 1, uint64(device.Bernoulli), uint64(atTarget), uint64(atMask), float(1), float(0.5), uint64(weights), float(0.25), float(1), 1},
			"gaussian":   {0, 0, 0, 1, uint64(device.Gaussian), uint64(atTarget), 0, float(1), float(1), 0, float(0.25), float(0.7), 1},
			"poisson":    {uint64(bias), 0, 0, 1, uint64(device.Poisson), uint64(atTarget), 0, float(1), float(1), 0, float(0.25), float(1), 1},
		} {
			run := func(x, w uint64, blocks int, launch func(words ...uint64)) (pre, y []float32, loss float64) {
				all := append([]uint64{rows, out, in, x, w}, words...)
				atPre, atY, sums := m.upload(make([]float32, rows*out), 1), m.upload(make([]float32, rows*out), 0), m.upload(make([]float32, blocks), 0)
				for place, at := range map[int]cuda.Address{7: atPre, 8: atY, 17: sums} {
					if all[place] != 0 {
						all[place] = uint64(at)
					}
				}
				launch(all...)
				for _, s := range m.download(sums, blocks) {
					loss += float64(s)
				}
				return m.download(atPre, rows*out), m.download(atY, rows*out), loss
			}
			id := plain.Kernel(kernels.DenseNT)
			blocks := plain.Blocks(rows, out, in)
			pre, y, loss := run(uint64(atX), uint64(atW), blocks, func(words ...uint64) { m.launch(id, blocks, 1, append(words, 1, 0, 0, 0)...) })
			big, beside := e.Kernel(kernels.DenseNT), m.upload(make([]float32, rows*kernels.NarrowStride(out)/2), 0)
			gotPre, gotY, gotLoss := run(copyX, copyW, e.Tiles(rows, out), func(words ...uint64) {
				m.launchBig(big, e.Blocks(rows, out, m.multiprocessors), append(words, uint64(beside))...)
			})
			m.checkCopy(beside, gotY, rows, out)
			if !slices.Equal(gotPre, pre) || !slices.Equal(gotY, y) || math.Abs(gotLoss-loss) > 1e-5*math.Abs(loss) {
				t.Errorf("%s by %s: another output, or a loss of %v, want %v", name, e, gotLoss, loss)
			}
		}
		for _, transposed := range []bool{false, true} {
			b := kernels.Backward{Rows: rows, In: in, Out: out, Transposed: transposed, DX: true, DW: true, DBias: true}
			run := func(dxs, dws, dbs int, launch func(words []uint64)) (dx, dw, dbias, squares []float32) {
				atDX, atDW, atDB, atSq := m.upload(make([]float32, rows*in), 1), m.upload(make([]float32, in*out), 1), m.upload(make([]float32, out), 0), m.upload(make([]float32, dws+dbs), 0)
				launch([]uint64{rows, in, out, uint64(atTarget), uint64(atW), uint64(device.Tanh), uint64(atX), uint64(atDX), uint64(atX), 0, uint64(atDW), uint64(atDB), uint64(atSq)})
				return m.download(atDX, rows*in), m.download(atDW, in*out), m.download(atDB, out), m.download(atSq, dws+dbs)
			}
			id := plain.Kernel(b.Product())
			dxs, dws, dbs := b.Parts(kernels.BackwardChoice{Choice: plain})
			dx, dw, dbias, _ := run(dxs, dws, dbs, func(words []uint64) { m.launch(id, dxs+dws+dbs, 1, append(words, 0, 1, 0, 1, 0, 0, 0)...) })
			dxs, dws, dbs = e.Parts(b)
			big, beside := e.Kernel(b.Product()), m.upload(make([]float32, rows*kernels.NarrowStride(in)/2), 0)
			gotDX, gotDW, gotDB, squares := run(dxs, dws, dbs, func(words []uint64) {
				wr, wc := b.Weights()
				words[4], words[8] = m.factor(e, atW, wr, wc), copyX
				m.launchBig(big, e.BackwardBlocks(b, m.multiprocessors), bigBackward(words, m.factor(e, atTarget, rows, out), uint64(beside))...)
			})
			m.checkCopy(beside, gotDX, rows, in)
			if !slices.Equal(gotDX, dx) || !slices.Equal(gotDW, dw) || !slices.Equal(gotDB, dbias) {
				t.Errorf("gradients of %+v by %s: other bits", b, e)
			}
			checkSquares(t, squares, append(gotDW, gotDB...))
		}
	}
}
