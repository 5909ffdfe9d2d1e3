package figure

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
)

// Epoch is a row of a training run's metrics. A number that was not measured is
// NaN.
type Epoch struct {
	Number     int
	Train      float64 // NLL, nats an example
	Validation float64
	Rate       float64 // the learning rate at the end of the epoch
}

// History is what Curves draws.
type History struct {
	Epochs []Epoch
	Best   int    // the epoch that is marked; 0 for that of the least validation NLL
	Name   string // of the vertical axis; "NLL (nats per example)" if empty
	Title  string // optional
}

// series is one line of a plot.
type series struct {
	name string
	stroke
	value func(Epoch) float64
}

// Curves draws the training and the validation NLL against the epoch, marks the
// best epoch, and shows the learning rate below on the same axis.
func Curves(path string, h History) error {
	if len(h.Epochs) == 0 {
		return fmt.Errorf("draw curves: %w", errors.New("no epochs"))
	}
	if h.Name == "" {
		h.Name = "NLL (nats per example)"
	}
	lines := []series{
		{"training", stroke{color: blue, width: 1.6}, func(e Epoch) float64 { return e.Train }},
		{"validation", stroke{color: vermilion, width: 1.6}, func(e Epoch) float64 { return e.Validation }},
	}
	rate := []series{{"learning rate", stroke{color: muted, width: 1.3}, func(e Epoch) float64 { return e.Rate }}}

	epochs := empty()
	for _, e := range h.Epochs {
		epochs.include(float64(e.Number))
	}
	losses := h.settled(lines).padded(0.06)
	xs := epochs.padded(0).ticks(8, true)
	ys := losses.ticks(6, false)
	var rs []tick
	rates, hasRate := h.rates(rate)

	const width, gap, lossHeight, rateHeight = 620.0, 22.0, 250.0, 58.0
	above := margin + 24.0 + 16
	height := above + lossHeight + 38 + margin
	if hasRate {
		rs = rates.ticks(2, false)
		height += gap + rateHeight
	}
	inset := margin + 24 + math.Max(labelWidth(ys), labelWidth(rs))
	return render(path, width, math.Ceil(height), func(p *page) {
		p.write(title, margin, margin, h.Title)
		f := frame{p, inset, above, width - inset - margin - 8, lossHeight, epochs.padded(0.015), losses}
		f.grid(xs, ys)
		f.draw(h.Epochs, lines)
		f.mark(h)
		p.legend(lines, f.left+f.width, margin+7)
		if !hasRate {
			f.labels(xs, ys)
			f.names("epoch", h.Name, ys)
			return
		}
		f.labels(nil, ys)
		f.names("", h.Name, ys)
		g := frame{p, inset, above + lossHeight + gap, f.width, rateHeight, f.x, rates}
		g.grid(xs, rs)
		g.draw(h.Epochs, rate)
		g.labels(xs, rs)
		g.names("epoch", "", rs)
		p.write(small.at(left, bottom), g.left, g.top-3, rate[0].name)
	})
}

// span is that of all values of some series.
func (h History) span(lines []series) span {
	s := empty()
	for _, l := range lines {
		for _, e := range h.Epochs {
			s.include(l.value(e))
		}
	}
	return s
}

// settled is the axis of the NLL: the first twentieth of a run, where it falls
// steeply, may leave the frame.
func (h History) settled(lines []series) span {
	return History{Epochs: h.Epochs[len(h.Epochs)/20:]}.span(lines)
}

// rates is the axis of learning rates, from 0 to a little more than the highest;
// ok is false if none was measured.
func (h History) rates(rate []series) (s span, ok bool) {
	highest := h.span(rate).high
	return span{0, 1.12 * highest}, highest > 0
}

// best is the epoch to mark; ok is false if there is none.
func (h History) best() (best Epoch, ok bool) {
	for _, e := range h.Epochs {
		switch {
		case h.Best != 0:
			if e.Number == h.Best {
				return e, true
			}
		case !math.IsNaN(e.Validation) && (!ok || e.Validation < best.Validation):
			best, ok = e, true
		}
	}
	return best, ok
}

// mark draws the best epoch: a dashed line with its number, and a ring around its
// validation NLL.
func (f frame) mark(h History) {
	best, ok := h.best()
	if !ok {
		return
	}
	x := float64(best.Number)
	f.lines(stroke{color: grey, width: 0.9, dashes: []vg.Length{3, 3}}, f.at(x, f.y.low), f.at(x, f.y.high))
	at := f.at(x, f.y.high)
	name := fmt.Sprintf("best: epoch %d", best.Number)
	if !math.IsNaN(best.Validation) {
		name += ", " + number(best.Validation, f.decimals())
	}
	anchored := small.at(center, bottom)
	half := small.width(name) / 2
	f.write(anchored, math.Min(math.Max(at.x, f.left+half), f.left+f.width-half), at.y-3, name)
	if f.contains(x, best.Validation) {
		f.disc(vermilion, f.at(x, best.Validation), 4.2)
		f.disc(white, f.at(x, best.Validation), 2.4)
	}
}

// decimals is how many of them tell apart values a thousandth of the axis apart.
func (f frame) decimals() int {
	return max(0, 2-int(math.Floor(math.Log10(f.y.length()))))
}

// draw draws the series inside the frame, joined across epochs where they were
// not measured.
func (f frame) draw(epochs []Epoch, lines []series) {
	for _, l := range lines {
		var run []xy
		for _, e := range epochs {
			if v := l.value(e); !math.IsNaN(v) && !math.IsInf(v, 0) {
				run = append(run, f.at(float64(e.Number), v))
			}
		}
		f.curve(l.stroke, run)
	}
}

// curve draws a line clipped to the frame, or a dot for a single point.
func (f frame) curve(s stroke, run []xy) {
	if len(run) == 1 {
		f.disc(s.color, run[0], 1.2*s.width)
		return
	}
	inside := vgdraw.Canvas{Canvas: f.page.Canvas, Rectangle: vg.Rectangle{
		Min: f.point(f.left, f.top+f.height), Max: f.point(f.left+f.width, f.top),
	}}
	points := make([]vg.Point, len(run))
	for i, at := range run {
		points[i] = f.point(at.x, at.y)
	}
	inside.StrokeLines(vgdraw.LineStyle{Color: s.color, Width: vg.Length(s.width)}, inside.ClipLinesXY(points)...)
}

// legend names the series on one line that ends at right.
func (p *page) legend(lines []series, right, y float64) {
	const sample, gap = 16.0, 6.0
	for i := len(lines) - 1; i >= 0; i-- {
		l := lines[i]
		right -= caption.width(l.name)
		p.write(caption, right, y, l.name)
		p.lines(l.stroke, xy{right - gap - sample, y}, xy{right - gap, y})
		right -= gap + sample + 2.5*gap
	}
}
