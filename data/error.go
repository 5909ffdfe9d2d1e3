package data

import (
	"fmt"
	"strings"
	"unicode"
)

// Error is data that cannot be used, or is not there: what is wrong, where, and
// how to mend it. Every failure of this package that the data are to blame for
// is an *Error; a cancelled context and a failed write are not.
type Error struct {
	Path       string // of the file, or the name of a built-in data set
	Line       int    // of a text file, from 1; 0 where the word has no meaning
	Row        int    // of a file that is no text, from 1; 0 if no row is at fault
	Column     int    // from 1; 0 if no column is at fault
	ColumnName string // empty if the column has none
	Problem    string
	Remedy     string // empty if there is no advice
	Err        error  // the cause, if it is an error of another package
}

// Error formats as "WHERE: WHAT; HOW TO MEND IT", in one line.
func (e *Error) Error() string {
	var where []string
	if e.Line > 0 {
		where = append(where, fmt.Sprintf("line %d", e.Line))
	}
	if e.Row > 0 {
		where = append(where, fmt.Sprintf("row %d", e.Row))
	}
	switch {
	case e.Column > 0 && e.ColumnName != "":
		where = append(where, fmt.Sprintf("column %d (%s)", e.Column, e.ColumnName))
	case e.Column > 0:
		where = append(where, fmt.Sprintf("column %d", e.Column))
	case e.ColumnName != "":
		where = append(where, "column "+e.ColumnName)
	}
	message := e.Path + ": "
	if len(where) > 0 {
		message += strings.Join(where, ", ") + ": "
	}
	message += e.Problem
	if e.Remedy != "" {
		message += "; " + e.Remedy
	}
	return strings.Map(printable, message)
}

// printable keeps a name or a cell of a file from breaking the line, or from
// talking to the terminal.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
