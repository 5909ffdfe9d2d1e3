package kernels

import (
	"fmt"
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

// Choice is the kernel of a product, which depends on its shape.
type Choice struct {
	Class Class
	Tile  Tile
}

// A product of m×k by k×n runs on tensor cores if each extent is at least leastTensor:
// a smaller one would fill less than half of a fragment or of a panel, and a short sum
// is no more exact in three parts than in one; and if it has more than MostStrict
// multiplications, which is so for each product of a layer or for none. A smaller one
// waits for other things, and SmallNet, which adds as Strict does, has the bits of a graph.
const (
	leastTensor = 16
	MostStrict  = 4_000_000
)

// Choose returns the kernel of an m×n product with sums of k terms for a class and a
// machine. The class follows from the shape alone and the tile changes no bit, so
// neither does the machine.
func Choose(class Class, m, n, k, multiprocessors int) Choice {
	if min(m, n, k) < leastTensor || m*n*k <= MostStrict {
		class = Strict
	}
	return Choice{class, TileFor(m, n, multiprocessors)}
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
// product but for its name, its file and its tile.
func tensorRow(id ID) row {
	i := id - firstTensor
	c := Choice{id.Class(), Tile(i % tileKinds)}
	r := manifest[Choice{Strict, Small}.Kernel(Product(i/tileKinds/tensorClasses))]
	r.entry = fmt.Sprintf("%s_%s_%d", strings.TrimSuffix(r.entry, "_32"), c.Class.Arithmetic(), c.Tile.Side())
	r.file = strings.TrimSuffix(r.file, ".cu") + "_tensor.cu"
	r.geometry = tensorGeometry(id)
	return r
}

func tensorGeometry(id ID) Geometry {
	i := id - firstTensor
	if Product(i/tileKinds/tensorClasses) >= BackwardNN {
		return Parts32 + Geometry(i%tileKinds)
	}
	return Tiles32 + Geometry(i%tileKinds)
}

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

// Choose returns the kernel for a class and a machine: the class is that of the products
// (which have the same extents, so it is one), the tile the smallest that one of them would
// take alone, so that the launch has no fewer blocks than the machine can use.
func (b Backward) Choose(class Class, multiprocessors int) Choice {
	c := Choose(class, b.Rows, b.In, b.Out, multiprocessors)
	c.Tile = Large
	if b.DX {
		c.Tile = TileFor(b.Rows, b.In, multiprocessors)
	}
	if b.DW {
		m, n := b.Weights()
		c.Tile = min(c.Tile, TileFor(m, n, multiprocessors))
	}
	return c
}

// Parts are the numbers of blocks that make DX, DW and DBias in a tile.
func (b Backward) Parts(t Tile) (dx, dw, dbias int) {
	if b.DX {
		dx = tiles(b.Rows, b.In, t)
	}
	if b.DW {
		m, n := b.Weights()
		dw = tiles(m, n, t)
	}
	if b.DBias {
		_, block := (Parts32 + Geometry(t)).Launch(1, 1)
		dbias = blocks(b.Out, block/rowLanes)
	}
	return dx, dw, dbias
}
