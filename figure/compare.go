package figure

import (
	"errors"
	"fmt"
	"math"
)

// Course is a value of a run by epoch; what was not measured is NaN.
type Course struct {
	Name   string
	Epochs []int
	Values []float64
}

// Comparison is what Compare draws.
type Comparison struct {
	Courses []Course
	Name    string // of the vertical axis
}

// Compare draws a value of several runs against the epoch, a line for each, named
// above the frame. The first twentieth of each run may leave the frame.
func Compare(path string, c Comparison) error {
	epochs, values := empty(), empty()
	for _, course := range c.Courses {
		for i, epoch := range course.Epochs {
			epochs.include(float64(epoch))
			if i >= len(course.Epochs)/20 {
				values.include(course.Values[i])
			}
		}
	}
	if epochs.low > epochs.high || values.low > values.high {
		return fmt.Errorf("draw a comparison: %w", errors.New("no values"))
	}
	const width, height, line = 620.0, 290.0, 16.0
	above := margin + line*float64(len(c.Courses)) + 10
	xs, ys := epochs.padded(0).ticks(8, true), values.padded(0.06).ticks(6, false)
	inset := margin + 24 + labelWidth(ys)
	return render(path, width, math.Ceil(above+height+38+margin), func(p *page) {
		f := frame{p, inset, above, width - inset - margin - 8, height, epochs.padded(0.015), values.padded(0.06)}
		f.grid(xs, ys)
		for i, course := range c.Courses {
			s := stroke{color: classColors[i%len(classColors)], width: 1.6}
			var run []xy
			for k, epoch := range course.Epochs {
				if v := course.Values[k]; !math.IsNaN(v) && !math.IsInf(v, 0) {
					run = append(run, f.at(float64(epoch), v))
				}
			}
			f.curve(s, run)
			y := margin + line*(float64(i)+0.5)
			p.lines(s, xy{inset, y}, xy{inset + 18, y})
			p.write(small.at(left, middle), inset+25, y, course.Name)
		}
		f.labels(xs, ys)
		f.names("epoch", c.Name, ys)
	})
}
