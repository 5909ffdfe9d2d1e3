package kernels

import (
	"fmt"
	"testing"
)

// TestLaunchCoversShape checks that every element has a thread and no block is
// idle.
func TestLaunchCoversShape(t *testing.T) {
	sizes := []int{0, 1, 2, 3, 4, 5, 31, 32, 33, 127, 128, 129, 255, 256, 257, 1000, 1023, 1024, 1025, 4097}
	perBlock := map[Geometry]func(rows, columns int) (units, perBlock int){
		Quads:    func(r, c int) (int, int) { return r * c, 1024 },
		RowQuads: func(r, c int) (int, int) { return r * ((c + 3) / 4), 256 },
		Elements: func(r, c int) (int, int) { return r * c, 256 },
		Rows:     func(r, _ int) (int, int) { return r, 1 },
		Columns:  func(_, c int) (int, int) { return c, 32 },
	}
	for g, units := range perBlock {
		for _, rows := range sizes {
			for _, columns := range sizes {
				grid, block := g.Launch(rows, columns)
				n, size := units(rows, columns)
				if grid*size < n || n == 0 && grid != 0 || n > 0 && (grid-1)*size >= n {
					t.Errorf("geometry %d of %d×%d: %d blocks for %d units by %d", g, rows, columns, grid, n, size)
				}
				if block%32 != 0 || block > g.MostThreads() || block == 0 {
					t.Errorf("geometry %d of %d×%d: blocks of %d threads", g, rows, columns, block)
				}
			}
		}
	}
}

func TestSharesNeverEmpty(t *testing.T) {
	for n, want := range map[int]int{0: 1, 1: 1, 4096: 1, 4097: 2, 1 << 22: 1024, 1 << 30: MostShareBlocks} {
		if got, _ := Shares.Launch(1, n); got != want {
			t.Errorf("%d elements in %d blocks, want %d", n, got, want)
		}
	}
}

func TestTilesCoverTheProduct(t *testing.T) {
	for tile := Small; tile <= Large; tile++ {
		if grid, _ := (Tiles32 + Geometry(tile)).Launch(tile.Side()+1, 2*tile.Side()); grid != 4 {
			t.Errorf("tiles of %d: %d blocks, want 4", tile.Side(), grid)
		}
	}
}

func TestLaunchRefusesImpossibleGrids(t *testing.T) {
	defer func() {
		if r := recover(); r == nil {
			t.Error("a grid of 2³¹ blocks was accepted")
		}
	}()
	fmt.Println(Rows.Launch(1<<31, 1))
}
