package serve

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"gorgonia.org/tensor"

	"gpudae/data"
)

// Table makes a server one of a table of mixed columns. Its functions are called
// by many goroutines.
type Table struct {
	Columns []Column    // that bodies may have
	Header  data.Header // of CSV bodies
	// Encode returns the rows of a body as the model takes them, [rows, columns that
	// are used] in the order of Columns. It fails with *data.Error, whose row counts
	// from 1.
	Encode     func(info data.FrameInfo, cells *data.Cells) ([]float32, error)
	Operations []TableOperation
}

// operations are those of a table, none of no table.
func (t *Table) operations() []TableOperation {
	if t == nil {
		return nil
	}
	return t.Operations
}

// used are the columns that the model knows.
func (t *Table) used() (columns []Column) {
	for _, c := range t.Columns {
		if c.Used {
			columns = append(columns, c)
		}
	}
	return columns
}

// Column is a column of a Table.
type Column struct {
	Name string
	Used bool // by the model: every body has it. Any cell may stand in another
	// Type is that of a cell as JSON has it: Number and Integer are numbers, Boolean
	// is true or false, Text and Time are strings.
	Type data.CellType
	// Categories are the values of a column of categories, nil of others. A body may
	// have others, and numbers, true and false in their place.
	Categories  []string
	Description string
}

// Rows are those of a request.
type Rows struct {
	Info data.FrameInfo // of the body: its columns in its order, all of text
	// Cells hold what the body has, an absent cell for null. Raw are the cells as
	// they are written in it.
	Cells *data.Cells
	X     []float32 // as Table.Encode returns them
	// Quote is the text of a cell as the body would write it in a column.
	Quote func(column int, text string) string
}

// TableOperation is what POST /v1/NAME computes of rows of a Table.
type TableOperation struct {
	Name       string
	Summary    string // for the description
	Parameters []Parameter
	// Request reads the parameters of a request, each given once. It is called by
	// many goroutines; its error is told to the client.
	Request func(given url.Values) (*Request, error)
	// Compute returns a row for each row of x [rows, columns that are used]. numbers
	// are those of the rows in their requests, from 0, so that what is drawn need
	// not depend on the requests that are computed together; shared is that of all
	// of them. Only one goroutine calls it.
	Compute func(ctx context.Context, x *tensor.Dense, numbers []int, shared any) (*tensor.Dense, error)
}

// Parameter describes a parameter of a request, in the query of its URL.
type Parameter struct {
	Name, Description string
	Schema            map[string]any // JSON Schema of its value
}

// Request is what a request asks for.
type Request struct {
	Shared any // comparable: requests of one operation with equal Shared are computed together
	Copies int // of each row that Compute works on; their number counts as rows do
	// Answer makes the answer of what Compute returned for the rows.
	Answer func(rows *Rows, y *tensor.Dense) (*Answer, error)
}

// Answer is that to a request: a table, or several with the same columns.
type Answer struct {
	Info data.FrameInfo // Columns, and Named: whether CSV has a line of names
	// Like says of each column of texts which column's cells they are spelled like,
	// so that JSON has its type; nil: texts. Like itself may be nil.
	Like   []*Column
	Tables []*data.Cells
	Draws  bool // whether the tables are draws: "draws" in JSON. Otherwise there is one table
	// Preserved says that Tables have the Raw cells of the body, among them those
	// that were filled in.
	Preserved bool
}

func (op *TableOperation) compute(ctx context.Context, x *tensor.Dense, numbers []int, shared any) (*tensor.Dense, error) {
	return op.Compute(ctx, x, numbers, shared)
}

// request reads the parameters.
func (op *TableOperation) request(given url.Values) (*Request, error) {
	for key, values := range given {
		known := slices.ContainsFunc(op.Parameters, func(p Parameter) bool { return p.Name == key })
		if !known {
			return nil, refuse(http.StatusBadRequest, "unknown parameter %s", strconv.QuoteToASCII(key))
		}
		if len(values) > 1 {
			return nil, refuse(http.StatusBadRequest, "%s is given twice", key)
		}
	}
	request, err := op.Request(given)
	if err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	return request, nil
}

// computeTable is the computation of rows of a table.
func (s *Server) computeTable(ctx context.Context, op *TableOperation, request *Request, kind, wanted string, body []byte) (text []byte, count int, err error) {
	if wanted == typeCSV && request.Copies > 1 {
		return nil, 0, refuse(http.StatusUnprocessableEntity, "%d tables; CSV holds one, so ask for %s", request.Copies, typeJSON)
	}
	t := s.config.Table
	rows, err := t.parse(ctx, kind, body, s.config.Limits.Rows)
	if err != nil {
		return nil, 0, err
	}
	count = rows.Cells.Rows
	if most := s.config.Limits.Rows; count*request.Copies > most {
		return nil, 0, refuse(http.StatusRequestEntityTooLarge, "%d times %d rows; send at most %d at a time", request.Copies, count, most)
	}
	x := tensor.New(tensor.WithShape(count, len(rows.X)/count), tensor.WithBacking(rows.X))
	y, err := s.batcher.compute(&job{ctx: ctx, group: group{op, request.Shared}, x: x})
	if err != nil {
		return nil, 0, err
	}
	answer, err := request.Answer(rows, y)
	if err != nil {
		return nil, 0, fromCells(err)
	}
	text, err = answer.text(wanted, kind)
	return text, count, err
}

// parse reads the rows of a body.
func (t *Table) parse(ctx context.Context, kind string, body []byte, most int) (rows *Rows, err error) {
	if kind == typeCSV {
		rows, err = t.parseCSV(ctx, body, most)
	} else {
		rows, err = t.parseJSON(body, most)
	}
	if err != nil {
		return nil, err
	}
	if rows.Cells.Rows == 0 {
		return nil, noRows()
	}
	if rows.X, err = t.Encode(rows.Info, rows.Cells); err != nil {
		return nil, fromCells(err)
	}
	return rows, nil
}

// columnsOf are the columns of the table that a body has, by place; nil where it has
// one of its own.
func (t *Table) columnsOf(info data.FrameInfo) []*Column {
	known := make(map[string]*Column, len(t.Columns))
	for i := range t.Columns {
		known[t.Columns[i].Name] = &t.Columns[i]
	}
	columns := make([]*Column, len(info.Columns))
	for i, c := range info.Columns {
		columns[i] = known[c.Name]
	}
	return columns
}

// checkNames compares the columns of a body with those of the table: it has those
// that are used, none twice, and none that the table does not have.
func (t *Table) checkNames(info data.FrameInfo) error {
	given := map[*Column]bool{}
	for i, c := range t.columnsOf(info) {
		p := &problem{status: http.StatusUnprocessableEntity, column: i + 1}
		switch {
		case c == nil:
			p.text = "the model knows no column " + strconv.QuoteToASCII(info.Columns[i].Name)
			return p
		case given[c]:
			p.columnName, p.text = c.Name, "two columns have this name"
			return p
		}
		given[c] = true
	}
	for i := range t.Columns {
		if c := &t.Columns[i]; c.Used && !given[c] {
			return lacking(0, c.Name)
		}
	}
	return nil
}

// lacking is the problem of a body, or of a row of it, without a column.
func lacking(row int, name string) *problem {
	return &problem{status: http.StatusUnprocessableEntity, row: row, text: "there is no column " + strconv.QuoteToASCII(name) + "; a missing value is null, in CSV an empty cell"}
}

// fromCells is the problem of a cell, or of a text, that package data or Encode
// found.
func fromCells(err error) error {
	var bad *data.Error
	if !errors.As(err, &bad) {
		return err
	}
	p := fromData(bad, nil).(*problem)
	p.status, p.columnName = http.StatusUnprocessableEntity, bad.ColumnName
	if bad.Line > 0 {
		p.text = "line " + strconv.Itoa(bad.Line) + ": " + p.text
	}
	return p
}
