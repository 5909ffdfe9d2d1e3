//go:build cuda

package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mixedRows is a table of numbers, whole numbers, categories, words for yes and no,
// and days, with a label that depends on them and with missing cells in the others.
func mixedRows(rows int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	cell := func(text string) string {
		if r.IntN(8) == 0 {
			return ""
		}
		return text
	}
	text := "age,income,city,smoker,joined,bought\n"
	for range rows {
		age, city := 18+r.IntN(60), r.IntN(3)
		income := 20 + float64(age) + 15*float64(city) + 5*r.NormFloat64()
		day := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(6000))
		smoker, bought := r.IntN(age) > 25, income+5*r.NormFloat64() > 80
		text += strings.Join([]string{cell(strconv.Itoa(age)), cell(strconv.FormatFloat(income, 'f', 1, 64)),
			cell([]string{"Århus", "Bern", "São Paulo"}[city]), cell(map[bool]string{true: "yes", false: "no"}[smoker]),
			cell(day.Format(time.DateOnly)), map[bool]string{true: "often", false: "never"}[bought]}, ",") + "\n"
	}
	return text
}

// deviceFolders are folders below one, in each of which one device answers.
func deviceFolders(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, device := range []string{"cuda", "cpu", "reference"} {
		if err := os.Mkdir(filepath.Join(dir, device), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"table.csv": mixedRows(120, 1), "new.csv": mixedRows(24, 2) + "19,900,Oslo,yes,2001-02-03,never\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ask runs the program on the GPU and on another device, each in its folder, and
// compares what they print as JSON and the files that they write there.
func (p cudaProgram) ask(t *testing.T, dir, other string, tolerance float64, files []string, arguments ...string) {
	t.Helper()
	answers := map[string]any{}
	for _, device := range []string{"cuda", other} {
		stdout, _ := p.run(t, filepath.Join(dir, device), exitOK, nil, append(arguments[:len(arguments):len(arguments)], "--device", device, "--json", "-q")...)
		var answer any
		if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
			t.Fatalf("%s printed %q: %v", device, stdout, err)
		}
		answers[device] = answer
	}
	compareJSON(t, arguments[0], answers["cuda"], answers[other], tolerance)
	for _, name := range files {
		compareCells(t, filepath.Join(dir, "cuda", name), filepath.Join(dir, other, name), tolerance)
	}
}

// agree reports whether two numbers agree, relative to the second where it is great.
func agree(got, want, tolerance float64) bool {
	return math.Abs(got-want) <= tolerance*max(1, math.Abs(want))
}

// ownOfRun reports whether two equal runs differ in that.
func ownOfRun(key string) bool {
	return slices.Contains([]string{"device", "seconds", "samples_per_s"}, key)
}

// compareJSON compares two values, but for what is each run's own.
func compareJSON(t *testing.T, where string, got, want any, tolerance float64) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok || len(got) != len(want) {
			t.Fatalf("%s has the keys of %v, want those of %v", where, got, want)
		}
		for key := range want {
			if !ownOfRun(key) {
				compareJSON(t, where+"."+key, got[key], want[key], tolerance)
			}
		}
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			t.Fatalf("%s is %v, want %v", where, got, want)
		}
		for i := range want {
			compareJSON(t, fmt.Sprintf("%s[%d]", where, i), got[i], want[i], tolerance)
		}
	case float64:
		if got, ok := got.(float64); !ok || !agree(got, want, tolerance) {
			t.Errorf("%s is %v, want %v", where, got, want)
		}
	default:
		if got != want {
			t.Errorf("%s is %v, want %v", where, got, want)
		}
	}
}

// inBrackets is the z-score beside a name in top_features, which is in a column of
// its own with all its digits.
var inBrackets = regexp.MustCompile(` \([^)]*\)`)

// compareCells compares two CSV files: numbers within the tolerance, words exactly.
func compareCells(t *testing.T, gotPath, wantPath string, tolerance float64) {
	t.Helper()
	got, want := readCells(t, gotPath), readCells(t, wantPath)
	if len(got) != len(want) || len(want) < 2 {
		t.Fatalf("%s has %d lines, want %d", gotPath, len(got), len(want))
	}
	for i, line := range want {
		for j, cell := range line {
			if ownOfRun(want[0][j]) {
				continue
			}
			a, err := strconv.ParseFloat(got[i][j], 64)
			b, wrong := strconv.ParseFloat(cell, 64)
			numbers := err == nil && wrong == nil
			if numbers && !agree(a, b, tolerance) || !numbers && inBrackets.ReplaceAllString(got[i][j], "") != inBrackets.ReplaceAllString(cell, "") {
				t.Errorf("%s: line %d: %s is %q, want %q", filepath.Base(gotPath), i+1, want[0][j], got[i][j], cell)
			}
		}
	}
}

func readCells(t *testing.T, path string) [][]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cells, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return cells
}

// testCUDATables: every verb that knows tables of mixed columns says on the GPU what
// it says on the CPU.
func testCUDATables(t *testing.T, p cudaProgram) {
	dir := deviceFolders(t)
	// Training: a sum over some hundred steps, beside the oracle.
	const training = 1e-4
	small := []string{"--label", "bought", "--hidden", "16,8", "--batch", "16", "--epochs", "6"}
	train := func(run string, flags ...string) {
		t.Helper()
		p.ask(t, dir, "reference", training, []string{run + "/metrics.csv"}, append(append([]string{"train", "../table.csv", "-o", run}, small...), flags...)...)
	}
	train("impute", "--preset", "impute")
	train("anomaly", "--preset", "anomaly")
	train("all", "--preset", "tabular", "--corruption", "swap-rows:0.2+span:rate=0.2,length=2", "--mask-head", "0.5", "--indicators")

	// What a trained model says: sums within a layer.
	const inference = 1e-5
	for _, run := range []string{"impute", "anomaly", "all"} {
		model := "../cuda/" + run
		p.ask(t, dir, "cpu", inference, nil, "eval", model, "../table.csv", "--split", "all")
		p.ask(t, dir, "cpu", inference, []string{run + ".denoised.csv"}, "denoise", model, "../new.csv", "-o", run+".denoised.csv")
		p.ask(t, dir, "cpu", inference, []string{run + ".codes.csv"}, "encode", model, "../new.csv", "--layer", "all", "-o", run+".codes.csv")
		p.ask(t, dir, "cpu", inference, []string{run + ".scores.csv"}, "anomaly", model, "../new.csv", "--fpr", "0.2", "-o", run+".scores.csv")
	}
	p.ask(t, dir, "cpu", inference, []string{"full.csv"}, "impute", "../cuda/impute", "../new.csv", "-o", "full.csv", "--overimpute", "0.2")
	p.ask(t, dir, "cpu", inference, []string{"drawn.1.csv", "drawn.2.csv"}, "impute", "../cuda/impute", "../new.csv", "-m", "2", "-o", "drawn.csv")

	// Stacks and predictors: trained, and asked.
	p.ask(t, dir, "cpu", training, []string{"stack/layer1/metrics.csv", "stack/layer2/metrics.csv"},
		"pretrain", "../table.csv", "--label", "bought", "--hidden", "16,8", "--corruption", "masking:0.2,gaussian:0.1", "--batch", "16", "--epochs", "4", "-o", "stack")
	p.ask(t, dir, "cpu", training, []string{"stack.csv"}, "encode", "stack", "../new.csv", "-o", "stack.csv")
	for _, run := range []string{"stack", "impute"} {
		model, tuned := "../cuda/"+run, run+".tuned"
		p.ask(t, dir, "cpu", training, []string{tuned + "/metrics.csv"}, "finetune", model, "../table.csv", "--label", "bought", "--val", "0.2", "--batch", "16", "--epochs", "4", "-o", tuned)
		p.ask(t, dir, "cpu", training, []string{tuned + ".csv"}, "predict", tuned, "../new.csv", "-o", tuned+".csv")
	}
}
