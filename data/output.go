package data

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"gpudae/internal/atomicfile"
)

// outputFormat is a row of the table of formats that are written.
type outputFormat struct {
	suffixes []string
	packed   bool // whether it is compressed already
	array    func(*output, ArrayInfo) (arrayFormat, error)
	frame    func(*output, []FrameColumn) (frameFormat, error)
}

// outputFormats is the table of formats that are written.
func outputFormats() []outputFormat {
	return []outputFormat{
		{[]string{".npy"}, false, npyArray, frameOfNumbers(npyArray)},
		{[]string{".npz"}, true, npzArray, frameOfNumbers(npzArray)},
		{[]string{".idx", ".idx1", ".idx3", "-ubyte"}, false, idxArray, frameOfNumbers(idxArray)},
		{[]string{".safetensors"}, false, safetensorsArray, frameOfNumbers(safetensorsArray)},
		{[]string{".csv"}, false, linesOf(','), textOf(',')},
		{[]string{".tsv"}, false, linesOf('\t'), textOf('\t')},
		{[]string{".parquet"}, true, parquetArray, parquetFrameOf},
		{[]string{".arrow", ".feather"}, true, arrowArray, arrowFrameOf},
	}
}

// outputFormatOf chooses the format by suffix.
func outputFormatOf(path string) (outputFormat, error) {
	packed, name := compressionOf(strings.ToLower(filepath.Base(path)))
	for _, f := range outputFormats() {
		if !slices.ContainsFunc(f.suffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) }) {
			continue
		}
		if packed != nil && f.packed {
			return f, &Error{Path: path, Problem: filepath.Ext(name) + " is compressed already", Remedy: "leave out " + packed.suffix}
		}
		return f, nil
	}
	return outputFormat{}, &Error{Path: path, Problem: "is of no format that can be written",
		Remedy: "use .npy, .npz, .csv, .tsv, .parquet, .arrow, .safetensors or .idx, also with .gz or .zst, or folder/ for images"}
}

// IsText reports whether a file of that name is written as text.
func IsText(path string) bool {
	name := strings.ToLower(TrimCompression(path))
	return strings.HasSuffix(name, ".csv") || strings.HasSuffix(name, ".tsv")
}

// arrayFormat puts an array into a format.
type arrayFormat interface {
	// append takes the values of whole rows: []uint8, []float32 or []float64.
	append(values any) error
	// end completes the format, once the number of rows is known.
	end(rows int) error
}

// frameFormat puts a table of cells into a format.
type frameFormat interface {
	append(*Cells) error
	end(rows int) error
}

// output is a file that is being written, perhaps compressed.
type output struct {
	path   string
	file   *atomicfile.File
	packed io.WriteCloser // nil if nothing compresses
	buffer *bufio.Writer
}

func createOutput(path string) (*output, error) {
	file, err := atomicfile.Create(path)
	if err != nil {
		return nil, err
	}
	o := &output{path: path, file: file, buffer: bufio.NewWriterSize(file, 1<<16)}
	if compression, _ := compressionOf(path); compression != nil {
		if o.packed, err = compression.compress(file); err != nil {
			file.Abort()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		o.buffer = bufio.NewWriterSize(o.packed, 1<<16)
	}
	return o, nil
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) { return o.buffer.Write(p) }

// canPatch reports whether what has been written can be written over.
func (o *output) canPatch() bool { return o.packed == nil && o.file.CanPatch() }

// patch writes over the start of the file.
func (o *output) patch(p []byte) error {
	if err := o.buffer.Flush(); err != nil {
		return err
	}
	return o.file.Patch(p, 0)
}

// finish puts all of the file on the disk.
func (o *output) finish() error {
	if err := o.buffer.Flush(); err != nil {
		return err
	}
	if o.packed != nil {
		packed := o.packed
		o.packed = nil
		if err := packed.Close(); err != nil {
			return err
		}
	}
	return o.file.Finish()
}

func (o *output) commit() error {
	defer o.abort()
	if err := o.finish(); err != nil {
		return err
	}
	return o.file.Commit()
}

// abort leaves nothing. After commit it does nothing.
func (o *output) abort() {
	if o.packed != nil {
		o.packed.Close() // it may have threads; what it says is of no more interest
		o.packed = nil
	}
	o.file.Abort()
}

// located says which file an error of the content is about.
func (o *output) located(err error) error {
	var ours *Error
	switch {
	case err == nil, errors.As(err, new(*atomicfile.Error)), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &ours):
		ours.Path = o.path
		return ours
	}
	return fmt.Errorf("%s: %w", o.path, err)
}
