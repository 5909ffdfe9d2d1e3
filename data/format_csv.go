package data

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Text tables (RFC 4180): a line is a row, cells are numbers. The separator is a
// tab in .tsv files, otherwise the first of comma, semicolon and tab that the
// first line contains. Numbers have a point, as in Go and C.
//
// A text has no addresses of rows, so the numbers (not the text) are held in
// memory.

// longestLine limits what a file that is no table makes us buffer.
const longestLine = 1 << 24

func openCSV(ctx context.Context, in *input, o Options) (Dataset, error) {
	defer in.Close()
	t, err := newTable(in)
	if err != nil {
		return nil, err
	}
	t.missing = o.Missing
	if err := t.read(o); err != nil {
		return nil, err
	}
	info := Info{Name: filepath.Base(in.path), Path: in.path, Format: "csv", Columns: t.features(), Shape: []int{t.count()}, Scale: 1, SHA256: in.sha256}
	labels, err := t.labels(ctx, o)
	if err != nil {
		return nil, err
	}
	return newMemory(ctx, info, labels, nil, t.values)
}

// table is a text being read.
type table struct {
	in      *input
	cells   *csv.Reader
	missing bool // whether cells may be
	line    int  // of the record read last, from 1

	first int      // line of the first record
	width int      // cells in it, which the others must have too
	names []string // of the columns; nil if the file has none
	label int      // index of the column of classes, -1 if there is none

	values  []float32
	classes []string
}

func newTable(in *input) (*table, error) {
	head, _ := in.stream.Peek(1 << 12)
	switch {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")): // the mark of UTF-8
		in.stream.Discard(3)
		head = head[3:]
	case bytes.HasPrefix(head, []byte("\xFF\xFE")), bytes.HasPrefix(head, []byte("\xFE\xFF")):
		return nil, &Error{Path: in.path, Line: 1, Problem: "the text is UTF-16", Remedy: "save it as UTF-8"}
	case bytes.IndexByte(head, 0) >= 0:
		return nil, &Error{Path: in.path, Line: 1, Problem: "the file is not text", Remedy: "give it the suffix of its real format"}
	}
	t := &table{in: in, label: -1, cells: csv.NewReader(&lineLimiter{in: in})}
	t.cells.Comma = separatorOf(head, in.name)
	t.cells.ReuseRecord = true
	t.cells.FieldsPerRecord = -1 // compared by add, which names the lines
	return t, nil
}

func separatorOf(head []byte, name string) rune {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if !strings.HasSuffix(name, ".tsv") {
		for _, separator := range ",;" {
			if bytes.ContainsRune(line, separator) {
				return separator
			}
		}
	}
	if strings.HasSuffix(name, ".tsv") || bytes.ContainsRune(line, '\t') {
		return '\t'
	}
	return ','
}

// read reads the whole text.
func (t *table) read(o Options) error {
	record, err := t.next()
	if err == nil {
		err = t.start(record, o)
	}
	if err == nil && t.names != nil {
		record, err = t.next()
	}
	for ; err == nil; record, err = t.next() {
		if err := t.add(record); err != nil {
			return err
		}
	}
	switch {
	case err != io.EOF:
		return err
	case len(t.values) == 0:
		return &Error{Path: t.in.path, Problem: "has no rows of numbers", Remedy: remedyRewrite}
	}
	return nil
}

// next returns the next record, which stays valid until the one after, or io.EOF.
func (t *table) next() ([]string, error) {
	record, err := t.cells.Read()
	if err == nil {
		t.line, _ = t.cells.FieldPos(0)
		return record, nil
	}
	if err == io.EOF {
		return nil, err
	}
	if syntax := (*csv.ParseError)(nil); errors.As(err, &syntax) {
		return nil, &Error{Path: t.in.path, Line: syntax.StartLine, Problem: "has a misplaced or unclosed quotation mark", Remedy: "close the quotation", Err: err}
	}
	return nil, t.in.readError(err)
}

// start learns the columns from the first record.
func (t *table) start(record []string, o Options) error {
	t.first, t.width = t.line, len(record)
	if o.LabelColumn != "" {
		if t.label = slices.Index(record, o.LabelColumn); t.label < 0 {
			number, err := strconv.Atoi(o.LabelColumn)
			if err != nil || number < 1 || number > len(record) {
				return &Error{Path: t.in.path, Line: t.line, ColumnName: o.LabelColumn, Problem: "there is no such column for the labels", Remedy: "use a name of the first line, or a number from 1"}
			}
			t.label = number - 1
		}
	}
	if t.count() == 0 {
		return &Error{Path: t.in.path, Line: t.line, Problem: "there is no column of numbers"}
	}
	names, err := t.isHeader(record, o.Header)
	if names {
		t.names = make([]string, len(record))
		for c, name := range record {
			t.names[c] = strings.TrimSpace(name)
		}
	}
	return err
}

// isHeader says whether the first record holds names; see Header.
func (t *table) isHeader(record []string, choice Header) (bool, error) {
	if choice != HeaderAuto {
		return choice == HeaderNames, nil
	}
	numbers, counted := 0, true
	for c, cell := range t.withoutLabel(record) {
		if _, err := strconv.ParseFloat(strings.TrimSpace(cell), 64); err == nil || errors.Is(err, strconv.ErrRange) || t.missing && isMissing(strings.TrimSpace(cell)) {
			numbers++
		}
		counted = counted && cell == strconv.Itoa(c)
	}
	const fewest = 3 // columns that count from 0 before we believe that they do
	switch {
	case numbers == 0, counted && numbers >= fewest:
		return true, nil
	case numbers == t.count():
		return false, nil
	}
	return false, &Error{Path: t.in.path, Line: t.line, Problem: "mixes numbers and text, so that it may be data or a header",
		Remedy: "name every column, or correct the cells that are not numbers"}
}

// add takes a row.
func (t *table) add(record []string) error {
	if len(record) != t.width {
		return &Error{Path: t.in.path, Line: t.line, Problem: fmt.Sprintf("has %d cells where line %d has %d", len(record), t.first, t.width), Remedy: "add or remove cells"}
	}
	if len(t.values) == maxRows*t.count() {
		return &Error{Path: t.in.path, Line: t.line, Problem: fmt.Sprintf("has more than the %d rows that are supported", maxRows), Remedy: "split the file"}
	}
	for c, cell := range record {
		cell = strings.TrimSpace(cell)
		if c == t.label {
			t.classes = append(t.classes, cell)
			continue
		}
		if t.missing && isMissing(cell) {
			t.values = append(t.values, float32(math.NaN()))
			continue
		}
		value, err := strconv.ParseFloat(cell, 32)
		if err != nil || !finite(value) {
			return t.cellError(c, cell, err)
		}
		t.values = append(t.values, float32(value))
	}
	return nil
}

// MissingCells are the texts that stand for a missing value beside the empty
// one, in any case of letters, where Options.Missing allows them.
func MissingCells() []string { return []string{"NaN", "NA", "N/A", "null", "?"} }

func isMissing(cell string) bool {
	return cell == "" || slices.ContainsFunc(MissingCells(), func(word string) bool { return strings.EqualFold(cell, word) })
}

// cellError says what is wrong with a cell.
func (t *table) cellError(column int, cell string, err error) *Error {
	e := &Error{Path: t.in.path, Line: t.line, Column: column + 1, Remedy: "fill in the number or remove the line"}
	if t.names != nil {
		e.ColumnName = t.names[column]
	}
	value, _ := strconv.ParseFloat(cell, 64)
	switch {
	case cell == "":
		e.Problem = "the cell is empty"
	case math.IsNaN(value):
		e.Problem = "the value is NaN"
	case errors.Is(err, strconv.ErrRange):
		e.Problem, e.Remedy = fmt.Sprintf("%s is beyond the range of float32", shortened(cell)), "rescale the column"
	case err != nil:
		e.Problem, e.Remedy = fmt.Sprintf("%q is not a number", shortened(cell)), "remove the column or code its values as numbers"
		if _, err := strconv.ParseFloat(strings.ReplaceAll(cell, ",", ""), 64); err == nil {
			e.Remedy = "write decimals with a point, and thousands without separators"
		}
	default:
		e.Problem = "the value is infinite"
	}
	return e
}

// shortened is a cell in a message.
func shortened(cell string) string {
	const most = 40
	if len(cell) <= most {
		return cell
	}
	return strings.ToValidUTF8(cell[:most], "") + "..."
}

// labels are the classes of a column, or of another file.
func (t *table) labels(ctx context.Context, o Options) (*Labels, error) {
	if t.label < 0 {
		return readLabels(ctx, o.Labels, len(t.values)/t.count())
	}
	if o.Labels != "" {
		return nil, &Error{Path: t.in.path, ColumnName: o.LabelColumn, Problem: "there are labels in the file " + o.Labels + " too", Remedy: "name one of the two"}
	}
	return newLabels(t.classes), nil
}

// withoutLabel leaves the cells of features.
func (t *table) withoutLabel(record []string) []string {
	if t.label < 0 {
		return record
	}
	return slices.Delete(slices.Clone(record), t.label, t.label+1)
}

// features are the names of the features, nil if the file has none.
func (t *table) features() []string {
	if t.names == nil {
		return nil
	}
	return t.withoutLabel(t.names)
}

// count is the number of features.
func (t *table) count() int {
	if t.label < 0 {
		return t.width
	}
	return t.width - 1
}

// lineLimiter fails at a line that no table has.
type lineLimiter struct {
	in     *input
	line   int
	length int
}

func (l *lineLimiter) Read(p []byte) (int, error) {
	n, err := l.in.stream.Read(p)
	if last := bytes.LastIndexByte(p[:n], '\n'); last >= 0 {
		l.line += bytes.Count(p[:n], []byte("\n"))
		l.length = n - last - 1
	} else {
		l.length += n
	}
	if l.length > longestLine {
		return n, &Error{Path: l.in.path, Line: l.line + 1, Problem: fmt.Sprintf("is longer than %d bytes", longestLine), Remedy: "give the file the suffix of its real format"}
	}
	return n, err
}
