package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmcloughlin/avo/reg"
)

// encodings are instructions as emitted, as GNU as reads them, and as it wrote them
// (binutils 2.40).
func encodings() []struct {
	code       []uint8
	text, want string
} {
	return []struct {
		code       []uint8
		text, want string
	}{
		{loadConfig(reg.RAX), "ldtilecfg (%rax)", "c4e2784900"},
		{loadConfig(reg.RBP), "ldtilecfg (%rbp)", "c4e278494500"},
		{loadConfig(reg.R12), "ldtilecfg (%r12)", "c4c278490424"},
		{loadConfig(reg.R13), "ldtilecfg (%r13)", "c4c278494500"},
		{releaseTiles(), "tilerelease", "c4e27849c0"},
		{zeroTile(0), "tilezero %tmm0", "c4e27b49c0"},
		{zeroTile(5), "tilezero %tmm5", "c4e27b49e8"},
		{loadTile(4, reg.RAX, reg.RDX, 0), "tileloadd (%rax,%rdx), %tmm4", "c4e27b4b2410"},
		{loadTile(7, reg.RSI, reg.RDI, 64), "tileloadd 64(%rsi,%rdi), %tmm7", "c4e27b4b7c3e40"},
		{loadTile(0, reg.R13, reg.R15, 0), "tileloadd (%r13,%r15), %tmm0", "c4827b4b443d00"},
		{loadTile(1, reg.R12, reg.RBP, -128), "tileloadd -128(%r12,%rbp), %tmm1", "c4c27b4b4c2c80"},
		{loadTile(2, reg.RBP, reg.R12, 0), "tileloadd (%rbp,%r12), %tmm2", "c4a27b4b542500"},
		{storeTile(3, reg.R13, reg.R11, 64), "tilestored %tmm3, 64(%r13,%r11)", "c4827a4b5c1d40"},
		{storeTile(0, reg.RSP, reg.R8, 0), "tilestored %tmm0, (%rsp,%r8)", "c4a27a4b0404"},
		{dotBFloat16(0, 4, 6), "tdpbf16ps %tmm6, %tmm4, %tmm0", "c4e24a5cc4"},
		{dotBFloat16(7, 1, 2), "tdpbf16ps %tmm2, %tmm1, %tmm7", "c4e26a5cf9"},
		{evex(prefixF2, opcodeRound, reg.Z30, reg.Z31, reg.Z30), "vcvtne2ps2bf16 %zmm30, %zmm31, %zmm30", "6202074072f6"},
		{evex(prefixF2, opcodeRound, reg.Z9, reg.Z2, reg.Z17), "vcvtne2ps2bf16 %zmm17, %zmm2, %zmm9", "62326f4872c9"},
		{evex(prefixF3, opcodeAddPairs, reg.Z9, reg.Z2, reg.Z17), "vdpbf16ps %zmm17, %zmm2, %zmm9", "62326e4852c9"},
	}
}

// TestEncodings compares instructions with the bytes that GNU as wrote for them.
func TestEncodings(t *testing.T) {
	for _, e := range encodings() {
		if got := hex.EncodeToString(e.code); got != e.want {
			t.Errorf("%s is %s, want %s", e.text, got, e.want)
		}
	}
}

// TestEncodingsWithAs assembles the instructions anew, and with them all registers of
// an address.
func TestEncodingsWithAs(t *testing.T) {
	for _, tool := range []string{"as", "objcopy"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no GNU %s here: %v", tool, err)
		}
	}
	var source strings.Builder
	var want []uint8
	add := func(code []uint8, text string) {
		fmt.Fprintln(&source, text)
		want = append(want, code...)
	}
	for _, e := range encodings() {
		add(e.code, e.text)
	}
	registers := []reg.GPPhysical{
		reg.RAX, reg.RCX, reg.RDX, reg.RBX, reg.RSP, reg.RBP, reg.RSI, reg.RDI, reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13, reg.R14, reg.R15,
	}
	for i, base := range registers {
		add(loadConfig(base), fmt.Sprintf("ldtilecfg (%s)", named(i)))
		for j, index := range registers {
			if index == reg.RSP {
				continue
			}
			tile := tileRegister((i + j) % 8)
			add(loadTile(tile, base, index, 0), fmt.Sprintf("tileloadd (%s,%s), %%tmm%d", named(i), named(j), tile))
			add(storeTile(tile, base, index, 127), fmt.Sprintf("tilestored %%tmm%d, 127(%s,%s)", tile, named(i), named(j)))
		}
	}
	for i := range tileRegister(8) {
		add(dotBFloat16(i, (i+3)%8, (i+6)%8), fmt.Sprintf("tdpbf16ps %%tmm%d, %%tmm%d, %%tmm%d", (i+6)%8, (i+3)%8, i))
	}
	if got := assembled(t, source.String()); !bytes.Equal(got, want) {
		t.Errorf("GNU as writes\n%x, not\n%x", got, want)
	}
}

// named is a general register of 64 bits in the language of GNU as.
func named(number int) string {
	return "%" + []string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}[number]
}

// assembled is the machine code that GNU as makes of a source.
func assembled(t *testing.T, source string) []byte {
	t.Helper()
	folder := t.TempDir()
	object, code := filepath.Join(folder, "o"), filepath.Join(folder, "code")
	as := exec.Command("as", "--64", "-o", object, "-")
	as.Stdin = strings.NewReader(source)
	for _, command := range []*exec.Cmd{as, exec.Command("objcopy", "-O", "binary", "-j", ".text", object, code)} {
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command.Args, err, output)
		}
	}
	bytes, err := os.ReadFile(code)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
