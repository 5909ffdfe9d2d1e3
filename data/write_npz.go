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
			if err := writeNPY(w, a.Values.Shape(), elementsIn(a.Values)); err != nil {
				return fmt.Errorf("array %q: %w", a.Name, err)
			}
		}
		return archive.Close()
	})
}

// elementsIn are the values of x, of float32 or uint8.
func elementsIn(x *tensor.Dense) any {
	if elementOf(x) == Uint8 {
		return Uint8s(x)
	}
	return Float32s(x)
}

// contextWriter fails once its context is done.
type contextWriter struct {
	context.Context
	io.Writer
}

func (w contextWriter) Write(p []byte) (int, error) {
	if err := w.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}
