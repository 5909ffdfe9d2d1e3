package table

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gpudae/data"
)

func TestKindsOfTextColumns(t *testing.T) {
	for _, c := range []struct {
		name   string
		cells  []string
		kind   Kind
		format string
		want   func(t *testing.T, c *Column)
	}{
		{"decimals", []string{"1.5", "2.25", "-3", "1.5"}, Numeric, "0.##", nil},
		{"fixed decimals", []string{"1.50", "2.25", "3.00", "1.50"}, Numeric, "0.00", nil},
		{"exponents", []string{"1e5", "2.5e-3", "7", "8"}, Numeric, "e", nil},
		{"magnitudes", []string{"1.6e31", "2e30", "3.25e29", "5"}, Numeric, "e", nil},
		{"magnitudes that are all different", magnitudes(50), Numeric, "e", nil},
		{"whole numbers of R", []string{"1e+05", "100001", "7", "7"}, Integer, "e", nil},
		{"blanks", []string{" 1.5", "2.5 ", "\t3.5", "9.5"}, Numeric, "0.0", nil},
		{"integers", []string{"3", "1", "4", "1", "5"}, Integer, "0", nil},
		{"whole numbers of pandas", []string{"3.0", "", "4.0", "1.0"}, Integer, "0.0", nil},
		{"bits", []string{"0", "1", "0", "0"}, Binary, "", pair("0", "1", 3, 1)},
		{"two numbers in two spellings", []string{"1.0", "0", "1.0", "1", "0.0", "0"}, Binary, "", pair("0", "1.0", 3, 3)},
		{"booleans", []string{"True", "False", "True", "NA"}, Binary, "", pair("False", "True", 1, 2)},
		{"booleans of mixed case", []string{"yes", "No", "YES", "yes", "no", "no"}, Binary, "", pair("no", "yes", 3, 3)},
		{"two words", []string{"male", "female", "male"}, Binary, "", pair("female", "male", 1, 2)},
		{"words", []string{"a", "b", "c", "a", "b", "c", "a"}, Categorical, "", func(t *testing.T, c *Column) {
			if !slices.Equal(c.Fit.Categories, []string{"a", "b", "c"}) || !slices.Equal(c.Fit.Counts, []int{3, 2, 2}) {
				t.Errorf("categories %v, counts %v", c.Fit.Categories, c.Fit.Counts)
			}
		}},
		{"codes with zeros before them", []string{"007", "012", "007", "012", "100", "100"}, Categorical, "", nil},
		{"numbers and a word", []string{"1", "2", "3", "low", "1", "2", "3", "low"}, Categorical, "", nil},
		{"dates", []string{"2020-02-29", "2021-01-01", "1969-12-31"}, Time, "YYYY-MM-DD", nil},
		{"German dates", []string{"29.02.2020", "01.01.2021", "31.12.1969"}, Time, "DD.MM.YYYY", nil},
		{"moments", []string{"2020-02-29T23:59:59.25Z", "2020-02-29T23:59:59Z", "2020-03-01T00:00:00.5Z"}, Time, "YYYY-MM-DDThh:mm:ss.ssZ", nil},
		{"moments elsewhere", []string{"2020-02-29 23:59+02:00", "2020-02-29 22:59+02:00", "2020-02-29 20:59+02:00"}, Time, "YYYY-MM-DD hh:mm+02:00", nil},
		{"days that are none", []string{"2021-02-29", "2021-02-29", "2021-13-01", "2021-13-01", "x", "x"}, Categorical, "", nil},
		{"a constant", []string{"5", "5", "5.0"}, Drop, "", reason(ReasonConstant)},
		{"a constant word", []string{"x", "", "x"}, Drop, "", reason(ReasonConstant)},
		{"nothing", []string{"", "NaN", "n/a", "NULL", "?", "None", " na "}, Drop, "", reason(ReasonEmpty)},
		{"names", numbered(50, "person %d"), Drop, "", reason(ReasonIdentifier)},
		{"a counter", numbered(50, "%d"), Drop, "", reason(ReasonIdentifier)},
		{"a counter in another order", append(numbered(50, "%d")[25:], numbered(25, "%d")...), Drop, "", reason(ReasonIdentifier)},
		{"a few words, each once", []string{"a", "b", "c"}, Drop, "", reason(ReasonIdentifier)},
		{"squares", squares(50), Integer, "0", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := infer(t, column(c.cells...), Options{})
			got := &s.Columns[0]
			if got.Kind != c.kind || got.Format != c.format {
				t.Fatalf("is %s (%s) of format %q, not %s of %q", got.Kind, got.Reason, got.Format, c.kind, c.format)
			}
			if c.want != nil {
				c.want(t, got)
			}
		})
	}
}

func pair(zero, one string, zeros, ones int) func(*testing.T, *Column) {
	return func(t *testing.T, c *Column) {
		if !slices.Equal(c.Fit.Categories, []string{zero, one}) || !slices.Equal(c.Fit.Counts, []int{zeros, ones}) {
			t.Errorf("values %q, counts %v", c.Fit.Categories, c.Fit.Counts)
		}
	}
}

func reason(want Reason) func(*testing.T, *Column) {
	return func(t *testing.T, c *Column) {
		if c.Reason != want {
			t.Errorf("dropped because %s, not %s", c.Reason, want)
		}
	}
}

func squares(n int) (cells []string) {
	for i := range n {
		cells = append(cells, fmt.Sprint(i*i))
	}
	return cells
}

func magnitudes(n int) (cells []string) {
	for i := range n {
		cells = append(cells, fmt.Sprintf("%d.5e%d", i+1, 28+i%4))
	}
	return cells
}

// A column of many texts, each as common as the others, is left out, and the
// notice does not say that they are rare.
func TestNoTextIsMoreCommon(t *testing.T) {
	if testing.Short() {
		t.Skip("a second")
	}
	tall := column(repeat(2, numbered(mostTexts+5000, "firm %d")...)...)
	s, notices := infer(t, tall, Options{})
	if c := &s.Columns[0]; c.Kind != Drop || c.Reason != ReasonIdentifier {
		t.Fatalf("is %s (%s)", c.Kind, c.Reason)
	}
	wantNotice(t, notices, "different texts, none of which is more common than the others")
}

func TestKindsOfTypedColumns(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		format string // of the file
		values data.Values
		kind   Kind
	}{
		{"floats", "parquet", data.Values{Numbers: []float64{1.5, nan, 2.5, 4}}, Numeric},
		{"whole floats", "parquet", data.Values{Numbers: []float64{1, nan, 2, 4}}, Integer},
		{"integers", "parquet", data.Values{Integers: []int64{1, 5, 2, 4}}, Integer},
		{"booleans", "parquet", data.Values{Booleans: []bool{true, false, true, false}}, Binary},
		{"one boolean", "parquet", data.Values{Booleans: []bool{true, true, true, false}, Absent: []bool{false, false, false, true}}, Drop},
		{"times", "parquet", data.Values{Times: []int64{1e18, 0, -1e18, 5e18}}, Time},
		{"numbers as text", "parquet", data.Values{Text: []string{"1", "2", "1", "2"}}, Binary},
		{"more numbers as text", "parquet", data.Values{Text: []string{"11", "12", "13", "11", "12", "13"}}, Categorical},
		{"numbers as text in CSV", "csv", data.Values{Text: []string{"11", "12", "13", "11", "12", "13"}}, Integer},
	} {
		t.Run(c.name, func(t *testing.T) {
			cells := &data.Cells{Rows: c.values.Len(), Columns: []data.Values{c.values}}
			frame := formatted{data.NewFrame("f", []data.FrameColumn{{Name: "x", Type: c.values.Type()}}, cells), c.format}
			s, _ := infer(t, frame, Options{})
			if got := s.Columns[0].Kind; got != c.kind {
				t.Errorf("is %s, not %s", got, c.kind)
			}
		})
	}
}

// formatted is a frame that says that it is of a file of another format.
type formatted struct {
	data.Frame
	format string
}

func (f formatted) Info() data.FrameInfo {
	info := f.Frame.Info()
	info.Format = f.format
	return info
}

// The figures of Fit are those of the definitions, of the training rows alone.
func TestFitIsOfTheTrainingRows(t *testing.T) {
	frame := texts("n,c", "1,a", "2,b", "4,a", "9,c", ",a", "100,zz", "2,b")
	training := func(row int) bool { return row != 5 }
	s, notices := infer(t, frame, Options{Training: training})
	n, c := s.Columns[0].Fit, s.Columns[1].Fit
	if s.Rows != 7 || s.Training != 6 || n.Present != 5 || n.Absent != 1 || n.Distinct != 5 {
		t.Errorf("rows %d, training %d, present %d, absent %d, distinct %d", s.Rows, s.Training, n.Present, n.Absent, n.Distinct)
	}
	x := []float64{1, 2, 4, 9, 2}
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean += v / 5
	}
	for _, v := range x {
		square += (v - mean) * (v - mean) / 5
	}
	near(t, "the mean", n.Mean, mean, 1e-12)
	near(t, "the deviation", n.Deviation, math.Sqrt(square), 1e-12)
	if n.Low != 1 || n.High != 9 {
		t.Errorf("from %v to %v", n.Low, n.High)
	}
	near(t, "Σp²", n.Collision, 3*0.04+0.16, 1e-12)
	near(t, "the entropy", n.Entropy, -(3*0.2*math.Log(0.2) + 0.4*math.Log(0.4)), 1e-12)
	if !slices.Equal(c.Categories, []string{"a", "b"}) || !slices.Equal(c.Counts, []int{3, 2}) || c.Unknown != 1 || c.Distinct != 4 {
		t.Errorf("categories %v, counts %v, unknown %d, distinct %d", c.Categories, c.Counts, c.Unknown, c.Distinct)
	}
	near(t, "Σp² of the categories", c.Collision, (9+4+1)/36.0, 1e-12)
	wantNotice(t, notices, "column c: 2 of its 4 different texts")

	m := s.ModelColumns()
	if m[0].Family != "gaussian" || m[1].Family != "categorical" || m[1].Categories != 3 {
		t.Errorf("columns of the model: %+v", m)
	}
	near(t, "the mean in model scale", m[0].Mean, 0, 1e-12)
	near(t, "the deviation in model scale", m[0].Deviation, 1, 1e-12)
	near(t, "the missing part", m[0].Absent, 1.0/7, 1e-12)
}

// The schema does not depend on the number of threads.
func TestInferenceIsTheSameOnAnyNumberOfThreads(t *testing.T) {
	var lines []string
	for i := range 30_000 {
		lines = append(lines, fmt.Sprintf("%d,%.5f,%d,w%d,%d", i*7919%30011, math.Sin(float64(i)), i%3, i*i%1000, i/2))
	}
	var first []byte
	for _, threads := range []int{1, 2, 7} {
		s, _ := infer(t, texts("a,b,c,d,e", lines...), Options{Threads: threads, Scaling: GaussRank})
		if first == nil {
			first = s.JSON()
		} else if string(first) != string(s.JSON()) {
			t.Errorf("another schema on %d threads", threads)
		}
	}
}

// A word after so many numbers that their texts were given up makes the column
// one of words all the same.
func TestLateWords(t *testing.T) {
	cells := append(numbered(100, "%d.5"), repeat(200, numbered(100, "%d.5")...)...)
	cells = append(cells, "n.a.", "n.a.")
	s, notices := infer(t, column(cells...), Options{})
	c := &s.Columns[0]
	if c.Kind != Categorical || c.Fit.Distinct != 101 || c.Fit.Present != len(cells) || c.Fit.Unknown != 0 {
		t.Errorf("is %s with %d texts, %d cells, %d unknown", c.Kind, c.Fit.Distinct, c.Fit.Present, c.Fit.Unknown)
	}
	wantNotice(t, notices, `"n.a."; if it stands for a missing value`)
	s, _ = infer(t, column(cells...), Options{Missing: []string{"", "N.A."}})
	if c := &s.Columns[0]; c.Kind != Numeric || c.Fit.Absent != 2 {
		t.Errorf("with the word as a marker it is %s with %d missing", c.Kind, c.Fit.Absent)
	}
}

func TestLimitsOfCounting(t *testing.T) {
	random := func(i int) int { return int(hash64(uint64(i)) >> 40) }
	var lines []string
	for i := range 40_000 {
		number, word := float64(random(i))/7, fmt.Sprintf("rare %d", random(i)%20_000)
		if i%2 == 0 {
			number, word = 0, "common"
		}
		lines = append(lines, fmt.Sprintf("%.9f,%s", number, word))
	}
	limits := DefaultLimits()
	limits.Values, limits.Categories = 1000, 10
	s, notices := infer(t, texts("n,w", lines...), Options{Limits: limits})
	n, w := s.Columns[0].Fit, s.Columns[1].Fit
	if !n.Estimated {
		t.Error("the numbers were counted beyond the limit")
	}
	near(t, "the estimated number of values", float64(n.Distinct), 20_000, 1000)
	near(t, "Σp²", n.Collision, 0.25, 0.001)
	near(t, "the entropy", n.Entropy, 0.5*math.Log(2)+0.5*math.Log(40_000), 0.05)
	if len(w.Categories) != 10 || w.Categories[0] != "common" || w.Counts[0] != 20_000 {
		t.Errorf("categories %v, counts %v", w.Categories, w.Counts)
	}
	wantNotice(t, notices, "column w")
}

// A column of a million different texts costs no more than the limit.
func TestAMillionCategories(t *testing.T) {
	if testing.Short() {
		t.Skip("a second")
	}
	tally := newTextTally(mostTexts)
	for i := range 2_000_000 {
		if i%4 == 0 {
			tally.add(fmt.Sprintf("common %d", i/4%5), true)
		} else {
			tally.add(fmt.Sprintf("rare %d", hash64(uint64(i))%1_000_000), true)
		}
		if len(tally.texts) > mostTexts {
			t.Fatalf("%d texts are kept", len(tally.texts))
		}
	}
	distinct, estimated := tally.distinct()
	if !estimated {
		t.Error("a million texts were counted")
	}
	want := 1e6 * (1 - math.Exp(-1.5)) // of a million, those that 1.5 million draws meet
	near(t, "the estimated number of texts", float64(distinct), want, 0.05*want)
	texts, counts := tally.common(2, 5)
	slices.Sort(texts)
	if !slices.Equal(texts, []string{"common 0", "common 1", "common 2", "common 3", "common 4"}) || slices.Min(counts) != 100_000 {
		t.Errorf("the most common are %v, %v times", texts, counts)
	}
}

func TestBadCells(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame data.Frame
		o     Options
		want  []string
	}{
		{"infinity", texts("a,x", "1,1.5", "1,inf", "2,2.5"), Options{}, []string{"row 2", "column 2 (x)", "infinite", "missing"}},
		{"a huge number", texts("a,x", "1,1.5", "1,1e999", "2,2.5"), Options{}, []string{"row 2", "column 2 (x)", "infinite"}},
		{"a typed infinity", data.NewFrame("f", []data.FrameColumn{{Name: "x", Type: data.Number}}, &data.Cells{Rows: 2, Columns: []data.Values{{Numbers: []float64{1, math.Inf(-1)}}}}), Options{}, []string{"row 2", "column 1 (x)"}},
		{"two names", texts("a,a", "1,2"), Options{}, []string{"column 2 (a)", "column 1", "rename"}},
		{"no rows", column(), Options{}, []string{"no rows"}},
		{"no training rows", column("1", "2"), Options{Training: func(int) bool { return false }}, []string{"no rows to fit"}},
		{"bytes that are no text", column(repeat(3, "caf\xe9", "th\xe9", "x")...), Options{}, []string{"row 1", "column 1 (x)", "UTF-8"}},
		{"a name that is no text", texts("caf\xe9", "1", "2"), Options{}, []string{"column 1", "UTF-8"}},
		{"a word in a column of numbers", column("1", "2", "three"), given(t, `{"name": "x", "kind": "numeric"}`), []string{"row 3", `"three" is not a number`}},
		{"a word in a column of times", column("2020-01-01", "2"), given(t, `{"name": "x", "kind": "time"}`), []string{"row 2", `"2" is not a date`}},
		{"a column that is not there", column("1", "2"), given(t, `{"name": "y", "kind": "numeric"}`), []string{"column y", "not in the data"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Infer(context.Background(), c.frame, c.o)
			wantError(t, err, c.want...)
		})
	}
}

// given are the options of a schema with these columns.
func given(t *testing.T, columns ...string) Options {
	t.Helper()
	s, err := ParseSchema("s", []byte(`{"schema": 1, "columns": [`+strings.Join(columns, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Schema: s}
}

// A schema that says nothing but kinds is fitted as it says.
func TestChoicesAreKept(t *testing.T) {
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("%d,%d,%s,x,%d", i, i%3, []string{"-", "7"}[i%2], i%5))
	}
	o := given(t,
		`{"name": "level", "kind": "categorical", "weight": 2.5}`,
		`{"name": "id", "kind": "integer", "scaling": "min-max", "bounds": {"low": 0}}`,
		`{"name": "mark", "kind": "integer", "missing": ["-"]}`,
		`{"name": "other", "kind": "drop"}`)
	before := string(o.Schema.JSON())
	s, notices := infer(t, texts("id,level,mark,const,other", lines...), o)
	if string(o.Schema.JSON()) != before {
		t.Error("the given schema was changed")
	}
	names := []string{}
	for _, i := range s.Used() {
		names = append(names, s.Columns[i].Name)
	}
	if !slices.Equal(names, []string{"level", "id", "mark"}) {
		t.Errorf("used columns %v", names)
	}
	level, id, mark := s.Columns[0], s.Columns[1], s.Columns[2]
	if !slices.Equal(level.Fit.Categories, []string{"0", "1", "2"}) || level.Weight != 2.5 {
		t.Errorf("level: %v, weight %v", level.Fit.Categories, level.Weight)
	}
	if id.Scaling != MinMax || *id.Bounds.Low != 0 || id.Bounds.High != nil || id.Fit.High != 39 {
		t.Errorf("id: %+v %+v", id, id.Fit)
	}
	if mark.Fit.Absent != 20 || mark.Fit.Low != 7 {
		t.Errorf("mark: %+v", mark.Fit)
	}
	wantNotice(t, notices, "column const: is not in the schema")
	refitted, _ := infer(t, texts("id,level,mark,const,other", lines...), Options{Schema: s})
	if !reflect.DeepEqual(s, refitted) {
		t.Errorf("fitted again it is\n%s\nand was\n%s", refitted.JSON(), s.JSON())
	}
}

func TestCancelledInference(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Infer(ctx, column("1", "2"), Options{}); err != context.Canceled {
		t.Errorf("the error is %v", err)
	}
}

// Numbers with commas are words, of which a notice says why.
func TestNumbersWithCommas(t *testing.T) {
	for _, c := range []struct {
		cells []string
		want  string // of the notice; "": there is none
	}{
		{repeat(10, "1,5", "2,25", "3,75"), `"3,75"`},
		{numbered(100, "%d,5"), `"99,5"`}, // dropped, as identifiers are
		{repeat(10, "1.234,50", "17,00", "-0,5"), `"-0,5"`},
		{repeat(10, "1,234.50", "1,234,567", "12"), `"1,234,567"`},
		{repeat(10, "1", "2", "3", "4", "5,5"), `"5,5"`},
		{repeat(10, "1", "2,5", "x"), ""},
		{repeat(10, "1,2,3", "3,2", "1,2,4", "1,2,5", "1,2,6"), ""},
		{repeat(10, "Bern, west", "Bern, east", "Rome, west"), ""},
		{repeat(10, ",", "a,", "3,b"), ""},
	} {
		_, notices := infer(t, column(c.cells...), Options{})
		if c.want != "" {
			wantNotice(t, notices, "but with commas, as in "+c.want)
		}
		for _, n := range notices {
			if text := n.String(); c.want == "" && strings.Contains(text, "commas") || strings.Contains(text, "missing value") {
				t.Errorf("%q: %s", c.cells[:3], text)
			}
		}
	}
}
