package amx

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"
)

// bytesMemory is memory from address 0 on.
type bytesMemory []byte

func (m bytesMemory) Read(rows [][]byte, first, stride uint64) error {
	return m.each(rows, first, stride, func(row, here []byte) { copy(row, here) })
}

func (m bytesMemory) Write(rows [][]byte, first, stride uint64) error {
	return m.each(rows, first, stride, func(row, here []byte) { copy(here, row) })
}

func (m bytesMemory) each(rows [][]byte, first, stride uint64, move func(row, here []byte)) error {
	for i, row := range rows {
		at := first + uint64(i)*stride
		if at+uint64(len(row)) > uint64(len(m)) {
			return io.ErrUnexpectedEOF
		}
		move(row, m[at:at+uint64(len(row))])
	}
	return nil
}

// shape is a tile's rows and bytes of a row.
type shape struct{ rows, bytes int }

func configOf(shapes ...shape) (c [ConfigSize]byte) {
	c[0] = 1
	for i, s := range shapes {
		binary.LittleEndian.PutUint16(c[16+2*i:], uint16(s.bytes))
		c[48+i] = byte(s.rows)
	}
	return c
}

// TestProductOfTiles multiplies small integers, which are exact, in tiles of odd shapes
// that lie apart in memory, by the instructions' machine code.
func TestProductOfTiles(t *testing.T) {
	const m, n, k = 5, 7, 3 // k pairs
	random := rand.New(rand.NewPCG(1, 2))
	memory := make(bytesMemory, 4096)
	config := configOf(shape{m, 4 * n}, shape{m, 4 * k}, shape{k, 4 * n})
	copy(memory, config[:])
	const a, b, c = 512, 1024, 2048
	var left [m][2 * k]float32
	var right [2 * k][n]float32
	half := func(at int, v float32) { binary.LittleEndian.PutUint16(memory[at:], uint16(math.Float32bits(v)>>16)) }
	for p := range 2 * k {
		for i := range m {
			left[i][p] = float32(random.IntN(9) - 4)
			half(a+i*32+2*p, left[i][p])
		}
		for j := range n {
			right[p][j] = float32(random.IntN(9) - 4)
			half(b+p/2*64+4*j+2*(p%2), right[p][j])
		}
	}
	registers := map[int]uint64{0: 0, 1: a, 2: 32, 3: b, 8: 64, 9: c, 10: 48}
	execute(t, &Tiles{}, memory, registers,
		"c4e2784900",           // ldtilecfg (%rax)
		"c4e27b49c0",           // tilezero %tmm0
		"c4e27b4b0c11",         // tileloadd (%rcx,%rdx), %tmm1
		"c4a27b4b1403",         // tileloadd (%rbx,%r8), %tmm2
		"c4e26a5cc1",           // tdpbf16ps %tmm2, %tmm1, %tmm0
		"c4e26a5cc1",           //
		"c4827a4b841180000000", // tilestored %tmm0, 128(%r9,%r10)
		"c4e27849c0",           // tilerelease
	)
	for i := range m {
		for j := range n {
			var want float32
			for p := range 2 * k {
				want += 2 * left[i][p] * right[p][j]
			}
			if got := math.Float32frombits(binary.LittleEndian.Uint32(memory[c+128+48*i+4*j:])); got != want {
				t.Errorf("element (%d, %d) is %g, want %g", i, j, got, want)
			}
		}
	}
	if after := memory[c+128+48*(m-1)+4*n:][:64]; string(after) != string(make([]byte, 64)) {
		t.Errorf("more than the tile is stored: %x", after)
	}
}

// execute decodes and carries out instructions.
func execute(t *testing.T, tiles *Tiles, memory Memory, registers map[int]uint64, codes ...string) {
	t.Helper()
	for _, text := range codes {
		if err := tiles.Execute(decoded(t, text), func(n int) uint64 { return registers[n] }, memory); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

func decoded(t *testing.T, text string) Instruction {
	t.Helper()
	code, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	i, known := Decode(append(code, 0xC3))
	if !known || i.Length != len(code) {
		t.Fatalf("%s is %+v, known %t", text, i, known)
	}
	return i
}

// TestDecode reads the bytes that GNU as writes (binutils 2.40).
func TestDecode(t *testing.T) {
	for text, want := range map[string]Instruction{
		"c4e2784900":           {Operation: LDTILECFG, Base: 0, Index: None, Scale: 1, Length: 5},                               // (%rax)
		"c4c278494500":         {Operation: LDTILECFG, Base: 13, Index: None, Scale: 1, Length: 6},                              // (%r13)
		"c4c278490424":         {Operation: LDTILECFG, Base: 12, Index: None, Scale: 1, Length: 6},                              // (%r12)
		"c4e27849c0":           {Operation: TILERELEASE, Base: None, Index: None, Length: 5},                                    //
		"c4e27b49e8":           {Operation: TILEZERO, Tile: 5, Base: None, Index: None, Length: 5},                              // %tmm5
		"c4e27b4b7c3e40":       {Operation: TILELOADD, Tile: 7, Base: 6, Index: 7, Scale: 1, Displacement: 64, Length: 7},       // 64(%rsi,%rdi), %tmm7
		"c4c27b4b4c2c80":       {Operation: TILELOADD, Tile: 1, Base: 12, Index: 5, Scale: 1, Displacement: -128, Length: 7},    // -128(%r12,%rbp), %tmm1
		"c482794bb47d00010000": {Operation: TILELOADDT1, Tile: 6, Base: 13, Index: 15, Scale: 2, Displacement: 256, Length: 10}, // 256(%r13,%r15,2), %tmm6
		"c4827a4b5c1d40":       {Operation: TILESTORED, Tile: 3, Base: 13, Index: 11, Scale: 1, Displacement: 64, Length: 7},    // %tmm3, 64(%r13,%r11)
		"c4e27a4b0424":         {Operation: TILESTORED, Tile: 0, Base: 4, Index: None, Scale: 1, Length: 6},                     // %tmm0, (%rsp)
		"c4e24a5cc4":           {Operation: TDPBF16PS, Tile: 0, A: 4, B: 6, Base: None, Index: None, Length: 5},                 // %tmm6, %tmm4, %tmm0
	} {
		got := decoded(t, text)
		got.A, got.B = factors(got)
		if got != want {
			t.Errorf("%s is %+v, want %+v", text, got, want)
		}
	}
	for _, text := range []string{
		"c4e24b5ec4",   // tdpbssd
		"c4e24a5c04",   // tdpbf16ps with memory
		"c4e2fb4b2410", // W1
		"c4e27f4b2410", // 256 bits
		"c4627b4b2410", // tmm12
		"c4e27b4b00",   // tileloadd without SIB
		"c4e2794900",   // sttilecfg
		"c4e27b4b",     // cut off
		"c4e27b4b24",   // likewise
		"0f0b9090909090",
	} {
		code, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if i, known := Decode(code); known {
			t.Errorf("%s is taken for %+v", text, i)
		}
	}
}

// factors are those of TDPBF16PS; of others the fields are of no account.
func factors(i Instruction) (a, b int) {
	if i.Operation == TDPBF16PS {
		return i.A, i.B
	}
	return 0, 0
}

// TestRefusals: what the processor refuses is refused, and changes nothing.
func TestRefusals(t *testing.T) {
	bad := func(change func(c *[ConfigSize]byte)) [ConfigSize]byte {
		c := configOf(shape{16, 64})
		change(&c)
		return c
	}
	for what, config := range map[string][ConfigSize]byte{
		"palette 2":        bad(func(c *[ConfigSize]byte) { c[0] = 2 }),
		"a reserved byte":  bad(func(c *[ConfigSize]byte) { c[2] = 1 }),
		"a ninth tile":     bad(func(c *[ConfigSize]byte) { c[32] = 1 }),
		"a row too many":   bad(func(c *[ConfigSize]byte) { c[48] = 17 }),
		"a byte too many":  bad(func(c *[ConfigSize]byte) { c[16] = 65 }),
		"rows of no bytes": bad(func(c *[ConfigSize]byte) { c[16] = 0 }),
		"bytes of no rows": bad(func(c *[ConfigSize]byte) { c[48] = 0 }),
		"another start":    bad(func(c *[ConfigSize]byte) { c[1] = 1 }),
	} {
		var tiles Tiles
		if err := tiles.Configure(config); !errors.Is(err, ErrUndefined) || tiles.configured {
			t.Errorf("%s: %v", what, err)
		}
	}
	memory := make(bytesMemory, 4096)
	var tiles Tiles
	if err := tiles.Zero(0); !errors.Is(err, ErrUndefined) {
		t.Errorf("a tile before any is configured: %v", err)
	}
	if err := tiles.Configure(configOf(shape{4, 16}, shape{4, 12}, shape{3, 16}, shape{4, 16}, shape{4, 14})); err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]func() error{
		"a tile that is not configured": func() error { return tiles.Zero(7) },
		"rows of no whole elements":     func() error { return tiles.Load(4, memory, 0, 16) },
		"a tile by itself":              func() error { return tiles.DotBFloat16(0, 1, 1) },
		"the sum as a factor":           func() error { return tiles.DotBFloat16(0, 0, 2) },
		"other rows":                    func() error { return tiles.DotBFloat16(2, 1, 3) },
		"other terms":                   func() error { return tiles.DotBFloat16(0, 3, 2) },
	} {
		if err := f(); !errors.Is(err, ErrUndefined) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := tiles.DotBFloat16(0, 1, 2); err != nil {
		t.Errorf("a product of matching shapes: %v", err)
	}
	memory[0] = 7
	if err := tiles.Load(0, memory, 0, 16); err != nil {
		t.Fatal(err)
	}
	before := tiles
	if err := tiles.Load(0, memory, 4096-64, 17); err == nil || errors.Is(err, ErrUndefined) || tiles != before {
		t.Errorf("a load beyond the end of memory: %v", err)
	}
	if tiles.Release(); tiles != (Tiles{}) {
		t.Error("tiles are left after their release")
	}
}
