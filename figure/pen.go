package figure

import (
	"image/color"
	"math"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
)

// stroke is how a line is drawn.
type stroke struct {
	color  color.Color
	width  float64
	dashes []vg.Length
}

// xy is a position on the page.
type xy struct{ x, y float64 }

func (p *page) lines(s stroke, at ...xy) {
	var path vg.Path
	for i, a := range at {
		if i == 0 {
			path.Move(p.point(a.x, a.y))
		} else {
			path.Line(p.point(a.x, a.y))
		}
	}
	p.SetLineStyle(vgdraw.LineStyle{Color: s.color, Width: vg.Length(s.width), Dashes: s.dashes})
	p.Stroke(path)
}

func (p *page) polygon(c color.Color, at ...xy) {
	points := make([]vg.Point, len(at))
	for i, a := range at {
		points[i] = p.point(a.x, a.y)
	}
	p.FillPolygon(c, points)
}

func (p *page) rectangle(x, y, w, h float64, c color.Color) {
	p.polygon(c, xy{x, y}, xy{x + w, y}, xy{x + w, y + h}, xy{x, y + h})
}

func (p *page) disc(c color.Color, at xy, radius float64) {
	center := p.point(at.x, at.y)
	var path vg.Path
	path.Move(vg.Point{X: center.X + vg.Length(radius), Y: center.Y})
	path.Arc(center, vg.Length(radius), 0, 2*math.Pi)
	path.Close()
	p.SetColor(c)
	p.Fill(path)
}

// arrow draws an arrow whose head takes its share of a short one, so that a
// field of arrows keeps its directions where it is weak.
func (p *page) arrow(c color.Color, from, to xy, width, head float64) {
	dx, dy := to.x-from.x, to.y-from.y
	length := math.Hypot(dx, dy)
	if !(length > 0.05) {
		return
	}
	dx, dy = dx/length, dy/length
	head = min(head, 0.7*length)
	neck := xy{to.x - 0.85*head*dx, to.y - 0.85*head*dy}
	p.lines(stroke{color: c, width: width * min(1, (head+length)/(8*width))}, from, neck)
	back, half := xy{to.x - head*dx, to.y - head*dy}, 0.42*head
	p.polygon(c, to, xy{back.x - half*dy, back.y + half*dx}, neck, xy{back.x + half*dy, back.y - half*dx})
}

// anchor is the part of a text that lies at its position.
type anchor struct {
	x text.XAlignment
	y text.YAlignment
}

// writing is how a text is drawn.
type writing struct {
	size   float64
	color  color.Color
	bold   bool
	anchor anchor
	turned bool // reads upwards
}

func (w writing) style() text.Style {
	weight := xfont.WeightNormal
	if w.bold {
		weight = xfont.WeightBold
	}
	s := text.Style{
		Color:   w.color,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight, Size: vg.Length(w.size)},
		XAlign:  w.anchor.x,
		YAlign:  w.anchor.y,
		Handler: plot.DefaultTextHandler,
	}
	if w.turned {
		s.Rotation = math.Pi / 2
	}
	return s
}

// width is that of a text in points, before it is turned.
func (w writing) width(txt string) float64 { return w.style().Width(txt).Points() }

// at returns the writing with another anchor.
func (w writing) at(x text.XAlignment, y text.YAlignment) writing {
	w.anchor = anchor{x, y}
	return w
}

func (p *page) write(w writing, x, y float64, txt string) {
	if txt != "" {
		p.FillText(w.style(), p.point(x, y), txt)
	}
}

const (
	left   = vgdraw.XLeft
	center = vgdraw.XCenter
	right  = vgdraw.XRight
	top    = vgdraw.YTop
	middle = vgdraw.YCenter
	bottom = vgdraw.YBottom
)

// The three texts of a figure.
var (
	title   = writing{size: 12, color: ink, bold: true, anchor: anchor{left, top}}
	caption = writing{size: 9.5, color: ink, anchor: anchor{left, middle}}
	small   = writing{size: 8.5, color: muted, anchor: anchor{left, middle}}
)
