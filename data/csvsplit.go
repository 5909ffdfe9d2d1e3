package data

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// longestRecord limits what a file that is no table makes us buffer.
const longestRecord = 1 << 24

// csvBuffer is the number of bytes that are read at a time.
const csvBuffer = 1 << 20

// csvText splits a text table (RFC 4180) into records of cells, and knows where
// each cell lies. Lines end in LF or CR LF; empty lines are skipped. A cell that
// starts with a quotation mark goes on to the next that is not doubled, over the
// ends of lines; elsewhere there may be no quotation mark. These are the records
// of encoding/csv, except that CR LF in a quoted cell stays what it is.
type csvText struct {
	in        *input
	separator byte
	special   [256]bool // bytes at which a cell without quotation marks ends
	preamble  []byte    // the mark of UTF-8 and empty lines

	buffer []byte // bytes from at on are to come
	at     int
	end    bool // whether nothing comes after the buffer
	line   int  // at which the next record starts, from 1

	width   int      // cells in a record; 0 before the first
	first   int      // line of the first record
	names   []string // of the columns, in messages; may be nil
	base    int      // of the records below in the buffer
	cells   []csvCell
	records []csvRecord
}

// csvCell is a range of the buffer.
type csvCell struct {
	from, to int32
	quoted   bool // from and to are those of its quotation marks
	doubled  bool // there are doubled quotation marks within
}

// csvRecord is a range of the buffer, with the end of its line and the empty lines
// after it.
type csvRecord struct {
	line int // from 1
	to   int32
}

// byteOrderMark is the mark of UTF-8 that some programs start a text with.
const byteOrderMark = "\xEF\xBB\xBF"

// newCSVText skips what comes before the first record and finds the separator.
func newCSVText(in *input) (*csvText, error) {
	head, _ := in.stream.Peek(1 << 12)
	t := &csvText{in: in, line: 1}
	switch {
	case bytes.HasPrefix(head, []byte(byteOrderMark)):
		t.skip(len(byteOrderMark))
	case bytes.HasPrefix(head, []byte("\xFF\xFE")), bytes.HasPrefix(head, []byte("\xFE\xFF")):
		return nil, &Error{Path: in.path, Line: 1, Problem: "the text is UTF-16", Remedy: "save it as UTF-8"}
	case bytes.IndexByte(head, 0) >= 0:
		return nil, &Error{Path: in.path, Line: 1, Problem: "the file is not text", Remedy: "give it the suffix of its real format"}
	}
	for t.skipEmptyLine() {
		if len(t.preamble) > longestRecord {
			return nil, t.tooLong()
		}
	}
	head, _ = in.stream.Peek(1 << 12)
	t.separator = separatorOf(head, in.name)
	for _, b := range []byte{t.separator, '\n', '"'} {
		t.special[b] = true
	}
	return t, nil
}

// skip puts n bytes of the stream, which have been looked at, into the preamble.
func (t *csvText) skip(n int) {
	head, _ := t.in.stream.Peek(n)
	t.preamble = append(t.preamble, head...)
	t.in.stream.Discard(n)
}

// skipEmptyLine reports whether there was one.
func (t *csvText) skipEmptyLine() bool {
	head, _ := t.in.stream.Peek(2)
	switch {
	case len(head) > 0 && head[0] == '\n', string(head) == "\r": // at the end of the file
		t.skip(1)
	case string(head) == "\r\n":
		t.skip(2)
	default:
		return false
	}
	t.line++
	return true
}

func (t *csvText) tooLong() *Error {
	return &Error{Path: t.in.path, Line: t.line, Problem: fmt.Sprintf("is longer than %d bytes", longestRecord), Remedy: "close its quotation mark, or give the file the suffix of its real format"}
}

// separatorOf is a tab in .tsv files, otherwise the first of comma, semicolon and
// tab that the first line contains.
func separatorOf(head []byte, name string) byte {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if !strings.HasSuffix(name, ".tsv") {
		for _, separator := range []byte(",;") {
			if bytes.IndexByte(line, separator) >= 0 {
				return separator
			}
		}
	}
	if strings.HasSuffix(name, ".tsv") || bytes.IndexByte(line, '\t') >= 0 {
		return '\t'
	}
	return ','
}

// errShort says that a record may go on after the buffer.
var errShort = errors.New("the record goes on after the buffer")

// next finds at least one and at most max records, or fails with io.EOF. They stay
// valid until the next call. Records before a damaged one are found first.
func (t *csvText) next(max int) error {
	t.cells, t.records, t.base = t.cells[:0], t.records[:0], t.at
	for {
		err := t.split(max)
		if len(t.records) > 0 {
			return nil // a failure comes again
		}
		if err != errShort {
			return err
		}
		if err := t.fill(); err != nil {
			return err
		}
		t.base = t.at
	}
}

// split finds records in the buffer until there are max of them.
func (t *csvText) split(max int) error {
	for len(t.records) < max {
		if t.at == len(t.buffer) && t.end {
			return io.EOF
		}
		cells := len(t.cells)
		to, lines, err := t.record()
		if err == nil && !t.end && to == len(t.buffer) { // there may be empty lines after it
			err = errShort
		}
		if err == nil && to-t.at > longestRecord {
			err = t.tooLong()
		}
		if err != nil {
			t.cells = t.cells[:cells]
			return err
		}
		t.records = append(t.records, csvRecord{t.line, int32(to)})
		t.at, t.line = to, t.line+lines
	}
	return nil
}

// record finds the cells of the record at t.at. It returns where the next starts
// and how many lines further.
func (t *csvText) record() (to, lines int, err error) {
	buffer, first, i := t.buffer, len(t.cells), t.at
	for {
		cell := csvCell{from: int32(i)}
		if i < len(buffer) && buffer[i] == '"' {
			within, err := 0, error(nil)
			if i, within, err = t.quoted(i, &cell); err != nil {
				return 0, 0, t.quotationError(err, len(t.cells)-first)
			}
			lines += within
		}
		for i < len(buffer) && !t.special[buffer[i]] {
			i++
		}
		if i == len(buffer) && !t.end {
			return 0, 0, errShort
		}
		cell.to = int32(i)
		if i == len(buffer) || buffer[i] == '\n' {
			if cell.to > cell.from && buffer[cell.to-1] == '\r' {
				cell.to--
			}
		}
		if i < len(buffer) && buffer[i] == '"' || cell.quoted && buffer[cell.to-1] != '"' {
			return 0, 0, t.quotationError(errMisquoted, len(t.cells)-first)
		}
		t.cells = append(t.cells, cell)
		if i < len(buffer) && buffer[i] == t.separator {
			i++
			continue
		}
		break
	}
	if err := t.checkWidth(len(t.cells) - first); err != nil {
		return 0, 0, err
	}
	if i < len(buffer) {
		i, lines = i+1, lines+1
	}
	to, empty := t.emptyLines(i)
	return to, lines + empty, nil
}

// errMisquoted and errUnclosed say what is wrong with quotation marks.
var (
	errMisquoted = errors.New("has a misplaced quotation mark")
	errUnclosed  = errors.New("has a quotation mark that is not closed")
)

// quoted finds the end of the cell whose quotation mark is at i, and counts the
// ends of lines in it.
func (t *csvText) quoted(i int, cell *csvCell) (end, lines int, err error) {
	buffer := t.buffer
	cell.quoted = true
	for i++; ; {
		n := bytes.IndexByte(buffer[i:], '"')
		if n < 0 && t.end {
			return 0, 0, errUnclosed
		}
		if n < 0 {
			return 0, 0, errShort
		}
		lines += bytes.Count(buffer[i:i+n], []byte{'\n'})
		i += n + 1
		if i == len(buffer) || buffer[i] != '"' {
			return i, lines, nil
		}
		cell.doubled = true
		i++
	}
}

// quotationError names the cell (from 0) of the record at t.at.
func (t *csvText) quotationError(err error, column int) error {
	if err == errShort {
		return err
	}
	e := &Error{Path: t.in.path, Line: t.line, Column: column + 1, Problem: err.Error(), Remedy: "put the whole cell between quotation marks, and double those within"}
	if column < len(t.names) {
		e.ColumnName = t.names[column]
	}
	return e
}

func (t *csvText) checkWidth(cells int) error {
	if t.width == 0 {
		t.width, t.first = cells, t.line
	}
	if cells != t.width {
		return &Error{Path: t.in.path, Line: t.line, Problem: fmt.Sprintf("has %d cells where line %d has %d", cells, t.first, t.width), Remedy: "add or remove cells"}
	}
	return nil
}

// emptyLines finds the first line from i on that is not empty.
func (t *csvText) emptyLines(i int) (to, lines int) {
	for {
		rest := t.buffer[i:]
		switch {
		case len(rest) > 0 && rest[0] == '\n':
			i++
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			i += 2
		case len(rest) == 1 && rest[0] == '\r': // and the end of the file
			return i + 1, lines
		default:
			return i, lines
		}
		lines++
	}
}

// fill reads more bytes after those from t.at on, which it moves.
func (t *csvText) fill() error {
	held := len(t.buffer) - t.at
	if held > longestRecord {
		return t.tooLong()
	}
	room := t.buffer[:cap(t.buffer)]
	if held > len(room)/2 || room == nil {
		room = make([]byte, max(csvBuffer, 2*len(room)))
	}
	copy(room, t.buffer[t.at:])
	t.buffer, t.at = room[:held], 0
	for len(t.buffer) < len(room) {
		n, err := t.in.stream.Read(room[len(t.buffer):])
		t.buffer = room[:len(t.buffer)+n]
		if err == io.EOF {
			t.end = true
			return nil
		}
		if err != nil {
			return t.in.readError(err)
		}
	}
	return nil
}

// text is a cell of s, which the buffer's bytes from base on start with.
func (c csvCell) text(s string, base int) string {
	s = s[int(c.from)-base : int(c.to)-base]
	if !c.quoted {
		return s
	}
	s = s[1 : len(s)-1]
	if c.doubled {
		s = strings.ReplaceAll(s, `""`, `"`)
	}
	return s
}

// unread makes the records that were found come again.
func (t *csvText) unread() {
	t.at, t.line = t.base, t.records[0].line
}

// strings are the cells of the only record that was found.
func (t *csvText) strings() []string {
	s := string(t.buffer[t.base:t.at])
	cells := make([]string, len(t.cells))
	for i, c := range t.cells {
		cells[i] = c.text(s, t.base)
	}
	return cells
}
