package table

import (
	"testing"

	"gpudae/data"
)

// TestBoundsOfWhatIsWritten: rounding to the decimals of the data keeps to the bounds, and
// what was read is not clipped to them.
func TestBoundsOfWhatIsWritten(t *testing.T) {
	low, high := 0.25, 0.95
	s := &Schema{Name: "t", Columns: []Column{{Name: "n", Kind: Numeric, Type: data.Text, Scaling: None, Weight: 1, Format: "0.0",
		Bounds: &Bounds{Low: &low, High: &high}, Fit: &Fit{Kind: Numeric, Present: 2, Distinct: 2, Low: -6, High: 8}}}}
	d := Decoder{columns: []columnDecoder{newColumnDecoder(&s.Columns[0], false)}}
	for z, want := range map[float32]float64{-5: 0.3, 0.5: 0.5, 7: 0.9} {
		if got := d.Number(0, z); got != want {
			t.Errorf("%v is written as %v, not %v", z, got, want)
		}
	}
	if got := d.Observed(0, 7); got != 7 {
		t.Errorf("7 was there, and is %v", got)
	}
}
