package table

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gpudae/data"
)

// A Transform says of numbers and times what Encoder and Decoder do.
func TestTransformOfNumbers(t *testing.T) {
	frame := texts("real,whole,day,minute,instant,rough", repeat(3,
		"1.25,7,01.02.2003,2024-01-31 10:20+05:30,2024-01-31T10:20:30.25Z,1e-9",
		"-3.5,-2,28.02.2003,2024-02-28 23:59+05:30,2024-02-01T01:02:03.50Z,2.5e10",
		"100,12,01.03.2003,2024-03-05 00:00+05:30,1969-12-31T23:59:59.75Z,-4",
		"0.75,NA,02.03.2010,2023-12-31 18:30+05:30,2024-05-05T05:05:05.00Z,8")...)
	for _, scaling := range Scalings() {
		s, _ := infer(t, frame, Options{Scaling: scaling})
		low := -1.0
		s.Columns[1].Bounds = &Bounds{Low: &low}
		d, err := s.NewDecoder(false)
		if err != nil {
			t.Fatal(err)
		}
		width := len(s.Used())
		for j, tr := range s.Transforms() {
			if c := &s.Columns[s.Used()[j]]; tr.Name != c.Name || c.Kind != tr.Kind {
				t.Fatalf("transform %d is that of %s, not of %s", j, tr.Name, c.Name)
			}
			e := newColumnEncoder(s, &s.Columns[s.Used()[j]])
			for z := float32(-4); z <= 4; z += 0.0625 {
				row := make([]float32, width)
				row[j] = z
				text := d.Decode(row).Columns[j].Text[0]
				want := d.Number(j, z)
				if tr.Kind == Time {
					seconds, nanoseconds, _, ok := parseTime(text)
					if !ok {
						t.Fatalf("%q is no time", text)
					}
					want = float64(seconds) + float64(nanoseconds)/1e9
				}
				got := tr.Rounding.Round(min(max(tr.Invert(float64(z)), tr.Low), tr.High))
				if math.Abs(got-want) > 1e-12*math.Abs(want) {
					t.Errorf("%s, %s: %g of z = %g, want %g", scaling, tr.Name, got, z, want)
				}
				back, problem := e.scaled(got)
				if problem != nil || back != float32(tr.Apply(got)) {
					t.Errorf("%s, %s: z of %g is %g, want %g", scaling, tr.Name, got, tr.Apply(got), back)
				}
			}
		}
	}
	if got := (Rounding{Step: 1, Per: 1}).Round(-2.5); got != -3 {
		t.Errorf("-2.5 is rounded to %g", got)
	}
	if got := (Rounding{Step: 1, Per: 10, Even: true}).Round(0.25); got != 0.2 {
		t.Errorf("0.25 is rounded to %g", got)
	}
}

// Each text of a Transform has the code that an Encoder gives it, and another
// text that of the texts that are not there.
func TestTransformOfWords(t *testing.T) {
	frame := texts("town,answer,level,side", repeat(3, "Rome,no,1,left", "Oslo,yes,2.5,right", "östlich,no,30,left", ",?,n.a.,NA", "Rome,yes,1,left")...)
	s, _ := infer(t, frame, Options{})
	for i, kind := range []Kind{Categorical, Binary, Categorical, Binary} {
		if s.Columns[i].Kind != kind {
			t.Fatalf("column %s is %s", s.Columns[i].Name, s.Columns[i].Kind)
		}
	}
	s.Columns[3].Missing = []string{"not available at all", "-"}
	trs := s.Transforms()
	for j, want := range []map[string]int{
		{"Rome": 1, "": 4, "nAn": 4, "NULL": 4, "?": 4, "rome": -1, "Paris": -1},
		{"no": 0, "NO": 0, "False": 0, "yes": 1, "T": 1, "maybe": -1, "None": -1},
		{"1": 1, "1.0": 1, "2.5": -1, "n.a.": -1},
		{"left": 0, "right": 1, "-": -1, "Not available at all": -1, "NA": -1, "Left": -1},
	} {
		tr, e := trs[j], newColumnEncoder(s, &s.Columns[j])
		if !slices.Equal(tr.Categories, s.Columns[j].Fit.Categories) {
			t.Errorf("%s: categories %q", tr.Name, tr.Categories)
		}
		for text, code := range want {
			if got := tr.Code(text); code >= 0 && got != code {
				t.Errorf("%s: %q is %d, want %d", tr.Name, text, got, code)
			}
		}
		for _, text := range append(tr.Texts, "Paris", "rome", "no such word", "3") {
			z, code := e.code(&data.Values{Text: []string{text}}, 0), tr.Code(text)
			if absent := z != z; absent != (code == tr.Absent) || !absent && int(z) != code {
				t.Errorf("%s: %q is %d, and %g to the encoder", tr.Name, text, code, z)
			}
		}
	}
}

// Integers of a typed file that a person lists as missing are categories there.
func TestTransformOfTypedWords(t *testing.T) {
	s := &Schema{Missing: Missing(), Columns: []Column{{Name: "x", Kind: Categorical, Type: data.Integer, Missing: []string{"-1", "", "none"},
		Fit: &Fit{Kind: Categorical, Categories: []string{"-1", "7"}}}}}
	tr := s.Transforms()[0]
	for text, code := range map[string]int{"-1": 1, "-1.0": 1, "7": 2, "7.0": 2, "": 3, "None": 3} {
		if got := tr.Code(text); got != code {
			t.Errorf("%q is %d, want %d", text, got, code)
		}
	}
}

func TestSpellings(t *testing.T) {
	if got := spellings("N/a"); !slices.Equal(got, []string{"n/a", "n/A", "N/a", "N/A"}) {
		t.Errorf("%q", got)
	}
	if got := spellings(strings.Repeat("ab", 8)); len(got) != 4 || got[3] != "A"+strings.Repeat("ab", 8)[1:] {
		t.Errorf("%q", got)
	}
}
