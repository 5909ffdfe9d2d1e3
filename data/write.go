package data

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"gorgonia.org/tensor"
)

// CheckOutput reports, before any work is done for it, whether Write knows a
// format for path. It fails with *Error.
func CheckOutput(path string) error {
	if IsFolder(path) {
		return nil
	}
	_, err := outputFormatOf(path)
	return err
}

// IsFolder reports whether path names a folder, for images.
func IsFolder(path string) bool {
	info, err := os.Stat(path)
	return strings.HasSuffix(path, "/") || strings.HasSuffix(path, string(os.PathSeparator)) || err == nil && info.IsDir()
}

// ArrayInfo describes an array that is written.
type ArrayInfo struct {
	Rows    int      // the size of the first dimension; -1: it is known at the end
	Shape   []int    // the sizes of the others
	Element Element  // of the values
	Columns []string // names of the features; nil if they have none
	// Files names the images of a folder by row, without their suffix; nil: by their
	// numbers, from 000000 on.
	Files func(row int) string
}

// features is the number of values in a row.
func (a ArrayInfo) features() int { return product(a.Shape) }

// withRows are the sizes of all dimensions.
func (a ArrayInfo) withRows(rows int) []int { return append([]int{rows}, a.Shape...) }

// ArrayWriter writes an array to a file as its rows come. The file is there, as a
// whole, after Commit. Whoever makes one calls Commit or Abort too.
//
// Its memory does not grow with the rows. Where the number of rows, which some
// formats begin with, is not known, it is put in at the end, or, if the file
// cannot be written over (.gz, .zst, .npz, a pipe), the elements wait in a
// temporary file.
type ArrayWriter struct {
	info   ArrayInfo
	rows   int // so far
	format arrayFormat
	out    committer
}

// committer is what is written to, as a whole or not at all.
type committer interface {
	commit() error
	abort() // after commit: nothing
	located(error) error
}

// CreateArray starts a file, whose suffix says the format: see Write. It fails with
// *Error for an unknown suffix or an array that the format does not hold, or
// *atomicfile.Error.
func CreateArray(path string, info ArrayInfo) (*ArrayWriter, error) {
	if IsFolder(path) {
		return createImages(path, info)
	}
	f, err := outputFormatOf(path)
	if err != nil {
		return nil, err
	}
	out, err := createOutput(path)
	if err != nil {
		return nil, err
	}
	w := &ArrayWriter{info: info, out: out}
	if w.format, err = f.array(out, info); err != nil {
		out.abort()
		return nil, out.located(err)
	}
	return w, nil
}

// blockRows is the number of rows that are formatted between two looks at the context.
const blockRows = 4096

// Append writes the rows of x, whose first dimension they are and whose type is the
// array's. It fails as the file does, or with the context's error.
func (w *ArrayWriter) Append(ctx context.Context, x *tensor.Dense) error {
	if w.info.Element == Uint8 {
		return appendRows(ctx, w, Uint8s(x))
	}
	return appendRows(ctx, w, Float32s(x))
}

func appendRows[T any](ctx context.Context, w *ArrayWriter, values []T) error {
	width := w.info.features()
	if len(values)%width != 0 {
		panic(fmt.Sprintf("data: %d values in rows of %d", len(values), width))
	}
	for rows := len(values) / width; rows > 0; {
		n := min(rows, blockRows)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.format.append(values[:n*width]); err != nil {
			return w.out.located(err)
		}
		values, rows, w.rows = values[n*width:], rows-n, w.rows+n
	}
	return nil
}

// Commit completes the file and puts it in its place.
func (w *ArrayWriter) Commit() error {
	defer w.Abort()
	if w.info.Rows >= 0 && w.rows != w.info.Rows {
		panic(fmt.Sprintf("data: %d rows of an array of %d", w.rows, w.info.Rows))
	}
	err := w.format.end(w.rows)
	if err == nil {
		err = w.out.commit()
	}
	return w.out.located(err)
}

// Abort leaves everything as it was. After Commit it does nothing.
func (w *ArrayWriter) Abort() {
	if c, ok := w.format.(io.Closer); ok {
		c.Close()
	}
	w.out.abort()
}

// Write writes x, of float32 or uint8, to a file whose suffix says the format:
//
//	.npy, .npz    any shape, the type of x; in the archive as numpy.savez calls it, arr_0
//	.csv, .tsv    a line for each index of the first dimension, with a first line of names if columns is not nil
//	.parquet      a row for each index of the first dimension; columns without names are called 0, 1, 2, ...; NaN is null
//	.arrow        likewise, as an Arrow IPC file
//	.safetensors  any shape, the type of x, called "data"
//	.idx, -ubyte  any shape, the type of x
//	folder/       a PNG file for each index of the first dimension, of shape [height, width] or [height, width, 3] of uint8
//
// and .gz or .zst after it compresses what is not compressed already. Numbers
// are written so that they read back bit for bit. The file appears whole or not
// at all. Write fails with *Error for an unknown suffix, *atomicfile.Error or
// the context's error.
func Write(ctx context.Context, path string, x *tensor.Dense, columns []string) error {
	shape := x.Shape()
	if len(shape) == 0 {
		panic("data: writing a number")
	}
	w, err := CreateArray(path, ArrayInfo{Rows: shape[0], Shape: shape[1:].Clone(), Element: elementOf(x), Columns: columns})
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.Append(ctx, x); err != nil {
		return err
	}
	return w.Commit()
}

func elementOf(x *tensor.Dense) Element {
	switch x.Dtype() {
	case tensor.Float32:
		return Float32
	case tensor.Uint8:
		return Uint8
	}
	panic(fmt.Sprintf("data: writing a tensor of %s", x.Dtype()))
}

// Convert writes all rows of d, in the type in which they are stored and a
// block at a time, as Write does; images keep the names of their files. It fails
// as Write and Read do.
func Convert(ctx context.Context, path string, d Dataset) error {
	info := d.Info()
	w, err := CreateArray(path, ArrayInfo{info.Rows, info.Shape, info.Element, info.Columns, FileNames(d)})
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := eachBlock(ctx, d, func(_ int, block *tensor.Dense) error { return w.Append(ctx, block) }); err != nil {
		return err
	}
	return w.Commit()
}
