package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"gpudae/data"
)

// FuzzTableBody: no body makes the reader fail but with a 4xx; what it takes of JSON
// is what encoding/json reads there, and what it takes of CSV is written back byte
// for byte.
func FuzzTableBody(f *testing.F) {
	for _, seed := range []string{
		`{"records":[{"age":1,"town":null,"since":"x"},{"since":"y","town":"Oslo","age":-2.5e1}]}`, `{"rows":[["x",4,true]],"columns":["since","age","town"]}`,
		`{"columns":["note","since","age","town"],"rows":[[false,null,1e999,"\ud83d\ude00"]]}`, `{"rows":[[1,"a","b"],[2,"c","d"]]}`, `{"records":[{"age":"1"}]}`,
		`{"records":[{}]}`, `{"rows":[[]]}`, `{"records":[{"age":1,"age":2}]}`, `{"rows":[[1,[2],3]]}`, `{"rows":[[1,"a","b"`, "{\"rows\":[[1,\"\xff\",\"b\"]]}", `{"\u0072ows":[[1,"\u0000","b"]]}`} {
		f.Add(false, []byte(seed))
	}
	for _, seed := range []string{"age,town,since\n1,a,b\n", "\ufeffsince;\"age\";town;note\r\n1;2;\"Be\"\"rn\";x\r\n\r\n;;;", "town\tage\tsince\n\"a\nb\"\t\t\n", "age,town,since", "age,town\n1,2,3\n",
		"age,town,since\n\"1,a,b\n", "age,age,since,town\n", "\x00", "\x1f\x8b\x08", "age,town,since\nx,y,z\n", "\xff\xfea"} {
		f.Add(true, []byte(seed))
	}
	table := testTable()
	f.Fuzz(func(t *testing.T, text bool, body []byte) {
		kind := map[bool]string{false: typeJSON, true: typeCSV}[text]
		rows, err := table.parse(t.Context(), kind, body, 4)
		if err != nil {
			var p *problem
			if !errors.As(err, &p) || p.status < 400 || p.status > 499 || p.text == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if n := rows.Cells.Rows; n < 1 || n > 4 || len(rows.X) != 3*n {
			t.Fatalf("%d rows, %d numbers", n, len(rows.X))
		}
		answer := &Answer{Info: rows.Info, Tables: []*data.Cells{rows.Cells}, Preserved: true}
		back, err := answer.text(kind, kind)
		if err != nil {
			t.Fatal(err)
		}
		if text && !bytes.Equal(back, body) {
			t.Fatalf("%q became %q", body, back)
		}
		if !text {
			checkTableJSON(t, body, back)
		}
		if other, err := answer.text(typeJSON, typeCSV); err != nil || !json.Valid(other) {
			t.Fatalf("as JSON: %q, %v", other, err)
		}
	})
}

// checkTableJSON compares an answer that has the body's cells with the body.
func checkTableJSON(t *testing.T, body, answer []byte) {
	var want, got struct {
		Rows    [][]any
		Columns []string
		Records []map[string]any
	}
	for text, to := range map[*[]byte]any{&body: &want, &answer: &got} {
		decoder := json.NewDecoder(bytes.NewReader(*text))
		decoder.UseNumber()
		if err := decoder.Decode(to); err != nil {
			t.Fatalf("%q was taken: %v", *text, err)
		}
	}
	for _, record := range want.Records {
		var row []any
		for _, name := range got.Columns {
			row = append(row, record[name])
		}
		want.Rows = append(want.Rows, row)
	}
	if !reflect.DeepEqual(got.Rows, want.Rows) || want.Columns != nil && !reflect.DeepEqual(got.Columns, want.Columns) {
		t.Fatalf("%q became %q", body, answer)
	}
}
