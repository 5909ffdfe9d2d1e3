package data

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// columnsOf makes a data set; the second column is constant.
func columnsOf(t *testing.T, values ...float32) Dataset {
	t.Helper()
	d, err := FromTensor(context.Background(), "table", matrix(values, len(values)/3, 3), nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func fit(t *testing.T, kind ScaleKind, d Dataset, keep func(int) bool) *Scaler {
	t.Helper()
	s, err := Fit(context.Background(), kind, d, keep)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScalers(t *testing.T) {
	d := columnsOf(t,
		1, 7, -10,
		2, 7, 10,
		3, 7, 30,
		6, 7, 10)
	x, err := Floats(context.Background(), d, 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	a, b := math.Sqrt(3.5), math.Sqrt(200) // deviations about the means 3 and 10
	for _, c := range []struct {
		kind      ScaleKind
		want      []float64
		low, high []float64
	}{
		{ScaleNone, []float64{1, 7, -10, 2, 7, 10, 3, 7, 30, 6, 7, 10}, []float64{1, 7, -10}, []float64{6, 7, 30}},
		{ScaleUnit, []float64{11. / 40, 17. / 40, 0, 12. / 40, 17. / 40, 20. / 40, 13. / 40, 17. / 40, 1, 16. / 40, 17. / 40, 20. / 40}, []float64{0, 0, 0}, []float64{1, 1, 1}},
		{ScaleMinMax, []float64{0, 0, 0, 0.2, 0, 0.5, 0.4, 0, 1, 1, 0, 0.5}, []float64{0, 0, 0}, []float64{1, 1, 1}},
		{ScaleStandard, []float64{-2 / a, 0, -20 / b, -1 / a, 0, 0, 0, 0, 20 / b, 3 / a, 0, 0}, []float64{-2 / a, 0, -20 / b}, []float64{3 / a, 0, 20 / b}},
	} {
		s := fit(t, c.kind, d, nil)
		if s.Kind != c.kind {
			t.Errorf("%s became %s", c.kind, s.Kind)
		}
		z, err := s.Apply(x)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range Float32s(z) {
			if float32(c.want[i]) != v {
				t.Errorf("%s: element %d is %v, want %v", c.kind, i, v, c.want[i])
			}
		}
		back, err := s.Invert(z)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range Float32s(back) {
			if math.Abs(float64(v-Float32s(x)[i])) > 1e-6*40 {
				t.Errorf("%s: element %d comes back as %v, not %v", c.kind, i, v, Float32s(x)[i])
			}
		}
		for i := range 3 {
			if s.Low[i] != float32(c.low[i]) || s.High[i] != float32(c.high[i]) {
				t.Errorf("%s: column %d from %v to %v, want %v to %v", c.kind, i, s.Low[i], s.High[i], c.low[i], c.high[i])
			}
		}
	}
	if got := Float32s(x); got[0] != 1 || got[11] != 10 {
		t.Error("Apply changed its argument")
	}
}

// TestScalerSeesOnlyItsRows puts an outlier into a row that is left out.
func TestScalerSeesOnlyItsRows(t *testing.T) {
	with := columnsOf(t, 1, 7, -10, 1e6, -1e6, 1e6, 3, 7, 30)
	without := columnsOf(t, 1, 7, -10, 3, 7, 30)
	for _, kind := range []ScaleKind{ScaleNone, ScaleUnit, ScaleStandard, ScaleMinMax} {
		got := fit(t, kind, with, func(row int) bool { return row != 1 })
		if want := fit(t, kind, without, nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", kind, got, want)
		}
	}
	if _, err := Fit(context.Background(), ScaleStandard, with, func(int) bool { return false }); !errors.As(err, new(*Error)) {
		t.Errorf("without rows: %v", err)
	}
}

func TestScaleAuto(t *testing.T) {
	bytes := save(t, "a.idx", idxFile(0x08, []int{2, 2}, []byte{0, 1, 2, 255}))
	for _, c := range []struct {
		name      string
		options   Options
		want      ScaleKind
		low, high float32
	}{
		{"digits", Options{}, ScaleNone, 0, 1},
		{bytes, Options{}, ScaleNone, 0, 1},
		{bytes, Options{Scale: 1}, ScaleNone, 0, 2}, // counts: the extremes of the first column
		{save(t, "b.csv", []byte("0.5,0.25\n0.5,1\n")), Options{}, ScaleNone, 0, 1},
		{save(t, "c.csv", []byte("0,0.25\n2,1\n")), Options{}, ScaleStandard, -1, 1},
		{save(t, "d.csv", []byte("-1,0.25\n1,1\n")), Options{}, ScaleStandard, -1, 1},
	} {
		s := fit(t, ScaleAuto, open(t, c.name, c.options), nil)
		if s.Kind != c.want || s.Low[0] != c.low || s.High[0] != c.high {
			t.Errorf("%s: %s from %v to %v", c.name, s.Kind, s.Low[0], s.High[0])
		}
	}
}

// TestRowsThatCannotBeScaledAreNamed by the file and the row in it, wherever reading begins.
func TestRowsThatCannotBeScaledAreNamed(t *testing.T) {
	d := open(t, save(t, "a.csv", []byte("0.1\n0.2\n0.1\n3e38\n")), Options{})
	s := fit(t, ScaleStandard, d, func(row int) bool { return row < 3 })
	x, err := Scaled(t.Context(), d, s, 1, 2)
	if err != nil || x.Shape()[0] != 2 {
		t.Fatalf("%v, %v", x, err)
	}
	_, err = Scaled(t.Context(), d, s, 2, 2)
	var bad *Error
	if !errors.As(err, &bad) || bad.Row != 4 || bad.Column != 1 || bad.Path != d.Info().Path {
		t.Errorf("%v", err)
	}
}

// TestExtremesOfScaledImages: those of a column of numbers in [0, 1] are its own once
// it has another scale.
func TestExtremesOfScaledImages(t *testing.T) {
	s := fit(t, ScaleStandard, open(t, save(t, "a.csv", []byte("0.25,1\n0.75,0\n")), Options{}), nil)
	if s.Low[0] != -1 || s.High[0] != 1 || s.Low[1] != -1 || s.High[1] != 1 {
		t.Errorf("from %v to %v", s.Low, s.High)
	}
}

// TestStandardIsStable takes columns far from 0, where the difference of
// squares loses every digit.
func TestStandardIsStable(t *testing.T) {
	d := columnsOf(t, 1e6, 1e7, 0, 1e6+1, 1e7+1, 0, 1e6+2, 1e7+2, 0)
	s := fit(t, ScaleStandard, d, nil)
	want := math.Sqrt(2.0 / 3)
	for c := range 2 {
		if math.Abs(s.Scale[c]-want) > 1e-9 {
			t.Errorf("deviation %v, want %v", s.Scale[c], want)
		}
	}
}

func TestScalerJSON(t *testing.T) {
	d := columnsOf(t, 0.1, 7, -1.0/3, 1e-30, 7, 1e30)
	for _, kind := range []ScaleKind{ScaleNone, ScaleUnit, ScaleStandard, ScaleMinMax} {
		want := fit(t, kind, d, nil)
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Scaler
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(&got, want) {
			t.Errorf("%s gives %+v, %v", text, got, err)
		}
	}
	good := `{"kind":"standard","offset":[0],"scale":[2],"low":[0],"high":[1]}`
	if err := json.Unmarshal([]byte(good), new(Scaler)); err != nil {
		t.Fatal(err)
	}
	for old, bad := range map[string]string{
		`"standard"`:     `"auto"`,
		`standard`:       `none`,
		`standard"`:      `other"`,
		`[2]`:            `[0]`,
		`"scale":[2]`:    `"scale":[-2]`,
		`"offset":[0]`:   `"offset":[]`,
		`"high":[1]`:     `"high":[1,2]`,
		`"low":[0]`:      `"low":[]`,
		`"scale":[2],"`:  `"scale":[2,2],"`,
		`"offset":[0],"`: `"offset":["0"],"`,
	} {
		text := strings.Replace(good, old, bad, 1)
		if err := json.Unmarshal([]byte(text), new(Scaler)); err == nil {
			t.Errorf("accepted %s", text)
		}
	}
}

func TestScalerFailures(t *testing.T) {
	s := fit(t, ScaleStandard, columnsOf(t, 1, 7, 0, 1+1e-7, 7, 0), nil)
	if _, err := s.Apply(matrix([]float32{1, 2}, 1, 2)); err == nil || err.Error() != "input: has 2 features in a row, but the scaling was fitted on 3" {
		t.Errorf("%v", err)
	}
	if _, err := s.Apply(matrix([]float32{1, 2, 3, math.MaxFloat32, 2, 3}, 2, 3)); err == nil || !strings.HasPrefix(err.Error(), "input: row 2, column 1: 3.4028235e+38 leaves the range of float32") {
		t.Errorf("%v", err)
	}
	d := columnsOf(t, 1, 7, 0, 1+1e-7, 7, 0, math.MaxFloat32, 7, 0)
	if _, err := Table(context.Background(), d, s); err == nil || !strings.HasPrefix(err.Error(), "table: row 3, column 1: ") {
		t.Errorf("%v", err)
	}
}

func TestParseScaleKind(t *testing.T) {
	for _, kind := range ScaleKinds() {
		if got, err := ParseScaleKind(string(kind)); got != kind || err != nil {
			t.Errorf("%s: %s, %v", kind, got, err)
		}
	}
	if _, err := ParseScaleKind("normal"); err == nil || err.Error() != `unknown scaling "normal"; use one of auto, none, unit, standard, min-max` {
		t.Errorf("%v", err)
	}
}
