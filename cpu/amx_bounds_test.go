//go:build linux && amd64

package cpu

import (
	"fmt"
	"runtime/debug"
	"testing"
)

// TestTilesStayInBounds runs the micro-kernels of every number of rows on matrices that
// end at the end of memory; with a row too few they are stopped there.
func TestTilesStayInBounds(t *testing.T) {
	openTiles(t, 1)
	const kc, tiles = 2 * rowsOfTile, 2
	for _, tile := range amxProducts.tiles {
		width := tiles * tile.columns
		s, panels := atPageEnd[float32](t, 2*rowsOfTile*kc), atPageEnd[float32](t, kc*width)
		c := atPageEnd[float32](t, 2*rowsOfTile*width)
		for rows := 1; rows <= tile.rows(); rows++ {
			from, to := s[len(s)-rows*kc:], c[len(c)-rows*width:]
			inBounds(t, fmt.Sprintf("tiles of %d×%d", rows, tile.columns), func() {
				tile.multiply[rows-1](tiles, kc, from, kc, 1, panels, kc*tile.columns, tile.columns, to, width, false, kc, nil, 0, 0)
				tile.multiply[rows-1](tiles, kc, from, kc, 1, panels, tile.columns, width, to, width, true, kc, nil, 0, 0)
			})
			if rows == 1 {
				continue // what lies behind an empty slice is not said
			}
			if !faults(func() {
				tile.multiply[rows-1](tiles, kc, from[kc:], kc, 1, panels, kc*tile.columns, tile.columns, to, width, false, kc, nil, 0, 0)
			}) {
				t.Errorf("%d×%d: a row beyond the end of S is read", rows, tile.columns)
			}
			if !faults(func() {
				tile.multiply[rows-1](tiles, kc, from, kc, 1, panels, kc*tile.columns, tile.columns, to[width:], width, false, kc, nil, 0, 0)
			}) {
				t.Errorf("%d×%d: a row beyond the end of C is written", rows, tile.columns)
			}
		}
	}
}

// TestPackingOfPairsStaysInBounds packs panels of matrices that end at the end of memory.
func TestPackingOfPairsStaysInBounds(t *testing.T) {
	mustPack(t)
	for _, tile := range amxProducts.tiles {
		const terms = 3
		panel, from := atPageEnd[float32](t, terms*tile.columns), atPageEnd[float32](t, 2*terms*tile.columns)
		inBounds(t, fmt.Sprint("panel of ", tile.columns), func() { tile.packPairs(1, panel, 0, from, tile.columns, terms) })
		if !faults(func() { tile.packPairs(1, panel, 0, from[tile.columns:], tile.columns, terms) }) {
			t.Errorf("a row beyond the end of a panel of %d is read", tile.columns)
		}
	}
}

// faults reports whether f touches memory that it may not.
func faults(f func()) (did bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { did = recover() != nil }()
	f()
	return false
}
