package table

import (
	"math"
	"strconv"
	"time"

	"gpudae/data"
)

// Unknown is what is written for a category that the schema does not have.
const Unknown = "unknown"

// Decoder turns rows of a model into cells. It is safe for concurrent use.
type Decoder struct {
	typed   bool
	columns []columnDecoder
}

// NewDecoder makes a decoder of the columns that are used. As text, a cell looks
// as in the data that the schema was fitted to: the decimals of numbers, the
// format of times, the spelling of categories. typed is for formats with types:
// numbers, integers, booleans and times as themselves. It fails with *data.Error
// if the schema is not fitted.
func (s *Schema) NewDecoder(typed bool) (*Decoder, error) {
	if err := s.CheckFitted(s.Name); err != nil {
		return nil, err
	}
	d := &Decoder{typed: typed}
	for _, i := range s.Used() {
		d.columns = append(d.columns, newColumnDecoder(&s.Columns[i], typed))
	}
	return d, nil
}

// Columns are the names and types of the cells.
func (d *Decoder) Columns() []data.FrameColumn {
	columns := make([]data.FrameColumn, len(d.columns))
	for i, c := range d.columns {
		columns[i] = data.FrameColumn{Name: c.column.Name, Type: c.typ}
	}
	return columns
}

// Decode returns the cells of x, [rows, columns] row-major: numbers back in their
// units and within the column's bounds, those of integers rounded; the value of a
// binary column that is 1 from 0.5 on; the name of a category, Unknown for code 0
// (in a typed column that is no text: an absent cell). NaN is absent, an empty
// text.
func (d *Decoder) Decode(x []float32) *data.Cells {
	width := len(d.columns)
	rows := len(x) / width
	if len(x) != rows*width {
		panic("table: Decode of a part of a row")
	}
	cells := &data.Cells{Rows: rows, Columns: make([]data.Values, width)}
	for j := range d.columns {
		cells.Columns[j] = d.columns[j].decode(x[j:], rows, width)
	}
	return cells
}

// Number is a value z of a column of the model, counted from 0, in the column's
// units: as in its cells, but for texts and categories, whose value it is.
func (d *Decoder) Number(column int, z float32) float64 {
	c := &d.columns[column]
	if !c.column.Kind.scaled() {
		return float64(z)
	}
	return c.value(float64(z))
}

// Observed is Number of a value that was there: what is written back keeps to the
// column's bounds, what was read need not.
func (d *Decoder) Observed(column int, z float32) float64 {
	c := &d.columns[column]
	if !c.column.Kind.scaled() {
		return float64(z)
	}
	return c.rounded(c.scaler.invert(float64(z)))
}

type columnDecoder struct {
	column    *Column
	typ       data.CellType // of its cells
	scaler    scaler
	low, high float64
	number    numberFormat
	time      timeFormat
	layout    string
}

func newColumnDecoder(c *Column, typed bool) columnDecoder {
	d := columnDecoder{column: c, typ: data.Text}
	if typed {
		d.typ = cellType(c)
	}
	if !c.Kind.scaled() {
		return d
	}
	d.scaler = newScaler(c)
	d.low, d.high = c.bounds()
	d.number, d.time = c.formats()
	d.layout = d.time.layout()
	return d
}

// cellType is the type of a column's cells in a format with types.
func cellType(c *Column) data.CellType {
	switch {
	case !c.Kind.scaled():
		return c.Type
	case c.Kind == Time:
		return data.Time
	case c.Kind == Integer && c.Type != data.Number && c.fitsInteger():
		return data.Integer
	}
	return data.Number
}

// fitsInteger reports whether an int64 holds the column's numbers.
func (c *Column) fitsInteger() bool {
	return c.Type == data.Integer || c.Fit.Low >= math.MinInt64 && c.Fit.High < math.MaxInt64
}

// bounds are those of what is written back.
func (c *Column) bounds() (low, high float64) {
	low, high = c.Fit.Low, c.Fit.High
	if c.Bounds != nil {
		low, high = math.Inf(-1), math.Inf(1)
		if c.Bounds.Low != nil {
			low = *c.Bounds.Low
		}
		if c.Bounds.High != nil {
			high = *c.Bounds.High
		}
	}
	if c.Kind == Integer {
		return math.Ceil(low), math.Floor(high)
	}
	// Those of what can be written: 0.3 for 0.25 with one decimal.
	r := c.rounding()
	within, below := r.Round(low), r.Round(high)
	if within < low {
		within = r.Round(within + r.Step/r.Per)
	}
	if below > high {
		below = r.Round(below - r.Step/r.Per)
	}
	if within <= below {
		return within, below
	}
	return low, high
}

// formats are how the column's numbers or times are written: as it says, or as
// suits the kind.
func (c *Column) formats() (numberFormat, timeFormat) {
	number := numberFormat{exponent: c.Kind != Integer}
	moment := timeFormat{separator: '-', join: 'T', seconds: true, zone: true}
	if c.Kind == Time {
		if f, ok := parseTimeFormat(c.Format); ok {
			moment = f
		}
	} else if f, ok := parseNumberFormat(c.Format); ok {
		number = f
	}
	return number, moment
}

// Text is a number of a column of numbers or times as text, in its format.
func (c *Column) Text(x float64) string {
	number, moment := c.formats()
	if c.Kind == Time {
		return string(moment.append(nil, x, moment.layout()))
	}
	return string(number.append(nil, x))
}

// decode makes the cells of x[0], x[step], ...
func (d *columnDecoder) decode(x []float32, rows, step int) data.Values {
	var v data.Values
	d.allocate(&v, rows)
	var scratch []byte
	for row := range rows {
		z := x[row*step]
		if z != z || !d.put(&v, row, z, &scratch) {
			if v.Absent == nil {
				v.Absent = make([]bool, rows)
			}
			v.Absent[row] = true
		}
	}
	return v
}

func (d *columnDecoder) allocate(v *data.Values, rows int) {
	switch d.typ {
	case data.Number:
		v.Numbers = make([]float64, rows)
	case data.Integer:
		v.Integers = make([]int64, rows)
	case data.Boolean:
		v.Booleans = make([]bool, rows)
	case data.Time:
		v.Times = make([]int64, rows)
	default:
		v.Text = make([]string, rows)
	}
}

// put writes one cell, or reports that there is none of the type.
func (d *columnDecoder) put(v *data.Values, row int, z float32, scratch *[]byte) bool {
	if !d.column.Kind.scaled() {
		category, known := d.category(z)
		return putCategory(v, row, category, known)
	}
	x := d.value(float64(z))
	switch {
	case v.Numbers != nil:
		v.Numbers[row] = x
	case v.Integers != nil:
		v.Integers[row] = wholeNumber(x)
	case v.Times != nil:
		v.Times[row] = nanosecondsOf(d.time.moment(x))
	case d.column.Kind == Time:
		*scratch = d.time.append((*scratch)[:0], x, d.layout)
		v.Text[row] = string(*scratch)
	default:
		*scratch = d.number.append((*scratch)[:0], x)
		v.Text[row] = string(*scratch)
	}
	return true
}

// value is a number in its units.
func (d *columnDecoder) value(z float64) float64 {
	return min(max(d.rounded(min(max(d.scaler.invert(z), d.low), d.high)), d.low), d.high)
}

// rounded is a number as cells of the column can say it.
func (d *columnDecoder) rounded(x float64) float64 {
	switch {
	case d.column.Kind == Integer:
		return math.Round(x)
	case d.column.Kind == Time:
		t := d.time.moment(x)
		return float64(t.Unix()) + float64(t.Nanosecond())/1e9
	case d.column.Type == data.Text:
		return d.number.round(x)
	}
	return x
}

// category is the name of a binary or categorical value, if it has one.
func (d *columnDecoder) category(z float32) (name string, known bool) {
	categories := d.column.Fit.Categories
	if d.column.Kind == Binary {
		if z >= 0.5 {
			return categories[1], true
		}
		return categories[0], true
	}
	code := math.Round(float64(z))
	if !(code >= 1 && code <= float64(len(categories))) {
		return Unknown, false
	}
	return categories[int(code)-1], true
}

// putCategory writes the category as a cell of the type.
func putCategory(v *data.Values, row int, category string, known bool) bool {
	var err error
	switch {
	case v.Text != nil:
		v.Text[row] = category
		return true
	case !known:
		return false
	case v.Numbers != nil:
		v.Numbers[row], err = strconv.ParseFloat(category, 64)
	case v.Integers != nil:
		v.Integers[row], err = strconv.ParseInt(category, 10, 64)
	case v.Booleans != nil:
		v.Booleans[row], err = strconv.ParseBool(category)
	case v.Times != nil:
		var t time.Time
		t, err = time.Parse(timeText, category)
		v.Times[row] = nanosecondsOf(t)
	}
	return err == nil
}

// wholeNumber is x as an int64, the nearest that there is.
func wholeNumber(x float64) int64 {
	switch {
	case x >= math.MaxInt64:
		return math.MaxInt64
	case x <= math.MinInt64:
		return math.MinInt64
	}
	return int64(x)
}

// nanosecondsOf is the time since 1970, the nearest that 64 bits have.
func nanosecondsOf(t time.Time) int64 {
	const most = math.MaxInt64 / int64(time.Second)
	switch s := t.Unix(); {
	case s >= most:
		return math.MaxInt64
	case s <= -most:
		return math.MinInt64
	}
	return t.UnixNano()
}
