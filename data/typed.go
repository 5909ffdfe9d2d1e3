package data

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ColumnSummary says what the cells of a column are.
type ColumnSummary struct {
	Name     string   `json:"name"`
	Type     CellType `json:"type"`
	Missing  int      `json:"missing"`  // absent, and in a text empty or one of MissingCells
	Distinct int      `json:"distinct"` // different cells that are there; DistinctMost+1: more than DistinctMost
}

// DistinctMost is the number of different cells of a column that are counted.
const DistinctMost = 10_000

// FrameSummary describes a frame, having read all of it.
type FrameSummary struct {
	Name    string          `json:"name"`
	Path    string          `json:"path,omitempty"`
	Format  string          `json:"format"`
	Rows    int             `json:"rows"`
	Columns []ColumnSummary `json:"columns"`
	SHA256  string          `json:"sha256"`

	columns []FrameColumn
}

// Numeric reports whether Open takes all columns for numbers: true and false are but
// in a text.
func (s FrameSummary) Numeric() bool {
	for _, c := range s.Columns {
		if c.Type != Number && c.Type != Integer && !(c.Type == Boolean && s.Format != "csv") {
			return false
		}
	}
	return true
}

// Summarise reads a frame and goes back to its first row. The type of a column of text is
// the narrowest that all its cells have: whole numbers in plain decimals ("007" is
// text), numbers, true and false, times as FormatTime writes them, or text. It
// fails as Next does.
func Summarise(ctx context.Context, f Frame) (FrameSummary, error) {
	info := f.Info()
	s := FrameSummary{Name: info.Name, Path: info.Path, Format: info.Format, SHA256: info.SHA256}
	columns := make([]*columnSummary, len(info.Columns))
	for c, column := range info.Columns {
		columns[c] = &columnSummary{column: column, may: textTypes(), distinct: map[string]struct{}{}}
	}
	for {
		cells, err := f.Next(ctx, blockRows)
		if err == io.EOF {
			break
		}
		if err != nil {
			return s, err
		}
		s.Rows += cells.Rows
		for c := range cells.Columns {
			columns[c].add(&cells.Columns[c])
		}
	}
	for _, c := range columns {
		typed := c.typed()
		s.columns = append(s.columns, typed)
		s.Columns = append(s.Columns, ColumnSummary{typed.Name, typed.Type, c.missing, len(c.distinct)})
	}
	return s, f.Rewind()
}

// columnSummary is a column that is being read.
type columnSummary struct {
	column   FrameColumn
	may      []textType // of text: the types that all cells so far have
	present  bool
	missing  int
	distinct map[string]struct{}
}

// textType is a type that the cells of a text may have.
type textType struct {
	column FrameColumn
	parse  func(cell string, to *Values, row int) bool
}

// textTypes are in the order in which they are preferred.
func textTypes() []textType {
	return []textType{
		{FrameColumn{Type: Integer}, func(cell string, to *Values, row int) bool {
			v, err := strconv.ParseInt(cell, 10, 64)
			if err != nil || strconv.FormatInt(v, 10) != cell {
				return false
			}
			to.Integers[row] = v
			return true
		}},
		{FrameColumn{Type: Number}, func(cell string, to *Values, row int) bool {
			v, err := strconv.ParseFloat(cell, 64)
			if err != nil || v != v || padded(cell) || strings.ContainsAny(cell, "xX_") || whole(cell) && math.Abs(v) > 1<<53 {
				return false
			}
			to.Numbers[row] = v
			return true
		}},
		{FrameColumn{Type: Boolean}, func(cell string, to *Values, row int) bool {
			to.Booleans[row] = strings.EqualFold(cell, "true")
			return to.Booleans[row] || strings.EqualFold(cell, "false")
		}},
		{FrameColumn{Type: Time, Dates: true}, func(cell string, to *Values, row int) bool {
			return parseTime(time.DateOnly, cell, to, row)
		}},
		{FrameColumn{Type: Time}, func(cell string, to *Values, row int) bool {
			return parseTime(time.RFC3339Nano, cell, to, row) || parseTime("2006-01-02 15:04:05", cell, to, row)
		}},
	}
}

// whole reports whether a cell is digits with a sign, which beyond 2^53 name things.
func whole(cell string) bool { return strings.Trim(cell, "+-0123456789") == "" }

// padded reports whether a number starts with zeros that it does not need.
func padded(cell string) bool {
	digits := strings.TrimLeft(cell, "+-")
	return len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9'
}

func parseTime(layout, cell string, to *Values, row int) bool {
	when, err := time.Parse(layout, cell)
	if err != nil || when.Year() < 1678 || when.Year() > 2261 {
		return false
	}
	to.Times[row] = when.UnixNano()
	return true
}

// add reads a block of cells.
func (c *columnSummary) add(v *Values) {
	one := Values{Integers: make([]int64, 1), Numbers: make([]float64, 1), Booleans: make([]bool, 1), Times: make([]int64, 1)}
	for i := range v.Len() {
		cell := ""
		if v.Text != nil {
			cell = strings.TrimSpace(v.Text[i])
		}
		if v.IsAbsent(i) || v.Text != nil && isMissing(cell) {
			c.missing++
			continue
		}
		c.present = true
		if v.Text == nil {
			cell = v.class(i)
		}
		if _, seen := c.distinct[cell]; seen {
			continue
		}
		if len(c.distinct) <= DistinctMost {
			c.distinct[strings.Clone(cell)] = struct{}{} // a part would keep its block in memory
		}
		if v.Text != nil {
			c.may = slices.DeleteFunc(c.may, func(t textType) bool { return !t.parse(cell, &one, 0) })
		}
	}
}

// typed is the column with the type that all cells have.
func (c *columnSummary) typed() FrameColumn {
	if c.column.Type != Text || !c.present || len(c.may) == 0 {
		return c.column
	}
	t := c.may[0].column
	t.Name = c.column.Name
	return t
}

// typedFrame gives the cells of text in the types that they all have.
type typedFrame struct {
	Frame
	info  FrameInfo
	parse []func(cell string, to *Values, row int) bool // by column; nil: as it is
}

// Typed gives the cells of a frame of text in the types that s says, absent where they are
// missing. Rows are as f gives them, from where it stands.
func Typed(f Frame, s FrameSummary) Frame {
	t := &typedFrame{Frame: f, info: f.Info(), parse: make([]func(string, *Values, int) bool, len(s.Columns))}
	t.info.Columns = slices.Clone(t.info.Columns)
	for c, column := range s.columns {
		if t.info.Columns[c].Type == Text {
			t.parse[c] = parserOf(column)
			t.info.Columns[c] = column
		}
	}
	return t
}

// parserOf makes text a cell of that type.
func parserOf(column FrameColumn) func(string, *Values, int) bool {
	for _, t := range textTypes() {
		if t.column.Type == column.Type && t.column.Dates == column.Dates {
			return t.parse
		}
	}
	return nil
}

func (t *typedFrame) Info() FrameInfo {
	t.info.Rows = t.Frame.Info().Rows
	return t.info
}

func (t *typedFrame) Next(ctx context.Context, max int) (*Cells, error) {
	cells, err := t.Frame.Next(ctx, max)
	if err != nil {
		return nil, err
	}
	for c := range cells.Columns {
		from := cells.Columns[c]
		if from.Text == nil {
			continue
		}
		to := makeValues(t.info.Columns[c].Type, cells.Rows)
		for i, text := range from.Text {
			cell := strings.TrimSpace(text)
			switch {
			case from.IsAbsent(i) || isMissing(cell):
				to.absent(i)
			case t.parse[c] == nil:
				to.Text[i] = text
			case !t.parse[c](cell, &to, i):
				return nil, &Error{Path: t.info.Path, Column: c + 1, ColumnName: t.info.Columns[c].Name, Problem: fmt.Sprintf("%q is no %s, as all cells were when they were read first", shortened(cell), t.info.Columns[c].Type), Remedy: "do not change the file while it is read"}
			}
		}
		cells.Columns[c] = to
	}
	return cells, nil
}
