package philox

import "testing"

// TestKnownAnswers checks the generator against the known-answer vectors of
// Random123 1.14 (kat_vectors, philox4x32 10).
func TestKnownAnswers(t *testing.T) {
	for _, v := range []struct {
		counter Counter
		key     Key
		want    [4]uint32
	}{
		{Counter{}, Key{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{Counter{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, Key{0xffffffff, 0xffffffff}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{Counter{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, Key{0xa4093822, 0x299f31d0}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Block(v.counter, v.key); got != v.want {
			t.Errorf("Block(%x, %x) = %x, want %x", v.counter, v.key, got, v.want)
		}
	}
}

// TestCoordinatesDoNotCollide: each coordinate has bits of its own, up to its
// documented limit.
func TestCoordinatesDoNotCollide(t *testing.T) {
	largest := Coordinates{Stream: 15, Index: 255, Replicate: 4095, Draw: 255, Step: 1<<32 - 1, Row: 1<<32 - 1, Block: 1<<32 - 1}
	if c := largest.Counter(); c != (Counter{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1}) {
		t.Errorf("the largest coordinates give %x", c)
	}
	var all Counter
	for _, single := range []Coordinates{{Stream: 15}, {Index: 255}, {Replicate: 4095}, {Draw: 255}, {Step: 1<<32 - 1}, {Row: 1<<32 - 1}, {Block: 1<<32 - 1}} {
		for i, word := range single.Counter() {
			if all[i]&word != 0 {
				t.Errorf("%+v shares bits with another coordinate", single)
			}
			all[i] |= word
		}
	}
}

// TestMoveTo: a counter that is moved is that of the row and the replicate it is moved to.
func TestMoveTo(t *testing.T) {
	at := Coordinates{Stream: 5, Index: 200, Replicate: 4000, Draw: 130, Step: 7, Row: 8, Block: 9}
	moved := at.Counter()
	moved.MoveTo(1<<32-1, 4095)
	moved.MoveTo(3, 17)
	at.Row, at.Replicate = 3, 17
	if want := at.Counter(); moved != want {
		t.Errorf("moved to %x, want %x", moved, want)
	}
}

// TestStreamsFit: a stream has four bits in the counter.
func TestStreamsFit(t *testing.T) {
	if StreamSweep >= 16 {
		t.Errorf("stream %d does not fit", StreamSweep)
	}
}

// TestKeyOf: both halves of a seed count.
func TestKeyOf(t *testing.T) {
	if k := KeyOf(0x0123456789abcdef); k != (Key{0x89abcdef, 0x01234567}) {
		t.Errorf("KeyOf = %x", k)
	}
}
