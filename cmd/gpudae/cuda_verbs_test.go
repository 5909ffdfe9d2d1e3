//go:build cuda

package main

import (
	"encoding/json"
	"fmt"
	"image"
	_ "image/png"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// deviceFolders are folders below one, in each of which one device answers.
func deviceFolders(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, device := range []string{"cuda", "cpu", "reference"} {
		if err := os.Mkdir(filepath.Join(dir, device), 0o700); err != nil {
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
	compareValues(t, arguments[0], answers["cuda"], answers[other], tolerance)
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

// compareValues compares two values, but for what is each run's own.
func compareValues(t *testing.T, where string, got, want any, tolerance float64) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok || len(got) != len(want) {
			t.Fatalf("%s has the keys of %v, want those of %v", where, got, want)
		}
		for key := range want {
			if !ownOfRun(key) {
				compareValues(t, where+"."+key, got[key], want[key], tolerance)
			}
		}
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			t.Fatalf("%s is %v, want %v", where, got, want)
		}
		for i := range want {
			compareValues(t, fmt.Sprintf("%s[%d]", where, i), got[i], want[i], tolerance)
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

// testCUDAVerbs: the verbs that know numbers say on the GPU what they say on the CPU;
// samples, scores and likelihoods have tests of their own.
func testCUDAVerbs(t *testing.T, p cudaProgram) {
	const training, inference = 1e-4, 1e-5
	dir := deviceFolders(t)
	p.ask(t, dir, "cpu", training, []string{"moons/metrics.csv"}, "train", "two-moons:n=200", "--preset", "toy", "--hidden", "16,8", "--epochs", "4", "-o", "moons")
	p.ask(t, dir, "cpu", inference, nil, "eval", "../cuda/moons", "two-moons:n=60")
	p.ask(t, dir, "cpu", inference, []string{"clean.csv"}, "denoise", "../cuda/moons", "two-moons:n=60", "--corrupt", "gaussian:0.2", "-o", "clean.csv")
	p.ask(t, dir, "cpu", inference, []string{"codes.csv"}, "encode", "../cuda/moons", "two-moons:n=60", "--layer", "all", "-o", "codes.csv")
	p.ask(t, dir, "cpu", inference, nil, "export", "../cuda/moons", "-o", "moons.onnx")
	p.ask(t, dir, "cpu", inference, nil, "report", "../cuda/moons", "-o", "moons.html")
	p.ask(t, dir, "cpu", inference, nil, "figure", "../cuda/moons", "vector-field", "-o", "field.png")
	comparePictures(t, filepath.Join(dir, "cuda", "field.png"), filepath.Join(dir, "cpu", "field.png"))
	compareServed(t, p, dir, "../cuda/moons", inference)

	const sweep = "method: grid\nsettings: {data: 'two-moons:n=200', epochs: 2, hidden: 8}\nsweep:\n  lr: [1e-3, 1e-2]\n"
	if err := os.WriteFile(filepath.Join(dir, "sweep.yaml"), []byte(sweep), 0o600); err != nil {
		t.Fatal(err)
	}
	p.ask(t, dir, "cpu", training, nil, "sweep", "../sweep.yaml", "-o", "sweep")
	p.ask(t, dir, "cpu", training, []string{"stack/layer2/metrics.csv"}, "pretrain", "digits", "--hidden", "16,8", "--epochs", "2", "-o", "stack")
	p.ask(t, dir, "cpu", training, []string{"tuned/metrics.csv"}, "finetune", "../cuda/stack", "digits", "--epochs", "2", "-o", "tuned")
	p.ask(t, dir, "cpu", inference, nil, "predict", "../cuda/tuned", "digits", "-o", "predicted.csv")
}

// testCUDASweepTogether: small trials share the GPU, large ones take turns unless the command
// line says otherwise, and either way a trial ends where it ends alone.
func testCUDASweepTogether(t *testing.T, p cudaProgram) {
	dir := t.TempDir()
	for name, hidden := range map[string]string{"small": "8", "large": "300"} {
		text := "method: grid\nsettings: {data: 'two-moons:n=150', epochs: 1, batch: 64, hidden: [" + hidden + ", " + hidden + "]}\nsweep:\n  lr: [1e-4, 1e-3, 1e-2]\n"
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, want string
		arguments  []string
	}{
		{"small", "3 at a time", nil},
		{"small", "1 at a time", []string{"--parallel", "1"}},
		{"large", "1 at a time", nil},
		{"large", "2 at a time", []string{"--parallel", "2"}},
	} {
		_, said := p.run(t, dir, exitOK, nil, append([]string{"sweep", c.name + ".yaml", "--device", "cuda", "--no-report", "-o", c.name + c.want}, c.arguments...)...)
		if !strings.Contains(said, c.want) {
			t.Errorf("%s %v: the log does not say %q:\n%s", c.name, c.arguments, c.want, said)
		}
	}
	compareCells(t, filepath.Join(dir, "small3 at a time", sweepCSVFile), filepath.Join(dir, "small1 at a time", sweepCSVFile), 0)
}

// comparePictures: the same size, and colours apart by at most a rounding of one
// level, but for the edges of strokes, which take up a small part of the picture.
func comparePictures(t *testing.T, gotPath, wantPath string) {
	t.Helper()
	got, want := readPicture(t, gotPath), readPicture(t, wantPath)
	if got.Bounds() != want.Bounds() || want.Bounds().Empty() {
		t.Fatalf("the picture is %v, want %v", got.Bounds(), want.Bounds())
	}
	bounds, others := want.Bounds(), 0
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			if !sameColour(got, want, x, y) {
				others++
			}
		}
	}
	if pixels := bounds.Dx() * bounds.Dy(); others > pixels/500 { // some arrows are at the edge between two shades or places
		t.Errorf("%d of %d pixels differ", others, pixels)
	}
}

func sameColour(a, b image.Image, x, y int) bool {
	const level = 0x101
	r, g, u, _ := a.At(x, y).RGBA()
	s, h, v, _ := b.At(x, y).RGBA()
	for _, d := range []int64{int64(r) - int64(s), int64(g) - int64(h), int64(u) - int64(v)} {
		if d < -level || d > level {
			return false
		}
	}
	return true
}

func readPicture(t *testing.T, path string) image.Image {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, _, err := image.Decode(file)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return picture
}

// compareServed asks a server on each device, several times, since each request may
// be computed on a thread of its own.
func compareServed(t *testing.T, p cudaProgram, dir, model string, tolerance float64) {
	t.Helper()
	const body = `{"rows": [[0.5, 0.25], [-1, 0.75], [1.5, -0.5]]}`
	answers := map[string][]any{}
	for _, device := range []string{"cuda", "cpu"} {
		folder := filepath.Join(dir, device)
		command, _, stderr := p.command(folder, nil, "serve", model, "--device", device, "--listen", "127.0.0.1:0", "--url-file", "url", "-q")
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		url := waitForURL(filepath.Join(folder, "url"))
		for range 8 {
			for _, route := range []string{"denoise", "encode"} {
				answers[device] = append(answers[device], bodyOf(url+"/v1/"+route, body))
			}
		}
		command.Process.Signal(syscall.SIGTERM)
		command.Wait()
		if code := command.ProcessState.ExitCode(); code != exitSignal+int(syscall.SIGTERM) {
			t.Errorf("serve on %s ended with %d: %s", device, code, stderr)
		}
	}
	for i, answer := range answers["cpu"] {
		if _, ok := answer.(map[string]any); !ok {
			t.Fatalf("the CPU served %v", answer)
		}
		compareValues(t, fmt.Sprintf("answer %d", i), answers["cuda"][i], answer, tolerance)
	}
}

// waitForURL waits for a server to say where it listens; empty if it does not.
func waitForURL(path string) string {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}

// bodyOf is the JSON of an answer, or why there is none, in words.
func bodyOf(url, body string) any {
	answer, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Sprint(answer.Status, " ", err, " ", string(text))
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return err.Error()
	}
	return value
}
