package data

import (
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// Text that is written: RFC 4180 with lines that end in LF. Numbers are the
// shortest decimals that read back exactly, times are those of RFC 3339, and an
// absent cell is empty.

// lines writes an array as text.
type lines struct {
	out       *output
	separator byte
	width     int
	block     []byte
}

func linesOf(separator byte) func(*output, ArrayInfo) (arrayFormat, error) {
	return func(out *output, a ArrayInfo) (arrayFormat, error) {
		l := &lines{out: out, separator: separator, width: a.features()}
		if a.Columns == nil {
			return l, nil
		}
		_, err := out.Write(appendNames(nil, a.Columns, separator))
		return l, err
	}
}

func (l *lines) append(values any) error {
	floats, _ := values.([]float32)
	bytes, _ := values.([]uint8)
	l.block = l.block[:0]
	for i := range len(floats) + len(bytes) {
		if floats != nil {
			l.block = strconv.AppendFloat(l.block, float64(floats[i]), 'g', -1, 32)
		} else {
			l.block = strconv.AppendUint(l.block, uint64(bytes[i]), 10)
		}
		if (i+1)%l.width != 0 {
			l.block = append(l.block, l.separator)
			continue
		}
		l.block = append(l.block, '\n')
		if len(l.block) > 1<<16 {
			if _, err := l.out.Write(l.block); err != nil {
				return err
			}
			l.block = l.block[:0]
		}
	}
	_, err := l.out.Write(l.block)
	return err
}

func (l *lines) end(int) error { return nil }

// appendNames appends the line of names.
func appendNames(line []byte, names []string, separator byte) []byte {
	for c, name := range names {
		if c > 0 {
			line = append(line, separator)
		}
		line = appendCell(line, name, separator, len(names) == 1)
	}
	return append(line, '\n')
}

// QuoteCell is a cell as it stands in a text: between quotation marks where it
// needs them.
func QuoteCell(cell string, separator byte) string {
	return string(appendCell(nil, cell, separator, false))
}

// appendCell appends a cell. An empty line is no row, so that a cell that is alone
// and empty needs quotation marks.
func appendCell(line []byte, cell string, separator byte, alone bool) []byte {
	if strings.IndexByte(cell, separator) < 0 && !strings.ContainsAny(cell, "\"\r\n") && !(alone && cell == "") {
		return append(line, cell...)
	}
	line = append(line, '"')
	for {
		before, after, found := strings.Cut(cell, `"`)
		line = append(line, before...)
		if !found {
			return append(line, '"')
		}
		line, cell = append(line, `""`...), after
	}
}

// EncodeText writes rows as a CSV text, as CreateFrame does: with a line of names if
// info.Named. Where the cells have Raw, it is a text like the one that info
// describes, as FrameWriter.Preserve says.
func EncodeText(w io.Writer, info FrameInfo, cells *Cells) error {
	checkCells(info.Columns, cells)
	t := &text{out: w, separator: ',', columns: info.Columns}
	if cells.Raw != nil {
		t.raw, t.separator = true, info.Separator
		if _, err := io.WriteString(w, info.Preamble); err != nil {
			return err
		}
		return t.append(cells)
	}
	if info.Named {
		t.names = namesOf(info.Columns)
	}
	if err := t.append(cells); err != nil {
		return err
	}
	return t.end(cells.Rows)
}

// namesOf are the names of columns.
func namesOf(columns []FrameColumn) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// text writes cells as text.
type text struct {
	out       io.Writer
	separator byte
	names     []string // still to be written
	raw       bool     // whether cells and line ends are those of RawCells
	columns   []FrameColumn
	block     []byte
}

func textOf(separator byte) func(*output, []FrameColumn) (frameFormat, error) {
	return func(out *output, columns []FrameColumn) (frameFormat, error) {
		return &text{out: out, separator: separator, columns: columns, names: namesOf(columns)}, nil
	}
}

// start writes the line of names, once.
func (t *text) start() error {
	if t.names == nil {
		return nil
	}
	_, err := t.out.Write(appendNames(nil, t.names, t.separator))
	t.names = nil
	return err
}

func (t *text) append(cells *Cells) error {
	if err := t.start(); err != nil {
		return err
	}
	t.block = t.block[:0]
	for i := range cells.Rows {
		for c := range cells.Columns {
			if c > 0 {
				t.block = append(t.block, t.separator)
			}
			if t.raw {
				t.block = append(t.block, cells.Raw.Columns[c][i]...)
			} else {
				t.block = t.appendValue(t.block, &cells.Columns[c], c, i)
			}
		}
		if t.raw {
			t.block = append(t.block, cells.Raw.Endings[i]...)
		} else {
			t.block = append(t.block, '\n')
		}
		if len(t.block) > 1<<16 {
			if _, err := t.out.Write(t.block); err != nil {
				return err
			}
			t.block = t.block[:0]
		}
	}
	_, err := t.out.Write(t.block)
	return err
}

// appendValue appends the cell of a column and row.
func (t *text) appendValue(line []byte, v *Values, column, row int) []byte {
	alone := len(t.columns) == 1
	switch {
	case v.IsAbsent(row), v.Numbers != nil && math.IsNaN(v.Numbers[row]):
		return appendCell(line, "", t.separator, alone)
	case v.Numbers != nil:
		return strconv.AppendFloat(line, v.Numbers[row], 'g', -1, t.columns[column].bits())
	case v.Integers != nil:
		return strconv.AppendInt(line, v.Integers[row], 10)
	case v.Booleans != nil:
		return strconv.AppendBool(line, v.Booleans[row])
	case v.Times != nil:
		return append(line, FormatTime(v.Times[row], t.columns[column].Dates)...)
	}
	return appendCell(line, v.Text[row], t.separator, alone)
}

func (t *text) end(int) error { return t.start() }

// bits is the number of bits that numbers of the column have.
func (c FrameColumn) bits() int {
	if c.Single {
		return 32
	}
	return 64
}

// FormatTime writes nanoseconds since 1970 by RFC 3339, in UTC and with as many
// digits of a second as it takes, or as a date alone.
func FormatTime(nanoseconds int64, date bool) string {
	when := time.Unix(0, nanoseconds).UTC()
	if date {
		return when.Format(time.DateOnly)
	}
	return when.Format(time.RFC3339Nano)
}
