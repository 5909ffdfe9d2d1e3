package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// position is a place in the loop over the elements of some slices: a vector
// of each, or in the tail the lanes of a mask, so that every element is
// computed by the same instructions wherever a slice begins and ends.
type position struct {
	vector
	index reg.GPVirtual // in elements
	tail  *mask
}

// elements writes a loop over n elements, which it counts down, and the tail.
func (v vector) elements(n reg.GPVirtual, body func(at position)) {
	at := position{vector: v, index: GP64()}
	XORQ(at.index, at.index)
	Label("loop")
	CMPQ(n, Imm(uint64(v.lanes)))
	JLT(LabelRef("tail"))
	body(at)
	ADDQ(Imm(uint64(v.lanes)), at.index)
	SUBQ(Imm(uint64(v.lanes)), n)
	JMP(LabelRef("loop"))
	Label("tail")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	lanes := v.firstLanes(n)
	at.tail = &lanes
	body(at)
	Label("done")
}

// length loads the length of a slice.
func length(name string) reg.GPVirtual {
	r := GP64()
	Load(Param(name).Len(), r)
	return r
}

// scalar fills a register with a parameter of 32 bits.
func (v vector) scalar(name string) reg.VecVirtual {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return v.spread(b.Addr)
}

// of is the address of the position in a slice.
func (at position) of(slice reg.GPVirtual) Mem { return Mem{Base: slice, Index: at.index, Scale: 4} }

// element loads the position of a slice; lanes beyond its end are zero.
func (at position) element(slice reg.GPVirtual) reg.VecVirtual {
	if at.tail != nil {
		return at.loadFirst(at.of(slice), *at.tail)
	}
	return at.load(at.of(slice))
}

// put stores r at the position of a slice.
func (at position) put(r reg.VecVirtual, slice reg.GPVirtual) {
	if at.tail != nil {
		at.storeFirst(r, at.of(slice), *at.tail)
	} else {
		VMOVUPS(r, at.of(slice))
	}
}

// within zeroes the lanes of r beyond the slices' end.
func (at position) within(r reg.VecVirtual) reg.VecVirtual {
	if at.tail == nil {
		return r
	}
	return at.keepIf(*at.tail, r)
}
