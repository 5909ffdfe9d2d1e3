package figure

import (
	"image"
	"image/color"
	"math"
	"testing"
)

// tile is the rectangle of a tile of 2×2 features at 56 pixels each: columns
// count examples, rows clean, corrupted and reconstructed.
func tile(column, row int) image.Rectangle {
	const side, gap = 112, 4
	corner := image.Pt(density*(margin+78)+column*(side+gap), density*margin+row*(side+gap))
	return image.Rectangle{corner, corner.Add(image.Pt(side, side))}
}

// quarter is one feature of such a tile.
func quarter(tile image.Rectangle, x, y int) image.Rectangle {
	corner := tile.Min.Add(image.Pt(56*x, 56*y))
	return image.Rectangle{corner, corner.Add(image.Pt(56, 56))}
}

func TestImagesAreCrispTilesInRows(t *testing.T) {
	img := drawn(t, func(path string) error {
		return Reconstructions(path, Triples{
			Features:      4,
			Clean:         []float32{0, 1, 0.5, 0, 1, 1, 1, 1},
			Corrupted:     []float32{0, 0, 0.5, 0, 1, 0, 1, 1},
			Reconstructed: []float32{-3, 7, 0.5, 0, 1, float32(math.NaN()), 1, 1},
			Shape:         []int{2, 2},
		})
	})
	black, half := color.NRGBA{A: 255}, color.NRGBA{128, 128, 128, 255}
	uniform(t, "clean 0", img, quarter(tile(0, 0), 0, 0), black)
	uniform(t, "clean 1", img, quarter(tile(0, 0), 1, 0), white)
	uniform(t, "clean ½", img, quarter(tile(0, 0), 0, 1), half)
	uniform(t, "corrupted 1", img, quarter(tile(0, 1), 1, 0), black)
	uniform(t, "below the range", img, quarter(tile(0, 2), 0, 0), black)
	uniform(t, "above the range", img, quarter(tile(0, 2), 1, 0), white)
	uniform(t, "second example, clean", img, tile(1, 0), white)
	uniform(t, "second example, corrupted", img, quarter(tile(1, 1), 1, 0), black)
	uniform(t, "not a number", img, quarter(tile(1, 2), 1, 0), unknown)
	uniform(t, "the gap", img, image.Rect(tile(0, 0).Max.X, tile(0, 0).Min.Y, tile(1, 0).Min.X, tile(0, 0).Max.Y), white)
}

func TestRangeOfShades(t *testing.T) {
	img := drawn(t, func(path string) error {
		x := []float32{-1, 3, 1, 1}
		return Reconstructions(path, Triples{Features: 4, Clean: x, Corrupted: x, Reconstructed: x, Shape: []int{1, 2, 2}, Low: -1, High: 3})
	})
	uniform(t, "low", img, quarter(tile(0, 0), 0, 0), color.NRGBA{A: 255})
	uniform(t, "high", img, quarter(tile(0, 0), 1, 0), white)
	uniform(t, "between", img, quarter(tile(0, 0), 0, 1), color.NRGBA{128, 128, 128, 255})
}

// The same colour image, with the channels last and first.
func TestColourImages(t *testing.T) {
	pixels := [4][3]float32{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 0}}
	interleaved, planar := make([]float32, 12), make([]float32, 12)
	for i, p := range pixels {
		for c, v := range p {
			interleaved[3*i+c], planar[4*c+i] = v, v
		}
	}
	for _, c := range []struct {
		shape  []int
		values []float32
	}{{[]int{2, 2, 3}, interleaved}, {[]int{3, 2, 2}, planar}} {
		img := drawn(t, func(path string) error {
			return Reconstructions(path, Triples{Features: 12, Clean: c.values, Corrupted: c.values, Reconstructed: c.values, Shape: c.shape})
		})
		for row := range 3 {
			uniform(t, "red", img, quarter(tile(0, row), 0, 0), color.NRGBA{255, 0, 0, 255})
			uniform(t, "green", img, quarter(tile(0, row), 1, 0), color.NRGBA{0, 255, 0, 255})
			uniform(t, "blue", img, quarter(tile(0, row), 0, 1), color.NRGBA{0, 0, 255, 255})
			uniform(t, "yellow", img, quarter(tile(0, row), 1, 1), color.NRGBA{255, 255, 0, 255})
		}
	}
}

func TestShapesOfImages(t *testing.T) {
	for _, c := range []struct {
		shape    []int
		features int
		want     layout
		image    bool
	}{
		{[]int{8, 9}, 72, layout{height: 8, width: 9, channels: 1}, true},
		{[]int{8, 9, 1}, 72, layout{height: 8, width: 9, channels: 1}, true},
		{[]int{1, 8, 9}, 72, layout{height: 8, width: 9, channels: 1, planar: true}, true},
		{[]int{8, 9, 3}, 216, layout{height: 8, width: 9, channels: 3}, true},
		{[]int{3, 8, 9}, 216, layout{height: 8, width: 9, channels: 3, planar: true}, true},
		{[]int{72}, 72, layout{}, false},
		{[]int{1, 72}, 72, layout{height: 1, width: 72, channels: 1}, false},
		{[]int{4, 3, 6}, 72, layout{}, false},
		{nil, 72, layout{}, false},
	} {
		got, isImage, err := imageLayout(c.shape, c.features)
		if err != nil || got != c.want || isImage != c.image {
			t.Errorf("%v: %+v, %t, %v", c.shape, got, isImage, err)
		}
	}
}

func TestManyImagesWrapIntoBands(t *testing.T) {
	const n = 20
	x := make([]float32, 4*n)
	for i := 4 * 10; i < 4*11; i++ {
		x[i] = 1
	}
	img := drawn(t, func(path string) error {
		return Reconstructions(path, Triples{Features: 4, Clean: x, Corrupted: x, Reconstructed: x, Shape: []int{2, 2}, Limit: n})
	})
	// 14 tiles would fit on a row: two bands of 10.
	band := 3*112 + 2*4 + 24
	if got, want := img.Bounds().Size(), image.Pt(density*(2*margin+78)+10*116-4, density*2*margin+2*band-24); got != want {
		t.Errorf("the figure has %v pixels, want %v", got, want)
	}
	uniform(t, "example 9", img, tile(9, 0), color.NRGBA{A: 255})
	uniform(t, "example 10, on the second band", img, tile(0, 0).Add(image.Pt(0, band)), white)
	uniform(t, "example 11", img, tile(1, 0).Add(image.Pt(0, band)), color.NRGBA{A: 255})
}

// Cells of a table are coloured over the range of the column's clean values.
func TestTablesAreStrips(t *testing.T) {
	img := drawn(t, func(path string) error {
		return Reconstructions(path, Triples{
			Features:      3,
			Clean:         []float32{0, 10, 5, 100, 20, 5},
			Corrupted:     []float32{100, 15, 5, 100, 20, 5},
			Reconstructed: []float32{200, 10, 5, 100, 20, 5},
		})
	})
	cell := func(column, row int) color.NRGBA { // the middle of a cell of 28×13 points
		return img.NRGBAAt(density*(margin+78+28*column+14), density*margin+26*row+13)
	}
	low, high, between := viridis[0], viridis[len(viridis)-1], viridis.at(0.5)
	for _, c := range []struct {
		what        string
		column, row int
		want        color.NRGBA
	}{
		{"least", 0, 0, low}, {"greatest", 0, 1, high}, {"beyond", 0, 2, high},
		{"least of another column", 1, 0, low}, {"its middle", 1, 1, between}, {"a constant column", 2, 0, between},
	} {
		if got := cell(c.column, c.row); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	second := img.NRGBAAt(density*(margin+78+14), density*(margin+3*13+9)+13)
	if second != high {
		t.Errorf("the second example starts with %v", second)
	}
}

func TestWideTablesAreCut(t *testing.T) {
	const features = 2000
	x := make([]float32, features)
	img := drawn(t, func(path string) error {
		return Reconstructions(path, Triples{Features: features, Clean: x, Corrupted: x, Reconstructed: x})
	})
	if width := img.Bounds().Dx(); width != density*(2*margin+78+620) {
		t.Errorf("the figure is %d pixels wide", width)
	}
}
