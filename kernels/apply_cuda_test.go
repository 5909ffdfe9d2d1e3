//go:build cuda

package kernels_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gpudae/cuda"
	"gpudae/device"
	"gpudae/kernels"
)

// TestGradientsAreApplied: a launch that is told a rule leaves the input's gradient and the sums of squares of one that is not, by the
// weights as they were; the parameters less the gradient times the rate, of which nothing is stored; and counts that are 0. So in each
// class and tile, however sums are cut, and for weights that lie the other way.
func TestGradientsAreApplied(t *testing.T) {
	const rows, in, out, rate = 70, 133, 138, 0.5 // by which a float32 is multiplied exactly
	m := open(t)
	random := rand.New(rand.NewPCG(3, 4))
	da, x, params := noise(random, rows*out), noise(random, rows*in), noise(random, in*out+out)
	for _, transposed := range []bool{false, true} {
		for _, class := range kernels.Classes() {
			for _, depths := range [][2]int{{0, 0}, {32, 0}, {0, 32}, {64, 32}} {
				for tile := kernels.Small; tile <= kernels.Large; tile++ {
					if cut := depths != [2]int{}; cut && (tile == kernels.Large || class == kernels.Strict) {
						continue // are never cut
					}
					c := kernels.BackwardChoice{Choice: kernels.Choice{Class: class, Tile: tile, Depth: depths[0]}, WeightDepth: depths[1]}
					b := kernels.Backward{Rows: rows, In: in, Out: out, Transposed: transposed, DX: true, DW: true, DBias: true}
					skew := int(tile)
					run := func(ruled bool) (dx, gradient, squares, left []float32) {
						atDX, atSquares := m.upload(make([]float32, rows*in), 0), m.upload(make([]float32, b.Squares(c)), 0)
						atGradient, atParams := m.upload(make([]float32, len(params)), skew), m.upload(params, skew)
						rule := cuda.Address(0)
						if ruled {
							rule = m.upload(sgd(rate, atGradient, atParams), 0)
						}
						ofDX, ofDW, ofBias := b.Parts(c)
						words := []uint64{rows, in, out, uint64(m.upload(da, 0)), uint64(atParams), 0, 0, uint64(atDX), uint64(m.upload(x, 1)), 0, uint64(atGradient),
							uint64(atGradient + 4*in*out), uint64(atSquares), uint64(rule)}
						meeting := m.meet(b.Partial(c), ofDX+ofDW)
						if class != kernels.Strict {
							words = append(words, uint64(c.Shares(out)), uint64(c.Depth), uint64(c.WeightShares(rows)), uint64(c.WeightDepth),
								uint64(meeting.partial), uint64(meeting.tickets))
						}
						m.launch(c.Kernel(b.Product()), ofDX+ofDW+ofBias, 1, words...)
						if ruled {
							if counts := m.download(rule+cuda.Address(kernels.RuleBytes()-8), 2); counts[0] != 0 || counts[1] != 0 {
								t.Errorf("%+v as %+v leaves the counts %x", b, c, counts)
							}
						}
						return m.download(atDX, rows*in), m.download(atGradient, len(params)), m.download(atSquares, b.Squares(c)), m.download(atParams, len(params))
					}
					dx, gradient, squares, _ := run(false)
					gotDX, stored, gotSquares, got := run(true)
					if !slices.Equal(gotDX, dx) || !slices.Equal(gotSquares, squares) || !slices.Equal(stored, make([]float32, len(params))) {
						t.Errorf("%+v as %+v: other gradients of the input or sums of squares, or a gradient is stored", b, c)
					}
					for i, g := range gradient {
						if want := params[i] - rate*g; got[i] != want {
							t.Fatalf("%+v as %+v: parameter %d is %g, want %g", b, c, i, got[i], want)
						}
					}
					m.release()
				}
			}
		}
	}
}

// sgd are the words of a rule without momentum at a rate, in halves, and its numbers at a step.
func sgd(rate float32, gradient, params cuda.Address) []float32 {
	values := map[string]uint64{"kind": uint64(device.SGD), "grads": uint64(gradient), "params": uint64(params)}
	var words []float32
	for _, p := range kernels.RuleWords() {
		words = append(words, math.Float32frombits(uint32(values[p.Name])), math.Float32frombits(uint32(values[p.Name]>>32)))
	}
	step := make([]float32, kernels.RuleBytes()/4-len(words))
	step[0], step[7] = rate, 1 // StepOfRule: the rate is its first number; of the gradient all is taken
	return append(words, step...)
}

// TestBigGradientsAreApplied: so too by blocks that stay, which make dX in a launch before, and leave a copy of the updated weights.
func TestBigGradientsAreApplied(t *testing.T) {
	const rows, in, out, rate, e = 70, 270, 301, 0.5, kernels.WGMMA
	m := open(t)
	m.multiprocessors = 2 // so that blocks have several tiles, and several parts of a bias
	random := rand.New(rand.NewPCG(3, 5))
	params := noise(random, in*out+out)
	da, x := m.upload(noise(random, rows*out), 0), m.upload(noise(random, rows*in), 1)
	copyDA, copyX := m.factor(e, da, rows, out), m.factor(e, x, rows, in)
	for _, transposed := range []bool{false, true} {
		b := kernels.Backward{Rows: rows, In: in, Out: out, Transposed: transposed, DX: true, DW: true, DBias: true}
		wr, wc := b.Weights()
		_, dws, dbs := e.Parts(b)
		run := func(ruled bool) (dx, gradient, squares, left []float32) {
			atDX, atSquares := m.upload(make([]float32, rows*in), 0), m.upload(make([]float32, dws+dbs), 0)
			atGradient, atParams := m.upload(make([]float32, len(params)), 1), m.upload(params, 1)
			updated := m.upload(make([]float32, wr*kernels.NarrowStride(wc)/2), 0)
			copyW := m.factor(e, atParams, wr, wc)
			launch := func(b kernels.Backward, dx, dw, dbias, squares, rule, updated cuda.Address) {
				m.launchBig(e.Kernel(b.Product()), e.BackwardBlocks(b, m.multiprocessors), rows, in, out, uint64(da), copyW, 0, 0, uint64(dx), copyX, 0,
					uint64(dw), uint64(dbias), uint64(squares), uint64(rule), copyDA, 0, uint64(updated))
			}
			dbias := atGradient + 4*in*out
			if ruled {
				input, rest := b.Split()
				launch(input, atDX, 0, 0, 0, 0, 0)
				launch(rest, 0, atGradient, dbias, atSquares, m.upload(sgd(rate, atGradient, atParams), 0), updated)
				m.checkCopy(updated, m.download(atParams, in*out), wr, wc)
			} else {
				launch(b, atDX, atGradient, dbias, atSquares, 0, 0)
			}
			return m.download(atDX, rows*in), m.download(atGradient, len(params)), m.download(atSquares, dws+dbs), m.download(atParams, len(params))
		}
		dx, gradient, squares, _ := run(false)
		gotDX, stored, gotSquares, got := run(true)
		if !slices.Equal(gotDX, dx) || !slices.Equal(gotSquares, squares) || !slices.Equal(stored, make([]float32, len(params))) {
			t.Errorf("%+v: other gradients of the input or sums of squares, or a gradient is stored", b)
		}
		for i, g := range gradient {
			if want := params[i] - rate*g; got[i] != want {
				t.Fatalf("%+v: parameter %d is %g, want %g", b, i, got[i], want)
			}
		}
	}
}
