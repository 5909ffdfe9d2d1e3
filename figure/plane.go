package figure

import (
	"fmt"
	"image/color"
	"math"
	"slices"
)

// Pairs are points in the plane, two numbers each, row-major: clean Data, and
// corrupted points with their reconstructions.
type Pairs struct {
	Data                     []float32
	Corrupted, Reconstructed []float32
	Axes                     [2]string // names; optional
	Title                    string    // optional
}

// Field is a vector field over a grid, made with GridPoints: At are the grid's
// points x and To the reconstructions r(x) of those.
type Field struct {
	Data    []float32 // clean points; optional
	At, To  []float32 // row-major as GridPoints gives them
	Columns int       // of the grid
	Axes    [2]string // names; optional
	Title   string    // optional
}

// maxPoints is the number of points of a cloud that are drawn; more are thinned
// evenly, since neither the eye nor a file gains from them.
const maxPoints = 3000

// Manifold draws how a denoising auto-encoder maps corrupted points back to where
// the data lie (Vincent et al. 2010, figure 2): the data, the corrupted points,
// and an arrow from each to its reconstruction. Points that are not finite are
// left out.
func Manifold(path string, m Pairs) error {
	if len(m.Data) == 0 || len(m.Data)%2 != 0 || len(m.Corrupted)%2 != 0 || len(m.Corrupted) != len(m.Reconstructed) {
		return fmt.Errorf("draw the manifold: %d data, %d corrupted and %d reconstructed numbers for points of two",
			len(m.Data), len(m.Corrupted), len(m.Reconstructed))
	}
	data, from, to := points(m.Data), points(m.Corrupted), points(m.Reconstructed)
	plane := newPlane(m.Axes, m.Title, data, from, to)
	plane.legend = []entry{{"data", grey, 2}, {"corrupted", vermilion, 2}, {"reconstructed", blue, 2}}
	return plane.render(path, func(f frame) {
		f.cloud(data, faded(grey, 0.55), 1.5)
		for i := range from {
			if f.drawable(from[i], to[i]) {
				f.arrow(faded(blue, 0.75), f.at(from[i].x, from[i].y), f.at(to[i].x, to[i].y), 0.8, 5)
			}
		}
		f.cloud(from, vermilion, 2)
		f.cloud(to, blue, 1.6)
	})
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
// each point of the grid, centred on it, of a length that grows with that of the
// vector up to the cell's size, and of a colour that tells the length.
func VectorField(path string, v Field) error {
	n := len(v.At) / 2
	if n == 0 || len(v.At)%2 != 0 || len(v.At) != len(v.To) || v.Columns < 1 || n%v.Columns != 0 || len(v.Data)%2 != 0 {
		return fmt.Errorf("draw the vector field: %d positions and %d reconstructions for rows of %d points", len(v.At), len(v.To), v.Columns)
	}
	data, at, to := points(v.Data), points(v.At), points(v.To)
	cell := spacing(at, v.Columns)
	lengths := make([]float64, 0, n)
	for i := range at {
		if l := distance(at[i], to[i]); !math.IsNaN(l) && !math.IsInf(l, 0) {
			lengths = append(lengths, l)
		}
	}
	longest := quantile(lengths, 0.98) // a few outliers shall not dwarf the others
	if longest == 0 {
		longest = quantile(lengths, 1)
	}
	plane := newPlane(v.Axes, v.Title, data, at)
	plane.legend = []entry{{"data", grey, 2}}
	plane.bar = &bar{plasma, "0", number(longest, decimalsOf(longest)), "‖r(x) − x‖"}
	return plane.render(path, func(f frame) {
		f.cloud(data, faded(grey, 0.5), 1.5)
		reach := 0.92 * cell / f.x.length() * f.width // points on the page
		for i := range at {
			length := distance(at[i], to[i])
			if longest == 0 || !f.drawable(at[i], to[i]) {
				continue
			}
			share := math.Min(1, length/longest)
			half := reach * math.Sqrt(share) / 2
			dx, dy := (to[i].x-at[i].x)/length*half, -(to[i].y-at[i].y)/length*half
			c := f.at(at[i].x, at[i].y)
			f.arrow(plasma.at(share), xy{c.x - dx, c.y - dy}, xy{c.x + dx, c.y + dy}, 1.1, min(max(reach/3, 4), 9))
		}
	})
}

// spacing is the distance of neighbours in a grid.
func spacing(grid []xy, columns int) float64 {
	if columns > 1 {
		return distance(grid[0], grid[1])
	}
	if len(grid) > 1 {
		return distance(grid[0], grid[columns])
	}
	return 1
}

func distance(a, b xy) float64 { return math.Hypot(b.x-a.x, b.y-a.y) }

// quantile is the value below which a share of the values lies.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(share*float64(len(sorted)-1))]
}

// decimalsOf is how many decimals show two digits of a value.
func decimalsOf(v float64) int {
	if v <= 0 {
		return 0
	}
	return min(5, max(0, 1-int(math.Floor(math.Log10(v)))))
}

// points reads pairs of numbers.
func points(values []float32) []xy {
	list := make([]xy, len(values)/2)
	for i := range list {
		list[i] = xy{float64(values[2*i]), float64(values[2*i+1])}
	}
	return list
}

// extent spans the points.
func extent(clouds ...[]xy) (x, y span) {
	x, y = empty(), empty()
	for _, cloud := range clouds {
		for _, p := range cloud {
			x.include(p.x)
			y.include(p.y)
		}
	}
	return x, y
}

// entry is a cloud's row of the legend.
type entry struct {
	name   string
	color  color.Color
	radius float64
}

// bar is the scale of a colour map.
type bar struct {
	gradient        gradient
	low, high, what string
}

// plane is a plot of points with equal scales on both axes.
type plane struct {
	axes   [2]string
	title  string
	x, y   span
	legend []entry
	bar    *bar
}

// newPlane spans some clouds with a margin. The shorter side is at least 0.45
// times the longer one.
func newPlane(axes [2]string, title string, clouds ...[]xy) plane {
	x, y := extent(clouds...)
	x, y = x.padded(0.05), y.padded(0.05)
	const slimmest = 0.45
	return plane{axes: axes, title: title, x: x.widened(slimmest * y.length()), y: y.widened(slimmest * x.length())}
}

// render draws the frame, its legend above, and what paint adds.
func (l plane) render(path string, paint func(frame)) error {
	const longer, legendHeight = 440.0, 22.0
	unit := longer / math.Max(l.x.length(), l.y.length())
	w, h := math.Round(unit*l.x.length()), math.Round(unit*l.y.length())
	xs, ys := l.x.ticks(max(2, int(w/80)), false), l.y.ticks(max(2, int(h/80)), false)
	inset := margin + 8 + labelWidth(ys)
	foot := margin + 16.0
	if l.axes[1] != "" {
		inset += 16
	}
	if l.axes[0] != "" {
		foot += 16
	}
	above := margin + header(l.title)
	if len(l.legend) > 0 || l.bar != nil {
		above += legendHeight
	}
	return render(path, math.Ceil(inset+w+margin+4), math.Ceil(above+h+foot), func(p *page) {
		p.write(title, margin, margin, l.title)
		f := frame{p, inset, above, w, h, l.x, l.y}
		f.grid(xs, ys)
		f.labels(xs, ys)
		f.names(l.axes[0], l.axes[1], ys)
		paint(f)
		x := inset
		for _, e := range l.legend {
			p.disc(e.color, xy{x + 3, above - 12.3}, 1.3*e.radius)
			p.write(caption, x+10, above-13, e.name)
			x += 10 + caption.width(e.name) + 16
		}
		if l.bar != nil {
			p.colorBar(l.bar.gradient, x+6, above-16.5, 80, l.bar.low, l.bar.high, l.bar.what)
		}
	})
}

// drawable reports whether points are finite and within the frame.
func (f frame) drawable(list ...xy) bool {
	for _, p := range list {
		if math.IsNaN(p.x+p.y) || math.IsInf(p.x+p.y, 0) {
			return false
		}
	}
	return f.contains(list[0].x, list[0].y)
}

// cloud draws points as discs, evenly thinned to maxPoints.
func (f frame) cloud(cloud []xy, c color.Color, radius float64) {
	n := min(len(cloud), maxPoints)
	for i := range n {
		if p := cloud[i*len(cloud)/n]; f.drawable(p) {
			f.disc(c, f.at(p.x, p.y), radius)
		}
	}
}
