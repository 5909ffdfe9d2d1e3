package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/serve"
)

// mixedText is a CSV file of rows like those of a survey: numbers, words and dates,
// some of them missing.
func mixedText(rows int) string {
	var text strings.Builder
	text.WriteString("\"age\";income;city;smoker;joined;bought\n")
	missing := func(i, every int, cell string) string {
		if i%every == 1 {
			return []string{"", "NA"}[i%2]
		}
		return cell
	}
	for i := range rows {
		city := i * 7 % 3
		fmt.Fprintf(&text, "%s;%s;%s;%s;%s;%s\n", missing(i, 7, fmt.Sprint(20+i*13%50)), missing(i, 5, fmt.Sprintf("%d.5", 30+20*city+i%11)),
			missing(i, 11, []string{"Bern", `"São Paulo"`, "Århus"}[city]), missing(i, 6, []string{"no", "yes"}[i*i%5%2]), missing(i, 13, fmt.Sprintf("2011-%02d-%02d", 1+i%12, 1+i%28)), []string{"tea", "milk", "rice"}[i*5%7%3])
	}
	return text.String()
}

// post sends a body and returns the answer, which must be 200.
func post(t *testing.T, url, kind, accept, body string) string {
	r, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return ""
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		t.Errorf("%s: %d %s %v", url, answer.StatusCode, text, err)
	}
	return string(text)
}

// TestServeTableGivesTheAnswersOfTheCommands: each answer in CSV, of requests that
// come together, is byte for byte what the command writes of the same rows, and
// each in JSON has the same cells.
func TestServeTableGivesTheAnswersOfTheCommands(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole, run := mixedText(60), filepath.Join(dir, "run")
	table := write("table.csv", whole)
	quiet := []string{noReportVariable + "=1", noEventsVariable + "=1"}
	command(t, quiet, "train", table, "--preset", "impute", "--val", "0.1", "--hidden", "12,6", "--epochs", "2", "--batch", "16", "-q", "-o", run)
	lines := strings.SplitAfter(strings.TrimSuffix(whole, "\n"), "\n")
	url, end := startServe(t, nil, run)
	var all sync.WaitGroup
	for part := range 3 {
		rows := lines[0] + strings.Join(lines[1+part*12:][:12], "")
		in, body := write(fmt.Sprintf("in%d.csv", part), rows), jsonRecords(t, rows)
		for query, args := range map[string][]string{
			"denoise": {"denoise"}, "encode": {"encode"}, "impute": {"impute"}, "impute?m=1&seed=5&rounds=3": {"impute", "-m", "1", "--seed", "5", "--rounds", "3"}, "impute?m=1": {"impute", "-m", "1"},
			"anomaly": {"anomaly"}, "anomaly?fpr=0.3&by=mean_abs_z&brief=true&top=1": {"anomaly", "--fpr", "0.3", "--by", "mean_abs_z", "--brief", "--top", "1"}} {
			out := filepath.Join(dir, "out.csv")
			command(t, nil, append(args, run, in, "-o", out, "-q")...)
			want, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if got := post(t, url+"/v1/"+query, "text/csv", "", rows); got != string(want) {
					t.Errorf("%s of part %d: %q, want %q", query, part, got, want)
				}
				compareJSON(t, query, post(t, url+"/v1/"+query, "application/json", "", body), want)
			})
		}
	}
	all.Wait()
	if code := end(); code != 143 {
		t.Errorf("after SIGTERM: exit code %d, want 143", code)
	}
}

// TestServeRefusesWhatIsNoNumber: a row for which the model makes no numbers is told.
func TestServeRefusesWhatIsNoNumber(t *testing.T) {
	request, err := bare(func(*tensor.Dense) *serve.Answer { return &serve.Answer{} })(nil)
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for row, y := range map[int][]float32{0: {1, 2, 3, 4}, 1: {1, nan, 3, 4}, 2: {1, 2, float32(math.Inf(-1)), 4}} {
		_, err := request.Answer(nil, tensor.New(tensor.WithShape(2, 2), tensor.WithBacking(y)))
		var bad *data.Error
		if row == 0 && err != nil || row > 0 && !(errors.As(err, &bad) && bad.Row == row) {
			t.Errorf("%v: %v", y, err)
		}
	}
}

// TestServeAnomalies: what is ordinary comes from beside the model, or from rows that
// are given; without either there is no route.
func TestServeAnomalies(t *testing.T) {
	dir := t.TempDir()
	table, run, out, body := filepath.Join(dir, "table.csv"), filepath.Join(dir, "run"), filepath.Join(dir, "out.csv"), mixedText(6)
	in, ordinary := filepath.Join(dir, "in.csv"), filepath.Join(dir, "ordinary.csv")
	for path, text := range map[string]string{table: mixedText(60), in: body, ordinary: mixedText(40)} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	command(t, []string{noReportVariable + "=1", noEventsVariable + "=1"}, "train", table, "--preset", "anomaly", "--hidden", "8", "--epochs", "1", "-q", "-o", run)
	kept := filepath.Join(run, "model"+calibrationSuffix)
	serve := func(args []string, check func(url string)) {
		url, end := startServe(t, nil, append([]string{run}, args...)...)
		check(url + "/v1/anomaly")
		end()
	}
	same := func(args ...string) func(url string) {
		command(t, nil, append([]string{"anomaly", run, in, "-o", out, "-q"}, args...)...)
		want, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return func(url string) {
			if got := post(t, url, "text/csv", "", body); got != string(want) {
				t.Errorf("%v: %q, want %q", args, got, want)
			}
		}
	}
	none := func(url string) {
		answer, err := http.Post(url, "text/csv", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != 404 {
			t.Errorf("without a calibration: %d, want 404", answer.StatusCode)
		}
	}
	serve(nil, func(string) {}) // which finds it out and keeps it
	first, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(table); err != nil {
		t.Fatal(err)
	}
	serve(nil, same())
	if err := os.WriteFile(kept, bytes.Replace(first, []byte(`"model":"`), []byte(`"model":"0`), 1), 0o666); err != nil {
		t.Fatal(err)
	}
	serve(nil, none)
	given := []string{"--calibrate", ordinary}
	serve(given, same(given...))
}

// jsonRecords is a body of the rows of a text: numbers as they are written there,
// null where a value is missing.
func jsonRecords(t *testing.T, text string) string {
	t.Helper()
	rows := records(t, text, ';')
	var body bytes.Buffer
	for i, row := range rows[1:] {
		body.WriteString([]string{`{"records":[{`, `},{`}[min(i, 1)])
		for j, name := range rows[0] {
			cell := row[j]
			switch {
			case cell == "" || cell == "NA":
				cell = "null"
			case j > 1:
				cell = quoted(cell)
			}
			fmt.Fprintf(&body, `%s%q:%s`, []string{"", ","}[min(j, 1)], name, cell)
		}
	}
	return body.String() + "}]}"
}

func records(t *testing.T, text string, separator rune) [][]string {
	t.Helper()
	r := csv.NewReader(strings.NewReader(text))
	r.Comma = separator
	rows, err := r.ReadAll()
	if err != nil {
		t.Error(err)
	}
	return rows
}

// compareJSON compares the cells of an answer with those of a text.
func compareJSON(t *testing.T, what, answer string, text []byte) {
	var got struct {
		Columns []string
		Rows    [][]any
		Draws   [][][]any
	}
	decoder := json.NewDecoder(strings.NewReader(answer))
	decoder.UseNumber()
	if err := decoder.Decode(&got); err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if got.Draws != nil {
		got.Rows = got.Draws[0]
	}
	separator := ','
	if bytes.Contains(text[:bytes.IndexByte(text, '\n')], []byte(";")) {
		separator = ';'
	}
	want := records(t, string(text), separator)
	if strings.Join(got.Columns, "|") != strings.Join(want[0], "|") || len(got.Rows) != len(want)-1 {
		t.Errorf("%s: columns %v of %d rows, want %v of %d", what, got.Columns, len(got.Rows), want[0], len(want)-1)
		return
	}
	for i, row := range got.Rows {
		for j, cell := range row {
			if cell == nil {
				cell = ""
			}
			if fmt.Sprint(cell) != want[i+1][j] {
				t.Errorf("%s: row %d, column %s: %v, want %s", what, i+1, got.Columns[j], cell, want[i+1][j])
			}
		}
	}
}

// TestServePredictor: fine-tuned models of tables and of numbers answer what predict
// writes.
func TestServePredictor(t *testing.T) {
	dir := t.TempDir()
	table := filepath.Join(dir, "table.csv")
	if err := os.WriteFile(table, []byte(mixedText(60)), 0o666); err != nil {
		t.Fatal(err)
	}
	mixed, predictor, out := filepath.Join(dir, "mixed"), filepath.Join(dir, "predictor"), filepath.Join(dir, "out.csv")
	quiet := []string{noReportVariable + "=1", noEventsVariable + "=1"}
	command(t, quiet, "train", table, "--label", "bought", "--hidden", "8", "--epochs", "1", "-q", "-o", mixed)
	command(t, quiet, "finetune", mixed, table, "--label", "bought", "--epochs", "1", "-q", "-o", predictor)
	command(t, nil, "predict", predictor, table, "-o", out, "-q")
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	url, end := startServe(t, nil, predictor)
	if got := post(t, url+"/v1/predict", "text/csv", "", mixedText(60)); got != string(want) {
		t.Errorf("%q, want %q", got, want)
	}
	compareJSON(t, "predict", post(t, url+"/v1/predict", "text/csv", "application/json", mixedText(60)), want)
	end()

	numbers := filepath.Join(dir, "numbers.csv")
	if err := os.WriteFile(numbers, []byte("a,b,y\n"+strings.Repeat("1,2,3\n2,1,4\n0,5,1\n", 6)), 0o666); err != nil {
		t.Fatal(err)
	}
	model, classifier := filepath.Join(dir, "model"), filepath.Join(dir, "classifier")
	command(t, quiet, "train", numbers, "--label", "y", "--hidden", "4", "--epochs", "1", "-q", "-o", model)
	command(t, quiet, "finetune", model, numbers, "--label", "y", "--epochs", "1", "-q", "-o", classifier)
	command(t, nil, "predict", classifier, numbers, "-o", out, "-q")
	if want, err = os.ReadFile(out); err != nil {
		t.Fatal(err)
	}
	var probabilities strings.Builder // without the class
	for line := range strings.Lines(string(want)) {
		_, rest, _ := strings.Cut(line, ",")
		probabilities.WriteString(rest)
	}
	url, _ = startServe(t, nil, classifier)
	body := `{"records":[` + strings.TrimSuffix(strings.Repeat(`{"a":1,"b":2},{"a":2,"b":1},{"a":0,"b":5},`, 6), ",") + `]}`
	compareJSON(t, "predict of numbers", post(t, url+"/v1/predict", "application/json", "", body), []byte(probabilities.String()))
}
