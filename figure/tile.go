package figure

import (
	"fmt"
	"image"
	"image/color"
	"math"
)

// layout is how the features of an example make an image.
type layout struct {
	height, width, channels int
	planar                  bool // [channels, height, width], otherwise [height, width, channels]
}

// imageLayout reads the shape of an example: [h, w], [h, w, 1], [1, h, w],
// [h, w, 3] or [3, h, w] with h and w of at least 2. ok is false for any other
// shape, such as a table's.
func imageLayout(shape []int, features int) (l layout, ok bool, err error) {
	product := 1
	for _, n := range shape {
		product *= n
	}
	if len(shape) > 0 && product != features {
		return layout{}, false, fmt.Errorf("shape %v of an example of %d features", shape, features)
	}
	switch {
	case len(shape) == 2:
		l = layout{height: shape[0], width: shape[1], channels: 1}
	case len(shape) == 3 && (shape[2] == 1 || shape[2] == 3):
		l = layout{height: shape[0], width: shape[1], channels: shape[2]}
	case len(shape) == 3 && (shape[0] == 1 || shape[0] == 3):
		l = layout{height: shape[1], width: shape[2], channels: shape[0], planar: true}
	}
	return l, l.height > 1 && l.width > 1, nil
}

// index is the feature of a pixel's channel.
func (l layout) index(y, x, channel int) int {
	if l.planar {
		return (channel*l.height+y)*l.width + x
	}
	return (y*l.width+x)*l.channels + channel
}

// scale is the whole number of pixels that a feature is drawn with on each side,
// so that the longer side of an image comes near to target pixels.
func (l layout) scale(target int) int {
	longer := max(l.height, l.width)
	return max(1, (target+longer/2)/longer)
}

// tones maps a value to a shade: low to the gradient's start, high to its end.
type tones struct {
	low, high float64
	gradient  gradient
}

func (t tones) at(value float32) color.NRGBA {
	v := float64(value)
	if math.IsInf(v, 0) {
		return unknown
	}
	return t.gradient.at((v - t.low) / (t.high - t.low))
}

// color is that of a pixel: a tone, or three as red, green and blue.
func (t tones) color(l layout, values []float32, y, x int) color.NRGBA {
	if l.channels == 1 {
		return t.at(values[l.index(y, x, 0)])
	}
	c := color.NRGBA{A: 255}
	for channel, level := range []*uint8{&c.R, &c.G, &c.B} {
		shade := tones{t.low, t.high, greys}.at(values[l.index(y, x, channel)])
		if shade == unknown {
			return unknown
		}
		*level = shade.R
	}
	return c
}

// paintTile draws one example at a corner of dst, each feature as a square of
// scale×scale pixels.
func paintTile(dst *image.NRGBA, corner image.Point, scale int, l layout, values []float32, t tones) {
	for y := range l.height {
		for x := range l.width {
			c := t.color(l, values, y, x)
			for dy := range scale {
				for dx := range scale {
					dst.SetNRGBA(corner.X+x*scale+dx, corner.Y+y*scale+dy, c)
				}
			}
		}
	}
}
