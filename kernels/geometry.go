package kernels

import "math"

// Geometry says how a kernel divides a shape among blocks and threads. What a
// kernel computes never depends on it, with one exception that is a function of
// the shape: the order of additions of Rows and Shares.
type Geometry uint8

const (
	// Quads: a thread for four consecutive elements of rows·columns.
	Quads Geometry = iota
	// RowQuads: a thread for four neighbouring columns of a row.
	RowQuads
	// Elements: a thread for an element.
	Elements
	// Rows: a block for a row; wider rows get more threads.
	Rows
	// Columns: a block for 32 columns, of 32·8 threads.
	Columns
	// Shares: blocks that share rows·columns elements; see ShareBlocks.
	Shares
	// Tiles32, Tiles64, Tiles128: a block for a square tile of an m×n product.
	Tiles32
	Tiles64
	Tiles128
	// Parts32, Parts64, Parts128: a block for each of so many parts as there are rows, with
	// the threads of a tile.
	Parts32
	Parts64
	Parts128
	// Once: one block, whatever the shape.
	Once
	// Blocks: as many blocks as there are rows.
	Blocks
	// Pairs384: as many blocks of 384 threads, three warpgroups, as there are rows, in clusters of two, which share out all
	// work of the launch.
	Pairs384
	// OneCluster: ClusterBlocks blocks that run at the same time, whatever the shape.
	OneCluster
)

const (
	threads          = 256 // of most blocks
	threadsTile32    = 128
	threadsHopper    = 384 // two warpgroups that multiply, and one that brings their panels
	elementsOfQuad   = 4
	columnsOfBlock   = 32
	rowLanes         = 8  // of a column, in column sums
	shareOfThread    = 16 // elements that a thread of Shares should have
	mostUpdateBlocks = 512
	MostShareBlocks  = 1024 // bounds the partial sums of ReduceAll, in blocks
	ClusterBlocks    = 8    // of a cluster: as many as every machine that has clusters can hold
)

// Launch returns the grid and the block for a shape.
func (g Geometry) Launch(rows, columns int) (grid, block int) {
	switch g {
	case Quads:
		return blocks(rows*columns, elementsOfQuad*threads), threads
	case RowQuads:
		return blocks(rows*blocks(columns, elementsOfQuad), threads), threads
	case Elements:
		return blocks(rows*columns, threads), threads
	case Rows:
		return inRange(rows), rowThreads(columns)
	case Columns:
		return blocks(columns, columnsOfBlock), threads
	case Shares:
		return ShareBlocks(rows * columns), threads
	case Tiles32:
		return tiles(rows, columns, Small), threadsTile32
	case Tiles64:
		return tiles(rows, columns, Medium), threads
	case Tiles128:
		return tiles(rows, columns, Large), threads
	case Parts32:
		return inRange(rows), threadsTile32
	case Parts64, Parts128, Blocks:
		return inRange(rows), threads
	case Pairs384:
		return inRange(rows), threadsHopper
	case Once:
		return 1, threads
	case OneCluster:
		return ClusterBlocks, threads
	}
	panic("kernels: unknown geometry")
}

// MostThreads is the size of the largest block, the kernel's launch bound.
func (g Geometry) MostThreads() int {
	if g == Tiles32 || g == Parts32 {
		return threadsTile32
	}
	if g == Pairs384 {
		return threadsHopper
	}
	return threads
}

// Multiplies reports whether blocks work on tiles of products, in shared memory.
func (g Geometry) Multiplies() bool { return g >= Tiles32 && g <= Parts128 || g == Pairs384 }

// ShareBlocks is the number of blocks, and of partial sums, in which ReduceAll
// folds n elements: at least 1, so that an empty sum is 0.
func ShareBlocks(n int) int { return min(max(blocks(n, shareOfThread*threads), 1), MostShareBlocks) }

// UpdateBlocks is the number of blocks in which Advance updates n parameters: each adds up the
// loss and the norm for itself, so they are no more than keep a machine's memory busy.
func UpdateBlocks(n int) int { return min(blocks(n, elementsOfQuad*threads), mostUpdateBlocks) }

// rowThreads is the block for a row: about four elements a thread, whole warps.
func rowThreads(columns int) int {
	for block := 32; block < threads; block *= 2 {
		if columns <= 4*block {
			return block
		}
	}
	return threads
}

func tiles(m, n int, t Tile) int { return inRange(blocks(m, t.Side()) * blocks(n, t.Side())) }

// blocks is n/size, rounded up.
func blocks(n, size int) int { return inRange((n + size - 1) / size) }

// inRange panics if n is no legal size of a grid.
func inRange(n int) int {
	if n < 0 || n > math.MaxInt32 {
		panicf("a grid of %d blocks", n)
	}
	return n
}
