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
	"gpudae/kernels"
)

// machine is a device with the kernels loaded.
type machine struct {
	t       *testing.T
	context *cuda.Context
	held    []cuda.Address

	multiprocessors int // that a launch is for which stays
}

func open(t *testing.T) *machine {
	t.Helper()
	c, err := cuda.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, context: c, multiprocessors: 4}
	t.Cleanup(func() {
		m.release()
		m.check(c.Close())
	})
	m.check(c.Load(kernels.Fatbin()))
	return m
}

func (m *machine) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) release() {
	for _, at := range m.held {
		m.check(m.context.Free(at))
	}
	m.held = nil
}

// upload places x at an address that is skew floats off a 16-byte boundary.
func (m *machine) upload(x []float32, skew int) cuda.Address {
	m.t.Helper()
	at, err := m.context.Alloc(4 * (len(x) + skew))
	m.check(err)
	m.held = append(m.held, at)
	at += cuda.Address(4 * skew)
	p := m.pinned(x)
	m.check(p.CopyToDevice(at, 4*len(x)))
	m.check(p.Wait())
	m.check(p.Close())
	return at
}

func (m *machine) pinned(x []float32) *cuda.Pinned {
	m.t.Helper()
	p, err := m.context.NewPinned(4 * len(x))
	m.check(err)
	for i, v := range x {
		binary.LittleEndian.PutUint32(p.Bytes[4*i:], math.Float32bits(v))
	}
	return p
}

func (m *machine) download(at cuda.Address, n int) []float32 {
	m.t.Helper()
	p := m.pinned(make([]float32, n))
	m.check(p.CopyFromDevice(at, 4*n))
	m.check(p.Wait())
	x := make([]float32, n)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(p.Bytes[4*i:]))
	}
	m.check(p.Close())
	return x
}

func (m *machine) launch(id kernels.ID, rows, columns int, words ...uint64) {
	m.t.Helper()
	f, err := m.context.Function(id.String())
	m.check(err)
	grid, block := id.Launch(rows, columns)
	m.check(m.context.Launch(f, grid, block, words...))
	m.check(m.context.Synchronize())
}

// product is one of a dense layer: where A(i, k) and B(k, j) lie, and how a launch makes
// it alone: the words for the shape m, n, k and the operands, and what divides the work.
type product struct {
	name  string
	of    kernels.Product
	a, b  func(i, k, width, depth int) int
	words func(m, n, k uint64, a, b, out cuda.Address, cut, whole []uint64) []uint64
}

func alongK(w, k, _, depth int) int  { return w*depth + k }
func acrossK(w, k, width, _ int) int { return k*width + w }

var products = []product{
	{"dense nt", kernels.DenseNT, alongK, alongK, denseWords},
	{"dense nn", kernels.DenseNN, alongK, acrossK, denseWords},
	{"input nn", kernels.BackwardNN, alongK, acrossK, inputWords},
	{"input nt", kernels.BackwardNT, alongK, alongK, inputWords},
	{"weight nn", kernels.BackwardNN, acrossK, acrossK, weightWords},
	{"weight nt", kernels.BackwardNT, acrossK, acrossK, tiedWeightWords},
}

// No bias, identity, no pre-activation, no loss; cut is how the sums are shared, and whole that of
// a product that is not there.
func denseWords(m, n, k uint64, a, b, out cuda.Address, cut, _ []uint64) []uint64 {
	return append([]uint64{m, n, k, uint64(a), uint64(b), 0, 0, 0, uint64(out), 0, 0, 0, 0, 0, 0, 0, 0, 0}, cut...)
}

// A is DA and B is W; identity.
func inputWords(m, n, k uint64, a, b, out cuda.Address, cut, whole []uint64) []uint64 {
	return slices.Concat([]uint64{m, n, k, uint64(a), uint64(b), 0, 0, uint64(out), 0, 0, 0, 0, 0, 0}, cut, whole)
}

// A is DA and B is X; overwrite.
func weightWords(m, n, k uint64, a, b, out cuda.Address, cut, whole []uint64) []uint64 {
	return slices.Concat([]uint64{k, n, m, uint64(a), 0, 0, 0, 0, uint64(b), 0, uint64(out), 0, 0, 0}, whole, cut)
}

// A is X and B is DA.
func tiedWeightWords(m, n, k uint64, a, b, out cuda.Address, cut, whole []uint64) []uint64 {
	return slices.Concat([]uint64{k, m, n, uint64(b), 0, 0, 0, 0, uint64(a), 0, uint64(out), 0, 0, 0}, whole, cut)
}

// multiply computes p of matrices at these addresses, into memory that is skew floats off.
func (m *machine) multiply(p product, c kernels.Choice, shape [3]int, a, b cuda.Address, skew int) []float32 {
	m.t.Helper()
	return m.multiplication(p, c, shape, a, b, skew)()
}

// multiplication is a launch that can be made again.
func (m *machine) multiplication(p product, c kernels.Choice, shape [3]int, a, b cuda.Address, skew int) func() []float32 {
	m.t.Helper()
	rows, columns, depth := shape[0], shape[1], shape[2]
	out := m.upload(make([]float32, rows*columns), skew)
	var cut, whole []uint64
	tickets := 0
	if c.Depth > 0 {
		tickets = c.Tiles(rows, columns)
	}
	meeting := m.meet(c.Partial(rows, columns, depth), tickets)
	if c.Class != kernels.Strict {
		cut, whole = []uint64{uint64(c.Shares(depth)), uint64(c.Depth)}, []uint64{1, 0}
		if p.of < kernels.BackwardNN {
			whole = nil
		}
	}
	words := p.words(uint64(rows), uint64(columns), uint64(depth), a, b, out, cut, whole)
	if c.Class != kernels.Strict {
		words = append(words, uint64(meeting.partial), uint64(meeting.tickets))
	}
	launchedRows, launchedColumns := c.Shape(rows, columns, depth)
	if p.of >= kernels.BackwardNN {
		launchedRows, launchedColumns = c.Blocks(rows, columns, depth), 1
	}
	return func() []float32 {
		m.launch(c.Kernel(p.of), launchedRows, launchedColumns, words...)
		m.checkTickets(meeting)
		return m.download(out, rows*columns)
	}
}

// meeting is memory for blocks that share sums.
type meeting struct {
	partial, tickets cuda.Address
	count            int // of tickets
}

// meet allocates it, with tickets that are 0.
func (m *machine) meet(floats, tickets int) meeting {
	m.t.Helper()
	at, err := m.context.Alloc(4 * max(floats, 1))
	m.check(err)
	m.held = append(m.held, at)
	return meeting{at, m.upload(make([]float32, max(tickets, 1)), 0), tickets}
}

// checkTickets wants them to be 0 again.
func (m *machine) checkTickets(at meeting) {
	m.t.Helper()
	if at.count == 0 {
		return
	}
	for i, ticket := range m.download(at.tickets, at.count) {
		if math.Float32bits(ticket) != 0 {
			m.t.Errorf("ticket %d is %#x after the launch", i, math.Float32bits(ticket))
		}
	}
}

// TestTilesAgree multiplies matrices of odd shapes, at odd addresses, in every class
// with every tile: the results agree bit for bit, and with the product in float64 as
// closely as the class promises.
func TestTilesAgree(t *testing.T) {
	const seed = 7
	m := open(t)
	shapes := [][3]int{{1, 1, 1}, {1, 130, 3}, {131, 1, 17}, {33, 65, 31}, {64, 64, 16}, {128, 128, 8}, {129, 131, 67}, {200, 37, 515}, {5, 7, 0}}
	for _, p := range products {
		for i, s := range shapes {
			rows, columns, depth := s[0], s[1], s[2]
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			a, b := noise(random, rows*depth), noise(random, columns*depth)
			atA, atB := m.upload(a, i%4), m.upload(b, (i+1)%4)
			for _, class := range kernels.Classes() {
				first := m.multiply(p, kernels.Choice{Class: class}, s, atA, atB, i%3)
				if class == kernels.Strict {
					compareProduct(t, p, s, a, b, first)
				} else if e := relativeError(p, s, a, b, first); !(e <= classBounds[class]) {
					t.Errorf("%s of %v with seed %d in %s: relative error %.1e, more than %.0e", p.name, s, seed, class, e, classBounds[class])
				}
				for tile := kernels.Medium; tile <= kernels.Large; tile++ {
					if got := m.multiply(p, kernels.Choice{Class: class, Tile: tile}, s, atA, atB, i%3); !slices.Equal(got, first) {
						t.Errorf("%s of %v with seed %d in %s: the tile of %d differs from the smallest", p.name, s, seed, class, tile.Side())
					}
				}
			}
			m.release()
		}
	}
}

// TestSharesAreAddedInTheOrderOfTheirTerms: a product whose sums are cut has the bits of products
// over the terms of each share, added one after the other in float32; in every tile that may be cut, at
// odd shapes and addresses, with a last share of any length.
func TestSharesAreAddedInTheOrderOfTheirTerms(t *testing.T) {
	m := open(t)
	for _, p := range products {
		for i, c := range []struct {
			shape [3]int
			depth int
		}{{[3]int{33, 65, 131}, 48}, {[3]int{70, 130, 97}, 16}, {[3]int{1, 5, 40}, 39}, {[3]int{64, 64, 96}, 32}, {[3]int{129, 31, 50}, 7}} {
			rows, columns, terms := c.shape[0], c.shape[1], c.shape[2]
			random := rand.New(rand.NewPCG(13, uint64(i)))
			a, b := noise(random, rows*terms), noise(random, columns*terms)
			atA, atB := m.upload(a, i%4), m.upload(b, (i+1)%4)
			for _, class := range kernels.Classes() {
				if class == kernels.Strict {
					continue // is never cut
				}
				want := make([]float32, rows*columns)
				for first := 0; first < terms; first += c.depth {
					s := [3]int{rows, columns, min(c.depth, terms-first)}
					of := m.upload(part(a, p.a, rows, terms, first, s[2]), 0)
					share := m.multiply(p, kernels.Choice{Class: class}, s, of, m.upload(part(b, p.b, columns, terms, first, s[2]), 0), 0)
					for j, x := range share {
						if first == 0 {
							want[j] = x
						} else {
							want[j] += x
						}
					}
				}
				for tile := kernels.Small; tile <= kernels.Medium; tile++ {
					cut := kernels.Choice{Class: class, Tile: tile, Depth: c.depth}
					multiply := m.multiplication(p, cut, c.shape, atA, atB, i%3)
					got := multiply()
					if !slices.Equal(got, want) || !slices.Equal(multiply(), want) || !slices.Equal(multiply(), want) {
						t.Errorf("%s of %v as %+v is not the sum of its shares in their order, three times in turn", p.name, c.shape, cut)
					} else if e := relativeError(p, c.shape, a, b, got); !(e <= classBounds[class]) {
						t.Errorf("%s of %v as %+v: relative error %.1e, more than %.0e", p.name, c.shape, cut, e, classBounds[class])
					}
				}
			}
			m.release()
		}
	}
}

// part is an operand of which only so many terms from first on are left.
func part(x []float32, at func(w, k, width, depth int) int, width, depth, first, terms int) []float32 {
	left := make([]float32, width*terms)
	for w := range width {
		for k := range terms {
			left[at(w, k, width, terms)] = x[at(w, first+k, width, depth)]
		}
	}
	return left
}

// TestGradientsInOneLaunch: a launch that makes all gradients of a layer leaves the bits of
// launches that make one each, the column sums of DA, and the sums of the squares of what
// is stored of each tile of the weights' gradient and by each block of the biases'; where sums are
// whole, where those of one product are cut, and where those of both are.
func TestGradientsInOneLaunch(t *testing.T) {
	const rows, in, out, skew = 37, 70, 41, 1
	m := open(t)
	random := rand.New(rand.NewPCG(5, 0))
	da, w, x := noise(random, rows*out), noise(random, in*out), noise(random, rows*in)
	atDA, atW, atX := m.upload(da, 0), m.upload(w, skew), m.upload(x, 2)
	for _, transposed := range []bool{false, true} {
		for _, class := range kernels.Classes() {
			for _, depths := range [][2]int{{0, 0}, {16, 0}, {0, 16}, {16, 32}} {
				for tile := kernels.Small; tile <= kernels.Large; tile++ {
					if cut := depths != [2]int{}; cut && (tile == kernels.Large || class == kernels.Strict) {
						continue // are never cut
					}
					c := kernels.BackwardChoice{Choice: kernels.Choice{Class: class, Tile: tile, Depth: depths[0]}, WeightDepth: depths[1]}
					b := kernels.Backward{Rows: rows, In: in, Out: out, Transposed: transposed, DX: true, DW: true, DBias: true}
					ofDX, ofDW, ofBias := b.Parts(c)
					dx, dw := m.upload(make([]float32, rows*in), skew), m.upload(make([]float32, in*out), skew)
					dbias, squares := m.upload(make([]float32, out), 0), m.upload(make([]float32, b.Squares(c)), 0)
					words := []uint64{rows, in, out, uint64(atDA), uint64(atW), 0, 0, uint64(dx), uint64(atX), 0, uint64(dw), uint64(dbias), uint64(squares), 0}
					tickets := 0
					if c.Depth > 0 {
						tickets += ofDX / c.Shares(out)
					}
					if c.WeightDepth > 0 {
						tickets += ofDW / c.WeightShares(rows)
					}
					meeting := m.meet(b.Partial(c), tickets)
					if class != kernels.Strict {
						words = append(words, uint64(c.Shares(out)), uint64(c.Depth), uint64(c.WeightShares(rows)), uint64(c.WeightDepth),
							uint64(meeting.partial), uint64(meeting.tickets))
					}
					m.launch(c.Kernel(b.Product()), ofDX+ofDW+ofBias, 1, words...)
					m.checkTickets(meeting)
					input, weight, p, q := products[2], products[4], atDA, atX
					if transposed {
						input, weight, p, q = products[3], products[5], atX, atDA
					}
					mw, nw := b.Weights()
					gotW, gotBias := m.download(dw, in*out), m.download(dbias, out)
					ofWeights := kernels.Choice{Class: class, Tile: tile, Depth: c.WeightDepth}
					if !slices.Equal(m.download(dx, rows*in), m.multiply(input, c.Choice, [3]int{rows, in, out}, atDA, atW, skew)) ||
						!slices.Equal(gotW, m.multiply(weight, ofWeights, [3]int{mw, nw, rows}, p, q, skew)) {
						t.Errorf("%+v as %+v: other bits than one by one", b, c)
					}
					checkColumnSums(t, da, gotBias)
					checkSquares(t, m.download(squares, b.Squares(c)), append(gotW, gotBias...))
				}
			}
		}
	}
}

// checkColumnSums compares the sums of columns of x with those in float64.
func checkColumnSums(t *testing.T, x, sums []float32) {
	t.Helper()
	for j, got := range sums {
		sum, size := 0.0, 0.0
		for i := j; i < len(x); i += len(sums) {
			sum, size = sum+float64(x[i]), size+math.Abs(float64(x[i]))
		}
		if math.Abs(sum-float64(got)) > float64(len(x)/len(sums))*0x1p-24*size {
			t.Errorf("column %d: sum %v, want %v", j, got, sum)
		}
	}
}

// checkSquares compares the sum of shares of a sum of squares with it.
func checkSquares(t *testing.T, shares, x []float32) {
	t.Helper()
	got, want := 0.0, 0.0
	for _, s := range shares {
		got += float64(s)
	}
	for _, v := range x {
		want += float64(v) * float64(v)
	}
	if math.Abs(got-want) > float64(len(x))*0x1p-24*want {
		t.Errorf("the squares of gradients sum to %v, want %v", got, want)
	}
}

// classBounds are of ‖C - AB‖/‖AB‖ in the norm of Frobenius.
var classBounds = map[kernels.Class]float64{kernels.Float32: 1e-5, kernels.TF32: 1e-3, kernels.BFloat16: 1e-2, kernels.Strict: 1e-5}

// relativeError is ‖got - AB‖/‖AB‖, 0 for products that are 0.
func relativeError(p product, shape [3]int, a, b, got []float32) float64 {
	rows, columns, depth := shape[0], shape[1], shape[2]
	var off, size float64
	for i := range rows {
		for j := range columns {
			sum := 0.0
			for k := range depth {
				sum += float64(a[p.a(i, k, rows, depth)]) * float64(b[p.b(j, k, columns, depth)])
			}
			e := sum - float64(got[i*columns+j])
			off, size = off+e*e, size+sum*sum
		}
	}
	if off == 0 {
		return 0
	}
	return math.Sqrt(off / size)
}

// meanError is the root mean square, over the elements of a product, of the error
// beside the sum of the magnitudes of the element's terms: of terms of many sizes the
// norm of a matrix is that of one element, whose rounding is a matter of luck.
func meanError(p product, shape [3]int, a, b, got []float32) float64 {
	rows, columns, depth := shape[0], shape[1], shape[2]
	squares := 0.0
	for i := range rows {
		for j := range columns {
			sum, size := 0.0, 0.0
			for k := range depth {
				term := float64(a[p.a(i, k, rows, depth)]) * float64(b[p.b(j, k, columns, depth)])
				sum, size = sum+term, size+math.Abs(term)
			}
			e := (sum - float64(got[i*columns+j])) / size
			squares += e * e
		}
	}
	return math.Sqrt(squares / float64(rows*columns))
}

// TestFloat32IsAsExactAsStrict: on a model of tensor cores that round toward zero, three
// products of tf32 err at most twice as much as a chain of fused multiply-adds, whether
// terms cancel or all have one sign, and whatever their range; or, where one of few terms
// outweighs the others, by what two factors of 22 bits lose.
func TestFloat32IsAsExactAsStrict(t *testing.T) {
	m := open(t)
	random := rand.New(rand.NewPCG(11, 0))
	for _, terms := range []struct {
		name string
		draw func() float32
	}{
		{"normal", func() float32 { return float32(random.NormFloat64()) }},
		{"positive", random.Float32},
		{"lognormal", func() float32 { return float32(math.Exp(3 * random.NormFloat64())) }},
	} {
		for _, depth := range []int{16, 64, 512, 2048} {
			p, s := products[depth%len(products)], [3]int{32, 48, depth}
			a, b := make([]float32, 32*depth), make([]float32, 48*depth)
			for i := range a {
				a[i] = terms.draw()
			}
			for i := range b {
				b[i] = terms.draw()
			}
			atA, atB := m.upload(a, 0), m.upload(b, 0)
			strict := meanError(p, s, a, b, m.multiply(p, kernels.Choice{Class: kernels.Strict}, s, atA, atB, 0))
			three := meanError(p, s, a, b, m.multiply(p, kernels.Choice{Class: kernels.Float32}, s, atA, atB, 0))
			t.Logf("%s, %d terms: error %.2e, strict %.2e, ratio %.2f", terms.name, depth, three, strict, three/strict)
			if !(three <= max(2*strict, 0x1p-22)) {
				t.Errorf("%s of %d %s terms: error %.2e, strict %.2e", p.name, depth, terms.name, three, strict)
			}
			m.release()
		}
	}
}

// TestProductsDoNotDependOnTheOrderOfThreads: neither do they on that of blocks, or on when copies
// arrive.
func TestProductsDoNotDependOnTheOrderOfThreads(t *testing.T) {
	m := open(t)
	s, small := [3]int{70, 67, 85}, [3]int{35, 66, 40}
	random := rand.New(rand.NewPCG(3, 0))
	a, b := m.upload(noise(random, s[0]*s[2]), 0), m.upload(noise(random, s[1]*s[2]), 1)
	for _, p := range products {
		for _, class := range kernels.Classes() {
			for tile := kernels.Small; tile <= kernels.Large; tile++ {
				m.multiplyInOrders(p, kernels.Choice{Class: class, Tile: tile}, s, a, b, 4)
				if class != kernels.Strict && tile < kernels.Large {
					m.multiplyInOrders(p, kernels.Choice{Class: class, Tile: tile, Depth: 16}, small, a, b, 20)
				}
			}
		}
	}
}

// multiplyInOrders multiplies in so many orders of threads and blocks, which must give the same.
func (m *machine) multiplyInOrders(p product, c kernels.Choice, shape [3]int, a, b cuda.Address, orders int) {
	m.t.Helper()
	var first []float32
	for seed := range orders {
		cudatest.Set(m.t, "SOFTDRIVER_SEED", seed)
		got := m.multiply(p, c, shape, a, b, 0)
		if first == nil {
			first = got
		} else if !slices.Equal(got, first) {
			m.t.Errorf("%s as %+v: seed %d changes bits", p.name, c, seed)
		}
	}
}

func compareProduct(t *testing.T, p product, shape [3]int, a, b, got []float32) {
	t.Helper()
	rows, columns, depth := shape[0], shape[1], shape[2]
	for i := range rows {
		for j := range columns {
			sum, size := 0.0, 0.0
			for k := range depth {
				term := float64(a[p.a(i, k, rows, depth)]) * float64(b[p.b(j, k, columns, depth)])
				sum, size = sum+term, size+math.Abs(term)
			}
			if difference := math.Abs(sum - float64(got[i*columns+j])); difference > float64(depth+1)*0x1p-24*size {
				t.Fatalf("%s of %v at %d,%d: %v, want %v", p.name, shape, i, j, got[i*columns+j], sum)
			}
		}
	}
}

// noise has at least one element, since no device allocates none.
func noise(random *rand.Rand, n int) []float32 {
	x := make([]float32, max(n, 1))
	for i := range x {
		x[i] = float32(random.NormFloat64())
	}
	return x
}
