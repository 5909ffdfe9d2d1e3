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
			if err := writeNPY(w, sourceOf(a.Values, nil)); err != nil {
				return fmt.Errorf("array %q: %w", a.Name, err)
			}
		}
		return archive.Close()
	})
}

// writeNPZ writes an archive of one array, under the name that numpy.savez gives it.
func writeNPZ(w io.Writer, s source) error {
	archive := zip.NewWriter(w)
	member, err := archive.CreateHeader(&zip.FileHeader{Name: "arr_0.npy", Method: zip.Store})
	if err != nil {
		return err
	}
	if err := writeNPY(member, s); err != nil {
		return err
	}
	return archive.Close()
}
