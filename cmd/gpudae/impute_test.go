package main

import (
	"bytes"
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"gpudae/data"
)

// TestDrawsAreWrittenAllOrNone: where the last table of several finds no room, the
// first is not left behind.
func TestDrawsAreWrittenAllOrNone(t *testing.T) {
	dir := t.TempDir()
	path, full := filepath.Join(dir, "o.1.csv"), filepath.Join(dir, "o.2.csv")
	if err := os.Symlink("/dev/full", full); err != nil {
		t.Skip(err)
	}
	w := &fillWriters{}
	defer w.abort()
	for _, name := range []string{path, full} {
		file, err := data.CreateFrame(name, []data.FrameColumn{{Name: "x", Type: data.Number}})
		if err != nil {
			t.Skip(err)
		}
		w.files = append(w.files, file)
	}
	if err := w.commit(); err == nil {
		t.Error("a full disk takes all")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the first table was left")
	}
}

// TestPresetImputeComesNearTheConditionalMean: where columns are f + σ·e, f and e
// standard normal, the best guess of a missing one given k others is
// E[f|x] = Σ x/(k + σ²). What the preset fills in is hardly further from the truth.
func TestPresetImputeComesNearTheConditionalMean(t *testing.T) {
	const rows, columns, sigma, rate = 400, 8, 0.3, 0.1
	dir := t.TempDir()
	in, run, out := filepath.Join(dir, "in.csv"), filepath.Join(dir, "run"), filepath.Join(dir, "out.csv")
	random := rand.New(rand.NewPCG(1, 2))
	truth, text := make([][]float64, rows), [][]string{make([]string, columns)}
	for j := range columns {
		text[0][j] = "x" + strconv.Itoa(j)
	}
	for i := range truth {
		factor, line := random.NormFloat64(), make([]string, columns)
		truth[i] = make([]float64, columns)
		for j := range truth[i] {
			truth[i][j] = factor + sigma*random.NormFloat64()
			if random.Float64() >= rate {
				line[j] = strconv.FormatFloat(truth[i][j], 'f', 6, 64)
			}
		}
		text = append(text, line)
	}
	writeCells(t, in, text)
	quiet := []string{noReportVariable + "=1", noEventsVariable + "=1"}
	command(t, quiet, "train", in, "--preset", "impute", "--hidden", "64,64", "-q", "-o", run)
	command(t, nil, "impute", run, in, "-o", out, "-q")

	filled := readCells(t, out)
	var ours, best, cells float64
	for i, line := range text[1:] {
		sum, present := 0.0, 0.0
		for j, cell := range line {
			if cell != "" {
				sum, present = sum+truth[i][j], present+1
			}
		}
		for j, cell := range line {
			if cell != "" {
				continue
			}
			guess, err := strconv.ParseFloat(filled[i+1][j], 64)
			if err != nil {
				t.Fatal(err)
			}
			ours += math.Pow(guess-truth[i][j], 2)
			best += math.Pow(sum/(present+sigma*sigma)-truth[i][j], 2)
			cells++
		}
	}
	ours, best = math.Sqrt(ours/cells), math.Sqrt(best/cells)
	if !(ours < 1.06*best) {
		t.Errorf("%v cells: error %.4f, that of the conditional mean is %.4f", cells, ours, best)
	}
}

func writeCells(t *testing.T, path string, cells [][]string) {
	t.Helper()
	var text bytes.Buffer
	if err := csv.NewWriter(&text).WriteAll(cells); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o666); err != nil {
		t.Fatal(err)
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
