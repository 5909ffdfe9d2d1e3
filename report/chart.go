package report

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// Chart is curves over epochs, drawn in the page's own colours.
type Chart struct {
	Name   string
	Epochs []int
	Curves []Curve
	Best   int  // an epoch to mark, 0 for none
	Zero   bool // whether the axis starts at 0
}

// Curve is a value for each epoch; what is not finite is left out.
type Curve struct {
	Name   string
	Values []float64
}

// Entry is a line of a legend.
type Entry struct{ Name, Class string }

// classes are the styles of curves, in their order.
const classes = "abc"

// Legend names the curves, if there is more than one.
func (c Chart) Legend() []Entry {
	var list []Entry
	if len(c.Curves) > 1 {
		for i, curve := range c.Curves {
			list = append(list, Entry{curve.Name, class(i)})
		}
	}
	return list
}

func class(i int) string { return classes[i%len(classes):][:1] }

// Layout of a chart, in units of its view.
const (
	chartWidth  = 500.0
	chartHeight = 260.0
	chartLeft   = 52.0
	chartRight  = 14.0
	chartTop    = 18.0
	chartBottom = 26.0
)

// SVG draws the chart.
func (c Chart) SVG() template.HTML {
	f := c.frame()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, chartWidth, chartHeight, template.HTMLEscapeString(c.Name))
	for _, v := range ticks(f.low, f.high, 5) {
		y := f.y(v)
		fmt.Fprintf(&b, `<line class="rule" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`,
			chartLeft, chartWidth-chartRight, y, y, chartLeft-8, y+4, strconv.FormatFloat(v, 'g', 4, 64))
	}
	for _, v := range ticks(f.first, f.last, 6) {
		if v == math.Trunc(v) {
			fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%.0f</text>`, f.x(v), chartHeight-6, v)
		}
	}
	if c.Best > 0 {
		x := f.x(float64(c.Best))
		fmt.Fprintf(&b, `<line class="best" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`, x, x, chartTop, chartHeight-chartBottom)
		fmt.Fprintf(&b, `<text x="%.1f" y="11" text-anchor="middle">best: %d</text>`, min(max(x, chartLeft+26), chartWidth-chartRight-26), c.Best)
	}
	for i, curve := range c.Curves {
		c.draw(&b, f, curve, class(i))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// draw draws a curve, thinned to what can be seen, with a ring at its last point
// if there is no more than that one.
func (c Chart) draw(b *strings.Builder, f frame, curve Curve, class string) {
	const most = 600 // points
	var path strings.Builder
	var x, y float64
	points, every := 0, (len(c.Epochs)+most-1)/most
	for i, epoch := range c.Epochs {
		if v := curve.Values[i]; finite(v) && (i%every == 0 || i == len(c.Epochs)-1) {
			x, y = f.x(float64(epoch)), f.y(min(max(v, f.low), f.high+f.high-f.low))
			fmt.Fprintf(&path, "%c%.1f %.1f", "LM"[b2i(points == 0)], x, max(y, -chartHeight))
			points++
		}
	}
	if points == 1 {
		fmt.Fprintf(b, `<circle class="%s" cx="%.1f" cy="%.1f" r="4"/>`, class, x, y)
	}
	if points > 1 {
		fmt.Fprintf(b, `<path class="curve %s" d="%s"/>`, class, path.String())
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// frame maps epochs and values to the view.
type frame struct{ first, last, low, high float64 }

func (f frame) x(v float64) float64 {
	return chartLeft + (chartWidth-chartLeft-chartRight)*(v-f.first)/(f.last-f.first)
}

func (f frame) y(v float64) float64 {
	return chartHeight - chartBottom - (chartHeight-chartTop-chartBottom)*(v-f.low)/(f.high-f.low)
}

// frame holds all values, but, unless it starts at 0, for those of the first
// twentieth of the run, where a loss falls steeply and may leave it.
func (c Chart) frame() frame {
	f := frame{low: math.Inf(1), high: math.Inf(-1), first: float64(c.Epochs[0]), last: float64(c.Epochs[len(c.Epochs)-1])}
	from := len(c.Epochs) / 20
	if c.Zero {
		from = 0
	}
	for _, curve := range c.Curves {
		for _, v := range curve.Values[from:] {
			if finite(v) {
				f.low, f.high = min(f.low, v), max(f.high, v)
			}
		}
	}
	if f.low > f.high {
		f.low, f.high = 0, 1
	}
	if c.Zero {
		f.low = min(f.low, 0)
	}
	pad := 0.05 * (f.high - f.low)
	if pad == 0 {
		pad = max(math.Abs(f.high)/10, 1e-9)
	}
	f.high += pad
	if !c.Zero {
		f.low -= pad
	}
	if f.first == f.last {
		f.first, f.last = f.first-1, f.last+1
	}
	return f
}

// ticks are round values between two, about so many.
func ticks(low, high float64, about int) []float64 {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/float64(about))))
	for _, factor := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*factor) <= float64(about) {
			step *= factor
			break
		}
	}
	var list []float64
	for k := math.Ceil(low / step); k*step <= high; k++ {
		list = append(list, k*step)
	}
	return list
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
