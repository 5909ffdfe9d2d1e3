package figure

import (
	"image/color"
	"math"
	"testing"
)

// A path goes from its start on the left to its end on the right, and darkens.
func TestPathsLeadFromStartToEnd(t *testing.T) {
	img := drawn(t, func(path string) error {
		return Paths(path, Trajectories{Steps: [][]float32{{0, 0}, {1, 0}, {2, 0}}, Inside: []float32{-1, -1, 3, 1}})
	})
	b := img.Bounds()
	middle := func(c color.NRGBA) float64 {
		sum, n := 0.0, 0
		for y := b.Max.Y / 4; y < b.Max.Y; y++ {
			for x := range b.Max.X {
				if p := img.NRGBAAt(x, y); math.Hypot(math.Hypot(float64(p.R)-float64(c.R), float64(p.G)-float64(c.G)), float64(p.B)-float64(c.B)) < 25 {
					sum, n = sum+float64(x), n+1
				}
			}
		}
		if n == 0 {
			t.Fatalf("no pixel of %v", c)
		}
		return sum / float64(n)
	}
	start, first, second, end := middle(ways.at(0)), middle(ways.at(0.25)), middle(ways.at(0.75)), middle(blue)
	if !(start < first && first < second && second < end) {
		t.Errorf("start, two steps and end lie at %g, %g, %g, %g", start, first, second, end)
	}
}
