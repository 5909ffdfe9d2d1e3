package kernels

import (
	"fmt"
	"math"
	"strings"
)

// Class is the arithmetic of a dense layer's products. All add in float32, and each
// computes an element as one chain in the order of k, whatever the tile.
type Class uint8

const (
	// Float32 takes each factor as the sum of two numbers of tf32 and adds three
	// products of tensor cores: as exact as Strict, see kernels/tensor.cuh and On.
	Float32 Class = iota
	// TF32 rounds factors to the 11 significant bits of tf32.
	TF32
	// BFloat16 rounds factors to the 8 significant bits of bfloat16.
	BFloat16
	// Strict is one chain of fused multiply-adds of float32, without tensor cores.
	Strict
)

// Classes lists them.
func Classes() []Class { return []Class{Float32, TF32, BFloat16, Strict} }

// String returns the class's name in --precision.
func (c Class) String() string { return [...]string{"float32", "tf32", "bf16", "strict"}[c] }

// Arithmetic names what the class does, as its kernels' names do.
func (c Class) Arithmetic() string { return [...]string{"tf32x3", "tf32", "bf16", "ffma"}[c] }

// On is the class in which a GPU of a compute capability computes one that is asked for.
// Three products of tf32 take the place of one of float32 where tensor cores have more than
// three times the rate of ordinary arithmetic: by NVIDIA's white papers they have 8 to 16
// times the rate on 8.0 (A100), 9.0 (H100) and 10.x (B200), and one or two times on others.
func (c Class) On(major, minor int) Class {
	if c != Float32 || major == 9 || major == 10 || major == 8 && minor == 0 {
		return c
	}
	return Strict
}

// Class is the arithmetic of a kernel's products; that of kernels without any is Strict.
func (id ID) Class() Class {
	switch {
	case id == SmallNetBF16x3, id == ScoreNetBF16x3:
		return Float32
	case id == SmallNetBF16 || id == ScoreNetBF16 || id >= Narrow && id < firstTensor:
		return BFloat16
	case id < firstTensor:
		return Strict
	}
	return Class((id - firstTensor) / tileKinds % tensorClasses)
}

// Tile is that of a kernel of products.
func (id ID) Tile() Tile {
	if id < firstTensor {
		return Tile((id - DenseNT32) % tileKinds)
	}
	return Tile((id - firstTensor) % tileKinds)
}

// Product is what the kernels of matrix products make.
type Product uint8

// The products, in the order of their kernels: Y = X·Wᵀ and, for tied decoders, X·W;
// the gradients of the former, DA·W, DAᵀ·X and the column sums of DA; those of the latter,
// DA·Wᵀ, Xᵀ·DA and the column sums.
const (
	DenseNT Product = iota
	DenseNN
	BackwardNN
	BackwardNT
)

// Products lists them.
func Products() []Product { return []Product{DenseNT, DenseNN, BackwardNN, BackwardNT} }

// Choice is the kernel of a product, which depends on its shape, and how its sums are cut.
type Choice struct {
	Class Class
	Tile  Tile
	Depth int // terms that a block adds; 0: all of them
}

// A product of m×k by k×n runs on tensor cores if each extent is at least leastTensor:
// a smaller one would fill less than half of a fragment or of a panel, and a short sum
// is no more exact in three parts than in one; and if it has more than MostStrict
// multiplications, which is so for each product of a layer or for none. A smaller one
// waits for other things, and SmallNet, which adds as Strict does, has the bits of a graph.
const (
	leastTensor = 16
	MostStrict  = 1_800_000
)

// Choose returns the kernel of an m×n product with sums of k terms for a class and a
// machine. The class and the cuts of its sums follow from the shape alone and the tile changes
// no bit, so neither does the machine.
func Choose(class Class, m, n, k, multiprocessors int) Choice {
	if min(m, n, k) < leastTensor || m*n*k <= MostStrict {
		class = Strict
	}
	c := Choice{Class: class, Depth: depth(class, m, n, k)}
	c.Tile, _ = tileFor(multiprocessors, c.mostTile(), func(t Tile) ([]Run, int) {
		return []Run{Choice{class, t, c.Depth}.Run(m, n, k)}, c.Shares(k)
	})
	return c
}

// Blocks is how many make the product: one for each share of each tile.
func (c Choice) Blocks(m, n, k int) int { return inRange(c.Tiles(m, n) * c.Shares(k)) }

// Tiles is how many the product has.
func (c Choice) Tiles(m, n int) int { return tiles(m, n, c.Tile) }

// Shares is how many blocks share a sum of k terms.
func (c Choice) Shares(k int) int {
	if c.Depth == 0 {
		return 1
	}
	return blocks(k, c.Depth)
}

// Terms is how many of k a block adds, at most.
func (c Choice) Terms(k int) int {
	if c.Depth == 0 {
		return k
	}
	return c.Depth
}

// Partial is the number of floats in which the blocks of a product leave their sums for each other.
func (c Choice) Partial(m, n, k int) int {
	if c.Depth == 0 {
		return 0
	}
	return c.Blocks(m, n, k) * c.Tile.area()
}

// Shape is what DenseNT or DenseNN is launched with.
func (c Choice) Shape(m, n, k int) (rows, columns int) {
	if c.Class == Strict {
		return m, n
	}
	return c.Blocks(m, n, k), 1
}

// Run is the product's blocks.
func (c Choice) Run(m, n, k int) Run { return Run{c.Blocks(m, n, k), c.Terms(k)} }

// mostTile is the largest tile of which a product may be: one that is cut has too few of 64.
func (c Choice) mostTile() Tile {
	if c.Depth > 0 {
		return Medium
	}
	return Large
}

// A share has at least leastDepth terms, and its bounds are multiples of depthUnit: a panel, of copies
// of 16 bytes. A product is cut into no more than mostShared tiles of 64, two for each multiprocessor of
// a large machine.
const (
	leastDepth = 64
	depthUnit  = 16
	mostShared = 2 * nominalMultiprocessors
)

// MostPartial and MostTickets bound the floats of the partial sums of a launch, which makes at most
// two products that are cut, and the numbers of their tiles.
const (
	MostPartial = 2 * mostShared * 64 * 64
	MostTickets = 2 * mostShared / 2 * 4
)

// depth is how many terms of a sum a block adds; 0: all of them. It is what takes a nominal
// machine the least time, and so follows from the shape, not from the machine at hand, since it decides
// the order of additions. A strict sum is one chain.
func depth(class Class, m, n, k int) int {
	of64 := tiles(m, n, Medium)
	if class == Strict || of64 == 0 {
		return 0
	}
	best, least := 0, math.Inf(1)
	for shares := 1; shares == 1 || shares <= min(mostShared/of64, k/leastDepth); shares++ {
		c := Choice{Class: class}
		if shares > 1 {
			c.Depth = blocks(blocks(k, shares), depthUnit) * depthUnit
		}
		for c.Tile = Small; c.Tile <= c.mostTile(); c.Tile++ {
			if time := c.Tile.time(nominalMultiprocessors, c.Shares(k), c.Run(m, n, k)); time < least {
				best, least = c.Depth, time
			}
		}
	}
	return best
}

// The kernels of a product differ by tile, and those on tensor cores by class before that.
const (
	tileKinds     = ID(Large + 1)
	tensorKernels = 4 * tensorClasses * tileKinds // those of all products
	tensorClasses = ID(Strict)                    // all but Strict
)

// Kernel is the product's kernel.
func (c Choice) Kernel(p Product) ID {
	if c.Class == Strict {
		return DenseNT32 + ID(p)*tileKinds + ID(c.Tile)
	}
	return firstTensor + (ID(p)*tensorClasses+ID(c.Class))*tileKinds + ID(c.Tile)
}

// tensorRow is the manifest's row of a product on tensor cores: that of the strict
// product but for its name, its file, its tile and its shares.
func tensorRow(id ID) row {
	i := id - firstTensor
	c := Choice{Class: id.Class(), Tile: Tile(i % tileKinds)}
	p := Product(i / tileKinds / tensorClasses)
	r := manifest[Choice{Class: Strict}.Kernel(p)]
	r.entry = fmt.Sprintf("%s_%s_%d", strings.TrimSuffix(r.entry, "_32"), c.Class.Arithmetic(), c.Tile.Side())
	r.file = strings.TrimSuffix(r.file, ".cu") + "_tensor.cu"
	r.geometry = tensorGeometry(id)
	if p >= BackwardNN {
		r.parameters += ", int dx_shares, int dx_depth, int dw_shares, int dw_depth" + shared
	} else {
		r.parameters += ", int shares, int depth" + shared
	}
	return r
}

// shared is where blocks that share sums meet.
const shared = ", pointer partial, pointer tickets"

func tensorGeometry(id ID) Geometry { return Parts32 + Geometry((id-firstTensor)%tileKinds) }

// Backward is the work of a launch of BackwardNN or BackwardNT: the gradients that are
// wanted of a layer of Out units over In, for so many rows.
type Backward struct {
	Rows, In, Out int
	Transposed    bool // BackwardNT
	DX, DW, DBias bool
}

// Product is the one that makes them.
func (b Backward) Product() Product {
	if b.Transposed {
		return BackwardNT
	}
	return BackwardNN
}

// Weights is the shape of W and of its gradient.
func (b Backward) Weights() (rows, columns int) {
	if b.Transposed {
		return b.In, b.Out
	}
	return b.Out, b.In
}

// BackwardChoice is the kernel of a Backward. Its Depth is that of the product that makes DX.
type BackwardChoice struct {
	Choice
	WeightDepth int // of DW
}

// weights is how DW is made.
func (c BackwardChoice) weights() Choice { return Choice{c.Class, c.Tile, c.WeightDepth} }

// WeightShares is how many blocks share a sum of DW, over so many rows.
func (c BackwardChoice) WeightShares(rows int) int { return c.weights().Shares(rows) }

// Choose returns the kernel for a class and a machine: the class is that of the products
// (which have the same extents, so it is one), and they have one tile, in which both together take
// the least time. Each is cut as it would be alone, or not at all, whichever takes a nominal machine less
// with the other beside it.
func (b Backward) Choose(class Class, multiprocessors int) BackwardChoice {
	m, n := b.Weights()
	whole := Choose(class, b.Rows, b.In, b.Out, multiprocessors)
	of := [2]int{whole.Depth, depth(whole.Class, m, n, b.Rows)}
	best, least := BackwardChoice{}, math.Inf(1)
	for _, cut := range [][2]bool{{}, {true, false}, {false, true}, {true, true}} {
		c := BackwardChoice{Choice: Choice{Class: whole.Class}}
		if cut[0] && b.DX {
			c.Depth = of[0]
		}
		if cut[1] && b.DW {
			c.WeightDepth = of[1]
		}
		if _, time := b.tile(c, nominalMultiprocessors); time < least {
			best, least = c, time
		}
	}
	best.Tile, _ = b.tile(best, multiprocessors)
	return best
}

// tile is that in which a machine takes the least time, and the time.
func (b Backward) tile(c BackwardChoice, multiprocessors int) (Tile, float64) {
	return tileFor(multiprocessors, min(c.mostTile(), c.weights().mostTile()), func(t Tile) ([]Run, int) {
		c.Tile = t
		dx, dw := b.Runs(c)
		return []Run{dx, dw}, max(c.Shares(b.Out), c.WeightShares(b.Rows))
	})
}

// Runs are the blocks of DX and DW.
func (b Backward) Runs(c BackwardChoice) (dx, dw Run) {
	if b.DX {
		dx = c.Run(b.Rows, b.In, b.Out)
	}
	if b.DW {
		m, n := b.Weights()
		dw = c.weights().Run(m, n, b.Rows)
	}
	return dx, dw
}

// Parts are the numbers of blocks that make DX, DW and DBias.
func (b Backward) Parts(c BackwardChoice) (dx, dw, dbias int) {
	ofDX, ofDW := b.Runs(c)
	if b.DBias {
		_, block := (Parts32 + Geometry(c.Tile)).Launch(1, 1)
		dbias = blocks(b.Out, block/rowLanes)
	}
	return ofDX.Blocks, ofDW.Blocks, dbias
}

// Squares is how many sums of squares of DW and DBias a launch leaves.
func (b Backward) Squares(c BackwardChoice) int {
	_, dw, dbias := b.Parts(c)
	return dw/c.WeightShares(b.Rows) + dbias
}

// Partial is the number of floats in which blocks leave their sums for each other.
func (b Backward) Partial(c BackwardChoice) int {
	dx, dw := b.Runs(c)
	floats := 0
	if c.Depth > 0 {
		floats += dx.Blocks
	}
	if c.WeightDepth > 0 {
		floats += dw.Blocks
	}
	return floats * c.Tile.area()
}
