package figure

import (
	"errors"
	"image"
	"image/color"
	"math"
	"testing"
)

func TestSheetsAreRowsOfTiles(t *testing.T) {
	black, half := color.NRGBA{A: 255}, color.NRGBA{128, 128, 128, 255}
	values := []float32{-1, -1, -1, -1, 3, 3, 3, 3, 1, 1, 1, 1, -1, 3, float32(math.NaN()), 1}
	img := drawn(t, func(path string) error {
		return Images(path, Sheet{Values: values, Shape: []int{2, 2}, Columns: 2, Low: -1, High: 3})
	})
	const side, gap = 80, 4
	tile := func(row, column, width int) image.Rectangle {
		corner := image.Pt(density*margin+column*(side+gap), density*margin+row*(side+gap))
		return image.Rectangle{corner, corner.Add(image.Pt(width, width))}
	}
	uniform(t, "first", img, tile(0, 0, side), black)
	uniform(t, "second", img, tile(0, 1, side), white)
	uniform(t, "third, in the second row", img, tile(1, 0, side), half)
	last := tile(1, 1, side/2)
	uniform(t, "low", img, last, black)
	uniform(t, "high", img, last.Add(image.Pt(side/2, 0)), white)
	uniform(t, "not a number", img, last.Add(image.Pt(0, side/2)), unknown)
}

func TestSheetsRefuse(t *testing.T) {
	path := t.TempDir() + "/a.png"
	var shape *ShapeError
	for _, wrong := range [][]int{{4}, {1, 4}, {2, 2, 2}, nil} {
		if err := Images(path, Sheet{Values: make([]float32, 8), Shape: wrong, Columns: 1}); !errors.As(err, &shape) {
			t.Errorf("shape %v: %v", wrong, err)
		}
		if err := CheckImage(wrong); !errors.As(err, &shape) {
			t.Errorf("shape %v: %v", wrong, err)
		}
	}
	if err := CheckImage([]int{2, 2}); err != nil {
		t.Error(err)
	}
	for what, s := range map[string]Sheet{
		"nothing":           {Shape: []int{2, 2}, Columns: 1},
		"half an image":     {Values: make([]float32, 6), Shape: []int{2, 2}, Columns: 1},
		"half a row":        {Values: make([]float32, 12), Shape: []int{2, 2}, Columns: 2},
		"no columns":        {Values: make([]float32, 8), Shape: []int{2, 2}},
		"too many captions": {Values: make([]float32, 8), Shape: []int{2, 2}, Columns: 2, Captions: []string{"a"}},
	} {
		if err := Images(path, s); err == nil {
			t.Errorf("%s is drawn", what)
		}
	}
}

// Samples are blue, and the frame holds those that lie outside of the data.
func TestScatterHoldsAllSamples(t *testing.T) {
	img := drawn(t, func(path string) error {
		return Scatter(path, Cloud{Data: []float32{0, 0, 1, 1}, Samples: []float32{3, 0.5, 3, 0.5, 3, 0.5, 3, 0.5, 3, 0.5, 3, 0.5}})
	})
	b := img.Bounds()
	found := 0
	for y := 2 * (margin + 22); y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := img.NRGBAAt(x, y)
			if c.B > 150 && c.R < 60 {
				found++
				if x < b.Max.X*3/4 {
					t.Fatalf("blue at %d of %d", x, b.Max.X)
				}
			}
		}
	}
	if found < 8 {
		t.Errorf("%d blue pixels", found)
	}
	for _, wrong := range []Cloud{{}, {Samples: []float32{1}}, {Data: []float32{1}, Samples: []float32{1, 2}}} {
		if err := Scatter(t.TempDir()+"/a.png", wrong); err == nil {
			t.Errorf("%+v is drawn", wrong)
		}
	}
}
