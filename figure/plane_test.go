package figure

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"slices"
	"testing"
)

// A point moves on the page as it moves in the plane, the other points being in
// the corners of a rectangle.
func TestPlanesHaveEqualScales(t *testing.T) {
	corners := []float32{0, 0, 4, 0, 0, 2, 4, 2}
	position := func(x, y float32) (float64, float64) {
		img := drawn(t, func(path string) error {
			return CodeMap(path, Codes{Values: append(slices.Clone(corners), x, y), Labels: []string{"a", "a", "a", "a", "b"}})
		})
		// The class b is drawn under its name's pill, whose rim has its colour.
		px, py, n := spots(img, classColors[1])
		if n < 20 {
			t.Fatalf("%d pixels of the second class", n)
		}
		return px, py
	}
	x0, y0 := position(1, 1)
	x1, y1 := position(2, 1)
	x2, y2 := position(2, 1.5)
	unit := x1 - x0
	if math.Abs(y1-y0) > 0.5 || math.Abs(x2-x1) > 0.5 || math.Abs((y1-y2)-unit/2) > 1.5 || unit < 50 {
		t.Errorf("(1, 1), (2, 1) and (2, 1.5) lie at (%g, %g), (%g, %g), (%g, %g)", x0, y0, x1, y1, x2, y2)
	}
}

// A legend has room, however narrow the plane is.
func TestLegendsAreWhole(t *testing.T) {
	at := GridPoints([]float32{0, 0, 0.3, 9}, 5)
	log := make([]float64, len(at)/2)
	for i := range log {
		log[i] = float64(i % 7)
	}
	l := plane{legend: []entry{{width: 20, name: "data"}}, bar: &bar{low: "0.001", high: "123.45", what: "p(x)"}}
	img := drawn(t, func(path string) error {
		return DensityMap(path, Density{At: at, Log: log, Columns: 5, Data: []float32{0.1, 1, 0.2, 8}})
	})
	if got := float64(img.Bounds().Dx()); got < l.legendWidth() {
		t.Errorf("the page is %g wide, the legend %g", got, l.legendWidth())
	}
}

func TestManifoldShowsTheWayBack(t *testing.T) {
	img := drawn(t, func(path string) error {
		return Manifold(path, Pairs{Data: []float32{0, 0, 4, 0, 0, 4, 4, 4}, Corrupted: []float32{3.5, 2, 3.5, 2}, Reconstructed: []float32{0.5, 2, 0.5, 2}})
	})
	b := img.Bounds()
	legend := 2 * (margin + 22)
	count := func(want color.NRGBA, fromX, toX int) (n int) {
		for y := legend; y < b.Max.Y; y++ {
			for x := fromX; x < toX; x++ {
				if img.NRGBAAt(x, y) == want {
					n++
				}
			}
		}
		return n
	}
	half := b.Max.X / 2
	if count(vermilion, half, b.Max.X) == 0 || count(vermilion, 0, half) != 0 {
		t.Error("the corrupted point is not on the right")
	}
	thickest := func(fromX, toX int) (most int) {
		for x := fromX; x < toX; x++ {
			most = max(most, count(blue, x, x+1))
		}
		return most
	}
	if l, r := thickest(0, half), thickest(half, b.Max.X); l < 2*r || r == 0 {
		t.Errorf("the arrow is %d pixels thick on the left, where its head should be, and %d on the right", l, r)
	}
	// The arrow crosses the middle: pixels of a blue of its opacity.
	crossing := 0
	for y := legend; y < b.Max.Y; y++ {
		if c := img.NRGBAAt(half, y); int(c.B) > int(c.R)+40 {
			crossing++
		}
	}
	if crossing == 0 || crossing > 6 {
		t.Errorf("the arrow crosses the middle with %d pixels", crossing)
	}
}

func TestGridPointsAreSquareAndCoverTheData(t *testing.T) {
	data := []float32{0, 0, 4, 2}
	grid := points(GridPoints(data, 8))
	if len(grid)%8 != 0 || len(grid) != 8*4 {
		t.Fatalf("%d points in rows of 8", len(grid))
	}
	dx, dy := grid[1].x-grid[0].x, grid[8].y-grid[0].y
	if math.Abs(dx-dy) > 1e-6 || grid[1].y != grid[0].y || grid[8].x != grid[0].x {
		t.Errorf("cells of %g by %g", dx, dy)
	}
	x, y := extent(grid)
	if x.low > dx/2 || x.high < 4-dx/2 || y.low > dy/2 || y.high < 2-dy/2 {
		t.Errorf("the grid spans %v and %v", x, y)
	}
	if slim := GridPoints([]float32{0, 0, 1e-6, 1000}, 8); len(slim) != 2*8*16 {
		t.Errorf("a grid of 8 columns over a line has %d points", len(slim)/2)
	}
	if one := GridPoints([]float32{1, 1}, 1); len(one) != 2 {
		t.Errorf("a grid of one column around a point: %v", one)
	}
}

// arrowOf draws a field that is zero but for the vector dx, dy at the grid's
// middle, and returns the mean position and the number of its arrow's pixels.
func arrowOf(t *testing.T, dx, dy float32) (x, y float64, n int) {
	t.Helper()
	from := []float32{0, 0, 1, 0, 2, 0, 0, 1, 1, 1, 2, 1, 0, 2, 1, 2, 2, 2}
	to := slices.Clone(from)
	to[8], to[9] = to[8]+dx, to[9]+dy
	img := drawn(t, func(path string) error { return VectorField(path, Field{At: from, To: to, Columns: 3}) })
	legend := img.SubImage(image.Rect(0, 0, img.Rect.Dx(), density*(margin+22))).(*image.NRGBA)
	draw.Draw(legend, legend.Rect, image.NewUniform(white), image.Point{}, draw.Src)
	return spots(img, plasma[len(plasma)-1])
}

// An arrow is centred on its point of the grid, and its head is its heavier end.
func TestVectorFieldPointsTheWay(t *testing.T) {
	rightX, rightY, n := arrowOf(t, 1, 0)
	leftX, leftY, _ := arrowOf(t, -1, 0)
	if n < 100 || rightX < leftX+1 || math.Abs(rightY-leftY) > 0.5 {
		t.Errorf("arrows right and left of %d pixels have their mean at (%g, %g) and (%g, %g)", n, rightX, rightY, leftX, leftY)
	}
	upX, upY, _ := arrowOf(t, 0, 1)
	downX, downY, _ := arrowOf(t, 0, -1)
	if upY > downY-1 || math.Abs(upX-downX) > 0.5 {
		t.Errorf("arrows up and down have their mean at (%g, %g) and (%g, %g)", upX, upY, downX, downY)
	}
	if math.Abs((rightX+leftX)-(upX+downX)) > 1 || math.Abs((rightY+leftY)-(upY+downY)) > 1 {
		t.Error("the arrows are not centred on their point")
	}
	if _, _, n := arrowOf(t, 0, 0); n != 0 {
		t.Errorf("a field of zeros has %d pixels of arrows", n)
	}
}

func TestClassesAreInOrder(t *testing.T) {
	if got := distinct([]string{"10", "9", "2", "9"}); !slices.Equal(got, []string{"2", "9", "10"}) {
		t.Errorf("numbers: %q", got)
	}
	if got := distinct([]string{"b", "10", "9", "a"}); !slices.Equal(got, []string{"10", "9", "a", "b"}) {
		t.Errorf("names: %q", got)
	}
	few, many := shades([]string{"a", "b"}), shades(distinct([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"}))
	if few["b"] != classColors[1] || many["1"] != viridis[0] || many["11"] != viridis[len(viridis)-1] {
		t.Errorf("shades %v and %v", few, many)
	}
}

func TestNamesArePushedApart(t *testing.T) {
	places := []xy{{0, 0}, {0, 0}, {1, 0}, {100, 100}}
	pushApart(places, 18)
	for i, a := range places {
		for _, b := range places[:i] {
			if distance(a, b) < 17.9 {
				t.Errorf("names at %v and %v", a, b)
			}
		}
	}
	if places[3] != (xy{100, 100}) {
		t.Errorf("a name that was free went to %v", places[3])
	}
}

func TestGradients(t *testing.T) {
	for a, want := range map[float64]color.NRGBA{-1: viridis[0], 0: viridis[0], 1: viridis[9], 2: viridis[9], 1. / 9: viridis[1]} {
		if got := viridis.at(a); got != want {
			t.Errorf("viridis at %g is %v, want %v", a, got, want)
		}
	}
	if viridis.at(math.NaN()) != unknown {
		t.Error("NaN has a shade")
	}
}
