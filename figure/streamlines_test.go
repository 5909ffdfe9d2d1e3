package figure

import (
	"math"
	"slices"
	"testing"
)

// fieldOn evaluates a field on the grid over the square of ±1.
func fieldOn(t *testing.T, columns int, field func(p xy) xy) lattice {
	t.Helper()
	at := GridPoints([]float32{-1, -1, 1, 1}, columns)
	to := slices.Clone(at)
	for i, p := range points(at) {
		v := field(p)
		to[2*i] += float32(v.x)
		to[2*i+1] += float32(v.y)
	}
	l, err := newLattice(at, to, columns)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Lines of a rotation are circles, closed but not overrun.
func TestStreamLinesFollowTheField(t *testing.T) {
	s := fieldOn(t, 61, func(p xy) xy { return xy{-p.y / 10, p.x / 10} }).streamLines(0.1)
	if len(s.lines) < 10 {
		t.Fatalf("%d lines", len(s.lines))
	}
	for _, line := range s.lines {
		radius := math.Hypot(line[0].x, line[0].y)
		for _, p := range line {
			if math.Abs(math.Hypot(p.x, p.y)-radius) > 2e-3 {
				t.Fatalf("a line through %v at %g leads to %v", line[0], radius, p)
			}
		}
		if length := float64(len(line)) * s.stride(); length > 2*math.Pi*radius {
			t.Errorf("a line around %g is %g long", radius, length)
		}
	}
}

// No line comes closer to another than half the distance, and none is missing.
func TestStreamLinesAreEvenlySpaced(t *testing.T) {
	const apart = 0.1
	l := fieldOn(t, 41, func(p xy) xy { return xy{-p.x, -p.y} })
	s := l.streamLines(apart)
	for i, a := range s.lines {
		for _, b := range s.lines[:i] {
			for _, p := range a {
				for _, q := range b {
					if distance(p, q) < 0.49*apart {
						t.Fatalf("lines %g apart at %v", distance(p, q), p)
					}
				}
			}
		}
	}
	for row := range l.rows {
		for column := range l.columns {
			p := l.position(row, column)
			if near := s.free(p, 1.8*apart) && s.free(p, apart); near && math.Hypot(p.x, p.y) > 0.3 {
				t.Errorf("no line near %v", p)
			}
		}
	}
}

func TestStreamLinesOfNothing(t *testing.T) {
	nan := math.NaN()
	for name, v := range map[string]xy{"zero": {}, "NaN": {nan, nan}} {
		if s := fieldOn(t, 9, func(xy) xy { return v }).streamLines(0.1); len(s.lines) != 0 {
			t.Errorf("%d lines in a field of %s", len(s.lines), name)
		}
	}
}

// Bilinear interpolation is exact for an affine field.
func TestLatticeInterpolates(t *testing.T) {
	l := fieldOn(t, 7, func(p xy) xy { return xy{1 + p.x - 2*p.y, 3 * p.y} })
	for _, p := range []xy{{0.1, 0.2}, {-0.9, 0.77}, {0, 0}} {
		v, ok := l.at(p)
		if want := (xy{1 + p.x - 2*p.y, 3 * p.y}); !ok || distance(v, want) > 1e-6 {
			t.Errorf("at %v: %v, %v, want %v", p, v, ok, want)
		}
	}
	if _, ok := l.at(xy{3, 0}); ok {
		t.Error("the field has values outside of its grid")
	}
}

func TestSinksAreDrawn(t *testing.T) {
	grid := GridPoints([]float32{0, 0, 2, 2}, 5)
	dark := func(sinks ...float32) (n int) {
		img := drawn(t, func(path string) error { return VectorField(path, Field{At: grid, To: grid, Columns: 5, Sinks: sinks}) })
		for y := img.Rect.Max.Y / 4; y < img.Rect.Max.Y*3/4; y++ {
			for x := img.Rect.Max.X / 4; x < img.Rect.Max.X*3/4; x++ {
				if img.NRGBAAt(x, y) == ink {
					n++
				}
			}
		}
		return n
	}
	if none, one := dark(), dark(1, 1); none != 0 || one < 50 {
		t.Errorf("%d and %d pixels of ink without and with a sink", none, one)
	}
}
