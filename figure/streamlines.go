package figure

import (
	"math"
	"slices"
)

// lineDistance is that of stream lines, as a share of the frame's longer side.
const lineDistance = 0.022

// Stream lines are placed evenly by the method of Jobard and Lefer (Creating
// evenly-spaced streamlines of arbitrary density, 1997): a line grows both ways
// until it comes closer to another than half the distance, and starts at the
// distance from one that is already there.

// streamLines are the lines of the field, none longer than it takes and none
// closer to each other than half the distance.
func (l lattice) streamLines(apart float64) *streams {
	s := &streams{lattice: l, apart: apart, taken: map[[2]int][]xy{}, slowest: 1e-4 * l.longest()}
	// Where one line's neighbours do not reach, a coarse grid of starts does.
	step := max(1, int(apart/l.cell))
	for row := step / 2; row < l.rows; row += step {
		for column := step / 2; column < l.columns; column += step {
			s.spread(l.position(row, column))
		}
	}
	return s
}

// streams are lines under way.
type streams struct {
	lattice
	apart   float64         // distance of lines
	slowest float64         // length of vectors at which a line ends
	taken   map[[2]int][]xy // points of all lines, by squares of the size apart
	lines   [][]xy
}

// spread adds the line through a start, those beside it, and so on.
func (s *streams) spread(start xy) {
	first := len(s.lines)
	s.add(start)
	for i := first; i < len(s.lines); i++ {
		line := s.lines[i]
		every := max(1, int(s.apart/s.stride()))
		for k := 0; k+1 < len(line); k += every {
			dx, dy := line[k+1].x-line[k].x, line[k+1].y-line[k].y
			by := s.apart / math.Hypot(dx, dy)
			s.add(xy{line[k].x - dy*by, line[k].y + dx*by})
			s.add(xy{line[k].x + dy*by, line[k].y - dx*by})
		}
	}
}

// shortest is the length of a line worth drawing, in distances of lines.
const shortest = 1.5

// add grows a line from a start that is free.
func (s *streams) add(start xy) {
	if !s.free(start, s.apart) {
		return
	}
	line := s.grow([]xy{start}, 1)
	slices.Reverse(line)
	line = s.grow(line, -1)
	slices.Reverse(line)
	if float64(len(line))*s.stride() < shortest*s.apart {
		return
	}
	s.lines = append(s.lines, line)
	for _, p := range line {
		s.taken[s.square(p)] = append(s.taken[s.square(p)], p)
	}
}

// stride is the length of a step along a line.
func (s *streams) stride() float64 { return math.Min(s.cell/2, s.apart/8) }

// grow goes on with a line along the field, or against it, by the midpoint rule
// until it leaves the grid, comes too close to another or to itself, turns about,
// as in the valley where the field's lines gather, or hardly moves.
func (s *streams) grow(line []xy, sign float64) []xy {
	h := sign * s.stride()
	most := int(4 * s.apart / lineDistance / math.Abs(h))
	behind := int(2 * s.apart / math.Abs(h)) // points that a line may be close to, its own
	p := line[len(line)-1]
	var last xy
	for len(line) < most {
		a, ok := s.direction(p)
		if !ok {
			break
		}
		b, ok := s.direction(xy{p.x + h/2*a.x, p.y + h/2*a.y})
		if !ok || a.x*b.x+a.y*b.y < 0.5 || last != (xy{}) && last.x*b.x+last.y*b.y < 0.5 {
			break
		}
		last = b
		p = xy{p.x + h*b.x, p.y + h*b.y}
		if !s.free(p, s.apart/2) || s.meets(line, p, behind) {
			break
		}
		line = append(line, p)
	}
	return line
}

// direction is the unit vector of the field.
func (s *streams) direction(p xy) (xy, bool) {
	v, ok := s.at(p)
	length := math.Hypot(v.x, v.y)
	if !ok || !(length > s.slowest) {
		return xy{}, false
	}
	return xy{v.x / length, v.y / length}, true
}

// meets reports whether a point comes close to the line behind it.
func (s *streams) meets(line []xy, p xy, behind int) bool {
	for i := 0; i < len(line)-behind; i += 4 {
		if distance(line[i], p) < s.apart/2 {
			return true
		}
	}
	return false
}

func (s *streams) square(p xy) [2]int {
	return [2]int{int(math.Floor(p.x / s.apart)), int(math.Floor(p.y / s.apart))}
}

// free reports whether a point of the grid is so far from all lines.
func (s *streams) free(p xy, from float64) bool {
	if _, ok := s.at(p); !ok {
		return false
	}
	at := s.square(p)
	for i := at[0] - 1; i <= at[0]+1; i++ {
		for k := at[1] - 1; k <= at[1]+1; k++ {
			for _, q := range s.taken[[2]int{i, k}] {
				if distance(p, q) < from*0.999 {
					return false
				}
			}
		}
	}
	return true
}
