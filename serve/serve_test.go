package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"gpudae/data"
)

// testConfig serves rows (width, height): twice answers 2x, sum x₁+x₂+σ.
func testConfig() Config {
	twice := func(_ context.Context, x *tensor.Dense, _ float64) (*tensor.Dense, error) {
		values := slices.Clone(data.Float32s(x))
		for i := range values {
			values[i] *= 2
		}
		return tensor.New(tensor.WithShape(x.Shape()...), tensor.WithBacking(values)), nil
	}
	sum := func(_ context.Context, x *tensor.Dense, sigma float64) (*tensor.Dense, error) {
		values := make([]float32, x.Shape()[0])
		for i := range values {
			row := data.Float32s(x)[2*i:]
			values[i] = row[0] + row[1] + float32(sigma)
		}
		return tensor.New(tensor.WithShape(len(values), 1), tensor.WithBacking(values)), nil
	}
	noise := func(given *float64) (float64, error) {
		if given == nil {
			return 0, nil
		}
		if *given < 0 {
			return 0, errors.New("negative")
		}
		return *given, nil
	}
	names := []string{"width", "height"}
	return Config{
		Schema:     data.Info{Name: "table.csv", Features: 2, Shape: []int{2}, Columns: names, Element: data.Float32, Scale: 1},
		Scaler:     &data.Scaler{Kind: data.ScaleNone, Low: []float32{0, 0}, High: []float32{1, 1}},
		Operations: []Operation{{Name: "denoise", Compute: twice, Shape: []int{2}, Columns: names}, {Name: "score", Noise: noise, Compute: sum, Shape: []int{1}}},
		About:      json.RawMessage(`{"parameters":3}`), Version: "test", Limits: DefaultLimits(),
	}
}

// start runs a server until the test ends, and returns its URL.
func start(t *testing.T, c Config) (url string, s *Server, end func() error) {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, listener) }()
	end = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { end() })
	return "http://" + listener.Addr().String(), s, end
}

// send posts a body and returns the answer.
func send(t *testing.T, method, url, kind, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

func npyBody(shape []int, values ...float32) string { return string(npy(values, shape)) }

func TestAnswers(t *testing.T) {
	url, _, _ := start(t, testConfig())
	rows := npyBody([]int{2, 2}, 1, 2, 3, 4)
	for _, c := range []struct{ path, kind, body, accept, want string }{
		{"/v1/denoise", typeJSON, `{"rows": [[1, 2], [3, 4e-1]]}`, "", `{"rows":[[2,4],[6,0.8]],"columns":["width","height"]}` + "\n"},
		{"/v1/denoise", typeJSON + "; charset=utf-8", `{"records": [{"height": 2, "width": 1}]}`, "*/*", `{"rows":[[2,4]],"columns":["width","height"]}` + "\n"},
		{"/v1/denoise", typeJSON, `{"columns": ["height", "width"], "rows": [[2, 1]]}`, "", `{"rows":[[2,4]],"columns":["width","height"]}` + "\n"},
		{"/v1/score?sigma=0.5", typeJSON, `{"rows": [[1, 2]]}`, "", `{"rows":[[3.5]]}` + "\n"},
		{"/v1/score", typeNPY, rows, typeJSON, `{"rows":[[3],[7]]}` + "\n"},
		{"/v1/denoise", typeNPY, rows, "", npyBody([]int{2, 2}, 2, 4, 6, 8)},
		{"/v1/denoise", typeJSON, `{"rows": [[1, 2]]}`, "text/html, application/x-npy;q=0.9, */*;q=0.1", npyBody([]int{1, 2}, 2, 4)},
	} {
		answer, got := send(t, "POST", url+c.path, c.kind, c.body, "Accept", c.accept)
		if answer.StatusCode != 200 || got != c.want {
			t.Errorf("%s %s: %d %q, want %q", c.path, c.body, answer.StatusCode, got, c.want)
		}
	}
	if _, got := send(t, "GET", url+"/v1/model", "", ""); got != `{"parameters":3}` {
		t.Errorf("model: %s", got)
	}
	_, metrics := send(t, "GET", url+"/metrics", "", "")
	for _, line := range []string{`gpudae_requests_total{code="200",route="/v1/denoise"} 5`, `gpudae_rows_total{route="/v1/score"} 3`, "gpudae_batch_rows_count 7", "gpudae_requests_in_progress 0"} {
		if !strings.Contains(metrics, line) {
			t.Errorf("metrics without %s", line)
		}
	}
}

// TestMalformed: each is a 4xx with one line that says where.
func TestMalformed(t *testing.T) {
	c := testConfig()
	c.Limits.Rows, c.Limits.Body = 3, 200
	url, _, _ := start(t, c)
	nan := npyBody([]int{2, 2}, 1, 2, 3, float32NaN())
	for _, c := range []struct {
		method, path, kind, body string
		code                     int
		want                     string
	}{
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, 2], [3, NaN]]}`, 400, `row 2, column 2 (height): there is "NaN"`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, -Infinity]]}`, 400, `row 1, column 2`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, 01]]}`, 400, `row 1, column 2`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, "2"]]}`, 400, `row 1, column 2`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, null]]}`, 422, `row 1, column 2 (height): the value is missing`},
		{"POST", "/v1/denoise", typeJSON, `{"columns": ["height", "width"], "rows": [[1, x]]}`, 400, `row 1, column 2 (width): there is "x"`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, x]], "columns": ["height", "width"]}`, 400, `row 1, column 2: there is "x"`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1e39, 1]]}`, 422, `row 1, column 1`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, -3.4028235000001e38]]}`, 422, `row 1, column 2 (height): the value is beyond the range of float32`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, 2], [1]]}`, 422, `row 2: 1 numbers`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, 2, 3]]}`, 422, `row 1: more than 2`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, 2], 3]}`, 400, `row 2: `},
		{"POST", "/v1/denoise", typeJSON, `{"rows": []}`, 422, "no rows"},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1,2],[1,2],[1,2],[1,2]]}`, 413, "more than 3 rows"},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, 2]`, 400, "the body ends"},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, 2]]} x`, 400, "after the end"},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, 2]], "rows": [[1, 2]]}`, 400, "twice"},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[1, 2]], "extra": 1}`, 400, "unknown member"},
		{"POST", "/v1/denoise", typeJSON, `{"records": [{"width": 1}]}`, 422, "column 2 (height): the value is missing"},
		{"POST", "/v1/denoise", typeJSON, `{"records": [{"depth": 1}]}`, 422, `no column`},
		{"POST", "/v1/denoise", typeJSON, `{"columns": ["width"], "rows": [[1, 2]]}`, 422, "names of 1 columns"},
		{"POST", "/v1/denoise", typeJSON, `{"columns": ["width", "width"], "rows": [[1, 2]]}`, 422, "no other column"},
		{"POST", "/v1/denoise", typeJSON, "", 400, "the body ends"},
		{"POST", "/v1/denoise", typeJSON, "hello", 400, `there is "hello"`},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[` + strings.Repeat(" ", 200) + `1, 2]]}`, 413, "bytes"},
		{"POST", "/v1/denoise", "text/csv", "1,2", 415, "text/csv"},
		{"POST", "/v1/denoise", "", "1,2", 415, "Content-Type"},
		{"POST", "/v1/denoise", typeNPY, "hello", 400, "no NPY"},
		{"POST", "/v1/denoise", typeNPY, nan, 422, "row 2, column 2 (height): the value is NaN"},
		{"POST", "/v1/denoise", typeNPY, nan[:130], 400, ""},
		{"POST", "/v1/denoise", typeNPY, npyBody([]int{1, 3}, 1, 2, 3), 422, "rows of 3 numbers"},
		{"POST", "/v1/denoise", typeJSON, `{"rows": [[3e38, 2]]}`, 422, "row 1: the result leaves the range"},
		{"POST", "/v1/denoise?sigma=1", typeJSON, `{"rows": [[1, 2]]}`, 400, "unknown parameter"},
		{"POST", "/v1/score?sigma=x", typeJSON, `{"rows": [[1, 2]]}`, 400, "sigma"},
		{"POST", "/v1/score?sigma=-1", typeJSON, `{"rows": [[1, 2]]}`, 422, "sigma: negative"},
		{"GET", "/v1/denoise", "", "", 405, "use POST"},
		{"DELETE", "/metrics", "", "", 405, "use GET"},
		{"GET", "/nothing", "", "", 404, "no such path"},
	} {
		answer, text := send(t, c.method, url+c.path, c.kind, c.body)
		var got errorJSON
		if err := json.Unmarshal([]byte(text), &got); err != nil || strings.Count(text, "\n") != 1 {
			t.Errorf("%s %q: no line of JSON: %q", c.path, c.body, text)
		}
		if answer.StatusCode != c.code || !strings.Contains(got.Error, c.want) {
			t.Errorf("%s %s %q: %d %s, want %d %s", c.method, c.path, c.body, answer.StatusCode, got.Error, c.code, c.want)
		}
	}
	if answer, _ := send(t, "POST", url+"/v1/denoise", typeJSON, `{"rows": [[1, 2]]}`, "Accept", "text/html"); answer.StatusCode != 406 {
		t.Errorf("Accept text/html: %d", answer.StatusCode)
	}
	if answer, _ := send(t, "POST", url+"/v1/denoise", typeJSON, "x", "Content-Encoding", "gzip"); answer.StatusCode != 415 {
		t.Errorf("gzip: %d", answer.StatusCode)
	}
	// A body that does not say its length is cut off all the same.
	unsized := struct{ io.Reader }{strings.NewReader(strings.Repeat(" ", 1000))}
	answer, err := http.Post(url+"/v1/denoise", typeJSON, unsized)
	if err != nil || answer.StatusCode != 413 {
		t.Errorf("a long chunked body: %v, %v", answer, err)
	}
}

// stalled is a configuration whose computation waits until it is released.
func stalled(t *testing.T) (c Config, entered chan int, release func()) {
	c, entered = testConfig(), make(chan int, 100)
	gate := make(chan struct{})
	compute := c.Operations[0].Compute
	c.Operations[0].Compute = func(ctx context.Context, x *tensor.Dense, sigma float64) (*tensor.Dense, error) {
		entered <- x.Shape()[0]
		<-gate
		return compute(ctx, x, sigma)
	}
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	return c, entered, release
}

// await waits for a condition that other goroutines bring about.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestBatchesAndBackpressure: while one request is computed others wait, and are
// then computed together, each with its own answer; what is too much is refused.
func TestBatchesAndBackpressure(t *testing.T) {
	c, entered, release := stalled(t)
	c.Limits.Requests, c.Limits.Batch = 6, 4
	url, s, _ := start(t, c)
	answers := make([]string, 6)
	var all sync.WaitGroup
	post := func(i int) {
		_, answers[i] = send(t, "POST", url+"/v1/denoise", typeJSON, fmt.Sprintf(`{"rows": [[%d, 0]]}`, i))
	}
	all.Go(func() { post(0) })
	<-entered
	for i := 1; i < 6; i++ {
		all.Go(func() { post(i) })
	}
	await(t, "the queue to fill", func() bool { return s.gate.inside() == 6 && len(s.batcher.queue) == 5 })
	answer, _ := send(t, "POST", url+"/v1/denoise", typeJSON, `{"rows": [[1, 2]]}`)
	if answer.StatusCode != 429 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %v", answer.StatusCode, answer.Header)
	}
	release()
	all.Wait()
	for i, text := range answers {
		if want := fmt.Sprintf(`{"rows":[[%d,0]]`, 2*i); !strings.HasPrefix(text, want) {
			t.Errorf("request %d: %s", i, text)
		}
	}
	if a, b := <-entered, <-entered; a != 4 || b != 1 {
		t.Errorf("batches of %d and %d rows, want 4 and 1", a, b)
	}
	await(t, "the places to be free", func() bool { return s.gate.inside() == 0 })
}

// TestBytesAreBounded: bodies count before they are read, those of unknown length as the largest.
func TestBytesAreBounded(t *testing.T) {
	g := newGate(10, 100)
	leave, ok := g.enter(60)
	if !ok {
		t.Fatal("refused")
	}
	if _, ok := g.enter(41); ok {
		t.Error("101 bytes of 100 were taken")
	}
	if _, ok := g.enter(40); !ok {
		t.Error("100 bytes of 100 were refused")
	}
	leave()
	if _, ok := g.enter(60); !ok {
		t.Error("what was given back is not there")
	}
}

// TestSplitKeepsOperationsApart: only jobs of one operation and noise go together, in order.
func TestSplitKeepsOperationsApart(t *testing.T) {
	a, b := &Operation{}, &Operation{}
	of := func(op *Operation, sigma float64, rows int) *job {
		return &job{group: group{op, sigma}, x: tensor.New(tensor.WithShape(rows, 1), tensor.Of(tensor.Float32))}
	}
	jobs := []*job{of(a, 1, 9), of(b, 1, 1), of(a, 2, 1), of(a, 1, 1), of(b, 1, 3), of(b, 1, 1)}
	batch, rest := split(jobs, 4)
	if !slices.Equal(batch, jobs[:1]) {
		t.Errorf("a large job is a batch of %d", len(batch))
	}
	batch, rest = split(rest, 4)
	if !slices.Equal(batch, []*job{jobs[1], jobs[4]}) || !slices.Equal(rest, []*job{jobs[2], jobs[3], jobs[5]}) {
		t.Errorf("%d together, %d left", len(batch), len(rest))
	}
}

// TestDrain: what was taken is finished, and nothing more is taken.
func TestDrain(t *testing.T) {
	c, entered, release := stalled(t)
	url, s, end := start(t, c)
	answered := make(chan string, 1)
	go func() {
		_, text := send(t, "POST", url+"/v1/denoise", typeJSON, `{"rows": [[1, 2]]}`)
		answered <- text
	}()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	await(t, "draining", s.draining.Load)
	for path, want := range map[string]int{"/readyz": 503, "/healthz": 200} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s while draining: %d", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("POST", "/v1/denoise", strings.NewReader("{}")))
	if w.Code != 503 {
		t.Errorf("a request while draining: %d", w.Code)
	}
	release()
	if got := <-answered; !strings.HasPrefix(got, `{"rows":[[2,4]]`) {
		t.Errorf("the request in progress: %s", got)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
}

// TestDrainWaitsForNobodySilent: a connection without a request does not hold up
// the end, for which http.Server alone would wait five seconds.
func TestDrainWaitsForNobodySilent(t *testing.T) {
	c := testConfig()
	c.Limits.Drain = 4 * time.Second
	url, _, end := start(t, c)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, "GET", url+"/healthz", "", "") // the server has accepted the one before
	if err := end(); !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run: %v", err)
	}
}

// TestDrainEnds: a request that takes longer than the limit is cut off.
func TestDrainEnds(t *testing.T) {
	c, entered, release := stalled(t)
	c.Limits.Drain = 20 * time.Millisecond
	url, s, end := start(t, c)
	cut := make(chan error, 1)
	go func() {
		_, err := http.Post(url+"/v1/denoise", typeJSON, strings.NewReader(`{"rows": [[1, 2]]}`))
		cut <- err
	}()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	if err := <-cut; err == nil {
		t.Error("the request was answered")
	}
	release()
	if err := <-ended; !errors.Is(err, context.Canceled) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run: %v", err)
	}
	if !s.draining.Load() {
		t.Error("not draining")
	}
}

// TestTime: a request that is not computed in time is told so, and its
// computation, if it has not begun, is left out.
func TestTime(t *testing.T) {
	c, entered, release := stalled(t)
	c.Limits.Time = 50 * time.Millisecond
	url, s, _ := start(t, c)
	for range 2 {
		answer, text := send(t, "POST", url+"/v1/denoise", typeJSON, `{"rows": [[1, 2]]}`)
		if answer.StatusCode != 503 || !strings.Contains(text, "not computed in time") {
			t.Errorf("%d %s", answer.StatusCode, text)
		}
	}
	<-entered
	release()
	await(t, "the queue to empty", func() bool { return len(s.batcher.queue) == 0 })
	if len(entered) != 0 {
		t.Error("a request that nobody waits for was computed")
	}
}

func TestFailedComputation(t *testing.T) {
	c := testConfig()
	c.Operations[0].Compute = func(context.Context, *tensor.Dense, float64) (*tensor.Dense, error) {
		return nil, errors.New("out of memory")
	}
	url, _, _ := start(t, c)
	answer, text := send(t, "POST", url+"/v1/denoise", typeJSON, `{"rows": [[1, 2]]}`)
	if answer.StatusCode != 500 || !strings.Contains(text, "out of memory") {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
}

func TestToken(t *testing.T) {
	c := testConfig()
	c.Token = "correct horse battery"
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		path, authorization string
		want                int
	}{
		{"/healthz", "", 200}, {"/readyz", "", 200},
		{"/v1/model", "", 401}, {"/metrics", "", 401}, {"/openapi.json", "", 401}, {"/nothing", "", 401}, {"/v1/denoise", "", 401},
		{"/v1/model", "Bearer wrong", 401}, {"/v1/model", "Bearer", 401}, {"/v1/model", "Basic " + c.Token, 401},
		{"/v1/model", "Bearer " + c.Token, 200}, {"/v1/model", "bearer  " + c.Token, 200}, {"/nothing", "Bearer " + c.Token, 404},
	} {
		w, request := httptest.NewRecorder(), httptest.NewRequest("GET", r.path, nil)
		request.Header.Set("Authorization", r.authorization)
		s.ServeHTTP(w, request)
		if w.Code != r.want || r.want == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s %q: %d, want %d", r.path, r.authorization, w.Code, r.want)
		}
	}
}

// TestConnectionsAreBounded: one more than there may be waits for another to end.
func TestConnectionsAreBounded(t *testing.T) {
	c := testConfig()
	c.Limits.Connections = 1
	url, _, _ := start(t, c)
	first, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(first, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := first.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	quick := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Millisecond}
	if answer, err := quick.Get(url + "/healthz"); err == nil {
		t.Errorf("a second connection was served: %s", answer.Status)
	}
	first.Close()
	if _, err := client.Get(url + "/healthz"); err != nil {
		t.Errorf("after the first ended: %v", err)
	}
}

// TestOpenAPI: the description has the routes of a server, and no others.
func TestOpenAPI(t *testing.T) {
	for _, names := range [][]string{{"denoise", "encode", "score"}, {"denoise", "encode"}} {
		c := testConfig()
		op := c.Operations[0]
		c.Operations = nil
		for _, name := range names {
			op.Name = name
			c.Operations = append(c.Operations, op)
		}
		s, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
		var doc struct {
			OpenAPI string
			Paths   map[string]map[string]any
		}
		if err := json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&doc); err != nil || doc.OpenAPI != "3.1.0" {
			t.Fatalf("%v, version %q", err, doc.OpenAPI)
		}
		for path, methods := range doc.Paths {
			r, known := s.routes[path]
			if _, right := methods[strings.ToLower(r.method)]; !known || !right || len(methods) != 1 {
				t.Errorf("the description of %s: %v", path, methods)
			}
		}
		if len(doc.Paths) != len(s.routes) {
			t.Errorf("%d paths are described, %d served", len(doc.Paths), len(s.routes))
		}
	}
}

// TestLimitsAreChecked: a limit of nothing is a mistake of the program.
func TestLimitsAreChecked(t *testing.T) {
	c := testConfig()
	c.Limits.Bytes = c.Limits.Body - 1
	if _, err := New(c); err == nil {
		t.Error("a body larger than all bodies together")
	}
}
