package data

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
)

// elements writes an array that is a header and its elements: NPY, IDX,
// safetensors, and an NPY within an NPZ.
type elements struct {
	w      io.Writer // of header and elements
	rows   int       // -1: known at the end
	order  binary.AppendByteOrder
	header func(rows, least int) ([]byte, error) // of that many bytes or more

	patch    func([]byte) error // writes over the start; nil if that is not possible
	reserved int                // bytes there
	waiting  *spool             // elements that come after a header that is not known yet
	buffer   *bufio.Writer      // of waiting
	finish   func() error       // after the elements; may be nil
}

func (e *elements) begin() error {
	rows := e.rows
	if rows < 0 {
		if e.patch == nil {
			var err error
			if e.waiting, err = newSpool(); err == nil {
				e.buffer = bufio.NewWriterSize(e.waiting, 1<<16)
			}
			return err
		}
		rows = maxRows
	}
	header, err := e.header(rows, 0)
	if err != nil {
		return err
	}
	e.reserved = len(header)
	_, err = e.w.Write(header)
	return err
}

func (e *elements) append(values any) error {
	if e.waiting != nil {
		return writeElements(e.buffer, values, e.order)
	}
	return writeElements(e.w, values, e.order)
}

func (e *elements) end(rows int) error {
	switch {
	case e.waiting != nil:
		if err := e.afterHeader(rows); err != nil {
			return err
		}
	case e.rows < 0:
		header, err := e.header(rows, e.reserved)
		if err != nil {
			return err
		}
		if err := e.patch(header); err != nil {
			return err
		}
	}
	if e.finish != nil {
		return e.finish()
	}
	return nil
}

// afterHeader writes the header and then the elements that have waited for it.
func (e *elements) afterHeader(rows int) error {
	header, err := e.header(rows, 0)
	if err != nil {
		return err
	}
	if _, err := e.w.Write(header); err != nil {
		return err
	}
	if err := e.buffer.Flush(); err != nil {
		return err
	}
	if _, err := e.waiting.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(e.w, e.waiting)
	return err
}

// Close gives back the temporary file.
func (e *elements) Close() error {
	if e.waiting == nil {
		return nil
	}
	return e.waiting.Close()
}

// headerFunc is the header of an array, of at least that many bytes.
type headerFunc func(shape []int, k *kind, least int) ([]byte, error)

// elementsOf starts an array.
func elementsOf(w io.Writer, a ArrayInfo, order binary.AppendByteOrder, header headerFunc) *elements {
	k := kindOf(a.Element)
	return &elements{w: w, rows: a.Rows, order: order,
		header: func(rows, least int) ([]byte, error) { return header(a.withRows(rows), k, least) }}
}

func kindOf(e Element) *kind {
	for i := range kinds {
		if kinds[i].name == string(e) {
			return &kinds[i]
		}
	}
	panic("data: writing elements of type " + string(e))
}

func (e *elements) into(out *output) (arrayFormat, error) {
	if out.canPatch() {
		e.patch = out.patch
	}
	return e, e.begin()
}

func npyArray(out *output, a ArrayInfo) (arrayFormat, error) {
	return elementsOf(out, a, binary.LittleEndian, headerNPY).into(out)
}

func idxArray(out *output, a ArrayInfo) (arrayFormat, error) {
	return elementsOf(out, a, binary.BigEndian, headerIDX).into(out)
}

func safetensorsArray(out *output, a ArrayInfo) (arrayFormat, error) {
	return elementsOf(out, a, binary.LittleEndian, headerSafetensors).into(out)
}

// npzArray writes an archive of one array, under the name that numpy.savez gives
// it.
func npzArray(out *output, a ArrayInfo) (arrayFormat, error) {
	archive := zip.NewWriter(out)
	member, err := archive.CreateHeader(&zip.FileHeader{Name: "arr_0.npy", Method: zip.Store})
	if err != nil {
		return nil, err
	}
	e := elementsOf(member, a, binary.LittleEndian, headerNPY)
	e.finish = archive.Close
	return e, e.begin()
}

// EncodeNPY writes values, row-major in that shape, as an NPY array.
func EncodeNPY(w io.Writer, shape []int, values []float32) error {
	return writeNPY(w, shape, values)
}

// writeNPY writes a whole array: []float32 or []uint8.
func writeNPY(w io.Writer, shape []int, values any) error {
	k := kindOf(Float32)
	if _, ok := values.([]uint8); ok {
		k = kindOf(Uint8)
	}
	header, err := headerNPY(shape, k, 0)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	return writeElements(w, values, binary.LittleEndian)
}

// headerNPY is that of version 1.0, padded as NumPy pads it, so that the elements
// start at a multiple of 64 bytes.
func headerNPY(shape []int, k *kind, least int) ([]byte, error) {
	descr := "<" + k.numpy
	if k.size == 1 {
		descr = "|" + k.numpy
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
	total := max(least, (before+len(header)+1+alignment-1)/alignment*alignment)
	header += strings.Repeat(" ", total-before-len(header)-1) + "\n"
	if len(header) > math.MaxUint16 {
		return nil, fmt.Errorf("%d dimensions are too many for an NPY header", len(shape))
	}
	start := append([]byte(npyMagic), 1, 0)
	start = binary.LittleEndian.AppendUint16(start, uint16(len(header)))
	return append(start, header...), nil
}

// headerIDX is the header described in format_idx.go; its length does not depend
// on the sizes.
func headerIDX(shape []int, k *kind, _ int) ([]byte, error) {
	if len(shape) > math.MaxUint8 {
		return nil, fmt.Errorf("%d dimensions do not fit an IDX header", len(shape))
	}
	header := []byte{0, 0, k.idx, byte(len(shape))}
	for _, size := range shape {
		if size > math.MaxUint32 {
			return nil, fmt.Errorf("a dimension of %d does not fit an IDX header", size)
		}
		header = binary.BigEndian.AppendUint32(header, uint32(size))
	}
	return header, nil
}

// headerSafetensors describes one tensor called "data", which starts at a multiple
// of 8 bytes.
func headerSafetensors(shape []int, k *kind, least int) ([]byte, error) {
	kind := ""
	for name, numpy := range safetensorsKinds() {
		if numpy == k.numpy {
			kind = name
		}
	}
	header, err := json.Marshal(map[string]any{"data": map[string]any{
		"dtype": kind, "shape": shape, "data_offsets": []int{0, k.size * product(shape)}}})
	if err != nil {
		return nil, err
	}
	for len(header)%8 != 0 || len(header)+8 < least {
		header = append(header, ' ')
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), nil
}

// writeElements writes values, which are []uint8, []float32 or []float64.
func writeElements(w io.Writer, values any, order binary.AppendByteOrder) error {
	switch values := values.(type) {
	case []uint8:
		_, err := w.Write(values)
		return err
	case []float32:
		return writeWords(w, values, func(b []byte, v float32) []byte { return order.AppendUint32(b, math.Float32bits(v)) })
	}
	return writeWords(w, values.([]float64), func(b []byte, v float64) []byte { return order.AppendUint64(b, math.Float64bits(v)) })
}

func writeWords[T any](w io.Writer, values []T, word func([]byte, T) []byte) error {
	block := make([]byte, 0, 1<<15)
	for len(values) > 0 {
		n := min(len(values), 1<<12)
		block = block[:0]
		for _, v := range values[:n] {
			block = word(block, v)
		}
		if _, err := w.Write(block); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}
