package data

import (
	"context"
	"math"
	"testing"
)

func TestMissingValuesAreKept(t *testing.T) {
	inf := float32(math.Inf(1))
	missing := Options{Missing: true}
	header := npyHeader("'<f4'", "False", "(3, 2)")
	for name, content := range map[string][]byte{
		"words.csv":   []byte("a,b\n1, \nNaN,5\n4,n/a\n"),
		"first.csv":   []byte("1,\n,5\n4,?\n"),
		"numbers.npy": npyFile(header, littleEndian(t, []float32{1, float32(nan()), float32(nan()), 5, 4, float32(nan())})),
	} {
		d := open(t, save(t, name, content), missing)
		if info := d.Info(); info.Rows != 3 || info.Features != 2 || info.Min != 1 || info.Max != 5 {
			t.Errorf("%s: %+v", name, info)
		}
		x, err := d.Read(t.Context(), 0, 3)
		if err != nil {
			t.Fatal(err)
		}
		want := []float32{1, float32(nan()), float32(nan()), 5, 4, float32(nan())}
		for i, v := range Float32s(x) {
			if v != want[i] && (v == v || want[i] == want[i]) {
				t.Errorf("%s: value %d is %g, want %g", name, i, v, want[i])
			}
		}
		s, err := Fit(context.Background(), ScaleStandard, d, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Offset[0] != 2.5 || s.Scale[0] != 1.5 || s.Offset[1] != 5 || s.Scale[1] != 1 {
			t.Errorf("%s: scaled by %+v", name, s)
		}
		z, err := s.Apply(x)
		if err != nil {
			t.Fatal(err)
		}
		if v := Float32s(z); v[0] != -1 || v[1] == v[1] || v[4] != 1 {
			t.Errorf("%s: scaled values %v", name, v)
		}
		if _, err := s.Invert(z); err == nil {
			t.Errorf("%s: NaN was taken for a reconstruction", name)
		}
	}
	refused(t, "infinite.npy", npyFile(header, littleEndian(t, []float32{1, 2, inf, 4, 5, 6})), missing, "row 2, column 1: the value is infinite")
	refused(t, "infinite.csv", []byte("1,2\nInf,3\n"), missing, "line 2, column 1: the value is infinite")
	refused(t, "nothing.csv", []byte("a,b\nNA,\n,NA\n"), missing, "all of them are missing")
	refused(t, "words.csv", []byte("a,b\n1,2\nNA,3\n"), Options{}, `"NA" is not a number`)
}

func TestScalingNeedsAValueInEveryColumn(t *testing.T) {
	d := open(t, save(t, "a.csv", []byte("a,b\n1,\n2,\n3,4\n")), Options{Missing: true})
	_, err := Fit(t.Context(), ScaleAuto, d, func(row int) bool { return row < 2 })
	if err == nil || err.Error() != d.Info().Path+": column 2 (b): every training row lacks the value; remove the column" {
		t.Errorf("error %v", err)
	}
}
