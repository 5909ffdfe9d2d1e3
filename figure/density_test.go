package figure

import (
	"math"
	"slices"
	"testing"
)

// onGrid evaluates a function and its gradient over a grid around the square of ±2.
func onGrid(columns int, value func(p xy) float64, gradient func(p xy) xy) (at []float32, log []float64, field []float32) {
	at = GridPoints([]float32{-2, -2, 2, 2}, columns)
	for _, p := range points(at) {
		log = append(log, value(p))
		g := gradient(p)
		field = append(field, float32(g.x), float32(g.y))
	}
	return at, log, field
}

// The trapezoidal rule along an edge is exact for a linear score, so that of a
// Gaussian gives its log density, whatever the weights.
func TestPotentialOfAGaussianScore(t *testing.T) {
	at, want, score := onGrid(31,
		func(p xy) float64 { return -p.x*p.x/2 - p.x*p.y/2 - p.y*p.y + p.x },
		func(p xy) xy { return xy{-p.x - p.y/2 + 1, -p.x/2 - 2*p.y} })
	uneven := make([]float64, len(want))
	var mean float64
	for i, v := range want {
		mean += v / float64(len(want))
		uneven[i] = math.Exp(v) + 1e-4
	}
	for name, weights := range map[string][]float64{"no weights": nil, "weights": uneven} {
		phi, rest, err := Potential(t.Context(), at, score, weights, 31)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range phi {
			if math.Abs(v-(want[i]-mean)) > 2e-4 {
				t.Fatalf("%s: φ = %g at point %d, want %g", name, v, i, want[i]-mean)
			}
		}
		if rest > 1e-9 {
			t.Errorf("%s: a gradient leaves %g unexplained", name, rest)
		}
	}
}

// A whirl, which has no divergence and does not reach the rim, has no potential,
// and a gradient beside it keeps its own.
func TestPotentialLeavesWhirlsOut(t *testing.T) {
	whirl := func(p xy) xy {
		f := math.Exp(-3 * (p.x*p.x + p.y*p.y))
		return xy{-p.y * f, p.x * f}
	}
	at, want, both := onGrid(81, func(p xy) float64 { return -p.x * p.x / 2 }, func(p xy) xy { return xy{whirl(p).x - p.x, whirl(p).y} })
	_, _, alone := onGrid(81, func(xy) float64 { return 0 }, whirl)
	phi, rest, err := Potential(t.Context(), at, alone, nil, 81)
	if err != nil {
		t.Fatal(err)
	}
	if most := slices.Max(phi); most > 1e-3 || rest < 0.999 {
		t.Errorf("φ of a whirl reaches %g and leaves %g", most, rest)
	}
	if phi, _, err = Potential(t.Context(), at, both, nil, 81); err != nil {
		t.Fatal(err)
	}
	for i, v := range phi {
		if math.Abs(v-phi[0]-(want[i]-want[0])) > 1e-3 {
			t.Fatalf("φ = %g at point %d, want %g", v-phi[0], i, want[i]-want[0])
		}
	}
}

func TestPotentialRefuses(t *testing.T) {
	grid := GridPoints([]float32{0, 0, 1, 1}, 3)
	bad := slices.Clone(grid)
	bad[4] = float32(math.NaN())
	for name, field := range map[string][]float32{"NaN": bad, "too few": grid[:4]} {
		if _, _, err := Potential(t.Context(), grid, field, nil, 3); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, _, err := Potential(t.Context(), grid, grid, []float64{1}, 3); err == nil {
		t.Error("one weight for nine points")
	}
}

// The region of highest density of a Gaussian in the plane with a share of the
// mass is the disc of radius √(-2 ln(1 - share)).
func TestContoursHoldTheirShareOfTheMass(t *testing.T) {
	at := GridPoints([]float32{-4, -4, 4, 4}, 101)
	l, err := newLattice(at, at, 101)
	if err != nil {
		t.Fatal(err)
	}
	log := make([]float64, len(at)/2)
	for i, p := range points(at) {
		log[i] = 7 - (p.x*p.x+p.y*p.y)/2
	}
	log, err = l.normalized(log)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Max(log), -math.Log(2*math.Pi); math.Abs(got-want) > 1e-3 {
		t.Errorf("the highest density is exp %g, want exp %g", got, want)
	}
	for i, level := range l.levels(log) {
		radius := math.Sqrt(-2 * math.Log(1-held[i]))
		lines := l.contour(log, level)
		if len(lines) != 1 || lines[0][0] != lines[0][len(lines[0])-1] {
			t.Fatalf("the contour of %g is %d lines, not one loop", held[i], len(lines))
		}
		for _, p := range lines[0] {
			if math.Abs(math.Hypot(p.x, p.y)-radius) > 0.03 {
				t.Fatalf("the contour of %g passes %v, want the radius %g", held[i], p, radius)
			}
		}
	}
}

// Of a saddle x·y the contours of ±0.1 are pairs of hyperbolas, which end at the
// rim and never meet.
func TestContoursOfASaddle(t *testing.T) {
	at := GridPoints([]float32{-1, -1, 1, 1}, 20)
	l, err := newLattice(at, at, 20)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float64, len(at)/2)
	for i, p := range points(at) {
		values[i] = p.x * p.y
	}
	for _, level := range []float64{0.1, -0.1, 0.001, -0.001} {
		lines := l.contour(values, level)
		if len(lines) != 2 {
			t.Fatalf("%d lines of %g", len(lines), level)
		}
		for _, line := range lines {
			for _, p := range line {
				if math.Abs(p.x*p.y-level) > 2e-3 || p.x*line[0].x < 0 {
					t.Fatalf("the contour of %g passes %v", level, p)
				}
			}
		}
	}
}

func TestDensityMapsRefuse(t *testing.T) {
	grid := GridPoints([]float32{0, 0, 1, 1}, 3)
	logs := make([]float64, 9)
	bad := slices.Clone(logs)
	bad[3] = math.NaN()
	for name, d := range map[string]Density{
		"nothing":        {Columns: 3},
		"too few values": {At: grid, Log: logs[:3], Columns: 3},
		"NaN":            {At: grid, Log: bad, Columns: 3},
		"half a point":   {At: grid, Log: logs, Columns: 3, Data: []float32{1}},
		"a single row":   {At: grid[:6], Log: logs[:3], Columns: 3},
	} {
		if err := DensityMap(t.TempDir()+"/a.png", d); err == nil {
			t.Errorf("%s is drawn", name)
		}
	}
}
