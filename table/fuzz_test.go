package table

import (
	"context"
	"strings"
	"testing"

	"gpudae/data"
)

// Any table of texts has a schema or an error in one line; a schema encodes its
// table to finite numbers, with gaps where a marker was, and these come back as
// the texts, or as numbers within their extremes.
func FuzzTable(f *testing.F) {
	f.Add(byte(0), "a,1,yes\nb,2.5,no\na,,yes\nb,1e5,?")
	f.Add(byte(1), "2024-01-01,007\n2024-01-02T10:00Z,1\n,2\n2024-01-02,3")
	f.Add(byte(2), "1,inf\n2,1\n-0,2\n1e-400,3\n9e149,4\n1e151,5")
	f.Add(byte(3), "True,t\nfalse,F\nTRUE,T\n,\x80\nfalse,\x80")
	f.Add(byte(7), "9999-12-31 23:59:59.999999999+23:59\n0000-01-01\n31.12.1969\n31.12.1969")
	f.Fuzz(func(t *testing.T, choice byte, text string) {
		const mostCells = 400
		frame := tableOf(text, mostCells)
		limits := DefaultLimits()
		limits.Values, limits.Knots = 2+int(choice>>2)%8, 2+int(choice>>5)
		s, _, err := Infer(context.Background(), frame, Options{Scaling: Scalings()[choice%4], Limits: limits})
		if err != nil {
			wantError(t, err)
			return
		}
		if again, err := ParseSchema("s", s.JSON()); err != nil || string(again.JSON()) != string(s.JSON()) {
			t.Fatalf("%v in\n%s", err, s.JSON())
		}
		store, err := Encode(context.Background(), frame, s, StoreOptions{})
		if err != nil {
			wantError(t, err)
			return
		}
		defer store.Close()
		store.Records().Check(store.Rows(), len(s.Used()))
		checkDecoded(t, frame, s, store)
	})
}

// tableOf makes a frame of lines of cells with commas between, as wide as the first.
func tableOf(text string, mostCells int) data.Frame {
	lines := strings.Split(text, "\n")
	width := len(strings.Split(lines[0], ","))
	lines = lines[:min(len(lines), max(mostCells/width, 1))]
	cells := &data.Cells{Rows: len(lines), Columns: make([]data.Values, width)}
	names := make([]data.FrameColumn, width)
	for j := range width {
		names[j] = data.FrameColumn{Name: strings.Repeat("x", j), Type: data.Text}
		cells.Columns[j].Text = make([]string, len(lines))
	}
	for i, line := range lines {
		for j, cell := range strings.SplitN(line, ",", width) {
			cells.Columns[j].Text[i] = cell
		}
	}
	return data.NewFrame("fuzz", names, cells)
}

func checkDecoded(t *testing.T, frame data.Frame, s *Schema, store *Store) {
	if err := frame.Rewind(); err != nil {
		t.Fatal(err)
	}
	cells, err := frame.Next(context.Background(), store.Rows())
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.NewDecoder(false)
	if err != nil {
		t.Fatal(err)
	}
	got := d.Decode(values(store))
	missing := newMarkers(s.Missing)
	for j, i := range s.Used() {
		c := &s.Columns[i]
		encoder := newColumnEncoder(s, c)
		for row, cell := range cells.Columns[i].Text {
			cell = strings.TrimSpace(cell)
			if absent := missing.has(cell); absent != got.Columns[j].IsAbsent(row) {
				t.Fatalf("%q of kind %s: absent is %v", cell, c.Kind, !absent)
			} else if absent {
				continue
			}
			text := got.Columns[j].Text[row]
			switch {
			case !c.Kind.scaled():
				code, known := encoder.codes[cell]
				if known && text != cell {
					t.Fatalf("%q, of code %d of kind %s, became %q", cell, code, c.Kind, text)
				}
			case c.Kind == Time:
				if _, _, _, ok := parseTime(text); !ok {
					t.Fatalf("the time %q became %q", cell, text)
				}
			default:
				if x, _, ok := parseNumber(text); !ok || x < c.Fit.Low-step(c) || x > c.Fit.High+step(c) {
					t.Fatalf("%q became %q, which is not from %v to %v", cell, text, c.Fit.Low, c.Fit.High)
				}
			}
		}
	}
}

// step is what writing a number as text may change it by.
func step(c *Column) float64 {
	number, _ := c.formats()
	if number.exponent {
		return 1e-6 * max(c.Fit.High, -c.Fit.Low)
	}
	return 1 / exactPowers[number.decimals]
}
