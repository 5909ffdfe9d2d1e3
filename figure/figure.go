// Package figure draws what a denoising auto-encoder does: clean, corrupted and
// reconstructed examples, filters, learning curves, and, in the plane, the data
// manifold, the field of reconstructions and maps of codes.
//
// A figure takes plain numbers, and the file's suffix chooses PNG or SVG. The
// same input makes the same bytes. A file is written whole or not at all. Every
// figure has a white ground of its own, so that it reads the same on a light and
// on a dark page, and colours that do not depend on telling red from green.
//
// The package knows nothing of models, data sets or devices.
package figure

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"io"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"gpudae/internal/atomicfile"
)

// SuffixError is a file name whose suffix is not that of a format.
type SuffixError struct{ Path string }

// Error implements error.
func (e *SuffixError) Error() string {
	return fmt.Sprintf("%s: a figure is a .png or .svg file; end the name in one of these", e.Path)
}

// CheckPath fails with *SuffixError if a figure of that name could not be
// written, so that a command can say so before it computes one.
func CheckPath(path string) error {
	switch suffix(path) {
	case ".png", ".svg":
		return nil
	}
	return &SuffixError{path}
}

func suffix(path string) string { return strings.ToLower(filepath.Ext(path)) }

// density is the number of PNG pixels to a point. A figure is laid out in whole
// points.
const density = 2

// page is a figure in the making. Positions are in points from the upper left
// corner.
type page struct {
	vgdraw.Canvas
	height float64
	raster draw.Image // the pixels of a PNG, nil for SVG

	pictured bool // whether an image of data was put on it
}

// render paints a page of the given size in points and writes it.
func render(path string, width, height float64, paint func(*page)) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	p := &page{height: height}
	w, h := vg.Length(width), vg.Length(height)
	var write func(io.Writer) error
	if suffix(path) == ".png" {
		canvas := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(72*density))
		p.Canvas, p.raster = vgdraw.New(canvas), canvas.Image()
		write = func(out io.Writer) error { return writePNG(out, p.raster, p.pictured) }
	} else {
		canvas := vgsvg.New(w, h)
		p.Canvas = vgdraw.New(canvas)
		write = func(out io.Writer) error { return writeSVG(out, canvas) }
	}
	p.rectangle(0, 0, width, height, white)
	paint(p)
	return atomicfile.Write(path, write)
}

// writeSVG writes an SVG canvas with two corrections: the fonts get stand-ins of
// the same metrics, since few machines have the first, and embedded images the
// type that they have.
func writeSVG(out io.Writer, canvas *vgsvg.Canvas) error {
	var text bytes.Buffer
	if _, err := canvas.WriteTo(&text); err != nil {
		return err
	}
	corrected := bytes.ReplaceAll(text.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"))
	corrected = bytes.ReplaceAll(corrected, []byte("data:image/jpg;base64,"), []byte("data:image/png;base64,"))
	_, err := out.Write(corrected)
	return err
}

// point is a position on the page for the canvas, whose origin is the lower left.
func (p *page) point(x, y float64) vg.Point {
	return vg.Point{X: vg.Length(x), Y: vg.Length(p.height - y)}
}

// picture puts an image of data on the page, every colour of which is kept.
func (p *page) picture(x, y float64, picture image.Image) {
	p.pictured = true
	p.place(x, y, picture)
}

// place puts an image with its upper left corner at x, y, density pixels to a
// point and without interpolation; x and y are whole points.
func (p *page) place(x, y float64, picture image.Image) {
	size := picture.Bounds().Size()
	if p.raster != nil {
		corner := image.Pt(int(x*density), int(y*density))
		draw.Draw(p.raster, image.Rectangle{corner, corner.Add(size)}, picture, picture.Bounds().Min, draw.Over)
		return
	}
	w, h := float64(size.X)/density, float64(size.Y)/density
	p.DrawImage(vg.Rectangle{Min: p.point(x, y+h), Max: p.point(x+w, y)}, picture)
}
