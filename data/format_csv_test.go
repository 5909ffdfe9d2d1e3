package data

import (
	"reflect"
	"strings"
	"testing"
)

func TestCSV(t *testing.T) {
	want := []float32{1, 2.5, -3e-5, 4}
	for name, content := range map[string]string{
		"a.csv":    "a,b\n1,2.5\n-3e-5,4\n",
		"b.csv":    "1,2.5\r\n-3e-5,4",
		"c.csv":    "\uFEFFa;b\n 1 ; 2.5\n-3e-5;4\n\n",
		"d.tsv":    "a\tb\n1\t2.5\n-3e-5\t4\n",
		"e.txt":    "1\t2.5\n-3e-5\t4\n",
		"f.csv":    "\"a\",b\n\"1\",2.5\n-3e-5,\"4\"\n",
		"g.tsv":    "a,z\tb\n1\t2.5\n-3e-5\t4\n",
		"h.csv.gz": "a,b\n1,2.5\n-3e-5,4\n",
	} {
		raw := []byte(content)
		if strings.HasSuffix(name, ".gz") {
			raw = gzipped(t, raw)
		}
		d := open(t, save(t, name, raw), Options{})
		info := d.Info()
		if info.Format != "csv" || info.Element != Float32 || info.Scale != 1 || info.Max != 4 || !reflect.DeepEqual(info.Shape, []int{2}) {
			t.Errorf("%s: %+v", name, info)
		}
		if named := strings.Contains(content, "a"); named != (info.Columns != nil) || named && info.Columns[1] != "b" {
			t.Errorf("%s: columns %q", name, info.Columns)
		}
		sameRows(t, d, want)
	}
}

func TestCSVHeaders(t *testing.T) {
	for _, c := range []struct {
		content string
		header  Header
		rows    int
		columns []string
	}{
		{"1,2\n3,4\n", HeaderAuto, 2, nil},
		{"a,b\n3,4\n", HeaderAuto, 1, []string{"a", "b"}},
		{"0,1,2\n3,4,5\n", HeaderAuto, 1, []string{"0", "1", "2"}}, // as pandas writes a table without names
		{"0,1\n3,4\n", HeaderAuto, 2, nil},
		{"0,1,2\n3,4,5\n", HeaderNone, 2, nil},
		{"id,2020\n3,4\n", HeaderNames, 1, []string{"id", "2020"}},
		{"1,2\n3,4\n", HeaderNames, 1, []string{"1", "2"}},
		{",a\n3,4\n", HeaderAuto, 1, []string{"", "a"}},
	} {
		d := open(t, save(t, "a.csv", []byte(c.content)), Options{Header: c.header})
		if info := d.Info(); info.Rows != c.rows || !reflect.DeepEqual(info.Columns, c.columns) {
			t.Errorf("%q: %d rows, columns %q", c.content, info.Rows, info.Columns)
		}
	}
}

func TestCSVLabels(t *testing.T) {
	named := save(t, "a.csv", []byte("x,kind,y\n1,b,2\n3,a,4\n5,b,6\n"))
	for _, column := range []string{"kind", "2"} {
		d := open(t, named, Options{LabelColumn: column})
		if info := d.Info(); !reflect.DeepEqual(info.Columns, []string{"x", "y"}) || !reflect.DeepEqual(info.Classes, []string{"a", "b"}) {
			t.Errorf("%+v", info)
		}
		if got := d.Labels().Class; !reflect.DeepEqual(got, []int32{1, 0, 1}) {
			t.Errorf("labels %v", got)
		}
		sameRows(t, d, []float32{1, 2, 3, 4, 5, 6})
	}
	bare := open(t, save(t, "b.csv", []byte("10,5.5,red\n9,4.5,blue\n")), Options{LabelColumn: "3"})
	sameRows(t, bare, []float32{10, 5.5, 9, 4.5})
	numbers := open(t, save(t, "c.csv", []byte("5.5,10\n4.5,9\n3.5,x\n")), Options{LabelColumn: "2", Header: HeaderNone})
	if got := numbers.Labels().Names; !reflect.DeepEqual(got, []string{"9", "10", "x"}) {
		t.Errorf("classes %q are not in the order of numbers", got)
	}
	file := save(t, "labels.npy", npyFile(npyHeader("'<i8'", "False", "(2,)"), littleEndian(t, []int64{-5, 5})))
	other := open(t, save(t, "d.csv", []byte("1,2\n3,4\n")), Options{Labels: file})
	if got := other.Labels().Names; !reflect.DeepEqual(got, []string{"-5", "5"}) {
		t.Errorf("classes %q", got)
	}
	first := open(t, save(t, "first.csv", []byte("4,1.5,2.5,0\n3,1.5,2.5,1\n")), Options{LabelColumn: "4"})
	sameRows(t, first, []float32{4, 1.5, 2.5, 3, 1.5, 2.5}) // a cell like the number is no name
	if got := first.Labels().Names; !reflect.DeepEqual(got, []string{"0", "1"}) {
		t.Errorf("classes %q", got)
	}
	words := open(t, save(t, "words.csv", []byte("3,1.5,a\n4,2.5,b\n")), Options{LabelColumn: "3"})
	sameRows(t, words, []float32{3, 1.5, 4, 2.5})
	years := open(t, save(t, "years.csv", []byte("a,2,b\n1,2,3\n")), Options{LabelColumn: "2", Header: HeaderNames})
	sameRows(t, years, []float32{1, 3})
	for _, column := range []string{"label", " label"} {
		spaced := open(t, save(t, "spaced.csv", []byte("a, b, label\n1,2,0\n")), Options{LabelColumn: column})
		sameRows(t, spaced, []float32{1, 2})
	}
	refused(t, "none.csv", []byte("x,1\ny,2\n"), Options{LabelColumn: "x", Header: HeaderNone}, "no such column")
	refused(t, "e.csv", []byte("1,2\n3,4\n"), Options{Labels: file, LabelColumn: "1"}, "name one of the two")
	refused(t, "f.csv", []byte("a,b\n3,4\n"), Options{LabelColumn: "c"}, "line 1, column c: there is no such column")
	refused(t, "g.csv", []byte("a,b\n3,4\n"), Options{LabelColumn: "3"}, "no such column")
	refused(t, "h.csv", []byte("a\n3\n"), Options{LabelColumn: "a"}, "no column of numbers")
}

func TestCSVRefused(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{"a,b\n1,2\n3\n", "line 3: has 1 cells where line 1 has 2"},
		{"a,b\n1,2\n3,4,5\n", "line 3: has 3 cells where line 1 has 2"},
		{"a,b\n\n1,2\n3,four\n", `line 4, column 2 (b): "four" is not a number`},
		{"1,2\n3,four\n", `line 2, column 2: "four" is not a number`},
		{"a,b\n1,\n", "line 2, column 2 (b): the cell is empty"},
		{"a,b\n1,  \n", "line 2, column 2 (b): the cell is empty"},
		{"a,b\n1,NaN\n", "line 2, column 2 (b): the value is NaN"},
		{"a,b\n-inf,2\n", "line 2, column 1 (a): the value is infinite"},
		{"a,b\n1e39,2\n", "line 2, column 1 (a): 1e39 is beyond the range of float32"},
		{"a,b\n1e999,2\n", "1e999 is beyond the range of float32"},
		{"a;b\n1,5;2\n", `"1,5" is not a number; write decimals with a point, and thousands without separators`},
		{"a,b\n\"1,000,000\",2\n", `"1,000,000" is not a number; write decimals with a point, and thousands without separators`},
		{"a,b\n\",\",2\n", `"," is not a number; remove the column`},
		{"a,b\n\"two\nlines\",2\n", `line 2, column 1 (a): "two\nlines" is not a number`},
		{"a,b\n1,2\n\"3,4\n", "line 3, column 1 (a): has a quotation mark that is not closed"},
		{"a,b\n1,2\n3,4\"\n", "line 3, column 2 (b): has a misplaced quotation mark"},
		{"1,b\n3,4\n", "line 1: mixes numbers and text"},
		{"a,b\n", "has no rows of numbers"},
		{"\n\n", "has no rows of numbers"},
		{"a,b\n\x00\x00", "is not text"},
		{"\xFF\xFEa\x00", "UTF-16"},
		{"a,b\n1," + strings.Repeat("x", 50) + "\n", `"` + strings.Repeat("x", 40) + `..." is not a number`},
	} {
		refused(t, "a.csv", []byte(c.content), Options{}, c.want)
	}
	refused(t, "bomb.csv.gz", gzipped(t, make([]byte, 1<<13)), Options{}, "is not text")
	long := refused(t, "long.csv.gz", gzipped(t, []byte("a\n1\n"+strings.Repeat("1", longestRecord+1<<16))), Options{}, "is longer than")
	if long.Line != 3 {
		t.Errorf("line %d", long.Line)
	}
	whole := gzipped(t, []byte("a,b\n1,2\n"))
	refused(t, "cut.csv.gz", whole[:len(whole)-4], Options{}, "ends early")
}

func FuzzCSV(f *testing.F) {
	for _, text := range []string{"a,b\n1,2\n", "1;2\n3;4", "\uFEFFa\tb\r\n1\t2\r\n", "\"a\",\"b\"\n\"1\",2\n", "0,1,2\n1e-45,-0,0x1p-2\n", "a,b\n1,nan\n", "\"\n", "1,red\n2,blue\n"} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, label bool) {
		o := Options{}
		if label {
			o.LabelColumn = "2"
		}
		if isIDX([]byte(text)) || isNPY([]byte(text)) || isNPZ([]byte(text)) || strings.HasPrefix(text, "\x1f\x8b") {
			return
		}
		d := fuzzOpen(t, []byte(text), o)
		if d != nil && label && len(d.Labels().Class) != d.Info().Rows {
			t.Errorf("%d labels of %d rows", len(d.Labels().Class), d.Info().Rows)
		}
	})
}
