package table

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSchemaErrorsNameTheColumnAndTheMend(t *testing.T) {
	of := func(column string) string {
		return `{"schema": 1, "columns": [{"name": "id", "kind": "drop"}, ` + column + `]}`
	}
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"s.json: ", "ends too early"}},
		{"cut off", `{"schema": 1, "columns": [`, []string{"ends too early"}},
		{"not JSON", "{\n\"schema\": 1,\n\"columns\" [\n", []string{"line 3", "not JSON"}},
		{"a list", "[]", []string{"no JSON object"}},
		{"two objects", `{"schema": 1, "columns": [{"name": "a", "kind": "drop"}]} {}`, []string{"after the end"}},
		{"no version", `{"columns": []}`, []string{"not a schema of version 1", `"schema": 1`}},
		{"a newer version", `{"schema": 2, "columns": []}`, []string{"not a schema of version 1"}},
		{"no columns", `{"schema": 1}`, []string{"no columns"}},
		{"an unknown key", `{"schema": 1, "colums": []}`, []string{`unknown key "colums"`, `did you mean "columns"?`}},
		{"a key far from all", `{"schema": 1, "zzz": []}`, []string{`unknown key "zzz"`, "use one of schema, name"}},
		{"an unknown key of a column", of(`{"name": "age", "kind": "numeric", "scalling": "none"}`), []string{"column age: ", `"scalling"`, `did you mean "scaling"?`}},
		{"a key twice", of(`{"name": "age", "kind": "numeric", "kind": "integer"}`), []string{"column age: ", `"kind" is given twice`}},
		{"an unknown kind", of(`{"name": "age", "kind": "numerc"}`), []string{"column age: ", `unknown kind "numerc"`, `did you mean "numeric"?`}},
		{"no kind", of(`{"name": "age"}`), []string{"column age: ", `unknown kind ""`, "numeric, integer"}},
		{"an unknown scaling", of(`{"name": "age", "kind": "numeric", "scaling": "minmax"}`), []string{"column age: ", `did you mean "min-max"?`}},
		{"a scaling of words", of(`{"name": "sex", "kind": "categorical", "scaling": "standard"}`), []string{"column sex: ", "has no scaling"}},
		{"times without scaling", of(`{"name": "at", "kind": "time", "scaling": "none"}`), []string{"column at: ", "float32"}},
		{"a name twice", of(`{"name": "id", "kind": "numeric"}`), []string{"column id: ", "twice"}},
		{"a weight", of(`{"name": "age", "kind": "numeric", "weight": -1}`), []string{"column age: ", "a weight of -1"}},
		{"a weight that is none", of(`{"name": "age", "kind": "numeric", "weight": "big"}`), []string{"column age: ", "write a number"}},
		{"null", of(`{"name": "age", "kind": null}`), []string{"column age: ", `"kind" cannot be "null"`}},
		{"bounds", of(`{"name": "age", "kind": "numeric", "bounds": {"low": 5, "high": 4}}`), []string{"column age: ", "lower bound 5"}},
		{"bounds around no whole number", of(`{"name": "age", "kind": "integer", "bounds": {"low": 0.2, "high": 0.7}}`), []string{"column age: ", "no whole number from its lower bound 0.2 to 0.7"}},
		{"a bound", of(`{"name": "age", "kind": "numeric", "bounds": {"lo": 5}}`), []string{"column age: ", "bounds", `did you mean "low"?`}},
		{"missing", of(`{"name": "age", "kind": "numeric", "missing": "NA"}`), []string{"column age: ", "list of texts"}},
		{"a format of numbers", of(`{"name": "age", "kind": "numeric", "format": "%d"}`), []string{"column age: ", `"%d"`, "0.00"}},
		{"a format of times", of(`{"name": "at", "kind": "time", "format": "0.0"}`), []string{"column at: ", "YYYY-MM-DD"}},
		{"a reason of what is not dropped", of(`{"name": "age", "kind": "numeric", "reason": "constant"}`), []string{"column age: ", "not dropped"}},
		{"limits", `{"schema": 1, "limits": {"categories": 70000}, "columns": [{"name": "a", "kind": "drop"}]}`, []string{"70000 categories", "choose 1 to 65534"}},
		{"rows", `{"schema": 1, "rows": 3, "training_rows": 4, "columns": [{"name": "a", "kind": "drop"}]}`, []string{"4 training rows of 3 rows"}},
		{"a fit of other categories", of(`{"name": "sex", "kind": "binary", "fit": {"kind": "binary", "categories": ["a"], "counts": [1]}}`), []string{"column sex: ", "1 categories"}},
		{"a category twice", of(`{"name": "sex", "kind": "binary", "fit": {"kind": "binary", "categories": ["a", "a"], "counts": [1, 1]}}`), []string{"column sex: ", `"a" is there twice`}},
		{"a category with blanks", of(`{"name": "sex", "kind": "binary", "fit": {"kind": "binary", "categories": ["a", "b "], "counts": [1, 1]}}`), []string{"column sex: ", "blanks"}},
		{"a deviation", of(`{"name": "age", "kind": "numeric", "fit": {"kind": "numeric", "deviation": -1}}`), []string{"column age: ", "do not fit together"}},
		{"knots", of(`{"name": "age", "kind": "numeric", "fit": {"kind": "numeric", "quantiles": {"values": [1, 1], "scores": [0, 1]}}}`), []string{"column age: ", "do not increase"}},
		{"no knots", of(`{"name": "age", "kind": "numeric", "fit": {"kind": "numeric", "quantiles": {"values": [1]}}}`), []string{"column age: ", "1 values and 0 scores"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseSchema("s.json", []byte(c.text))
			wantError(t, err, c.want...)
		})
	}
}

// A column whose kind was changed is read, and says that it must be fitted again.
func TestChangedKindsWantFitting(t *testing.T) {
	s, _ := infer(t, texts("a,b", "1,x", "2,y", "3,z", "1,x", "2,y"), Options{})
	text := strings.Replace(string(s.JSON()), `"a", "kind": "integer"`, `"a", "kind": "categorical"`, 1)
	changed, err := ParseSchema("s.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if c := changed.Columns[0]; c.Scaling != "" || c.Format != "" {
		t.Errorf("words have the scaling %s and the format %s", c.Scaling, c.Format)
	}
	wantError(t, changed.CheckFitted("s.json"), "column a: ", "is a categorical, but was not measured", "data schema DATA --schema FILE")
	if err := s.CheckFitted("s.json"); err != nil {
		t.Error(err)
	}
	s.Columns[0].Scaling = GaussRank
	wantError(t, s.CheckFitted("s.json"), "column a: ")
}

func TestSchemaFiles(t *testing.T) {
	s, _ := infer(t, mixed(500), Options{Scaling: GaussRank})
	low := 2.5
	s.Columns[0].Bounds = &Bounds{Low: &low}
	s.Columns[1].Missing = []string{}
	s.Columns[2].Kind, s.Columns[2].Reason = Drop, ReasonUser
	path := filepath.Join(t.TempDir(), "schema.json")
	if err := s.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSchema(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, s) {
		t.Errorf("reads back as\n%s\nand was\n%s", got.JSON(), s.JSON())
	}
	_, err = ReadSchema(path + "x")
	wantError(t, err, path+"x", "no such file", "gpudae data schema")
	if err := os.WriteFile(path, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = ReadSchema(path)
	wantError(t, err, path, "ends too early")
}

// What parses is written so that it parses to the same.
func FuzzSchema(f *testing.F) {
	for _, seed := range []string{
		`{"schema": 1, "columns": [{"name": "a", "kind": "numeric", "weight": 2, "bounds": {"low": 1, "high": null}, "missing": ["-"]}]}`,
		`{"schema": 1, "rows": 5, "training_rows": 4, "columns": [{"name": "a", "kind": "categorical", "fit": {"kind": "categorical", "categories": ["x"], "counts": [3], "unknown": 1}}, {"name": "", "kind": "drop", "reason": "constant"}]}`,
		`{"schema": 1, "limits": {"knots": 2}, "missing": [], "columns": [{"name": "<&\u2028", "kind": "time", "format": "DD.MM.YYYY", "scaling": "gauss-rank", "fit": {"kind": "time", "low": -1e9, "high": 1e9, "quantiles": {"values": [1, 2], "scores": [-1, 1]}}}]}`,
		`{"schema": 1, "columns": [{"name": "a", "kind": "binary", "fit": {"kind": "binary", "categories": ["no", "yes"], "counts": [1, 2]}}]}`,
		`{"schema": 1, "columns": [[]]}`, `{"schema": 1e0}`, `null`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseSchema("s", text)
		if err != nil {
			wantError(t, err)
			return
		}
		written := s.JSON()
		again, err := ParseSchema("s", written)
		if err != nil {
			t.Fatalf("%v in\n%s", err, written)
		}
		if !reflect.DeepEqual(s, again) {
			t.Fatalf("%s\nbecame\n%s", written, again.JSON())
		}
		if s.CheckFitted("s") == nil { // then it can be used
			s.ModelColumns()
			d, err := s.NewDecoder(true)
			if err != nil {
				t.Fatal(err)
			}
			d.Decode(make([]float32, 2*len(d.columns)))
		}
	})
}

// An index of records from anywhere is refused or fits.
func FuzzRecordsIndex(f *testing.F) {
	f.Add([]byte(`{"records":1,"rows":2,"stride":4,"columns":[{"cell":"float32","offset":0,"coded":false,"extremes":"AAAAAAAAAAA="}],"shards":[{"name":"00000.records","bytes":8,"checksums":[1]}]}`))
	f.Add([]byte(`{"records":1,"rows":-1,"columns":[{"cell":"bit","offset":9}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		x, problem := parseIndex(seal(text))
		if problem != "" || x.check(len(x.Columns)) != "" || x.Rows*x.Stride > 1<<20 {
			return
		}
		s := Store{rows: x.Rows}
		s.records.Stride, s.records.Bytes = x.Stride, make([]byte, x.Rows*x.Stride)
		for _, c := range x.Columns {
			s.records.Columns = append(s.records.Columns, c.column())
		}
		s.records.Check(s.rows, len(x.Columns))
	})
}
