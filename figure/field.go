package figure

import (
	"fmt"
	"image/color"
	"math"
)

// Field is a vector field over a grid, made with GridPoints: At are the grid's
// points x and To the reconstructions r(x) of those.
type Field struct {
	Data    []float32 // clean points; optional
	At, To  []float32 // row-major as GridPoints gives them
	Columns int       // of the grid
	Sinks   []float32 // points at which lines of the field end, two numbers each; optional
	Arrows  int       // an arrow at every so many points of the grid; 0: at each
	Lines   bool      // whether to draw stream lines
	Axes    [2]string // names; optional
	Title   string    // optional
}

// GridPoints are the points of a grid over a rectangle that holds the data with
// a margin, columns to a row and as many rows as keep the cells square, from the
// lower left, row by row. They are what a Field is computed at. The rectangle is
// at least half as wide as it is high.
func GridPoints(data []float32, columns int) []float32 {
	x, y := extent(points(data))
	x, y = x.padded(0.12), y.padded(0.12)
	x = x.widened(y.length() / 2)
	cell := x.length() / float64(columns)
	rows := max(1, int(math.Round(y.length()/cell)))
	middle := (y.low + y.high) / 2
	var grid []float32
	for r := range rows {
		for c := range columns {
			grid = append(grid,
				float32(x.low+(float64(c)+0.5)*cell),
				float32(middle+(float64(r)-float64(rows-1)/2)*cell))
		}
	}
	return grid
}

// VectorField draws the field r(x) - x over a grid, which for small noise of
// variance σ² is σ² times the score ∇ log p (Alain and Bengio 2014): an arrow at
// points of the grid, centred on it, of a length that grows with that of the
// vector up to the arrows' distance, and of a colour that tells the length; with
// evenly spaced stream lines, and with the sinks.
func VectorField(path string, v Field) error {
	l, err := newLattice(v.At, v.To, v.Columns)
	if err != nil || len(v.Data)%2 != 0 || len(v.Sinks)%2 != 0 {
		return fmt.Errorf("draw the vector field: %d positions and %d reconstructions for rows of %d points", len(v.At), len(v.To), v.Columns)
	}
	longest := l.longest()
	data, sinks := points(v.Data), points(v.Sinks)
	x, y := l.extent()
	plane := plane{axes: v.Axes, title: v.Title, x: x, y: y}
	if len(data) > 0 {
		plane.legend = append(plane.legend, dot("data", grey, 2))
	}
	if len(sinks) > 0 {
		plane.legend = append(plane.legend, entry{"sink", 9, func(p *page, at xy) { p.sink(at) }})
	}
	plane.bar = &bar{plasma, "0", number(longest, decimalsOf(longest)), "‖r(x) − x‖"}
	return plane.render(path, func(f frame) {
		f.cloud(data, faded(grey, 0.45), 1.5)
		if v.Lines {
			apart := lineDistance * math.Max(x.length(), y.length())
			s := l.streamLines(apart)
			for _, line := range s.lines {
				f.streamLine(l, line, longest, int(4*apart/s.stride()))
			}
		}
		if longest > 0 && !v.Lines {
			f.arrows(l, max(1, v.Arrows), longest)
		}
		for _, p := range sinks {
			if f.drawable(p) {
				f.sink(f.at(p.x, p.y))
			}
		}
	})
}

// arrows draws every so many of the lattice's vectors.
func (f frame) arrows(l lattice, every int, longest float64) {
	reach := 0.9 * float64(every) * l.cell / f.x.length() * f.width // points on the page
	for row := first(l.rows, every); row < l.rows; row += every {
		for column := first(l.columns, every); column < l.columns; column += every {
			v := l.vectors[row*l.columns+column]
			length := math.Hypot(v.x, v.y)
			if math.IsNaN(length) || math.IsInf(length, 0) || length == 0 {
				continue
			}
			share := math.Min(1, length/longest)
			half := reach * math.Sqrt(share) / 2
			dx, dy := v.x/length*half, -v.y/length*half
			at := l.position(row, column)
			c := f.at(at.x, at.y)
			f.arrow(plasma.at(share), xy{c.x - dx, c.y - dy}, xy{c.x + dx, c.y + dy}, 1.1, min(max(reach/3, 4), 9))
		}
	}
}

// lineShades is the number of colours of a stream line.
const lineShades = 24

// first is the first of every so many of n places that leaves as many over at
// both ends.
func first(n, every int) int { return (n - 1 - (max(1, n/every)-1)*every) / 2 }

// streamLine draws a line, coloured by the length of the field's vectors, with an
// arrowhead at every so many points of it.
func (f frame) streamLine(l lattice, line []xy, longest float64, heads int) {
	shade := func(i int) int {
		v, _ := l.at(line[i])
		return int(lineShades * math.Min(1, math.Hypot(v.x, v.y)/longest))
	}
	for i := 0; i+1 < len(line); {
		tone := shade(i)
		run := []xy{f.at(line[i].x, line[i].y)}
		for i++; i < len(line); i++ {
			run = append(run, f.at(line[i].x, line[i].y))
			if shade(i) != tone {
				break
			}
		}
		f.lines(stroke{color: plasma.at(float64(tone) / lineShades), width: 0.9}, run...)
	}
	for i := heads / 2; i+1 < len(line); i += heads {
		f.head(plasma.at(float64(shade(i))/lineShades), f.at(line[i].x, line[i].y), f.at(line[i+1].x, line[i+1].y))
	}
}

// head draws an arrowhead at a place, that points towards another.
func (p *page) head(c color.Color, at, to xy) {
	const length, half = 5.4, 2.3
	dx, dy := to.x-at.x, to.y-at.y
	n := math.Hypot(dx, dy)
	dx, dy = dx/n, dy/n
	tip, back := xy{at.x + length/2*dx, at.y + length/2*dy}, xy{at.x - length/2*dx, at.y - length/2*dy}
	p.polygon(c, tip, xy{back.x - half*dy, back.y + half*dx}, xy{at.x - 0.25*length*dx, at.y - 0.25*length*dy}, xy{back.x + half*dy, back.y - half*dx})
}

// sink marks a place where lines of a field end.
func (p *page) sink(at xy) {
	p.disc(white, at, 4.6)
	p.disc(ink, at, 3.9)
	p.disc(white, at, 2.6)
	p.disc(ink, at, 1.2)
}

// ring marks where something starts.
func (p *page) ring(c color.Color, at xy) {
	p.disc(c, at, 2.6)
	p.disc(white, at, 1.6)
}

// lattice is a vector field on a grid of square cells.
type lattice struct {
	origin        xy // its first point, at the lower left
	cell          float64
	columns, rows int
	vectors       []xy // row by row
}

// newLattice reads what GridPoints made.
func newLattice(at, to []float32, columns int) (lattice, error) {
	n := len(at) / 2
	if n == 0 || len(at)%2 != 0 || len(at) != len(to) || columns < 1 || n%columns != 0 {
		return lattice{}, fmt.Errorf("%d positions and %d values for rows of %d points", len(at), len(to), columns)
	}
	from, end := points(at), points(to)
	l := lattice{origin: from[0], columns: columns, rows: n / columns, vectors: make([]xy, n)}
	switch {
	case columns > 1:
		l.cell = distance(from[0], from[1])
	case n > 1:
		l.cell = distance(from[0], from[columns])
	}
	if !(l.cell > 0) || math.IsInf(l.cell, 0) {
		l.cell = 1
	}
	for i := range from {
		l.vectors[i] = xy{end[i].x - from[i].x, end[i].y - from[i].y}
	}
	return l, nil
}

// position is a point of the grid.
func (l lattice) position(row, column int) xy {
	return xy{l.origin.x + float64(column)*l.cell, l.origin.y + float64(row)*l.cell}
}

// extent is the rectangle of the cells around the points.
func (l lattice) extent() (x, y span) {
	half := l.cell / 2
	end := l.position(l.rows-1, l.columns-1)
	return span{l.origin.x - half, end.x + half}, span{l.origin.y - half, end.y + half}
}

// longest is the length that nearly all vectors stay below: a few outliers shall
// not dwarf the others.
func (l lattice) longest() float64 {
	lengths := make([]float64, 0, len(l.vectors))
	for _, v := range l.vectors {
		if length := math.Hypot(v.x, v.y); !math.IsNaN(length) && !math.IsInf(length, 0) {
			lengths = append(lengths, length)
		}
	}
	if q := quantile(lengths, 0.98); q > 0 {
		return q
	}
	return quantile(lengths, 1)
}

// at interpolates the vectors around a point bilinearly; ok is false outside of
// the grid's points, and where a vector is not finite.
func (l lattice) at(p xy) (v xy, ok bool) {
	a, b := (p.x-l.origin.x)/l.cell, (p.y-l.origin.y)/l.cell
	if !(a >= 0 && b >= 0 && a <= float64(l.columns-1) && b <= float64(l.rows-1)) {
		return xy{}, false
	}
	column, row := min(int(a), max(0, l.columns-2)), min(int(b), max(0, l.rows-2))
	a, b = a-float64(column), b-float64(row)
	for _, corner := range [4]struct {
		row, column int
		weight      float64
	}{{row, column, (1 - a) * (1 - b)}, {row, column + 1, a * (1 - b)}, {row + 1, column, (1 - a) * b}, {row + 1, column + 1, a * b}} {
		if corner.weight > 0 {
			u := l.vectors[corner.row*l.columns+corner.column]
			v.x, v.y = v.x+corner.weight*u.x, v.y+corner.weight*u.y
		}
	}
	return v, !math.IsNaN(v.x+v.y) && !math.IsInf(v.x+v.y, 0)
}
