package table

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"gpudae/data"
)

// Transform is what Encoder and Decoder make of the cells of a column, to whoever
// rebuilds them elsewhere.
type Transform struct {
	Name string
	Kind Kind

	// Of numbers, and of times in seconds since 1970: z = (x-Offset)/Scale, or with
	// Knots linear between those, and beyond the last ones of slope 1/Scale.
	Offset, Scale float64
	Knots         *Quantiles
	Low, High     float64 // of what is written back, before it is rounded
	Rounding      Rounding

	// Of categories: the names of the codes, for categorical columns without code 0,
	// and the texts that stand for one of them or for an absent value. Any other text
	// has the code Other.
	Categories []string
	Texts      []string
	Codes      []int // of Texts
	Absent     int   // the code of an absent value, above all others
	Other      int
}

// Rounding brings x to the nearest multiple of Step/Per, counted from -Shift; a
// Step of 0 leaves it as it is. Of two that are as near it is the even one, or
// the one that is farther from -Shift.
type Rounding struct {
	Step, Per, Shift float64
	Even             bool
}

// Round rounds.
func (r Rounding) Round(x float64) float64 {
	if r.Step == 0 {
		return x
	}
	nearest := math.Round
	if r.Even {
		nearest = math.RoundToEven
	}
	return nearest((x+r.Shift)*r.Per/r.Step)*r.Step/r.Per - r.Shift
}

// Apply returns the z of a number, and Invert the number of a z.
func (t *Transform) Apply(x float64) float64  { s := t.scaler(); return s.apply(x) }
func (t *Transform) Invert(z float64) float64 { s := t.scaler(); return s.invert(z) }

func (t *Transform) scaler() scaler { return scaler{t.Offset, t.Scale, t.Knots} }

// Code is that of a text.
func (t *Transform) Code(text string) int {
	if i := slices.Index(t.Texts, text); i >= 0 {
		return t.Codes[i]
	}
	return t.Other
}

// Transforms lists those of the columns that are used. It panics if the schema is
// not fitted.
func (s *Schema) Transforms() []Transform {
	var list []Transform
	for _, i := range s.Used() {
		c := &s.Columns[i]
		t := Transform{Name: c.Name, Kind: c.Kind}
		if c.Kind.scaled() {
			sc := newScaler(c)
			t.Offset, t.Scale, t.Knots = sc.offset, sc.scale, sc.knots
			t.Low, t.High = c.bounds()
			t.Rounding = c.rounding()
		} else {
			t.words(s, c)
		}
		list = append(list, t)
	}
	return list
}

// rounding is that of what is written back.
func (c *Column) rounding() Rounding {
	number, moment := c.formats()
	switch {
	case c.Kind == Integer:
		return Rounding{Step: 1, Per: 1}
	case c.Kind == Time:
		r := Rounding{Step: max(moment.step(), 1), Per: 1}
		if moment.join == 0 || !moment.seconds {
			r.Shift = float64(moment.offset)
		} else {
			r.Per = exactPowers[moment.fraction]
		}
		return r
	case c.Type != data.Text || number.exponent || number.decimals >= len(exactPowers):
		return Rounding{}
	}
	return Rounding{Step: 1, Per: exactPowers[number.decimals], Even: true}
}

// words fills in what concerns categories. Whatever a text is taken for, it is
// what an Encoder takes it for.
func (t *Transform) words(s *Schema, c *Column) {
	e := newColumnEncoder(s, c)
	t.Categories, t.Absent = c.Fit.Categories, len(c.Fit.Categories)+1
	if c.Kind == Binary {
		t.Absent, t.Other = 2, 2
	}
	markers := s.markers(c)
	if c.Type != data.Text { // whose categories are no texts that could be markers
		markers = slices.DeleteFunc(slices.Clone(markers), func(marker string) bool {
			_, category := e.codes[marker]
			_, number := e.keys[numberKey(marker)]
			return category || number
		})
		e.missing = newMarkers(markers)
	}
	var texts []string
	for _, marker := range markers {
		texts = append(texts, spellings(strings.TrimSpace(marker))...)
	}
	for _, category := range c.Fit.Categories {
		texts = append(texts, category)
		if key := numberKey(category); key != "" {
			texts = append(texts, key, key+".0")
		}
	}
	if _, logical := e.keys["true"]; logical {
		for _, word := range slices.Concat(falseWords, trueWords) {
			texts = append(texts, spellings(word)...)
		}
	}
	known := map[string]bool{}
	for _, text := range texts {
		code := t.Absent
		if z := e.code(&data.Values{Text: []string{text}}, 0); z == z {
			code = int(z)
		}
		if code != t.Other && !known[text] {
			known[text] = true
			t.Texts, t.Codes = append(t.Texts, text), append(t.Codes, code)
		}
	}
}

// spellings are a text in all cases of its letters, or of one with many letters
// in a few.
func spellings(text string) []string {
	const most = 10
	letters := 0
	for _, r := range text {
		if unicode.ToUpper(r) != unicode.ToLower(r) {
			letters++
		}
	}
	if letters > most {
		lower := strings.ToLower(text)
		first := []rune(lower)
		first[0] = unicode.ToUpper(first[0])
		return []string{text, lower, strings.ToUpper(text), string(first)}
	}
	all := []string{""}
	for _, r := range text {
		var longer []string
		for _, start := range all {
			longer = append(longer, start+string(unicode.ToLower(r)))
			if unicode.ToUpper(r) != unicode.ToLower(r) {
				longer = append(longer, start+string(unicode.ToUpper(r)))
			}
		}
		all = longer
	}
	return all
}
