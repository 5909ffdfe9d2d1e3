package tape_test

import (
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/device/tape"
)

// views are matrices in two memories.
func views(t *testing.T) (first, inside, behind, other device.View) {
	t.Helper()
	dev := reference.New()
	var memories [2]device.Memory
	for i := range memories {
		m, err := dev.Alloc(device.Float, 20)
		if err != nil {
			t.Fatal(err)
		}
		memories[i] = m
	}
	return device.MatrixOf(memories[0], 2, 2, 4), device.MatrixOf(memories[0], 8, 1, 2), device.MatrixOf(memories[0], 10, 1, 10), device.MatrixOf(memories[1], 2, 2, 4)
}

func TestViews(t *testing.T) {
	first, inside, behind, other := views(t)
	flat := device.MatrixOf(first.Memory, 2, 1, 8)
	for _, c := range []struct {
		what         string
		a, b         device.View
		overlap      bool
		same, within bool // b is a's, and in a
	}{
		{"itself", first, first, true, true, true},
		{"another shape", first, flat, true, true, true},
		{"a part", first, inside, true, false, true},
		{"what it is a part of", inside, first, true, false, false},
		{"its neighbour", first, behind, false, false, false},
		{"another memory's", first, other, false, false, false},
		{"nothing", first, device.View{}, false, false, false},
	} {
		if tape.Overlap(c.a, c.b) != c.overlap || tape.Overlap(c.b, c.a) != c.overlap {
			t.Errorf("%s: overlap is %t, want %t", c.what, !c.overlap, c.overlap)
		}
		if tape.Same(c.a, c.b) != c.same {
			t.Errorf("%s: same is %t, want %t", c.what, !c.same, c.same)
		}
		if !c.b.IsZero() && tape.Within(c.b, c.a) != c.within {
			t.Errorf("%s: within is %t, want %t", c.what, !c.within, c.within)
		}
	}
}

func TestTouches(t *testing.T) {
	first, inside, behind, other := views(t)
	operation := device.CombineArgs{Alpha: 1, A: first, Dst: other}
	for v, want := range map[device.View]bool{first: true, inside: true, other: true, behind: false, {}: false} {
		if tape.Touches(operation, v) != want {
			t.Errorf("whether it touches %v is %t, want %t", v, !want, want)
		}
	}
}

// TestTape: a tape keeps operations and how each is issued.
func TestTape(t *testing.T) {
	var tp tape.Tape
	issued := 0
	for i := range 3 {
		tp.Put(device.TickArgs{Rows: i}, func() { issued += 1 << i })
	}
	for i, o := range tp.Operations() {
		if o.(device.TickArgs).Rows != i {
			t.Errorf("operation %d is %+v", i, o)
		}
	}
	if tp.Issue(0)(); issued != 1 {
		t.Errorf("operations %b were issued, want the first", issued)
	}
	if tp.Issue(2)(); issued != 5 {
		t.Errorf("operations %b were issued, want the first and the last", issued)
	}
}
