package figure

import (
	"fmt"
	"image"
)

// Sheet are images in rows and columns: samples, or a chain a row with its
// states from left to right.
type Sheet struct {
	Values  []float32 // row-major, an image after the other, row by row
	Shape   []int     // of an image, as in Triples
	Columns int       // images in a row
	// Low and High are the values that are drawn black and white; if they are
	// equal, 0 and 1.
	Low, High float64
	Captions  []string // above the columns, as many as there are columns; optional
	Title     string   // optional
}

// ShapeError is an example that is neither an image nor a point of the plane.
type ShapeError struct{ Shape []int }

// Error implements error.
func (e *ShapeError) Error() string {
	return fmt.Sprintf("examples of shape %v are neither images nor points of the plane", e.Shape)
}

// CheckImage fails with *ShapeError if a shape is not that of an image.
func CheckImage(shape []int) error {
	_, _, err := imageOf(shape)
	return err
}

func imageOf(shape []int) (l layout, features int, err error) {
	features = 1
	for _, n := range shape {
		features *= n
	}
	l, isImage, err := imageLayout(shape, features)
	if err == nil && !isImage {
		err = &ShapeError{shape}
	}
	return l, features, err
}

// Images draws a sheet of crisp tiles. It fails with *ShapeError if the shape is
// not that of an image.
func Images(path string, s Sheet) error {
	l, features, err := imageOf(s.Shape)
	if err != nil {
		return err
	}
	n := len(s.Values) / features
	if n == 0 || len(s.Values)%features != 0 || s.Columns < 1 || n%s.Columns != 0 || len(s.Captions) != 0 && len(s.Captions) != s.Columns {
		return fmt.Errorf("draw images: %d numbers and %d captions for %d columns of images of %d", len(s.Values), len(s.Captions), s.Columns, features)
	}
	const (
		tilePixels    = 80
		gap           = 4 // pixels between tiles
		captionHeight = 16.0
	)
	if s.Low == s.High {
		s.Low, s.High = 0, 1
	}
	scale := l.scale(tilePixels)
	w, h := l.width*scale+gap, l.height*scale+gap
	picture := image.NewNRGBA(image.Rect(0, 0, even(s.Columns*w-gap), even(n/s.Columns*h-gap)))
	for i := range n {
		corner := image.Pt(i%s.Columns*w, i/s.Columns*h)
		paintTile(picture, corner, scale, l, s.Values[i*features:(i+1)*features], tones{s.Low, s.High, greys})
	}
	above := margin + header(s.Title)
	if len(s.Captions) > 0 {
		above += captionHeight
	}
	size := picture.Bounds().Size()
	return render(path, float64(size.X)/density+2*margin, above+float64(size.Y)/density+margin, func(p *page) {
		p.write(title, margin, margin, s.Title)
		p.picture(margin, above, picture)
		for i, text := range s.Captions {
			p.write(small.at(center, bottom), margin+(float64(i*w)+float64(w-gap)/2)/density, above-4, text)
		}
	})
}

// Cloud are samples in the plane beside the data, two numbers to a point.
type Cloud struct {
	Data, Samples []float32
	Axes          [2]string // names; optional
	Title         string    // optional
}

// Scatter draws samples over the data, in a frame that holds both. Points that
// are not finite are left out.
func Scatter(path string, c Cloud) error {
	if len(c.Samples) == 0 || len(c.Samples)%2 != 0 || len(c.Data)%2 != 0 {
		return fmt.Errorf("draw samples: %d numbers of samples and %d of data for points of two", len(c.Samples), len(c.Data))
	}
	data, samples := points(c.Data), points(c.Samples)
	plane := newPlane(c.Axes, c.Title, data, samples)
	plane.legend = []entry{dot("data", grey, 2), dot("samples", blue, 2)}
	return plane.render(path, func(f frame) {
		f.cloud(data, faded(grey, 0.55), 1.5)
		f.cloud(samples, faded(blue, 0.6), 1.5)
	})
}
