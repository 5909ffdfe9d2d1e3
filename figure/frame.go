package figure

import (
	"math"
	"strconv"
	"strings"
)

// span is an interval of values.
type span struct{ low, high float64 }

// empty is the span that extends to nothing.
func empty() span { return span{math.Inf(1), math.Inf(-1)} }

// include widens the span to a finite value.
func (s *span) include(v float64) {
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		s.low, s.high = math.Min(s.low, v), math.Max(s.high, v)
	}
}

// padded widens the span by a fraction of its length on each side; one of no
// length, or none, becomes one of length 1 or more.
func (s span) padded(fraction float64) span {
	switch {
	case s.low > s.high:
		return span{0, 1}
	case s.low == s.high:
		by := math.Max(0.5, math.Abs(s.low)/10)
		return span{s.low - by, s.high + by}
	}
	by := fraction * (s.high - s.low)
	return span{s.low - by, s.high + by}
}

// widened is the span made at least so long, around its middle.
func (s span) widened(length float64) span {
	by := math.Max(0, length-s.length()) / 2
	return span{s.low - by, s.high + by}
}

func (s span) length() float64 { return s.high - s.low }

// tick is a labelled position of an axis.
type tick struct {
	value float64
	label string
}

// ticks are the multiples of 1, 2 or 5 times a power of ten within the span,
// about as many as wanted, labelled with as many decimals as they need. whole
// allows integers only.
func (s span) ticks(wanted int, whole bool) []tick {
	raw := s.length() / float64(wanted)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * power
	for _, m := range []float64{1, 2, 5} {
		if m*power >= 0.9*raw {
			step = m * power
			break
		}
	}
	if whole {
		step = math.Max(1, math.Round(step))
	}
	decimals := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var list []tick
	slack := 1e-9 * step
	for i := math.Ceil((s.low - slack) / step); i*step <= s.high+slack; i++ {
		list = append(list, tick{i * step, number(i*step, decimals)})
	}
	return list
}

// number formats a value with a true minus sign.
func number(v float64, decimals int) string {
	if v == 0 {
		return "0"
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if math.Abs(v) >= 1e6 || decimals > 5 {
		text = strconv.FormatFloat(v, 'g', 4, 64)
	}
	return strings.ReplaceAll(text, "-", "−")
}

// frame is the area of a plot on the page, and what it spans.
type frame struct {
	*page
	left, top, width, height float64 // points
	x, y                     span
}

// at places a value on the page.
func (f frame) at(x, y float64) xy {
	return xy{
		f.left + (x-f.x.low)/f.x.length()*f.width,
		f.top + (f.y.high-y)/f.y.length()*f.height,
	}
}

// contains reports whether a value lies in the frame.
func (f frame) contains(x, y float64) bool {
	return x >= f.x.low && x <= f.x.high && y >= f.y.low && y <= f.y.high
}

// grid draws hairlines at the ticks.
func (f frame) grid(xs, ys []tick) {
	hair := stroke{color: faint, width: 0.6}
	for _, t := range xs {
		f.lines(hair, f.at(t.value, f.y.low), f.at(t.value, f.y.high))
	}
	for _, t := range ys {
		f.lines(hair, f.at(f.x.low, t.value), f.at(f.x.high, t.value))
	}
}

// labels writes the ticks' labels under and left of the frame.
func (f frame) labels(xs, ys []tick) {
	for _, t := range xs {
		f.write(small.at(center, top), f.at(t.value, 0).x, f.top+f.height+4, t.label)
	}
	for _, t := range ys {
		f.write(small.at(right, middle), f.left-6, f.at(0, t.value).y, t.label)
	}
}

// names writes the axes' names under and left of the labels.
func (f frame) names(x, y string, ys []tick) {
	f.write(caption.at(center, top), f.left+f.width/2, f.top+f.height+17, x)
	turned := caption.at(center, bottom)
	turned.turned = true
	f.write(turned, f.left-10-labelWidth(ys), f.top+f.height/2, y)
}

// labelWidth is the width of the widest label.
func labelWidth(list []tick) (width float64) {
	for _, t := range list {
		width = math.Max(width, small.width(t.label))
	}
	return width
}
