package figure

import (
	"cmp"
	"fmt"
	"image"
	"math"
	"slices"
)

// Density is a density over a grid, made with GridPoints. It is normalised over
// the grid, so Log may lack a constant.
type Density struct {
	At      []float32 // the grid's points, row-major as GridPoints gives them
	Log     []float64 // ln p at each
	Columns int       // of the grid
	Data    []float32 // points; optional
	Axes    [2]string // names; optional
	Title   string    // optional
}

// held are the shares of the mass that the contours of a density hold.
var held = [...]float64{0.5, 0.9, 0.99}

// DensityMap draws a density as shades with a scale, and the contours of its
// highest-density regions (Hyndman 1996), which hold 50, 90 and 99 % of the mass.
func DensityMap(path string, d Density) error {
	l, err := newLattice(d.At, d.At, d.Columns)
	if err != nil || len(d.Log) != len(d.At)/2 || l.columns < 2 || l.rows < 2 || len(d.Data)%2 != 0 {
		return fmt.Errorf("draw the density: %d positions and %d values for rows of %d points", len(d.At)/2, len(d.Log), d.Columns)
	}
	log, err := l.normalized(d.Log)
	if err != nil {
		return err
	}
	highest := math.Exp(slices.Max(log))
	x, y := l.extent()
	plane := plane{axes: d.Axes, title: d.Title, x: x, y: y, legend: []entry{}}
	data := points(d.Data)
	if len(data) > 0 {
		plane.legend = append(plane.legend, dot("data", muted, 1.2))
	}
	plane.legend = append(plane.legend, entry{"50, 90, 99 % of the mass", 16, contourMark})
	plane.bar = &bar{blues, "0", number(highest, decimalsOf(highest)), "p(x)"}
	return plane.render(path, func(f frame) {
		f.shades(l, log, highest)
		f.cloud(data, faded(ink, 0.28), 0.75)
		for i, level := range l.levels(log) {
			for _, line := range l.contour(log, level) {
				at := make([]xy, len(line))
				for k, p := range line {
					at[k] = f.at(p.x, p.y)
				}
				f.lines(stroke{color: vermilion, width: contourWidths[i]}, at...)
			}
		}
	})
}

// contourWidths are the strokes of the contours, of which the outer are finer.
var contourWidths = [len(held)]float64{1.3, 0.9, 0.5}

// contourMark is the mark of contours in a legend.
func contourMark(p *page, at xy) {
	for i, w := range contourWidths {
		y := at.y + 3.5*float64(i-1)
		p.lines(stroke{color: vermilion, width: w}, xy{at.x - 8, y}, xy{at.x + 8, y})
	}
}

// normalized are logarithms of a density whose integral over the grid's cells is 1.
func (l lattice) normalized(log []float64) ([]float64, error) {
	highest := slices.Max(log)
	var sum float64
	for i, v := range log {
		if math.IsNaN(v) || math.IsInf(v, 1) {
			p := l.position(i/l.columns, i%l.columns)
			return nil, fmt.Errorf("draw the density: its logarithm at (%g, %g) is %g", p.x, p.y, v)
		}
		sum += math.Exp(v - highest)
	}
	constant := highest + math.Log(sum*l.cell*l.cell)
	out := make([]float64, len(log))
	for i, v := range log {
		out[i] = math.Max(v-constant, -500)
	}
	return out, nil
}

// levels are the log densities above which the shares of the mass lie.
func (l lattice) levels(log []float64) []float64 {
	sorted := slices.SortedFunc(slices.Values(log), func(a, b float64) int { return cmp.Compare(b, a) })
	var levels []float64
	var mass float64
	for _, v := range sorted {
		mass += math.Exp(v) * l.cell * l.cell
		for len(levels) < len(held) && mass >= held[len(levels)] {
			levels = append(levels, v)
		}
	}
	return levels
}

// shades paints the density between the grid's points, pixel by pixel.
func (f frame) shades(l lattice, log []float64, highest float64) {
	w, h := int(f.width)*density, int(f.height)*density
	picture := image.NewNRGBA(image.Rect(0, 0, w, h))
	for py := range h {
		for px := range w {
			p := xy{f.x.low + (float64(px)+0.5)/float64(w)*f.x.length(), f.y.high - (float64(py)+0.5)/float64(h)*f.y.length()}
			picture.SetNRGBA(px, py, blues.at(math.Exp(l.between(log, p))/highest))
		}
	}
	f.place(math.Round(f.left), math.Round(f.top), picture)
}

// between interpolates values at the grid's points bilinearly; beyond the last
// points it is theirs.
func (l lattice) between(values []float64, p xy) float64 {
	a := min(max((p.x-l.origin.x)/l.cell, 0), float64(l.columns-1))
	b := min(max((p.y-l.origin.y)/l.cell, 0), float64(l.rows-1))
	column, row := min(int(a), l.columns-2), min(int(b), l.rows-2)
	a, b = a-float64(column), b-float64(row)
	i := row*l.columns + column
	return (1-b)*((1-a)*values[i]+a*values[i+1]) + b*((1-a)*values[i+l.columns]+a*values[i+l.columns+1])
}

// contour are the lines along which the values have a level, by marching squares
// (Lorensen and Cline 1987, in the plane), joined end to end.
func (l lattice) contour(values []float64, level float64) [][]xy {
	next := map[int][]int{} // of each crossing of an edge, those that it is joined with
	join := func(a, b int) { next[a], next[b] = append(next[a], b), append(next[b], a) }
	for row := range l.rows - 1 {
		for column := range l.columns - 1 {
			crossings := l.crossings(values, level, row, column)
			for i := 0; i+1 < len(crossings); i += 2 {
				join(crossings[i], crossings[i+1])
			}
		}
	}
	return l.chains(next, func(edge int) xy { return l.crossing(values, level, edge) })
}

// An edge is twice the number of its left or lower point, plus 1 if it goes up.

// crossings are the edges of a cell at which the values pass the level, in pairs
// that a line joins.
func (l lattice) crossings(values []float64, level float64, row, column int) []int {
	i := row*l.columns + column
	corners := [4]int{i, i + 1, i + 1 + l.columns, i + l.columns}
	edges := [4]int{2 * i, 2*(i+1) + 1, 2 * (i + l.columns), 2*i + 1} // bottom, right, top, left
	var list []int
	for k, edge := range edges {
		if (values[corners[k]] > level) != (values[corners[(k+1)%4]] > level) {
			list = append(list, edge)
		}
	}
	// With four crossings the cell is a saddle, whose middle tells which corners belong together.
	if len(list) == 4 {
		middle := (values[corners[0]] + values[corners[1]] + values[corners[2]] + values[corners[3]]) / 4
		if (middle > level) == (values[corners[0]] > level) {
			return list // the lines cut off the second and the fourth corner
		}
		return []int{list[3], list[0], list[1], list[2]}
	}
	return list
}

// crossing is the point of an edge with the level.
func (l lattice) crossing(values []float64, level float64, edge int) xy {
	i := edge / 2
	a := l.position(i/l.columns, i%l.columns)
	if edge%2 == 1 {
		a.y += l.cell * (level - values[i]) / (values[i+l.columns] - values[i])
	} else {
		a.x += l.cell * (level - values[i]) / (values[i+1] - values[i])
	}
	return a
}

// chains walks along joined crossings: first from loose ends, then around the
// loops.
func (l lattice) chains(next map[int][]int, at func(int) xy) [][]xy {
	var starts []int
	for edge := range next {
		starts = append(starts, edge)
	}
	slices.SortFunc(starts, func(a, b int) int {
		return cmp.Or(cmp.Compare(len(next[a]), len(next[b])), cmp.Compare(a, b))
	})
	seen := map[int]bool{}
	var lines [][]xy
	for _, start := range starts {
		if seen[start] {
			continue
		}
		line := []xy{at(start)}
		seen[start] = true
		for edge := start; ; {
			i := slices.IndexFunc(next[edge], func(n int) bool { return !seen[n] })
			if i < 0 {
				if len(line) > 2 && slices.Contains(next[edge], start) {
					line = append(line, at(start))
				}
				break
			}
			edge = next[edge][i]
			seen[edge] = true
			line = append(line, at(edge))
		}
		lines = append(lines, line)
	}
	return lines
}
