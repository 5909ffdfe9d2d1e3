package data

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// putPNG writes an image into a folder.
func putPNG(t testing.TB, folder, name string, m image.Image) {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func grey(width, height int, pixels ...uint8) *image.Gray {
	return &image.Gray{Pix: pixels, Stride: width, Rect: image.Rect(0, 0, width, height)}
}

func TestFolderOfImages(t *testing.T) {
	folder := t.TempDir()
	putPNG(t, folder, "b.png", grey(3, 2, 1, 2, 3, 4, 5, 6))
	putPNG(t, folder, "a.PNG", grey(3, 2, 0, 255, 7, 8, 9, 10))
	if err := os.WriteFile(filepath.Join(folder, "notes.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, folder, Options{})
	x, err := d.Read(t.Context(), 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if want := []uint8{0, 255, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6}; !reflect.DeepEqual(Uint8s(x), want) || !reflect.DeepEqual(d.Info().Shape, []int{2, 3}) || d.Info().Max != 1 {
		t.Errorf("%v %+v", Uint8s(x), d.Info())
	}
	// One image in colour makes all of them so; opacity is left out.
	colours := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	colours.SetNRGBA(0, 0, color.NRGBA{200, 100, 50, 128})
	putPNG(t, folder, "c.png", colours)
	d = open(t, folder, Options{})
	if x, err = d.Read(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	if got := Uint8s(x); !reflect.DeepEqual(d.Info().Shape, []int{2, 3, 3}) || !reflect.DeepEqual(got[:6], []uint8{1, 1, 1, 2, 2, 2}) || !reflect.DeepEqual(got[18:21], []uint8{200, 100, 50}) {
		t.Errorf("%v %+v", got, d.Info())
	}
	putPNG(t, folder, "d.png", grey(1, 2, 1, 2))
	refusedFolder(t, folder, "d.png: is 1×2 pixels, but a.PNG is 3×2")
	if got := open(t, folder+":resize=6x4", Options{}).Info(); !reflect.DeepEqual(got.Shape, []int{4, 6, 3}) || got.Rows != 4 {
		t.Errorf("%+v", got)
	}
}

func TestImagesAreResized(t *testing.T) {
	folder := t.TempDir()
	putPNG(t, folder, "flat.png", grey(2, 2, 9, 9, 9, 9))
	putPNG(t, folder, "ramp.png", grey(4, 1, 0, 80, 160, 240))
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, grey(8, 8, bytes.Repeat([]byte{100}, 64)...), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "photo.jpeg"), photo.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	x := floats(t, open(t, folder+":resize=2x1", Options{Scale: 1}))
	if x[0] != 9 || x[1] != 9 || x[2] != 100 || x[3] != 100 {
		t.Errorf("flat images became %v", x[:4])
	}
	if sum := x[4] + x[5]; x[4] >= x[5] || sum < 236 || sum > 244 { // a symmetric filter keeps the mean of a ramp
		t.Errorf("the ramp became %v", x[4:])
	}
}

func refusedFolder(t *testing.T, path, words string) {
	t.Helper()
	if _, err := Open(t.Context(), path, Options{}); !isDataError(err) || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: %v, want %q", path, err, words)
	}
}

func TestImagesRefused(t *testing.T) {
	folder := t.TempDir()
	refusedFolder(t, folder, "is a folder without a .png or .jpg file")
	putPNG(t, folder, "a.png", grey(1, 1, 1))
	for _, size := range []string{"", "0x3", "3", "3x", "-1x3", "3x3x3", "3x99999999"} {
		refusedFolder(t, folder+":resize="+size, "")
	}
	huge := load(t, filepath.Join(folder, "a.png"))
	copy(huge[16:], []byte{0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}) // the header's sizes, without their sum
	if err := os.WriteFile(filepath.Join(folder, "b.png"), huge, 0o600); err != nil {
		t.Fatal(err)
	}
	refusedFolder(t, folder, "b.png: ")
	if err := os.WriteFile(filepath.Join(folder, "b.png"), []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	refusedFolder(t, folder, "b.png: is a damaged image, or none")
	for _, deep := range []image.Image{image.NewGray16(image.Rect(0, 0, 1, 1)), image.NewNRGBA64(image.Rect(0, 0, 1, 1)), image.NewRGBA64(image.Rect(0, 0, 1, 1))} {
		putPNG(t, folder, "b.png", deep)
		refusedFolder(t, folder, "b.png: has 16 bits a channel, of which 8 would be lost")
	}
	refusedFolder(t, filepath.Join(folder, "none:resize=2x2"), "file not found")
}
