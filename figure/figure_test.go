package figure

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// samples draws each kind of figure from a few numbers.
func samples() map[string]func(path string) error {
	x, y, z := []float32{0, 1, 0.5, 1, 1, 0, 0, 1}, []float32{0, 0, 0.5, 1, 0, 0, 0, 1}, []float32{0.1, 0.9, 0.5, 1, 0.8, 0, 0, 1}
	grid := GridPoints(x, 3)
	return map[string]func(string) error{
		"images": func(path string) error {
			return Reconstructions(path, Triples{Features: 4, Clean: x, Corrupted: y, Reconstructed: z, Shape: []int{2, 2}, Labels: []string{"a", "b"}, Title: "<images>"})
		},
		"table": func(path string) error {
			return Reconstructions(path, Triples{Features: 4, Clean: x, Corrupted: y, Reconstructed: z, Columns: []string{"p", "q", "r", "s"}, Labels: []string{"a", "b"}})
		},
		"points": func(path string) error {
			return Reconstructions(path, Triples{Features: 2, Clean: x, Corrupted: y, Reconstructed: z})
		},
		"filters": func(path string) error {
			return Filters(path, Weights{Features: 4, Values: x, Shape: []int{2, 2}, Title: "filters"})
		},
		"filters of a table": func(path string) error { return Filters(path, Weights{Features: 4, Values: x}) },
		"curves": func(path string) error {
			return Curves(path, History{Epochs: []Epoch{{1, 3, 4, 1e-3}, {2, 2, 3.5, 5e-4}, {3, 1, 3.75, 1e-4}}, Title: "curves"})
		},
		"field": func(path string) error {
			return VectorField(path, Field{Data: x, At: grid, To: append([]float32{5}, grid[1:]...), Columns: 3, Axes: [2]string{"u", "v"}})
		},
		"stream lines": func(path string) error {
			return VectorField(path, Field{Data: x, At: grid, To: append([]float32{5}, grid[1:]...), Columns: 3, Sinks: x[:2], Lines: true})
		},
		"density": func(path string) error {
			return DensityMap(path, Density{At: grid, Log: []float64{0, 1, 0, 1, 3, 1, 0, 1, 0}, Columns: 3, Data: x})
		},
		"trajectories": func(path string) error {
			return Paths(path, Trajectories{Steps: [][]float32{x, z, y}, Data: x, Names: [2]string{"start", "end"}, Scale: [2]string{"0", "2"}, Unit: "steps"})
		},
		"sheet": func(path string) error {
			return Images(path, Sheet{Values: append(slices.Repeat(x, 7), x...), Shape: []int{2, 2}, Columns: 8, Captions: []string{"0", "1", "2", "3", "4", "5", "6", "7"}, Title: "chains"})
		},
		"cloud": func(path string) error { return Scatter(path, Cloud{Data: x, Samples: z}) },
		"codes": func(path string) error { return CodeMap(path, Codes{Values: x, Labels: []string{"a", "b", "a", "c"}}) },
	}
}

func TestEveryFigureInBothFormats(t *testing.T) {
	for name, draw := range samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for _, suffix := range []string{".png", ".svg"} {
				first, second := filepath.Join(folder, "1"+suffix), filepath.Join(folder, "2"+suffix)
				if err := errors.Join(draw(first), draw(second)); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(contents(t, first), contents(t, second)) {
					t.Errorf("the %s differs from one run to the next", suffix)
				}
			}
			if size := decode(t, contents(t, filepath.Join(folder, "1.png"))).Rect.Size(); size.X < 300 || size.Y < 150 {
				t.Errorf("the PNG has %v pixels", size)
			}
			wellFormed(t, contents(t, filepath.Join(folder, "1.svg")))
			if entries, err := os.ReadDir(folder); err != nil || len(entries) != 4 {
				t.Errorf("%d files for four figures, %v", len(entries), err)
			}
		})
	}
}

func TestSuffixesOfAnyCase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figure.PNG")
	if err := samples()["images"](path); err != nil {
		t.Fatal(err)
	}
	decode(t, contents(t, path))
}

func TestOtherSuffixesAreRefused(t *testing.T) {
	for name, draw := range samples() {
		path := filepath.Join(t.TempDir(), "figure.jpg")
		var wrong *SuffixError
		if err := draw(path); !errors.As(err, &wrong) || wrong.Path != path {
			t.Errorf("%s: error %v", name, err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the file was written", name)
		}
	}
	if err := CheckPath("figure"); err == nil || !strings.Contains(err.Error(), ".png or .svg") {
		t.Errorf("a name without a suffix: %v", err)
	}
	if err := CheckPath("a.jpg.Svg"); err != nil {
		t.Error(err)
	}
}

func TestMissingFolderIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "figure.png")
	if err := samples()["curves"](path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// Numbers that are not finite come from diverged models, which is when one looks
// at pictures.
func TestNonFiniteNumbersAreDrawn(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	bad := []float32{nan, 1, inf, 0, -inf, nan, 0, 1}
	good := make([]float32, 8)
	for name, draw := range map[string]func(string) error{
		"images": func(path string) error {
			return Reconstructions(path, Triples{Features: 4, Clean: good, Corrupted: good, Reconstructed: bad, Shape: []int{2, 2}})
		},
		"table": func(path string) error {
			return Reconstructions(path, Triples{Features: 4, Clean: bad, Corrupted: good, Reconstructed: bad})
		},
		"points": func(path string) error {
			return Manifold(path, Pairs{Data: bad, Corrupted: good, Reconstructed: bad})
		},
		"nothing but NaN": func(path string) error {
			return Manifold(path, Pairs{Data: []float32{nan, nan}})
		},
		"filters": func(path string) error { return Filters(path, Weights{Features: 4, Values: bad, Shape: []int{2, 2}}) },
		"field":   func(path string) error { return VectorField(path, Field{At: good, To: bad, Columns: 2}) },
		"sheet":   func(path string) error { return Images(path, Sheet{Values: bad, Shape: []int{2, 2}, Columns: 1}) },
		"cloud":   func(path string) error { return Scatter(path, Cloud{Data: bad, Samples: bad}) },
		"trajectories": func(path string) error {
			return Paths(path, Trajectories{Steps: [][]float32{good, bad, good}, Data: good})
		},
		"codes": func(path string) error {
			return CodeMap(path, Codes{Values: bad, Labels: []string{"a", "b", "c", "d"}})
		},
		"curves": func(path string) error {
			return Curves(path, History{Epochs: []Epoch{{1, math.NaN(), math.Inf(1), math.NaN()}, {2, 1, math.NaN(), 0}}})
		},
	} {
		for _, suffix := range []string{".png", ".svg"} {
			path := filepath.Join(t.TempDir(), "figure"+suffix)
			if err := draw(path); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if suffix == ".svg" && bytes.Contains(contents(t, path), []byte("NaN")) {
				t.Errorf("%s: a position is NaN", name)
			}
		}
	}
}

func TestInputsThatDoNotFitAreErrors(t *testing.T) {
	two, four, six := make([]float32, 2), make([]float32, 4), make([]float32, 6)
	for name, draw := range map[string]func(string) error{
		"no examples": func(p string) error { return Reconstructions(p, Triples{Features: 2}) },
		"no features": func(p string) error {
			return Reconstructions(p, Triples{Clean: two, Corrupted: two, Reconstructed: two})
		},
		"ragged examples": func(p string) error {
			return Reconstructions(p, Triples{Features: 4, Clean: six, Corrupted: six, Reconstructed: six})
		},
		"unpaired examples": func(p string) error {
			return Reconstructions(p, Triples{Features: 2, Clean: four, Corrupted: two, Reconstructed: four})
		},
		"other shape": func(p string) error {
			return Reconstructions(p, Triples{Features: 4, Clean: four, Corrupted: four, Reconstructed: four, Shape: []int{2, 3}})
		},
		"ragged weights":   func(p string) error { return Filters(p, Weights{Features: 4, Values: six}) },
		"weights of shape": func(p string) error { return Filters(p, Weights{Features: 4, Values: four, Shape: []int{3, 3}}) },
		"no epochs":        func(p string) error { return Curves(p, History{}) },
		"no data":          func(p string) error { return Manifold(p, Pairs{}) },
		"unpaired points":  func(p string) error { return Manifold(p, Pairs{Data: two, Corrupted: four, Reconstructed: two}) },
		"ragged grid":      func(p string) error { return VectorField(p, Field{At: six, To: six, Columns: 2}) },
		"no grid":          func(p string) error { return VectorField(p, Field{Columns: 2}) },
		"one step":         func(p string) error { return Paths(p, Trajectories{Steps: [][]float32{two}}) },
		"ragged steps":     func(p string) error { return Paths(p, Trajectories{Steps: [][]float32{two, four}}) },
		"no codes":         func(p string) error { return CodeMap(p, Codes{}) },
		"other labels":     func(p string) error { return CodeMap(p, Codes{Values: four, Labels: []string{"a"}}) },
	} {
		path := filepath.Join(t.TempDir(), "figure.png")
		if err := draw(path); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSVGHasPortableTextAndImages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figure.svg")
	if err := samples()["images"](path); err != nil {
		t.Fatal(err)
	}
	text := string(contents(t, path))
	for _, want := range []string{"&lt;images&gt;", ">clean<", ">corrupted<", ">reconstructed<", "font-family:'Liberation Sans',Arial"} {
		if !strings.Contains(text, want) {
			t.Errorf("the figure lacks %q", want)
		}
	}
	embedded := regexp.MustCompile(`data:image/png;base64,([^"]*)"`).FindStringSubmatch(text)
	if embedded == nil {
		t.Fatal("the figure has no embedded PNG")
	}
	raw, err := base64.StdEncoding.DecodeString(embedded[1])
	if err != nil {
		t.Fatal(err)
	}
	// Two tiles of 112 pixels with their labels above.
	if size := decode(t, raw).Bounds().Size(); size != image.Pt(2*112+4, 28+3*112+2*4) {
		t.Errorf("the embedded picture has %v pixels", size)
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t *testing.T, b []byte) *image.NRGBA {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	plain := image.NewNRGBA(img.Bounds())
	draw.Draw(plain, plain.Rect, img, img.Bounds().Min, draw.Src)
	return plain
}

func wellFormed(t *testing.T, b []byte) {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(b))
	for {
		if _, err := decoder.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// drawn renders a figure as PNG and reads it back.
func drawn(t *testing.T, draw func(path string) error) *image.NRGBA {
	t.Helper()
	path := filepath.Join(t.TempDir(), "figure.png")
	if err := draw(path); err != nil {
		t.Fatal(err)
	}
	return decode(t, contents(t, path))
}

// uniform checks that a rectangle of pixels has one colour.
func uniform(t *testing.T, what string, img *image.NRGBA, r image.Rectangle, want color.NRGBA) {
	t.Helper()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if got := img.NRGBAAt(x, y); got != want {
				t.Fatalf("%s: pixel %d, %d is %v, want %v", what, x, y, got, want)
			}
		}
	}
}

// spots is the mean position and the number of the pixels of a colour.
func spots(img *image.NRGBA, want color.NRGBA) (x, y float64, n int) {
	b := img.Bounds()
	for py := b.Min.Y; py < b.Max.Y; py++ {
		for px := b.Min.X; px < b.Max.X; px++ {
			if img.NRGBAAt(px, py) == want {
				x, y, n = x+float64(px), y+float64(py), n+1
			}
		}
	}
	return x / float64(n), y / float64(n), n
}
