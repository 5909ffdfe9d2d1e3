package kernels

import (
	"slices"
	"strings"
	"testing"
)

// TestBigTakes: a product is big in one class, by its extents and its multiplications, in whatever order they are.
func TestBigTakes(t *testing.T) {
	for _, c := range []struct {
		class   Class
		m, n, k int
		want    bool
	}{
		{BFloat16, 2048, 2048, 2048, true}, {BFloat16, 2047, 2048, 2048, false}, {BFloat16, 8192, 4096, 16384, true}, {BFloat16, 1 << 20, 1023, 1 << 14, false},
		{BFloat16, 512, 4096, 2048, false}, {Float32, 8192, 8192, 8192, false}, {TF32, 8192, 8192, 8192, false}, {Strict, 8192, 8192, 8192, false},
	} {
		for _, s := range [][3]int{{c.m, c.n, c.k}, {c.n, c.k, c.m}, {c.k, c.m, c.n}} {
			if got := BigProducts().Takes(c.class, s[0], s[1], s[2]); got != c.want {
				t.Errorf("%v in %s is big: %t", s, c.class, got)
			}
		}
	}
}

// TestEngines: an engine's kernels are named for it and for the product, are of class bf16, and find room on a GPU that
// takes them; their blocks are the tiles of the products and what is left for the columns' sums.
func TestEngines(t *testing.T) {
	names := map[Product]string{DenseNT: "dense_nt", DenseNN: "dense_nn", BackwardNN: "dense_backward_nn", BackwardNT: "dense_backward_nt"}
	for e, most := range map[Engine]int{MMA: 99 << 10, WGMMA: 227 << 10} {
		for p, name := range names {
			id := e.Kernel(p)
			of, ok := id.Engine()
			if !ok || of != e || id.String() != name+"_"+e.String() || id.Class() != BFloat16 || !id.Kernel().Geometry.Multiplies() {
				t.Errorf("%s makes product %d by %s", id, p, e)
			}
			if id.Shared() > most || strings.HasSuffix(id.String(), "hopper") != (e == WGMMA) {
				t.Errorf("%s takes %d bytes of shared memory", id, id.Shared())
			}
		}
	}
	b := Backward{Rows: 300, In: 513, Out: 129, DX: true, DW: true, DBias: true}
	if dx, dw, dbias := MMA.Parts(b); dx != 3*5 || dw != 2*5 || dbias != 2 {
		t.Errorf("%d, %d and %d parts by mma", dx, dw, dbias)
	}
	b.Transposed, b.DBias = true, false
	if dx, dw, dbias := WGMMA.Parts(b); dx != 3*3 || dw != 5*1 || dbias != 0 {
		t.Errorf("%d, %d and %d parts by wgmma", dx, dw, dbias)
	}
	if blocks, few := WGMMA.BackwardBlocks(b, 132), WGMMA.BackwardBlocks(b, 7); blocks != 2*(2*3+3*1) || few != 6 {
		t.Errorf("%d and %d blocks by wgmma", blocks, few)
	}
	if input, rest := b.Split(); !WGMMA.Splits(b) || MMA.Splits(b) || WGMMA.Splits(rest) || !input.DX || input.DW || rest.DX || !rest.DW || rest.DBias != b.DBias {
		t.Errorf("%+v is split to %+v and %+v", b, input, rest)
	}
	for capability, want := range map[[2]int]Engine{{8, 0}: MMA, {9, 0}: WGMMA, {9, 1}: MMA, {10, 0}: MMA, {12, 0}: MMA} {
		if got := EngineOn(capability[0], capability[1]); got != want {
			t.Errorf("%v multiplies by %s", capability, got)
		}
	}
}

// TestTurns: the busiest block of those that stay has what clusters that take pairs in turn leave it, counted one by one; a product's last
// row of tiles is multiplied in pairs.
func TestTurns(t *testing.T) {
	if r := WGMMA.Run(300, 513, 70); r != (Run{Blocks: 2 * 2 * 3, Terms: 70}) {
		t.Errorf("a product is %+v", r)
	}
	for multiprocessors, clusters := range map[int]int{1: 1, 2: 1, 7: 3, 132: 66} {
		for _, runs := range [][2]Run{{{4096, 4096}, {2048, 8192}}, {{}, {10, 3}}, {{2, 9}, {2, 1}}, {{262, 5}, {6, 100}}} {
			terms, tiles := make([]int, clusters), make([]int, clusters)
			unit := 0
			for _, r := range runs {
				for range r.Blocks / 2 {
					terms[unit%clusters] += r.Terms
					tiles[unit%clusters]++
					unit++
				}
			}
			most := slices.Index(terms, slices.Max(terms))
			if got, made := Turns(multiprocessors, runs[:]...); got != terms[most] || made < tiles[most] {
				t.Errorf("%v on %d: %d terms in %d tiles, want %d in %d", runs, multiprocessors, got, made, terms[most], tiles[most])
			}
		}
	}
}
