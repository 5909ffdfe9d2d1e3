package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"gpudae/data"
)

// testTable knows a number (age), a word (town) and a time (since), and has a column
// beside them (note). Rows are [age, letters of town, letters of since], NaN where
// there is none. numbers answers age plus the row's number plus 100·add, fill puts
// 7.50 and "a b" where age and town are missing, in m tables.
func testTable() *Table {
	t := &Table{Columns: []Column{
		{Name: "age", Used: true, Type: data.Number}, {Name: "town", Used: true, Type: data.Text, Categories: []string{"Bern", "Rome"}},
		{Name: "note", Type: data.Text}, {Name: "since", Used: true, Type: data.Text}}, Header: data.HeaderNames}
	t.Encode = func(info data.FrameInfo, cells *data.Cells) ([]float32, error) {
		x := make([]float32, 0, 3*cells.Rows)
		for row := range cells.Rows {
			for _, name := range []string{"age", "town", "since"} {
				place := slices.IndexFunc(info.Columns, func(c data.FrameColumn) bool { return c.Name == name })
				v := &cells.Columns[place]
				text := v.Text[row]
				z := float32(len(text))
				if name == "age" && text != "" {
					age, err := strconv.ParseFloat(text, 32)
					if err != nil {
						return nil, &data.Error{Path: "x", Row: row + 1, Column: place + 1, ColumnName: name, Problem: strconv.Quote(text) + " is no number"}
					}
					z = float32(age)
				}
				if v.IsAbsent(row) || text == "" {
					z = float32NaN()
				}
				x = append(x, z)
			}
		}
		return x, nil
	}
	t.Operations = []TableOperation{numbersOperation(t), fillOperation(t)}
	return t
}

func numbersOperation(t *Table) TableOperation {
	return TableOperation{Name: "numbers", Parameters: []Parameter{{Name: "add", Schema: object{"type": "integer"}}},
		Request: func(given url.Values) (*Request, error) {
			add := 0
			if text := given.Get("add"); text != "" {
				var err error
				if add, err = strconv.Atoi(text); err != nil {
					return nil, errors.New("add is no number")
				}
			}
			return &Request{Shared: add, Copies: 1, Answer: func(_ *Rows, y *tensor.Dense) (*Answer, error) {
				v := data.Values{}
				for i, x := range data.Float32s(y) {
					if x == unanswered {
						return nil, &data.Error{Row: i + 1, Problem: "there is no sum"}
					}
					v.Numbers = append(v.Numbers, float64(x))
				}
				return &Answer{Info: data.FrameInfo{Columns: []data.FrameColumn{{Name: "sum", Type: data.Number}}, Named: true}, Tables: []*data.Cells{{Rows: v.Len(), Columns: []data.Values{v}}}}, nil
			}}, nil
		},
		Compute: func(_ context.Context, x *tensor.Dense, numbers []int, shared any) (*tensor.Dense, error) {
			y := make([]float32, len(numbers))
			for i, n := range numbers {
				y[i] = data.Float32s(x)[3*i] + float32(n+100*shared.(int))
			}
			return tensor.New(tensor.WithShape(len(y), 1), tensor.WithBacking(y)), nil
		}}
}

func fillOperation(t *Table) TableOperation {
	fill := func(rows *Rows) *data.Cells {
		cells := &data.Cells{Rows: rows.Cells.Rows, Raw: &data.RawCells{Endings: rows.Cells.Raw.Endings}}
		for i, c := range rows.Info.Columns {
			v, raw := data.Values{Text: slices.Clone(rows.Cells.Columns[i].Text)}, slices.Clone(rows.Cells.Raw.Columns[i])
			for row := range cells.Rows {
				if text, known := map[string]string{"age": "7.50", "town": "a b"}[c.Name]; known && v.Text[row] == "" {
					v.Text[row], raw[row] = text, rows.Quote(i, text)
				}
			}
			cells.Columns, cells.Raw.Columns = append(cells.Columns, v), append(cells.Raw.Columns, raw)
		}
		return cells
	}
	return TableOperation{Name: "fill", Parameters: []Parameter{{Name: "m"}},
		Request: func(given url.Values) (*Request, error) {
			m, _ := strconv.Atoi(given.Get("m"))
			return &Request{Copies: max(m, 1), Answer: func(rows *Rows, _ *tensor.Dense) (*Answer, error) {
				a := &Answer{Info: rows.Info, Like: t.columnsOf(rows.Info), Draws: m > 0, Preserved: true}
				for range max(m, 1) {
					a.Tables = append(a.Tables, fill(rows))
				}
				return a, nil
			}}, nil
		},
		Compute: func(_ context.Context, x *tensor.Dense, _ []int, _ any) (*tensor.Dense, error) { return x, nil }}
}

// unanswered is a sum for which the operation has no answer.
const unanswered = -776

func tableConfig() Config {
	return Config{Table: testTable(), About: json.RawMessage(`{}`), Version: "test", Limits: DefaultLimits()}
}

func TestTableAnswers(t *testing.T) {
	address, _, _ := start(t, tableConfig())
	const crlf = "\ufeffsince;\"age\";town;note\r\n 1 ;2;\"Be\"\"rn\";x\r\n\r\n;;;\r\ny;\"3\";;z"
	for _, c := range []struct{ path, kind, body, accept, want string }{
		{"numbers", typeJSON, `{"records":[{"age":1,"town":null,"since":"x"},{"since":"y","town":"Oslo","age":2.5}]}`, "", `{"columns":["sum"],"rows":[[1],[3.5]]}` + "\n"},
		{"numbers?add=2", typeJSON, `{"rows":[[1,"Bern",null]]}`, "", `{"columns":["sum"],"rows":[[201]]}` + "\n"},
		{"numbers", typeJSON, `{"rows":[["x",4,true]],"columns":["since","age","town"]}`, "", `{"columns":["sum"],"rows":[[4]]}` + "\n"},
		{"numbers", typeJSON, `{"records":[{"age":null,"town":null,"since":null,"note":7}]}`, "", `{"columns":["sum"],"rows":[[null]]}` + "\n"},
		{"numbers", typeCSV, "age,town,since\n1,a,b\n-2e1,,\n", "", "sum\n1\n-19\n"},
		{"numbers", typeCSV + "; charset=utf-8", "age,town,since\n1,a,b\n", "application/*", `{"columns":["sum"],"rows":[[1]]}` + "\n"},
		{"numbers", typeJSON, `{"rows":[[1,"Bern",null]]}`, "text/*;q=0.5, image/png", "sum\n1\n"},
		{"fill", typeCSV, crlf, "", strings.Replace(strings.Replace(crlf, ";;;", ";7.50;a b;", 1), `"3";;z`, `"3";a b;z`, 1)},
		{"fill", typeCSV, "age,town,since\n1,+5,\n007,,x\n", typeJSON, `{"columns":["age","town","since"],"rows":[[1,"+5",""],["007","a b","x"]]}` + "\n"},
		{"fill", typeJSON, `{"records":[{"since":"\u0041\"","age": 1.0e0,"town":null},{"since":"<é>","age":null,"town":false}]}`, "", `{"columns":["since","age","town"],"rows":[["\u0041\"",1.0e0,"a b"],["<é>",7.50,false]]}` + "\n"},
		{"fill?m=2", typeJSON, `{"rows":[[null,"x","y"]]}`, "", `{"columns":["age","town","since"],"draws":[[[7.50,"x","y"]],[[7.50,"x","y"]]]}` + "\n"},
		{"fill?m=1", typeJSON, `{"rows":[[null,"x,\"","y"]]}`, typeCSV, "age,town,since\n7.50,\"x,\"\"\",y\n"},
	} {
		answer, got := send(t, "POST", address+"/v1/"+c.path, c.kind, c.body, "Accept", c.accept)
		if answer.StatusCode != 200 || got != c.want {
			t.Errorf("%s %s: %d %q, want %q", c.path, c.body, answer.StatusCode, got, c.want)
		}
	}
	_, metrics := send(t, "GET", address+"/metrics", "", "")
	for _, line := range []string{`gpudae_requests_total{code="200",route="/v1/fill"} 5`, `gpudae_rows_total{route="/v1/numbers"} 9`, "gpudae_batch_rows_count 12"} {
		if !strings.Contains(metrics, line) {
			t.Errorf("metrics without %s", line)
		}
	}
}

// TestTableMalformed: each is a 4xx with one line that says where.
func TestTableMalformed(t *testing.T) {
	c := tableConfig()
	c.Limits.Rows = 3
	address, _, _ := start(t, c)
	for _, c := range []struct {
		path, kind, body string
		code             int
		want             string
	}{
		{"numbers", typeJSON, `{"rows":[[1,"a","b"],["2","a","b"]]}`, 422, `row 2, column 1 (age): "2" where a number or null is expected`},
		{"numbers", typeJSON, `{"rows":[[1,"a","b"],[-777,"a","b"]]}`, 422, "row 2: there is no sum"},
		{"numbers", typeJSON, `{"rows":[[true,"a","b"]]}`, 422, `row 1, column 1 (age): true where a number`},
		{"numbers", typeJSON, `{"rows":[[1,"a",5]]}`, 422, `row 1, column 3 (since): 5 where a string`},
		{"numbers", typeJSON, `{"rows":[[1,["a"],"b"]]}`, 400, `row 1, column 2: there is "["`},
		{"numbers", typeJSON, `{"records":[{"age":1,"town":{}}]}`, 400, `row 1, column 2 (town): there is "{"`},
		{"numbers", typeJSON, `{"records":[{"age":NaN}]}`, 400, `row 1, column 1 (age): there is "NaN"`},
		{"numbers", typeJSON, `{"records":[{"age":1,"city":"a"}]}`, 422, `column 2: the model knows no column "city"`},
		{"numbers", typeJSON, `{"records":[{"age":1,"town":"a"}]}`, 422, `there is no column "since"; a missing value is null`},
		{"numbers", typeJSON, `{"records":[{"age":1,"town":"a","since":"b"},{"age":1,"town":"a"}]}`, 422, `row 2: there is no column "since"`},
		{"numbers", typeJSON, `{"records":[{"age":1,"town":"a","since":"b"},{"age":1,"note":"a"}]}`, 422, `row 2: there is a column "note", which row 1 lacks`},
		{"numbers", typeJSON, `{"records":[{"age":1,"age":2}]}`, 400, `row 1: "age" appears twice`},
		{"numbers", typeJSON, `{"records":[{}]}`, 422, `no column "age"`},
		{"numbers", typeJSON, `{"records":[]}`, 422, "no rows"},
		{"numbers", typeJSON, `{"columns":["age"]}`, 400, `no "records"`},
		{"numbers", typeJSON, `{"rows":[[1,"a"]]}`, 422, `rows of 2 values for 3 columns`},
		{"numbers", typeJSON, `{"rows":[[1,"a","b"],[1]]}`, 422, `row 2: 1 values; row 1 has 3`},
		{"numbers", typeJSON, `{"rows":[[1,"a","b"],[1,2,3,4]]}`, 422, `row 2: more than the 3 values of row 1`},
		{"numbers", typeJSON, `{"rows":[[1,2,3,4,5]]}`, 422, `row 1: more than 4 values`},
		{"numbers", typeJSON, `{"rows":[[1,2,3]],"columns":["age","age","town"]}`, 422, `column 2 (age): two columns have this name`},
		{"numbers", typeJSON, `{"records":[{}],"columns":["age"]}`, 400, `goes with "rows"`},
		{"numbers", typeJSON, `{"rows":[[1,"a","b"],[1,"a","b"],[1,"a","b"],[1,"a","b"]]}`, 413, "more than 3 rows"},
		{"numbers", typeJSON, "{\"rows\":[[1,\"\xff\",\"b\"]]}", 400, "not UTF-8"},
		{"numbers", typeJSON, `{"rows":[[1,"a","b"`, 400, "the body ends"},
		{"numbers", typeCSV, "age,town,since\n1,a,b\nx,a,b\n", 422, `row 2, column 1 (age): "x" is no number`},
		{"numbers", typeCSV, "age,town,since\n1,a\n", 422, "line 2: "},
		{"numbers", typeCSV, "age,town,since,wage\n1,a,b,c\n", 422, `column 4: the model knows no column "wage"`},
		{"numbers", typeCSV, "age,town\n1,a\n", 422, `there is no column "since"; a missing value is null, in CSV an empty cell`},
		{"numbers", typeCSV, "age,town,since,age\n1,a,b,2\n", 422, `column 4 (age): two columns`},
		{"numbers", typeCSV, "age,town,since\n", 422, "no rows"},
		{"numbers", typeCSV, " \n", 422, "no rows"},
		{"numbers", typeCSV, "age,town,since\n1,\xff,b\n", 422, "line 2: "},
		{"numbers", typeCSV, "age,town,since\n1,a,b\n1,a,b\n1,a,b\n1,a,b\n", 413, "more than 3 rows"},
		{"numbers", typeNPY, "", 415, "send application/json or text/csv"},
		{"numbers?m=2", typeJSON, `{"rows":[[1,"a","b"]]}`, 400, `unknown parameter "m"`},
		{"numbers?add=1&add=2", typeJSON, `{"rows":[[1,"a","b"]]}`, 400, "add is given twice"},
		{"numbers?add=x", typeJSON, `{"rows":[[1,"a","b"]]}`, 422, "add is no number"},
		{"fill?m=2", typeCSV, "age,town,since\n1,a,b\n", 422, "2 tables; CSV holds one"},
		{"fill?m=2", typeJSON, `{"rows":[[1,"a","b"],[1,"a","b"]]}`, 413, "2 times 2 rows; send at most 3"},
		{"score", typeJSON, `{"rows":[[1,"a","b"]]}`, 404, "no such path"},
	} {
		answer, text := send(t, "POST", address+"/v1/"+c.path, c.kind, c.body)
		var got errorJSON
		if err := json.Unmarshal([]byte(text), &got); err != nil || strings.Count(text, "\n") != 1 {
			t.Errorf("%s %q: no line of JSON: %q", c.path, c.body, text)
		}
		if answer.StatusCode != c.code || !strings.Contains(got.Error, c.want) {
			t.Errorf("%s %q: %d %s, want %d %s", c.path, c.body, answer.StatusCode, got.Error, c.code, c.want)
		}
	}
	if answer, _ := send(t, "POST", address+"/v1/numbers", typeJSON, `{"rows":[[1,"a","b"]]}`, "Accept", typeNPY); answer.StatusCode != 406 {
		t.Errorf("Accept NPY: %d", answer.StatusCode)
	}
}

// TestTableBatches: requests with equal parameters are computed together, and each
// row keeps the number that it has in its request.
func TestTableBatches(t *testing.T) {
	c := tableConfig()
	compute, entered, gate := c.Table.Operations[0].Compute, make(chan int, 10), make(chan struct{})
	c.Table.Operations[0].Compute = func(ctx context.Context, x *tensor.Dense, numbers []int, shared any) (*tensor.Dense, error) {
		entered <- len(numbers)
		<-gate
		return compute(ctx, x, numbers, shared)
	}
	release := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	address, s, _ := start(t, c)
	answers := make([]string, 4)
	var all sync.WaitGroup
	post := func(i, add int) {
		_, answers[i] = send(t, "POST", fmt.Sprintf("%s/v1/numbers?add=%d", address, add), typeCSV, "age,town,since\n10,,\n20,,\n", "Accept", typeJSON)
	}
	all.Go(func() { post(0, 0) })
	<-entered
	for i, add := range []int{1, 2, 1} {
		all.Go(func() { post(i+1, add) })
	}
	await(t, "the queue to fill", func() bool { return len(s.batcher.queue) == 3 })
	release()
	all.Wait()
	for i, want := range []string{"[[10],[21]]", "[[110],[121]]", "[[210],[221]]", "[[110],[121]]"} {
		if want = `{"columns":["sum"],"rows":` + want + "}\n"; answers[i] != want {
			t.Errorf("request %d: %s, want %s", i, answers[i], want)
		}
	}
	if sizes := []int{<-entered, <-entered}; !slices.Equal(sizes, []int{4, 2}) && !slices.Equal(sizes, []int{2, 4}) {
		t.Errorf("batches of %v rows, want 4 and 2", sizes)
	}
}

// TestNobodyWaits: a computation ends when the last of its requests has given up.
func TestNobodyWaits(t *testing.T) {
	c := tableConfig()
	c.Limits.Time = 30 * time.Millisecond
	ended := make(chan error, 1)
	c.Table.Operations[0].Compute = func(ctx context.Context, _ *tensor.Dense, _ []int, _ any) (*tensor.Dense, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	address, _, _ := start(t, c)
	if answer, _ := send(t, "POST", address+"/v1/numbers", typeJSON, `{"rows":[[1,"a","b"]]}`); answer.StatusCode != 503 {
		t.Errorf("%d, want 503", answer.StatusCode)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the computation: %v", err)
	}
	// As long as one request waits, it goes on.
	patient, cancel := context.WithCancel(t.Context())
	hasty, giveUp := context.WithCancel(t.Context())
	ctx, release := whileAwaited(t.Context(), []*job{{ctx: hasty}, {ctx: patient}})
	defer release()
	giveUp()
	select {
	case <-ctx.Done():
		t.Error("it ends although one request waits")
	case <-time.After(10 * time.Millisecond):
	}
	cancel()
	<-ctx.Done()
}

// TestTableOpenAPI: the description has the routes of the server, and what may stand
// in each column.
func TestTableOpenAPI(t *testing.T) {
	s, err := New(tableConfig())
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	var doc struct {
		Paths      map[string]map[string]any
		Components struct {
			Schemas map[string]struct {
				Properties map[string]json.RawMessage
				Required   []string
			}
			Responses map[string]any
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for path := range s.routes {
		if len(doc.Paths[path]) != 1 {
			t.Errorf("%s is described by %v", path, doc.Paths[path])
		}
	}
	if len(doc.Paths) != len(s.routes) {
		t.Errorf("%d paths are described, %d served", len(doc.Paths), len(s.routes))
	}
	record := doc.Components.Schemas["Record"]
	for name, want := range map[string]string{"age": `{"type":["number","null"]}`, "since": `{"type":["string","null"]}`, "note": `{"$ref":"#/components/schemas/Cell"}`,
		"town": `{"anyOf":[{"enum":[null,"Bern","Rome"]},{"$ref":"#/components/schemas/Cell"}]}`} {
		if got := string(record.Properties[name]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if !slices.Equal(record.Required, []string{"age", "town", "since"}) {
		t.Errorf("required: %v", record.Required)
	}
	for _, part := range bytes.Split(w.Body.Bytes(), []byte(`"$ref":"#/components/`))[1:] {
		kind, name, _ := strings.Cut(string(part[:bytes.IndexByte(part, '"')]), "/")
		_, schema := doc.Components.Schemas[name]
		_, response := doc.Components.Responses[name]
		if kind == "schemas" && !schema || kind == "responses" && !response {
			t.Errorf("a reference to %s, which there is not", part[:40])
		}
	}
}
