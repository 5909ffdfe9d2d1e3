package figure

import (
	"image/color"
	"math"
)

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 255}
}

// faded is a colour with another opacity.
func faded(c color.NRGBA, opacity float64) color.NRGBA {
	c.A = uint8(math.Round(255 * opacity))
	return c
}

// The colours of a figure. The accents are those of Okabe and Ito (2008), which
// people with any colour vision tell apart.
var (
	white     = rgb(0xffffff)
	ink       = rgb(0x1f2328)
	muted     = rgb(0x656d76)
	faint     = rgb(0xe4e7eb)
	grey      = rgb(0x8c959f)
	blue      = rgb(0x0072b2)
	vermilion = rgb(0xd55e00)
	unknown   = rgb(0xff00ff) // stands for a number that is not finite
)

// classColors tell classes apart: the muted scheme of Tol (2021), in an order
// that keeps neighbours apart.
var classColors = [...]color.NRGBA{
	rgb(0x332288), rgb(0xcc6677), rgb(0x117733), rgb(0xddcc77), rgb(0x88ccee),
	rgb(0x882255), rgb(0x44aa99), rgb(0x999933), rgb(0xaa4499), rgb(0x6e7781),
}

// gradient is a colour map: colours at equal distances on [0, 1].
type gradient []color.NRGBA

var (
	// viridis is the map of Smith and van der Walt (2015), evenly bright to dark
	// in every colour vision.
	viridis = gradient{
		rgb(0x440154), rgb(0x482878), rgb(0x3e4989), rgb(0x31688e), rgb(0x26828e),
		rgb(0x1f9e89), rgb(0x35b779), rgb(0x6ece58), rgb(0xb5de2b), rgb(0xfde725),
	}
	// plasma is that of the same authors without its bright end, which a white
	// ground would swallow.
	plasma = gradient{
		rgb(0x0d0887), rgb(0x4b03a1), rgb(0x7d03a8), rgb(0xa82296), rgb(0xcb4679), rgb(0xe56b5d), rgb(0xf89441),
	}
	// blueRed diverges from white at ½ (ColorBrewer's RdBu, turned round).
	blueRed = gradient{
		rgb(0x053061), rgb(0x2166ac), rgb(0x4393c3), rgb(0x92c5de), rgb(0xd1e5f0), rgb(0xf7f7f7),
		rgb(0xfddbc7), rgb(0xf4a582), rgb(0xd6604d), rgb(0xb2182b), rgb(0x67001f),
	}
	// blues runs from white to dark (ColorBrewer's Blues).
	blues = gradient{
		rgb(0xffffff), rgb(0xdeebf7), rgb(0xc6dbef), rgb(0x9ecae1), rgb(0x6baed6), rgb(0x4292c6), rgb(0x2171b5), rgb(0x08519c), rgb(0x08306b),
	}
	// ways runs from a light orange to the blue of ends, and darkens on the way.
	ways = gradient{rgb(0xf0b27a), rgb(0xd9899a), rgb(0xa273b5), rgb(0x5a6fc0), rgb(0x0072b2)}
	// greys runs from black to white.
	greys = gradient{rgb(0x000000), rgb(0xffffff)}
)

// at interpolates between the colours around a; outside [0, 1] it is the end's.
func (g gradient) at(a float64) color.NRGBA {
	if math.IsNaN(a) {
		return unknown
	}
	a = min(max(a, 0), 1) * float64(len(g)-1)
	i := min(int(a), len(g)-2)
	mix := func(from, to uint8) uint8 {
		return uint8(math.Round(float64(from) + (a-float64(i))*(float64(to)-float64(from))))
	}
	return color.NRGBA{R: mix(g[i].R, g[i+1].R), G: mix(g[i].G, g[i+1].G), B: mix(g[i].B, g[i+1].B), A: 255}
}
