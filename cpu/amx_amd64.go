package cpu

// amxProducts are the products of bfloat16 by AMX-BF16, whose registers are tiles
// of 16 rows of 16 float32 or pairs. A micro-kernel keeps two by two tiles of C and
// adds 16 pairs to each at a time: the terms of even k in one sum that begins at
// zero, those of odd k in another, both in order, and then the two sums to the tile.
//
// k is cut more finely than for vectors: 32 rows of S over most pairs are 32 kB,
// which stay in the first-level cache while the panels come from the second.
var amxProducts = pairProducts{
	name:    "AMX-BF16",
	granted: tilesGranted,
	tiles: []tile{
		{columns: 16, matrix: true, packed: true, packPairs: packPairs16AVX512, multiply: rowsOfTiles(multiplyTiles1x1AMX, multiplyTiles2x1AMX)},
		{columns: 32, matrix: true, packed: true, packPairs: packPairs32AVX512, multiply: rowsOfTiles(multiplyTiles1x2AMX, multiplyTiles2x2AMX)},
	},
	terms:  rowsOfTile,
	most:   256,
	sparse: 1. / 16, // by the throughputs of both; at 0.13 the tiles are quicker
}

// registersFunc is a tilesFunc whose kc is a multiple of rowsOfTile, of an S in rows;
// last is the number of rows of its last tile registers.
type registersFunc func(last, tiles, kc int, s []float32, outer int, panel []float32, across, down int, c []float32, ld int, add bool, next []float32, asked int)

// rowsOfTiles returns the micro-kernels by their number of rows, of one for each
// number of tile registers down the rows.
func rowsOfTiles(registers ...registersFunc) []tilesFunc {
	var all []tilesFunc
	for _, multiply := range registers {
		for last := 1; last <= rowsOfTile; last++ {
			all = append(all, func(tiles, kc int, s []float32, outer, _ int, panel []float32, across, down int, c []float32, ld int, add bool, _ int, next []float32, asked, _ int) {
				multiply(last, tiles, kc, s, outer, panel, across, down, c, ld, add, next, asked)
			})
		}
	}
	return all
}
