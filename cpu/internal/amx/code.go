package amx

import (
	"encoding/binary"
	"fmt"
)

// Operation is an instruction without its operands.
type Operation int

// The instructions that Decode knows.
const (
	LDTILECFG Operation = iota
	TILERELEASE
	TILEZERO
	TILELOADD
	TILELOADDT1
	TILESTORED
	TDPBF16PS
)

// None is the number of a register that an address does not have.
const None = -1

// LongestCode is the number of bytes that an instruction has at most.
const LongestCode = 15

// Instruction is an instruction in machine code.
type Instruction struct {
	Operation    Operation
	Tile         int // written, or stored
	A, B         int // factors of TDPBF16PS
	Base, Index  int // general registers of the address, by their numbers in machine code, or None
	Scale        uint64
	Displacement int32
	Length       int // bytes
}

// Decode reads the instruction that code begins with; it is false if that is none of AMX.
func Decode(code []byte) (Instruction, bool) {
	const threeBytes, map0F38, opcodeAt = 0xC4, 2, 3
	if len(code) < opcodeAt+2 || code[0] != threeBytes || code[1]&31 != map0F38 || code[2]&0x84 != 0 {
		return Instruction{}, false // VEX, W0, 128 bits
	}
	v := int(^code[2] >> 3 & 15)
	modRM := code[opcodeAt+1]
	i := Instruction{Tile: int(modRM >> 3 & 7), A: int(modRM & 7), B: v, Base: None, Index: None, Length: opcodeAt + 2}
	upper := int(^code[1] >> 7 & 1)
	operation, known := operationOf(code[2]&3, code[opcodeAt], modRM)
	if !known || upper != 0 || v != 0 && operation != TDPBF16PS || v >= Registers {
		return Instruction{}, false
	}
	i.Operation = operation
	if modRM>>6 == inRegister {
		return i, true
	}
	return i.address(code, opcodeAt+1)
}

// inRegister is the ModRM.mod of an operand that is no memory.
const inRegister = 3

// operationOf names the operation of a prefix, an opcode and ModRM.
func operationOf(prefix, opcode, modRM byte) (Operation, bool) {
	const none, p66, pF3, pF2 = 0, 1, 2, 3
	const configure, move, dot = 0x49, 0x4B, 0x5C
	memory, first, second := modRM>>6 != inRegister, modRM>>3&7, modRM&7
	withSIB := second == 4
	switch {
	case opcode == configure && prefix == none && memory && first == 0:
		return LDTILECFG, true
	case opcode == configure && prefix == none && !memory && first == 0 && second == 0:
		return TILERELEASE, true
	case opcode == configure && prefix == pF2 && !memory && second == 0:
		return TILEZERO, true
	case opcode == move && prefix == pF2 && memory && withSIB:
		return TILELOADD, true
	case opcode == move && prefix == p66 && memory && withSIB:
		return TILELOADDT1, true
	case opcode == move && prefix == pF3 && memory && withSIB:
		return TILESTORED, true
	case opcode == dot && prefix == pF3 && !memory:
		return TDPBF16PS, true
	}
	return 0, false
}

// address reads SIB and displacement, of an instruction whose ModRM is byte at.
func (i Instruction) address(code []byte, at int) (Instruction, bool) {
	const withSIB, noIndex, noBase = 4, 4, 5
	mod, rm := code[at]>>6, int(code[at]&7)
	upperIndex, upperBase := int(^code[1]>>6&1), int(^code[1]>>5&1)
	i.A, i.B, i.Scale = 0, 0, 1
	i.Base = rm | upperBase<<3
	if rm == withSIB {
		if len(code) < at+2 {
			return Instruction{}, false
		}
		sib := code[at+1]
		i.Length++
		i.Base, i.Index, i.Scale = int(sib&7)|upperBase<<3, int(sib>>3&7)|upperIndex<<3, 1<<(sib>>6)
		if i.Index == noIndex {
			i.Index = None
		}
	}
	size := []int{0, 1, 4}[mod]
	if mod == 0 && i.Base&7 == noBase {
		return Instruction{}, false // a displacement alone, or relative to the next instruction
	}
	if len(code) < i.Length+size {
		return Instruction{}, false
	}
	switch size {
	case 1:
		i.Displacement = int32(int8(code[i.Length]))
	case 4:
		i.Displacement = int32(binary.LittleEndian.Uint32(code[i.Length:]))
	}
	i.Length += size
	return i, true
}

// Execute carries out an instruction; register is the value of a general one.
func (t *Tiles) Execute(i Instruction, register func(number int) uint64, memory Memory) error {
	value := func(number int) uint64 {
		if number == None {
			return 0
		}
		return register(number)
	}
	first, stride := value(i.Base)+uint64(int64(i.Displacement)), value(i.Index)*i.Scale
	switch i.Operation {
	case LDTILECFG:
		var config [ConfigSize]byte
		if err := memory.Read([][]byte{config[:]}, first+stride, 0); err != nil {
			return fmt.Errorf("amx: configure: %w", err)
		}
		return t.Configure(config)
	case TILERELEASE:
		t.Release()
		return nil
	case TILEZERO:
		return t.Zero(i.Tile)
	case TILELOADD, TILELOADDT1:
		return t.Load(i.Tile, memory, first, stride)
	case TILESTORED:
		return t.Store(i.Tile, memory, first, stride)
	}
	return t.DotBFloat16(i.Tile, i.A, i.B)
}
