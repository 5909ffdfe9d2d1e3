package figure

import (
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"slices"
)

// writePNG writes an opaque image. A drawing has few colours and the blends of
// them at edges, and is written in 256 at most, in a third of the bytes; one with
// an image in it keeps every colour.
func writePNG(out io.Writer, img image.Image, exact bool) error {
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if exact {
		return encoder.Encode(out, img)
	}
	plain := image.NewRGBA(img.Bounds())
	draw.Draw(plain, plain.Rect, img, img.Bounds().Min, draw.Src)
	return encoder.Encode(out, reduced(plain))
}

// shade is a colour and the number of its pixels.
type shade struct {
	rgb   [3]uint8
	count int
}

// reduced is the image in 256 colours, by median cut (Heckbert 1982); a colour
// stands for those near it that have fewer pixels, so that what is filled evenly
// keeps its colour.
func reduced(img *image.RGBA) image.Image {
	counts := map[[3]uint8]int{}
	eachRun(img, func(_, length int, c [3]uint8) { counts[c] += length })
	shades := make([]shade, 0, len(counts))
	for c, n := range counts {
		shades = append(shades, shade{c, n})
	}
	slices.SortFunc(shades, func(a, b shade) int { return slices.Compare(a.rgb[:], b.rgb[:]) })
	index := make(map[[3]uint8]uint8, len(counts))
	var palette color.Palette
	for i, box := range medianCut(shades, 256) {
		most := slices.MaxFunc(box, func(a, b shade) int { return cmp.Compare(a.count, b.count) })
		palette = append(palette, color.NRGBA{most.rgb[0], most.rgb[1], most.rgb[2], 255})
		for _, s := range box {
			index[s.rgb] = uint8(i)
		}
	}
	out := image.NewPaletted(img.Rect, palette)
	eachRun(img, func(from, length int, c [3]uint8) {
		for k, i := from, index[c]; k < from+length; k++ {
			out.Pix[k] = i
		}
	})
	return out
}

// eachRun calls f with the first pixel, the length and the colour of runs of
// pixels of one colour, row after row.
func eachRun(img *image.RGBA, f func(from, length int, c [3]uint8)) {
	n := img.Rect.Dx() * img.Rect.Dy()
	at := func(i int) [3]uint8 { return [3]uint8(img.Pix[4*i : 4*i+3]) }
	for from := 0; from < n; {
		end := from + 1
		for end < n && at(end) == at(from) {
			end++
		}
		f(from, end-from, at(from))
		from = end
	}
}

// box is a part of the shades that one colour is to stand for.
type box struct {
	shades  []shade
	channel int     // in which they are the furthest apart
	worth   float64 // of dividing it: how far apart, and how many pixels
}

func newBox(shades []shade) box {
	b := box{shades: shades}
	pixels, width := 0, 0
	for _, s := range shades {
		pixels += s.count
	}
	for c := range 3 {
		low, high := 255, 0
		for _, s := range shades {
			low, high = min(low, int(s.rgb[c])), max(high, int(s.rgb[c]))
		}
		if high-low > width {
			b.channel, width = c, high-low
		}
	}
	b.worth = float64(width) * math.Sqrt(float64(pixels))
	return b
}

// medianCut divides shades into at most so many boxes.
func medianCut(shades []shade, most int) [][]shade {
	boxes := []box{newBox(shades)}
	for len(boxes) < most {
		worst := slices.MaxFunc(boxes, func(a, b box) int { return cmp.Compare(a.worth, b.worth) })
		if worst.worth == 0 {
			break
		}
		slices.SortStableFunc(worst.shades, func(a, b shade) int { return cmp.Compare(a.rgb[worst.channel], b.rgb[worst.channel]) })
		i := slices.IndexFunc(boxes, func(b box) bool { return &b.shades[0] == &worst.shades[0] })
		half := len(worst.shades) / 2
		boxes[i] = newBox(worst.shades[:half])
		boxes = append(boxes, newBox(worst.shades[half:]))
	}
	parts := make([][]shade, len(boxes))
	for i, b := range boxes {
		parts[i] = b.shades
	}
	return parts
}
