package cpu

import (
	"context"
	"testing"

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
