package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPredictionsAreThoseOfThePages: docs hold what bench --predict prints, so that a step that
// asks for more than it did is seen. With GPUDAE_UPDATE=1 they are written.
func TestPredictionsAreThoseOfThePages(t *testing.T) {
	for _, c := range []struct {
		page, mark string
		launches   bool
		of         [][2]string // GPU and precision
	}{
		{"gpu-performance.md", "predicted", false,
			[][2]string{{"h100", precisionFloat32}, {"h100", precisionTF32}, {"h100", precisionBFloat16}, {"a100", precisionFloat32}}},
		{"results/gpu-launches.md", "launches", true, [][2]string{{"h100", precisionFloat32}, {"a100", precisionFloat32}}},
	} {
		path := filepath.Join("..", "..", "docs", filepath.FromSlash(c.page))
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := string(page)
		for _, of := range c.of {
			want = between(t, want, "<!-- "+c.mark+": "+of[0]+" "+of[1]+" -->\n", "```\n"+predictionText(t, of[0], of[1], c.launches)+"```\n\n")
		}
		if want == string(page) {
			continue
		}
		if os.Getenv("GPUDAE_UPDATE") == "" {
			t.Errorf("%s is not what bench --predict prints now; look at the difference, and run this test with GPUDAE_UPDATE=1 to write it", path)
		} else if err := os.WriteFile(path, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// predictionText is what bench --predict prints for a GPU and a precision.
func predictionText(t *testing.T, name, precision string, launches bool) string {
	t.Helper()
	g, err := gpuNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := &program{stdout: &out}
	if err := p.predictSteps(t.Context(), g, classNamed(precision), allWorkloads(), false, launches); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// between replaces what follows a mark, a block of code if one stands there.
func between(t *testing.T, page, mark, text string) string {
	t.Helper()
	before, after, found := strings.Cut(page, mark)
	if !found {
		t.Fatalf("the page has no %s", mark)
	}
	if strings.HasPrefix(after, "```\n") {
		_, rest, closed := strings.Cut(after[len("```\n"):], "```\n\n")
		if !closed {
			t.Fatalf("the block after %s has no end", mark)
		}
		after = rest
	}
	return before + mark + text + after
}

// TestStepsKeepToTheirLaunches: a step takes two dependent launches a layer and one more, and
// moves hardly more than it must: of a net of two layers, each launch's operands once.
func TestStepsKeepToTheirLaunches(t *testing.T) {
	most := map[string]int{"mnist-mask-b128": 5, "mnist-mask-b1024": 5, "mnist-gauss-b128": 5, "wide512": 5, "tabular-b32": 9, "deep-b256": 17, "d8192": 6, // dX of the second layer has one of its own
		"score-b512": 11}
	for _, name := range []string{"h100", "a100"} {
		g, err := gpuNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range allWorkloads() {
			step, _, err := stepOn(t.Context(), g, w)
			if err != nil {
				t.Fatal(err)
			}
			if step.Nodes > most[w.name] {
				t.Errorf("a step of %s on %s takes %d launches, more than %d", w.name, name, step.Nodes, most[w.name])
			}
			if w.name != "mnist-mask-b1024" {
				continue
			}
			const in, hidden = 784, 1000
			x, h, weights := float64(4*w.batch*in), float64(4*w.batch*hidden), float64(4*in*hidden)
			least := x/4 + 2*x + // bytes of the data; x and x̃
				x + weights + h + // the code
				h + weights + x + x + // the output, and its gradient in its place
				x + weights + h + h + // gradients of the second layer, of its input kept
				h + x + // and of the first
				6*2*weights // Adam: parameters and two moments, read and written
			if ratio := float64(step.Bytes) / least; ratio > 1.15 {
				t.Errorf("a step of %s moves %d bytes, %.2f times the least", w.name, step.Bytes, ratio)
			} else {
				t.Logf("a step of %s on %s moves %.3f times the least", w.name, name, ratio)
			}
		}
	}
}
