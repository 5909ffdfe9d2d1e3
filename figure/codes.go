package figure

import (
	"fmt"
	"image/color"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Codes are the codes of examples in the plane, two numbers each, row-major, such
// as the first two principal components.
type Codes struct {
	Values []float32
	Labels []string  // the class of each example; optional
	Axes   [2]string // names; optional
	Title  string    // optional
}

// CodeMap draws a map of codes: a point for each example, coloured by class, with
// the class's name at the median of its points. More classes than there are
// colours to tell apart are coloured along a gradient, in the order of their
// names (of their values, if all are numbers), and only the first ten are named.
func CodeMap(path string, c Codes) error {
	n := len(c.Values) / 2
	if n == 0 || len(c.Values)%2 != 0 || len(c.Labels) > 0 && len(c.Labels) != n {
		return fmt.Errorf("draw the map of codes: %d numbers for points of two, with %d labels", len(c.Values), len(c.Labels))
	}
	all := points(c.Values)
	if len(c.Labels) == 0 {
		return newPlane(c.Axes, c.Title, all).render(path, func(f frame) { f.cloud(all, faded(blue, 0.6), 1.8) })
	}
	classes := distinct(c.Labels)
	shade := shades(classes)
	return newPlane(c.Axes, c.Title, all).render(path, func(f frame) {
		drawn := min(n, maxPoints)
		for i := range drawn {
			k := i * n / drawn
			if f.drawable(all[k]) {
				f.disc(faded(shade[c.Labels[k]], 0.75), f.at(all[k].x, all[k].y), 1.9)
			}
		}
		var named []string
		var places []xy
		for _, class := range classes[:min(len(classes), len(classColors))] {
			if at, ok := medianOf(class, c.Labels, all); ok {
				named, places = append(named, class), append(places, f.at(at.x, at.y))
			}
		}
		widest := 1.0 // of the names, in distances of tags
		for _, class := range named {
			widest = max(widest, (caption.width(class)+12)/tagDistance)
		}
		for i := range places {
			places[i].x /= widest
		}
		pushApart(places, tagDistance)
		for i := range places {
			places[i].x *= widest
		}
		for i, class := range named {
			f.tag(class, places[i], shade[class])
		}
	})
}

// tagDistance keeps the names of classes from covering each other, in points.
const tagDistance = 18

// pushApart moves places that are closer than a distance away from each other, a
// little at a time.
func pushApart(places []xy, by float64) {
	const rounds = 100
	for range rounds {
		for i := range places {
			for k := range i {
				a, b := &places[i], &places[k]
				dx, dy, d := a.x-b.x, a.y-b.y, distance(*a, *b)
				if d >= by {
					continue
				}
				if d == 0 {
					dx, dy, d = 0, 1, 1
				}
				step := (by - distance(*a, *b)) / 2 / d
				a.x, a.y, b.x, b.y = a.x+step*dx, a.y+step*dy, b.x-step*dx, b.y-step*dy
			}
		}
	}
}

// distinct lists the classes in order: by value if all are numbers, otherwise by
// name.
func distinct(labels []string) []string {
	seen := map[string]bool{}
	for _, l := range labels {
		seen[l] = true
	}
	classes := slices.Sorted(maps.Keys(seen))
	values := make(map[string]float64, len(classes))
	for _, class := range classes {
		v, err := strconv.ParseFloat(class, 64)
		if err != nil || math.IsNaN(v) {
			return classes
		}
		values[class] = v
	}
	slices.SortStableFunc(classes, func(a, b string) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return 0
	})
	return classes
}

// shades gives each class its colour.
func shades(classes []string) map[string]color.NRGBA {
	shade := make(map[string]color.NRGBA, len(classes))
	for i, class := range classes {
		if len(classes) <= len(classColors) {
			shade[class] = classColors[i]
		} else {
			shade[class] = viridis.at(float64(i) / float64(len(classes)-1))
		}
	}
	return shade
}

// medianOf is the median of a class's points in each coordinate.
func medianOf(class string, labels []string, all []xy) (at xy, ok bool) {
	var xs, ys []float64
	for i, l := range labels {
		if p := all[i]; l == class && !math.IsNaN(p.x+p.y) && !math.IsInf(p.x+p.y, 0) {
			xs, ys = append(xs, p.x), append(ys, p.y)
		}
	}
	return xy{quantile(xs, 0.5), quantile(ys, 0.5)}, len(xs) > 0
}

// tag writes a name in a white pill with a rim of the class's colour.
func (f frame) tag(name string, at xy, rim color.NRGBA) {
	w := writing{size: 10, color: ink, bold: true, anchor: anchor{center, middle}}
	half := math.Max(7.5, w.width(name)/2+4)
	f.pill(at, half+1.2, 8.7, rim)
	f.pill(at, half, 7.5, white)
	f.write(w, at.x, at.y, name)
}

// pill fills a rectangle with half discs at both ends.
func (f frame) pill(at xy, half, radius float64, c color.Color) {
	f.disc(c, xy{at.x - half + radius, at.y}, radius)
	f.disc(c, xy{at.x + half - radius, at.y}, radius)
	f.rectangle(at.x-half+radius, at.y-radius, 2*(half-radius), 2*radius, c)
}
