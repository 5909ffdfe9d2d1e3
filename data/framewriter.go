package data

import (
	"context"
	"fmt"
	"io"
	"math"
)

// FrameWriter writes a table of cells to a file as its rows come. The file is there,
// as a whole, after Commit. Whoever makes one calls Commit or Abort too. Its
// memory does not grow with the rows.
type FrameWriter struct {
	columns  []FrameColumn
	rows     int
	finished bool
	format   frameFormat
	out      *output
}

// CreateFrame starts a file, whose suffix says the format:
//
//	.csv, .tsv                        a line of names, then a line for each row; an absent cell is empty
//	.parquet, .arrow, .feather        typed columns; an absent cell is null; Arrow as an IPC file
//	.npy, .npz, .idx, .safetensors    a matrix of float64 without names, of any columns but text; an absent cell is NaN
//
// and .gz or .zst after it compresses what is not compressed already. It fails with
// *Error for an unknown suffix or a column that the format does not hold, or
// *atomicfile.Error.
func CreateFrame(path string, columns []FrameColumn) (*FrameWriter, error) {
	f, err := outputFormatOf(path)
	if err != nil {
		return nil, err
	}
	out, err := createOutput(path)
	if err != nil {
		return nil, err
	}
	w := &FrameWriter{columns: columns, out: out}
	if w.format, err = f.frame(out, columns); err != nil {
		out.abort()
		return nil, out.located(err)
	}
	return w, nil
}

// OmitNames leaves out the line of names of a text. It comes before Append.
func (w *FrameWriter) OmitNames() {
	if t, ok := w.format.(*text); ok {
		t.names = nil
	}
}

// Preserve makes a text like the one that info describes: what comes before its
// first row, the separator, and in each row the cells and the line ending that
// Cells.Raw then must hold. It comes before Append, and does nothing to a file of
// another format.
func (w *FrameWriter) Preserve(info FrameInfo) error {
	t, ok := w.format.(*text)
	if !ok || info.Separator == 0 {
		return nil
	}
	t.names, t.raw, t.separator = nil, true, info.Separator
	_, err := w.out.Write([]byte(info.Preamble))
	return w.out.located(err)
}

// Append writes rows, which have the columns of the file in their order and of their
// types. It fails as the file does, or with the context's error.
func (w *FrameWriter) Append(ctx context.Context, cells *Cells) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	checkCells(w.columns, cells)
	if err := w.format.append(cells); err != nil {
		return w.out.located(err)
	}
	w.rows += cells.Rows
	return nil
}

// checkCells panics unless the cells are those of the columns.
func checkCells(columns []FrameColumn, cells *Cells) {
	if len(cells.Columns) != len(columns) {
		panic(fmt.Sprintf("data: %d columns of cells where there are %d", len(cells.Columns), len(columns)))
	}
	for c := range columns {
		if v := &cells.Columns[c]; v.Len() != cells.Rows || cells.Rows > 0 && v.Type() != columns[c].Type {
			panic(fmt.Sprintf("data: column %d (%s) has %d cells of %s in %d rows of %s", c+1, columns[c].Name, v.Len(), v.Type(), cells.Rows, columns[c].Type))
		}
	}
}

// Finish completes the file, on the disk but not yet in its place: of several files
// all are to be there or none.
func (w *FrameWriter) Finish() error {
	if w.finished {
		return nil
	}
	err := w.format.end(w.rows)
	if err == nil {
		err = w.out.finish()
	}
	w.finished = err == nil
	return w.out.located(err)
}

// Commit completes the file, if Finish has not, and puts it in its place.
func (w *FrameWriter) Commit() error {
	defer w.Abort()
	if err := w.Finish(); err != nil {
		return err
	}
	return w.out.located(w.out.commit())
}

// Abort leaves everything as it was. After Commit it does nothing.
func (w *FrameWriter) Abort() {
	if c, ok := w.format.(io.Closer); ok {
		c.Close()
	}
	w.out.abort()
}

// WriteFrame writes all rows of f, from where it stands, as CreateFrame does; text
// without names stays so. It fails as CreateFrame and Frame.Next do.
func WriteFrame(ctx context.Context, path string, f Frame) error {
	info := f.Info()
	w, err := CreateFrame(path, info.Columns)
	if err != nil {
		return err
	}
	defer w.Abort()
	if !info.Named {
		w.OmitNames()
	}
	for {
		cells, err := f.Next(ctx, blockRows)
		if err == io.EOF {
			return w.Commit()
		}
		if err != nil {
			return err
		}
		if err := w.Append(ctx, cells); err != nil {
			return err
		}
	}
}

// numbers writes cells as a matrix.
type numbers struct {
	arrayFormat
	block []float64
}

func frameOfNumbers(array func(*output, ArrayInfo) (arrayFormat, error)) func(*output, []FrameColumn) (frameFormat, error) {
	return func(out *output, columns []FrameColumn) (frameFormat, error) {
		for c, column := range columns {
			if column.Type == Text {
				return nil, &Error{Column: c + 1, ColumnName: column.Name, Problem: "holds text, and an array numbers only", Remedy: "write .csv, .parquet or .arrow"}
			}
		}
		a, err := array(out, ArrayInfo{Rows: -1, Shape: []int{len(columns)}, Element: wide})
		return &numbers{arrayFormat: a}, err
	}
}

// wide is the element of arrays of cells.
const wide Element = "float64"

func (n *numbers) append(cells *Cells) error {
	width := len(cells.Columns)
	n.block = append(n.block[:0], make([]float64, cells.Rows*width)...)
	for c := range cells.Columns {
		for i := range cells.Rows {
			n.block[i*width+c] = cells.Columns[c].float(i)
		}
	}
	return n.arrayFormat.append(n.block)
}

// Close gives back a temporary file.
func (n *numbers) Close() error {
	if c, ok := n.arrayFormat.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// float is a cell that is no text as a number: NaN where it is absent, true is 1,
// and a time its seconds since 1970.
func (v *Values) float(row int) float64 {
	switch {
	case v.IsAbsent(row):
		return math.NaN()
	case v.Integers != nil:
		return float64(v.Integers[row])
	case v.Booleans != nil && v.Booleans[row]:
		return 1
	case v.Booleans != nil:
		return 0
	case v.Times != nil:
		return float64(v.Times[row]) / 1e9
	}
	return v.Numbers[row]
}
