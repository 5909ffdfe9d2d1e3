package kernels

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTileOfAProduct: the tile is that in which the blocks that a multiprocessor has to make, of
// what a tile is assumed to reach, take the least time.
func TestTileOfAProduct(t *testing.T) {
	for _, c := range []struct {
		m, n, multiprocessors int
		want                  Tile
	}{
		{128, 1000, 132, Small},    // 32 medium tiles would leave 100 multiprocessors idle
		{1024, 1000, 132, Medium},  // two for each multiprocessor; 64 large ones would leave 68 idle
		{4096, 4096, 132, Large},   // 1024 large tiles
		{1, 1, 1, Small},           // whatever fits
		{100000, 784, 132, Medium}, // a big evaluation batch; 784 columns are no whole number of large tiles
		{1 << 20, 10, 132, Small},  // narrow outputs waste wide tiles
		{128, 128, 1, Large},       // one whole large tile
		{33, 33, 4, Small},         // medium would be 73 % air
		{10000, 64, 132, Small},    // 157 medium ones are two rounds, 626 small ones five of a quarter
	} {
		if got := Choose(Strict, c.m, c.n, 100, c.multiprocessors); got != (Choice{Class: Strict, Tile: c.want}) {
			t.Errorf("%d×%d on %d multiprocessors: %+v, want a tile of %d", c.m, c.n, c.multiprocessors, got, c.want.Side())
		}
	}
}

// TestClassOfAProduct: a product runs in the class that is asked for wherever a fragment of
// tensor cores is filled, on every machine.
func TestClassOfAProduct(t *testing.T) {
	for _, c := range []struct {
		m, n, k int
		tensor  bool
	}{
		{128, 512, 784, true}, {16, 512, 784, true}, {2000, 2000, 16, true}, {16, 16, 7032, true}, {16, 16, 7031, false}, {150, 120, 100, false},
		{15, 512, 784, false}, {128, 10, 5120, false}, {1280, 512, 15, false}, {0, 512, 784, false},
	} {
		for _, class := range Classes() {
			for _, multiprocessors := range []int{1, 4, 132} {
				want := Strict
				if c.tensor {
					want = class
				}
				if got := Choose(class, c.m, c.n, c.k, multiprocessors); got.Class != want {
					t.Errorf("%s of %d×%d×%d on %d multiprocessors: %v, want %v", class, c.m, c.n, c.k, multiprocessors, got, want)
				}
			}
		}
	}
}

// TestCutsFollowFromTheShape: how sums are shared is the same on every machine and in every class but
// the strict one, which has chains; a share is no shorter than it must be, and a product that fills a
// machine is not cut.
func TestCutsFollowFromTheShape(t *testing.T) {
	for _, c := range []struct{ m, n, k, depth int }{
		{128, 1000, 784, 400}, {128, 784, 1000, 208}, {256, 784, 1000, 208}, {32, 1000, 784, 112},
		{784, 1000, 128, 0}, {1024, 1000, 784, 0}, {784, 1000, 1024, 0}, {512, 4096, 2048, 0}, {2000, 2000, 64, 0},
	} {
		for _, class := range Classes() {
			for _, multiprocessors := range []int{1, 16, 132, 1000} {
				want := c.depth
				if class == Strict {
					want = 0
				}
				if got := Choose(class, c.m, c.n, c.k, multiprocessors); got.Depth != want || want > 0 && got.Tile > Medium {
					t.Errorf("%s of %d×%d×%d on %d multiprocessors: %+v, want %d terms a share", class, c.m, c.n, c.k, multiprocessors, got, want)
				}
			}
		}
	}
}

// TestSharesHaveRoom: of any layer the shares cover all terms, each has some, and what they leave and
// their tickets have room where every launch does.
func TestSharesHaveRoom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	extent := func() int { return 1 << random.IntN(11) * (1 + random.IntN(40)) / (1 + random.IntN(9)) }
	cut := 0
	for range 3000 {
		b := Backward{Rows: extent(), In: extent(), Out: extent(), Transposed: random.IntN(2) == 0, DX: true, DW: true, DBias: true}
		c := b.Choose(TF32, 1+random.IntN(200))
		m, n := b.Weights()
		tickets := 0
		for _, p := range []struct{ depth, shares, m, n, k int }{{c.Depth, c.Shares(b.Out), b.Rows, b.In, b.Out}, {c.WeightDepth, c.WeightShares(b.Rows), m, n, b.Rows}} {
			if p.depth == 0 {
				continue
			}
			cut++
			tickets += tiles(p.m, p.n, c.Tile)
			if (p.shares-1)*p.depth >= p.k || p.shares*p.depth < p.k || p.depth < leastDepth || p.depth%depthUnit != 0 {
				t.Fatalf("%+v: %d shares of %d of %d terms", b, p.shares, p.depth, p.k)
			}
		}
		if floats := b.Partial(c); floats > MostPartial || tickets > MostTickets {
			t.Fatalf("%+v as %+v: %d floats of partial sums, %d tickets", b, c, floats, tickets)
		}
	}
	if cut < 500 {
		t.Errorf("%d products were cut", cut)
	}
}

// TestBackwardParts: the gradients of a layer have a block for each share of each tile of a product and
// for the columns that a block's threads add up, in a tile that suits both; a product is cut as it is
// alone, unless the blocks of the other fill the machine beside it.
func TestBackwardParts(t *testing.T) {
	b := Backward{Rows: 128, In: 1000, Out: 784, DX: true, DW: true, DBias: true}
	c := b.Choose(Float32, 132)
	if want := (BackwardChoice{Choice: Choice{Class: Float32}}); c != want {
		t.Errorf("the products of %+v are computed as %+v, want %+v", b, c, want)
	}
	alone := b
	alone.DW = false
	if got, want := alone.Choose(Float32, 132), (BackwardChoice{Choice: Choice{Float32, Small, 400}}); got != want {
		t.Errorf("DX of %+v is computed as %+v, want %+v", alone, got, want)
	}
	if c := (Backward{Rows: 128, In: 256, Out: 1500, DX: true, DW: true}).Choose(Float32, 132); c.Depth == 0 || c.WeightDepth != 0 {
		t.Errorf("a long DX beside a small DW is computed as %+v", c)
	}
	c.Tile, c.Depth = Medium, 400
	if dx, dw, dbias := b.Parts(c); dx != 2*2*16 || dw != 13*16 || dbias != 25 || b.Squares(c) != dw+dbias || b.Partial(c) != dx*64*64 {
		t.Errorf("%d, %d and %d parts, %d squares, %d floats", dx, dw, dbias, b.Squares(c), b.Partial(c))
	}
	c.Tile, c.Depth, c.WeightDepth = Small, 0, 64
	if dx, dw, dbias := b.Parts(c); dx != 4*32 || dw != 2*25*32 || dbias != 49 || b.Squares(c) != dw/2+dbias || b.Partial(c) != dw*32*32 {
		t.Errorf("%d, %d and %d parts, %d squares, %d floats", dx, dw, dbias, b.Squares(c), b.Partial(c))
	}
	b.Transposed, b.DX, b.DBias = true, false, false
	if c := b.Choose(Strict, 132); c != (BackwardChoice{Choice: Choice{Strict, Medium, 0}}) || b.Product() != BackwardNT {
		t.Errorf("the products of %+v are computed as %+v", b, c)
	}
	if dx, dw, dbias := b.Parts(BackwardChoice{Choice: Choice{Strict, Medium, 0}}); dx != 0 || dw != 16*13 || dbias != 0 {
		t.Errorf("%d, %d and %d parts of one product", dx, dw, dbias)
	}
}

// TestSpan: the terms of the busiest multiprocessor are those of a simulation that gives block after
// block to the one that has added the fewest.
func TestSpan(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 0))
	for range 300 {
		machine := make([]int, 1+random.IntN(20))
		runs := make([]Run, 1+random.IntN(3))
		for i := range runs {
			runs[i] = Run{random.IntN(70), 1 + random.IntN(50)}
			for range runs[i].Blocks {
				least := slices.Index(machine, slices.Min(machine))
				machine[least] += runs[i].Terms
			}
		}
		if got, want := Span(len(machine), runs...), slices.Max(machine); got != want {
			t.Errorf("%v on %d multiprocessors: %d, want %d", runs, len(machine), got, want)
		}
	}
}
