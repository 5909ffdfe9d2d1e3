package philox

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"hash"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata from what the code does now")

const goldenHead = `# Draws of package philox by their bits: a device that makes its own must give
# the same. One draw a line; the seed is 0x0123456789abcdef throughout.
#
#   words BLOCK = the four words at Coordinates{Block: BLOCK}
#   uniform WORD = Uniform(WORD), as bits of float32
#   normal WORD WORD = Normal(WORD, WORD), two float32
#   poisson LAMBDA ROW = Poisson(LAMBDA, Coordinates{Row: ROW}), float32
#   normals COUNT = FNV-1a, 64 bits, over the bytes (low first) of Normal of the
#     words of the blocks 0, 1, ..., two pairs a block: four float32 a block
#   poissons COUNT = the same over Poisson((row mod 4096)/64, Coordinates{Row: row})
#   permutation N EPOCH = At(0), At(1), ... of NewPermutation(N, seed, StreamPermutation, EPOCH)
#
# Written by: go test ./device/philox -run Golden -update
`

// TestGoldenDraws: the draws are those of testdata/golden.txt, to the last bit,
// whatever instructions the compiler may use (GOAMD64=v3 has a fused
// multiply-add, which would change them).
func TestGoldenDraws(t *testing.T) {
	got := golden()
	path := filepath.Join("testdata", "golden.txt")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	if len(gotLines) != len(wantLines) {
		t.Fatalf("%d lines, the file has %d", len(gotLines), len(wantLines))
	}
	for i := range gotLines {
		if !bytes.Equal(gotLines[i], wantLines[i]) {
			t.Fatalf("line %d is\n%s\nwant\n%s", i+1, gotLines[i], wantLines[i])
		}
	}
}

// rowOfLargestUniform is a row whose first word for Poisson gives the largest
// uniform number there is, which the sum of the probabilities may not reach.
const rowOfLargestUniform = 20124823

func golden() []byte {
	var to bytes.Buffer
	to.WriteString(goldenHead)
	key := KeyOf(0x0123456789abcdef)
	for _, block := range []uint32{0, 1, math.MaxUint32} {
		fmt.Fprintf(&to, "words %08x = %08x\n", block, Block(Coordinates{Block: block}.Counter(), key))
	}
	ends := []uint32{0, 1, 0x7fffffff, 0x80000000, 0xfffffeff, math.MaxUint32}
	for _, w := range append(ends, words(10)...) {
		fmt.Fprintf(&to, "uniform %08x = %08x\n", w, math.Float32bits(Uniform(w)))
	}
	for _, w0 := range ends {
		for _, w1 := range []uint32{0, 1 << 29, 1 << 30, 0xdeadbeef} {
			goldenNormal(&to, w0, w1)
		}
	}
	pairs := words(400)
	for i := 0; i < len(pairs); i += 2 {
		goldenNormal(&to, pairs[i], pairs[i+1])
	}
	for _, lambda := range append(lambdas[:], 1e-6, 1000.5, PoissonLimit, 20000, 1e6) {
		for row := range uint32(8) {
			fmt.Fprintf(&to, "poisson %08x %d = %08x\n", math.Float32bits(lambda), row,
				math.Float32bits(Poisson(lambda, Coordinates{Row: row}, key)))
		}
	}
	for _, lambda := range []float32{0.078125, 0.5, 8, 11.203125, 16} {
		fmt.Fprintf(&to, "poisson %08x %d = %08x\n", math.Float32bits(lambda), rowOfLargestUniform,
			math.Float32bits(Poisson(lambda, Coordinates{Row: rowOfLargestUniform}, key)))
	}
	fmt.Fprintf(&to, "normals %d = %016x\n", digested, normalDigest(key))
	fmt.Fprintf(&to, "poissons %d = %016x\n", digested, poissonDigest(key))
	for _, n := range []uint32{1, 2, 3, 16, 17, 64, 100} {
		for epoch := range uint32(2) {
			fmt.Fprintf(&to, "permutation %d %d = %d\n", n, epoch, order(NewPermutation(n, 0x0123456789abcdef, StreamPermutation, epoch), n))
		}
	}
	return to.Bytes()
}

func goldenNormal(to *bytes.Buffer, w0, w1 uint32) {
	z0, z1 := Normal(w0, w1)
	fmt.Fprintf(to, "normal %08x %08x = %08x %08x\n", w0, w1, math.Float32bits(z0), math.Float32bits(z1))
}

// digested is the number of draws under a digest: enough that a difference of
// rounding in any one operation changes some of them.
const digested = 1 << 16

func normalDigest(key Key) uint64 {
	hash := fnv.New64a()
	for block := range uint32(digested / 4) {
		w := Block(Coordinates{Block: block}.Counter(), key)
		for lane := range w {
			digest(hash, NormalLane(w, lane))
		}
	}
	return hash.Sum64()
}

func poissonDigest(key Key) uint64 {
	hash := fnv.New64a()
	for row := range uint32(digested) {
		digest(hash, Poisson(float32(row%4096)/64, Coordinates{Row: row}, key))
	}
	return hash.Sum64()
}

func digest(to hash.Hash64, x float32) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], math.Float32bits(x))
	to.Write(b[:])
}
