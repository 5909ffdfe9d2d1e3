package kernels

import (
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"
)

// image makes an image of a fatbin: a header, and size bytes.
func image(kind uint16, sm uint32, size int) []byte {
	b := make([]byte, imageHeader+size)
	binary.LittleEndian.PutUint16(b, kind)
	binary.LittleEndian.PutUint32(b[4:], imageHeader)
	binary.LittleEndian.PutUint64(b[8:], uint64(size))
	binary.LittleEndian.PutUint32(b[28:], sm)
	return b
}

func fatbinOf(images ...[]byte) []byte {
	b := make([]byte, fatbinHeader)
	binary.LittleEndian.PutUint32(b, fatbinMagic)
	return append(b, slices.Concat(images...)...)
}

func TestImages(t *testing.T) {
	only := image(kindCubin, 90, 16)
	binary.LittleEndian.PutUint64(only[40:], onlyFlag|0x11)
	got, err := Images(fatbinOf(image(kindCubin, 80, 24), only, image(kindCubin, 120, 8), image(kindPTX, 80, 3)))
	want := []Image{{SM: 80}, {SM: 90, Only: true}, {SM: 120}, {PTX: true, SM: 80}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("images %v, error %v, want %v", got, err, want)
	}
}

func TestImageRunsOn(t *testing.T) {
	for _, c := range []struct {
		image        Image
		major, minor int
		want         bool
	}{
		{Image{SM: 86}, 8, 6, true},
		{Image{SM: 86}, 8, 9, true},
		{Image{SM: 86}, 8, 0, false},
		{Image{SM: 86}, 9, 0, false},
		{Image{SM: 120}, 12, 1, true},
		{Image{SM: 90, Only: true}, 9, 0, true},
		{Image{SM: 90, Only: true}, 9, 1, false},
		{Image{SM: 90, Only: true}, 10, 0, false},
		{Image{PTX: true, SM: 80}, 13, 0, true},
		{Image{PTX: true, SM: 80}, 7, 5, false},
	} {
		if got := c.image.RunsOn(c.major, c.minor); got != c.want {
			t.Errorf("%s on %d.%d: %t", c.image, c.major, c.minor, got)
		}
	}
}

// TestFatbin: the fatbin that scripts/cuda-build made holds the forms of the kernels
// that it was asked for.
func TestFatbin(t *testing.T) {
	want := strings.Fields(os.Getenv("FATBIN_IMAGES"))
	if len(want) == 0 {
		t.Skip("FATBIN_IMAGES is not set: scripts/cuda-build sets it")
	}
	content, err := os.ReadFile("gpudae.fatbin")
	if err != nil {
		t.Fatal(err)
	}
	images, err := Images(content)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range images {
		got = append(got, i.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the fatbin holds %v, want %v", got, want)
	}
}

func FuzzImages(f *testing.F) {
	f.Add(fatbinOf(image(kindCubin, 80, 24), image(kindPTX, 80, 3)))
	f.Add(fatbinOf(image(kindCubin, 80, 24))[:70])
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		images, err := Images(b)
		if err == nil && len(images) > len(b)/imageHeader {
			t.Errorf("%d images in %d bytes", len(images), len(b))
		}
	})
}
