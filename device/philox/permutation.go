package philox

import "math/bits"

const feistelRounds = 6

// Permutation is a pseudo-random permutation of {0, ..., n-1} that needs no
// memory: a six-round Feistel network on the smallest even number of bits that
// holds n-1, walked along its cycle until it falls below n (Black and Rogaway,
// "Ciphers with arbitrary finite domains", CT-RSA 2002). A walk takes fewer
// than four rounds of the network on average. Every element takes every
// position equally often over the epochs; below a hundred elements, where the
// halves have two or three bits, some orders are a few per cent likelier than
// others.
//
// The zero Permutation is the identity of any size.
type Permutation struct {
	n    uint32
	half uint32 // bits of each half
	keys [feistelRounds]uint32
}

// NewPermutation returns the permutation of {0, ..., n-1} keyed by a seed, a
// stream (StreamPermutation or StreamSplit) and an epoch. n ≤ 2³¹.
func NewPermutation(n uint32, seed uint64, stream Stream, epoch uint32) Permutation {
	p := Permutation{n: n, half: 1}
	if n > 1 {
		p.half = uint32(bits.Len32(n-1)+1) / 2
	}
	at := Coordinates{Stream: stream, Step: epoch}
	first := Block(at.Counter(), KeyOf(seed))
	at.Block = 1
	second := Block(at.Counter(), KeyOf(seed))
	copy(p.keys[:4], first[:])
	copy(p.keys[4:], second[:])
	return p
}

// At returns the image of i < n.
func (p *Permutation) At(i uint32) uint32 {
	if p.n <= 1 {
		return i
	}
	for {
		i = p.network(i)
		if i < p.n {
			return i
		}
	}
}

// Keys returns the round keys and the bits of each half, for a device that
// walks the permutation itself.
func (p *Permutation) Keys() (keys [feistelRounds]uint32, half uint32) { return p.keys, p.half }

func (p *Permutation) network(i uint32) uint32 {
	mask := uint32(1)<<p.half - 1
	left, right := i>>p.half, i&mask
	for _, key := range p.keys {
		left, right = right, left^(mix(right^key)&mask)
	}
	return left<<p.half | right
}

// mix is the 32-bit finaliser of MurmurHash3 (A. Appleby, public domain).
func mix(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x85EBCA6B
	x ^= x >> 13
	x *= 0xC2B2AE35
	x ^= x >> 16
	return x
}
