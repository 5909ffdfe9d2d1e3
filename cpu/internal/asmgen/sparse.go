package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sparseColumns is the number of elements in a row of a panel of sparse products.
const sparseColumns = 64

// sumsOfRow are the registers of a row of C in a sparse product.
type sumsOfRow struct {
	vector
	vectors []reg.VecVirtual
}

func (v vector) newRow() sumsOfRow {
	row := sumsOfRow{vector: v}
	for range sparseColumns / v.lanes {
		row.vectors = append(row.vectors, v.new())
	}
	return row
}

// clear sets the sums to zero.
func (r sumsOfRow) clear() {
	for _, s := range r.vectors {
		VXORPS(s, s, s)
	}
}

// add adds a times the row of a panel.
func (r sumsOfRow) add(a reg.VecVirtual, row reg.GPVirtual) {
	for j, s := range r.vectors {
		VFMADD231PS(Mem{Base: row, Disp: j * r.bytes()}, a, s)
	}
}

func (r sumsOfRow) store(c reg.GPVirtual) {
	for j, s := range r.vectors {
		VMOVUPS(s, Mem{Base: c, Disp: j * r.bytes()})
	}
}

// sparseProduct writes the micro-kernel of products whose left factor is a
// list of the elements that are not zero. A row of C stays in registers while
// the kernel runs down the row's list; each element costs a broadcast and, a
// vector of the panel, one multiply-add from memory.
func (v vector) sparseProduct() {
	v.packRows(sparseColumns / v.lanes)
	v.function("multiplySparse", "func(counts, offsets []uint32, values, panel, c []float32, ld int, goOn bool)",
		"%s computes some rows of a sparse product: see sparseFunc.")
	mode := flushSubnormals()
	counts, rows, offsets, values := base("counts"), length("counts"), base("offsets"), base("values")
	panel, c, ld := base("panel"), base("c"), strideOf("ld")
	sums := v.newRow()

	Label("row")
	goingOn := GP8()
	Load(Param("goOn"), goingOn)
	TESTB(goingOn, goingOn)
	JNZ(LabelRef("goOn"))
	sums.clear()
	JMP(LabelRef("list"))
	Label("goOn")
	for j, s := range sums.vectors {
		VMOVUPS(Mem{Base: c, Disp: j * v.bytes()}, s)
	}
	Label("list")
	count, at := GP32(), GP64()
	MOVL(Mem{Base: counts}, count)
	TESTL(count, count)
	JZ(LabelRef("store"))
	Label("element")
	MOVL(Mem{Base: offsets}, at.As32())
	LEAQ(Mem{Base: panel, Index: at, Scale: 4}, at)
	a := v.spread(Mem{Base: values})
	sums.add(a, at)
	ADDQ(Imm(4), offsets)
	ADDQ(Imm(4), values)
	DECL(count)
	JNZ(LabelRef("element"))
	Label("store")
	sums.store(c)
	ADDQ(ld, c)
	ADDQ(Imm(4), counts)
	DECQ(rows)
	JNZ(LabelRef("row"))
	mode.end()
}

// scannedProduct writes the micro-kernel of sparse products whose left factor is not listed: 64 elements
// of a row are compared with zero and make a word, from whose bits their numbers are read off.
func (v vector) scannedProduct() {
	const word = 64
	v.function("multiplyScanned", "func(rows, n int, x []float32, stride int, panel, c []float32, ld int)",
		"%s computes some rows of a sparse product: see scannedFunc.")
	mode := flushSubnormals()
	rows, x, stride, panel, c, ld := argument("rows"), base("x"), strideOf("stride"), base("panel"), base("c"), strideOf("ld")
	sums := v.newRow()
	elements, terms, left, found, shift, number, at := GP64(), GP64(), GP64(), GP64(), GP64(), GP64(), GP64()

	Label("row")
	sums.clear()
	MOVQ(x, elements)
	MOVQ(panel, terms)
	Load(Param("n"), left)
	Label("word")
	XORQ(found, found)
	XORQ(shift, shift)
	add := func(x reg.VecVirtual) {
		bits := GP32()
		v.nonzero(x, bits)
		SHLXQ(shift, bits.As64(), bits.As64())
		ORQ(bits.As64(), found)
	}
	Label("vector")
	CMPQ(left, Imm(uint64(v.lanes)))
	JLT(LabelRef("rest"))
	add(v.load(Mem{Base: elements, Index: shift, Scale: 4}))
	SUBQ(Imm(uint64(v.lanes)), left)
	ADDQ(Imm(uint64(v.lanes)), shift)
	CMPQ(shift, Imm(word))
	JLT(LabelRef("vector"))
	JMP(LabelRef("listed"))
	Label("rest")
	TESTQ(left, left)
	JZ(LabelRef("listed"))
	add(v.loadFirst(Mem{Base: elements, Index: shift, Scale: 4}, v.firstLanes(left)))
	XORQ(left, left)
	Label("listed")
	TESTQ(found, found)
	JZ(LabelRef("next"))
	Label("element")
	TZCNTQ(found, number)
	a := v.spread(Mem{Base: elements, Index: number, Scale: 4})
	SHLQ(Imm(8), number) // bytes of as many rows of the panel
	LEAQ(Mem{Base: terms, Index: number, Scale: 1}, at)
	sums.add(a, at)
	BLSRQ(found, found)
	JNZ(LabelRef("element"))
	Label("next")
	ADDQ(U32(4*word), elements)
	ADDQ(U32(4*word*sparseColumns), terms)
	TESTQ(left, left)
	JNZ(LabelRef("word"))
	sums.store(c)
	ADDQ(stride, x)
	ADDQ(ld, c)
	DECQ(rows)
	JNZ(LabelRef("row"))
	mode.end()
}

// compress writes the kernel that lists the elements of rows that are not zero. One row's list is
// begun in the slack that the one before has left.
func (v vector) compress() {
	v.function("compress", "func(counts, offsets []uint32, values, x []float32, stride, n, step int)",
		"%s lists the elements of rows that are not zero: see compressFunc.")
	counts, rows, offsets, values, x, stride := base("counts"), length("counts"), base("offsets"), base("values"), base("x"), strideOf("stride")
	step, narrow, apart, first, index := argument("step"), XMM(), v.new(), v.new(), v.new()
	VMOVD(step.As32(), narrow)
	VPBROADCASTD(narrow, apart)
	VPMULLD(laneNumbers(), apart, first)
	for n := 1; n < v.lanes; n *= 2 {
		VPADDD(apart, apart, apart)
	}
	Label("row")
	n, total, found := argument("n"), GP64(), GP32()
	XORQ(total, total)
	VMOVUPS(first, index)
	v.elements(n, func(at position) {
		value, where := v.compressed(at.element(x), index, found)
		VMOVUPS(value, Mem{Base: values, Index: total, Scale: 4})
		VMOVUPS(where, Mem{Base: offsets, Index: total, Scale: 4})
		POPCNTL(found, found)
		ADDQ(found.As64(), total)
		VPADDD(apart, index, index)
	})
	MOVL(total.As32(), Mem{Base: counts})
	LEAQ(Mem{Base: values, Index: total, Scale: 4}, values)
	LEAQ(Mem{Base: offsets, Index: total, Scale: 4}, offsets)
	ADDQ(stride, x)
	ADDQ(Imm(4), counts)
	DECQ(rows)
	JNZ(LabelRef("row"))
	end()
}

// compressed moves the elements of x that are not zero, and those of index
// beside them, to the front; found receives a bit for each.
func (v vector) compressed(x, index reg.VecVirtual, found reg.GPVirtual) (value, where reg.VecVirtual) {
	value, where = v.new(), v.new()
	nonzero := v.nonzero(x, found)
	if v.wide() {
		VCOMPRESSPS_Z(x, nonzero.Register, value)
		VPCOMPRESSD_Z(index, nonzero.Register, where)
		return value, where
	}
	table, order := GP64(), v.new()
	LEAQ(fronts(), table)
	VPMOVZXBD(Mem{Base: table, Index: found.As64(), Scale: 8}, order)
	VPERMPS(x, order, value)
	VPERMD(index, order, where)
	return value, where
}

// nonzero is the mask of the elements that are not zero, and found its bits.
func (v vector) nonzero(x reg.VecVirtual, found reg.GPVirtual) mask {
	m := v.compare(notEqual, x, v.zero())
	if v.wide() {
		KMOVW(m.Register, found)
	} else {
		VMOVMSKPS(m.Register, found)
	}
	return m
}

// fronts are, for each set of eight lanes, their numbers and then any.
func fronts() Mem {
	return table("fronts", func() {
		for set := range 256 {
			order, n := uint64(0), 0
			for lane := range 8 {
				if set>>lane&1 == 1 {
					order |= uint64(lane) << (8 * n)
					n++
				}
			}
			DATA(8*set, U64(order))
		}
	})
}

// laneNumbers are the numbers of the lanes.
func laneNumbers() Mem {
	return table("laneNumbers", func() {
		for i := range 16 {
			DATA(4*i, U32(uint32(i)))
		}
	})
}

// table is read-only data of that name, filled when it is first wanted.
func table(name string, fill func()) Mem {
	m, found := constants[name]
	if !found {
		m = GLOBL(name, RODATA|NOPTR)
		fill()
		constants[name] = m
	}
	return m
}

// nonzeros writes the kernel that counts the elements that are not zero.
func (v vector) nonzeros() {
	v.function("nonzeros", "func(x []float32) int", "%s counts the elements that are not zero.")
	x, n, total, found := base("x"), length("x"), GP64(), GP32()
	XORQ(total, total)
	v.elements(n, func(at position) {
		v.nonzero(at.element(x), found)
		POPCNTL(found, found)
		ADDQ(found.As64(), total)
	})
	Store(total, ReturnIndex(0))
	end()
}
