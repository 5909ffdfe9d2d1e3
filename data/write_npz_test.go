package data

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/internal/atomicfile"
)

func TestNPZReadsBack(t *testing.T) {
	dir := t.TempDir()
	floats := tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]float32{1, 2, 3, 4, 5, 6.5}))
	arrays := []Array{{"encoder.0.weight", floats}, {"bytes", tensor.New(tensor.WithShape(4), tensor.WithBacking([]uint8{0, 1, 254, 255}))}}
	var files [2][]byte
	for i, name := range []string{"a.npz", "b.npz"} {
		path := filepath.Join(dir, name)
		if err := WriteNPZ(context.Background(), path, arrays); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("equal arrays give different files")
	}
	d, err := Open(context.Background(), filepath.Join(dir, "a.npz:encoder.0.weight"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	x, err := Floats(context.Background(), d, 0, 2)
	if err != nil || !slices.Equal(Float32s(x), Float32s(floats)) {
		t.Errorf("%v, %v", x, err)
	}
}

func TestNPZLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	array := []Array{{"x", tensor.New(tensor.WithShape(1), tensor.WithBacking([]float32{1}))}}
	if err := WriteNPZ(ctx, filepath.Join(dir, "x.npz"), array); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
	var failed *atomicfile.Error
	if err := WriteNPZ(context.Background(), filepath.Join(dir, "none", "x.npz"), array); !errors.As(err, &failed) {
		t.Errorf("a folder that does not exist: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
