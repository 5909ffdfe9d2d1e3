package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"codeberg.org/sbinet/npyio/npy"
	"gonum.org/v1/gonum/mat"
)

func nan() float64 { return math.NaN() }

// npyFile builds a file of version 1 from a header as it stands.
func npyFile(header string, elements []byte) []byte {
	content := append([]byte(npyMagic), 1, 0)
	content = binary.LittleEndian.AppendUint16(content, uint16(len(header)))
	return append(append(content, header...), elements...)
}

func npyHeader(descr, fortran, shape string) string {
	return fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n", descr, fortran, shape)
}

func littleEndian(t testing.TB, values any) []byte {
	t.Helper()
	out, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNPYTypes holds the same numbers in each type and order of bytes.
func TestNPYTypes(t *testing.T) {
	want := []float32{0, 1, 3, 100, 2, 5}
	for code, values := range map[string]any{
		"i1": []int8{0, 1, 3, 100, 2, 5}, "i2": []int16{0, 1, 3, 100, 2, 5}, "u2": []uint16{0, 1, 3, 100, 2, 5},
		"i4": []int32{0, 1, 3, 100, 2, 5}, "u4": []uint32{0, 1, 3, 100, 2, 5}, "i8": []int64{0, 1, 3, 100, 2, 5},
		"u8": []uint64{0, 1, 3, 100, 2, 5}, "f4": []float32{0, 1, 3, 100, 2, 5}, "f8": []float64{0, 1, 3, 100, 2, 5},
	} {
		for order, elements := range map[string][]byte{"<": littleEndian(t, values), ">": bigEndian(t, values)} {
			d := open(t, save(t, "a.npy", npyFile(npyHeader("'"+order+code+"'", "False", "(3, 2)"), elements)), Options{})
			if info := d.Info(); info.Element != Float32 || info.Scale != 1 || info.Format != "npy" || info.Max != 100 {
				t.Errorf("%s: %+v", code, info)
			}
			sameRows(t, d, want)
		}
	}
}

func TestNPYBytes(t *testing.T) {
	d := open(t, save(t, "a.npy", npyFile(npyHeader("'|u1'", "False", "(2, 2)"), []byte{0, 51, 102, 255})), Options{})
	if info := d.Info(); info.Element != Uint8 || info.Scale != 1.0/255 || info.Max != 1 {
		t.Errorf("%+v", info)
	}
	d = open(t, save(t, "a.npy", npyFile(npyHeader("'|b1'", "False", "(2, 2)"), []byte{0, 1, 1, 0})), Options{})
	if info := d.Info(); info.Element != Uint8 || info.Scale != 1 || info.Max != 1 {
		t.Errorf("booleans: %+v", info)
	}
}

// TestNPYFortran compares a 3×2×4 array in Fortran order with the same in C order.
func TestNPYFortran(t *testing.T) {
	const rows, height, width = 3, 2, 4
	var c, fortran []float32
	value := func(i, y, x int) float32 { return float32(100*i + 10*y + x) }
	for i := range rows {
		for y := range height {
			for x := range width {
				c = append(c, value(i, y, x))
			}
		}
	}
	for x := range width {
		for y := range height {
			for i := range rows {
				fortran = append(fortran, value(i, y, x))
			}
		}
	}
	header := npyHeader("'<f4'", "True", "(3, 2, 4)")
	d := open(t, save(t, "a.npy", npyFile(header, littleEndian(t, fortran))), Options{})
	if info := d.Info(); !reflect.DeepEqual(info.Shape, []int{2, 4}) || info.Features != 8 {
		t.Errorf("%+v", info)
	}
	sameRows(t, d, c)
}

func TestNPYShapes(t *testing.T) {
	for shape, want := range map[string][]int{"(6,)": {1}, "(6, 1)": {1}, "(3, 2)": {2}, "(1, 2, 3)": {2, 3}, "(3L, 2L)": {2}, " ( 3 ,2 )": {2}} {
		d := open(t, save(t, "a.npy", npyFile(npyHeader("'<f4'", "False", shape), make([]byte, 24))), Options{})
		if got := d.Info().Shape; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", shape, got, want)
		}
	}
}

func TestNPYVersionsAndSpacing(t *testing.T) {
	header := `{"shape":(1,2),"fortran_order":False,"descr":"<f4"}   ` + "\n"
	want := []float32{1, 2}
	sameRows(t, open(t, save(t, "a.npy", npyFile(header, littleEndian(t, want))), Options{}), want)
	for _, version := range []byte{2, 3} {
		content := append([]byte(npyMagic), version, 0)
		content = binary.LittleEndian.AppendUint32(content, uint32(len(header)))
		content = append(append(content, header...), littleEndian(t, want)...)
		sameRows(t, open(t, save(t, "a.npy", content), Options{}), want)
		sameRows(t, open(t, save(t, "a.npy.gz", gzipped(t, content)), Options{}), want)
	}
}

func TestNPYRefused(t *testing.T) {
	good := npyHeader("'<f4'", "False", "(2, 2)")
	four := make([]byte, 16)
	for _, c := range []struct {
		header string
		data   []byte
		want   string
	}{
		{npyHeader("'<f4'", "False", "(1152921504606846976, 4)"), nil, "declares 1152921504606846976×4 float32, more than any file holds"},
		{npyHeader("'<f4'", "False", "(1152921504606846976,)"), nil, "more than the 2147483647 rows"},
		{npyHeader("'<f4'", "False", "(1073741824, 1073741824)"), four, "is truncated"},
		{npyHeader("'<f4'", "False", "(18446744073709551616, 1)"), four, `the size "18446744073709551616"`},
		{npyHeader("'<f4'", "False", "(-1, 4)"), four, `the size "-1"`},
		{npyHeader("'<f4'", "False", "(0, 4)"), nil, "which is empty"},
		{npyHeader("'<f4'", "False", "(2, 0)"), nil, "which is empty"},
		{npyHeader("'<f4'", "False", "()"), four[:4], "a single number"},
		{npyHeader("'<f4'", "False", "[2, 2]"), four, "shape is no tuple"},
		{npyHeader("'<f4'", "False", "(2, 2"), four, "does not end"},
		{npyHeader("'<f4'", "Maybe", "(2, 2)"), four, "neither True nor False"},
		{npyHeader("'|O'", "False", "(2, 2)"), four, "holds Python objects"},
		{npyHeader("'<U3'", "False", "(2, 2)"), four, `elements of type "<U3"`},
		{npyHeader("'<c8'", "False", "(2, 1)"), four, `elements of type "<c8"`},
		{npyHeader("'<<f4'", "False", "(2, 2)"), four, `elements of type "<<f4"`},
		{npyHeader("[('a', '<f4')]", "False", "(4,)"), four, "holds records"},
		{npyHeader("4", "False", "(4,)"), four, "where a string is due"},
		{"{'descr': '<f4', 'shape': (2, 2), }\n", four, "without all of"},
		{strings.Replace(good, "'shape'", "'descr'", 1), four, `at key "descr"`},
		{strings.Replace(good, "'shape'", "'form'", 1), four, `unknown key "form"`},
		{strings.Replace(good, "}", "} x", 1), four, "goes on after"},
		{strings.Replace(good, ", 'shape'", " 'shape'", 1), four, "after \"fortran_order\""},
		{"", four, "no dictionary"},
		{"{", four, "where a string is due"},
		{"{'descr", four, "where a string is due"},
		{"{'shape': (", four, "does not end"},
		{good, four[:15], "is truncated: its header declares 2×2 float32, 16 bytes, of which it holds 15"},
		{good, make([]byte, 17), "bytes after"},
	} {
		refused(t, "a.npy", npyFile(c.header, c.data), Options{}, c.want)
	}
	whole := npyFile(good, four)
	for n := 1; n < len(whole); n++ {
		refused(t, "cut.npy", whole[:n], Options{})
	}
	refused(t, "magic.npy", []byte("not at all"), Options{}, "does not start like an NPY file")
	refused(t, "version.npy", append([]byte(npyMagic), 4, 0, 0, 0), Options{}, "unknown version 4")
	refused(t, "long.npy", append([]byte(npyMagic), 2, 0, 255, 255, 255, 255), Options{}, "header of 4294967295 bytes")

	values := []float32{1, 2, float32(nan()), 4}
	refused(t, "nan.npy", npyFile(good, littleEndian(t, values)), Options{}, "row 2, column 1: the value is NaN")
	refused(t, "fortran.npy", npyFile(npyHeader("'<f4'", "True", "(2, 2)"), littleEndian(t, values)), Options{}, "row 1, column 2: the value is NaN")
	refused(t, "wide.npy", npyFile(npyHeader("'<f8'", "False", "(2, 1)"), littleEndian(t, []float64{1, -1e300})), Options{}, "row 2, column 1", "beyond the range of float32")
}

// TestNPYAgreesWithNpyio lets an independent implementation write and read.
func TestNPYAgreesWithNpyio(t *testing.T) {
	var out bytes.Buffer
	if err := npy.Write(&out, mat.NewDense(2, 3, []float64{1, 2, 3, 4, 5, 0.1})); err != nil {
		t.Fatal(err)
	}
	sameRows(t, open(t, save(t, "a.npy", out.Bytes()), Options{}), []float32{1, 2, 3, 4, 5, 0.1})

	path := t.TempDir() + "/b.npy"
	want := []float32{1.5, -2, 3, 4, 5, 0.1}
	write(t, path, matrix(want, 3, 2), nil)
	r, err := npy.NewReader(bytes.NewReader(load(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	var got []float32
	if err := r.Read(&got); err != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(r.Header.Descr.Shape, []int{3, 2}) {
		t.Errorf("npyio reads %v of shape %v, %v", got, r.Header.Descr.Shape, err)
	}
}

func FuzzNPY(f *testing.F) {
	f.Add(npyHeader("'<f4'", "False", "(1, 2)"), littleEndian(f, []float32{1, 2}))
	f.Add(npyHeader("'>f8'", "True", "(2, 1, 1)"), bigEndian(f, []float64{1, 2}))
	f.Add(npyHeader("'|u1'", "True", "(2, 2)"), []byte{0, 1, 2, 3})
	f.Add(npyHeader("'|O'", "False", "(1152921504606846976, 4)"), []byte{0})
	f.Add("{'shape': (3L,), 'descr': \"|i1\", 'fortran_order': False}", []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, header string, elements []byte) {
		if len(header) <= math.MaxUint16 {
			fuzzOpen(t, npyFile(header, elements), Options{})
		}
	})
}
