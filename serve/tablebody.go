package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"gpudae/data"
)

// parseCSV reads a text as the commands read a file.
func (t *Table) parseCSV(ctx context.Context, body []byte, most int) (*Rows, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, noRows()
	}
	frame, err := data.OpenText(body, data.Options{Header: t.Header, Name: "the body", Raw: true})
	if err != nil {
		return nil, fromCells(err)
	}
	defer frame.Close()
	info := frame.Info()
	if err := t.checkNames(info); err != nil {
		return nil, err
	}
	all := &data.Cells{Columns: make([]data.Values, len(info.Columns)), Raw: &data.RawCells{Columns: make([][]string, len(info.Columns))}}
	for {
		cells, err := frame.Next(ctx, most+1-all.Rows)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fromCells(err)
		}
		if appendCells(all, cells); all.Rows > most {
			return nil, tooManyRows(most)
		}
	}
	quote := func(_ int, text string) string { return data.QuoteCell(text, info.Separator) }
	return &Rows{Info: info, Cells: all, Quote: quote}, nil
}

// appendCells adds a block of a text.
func appendCells(to, block *data.Cells) {
	to.Rows += block.Rows
	for c := range to.Columns {
		to.Columns[c].Text = append(to.Columns[c].Text, block.Columns[c].Text...)
		to.Raw.Columns[c] = append(to.Raw.Columns[c], block.Raw.Columns[c]...)
	}
	to.Raw.Endings = append(to.Raw.Endings, block.Raw.Endings...)
}

func noRows() *problem { return refuse(http.StatusUnprocessableEntity, "there are no rows") }

func tooManyRows(most int) *problem {
	return refuse(http.StatusRequestEntityTooLarge, "more than %d rows; send fewer at a time", most)
}

// jsonTable gathers the cells of a JSON body.
type jsonTable struct {
	scanner *scanner
	text    string // of the body, which the cells are parts of
	most    int    // rows
	widest  int    // columns
	names   []string
	index   map[string]int // of the names of records
	columns []jsonColumn
	rows    int
}

// jsonColumn are values that are no arrays and no objects, by row.
type jsonColumn struct {
	values data.Values // their texts: of a string its content, of null none, otherwise as it is written
	raw    []string    // as they are written
	kinds  []valueKind
}

type valueKind uint8

const (
	valueNull valueKind = iota
	valueNumber
	valueBoolean
	valueString
)

// parseJSON reads {"records": [{"name": value, ...}, ...]}, all of them with the
// same members, or {"rows": [[value, ...], ...]}, to which "columns" names the
// columns in the order of the rows if that is not the model's.
func (t *Table) parseJSON(body []byte, most int) (*Rows, error) {
	if !utf8.Valid(body) {
		return nil, refuse(http.StatusBadRequest, "the body is not UTF-8")
	}
	j := &jsonTable{scanner: &scanner{text: body}, text: string(body), most: most, widest: len(t.Columns), index: map[string]int{}}
	columns, err := j.read()
	if err != nil {
		return nil, err
	}
	if columns != nil {
		j.names = columns
	} else if j.names == nil { // "rows" alone
		for _, c := range t.used() {
			j.names = append(j.names, c.Name)
		}
	}
	if j.rows > 0 && len(j.names) != len(j.columns) {
		return nil, refuse(http.StatusUnprocessableEntity, "rows of %d values for %d columns", len(j.columns), len(j.names))
	}
	return t.typed(j)
}

// read scans the body and returns the names in "columns".
func (j *jsonTable) read() (columns []string, err error) {
	s, kind := j.scanner, ""
	err = s.object("an object", func(key string) (err error) {
		switch key {
		case "rows", "records":
			if kind != "" {
				return s.bad(http.StatusBadRequest, "both \"rows\" and \"records\"")
			}
			kind = key
			return j.all(map[string]func() error{"rows": j.row, "records": j.record}[key])
		case "columns":
			columns, err = j.readNames()
			return err
		}
		return s.bad(http.StatusBadRequest, "unknown member %s; there are \"rows\", \"columns\" and \"records\"", strconv.QuoteToASCII(key))
	})
	if err == nil {
		err = s.end()
	}
	switch {
	case err != nil:
		return nil, err
	case kind == "":
		return nil, refuse(http.StatusBadRequest, "no \"records\" and no \"rows\"")
	case columns != nil && kind == "records":
		return nil, refuse(http.StatusBadRequest, "\"columns\" goes with \"rows\", not with \"records\"")
	}
	return columns, nil
}

// readNames reads the names of columns.
func (j *jsonTable) readNames() ([]string, error) {
	names := []string{}
	err := j.scanner.array("an array of names", func(int) error {
		name, err := j.scanner.string("a name in quotes")
		names = append(names, name)
		return err
	})
	return names, err
}

// all reads the array of rows.
func (j *jsonTable) all(row func() error) error {
	s := j.scanner
	return s.array("an array of rows", func(i int) error {
		if i == j.most {
			return tooManyRows(j.most)
		}
		s.row = i + 1
		err := row()
		j.rows++
		s.row, s.column = 0, 0
		return err
	})
}

// row reads an array of values.
func (j *jsonTable) row() error {
	s, count := j.scanner, 0
	err := s.array("a row, an array of values,", func(i int) error {
		if s.row > 1 && i == len(j.columns) {
			s.column = 0
			return s.bad(http.StatusUnprocessableEntity, "more than the %d values of row 1", len(j.columns))
		}
		s.column, count = i+1, i+1
		return j.add(i)
	})
	if err == nil && count < len(j.columns) {
		s.column = 0
		err = s.bad(http.StatusUnprocessableEntity, "%d values; row 1 has %d", count, len(j.columns))
	}
	return err
}

// record reads an object.
func (j *jsonTable) record() error {
	s := j.scanner
	if s.row == 1 {
		j.names = []string{}
	}
	err := s.object("a record, an object,", func(key string) error {
		at, known := j.index[key]
		if !known && s.row > 1 {
			return s.bad(http.StatusUnprocessableEntity, "there is a column %s, which row 1 lacks", strconv.QuoteToASCII(key))
		}
		if !known {
			at = len(j.names)
			j.names, j.index[key] = append(j.names, key), at
		}
		s.column, s.columns = at+1, j.names
		err := j.add(at)
		if err == nil {
			s.column = 0
		}
		return err
	})
	for i := range j.columns {
		if err == nil && len(j.columns[i].raw) < s.row {
			err = lacking(s.row, j.names[i])
		}
	}
	return err
}

// add reads a value into a column, which is a new one if it follows the last.
func (j *jsonTable) add(column int) error {
	if column == len(j.columns) {
		if column == j.widest {
			j.scanner.column = 0
			return j.scanner.bad(http.StatusUnprocessableEntity, "more than %d values, of as many columns as there are", j.widest)
		}
		j.columns = append(j.columns, jsonColumn{})
	}
	raw, text, kind, err := j.scanner.value(j.text)
	if err != nil {
		return err
	}
	c := &j.columns[column]
	c.raw, c.kinds = append(c.raw, raw), append(c.kinds, kind)
	c.values.Text, c.values.Absent = append(c.values.Text, text), append(c.values.Absent, kind == valueNull)
	return nil
}

// value reads a value that is no array and no object: as it is written, and its
// text. whole is the text of the scanner.
func (s *scanner) value(whole string) (raw, text string, kind valueKind, err error) {
	if s.peek() == '"' {
		from := s.at
		text, err = s.string("a value")
		return whole[from:s.at], text, valueString, err
	}
	from, to := s.at, s.at
	for to < len(s.text) && isWord(s.text[to]) {
		to++
	}
	raw = whole[from:to]
	switch {
	case raw == "null":
		kind = valueNull
	case raw == "true", raw == "false":
		text, kind = raw, valueBoolean
	case isNumber(s.text[from:to]):
		text, kind = raw, valueNumber
	default:
		return "", "", 0, s.bad(http.StatusBadRequest, "%s where a number, a string, true, false or null is expected", s.found())
	}
	s.at = to
	return raw, text, kind, nil
}

// typed checks the names of the columns, and the types of their values.
func (t *Table) typed(j *jsonTable) (*Rows, error) {
	rows := &Rows{Info: data.FrameInfo{Name: "the body", Format: "json", Named: true, Rows: j.rows}, Cells: &data.Cells{Rows: j.rows, Raw: &data.RawCells{}}}
	for _, name := range j.names {
		rows.Info.Columns = append(rows.Info.Columns, data.FrameColumn{Name: name, Type: data.Text})
	}
	if j.rows == 0 {
		return rows, nil
	}
	if err := t.checkNames(rows.Info); err != nil {
		return nil, err
	}
	columns := t.columnsOf(rows.Info)
	for i := range j.columns {
		c := &j.columns[i]
		for row, kind := range c.kinds {
			if want := columns[i].wants(kind); want != "" {
				return nil, &problem{status: http.StatusUnprocessableEntity, row: row + 1, column: i + 1, columnName: j.names[i],
					text: shown(c.raw[row]) + " where " + want + " or null is expected"}
			}
		}
		rows.Cells.Columns, rows.Cells.Raw.Columns = append(rows.Cells.Columns, c.values), append(rows.Cells.Raw.Columns, c.raw)
	}
	rows.Quote = func(column int, text string) string { return columns[column].literal(text) }
	return rows, nil
}

// shown is a value in a message.
func shown(raw string) string {
	const most = 40
	if len(raw) > most {
		raw = strings.ToValidUTF8(raw[:most], "") + "..."
	}
	return raw
}

// wants says what should stand in the column in place of a value, nothing if that
// may be there.
func (c *Column) wants(kind valueKind) string {
	if !c.Used || kind == valueNull || c.Categories != nil {
		return ""
	}
	if c.Type == data.Number || c.Type == data.Integer {
		if kind != valueNumber {
			return "a number"
		}
	} else if kind != valueString {
		return "a string"
	}
	return ""
}
