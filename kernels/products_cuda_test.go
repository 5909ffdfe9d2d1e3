//go:build cuda

package kernels_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gpudae/cuda"
	"gpudae/kernels"
)

// machine is a device with the kernels loaded.
type machine struct {
	t       *testing.T
	context *cuda.Context
	held    []cuda.Address
}

func open(t *testing.T) *machine {
	t.Helper()
	c, err := cuda.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, context: c}
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

// product is a kernel that multiplies, for its smallest tile: where A(i, k) and
// B(k, j) lie, and the words that follow m, n, k and the operands.
type product struct {
	name  string
	first kernels.ID
	a, b  func(i, k, width, depth int) int
	words func(out cuda.Address) []uint64
}

func alongK(w, k, _, depth int) int  { return w*depth + k }
func acrossK(w, k, width, _ int) int { return k*width + w }

var products = []product{
	{"dense nt", kernels.DenseNT32, alongK, alongK, denseWords},
	{"dense nn", kernels.DenseNN32, alongK, acrossK, denseWords},
	{"input nn", kernels.DenseBackwardInputNN32, alongK, acrossK, inputWords},
	{"input nt", kernels.DenseBackwardInputNT32, alongK, alongK, inputWords},
	{"weight", kernels.DenseBackwardWeight32, acrossK, acrossK, weightWords},
}

func denseWords(out cuda.Address) []uint64  { return []uint64{0, 0, 0, uint64(out)} } // no bias, identity, no pre-activation
func inputWords(out cuda.Address) []uint64  { return []uint64{0, 0, uint64(out)} }    // identity, no source
func weightWords(out cuda.Address) []uint64 { return []uint64{0, uint64(out)} }       // overwrite

// TestTilesAgree multiplies matrices of odd shapes, at odd addresses, with every
// tile: the results agree bit for bit, and with the product in float64 to within
// the error of a chain of k fused operations.
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
			var first []float32
			for tile := kernels.Small; tile <= kernels.Large; tile++ {
				out := m.upload(make([]float32, rows*columns), i%3)
				words := []uint64{uint64(rows), uint64(columns), uint64(depth), uint64(atA), uint64(atB)}
				m.launch(p.first+kernels.ID(tile), rows, columns, append(words, p.words(out)...)...)
				got := m.download(out, rows*columns)
				if tile == kernels.Small {
					first = got
					compareProduct(t, p, s, a, b, got)
				} else if !slices.Equal(got, first) {
					t.Errorf("%s of %v with seed %d: the tile of %d differs from the smallest", p.name, s, seed, tile.Side())
				}
			}
			m.release()
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
