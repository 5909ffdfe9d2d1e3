package settings

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

type sample struct {
	Name   string
	Kind   string
	Wide   []int
	Rate   float64
	Count  int
	Seed   uint64
	Shared bool
	Decay  *float64
}

var sampleTable = Table[sample]{
	{Key: "name", Doc: "a word", Field: func(c *sample) any { return &c.Name }},
	{Key: "kind", Doc: "one of two", Choices: []string{"round", "square"}, Field: func(c *sample) any { return &c.Kind }},
	{Key: "wide_list", Doc: "numbers", Field: func(c *sample) any { return &c.Wide }},
	{Key: "rate", Doc: "a real", Field: func(c *sample) any { return &c.Rate }},
	{Key: "count", Doc: "an integer", Field: func(c *sample) any { return &c.Count }},
	{Key: "seed", Doc: "64 bits", Field: func(c *sample) any { return &c.Seed }},
	{Key: "shared", Doc: "yes or no", Field: func(c *sample) any { return &c.Shared }},
	{Key: "decay", Doc: "a real or auto", Field: func(c *sample) any { return &c.Decay }},
}

func resolve(t *testing.T, layers ...[]Assignment) (sample, Origins) {
	t.Helper()
	var c sample
	origins, err := sampleTable.Resolve(&c, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return c, origins
}

func TestLaterLayersWinAndOriginsFollow(t *testing.T) {
	preset := FromValues(map[string]string{"count": "1", "rate": "0.1", "name": "a"}, "preset p")
	file, err := FromYAML("f.yaml", []byte("count: 2\nrate: 0.2\n"))
	if err != nil {
		t.Fatal(err)
	}
	environment, err := sampleTable.FromEnvironment([]string{"T_COUNT=3", "OTHER=9", "T_DEBUG=1"}, "T_", "T_DEBUG")
	if err != nil {
		t.Fatal(err)
	}
	c, origins := resolve(t, preset, file, environment)
	if c.Count != 3 || c.Rate != 0.2 || c.Name != "a" {
		t.Errorf("resolved %+v", c)
	}
	want := Origins{"count": "T_COUNT", "rate": "f.yaml:2", "name": "preset p"}
	if !reflect.DeepEqual(origins, want) {
		t.Errorf("origins %v, want %v", origins, want)
	}
}

func TestErrorsNameThePlaceAndTheRemedy(t *testing.T) {
	pairs := func(s ...string) func() ([]Assignment, error) {
		return func() ([]Assignment, error) { return FromPairs(s) }
	}
	file := func(s string) func() ([]Assignment, error) {
		return func() ([]Assignment, error) { return FromYAML("f.yaml", []byte(s)) }
	}
	environment := func(s ...string) func() ([]Assignment, error) {
		return func() ([]Assignment, error) { return sampleTable.FromEnvironment(s, "T_") }
	}
	for _, c := range []struct {
		name  string
		layer func() ([]Assignment, error)
		want  []string
	}{
		{"unknown key", pairs("cuont=1"), []string{"--set cuont", "unknown setting", "did you mean count?"}},
		{"no value", pairs("count"), []string{"--set count", "key=value"}},
		{"not a number", pairs("count=ten"), []string{"--set count", `"ten" is not a whole number`}},
		{"too big", pairs("count=99999999999999999999"), []string{"not a whole number"}},
		{"infinite", pairs("rate=inf"), []string{"finite"}},
		{"list", pairs("wide_list=1,,2"), []string{"list of whole numbers", "1000,500"}},
		{"bool", pairs("shared=maybe"), []string{"true or false"}},
		{"control character", pairs("name=a\nb"), []string{"control character"}},
		{"choice", pairs("kind=sqare"), []string{`unknown kind "sqare"`, "did you mean square?", "round, square"}},
		{"variable", environment("T_CUONT=1"), []string{"T_CUONT", "did you mean T_COUNT?"}},
		{"variable's value", environment("T_COUNT=x"), []string{"T_COUNT: "}},
		{"line", file("rate: 1\n\ncuont: 2\n"), []string{"f.yaml:3", "did you mean count?"}},
		{"twice", file("rate: 1\nrate: 2\n"), []string{"f.yaml", "rate"}},
		{"empty value", file("rate:\n"), []string{"f.yaml:1", "no value"}},
		{"nested", file("rate:\n  a: 1\n"), []string{"f.yaml:2", "not a value"}},
		{"list at the root", file("- rate\n"), []string{"f.yaml:1", "not a mapping"}},
		{"alias", file("rate: &x 1\ncount: *x\n"), []string{"f.yaml:1", "anchor"}},
		{"not YAML", file("rate: [1, 2\n"), []string{"f.yaml", "not YAML"}},
		{"huge", file(strings.Repeat("#", maxYAML+1)), []string{"too many"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			layer, err := c.layer()
			if err == nil {
				_, err = sampleTable.Resolve(new(sample), layer)
			}
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("error is %v", err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestEmptyFilesHoldNoSettings(t *testing.T) {
	for _, text := range []string{"", "\n", "# only a comment\n", "---\n", "null\n"} {
		layer, err := FromYAML("f.yaml", []byte(text))
		if err != nil || len(layer) != 0 {
			t.Errorf("%q gives %v, %v", text, layer, err)
		}
	}
}

func TestWrittenYAMLReadsBack(t *testing.T) {
	decay := 0.25
	for _, c := range []sample{
		{Kind: "round"},
		{Name: "gaussian:0.1+masking:0.25", Kind: "round", Wide: []int{1000, 500}, Rate: 1e-3, Count: -7, Seed: 1<<64 - 1, Shared: true},
		{Name: "true", Kind: "square", Wide: []int{3}, Rate: 1.0 / 3, Decay: &decay},
		{Name: "null", Kind: "round"},
		{Name: "0x10 # not a comment", Kind: "round"},
		{Name: "not UTF-8: \xff" + strings.Repeat(" and so on", 20), Kind: "round"},
	} {
		text, err := sampleTable.YAML(&c)
		if err != nil {
			t.Fatal(err)
		}
		layer, err := FromYAML("f.yaml", text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		got, _ := resolve(t, layer)
		if !reflect.DeepEqual(got, c) {
			t.Errorf("wrote %+v, read %+v from\n%s", c, got, text)
		}
	}
}

func FuzzYAML(f *testing.F) {
	for _, seed := range []string{"count: 2\nrate: 0.5\nwide_list: [1, 2]\n", "a: &x [1]\nb: *x\n", "? [1]\n: 2\n", "name: |\n  two\n  lines\n", "<<: {count: 1}\n", "\xff", "%YAML 1.1\n---\nrate: .inf\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		layer, err := FromYAML("f.yaml", text)
		var bad *Error
		if err != nil {
			if !errors.As(err, &bad) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %q", err)
			}
			return
		}
		c := sample{Kind: "round"}
		if _, err := sampleTable.Resolve(&c, layer); err != nil {
			return
		}
		written, err := sampleTable.YAML(&c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := FromYAML("g.yaml", written)
		if err != nil {
			t.Fatalf("%v in\n%s", err, written)
		}
		d := sample{Kind: "round"}
		if _, err := sampleTable.Resolve(&d, again); err != nil {
			t.Fatal(err)
		}
		if len(c.Wide) == 0 {
			c.Wide = nil
		}
		if !reflect.DeepEqual(c, d) {
			t.Fatalf("%+v became %+v through\n%s", c, d, written)
		}
	})
}
