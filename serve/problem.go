package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gpudae/data"
)

// problem is why a request is refused: an HTTP status and one line.
type problem struct {
	status     int
	row        int    // of the body, from 1; 0 if no row is at fault
	column     int    // likewise
	columnName string // empty if the column has none
	text       string
	allow      string // of a 405: the method
}

// Error implements error: "row 2, column 3 (width): what is wrong".
func (p *problem) Error() string {
	var where []string
	if p.row > 0 {
		where = append(where, fmt.Sprintf("row %d", p.row))
	}
	switch {
	case p.column > 0 && p.columnName != "":
		where = append(where, fmt.Sprintf("column %d (%s)", p.column, p.columnName))
	case p.column > 0:
		where = append(where, fmt.Sprintf("column %d", p.column))
	}
	if len(where) == 0 {
		return p.text
	}
	return strings.Join(where, ", ") + ": " + p.text
}

// refuse is a problem of the request as a whole.
func refuse(status int, format string, args ...any) *problem {
	return &problem{status: status, text: fmt.Sprintf(format, args...)}
}

// fromData is a problem that package data found in a body: of a value, or of the
// form.
func fromData(err error, columns []string) error {
	var bad *data.Error
	if !errors.As(err, &bad) {
		return err
	}
	p := &problem{status: http.StatusBadRequest, row: bad.Row, column: bad.Column, text: bad.Problem}
	if bad.Remedy != "" {
		p.text += "; " + bad.Remedy
	}
	if p.row > 0 {
		p.status = http.StatusUnprocessableEntity
	}
	if p.column > 0 && p.column <= len(columns) {
		p.columnName = columns[p.column-1]
	}
	return p
}

// errorJSON is the body of every answer that is not 200.
type errorJSON struct {
	Error  string `json:"error"`
	Row    int    `json:"row,omitempty"`
	Column int    `json:"column,omitempty"`
}

// write answers with the problem.
func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	switch p.status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="gpudae"`)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", p.allow)
	}
	line := strings.Join(strings.Fields(p.Error()), " ")
	text, err := json.Marshal(errorJSON{line, p.row, p.column})
	if err != nil {
		panic(err) // a string and two numbers
	}
	h.Set("Content-Type", typeJSON)
	w.WriteHeader(p.status)
	w.Write(append(text, '\n')) // a client that is gone needs no answer
}
