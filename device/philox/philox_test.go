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
