package figure

import (
	"image"
	"image/color"
	"slices"
	"testing"
)

// filterTile is the rectangle of a filter of 2×2 weights at 48 pixels each.
func filterTile(column int) image.Rectangle {
	corner := image.Pt(density*margin+column*(96+6), density*margin)
	return image.Rectangle{corner, corner.Add(image.Pt(96, 96))}
}

func TestFiltersAreSortedAndDiverge(t *testing.T) {
	img := drawn(t, func(path string) error {
		return Filters(path, Weights{Features: 4, Shape: []int{2, 2}, Values: []float32{
			0, 0, 0, 0,
			0.1, -0.1, 0, 0.05,
			5, 0, -5, 5,
		}})
	})
	blueEnd, zero, redEnd := blueRed[0], blueRed[5], blueRed[10]
	weight := func(column, x, y int) image.Rectangle {
		corner := filterTile(column).Min.Add(image.Pt(48*x, 48*y))
		return image.Rectangle{corner, corner.Add(image.Pt(48, 48))}
	}
	// The last filter has the largest norm, and each is scaled on its own.
	uniform(t, "+5", img, weight(0, 0, 0), redEnd)
	uniform(t, "0 beside 5", img, weight(0, 1, 0), zero)
	uniform(t, "-5", img, weight(0, 0, 1), blueEnd)
	uniform(t, "+0.1", img, weight(1, 0, 0), redEnd)
	uniform(t, "-0.1", img, weight(1, 1, 0), blueEnd)
	uniform(t, "0.05", img, weight(1, 1, 1), blueRed.at(0.75))
	uniform(t, "a filter of zeros", img, filterTile(2), zero)
	if frame := img.NRGBAAt(filterTile(2).Max.X-1, filterTile(2).Max.Y); frame == zero {
		t.Error("the filter of zeros has no frame")
	}
}

func TestColourFilters(t *testing.T) {
	img := drawn(t, func(path string) error {
		return Filters(path, Weights{Features: 12, Shape: []int{2, 2, 3}, Values: []float32{2, 0, -2, 0, 0, 0, 0, 0, 0, 0, 0, 0}})
	})
	corner := filterTile(0).Min
	uniform(t, "(+, 0, -)", img, image.Rectangle{corner, corner.Add(image.Pt(48, 48))}, color.NRGBA{255, 128, 0, 255})
	uniform(t, "zero", img, image.Rectangle{corner.Add(image.Pt(48, 48)), corner.Add(image.Pt(96, 96))}, color.NRGBA{128, 128, 128, 255})
}

func TestFiltersOfTablesAreStrips(t *testing.T) {
	img := drawn(t, func(path string) error {
		return Filters(path, Weights{Features: 3, Values: []float32{1, -1, 0, 2, 2, -2}})
	})
	const cell = 427 // pixels: the nearest to a third of stripPixels
	first := image.Pt(density*margin, density*margin)
	uniform(t, "first weight of the larger filter", img, image.Rectangle{first, first.Add(image.Pt(cell, 24))}, blueRed[10])
	second := first.Add(image.Pt(cell, 24+6))
	uniform(t, "second weight of the smaller filter", img, image.Rectangle{second, second.Add(image.Pt(cell, 24))}, blueRed[0])
}

func TestLimitOfFilters(t *testing.T) {
	values := make([]float32, 4*30)
	for i := range values {
		values[i] = float32(i)
	}
	all := drawn(t, func(path string) error {
		return Filters(path, Weights{Features: 4, Shape: []int{2, 2}, Values: values})
	})
	few := drawn(t, func(path string) error {
		return Filters(path, Weights{Features: 4, Shape: []int{2, 2}, Values: values, Limit: 8})
	})
	if few.Bounds().Dy() >= all.Bounds().Dy() {
		t.Errorf("8 filters take %v, 30 take %v", few.Bounds().Size(), all.Bounds().Size())
	}
	if order := (Weights{Features: 1, Values: []float32{1, -3, 1, 2}}).byNorm(); !slices.Equal(order, []int{1, 3, 0, 2}) {
		t.Errorf("order %v", order)
	}
}
