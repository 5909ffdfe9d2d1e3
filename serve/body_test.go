package serve

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
)

func float32NaN() float32 { return float32(math.NaN()) }

// FuzzBody: no body makes the reader fail but with a 4xx, and what it takes of
// JSON is what encoding/json reads there.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"rows": [[1, 2], [3e2, -0.5]]}`, `{"columns":["height","width"],"rows":[[1,2]]}`, `{"records":[{"width":1,"height":2}]}`,
		`{"rows":[[NaN,1]]}`, `{"rows":[[1]]}`, `{"rows":[[1e400,1]]}`, `{"\u0072ows":[[1,2]]}`, `{"records":[{"width":1,"width":2}]}`, `{"rows":[[1,2]`, "{\"\xff\":1}", `{"rows":[[1,2]]}{}`} {
		f.Add(false, []byte(seed))
	}
	f.Add(true, npy([]float32{1, 2, 3, 4}, []int{2, 2}))
	f.Add(true, npy([]float32{1, float32NaN()}, []int{1, 2}))
	f.Add(true, []byte("\x93NUMPY\x01\x00\x06\x00{'a':"))
	form := form{features: 2, columns: []string{"width", "height"}, scale: 1, rows: 4}
	f.Fuzz(func(t *testing.T, array bool, body []byte) {
		kind := map[bool]string{false: typeJSON, true: typeNPY}[array]
		x, err := form.parse(t.Context(), kind, body)
		var p *problem
		if err != nil {
			if !errors.As(err, &p) || p.status < 400 || p.status > 499 || p.text == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		values := x.Data().([]float32)
		if len(values) == 0 || len(values)%2 != 0 || len(values) > 8 {
			t.Fatalf("%d values", len(values))
		}
		for _, v := range values {
			if v-v != 0 {
				t.Fatalf("the value %v was taken", v)
			}
		}
		if !array {
			checkJSON(t, body, values)
		}
	})
}

// checkJSON compares with encoding/json.
func checkJSON(t *testing.T, body []byte, got []float32) {
	var want struct {
		Rows    [][]float32
		Columns []string
		Records []map[string]float32
	}
	if err := json.Unmarshal(body, &want); err != nil {
		t.Fatalf("%q was taken: %v", body, err)
	}
	var values []float32
	for _, row := range want.Rows {
		if want.Columns != nil && want.Columns[0] == "height" {
			row[0], row[1] = row[1], row[0]
		}
		values = append(values, row...)
	}
	for _, record := range want.Records {
		values = append(values, record["width"], record["height"])
	}
	if !slices.Equal(got, values) {
		t.Fatalf("%q: %v, want %v", body, got, values)
	}
}
