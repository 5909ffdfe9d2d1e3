package figure

import (
	"fmt"
	"image"
	"math"
	"sort"
)

// Weights are those of a layer that reads the examples, [Units, Features]
// row-major: row i is the filter of unit i.
type Weights struct {
	Features int
	Values   []float32
	Shape    []int  // of an example, as in Triples
	Limit    int    // at most so many filters are drawn, 0 for 100
	Title    string // optional
}

// stripPixels is the width of a filter that is no image, and the most features of
// it that are drawn.
const stripPixels = 1280

// Filters draws the filters as tiles, those of the largest Euclidean norm first.
// Each is scaled by its own largest weight, blue for negative and red for
// positive with white at zero; a filter of a colour image shows its three
// channels as red, green and blue around a grey zero. The filters of examples
// that are no images become strips of cells, of the first 1,280 features at most.
func Filters(path string, w Weights) error {
	if w.Features < 1 || len(w.Values) == 0 || len(w.Values)%w.Features != 0 {
		return fmt.Errorf("draw filters: %d weights for %d features", len(w.Values), w.Features)
	}
	l, isImage, err := imageLayout(w.Shape, w.Features)
	if err != nil {
		return fmt.Errorf("draw filters: %w", err)
	}
	target, columns := 96, 0
	if !isImage {
		l, target, columns = layout{height: 1, width: min(w.Features, stripPixels), channels: 1}, stripPixels, 1
	}
	order := w.byNorm()
	n := min(len(order), orDefault(w.Limit, 100))
	if columns == 0 {
		columns = landscape(n, l)
	}
	return w.tiles(path, l, l.scale(target), columns, order[:n], len(order))
}

// byNorm lists the units by falling norm, equal ones in their own order.
func (w Weights) byNorm() []int {
	norms := make([]float64, len(w.Values)/w.Features)
	order := make([]int, len(norms))
	for i := range norms {
		order[i] = i
		for _, v := range w.filter(i) {
			norms[i] += float64(v) * float64(v)
		}
		if math.IsNaN(norms[i]) {
			norms[i] = math.Inf(1)
		}
	}
	sort.SliceStable(order, func(a, b int) bool { return norms[order[a]] > norms[order[b]] })
	return order
}

func (w Weights) filter(unit int) []float32 { return w.Values[unit*w.Features : (unit+1)*w.Features] }

// landscape is a number of columns that makes the sheet about 1.6 times as wide
// as it is high, but that puts up to 8 filters on one row.
func landscape(n int, l layout) int {
	ideal := math.Sqrt(1.6 * float64(n) * float64(l.height) / float64(l.width))
	return min(n, max(8, int(math.Round(ideal))))
}

// tiles draws the chosen units.
func (w Weights) tiles(path string, l layout, scale, columns int, units []int, all int) error {
	const gap, foot = 6, 26.0
	tileW, tileH := l.width*scale, l.height*scale
	if l.height == 1 {
		tileH = 24
	}
	rows := (len(units) + columns - 1) / columns
	picture := image.NewNRGBA(image.Rect(0, 0, even(columns*(tileW+gap)-gap), even(rows*(tileH+gap)-gap)))
	for i, unit := range units {
		corner := image.Pt(i%columns*(tileW+gap), i/columns*(tileH+gap))
		frameTile(picture, corner, tileW, tileH)
		filter := w.filter(unit)
		if l.height > 1 {
			paintTile(picture, corner, scale, l, filter, symmetric(filter))
			continue
		}
		for dy := 0; dy < tileH; dy += scale { // a strip is drawn as often as fills its height
			strip := picture.SubImage(image.Rectangle{corner, corner.Add(image.Pt(tileW, tileH))}).(*image.NRGBA)
			paintTile(strip, corner.Add(image.Pt(0, dy)), scale, l, filter, symmetric(filter))
		}
	}
	note := fmt.Sprintf("%d filters by falling norm", len(units))
	if len(units) < all {
		note = fmt.Sprintf("%d of %d filters, largest norm first", len(units), all)
	}
	above := margin + header(w.Title)
	pictureW, pictureH := float64(picture.Rect.Dx())/density, float64(picture.Rect.Dy())/density
	width := math.Max(pictureW, 340) + 2*margin
	return render(path, math.Ceil(width), above+pictureH+foot+margin, func(p *page) {
		p.write(title, margin, margin, w.Title)
		p.picture(margin, above, picture)
		y := above + pictureH + 14
		if l.channels == 1 {
			p.colorBar(blueRed, margin, y, 80, "−max", "+max", note)
		} else {
			p.write(small, margin, y+4, note)
		}
	})
}

// frameTile draws a hairline around a tile, so that a filter of zeros shows.
func frameTile(dst *image.NRGBA, corner image.Point, w, h int) {
	for x := -1; x <= w; x++ {
		dst.SetNRGBA(corner.X+x, corner.Y-1, faint)
		dst.SetNRGBA(corner.X+x, corner.Y+h, faint)
	}
	for y := -1; y <= h; y++ {
		dst.SetNRGBA(corner.X-1, corner.Y+y, faint)
		dst.SetNRGBA(corner.X+w, corner.Y+y, faint)
	}
}

// symmetric makes tones over ± the largest finite weight, zero in the middle.
func symmetric(filter []float32) tones {
	largest := 0.0
	for _, v := range filter {
		if a := math.Abs(float64(v)); a > largest && !math.IsInf(a, 0) {
			largest = a
		}
	}
	if largest == 0 {
		largest = 1
	}
	return tones{-largest, largest, blueRed}
}
