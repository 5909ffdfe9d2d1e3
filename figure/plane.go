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

// maxPoints is the number of points of a cloud that are drawn; more are thinned
// evenly, since neither the eye nor a file gains from them.
const maxPoints = 3000

// Manifold draws how a denoising auto-encoder maps corrupted points back to where
// the data lie (Vincent et al. 2010, figure 2): the data, corrupted points, and an
// arrow from each to its reconstruction. Of corrupted points that would cover
// each other the first is drawn, and points that are not finite are left out.
func Manifold(path string, m Pairs) error {
	if len(m.Data) == 0 || len(m.Data)%2 != 0 || len(m.Corrupted)%2 != 0 || len(m.Corrupted) != len(m.Reconstructed) {
		return fmt.Errorf("draw the manifold: %d data, %d corrupted and %d reconstructed numbers for points of two",
			len(m.Data), len(m.Corrupted), len(m.Reconstructed))
	}
	data, from, to := points(m.Data), points(m.Corrupted), points(m.Reconstructed)
	plane := newPlane(m.Axes, m.Title, data, from, to)
	plane.legend = []entry{dot("data", grey, 2), dot("corrupted", vermilion, 2), arrowEntry("reconstruction", blue)}
	return plane.render(path, func(f frame) {
		f.cloud(data, faded(grey, 0.5), 1.5)
		var shown []xy
		for i := range from {
			if f.drawable(from[i], to[i]) && apartFrom(shown, from[i], 0.016*math.Max(f.x.length(), f.y.length())) {
				shown = append(shown, from[i])
				f.arrow(blue, f.at(from[i].x, from[i].y), f.at(to[i].x, to[i].y), 1, 5.5)
			}
		}
		f.cloud(shown, vermilion, 2.1)
	})
}

// apartFrom reports whether a point is so far from all of a list.
func apartFrom(list []xy, p xy, by float64) bool {
	return !slices.ContainsFunc(list, func(q xy) bool { return distance(p, q) < by })
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

// entry is a name in the legend, with what paints its mark around a point.
type entry struct {
	name  string
	width float64 // of the mark
	mark  func(p *page, at xy)
}

// dot is the entry of a cloud.
func dot(name string, c color.Color, radius float64) entry {
	return entry{name, 6, func(p *page, at xy) { p.disc(c, at, 1.3*radius) }}
}

// arrowEntry is that of arrows.
func arrowEntry(name string, c color.Color) entry {
	const length = 18
	return entry{name, length, func(p *page, at xy) { p.arrow(c, xy{at.x - length/2, at.y}, xy{at.x + length/2, at.y}, 1, 5.5) }}
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
	return render(path, math.Ceil(inset+max(w, l.legendWidth())+margin+4), math.Ceil(above+h+foot), func(p *page) {
		p.write(title, margin, margin, l.title)
		f := frame{p, inset, above, w, h, l.x, l.y}
		f.grid(xs, ys)
		f.labels(xs, ys)
		f.names(l.axes[0], l.axes[1], ys)
		paint(f)
		x := inset
		for _, e := range l.legend {
			e.mark(p, xy{x + e.width/2, above - 12.3})
			p.write(caption, x+e.width+5, above-13, e.name)
			x += e.width + 5 + caption.width(e.name) + 16
		}
		if l.bar != nil {
			p.colorBar(l.bar.gradient, x+6, above-16.5, 80, l.bar.low, l.bar.high, l.bar.what)
		}
	})
}

// legendWidth is that of the legend and the scale beside it.
func (l plane) legendWidth() (w float64) {
	for _, e := range l.legend {
		w += e.width + 5 + caption.width(e.name) + 16
	}
	if l.bar != nil {
		w += 6 + small.width(l.bar.low) + 5 + 80 + 15 + small.width(l.bar.high) + small.width(l.bar.what)
	}
	return w
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
