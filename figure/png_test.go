package figure

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"testing"
)

// even fills hold their colours, and the others come near theirs.
func TestDrawingsAreWrittenInFewColours(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 200, 100))
	random := rand.New(rand.NewPCG(1, 2))
	for y := range 100 {
		for x := range 200 {
			c := vermilion
			if x >= 100 { // blends of white and a colour, as at edges
				a := random.Float64()
				c = color.NRGBA{uint8(255 * a), uint8(255 - 141*a), uint8(255 - 77*a), 255}
			}
			img.Set(x, y, c)
		}
	}
	decoded := func(exact bool) (image.Image, int) {
		var out bytes.Buffer
		if err := writePNG(&out, img, exact); err != nil {
			t.Fatal(err)
		}
		size := out.Len()
		back, err := png.Decode(&out)
		if err != nil {
			t.Fatal(err)
		}
		return back, size
	}
	few, small := decoded(false)
	all, large := decoded(true)
	if _, ok := few.(*image.Paletted); !ok || small > large*2/3 {
		t.Errorf("a %T of %d bytes in place of %d", few, small, large)
	}
	for y := range 100 {
		for x := range 200 {
			want := rgbAt(img, x, y)
			if got := rgbAt(all, x, y); got != want {
				t.Fatalf("pixel %d, %d is %v, want %v", x, y, got, want)
			}
			got, most := rgbAt(few, x, y), 0
			if x >= 100 {
				most = 8
			}
			for c := range 3 {
				if d := int(got[c]) - int(want[c]); d > most || d < -most {
					t.Fatalf("pixel %d, %d is %v, want about %v", x, y, got, want)
				}
			}
		}
	}
}

func rgbAt(img image.Image, x, y int) [3]uint8 {
	r, g, b, _ := img.At(x, y).RGBA()
	return [3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}
}
