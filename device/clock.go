package device

// ClockWords is the size of a clock in device memory.
const ClockWords = 8

// Clock is the state that changes from step to step. On a device it is
// ClockWords words, written by UploadWords(clock, state.Words()), advanced by
// Tick, and read by the operations that take a clock.
type Clock struct {
	Step   uint64 // optimiser steps since the start of training: words 0 (low) and 1
	Epoch  uint32 // selects the epoch's permutation: word 2
	Cursor uint32 // position of the minibatch's first example in the epoch: word 3
	Index  uint32 // steps since the clock was set; indexes Rates and Log: word 4
}

// Words returns the device's form of the clock.
func (c Clock) Words() []uint32 {
	return []uint32{uint32(c.Step), uint32(c.Step >> 32), c.Epoch, c.Cursor, c.Index, 0, 0, 0}
}

// ClockFromWords is the inverse of Words.
func ClockFromWords(w []uint32) Clock {
	return Clock{Step: uint64(w[0]) | uint64(w[1])<<32, Epoch: w[2], Cursor: w[3], Index: w[4]}
}
