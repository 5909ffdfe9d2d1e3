package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// words writes Philox4x32-10 of package philox on v.lanes/2 counters at once.
// A lane of 64 bits holds one word of a counter, in its low half: the product
// of two such lanes is both halves that the generator wants, and what is left
// above the low half is never looked at.
func (v vector) words() {
	v.function("words", "func(words []uint32, counter [4]uint32, key [2]uint32)",
		"%s fills words with the blocks of consecutive counters: see wordsFunc.")
	out, n := base("words"), length("words")
	first := v.spreadElement("counter", 0)
	VPADDD(v.blockOrder(), first, first)

	Label("loop")
	c := [4]reg.VecVirtual{v.copy(first)}
	for i := 1; i < 4; i++ {
		c[i] = v.spreadElement("counter", i)
	}
	k := [2]reg.VecVirtual{v.spreadElement("key", 0), v.spreadElement("key", 1)}
	for range 10 {
		c = v.philoxRound(c, k)
		VPADDD(bits(0x9E3779B9), k[0], k[0])
		VPADDD(bits(0xBB67AE85), k[1], k[1])
	}
	low, high := v.joined(c[0], c[1]), v.joined(c[2], c[3])
	a, b := v.new(), v.new()
	VPUNPCKLQDQ(high, low, a)
	VPUNPCKHQDQ(high, low, b)
	VMOVUPS(a, Mem{Base: out})
	VMOVUPS(b, Mem{Base: out, Disp: v.bytes()})
	VPADDD(bits(uint32(v.lanes/2)), first, first)
	ADDQ(Imm(uint64(2*v.bytes())), out)
	SUBQ(Imm(uint64(2*v.lanes)), n)
	JNZ(LabelRef("loop"))
	end()
}

// spreadElement fills a register with an element of an array parameter.
func (v vector) spreadElement(name string, i int) reg.VecVirtual {
	b, err := Param(name).Index(i).Resolve()
	if err != nil {
		panic(err)
	}
	return v.spread(b.Addr)
}

// blockOrder are the counters of the 64-bit lanes relative to the first, such
// that interleaving the words leaves them in order.
func (v vector) blockOrder() Mem {
	name := "blockOrder" + v.name
	m := GLOBL(name, RODATA|NOPTR)
	for i := range v.lanes / 2 {
		DATA(8*i, U64(uint64(i/2+i%2*v.lanes/4)))
	}
	return m
}

// philoxRound is one round of the generator.
func (v vector) philoxRound(c [4]reg.VecVirtual, k [2]reg.VecVirtual) [4]reg.VecVirtual {
	p0, p1 := v.new(), v.new()
	VPMULUDQ(bits(0xD2511F53), c[0], p0)
	VPMULUDQ(bits(0xCD9E8D57), c[2], p1)
	return [4]reg.VecVirtual{v.mixed(p1, c[1], k[0]), p1, v.mixed(p0, c[3], k[1]), p0}
}

// mixed is the upper half of a product, xor a word, xor a key.
func (v vector) mixed(product, word, key reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	VPSRLQ(Imm(32), product, r)
	if v.wide() {
		const xorOfThree = 0x96
		VPTERNLOGD(Imm(xorOfThree), key, word, r)
	} else {
		VPXOR(word, r, r)
		VPXOR(key, r, r)
	}
	return r
}

// joined puts b's low halves above a's.
func (v vector) joined(a, b reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	VPSLLQ(Imm(32), b, r)
	if v.wide() {
		odd, k := GP32(), K()
		MOVL(U32(0xAAAA), odd)
		KMOVW(odd, k)
		VPBLENDMD(r, a, k, r)
	} else {
		VPBLENDD(Imm(0xAA), r, a, r)
	}
	return r
}

// fires is the mask of the words that are at most limit.
func (v vector) fires(w, limit reg.VecVirtual) mask {
	if v.wide() {
		const lessOrEqual = 2
		k := K()
		VPCMPUD(Imm(lessOrEqual), limit, w, k)
		return mask{Register: k}
	}
	r := v.new()
	VPMINUD(limit, w, r)
	VPCMPEQD(w, r, r)
	return mask{Register: r}
}

// corruptions writes the kernels of dropout and of the noises of single features.
func (v vector) corruptions() {
	v.function("maskWords", "func(y, x, mask []float32, words []uint32, limit uint32, accumulate bool)",
		"%s zeroes x where a word is at most limit: see maskFunc.")
	y, x, m, words, n := base("y"), base("x"), base("mask"), base("words"), length("y")
	limit, old := v.scalar("limit"), v.flag("accumulate")
	v.elements(n, func(at position) {
		fires := v.fires(at.element(words), limit)
		at.put(v.keepUnless(fires, at.element(x)), y)
		at.put(v.pick(fires, v.load(constant(one)), v.and(at.element(m), old)), m)
	})
	end()

	v.function("saltAndPepper", "func(y, x, mask, low, high []float32, words []uint32, half, limit uint32, accumulate bool)",
		"%s destroys x where a word is at most limit: see saltAndPepperFunc.")
	y, x, m, words, n = base("y"), base("x"), base("mask"), base("words"), length("y")
	low, high := base("low"), base("high")
	limit, half, old := v.scalar("limit"), v.scalar("half"), v.flag("accumulate")
	v.elements(n, func(at position) {
		w := at.element(words)
		fires := v.fires(w, limit)
		at.put(v.pick(v.atLeast(w, half), v.pick(fires, at.element(high), at.element(x)), at.element(low)), y)
		at.put(v.pick(fires, v.load(constant(one)), v.and(at.element(m), old)), m)
	})
	end()

	v.function("dropWords", "func(y, x []float32, words []uint32, limit uint32, keep float32)",
		"%s zeroes x where a word is at most limit and multiplies it by keep elsewhere.")
	y, x, words, n = base("y"), base("x"), base("words"), length("y")
	limit, keep := v.scalar("limit"), v.scalar("keep")
	v.elements(n, func(at position) {
		at.put(v.keepUnless(v.fires(at.element(words), limit), v.mul(at.element(x), keep)), y)
	})
	end()

	v.function("addNoise", "func(y, x, z []float32, sigma float32)", "%s computes y = x + sigma·z, each operation rounded.")
	y, x, n = base("y"), base("x"), length("y")
	z, sigma := base("z"), v.scalar("sigma")
	v.elements(n, func(at position) {
		at.put(v.add(at.element(x), v.mul(at.element(z), sigma)), y)
	})
	end()

	v.function("addSpeckle", "func(y, x, z []float32, sigma float32)", "%s computes y = x·(1 + sigma·z), each operation rounded.")
	y, x, n = base("y"), base("x"), length("y")
	z, sigma = base("z"), v.scalar("sigma")
	v.elements(n, func(at position) {
		at.put(v.mul(at.element(x), v.add(v.mul(at.element(z), sigma), constant(one))), y)
	})
	end()

	v.function("addUniform", "func(y, x []float32, words []uint32, amplitude float32)",
		"%s computes y = x + amplitude·(2u - 1), u uniform in [0, 1), each operation rounded.")
	y, x, words, n = base("y"), base("x"), base("words"), length("y")
	amplitude := v.scalar("amplitude")
	v.elements(n, func(at position) {
		u := v.new()
		VPSRLD(Imm(8), at.element(words), u)
		VCVTDQ2PS(u, u)
		u = v.sub(v.mul(u, constant(0x1p-23)), constant(one)) // the product, 2u, is exact
		at.put(v.add(at.element(x), v.mul(u, amplitude)), y)
	})
	end()
}

// flag is a parameter of type bool in every bit.
func (v vector) flag(name string) reg.VecVirtual {
	value, narrow, all := GP32(), XMM(), v.new()
	Load(Param(name), value)
	NEGL(value)
	VMOVD(value, narrow)
	VPBROADCASTD(narrow, all)
	return all
}

// atLeast is the mask of the words that are not less than limit.
func (v vector) atLeast(w, limit reg.VecVirtual) mask {
	if v.wide() {
		const notLess = 5
		k := K()
		VPCMPUD(Imm(notLess), limit, w, k)
		return mask{Register: k}
	}
	r := v.new()
	VPMAXUD(limit, w, r)
	VPCMPEQD(w, r, r)
	return mask{Register: r}
}

// normals writes the transform of Box and Muller of package philox, operation
// by operation: its result is defined to the bit, so nothing may be fused.
func (v vector) normals() {
	v.function("normals", "func(z []float32, words []uint32)", "%s turns words into standard normal draws: see normalsFunc.")
	out, words, n := base("z"), base("words"), length("z")
	Label("loop")
	w0, w1 := v.load(Mem{Base: words}), v.load(Mem{Base: words, Disp: v.bytes()})
	even, odd := v.new(), v.new()
	VSHUFPS(Imm(0x88), w1, w0, even)
	VSHUFPS(Imm(0xDD), w1, w0, odd)
	u := v.add(v.mul(v.fromWords(even), constant(0x1p-32)), constant(0x1p-33))
	radius := v.sqrt(v.mul(v.logUnit(u), constant(-2)))
	sin, cos := v.sincosTurn(odd)
	cos, sin = v.mul(radius, cos), v.mul(radius, sin)
	a, b := v.new(), v.new()
	VUNPCKLPS(sin, cos, a)
	VUNPCKHPS(sin, cos, b)
	VMOVUPS(a, Mem{Base: out})
	VMOVUPS(b, Mem{Base: out, Disp: v.bytes()})
	ADDQ(Imm(uint64(2*v.bytes())), words)
	ADDQ(Imm(uint64(2*v.bytes())), out)
	SUBQ(Imm(uint64(2*v.lanes)), n)
	JNZ(LabelRef("loop"))
	end()
}

// fromWords is the nearest float32 of an unsigned word.
func (v vector) fromWords(w reg.VecVirtual) reg.VecVirtual {
	r := v.new()
	if v.wide() {
		VCVTUDQ2PS(w, r)
		return r
	}
	high, low := v.new(), v.new()
	VPSRLD(Imm(16), w, high)
	VPAND(bits(0xFFFF), w, low)
	VCVTDQ2PS(high, high)
	VCVTDQ2PS(low, low)
	VMULPS(constant(0x1p16), high, high) // exact, so that only the sum rounds
	VADDPS(low, high, r)
	return r
}

// unfused is Σ c[i]·xⁱ, each product and each sum rounded.
func (v vector) unfused(x reg.VecVirtual, c ...float64) reg.VecVirtual {
	p := v.load(constant(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		p = v.add(v.mul(p, x), constant(c[i]))
	}
	return p
}

// logUnit is package philox's logUnit.
func (v vector) logUnit(u reg.VecVirtual) reg.VecVirtual {
	m, e := v.significand(u)
	f := v.sub(m, constant(one))
	z := v.mul(f, f)
	p := v.unfused(f, 3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1,
		-1.2420140846e-1, 1.1676998740e-1, -1.1514610310e-1, 7.0376836292e-2)
	p = v.mul(v.mul(p, f), z)
	p = v.add(p, v.mul(e, constant(-2.12194440e-4)))
	p = v.sub(p, v.mul(z, constant(0.5)))
	return v.add(v.add(f, p), v.mul(e, constant(0.693359375)))
}

// sincosTurn is package philox's sincosTurn.
func (v vector) sincosTurn(w reg.VecVirtual) (sin, cos reg.VecVirtual) {
	quarter, rest := v.new(), v.new()
	VPADDD(bits(1<<29), w, quarter)
	VPSRLD(Imm(30), quarter, quarter)
	VPSLLD(Imm(30), quarter, rest)
	VPSUBD(rest, w, rest)
	VCVTDQ2PS(rest, rest)
	x := v.mul(rest, constant(math.Pi/(1<<31)))
	z := v.mul(x, x)
	s := v.add(v.mul(v.mul(v.unfused(z, -1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4), z), x), x)
	c := v.mul(v.mul(v.unfused(z, 4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5), z), z)
	c = v.add(v.sub(c, v.mul(z, constant(0.5))), constant(one))

	odd := v.new()
	VPSLLD(Imm(31), quarter, odd) // sign bit: sine and cosine change places
	places := v.negative(odd)
	sinSign, cosSign := v.new(), v.new()
	VPSLLD(Imm(30), quarter, sinSign)
	VPADDD(bits(1), quarter, cosSign)
	VPSLLD(Imm(30), cosSign, cosSign)
	sin = v.xor(v.pick(places, c, s), v.and(sinSign, bits(signBit)))
	cos = v.xor(v.pick(places, s, c), v.and(cosSign, bits(signBit)))
	return sin, cos
}
