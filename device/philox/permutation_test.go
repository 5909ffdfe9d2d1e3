package philox

import (
	"math"
	"slices"
	"testing"
)

// order lists a permutation.
func order(p Permutation, n uint32) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = p.At(uint32(i))
	}
	return all
}

// TestPermutationIsABijection for every small size, around powers of two and
// of four, where the network's width changes, and for one large size.
func TestPermutationIsABijection(t *testing.T) {
	var sizes []uint32
	for n := range uint32(300) {
		sizes = append(sizes, n+1)
	}
	for _, n := range append(sizes, 1023, 1024, 1025, 4096, 4097, 60000, 65537) {
		seen := make([]bool, n)
		p := NewPermutation(n, 7, StreamPermutation, n)
		for i := range n {
			image := p.At(i)
			if image >= n || seen[image] {
				t.Fatalf("n = %d: %d is the image of %d, out of range or again", n, image, i)
			}
			seen[image] = true
		}
	}
}

// TestPermutationAtTheLimit: the largest size allowed works at its ends.
func TestPermutationAtTheLimit(t *testing.T) {
	const n = 1 << 31
	p := NewPermutation(n, 3, StreamSplit, 0)
	for _, i := range []uint32{0, 1, n - 1} {
		if image := p.At(i); image >= n {
			t.Errorf("the image of %d is %d", i, image)
		}
	}
}

func TestPermutationsDiffer(t *testing.T) {
	const n = 64
	first := order(NewPermutation(n, 1, StreamPermutation, 0), n)
	for what, p := range map[string]Permutation{
		"another epoch":           NewPermutation(n, 1, StreamPermutation, 1),
		"another seed":            NewPermutation(n, 2, StreamPermutation, 0),
		"a seed's other half":     NewPermutation(n, 1+1<<32, StreamPermutation, 0),
		"another stream":          NewPermutation(n, 1, StreamSplit, 0),
		"the identity as default": {},
	} {
		if slices.Equal(order(p, n), first) {
			t.Errorf("%s has the same order", what)
		}
	}
	if !slices.Equal(order(NewPermutation(n, 1, StreamPermutation, 0), n), first) {
		t.Error("the same arguments have another order")
	}
}

// TestZeroPermutationIsTheIdentity, of any size.
func TestZeroPermutationIsTheIdentity(t *testing.T) {
	var p Permutation
	for _, i := range []uint32{0, 5, math.MaxUint32} {
		if p.At(i) != i {
			t.Errorf("the image of %d is %d", i, p.At(i))
		}
	}
}

// TestPermutationIsUniform: over many epochs each example takes each position
// equally often (a chi-square test).
func TestPermutationIsUniform(t *testing.T) {
	const n, epochs = 13, 20000
	var counts [n][n]float64
	for epoch := range uint32(epochs) {
		for i, image := range order(NewPermutation(n, 99, StreamPermutation, epoch), n) {
			counts[i][image]++
		}
	}
	statistic, expected := 0.0, float64(epochs)/n
	for _, row := range counts {
		for _, count := range row {
			statistic += (count - expected) * (count - expected) / expected
		}
	}
	if bound := chiSquareBound((n - 1) * (n - 1)); statistic > bound {
		t.Errorf("chi-square of positions %.1f, bound %.1f", statistic, bound)
	}
}

// TestPermutationPartsNeighbours: of the n-1 pairs (i, i+1) each of n(n-1)
// ordered pairs is as likely, n-1 of which are neighbours in the same order:
// (n-1)/n are kept on average, as by chance, and as many reversed, with a
// variance near 1. Positions of even and odd examples do not stay apart either.
func TestPermutationPartsNeighbours(t *testing.T) {
	const n, epochs = 300, 2000
	kept, reversed, parity := 0.0, 0.0, 0.0
	for epoch := range uint32(epochs) {
		all := order(NewPermutation(n, 99, StreamPermutation, epoch), n)
		for i, image := range all[1:] {
			switch image - all[i] {
			case 1:
				kept++
			case math.MaxUint32:
				reversed++
			}
			parity += float64(int(image&1)-int(all[i]&1)) * float64(int(image&1)-int(all[i]&1))
		}
	}
	near(t, "neighbours kept by a permutation", kept/epochs, float64(n-1)/n, 1, epochs)
	near(t, "neighbours reversed by a permutation", reversed/epochs, float64(n-1)/n, 1, epochs)
	near(t, "changes of parity", parity/epochs/(n-1), 0.5*n/(n-1), 0.25, epochs*(n-1))
}
