package data

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// csvBlock is the number of bytes of text after which a block of rows ends, unless
// it has none yet.
const csvBlock = 1 << 24

// csvFrame reads the rows of a text table, whose cells are text.
type csvFrame struct {
	in   *input
	text *csvText
	info FrameInfo
	raw  bool
	rows int // read so far
}

func openCSVFrame(_ context.Context, in *input, o Options) (Frame, error) {
	f := &csvFrame{in: in, raw: o.Raw}
	f.info = FrameInfo{Name: filepath.Base(in.path), Path: in.path, Format: "csv", Rows: -1, SHA256: in.sha256}
	if o.Name != "" {
		f.info.Name, f.info.Path = o.Name, ""
	}
	return f, f.start(o.Header)
}

// OpenText is the frame of a table that is text in memory, as OpenFrame reads CSV
// and TSV files, whatever it looks like. Of the Options, Header, Name and Raw are
// heeded. It fails with *Error.
func OpenText(text []byte, o Options) (Frame, error) {
	in := &input{path: "text", Close: func() error { return nil }}
	in.rewind = func() error {
		in.stream = bufio.NewReaderSize(bytes.NewReader(text), 1<<16)
		return nil
	}
	if err := in.rewind(); err != nil {
		return nil, err
	}
	return openCSVFrame(context.Background(), in, o)
}

// start reads the line of names, or learns that there is none.
func (f *csvFrame) start(choice Header) error {
	var err error
	if f.text, err = newCSVText(f.in); err != nil {
		return err
	}
	if err := f.text.next(1); err == io.EOF {
		return &Error{Path: f.in.path, Problem: "has no rows", Remedy: remedyRewrite}
	} else if err != nil {
		return err
	}
	f.info.Separator = f.text.separator
	record := f.text.strings()
	if f.info.Named, err = f.hasNames(record, choice); err != nil {
		return err
	}
	names := make([]string, len(record))
	for c, name := range record {
		if names[c] = strconv.Itoa(c); f.info.Named {
			names[c] = strings.TrimSpace(name)
		}
		f.info.Columns = append(f.info.Columns, FrameColumn{Name: names[c], Type: Text})
	}
	f.info.Preamble = string(f.text.preamble)
	if f.info.Named {
		f.text.names = names
		f.info.Preamble += string(f.text.buffer[f.text.base:f.text.at])
		return nil
	}
	f.text.unread()
	return nil
}

// hasNames says whether the first record holds names; see Header.
func (f *csvFrame) hasNames(record []string, choice Header) (bool, error) {
	if choice != HeaderAuto {
		return choice == HeaderNames, nil
	}
	kind := recordKindOf(record, true)
	if kind == recordOfBoth {
		return false, &Error{Path: f.in.path, Line: f.text.first, Problem: "mixes numbers and text, so that it may be data or a header",
			Remedy: "say which with --header none or names"}
	}
	return kind == recordOfNames, nil
}

func (f *csvFrame) Info() FrameInfo { return f.info }
func (f *csvFrame) Close() error    { return f.in.Close() }

func (f *csvFrame) Rewind() error {
	choice := HeaderNone
	if f.info.Named {
		choice = HeaderNames
	}
	rows := f.info.Rows
	if err := f.in.rewind(); err != nil {
		return err
	}
	f.info.Columns, f.rows = nil, 0
	f.info.Rows = rows
	return f.start(choice)
}

func (f *csvFrame) Next(ctx context.Context, max int) (*Cells, error) {
	cells := &Cells{Columns: make([]Values, len(f.info.Columns))}
	if f.raw {
		cells.Raw = &RawCells{Columns: make([][]string, len(f.info.Columns))}
	}
	for size := 0; cells.Rows < max && size < csvBlock; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := f.text.next(max - cells.Rows)
		if err == io.EOF {
			f.info.Rows = f.rows + cells.Rows
			break
		}
		if err != nil {
			return nil, err
		}
		size += f.text.at - f.text.base
		if err := f.take(cells); err != nil {
			return nil, err
		}
	}
	if f.rows += cells.Rows; cells.Rows == 0 {
		return nil, io.EOF
	}
	return cells, nil
}

// take appends the records that were found.
func (f *csvFrame) take(to *Cells) error {
	t := f.text
	s, rows, width := string(t.buffer[t.base:t.at]), len(t.records), t.width
	if !utf8.ValidString(s) {
		return f.notUTF8(s)
	}
	for c := range width {
		text := slices.Grow(to.Columns[c].Text, rows)
		for i := c; i < len(t.cells); i += width {
			text = append(text, t.cells[i].text(s, t.base))
		}
		to.Columns[c].Text = text
		if to.Raw == nil {
			continue
		}
		raw := slices.Grow(to.Raw.Columns[c], rows)
		for i := c; i < len(t.cells); i += width {
			raw = append(raw, s[int(t.cells[i].from)-t.base:int(t.cells[i].to)-t.base])
		}
		to.Raw.Columns[c] = raw
	}
	if to.Raw != nil {
		for i, r := range t.records {
			to.Raw.Endings = append(to.Raw.Endings, s[int(t.cells[(i+1)*width-1].to)-t.base:int(r.to)-t.base])
		}
	}
	to.Rows += rows
	return nil
}

// notUTF8 finds the cell that is not.
func (f *csvFrame) notUTF8(s string) error {
	t := f.text
	for i, cell := range t.cells {
		if text := cell.text(s, t.base); !utf8.ValidString(text) {
			c := i % t.width
			e := &Error{Path: f.in.path, Line: t.records[i/t.width].line, Column: c + 1, Problem: fmt.Sprintf("%q is not UTF-8", shortened(text)), Remedy: "save the file as UTF-8"}
			if f.info.Named {
				e.ColumnName = f.info.Columns[c].Name
			}
			return e
		}
	}
	return &Error{Path: f.in.path, Line: t.records[0].line, Problem: "is not UTF-8", Remedy: "save the file as UTF-8"}
}
