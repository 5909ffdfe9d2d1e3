package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func written(t *testing.T, p Page) string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestNothingFromOutside: names are text and nothing else, and no address in the
// page leads out of it.
func TestNothingFromOutside(t *testing.T) {
	const evil = `<script src="http://x/">alert(1)</script>`
	page := written(t, Page{Title: evil, Lead: evil, Tiles: []Fact{{evil, evil, evil}}, Foot: evil, Sections: []Section{{
		Title: evil, Text: evil, Facts: []Fact{{evil, evil, evil}}, Details: []Preformatted{{evil, evil}},
		Charts:  []Chart{{Name: evil, Epochs: []int{1, 2}, Curves: []Curve{{evil, []float64{1, 2}}, {"b", []float64{2, 1}}}}},
		Figures: []Figure{{Caption: evil, PNG: []byte("png"), Width: 4, Height: 2}},
		Tables:  []Table{{evil, []string{evil}, []Row{{Cells: []string{evil, evil}, Share: 0.25}}}},
	}}})
	if strings.Contains(page, "<script") {
		t.Error("a name became a script")
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"|url\(([^)]*)\)`).FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(m[1]+m[2], "data:") {
			t.Errorf("the page refers to %s", m[0])
		}
	}
	for _, want := range []string{`src="data:image/png;base64,cG5n"`, `width="2" height="1"`, `style="--share: 25.0%"`, `name="viewport"`, "prefers-color-scheme: dark"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// TestChartIsXML: with values missing, equal or single, a chart is well formed and
// its numbers are finite.
func TestChartIsXML(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]Chart{
		"two":    {Epochs: []int{1, 2, 3}, Best: 2, Curves: []Curve{{"a", []float64{3, 1, nan}}, {"b", []float64{nan, math.Inf(1), 2}}}},
		"one":    {Epochs: []int{7}, Best: 7, Curves: []Curve{{"a", []float64{3}}}},
		"none":   {Epochs: []int{1, 2}, Curves: []Curve{{"a", []float64{nan, nan}}}},
		"equal":  {Epochs: []int{1, 2}, Curves: []Curve{{"a", []float64{5, 5}}}},
		"zeroes": {Epochs: []int{1, 2}, Zero: true, Curves: []Curve{{"a", []float64{0, 0}}}},
	} {
		text := string(c.SVG())
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: a number that is none in %s", name, text)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      []float64
	}{{0, 10, []float64{0, 2, 4, 6, 8, 10}}, {17, 23, []float64{18, 20, 22}}, {-1, 1, []float64{-1, -0.5, 0, 0.5, 1}}} {
		if got := ticks(c.low, c.high, 5); !slices.Equal(got, c.want) {
			t.Errorf("ticks from %g to %g: %v, want %v", c.low, c.high, got, c.want)
		}
	}
}
