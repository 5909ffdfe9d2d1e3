package main

import (
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"gpudae/data"
)

// blob is a digit that is not: smooth, off the centre, black at the border.
func blob() image {
	var x image
	for i := range x {
		y, z := float64(i/side)-11, float64(i%side)-15
		x[i] = uint8(255 * math.Exp(-(y*y/8 + z*z/20)))
	}
	return x
}

func drawn(t *testing.T, name string, n int) []example {
	t.Helper()
	for _, s := range sets() {
		if s.name == name {
			return s.draw(rand.New(rand.NewPCG(3, 4)), []example{{blob(), 7}}, []int{0}, 0, n)
		}
	}
	t.Fatal(name)
	return nil
}

func moments(all []example) (mean, deviation float64) {
	n, squares := 0.0, 0.0
	for i := range all {
		for _, v := range all[i].image {
			n++
			mean += float64(v)
			squares += float64(v) * float64(v)
		}
	}
	mean /= n
	return mean, math.Sqrt(squares/n - mean*mean)
}

// TestRotate: quarter turns move pixels and nothing else; other turns keep the
// mass of an image that they do not push out, and turn about the centre.
func TestRotate(t *testing.T) {
	x := blob()
	if rotate(x, 0) != x {
		t.Error("a turn by nothing changes the image")
	}
	quarter := rotate(x, math.Pi/2)
	for row := range side {
		for column := range side {
			if got, want := quarter[row*side+column], x[(side-1-column)*side+row]; got != want {
				t.Fatalf("pixel (%d, %d) of a quarter turn is %d, want %d", row, column, got, want)
			}
		}
	}
	if rotate(rotate(quarter, math.Pi/2), math.Pi) != x {
		t.Error("four quarters are not a whole turn")
	}
	mass := func(x image) (sum float64) {
		for _, v := range x {
			sum += float64(v)
		}
		return sum
	}
	for angle := 0.1; angle < 2*math.Pi; angle += 0.7 {
		if got, want := mass(rotate(x, angle)), mass(x); math.Abs(got-want) > 0.01*want {
			t.Errorf("turned by %.1f: mass %v, want %v", angle, got, want)
		}
	}
	for offset := 0.0; offset < 1; offset += 0.13 {
		if sum := cubic(offset+1) + cubic(offset) + cubic(1-offset) + cubic(2-offset); math.Abs(sum-1) > 1e-12 {
			t.Errorf("weights at %v add up to %v", offset, sum)
		}
	}
}

// TestRotatedAngles: over many angles the mean image is that of rings, so that
// the centre of mass is the image's.
func TestRotatedAngles(t *testing.T) {
	mass, y, x := 0.0, 0.0, 0.0
	for _, e := range drawn(t, "rot", 3000) {
		if e.class != 7 {
			t.Fatal("the class is lost")
		}
		for i, v := range e.image {
			mass += float64(v)
			y += float64(v) * (float64(i/side) - 13.5)
			x += float64(v) * (float64(i%side) - 13.5)
		}
	}
	if y, x = y/mass, x/mass; math.Abs(y) > 0.2 || math.Abs(x) > 0.2 {
		t.Errorf("centre of mass (%.2f, %.2f) from the centre", y, x)
	}
}

// TestBackground: where the digit is black, pixels have the moments of the uniform
// distribution on 0..255, mean 127.5 and deviation √((256²-1)/12) = 73.9; the digit
// is never darker than it was.
func TestBackground(t *testing.T) {
	x := blob()
	var background []example
	for _, e := range drawn(t, "bg-rand", 400) {
		var dark example
		n := 0
		for i, v := range x {
			if e.image[i] < v {
				t.Fatal("the background darkens the digit")
			}
			if v == 0 && n < pixels {
				dark.image[n] = e.image[i]
				n++
			}
		}
		for i := n; i < pixels; i++ {
			dark.image[i] = dark.image[i-n]
		}
		background = append(background, dark)
	}
	if mean, deviation := moments(background); math.Abs(mean-127.5) > 1 || math.Abs(deviation-73.9) > 1 {
		t.Errorf("mean %.2f, deviation %.2f", mean, deviation)
	}
}

// TestRectangles: a border one pixel wide, sides that differ by 3 and more, the
// class by which is longer, both as often.
func TestRectangles(t *testing.T) {
	wide := 0
	all := drawn(t, "rect", 2000)
	for _, e := range all {
		top, bottom, left, right := side, -1, side, -1
		for i, v := range e.image {
			if v == 0 {
				continue
			}
			if v != white {
				t.Fatalf("a pixel of %d", v)
			}
			top, bottom, left, right = min(top, i/side), max(bottom, i/side), min(left, i%side), max(right, i%side)
		}
		height, width := bottom-top+1, right-left+1
		border := 2*(height+width) - 4
		if height == 1 || width == 1 {
			border = height * width
		}
		if difference(height, width) < leastDifference || count(&e.image) != border || (e.class == 1) != (width > height) {
			t.Fatalf("%d×%d with %d pixels, class %d", height, width, count(&e.image), e.class)
		}
		wide += int(e.class)
	}
	if wide < 900 || wide > 1100 {
		t.Errorf("%d of 2000 are wide", wide)
	}
}

// TestConvex: both classes as often, of the sizes that the recipe asks for, and
// the class is what isConvex says.
func TestConvex(t *testing.T) {
	others := 0
	for _, e := range drawn(t, "convex", 400) {
		if isConvex(&e.image) != (e.class == 0) {
			t.Fatalf("class %d", e.class)
		}
		if n := count(&e.image); n < leastPart || e.class == 0 && n < leastConvex {
			t.Fatalf("%d pixels of class %d", n, e.class)
		}
		others += int(e.class)
	}
	if others < 150 || others > 250 {
		t.Errorf("%d of 400 are not convex", others)
	}
	var ring, line image
	for i := range 5 {
		ring[(10+i)*side+10], line[(3+2*i)*side+4+i] = white, white
	}
	ring[12*side+10] = 0
	if isConvex(&ring) || !isConvex(&line) {
		t.Error("a line with a hole is not convex, and pixels in a row at the slope of a knight's move are")
	}
}

// TestFilesReadBack through package data, and the sheet as a PNG file.
func TestFilesReadBack(t *testing.T) {
	dir := t.TempDir()
	all := drawn(t, "rect", 30)
	name := filepath.Join(dir, "rect")
	if err := writeExamples(name, all); err != nil {
		t.Fatal(err)
	}
	d, err := data.Open(t.Context(), name+"-images.idx.gz", data.Options{Labels: name + "-classes.idx.gz"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	x, err := d.Read(t.Context(), 0, len(all))
	if err != nil {
		t.Fatal(err)
	}
	values := data.Uint8s(x)
	for i, e := range all {
		if image(values[i*pixels:(i+1)*pixels]) != e.image || d.Labels().Names[d.Labels().Class[i]] != string('0'+rune(e.class)) {
			t.Fatalf("example %d is another", i)
		}
	}
	sheet := filepath.Join(dir, "sheet.png")
	if err := writeSheet(sheet, all); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(sheet)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if picture, err := png.Decode(file); err != nil || picture.Bounds().Dx() != sheetColumns*(side*zoom+gap)+gap {
		t.Errorf("%v, %v", picture.Bounds(), err)
	}
}

// TestIntervals are those of the paper: ± 0.26 for 9.53 % of 50,000.
func TestIntervals(t *testing.T) {
	if got := interval(9.53, 50_000); math.Abs(got-0.257) > 0.001 {
		t.Errorf("%v", got)
	}
}
