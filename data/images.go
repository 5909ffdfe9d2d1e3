package data

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // a decoder
	_ "image/png"  // a decoder
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/draw"
	"gorgonia.org/tensor"
)

// A folder of PNG and JPEG files is a data set: a file is an example, in the
// order of the names. All have the same size, or are brought to that of
// "folder:resize=WxH" (Catmull-Rom). They are grey, shape [height, width], if
// all files are, otherwise red, green and blue, shape [height, width, 3];
// opacity is left out. Values are uint8.

// resizeOption stands between the folder and WxH.
const resizeOption = ":resize="

const (
	imageLongest = 1 << 14 // pixels of an edge
	imageLargest = 1 << 26 // pixels
)

// picture is a file of a folder of images.
type picture struct {
	name string
	size image.Point
	grey bool
}

// openImages reads the headers of all files and decodes each once.
func openImages(ctx context.Context, path string, o Options) (Dataset, error) {
	size, err := parseResize(path, o.resize)
	if err != nil {
		return nil, err
	}
	if o.LabelColumn != "" && !o.LabelOptional {
		return nil, &Error{Path: path, ColumnName: o.LabelColumn, Problem: "there is no column of labels in a folder of images", Remedy: "give a file of labels"}
	}
	pictures, err := listPictures(ctx, path)
	if err != nil {
		return nil, err
	}
	resized := o.resize != ""
	if !resized {
		size = pictures[0].size
	}
	grey := true
	for _, p := range pictures {
		if !resized && p.size != size {
			return nil, &Error{Path: filepath.Join(path, p.name), Remedy: fmt.Sprintf("resize it, or all of them with %s%s%dx%d", path, resizeOption, size.X, size.Y),
				Problem: fmt.Sprintf("is %d×%d pixels, but %s is %d×%d", p.size.X, p.size.Y, pictures[0].name, size.X, size.Y)}
		}
		grey = grey && p.grey
	}
	info := Info{Name: filepath.Base(path), Path: path, Format: "images", Shape: []int{size.Y, size.X}, Scale: 1.0 / 255}
	if !grey {
		info.Shape = append(info.Shape, 3)
	}
	if o.Scale != 0 {
		info.Scale = o.Scale
	}
	d := &images{info: info, path: path, pictures: pictures, size: size, grey: grey}
	return d, d.check(ctx, o)
}

// images decodes files as rows are asked for.
type images struct {
	info     Info
	labels   *Labels
	path     string
	pictures []picture
	size     image.Point
	grey     bool
}

// check decodes all files once.
func (d *images) check(ctx context.Context, o Options) error {
	d.info.Element, d.info.Rows, d.info.Features = Uint8, len(d.pictures), product(d.info.Shape)
	low, high := uint8(math.MaxUint8), uint8(0)
	digest := sha256.New()
	var pixels []uint8
	for i, p := range d.pictures {
		if err := ctx.Err(); err != nil {
			return err
		}
		var content []byte
		var err error
		if pixels, content, err = d.decode(pixels[:0], i); err != nil {
			return err
		}
		fmt.Fprintf(digest, "%x  %s\n", sha256.Sum256(content), p.name) // as sha256sum prints it
		low, high = min(low, slices.Min(pixels)), max(high, slices.Max(pixels))
	}
	d.info.Min, d.info.Max = float32(low)*d.info.Scale, float32(high)*d.info.Scale
	d.info.SHA256 = hex.EncodeToString(digest.Sum(nil))
	var err error
	d.labels, err = readLabels(ctx, o.Labels, len(d.pictures))
	d.info.Classes = d.labels.classNames()
	return err
}

// decode appends the pixels of a file to those before it.
func (d *images) decode(pixels []uint8, row int) (_ []uint8, content []byte, err error) {
	path := filepath.Join(d.path, d.pictures[row].name)
	if content, err = os.ReadFile(path); err != nil {
		return nil, nil, openError(path, err)
	}
	decoded, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, nil, imageError(path, err)
	}
	pixels = appendPixels(pixels, decoded, d.size, d.grey)
	return pixels, content, nil
}

func (d *images) Info() Info      { return d.info }
func (d *images) Labels() *Labels { return d.labels }
func (d *images) Close() error    { return nil }

func (d *images) Read(ctx context.Context, from, n int) (*tensor.Dense, error) {
	if err := checkRange(ctx, d.info, from, n); err != nil {
		return nil, err
	}
	pixels := make([]uint8, 0, n*d.info.Features)
	for row := from; row < from+n; row++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if pixels, _, err = d.decode(pixels, row); err != nil {
			return nil, err
		}
	}
	return matrix(pixels, n, d.info.Features), nil
}

// FileNames gives the name of the file of each row of a folder of images, without
// its suffix; nil for other data sets.
func FileNames(d Dataset) func(row int) string {
	if n, ok := d.(named); ok {
		d = n.Dataset
	}
	i, ok := d.(*images)
	if !ok {
		return nil
	}
	return func(row int) string {
		name := i.pictures[row].name
		return strings.TrimSuffix(name, filepath.Ext(name))
	}
}

// parseResize reads ":resize=WxH"; an empty text gives no size.
func parseResize(path, text string) (image.Point, error) {
	var size image.Point
	if text == "" {
		return size, nil
	}
	text = strings.TrimPrefix(text, resizeOption)
	_, err := fmt.Sscanf(text, "%dx%d", &size.X, &size.Y)
	if err != nil || size.X < 1 || size.Y < 1 || size.X > imageLongest || size.Y > imageLongest || fmt.Sprintf("%dx%d", size.X, size.Y) != text {
		return size, &Error{Path: path, Problem: fmt.Sprintf("cannot be resized to %q", text), Remedy: fmt.Sprintf("write width x height in pixels, e.g. %s%s32x32", path, resizeOption)}
	}
	return size, nil
}

// listPictures reads the headers of all images of the folder, sorted by name.
func listPictures(ctx context.Context, path string) ([]picture, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, openError(path, err)
	}
	var pictures []picture
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if entry.IsDir() || !slices.Contains([]string{".png", ".jpg", ".jpeg"}, strings.ToLower(filepath.Ext(entry.Name()))) {
			continue
		}
		p, err := headerOf(path, entry.Name())
		if err != nil {
			return nil, err
		}
		pictures = append(pictures, p)
	}
	if len(pictures) == 0 {
		return nil, &Error{Path: path, Problem: "is a folder without a .png or .jpg file", Remedy: "name a folder of images, or a file"}
	}
	return pictures, nil
}

// headerOf reads an image's size and colours.
func headerOf(folder, name string) (picture, error) {
	path := filepath.Join(folder, name)
	file, err := os.Open(path)
	if err != nil {
		return picture{}, openError(path, err)
	}
	defer file.Close()
	config, _, err := image.DecodeConfig(file)
	if err != nil {
		return picture{}, imageError(path, err)
	}
	if config.Width < 1 || config.Height < 1 || config.Width > imageLongest || config.Height > imageLongest || config.Width*config.Height > imageLargest {
		return picture{}, &Error{Path: path, Remedy: "make it smaller",
			Problem: fmt.Sprintf("declares %d×%d pixels, more than the %d, and %d along an edge, that are supported", config.Width, config.Height, imageLargest, imageLongest)}
	}
	switch config.ColorModel {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		return picture{}, &Error{Path: path, Problem: "has 16 bits a channel, of which 8 would be lost", Remedy: "write it with 8, or give an array in .npy"}
	}
	return picture{name, image.Pt(config.Width, config.Height), config.ColorModel == color.GrayModel}, nil
}

func imageError(path string, err error) error {
	return &Error{Path: path, Problem: "is a damaged image, or none: " + err.Error(), Remedy: "write it again as PNG or JPEG", Err: err}
}

// appendPixels appends the image at that size, row by row.
func appendPixels(pixels []uint8, from image.Image, size image.Point, grey bool) []uint8 {
	bounds := from.Bounds()
	if bounds.Size() != size {
		to := draw.Image(image.NewNRGBA(image.Rectangle{Max: size}))
		if grey {
			to = image.NewGray(image.Rectangle{Max: size})
		}
		draw.CatmullRom.Scale(to, to.Bounds(), from, bounds, draw.Src, nil)
		from, bounds = to, to.Bounds()
	}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			if grey {
				pixels = append(pixels, color.GrayModel.Convert(from.At(x, y)).(color.Gray).Y)
				continue
			}
			c := color.NRGBAModel.Convert(from.At(x, y)).(color.NRGBA)
			pixels = append(pixels, c.R, c.G, c.B)
		}
	}
	return pixels
}
