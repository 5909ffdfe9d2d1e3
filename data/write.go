package data

import (
	"bufio"
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

// source is an array that is written: its blocks come in row-major order.
type source struct {
	shape   []int
	uint8   bool     // otherwise float32
	columns []string // names of the features; may be nil
	// each calls visit with the values of one block after the other, []uint8 or []float32.
	each func(visit func(values any) error) error
}

// width is the number of values for each index of the first dimension.
func (s source) width() int { return product(s.shape[min(1, len(s.shape)):]) }

// writer puts out an array.
type writer func(w io.Writer, s source) error

// CheckOutput reports, before any work is done for it, whether Write knows a
// format for path. It fails with *Error.
func CheckOutput(path string) error {
	_, err := writerFor(path)
	return err
}

// writerFor chooses the format by suffix.
func writerFor(path string) (writer, error) {
	packed, name := compressionOf(strings.ToLower(filepath.Base(path)))
	archives := map[string]writer{".npz": writeNPZ, ".parquet": writeParquet}
	plain := map[string]writer{".npy": writeNPY, ".csv": csvWriter(','), ".tsv": csvWriter('\t'), ".safetensors": writeSafetensors,
		".idx": writeIDX, ".idx1": writeIDX, ".idx3": writeIDX}
	if w := plain[filepath.Ext(name)]; w != nil {
		return w, nil
	}
	if strings.HasSuffix(name, "-ubyte") {
		return writeIDX, nil
	}
	if w := archives[filepath.Ext(name)]; w != nil {
		if packed != nil {
			return nil, &Error{Path: path, Problem: filepath.Ext(name) + " is compressed already", Remedy: "leave out " + packed.suffix}
		}
		return w, nil
	}
	return nil, &Error{Path: path, Problem: "is of no format that can be written", Remedy: "use .npy, .npz, .csv, .tsv, .parquet, .safetensors or .idx, also with .gz or .zst"}
}

// Write writes x, of float32 or uint8, to a file whose suffix says the format:
//
//	.npy, .npz    any shape, the type of x; in the archive as numpy.savez calls it, arr_0
//	.csv, .tsv    a line for each index of the first dimension, with a first line of names if columns is not nil
//	.parquet      a row for each index of the first dimension; columns without names are called 0, 1, 2, ...; NaN is null
//	.safetensors  any shape, the type of x, called "data"
//	.idx, -ubyte  any shape, the type of x
//
// and .gz or .zst after it compresses what is not compressed already. Numbers
// are written so that they read back bit for bit. The file appears whole or not
// at all. Write fails with *Error for an unknown suffix, *atomicfile.Error or
// the context's error.
func Write(ctx context.Context, path string, x *tensor.Dense, columns []string) error {
	return writeSource(ctx, path, sourceOf(x, columns))
}

// sourceOf gives x, of float32 or uint8, as one block.
func sourceOf(x *tensor.Dense, columns []string) source {
	var values any
	switch x.Dtype() {
	case tensor.Float32:
		values = Float32s(x)
	case tensor.Uint8:
		values = Uint8s(x)
	default:
		panic(fmt.Sprintf("data: writing a tensor of %s", x.Dtype()))
	}
	return source{x.Shape().Clone(), x.Dtype() == tensor.Uint8, columns, func(visit func(any) error) error { return visit(values) }}
}

// Convert writes all rows of d, in the type in which they are stored and a
// block at a time, as Write does. It fails as Write and Read do.
func Convert(ctx context.Context, path string, d Dataset) error {
	info := d.Info()
	return writeSource(ctx, path, source{append([]int{info.Rows}, info.Shape...), info.Element == Uint8, info.Columns,
		func(visit func(any) error) error {
			return eachBlock(ctx, d, func(_ int, block *tensor.Dense) error {
				if info.Element == Uint8 {
					return visit(Uint8s(block))
				}
				return visit(Float32s(block))
			})
		}})
}

func writeSource(ctx context.Context, path string, s source) error {
	write, err := writerFor(path)
	if err != nil {
		return err
	}
	packed, _ := compressionOf(path)
	return atomicfile.Write(path, func(file io.Writer) error {
		w := contextWriter{ctx, file}
		if packed == nil {
			return write(w, s)
		}
		deflated, err := packed.compress(w)
		if err != nil {
			return err
		}
		buffered := bufio.NewWriter(deflated)
		if err := write(buffered, s); err != nil {
			deflated.Close() // it may have threads; what it says is of no more interest
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

// EncodeNPY writes values, row-major in that shape, as an NPY array.
func EncodeNPY(w io.Writer, shape []int, values []float32) error {
	return writeNPY(w, source{shape: shape, each: func(visit func(any) error) error { return visit(values) }})
}

// writeNPY writes version 1.0, with the header padded as NumPy pads it, so that
// the elements start at a multiple of 64 bytes.
func writeNPY(w io.Writer, s source) error {
	shape, descr := s.shape, "<f4"
	if s.uint8 {
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
	return s.each(func(values any) error { return writeElements(w, values, binary.LittleEndian) })
}

// writeIDX writes the header described in format_idx.go.
func writeIDX(w io.Writer, s source) error {
	shape := s.shape
	if len(shape) == 0 || len(shape) > math.MaxUint8 {
		return fmt.Errorf("%d dimensions do not fit an IDX header", len(shape))
	}
	code := byte(0x0D)
	if s.uint8 {
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
	return s.each(func(values any) error { return writeElements(w, values, binary.BigEndian) })
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
	return func(w io.Writer, s source) error {
		buffered := bufio.NewWriter(w)
		if err := writeHeader(buffered, separator, s.columns); err != nil {
			return err
		}
		width, column := s.width(), 0
		var line []byte
		err := s.each(func(values any) error {
			floats, _ := values.([]float32)
			bytes, _ := values.([]uint8)
			for i := range len(floats) + len(bytes) {
				if floats != nil {
					line = strconv.AppendFloat(line, float64(floats[i]), 'g', -1, 32)
				} else {
					line = strconv.AppendUint(line, uint64(bytes[i]), 10)
				}
				if column++; column < width {
					line = append(line, separator)
					continue
				}
				if _, err := buffered.Write(append(line, '\n')); err != nil {
					return err
				}
				line, column = line[:0], 0
			}
			return nil
		})
		if err != nil {
			return err
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
