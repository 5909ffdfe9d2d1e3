package data

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"gorgonia.org/tensor"

	"gpudae/internal/atomicfile"
)

// writer puts out an array: values is []float32 or []uint8, row-major.
type writer func(w io.Writer, shape []int, values any, columns []string) error

// CheckOutput reports, before any work is done for it, whether Write knows a
// format for path. It fails with *Error.
func CheckOutput(path string) error {
	_, err := writerFor(path)
	return err
}

// writerFor chooses the format by suffix.
func writerFor(path string) (writer, error) {
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".gz")
	switch filepath.Ext(name) {
	case ".npy":
		return writeNPY, nil
	case ".csv":
		return csvWriter(','), nil
	case ".tsv":
		return csvWriter('\t'), nil
	case ".idx", ".idx1", ".idx3":
		return writeIDX, nil
	}
	if strings.HasSuffix(name, "-ubyte") {
		return writeIDX, nil
	}
	return nil, &Error{Path: path, Problem: "is of no format that can be written", Remedy: "use .npy, .csv, .tsv or .idx, also with .gz"}
}

// Write writes x, of float32 or uint8, to a file whose suffix says the format:
//
//	.npy          any shape, the type of x
//	.csv, .tsv    a line for each index of the first dimension, with a first line of names if columns is not nil
//	.idx, -ubyte  any shape, the type of x
//
// and .gz after it compresses. Numbers are written so that they read back bit
// for bit. The file appears whole or not at all. Write fails with *Error for an
// unknown suffix, *atomicfile.Error or the context's error.
func Write(ctx context.Context, path string, x *tensor.Dense, columns []string) error {
	write, err := writerFor(path)
	if err != nil {
		return err
	}
	shape := x.Shape().Clone()
	var values any
	switch x.Dtype() {
	case tensor.Float32:
		values = Float32s(x)
	case tensor.Uint8:
		values = Uint8s(x)
	default:
		panic(fmt.Sprintf("data: writing a tensor of %s", x.Dtype()))
	}
	return atomicfile.Write(path, func(file io.Writer) error {
		w := contextWriter{ctx, file}
		if !strings.HasSuffix(strings.ToLower(path), ".gz") {
			return write(w, shape, values, columns)
		}
		deflated := gzip.NewWriter(w) // no name and no time: equal data give equal bytes
		buffered := bufio.NewWriter(deflated)
		if err := write(buffered, shape, values, columns); err != nil {
			return err
		}
		if err := buffered.Flush(); err != nil {
			return err
		}
		return deflated.Close()
	})
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

// writeNPY writes version 1.0, with the header padded as NumPy pads it, so that
// the elements start at a multiple of 64 bytes.
func writeNPY(w io.Writer, shape []int, values any, _ []string) error {
	descr := "<f4"
	if _, ok := values.([]uint8); ok {
		descr = "|u1"
	}
	var sizes strings.Builder
	for i, size := range shape {
		if i > 0 {
			sizes.WriteByte(' ')
		}
		fmt.Fprintf(&sizes, "%d,", size)
	}
	tuple := sizes.String()
	if len(shape) > 1 {
		tuple = strings.TrimSuffix(tuple, ",")
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, tuple)
	const before, alignment = len(npyMagic) + 4, 64
	padding := (alignment - (before+len(header)+1)%alignment) % alignment
	header += strings.Repeat(" ", padding) + "\n"
	if len(header) > math.MaxUint16 {
		return fmt.Errorf("%d dimensions are too many for an NPY header", len(shape))
	}
	start := append([]byte(npyMagic), 1, 0)
	start = binary.LittleEndian.AppendUint16(start, uint16(len(header)))
	if _, err := w.Write(append(start, header...)); err != nil {
		return err
	}
	return writeElements(w, values, binary.LittleEndian)
}

// writeIDX writes the header described in format_idx.go.
func writeIDX(w io.Writer, shape []int, values any, _ []string) error {
	if len(shape) == 0 || len(shape) > math.MaxUint8 {
		return fmt.Errorf("%d dimensions do not fit an IDX header", len(shape))
	}
	code := byte(0x0D)
	if _, ok := values.([]uint8); ok {
		code = 0x08
	}
	header := []byte{0, 0, code, byte(len(shape))}
	for _, size := range shape {
		if size > math.MaxUint32 {
			return fmt.Errorf("a dimension of %d does not fit an IDX header", size)
		}
		header = binary.BigEndian.AppendUint32(header, uint32(size))
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	return writeElements(w, values, binary.BigEndian)
}

func writeElements(w io.Writer, values any, order binary.AppendByteOrder) error {
	floats, ok := values.([]float32)
	if !ok {
		_, err := w.Write(values.([]uint8))
		return err
	}
	var block []byte
	for i, v := range floats {
		block = order.AppendUint32(block, math.Float32bits(v))
		if len(block) >= 1<<16 || i == len(floats)-1 {
			if _, err := w.Write(block); err != nil {
				return err
			}
			block = block[:0]
		}
	}
	return nil
}

// csvWriter writes lines of the shortest decimal numbers that read back exactly.
func csvWriter(separator byte) writer {
	return func(w io.Writer, shape []int, values any, columns []string) error {
		buffered := bufio.NewWriter(w)
		if err := writeHeader(buffered, separator, columns); err != nil {
			return err
		}
		floats, _ := values.([]float32)
		bytes, _ := values.([]uint8)
		count := len(floats) + len(bytes)
		width := count / max(1, shape[0])
		var line []byte
		for i := range count {
			if floats != nil {
				line = strconv.AppendFloat(line, float64(floats[i]), 'g', -1, 32)
			} else {
				line = strconv.AppendUint(line, uint64(bytes[i]), 10)
			}
			if (i+1)%width != 0 {
				line = append(line, separator)
				continue
			}
			if _, err := buffered.Write(append(line, '\n')); err != nil {
				return err
			}
			line = line[:0]
		}
		return buffered.Flush()
	}
}

// writeHeader writes the names of the columns, quoted where they have to be.
func writeHeader(w io.Writer, separator byte, columns []string) error {
	if columns == nil {
		return nil
	}
	names := csv.NewWriter(w)
	names.Comma = rune(separator)
	if err := names.Write(columns); err != nil {
		return err
	}
	names.Flush()
	return names.Error()
}
