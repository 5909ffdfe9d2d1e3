package figure

import (
	"fmt"
	"math"
)

// Trajectories are the ways of points in the plane from noise to samples.
type Trajectories struct {
	Steps  [][]float32 // the positions of all points after each step, the first being their starts, two numbers each
	Data   []float32   // points; optional
	Names  [2]string   // of the first and the last step, such as "noise" and "sample"
	Scale  [2]string   // the values of the first and the last step
	Unit   string      // what the scale shows, such as "σ" or "step"
	Axes   [2]string   // names; optional
	Title  string      // optional
	Inside []float32   // points that the frame holds; if it is empty, all of them
}

// Paths draws trajectories as lines that darken from step to step, with their
// starts and their ends.
func Paths(path string, t Trajectories) error {
	if len(t.Steps) < 2 || len(t.Steps[0]) == 0 || len(t.Steps[0])%2 != 0 || len(t.Data)%2 != 0 || len(t.Inside)%2 != 0 {
		return fmt.Errorf("draw trajectories: %d steps", len(t.Steps))
	}
	steps := make([][]xy, len(t.Steps))
	for i, step := range t.Steps {
		if len(step) != len(t.Steps[0]) {
			return fmt.Errorf("draw trajectories: %d numbers at step %d, %d at the first", len(step), i, len(t.Steps[0]))
		}
		steps[i] = points(step)
	}
	data, frameOf := points(t.Data), steps
	if len(t.Inside) > 0 {
		frameOf = [][]xy{points(t.Inside)}
	}
	plane := newPlane(t.Axes, t.Title, append(frameOf, data)...)
	if len(data) > 0 {
		plane.legend = append(plane.legend, dot("data", grey, 2))
	}
	plane.legend = append(plane.legend,
		entry{t.Names[0], 6, func(p *page, at xy) { p.ring(ways.at(0), at) }},
		dot(t.Names[1], blue, 1.9))
	plane.bar = &bar{ways, t.Scale[0], t.Scale[1], t.Unit}
	last := len(steps) - 1
	return plane.render(path, func(f frame) {
		f.cloud(data, faded(grey, 0.45), 1.5)
		for i := range last {
			shade := stroke{color: ways.at((float64(i) + 0.5) / float64(last)), width: 0.9}
			for k, from := range steps[i] {
				if to := steps[i+1][k]; f.holds(from) && f.holds(to) {
					f.lines(shade, f.at(from.x, from.y), f.at(to.x, to.y))
				}
			}
		}
		for k := range steps[0] {
			if f.holds(steps[0][k]) {
				f.ring(ways.at(0), f.at(steps[0][k].x, steps[0][k].y))
			}
		}
		f.cloud(steps[last], blue, 1.9)
	})
}

// holds reports whether a point is finite and in the frame.
func (f frame) holds(p xy) bool {
	return !math.IsNaN(p.x+p.y) && f.contains(p.x, p.y)
}
