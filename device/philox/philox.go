// Package philox is the random number generator of every device: the
// counter-based Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel
// random numbers: as easy as 1, 2, 3" (SC 2011), and the distributions drawn
// from its words.
//
// A draw is a pure function of a key (the seed) and a counter (where the draw
// is used: see Coordinates), so that the corruption of an example is the same
// on every device, at every split of a batch and after a resume. Integers are
// equal bit for bit by construction. The floating-point distributions are
// defined here down to the rounding of each float32 operation, with no fused
// multiply-add, so that a device that repeats them in that order gets the same
// bits.
//
// The package is a leaf: it must not know what a device, a model or a batch is.
package philox

// Multipliers and Weyl key increments of Philox4x32 (Salmon et al. 2011, table 2).
const (
	multiplier0 = 0xD2511F53
	multiplier1 = 0xCD9E8D57
	weyl0       = 0x9E3779B9
	weyl1       = 0xBB67AE85
	rounds      = 10
)

// Counter addresses one block of four words.
type Counter [4]uint32

// Key selects one of 2⁶⁴ independent functions of the counter.
type Key [2]uint32

// KeyOf splits a seed into a key, low word first.
func KeyOf(seed uint64) Key { return Key{uint32(seed), uint32(seed >> 32)} }

// Block returns the four words at counter c under key k: ten Philox rounds. The
// words are variables of their own, so that they stay in registers.
func Block(c Counter, k Key) [4]uint32 {
	c0, c1, c2, c3 := c[0], c[1], c[2], c[3]
	k0, k1 := k[0], k[1]
	for range rounds {
		p0, p1 := uint64(multiplier0)*uint64(c0), uint64(multiplier1)*uint64(c2)
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0 += weyl0
		k1 += weyl1
	}
	return [4]uint32{c0, c1, c2, c3}
}

// Stream names a purpose, so that draws made for different purposes never
// share a counter. There may be at most 16.
type Stream uint32

// The streams. Their numbers are part of the format of a checkpoint: a run can
// only be resumed bit for bit if they never change.
const (
	StreamTrain       Stream = iota // corruption of training examples
	StreamValidation                // corruption of validation and evaluation examples, at step 0
	StreamDropout                   // dropout masks
	StreamPermutation               // order of an epoch
	StreamSplit                     // which rows are held out
	StreamInit                      // initial weights
	StreamData                      // generated data sets
	StreamChain                     // corruption in a Markov chain
	StreamDraw                      // all other draws of a sampler
	StreamCode                      // stochastic codes in training
	StreamSweep                     // settings of the trials of a sweep
)

// Coordinates says what a draw is for; with the seed it determines the words.
type Coordinates struct {
	Stream    Stream // purpose
	Index     uint32 // corruption stage or layer, < 256
	Replicate uint32 // which of the K corruptions of the same example, < 4096
	Draw      uint32 // number of the block where a purpose needs several, < 256
	Step      uint32 // optimiser step, modulo 2³²
	Row       uint32 // row of the example in its data set
	Block     uint32 // feature (or field) index / 4; lane = index mod 4
}

// Counter packs the coordinates:
//
//	word 0  Block
//	word 1  Row
//	word 2  Step
//	word 3  Stream<<28 | Index<<20 | Replicate<<8 | Draw
func (at Coordinates) Counter() Counter {
	return Counter{at.Block, at.Row, at.Step,
		uint32(at.Stream)<<28 | (at.Index&0xFF)<<20 | (at.Replicate&0xFFF)<<8 | at.Draw&0xFF}
}

// MoveTo changes the row and the replicate of the coordinates that are packed.
func (c *Counter) MoveTo(row, replicate uint32) {
	c[1] = row
	c[3] = c[3]&^(0xFFF<<8) | (replicate&0xFFF)<<8
}
