package data

import (
	"archive/zip"
	"context"
	"fmt"
	"io"

	"gorgonia.org/tensor"

	"gpudae/internal/atomicfile"
)

// Array is a named array of float32 or uint8.
type Array struct {
	Name   string
	Values *tensor.Dense
}

// WriteNPZ writes arrays of any shapes as an NPZ archive, as numpy.savez does:
// entries NAME.npy, not compressed, in that order, without a time, so that
// equal arrays give equal bytes. The file appears whole or not at all. It fails
// with *atomicfile.Error or the context's error.
func WriteNPZ(ctx context.Context, path string, arrays []Array) error {
	return atomicfile.Write(path, func(file io.Writer) error {
		archive := zip.NewWriter(contextWriter{ctx, file})
		for _, a := range arrays {
			w, err := archive.CreateHeader(&zip.FileHeader{Name: a.Name + ".npy", Method: zip.Store})
			if err != nil {
				return fmt.Errorf("array %q: %w", a.Name, err)
			}
			var values any
			switch a.Values.Dtype() {
			case tensor.Float32:
				values = Float32s(a.Values)
			case tensor.Uint8:
				values = Uint8s(a.Values)
			default:
				panic(fmt.Sprintf("data: writing a tensor of %s", a.Values.Dtype()))
			}
			if err := writeNPY(w, a.Values.Shape(), values, nil); err != nil {
				return fmt.Errorf("array %q: %w", a.Name, err)
			}
		}
		return archive.Close()
	})
}
