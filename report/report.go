// Package report writes the page about a run: one HTML file that needs nothing
// beside it, neither the network nor a script. Pictures and style lie within it,
// curves are drawn in the page's own colours, light or dark as the reader's system
// is, and the layout fits a phone.
//
//	err := report.Write(w, report.Page{Title: "digits", Sections: ...})
//
// The package must not know models, training or files: it is given text, numbers
// and encoded pictures.
package report

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
)

// Page is what a page shows, from top to bottom.
type Page struct {
	Title    string
	Lead     string // a sentence about all of it
	Tiles    []Fact // the numbers that matter most
	Sections []Section
	Foot     string
}

// Fact is a named value.
type Fact struct{ Name, Value, Note string }

// Section is a part of the page. What is empty is left out.
type Section struct {
	Title   string
	Text    string
	Charts  []Chart
	Figures []Figure
	Tables  []Table
	Facts   []Fact
	Details []Preformatted
}

// Table is rows under a head. The first column holds names.
type Table struct {
	Caption string
	Head    []string
	Rows    []Row
}

// Row is a row of a table.
type Row struct {
	Cells  []string
	Strong bool    // whether it is the one to look at
	Share  float64 // of 1: drawn as a bar behind the last cell, if it is positive
}

// Percent is the length of the bar.
func (r Row) Percent() string {
	return fmt.Sprintf("%.1f%%", 100*min(max(r.Share, 0), 1))
}

// Figure is a picture on a white ground.
type Figure struct {
	Caption string
	PNG     []byte
	Width   int  // pixels, of which two make one of the page's
	Height  int  // likewise
	Drawing bool // whether it is lines and dots, whose lightness a dark page turns round, and not an image of data
	Wide    bool // whether it takes the whole width
}

// Source is the picture as an address.
func (f Figure) Source() template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(f.PNG))
}

// Shown is the width in the page's pixels.
func (f Figure) Shown() int { return f.Width / 2 }

// Tall is the height in the page's pixels.
func (f Figure) Tall() int { return f.Height / 2 }

// Preformatted is text in columns, folded under its name.
type Preformatted struct{ Name, Text string }

//go:embed page.html
var layout string

//go:embed style.css
var style string

// Write writes the page.
func Write(w io.Writer, p Page) error {
	t, err := template.New("page").Funcs(template.FuncMap{"style": func() template.CSS { return template.CSS(style) }}).Parse(layout)
	if err != nil {
		return fmt.Errorf("the layout of a report: %w", err)
	}
	return t.Execute(w, p)
}
