package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Instructions of AMX-TILE and AMX-BF16, which neither the assembler nor avo
// knows, by their encodings (Intel 64 and IA-32 Architectures Software
// Developer's Manual, volume 2): a VEX prefix of three bytes for map 0F38, 128
// bits and W0, an opcode, ModRM and, in memory, SIB and a displacement.

// A tile register is one of tmm0 to tmm7.
type tileRegister uint8

// Fields of encodings.
const (
	prefixNone, prefix66, prefixF3, prefixF2 = 0, 1, 2, 3 // pp of a VEX prefix
	opcodeConfigure                          = 0x49       // LDTILECFG, TILERELEASE and TILEZERO, by prefix and ModRM
	opcodeMove                               = 0x4B       // TILELOADD and TILESTORED, by prefix
	opcodeDotBFloat16                        = 0x5C
	inRegister                               = 3 // ModRM.mod
	shortDisplacement                        = 1 // ModRM.mod of eight bits
	withSIB                                  = 4 // ModRM.rm, and SIB.index of none
	needsDisplacement                        = 5 // ModRM.rm or SIB.base that has no form without
)

// vex is the prefix: r, x and b are the upper bits of the registers in
// ModRM.reg, SIB.index and ModRM.rm or SIB.base, and v another register.
func vex(r, x, b, v, prefix uint8) []uint8 {
	const threeBytes, map0F38 = 0xC4, 2
	return []uint8{threeBytes, (^r&1)<<7 | (^x&1)<<6 | (^b&1)<<5 | map0F38, (^v&15)<<3 | prefix}
}

// loadConfig is LDTILECFG: 64 bytes at base say which tiles there are.
func loadConfig(base reg.GPPhysical) []uint8 {
	b := number(base)
	code := append(vex(0, 0, b>>3, 0, prefixNone), opcodeConfigure)
	if b&7 == withSIB {
		return append(code, inMemory(0, b, withSIB, 0)...)
	}
	if b&7 == needsDisplacement {
		return append(code, shortDisplacement<<6|b&7, 0)
	}
	return append(code, b&7)
}

// releaseTiles is TILERELEASE: there are no tiles any more.
func releaseTiles() []uint8 {
	return append(vex(0, 0, 0, 0, prefixNone), opcodeConfigure, inRegister<<6)
}

// zeroTile is TILEZERO.
func zeroTile(t tileRegister) []uint8 {
	return append(vex(0, 0, 0, 0, prefixF2), opcodeConfigure, inRegister<<6|uint8(t)<<3)
}

// loadTile is TILELOADD: row i lies at base + displacement + i·stride.
func loadTile(t tileRegister, base, stride reg.GPPhysical, displacement int8) []uint8 {
	return moveTile(prefixF2, t, base, stride, displacement)
}

// storeTile is TILESTORED.
func storeTile(t tileRegister, base, stride reg.GPPhysical, displacement int8) []uint8 {
	return moveTile(prefixF3, t, base, stride, displacement)
}

func moveTile(prefix uint8, t tileRegister, base, stride reg.GPPhysical, displacement int8) []uint8 {
	b, s := number(base), number(stride)
	if s == number(reg.RSP) {
		panic("asmgen: the stack pointer is no index")
	}
	return append(append(vex(0, s>>3, b>>3, 0, prefix), opcodeMove), inMemory(uint8(t), b, s, displacement)...)
}

// dotBFloat16 is TDPBF16PS: sum += a·b, of pairs.
func dotBFloat16(sum, a, b tileRegister) []uint8 {
	return append(vex(0, 0, 0, uint8(b), prefixF3), opcodeDotBFloat16, inRegister<<6|uint8(sum)<<3|uint8(a))
}

// inMemory is ModRM, SIB and displacement of base + index + displacement; an
// index of withSIB is none.
func inMemory(register, base, index uint8, displacement int8) []uint8 {
	code := []uint8{register<<3 | withSIB, index&7<<3 | base&7}
	if displacement != 0 || base&7 == needsDisplacement {
		code[0] |= shortDisplacement << 6
		code = append(code, uint8(displacement))
	}
	return code
}

// number is that of a register in encodings.
func number(r reg.GPPhysical) uint8 { return uint8(r.PhysicalIndex()) }

// emit writes an instruction that the assembler does not know.
func emit(code []uint8) {
	for _, b := range code {
		Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []Op{U8(b)}})
	}
}

// A tile holds up to 16 rows of 64 bytes: 16 float32, or 16 pairs of bfloat16.
const (
	rowsOfTile = 16
	rowBytes   = 64
)

// tileProducts writes the micro-kernels of products of bfloat16 in tiles: one or
// two tiles of rows by one or two of columns. Of the eight tiles two by two hold
// sums, two rows of S and two the panel; a pass of 16 pairs loads four tiles for
// four products, and asks for the next of the lines that its caller names.
//
// Nothing of the tiles survives a call: they are configured at its beginning and
// released at its end, so that a goroutine may go on on another thread.
func tileProducts() {
	for rows := 1; rows <= 2; rows++ {
		for columns := 1; columns <= 2; columns++ {
			tileProduct{rows, columns}.write()
		}
	}
}

// tileProduct is a micro-kernel of that many tiles.
type tileProduct struct{ rows, columns int }

// Registers of the tiles, and of general purpose.
const (
	tileSums  tileRegister = 0
	tileRows  tileRegister = 4
	tilePanel tileRegister = 6
)

var (
	terms, count        = reg.RCX, reg.R12 // passes and tiles to go
	firstRow, secondRow = reg.RAX, reg.RBX
	rowStride           = reg.RDX
	panelTerm, panel    = reg.RSI, reg.R9
	down, across        = reg.RDI, reg.R8
	result, ld          = reg.R10, reg.R11
	secondResult        = reg.R13
	next, asked         = reg.R15, reg.R14 // lines to ask for, and how many of them a pass does
)

func (p tileProduct) sum(i, j int) tileRegister { return tileSums + tileRegister(2*i+j) }

func (p tileProduct) write() {
	name := fmt.Sprintf("multiplyTiles%dx%dAMX", p.rows, p.columns)
	TEXT(name, NOSPLIT, "func(last, tiles, kc int, s []float32, outer int, panel []float32, across, down int, c []float32, ld int, add bool, next []float32, asked int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes a row of tiles, %d columns wide, of %s rows: see tilesFunc. kc is a multiple of %d.",
		name, p.columns*rowsOfTile, []string{"last", "16 + last"}[p.rows-1], rowsOfTile))
	p.configure()
	for _, stride := range []struct {
		name string
		to   reg.GPPhysical
	}{{"outer", rowStride}, {"across", across}, {"down", down}, {"ld", ld}} {
		Load(Param(stride.name), stride.to)
		SHLQ(Imm(2), stride.to)
	}
	Load(Param("panel").Base(), panel)
	Load(Param("c").Base(), result)
	Load(Param("tiles"), count)
	Load(Param("next").Base(), next)
	Label("tile")
	p.begin()
	Label("terms")
	p.pass()
	DECQ(terms)
	JNZ(LabelRef("terms"))
	p.eachSum(func(sum tileRegister, row reg.GPPhysical, displacement int8) {
		emit(storeTile(sum, row, ld, displacement))
	})
	ADDQ(Imm(uint64(p.columns*rowBytes)), result)
	ADDQ(across, panel)
	DECQ(count)
	JNZ(LabelRef("tile"))
	emit(releaseTiles())
	RET()
}

// configure makes the tiles, with a description on the stack: the palette, at
// byte 16 the bytes of each tile's rows in 16 bits, at 48 the numbers of rows.
func (p tileProduct) configure() {
	const palette, widths, heights = 1, 16, 48
	config := AllocLocal(64)
	XORQ(reg.RCX, reg.RCX)
	for i := 0; i < 64; i += 8 {
		MOVQ(reg.RCX, config.Offset(i))
	}
	MOVB(Imm(palette), config)
	Load(Param("last"), reg.RCX)
	describe := func(t tileRegister, last bool) {
		MOVW(U16(rowBytes), config.Offset(widths+2*int(t)))
		if last {
			MOVB(reg.CL, config.Offset(heights+int(t)))
		} else {
			MOVB(Imm(rowsOfTile), config.Offset(heights+int(t)))
		}
	}
	for i := range p.rows {
		last := i == p.rows-1
		for j := range p.columns {
			describe(p.sum(i, j), last)
		}
		describe(tileRows+tileRegister(i), last)
	}
	for j := range p.columns {
		describe(tilePanel+tileRegister(j), false)
	}
	LEAQ(config, reg.RAX)
	emit(loadConfig(reg.RAX))
}

// begin goes to the first terms of a tile's factors, and takes its sums from the result
// or begins them at zero.
func (p tileProduct) begin() {
	Load(Param("s").Base(), firstRow)
	if p.rows == 2 {
		MOVQ(rowStride, secondRow)
		SHLQ(Imm(4), secondRow)
		ADDQ(firstRow, secondRow)
	}
	MOVQ(panel, panelTerm)
	Load(Param("kc"), terms)
	SHRQ(Imm(4), terms)
	Load(Param("add"), secondResult.As8())
	TESTB(secondResult.As8(), secondResult.As8())
	JZ(LabelRef("zero"))
	p.eachSum(func(sum tileRegister, row reg.GPPhysical, displacement int8) {
		emit(loadTile(sum, row, ld, displacement))
	})
	JMP(LabelRef("terms"))
	Label("zero")
	for i := range p.rows {
		for j := range p.columns {
			emit(zeroTile(p.sum(i, j)))
		}
	}
}

// pass adds the products of 16 pairs.
func (p tileProduct) pass() {
	rows := []reg.GPPhysical{firstRow, secondRow}[:p.rows]
	for i, row := range rows {
		emit(loadTile(tileRows+tileRegister(i), row, rowStride, 0))
		for j := range p.columns {
			if i == 0 {
				emit(loadTile(tilePanel+tileRegister(j), panelTerm, down, int8(j*rowBytes)))
			}
			emit(dotBFloat16(p.sum(i, j), tileRows+tileRegister(i), tilePanel+tileRegister(j)))
		}
	}
	for _, row := range rows {
		ADDQ(Imm(rowBytes), row)
	}
	rowsDown := reg.R13 // free until the sums are stored
	MOVQ(down, rowsDown)
	SHLQ(Imm(4), rowsDown)
	ADDQ(rowsDown, panelTerm)
	Load(Param("asked"), asked)
	TESTQ(asked, asked)
	JZ(LabelRef("asked"))
	Label("line")
	PREFETCHT1(Mem{Base: next})
	ADDQ(Imm(rowBytes), next)
	DECQ(asked)
	JNZ(LabelRef("line"))
	Label("asked")
}

// eachSum calls f for each tile of sums with its place in the result.
func (p tileProduct) eachSum(f func(sum tileRegister, row reg.GPPhysical, displacement int8)) {
	if p.rows == 2 {
		MOVQ(ld, secondResult)
		SHLQ(Imm(4), secondResult)
		ADDQ(result, secondResult)
	}
	for i, row := range []reg.GPPhysical{result, secondResult}[:p.rows] {
		for j := range p.columns {
			f(p.sum(i, j), row, int8(j*rowBytes))
		}
	}
}
