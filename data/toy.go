package data

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"gpudae/device/philox"
)

// toy is a generated set of points in the plane: a curve or centres, and
// isotropic Gaussian noise around them. A point is a function of the seed and
// its row alone, so that a set of n points starts with the sets of fewer.
type toy struct {
	name        string
	description string
	source      string
	noise       float64 // default standard deviation
	classes     int     // 0 for a set without classes
	// point is the noiseless point for u, uniform on [0, 1), and a class.
	point func(u float64, class int) (x, y float64)
}

// The sets lie within about [-1.5, 2] in each coordinate.
const (
	rollTurns     = 1.5 // of swiss-roll, after the first three quarters of a turn
	rollStart     = 0.75
	spiralTurns   = 1.5
	gmmComponents = 8
)

// toys is the table of generated sets.
func toys() []toy {
	return []toy{
		// (cos 2πu, sin 2πu)
		{"circle", "a circle of radius 1", "", 0.05, 0, func(u float64, _ int) (float64, float64) {
			return onCircle(2*math.Pi*u, 1)
		}},
		// t = 2π(¾ + 3u/2), (t cos t, t sin t)/t_max: the roll seen from its end
		{"swiss-roll", "a spiral of one and a half turns, the roll seen from its end", "Marsland, Machine Learning: An Algorithmic Perspective, 2009; scikit-learn make_swiss_roll", 0.02, 0, func(u float64, _ int) (float64, float64) {
			turns := rollStart + rollTurns*u
			return onCircle(2*math.Pi*turns, turns/(rollStart+rollTurns))
		}},
		// (cos πu, sin πu) and (1 - cos πu, ½ - sin πu)
		{"two-moons", "two interleaved half circles", "scikit-learn make_moons", 0.1, 2, func(u float64, class int) (float64, float64) {
			x, y := onCircle(math.Pi*u, 1)
			if class == 1 {
				return 1 - x, 0.5 - y
			}
			return x, y
		}},
		// t = 3π√u, ±(-t cos t, t sin t)/3π: √ makes the points even along the arm
		{"spiral", "two spiral arms of one and a half turns", "Lang and Witbrock, Learning to tell two spirals apart, 1988", 0.02, 2, func(u float64, class int) (float64, float64) {
			radius := math.Sqrt(u)
			x, y := onCircle(2*math.Pi*spiralTurns*radius, radius)
			if class == 1 {
				return x, -y
			}
			return -x, y
		}},
		// (cos 2πk/8, sin 2πk/8), k = 0...7, equally likely
		{"gmm", "eight Gaussians on a circle of radius 1", "", 0.1, gmmComponents, func(_ float64, class int) (float64, float64) {
			return onCircle(2*math.Pi*float64(class)/gmmComponents, 1)
		}},
	}
}

func onCircle(angle, radius float64) (x, y float64) {
	sin, cos := math.Sincos(angle)
	return radius * cos, radius * sin
}

// toyArguments are the arguments of a generated set.
type toyArguments struct {
	n     int     // points
	noise float64 // standard deviation of each coordinate
	seed  uint64
}

const (
	toyPoints = 2000
	toySeed   = 42
	toyMost   = 10_000_000 // points, so that a slip of the finger does not fill the memory
	toyLoud   = 1e6        // noise
)

func (t toy) defaults() toyArguments { return toyArguments{toyPoints, t.noise, toySeed} }

// String is the inverse of parse.
func (a toyArguments) String() string {
	return fmt.Sprintf("n=%d,noise=%s,seed=%d", a.n, strconv.FormatFloat(a.noise, 'g', -1, 64), a.seed)
}

// parse changes the arguments named in text: "n=100,seed=7".
func (a *toyArguments) parse(text string) error {
	if text == "" {
		return nil
	}
	seen := map[string]bool{}
	for argument := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(argument, "=")
		if !ok || seen[key] {
			return fmt.Errorf("argument %q is not a new key=value", argument)
		}
		seen[key] = true
		var err error
		switch key {
		case "n":
			if a.n, err = strconv.Atoi(value); err != nil || a.n < 1 || a.n > toyMost {
				return fmt.Errorf("n=%s is not a number of points from 1 to %d", value, toyMost)
			}
		case "noise":
			if a.noise, err = strconv.ParseFloat(value, 64); err != nil || !(a.noise >= 0 && a.noise <= toyLoud) {
				return fmt.Errorf("noise=%s is not a standard deviation from 0 to %g", value, toyLoud)
			}
		case "seed":
			if a.seed, err = strconv.ParseUint(value, 10, 64); err != nil {
				return fmt.Errorf("seed=%s is not a whole number from 0 to 2^64-1", value)
			}
		default:
			return fmt.Errorf("unknown argument %q", key)
		}
	}
	return nil
}

func (t toy) builtIn() BuiltIn {
	return BuiltIn{Name: t.name, Arguments: t.defaults().String(), Description: t.description, Source: strings.TrimPrefix(t.source+"; generated", "; "), open: t.open}
}

func (t toy) open(ctx context.Context, name, arguments string) (Dataset, error) {
	a := t.defaults()
	if err := a.parse(arguments); err != nil {
		return nil, &Error{Path: name, Problem: err.Error(), Remedy: fmt.Sprintf("write it like %s:%s", t.name, t.defaults())}
	}
	points, classes, err := t.generate(ctx, a)
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(points)
	if err != nil {
		return nil, err
	}
	var labels *Labels
	if t.classes > 0 {
		labels = NewLabels(classes)
	}
	info := Info{Name: t.name + ":" + a.String(), Format: "generated", Shape: []int{2}, Columns: []string{"x", "y"}, Scale: 1,
		SHA256: digest}
	return newMemory(ctx, info, labels, nil, points)
}

// generate returns n points, row-major, and their classes. Of the words of row
// i, at Draw 0, the first is u and the second the class; the words at Draw 1
// are the noise.
func (t toy) generate(ctx context.Context, a toyArguments) (points []float32, classes []string, err error) {
	key := philox.KeyOf(a.seed)
	points = make([]float32, 0, 2*a.n)
	for i := range a.n {
		if i%(1<<16) == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		at := philox.Coordinates{Stream: philox.StreamData, Row: uint32(i)}
		words := philox.Block(at.Counter(), key)
		class := int(philox.Below(words[1], uint32(max(1, t.classes))))
		x, y := t.point(float64(philox.Uniform(words[0])), class)
		at.Draw = 1
		words = philox.Block(at.Counter(), key)
		zx, zy := philox.Normal(words[0], words[1])
		points = append(points, float32(x+a.noise*float64(zx)), float32(y+a.noise*float64(zy)))
		classes = append(classes, strconv.Itoa(class))
	}
	return points, classes, nil
}
