package table

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"gpudae/data"
)

// texts makes a frame as a CSV file gives it: lines of cells with commas between.
func texts(names string, lines ...string) data.Frame {
	columns := strings.Split(names, ",")
	cells := &data.Cells{Rows: len(lines), Columns: make([]data.Values, len(columns))}
	info := make([]data.FrameColumn, len(columns))
	for j := range columns {
		info[j] = data.FrameColumn{Name: columns[j], Type: data.Text}
		cells.Columns[j].Text = make([]string, len(lines))
	}
	for i, line := range lines {
		for j, cell := range strings.Split(line, ",") {
			cells.Columns[j].Text[i] = cell
		}
	}
	return data.NewFrame("test.csv", info, cells)
}

// column makes a frame of one column of texts.
func column(cells ...string) data.Frame {
	return data.NewFrame("test.csv", []data.FrameColumn{{Name: "x", Type: data.Text}}, &data.Cells{Rows: len(cells), Columns: []data.Values{{Text: cells}}})
}

// repeat is n copies of the cells, one after the other.
func repeat(n int, cells ...string) (all []string) {
	for range n {
		all = append(all, cells...)
	}
	return all
}

func infer(t *testing.T, frame data.Frame, o Options) (*Schema, []Notice) {
	t.Helper()
	s, notices, err := Infer(context.Background(), frame, o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseSchema("schema.json", s.JSON())
	if err != nil {
		t.Fatalf("the schema does not read back: %v in\n%s", err, s.JSON())
	}
	if string(again.JSON()) != string(s.JSON()) {
		t.Fatalf("the schema reads back as\n%s\nand was\n%s", again.JSON(), s.JSON())
	}
	return s, notices
}

// encoded is a store of the frame, closed at the end of the test.
func encoded(t *testing.T, frame data.Frame, s *Schema, o StoreOptions) *Store {
	t.Helper()
	store, err := Encode(context.Background(), frame, s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	store.Records().Check(store.Rows(), len(s.Used()))
	return store
}

// values are all values of a store, row-major.
func values(s *Store) []float32 {
	table := s.Table()
	x := make([]float32, table.Rows*table.Columns)
	for i := range x {
		x[i] = table.At(i)
	}
	return x
}

// decoded are the cells of a store as text, by column; "<absent>" for absent ones.
func decoded(t *testing.T, s *Schema, store *Store) map[string][]string {
	t.Helper()
	d, err := s.NewDecoder(false)
	if err != nil {
		t.Fatal(err)
	}
	cells := d.Decode(values(store))
	all := map[string][]string{}
	for j, c := range d.Columns() {
		for i, text := range cells.Columns[j].Text {
			if cells.Columns[j].IsAbsent(i) {
				text = "<absent>"
			}
			all[c.Name] = append(all[c.Name], text)
		}
	}
	return all
}

// wantError checks that an error is one line of bad data that says all the parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	var bad *data.Error
	if !errors.As(err, &bad) {
		t.Fatalf("the error is %v", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

func wantNotice(t *testing.T, notices []Notice, part string) {
	t.Helper()
	for _, n := range notices {
		if strings.Contains(n.String(), part) {
			return
		}
	}
	t.Errorf("no notice says %q: %v", part, notices)
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}

func numbered(n int, format string) (cells []string) {
	for i := range n {
		cells = append(cells, fmt.Sprintf(format, i))
	}
	return cells
}
