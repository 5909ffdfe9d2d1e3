package cpu

import (
	"context"
	"testing"
	"unsafe"

	"gpudae/device"
)

// TestDonors compares the rows of parts, more of them than have tables, with
// the permutation of the split.
func TestDonors(t *testing.T) {
	const rows = 100
	data, err := load(context.Background(), device.Table{Rows: rows, Columns: 1, Uint8: make([]uint8, rows)})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for lo := range mostTables + 3 {
			part := device.Rows{Lo: lo, Hi: rows - lo, Split: lo != 1, Seed: 9}
			d, p := data.donors(part), part.Permutation(rows)
			for i := range uint32(part.Len()) {
				if got, want := d.row(i), int(p.At(uint32(part.Lo)+i)); got != want {
					t.Fatalf("row %d of the part from %d on is %d, want %d", i, lo, got, want)
				}
			}
		}
	}
	if len(data.tables) != mostTables {
		t.Errorf("%d tables, want %d", len(data.tables), mostTables)
	}
}

// TestSlab checks that memory cut from large pages is aligned, zero and
// nobody else's.
func TestSlab(t *testing.T) {
	var s slab
	var all [][]float32
	for n := range 300 {
		size := n * n
		memory := s.floats(size)
		if len(memory) != size {
			t.Fatalf("%d elements of %d", len(memory), size)
		}
		if size > 0 && uintptr(unsafe.Pointer(&memory[0]))%cacheLine != 0 {
			t.Fatalf("memory of %d elements does not begin at a cache line", size)
		}
		for _, v := range memory {
			if v != 0 {
				t.Fatalf("memory of %d elements holds %g", size, v)
			}
		}
		fill(memory, float32(n))
		all = append(all, memory)
	}
	for n, memory := range all {
		for _, v := range memory {
			if v != float32(n) {
				t.Fatalf("memory %d holds %g", n, v)
			}
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
