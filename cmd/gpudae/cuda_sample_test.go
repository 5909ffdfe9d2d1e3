//go:build cuda

package main

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// testCUDASamples: what models draw on the GPU by every method, with and without
// given columns, and the likelihoods that a score model computes, are the
// reference's: the draws are those of the host, and the network's rounding is all
// that differs.
func testCUDASamples(t *testing.T, p cudaProgram) {
	const tolerance = 1e-3
	dir := t.TempDir()
	p.run(t, dir, exitOK, nil, "train", "two-moons:n=200", "--preset", "score", "--hidden", "16", "--epochs", "2", "--device", "cuda", "-o", "run")
	p.run(t, dir, exitOK, nil, "train", "two-moons:n=200", "--preset", "toy", "--hidden", "16", "--epochs", "2", "--device", "cuda", "-o", "plain")
	p.run(t, dir, exitOK, nil, "train", "two-moons:n=200", "--preset", "toy", "--hidden", "16", "--epochs", "2", "--code-distribution", "gaussian", "--device", "cuda", "-o", "codes")
	for name, arguments := range map[string][]string{
		"walkback":   {"sample", "plain", "-n", "40", "--steps", "8"},
		"langevin":   {"sample", "plain", "-n", "40", "--steps", "8", "--method", "langevin"},
		"prior":      {"sample", "codes", "-n", "40"},
		"ddim":       {"sample", "run", "-n", "40", "--steps", "8", "--method", "ddim"},
		"annealed":   {"sample", "run", "-n", "40", "--steps", "8", "--method", "annealed-langevin"},
		"heun":       {"sample", "run", "-n", "40", "--steps", "8"},
		"ancestral":  {"sample", "run", "-n", "40", "--steps", "8", "--method", "ancestral"},
		"completion": {"sample", "run", "-n", "40", "--steps", "8", "--given", "x=0.5"},
		"likelihood": {"likelihood", "run", "two-moons:n=40", "--steps", "6"},
	} {
		numbers := map[string][]string{}
		for _, device := range []string{"cuda", "reference"} {
			out := name + "-" + device + ".csv"
			p.run(t, dir, exitOK, nil, append(arguments[:len(arguments):len(arguments)], "--device", device, "-o", out)...)
			content, err := os.ReadFile(filepath.Join(dir, out))
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitN(string(content), "\n", 2) // the first names the columns
			numbers[device] = strings.FieldsFunc(lines[1], func(r rune) bool { return r == ',' || r == '\n' })
		}
		if len(numbers["cuda"]) < 40 || len(numbers["cuda"]) != len(numbers["reference"]) {
			t.Fatalf("%s: %d numbers, %d of the reference", name, len(numbers["cuda"]), len(numbers["reference"]))
		}
		for i, text := range numbers["cuda"] {
			got, err := strconv.ParseFloat(text, 64)
			want, wrong := strconv.ParseFloat(numbers["reference"][i], 64)
			if err != nil || wrong != nil || math.Abs(got-want) > tolerance*(1+math.Abs(want)) {
				t.Errorf("%s: number %d is %s, the reference's %s", name, i, text, numbers["reference"][i])
			}
		}
	}
}
