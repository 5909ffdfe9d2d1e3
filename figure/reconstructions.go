package figure

import (
	"fmt"
	"image"
	"math"
)

// Triples are clean examples x, what a corruption made of them, x̃, and their
// reconstructions r(x̃), row-major with Features numbers to an example.
type Triples struct {
	Features                        int
	Clean, Corrupted, Reconstructed []float32

	// Shape of an example: [h, w], [h, w, 1], [1, h, w], [h, w, 3] or [3, h, w]
	// for an image. Any other shape is a table's.
	Shape []int
	// Columns are the names of the features of a table; optional.
	Columns []string
	// Labels go above the examples; optional.
	Labels []string
	// Low and High are the values of an image that are drawn black and white; if
	// they are equal, 0 and 1.
	Low, High float64
	// Limit is the number of examples that are drawn, the first ones; 0 for a
	// number that suits the kind of data.
	Limit int
	// Title goes above the figure; optional.
	Title string
}

// Reconstructions draws triples: images in three rows of crisp tiles, clean above
// corrupted above reconstructed; examples of two features as points in the plane
// with arrows from corrupted to reconstructed (see Manifold); and those of a table as
// strips, each column coloured over the range of its clean values. A number that
// is not finite is magenta.
func Reconstructions(path string, t Triples) error {
	n, err := t.count()
	if err != nil {
		return fmt.Errorf("draw reconstructions: %w", err)
	}
	l, isImage, err := imageLayout(t.Shape, t.Features)
	switch {
	case err != nil:
		return fmt.Errorf("draw reconstructions: %w", err)
	case isImage:
		return t.images(path, l, min(n, orDefault(t.Limit, 12)))
	case t.Features == 2:
		n = min(n, orDefault(t.Limit, 200))
		return Manifold(path, Pairs{
			Data: t.Clean, Corrupted: t.Corrupted[:2*n], Reconstructed: t.Reconstructed[:2*n],
			Axes: pair(t.Columns), Title: t.Title,
		})
	}
	return t.strips(path, min(n, orDefault(t.Limit, 8)))
}

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

func pair(columns []string) (names [2]string) {
	copy(names[:], columns)
	return names
}

// count is the number of examples, which must be the same in all three parts.
func (t Triples) count() (int, error) {
	if t.Features < 1 || len(t.Clean) == 0 || len(t.Clean)%t.Features != 0 {
		return 0, fmt.Errorf("%d clean values for examples of %d features", len(t.Clean), t.Features)
	}
	if len(t.Corrupted) != len(t.Clean) || len(t.Reconstructed) != len(t.Clean) {
		return 0, fmt.Errorf("%d clean, %d corrupted and %d reconstructed values", len(t.Clean), len(t.Corrupted), len(t.Reconstructed))
	}
	return len(t.Clean) / t.Features, nil
}

// part is a row of a figure of triples.
type part struct {
	name   string
	values []float32
}

func (t Triples) parts() [3]part {
	return [3]part{{"clean", t.Clean}, {"corrupted", t.Corrupted}, {"reconstructed", t.Reconstructed}}
}

// example is example i of a part.
func (t Triples) example(values []float32, i int) []float32 {
	return values[i*t.Features : (i+1)*t.Features]
}

// margin surrounds a figure, in points.
const margin = 14

// header is the height of the title and draws it.
func header(text string) float64 {
	if text == "" {
		return 0
	}
	return 24
}

// images lays the examples out in columns, in as many bands of three rows as the
// width of a page asks for.
func (t Triples) images(path string, l layout, n int) error {
	const (
		tilePixels = 112 // the side that small images are drawn to
		pagePixels = 1680
		gap        = 4 // pixels between tiles
		bandGap    = 24
		captions   = 78 // points
	)
	if t.Low == t.High {
		t.Low, t.High = 0, 1
	}
	scale := l.scale(tilePixels)
	tileW, tileH := l.width*scale, l.height*scale
	columns := min(n, max(1, (pagePixels+gap)/(tileW+gap)))
	bands := (n + columns - 1) / columns
	columns = (n + bands - 1) / bands
	labels := 0
	if len(t.Labels) > 0 {
		labels = 28
	}
	bandH := even(3*tileH + 2*gap + labels)
	pictureW := even(columns*(tileW+gap) - gap)
	pictureH := bands*(bandH+bandGap) - bandGap

	picture := image.NewNRGBA(image.Rect(0, 0, pictureW, pictureH))
	corner := func(i, row int) image.Point {
		return image.Pt(i%columns*(tileW+gap), i/columns*(bandH+bandGap)+labels+row*(tileH+gap))
	}
	for i := range n {
		for row, part := range t.parts() {
			paintTile(picture, corner(i, row), scale, l, t.example(part.values, i), tones{t.Low, t.High, greys})
		}
	}
	above := margin + header(t.Title)
	width := margin + captions + float64(pictureW)/density + margin
	return render(path, width, above+float64(pictureH)/density+margin, func(p *page) {
		p.write(title, margin, margin, t.Title)
		p.picture(margin+captions, above, picture)
		for band := range bands {
			for row, part := range t.parts() {
				at := corner(band*columns, row)
				p.write(caption.at(right, middle), margin+captions-8, above+float64(at.Y)/density+float64(tileH)/density/2, part.name)
			}
		}
		for i := range min(n, len(t.Labels)) {
			at := corner(i, 0)
			p.write(small.at(center, bottom), margin+captions+(float64(at.X)+float64(tileW)/2)/density, above+float64(at.Y)/density-3, t.Labels[i])
		}
	})
}

// even rounds up to a whole number of points.
func even(pixels int) int { return pixels + pixels%density }

// strips draws each example of a table as three strips of coloured cells.
func (t Triples) strips(path string, n int) error {
	const (
		stripWidth  = 620 // points, and the most columns that are drawn
		cellHeight  = 13.0
		exampleGap  = 9.0
		captions    = 78.0
		namedCells  = 13.0 // the least width of a cell whose column is named
		legendSpace = 30.0
	)
	shown := min(t.Features, stripWidth)
	note := "each column over its clean range"
	if shown < t.Features {
		note += fmt.Sprintf("; the first %d of %d columns", shown, t.Features)
	}
	cell := math.Min(28, float64(stripWidth)/float64(shown))
	names := 0.0
	if len(t.Columns) == t.Features && cell >= namedCells {
		for _, name := range t.Columns {
			names = math.Max(names, small.width(name)+8)
		}
	}
	between := 0.5
	if cell < 4 {
		between = 0
	}
	ranges := t.ranges()
	above := margin + header(t.Title)
	exampleHeight := 3*cellHeight + exampleGap
	body := float64(n)*exampleHeight - exampleGap
	width := math.Ceil(2*margin + captions + math.Max(cell*float64(shown), 330))
	height := math.Ceil(above + body + names + legendSpace + margin)
	return render(path, width, height, func(p *page) {
		p.write(title, margin, margin, t.Title)
		for i := range n {
			y := above + float64(i)*exampleHeight
			for row, part := range t.parts() {
				y := y + float64(row)*cellHeight
				p.write(small.at(right, middle), margin+captions-8, y+cellHeight/2, part.name)
				for j, v := range t.example(part.values, i)[:shown] {
					p.rectangle(margin+captions+float64(j)*cell, y, cell-between, cellHeight-0.5, ranges[j].at(v))
				}
			}
			if i < len(t.Labels) {
				p.write(small, margin, y+cellHeight/2, t.Labels[i])
			}
		}
		if names > 0 {
			turned := small.at(right, middle)
			turned.turned = true
			for j, name := range t.Columns {
				p.write(turned, margin+captions+(float64(j)+0.5)*cell, above+body+5, name)
			}
		}
		p.colorBar(viridis, margin+captions, above+body+names+14, 90, "low", "high", note)
	})
}

// ranges are the extremes of the clean values of each column.
func (t Triples) ranges() []tones {
	ranges := make([]tones, t.Features)
	for j := range ranges {
		r := tones{math.Inf(1), math.Inf(-1), viridis}
		for i := j; i < len(t.Clean); i += t.Features {
			r.low, r.high = math.Min(r.low, float64(t.Clean[i])), math.Max(r.high, float64(t.Clean[i]))
		}
		if !(r.low < r.high) { // a constant column is drawn in the middle
			r.low, r.high = r.low-1, r.low+1
		}
		ranges[j] = r
	}
	return ranges
}

// colorBar draws a horizontal scale with its ends' names and what it measures. It
// ends up to a point to the right of where it should.
func (p *page) colorBar(g gradient, x, y, width float64, low, high, what string) {
	const height = 7
	x, y = math.Ceil(x+small.width(low)+5), math.Round(y)
	scale := image.NewNRGBA(image.Rect(0, 0, int(width)*density, height*density))
	for i := range scale.Rect.Dx() {
		for j := range scale.Rect.Dy() {
			scale.SetNRGBA(i, j, g.at(float64(i)/float64(scale.Rect.Dx()-1)))
		}
	}
	p.place(x, y, scale)
	p.write(small.at(right, middle), x-5, y+height/2., low)
	p.write(small, x+width+5, y+height/2., high)
	p.write(small, x+width+15+small.width(high), y+height/2., what)
}
