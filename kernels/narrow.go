package kernels

// Engine is how a big product of class BFloat16 multiplies factors that lie in memory as
// bfloat16, in copies that Narrow has made.
type Engine uint8

const (
	// MMA is mma.sync with panels that asynchronous copies bring (kernels/narrow.cuh). It
	// gives the bits of the other kernels of the class.
	MMA Engine = iota
	// WGMMA is wgmma with boxes that the tensor memory accelerator brings (kernels/hopper.cuh), for
	// compute capability 9.0. Its kernels take the address of a tensor map for that of a copy.
	WGMMA
)

// Engines lists them.
func Engines() []Engine { return []Engine{MMA, WGMMA} }

// Big is what a product must have for copies of its factors to pay: no extent below
// Extent, and at least so many multiplications. Extents are asked of all three, so what holds of one product
// of a layer holds of all.
type Big struct{ Extent, Multiplications int }

// String names the engine, as its kernels' names do.
func (e Engine) String() string { return [...]string{"narrow", "hopper"}[e] }

// BigProducts is what is big. Making a copy costs 6 bytes an element at the memory's rate and a launch. By what package
// roofline assumes, that is level with what an H100 saves in products of 2,048³ multiplications where a copy serves
// two of them, as in a step of training.
func BigProducts() Big { return Big{Extent: 1024, Multiplications: 1 << 33} }

// Takes reports whether an m×n product with sums of k terms is big, in a class.
func (b Big) Takes(class Class, m, n, k int) bool {
	return class == BFloat16 && min(m, n, k) >= b.Extent && m*n*k >= b.Multiplications
}

// EngineOn is that of a GPU of a compute capability.
func EngineOn(major, minor int) Engine {
	if major == 9 && minor == 0 {
		return WGMMA
	}
	return MMA
}

// Kernel is the product's kernel.
func (e Engine) Kernel(p Product) ID { return DenseNTNarrow + 4*ID(e) + ID(p) }

// Engine is that of a kernel of big products; false for any other kernel.
func (id ID) Engine() (Engine, bool) {
	if id < DenseNTNarrow || id >= firstTensor {
		return 0, false
	}
	return Engine((id - DenseNTNarrow) / 4), true
}

// Tile is the shape of a block's work.
func (e Engine) Tile() (m, n int) {
	if e == WGMMA {
		return 128, 256
	}
	return 128, 128
}

// Tiles is the number of tiles of an m×n product.
func (e Engine) Tiles(m, n int) int {
	rows, columns := e.Tile()
	return inRange(blocks(m, rows) * blocks(n, columns))
}

// biasColumns is how many of the columns of db a block makes.
const biasColumns = 128

// pairs is how many pairs of tiles one above the other hold those of an m×n product: what a cluster of WGMMA takes at once.
func (e Engine) pairs(m, n int) int {
	rows, columns := e.Tile()
	return inRange(blocks(m, clusterHopper*rows) * blocks(n, columns))
}

// clusterHopper is the number of blocks of a cluster of WGMMA.
const clusterHopper = 2

// Blocks is how many blocks make an m×n product on a GPU of so many multiprocessors: one for each tile, or of WGMMA no
// more than run at a time, in whole clusters, which take one pair of tiles after the other.
func (e Engine) Blocks(m, n, multiprocessors int) int {
	if e == WGMMA {
		return stay(e.pairs(m, n), multiprocessors)
	}
	return e.Tiles(m, n)
}

// BackwardBlocks is Blocks of the launch that makes the gradients of a layer.
func (e Engine) BackwardBlocks(b Backward, multiprocessors int) int {
	dx, dw, dbias := e.Parts(b)
	if e != WGMMA {
		return dx + dw + dbias
	}
	pairs := 0
	if b.DX {
		pairs = e.pairs(b.Rows, b.In)
	}
	if b.DW {
		pairs += e.pairs(b.Weights())
	}
	return stay(max(pairs, blocks(dbias, clusterHopper)), multiprocessors)
}

// Run is the tiles of an m×n product with sums of k terms; those of WGMMA that fill up pairs are multiplied too.
func (e Engine) Run(m, n, k int) Run {
	if e == WGMMA {
		return Run{Blocks: clusterHopper * e.pairs(m, n), Terms: k}
	}
	return Run{Blocks: e.Tiles(m, n), Terms: k}
}

// Runs are those of the gradients of a layer: of DX, and of DW.
func (e Engine) Runs(b Backward) (runs [2]Run) {
	if b.DX {
		runs[0] = e.Run(b.Rows, b.In, b.Out)
	}
	if b.DW {
		m, n := b.Weights()
		runs[1] = e.Run(m, n, b.Rows)
	}
	return runs
}

// Turns is how many terms are added, and in how many tiles, by the block of WGMMA that has most to do on a GPU of so many
// multiprocessors: clusters take the pairs of a launch's runs in turn, one run behind the other.
func Turns(multiprocessors int, runs ...Run) (terms, tiles int) {
	clusters := max(multiprocessors/clusterHopper, 1)
	for c := range clusters {
		first, added, made := 0, 0, 0
		for _, r := range runs {
			pairs := r.Blocks / clusterHopper
			taken := blocks(max(first+pairs-c, 0), clusters) - blocks(max(first-c, 0), clusters)
			first, added, made = first+pairs, added+taken*r.Terms, made+taken
		}
		if added > terms || added == terms && made > tiles {
			terms, tiles = added, made
		}
	}
	return terms, tiles
}

// Leave is the time, at a clock in Hz, in which a tile of WGMMA leaves the registers while the block multiplies nothing: what it leaves in
// float32 and in bfloat16, and float32 that it may read, at what is assumed of a multiprocessor's way to the second-level cache.
func (e Engine) Leave(clock float64) float64 {
	if e != WGMMA {
		return 0
	}
	m, n := e.Tile()
	return float64((4+2+4)*m*n) / (meetBytes * clock)
}

// Splits reports whether a launch that updates weights as it makes their gradients has to follow one of DX alone.
func (e Engine) Splits(b Backward) bool { return e == WGMMA && b.DX && b.DW }

// Split is DX alone, and what else there is.
func (b Backward) Split() (input, rest Backward) {
	input, rest = b, b
	input.DW, input.DBias, rest.DX = false, false, false
	return input, rest
}

// stay is the number of blocks that stay for so many pairs.
func stay(pairs, multiprocessors int) int {
	return clusterHopper * min(pairs, max(multiprocessors/clusterHopper, 1))
}

// Parts are the numbers of tiles of DX and DW, and of parts of DBias, each of which leaves a sum of squares but those of DX.
func (e Engine) Parts(b Backward) (dx, dw, dbias int) {
	if b.DX {
		dx = e.Tiles(b.Rows, b.In)
	}
	if b.DW {
		dw = e.Tiles(b.Weights())
	}
	if b.DBias {
		dbias = blocks(b.Out, biasColumns)
	}
	return dx, dw, dbias
}

// Shared is the dynamic shared memory of a kernel whose launch always takes the same, in bytes.
func (id ID) Shared() int {
	if e, ok := id.Engine(); ok {
		return e.shared()
	}
	return 0
}

// shared is that of four panels of both factors: of 32 columns and 8 for the banks, or of 64 columns and, once, what it
// takes to begin at a multiple of the swizzle's 1,024 bytes.
func (e Engine) shared() int {
	m, n := e.Tile()
	if e == WGMMA {
		return 4*(m+n)*64*2 + 1024
	}
	return 4 * (m + n) * (32 + 8) * 2
}

// BoxSide is the number of rows and of columns of the boxes of WGMMA's tensor maps.
const BoxSide = 64

// NarrowStride is the number of elements from one row of a copy of bfloat16 to the next.
func NarrowStride(columns int) int { return blocks(columns, halfAlign) * halfAlign }

// halfAlign is how many bfloat16 are 16 bytes, at multiples of which rows start.
const halfAlign = 8
