package sweep

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"gpudae/internal/settings"
)

// kinds knows a few settings.
func kinds(key string) (numeric, whole bool) {
	switch key {
	case "lr", "dropout":
		return true, false
	case "code", "batch":
		return true, true
	}
	return false, false
}

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("s.yaml", []byte(text), kinds)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// points are the trials of a sweep, each as key=value words.
func points(c *Config) []string {
	var list []string
	for t := range c.Trials() {
		var words []string
		for _, a := range c.Trial(t) {
			words = append(words, a.Key+"="+a.Value)
		}
		list = append(list, strings.Join(words, " "))
	}
	return list
}

func TestGridHasEveryCombinationOnce(t *testing.T) {
	c := parse(t, "method: grid\nsweep:\n  activation: [relu, gelu]\n  hidden: [[8], [16, 8], 4]\n  code: {min: 1, max: 5, step: 2}\n")
	got := points(c)
	var want []string
	for _, activation := range []string{"relu", "gelu"} {
		for _, hidden := range []string{"8", "16,8", "4"} {
			for _, code := range []string{"1", "3", "5"} {
				want = append(want, "activation="+activation+" hidden="+hidden+" code="+code)
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("grid %q", got)
	}
	if where := c.Trial(0)[1].Where; where != "s.yaml:4" {
		t.Errorf("hidden is from %s", where)
	}
}

// TestListsAreDrawnWithoutRepetition: as many trials as there are combinations
// are all of them, fewer are the first of those, and another seed gives another
// order.
func TestListsAreDrawnWithoutRepetition(t *testing.T) {
	text := "trials: %d\nseed: %d\nsweep:\n  activation: [a, b, c, d]\n  hidden: [1, 2, 3, 4, 5]\n"
	all := points(parse(t, fmt.Sprintf(text, 20, 1)))
	if sorted := slices.Compact(slices.Sorted(slices.Values(all))); len(sorted) != 20 {
		t.Errorf("%d different trials of 20", len(sorted))
	}
	if few := points(parse(t, fmt.Sprintf(text, 7, 1))); !reflect.DeepEqual(few, all[:7]) {
		t.Error("fewer trials are other trials")
	}
	if reflect.DeepEqual(all, points(parse(t, fmt.Sprintf(text, 20, 2)))) {
		t.Error("another seed gives the same order")
	}
}

// TestDrawsAreUniform: the greatest distance between the distribution of draws
// and that of the range stays below the bound of Kolmogorov and Smirnov at 1 in 10⁶.
func TestDrawsAreUniform(t *testing.T) {
	const n = 4000
	bound := math.Sqrt(math.Log(2/1e-6) / (2 * n))
	for _, c := range []struct {
		space string
		cdf   func(v float64) float64
		slack float64 // half a step of the distribution
	}{
		{"lr: {min: 0.25, max: 0.75}", func(v float64) float64 { return (v - 0.25) / 0.5 }, 0},
		{"lr: {min: 1e-5, max: 1e-1, scale: log}", func(v float64) float64 { return math.Log(v/1e-5) / math.Log(1e4) }, 0},
		{"code: {min: 1, max: 4}", func(v float64) float64 { return v / 4 }, 0.25},
		{"code: {min: 1, max: 1000, scale: log}", func(v float64) float64 { return math.Log(v+1) / math.Log(1001) }, 0.11},
	} {
		config := parse(t, fmt.Sprintf("trials: %d\nsweep:\n  %s\n", n, c.space))
		var values []float64
		for i := range n {
			v, err := strconv.ParseFloat(config.Trial(i)[0].Value, 64)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, v)
		}
		sort.Float64s(values)
		for i := 0; i < n; {
			j := i
			for j < n && values[j] == values[i] {
				j++
			}
			if d := math.Abs(c.cdf(values[i]) - float64(j)/n); d > bound+1e-3 {
				t.Errorf("%s: distribution at %v off by %.3f, bound %.3f", c.space, values[i], d, bound)
				break
			}
			i = j
		}
		if r := config.Varied[0].Range; values[0] < r.Low || values[n-1] > r.High {
			t.Errorf("%s: draws from %v to %v", c.space, values[0], values[n-1])
		}
	}
}

// TestDrawsOfSettingsAreIndependent: two ranges are not drawn alike.
func TestDrawsOfSettingsAreIndependent(t *testing.T) {
	const n = 2000
	c := parse(t, fmt.Sprintf("trials: %d\nsweep:\n  lr: {min: 0, max: 1}\n  dropout: {min: 0, max: 1}\n", n))
	var x, y, xy, xx, yy float64
	for i := range n {
		v := c.Trial(i)
		a, _ := strconv.ParseFloat(v[0].Value, 64)
		b, _ := strconv.ParseFloat(v[1].Value, 64)
		x, y, xy, xx, yy = x+a, y+b, xy+a*b, xx+a*a, yy+b*b
	}
	r := (xy/n - x/n*y/n) / math.Sqrt((xx/n-x/n*x/n)*(yy/n-y/n*y/n))
	if math.Abs(r) > 5/math.Sqrt(n) {
		t.Errorf("correlation %.3f", r)
	}
}

func TestRangesInStepsAndTemplates(t *testing.T) {
	for space, want := range map[string]string{
		"lr: {min: 0.1, max: 0.5, step: 0.1}":                                      "0.1 0.2 0.3 0.4 0.5",
		"lr: {min: 1e-4, max: 1e-2, scale: log, count: 3}":                         "0.0001 0.001 0.01",
		"code: {min: 8, max: 64, scale: log, count: 4}":                            "8 16 32 64",
		"code: {min: 1, max: 3, count: 9}":                                         "1 2 3",
		"corruption: {min: 0.1, max: 0.3, count: 2, template: 'masking:{}'}":       "masking:0.1 masking:0.3",
		"corruption: {min: 0, max: 1, step: 0.5, template: 'speckle:{}+swap:0.1'}": "speckle:0+swap:0.1 speckle:0.5+swap:0.1 speckle:1+swap:0.1",
	} {
		c := parse(t, "method: grid\nsweep:\n  "+space+"\n")
		if got := strings.Join(c.Varied[0].Values, " "); got != want {
			t.Errorf("%s: %s, want %s", space, got, want)
		}
	}
	c := parse(t, "trials: 50\nsweep:\n  corruption: {min: 0.1, max: 0.4, template: 'masking:{}'}\n")
	for i := range 50 {
		rate, found := strings.CutPrefix(c.Trial(i)[0].Value, "masking:")
		v, err := strconv.ParseFloat(rate, 64)
		if !found || err != nil || v < 0.1 || v > 0.4 {
			t.Errorf("trial %d is %v", i, c.Trial(i))
		}
	}
}

func TestHalvingComparesAtItsRungs(t *testing.T) {
	c := parse(t, "trials: 9\nhalving: {epochs: 2, eta: 3}\nsweep:\n  lr: {min: 0.1, max: 1}\n")
	if got := c.Rungs(20); !reflect.DeepEqual(got, []int{2, 6, 18, 20}) {
		t.Errorf("rungs %v", got)
	}
	if got := c.Rungs(2); !reflect.DeepEqual(got, []int{2}) {
		t.Errorf("rungs of two epochs %v", got)
	}
	for n, want := range map[int]int{9: 3, 10: 4, 3: 1, 1: 1} {
		if got := c.Halving.Kept(n); got != want {
			t.Errorf("of %d trials %d are kept, want %d", n, got, want)
		}
	}
	c.Halving = nil
	if got := c.Rungs(20); !reflect.DeepEqual(got, []int{20}) {
		t.Errorf("rungs without halving %v", got)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "s.yaml: nothing to vary"},
		{"trials: 3\n", "s.yaml: nothing to vary"},
		{"metod: grid\n", `s.yaml:1: unknown key "metod"; did you mean method?`},
		{"method: gird\n", `s.yaml:1: unknown method "gird"; did you mean grid?`},
		{"lr: 0.1\n", "settings of every trial go below settings:"},
		{"sweep:\n  lr: [0.1]\n", "s.yaml: no number of trials"},
		{"trials: 0\nsweep:\n  lr: [0.1]\n", "s.yaml:1: trials:"},
		{"trials: 3\nsweep:\n  lr: [0.1, 0.2]\n", "s.yaml:1: 3 trials of lists that have 2 combinations"},
		{"trials: 3\nsweep:\n  lr: 0.1\n", "s.yaml:3: \"lr\" is one value"},
		{"trials: 3\nsweep:\n  lr: []\n", "no values"},
		{"trials: 3\nsweep:\n  lr: {min: 1}\n", "s.yaml:3: \"lr\" has no min or no max"},
		{"trials: 3\nsweep:\n  lr: {min: 2, max: 1}\n", "not below its max"},
		{"trials: 3\nsweep:\n  lr: {min: 0, max: 1, scale: log}\n", "no logarithm"},
		{"trials: 3\nsweep:\n  lr: {min: 1, max: .inf}\n", "not a finite number"},
		{"trials: 3\nsweep:\n  lr: {min: 1, max: 2, scale: lg}\n", "unknown scale"},
		{"trials: 3\nsweep:\n  lr: {min: 1, max: 2, stop: 1}\n", "did you mean step?"},
		{"trials: 3\nsweep:\n  lr: {min: 1, max: 2, step: 1, count: 2}\n", "a step and a count"},
		{"trials: 3\nsweep:\n  lr: {min: 1, max: 2, step: -1}\n", "a step of -1"},
		{"trials: 3\nsweep:\n  lr: {min: 1, max: 2, step: 1e-9}\n", "a step of 1e-09"},
		{"trials: 3\nsweep:\n  code: {min: 1.5, max: 4}\n", "is a whole number"},
		{"trials: 3\nsweep:\n  activation: {min: 1, max: 4}\n", "is no number"},
		{"trials: 3\nsweep:\n  corruption: {min: 1, max: 4, template: masking}\n", "template without {}"},
		{"method: grid\nsweep:\n  lr: {min: 1, max: 4}\n", "s.yaml:3: \"lr\" is a range"},
		{"method: grid\ntrials: 3\nsweep:\n  lr: [1, 2]\n", "s.yaml:2: a grid has as many trials"},
		{"method: grid\nsweep:\n  lr: {min: 1, max: 4, count: 1000}\n  dropout: {min: 0, max: 1, count: 1000}\n", "s.yaml:1: more than 100000 combinations"},
		{"settings:\n  lr: 1\ntrials: 2\nsweep:\n  lr: [1, 2]\n", `s.yaml:2: "lr" is also below sweep:`},
		{"halving: {eta: 3}\n", "halving without epochs"},
		{"halving: {epochs: 3, eta: 1}\n", "from 2 to"},
		{"sweep: [lr]\n", "not a mapping"},
		{"settings: 3\n", "not a mapping"},
	} {
		_, err := Parse("s.yaml", []byte(c.text), kinds)
		var told *settings.Error
		if !errors.As(err, &told) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q gives %v, want %q", c.text, err, c.want)
		}
	}
}

func TestMoreTrialsLater(t *testing.T) {
	c := parse(t, "trials: 2\nsweep:\n  lr: {min: 1, max: 2}\n")
	two := points(c)
	if err := c.SetTrials(5, "--trials"); err != nil || !reflect.DeepEqual(points(c)[:2], two) {
		t.Errorf("%v, and trials %v after %v", err, points(c), two)
	}
	c = parse(t, "method: grid\nsweep:\n  lr: [1, 2]\n")
	if err := c.SetTrials(5, "--trials"); err == nil || !strings.HasPrefix(err.Error(), "--trials: a grid") {
		t.Errorf("error %v", err)
	}
}

// roundTrip fails unless what YAML writes is the same sweep.
func roundTrip(t *testing.T, c *Config) {
	t.Helper()
	text, err := c.YAML(c.Fixed)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("s.yaml", text, kinds)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if !reflect.DeepEqual(bare(again), bare(c)) {
		t.Fatalf("%+v became %+v through\n%s", bare(c), bare(again), text)
	}
	for i := range min(c.Trials(), 5) {
		for k, a := range c.Trial(i) {
			if b := again.Trial(i)[k]; a.Key != b.Key || a.Value != b.Value {
				t.Fatalf("trial %d: %v became %v", i, a, b)
			}
		}
	}
}

// bare is a sweep without the places in the file, and without its preset, which
// YAML leaves to the fixed settings.
func bare(c *Config) Config {
	out := *c
	out.space, out.Fixed, out.Varied, out.Preset = nil, nil, nil, ""
	for _, a := range c.Fixed {
		out.Fixed = append(out.Fixed, settings.Assignment{Key: a.Key, Value: a.Value})
	}
	for _, d := range c.Varied {
		d.Where = ""
		out.Varied = append(out.Varied, d)
	}
	return out
}

func TestWrittenSweepsReadBack(t *testing.T) {
	for _, text := range []string{
		"method: grid\nsweep:\n  hidden: [[1, 2], 3]\n  lr: [1e-3, 0.01]\n",
		"trials: 4\nseed: 18446744073709551615\nmetric: val_mse\nparallel: 3\nhalving: {epochs: 2}\nsettings:\n  data: 'a: b # c'\n  epochs: 8\nsweep:\n  lr: {min: 1e-4, max: 1, scale: log}\n  corruption: {min: 0.1, max: 0.3, template: \"masking:{}\"}\n",
	} {
		roundTrip(t, parse(t, text))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("method: grid\nsweep:\n  hidden: [[1, 2], 3]\n"))
	f.Add([]byte("trials: 4\nseed: 1\nhalving: {epochs: 2, eta: 4}\nsettings: {data: digits}\nsweep:\n  lr: {min: 1e-4, max: 1, scale: log}\n  code: {min: 1, max: 9}\n"))
	f.Add([]byte("trials: 4\nsweep:\n  corruption: {min: 0.1, max: 0.3, count: 3, template: 'masking:{}'}\n"))
	f.Add([]byte("sweep: {lr: &a [1], code: *a}\n"))
	f.Add([]byte("trials: 1\nsweep: {code: {min: -9007199254740992, max: 9007199254740992}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("s.yaml", text, kinds)
		if err != nil {
			var told *settings.Error
			if !errors.As(err, &told) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %q", err)
			}
			return
		}
		roundTrip(t, c)
	})
}
