package data

import (
	"context"
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
// A text has no addresses of rows, so the numbers (not the text) are held, as
// format_frame.go does it.

func openCSV(ctx context.Context, in *input, o Options) (Dataset, error) {
	t, err := newTable(in)
	if err != nil {
		return nil, err
	}
	t.missing = o.Missing
	if err := t.read(o); err != nil {
		return nil, err
	}
	info := Info{Name: filepath.Base(in.path), Path: in.path, Format: "csv", Columns: t.features(), Shape: []int{t.count()}, SHA256: in.sha256}
	labels, err := t.labels(ctx, o)
	if err != nil {
		return nil, err
	}
	return t.values.dataset(ctx, info, labels, o.Missing)
}

// table is a text being read.
type table struct {
	in      *input
	text    *csvText
	missing bool // whether cells may be
	line    int  // of the record read last, from 1

	width int      // cells in a record
	names []string // of the columns; nil if the file has none
	label int      // index of the column of classes, -1 if there is none

	values  floatStore
	row     []float32
	classes []string
}

func newTable(in *input) (*table, error) {
	text, err := newCSVText(in)
	return &table{in: in, text: text, label: -1, values: floatStore{in: in}}, err
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
	case t.values.values == 0:
		return &Error{Path: t.in.path, Problem: "has no rows of numbers", Remedy: remedyRewrite}
	}
	return nil
}

// next returns the next record or io.EOF.
func (t *table) next() ([]string, error) {
	if err := t.text.next(1); err != nil {
		return nil, err
	}
	t.line = t.text.records[0].line
	return t.text.strings(), nil
}

// start learns the columns from the first record.
func (t *table) start(record []string, o Options) error {
	t.width = len(record)
	names := make([]string, len(record))
	for c, name := range record {
		names[c] = strings.TrimSpace(name)
	}
	if err := t.findLabel(names, o); err != nil {
		return err
	}
	if t.count() == 0 {
		return &Error{Path: t.in.path, Line: t.line, Problem: "there is no column of numbers"}
	}
	named, err := t.isHeader(record, o.Header)
	if named {
		t.names, t.text.names = names, names
		return nil
	}
	if err := t.findLabel(nil, o); err != nil { // a cell that looks like the label is no name
		return err
	}
	if err != nil { // perhaps because of such a cell
		_, err = t.isHeader(record, o.Header)
	}
	return err
}

// findLabel looks for the column of labels by its name, if there are names, and by its number.
func (t *table) findLabel(names []string, o Options) error {
	if o.LabelColumn == "" {
		return nil
	}
	t.label = slices.Index(names, strings.TrimSpace(o.LabelColumn))
	if number, err := strconv.Atoi(o.LabelColumn); t.label < 0 && err == nil && number >= 1 && number <= t.width {
		t.label = number - 1
	}
	if t.label < 0 && !o.LabelOptional {
		return &Error{Path: t.in.path, Line: t.line, ColumnName: o.LabelColumn, Problem: "there is no such column for the labels", Remedy: "use a name of the first line, or a number from 1"}
	}
	return nil
}

// isHeader says whether the first record holds names; see Header.
func (t *table) isHeader(record []string, choice Header) (bool, error) {
	if choice != HeaderAuto {
		return choice == HeaderNames, nil
	}
	switch kind := recordKindOf(t.withoutLabel(record), t.missing); kind {
	case recordOfNames, recordOfNumbers:
		return kind == recordOfNames, nil
	}
	return false, &Error{Path: t.in.path, Line: t.line, Problem: "mixes numbers and text, so that it may be data or a header",
		Remedy: "name every column, or correct the cells that are not numbers"}
}

// recordKind is what the first record of a text looks like.
type recordKind uint8

const (
	recordOfNames recordKind = iota
	recordOfNumbers
	recordOfBoth
)

// recordKindOf looks at the cells of a first record. Missing values, where they
// are allowed, say nothing beside words and are data beside numbers.
func recordKindOf(record []string, missing bool) recordKind {
	numbers, absent, counted := 0, 0, true
	for c, cell := range record {
		trimmed := strings.TrimSpace(cell)
		if missing && isMissing(trimmed) {
			absent++
		} else if _, err := strconv.ParseFloat(trimmed, 64); err == nil || errors.Is(err, strconv.ErrRange) {
			numbers++
		}
		counted = counted && cell == strconv.Itoa(c)
	}
	const fewest = 3 // columns that count from 0 before we believe that they do
	switch {
	case counted && numbers >= fewest, numbers == 0 && absent < len(record):
		return recordOfNames
	case numbers+absent == len(record):
		return recordOfNumbers
	}
	return recordOfBoth
}

// add takes a row.
func (t *table) add(record []string) error {
	if t.values.values == maxRows*t.count() {
		return &Error{Path: t.in.path, Line: t.line, Problem: fmt.Sprintf("has more than the %d rows that are supported", maxRows), Remedy: "split the file"}
	}
	t.row = t.row[:0]
	for c, cell := range record {
		cell = strings.TrimSpace(cell)
		if c == t.label {
			t.classes = append(t.classes, cell)
			continue
		}
		if t.missing && isMissing(cell) {
			t.row = append(t.row, float32(math.NaN()))
			continue
		}
		value, err := strconv.ParseFloat(cell, 32)
		if err != nil || !finite(value) {
			return t.cellError(c, cell, err)
		}
		t.row = append(t.row, float32(value))
	}
	return t.values.append(t.row)
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
		return readLabels(ctx, o.Labels, t.values.values/t.count())
	}
	if o.Labels != "" {
		return nil, &Error{Path: t.in.path, ColumnName: o.LabelColumn, Problem: "there are labels in the file " + o.Labels + " too", Remedy: "name one of the two"}
	}
	return NewLabels(t.classes), nil
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
