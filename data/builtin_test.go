package data

import (
	"context"
	"math"
	"reflect"
	"slices"
	"testing"

	"gorgonia.org/tensor"
)

// TestDigits compares with the published facts: 1,797 images, counts of each
// digit, and the mean count (numpy: digits.data.mean() = 4.884164...).
func TestDigits(t *testing.T) {
	d := open(t, "digits", Options{})
	info := d.Info()
	if info.Rows != 1797 || info.Features != 64 || !reflect.DeepEqual(info.Shape, []int{8, 8}) || info.Element != Uint8 || info.Min != 0 || info.Max != 1 {
		t.Errorf("%+v", info)
	}
	if len(info.Columns) != 64 || info.Columns[8] != "pixel_1_0" || info.Licence == "" || len(info.SHA256) != 64 {
		t.Errorf("%+v", info)
	}
	sum := 0.0
	for _, v := range floats(t, d) {
		sum += 16 * float64(v)
	}
	if sum != 561718 {
		t.Errorf("sum of counts %v", sum)
	}
	counts := make([]int, 10)
	for _, class := range d.Labels().Class {
		counts[class]++
	}
	if want := []int{178, 182, 177, 183, 181, 182, 181, 179, 174, 180}; !slices.Equal(counts, want) {
		t.Errorf("images of each digit %v, want %v", counts, want)
	}
	if want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}; !slices.Equal(d.Labels().Names, want) || !slices.Equal(info.Classes, want) {
		t.Errorf("names %v", d.Labels().Names)
	}
	x, err := d.Read(context.Background(), 1796, 1)
	if err != nil {
		t.Fatal(err)
	}
	if x.Dtype() != tensor.Uint8 {
		t.Errorf("type %v", x.Dtype())
	}
}

func TestListOpens(t *testing.T) {
	for _, b := range List() {
		name := b.Name
		if b.Arguments != "" {
			name += ":" + b.Arguments
		}
		d := open(t, name, Options{})
		if d.Info().Name != name || b.Description == "" || b.Source == "" {
			t.Errorf("%+v opens %q", b, d.Info().Name)
		}
		if plain := open(t, b.Name, Options{}).Info(); plain.SHA256 != d.Info().SHA256 {
			t.Errorf("%s differs from %s", b.Name, name)
		}
	}
}

// TestToysLieOnTheirCurves checks the points without noise against the equation
// of each curve, and that all of the curve is reached.
func TestToysLieOnTheirCurves(t *testing.T) {
	angle := func(x, y float64) float64 { return math.Mod(math.Atan2(y, x)+2*math.Pi, 2*math.Pi) }
	distance := map[string]func(x, y float64, class int) float64{
		"circle": func(x, y float64, _ int) float64 { return math.Hypot(x, y) - 1 },
		"swiss-roll": func(x, y float64, _ int) float64 { // the radius is the angle over 4.5π, for some number of turns
			turns := math.Hypot(x, y) * 2.25
			return math.Remainder(turns-angle(x, y)/(2*math.Pi), 1)
		},
		"two-moons": func(x, y float64, class int) float64 {
			if class == 1 {
				x, y = 1-x, 0.5-y
			}
			return math.Hypot(x, y) - 1 + min(y, 0)
		},
		"spiral": func(x, y float64, class int) float64 {
			if class == 0 {
				x, y = -x, -y
			}
			turns := math.Hypot(x, y) * 1.5
			return math.Remainder(turns+angle(x, y)/(2*math.Pi), 1)
		},
		"gmm": func(x, y float64, class int) float64 {
			return math.Hypot(x-math.Cos(math.Pi/4*float64(class)), y-math.Sin(math.Pi/4*float64(class)))
		},
	}
	for _, toy := range toys() {
		d := open(t, toy.name+":noise=0,n=4000", Options{})
		points := floats(t, d)
		var mean [2]float64
		for i := 0; i < len(points); i += 2 {
			class := 0
			if l := d.Labels(); l != nil {
				class = int(l.Class[i/2])
			}
			x, y := float64(points[i]), float64(points[i+1])
			mean[0], mean[1] = mean[0]+x/4000, mean[1]+y/4000
			if off := distance[toy.name](x, y, class); math.Abs(off) > 1e-5 {
				t.Fatalf("%s: point (%v, %v) is off by %v", toy.name, x, y, off)
			}
		}
		if toy.name == "circle" || toy.name == "gmm" || toy.name == "spiral" { // symmetric; standard error below 0.012
			if math.Hypot(mean[0], mean[1]) > 0.06 {
				t.Errorf("%s: the mean %v is far from the centre", toy.name, mean)
			}
		}
		if l := d.Labels(); (l == nil) != (toy.classes == 0) || l != nil && len(l.Names) != toy.classes {
			t.Errorf("%s: labels %v", toy.name, l)
		}
	}
}

// TestToyNoise compares the noise of each coordinate with its distribution.
func TestToyNoise(t *testing.T) {
	const n, sigma = 20000, 0.25
	clean := floats(t, open(t, "gmm:noise=0,n=20000", Options{}))
	noisy := floats(t, open(t, "gmm:noise=0.25,n=20000", Options{}))
	var sum, squares [2]float64
	product := 0.0
	for i := range clean {
		e := float64(noisy[i] - clean[i])
		sum[i%2] += e
		squares[i%2] += e * e
		if i%2 == 1 {
			product += e * float64(noisy[i-1]-clean[i-1])
		}
	}
	for c := range 2 { // five standard errors
		if math.Abs(sum[c]/n) > 5*sigma/math.Sqrt(n) || math.Abs(squares[c]/n-sigma*sigma) > 5*sigma*sigma*math.Sqrt(2.0/n) {
			t.Errorf("coordinate %d: mean %v, variance %v", c, sum[c]/n, squares[c]/n)
		}
	}
	if math.Abs(product/n) > 5*sigma*sigma/math.Sqrt(n) {
		t.Errorf("covariance %v", product/n)
	}
}

func TestToysAreFunctionsOfSeedAndRow(t *testing.T) {
	long := floats(t, open(t, "spiral:n=50,seed=7", Options{}))
	short := floats(t, open(t, "spiral:n=20,seed=7", Options{}))
	other := floats(t, open(t, "spiral:n=20,seed=8", Options{}))
	if !slices.Equal(long[:40], short) {
		t.Error("a longer set does not start with the shorter")
	}
	if slices.Equal(short, other) {
		t.Error("the seed makes no difference")
	}
}

// FuzzToyArguments checks that text is the inverse of parsing.
func FuzzToyArguments(f *testing.F) {
	f.Add("n=100,noise=0.05,seed=7")
	f.Add("noise=1e-3")
	f.Add("seed=18446744073709551615,n=1")
	f.Add("n=,")
	f.Fuzz(func(t *testing.T, text string) {
		a := toyArguments{1, 0, 0}
		if a.parse(text) != nil {
			return
		}
		var again toyArguments
		if err := again.parse(a.String()); err != nil || again != a {
			t.Errorf("%q gives %v, which gives %v, %v", text, a, again, err)
		}
	})
}
