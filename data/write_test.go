package data

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/internal/atomicfile"
)

func write(t testing.TB, path string, x *tensor.Dense, columns []string) {
	t.Helper()
	if err := Write(context.Background(), path, x, columns); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// hardFloats are values that a decimal text easily loses.
var hardFloats = []float32{0.1, 1.0 / 3, math.SmallestNonzeroFloat32, -math.MaxFloat32, 16777217, 1e-7, 0, 123456.789, float32(math.Copysign(0, -1)), 2, 3, 4}

// TestWriteReadsBack writes each format and reads the same bits.
func TestWriteReadsBack(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"a.npy", "a.npy.gz", "a.csv", "a.csv.gz", "a.tsv", "a.idx", "a.IDX.GZ", "a-idx2-ubyte",
		"a.npz", "a.parquet", "a.safetensors", "a.npy.zst", "a.csv.ZST", "a.idx.zst"} {
		path := filepath.Join(folder, name)
		write(t, path, matrix(hardFloats, 3, 4), nil)
		got := floats(t, open(t, path, Options{}))
		for i, v := range got {
			if math.Float32bits(v) != math.Float32bits(hardFloats[i]) {
				t.Errorf("%s: element %d is %v, want %v", name, i, v, hardFloats[i])
			}
		}
		first := load(t, path)
		write(t, path, matrix(hardFloats, 3, 4), nil)
		if !bytes.Equal(load(t, path), first) {
			t.Errorf("%s: equal data gave different bytes", name)
		}
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 14 {
		t.Errorf("files left: %v", entries)
	}
}

func TestWriteKeepsImages(t *testing.T) {
	pixels := make([]uint8, 2*3*4)
	for i := range pixels {
		pixels[i] = uint8(i * 11)
	}
	x := tensor.New(tensor.WithShape(2, 3, 4), tensor.WithBacking(pixels))
	for _, name := range []string{"a.npy", "a-images-idx3-ubyte.gz"} {
		path := filepath.Join(t.TempDir(), name)
		write(t, path, x, nil)
		d := open(t, path, Options{})
		if info := d.Info(); !reflect.DeepEqual(info.Shape, []int{3, 4}) || info.Element != Uint8 {
			t.Errorf("%s: %+v", name, info)
		}
		got, err := d.Read(context.Background(), 0, 2)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(Uint8s(got), pixels) {
			t.Errorf("%s: %v", name, Uint8s(got))
		}
	}
	path := filepath.Join(t.TempDir(), "a.csv")
	write(t, path, x, nil)
	if got := open(t, path, Options{}).Info(); got.Rows != 2 || got.Features != 12 || got.Max != 253 {
		t.Errorf("as text: %+v", got)
	}
}

// TestWriteNPYHeader compares with the bytes that numpy.save writes.
func TestWriteNPYHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	write(t, path, tensor.New(tensor.WithShape(2), tensor.WithBacking([]float32{1, 2})), nil)
	want := "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }                                                            \n" +
		"\x00\x00\x80?\x00\x00\x00@"
	if got := string(load(t, path)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWriteCSVNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.csv")
	names := []string{"plain", "with, comma", `with "quotes"`}
	write(t, path, matrix([]float32{1, 0.5, 1e-10}, 1, 3), names)
	want := "plain,\"with, comma\",\"with \"\"quotes\"\"\"\n1,0.5,1e-10\n"
	if got := string(load(t, path)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := open(t, path, Options{}).Info().Columns; !reflect.DeepEqual(got, names) {
		t.Errorf("columns %q", got)
	}
}

func TestWriteFailures(t *testing.T) {
	x := matrix([]float32{1}, 1, 1)
	for _, path := range []string{"out.xyz", "out", "out.gz", "out.parquet.gz", "out.npz.zst"} {
		if err := CheckOutput(path); !errors.As(err, new(*Error)) {
			t.Errorf("CheckOutput(%q): %v", path, err)
		}
		if err := Write(context.Background(), path, x, nil); !errors.As(err, new(*Error)) {
			t.Errorf("Write(%q): %v", path, err)
		}
	}
	if err := CheckOutput("out.csv.gz"); err != nil {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "missing", "out.npy")
	if err := Write(context.Background(), path, x, nil); !errors.As(err, new(*atomicfile.Error)) {
		t.Errorf("into a missing folder: %v", err)
	}
}
