package table

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gpudae/data"
)

// Encoder turns the cells of a frame into rows of a model. Its columns are those
// of the schema that are used, found in the frame by name.
type Encoder struct {
	schema  *Schema
	path    string // of the frame, for messages
	columns []columnEncoder
	notices []Notice
}

// NewEncoder matches the columns of a frame to those of the schema by name: their
// order does not matter, what the schema does not use is left out, and a column
// that the frame lacks is absent in every row; Notices tells of those. It fails
// with *data.Error if the frame has none of the columns, if its cells cannot be
// what the schema says, or if the schema is not fitted.
func (s *Schema) NewEncoder(info data.FrameInfo) (*Encoder, error) {
	if err := s.CheckFitted(s.Name); err != nil {
		return nil, err
	}
	e := &Encoder{schema: s}
	for _, i := range s.Used() {
		e.columns = append(e.columns, newColumnEncoder(s, &s.Columns[i]))
	}
	return e.Of(info)
}

// Of is the encoder of another frame, whose columns are matched as NewEncoder does
// and which fails as that does. The two share what they do not change, so that
// it costs little, and may be used at the same time.
func (e *Encoder) Of(info data.FrameInfo) (*Encoder, error) {
	places, err := columnPlaces(info)
	if err != nil {
		return nil, err
	}
	s := e.schema
	e = &Encoder{schema: s, path: source(info), columns: slices.Clone(e.columns)}
	found, lacking := 0, []string(nil)
	for j := range e.columns {
		c := &e.columns[j]
		c.unseen, c.example = 0, ""
		place, there := places[c.column.Name]
		if !there {
			c.place = -1
			lacking = append(lacking, c.column.Name)
			continue
		}
		found++
		c.place = place
		if problem := cannotBe(info.Columns[place].Type, c.column.Kind); problem != "" {
			return nil, &data.Error{Path: e.path, Column: place + 1, ColumnName: c.column.Name, Problem: problem, Remedy: "give data like those of the schema"}
		}
	}
	if found == 0 {
		return nil, &data.Error{Path: e.path, Problem: fmt.Sprintf("has none of the columns of %s", s.Name), Remedy: "name its columns " + enumerate(lacking)}
	}
	if len(lacking) > 0 {
		e.notices = append(e.notices, Notice{"", fmt.Sprintf("the data lack %s, taken as missing in every row", enumerate(lacking))})
	}
	if extra := s.extra(info); len(extra) > 0 {
		e.notices = append(e.notices, Notice{"", "columns that the schema does not know are left out: " + enumerate(extra)})
	}
	return e, nil
}

// extra are the columns of a frame that the schema has not, dropped or not.
func (s *Schema) extra(info data.FrameInfo) (names []string) {
	known := map[string]bool{}
	for i := range s.Columns {
		known[s.Columns[i].Name] = true
	}
	for _, c := range info.Columns {
		if !known[c.Name] {
			names = append(names, c.Name)
		}
	}
	return names
}

// enumerate lists names, and counts those beyond the first few.
func enumerate(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// Width is the number of columns of a row.
func (e *Encoder) Width() int { return len(e.columns) }

// Places are the places in the frame of the columns of a row, -1 of those that it lacks.
func (e *Encoder) Places() []int {
	places := make([]int, len(e.columns))
	for j := range e.columns {
		places[j] = e.columns[j].place
	}
	return places
}

// Encode writes the block of cells, whose first row has the number from, to x,
// which is [cells.Rows, Width] row-major. It fails with *data.Error.
func (e *Encoder) Encode(cells *data.Cells, from int, x []float32) error {
	width := len(e.columns)
	column := make([]float32, cells.Rows)
	var failures []error
	for j := range e.columns {
		if err := e.encodeColumn(j, cells, from, column); err != nil {
			failures = append(failures, err)
		}
		for i, z := range column {
			x[i*width+j] = z
		}
	}
	return first(failures)
}

// encodeColumn writes a column of the model.
func (e *Encoder) encodeColumn(j int, cells *data.Cells, from int, z []float32) error {
	c := &e.columns[j]
	if c.place < 0 {
		for i := range z {
			z[i] = absent
		}
		return nil
	}
	if err := c.encode(&cells.Columns[c.place], z); err != nil {
		err.row += from
		return err.located(e.path, c.place, c.column.Name)
	}
	return nil
}

// Notices tells what should be known of the cells encoded so far.
func (e *Encoder) Notices() []Notice {
	notices := e.notices[:len(e.notices):len(e.notices)]
	for i := range e.columns {
		c := &e.columns[i]
		if c.unseen == 0 {
			continue
		}
		what := "an unknown category"
		if c.column.Kind == Binary {
			what = "missing"
		}
		notices = append(notices, Notice{c.column.Name, fmt.Sprintf("%d cells with texts that the schema does not have, the first %s, are taken as %s", c.unseen, shown(c.example), what)})
	}
	return notices
}

// absent is the value of a missing cell.
var absent = float32(math.NaN())

// columnEncoder encodes the cells of one column.
type columnEncoder struct {
	column  *Column
	place   int // in the frame, -1 if that lacks it
	missing *markers
	scaler  scaler
	codes   map[string]int32 // of categories
	keys    map[string]int32 // of categories by number, or by the word of a boolean

	unseen  int // cells of no category that training rows had, rare ones aside
	example string
}

func newColumnEncoder(s *Schema, c *Column) columnEncoder {
	e := columnEncoder{column: c, missing: newMarkers(s.markers(c))}
	if c.Kind.scaled() {
		e.scaler = newScaler(c)
		return e
	}
	first := int32(1) // 0 is the unknown category
	if c.Kind == Binary {
		first = 0
	}
	e.codes, e.keys = make(map[string]int32, len(c.Fit.Categories)), map[string]int32{}
	for i, category := range c.Fit.Categories {
		code := first + int32(i)
		e.codes[category] = code
		if key := numberKey(category); key != "" {
			if _, taken := e.keys[key]; !taken {
				e.keys[key] = code
			}
		}
	}
	if c.Kind == Binary && wordKey(c.Fit.Categories[0]) == "false" && wordKey(c.Fit.Categories[1]) == "true" {
		e.keys["false"], e.keys["true"] = 0, 1
	}
	return e
}

// encode writes the value of each cell to z.
func (e *columnEncoder) encode(v *data.Values, z []float32) *cellError {
	for row := range z {
		var err *cellError
		switch {
		case v.IsAbsent(row):
			z[row] = absent
		case e.codes != nil:
			z[row] = e.code(v, row)
		case v.Text != nil:
			z[row], err = e.textNumber(v.Text[row])
		default:
			z[row], err = e.scaled(number(v, row))
		}
		if err != nil {
			err.row = row
			return err
		}
	}
	return nil
}

// code is the code of a category.
func (e *columnEncoder) code(v *data.Values, row int) float32 {
	if v.Numbers != nil && math.IsNaN(v.Numbers[row]) {
		return absent
	}
	text := textOf(v, row)
	if v.Text != nil && e.missing.has(text) {
		return absent
	}
	if code, known := e.codes[text]; known {
		return float32(code)
	}
	if code, known := e.keys[numberKey(text)]; known {
		return float32(code)
	}
	if code, known := e.keys[wordKey(text)]; known {
		return float32(code)
	}
	if e.unseen == 0 {
		e.example = strings.Clone(text)
	}
	e.unseen++
	if e.column.Kind == Binary {
		return absent
	}
	return 0
}

func (e *columnEncoder) textNumber(cell string) (float32, *cellError) {
	cell = trimmed(cell)
	if e.missing.has(cell) {
		return absent, nil
	}
	if e.column.Kind == Time {
		seconds, nanoseconds, _, ok := parseTime(cell)
		if !ok {
			return 0, strayCell(cell, Time)
		}
		return e.scaled(float64(seconds) + float64(nanoseconds)/1e9)
	}
	x, _, ok := parseNumber(cell)
	switch {
	case ok:
		return e.scaled(x)
	case isInfinity(cell):
		return 0, infiniteCell(cell)
	}
	return 0, strayCell(cell, e.column.Kind)
}

// scaled is the model's value of a number.
func (e *columnEncoder) scaled(x float64) (float32, *cellError) {
	if math.Abs(x) > greatest {
		return 0, infiniteCell(fmt.Sprint(x))
	}
	z := float32(e.scaler.apply(x))
	if math.IsInf(float64(z), 0) {
		return 0, &cellError{problem: fmt.Sprintf("%g leaves the range of float32 when scaled", x), remedy: "remove the outlier, or list it as missing"}
	}
	return z, nil
}
