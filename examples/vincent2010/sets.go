package main

import (
	"math"
	"math/rand/v2"
)

// side is the width and height of every image.
const (
	side   = 28
	pixels = side * side
	white  = 255
)

// image is one example, row-major, 0 black to 255 white.
type image [pixels]uint8

// example is an image with its class.
type example struct {
	image
	class uint8
}

// generator draws an example; digits are those of MNIST, which variants take one
// after the other.
type generator func(random *rand.Rand, digit example) example

// set is one of the problems of Larochelle et al. 2007 with its published result.
type set struct {
	name     string
	classes  []string
	train    int // rows for training,
	val      int // validation
	test     int // and test, as published
	generate generator
	rate     float64   // of masking, as published for this set
	errors   published // test errors
}

// published are test errors in per cent, Vincent et al. 2010, Table 3.
type published struct{ svm, sae, dbn, sdae float64 }

var digitNames = []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}

func sets() []set {
	return []set{
		{"basic", digitNames, 10_000, 2_000, 50_000, plain, 0.10, published{3.03, 3.46, 3.11, 2.84}},
		{"rot", digitNames, 10_000, 2_000, 50_000, rotated, 0.25, published{11.11, 10.30, 10.30, 9.53}},
		{"bg-rand", digitNames, 10_000, 2_000, 50_000, onNoise, 0.40, published{14.58, 11.28, 6.73, 10.30}},
		{"rect", []string{"tall", "wide"}, 1_000, 200, 50_000, rectangle, 0.10, published{2.15, 2.41, 2.60, 1.99}},
		{"convex", []string{"convex", "not"}, 6_500, 1_500, 50_000, convexOrNot, 0.10, published{19.13, 18.41, 18.63, 19.06}},
	}
}

// plain is the digit as it is.
func plain(_ *rand.Rand, digit example) example { return digit }

// rotated turns the digit by an angle uniform in [0, 2π) (Larochelle et al. 2007).
func rotated(random *rand.Rand, digit example) example {
	digit.image = rotate(digit.image, 2*math.Pi*random.Float64())
	return digit
}

// rotate turns an image about its centre by cubic convolution with a = -½ (Keys
// 1981); outside it is black.
func rotate(from image, angle float64) (to image) {
	const centre = (side - 1) / 2.0
	sin, cos := math.Sincos(angle)
	for row := range side {
		for column := range side {
			y, x := float64(row)-centre, float64(column)-centre
			to[row*side+column] = sample(&from, centre+cos*y-sin*x, centre+sin*y+cos*x)
		}
	}
	return to
}

// sample interpolates at a point between pixels.
func sample(from *image, y, x float64) uint8 {
	top, left := int(math.Floor(y)), int(math.Floor(x))
	sum := 0.0
	for i := top - 1; i <= top+2; i++ {
		for j := left - 1; j <= left+2; j++ {
			if i >= 0 && i < side && j >= 0 && j < side {
				sum += cubic(y-float64(i)) * cubic(x-float64(j)) * float64(from[i*side+j])
			}
		}
	}
	return uint8(min(max(sum+0.5, 0), white))
}

// cubic is Keys' kernel, whose weights add up to one at every offset.
func cubic(t float64) float64 {
	t = math.Abs(t)
	switch {
	case t < 1:
		return (1.5*t-2.5)*t*t + 1
	case t < 2:
		return ((-0.5*t+2.5)*t-4)*t + 2
	}
	return 0
}

// onNoise sets the digit before a background of pixels uniform in 0..255
// (Larochelle et al. 2007). How it is set in they do not say: here the brighter of
// the two is seen.
func onNoise(random *rand.Rand, digit example) example {
	for i := range digit.image {
		digit.image[i] = max(digit.image[i], uint8(random.IntN(white+1)))
	}
	return digit
}

// leastDifference is that of a rectangle's height and width.
const leastDifference = 3

// rectangle draws the border of a rectangle, one pixel wide, white on black, of
// height and width uniform in 1..28 and at least 3 apart, anywhere; the class is
// whether it is wide.
func rectangle(random *rand.Rand, _ example) (e example) {
	height, width := 0, 0
	for difference(height, width) < leastDifference {
		height, width = 1+random.IntN(side), 1+random.IntN(side)
	}
	top, left := random.IntN(side-height+1), random.IntN(side-width+1)
	for i := range height {
		for j := range width {
			if i == 0 || j == 0 || i == height-1 || j == width-1 {
				e.image[(top+i)*side+left+j] = white
			}
		}
	}
	if width > height {
		e.class = 1
	}
	return e
}

func difference(a, b int) int { return max(a-b, b-a) }

// Parameters of convex and other sets (Larochelle et al. 2007).
const (
	convexStops = 0.195 // geometric number of half-planes of a convex set
	partStops   = 0.07  // and of each part of another
	leastConvex = 19    // pixels
	leastPart   = 10
)

// convexOrNot is, with equal chances, a convex set of pixels or one that is not.
func convexOrNot(random *rand.Rand, _ example) (e example) {
	if random.IntN(2) == 0 {
		e.image = convexSet(random, convexStops, leastConvex)
		return e
	}
	e.class = 1
	for {
		e.image = image{}
		for range 2 + random.IntN(3) {
			for i, v := range convexSet(random, partStops, leastPart) {
				e.image[i] = max(e.image[i], v)
			}
		}
		if !isConvex(&e.image) {
			return e
		}
	}
}

// convexSet is the intersection of half-planes through uniform points with uniform
// directions, as many as a geometric number, of at least so many pixels.
func convexSet(random *rand.Rand, stops float64, least int) image {
	for {
		var x image
		for i := range x {
			x[i] = white
		}
		for more := true; more; more = random.Float64() >= stops {
			cut(&x, side*random.Float64(), side*random.Float64(), 2*math.Pi*random.Float64())
		}
		if count(&x) >= least {
			return x
		}
	}
}

// cut leaves the pixels whose centres lie on one side of a line.
func cut(x *image, y0, x0, angle float64) {
	sin, cos := math.Sincos(angle)
	for i := range x {
		if (float64(i/side)+0.5-y0)*sin+(float64(i%side)+0.5-x0)*cos < 0 {
			x[i] = 0
		}
	}
}

func count(x *image) int {
	n := 0
	for _, v := range x {
		if v == white {
			n++
		}
	}
	return n
}

// isConvex reports whether all pixels on the segment between two white ones are
// white. It holds of the pixels in a convex set.
func isConvex(x *image) bool {
	var set []int
	for i, v := range x {
		if v == white {
			set = append(set, i)
		}
	}
	for n, p := range set {
		for _, q := range set[:n] {
			dy, dx := q/side-p/side, q%side-p%side
			steps := gcd(difference(dy, 0), difference(dx, 0))
			for s := 1; s < steps; s++ {
				if x[p+(dy*side+dx)/steps*s] != white {
					return false
				}
			}
		}
	}
	return true
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
