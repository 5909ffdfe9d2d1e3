package data

import (
	"context"
	"io"
	"os"
	"slices"
)

// CellType says what the cells of a column are.
type CellType string

// The types of cells.
const (
	Text    CellType = "text"    // of a CSV file all columns; what a cell means is for a schema to say
	Number  CellType = "number"  // float64
	Integer CellType = "integer" // int64
	Boolean CellType = "boolean"
	Time    CellType = "time" // nanoseconds since 1970, UTC
)

// FrameColumn is a column of a frame.
type FrameColumn struct {
	Name   string // "0", "1", ... where the file has no names; names need not be unique
	Type   CellType
	Dates  bool // of Time: whether they are whole days
	Single bool // of Number: whether they are float32
}

// FrameInfo describes a frame.
type FrameInfo struct {
	Name      string // the file's name without its folder
	Path      string // of the file, "standard input", or empty
	Format    string // "csv", "parquet", "arrow", "npy", "npz", "safetensors", "idx", "memory"
	Columns   []FrameColumn
	Named     bool   // whether the names are those of the file
	Rows      int    // -1: not known before the end
	SHA256    string // of the bytes of the file
	Separator byte   // of a text: ',', ';' or '\t'
	// Preamble is what comes before the first row of a text, byte for byte: the mark
	// of UTF-8, empty lines, the line of names. See Options.Raw.
	Preamble string
}

// Frame is a table with cells of any type, read in order. Its memory does not
// grow with its rows. It is safe for use by one goroutine at a time.
type Frame interface {
	Info() FrameInfo
	// Next returns at least one and at most max of the next rows, which the caller
	// may keep, or io.EOF after the last. It fails with *Error or the context's
	// error; after a failure only Close is of use.
	Next(ctx context.Context, max int) (*Cells, error)
	// Rewind goes back to the first row.
	Rewind() error
	// Close releases the file.
	Close() error
}

// Cells is a block of rows: one Values for each column, all of them of the same
// length.
type Cells struct {
	Rows    int
	Columns []Values
	// Raw holds the cells of a text as they are written there; nil unless
	// Options.Raw asked for them.
	Raw *RawCells
}

// RawCells are the bytes that a block of rows of a text is made of: the cells of a
// row, quotation marks and all, joined by FrameInfo.Separator, and then its ending.
type RawCells struct {
	Columns [][]string // by column and row
	Endings []string   // by row: what ends its line, with the empty lines that follow; empty at the end of the file
}

// Values are the cells of a column in a block of rows. Exactly one of the slices
// of cells is set, that of the column's type.
type Values struct {
	Absent   []bool // by row; nil: none is. An absent cell holds the zero value
	Text     []string
	Numbers  []float64
	Integers []int64
	Booleans []bool
	Times    []int64
}

// Type is the type of the cells.
func (v *Values) Type() CellType {
	switch {
	case v.Numbers != nil:
		return Number
	case v.Integers != nil:
		return Integer
	case v.Booleans != nil:
		return Boolean
	case v.Times != nil:
		return Time
	}
	return Text
}

// Len is the number of cells.
func (v *Values) Len() int {
	return len(v.Text) + len(v.Numbers) + len(v.Integers) + len(v.Booleans) + len(v.Times)
}

// IsAbsent reports whether the cell of a row is absent.
func (v *Values) IsAbsent(row int) bool { return v.Absent != nil && v.Absent[row] }

// slice returns rows from, ..., to-1, which share memory with v.
func (v *Values) slice(from, to int) Values {
	return Values{sliced(v.Absent, from, to), sliced(v.Text, from, to), sliced(v.Numbers, from, to),
		sliced(v.Integers, from, to), sliced(v.Booleans, from, to), sliced(v.Times, from, to)}
}

func sliced[T any](cells []T, from, to int) []T {
	if cells == nil {
		return nil
	}
	return cells[from:to:to]
}

// OpenFrame opens a table for reading its rows in order: CSV and TSV, Parquet,
// Arrow IPC (file or stream), and NPY, IDX, NPZ and safetensors ("path.npz:name" as in Open), text and arrays also
// with .gz or .zst. "-" is standard input, which is copied to a temporary file
// first, so that it can be read more than once. Of the Options, Header, Name,
// Standard and Raw are heeded; missing values are always allowed. It fails with
// *Error or the context's error, and checks rows only as they are read.
func OpenFrame(ctx context.Context, path string, o Options) (Frame, error) {
	if _, err := os.Stat(path); err != nil && path != "-" {
		path, o.key, _ = cutKey(path)
	}
	in, err := openInput(ctx, path, o.Standard)
	if err != nil {
		return nil, err
	}
	f, err := openFrameFormat(ctx, in, o)
	if err != nil {
		in.Close()
		return nil, err
	}
	return f, nil
}

func openFrameFormat(ctx context.Context, in *input, o Options) (Frame, error) {
	f, err := detect(in)
	if err != nil {
		return nil, err
	}
	return f.frame(ctx, in, o)
}

// memoryFrame is a frame of cells in memory.
type memoryFrame struct {
	info  FrameInfo
	cells *Cells
	next  int
}

// NewFrame makes a frame of cells in memory, which it shares. The columns give
// the names and must be of the types of the cells.
func NewFrame(name string, columns []FrameColumn, cells *Cells) Frame {
	checkCells(columns, cells)
	return &memoryFrame{info: FrameInfo{Name: name, Format: "memory", Columns: slices.Clone(columns), Named: true, Rows: cells.Rows}, cells: cells}
}

func (f *memoryFrame) Info() FrameInfo { return f.info }
func (f *memoryFrame) Rewind() error   { f.next = 0; return nil }
func (f *memoryFrame) Close() error    { return nil }

func (f *memoryFrame) Next(ctx context.Context, max int) (*Cells, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.next == f.cells.Rows {
		return nil, io.EOF
	}
	to := min(f.cells.Rows, f.next+max)
	block := &Cells{Rows: to - f.next, Columns: make([]Values, len(f.cells.Columns))}
	for c := range block.Columns {
		block.Columns[c] = f.cells.Columns[c].slice(f.next, to)
	}
	f.next = to
	return block, nil
}
