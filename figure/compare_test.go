package figure

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompare: every run is named, and each has a line.
func TestCompare(t *testing.T) {
	nan := math.NaN()
	draw := func(courses ...Course) string {
		path := filepath.Join(t.TempDir(), "c.svg")
		if err := Compare(path, Comparison{courses, "loss"}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	one := Course{"wide", []int{1, 2, 3}, []float64{3, 2, 1}}
	text := draw(one, Course{"narrow", []int{1, 2}, []float64{nan, 4}})
	for _, want := range []string{">wide<", ">narrow<", ">loss<", ">epoch<"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the figure", want)
		}
	}
	if draw(one) == draw(Course{"wide", []int{1, 2, 3}, []float64{3, 1, 2}}) {
		t.Error("another course gives the same figure")
	}
	if err := Compare(filepath.Join(t.TempDir(), "c.svg"), Comparison{[]Course{{"none", []int{1}, []float64{nan}}}, "loss"}); err == nil {
		t.Error("a figure without values")
	}
}
