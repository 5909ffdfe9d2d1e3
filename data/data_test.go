package data

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

// save writes content to a file of that name in a folder of the test's own.
func save(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(t testing.TB, nameOrPath string, o Options) Dataset {
	t.Helper()
	d, err := Open(context.Background(), nameOrPath, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// floats reads all of a data set in model scale.
func floats(t testing.TB, d Dataset) []float32 {
	t.Helper()
	x, err := Floats(context.Background(), d, 0, d.Info().Rows)
	if err != nil {
		t.Fatal(err)
	}
	if want := (tensor.Shape{d.Info().Rows, d.Info().Features}); !x.Shape().Eq(want) {
		t.Fatalf("shape %v, want %v", x.Shape(), want)
	}
	return Float32s(x)
}

// refused checks that content under that name is refused by an *Error of one
// line that names the file and contains the words.
func refused(t *testing.T, name string, content []byte, o Options, words ...string) *Error {
	t.Helper()
	path := save(t, name, content)
	d, err := Open(context.Background(), path, o)
	if err == nil {
		t.Fatalf("%s was accepted: %+v", name, d.Info())
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: %T %v", name, err, err)
	}
	message := err.Error()
	if !strings.HasPrefix(message, e.Path+": ") || !strings.HasPrefix(e.Path, filepath.Dir(path)) || strings.Contains(message, "\n") {
		t.Errorf("message %q does not start with the file, or has several lines", message)
	}
	for _, word := range words {
		if !strings.Contains(message, word) {
			t.Errorf("message %q lacks %q", message, word)
		}
	}
	return e
}

// sameRows reads d in several splits and compares with all.
func sameRows(t *testing.T, d Dataset, all []float32) {
	t.Helper()
	info := d.Info()
	for _, n := range []int{1, 2, 3, info.Rows} {
		var got []float32
		for from := 0; from < info.Rows; from += n {
			x, err := Floats(context.Background(), d, from, min(n, info.Rows-from))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, Float32s(x)...)
		}
		if !reflect.DeepEqual(got, all) {
			t.Fatalf("by %d rows: %v, want %v", n, got, all)
		}
	}
}

func TestErrorIsOneLine(t *testing.T) {
	for want, e := range map[string]*Error{
		"f.csv: line 3, column 2 (age): is odd; mend it": {Path: "f.csv", Line: 3, Column: 2, ColumnName: "age", Problem: "is odd", Remedy: "mend it"},
		"f.npy: row 3, column 2: is odd":                 {Path: "f.npy", Row: 3, Column: 2, Problem: "is\nodd"},
		"f: column age: is odd":                          {Path: "f", ColumnName: "age", Problem: "is odd"},
		"two  spaces [31m: is odd":                       {Path: "two  spaces\x1b[31m", Problem: "is odd"},
		"f: is odd; mend it":                             {Path: "f", Problem: "is odd", Remedy: "mend it"},
	} {
		if e.Error() != want {
			t.Errorf("%q, want %q", e, want)
		}
	}
}

func TestOpenFailures(t *testing.T) {
	folder := t.TempDir()
	for name, want := range map[string]string{
		"digit":             `no built-in data set of that name; did you mean "digits"?`,
		"Two-Moon:n=3":      `did you mean "two-moons"?`,
		"mnits.csv":         "mnits.csv: file not found; check the path",
		folder + "/digit":   folder + "/digit: file not found",
		"unheard-of":        "unheard-of: file not found",
		folder:              "is a folder without a .png or .jpg file",
		"-":                 "standard input: is not connected",
		"digits:n=3":        "takes no arguments",
		"circle:n=0":        "n=0 is not a number of points",
		"circle:n=1e9":      "n=1e9 is not",
		"circle:noise=NaN":  "noise=NaN is not",
		"circle:noise=-1":   "noise=-1 is not",
		"circle:seed=-1":    "seed=-1 is not",
		"circle:size=3":     `unknown argument "size"`,
		"circle:n":          `argument "n" is not`,
		"circle:n=3,n=4":    `argument "n=4" is not a new`,
		folder + "/a.npz:x": folder + "/a.npz: file not found",
	} {
		_, err := Open(context.Background(), name, Options{})
		if !errors.As(err, new(*Error)) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): %v, want %q", name, err, want)
		}
	}
	if _, err := Open(context.Background(), "missing.csv", Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	refused(t, "empty.csv", nil, Options{}, "is empty")
	refused(t, "empty.csv.gz", gzipped(t, nil), Options{}, "nothing but its compression")
	refused(t, "picture.png", []byte("\x89PNG\r\n\x1a\n"), Options{}, "unknown format", ".npy")
	refused(t, "scale.csv", []byte("1,2\n"), Options{Scale: -1}, "cannot be scaled by -1")
}

func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	csv := save(t, "a.csv", []byte("1,2\n3,4\n"))
	compressed := save(t, "b.csv.gz", gzipped(t, []byte("1,2\n3,4\n")))
	for _, name := range []string{"digits", "circle", csv, compressed} {
		if _, err := Open(ctx, name, Options{}); !errors.Is(err, context.Canceled) || errors.As(err, new(*Error)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := open(t, "digits", Options{})
	if _, err := d.Read(ctx, 0, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v", err)
	}
	if _, err := Table(ctx, d, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Table: %v", err)
	}
	if _, err := Fit(ctx, ScaleAuto, d, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Fit: %v", err)
	}
	path := filepath.Join(t.TempDir(), "out.npy")
	if err := Write(ctx, path, matrix([]float32{1}, 1, 1), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Write: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a cancelled write left a file")
	}
}

func TestStandardInput(t *testing.T) {
	idx := idxFile(0x08, []int{2, 2}, []byte{0, 1, 2, 255})
	for format, content := range map[string][]byte{"csv": []byte("a,b\n0.5,1\n"), "idx": idx} {
		for _, c := range [][]byte{content, gzipped(t, content)} {
			d := open(t, "-", Options{Standard: bytes.NewReader(c)})
			if got := d.Info(); got.Format != format || got.Features != 2 || got.Path != "standard input" {
				t.Errorf("%+v", got)
			}
		}
	}
}

func TestReadOutOfRange(t *testing.T) {
	idx := save(t, "a.idx", idxFile(0x08, []int{2, 2}, []byte{0, 1, 2, 255}))
	for _, name := range []string{"circle:n=2", idx} {
		d := open(t, name, Options{})
		for _, r := range [][2]int{{-1, 1}, {0, 0}, {0, 3}, {2, 1}, {1, 2}, {0, -1}} {
			if _, err := d.Read(context.Background(), r[0], r[1]); !errors.As(err, new(*Error)) {
				t.Errorf("%s: rows %d, %d: %v", name, r[0], r[1], err)
			}
		}
	}
}

// TestReadIsACopy changes what was read and reads it again.
func TestReadIsACopy(t *testing.T) {
	d := open(t, "circle:n=4", Options{})
	want := floats(t, d)
	x, err := d.Read(context.Background(), 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	clear(Float32s(x))
	if got := floats(t, d); !reflect.DeepEqual(got, want) {
		t.Error("the data set has changed")
	}
}

func TestFromTensor(t *testing.T) {
	x := matrix([]float32{1, 2, 3, 4, 5, 6, 7, 8}, 2, 4)
	d, err := FromTensor(context.Background(), "mine", x, []int{2, 2})
	if err != nil {
		t.Fatal(err)
	}
	info := d.Info()
	if info.Rows != 2 || info.Features != 4 || info.Name != "mine" || info.Min != 1 || info.Max != 8 || !reflect.DeepEqual(info.Shape, []int{2, 2}) {
		t.Errorf("%+v", info)
	}
	sameRows(t, d, Float32s(x))
	nan := matrix([]float32{1, 2, 3, float32(nan())}, 2, 2)
	if _, err := FromTensor(context.Background(), "mine", nan, nil); err == nil || err.Error() != "mine: row 2, column 2: the value is NaN; fill in or remove missing values" {
		t.Errorf("%v", err)
	}
}

func TestInfoJSON(t *testing.T) {
	for _, name := range []string{"digits", "circle"} {
		want := open(t, name, Options{}).Info()
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Info
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	good := `{"name":"x","rows":1,"features":2,"shape":[2],"columns":["a","b"],"element":"float32","scale":1}`
	if err := json.Unmarshal([]byte(good), new(Info)); err != nil {
		t.Fatal(err)
	}
	for old, bad := range map[string]string{
		`"rows":1`:       `"rows":0`,
		`"features":2`:   `"features":3`,
		`[2]`:            `[-1,-2]`,
		`["a","b"]`:      `["a"]`,
		`"float32"`:      `"float64"`,
		`"scale":1`:      `"scale":0`,
		`"shape":[2]`:    `"shape":[2147483647,2147483647,2147483647]`,
		`"shape":[2],"c`: `"shape":[],"c`,
		`"name":"x"`:     `"name":1`,
	} {
		text := strings.Replace(good, old, bad, 1)
		if err := json.Unmarshal([]byte(text), new(Info)); err == nil {
			t.Errorf("accepted %s", text)
		}
	}
}

func TestAccepts(t *testing.T) {
	model := Info{Name: "train.csv", Features: 2, Columns: []string{"a", "b"}}
	for want, got := range map[string]Info{
		"": {Name: "x", Features: 2},
		"x: has 3 features in an example, but the model was trained on 2; give it data like train.csv":          {Name: "x", Features: 3},
		`x: column 1 (b): the model was trained on "a" here; put the columns in the order of the training data`: {Name: "x", Features: 2, Columns: []string{"b", "a"}},
		`/p/x: column 2 (c): the model was trained on "b" here; rename the column`:                              {Name: "x", Path: "/p/x", Features: 2, Columns: []string{"a", "c"}},
	} {
		if err := model.Accepts(got); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := model.Accepts(model); err != nil {
		t.Error(err)
	}
}

func TestTableKeepsTheStoredType(t *testing.T) {
	d := open(t, "digits", Options{})
	ctx := context.Background()
	m, err := Table(ctx, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Rows != 1797 || m.Columns != 64 || len(m.Uint8) != 1797*64 || m.Float32 != nil || m.Scale != 1.0/16 {
		t.Errorf("%d×%d, %d bytes, %d floats, scale %v", m.Rows, m.Columns, len(m.Uint8), len(m.Float32), m.Scale)
	}
	wide := floats(t, d)
	for i, v := range m.Uint8 {
		if m.Scale*float32(v) != wide[i] {
			t.Fatalf("element %d: %d, want %v", i, v, wide[i])
		}
	}
	s, err := Fit(ctx, ScaleStandard, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err = Table(ctx, d, s)
	if err != nil {
		t.Fatal(err)
	}
	x, err := Floats(ctx, d, 0, 1797)
	if err != nil {
		t.Fatal(err)
	}
	z, err := s.Apply(x)
	if err != nil {
		t.Fatal(err)
	}
	if m.Uint8 != nil || m.Scale != 1 || !reflect.DeepEqual(m.Float32, Float32s(z)) {
		t.Error("a scaled table differs from scaling its rows")
	}
}

func TestWidenAndNarrow(t *testing.T) {
	all := make([]uint8, 256)
	for i := range all {
		all[i] = uint8(i)
	}
	for _, scale := range []float32{1.0 / 255, 1.0 / 16, 1} {
		wide := Widen(matrix(all, 16, 16), scale)
		if got := Uint8s(Narrow(wide, scale)); !reflect.DeepEqual(got, all) {
			t.Errorf("scale %v: %v", scale, got)
		}
	}
	clipped := Uint8s(Narrow(matrix([]float32{-1, 0.4, 0.6, 300}, 2, 2), 1))
	if !reflect.DeepEqual(clipped, []uint8{0, 0, 1, 255}) {
		t.Errorf("clipped to %v", clipped)
	}
}

// TestValuesOfViews takes a transposed tensor, whose memory is in another order.
func TestValuesOfViews(t *testing.T) {
	x := matrix([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	if err := x.T(); err != nil {
		t.Fatal(err)
	}
	if got, want := Float32s(x), []float32{1, 4, 2, 5, 3, 6}; !reflect.DeepEqual(got, want) {
		t.Errorf("transposed: %v, want %v", got, want)
	}
	rows, err := matrix([]uint8{1, 2, 3, 4, 5, 6}, 3, 2).Slice(tensor.S(1, 3), tensor.S(1))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Uint8s(rows.(*tensor.Dense)), []uint8{4, 6}; !reflect.DeepEqual(got, want) {
		t.Errorf("sliced: %v, want %v", got, want)
	}
}
