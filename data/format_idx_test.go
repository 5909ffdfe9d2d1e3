package data

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// idxFile builds a file of a header and elements as they stand.
func idxFile(code byte, shape []int, elements []byte) []byte {
	content := []byte{0, 0, code, byte(len(shape))}
	for _, size := range shape {
		content = binary.BigEndian.AppendUint32(content, uint32(size))
	}
	return append(content, elements...)
}

func bigEndian(t testing.TB, values any) []byte {
	t.Helper()
	out, err := binary.Append(nil, binary.BigEndian, values)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestIDXImages(t *testing.T) {
	pixels := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255}
	content := idxFile(0x08, []int{3, 2, 2}, pixels)
	labels := save(t, "labels-idx1-ubyte.gz", gzipped(t, idxFile(0x08, []int{3}, []byte{7, 10, 7})))
	for name, c := range map[string][]byte{"a.idx": content, "a.idx.gz": gzipped(t, content), "train-images-idx3-ubyte.gz": gzipped(t, content), "no-suffix": content} {
		path := save(t, name, c)
		d := open(t, path, Options{Labels: labels})
		info := d.Info()
		want := Info{Name: name, Path: path, Format: "idx", Rows: 3, Features: 4, Shape: []int{2, 2}, Element: Uint8, Scale: 1.0 / 255, Min: 0, Max: 1,
			Classes: []string{"7", "10"}, SHA256: info.SHA256}
		if !reflect.DeepEqual(info, want) {
			t.Errorf("%+v, want %+v", info, want)
		}
		var scaled []float32
		for _, p := range pixels {
			scaled = append(scaled, float32(p)*(1.0/255))
		}
		sameRows(t, d, scaled)
		if !reflect.DeepEqual(d.Labels().Class, []int32{0, 1, 0}) {
			t.Errorf("labels %v", d.Labels())
		}
	}
	if got := open(t, save(t, "a.idx", content), Options{Scale: 0.5}).Info(); got.Scale != 0.5 || got.Max != 127.5 {
		t.Errorf("with another scale %+v", got)
	}
}

// TestIDXTypes holds -3, 0, 3 and 100 in each signed type.
func TestIDXTypes(t *testing.T) {
	want := []float32{-3, 0, 3, 100}
	for code, values := range map[byte]any{
		0x09: []int8{-3, 0, 3, 100}, 0x0B: []int16{-3, 0, 3, 100}, 0x0C: []int32{-3, 0, 3, 100},
		0x0D: []float32{-3, 0, 3, 100}, 0x0E: []float64{-3, 0, 3, 100},
	} {
		d := open(t, save(t, "a.idx", idxFile(code, []int{4}, bigEndian(t, values))), Options{})
		if info := d.Info(); info.Element != Float32 || info.Scale != 1 || info.Min != -3 || info.Max != 100 || !reflect.DeepEqual(info.Shape, []int{1}) {
			t.Errorf("type %#x: %+v", code, info)
		}
		sameRows(t, d, want)
	}
}

func TestIDXRefused(t *testing.T) {
	good := idxFile(0x08, []int{2, 2, 2}, make([]byte, 8))
	refused(t, "cut.idx", good[:len(good)-3], Options{}, "is truncated", "declares 2×2×2 uint8, 8 bytes, of which it holds 5")
	refused(t, "cut.idx.gz", gzipped(t, good[:len(good)-3]), Options{}, "is truncated", "of which it holds 5")
	refused(t, "long.idx", append(good, 0), Options{}, "bytes after the 2×2×2 uint8")
	refused(t, "long.idx.gz", gzipped(t, append(good, 0)), Options{}, "bytes after the 2×2×2 uint8")
	refused(t, "header.idx", good[:9], Options{}, "ends early")
	refused(t, "short.idx", good[:3], Options{}, "ends early")
	refused(t, "magic.idx", []byte("not at all"), Options{}, "does not start like an IDX file", "6e 6f 74")
	refused(t, "train-images-idx3-ubyte", []byte("<html>404</html>"), Options{}, "does not start like an IDX file")
	refused(t, "type.idx", idxFile(0x0A, []int{1}, []byte{1}), Options{}, "does not start like")
	refused(t, "scalar.idx", idxFile(0x08, nil, []byte{1}), Options{}, "does not start like")
	refused(t, "none.idx", idxFile(0x08, []int{0, 28, 28}, nil), Options{}, "which is empty")
	refused(t, "huge.idx", idxFile(0x08, []int{math.MaxUint32, math.MaxUint32, math.MaxUint32}, nil), Options{}, "more than any file holds")
	refused(t, "huge.idx.gz", gzipped(t, idxFile(0x0E, []int{1 << 30, 1 << 25}, make([]byte, 9))), Options{}, "is truncated", "of which it holds 9")
	refused(t, "rows.idx", idxFile(0x08, []int{1 << 31}, nil), Options{}, "2147483647 rows")
	refused(t, "dims.idx", append([]byte{0, 0, 8, 255}, make([]byte, 100)...), Options{}, "ends early")
	whole := gzipped(t, good)
	refused(t, "gzip.idx.gz", whole[:len(whole)-6], Options{}, "ends early")
	broken := bytes.Clone(whole)
	broken[len(broken)-6] ^= 1
	refused(t, "sum.idx.gz", broken, Options{}, "damaged gzip")
	refused(t, "head.idx.gz", []byte("\x1f\x8bnothing of the sort"), Options{}, "damaged gzip")

	nan := refused(t, "nan.idx", idxFile(0x0D, []int{3, 2}, bigEndian(t, []float32{1, 2, 3, 4, 5, float32(nan())})), Options{}, "row 3, column 2: the value is NaN")
	if nan.Row != 3 || nan.Column != 2 {
		t.Errorf("%+v", nan)
	}
	refused(t, "wide.idx", idxFile(0x0E, []int{1, 2}, bigEndian(t, []float64{1, 1e39})), Options{}, "row 1, column 2", "beyond the range of float32")
}

func TestLabelFilesRefused(t *testing.T) {
	idx := idxFile(0x08, []int{2, 2}, make([]byte, 4))
	for want, content := range map[string][]byte{
		"holds 3 uint8, not a whole number for each of 2 rows": idxFile(0x08, []int{3}, make([]byte, 3)),
		"holds 2×1 uint8, not a whole number":                  idxFile(0x08, []int{2, 1}, make([]byte, 2)),
		"holds 2 float32, not a whole number":                  idxFile(0x0D, []int{2}, make([]byte, 8)),
		"unknown format":                                       []byte("1\n2\n"),
	} {
		labels := save(t, "labels", content)
		_, err := Open(context.Background(), save(t, "a.idx", idx), Options{Labels: labels})
		var e *Error
		if !errors.As(err, &e) || e.Path != labels || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	text := save(t, "labels.csv", []byte("1\n2\n"))
	if _, err := Open(context.Background(), save(t, "a.idx", idx), Options{Labels: text}); err == nil {
		t.Error("labels were read from text")
	}
	refused(t, "a.idx", idx, Options{LabelColumn: "y"}, "column y: there is no column of labels in idx")
}

// TestFileThatShrinks reads a file that lost its end after it was opened.
func TestFileThatShrinks(t *testing.T) {
	path := save(t, "a.idx", idxFile(0x08, []int{2, 2}, make([]byte, 4)))
	d := open(t, path, Options{})
	if err := os.Truncate(path, 14); err != nil {
		t.Skip(err)
	}
	if _, err := d.Read(context.Background(), 0, 2); !errors.As(err, new(*Error)) {
		t.Errorf("%v", err)
	}
}

// TestMNIST reads the real files where they are, and compares with the facts
// published with them.
func TestMNIST(t *testing.T) {
	folder := os.Getenv("GPUDAE_TEST_DATA")
	if folder == "" {
		t.Skip("GPUDAE_TEST_DATA is not set")
	}
	d := open(t, filepath.Join(folder, "mnist", "t10k-images-idx3-ubyte.gz"), Options{Labels: filepath.Join(folder, "mnist", "t10k-labels-idx1-ubyte.gz")})
	info := d.Info()
	if info.Rows != 10000 || !reflect.DeepEqual(info.Shape, []int{28, 28}) || info.Max != 1 {
		t.Errorf("%+v", info)
	}
	sum := 0.0
	for _, v := range floats(t, d) {
		sum += float64(v)
	}
	if mean := sum / 7840000; math.Abs(mean-0.13251) > 1e-5 {
		t.Errorf("mean %v", mean)
	}
	if got := d.Labels().Class[:5]; !reflect.DeepEqual(got, []int32{7, 2, 1, 0, 4}) {
		t.Errorf("labels %v", got)
	}
}

// fuzzOpen opens content as standard input; whatever it is, Open must return a
// data set whose rows can be read, or an *Error.
func fuzzOpen(t *testing.T, content []byte, o Options) Dataset {
	o.Standard = bytes.NewReader(content)
	d, err := Open(context.Background(), "-", o)
	if err != nil {
		if !errors.As(err, new(*Error)) {
			t.Fatalf("an error of the wrong type: %T %v", err, err)
		}
		return nil
	}
	info := d.Info()
	if info.Rows < 1 || info.Features < 1 || !(info.Min <= info.Max) || product(info.Shape) != info.Features || info.Rows*info.Features > 8*len(content)*1032 {
		t.Fatalf("%d bytes give %+v", len(content), info)
	}
	for i, v := range floats(t, d) {
		if v < info.Min || v > info.Max || v != v {
			t.Fatalf("element %d is %v in %+v", i, v, info)
		}
	}
	return d
}

func FuzzIDX(f *testing.F) {
	f.Add([]byte{0x08, 1}, []byte{0, 0, 0, 2, 7, 9})
	f.Add([]byte{0x0D, 2}, idxFile(0, []int{1, 1}, []byte{0x3f, 0x80, 0, 0})[4:])
	f.Add([]byte{0x0E, 1}, []byte{0, 0, 0, 1, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x08, 3}, bytes.Repeat([]byte{255}, 12))
	f.Fuzz(func(t *testing.T, magic, rest []byte) {
		fuzzOpen(t, append(append([]byte{0, 0}, magic...), rest...), Options{})
	})
}
